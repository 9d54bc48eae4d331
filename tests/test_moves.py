"""200 steps by chat: people bind, hand over, lose roles, change counties and work on items; after each, somebody looks.

What each person may be shown is kept here beside the database, from who was given what.
"""

import re
import uuid
from collections import defaultdict
from datetime import timedelta
from random import Random

import pytest
from hypothesis import HealthCheck, Phase
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test
from sqlalchemy import func, select
from sqlalchemy.orm import Session, sessionmaker

from bot.app import assistant
from bot.messages import Inbound
from knowledge.base import KnowledgeBase
from storage import bindings, invitations, people, scope
from storage.models import Audit, Binding, Body, Fact, Invitation, Item, ItemEvent, Person, Role
from storage.scope import SYSTEM, serving
from tests.doors import COUNTIES, NOW, OFFICES, places_in, seed

KEPT = (Audit, Binding, Body, Fact, Invitation, Item, ItemEvent, Person, Role)  # no row of these is ever lost
LOOKS = (
    "我的事项",
    "本县情况",
    "本县人员",
    "切换县",
    "待审",
    "我的信息",
    "事项 #{item}",
    "事项 #{item}",
    "看电话 #{person}",
)
_NAMES = "甲乙丙丁戊己庚辛壬癸子丑寅卯辰巳午未申酉戌亥"


