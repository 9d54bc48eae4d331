"""Reminders as rows: what is planned for whom, what people chose, and the days on which people work.

Each occurrence has a key of its own, so that planning again, by however many processes, changes nothing.
"""

from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any

from sqlalchemy import bindparam, func, or_, select, update
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import Session

from storage import items
from storage.deliveries import person
from storage.models import (
    Body,
    BodyYear,
    CalendarDay,
    Chain,
    DeadlineMark,
    Delivery,
    Item,
    ItemEvent,
    Milestone,
    Mute,
    Occurrence,
    OwnReminder,
    Preference,
    Pulse,
    Role,
    Switch,
)  # fmt: skip

BEHIND = timedelta(days=45)  # how long ago something may have been planned that can still be sent
Rows = list[Any]  # Any: rows of the columns that the function names
_AT_ONCE = 400  # rows in one statement: below every database's limit of parameters


@dataclass(frozen=True, kw_only=True)
class Wanted:
    """An occurrence that ought to be there."""

    key: str
    subject: str
    due_on: date
    step: str
    person_id: int
    planned_on: date
    last_on: date


def reconcile(db: Session, wanted: Mapping[str, Wanted], today: date, now: datetime) -> Counter[str]:
    """Make the open occurrences those that are wanted: how many were added, moved, cancelled.

    What lies before today is only kept or cancelled, never added. The caller holds the reminders (storage.db.hold).
    """
    known = {one.key: one for one in _open_or_recent(db, today)}
    done: Counter[str] = Counter()
    missing = [one for key, one in wanted.items() if key not in known and one.planned_on >= today]
    if missing:
        dialect = sqlite if db.get_bind().dialect.name == "sqlite" else postgresql
        rows = [vars(one) | {"state": "planned", "reason": "", "at": now} for one in missing]
        once = dialect.insert(Occurrence.__table__).on_conflict_do_nothing()
        db.connection().execute(once, rows)
        done["added"] += len(rows)  # the driver counts some of many rows only
    gone = [one.id for key, one in known.items() if one.state == "planned" and key not in wanted]
    done["cancelled"] += _set(db, gone, state="cancelled", reason="no longer called for")
    back = [one.id for key, one in known.items() if one.state == "cancelled" and _ahead(wanted.get(key), today)]
    done["added"] += _set(db, back, state="planned", reason="")
    for key, one in known.items():
        new = wanted.get(key)
        if new is None or one.state not in ("planned", "cancelled") or new.planned_on < today:
            continue
        if (one.planned_on, one.last_on) != (new.planned_on, new.last_on):
            done["moved"] += _set(db, [one.id], planned_on=new.planned_on, last_on=new.last_on)
    return +done


def _ahead(one: Wanted | None, today: date) -> bool:
    return one is not None and one.planned_on >= today


def _open_or_recent(db: Session, today: date) -> Rows:
    table = Occurrence
    columns = table.id, table.key, table.state, table.planned_on, table.last_on
    recent = or_(table.state == "planned", table.planned_on >= today - BEHIND)
    return list(db.execute(select(*columns).where(recent)))


def _set(db: Session, numbers: Sequence[int], **values: Any) -> int:
    for start in range(0, len(numbers), _AT_ONCE):
        some = Occurrence.id.in_(numbers[start : start + _AT_ONCE])
        db.execute(update(Occurrence).where(some).values(values).execution_options(synchronize_session=False))
    return len(numbers)


def settle(db: Session, today: date) -> Counter[str]:
    """Give up what is too late, take back what a digest did not bring, and keep only the newest step of a subject."""
    done: Counter[str] = Counter()
    table = Occurrence
    expired = select(Delivery.id).where(Delivery.state == "expired")
    brought_back = select(table.id).where(
        table.state == "merged", table.planned_on >= today - BEHIND, table.delivery_id.in_(expired)
    )
    done["back"] += _set(db, db.scalars(brought_back).all(), state="planned", delivery_id=None)
    late = db.scalars(select(table.id).where(table.state == "planned", table.last_on < today)).all()
    done["missed"] += _set(db, late, state="missed", reason="late")
    due = select(table.id, table.subject, table.person_id).where(table.state == "planned", table.planned_on <= today)
    newest: dict[tuple[str, int], int] = {}
    older = []
    for number, subject, person_id in db.execute(due.order_by(table.planned_on, table.id)).all():
        if (subject, person_id) in newest:
            older.append(newest[subject, person_id])
        newest[subject, person_id] = number
    done["superseded"] += _set(db, older, state="superseded", reason="a newer step is due")
    return +done


