"""Papers of the rectification from the data: 整改情况报告, 销号申请书, 回头看记录, 月度进展.

Everything in them was reported or decided by somebody; what nobody has reported is 未填报 or left open to be filled in.
Source: 商办建函〔2020〕144号 三, 五.
"""

import re
from calendar import monthrange
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from bot.dialogue import Route
from bot.files import WORD, hand_out
from bot.items import REF, checklist, name_of, named, place_of, said_of, today
from bot.messages import Option, Refused, Reply, Turn
from bot.papers import Heading, Paper, Table, write
from bot.texts import say
from bot.workdays import LOCAL
from storage import bodies, evidence, files, flags, funds, items, milestones
from storage.items import STATES
from storage.models import Body, Item, ItemEvent, ItemUnit, Milestone, Unit
from storage.scope import reaches

OFFERED = 9  # bodies in a list to choose from
FORM_MM = (36, 120)
_GROUPS: Mapping[str, tuple[items.State, ...]] = {"done": items.DONE, "open": items.OPEN, "referred": ("referred",)}
_SUBMITTED: tuple[items.State, ...] = (*items.AT_PROVINCE, *items.DONE)
_IN_A_MONTH = ("issue", "submit", "agree", "return", "close", "confirm", "reopen", "grant_extension")


@dataclass(frozen=True, kw_only=True)
class Record:
    """An item with what has happened to it, its stages, and its units with the responsible person as listed."""

    item: Item
    past: Sequence[ItemEvent]
    stages: Sequence[Milestone]
    units: str
    person: str

    @property
    def reported(self) -> ItemEvent | None:
        """What the county has reported last in the present round."""
        for one in reversed(self.past):
            if one.event == "reopen":
                return None
            if one.event in ("report", "request", "submit") and one.said.get("text"):
                return one
        return None

    def last(self, *events: str) -> ItemEvent | None:
        """The latest event of these kinds in the present round."""
        for one in reversed(self.past):
            if one.event in events:
                return one
            if one.event == "reopen":
                return None
        return None


def _records(db: Session, found: Sequence[Item]) -> list[Record]:
    ids = [item.id for item in found]
    past: dict[int, list[ItemEvent]] = defaultdict(list)
    for one in db.scalars(select(ItemEvent).where(ItemEvent.item_id.in_(ids)).order_by(ItemEvent.version)):
        past[one.item_id].append(one)
    units: dict[int, list[tuple[str, str]]] = defaultdict(list)
    wanted = select(ItemUnit, Unit).join(Unit, Unit.id == ItemUnit.unit_id).where(ItemUnit.item_id.in_(ids))
    for responsible, unit in db.execute(wanted.order_by(ItemUnit.leads.desc(), ItemUnit.id)):
        units[responsible.item_id].append((unit.name, responsible.person))
    stages = milestones.of(db, ids)
    return [
        Record(
            item=item,
            past=past[item.id],
            stages=stages[item.id],
            units="、".join(name for name, _ in units[item.id]),
            person=next((person for _, person in units[item.id] if person), ""),
        )
        for item in found
    ]


def _listed(db: Session, body: Body, year: int, *states: items.State) -> list[Item]:
    wanted = select(Item).where(Item.body_id == body.id, Item.batch_year == year)
    if states:
        wanted = wanted.where(Item.state.in_(states))
    return list(db.scalars(wanted.order_by(Item.number, Item.id)))


def _local(at: datetime | None) -> date | None:
    return at.astimezone(LOCAL).date() if at is not None else None


def _form(titles: str, values: Sequence[str]) -> Table:
    """A form: the labels of a text, parted by bars, each with its value; an empty one says that nobody reported it."""
    rows = zip(titles.split("|"), (one or say("papers.unreported") for one in values), strict=True)
    return Table(rows=[*rows], widths=FORM_MM)


def _signed(turn: Turn, body: Body) -> tuple[str, str]:
    return say("papers.by", office=body.office), say("papers.day", day=today(turn))


def _addressed(turn: Turn) -> str:
    return say("papers.addressed", province=turn.given.get("province", ""))


# --- 整改情况报告 ----------------------------------------------------------------------------------------------------


