"""The stages of an item: planned with a date each, and reported one by one.

Source: 商办建函〔2020〕144号 三(一).
"""

from dataclasses import replace
from datetime import date
from typing import Any

from bot.dialogue import Route
from bot.flows import Answers, Flow, Step
from bot.inputs import coming_day, stages
from bot.itemforms import Form, after, flow_of, route_of, words
from bot.items import act, seen, today
from bot.messages import Invalid, Option, Refused, Reply, Turn
from bot.texts import say
from storage import milestones
from storage.models import Milestone


def _read_stages(turn: Turn, text: str) -> list[list[str]]:
    """Stages as [date, text]. Raises Invalid on what is none, or is after the deadline."""
    try:
        found = stages(text, lambda typed: coming_day(typed, today(turn)))
    except ValueError:
        raise Invalid(say("stages.unclear")) from None
    due_on = seen(turn, dict(turn.conversation.answers)["item"][0]).due_on
    if due_on is not None and found[-1][0] > due_on:
        raise Invalid(say("stages.too_late", due=due_on))
    return [[due.isoformat(), what] for due, what in found]


def _plan(turn: Turn, answers: Answers) -> Reply:
    item_id, version = answers["item"]
    item = act(turn, item_id, version, "plan", {"stages": answers["stages"]})
    milestones.plan(turn.db, item, [(date.fromisoformat(due), what) for due, what in answers["stages"]])
    return after(turn, item, "plan")


def _undone(turn: Turn, answers: Answers) -> list[Milestone]:
    return [one for one in milestones.planned(turn.db, answers["item"][0]) if one.done_on is None]


def _stage_options(turn: Turn, answers: Answers) -> tuple[Option, ...]:
    return tuple(
        Option(label=say("stages.stage", due=one.due_on, text=one.text), value=f"阶段{one.id}")
        for one in _undone(turn, answers)
    )


def _read_stage(turn: Turn, text: str) -> dict[str, Any]:  # Any: JSON
    undone = _undone(turn, dict(turn.conversation.answers))
    if not undone:
        raise Refused(say("stages.no_stage"))
    found = next((one for one in undone if text.strip() in (f"阶段{one.id}", one.text)), None)
    if found is None:
        raise Invalid(say("stages.which"))
    return {"id": found.id, "text": found.text}


def _reach(turn: Turn, answers: Answers) -> Reply:
    item_id, version = answers["item"]
    item = act(turn, item_id, version, "report", {"stage": answers["stage"]["text"], "text": answers["text"]})
    milestones.reach(turn.db, item, answers["stage"]["id"], today(turn))
    return after(turn, item, "report")


_PLAN = Form(
    name="安排阶段",
    typed="安排阶段|调整阶段",
    events=("plan",),
    steps=(Step(key="stages", ask=say("stages.ask_stages"), parse=_read_stages),),
)
_REACH = Form(
    name="阶段完成",
    typed="阶段完成|报阶段完成",
    events=("report",),
    steps=(
        Step(key="stage", ask=say("stages.which"), parse=_read_stage, options=_stage_options),
        words("text", say("stages.ask_text"), 3),
    ),
    said=lambda turn, answers: {"stage": answers["stage"]["text"], "text": answers["text"]},
)
FLOWS: tuple[Flow, ...] = (replace(flow_of(_PLAN), done=_plan), replace(flow_of(_REACH), done=_reach))
ROUTES: list[Route] = [
    route_of(_PLAN, "安排阶段", "安排阶段 #12v3"),
    route_of(_REACH, "阶段完成", "3号阶段完成"),
]