def due(db: Session, today: date) -> dict[int, list[Occurrence]]:
    """What is due to each person and not sent yet."""
    found: dict[int, list[Occurrence]] = defaultdict(list)
    wanted = select(Occurrence).where(Occurrence.state == "planned", Occurrence.planned_on <= today)
    for one in db.scalars(wanted.order_by(Occurrence.due_on, Occurrence.subject)):
        found[one.person_id].append(one)
    return found


def settled(db: Session, since: date) -> set[str]:
    """The keys of what was planned from a day on and is sent, taken out or overtaken by now."""
    gone = select(Occurrence.key).where(Occurrence.state != "planned", Occurrence.planned_on >= since)
    return set(db.scalars(gone))


def last_day(db: Session, today: date, before: datetime) -> dict[int, list[Occurrence]]:
    """What falls due on this day and was told to people in a digest before a time."""
    found: dict[int, list[Occurrence]] = defaultdict(list)
    wanted = (
        select(Occurrence)
        .join(Delivery, Delivery.id == Occurrence.delivery_id)
        .where(
            Occurrence.state == "merged",
            Occurrence.step == "T0",
            Occurrence.planned_on == today,
            Occurrence.subject.not_like("own:%"),
            Delivery.state == "accepted",
            Delivery.accepted_at < before,
        )
    )
    for one in db.scalars(wanted.order_by(Occurrence.due_on, Occurrence.subject)):
        found[one.person_id].append(one)
    return found


def merge(db: Session, rows: Iterable[Occurrence], delivery_id: int) -> None:
    """Note that these are part of a digest."""
    _set(db, [one.id for one in rows], state="merged", delivery_id=delivery_id)


def lines(db: Session, delivery_id: int) -> list[Occurrence]:
    """What a digest holds, as it was planned."""
    wanted = select(Occurrence).where(Occurrence.delivery_id == delivery_id, Occurrence.state == "merged")
    return list(db.scalars(wanted.order_by(Occurrence.due_on, Occurrence.subject)))


def drop(db: Session, rows: Iterable[Occurrence], state: str, reason: str) -> int:
    """Take reminders out, with the reason that lists show."""
    return _set(db, [one.id for one in rows], state=state, reason=reason)


# --- what there is to be reminded of ------------------------------------------------------------------------------


def open_work(db: Session, numbers: Collection[int] | None = None) -> Rows:
    """Unfinished items with their body's name and division code: all, or those of some numbers."""
    columns = (
        Item.id, Item.body_id, Body.name, Body.division_code, Item.number, Item.problem, Item.due_on, Item.state,
        Item.waiting, Item.holder_id, Item.issued_at, Item.submitted_at, Item.changed_at, Item.asked_due_on,
    )  # fmt: skip
    wanted = select(*columns).join(Body, Body.id == Item.body_id).where(Item.state.in_(items.OPEN))
    return list(db.execute(wanted if numbers is None else wanted.where(Item.id.in_(numbers))))


def open_stages(db: Session, numbers: Collection[int] | None = None) -> dict[int, Rows]:
    """The stages of unfinished items that are not done: item → id, item, text, date."""
    wanted = (
        select(Milestone.id, Milestone.item_id, Milestone.text, Milestone.due_on)
        .join(Item, Item.id == Milestone.item_id)
        .where(Item.state.in_(items.OPEN), Milestone.done_on.is_(None))
        .order_by(Milestone.due_on, Milestone.id)
    )
    found: dict[int, Rows] = defaultdict(list)
    for row in db.execute(wanted if numbers is None else wanted.where(Item.id.in_(numbers))):
        found[row.item_id].append(row)
    return found


def overdue_items(db: Session, start: date, end: date) -> list[int]:
    """The numbers of unfinished items whose date lies from a day to another."""
    wanted = select(Item.id).where(Item.state.in_(items.OPEN), Item.due_on >= start, Item.due_on <= end)
    return list(db.scalars(wanted))


