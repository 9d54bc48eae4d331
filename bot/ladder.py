"""Which reminders a deadline calls for, to whom and on which day: arithmetic alone, without a database.

The legal date is never changed. What is counted back from is the last working day up to it.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date, timedelta
from typing import Literal

from bot.workdays import Workdays

Kind = Literal["item", "review", "deadline", "own"]
Level = Literal["holder", "head", "province", "leader"]

CALENDAR_DAYS = (30, 15, 7)
WORKING_DAYS = (3, 1)
ESCALATIONS: Mapping[int, Level] = {1: "holder", 3: "head", 5: "province", 10: "leader"}  # working days overdue → who
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

    `key` is item:12, review:12, deadline:final-list or own:7; `people` holds whom each level is.
    """

    key: str
    due_on: date
    since: date
    people: Mapping[Level, tuple[int, ...]]
    mutes: Mapping[int, Mute] = field(default_factory=dict)  # person → what they chose
    body_id: int | None = None

    @property
    def kind(self) -> Kind:
        found: Kind = self.key.partition(":")[0]  # type: ignore[assignment]  # keys are made by storage.reminders
        return found


@dataclass(frozen=True, kw_only=True)
class Planned:
    """One reminder: a person hears of a subject on a day; not later than `last_on`."""

    subject: Subject
    step: str  # T-30 … T0, O+1 …, R+1 …, S for a snooze that ends
    person_id: int
    on: date
    last_on: date
    provisional: bool  # the day lies in a year whose holidays are not announced yet

    @property
    def key(self) -> str:
        """What makes it this reminder and no other: with another date, it is another one."""
        return f"{self.subject.key}:{self.subject.due_on:%Y%m%d}:{self.step}:{self.person_id}"


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
    made = [one for subject in subjects for one in _of(subject, days, end) if start <= one.on <= end]
    return sorted(made, key=lambda one: (one.on, one.person_id, one.key))


def _of(subject: Subject, days: Workdays, end: date) -> Iterator[Planned]:
    for step, on, level in _ladder(subject, days, end):
        for person_id in subject.people.get(level, ()):
            mute = subject.mutes.get(person_id)
            if on >= subject.since and (mute is None or on >= mute.until):
                yield _planned(subject, step, person_id, on, days)
    for person_id, mute in subject.mutes.items():
        if mute.snooze and mute.until >= subject.since:
            yield _planned(subject, f"S{mute.until:%m%d}", person_id, mute.until, days)


def _planned(subject: Subject, step: str, person_id: int, on: date, days: Workdays) -> Planned:
    last_on = days.shifted(on, LASTS)
    return Planned(
        subject=subject, step=step, person_id=person_id, on=on, last_on=last_on, provisional=not days.is_known(on)
    )


def _ladder(subject: Subject, days: Workdays, end: date) -> Iterator[tuple[str, date, Level]]:
    """The steps of a subject up to a day, with whom each is for."""
    if subject.kind == "own":
        yield "T0", days.on_or_before(subject.due_on), "holder"
    elif subject.kind == "review":
        for count in REVIEWS:
            yield f"R+{count}", days.shifted(subject.due_on, count), "holder"
        yield from _weekly("R", days.shifted(subject.due_on, REVIEWS[-1]), REVIEWS[-1], days, end, "holder")
    else:
        before = steps(subject.due_on, days)
        yield from ((step, on, "holder") for step, on in before.items())
        if subject.kind == "item":
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
