"""Digests: one message a person and working day that holds everything due, and is looked at again before it leaves."""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from typing import Any
from zlib import crc32

import structlog
from sqlalchemy.orm import Session

from bot import ladder, planner
from bot.ladder import Planned, Subject
from bot.messages import Option, Reply
from bot.texts import say
from bot.workdays import LOCAL, Hours, Workdays
from knowledge.base import KnowledgeBase
from storage import audit, deliveries, reminders, scope
from storage.models import Delivery, Occurrence, Preference

SOURCE = "digest"
AFTER_OPENING = timedelta(minutes=10)
BEFORE_CLOSING = timedelta(minutes=10)  # in which the jobs still come round: a time chosen later than this never came
SPREAD = 29  # minutes over which a morning's digests go out
AGAIN = time(15, 10)  # a second one for what falls due today and is still open
APART = timedelta(hours=3)
A_DAY, A_WEEK = 2, 6
MOST_LATE = 50  # people to be told of earlier days, beyond which a person decides
LONGEST_GAP = timedelta(days=1)
SHOWN = 15  # lines
HELD = "reminders"  # the switch: `held` until an operator's word
log = structlog.get_logger()

_SECTIONS = ("overdue", "today", "soon", "waiting", "later", "own")


@dataclass(frozen=True, kw_only=True)
class Desk:
    """What digests are made of: the knowledge and the hours in which people may be written to."""

    current: Callable[[], KnowledgeBase]
    hours: Hours

    @property
    def kb(self) -> KnowledgeBase:
        """The knowledge of the current edition."""
        return self.current()


# --- when ------------------------------------------------------------------------------------------------------------


def slot(person_id: int, on: date, hours: Hours, preference: Preference | None = None) -> datetime:
    """When in a day somebody gets their digest: as they chose, else after the opening, spread over half an hour."""
    if preference is not None and preference.slot:
        chosen, _, minutes = preference.slot.partition(":")
        latest = datetime.combine(on, hours.closing, LOCAL) - BEFORE_CLOSING
        return min(datetime.combine(on, time(int(chosen), int(minutes)), LOCAL), latest)
    begins = datetime.combine(on, hours.opening, LOCAL) + AFTER_OPENING
    at = begins + timedelta(minutes=crc32(str(person_id).encode()) % SPREAD)
    return at + timedelta(minutes=1) if at.minute in (0, 30) else at


def foreseen(
    db: Session, kb: KnowledgeBase, hours: Hours, first: date, last: date
) -> Iterator[tuple[Planned, datetime]]:
    """What would be told on some days as things stand, and when; by day and person. Whoever asked for a pause is left out.

    Nothing is written. The session must serve the program itself.
    """
    wishes = reminders.preferences(db)
    for one in planner.planned(db, kb, first, last):
        wish = wishes.get(one.person_id)
        if wish is None or wish.paused_until is None or one.on >= wish.paused_until:
            yield one, slot(one.person_id, one.on, hours, wish)


def run(db: Session, desk: Desk, now: datetime) -> Counter[str]:
    """Queue the digests that are due now; how many, or what keeps them back.

    The rows must have been planned in the same transaction. The session must serve the program itself.
    """
    days, today = planner.workdays(db), now.astimezone(LOCAL).date()
    if not deliveries.sending(db)[0]:
        return Counter(off=1)
    wishes = reminders.preferences(db)
    waiting = {
        person_id: rows
        for person_id, rows in reminders.due(db, today).items()
        if person_id not in wishes or (wishes[person_id].paused_until or today) <= today
    }
    late = sum(any(row.planned_on < today for row in rows) for rows in waiting.values())
    if _held(db, late, now):
        return Counter(held=1)
    if not desk.hours.are_open(now, days):
        return Counter(quiet=1)
    done: Counter[str] = Counter()
    again = reminders.last_day(db, today, now - APART) if now.astimezone(LOCAL).time() >= AGAIN else {}
    sent = reminders.digests_since(db, today - timedelta(days=today.weekday()))
    found = {one.key: one for one in planner.subjects(db, desk.kb)} if waiting or again else {}
    called_for = {one.key for one in ladder.plan(found.values(), days, today - reminders.BEHIND, today)}
    for person_id in sorted({*waiting, *again}):
        wish, made = wishes.get(person_id), sent.get(person_id, [])
        before = [on for on, left in made if left]
        rows = [row for row in (*waiting.get(person_id, ()), *again.get(person_id, ())) if row.key in called_for]
        if not rows:
            continue
        if now < slot(person_id, today, desk.hours, wish) or (before.count(today) and not _afternoon(now)):
            done["later"] += 1
        elif before.count(today) >= A_DAY or len(before) >= A_WEEK:
            done["capped"] += 1
            log.warning("a person's reminders reached the most there may be", person_id=person_id)
        else:
            reply, why = compose(rows, found, days, today)
            _queue(db, desk, rows, reply, why, 1 + sum(on == today for on, _ in made), now)
            done["queued"] += 1
    return done


def _afternoon(now: datetime) -> bool:
    return now.astimezone(LOCAL).time() >= AGAIN


