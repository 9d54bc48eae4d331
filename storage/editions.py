"""Published editions of the knowledge, and which of them is current: every process loads that one."""

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import Row, func, select
from sqlalchemy.orm import Session

from storage import audit
from storage.db import hold
from storage.models import Edition, Switch

_CURRENT = "edition"  # the switch that holds the number
_PROGRAM = "program-files"  # the switch that holds the start of the digest of the files that came with the program
_SEEN = 32  # characters of a digest


def current_number(db: Session) -> int | None:
    """The number of the current edition: the one made current last, or else the newest."""
    switch = db.get(Switch, _CURRENT, populate_existing=True)
    return int(switch.value) if switch else db.scalar(select(func.max(Edition.number)))


def find(db: Session, number: int | None) -> Edition | None:
    """An edition by its number."""
    return db.get(Edition, number) if number is not None else None


def listed(db: Session) -> Sequence[Row[int, str, datetime, str, str]]:
    """Number, digest, time, by whom and why of every edition, the newest first."""
    columns = (Edition.number, Edition.digest, Edition.published_at, Edition.published_by, Edition.note)
    return db.execute(select(*columns).order_by(Edition.number.desc())).all()


def publish(
    db: Session, digest: str, files: bytes, now: datetime, *, by: str | None, note: str, role: str = "operator"
) -> int:
    """Make the edition with this digest current, a new one when there is none; its number.

    `by` is None for the program itself.
    """
    hold(db, "edition")  # another process may be publishing too
    number = db.scalars(select(Edition.number).where(Edition.digest == digest)).one_or_none()
    if number is None:
        number = (db.scalar(select(func.max(Edition.number))) or 0) + 1
        db.add(Edition(number=number, digest=digest, files=files, published_at=now, published_by=by or "", note=note))
    make_current(db, number, now, by=by, note=note, role=role)
    return number


def make_current(db: Session, number: int, now: datetime, *, by: str | None, note: str, role: str = "operator") -> None:
    """Let every process load this edition from now on."""
    hold(db, "edition")
    before = current_number(db)
    _switch(db, _CURRENT, str(number), now)
    if by is not None:
        audit.record(
            db, "edition.current", f"edition:{number}", now=now, role=role, before={"edition": before},
            after={"edition": number, "by": by}, reason=note,
        )  # fmt: skip
    db.flush()


def knows_program(db: Session, digest: str) -> bool:
    """Whether the files that came with the program are those of the last start."""
    switch = db.get(Switch, _PROGRAM)
    return switch is not None and switch.value == digest[:_SEEN]


def note_program(db: Session, digest: str, now: datetime) -> None:
    """Remember the files that came with the program."""
    _switch(db, _PROGRAM, digest[:_SEEN], now)


def _switch(db: Session, key: str, value: str, now: datetime) -> None:
    switch = db.get(Switch, key) or Switch(key=key)
    switch.value, switch.at = value, now
    db.add(switch)