@pytest.mark.timeout(900)  # a thousand turns: minutes on a busy machine
def test_what_is_shown_follows_every_move_and_role_change(sessions: sessionmaker[Session], kb: KnowledgeBase) -> None:
    country = seed(sessions)
    made = assistant(kb, home="620000")
    shown = {"own": 0, "nothing": 0, "handed over": 0, "switched": 0, "worked": 0}

    class Moves(RuleBasedStateMachine):
        def __init__(self) -> None:
            super().__init__()
            self.db = sessions()
            self.db.begin()
            self.held: dict[str, set[tuple[str, str]]] = {}  # address → roles and their places
            self.number, self.rows = 0, dict.fromkeys(KEPT, 0)
            self.in_form: set[str] = set()
            self.told: dict[str, set[str]] = defaultdict(set)  # names of counties once worked for: told who took over

        @initialize(seed=st.integers(0, 2**32))
        def begin(self, seed: int) -> None:
            self.random = Random(seed)  # of the runner's own draws, most walks would repeat one kind of step
            for place in COUNTIES:
                self.bind(place)
            with serving(self.db, SYSTEM):
                person = people.find_or_add(self.db, name="看省", now=NOW)[0]
                people.give_role(self.db, person, "province_officer", division_code="620000", now=NOW)
                bindings.bind(self.db, person, "terminal", "看省", NOW)
            self.held["看省"] = {("province_officer", "620000")}

        def say(self, who: str, *texts: str) -> str:
            for text in ("取消", *texts) if who in self.in_form else texts:
                self.number += 1
                at = NOW + timedelta(seconds=self.number)
                inbound = Inbound(channel="terminal", message_id=uuid.uuid4().hex, address=who, text=text, at=at)
                reply = made.handle(self.db, inbound)
                self.db.flush()
                self.db.expunge_all()
                scope.enter(self.db, None, "")
                self.in_form = {*self.in_form, who} if reply.route.startswith("flow:") else self.in_form - {who}
                known = "\n".join((*texts, *self.told[who]))
                leaked = places_in(repr(reply.to_json()), known) - self.visible(who)
                assert not leaked, (who, texts, leaked, reply.text)
            return reply.text

        def visible(self, who: str) -> set[str]:
            county = {place for role, place in self.held.get(who, set()) if role != "province_officer"}
            province = any(role == "province_officer" for role, _ in self.held.get(who, set()))
            return county | ({one for one in (*COUNTIES, *OFFICES) if one[:2] == "62"} if province else set())

        def county(self, place: str) -> int:
            with serving(self.db, SYSTEM):
                return self.db.scalars(select(Body.id).where(Body.division_code == place)).one()

        @rule()
        def step(self) -> None:
            place, who = self.random.choice(COUNTIES), self.random.choice(sorted(self.held))
            move = self.random.choice((self.bind, self.hand_over, self.end, self.switch, self.work, self.work))
            move(place) if move == self.bind else move(who, place)  # type: ignore[call-arg, arg-type]  # by their names

        def bind(self, place: str, who: str = "") -> None:
            """Somebody is invited to a county and uses the code: somebody new, or who is bound already."""
            bound = [one for one in self.held if one != "看省"]
            who = who or (self.random.choice(bound) if len(bound) > 6 else f"看{_NAMES[len(self.held)]}客")
            with serving(self.db, SYSTEM):
                found = people.named(self.db, who) or [people.find_or_add(self.db, name=who, now=NOW)[0]]
                _, code = invitations.make(
                    self.db, person=found[0], role="county_officer", body_id=self.county(place), now=NOW,
                    expires_at=NOW + timedelta(days=10),
                )  # fmt: skip
                self.db.flush()
            before = self.held.setdefault(who, set())
            self.held[who] = before | {("county_officer", place)}  # the code itself says where to
            self.told[who].add(country.targets[place].body)
            assert "已绑定" in (said := self.say(who, f"绑定 {code}", "同意并绑定")), said

        def hand_over(self, who: str, place: str) -> None:
            said = self.say(who, "移交给 接任者", "确认移交给 接任者")
            code = re.search(r"绑定 ([0-9A-Z]{4}-[0-9A-Z]{4})", said)
            if code is None:
                return
            with serving(self.db, SYSTEM):
                [body] = self.db.scalars(select(Body).join(Person, Person.body_id == Body.id).where(Person.name == who))
                place = body.division_code
                [successor] = [one for one in people.named(self.db, "接任者") if one.consent is None][-1:]
                successor.name = f"接{self.number}"
            address = f"接{self.number}"
            self.held[address] = {("county_officer", place)}
            self.told[address].add(country.targets[place].body)
            self.say(address, f"绑定 {code[1]}", "同意并绑定")
            self.held[who].discard(("county_officer", place))
            shown["handed over"] += 1

        def end(self, who: str, place: str) -> None:
            if who == "看省":
                return
            with serving(self.db, SYSTEM):
                binding = bindings.live(self.db, "terminal", who)
                assert binding is not None
                for role in people.roles(self.db, binding.person_id):
                    if role.body_id == self.county(place):
                        people.end_role(self.db, role, NOW)
            self.held[who].discard(("county_officer", place))

        def switch(self, who: str, place: str) -> None:
            said = self.say(who, f"切换县 {country.targets[place].body}")
            assert ("现在代表" in said) == (place in self.visible(who)), (who, place, said)
            shown["switched"] += place in self.visible(who)

        def work(self, who: str, place: str) -> None:
            item = country.targets[place].items["rectifying"]
            with serving(self.db, SYSTEM):
                before = self.db.get_one(Item, item).version
            self.say(who, f"报进展 #{item}", "一个站点恢复营业", "确认")
            with serving(self.db, SYSTEM):
                worked = self.db.get_one(Item, item).version - before
                events = self.db.scalar(select(func.count(ItemEvent.id)).where(ItemEvent.item_id == item))
                assert events == before + worked
            assert worked == (("county_officer", place) in self.held[who]), (who, place)
            shown["worked"] += worked

        @invariant()
        def look(self) -> None:
            if not self.held:
                return
            who, place = self.random.choice(sorted(self.held)), self.random.choice(COUNTIES)
            target = country.targets[place]
            words = self.random.choice(LOOKS)
            said = self.say(who, words.format(item=target.items["returned"], person=target.person))
            if words.startswith("事项"):
                assert bool(places_in(said, "\n".join(self.told[who]))) == (place in self.visible(who)), (
                    who,
                    place,
                    said,
                )
                shown["own" if place in self.visible(who) else "nothing"] += 1
            with serving(self.db, SYSTEM):
                now = {one: self.db.scalar(select(func.count(one.id))) or 0 for one in KEPT}
            assert all(now[one] >= self.rows[one] for one in KEPT), (self.rows, now)
            self.rows = now

        def teardown(self) -> None:
            self.db.rollback()
            self.db.close()

    run_state_machine_as_test(  # type: ignore[no-untyped-call]  # hypothesis does not annotate it
        Moves,
        settings=hypothesis_settings(
            stateful_step_count=200, max_examples=1, deadline=None, database=None, derandomize=True,
            suppress_health_check=list(HealthCheck),
            phases=(Phase.generate,),  # a walk that fails is told as it is: to shorten it would take minutes
        ),
    )  # fmt: skip
    assert min(shown.values()) >= 5, shown
