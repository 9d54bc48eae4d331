"""What people are to be reminded of, read from items, deadlines and their own words; and the rows that follow from it."""

from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from typing import Any, Literal

from sqlalchemy.orm import Session

from bot import ladder
from bot.ladder import Level, Mute, Planned, Subject
from bot.texts import say
from bot.workdays import LOCAL, Workdays
from knowledge.base import KnowledgeBase
from knowledge.deadlines import Deadline
from knowledge.impact import Shift
from storage import reminders
from storage.db import hold
from storage.reminders import Holders, Wanted

HORIZON = timedelta(days=35)
FORESEEN = timedelta(days=365)  # how far ahead the reminders of two editions are compared
_EVENTS = ("issue", "request", "submit", "agree", "release", "claim", "propose", "ask_extension")
# what waits for somebody: the key's first word, the events after which it waits
_WAITS: Mapping[str, tuple[str, ...]] = {
    "receipt": ("issue",),
    "confirm": ("request",),
    "review": ("submit", "agree", "release"),
    "verify": ("claim",),
    "sign": ("propose",),
    "extension": ("ask_extension",),
}


def workdays(db: Session) -> Workdays:
    """The calendar with the days that were entered by hand."""
    return Workdays(corrected=reminders.corrected(db))


# --- subjects ------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class _Chosen:
    """What is read once for all subjects."""

    holders: Holders
    mutes: Mapping[str, Mapping[int, Mute]]
    chains: Mapping[tuple[str, date], Mapping[str, Sequence[int]]]


def subjects(
    db: Session, kb: KnowledgeBase, keys: Collection[str] | None = None, person_id: int | None = None
) -> list[Subject]:
    """Everything that people are to be reminded of: all, or what still is of some keys; of everybody, or of a person.

    The session must serve the program itself.
    """
    chosen = _Chosen(
        holders=reminders.holders(db, person_id),
        mutes={
            key: {one.person_id: Mute(until=one.until, snooze=one.snooze) for one in rows}
            for key, rows in reminders.mutes(db, person_id).items()
        },
        chains=reminders.chains(db),
    )
    found = [*_of_items(db, kb, chosen, keys), *_of_people(db, person_id)]
    if keys is None or any(key.startswith("deadline:") for key in keys):
        found += _of_deadlines(db, kb, chosen)
    wanted = found if keys is None else [one for one in found if one.key in keys]
    return [replace(one, mutes=chosen.mutes.get(one.key, {})) for one in wanted]


def _numbers(keys: Collection[str] | None) -> set[int] | None:
    if keys is None:
        return None
    return {int(key.split(":")[1]) for key in keys if key.split(":")[0] in ("item", "stage", *_WAITS)}


def _of_items(db: Session, kb: KnowledgeBase, chosen: _Chosen, keys: Collection[str] | None) -> Iterator[Subject]:
    numbers = _numbers(keys)
    events, stages = reminders.events_at(db, _EVENTS, numbers), reminders.open_stages(db, numbers)
    source = _source(kb, "144-2020", "三(一)")
    for row in reminders.open_work(db, numbers):
        at = events.get(row.id, {})
        if row.due_on is not None and row.state in ("issued", "rectifying", "returned", "reopened"):
            yield _item(row, chosen, source)
        if row.state in ("rectifying", "returned", "reopened"):
            yield from (_stage(row, stage, chosen, source) for stage in stages[row.id] if stage.due_on != row.due_on)
        for name, people in _waiting(row, chosen.holders):
            since = max((at[event] for event in _WAITS[name] if event in at), default=row.changed_at)
            on = since.astimezone(LOCAL).date()
            yield Subject(
                key=f"{name}:{row.id}", due_on=on, since=on, people={"holder": people}, body_id=row.body_id,
                what=say("planner.waits", name=name, place=row.name, number=row.number, problem=row.problem),
                source=source, opens=f"事项 #{row.id}",
            )  # fmt: skip


def _item(row: Any, chosen: _Chosen, source: str) -> Subject:
    what = say("planner.item", place=row.name, number=row.number, problem=row.problem)
    return _worked_on(row, f"item:{row.id}", row.due_on, what, chosen, source)


