"""The guided checks that people went through: their answers, kept to be shown and printed again."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from storage import audit
from storage.models import CheckResult
from storage.scope import viewer_of


def keep(
    db: Session,
    body_id: int,
    batch_year: int,
    name: str,
    answers: Mapping[str, Any],  # Any: JSON
    *,
    edition: str,
    now: datetime,
    role: str,
) -> CheckResult:
    """Store the answers of a check."""
    result = CheckResult(
        body_id=body_id,
        batch_year=batch_year,
        name=name,
        answers=dict(answers),
        edition=edition,
        person_id=viewer_of(db).person_id,
        at=now,
    )
    db.add(result)
    db.flush()
    after = {"name": name, "batch_year": batch_year}
    audit.record(db, "check.keep", f"check:{result.id}", now=now, role=role, body_id=body_id, after=after)
    return result


def find(db: Session, number: int) -> CheckResult | None:
    """A check by its number, when the viewer sees it."""
    return db.scalars(select(CheckResult).where(CheckResult.id == number)).one_or_none()


def recent(db: Session, limit: int, body_id: int | None = None) -> list[CheckResult]:
    """The last checks of a body, or of whatever the viewer sees, the newest first."""
    wanted = select(CheckResult)
    if body_id is not None:
        wanted = wanted.where(CheckResult.body_id == body_id)
    return list(db.scalars(wanted.order_by(CheckResult.id.desc()).limit(limit)))
