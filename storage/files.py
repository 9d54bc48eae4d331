"""Files that people sent: a row when the message comes, the bytes' hash once they are fetched, and who may open them."""

import hmac
import re
from datetime import UTC, datetime, timedelta
from typing import Literal

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from storage import bindings, items, scope
from storage.models import MADE, Evidence, File, Person
from storage.secrets import digest

State = Literal["pending", "stored", "refused", "lost", "quarantined"]
_TICKET = re.compile(r"(\d{1,9}):(\d{1,9})-(\d{1,11})-([0-9a-f]{32})", re.ASCII)
OPEN_FOR = timedelta(minutes=30)  # how long a link to a file is good


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


def sent_since(db: Session, channel: str, address: str, since: datetime) -> tuple[int, int]:
    """How many files an address has sent from a time on, and their bytes together as far as they are known."""
    wanted = select(func.count(File.id), func.coalesce(func.sum(File.size), 0)).where(
        File.channel == channel, File.address == address, File.at >= since
    )
    count, size = db.execute(wanted).one()
    return count, int(size)


def last_sent(db: Session, person_id: int, since: datetime) -> File | None:
    """The last file that somebody sent from a time on."""
    wanted = select(File).where(File.person_id == person_id, File.channel != MADE, File.at >= since)
    return db.scalars(wanted.order_by(File.id.desc()).limit(1)).first()


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


def made(
    db: Session, *, person_id: int, body_id: int | None, name: str, mime: str, sha256: str, size: int, now: datetime
) -> File:
    """Note a file that the program made for somebody, of a body or else of their province; bytes under `sha256`."""
    file = File(
        channel=MADE, address=f"person:{person_id}", person_id=person_id, body_id=body_id, name=name[:255], mime=mime,
        division_code=scope.viewer_of(db).division if body_id is None else None, state="stored", sha256=sha256,
        size=size, at=now,
    )  # fmt: skip
    db.add(file)
    db.flush()
    return file


def ended(db: Session, before: datetime, limit: int) -> list[str]:
    """Give up files that were made before a time; the hashes of bytes that nothing else has."""
    wanted = select(File).where(File.channel == MADE, File.state == "stored", File.at < before)
    with scope.serving(db, scope.SYSTEM):
        found = list(db.scalars(wanted.order_by(File.id).limit(limit)))
        digests = {file.sha256 for file in found if file.sha256}
        for file in found:
            file.state, file.reason, file.sha256 = "lost", "ended", None
        db.flush()
        return sorted(one for one in digests if not known(db, one))


# --- opening -----------------------------------------------------------------------------------------------------


def seen(db: Session, number: int) -> File | None:
    """A stored file that the viewer has sent, or that stands for an item which they may see; else None."""
    file: File | None = db.get(File, number)
    if file is None or file.state != "stored":
        return None
    if file.person_id is not None and file.person_id == scope.viewer_of(db).person_id:
        return file
    proves = select(Evidence.item_id).where(Evidence.file_id == number, Evidence.withdrawn_at.is_(None))
    for item_id in db.scalars(proves).all():
        try:
            items.seen(db, item_id)
        except items.NotFound:
            continue
        return file
    return None


def ticket(db: Session, number: int, person_id: int, now: datetime) -> str:
    """What opens a file for one person for a while; it is stored nowhere."""
    until = int((now + OPEN_FOR).timestamp())
    return f"{person_id}-{until}-{_seal(db, number, person_id, until)}"


def admit(db: Session, number: str, shown: str, now: datetime) -> File | None:
    """The file that a ticket opens, when its person is still bound and may still see it; they become the viewer."""
    match = _TICKET.fullmatch(f"{number}:{shown}")
    if match is None:
        return None
    file_id, person_id, until = int(match[1]), int(match[2]), int(match[3])
    if not hmac.compare_digest(match[4], _seal(db, file_id, person_id, until)):
        return None
    if now >= datetime.fromtimestamp(until, UTC) or not bindings.addresses(db, person_id):
        return None
    with scope.serving(db, scope.SYSTEM):
        person = db.get_one(Person, person_id)
    scope.enter(db, person, "web")
    return seen(db, file_id)


def _seal(db: Session, number: int, person_id: int, until: int) -> str:
    return digest(db, f"file:{number}:{person_id}:{until}")[:32]


# --- quarantine --------------------------------------------------------------------------------------------------


def quarantine(db: Session, file: File, reason: str) -> list[File]:
    """Shut away every stored file with the same bytes that the viewer reaches: nobody opens it, it proves nothing."""
    return _turned(db, file, "stored", "quarantined", reason)


def release(db: Session, file: File) -> list[File]:
    """Take files with the same bytes out of quarantine."""
    return _turned(db, file, "quarantined", "stored", "")


def _turned(db: Session, file: File, before: State, after: State, reason: str) -> list[File]:
    same = list(db.scalars(select(File).where(File.sha256 == file.sha256, File.state == before).order_by(File.id)))
    for one in same:
        one.state, one.reason = after, reason[:128]
    db.flush()
    return same


def quarantined(db: Session, sha256: str) -> bool:
    """Whether bytes with this hash have been shut away."""
    wanted = select(File.id).where(File.sha256 == sha256, File.state == "quarantined").limit(1)
    return db.scalars(wanted).first() is not None


def stored_by(db: Session, person_id: int, since: datetime) -> list[File]:
    """What a person has sent that is stored since a time, the newest first."""
    wanted = select(File).where(
        File.person_id == person_id, File.channel != MADE, File.state == "stored", File.at >= since
    )
    return list(db.scalars(wanted.order_by(File.id.desc())))
