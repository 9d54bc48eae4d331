"""Forms for the events of rectification items: which item, what is said of it, and a last look; steps that several have."""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from bot.dialogue import Route
from bot.flows import Answers, Flow, Step
from bot.inputs import asks, coming_day
from bot.items import REF, SHOWN, act, checklist, eligible, may, named, offered, place_of, seen, today, why_not
from bot.messages import Invalid, Option, Refused, Reply, Turn
from bot.texts import say
from storage import items
from storage.models import Item


@dataclass(frozen=True, kw_only=True)
class Form:
    """A form for one event of an item, or for one of several that the answers choose among.

    `typed` is what begins it, before or after the item; `said` makes the event's fields of the answers.
    """

    name: str
    typed: str
    events: tuple[str, ...]
    steps: tuple[Step, ...] = ()
    chosen: Callable[[Answers], str] | None = None
    said: Callable[[Turn, Answers], dict[str, Any]] = lambda turn, answers: fields(answers)
    sure: bool = True  # asks once more before it is done

    def event(self, answers: Answers) -> str:
        return self.chosen(answers) if self.chosen else self.events[0]


def fields(answers: Answers) -> dict[str, Any]:  # Any: JSON
    """The answers without those that every form has."""
    return {key: value for key, value in answers.items() if key not in ("item", "sure")}


def flow_of(form: Form) -> Flow:
    """The flow of a form: which item, its own steps, and the last look."""
    return Flow(
        name=form.name,
        title=form.name,
        steps=(_which(form), *form.steps, *((_sure(form),) if form.sure else ())),
        start=lambda turn: _start(turn, form),
        done=lambda turn, answers: _done(turn, form, answers),
    )


def route_of(form: Form, *examples: str) -> Route:
    """The route that begins a form."""
    pattern = rf"(?:(?P<before>{REF})\s*)?(?:{form.typed})(?:\s*(?P<after>{REF}))?"
    return Route(name=form.name, pattern=pattern, flow=True, member=True, examples=examples)


def _start(turn: Turn, form: Form) -> Answers:
    match = re.fullmatch(rf"(?:({REF})\s*)?(?:{form.typed})(?:\s*({REF}))?", turn.text)
    typed = (match[1] or match[2]) if match else None
    if typed:
        item, version = named(turn, typed)
        if not may(turn, item, form.events) and item.version == version:
            raise Refused(why_not(turn, item, form.events))
        return {"item": [item.id, version]}
    allowed = eligible(turn, form.events)
    if not allowed:
        raise Refused(say("items.none_for", what=form.name))
    return {"item": [allowed[0].id, allowed[0].version]} if len(allowed) == 1 else {}


def _which(form: Form) -> Step:
    def options(turn: Turn, _answers: Answers) -> tuple[Option, ...]:
        return offered(turn, eligible(turn, form.events)[:SHOWN])

    def parse(turn: Turn, text: str) -> list[int]:
        if re.fullmatch(REF, text) is None:
            raise Invalid(say("items.which"))
        item, version = named(turn, text, eligible(turn, form.events))
        if not may(turn, item, form.events):
            raise Refused(why_not(turn, item, form.events))
        return [item.id, version]

    return Step(key="item", ask=say("items.which"), parse=parse, options=options)


def _sure(form: Form) -> Step:
    def ask(turn: Turn, answers: Answers) -> str:
        item = seen(turn, answers["item"][0])
        return say(
            "items.sure",
            what=form.name,
            item=item,
            place=place_of(turn, item),
            said=form.said(turn, answers),
            event=form.event(answers),
            names={line.id: line.text for line in checklist(turn, item)},
        )

    options = (Option(label="确认", value="确认"), Option(label="取消", value="取消"))
    return Step(key="sure", ask=ask, parse=sure, options=options)


def sure(_turn: Turn, text: str) -> bool:
    """A confirmation. Raises Invalid on anything else."""
    if text.strip("。！! ") not in ("确认", "是", "对", "好", "确认无误", "同意"):
        raise Invalid(say("items.confirm_or_back"))
    return True


def _done(turn: Turn, form: Form, answers: Answers) -> Reply:
    item_id, version = answers["item"]
    event = form.event(answers)
    item = act(turn, item_id, version, event, form.said(turn, answers))
    return after(turn, item, event)


def after(turn: Turn, item: Item, event: str) -> Reply:
    """What was done and what the item is now."""
    text = say("items.done", item=item, event=event, place=place_of(turn, item), state=items.STATES[item.state])  # type: ignore[index]  # the column holds states only
    return Reply(
        text=text, options=(Option(label="看这一项", value=f"事项 #{item.id}"),), kind="flow", route="item.done"
    )


# --- steps that several forms have -----------------------------------------------------------------------------------


def words(key: str, ask: str | Callable[[Turn, Answers], str], least: int = 2, **more: Any) -> Step:
    """A step that takes a sentence of at least so many characters; a question is none."""

    def parse(_turn: Turn, text: str) -> str:
        if len(text.strip()) < least or asks(text):
            raise Invalid(say("items.too_short", least=least))
        return text.strip()[:500]

    return Step(key=key, ask=ask, parse=parse, prose=True, **more)


def choice(key: str, ask: str, among: Sequence[str]) -> Step:
    """A step that takes one of some words."""

    def parse(_turn: Turn, text: str) -> str:
        if text.strip() not in among:
            raise Invalid(say("items.choose", among=among))
        return text.strip()

    return Step(key=key, ask=ask, parse=parse, options=tuple(Option(label=one, value=one) for one in among))


def due(key: str, ask: str, when: Callable[[Answers], bool] = lambda answers: True) -> Step:
    """A step that takes a day from tomorrow on."""

    def parse(turn: Turn, text: str) -> str:
        try:
            return coming_day(text, today(turn)).isoformat()
        except ValueError:
            raise Invalid(say("items.day_unclear")) from None

    return Step(key=key, ask=ask, parse=parse, when=when)