def report(turn: Turn, body: Body, year: int) -> Paper:
    """Where every item of a body and year stands, and its money."""
    db, on = turn.db, today(turn)
    records = _records(db, _listed(db, body, year))
    counted = [one for one in records if one.item.state in items.COUNTED]
    overall = say(
        "papers.overall",
        body=body.name,
        year=year,
        on=on,
        total=len(counted),
        counts=_counts(one.item.state for one in counted),
        late=sum(1 for one in counted if flags.overdue_days(one.item, on)),
        late_first=sum(1 for one in counted if flags.overdue_days(one.item, on, original=True)),
        aside=_counts(one.item.state for one in records if one.item.state not in items.COUNTED),
    )
    parts: list[Heading | Table | str] = [Heading(text=say("papers.heading", number=1, name="overall")), overall]
    shown = {name: [one for one in counted if one.item.state in states] for name, states in _GROUPS.items()}
    for name, group in shown.items():
        if group or name != "referred":
            parts.append(Heading(text=say("papers.heading", number=_next(parts), name=name)))
            parts += [_told(turn, number, one) for number, one in enumerate(group, 1)] or [say("papers.no_items")]
    parts += [Heading(text=say("papers.heading", number=_next(parts), name="money")), _money(db, body, year, on)]
    return Paper(
        title=say("papers.report_title", body=body.name, year=year),
        addressed=_addressed(turn),
        parts=parts,
        signed=_signed(turn, body),
    )


def _next(parts: Sequence[object]) -> int:
    return 1 + sum(isinstance(one, Heading) for one in parts)


def _counts(states: Any) -> list[tuple[str, int]]:  # Any: an iterable of states, which the column holds as text
    """How many there are of each state, in the order of an item's life."""
    found = Counter(states)
    return [(label, found[state]) for state, label in STATES.items() if found[state]]


def _told(turn: Turn, number: int, one: Record) -> str:
    """One item in words."""
    check = next((event for event in reversed(one.past) if event.event in ("confirm", "reopen")), None)
    return say(
        "papers.item",
        number=number,
        item=one.item,
        units=one.units,
        stages=_stages(one, today(turn)),
        person=one.person,
        state=STATES[one.item.state],  # type: ignore[index]  # the column holds states only
        overdue=flags.overdue_days(one.item, today(turn)),
        reported=one.reported,
        reported_on=_local(one.reported.at) if one.reported else None,
        proposed=said_of(one.past, "propose") if one.item.state in items.DONE else None,
        closed_on=_local(one.item.closed_at),
        check=check,
        checked_on=_local(check.at) if check else None,
        referred=said_of(one.past, "refer") if one.item.state == "referred" else None,
    )


def _stages(one: Record, until: date) -> str:
    """The stages of an item and which of them were done by the end of a day; empty when it has none."""
    return say("papers.stages", stages=one.stages, until=until) if one.stages else ""


def _money(db: Session, body: Body, year: int, on: date) -> str:
    """The newest report of the funds that holds for a day."""
    held = next((one for one in funds.history(db, body.id, year) if one.as_of <= on), None)
    return say("papers.money", fund=held, sums=funds.sums(held) if held else None)


# --- 月度进展 --------------------------------------------------------------------------------------------------------


def monthly(turn: Turn, body: Body, year: int, first: date) -> Paper:
    """What happened in a month to the items of a body and year, and where they stood at its end, or stand today."""
    until = min(first.replace(day=monthrange(first.year, first.month)[1]), today(turn))
    stood = [(one, *_stood(one, until)) for one in _records(turn.db, _listed(turn.db, body, year))]
    counted = [(one, state, due) for one, state, due in stood if state in items.COUNTED]
    happened = Counter(event.event for one in stood for event in _within(one[0], first, until))
    overall = say(
        "papers.month_overall",
        body=body.name,
        year=year,
        until=until,
        total=len(counted),
        counts=_counts(state for _, state, _ in counted),
        late=sum(1 for _, state, due in counted if due and due < until and state in items.OPEN),
        happened=[(event, happened[event]) for event in _IN_A_MONTH if happened[event]],
    )
    rows = [
        (
            one.item.number,
            "\n".join(filter(None, (one.item.problem, _stages(one, until)))),
            say("papers.short_day", day=due),
            STATES[state],
            _doings(_within(one, first, until)),
        )
        for one, state, due in counted
    ]
    table = Table(titles=say("papers.month_columns").split("|"), rows=rows, widths=(16, 44, 26, 20, 50))
    parts: list[Heading | Table | str] = [Heading(text=say("papers.heading", number=1, name="overall")), overall]
    parts += [Heading(text=say("papers.heading", number=2, name="each")), table if rows else say("papers.no_items")]
    parts += [Heading(text=say("papers.heading", number=3, name="money")), _money(turn.db, body, year, until)]
    title = say("papers.month_title", body=body.name, year=year, month=first)
    return Paper(title=title, addressed=_addressed(turn), parts=parts, signed=_signed(turn, body))


