"""Whom no channel reached, and who is silent after the last nudge, becomes a call to their county."""

from collections import Counter, defaultdict
from collections.abc import Iterator
from datetime import date, datetime, timedelta
from typing import Any

from sqlalchemy.orm import Session

from bot import planner
from bot.texts import say
from bot.workdays import LOCAL
from knowledge.base import KnowledgeBase
from storage import acknowledgements, broadcasts, calls, deliveries, reminders

LOOKS_BACK = timedelta(days=2)
Line = dict[str, Any]  # Any: JSON of a call's line


def collect(db: Session, kb: KnowledgeBase, now: datetime) -> Counter[str]:
    """Put on the hotline's list, one call a county and day, whom nothing reached today and who acknowledges nothing.

    The program itself asks.
    """
    today = now.astimezone(LOCAL).date()
    silent = list(_silent(db, now))
    calls.settle(db, today - calls.KEPT, {(body_id, line["broadcast"]) for body_id, _, line in silent})
    lines: dict[int, list[Line]] = defaultdict(list)
    due: dict[int, date] = {}
    told = calls.told(db, today - calls.KEPT)
    fresh = [one for one in silent if (one[0], one[2]["broadcast"]) not in told]
    for body_id, due_on, line in (*_unreached(db, kb, now), *fresh):
        lines[body_id].append(line)
        due[body_id] = min(due.get(body_id, due_on), due_on)
    for body_id, said in lines.items():
        calls.put(db, body_id, today, said, due[body_id], now)
    return Counter(calls=len(lines)) if lines else Counter()


def _unreached(db: Session, kb: KnowledgeBase, now: datetime) -> Iterator[tuple[int, date, Line]]:
    """Today's reminders that reached nobody: body, legal date and line."""
    today = now.astimezone(LOCAL).date()
    failed = [one for one in calls.unreached(db, now - LOOKS_BACK) if one.at.astimezone(LOCAL).date() == today]
    rows = [(one, row) for one in failed for row in reminders.lines(db, one.id)]
    found = {one.key: one for one in planner.subjects(db, kb, {row.subject for _, row in rows})} if rows else {}
    for delivery, row in rows:
        subject = found.get(row.subject)
        if subject is not None and subject.body_id is not None:
            line = {"person": row.person_id, "delivery": delivery.id, "text": subject.what}
            yield subject.body_id, row.due_on, line


def _silent(db: Session, now: datetime) -> Iterator[tuple[int, date, Line]]:
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
