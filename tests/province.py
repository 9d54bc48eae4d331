"""A province for the broadcast tests: its people on the web channel, at one clock, and a dispatcher over the ledger."""

import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta

from sqlalchemy.orm import Session, sessionmaker

from bot.app import assistant, guarding, reminding
from bot.channels.web import WebChannel
from bot.delivery import Dispatcher
from bot.messages import Inbound, Reply
from bot.settings import Settings
from bot.turns import TurnThread
from knowledge.base import KnowledgeBase
from storage import bindings, bodies, conversations, people
from storage.db import transaction
from storage.models import Broadcast
from storage.scope import SYSTEM, serving

NOW = datetime(2020, 5, 6, 2, tzinfo=UTC)  # Wednesday, 10:00 in China
COUNTIES = (
    ("秦安县", "620522", 2016),
    ("清水县", "620521", 2017),
    ("永登县", "620121", 2015),
    ("古浪县", "620622", 2018),
)


class Province:
    """People who talk and are written to. `now` moves a second with every message."""

    def __init__(self, sessions: sessionmaker[Session], kb: KnowledgeBase) -> None:
        self.sessions, self.now = sessions, NOW
        guards = guarding(reminding(lambda: kb, Settings()), lambda: self.now)
        self.turns = TurnThread(assistant(kb, None, guards), sessions)
        self.ids: dict[str, int] = {}
        self.bodies: dict[str, int] = {}
        self.last: dict[str, Reply] = {}
        self.shown: dict[str, int] = {}
        web = WebChannel(sessions, lambda: self.now)
        self.dispatcher = Dispatcher(
            channels={"web": web}, sessions=sessions, clock=lambda: self.now, guards=guards, workers=1
        )

    def body(self, name: str, code: str, *years: int) -> int:
        with transaction(self.sessions) as db, serving(db, SYSTEM):
            self.bodies[name] = bodies.find_or_add(db, name=name, division_code=code, years=years)[0].id
        return self.bodies[name]

    def person(self, who: str, role: str, place: str, *, bound: bool = True) -> None:
        """Somebody with a role in a county, or in the division that a code names."""
        body_id = self.bodies.get(place)
        division = None if body_id else place
        with transaction(self.sessions) as db, serving(db, SYSTEM):
            if division:
                bodies.division(db, division)
            if who in self.ids:
                made = people.named(db, str(self.ids[who]))[0]
            else:
                made, _ = people.find_or_add(db, name=f"样例{who}", body_id=body_id, now=NOW)
            people.give_role(db, made, role, body_id=body_id, division_code=division, now=NOW)
            if bound:
                bindings.bind(db, made, "web", who, NOW)
            made.consent, made.consent_at, made.verified_at, made.seen_at = "2026-1", NOW, NOW, NOW
            self.ids[who] = made.id

    def leaves(self, who: str) -> None:
        with transaction(self.sessions) as db, serving(db, SYSTEM):
            for role in people.roles(db, self.ids[who]):
                people.end_role(db, role, self.now)

    def reply(self, who: str, text: str, *, pressed: str = "") -> Reply:
        self.now += timedelta(seconds=1)
        number = f"event:{pressed}" if pressed else uuid.uuid4().hex
        inbound = Inbound(channel="web", message_id=number, address=who, text=text, at=self.now)
        self.last[who] = self.turns.submit(inbound).result(timeout=60)
        return self.last[who]

    def say(self, who: str, *texts: str) -> str:
        """What the last of some messages is answered."""
        return [self.reply(who, text).text for text in texts][-1]

    def pick(self, who: str, text: str) -> str:
        """Tap the option of the last reply whose label contains the text."""
        options = [one for one in self.last[who].options if text in one.label]
        assert options, (text, self.last[who])
        return self.say(who, options[0].value)

    def send(self, **later: float) -> dict[str, int]:
        """Let time pass, then drain the ledger; how many messages ended how."""
        self.now += timedelta(**later)
        return dict(self.dispatcher.drain())

    def got(self, who: str) -> list[Reply]:
        """What was pushed to somebody since the last look."""
        with transaction(self.sessions) as db:
            found = conversations.pushed_since(db, "web", who, self.shown.get(who, 0))
            self.shown[who] = max((one.id for one in found), default=self.shown.get(who, 0))
            return [Reply.from_json(conversations.reply(db, one)) for one in found]

    def broadcast(self, number: int = 1) -> Broadcast:
        with transaction(self.sessions) as db, serving(db, SYSTEM):
            return db.get_one(Broadcast, number)

    def composed(
        self,
        title: str = "关于报送整改进展的通知",
        text: str = "请于5月15日前报送整改进展，报省商务厅市场体系建设处。",
        audience: Sequence[str] = ("2016、2017年度", "就发给这些"),
        acknowledge: Sequence[str] = ("每县一人签收", "以便确认各县已知道报送时限", "5月12日"),
        when: str = "批准后10分钟发出",
        notice: str = "不引用文件",
    ) -> str:
        """An officer writes a broadcast; how it is named with its version."""
        self.say("officer", "新建通知", title, notice, text, "不带附件", *audience, *acknowledge, when)
        found = self.last["officer"].options[0].value.split(" ")[1]
        assert found.startswith("N"), self.last["officer"]
        return found

    def sent(self, **composed: object) -> str:
        """A broadcast that has gone out; N1 and so on."""
        at = self.composed(**composed)  # type: ignore[arg-type]  # passed on
        self.say("officer", f"提交 {at}")
        number = at.split("v")[0]
        assert "已批准" in self.say("approver", f"批准 {number}"), self.last["approver"]
        self.send(minutes=11)
        return number


@contextmanager
def province(sessions: sessionmaker[Session], kb: KnowledgeBase) -> Iterator[Province]:
    """Four counties of one province with a clerk each, two heads, an officer and two approvers, the hotline, a neighbour."""
    made = Province(sessions, kb)
    for name, code, year in COUNTIES:
        made.body(name, code, year)
        made.person(name[:2], "county_officer", name)
    made.person("秦安县长", "county_head", "秦安县")
    made.person("承办", "contractor", "秦安县")
    for who, role in (
        ("officer", "province_officer"),
        ("second", "province_officer"),
        ("approver", "province_approver"),
    ):
        made.person(who, role, "620000")
    made.person("hotline", "hotline", "620000")
    made.body("弥勒市", "532504", 2016)
    made.person("外省", "county_officer", "弥勒市")
    yield made
    made.turns.stop()
