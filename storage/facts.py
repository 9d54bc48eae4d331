"""What is known of a body and of its demonstration years, each value with its day and where it came from."""

from datetime import date, datetime

from sqlalchemy import or_, select
from sqlalchemy.orm import Session

from storage import audit
from storage.models import Fact
from storage.scope import viewer_of

OF_BODY = ("poverty_county",)  # the rest hold for a demonstration year
OF_YEAR = ("evaluated", "evaluation_year", "projects_complete", "acceptance_done")


def newest(db: Session, body_id: int, batch_year: int | None) -> dict[str, Fact]:
    """The value that holds for each key: of the body, and of one of its years when that is given."""
    wanted = select(Fact).where(Fact.body_id == body_id, or_(Fact.batch_year.is_(None), Fact.batch_year == batch_year))
    return {fact.key: fact for fact in db.scalars(wanted.order_by(Fact.as_of, Fact.id))}


def add(
    db: Session,
    body_id: int,
    key: str,
    value: str,
    *,
    batch_year: int | None,
    as_of: date,
    source: str,
    now: datetime,
    role: str,
    reason: str = "",
) -> Fact | None:
    """Store a value; None when it is what holds already. `batch_year` is ignored for what concerns the whole body."""
    batch_year = None if key in OF_BODY else batch_year
    before = newest(db, body_id, batch_year).get(key)
    if before is not None and before.value == value and before.as_of >= as_of:
        return None
    fact = Fact(
        body_id=body_id,
        batch_year=batch_year,
        key=key,
        value=value,
        as_of=as_of,
        source=source,
        person_id=viewer_of(db).person_id,
        at=now,
    )
    db.add(fact)
    db.flush()
    audit.record(
        db,
        "fact.add",
        f"fact:{fact.id}",
        now=now,
        role=role,
        body_id=body_id,
        before={"value": before.value, "as_of": before.as_of.isoformat()} if before else None,
        after={"key": key, "value": value, "as_of": as_of.isoformat(), "batch_year": batch_year, "source": source},
        reason=reason,
    )
    return fact
