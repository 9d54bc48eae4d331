"""What is offered can be done: every option of an item's card, in every state, by everybody who sees it."""

import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy.orm import Session

from bot import items as shared
from bot.app import assistant
from bot.dialogue import Assistant
from bot.messages import Inbound, Reply, Turn
from knowledge.base import KnowledgeBase
from storage import items, milestones, scope
from storage.db import transaction
from storage.models import Item, ItemUnit, Person, Unit
from storage.scope import SYSTEM, serving
from tests.test_rectification import NOW, Office, office

__all__ = ["office"]
ON_SQLITE = pytest.mark.parametrize("url", ["sqlite"], indirect=True)  # where the database does not matter
SAID: dict[str, Any] = {  # every field that any event needs
    "due_on": "2020-06-30", "measure": "逐项核对", "text": "已完成", "declared": True, "reason": "汛期道路中断",
    "new_due_on": "2020-07-15", "lines": {"整体": "不清楚"}, "method": "材料审核", "finding": "属实", "check": "回头看",
    "document": "样例〔2020〕1号", "problem": "又停运", "stages": [["2020-06-01", "选址"]], "files": [1],
    "changed": {"problem": ["旧", "新"]},
}  # fmt: skip
LIFE = (  # who does what: after each step the item is looked at by everybody
    ("approver", "issue"), ("clerk", "acknowledge"), ("clerk", "plan"), ("clerk", "ask_extension"), ("second", "deny_extension"),
    ("clerk", "request"), ("head", "decline"), ("clerk", "request"), ("head", "agree"), ("clerk", "recall"), ("clerk", "submit"),
    ("officer", "claim"), ("officer", "propose"), ("approver", "refuse"), ("officer", "return"), ("clerk", "request"),
    ("head", "agree"), ("approver", "claim"), ("officer", "propose"), ("second", "close"), ("officer", "reopen"),
    ("clerk", "submit"), ("officer", "claim"), ("officer", "propose"), ("approver", "close"), ("second", "confirm"),
)  # fmt: skip
ASIDE = (("issue", "withdraw"), ("issue", "refer"))
ANSWERS = (  # to what a form asks, by a word of its question
    ("完成时限是哪一天", "2020-06-30"), ("哪一天", "7月10日"), ("延到", "7月10日"), ("文号", "样例〔2020〕1号"),
    ("分几步", "5月31日完成选址；6月20日完成装修"), ("缺什么", "照片看不清"),
)  # fmt: skip
FIRST = 1  # the item that is looked at
WORDS = "实地查看两个站点，均正常营业"


def everybody(office: Office) -> None:
    office.person("head", "county_head", 1)
    office.person("leader", "province_leader", division="620000")
    with transaction(office.sessions) as db, serving(db, SYSTEM):
        unit = Unit(body_id=1, name="样例公司")
        db.add(unit)
        db.flush()
        db.get_one(Person, office.ids["contractor"]).unit_id = unit.id
        item = items.find(db, FIRST)
        item.kind = "分阶段"
        db.add(ItemUnit(item_id=item.id, body_id=1, unit_id=unit.id))


@contextmanager
def speaking(db: Session, office: Office, who: str) -> Iterator[scope.Viewer]:
    with serving(db, SYSTEM):
        person = db.get_one(Person, office.ids[who])
    yield scope.enter(db, person, "terminal")
    scope.enter(db, None, "")


def step(db: Session, office: Office, who: str, event: str) -> None:
    """Somebody does an event at once, with its stages."""
    with speaking(db, office, who):
        item = items.find(db, FIRST)
        item = items.apply(db, item.id, item.version, event, SAID | {"holder_id": office.ids[who]}, office.now)
        if event == "plan":
            milestones.plan(db, item, [(NOW.date() + timedelta(days=20), "选址")])


def say(db: Session, made: Assistant, office: Office, who: str, text: str) -> Reply:
    office.now += timedelta(seconds=1)
    reply = made.handle(
        db, Inbound(channel="terminal", message_id=uuid.uuid4().hex, address=who, text=text, at=office.now)
    )
    db.flush()
    db.expunge_all()
    scope.enter(db, None, "")
    return reply


