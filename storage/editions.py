"""Published editions of the knowledge."""

from datetime import datetime

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from storage.db import hold
from storage.models import Edition


def edition_number(db: Session, digest: str, files: bytes, now: datetime) -> int:
    """The number of the edition with this digest, published now as the next one when it is new."""
    hold(db, "edition")  # another process may be starting too
    known = db.scalars(select(Edition.number).where(Edition.digest == digest)).one_or_none()
    if known is not None:
        return known
    number = (db.scalar(select(func.max(Edition.number))) or 0) + 1
    db.add(Edition(number=number, digest=digest, files=files, published_at=now))
    return number
