"""Rectification items in chat: naming them, showing them, forms for their events, and who is told of what."""

import re
from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import date
from typing import Any

from sqlalchemy.orm import Session

from bot.messages import Option, Refused, Reply, Turn
from bot.texts import say
from bot.workdays import LOCAL
from knowledge.checklists import Line
from storage import bodies, deliveries, evidence, flags, items, milestones, people, scope
from storage.items import Standing
from storage.models import Body, Delivery, Item, Person

SHOWN = 20  # items in one list
CARD_LIMIT = 600  # characters
REF = r"(?:#\s*\d{1,9}(?:v\d{1,6})?|(?:第|编号)?\s*[0-9A-Za-z][0-9A-Za-z\-]{0,30}\s*(?:号|项|条)?(?:事项)?)"
_ID = re.compile(r"#\s*(\d{1,9})(?:v(\d{1,6}))?")
_NUMBER = re.compile(r"(?:第|编号)?\s*([0-9A-Za-z][0-9A-Za-z\-]{0,30})\s*(?:号|项|条)?(?:事项)?")


def today(turn: Turn) -> date:
    """The local date of a turn."""
    return turn.now.astimezone(LOCAL).date()


# --- naming --------------------------------------------------------------------------------------------------------


def ref(item: Item) -> str:
    """How an option names an item as it was shown: with its version, so that a late tap is noticed."""
    return f"#{item.id}v{item.version}"


def named(turn: Turn, typed: str, among: Sequence[Item | Standing] | None = None) -> tuple[Item, int]:
    """The item that was typed or tapped, and the version that was seen.

    A bare number is the place in the list just shown, else the item's own number, else the place in one's list.
    Raises Refused when it names none.
    """
    if match := _ID.fullmatch(typed.strip()):
        item = seen(turn, int(match[1]))
        return item, int(match[2] or item.version)
    match = _NUMBER.fullmatch(typed.strip())
    found = _numbered(turn, match[1], items.working(turn.db) if among is None else among) if match else None
    if found is None:
        raise Refused(say("items.not_found", named=typed.strip()))
    return found, found.version


def _numbered(turn: Turn, number: str, listed: Sequence[Item | Standing]) -> Item | None:
    shown = [_ID.search(option["value"]) for option in turn.conversation.options]
    place = int(number) if number.isdigit() else 0
    if _is_list(turn) and all(shown) and 0 < place <= len(shown):
        one = shown[place - 1]
        return seen(turn, int(one[1])) if one else None
    own = [item for item in listed if item.number == number]
    if not own and 0 < place <= len(listed):
        own = [listed[place - 1]]
    return items.loaded(turn.db, own)[0] if len(own) == 1 else None


def _is_list(turn: Turn) -> bool:
    """Whether what was shown last are items to choose among; what can be done with one of them is no list of items."""
    shown = turn.conversation.options
    several = len({match[1] for one in shown if (match := _ID.search(one["value"]))}) > 1
    return several or bool(shown) and all("[" in one["label"] for one in shown)


def seen(turn: Turn, item_id: int) -> Item:
    """An item of one's own. Raises Refused as if there were none when it is somebody else's."""
    try:
        return items.seen(turn.db, item_id)
    except items.NotFound:
        raise Refused(say("items.not_found", named=f"#{item_id}")) from None


# --- showing -------------------------------------------------------------------------------------------------------


def name_of(turn: Turn, person_id: int | None) -> str:
    """A person's name, whoever asks."""
    with scope.serving(turn.db, scope.SYSTEM):
        person = turn.db.get(Person, person_id) if person_id else None
        return person.name if person else say("items.the_system")


def place_of(turn: Turn, item: Item) -> str:
    """The name of an item's body."""
    with scope.serving(turn.db, scope.SYSTEM):
        return turn.db.get_one(Body, item.body_id).name


def brief(turn: Turn, item: Item) -> str:
    """One line: number, problem, state, and how urgent it is."""
    return briefs(turn, [item])[0]


