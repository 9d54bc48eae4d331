"""Files that people sent: a row when the message comes, the bytes' hash once they are fetched."""

from datetime import datetime
from typing import Literal

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from storage.models import File
from storage.scope import viewer_of

State = Literal["pending", "stored", "refused", "lost"]


def receive(
    db: Session,
    *,
    channel: str,
    address: str,
    person_id: int | None,
    body_id: int | None,
    media_id: str,
    name: str,
    mime: str,
    now: datetime,
    sha256: str = "",
    size: int = 0,
) -> File:
    """Note that a file was sent; its bytes are fetched after the turn, unless they lie under `sha256` already."""
    file = File(
        channel=channel,
        address=address,
        person_id=person_id,
        body_id=body_id,
        media_id=None if sha256 else media_id,
        name=name[:255],
        mime=mime[:128],
        state="stored" if sha256 else "pending",
        sha256=sha256 or None,
        size=size,
        at=now,
    )
    db.add(file)
    db.flush()
    return file


def made(
    db: Session,
    *,
    name: str,
    mime: str,
    sha256: str,
    size: int,
    body_id: int | None,
    division_code: str | None,
    now: datetime,
) -> File:
    """Note a file that the program made for the viewer; its bytes lie under `sha256`."""
    person_id = viewer_of(db).person_id
    file = File(
        channel="made",
        address=f"person:{person_id}",
        person_id=person_id,
        body_id=body_id,
        division_code=division_code,
        name=name[:255],
        mime=mime,
        state="stored",
        purpose="made",
        sha256=sha256,
        size=size,
        at=now,
    )
    db.add(file)
    db.flush()
    return file


def ended(db: Session, before: datetime, limit: int) -> list[str]:
    """Give up files that were made before a time; the hashes of their bytes, which nothing else has."""
    wanted = select(File).where(File.purpose == "made", File.state == "stored", File.at < before)
    found = list(db.scalars(wanted.order_by(File.id).limit(limit)))
    digests = [file.sha256 for file in found if file.sha256]
    for file in found:
        file.state, file.reason, file.sha256 = "lost", "ended", None
    return digests


def last_sent(db: Session, person_id: int, since: datetime) -> File | None:
    """The last file that somebody sent from a time on."""
    wanted = select(File).where(File.person_id == person_id, File.purpose != "made", File.at >= since)
    return db.scalars(wanted.order_by(File.id.desc()).limit(1)).first()


def count_since(db: Session, channel: str, address: str, since: datetime) -> int:
    """How many files an address has sent from a time on."""
    wanted = select(func.count()).where(File.channel == channel, File.address == address, File.at >= since)
    return db.scalar(wanted) or 0


def known(db: Session, sha256: str) -> bool:
    """Whether somebody's file with this hash is stored."""
    return db.scalars(select(File.id).where(File.sha256 == sha256).limit(1)).first() is not None


def pending(db: Session) -> list[File]:
    """What is still to be fetched, oldest first."""
    return list(db.scalars(select(File).where(File.state == "pending").order_by(File.id)))


def stored(db: Session, number: int, *, sha256: str, mime: str, size: int) -> None:
    """The bytes are there. `mime` is what they are, not what the platform called them."""
    file = db.get_one(File, number)
    file.state, file.sha256, file.mime, file.size, file.media_id = "stored", sha256, mime, size, None


def tried(db: Session, number: int, state: State, reason: str) -> File:
    """A fetch failed: `pending` tries again, `refused` and `lost` do not."""
    file = db.get_one(File, number)
    file.state, file.reason = state, reason[:128]
    file.attempts += 1
    return file