def events_at(
    db: Session, names: Sequence[str], numbers: Collection[int] | None = None
) -> dict[int, dict[str, datetime]]:
    """When each of some events last happened to unfinished items: item → event → time."""
    wanted = (
        select(ItemEvent.item_id, ItemEvent.event, func.max(ItemEvent.at))
        .join(Item, Item.id == ItemEvent.item_id)
        .where(Item.state.in_(items.OPEN), ItemEvent.event.in_(names))
        .group_by(ItemEvent.item_id, ItemEvent.event)
    )
    found: dict[int, dict[str, datetime]] = defaultdict(dict)
    for item_id, event, at in db.execute(wanted if numbers is None else wanted.where(Item.id.in_(numbers))).all():
        found[item_id][event] = at
    return found


@dataclass(frozen=True, kw_only=True)
class Holders:
    """Who holds which role: of a body, and of a province by the first two digits of its code."""

    of_body: Mapping[tuple[str, int], tuple[int, ...]]
    of_province: Mapping[tuple[str, str], tuple[int, ...]]


def holders(db: Session, person_id: int | None = None) -> Holders:
    """Who holds which role now, in the order of their numbers; of one person, what they hold."""
    rows = select(Role.role, Role.person_id, Role.body_id, Role.division_code).where(Role.ended_at.is_(None))
    if person_id is not None:
        rows = rows.where(Role.person_id == person_id)
    of_body: dict[tuple[str, int], set[int]] = defaultdict(set)
    of_province: dict[tuple[str, str], set[int]] = defaultdict(set)
    for role, person_id, body_id, code in db.execute(rows).all():
        if body_id is not None:
            of_body[role, body_id].add(person_id)
        elif code is not None:
            of_province[role, code[:2]].add(person_id)
    return Holders(
        of_body={key: tuple(sorted(found)) for key, found in of_body.items()},
        of_province={key: tuple(sorted(found)) for key, found in of_province.items()},
    )


def demonstration_counties(db: Session) -> Rows:
    """Every body and year: body, name, division code, batch year."""
    wanted = select(Body.id, Body.name, Body.division_code, BodyYear.batch_year).join(Body, Body.id == BodyYear.body_id)
    return list(db.execute(wanted.order_by(Body.id)))


# --- what people chose --------------------------------------------------------------------------------------------


def mutes(db: Session, person_id: int | None = None) -> dict[str, list[Mute]]:
    """What is put off or known, by anybody or by one person, by subject."""
    found: dict[str, list[Mute]] = defaultdict(list)
    for one in db.scalars(select(Mute) if person_id is None else select(Mute).where(Mute.person_id == person_id)):
        found[one.subject].append(one)
    return found


def mute(db: Session, person_id: int, subject: str, until: date, snooze: bool, now: datetime) -> None:
    """Say nothing of a subject to somebody before a day."""
    wanted = select(Mute).where(Mute.subject == subject, Mute.person_id == person_id)
    row = db.scalars(wanted).one_or_none() or Mute(subject=subject, person_id=person_id)
    row.until, row.snooze, row.at = until, snooze, now
    db.add(row)
    db.flush()


def own(db: Session, person_id: int | None = None) -> list[OwnReminder]:
    """What people, or one of them, asked to be reminded of and has not ended, by date."""
    wanted = select(OwnReminder).where(OwnReminder.ended_at.is_(None))
    if person_id is not None:
        wanted = wanted.where(OwnReminder.person_id == person_id)
    return list(db.scalars(wanted.order_by(OwnReminder.due_on, OwnReminder.id)))


def preferences(db: Session) -> dict[int, Preference]:
    """How people want to be reminded, of those who said so."""
    return {one.person_id: one for one in db.scalars(select(Preference))}


def preferred_channels(db: Session, person_id: int) -> list[str]:
    """The channels that somebody wants to be tried first."""
    return db.connection().scalar(_PREFERRED, {"person": person_id}) or []


_PREFERRED = select(Preference.channels).where(Preference.person_id == bindparam("person"))


def prefer(db: Session, person_id: int, now: datetime, **values: Any) -> Preference:
    """Change how somebody wants to be reminded. `values` are columns of Preference."""
    row = db.get(Preference, person_id) or Preference(person_id=person_id, slot="", channels=[])
    for name, value in values.items():
        setattr(row, name, value)
    row.at = now
    db.add(row)
    db.flush()
    return row


