"""The life of rectification items: who may do what, in which state, and what is left behind."""

import random
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy.orm import Session, sessionmaker

from storage import flags, items, scope
from storage.db import make_engine, make_sessions, transaction
from storage.models import Base, Body, Division, Item, Person, Role
from storage.scope import SYSTEM, OutOfScope, serving

NOW = datetime(2020, 4, 24, 2, tzinfo=UTC)
PEOPLE = {
    "clerk": ("county_officer", True),
    "head": ("county_head", True),
    "reviewer": ("province_officer", False),
    "approver": ("province_approver", False),
    "second": ("province_approver", False),
    "leader": ("province_leader", False),
    "city": ("city", False),
    "hotline": ("hotline", False),
}
SAID: dict[str, dict[str, Any]] = {
    "amend": {"changed": {"problem": ["两个站点停运", "三个站点停运"]}},
    "issue": {"due_on": "2020-06-30"},
    "plan": {"stages": [["2020-05-31", "完成选址"]]},
    "recur": {"problem": "一个站点又停运"},
    "acknowledge": {"measure": "逐站点核对运营情况，停运站点限期恢复。"},
    "report": {"text": "已完成三分之二", "progress": 66},
    "attach": {"files": [1]},
    "detach": {"files": [1]},
    "request": {"declared": True},
    "submit": {"declared": True},
    "decline": {"reason": "材料不全"},
    "return": {"lines": {"照片": "看不清"}},
    "propose": {"method": "材料审核", "finding": "属实"},
    "refuse": {"reason": "未看现场"},
    "confirm": {"check": "回头看", "method": "现场考察", "finding": "正常运营"},
    "reopen": {"check": "回头看", "method": "现场考察", "finding": "已停运", "due_on": "2020-07-30"},
    "ask_extension": {"new_due_on": "2020-07-15", "reason": "汛期道路中断"},
    "deny_extension": {"reason": "时限由通知规定"},
    "withdraw": {"reason": "重复"},
    "refer": {"document": "样例〔2020〕1号", "reason": "拒不整改"},
}


@dataclass
class Desk:
    """A county's item and the people around it."""

    sessions: sessionmaker[Session]
    people: dict[str, int]
    item_id: int
    undo: bool = False

    @contextmanager
    def trying(self) -> Iterator[None]:
        """What is done inside is rolled back."""
        self.undo = True
        try:
            yield
        finally:
            self.undo = False

    def do(self, who: str, event: str, *, version: int | None = None, pilot: bool = False, **said: Any) -> Item:
        with transaction(self.sessions) as db:
            with serving(db, SYSTEM):
                person = db.get_one(Person, self.people[who])
                seen = version or items.find(db, self.item_id).version
            scope.enter(db, person, "terminal")
            values = {**SAID.get(event, {}), **said}
            if event == "claim":
                values["holder_id"] = person.id
            item = items.apply(db, self.item_id, seen, event, values, NOW, pilot=pilot)
            if self.undo:
                db.expunge_all()
                db.rollback()
            return item

    def item(self) -> Item:
        with transaction(self.sessions) as db, serving(db, SYSTEM):
            return items.find(db, self.item_id)

    def until(self, state: str) -> None:
        """Walk the straight way to a state."""
        for who, event in STRAIGHT:
            if self.item().state == state:
                return
            self.do(who, event)
        assert self.item().state == state


STRAIGHT = [
    ("approver", "issue"),
    ("clerk", "acknowledge"),
    ("clerk", "request"),
    ("head", "agree"),
    ("reviewer", "claim"),
    ("reviewer", "propose"),
    ("approver", "close"),
    ("reviewer", "confirm"),
]