def briefs(turn: Turn, found: Sequence[Item]) -> list[str]:
    """A line each, with the place where the viewer serves several; the names of all places are asked at once."""
    grants = turn.viewer.grants
    mine = {grant.body_id for grant in grants if grant.role == "county_head"}
    several = len({grant.body_id for grant in grants} - {None}) != 1
    places = bodies.names(turn.db, {item.body_id for item in found}) if several else {}
    return [
        say(
            "items.brief",
            item=item,
            place=places.get(item.body_id, ""),
            state=items.STATES[item.state],  # type: ignore[index]  # the column holds states only
            overdue=flags.overdue_days(item, today(turn)),
            left=(item.due_on - today(turn)).days if item.due_on and item.state in items.OPEN else None,
            head=item.waiting == "head" and item.body_id in mine,
        )
        for item in found
    ]


def offered(turn: Turn, found: Sequence[Item | Standing], said: Callable[[Item], str] = ref) -> tuple[Option, ...]:
    """A choice for each item, its line on it; `said` is what choosing it says."""
    found = items.loaded(turn.db, found)
    return tuple(Option(label=line, value=said(item)) for item, line in zip(found, briefs(turn, found), strict=True))


def opening(item: Item | Standing) -> str:
    """What opens an item's card."""
    return f"事项 #{item.id}"


def listed(turn: Turn, found: Sequence[Item | Standing], text: str, route: str) -> Reply:
    """A numbered list of items; a number opens the card."""
    return Reply(text=text, options=offered(turn, found[:SHOWN], opening), route=route)


def checklist(turn: Turn, item: Item) -> tuple[Line, ...]:
    """What an item of its category is proved with."""
    return turn.kb.checklists.get(item.category) or turn.kb.checklists["其他"]


def gaps(turn: Turn, item: Item) -> list[Line]:
    """The lines of the checklist without evidence in this round."""
    proved = {one.line for one in evidence.standing(turn.db, item)}
    return [line for line in checklist(turn, item) if line.id not in proved]


def lines_shown(turn: Turn, lines: Sequence[Line]) -> list[dict[str, Any]]:  # Any: texts and a citation
    """Lines with their citations, for a template."""
    return [{"id": line.id, "text": line.text, "citation": turn.kb.citation(line.cite, today(turn))} for line in lines]


def card(turn: Turn, item: Item, options: Sequence[Option]) -> Reply:
    """Everything about an item, and what can be done next."""
    past = items.trail(turn.db, item.id)
    last = next((one for one in reversed(past) if one.event not in ("attach", "detach")), past[-1])
    text = say(
        "items.card",
        item=item,
        place=place_of(turn, item),
        state=items.STATES[item.state],  # type: ignore[index]  # the column holds states only
        overdue=flags.overdue_days(item, today(turn)),
        lines=lines_shown(turn, checklist(turn, item)),
        missing={line.id for line in gaps(turn, item)},
        evidence=sum(one.line != evidence.VISIT for one in evidence.standing(turn.db, item)),
        lost=len(evidence.standing(turn.db, item, "refused", "lost")),
        shut=len(evidence.standing(turn.db, item, "quarantined")),
        elsewhere=[(place_of(turn, one), one.number) for one in evidence.elsewhere(turn.db, item)],
        holder=name_of(turn, item.holder_id) if item.holder_id else "",
        last=last,
        who=name_of(turn, last.person_id),
        at=last.at.astimezone(LOCAL),
        returned=said_of(past, "return").get("lines") if item.state == "returned" else None,
        names={line.id: line.text for line in checklist(turn, item)},
        proposed=said_of(past, "propose") if item.waiting == "approver" else None,
        stages=milestones.planned(turn.db, item.id),
        today=today(turn),
        recurs_of=_number_of(turn, item.recurs_of),
        duplicate_of=_number_of(turn, item.duplicate_of),
    )
    options = (*options, Option(label="办理过程", value=f"办理过程 #{item.id}"))
    return Reply(text=text, options=options, route="item.card")


