"""待拨电话: the hotline calls counties whose people no channel reaches, and notes how each call ended."""

import re
from contextlib import suppress

from bot.dialogue import Route
from bot.messages import Option, Refused, Reply, Turn
from bot.texts import say
from bot.workdays import LOCAL
from storage import acknowledgements, calls, deliveries, people, scope
from storage.models import Body, CallTask, Person

SHOWN = 10


def _allowed(turn: Turn) -> None:
    if not turn.viewer.may("call"):
        raise Refused(say("calls.hotline_only"))


def listed(turn: Turn) -> Reply:
    """The counties to be called, the most urgent first."""
    _allowed(turn)
    found = calls.waiting(turn.db, turn.now.astimezone(LOCAL).date())
    options = tuple(
        Option(label=say("calls.label", task=task, place=body.name), value=f"拨打 #{task.id}")
        for task, body in found[:SHOWN]
    )
    return Reply(text=say("calls.listed", count=len(found)), options=options, route="calls.listed")


def _found(turn: Turn, number: str) -> tuple[CallTask, str]:
    _allowed(turn)
    task = calls.find(turn.db, int(number))
    if task is None:
        raise Refused(say("calls.not_found", number=number))
    return task, turn.db.get_one(Body, task.body_id).name


def show(turn: Turn) -> Reply:
    """What to say to whom, with their phones: shown for this call, which the audit notes."""
    match = re.fullmatch(_SHOW, turn.text)
    assert match is not None
    task, place = _found(turn, match["number"])
    callees = []
    for number in dict.fromkeys(line["person"] for line in task.lines):
        person = turn.db.get(Person, number)
        if person is not None:
            phone = (
                people.see_phone(turn.db, person, say("calls.reason", number=task.id), turn.now) if person.phone else ""
            )
            texts = [line["text"] for line in task.lines if line["person"] == number]
            callees.append({"name": person.name, "title": person.title, "phone": phone, "lines": texts})
    options = tuple(Option(label=word, value=f"电话结果 #{task.id} {word}") for word in calls.outcomes(task))
    text = say("calls.shown", task=task, place=place, callees=callees)
    return Reply(text=text, options=options, route="calls.shown")


def ended(turn: Turn) -> Reply:
    """How a call ended. 已换人 asks the county's head and the province to hand over."""
    match = re.fullmatch(_ENDED, turn.text)
    assert match is not None
    task, place = _found(turn, match["number"])
    outcome = match["outcome"]
    if outcome not in calls.outcomes(task):
        raise Refused(say("calls.no_broadcast", number=task.id))
    try:
        calls.close(turn.db, task, outcome, turn.now)
        if outcome == calls.ACKNOWLEDGED:
            _acknowledge(turn, task)
    except scope.OutOfScope:
        raise Refused(say("calls.not_found", number=match["number"])) from None
    if outcome == "已换人":
        _ask_to_hand_over(turn, task, place)
    return Reply(text=say("calls.ended", place=place, outcome=outcome), route="calls.ended")


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
                options=(Option(label="邀请", value="邀请"), Option(label="本县人员", value="本县人员")), route="calls.told",
            ).to_json(),
            why=say("calls.why", place=place), now=turn.now,
        )  # fmt: skip


_SHOW = r"拨打\s*#?(?P<number>\d{1,9})"
_ENDED = rf"电话结果\s*#?(?P<number>\d{{1,9}})\s*(?P<outcome>{'|'.join((calls.ACKNOWLEDGED, *calls.OUTCOMES))})"
ROUTES = [
    Route(name="calls.listed", pattern=r"待拨电话", run=listed, member=True, examples=("待拨电话",)),
    Route(name="calls.shown", pattern=_SHOW, run=show, member=True, examples=("拨打 #3",)),
    Route(name="calls.ended", pattern=_ENDED, run=ended, member=True, examples=("电话结果 #3 已告知",)),
]