def _stage(row: Any, stage: Any, chosen: _Chosen, source: str) -> Subject:
    """A stage whose date is not the item's own."""
    what = say("planner.stage", place=row.name, number=row.number, text=stage.text)
    return _worked_on(row, f"stage:{row.id}:{stage.id}", stage.due_on, what, chosen, source)


def _worked_on(row: Any, key: str, due_on: date, what: str, chosen: _Chosen, source: str) -> Subject:
    """What a county does by a date of its item, and who hears of it when it does not."""
    county, province = chosen.holders.of_body, chosen.holders.of_province
    code = row.division_code[:2]
    people: dict[Level, tuple[int, ...]] = {
        "holder": county.get(("county_officer", row.body_id), ()),
        "head": county.get(("county_head", row.body_id), ()),
        "province": province.get(("province_officer", code), ()),
        "leader": province.get(("province_leader", code), ()),
    }
    frozen = chosen.chains.get((key, due_on), {})
    for level in ("head", "province", "leader"):
        kept = tuple(one for one in frozen.get(level, ()) if one in people[level])
        people[level] = kept or people[level]
    issued = row.issued_at or row.changed_at
    return Subject(
        key=key, due_on=due_on, since=issued.astimezone(LOCAL).date(), people=people, body_id=row.body_id,
        asked=row.asked_due_on is not None, opens=f"事项 #{row.id}", source=source, what=what,
    )  # fmt: skip


def _waiting(row: Any, holders: Holders) -> Iterator[tuple[str, tuple[int, ...]]]:
    """What of an item waits for somebody, and for whom."""
    code = row.division_code[:2]
    officers = holders.of_province.get(("province_officer", code), ())
    if row.state == "issued":
        yield "receipt", holders.of_body.get(("county_officer", row.body_id), ())
    if row.waiting == "head":
        yield "confirm", holders.of_body.get(("county_head", row.body_id), ())
    if row.state == "submitted":
        yield "review", officers
    if row.state == "verifying" and row.waiting == "approver":
        yield "sign", holders.of_province.get(("province_approver", code), ())
    elif row.state == "verifying" and row.holder_id is not None:
        yield "verify", (row.holder_id,)
    if row.asked_due_on is not None:
        yield "extension", officers


def _source(kb: KnowledgeBase, notice_id: str, label: str) -> str:
    notice = kb.notice(notice_id)
    return say("planner.source", notice=notice, label=label) if notice else ""


# --- deadlines of the notices --------------------------------------------------------------------------------------


def _binding(kb: KnowledgeBase) -> list[Deadline]:
    """The deadlines whose clause is in force on their last day."""
    return [one for one in kb.deadlines if kb.are_in_force([one.cite], one.due_on)]


def starts(kb: KnowledgeBase, deadline: Deadline, marks: Mapping[tuple[str, date], bool]) -> bool:
    """Whether a deadline's date may start reminders: a person said so, or it stands in an official text."""
    said = marks.get((deadline.id, deadline.due_on), deadline.confirmed)
    notice = kb.notice(deadline.cite.notice)
    return said if said is not None else notice is not None and notice.text_status == "official"


def _of_deadlines(db: Session, kb: KnowledgeBase, chosen: _Chosen) -> Iterator[Subject]:
    marks, counties = reminders.marks(db), reminders.demonstration_counties(db)
    for deadline in _binding(kb):
        if not starts(kb, deadline, marks):
            continue
        notice = kb.notice(deadline.cite.notice)
        made = Subject(
            key=f"deadline:{deadline.id}", due_on=deadline.due_on, people={},
            since=(notice.issued_on if notice else None) or date.min,
            source=_source(kb, deadline.cite.notice, deadline.cite.clause), what=say("planner.deadline", one=deadline),
        )  # fmt: skip
        for code in sorted({code for _, code in chosen.holders.of_province}):
            if people := _roles(deadline, "province", chosen.holders.of_province, code):
                yield replace(made, key=f"{made.key}:{code}", people={"holder": people})
        reached = {row.id: row.name for row in counties if not deadline.years or row.batch_year in deadline.years}
        for body_id, name in reached.items():
            if people := _roles(deadline, "county", chosen.holders.of_body, body_id):
                what = say("planner.deadline", one=deadline, place=name)
                yield replace(made, key=f"{made.key}:{body_id}", people={"holder": people}, body_id=body_id, what=what)