def _number_of(turn: Turn, item_id: int | None) -> str:
    """The number, in the list, of an item that another one is linked to."""
    return items.seen(turn.db, item_id).number if item_id is not None else ""


def trail(turn: Turn, item: Item) -> Reply:
    """What happened to an item, event by event, with what was said; what is too long for one message waits for 更多."""
    names = {line.id: line.text for line in checklist(turn, item)}
    told = [
        say("items.event", event=one, who=name_of(turn, one.person_id), at=one.at.astimezone(LOCAL), names=names)
        for one in items.trail(turn.db, item.id)
    ]
    head = say("items.trail", item=item, place=place_of(turn, item), count=len(told))
    kept = 1
    while kept < len(told) and len("\n".join((head, *told[: kept + 1]))) <= CARD_LIMIT:
        kept += 1
    shown, rest = "\n".join((head, *told[:kept])), "\n".join(told[kept:])
    text = "\n".join((shown, say("items.trail_goes_on", count=len(told) - kept))) if rest else shown
    return Reply(text=text, rest=rest, route="item.trail")


def said_of(past: Sequence[Any], event: str) -> Mapping[str, Any]:  # Any: rows of ItemEvent and their JSON
    """What was said with the latest event of a kind."""
    return next((one.said for one in reversed(past) if one.event == event), {})


# --- doing ---------------------------------------------------------------------------------------------------------


def act(turn: Turn, item_id: int, version: int, event: str, said: items.Said) -> Item:
    """Apply an event and tell whom it concerns. Raises Refused, with nothing changed, saying what the item is now."""
    try:
        pilot = bool(turn.given.get("pilot_mode"))
        item = items.apply(turn.db, item_id, version, event, said, turn.now, pilot=pilot)
    except (items.NotFound, scope.OutOfScope):
        raise Refused(say("items.not_found", named=f"#{item_id}")) from None
    except items.Overtaken as trouble:
        raise Refused(overtaken(turn, trouble)) from None
    except items.SamePerson as trouble:
        raise Refused(say("items.same_person", event=trouble.event)) from None
    tell(turn, item, event, said)
    return item


def overtaken(turn: Turn, trouble: items.Overtaken) -> str:
    """Who has changed the item meanwhile, and what it is now."""
    return say(
        "items.overtaken",
        who=name_of(turn, trouble.person_id),
        event=trouble.event,
        at=trouble.at.astimezone(LOCAL),
        state=items.STATES[trouble.state],  # type: ignore[index]  # the column holds states only
        waiting=trouble.waiting,
    )


_COUNTY = ("county_officer", "county_head")
_TOLD: Mapping[str, tuple[str, ...]] = {
    "issue": _COUNTY,
    "request": ("county_head",),
    "agree": ("county_officer", "province_officer"),
    "decline": ("county_officer",),
    "submit": ("province_officer",),
    "return": _COUNTY,
    "propose": ("province_approver",),
    "refuse": ("province_officer",),
    "close": _COUNTY,
    "confirm": _COUNTY,
    "reopen": _COUNTY,
    "ask_extension": ("province_officer",),
    "grant_extension": _COUNTY,
    "deny_extension": _COUNTY,
    "withdraw": _COUNTY,
    "refer": _COUNTY,
}
_PASSING = ("report", "attach", "detach")  # what leaves earlier messages true


