"""待拨电话: the hotline calls counties whose people no channel reaches, and notes how each call ended."""

import re
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass

from sqlalchemy.orm import Session

from bot.dialogue import Route
from bot.messages import Option, Refused, Reply, Turn
from bot.texts import say
from bot.workdays import LOCAL
from storage import acknowledgements, calls, deliveries, people, scope
from storage.models import Body, CallTask, Delivery, Person

SHOWN = 10


def _allowed(turn: Turn) -> None:
    if not turn.viewer.may("call"):
        raise Refused(say("calls.hotline_only"))


def listed(turn: Turn) -> Reply:
    """The counties to be called, the most urgent first."""
    _allowed(turn)
    waiting = calls.waiting(turn.db, turn.now.astimezone(LOCAL).date())
    options = tuple(
        Option(label=say("calls.label", task=task, place=body.name), value=f"拨打 #{task.id}")
        for task, body in waiting[:SHOWN]
    )
    return Reply(text=say("calls.listed", count=len(waiting)), options=options, route="calls.listed")


@dataclass(frozen=True, kw_only=True)
class Callee:
    """Whom to ask for, at which number (empty where none is registered), and what to tell them."""

    name: str
    title: str
    phone: str
    lines: Sequence[str]


def found(turn: Turn, number: str) -> tuple[CallTask, str]:
    """A call and the county to be called. Raises Refused."""
    _allowed(turn)
    task = calls.find(turn.db, int(number))
    if task is None:
        raise Refused(say("calls.not_found", number=number))
    return task, turn.db.get_one(Body, task.body_id).name


def callees(turn: Turn, task: CallTask) -> list[Callee]:
    """What to say to whom, with their phones: shown for this call, which the audit notes."""
    listed = []
    for number in dict.fromkeys(line["person"] for line in task.lines):
        person = turn.db.get(Person, number)
        if person is not None:
            reason = say("calls.reason", number=task.id)
            phone = people.see_phone(turn.db, person, reason, turn.now) if person.phone else ""
            lines = [line["text"] for line in task.lines if line["person"] == number]
            listed.append(Callee(name=person.name, title=person.title, phone=phone, lines=lines))
    return listed


def show(turn: Turn) -> Reply:
    """拨打 #3."""
    match = re.fullmatch(_SHOW, turn.text)
    assert match is not None
    task, place = found(turn, match["number"])
    options = tuple(Option(label=word, value=f"电话结果 #{task.id} {word}") for word in calls.outcomes(task))
    text = say("calls.shown", task=task, place=place, callees=callees(turn, task))
    return Reply(text=text, options=options, route="calls.shown")


def ended(turn: Turn) -> Reply:
    """How a call ended. 已换人 asks the county's head and the province to hand over."""
    match = re.fullmatch(_ENDED, turn.text)
    assert match is not None
    task, place = found(turn, match["number"])
    outcome = match["outcome"]
    if outcome not in calls.outcomes(task):
        raise Refused(say("calls.no_broadcast", number=task.id))
    try:
        calls.close(turn.db, task, outcome, turn.now)
        if outcome == calls.ACKNOWLEDGED:
            _acknowledge(turn, task)
    except scope.OutOfScope:
        raise Refused(say("calls.not_found", number=match["number"])) from None
    options: tuple[Option, ...] = ()
    if outcome == "已换人":
        _ask_to_hand_over(turn, task, place)
        options = (Option(label="登记接任人员", value=f"接任 #{task.id}"),)
    return Reply(text=say("calls.ended", place=place, outcome=outcome), options=options, route="calls.ended")


def _acknowledge(turn: Turn, task: CallTask) -> None:
    """Note for the county what its person said on the phone; what was acknowledged or corrected meanwhile stays."""
    for number in calls.broadcasts_of(task):
        first = next(line["person"] for line in task.lines if line.get("broadcast") == number)
        with scope.serving(turn.db, scope.SYSTEM):
            name = turn.db.get_one(Person, first).name
        with suppress(acknowledgements.NotAsked, acknowledgements.Corrected):
            acknowledgements.on_behalf(turn.db, number, task.body_id, name, turn.now)


def _ask_to_hand_over(turn: Turn, task: CallTask, place: str) -> None:
    gone = {line["person"] for line in task.lines}
    with scope.serving(turn.db, scope.SYSTEM):
        names = [turn.db.get_one(Person, number).name for number in sorted(gone)]
        heads = [one.id for one in people.holding(turn.db, "county_head", task.body_id)]
    told = [one for one in (*heads, *people.over(turn.db, "province_officer", task.body_id)) if one not in gone]
    for person_id in told:
        deliveries.put(
            turn.db, source=f"call:{task.id}", recipient=deliveries.person(person_id), lane="confirmation",
            reply=Reply(
                text=say("calls.hand_over", place=place, names=names),
                options=(Option(label="邀请接任人员", value=f"接任 #{task.id}"), Option(label="本县人员", value="本县人员")), route="calls.told",
            ).to_json(),
            why=say("calls.why", place=place), now=turn.now,
        )  # fmt: skip


def settled(db: Session, delivery: Delivery) -> str | None:
    """Why a message about somebody who is gone must not go out any more: noted otherwise since, succeeded, or left."""
    number, person_id = (int(one.partition(":")[2]) for one in (delivery.source, delivery.recipient))
    with scope.serving(db, scope.SYSTEM):
        task = db.get(CallTask, number)
        if task is None or task.outcome != "已换人":
            return "noted otherwise"
        held = {
            one.role for line in task.lines for one in people.roles(db, line["person"]) if one.body_id == task.body_id
        }
        if held.isdisjoint(scope.COUNTY):
            return "succeeded"
        return None if scope.reaches(db, scope.standing(db, person_id), "invite", task.body_id) else "left"


_SHOW = r"拨打\s*#?(?P<number>\d{1,9})"
_ENDED = rf"电话结果\s*#?(?P<number>\d{{1,9}})\s*(?P<outcome>{'|'.join((calls.ACKNOWLEDGED, *calls.OUTCOMES))})"
ROUTES = [
    Route(name="calls.listed", pattern=r"待拨电话", run=listed, member=True, examples=("待拨电话",)),
    Route(name="calls.shown", pattern=_SHOW, run=show, member=True, examples=("拨打 #3",)),
    Route(name="calls.ended", pattern=_ENDED, run=ended, member=True, examples=("电话结果 #3 已告知",)),
]