def _roles(
    deadline: Deadline, kind: str, held: Mapping[tuple[str, Any], tuple[int, ...]], place: Any
) -> tuple[int, ...]:
    roles = [role for role in deadline.roles if role.startswith(kind)]
    return tuple(sorted({one for role in roles for one in held.get((role, place), ())}))


def _of_people(db: Session, person_id: int | None) -> Iterator[Subject]:
    """What people asked to be reminded of themselves."""
    for one in reminders.own(db, person_id):
        yield Subject(
            key=f"own:{one.id}", due_on=one.due_on, since=one.at.astimezone(LOCAL).date(),
            people={"holder": (one.person_id,)}, what=say("planner.own", text=one.text),
        )  # fmt: skip


# --- planning ------------------------------------------------------------------------------------------------------


def planned(db: Session, kb: KnowledgeBase, start: date, end: date) -> list[Planned]:
    """The reminders of some days, as things stand: nothing is written. The session must serve the program itself."""
    return ladder.plan(subjects(db, kb), workdays(db), start, end)


def shifts(db: Session, before: KnowledgeBase, after: KnowledgeBase, on: date) -> list[Shift]:
    """The reminders of a year to come that another edition adds, cancels or moves, one line a subject.

    The session must serve the program itself.
    """
    old, new = (_by_subject(planned(db, kb, on, on + FORESEEN)) for kb in (before, after))
    found = []
    for key in sorted({*old, *new}):
        was, now = old.get(key, []), new.get(key, [])
        if {one.key for one in was} == {one.key for one in now}:
            continue
        kind: Literal["added", "cancelled", "moved"] = "added" if not was else "cancelled" if not now else "moved"
        found.append(
            Shift(
                kind=kind, what=(now or was)[0].subject.what, count=len(now or was),
                was=was[0].subject.due_on if was else None, due_on=now[0].subject.due_on if now else None,
            )
        )  # fmt: skip
    return found


def _by_subject(found: Iterable[Planned]) -> dict[str, list[Planned]]:
    groups: dict[str, list[Planned]] = {}
    for one in found:
        groups.setdefault(one.subject.key, []).append(one)
    return groups


def plan(db: Session, kb: KnowledgeBase, now: datetime) -> Counter[str]:
    """Bring the rows in line with what ought to be sent from now on; how many changed, and how.

    What has become overdue freezes who is told of it while it stays so.
    """
    hold(db, "reminders")
    today = now.astimezone(LOCAL).date()
    days, found = workdays(db), subjects(db, kb)
    known = reminders.chains(db)
    for one in found:
        overdue = one.kind in ladder.ESCALATED and days.on_or_before(one.due_on) < today
        if overdue and (one.key, one.due_on) not in known:
            higher = {str(level): people for level, people in one.people.items() if level != "holder"}
            reminders.freeze(db, one.key, one.due_on, higher, now)
    wanted = {one.key: _row(one) for one in ladder.plan(found, days, today - reminders.BEHIND, today + HORIZON)}
    return reminders.reconcile(db, wanted, today, now) + reminders.settle(db, today)


def _row(one: Planned) -> Wanted:
    return Wanted(
        key=one.key, subject=one.subject.key, due_on=one.subject.due_on, step=one.rung.step, person_id=one.person_id,
        planned_on=one.on, last_on=one.rung.last_on,
    )  # fmt: skip


def undecided(db: Session, kb: KnowledgeBase) -> list[Deadline]:
    """The dates of notices that start nothing until a person confirms them."""
    marks = reminders.marks(db)
    return [
        one for one in _binding(kb) if (one.id, one.due_on) not in marks and not starts(kb, one, marks)
    ]  # fmt: skip
