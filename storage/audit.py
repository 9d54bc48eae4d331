"""The trail of changes: one row in the same transaction as each change, never altered afterwards."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from sqlalchemy.orm import Session

from storage.models import Audit
from storage.scope import viewer_of


def record(
    db: Session,
    action: str,
    subject: str,
    *,
    now: datetime,
    role: str,
    body_id: int | None = None,
    before: Mapping[str, Any] | None = None,  # Any: JSON values, personal ones masked by the caller
    after: Mapping[str, Any] | None = None,
    reason: str = "",
) -> None:
    """Write down a change by the session's viewer. `subject` is `table:id`; `role` is the one that allowed it."""
    viewer = viewer_of(db)
    db.add(
        Audit(
            at=now,
            person_id=viewer.person_id,
            role=role,
            channel=viewer.channel,
            action=action,
            subject=subject,
            body_id=body_id,
            division_code=viewer.division if body_id is None else None,
            before=dict(before or {}),
            after=dict(after or {}),
            reason=reason,
        )
    )
