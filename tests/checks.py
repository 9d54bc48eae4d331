"""Two counties and a province at their terminals, for the tests of the guided checks."""

import uuid
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import httpx
import pytest
from anyio.from_thread import start_blocking_portal
from fastapi import FastAPI
from sqlalchemy import select
from sqlalchemy.orm import Session, sessionmaker

from bot.app import assistant
from bot.console import download
from bot.files import keep
from bot.messages import Inbound, Media, Reply
from bot.projects import MIME as EXCEL
from bot.settings import Paths, Province, Settings, Web
from bot.turns import TurnThread
from knowledge.base import KnowledgeBase
from storage import bodies, facts, funds
from storage.db import transaction
from storage.funds import Sums
from storage.scope import SYSTEM, serving
from tests.seats import seat

NOW = datetime(2020, 4, 24, 2, tzinfo=UTC)
REPORT = "举报电话0931-0000000（样例号码）"
WORDS = "全国电子商务进农村综合示范项目"
CHECKS = ("review", "acceptance-check", "reapplication-check", "publicity", "label")


class Office:
    """Two counties and a province at their terminals, with a page for the files that are handed out."""

    def __init__(self, sessions: sessionmaker[Session], kb: KnowledgeBase, folder: Path) -> None:
        self.sessions, self.kb, self.folder, self.now = sessions, kb, folder, NOW
        self.ids: dict[str, int] = {}
        self.last: dict[str, Reply] = {}
        self.set_up()
        app = FastAPI()
        app.include_router(download.router(sessions, lambda: self.now, folder))
        self.page = app

    def set_up(self, channel: str = REPORT, base: str = "http://desk.test") -> None:
        """Begin again with other settings."""
        if hasattr(self, "turns"):
            self.turns.stop()
        chosen = Settings(
            paths=Paths(data=self.folder),
            web=Web(base_url=base),
            province=Province(name="甘肃省商务厅（样例）", report_channel=channel),
        )
        self.turns = TurnThread(assistant(self.kb, chosen), self.sessions)

    def person(self, who: str, role: str, body_id: int | None = None, division: str | None = None) -> None:
        self.ids[who] = seat(self.sessions, who, role, NOW, body_id=body_id, division=division)

    def reply(self, who: str, text: str, media: tuple[Media, ...] = ()) -> Reply:
        self.now += timedelta(seconds=1)
        inbound = Inbound(
            channel="terminal", message_id=uuid.uuid4().hex, address=who, text=text, at=self.now,
            kind="file" if media else "text", media=media,
        )  # fmt: skip
        self.last[who] = self.turns.submit(inbound).result(timeout=60)
        return self.last[who]

    def say(self, who: str, *texts: str) -> str:
        return [self.reply(who, text).text for text in texts][-1]

    def whole(self, who: str) -> str:
        """The last reply with what 更多 brings."""
        first = self.last[who]
        return f"{first.text}\n{self.say(who, '更多')}" if first.rest else first.text

    def pick(self, who: str, part: str) -> Reply:
        """Tap the option of the last reply whose label contains the text."""
        [option] = [one for one in self.last[who].options if part in one.label]
        return self.reply(who, option.value)

    def send(self, who: str, data: bytes, mime: str = EXCEL) -> str:
        """A file through the upload page: its bytes lie there already."""
        media = Media(id="x", name="对应表.xlsx", mime=mime, sha256=keep(self.folder, data), size=len(data))
        return self.reply(who, "", (media,)).text

    def get(self, url: str) -> httpx.Response:
        async def ask() -> httpx.Response:
            transport = httpx.ASGITransport(app=self.page)
            async with httpx.AsyncClient(transport=transport, base_url="http://desk.test") as client:
                return await client.get(url)

        with (
            start_blocking_portal() as portal
        ):  # a thread of its own: a browser of other tests may hold this one's loop
            return portal.call(ask)

    def download(self, reply: Reply) -> bytes:
        [link] = reply.links
        got = self.get(link.url)
        assert got.status_code == 200
        assert got.headers["content-disposition"].startswith("attachment")
        return got.content

    def rows(self, table: type) -> list:  # type: ignore[type-arg]  # rows of whichever table
        with transaction(self.sessions) as db, serving(db, SYSTEM):
            found = list(db.scalars(select(table).order_by(table.id)))
            db.expunge_all()
            return found

    def recorded(self, body_id: int, **values: str) -> None:
        with transaction(self.sessions) as db, serving(db, SYSTEM):
            for key, value in values.items():
                facts.add(
                    db, body_id, key, value, batch_year=2016, as_of=date(2020, 4, 1), source="样例", now=NOW, role="operator"
                )  # fmt: skip

    def funds(self, body_id: int, allocated: str, disbursed: str, used: str) -> None:
        amounts = {"allocated": Decimal(allocated), "disbursed": Decimal(disbursed), "used": Decimal(used)}
        with transaction(self.sessions) as db, serving(db, SYSTEM):
            reported = Sums(**amounts, as_of=date(2020, 3, 31))
            funds.report(db, body_id, 2016, reported, source="样例", now=NOW, role="operator")


@pytest.fixture
def office(sessions: sessionmaker[Session], kb: KnowledgeBase, tmp_path: Path) -> Iterator[Office]:
    made = Office(sessions, kb, tmp_path / "data")
    with transaction(sessions) as db, serving(db, SYSTEM):
        body, _ = bodies.find_or_add(db, name="秦安县", division_code="620522", years=[2016])
        other, _ = bodies.find_or_add(db, name="清水县", division_code="620521", years=[2017, 2019])
        numbers = body.id, other.id
    for who, role in (("clerk", "county_officer"), ("contractor", "contractor")):
        made.person(who, role, numbers[0])
    made.person("neighbour", "county_officer", numbers[1])
    made.person("officer", "province_officer", division="620000")
    yield made
    made.turns.stop()


# What concerns words alone is looked at on one database.
words = pytest.mark.parametrize("url", ["sqlite"], indirect=True)


def title(office: Office, name: str) -> str:
    return office.kb.checks[name].title


def through(office: Office, *said: str) -> str:
    """An acceptance check with these first answers; everything else is there."""
    office.say("clerk", "验收检查", *said)
    office.say("clerk", "都有")
    return office.whole("clerk")
