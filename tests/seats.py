"""People of the tests at their terminals."""

from datetime import datetime

from sqlalchemy.orm import Session, sessionmaker

from storage import bindings, bodies, people
from storage.db import transaction
from storage.scope import SYSTEM, serving


def seat(
    sessions: sessionmaker[Session],
    who: str,
    role: str,
    now: datetime,
    *,
    body_id: int | None = None,
    division: str | None = None,
) -> int:
    """Somebody called 样例`who` with a role, bound to the terminal address `who`; their number."""
    with transaction(sessions) as db, serving(db, SYSTEM):
        if division:
            bodies.division(db, division)
        made, _ = people.find_or_add(db, name=f"样例{who}", body_id=body_id, now=now)
        people.give_role(db, made, role, body_id=body_id, division_code=division, now=now)
        bindings.bind(db, made, "terminal", who, now)
        made.consent, made.consent_at, made.verified_at, made.seen_at = "2026-1", now, now, now
        return made.id