def chains(db: Session) -> dict[tuple[str, date], dict[str, list[int]]]:
    """The chains that were frozen: (subject, deadline) → level → people."""
    return {(one.subject, one.due_on): one.people for one in db.scalars(select(Chain))}


def freeze(db: Session, subject: str, due_on: date, people: Mapping[str, Sequence[int]], now: datetime) -> None:
    """Keep who is told from now on while a subject stays overdue."""
    values = {
        "subject": subject,
        "due_on": due_on,
        "people": {key: list(one) for key, one in people.items()},
        "at": now,
    }
    dialect = sqlite if db.get_bind().dialect.name == "sqlite" else postgresql
    db.execute(dialect.insert(Chain).values(values).on_conflict_do_nothing())


# --- days and dates ---------------------------------------------------------------------------------------------------


def corrected(db: Session) -> dict[date, bool]:
    """The days that were entered by hand: whether people work then."""
    return {one.on: one.works for one in db.scalars(select(CalendarDay))}


def correct(db: Session, on: date, works: bool, source: str, now: datetime) -> None:
    """Enter whether people work on a day."""
    row = db.get(CalendarDay, on) or CalendarDay(on=on)
    row.works, row.source, row.at = works, source, now
    db.add(row)
    db.flush()


def marks(db: Session) -> dict[tuple[str, date], bool]:
    """The dates of notices that somebody decided on: (deadline, date) → whether it starts reminders."""
    return {key: one.confirmed for key, one in marked(db).items()}


def marked(db: Session) -> dict[tuple[str, date], DeadlineMark]:
    """As `marks`, with who said so and when."""
    return {(one.deadline, one.due_on): one for one in db.scalars(select(DeadlineMark))}


def mark(db: Session, deadline: str, due_on: date, confirmed: bool, person_id: int | None, now: datetime) -> None:
    """Keep somebody's word on a date."""
    wanted = select(DeadlineMark).where(DeadlineMark.deadline == deadline, DeadlineMark.due_on == due_on)
    row = db.scalars(wanted).one_or_none() or DeadlineMark(deadline=deadline, due_on=due_on)
    row.confirmed, row.person_id, row.at = confirmed, person_id, now
    db.add(row)
    db.flush()


# --- jobs -----------------------------------------------------------------------------------------------------------


def beat(db: Session, job: str, now: datetime) -> datetime | None:
    """Note that a job runs; when it last did."""
    row = db.get(Pulse, job)
    before = row.at if row else None
    db.add(row or Pulse(job=job, at=now))
    if row is not None:
        row.at = now
    db.flush()
    return before


def beats(db: Session) -> dict[str, datetime]:
    """When each job last ran."""
    return {one.job: one.at for one in db.scalars(select(Pulse))}


# --- sending --------------------------------------------------------------------------------------------------------


def digests_since(db: Session, day: date) -> dict[int, list[tuple[date, bool]]]:
    """The digests that were made for each person from a day on: its day, and whether it may have left or still will."""
    wanted = select(Delivery.recipient, Delivery.source, Delivery.state).where(
        Delivery.source >= f"digest:{day:%Y%m%d}", Delivery.source < "digest;"
    )
    found: dict[int, list[tuple[date, bool]]] = defaultdict(list)
    for recipient, source, state in db.execute(wanted).all():
        on = date.fromisoformat(source.removeprefix("digest:"))
        found[int(recipient.partition(":")[2])].append((on, state not in ("skipped", "expired", "cancelled")))
    return found


def switch(db: Session, key: str) -> tuple[str, str]:
    """What a switch stands at, and the reason; empty when it was never set."""
    row = db.get(Switch, key)
    return (row.value, row.reason) if row else ("", "")


def set_switch(db: Session, key: str, value: str, reason: str, now: datetime) -> None:
    """Set a switch."""
    row = db.get(Switch, key) or Switch(key=key)
    row.value, row.reason, row.at = value, reason, now
    db.add(row)
    db.flush()


def last_digest(db: Session, person_id: int, since: datetime) -> Delivery | None:
    """The newest digest that reached somebody from a time on."""
    wanted = select(Delivery).where(
        Delivery.recipient == person(person_id),
        Delivery.source.like("digest:%"),
        Delivery.state.in_(("accepted", "acked")),
        Delivery.accepted_at >= since,
    )
    return db.scalars(wanted.order_by(Delivery.id.desc()).limit(1)).one_or_none()