def _stood(one: Record, until: date) -> tuple[items.State, date | None]:
    """An item's state and deadline at the end of a day, from its events; withdrawn when it was not on the list yet."""
    state: Any = "withdrawn"  # Any: the column holds a State
    due, asked = one.item.first_due_on, None
    for event in one.past:
        if event.at.astimezone(LOCAL).date() <= until:
            state = event.after
            asked = event.said.get("new_due_on", asked)
            typed = asked if event.event == "grant_extension" else event.said.get("due_on")
            due = date.fromisoformat(typed) if typed else due
    return state, due


def _within(one: Record, first: date, until: date) -> list[ItemEvent]:
    return [event for event in one.past if first <= event.at.astimezone(LOCAL).date() <= until]


def _doings(events: Sequence[ItemEvent]) -> str:
    shown = [event for event in events if event.event not in ("draft", "attach", "detach", "release")]
    return "\n".join(say("papers.doing", event=event, day=_local(event.at)) for event in shown) or say("papers.nothing")


# --- 销号申请书 ------------------------------------------------------------------------------------------------------


def application(turn: Turn, item: Item) -> Paper:
    """One item's application to be closed: what was asked, what was done, the evidence, and who has signed so far."""
    db, (one,) = turn.db, _records(turn.db, [item])
    standing = item.state in _SUBMITTED or item.waiting == "head"
    asked = one.last("request", "submit") if standing else None
    text = one.reported.said["text"] if one.reported else ""
    values = (
        say("papers.of_year", body=place_of(turn, item), year=item.batch_year), item.number, item.category, item.source,
        item.problem, item.basis, item.standard, item.measure, one.units, one.person, say("papers.due", item=item), text,
    )  # fmt: skip
    signatures = [_signature(turn, one, asked, name) for name in ("asked", "head", "held", "closed")]
    stamp = say("papers.stamp", office=db.get_one(Body, item.body_id).office)
    parts: list[Heading | Table | str] = [
        say("papers.application_intro", declared=bool(asked)),
        _form(say("papers.application_rows"), values),
        _evidence(turn, item, asked),
        _form(say("papers.signature_rows"), [*signatures[:2], stamp, *signatures[2:]]),
    ]
    title = say("papers.application_title", number=item.number)
    return Paper(title=title, addressed=_addressed(turn), parts=parts)


def _evidence(turn: Turn, item: Item, asked: ItemEvent | None) -> Table:
    """The checklist with its evidence: how many files prove each line, or how the gap is explained."""
    standing = Counter(one.line for one in evidence.standing(turn.db, item, "stored"))
    gaps = asked.said.get("gaps", {}) if asked else {}
    rows = [
        (
            say("papers.line", text=line.text, citation=turn.kb.citation(line.cite, today(turn))),
            say("papers.files", count=standing[line.id]),
            gaps.get(line.id, "") or ("" if standing[line.id] else say("papers.unreported")),
        )
        for line in checklist(turn, item)
    ]
    rows.append((say("papers.other_evidence"), say("papers.files", count=standing[""]), ""))
    return Table(titles=say("papers.evidence_columns").split("|"), rows=rows, widths=(76, 24, 56))