def carried_out(db: Session, made: Assistant, office: Office, who: str, option: str) -> Reply:
    """What comes of an option when its form is filled in to the end."""
    reply = say(db, made, office, who, option)
    for _ in range(9):
        if not reply.route.startswith("flow:") or option.startswith("传材料"):
            return reply
        offered = [one.value for one in reply.options]
        known = next((answer for word, answer in ANSWERS if word in reply.text), WORDS)
        reply = say(
            db, made, office, who, next((one for one in ("确认", "先报进展") if one in offered), (*offered, known)[0])
        )
    raise AssertionError((who, option, reply.text))


@ON_SQLITE
@pytest.mark.timeout(900)  # hundreds of turns: minutes on a busy machine
def test_every_option_of_a_card_leads_to_the_end(office: Office, kb: KnowledgeBase, tmp_path: Path) -> None:
    made, tried = assistant(kb, folder=tmp_path, base_url="https://example.org"), set[tuple[Any, ...]]()
    everybody(office)
    with office.sessions() as db, db.begin():
        for who, event in (("", ""), *LIFE):
            if event:
                step(db, office, who, event)
            with serving(db, SYSTEM):
                item = items.find(db, FIRST)
                place = (item.state, item.waiting, item.asked_due_on)
            for person in ("clerk", "head", "contractor", "officer", "approver", "leader"):
                for option in say(db, made, office, person, f"事项 #{FIRST}").options:
                    if (at := (place, person, option.value.split()[0])) in tried:
                        continue
                    tried.add(at)
                    attempt = db.begin_nested()
                    reply = carried_out(db, made, office, person, option.value)
                    assert reply.route, (event, person, option, reply.text)
                    attempt.rollback()
                    db.expunge_all()
    offered = {word for _, _, word in tried}
    assert len(offered) >= 22, sorted(offered)


@ON_SQLITE
@pytest.mark.timeout(900)  # hundreds of turns: minutes on a busy machine
def test_what_is_possible_is_exactly_what_the_table_lets_happen(office: Office, kb: KnowledgeBase) -> None:
    """Both ways, for every event, person and state: offered means done, not offered means refused."""
    counted = {True: 0, False: 0}
    everybody(office)
    with office.sessions() as db, db.begin():
        for pilot in (False, True):
            for way in (LIFE, *(tuple((("approver", one), ("second", two))) for one, two in ASIDE)):
                journey = db.begin_nested()
                for who, event in (("", ""), *way):
                    if event:
                        step(db, office, who, event)
                    for person in ("clerk", "head", "officer", "approver"):
                        with speaking(db, office, person) as viewer:
                            item = items.find(db, FIRST)
                            possible = shared.possible(turn_of(db, kb, viewer, office, person, pilot=pilot), [item])[
                                item.id
                            ]
                            held = {grant.role for grant in viewer.grants}
                            for one, rule in items.TRANSITIONS.items():
                                if held.isdisjoint(rule.roles):
                                    assert one not in possible
                                    continue
                                done = happens(db, item, one, office, person, pilot=pilot)
                                assert done == (one in possible), (event, person, one, pilot)
                                counted[done] += 1
                journey.rollback()
                db.expunge_all()
    assert min(counted.values()) > 100


def turn_of(db: Session, kb: KnowledgeBase, viewer: scope.Viewer, office: Office, who: str, *, pilot: bool) -> Turn:
    inbound = Inbound(channel="terminal", message_id="x", address=who, text="", at=office.now)
    nothing: Any = None  # nothing is said here
    return Turn(
        inbound=inbound, text="", user=nothing, conversation=nothing, db=db, kb=kb, now=office.now, viewer=viewer,
        given={"pilot_mode": pilot},
    )  # fmt: skip


def happens(db: Session, item: Item, event: str, office: Office, who: str, *, pilot: bool) -> bool:
    said = SAID | {"holder_id": office.ids[who]}
    attempt = db.begin_nested()
    try:
        items.apply(db, item.id, item.version, event, said, office.now, pilot=pilot)
    except (items.Overtaken, items.SamePerson, scope.OutOfScope):
        return False
    finally:
        attempt.rollback()
        db.expire_all()
    return True
