"""Whom no channel reached becomes a call to their county."""

from collections import Counter, defaultdict
from datetime import date, datetime, timedelta
from typing import Any

from sqlalchemy.orm import Session

from bot import planner
from bot.workdays import LOCAL
from knowledge.base import KnowledgeBase
from storage import calls, reminders

LOOKS_BACK = timedelta(days=2)


def collect(db: Session, kb: KnowledgeBase, now: datetime) -> Counter[str]:
    """Put today's reminders that reached nobody on the hotline's list: one call a county. The program itself asks."""
    today = now.astimezone(LOCAL).date()
    lines: dict[int, list[dict[str, Any]]] = defaultdict(list)  # Any: JSON of a call's line
    due: dict[int, date] = {}
    failed = [one for one in calls.unreached(db, now - LOOKS_BACK) if one.at.astimezone(LOCAL).date() == today]
    rows = [(one, row) for one in failed for row in reminders.lines(db, one.id)]
    if not rows:
        return Counter()
    found = {one.key: one for one in planner.subjects(db, kb, {row.subject for _, row in rows})}
    for delivery, row in rows:
        subject = found.get(row.subject)
        if subject is None or subject.body_id is None:
            continue
        lines[subject.body_id].append({"person": row.person_id, "delivery": delivery.id, "text": subject.what})
        due[subject.body_id] = min(due.get(subject.body_id, row.due_on), row.due_on)
    for body_id, said in lines.items():
        calls.put(db, body_id, today, said, due[body_id], now)
    return Counter(calls=len(lines))