def _held(db: Session, late: int, now: datetime) -> bool:
    """Whether reminders of earlier days are so many, or after so long a silence, that a person must decide on them."""
    before = reminders.beat(db, SOURCE, now)
    if reminders.switch(db, HELD)[0] == "held":
        return True
    gap = before is not None and now - before > LONGEST_GAP
    if late > MOST_LATE or (late and gap):
        since = f"{before.astimezone(LOCAL):%Y-%m-%d %H:%M}" if before else ""
        reminders.set_switch(db, HELD, "held", say("digests.held", late=late, since=since), now)
        log.error("reminders are held until somebody releases them", people=late)
        return True
    return False


def release(db: Session, now: datetime, *, drop: bool, role: str) -> int:
    """Let reminders that were held go out, those of earlier days too unless they are to be dropped; how many these are."""
    today = now.astimezone(LOCAL).date()
    late = [row for rows in reminders.due(db, today).values() for row in rows if row.planned_on < today]
    if drop:
        reminders.drop(db, late, "missed", "dropped by the operator")
    reminders.set_switch(db, HELD, "released", "", now)
    after = {"late": len(late), "dropped": drop}
    audit.record(db, "reminders.release", "switch:reminders", now=now, role=role, after=after)
    return len(late)


def _queue(
    db: Session, desk: Desk, rows: Sequence[Occurrence], reply: Reply, why: str, version: int, now: datetime
) -> None:
    today = now.astimezone(LOCAL).date()
    made = deliveries.put(
        db, source=f"{SOURCE}:{today:%Y%m%d}", version=version, recipient=deliveries.person(rows[0].person_id),
        lane="reminder", reply=reply.to_json(), why=why, now=now,
        not_after=datetime.combine(today, desk.hours.closing, LOCAL),
    )  # fmt: skip
    if made is not None:
        reminders.merge(db, rows, made.id)


# --- words -----------------------------------------------------------------------------------------------------------


def compose(rows: Sequence[Occurrence], found: Mapping[str, Subject], days: Workdays, today: date) -> tuple[Reply, str]:
    """The digest of some reminders on a day, and what 为什么 answers to it."""
    shown = [_line(found[row.subject], row, days, today) for row in rows]
    shown.sort(key=lambda line: (_SECTIONS.index(line["section"]), line["due_on"]))
    opened = {line["opens"]: line["what"].partition("：")[0] for line in shown[:SHOWN] if line["opens"]}
    options = [Option(label=what, value=opens) for opens, what in opened.items()]
    options += [Option(label=word, value=word) for word in ("稍后提醒", "已知悉", "为什么")]
    text = say("digests.digest", today=today, lines=shown[:SHOWN], left=len(shown) - SHOWN, count=len(shown))
    return Reply(text=text, options=tuple(options), route="reminder"), say("digests.why", lines=shown)


def _line(subject: Subject, row: Occurrence, days: Workdays, today: date) -> dict[str, Any]:  # Any: for the template
    effective = days.on_or_before(row.due_on)
    left = days.between(today, effective)
    if subject.kind in ("own", "review"):
        section = "own" if subject.kind == "own" else "waiting"
    elif today > effective:
        section = "overdue"
    else:
        section = "today" if today == effective else "soon" if left <= 3 else "later"
    return {
        "section": section,
        "what": subject.what,
        "opens": subject.opens,
        "source": subject.source,
        "kind": subject.kind,
        "step": row.step,
        "due_on": row.due_on,
        "effective": effective,
        "holiday": row.due_on != effective and row.due_on.weekday() < 5,
        "left": left,
        "overdue": days.between(effective, today),
        "provisional": not days.is_known(row.due_on),
    }


# --- the last moment -------------------------------------------------------------------------------------------------


def guard(desk: Desk, clock: Callable[[], datetime]) -> deliveries.Guard:
    """A digest's guard: what no longer holds is taken out of it, and in quiet hours it waits."""

    def still(db: Session, delivery: Delivery) -> str | datetime | None:
        with scope.serving(db, scope.SYSTEM):
            return _still(db, desk, delivery, clock())

    return still


def _still(db: Session, desk: Desk, delivery: Delivery, now: datetime) -> str | datetime | None:
    rows, today = reminders.lines(db, delivery.id), now.astimezone(LOCAL).date()
    if not rows:
        return say("digests.nothing_left")
    days, person_id = planner.workdays(db), rows[0].person_id
    found = {one.key: one for one in planner.subjects(db, desk.kb, {row.subject for row in rows}, person_id)}
    on = [row.planned_on for row in rows]
    called_for = {one.key for one in ladder.plan(found.values(), days, min(on), max(on))}
    over = [row for row in rows if row.key not in called_for]
    if over:
        reminders.drop(db, over, "cancelled", "done before it was sent")
        kept = [row for row in rows if row.key in called_for]
        if not kept:
            return say("digests.nothing_left")
        reply, why = compose(kept, found, days, today)
        deliveries.reword(db, delivery, reply.to_json(), why)
    return None if desk.hours.are_open(now, days) else desk.hours.next_open(now, days)
