"""Which reminders a deadline calls for, to whom and on which day: arithmetic alone, without a database.

The legal date is never changed. What is counted back from is the last working day up to it.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date, timedelta
from typing import Literal

from bot.workdays import Workdays

Kind = Literal["item", "stage", "deadline", "own", "review"]
Level = Literal["holder", "head", "province", "leader"]

CALENDAR_DAYS = (30, 15, 7)
WORKING_DAYS = (3, 1)
ESCALATIONS: Mapping[int, Level] = {1: "holder", 3: "head", 5: "province", 10: "leader"}  # working days overdue → who
ESCALATED: tuple[Kind, ...] = ("item", "stage")  # what goes up when it stays overdue
REVIEWS = (1, 3, 5, 10)  # working days that something waits to be looked at
WEEK = 5  # working days between two lines about what stays open
LASTS = 5  # working days for which a reminder may still be sent


@dataclass(frozen=True, kw_only=True)
class Mute:
    """Somebody knows (ack), or wants to hear of it again on the day `until` (snooze); nothing is said before."""

    until: date
    snooze: bool


@dataclass(frozen=True, kw_only=True)
class Subject:
    """What people are reminded of. Steps that would lie before `since` never were.

    `key` is item:12, stage:12:3 (of item 12), deadline:final-list, own:7, or of what waits for somebody: review:12, sign:12 and so on. `people`
    holds whom each level is. While an extension is asked for (`asked`), nobody is told that the item is overdue.
    """

    key: str
    due_on: date
    since: date
    people: Mapping[Level, tuple[int, ...]]
    mutes: Mapping[int, Mute] = field(default_factory=dict)  # person → what they chose
    body_id: int | None = None
    asked: bool = False
    what: str = ""  # the words of its line
    source: str = ""  # the clause it rests on, as printed
    opens: str = ""  # what picking its line sends

    @property
    def kind(self) -> Kind:
        found = self.key.partition(":")[0]
        return found if found in ("item", "stage", "deadline", "own") else "review"  # type: ignore[return-value]  # compared


@dataclass(frozen=True, kw_only=True)
class Rung:
    """One step of a ladder: on its day, and not later than `last_on`, the people of a level hear of it."""

    step: str  # T-30 … T0, O+1 …, R+1 …, S0527 for a snooze that ends
    level: Level
    on: date
    last_on: date
    provisional: bool  # the day lies in a year whose holidays are not announced yet


@dataclass(frozen=True, kw_only=True)
class Planned:
    """One reminder: a person hears of a subject on a day."""

    subject: Subject
    rung: Rung
    person_id: int

    @property
    def key(self) -> str:
        """What makes it this reminder and no other: with another date, it is another one."""
        return f"{self.subject.key}:{self.subject.due_on:%Y%m%d}:{self.rung.step}:{self.person_id}"

    @property
    def on(self) -> date:
        return self.rung.on


def steps(due_on: date, days: Workdays) -> dict[str, date]:
    """The days before a deadline and the first one after it: T-30, T-15, T-7 in calendar days, T-3, T-1 in working days."""
    effective = days.on_or_before(due_on)
    found = {f"T-{count}": days.on_or_before(effective - timedelta(days=count)) for count in CALENDAR_DAYS}
    found |= {f"T-{count}": days.shifted(effective, -count) for count in WORKING_DAYS}
    return found | {"T0": effective, "O+1": days.shifted(effective, 1)}


def last_quiet_day(due_on: date, days: Workdays) -> date:
    """The last day to which a reminder may be put off: one working day before the deadline."""
    return days.shifted(days.on_or_before(due_on), -1)


def plan(subjects: Iterable[Subject], days: Workdays, start: date, end: date) -> list[Planned]:
    """The reminders from `start` to `end`, by day and person."""
    ladders: dict[tuple[Kind, date], list[Rung]] = {}
    made: list[Planned] = []
    for subject in subjects:
        key = subject.kind, subject.due_on
        if key not in ladders:
            found = (_rung(step, on, level, days) for step, on, level in _ladder(*key, days, end))
            ladders[key] = [rung for rung in found if start <= rung.on <= end]
        made += _of(subject, ladders[key], days, start, end)
    return sorted(made, key=lambda one: (one.on, one.person_id, one.key))


def _of(subject: Subject, ladder: Iterable[Rung], days: Workdays, start: date, end: date) -> Iterator[Planned]:
    for rung in ladder:
        if rung.on < subject.since or (subject.asked and rung.step.startswith("O")):
            continue
        for person_id in subject.people.get(rung.level, ()):
            mute = subject.mutes.get(person_id)
            if mute is None or rung.on >= mute.until:
                yield Planned(subject=subject, rung=rung, person_id=person_id)
    everybody = {person_id for level in subject.people.values() for person_id in level}
    for person_id, mute in subject.mutes.items():
        if mute.snooze and person_id in everybody and start <= mute.until <= end and mute.until >= subject.since:
            rung = _rung(f"S{mute.until:%m%d}", mute.until, "holder", days)
            yield Planned(subject=subject, rung=rung, person_id=person_id)


def _rung(step: str, on: date, level: Level, days: Workdays) -> Rung:
    return Rung(
        step=step, level=level, on=on, last_on=days.shifted(on, LASTS), provisional=not days.is_known(on)
    )  # fmt: skip


def _ladder(kind: Kind, due_on: date, days: Workdays, end: date) -> Iterator[tuple[str, date, Level]]:
    """The steps of a kind of subject up to a day, with whom each is for."""
    if kind == "own":
        yield "T0", days.on_or_before(due_on), "holder"
    elif kind == "review":
        for count in REVIEWS:
            yield f"R+{count}", days.shifted(due_on, count), "holder"
        yield from _weekly("R", days.shifted(due_on, REVIEWS[-1]), REVIEWS[-1], days, end, "holder")
    else:
        before = steps(due_on, days)
        yield from ((step, on, "holder") for step, on in before.items())
        if kind in ESCALATED:
            effective = before["T0"]
            for count, level in ESCALATIONS.items():
                if count > 1:
                    yield f"O+{count}", days.shifted(effective, count), level
            yield from _weekly("O", days.shifted(effective, 10), 10, days, end, "holder")


def _weekly(
    letter: str, on: date, count: int, days: Workdays, end: date, level: Level
) -> Iterator[tuple[str, date, Level]]:
    """A line every week for as long as something stays open: it is never passed over in silence."""
    while on < end:
        on, count = days.shifted(on, WEEK), count + WEEK
        yield f"{letter}+{count}", on, level