def _signature(turn: Turn, one: Record, asked: ItemEvent | None, name: str) -> str:
    """Who has signed at a place of the application, and when; empty lines to sign on where nobody has."""
    event = {
        "asked": asked,
        "head": one.last("agree") if one.item.state in _SUBMITTED else None,
        "held": one.last("propose") if one.item.state in items.DONE or one.item.waiting == "approver" else None,
        "closed": one.last("close") if one.item.state in items.DONE else None,
    }[name]
    offline = name == "head" and event is None and asked is not None and bool(asked.said.get("signed_offline"))
    who = name_of(turn, event.person_id) if event else ""
    return say("papers.signature", event=event, who=who, day=_local(event.at) if event else None, offline=offline)


# --- 回头看记录 ------------------------------------------------------------------------------------------------------


def follow_up(turn: Turn, item: Item) -> Paper:
    """The follow-up checks of an item; an empty form to take along when there was none."""
    (one,) = _records(turn.db, [item])
    values = (
        say("papers.of_year", body=place_of(turn, item), year=item.batch_year), item.number, item.category, item.problem,
        item.standard, item.measure, one.units, say("papers.short_day", day=_local(item.closed_at)),
    )  # fmt: skip
    parts: list[Heading | Table | str] = [_form(say("papers.checked_rows"), values)]
    checks = [event for event in one.past if event.event in ("confirm", "reopen")]
    titles = say("papers.check_rows")
    for number, event in enumerate(checks, 1):
        said = event.said
        parts.append(Heading(text=say("papers.check_heading", number=number)))
        shown = [
            said.get("check", ""), said.get("method", ""), _record(event), said.get("finding", ""),
            say("papers.result", event=event), name_of(turn, event.person_id), say("papers.day", day=_local(event.at)),
        ]  # fmt: skip
        parts.append(_form(titles, shown))
    if not checks:
        parts.append(_form(titles, [say("papers.blank")] * (titles.count("|") + 1)))
    title = say("papers.check_title", number=item.number)
    return Paper(title=title, parts=[*parts, say("papers.check_signatures")])


def _record(event: ItemEvent) -> str:
    """What a check is proved by: a visit with its photos, a call, or waybills."""
    record = event.said.get("record", "")
    return say("papers.record", record=record, photos=len(event.said.get("files", ()))) if record else ""


# --- what was typed --------------------------------------------------------------------------------------------------

_PLACE = r"[一-鿿]{1,16}?(?:县|区|市|旗|团|场|州|盟)|\d{6}|#\d{1,9}"
_YEAR = r"20\d\d\s*年度|20\d\d(?![\d年])"
_MONTH = r"(?:20\d\d年)?\s*\d{1,2}月份?|上个?月|本月"
_WHERE = rf"\s*(?:{_PLACE})?\s*(?:{_YEAR})?\s*"
_MAKE = r"(?:出|打印|导出|生成)"
_REPORT = rf"{_MAKE}(?:{_WHERE})(?:整改情况报告|整改报告)(?:{_WHERE})"
_MONTHLY = rf"(?:{_MAKE}(?:{_WHERE})(?:{_MONTH})?\s*)?(?:整改)?月度进展(?:{_WHERE})(?:{_MONTH})?\s*"
_APPLICATION = rf"{_MAKE}?\s*销号申请[书表]\s*(?P<item>{REF})"
_FOLLOW_UP = rf"{_MAKE}\s*回头看记录\s*(?P<item>{REF})"


def _find(pattern: str, text: str) -> str:
    match = re.search(pattern, text)
    return match[0] if match else ""


def _month(turn: Turn, text: str) -> date:
    """The first day of the month that was named, the last such month up to now; this month when none was."""
    typed, now = _find(_MONTH, text), today(turn).replace(day=1)
    if not typed or typed == "本月":
        return now
    if typed.startswith("上"):
        return date(now.year - (now.month == 1), (now.month - 2) % 12 + 1, 1)
    said = [int(one) for one in re.findall(r"\d+", typed)]
    if not 1 <= said[-1] <= 12:
        raise Refused(say("papers.which_month"))
    year = said[0] if len(said) == 2 else now.year - (said[-1] > now.month)
    if date(year, said[-1], 1) > now:
        raise Refused(say("papers.which_month"))
    return date(year, said[-1], 1)


