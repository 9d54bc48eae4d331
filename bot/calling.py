"""Whom no channel reached, who is silent after the last nudge, or late by ten working days: a call to their county."""

from collections import Counter, defaultdict
from collections.abc import Iterator
from datetime import date, datetime, timedelta
from typing import Any

from sqlalchemy.orm import Session

from bot import ladder, planner
from bot.texts import say
from bot.workdays import LOCAL
from knowledge.base import KnowledgeBase
from storage import acknowledgements, broadcasts, calls, deliveries, reminders

LOOKS_BACK = timedelta(days=2)
CALLED_AFTER = max(ladder.ESCALATIONS)  # working days overdue: with the last step of the ladder
LONGEST = timedelta(days=60)  # no holidays make more days of the working days in question
Line = dict[str, Any]  # Any: JSON of a call's line
_Lines = Iterator[tuple[int, date, Line]]  # before the line the body and the legal date


def collect(db: Session, kb: KnowledgeBase, now: datetime) -> Counter[str]:
    """Put on the hotline's list what is to be said by telephone today: one call a county and day.

    The program itself asks.
    """
    today = now.astimezone(LOCAL).date()
    silent = list(_silent(db, now))
    calls.settle(db, today - calls.KEPT, {(body_id, line["broadcast"]) for body_id, _, line in silent})
    lines: dict[int, list[Line]] = defaultdict(list)
    due: dict[int, date] = {}
    told = calls.told(db, today - calls.KEPT)
    fresh = [one for one in silent if (one[0], one[2]["broadcast"]) not in told]
    for body_id, due_on, line in (*_unreached(db, kb, now, today), *_undone(db, kb, today), *fresh):
        lines[body_id].append(line)
        due[body_id] = min(due.get(body_id, due_on), due_on)
    for body_id, said in lines.items():
        calls.put(db, body_id, today, said, due[body_id], now)
    return Counter(calls=len(lines)) if lines else Counter()


def _unreached(db: Session, kb: KnowledgeBase, now: datetime, today: date) -> _Lines:
    """Today's reminders that reached nobody."""
    failed = [one for one in calls.unreached(db, now - LOOKS_BACK) if one.at.astimezone(LOCAL).date() == today]
    rows = [(one, row) for one in failed for row in reminders.lines(db, one.id)]
    if not rows:
        return
    found = {one.key: one for one in planner.subjects(db, kb, {row.subject for _, row in rows})}
    for delivery, row in rows:
        subject = found.get(row.subject)
        if subject is not None and subject.body_id is not None:
            line = {"person": row.person_id, "delivery": delivery.id, "text": subject.what}
            yield subject.body_id, row.due_on, line


def _undone(db: Session, kb: KnowledgeBase, today: date) -> _Lines:
    """Items that have just been overdue for so long, said once; not those for which an extension is asked."""
    days = planner.workdays(db)
    late = reminders.overdue_items(db, today - LONGEST, today)
    if not late or days.on_or_before(today) != today:
        return
    said = calls.said_since(db, today - LONGEST)
    for one in planner.subjects(db, kb, {f"item:{number}" for number in late}):
        begins = days.shifted(days.on_or_before(one.due_on), CALLED_AFTER)
        if one.body_id is None or one.asked or not begins <= today <= days.shifted(begins, ladder.LASTS):
            continue
        text = say("planner.overdue", what=one.what, due_on=one.due_on, days=CALLED_AFTER)
        if (one.body_id, text) not in said:
            for person_id in one.people["holder"] or one.people["head"]:
                yield one.body_id, one.due_on, {"person": person_id, "delivery": None, "text": text}


def _silent(db: Session, now: datetime) -> _Lines:
    """Who has acknowledged nothing a day after the last nudge: body, the date asked for, and line."""
    midnight = now.astimezone(LOCAL).replace(hour=0, minute=0, second=0, microsecond=0)
    for broadcast in broadcasts.nudged_out(db, midnight - calls.KEPT, midnight):
        sent = broadcasts.messages(db, broadcast)
        text = say("calling.silent", broadcast=broadcast)
        for party in acknowledgements.silent(db, broadcast):
            for one in acknowledgements.nudge_lines([party]):
                if one.body_id is not None and one.person_id is not None:
                    delivery = sent.get(deliveries.person(one.person_id), 0)
                    line = {"person": one.person_id, "delivery": delivery, "text": text, "broadcast": broadcast.id}
                    yield one.body_id, broadcast.due_on or midnight.date(), line
