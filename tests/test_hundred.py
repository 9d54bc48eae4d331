"""A week of one broadcast to a hundred counties, with failures and kills: at every moment the states add up to the audience."""

import random
from datetime import timedelta

import pytest
from sqlalchemy import insert
from sqlalchemy.orm import Session, sessionmaker

from bot import calling
from bot.channels import Channel
from bot.messages import Media, Reply, TemporaryFailure, Undeliverable
from handlers import reconciliation
from knowledge.base import KnowledgeBase
from storage import bodies, broadcasts
from storage.db import transaction
from storage.models import Binding, Body, BodyYear, Person, Role
from storage.scope import SYSTEM, serving
from tests.province import NOW, Province, province

HUNDRED = 100


class Killed(BaseException):
    """The process ends in mid-message."""


class Flaky:
    """A channel that refuses some people for good, fails now and then, and sees the process die."""

    name = "web"

    def __init__(self, inner: Channel, chance: random.Random) -> None:
        self.inner, self.chance, self.limit = inner, chance, inner.limit
        self.deaths, self.pushed = 3, list[str]()

    def push(self, address: str, reply: Reply, key: str) -> str:
        luck = self.chance.random()
        if address.startswith("县") and int(address[1:]) % 17 == 0:
            raise Undeliverable("gone")
        if luck < 0.05:
            raise TemporaryFailure("busy")
        self.pushed.append(key)
        if luck > 0.97 and self.deaths:
            self.deaths -= 1
            raise Killed
        return self.inner.push(address, reply, key)

    def fetch(self, media: Media) -> bytes:
        return self.inner.fetch(media)


def place(number: int) -> str:
    return f"样例{chr(0x5300 + number)}县"


def populate(office: Province) -> None:
    """A hundred counties of 2019 with a clerk each, written to on the web channel."""
    known = [code for code in bodies.published() if code.startswith("62") and not code.endswith("00")]
    codes = [known[n % len(known)] for n in range(HUNDRED)]
    with transaction(office.sessions) as db, serving(db, SYSTEM):
        for code in known:
            bodies.division(db, code)
        made = list(
            db.scalars(
                insert(Body).returning(Body.id),
                [{"name": place(n), "division_code": code, "office": ""} for n, code in enumerate(codes)],
            )
        )
        db.execute(insert(BodyYear), [{"body_id": one, "batch_year": 2019} for one in made])
        people = list(
            db.scalars(
                insert(Person).returning(Person.id),
                [
                    {
                        "name": f"样例{n}",
                        "title": "",
                        "at": NOW,
                        "body_id": one,
                        "consent": "2026-1",
                        "verified_at": NOW,
                    }
                    for n, one in enumerate(made)
                ],
            )
        )
        db.execute(
            insert(Role),
            [
                {"person_id": person, "role": "county_officer", "body_id": body, "at": NOW}
                for person, body in zip(people, made, strict=True)
            ],
        )
        db.execute(
            insert(Binding),
            [
                {"person_id": person, "channel": "web", "address": f"县{n}", "ended_why": "", "at": NOW}
                for n, person in enumerate(people)
            ],
        )


def test_a_week_of_a_hundred_counties(
    sessions: sessionmaker[Session], kb: KnowledgeBase, caplog: pytest.LogCaptureFixture
) -> None:
    chance = random.Random(20)
    with province(sessions, kb) as office:
        populate(office)
        flaky = Flaky(office.dispatcher.channels["web"], chance)
        office.dispatcher.channels = {"web": flaky}
        account = Account(office)
        at = office.composed(
            audience=("2019年度", "就发给这些"), acknowledge=("每县一人签收", "以便确认都已知道时限", "5月15日")
        )
        office.say("officer", f"提交 {at}")
        office.say("approver", "批准 N1")
        account.adds_up()
        office.now += timedelta(minutes=11)
        waiting = list(range(HUNDRED))
        chance.shuffle(waiting)
        for day in range(1, 9):
            drained(office, account)
            for number in [waiting.pop() for _ in range(min(len(waiting) - 6, chance.randint(8, 30)))]:
                door = chance.choice(("收到", "收到 N1", "press", "代签收"))
                if door == "press":
                    office.reply(f"县{number}", "收到 N1", pressed=f"card-{number}")
                elif door == "代签收":
                    office.say("hotline", f"代签收 N1 {place(number)} 样例接听人")
                else:
                    office.say(f"县{number}", door)
            account.adds_up()
            if day in (3, 6):
                office.say("officer", "催办 N1")
                drained(office, account)
            with transaction(sessions) as db, serving(db, SYSTEM):
                calling.collect(db, kb, office.now)
            account.adds_up()
            office.now += timedelta(days=1)
        found = account.adds_up()
        assert found["nudges"] == 2
        assert found["acknowledged"] + found["to_call"] == found["parties"] == HUNDRED
        assert found["to_call"] >= 6
        assert f"待拨电话{found['to_call']}个县" in office.say("hotline", "待拨电话")
        assert len(flaky.pushed) == len(set(flaky.pushed))  # nothing was handed over twice
        assert found["deliveries"].get("unknown", 0) <= 3 - flaky.deaths
        office.say("officer", "撤回通知 N1", "样例撤回")
        account.adds_up()


def drained(office: Province, account: "Account") -> None:
    """Drain the ledger until nothing is due, through every death of the process."""
    for _ in range(6):
        try:
            if not office.send(minutes=2):
                return
        except Killed:
            pass
        account.adds_up()


class Account:
    """The broadcast's account, added up at every look."""

    def __init__(self, office: Province) -> None:
        self.office = office

    def adds_up(self) -> dict[str, int]:
        with transaction(self.office.sessions) as db, serving(db, SYSTEM):
            found = reconciliation.as_json(db, broadcasts.find(db, 1), self.office.now)
        assert sum(found["deliveries"].values()) == found["recipients"] == HUNDRED
        return found