def _of_month(turn: Turn, body: Body, year: int) -> Paper:
    return monthly(turn, body, year, _month(turn, turn.text))


def _bodies(turn: Turn, typed: str) -> list[Body]:
    """The bodies that are meant, of those whose papers the viewer may make."""
    assert turn.user is not None  # a member's route
    if typed and not typed.startswith("#"):
        found = bodies.named(turn.db, typed) or bodies.like(turn.db, typed)
    else:
        number = int(typed[1:]) if typed else turn.user.body_id
        found = list(turn.db.scalars(select(Body).where(Body.id == number)))
        found = found if found or typed else bodies.visible(turn.db, OFFERED)
    return [one for one in found if reaches(turn.db, turn.viewer, "make_papers", one.id)]


def _of_body(what: str, make: Callable[[Turn, Body, int], Paper]) -> Callable[[Turn], Reply]:
    """Make a paper of a body and year; ask which where several are meant. `what` is how it is asked for."""

    def run(turn: Turn) -> Reply:
        text = turn.text.replace(what, " ")
        month = _find(_MONTH, text) if what == "月度进展" else ""
        where = re.sub(rf"^{_MAKE}", "", text)
        where = where.replace(month, " ") if month else where
        found = _bodies(turn, _find(_PLACE, where))
        if not found:
            raise Refused(say("papers.no_body"))
        year = int((_find(_YEAR, where) or "0")[:4])
        choices = [(body, one) for body in found for one in bodies.batch_years(turn.db, body.id) if year in (0, one)]
        if not choices:
            raise Refused(say("papers.no_year", bodies=[body.name for body in found]))
        if len(choices) > 1:
            options = tuple(
                Option(
                    label=say("papers.of_year", body=body.name, year=one),
                    value=f"出{what} #{body.id} {one}年度 {month}".rstrip(),
                )
                for body, one in choices[:OFFERED]
            )
            return Reply(text=say("papers.which", what=what), options=options, route="papers.which")
        body, year = choices[0]
        return _handed(turn, make(turn, body, year), body.id)

    return run


def _of_item(pattern: str, make: Callable[[Turn, Item], Paper]) -> Callable[[Turn], Reply]:
    """Make a paper of the item that was named."""

    def run(turn: Turn) -> Reply:
        match = re.fullmatch(pattern, turn.text)
        assert match is not None
        item, _ = named(turn, match["item"], items.working(turn.db, *items.COUNTED))
        if not reaches(turn.db, turn.viewer, "make_papers", item.body_id):
            raise Refused(say("papers.may_not"))
        return _handed(turn, make(turn, item), item.body_id)

    return run


def _handed(turn: Turn, paper: Paper, body_id: int) -> Reply:
    """Keep a paper and hand out the link to it."""
    opens = hand_out(turn, f"{paper.name}.docx", WORD, write(paper), body_id=body_id)
    text = say("papers.ready", title=paper.name, minutes=files.OPEN_FOR.seconds // 60)
    return Reply(text=text, links=(opens,), route="papers.made")


ROUTES = [
    Route(
        name="papers.report", pattern=_REPORT, run=_of_body("整改情况报告", report), member=True,
        examples=("出整改情况报告", "出秦安县2016年度整改情况报告", "打印整改情况报告 620522 2016年度", "出整改情况报告 #3 2016年度"),
    ),
    Route(
        name="papers.monthly", pattern=_MONTHLY, run=_of_body("月度进展", _of_month), member=True,
        examples=("月度进展", "月度进展 4月", "出月度进展 秦安县 2016年度 2020年3月", "出月度进展 上月"),
    ),
    Route(
        name="papers.application", pattern=_APPLICATION, run=_of_item(_APPLICATION, application), member=True,
        examples=("销号申请书 3", "出销号申请书 #12", "打印销号申请表 2016-03"),
    ),
    Route(
        name="papers.follow-up", pattern=_FOLLOW_UP, run=_of_item(_FOLLOW_UP, follow_up), member=True,
        examples=("出回头看记录 3", "打印回头看记录 #12"),
    ),
]  # fmt: skip
