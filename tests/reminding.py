"""A small province with a driven clock: what is planned, queued and handed over as the days go by."""

import uuid
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta

import pytest
from sqlalchemy import select, update
from sqlalchemy.orm import Session, sessionmaker

from bot import calling, digests, planner
from bot.app import assistant, guarding
from bot.delivery import Dispatcher
from bot.messages import Inbound, Reply
from bot.turns import TurnThread
from bot.workdays import LOCAL, QUIET_HOURS, read_hours
from knowledge.base import KnowledgeBase
from storage import bindings, bodies, items, people
from storage.db import transaction
from storage.models import Delivery, Item, Occurrence
from storage.scope import SYSTEM, Viewer, grants, serving
from tests.test_delivery import Platform

TICKS = ("08:00", "09:45", "15:10", "20:00")


def local(text: str) -> datetime:
    """2020-04-24 10:00 in China."""
    return datetime.fromisoformat(text).replace(tzinfo=LOCAL)


@dataclass(kw_only=True)
class Province:
    """People, their items and a platform on which each is called by their name."""

    sessions: sessionmaker[Session]
    kb: KnowledgeBase
    now: datetime = local("2020-05-06 08:00")
    year: int = 2018  # of the counties: the notices state no date for it
    wecom: Platform = field(default_factory=lambda: Platform(name="wecom"))
    people: dict[str, int] = field(default_factory=dict)
    sent: list[tuple[datetime, str, str]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.desk = digests.Desk(kb=self.kb, hours=read_hours(QUIET_HOURS))
        guards = guarding(self.desk, lambda: self.now)
        self.turns = TurnThread(assistant(self.kb, guards=guards), self.sessions)
        self.dispatcher = Dispatcher(
            channels={"wecom": self.wecom}, sessions=self.sessions, clock=lambda: self.now, guards=guards, workers=1
        )

    def person(self, name: str, role: str, place: str, *, reachable: bool = True) -> int:
        with transaction(self.sessions) as db, serving(db, SYSTEM):
            county = not place.endswith("0000")
            body_id = (
                bodies.find_or_add(db, name=f"县{place}", division_code=place, years=[self.year])[0].id
                if county
                else None
            )
            bodies.division(db, place, f"县{place}")
            made, _ = people.find_or_add(db, name=name, body_id=body_id, now=self.now)
            people.give_role(
                db, made, role, body_id=body_id, division_code=None if county else place, now=self.now
            )  # fmt: skip
            if reachable:
                bindings.bind(db, made, "wecom", name, self.now)
            self.people[name] = made.id
            return made.id

    def item(self, place: str, number: str, due_on: str) -> int:
        """An item that the county works on."""
        with transaction(self.sessions) as db, serving(db, SYSTEM):
            [body] = bodies.named(db, place)
            made = items.add(
                db, body, self.now, batch_year=self.year, number=number, source="绩效评价", category="站点", problem="站点停运",
                kind="立行立改", due_on=date.fromisoformat(due_on),
            )  # fmt: skip
            made = items.apply(db, made.id, made.version, "issue", {"due_on": due_on}, self.now)
            return items.apply(db, made.id, made.version, "acknowledge", {"measure": "限期恢复营业"}, self.now).id

    def items(self, place: str, count: int, due_on: str) -> None:
        """So many items of a county, written down as they stand once it works on them."""
        with transaction(self.sessions) as db, serving(db, SYSTEM):
            [body] = bodies.named(db, place)
            db.add_all(
                Item(
                    body_id=body.id, batch_year=self.year, number=str(number), source="绩效评价", category="站点",
                    problem="站点停运", kind="立行立改", due_on=date.fromisoformat(due_on), state="rectifying",
                    issued_at=self.now, changed_at=self.now, at=self.now,
                )
                for number in range(count)
            )  # fmt: skip

    def accept(self) -> None:
        """The platform takes everything that is queued."""
        with transaction(self.sessions) as db:
            db.execute(
                update(Delivery).values(state="accepted", accepted_at=self.now).where(Delivery.state == "queued")
            )

    def event(self, who: str, item_id: int, event: str, **said: object) -> None:
        with transaction(self.sessions) as db, serving(db, SYSTEM):
            viewer = Viewer(person_id=self.people[who], grants=grants(db, self.people[who]), channel="test")
        with transaction(self.sessions) as db, serving(db, viewer):
            items.apply(db, item_id, items.find(db, item_id).version, event, said, self.now)

    def reply(self, who: str, text: str) -> Reply:
        """Say something on the platform and get the reply."""
        inbound = Inbound(channel="wecom", message_id=uuid.uuid4().hex, address=who, text=text, at=self.now)
        return self.turns.submit(inbound).result(timeout=60)

    def say(self, who: str, *texts: str) -> str:
        return [self.reply(who, text).text for text in texts][-1]

    def plan(self) -> Counter[str]:
        with transaction(self.sessions) as db, serving(db, SYSTEM):
            return planner.plan(db, self.kb, self.now)

    def tick(self, *, deliver: bool = True) -> Counter[str]:
        """What the jobs do every five minutes."""
        with transaction(self.sessions) as db, serving(db, SYSTEM):
            done = planner.plan(db, self.kb, self.now)
            done += digests.run(db, self.desk, self.now)
            done += calling.collect(db, self.kb, self.now)
        if deliver:
            before = len(self.wecom.got)
            done += self.dispatcher.drain()
            self.sent += [(self.now, who, text) for who, text, _ in self.wecom.got[before:]]
        return done

    def until(self, text: str) -> None:
        """Let time pass: a tick when a day begins, when digests have gone out, before noon, and so on."""
        end = local(text)
        while self.now < end:
            today = self.now.astimezone(LOCAL).date()
            later = [local(f"{today} {at}") for at in TICKS if local(f"{today} {at}") > self.now]
            self.now = min(later[0] if later else local(f"{today + timedelta(days=1)} {TICKS[0]}"), end)
            self.tick()

    def days(self, who: str, about: str = "") -> list[str]:
        """When somebody was written to."""
        return [f"{at.astimezone(LOCAL):%m-%d}" for at, whom, text in self.sent if whom == who and about in text]

    def last(self, who: str) -> str:
        return [text for _, whom, text in self.sent if whom == who][-1]

    def states(self) -> dict[str, str]:
        """Every occurrence's state, by the end of its key."""
        with transaction(self.sessions) as db:
            return {one.key: one.state for one in db.scalars(select(Occurrence).order_by(Occurrence.planned_on))}

    def deliveries(self) -> list[Delivery]:
        with transaction(self.sessions) as db:
            return list(db.scalars(select(Delivery).order_by(Delivery.id)))


@pytest.fixture
def province(sessions: sessionmaker[Session], kb: KnowledgeBase) -> Iterator[Province]:
    made = Province(sessions=sessions, kb=kb)
    yield made
    made.turns.stop()