def tell(turn: Turn, item: Item, event: str, said: items.Said) -> None:
    """Queue a message to whom an event concerns, in its transaction, and withdraw what it has overtaken."""
    source = f"item:{item.id}"
    if event not in _PASSING:
        deliveries.cancel(turn.db, source, f"{event} v{item.version}")
    text = say(
        "items.told",
        event=event,
        item=item,
        place=place_of(turn, item),
        said=said,
        who=name_of(turn, turn.viewer.person_id),
        names={line.id: line.text for line in checklist(turn, item)},
    )
    for role in _TOLD.get(event, ()):
        county = role in _COUNTY
        found = [one.id for one in people.holding(turn.db, role, item.body_id)] if county else []
        for person_id in found or ([] if county else people.over(turn.db, role, item.body_id)):
            if person_id != turn.viewer.person_id:
                deliveries.put(
                    turn.db,
                    source=source,
                    version=item.version,
                    recipient=deliveries.person(person_id),
                    lane="notice",
                    reply=Reply(text=text, route="item.told").to_json(),
                    why=say("items.why", role=scope.ROLES[role], place=place_of(turn, item), event=event),
                    now=turn.now,
                )


def gone(db: Session, delivery: Delivery) -> str | None:
    """Why a message about an item must not go out any more: its recipient no longer sees the item."""
    kind, _, number = delivery.recipient.partition(":")
    if kind != "person":
        return None
    with scope.serving(db, scope.standing(db, int(number))):
        try:
            items.seen(db, int(delivery.source.partition(":")[2]))
        except items.NotFound:
            return "left"
    return None


# --- what is possible ----------------------------------------------------------------------------------------------


def eligible(turn: Turn, events: Sequence[str], by: Sequence[Any] = items.URGENT) -> list[Standing]:  # Any: columns
    """Where the items stand on which the viewer may do one of the events now, most urgent first."""
    rules = [items.TRANSITIONS[event] for event in events if set(items.TRANSITIONS[event].roles) & turn.viewer.roles]
    states = sorted({state for rule in rules for state in rule.before})
    found = items.standing(turn.db, states, by) if states else []
    allowed = possible(turn, found, events)
    return [item for item in found if allowed[item.id]]


def may(turn: Turn, item: Item | Standing, events: Sequence[str]) -> bool:
    """Whether one of the events is possible for the viewer on an item now."""
    return bool(possible(turn, [item], events)[item.id])


def possible(
    turn: Turn, found: Sequence[Item | Standing], events: Collection[str] = tuple(items.TRANSITIONS)
) -> dict[int, set[str]]:
    """The events that the viewer may do on each item now: by role there, by the table, and by what they have done."""
    rules = {event: items.TRANSITIONS[event] for event in events}
    codes = bodies.codes(turn.db, {item.body_id for item in found})
    own, pilot = items.parts(turn.db, found), bool(turn.given.get("pilot_mode"))
    return {
        item.id: {
            event
            for event, rule in rules.items()
            if not held.isdisjoint(rule.roles)
            and items.allows(item, event)
            and not _barred(event, own[item.id], pilot=pilot)
        }
        for item in found
        for held in [_held(turn, item, codes[item.body_id])]
    }


def _held(turn: Turn, item: Item | Standing, code: str) -> set[str]:
    """The viewer's roles at an item's body."""
    return {
        grant.role
        for grant in turn.viewer.grants
        if grant.body_id == item.body_id or (grant.division_code and code.startswith(grant.prefix))
    }


def _barred(event: str, own: Sequence[str], *, pilot: bool) -> str:
    """What somebody has done that keeps them from an event; a small office's one person may do all but sign twice."""
    return items.same_person(event, own) if not pilot or event in items.SIGNATURES else ""


def why_not(turn: Turn, item: Item | Standing, events: Sequence[str]) -> str:
    """The line for somebody who wants what is not possible: what they have done already, or what the item is now."""
    own = items.parts(turn.db, [item])[item.id]
    held = _held(turn, item, bodies.codes(turn.db, {item.body_id})[item.body_id])
    open_to = [one for one in events if held & set(items.TRANSITIONS[one].roles) and items.allows(item, one)]
    if done := next(filter(None, (items.same_person(one, own) for one in open_to)), ""):
        return say("items.same_person", event=done)
    return overtaken(turn, items.Overtaken(item, items.trail(turn.db, item.id)[-1]))
