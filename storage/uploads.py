"""Upload links: short-lived, for one sender, known by the digest of their token only."""

from datetime import datetime, timedelta
from secrets import token_urlsafe

from sqlalchemy import select
from sqlalchemy.orm import Session

from storage.models import UploadLink
from storage.secrets import digest

LASTS = timedelta(minutes=30)
MOST_FILES = 20  # through one link
MOST_BYTES = 200_000_000  # through one link
MOST_BYTES_A_DAY = 1_000_000_000  # of one sender, whichever way they come


def make(db: Session, channel: str, address: str, person_id: int, now: datetime) -> str:
    """A link for somebody's files; its token, which is stored nowhere."""
    token = token_urlsafe(24)
    db.add(
        UploadLink(
            token_digest=digest(db, token),
            channel=channel,
            address=address,
            person_id=person_id,
            at=now,
            expires_at=now + LASTS,
        )
    )
    return token


def find(db: Session, token: str, now: datetime) -> UploadLink | None:
    """The link of a token that has not expired."""
    wanted = select(UploadLink).where(UploadLink.token_digest == digest(db, token), UploadLink.expires_at > now)
    return db.scalars(wanted).one_or_none()