def made(sessions: sessionmaker[Session]) -> Desk:
    with transaction(sessions) as db, serving(db, SYSTEM):
        for code, name in (("620000", "甘肃省"), ("620500", "天水市"), ("620522", "秦安县"), ("530000", "云南省")):
            db.merge(Division(code=code, name=name))
        db.flush()
        body = Body(name="秦安县", division_code="620522")
        db.add(body)
        db.flush()
        people = {}
        for name, (role, of_body) in PEOPLE.items():
            person = Person(name=f"样例{name}", at=NOW)
            db.add(person)
            db.flush()
            code = None if of_body else "620500" if role == "city" else "620000"
            db.add(
                Role(person_id=person.id, role=role, body_id=body.id if of_body else None, division_code=code, at=NOW)
            )
            people[name] = person.id
        item = items.add(
            db,
            body,
            NOW,
            batch_year=2016,
            number="1",
            source="绩效评价",
            category="站点",
            problem="站点停运",
            kind="立行立改",
        )
        return Desk(sessions, people, item.id)


@pytest.fixture
def desk(sessions: sessionmaker[Session]) -> Desk:
    return made(sessions)


def test_an_item_goes_from_the_list_to_a_passed_follow_up_check(desk: Desk) -> None:
    desk.until("confirmed")
    with transaction(desk.sessions) as db, serving(db, SYSTEM):
        events = items.trail(db, desk.item_id)
    assert [event.event for event in events] == ["draft", *(event for _, event in STRAIGHT)]
    assert [event.version for event in events] == list(range(1, len(STRAIGHT) + 2))
    assert [event.after for event in events][-3:] == ["verifying", "closed", "confirmed"]
    assert desk.item().first_due_on == date(2020, 6, 30)


def test_a_failed_check_reopens_it_and_the_first_deadline_stays(desk: Desk) -> None:
    desk.until("closed")
    item = desk.do("reviewer", "reopen")
    assert (item.state, item.round, item.due_on, item.first_due_on) == (
        "reopened",
        2,
        date(2020, 7, 30),
        date(2020, 6, 30),
    )
    for who, event in STRAIGHT[2:]:
        desk.do(who, event)
    assert desk.item().state == "confirmed"


def test_who_proposed_the_closing_cannot_sign_it_even_in_pilot_mode(desk: Desk) -> None:
    desk.until("submitted")
    desk.do("approver", "claim")
    desk.do("approver", "propose")
    for pilot in (False, True):
        with pytest.raises(items.SamePerson):
            desk.do("approver", "close", pilot=pilot)
    assert desk.do("second", "close").state == "closed"


def test_nothing_is_closed_before_the_reviewer_has_proposed_it(desk: Desk) -> None:
    desk.until("verifying")
    with pytest.raises(items.Overtaken):
        desk.do("second", "close")


def test_an_extension_moves_the_current_deadline_only(desk: Desk) -> None:
    desk.until("rectifying")
    desk.do("head", "ask_extension")
    assert desk.item().due_on == date(2020, 6, 30)
    item = desk.do("reviewer", "grant_extension")
    assert (item.due_on, item.first_due_on, item.extensions, item.asked_due_on) == (
        date(2020, 7, 15),
        date(2020, 6, 30),
        1,
        None,
    )
    late = date(2020, 7, 10)
    assert flags.overdue_days(item, late) == 0
    assert flags.overdue_days(item, late, original=True) == 10


def test_of_two_people_at_once_one_is_told_what_the_other_did(desk: Desk) -> None:
    desk.until("rectifying")
    seen = desk.item().version
    desk.do("head", "report", version=seen)
    with pytest.raises(items.Overtaken) as told:
        desk.do("clerk", "report", version=seen)
    assert (told.value.version, told.value.event) == (seen + 1, "report")
    assert told.value.person_id == desk.people["head"]


def test_eight_writers_lose_nothing(desk: Desk) -> None:
    desk.until("rectifying")
    start = desk.item().version
    ready = threading.Barrier(8)
    done: list[int] = []

    def write(number: int) -> None:
        ready.wait()
        for turn in range(5):
            while True:
                try:
                    item = desk.do("clerk", "report", text=f"第{number}人第{turn}次")
                except items.Overtaken:
                    continue
                done.append(item.version)
                break

    threads = [threading.Thread(target=write, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(done) == list(range(start + 1, start + 41))
    with transaction(desk.sessions) as db, serving(db, SYSTEM):
        said = {event.said["text"] for event in items.trail(db, desk.item_id) if event.event == "report"}
    assert len(said) == 40


@pytest.mark.parametrize("state", ["draft", "issued", "rectifying", "submitted", "verifying", "closed", "confirmed"])
def test_only_the_roles_of_the_table_may_act_and_only_in_its_states(desk: Desk, state: str) -> None:
    desk.until(state)
    allowed = set()
    for who in PEOPLE:
        for event, rule in items.TRANSITIONS.items():
            try:
                with desk.trying():
                    after = desk.do(who, event)
            except (OutOfScope, items.Overtaken, items.SamePerson):
                continue
            assert PEOPLE[who][0] in rule.roles
            assert state in rule.before
            assert after.state == (rule.after or state)
            allowed.add((who, event))
    assert {event for _, event in allowed} == {"recur"} if state == "confirmed" else allowed


@pytest.mark.parametrize("event", [event for event, rule in items.TRANSITIONS.items() if rule.needs])
def test_a_missing_field_is_named_and_nothing_changes(desk: Desk, event: str) -> None:
    rule = items.TRANSITIONS[event]
    desk.until(
        next(
            state
            for state in ("draft", "issued", "rectifying", "verifying", "closed", "confirmed")
            if state in rule.before
        )
    )
    if event == "deny_extension":
        desk.do("clerk", "ask_extension")
    for who, asked in (("clerk", "request"), ("reviewer", "propose")):
        if rule.waiting and asked == {"head": "request", "approver": "propose"}[rule.waiting]:
            desk.do(who, asked)
    who = next(name for name, (role, _) in PEOPLE.items() if role in rule.roles)
    version = desk.item().version
    with pytest.raises(items.Incomplete) as told:
        desk.do(who, event, **dict.fromkeys(rule.needs, ""))
    assert told.value.fields == rule.needs
    assert desk.item().version == version


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 10**6))
def test_no_path_skips_a_role_and_the_trail_tells_the_state(seed: int) -> None:
    chance = random.Random(seed)
    engine = make_engine("sqlite://")
    Base.metadata.create_all(engine)
    desk = made(make_sessions(engine, b"k" * 32))
    for _ in range(25):
        who, event = chance.choice(sorted(PEOPLE)), chance.choice(sorted(items.TRANSITIONS))
        try:
            desk.do(who, event)
        except (OutOfScope, items.Overtaken, items.SamePerson):
            continue
    item = desk.item()
    with transaction(desk.sessions) as db, serving(db, SYSTEM):
        events = items.trail(db, desk.item_id)
    assert events[-1].after == item.state
    assert events[-1].version == item.version == len(events)
    for before, after in zip(events, events[1:], strict=False):
        assert after.before == before.after
        assert after.before in items.TRANSITIONS[after.event].before
        assert after.role in items.TRANSITIONS[after.event].roles
    for at, event in enumerate(events):
        if event.event == "close":
            proposed = next(one for one in reversed(events[:at]) if one.event == "propose")
            assert proposed.person_id != event.person_id
    engine.dispose()


def test_a_county_of_another_province_does_not_exist(desk: Desk) -> None:
    with transaction(desk.sessions) as db:
        with serving(db, SYSTEM):
            stranger = Person(name="样例", at=NOW)
            db.add(stranger)
            db.flush()
            db.add(Role(person_id=stranger.id, role="province_approver", division_code="530000", at=NOW))
        scope.enter(db, stranger, "terminal")
        with pytest.raises(items.NotFound):
            items.apply(db, desk.item_id, 1, "issue", SAID["issue"], NOW)


def test_flags_are_computed_from_dates(desk: Desk) -> None:
    desk.until("rectifying")
    item = desk.item()
    assert flags.overdue_days(item, date(2020, 6, 30)) == 0
    assert flags.overdue_days(item, date(2020, 7, 1)) == 1
    assert not flags.stale(item, NOW + timedelta(days=14))
    assert flags.stale(item, NOW + timedelta(days=15))
