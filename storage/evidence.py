"""Evidence: the files that prove an item is rectified, each for a line of its category's checklist or for the whole."""

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import select
from sqlalchemy.orm import Session

from storage import scope
from storage.models import MADE, Evidence, File, Item

VISIT = "现场考察"  # the line of photos that a visit of the province has taken
_EVER = ("stored", "pending", "refused", "lost", "quarantined")


def hashes(db: Session, item_id: int) -> list[str]:
    """The hashes of the files that stand as an item's evidence."""
    wanted = (
        select(File.sha256)
        .join(Evidence, Evidence.file_id == File.id)
        .where(Evidence.item_id == item_id, Evidence.withdrawn_at.is_(None))
        .where(File.sha256.is_not(None), File.state != "quarantined")
    )
    return sorted(one for one in db.scalars(wanted) if one)


def standing(db: Session, item: Item, *states: str) -> list[Evidence]:
    """What stands as an item's evidence in this round; with `states`, those whose files are in one of them.

    A file that could not be fetched proves nothing: without `states` only stored and pending ones are named.
    """
    wanted = (
        select(Evidence)
        .join(File, File.id == Evidence.file_id)
        .where(Evidence.item_id == item.id, Evidence.round == item.round, Evidence.withdrawn_at.is_(None))
        .where(File.state.in_(states or ("stored", "pending")))
    )
    return list(db.scalars(wanted.order_by(Evidence.id)))


def materials(db: Session, item: Item) -> list[tuple[Evidence, File]]:
    """What can be opened of an item's evidence in this round, and what is shut away, in order."""
    wanted = (
        select(Evidence, File)
        .join(File, File.id == Evidence.file_id)
        .where(Evidence.item_id == item.id, Evidence.round == item.round, Evidence.withdrawn_at.is_(None))
        .where(File.state.in_(("stored", "quarantined")))
    )
    return [(proof, file) for proof, file in db.execute(wanted.order_by(Evidence.id))]


def elsewhere(db: Session, item: Item) -> list[Item]:
    """The other items that the viewer sees and that the same bytes stand for."""
    own = hashes(db, item.id)
    wanted = (
        select(Item)
        .join(Evidence, Evidence.item_id == Item.id)
        .join(File, File.id == Evidence.file_id)
        .where(File.sha256.in_(own), Item.id != item.id, Evidence.withdrawn_at.is_(None))
        .distinct()
    )
    return list(db.scalars(wanted.order_by(Item.id))) if own else []


def attach(db: Session, item: Item, file_ids: Sequence[int], line: str, now: datetime) -> None:
    """Let files stand as evidence of an item, for a line of its checklist. The event is the caller's."""
    known = {one.file_id for one in standing(db, item, *_EVER)}
    db.add_all(
        Evidence(
            item_id=item.id,
            body_id=item.body_id,
            file_id=file_id,
            line=line,
            round=item.round,
            person_id=scope.viewer_of(db).person_id,
            at=now,
        )
        for file_id in file_ids
        if file_id not in known
    )
    db.flush()


def loose_files(db: Session, person_id: int, since: datetime) -> list[int]:
    """The files that somebody sent from a time on, for no other purpose, and that stand for no item yet."""
    used = select(Evidence.file_id)
    wanted = select(File.id).where(
        File.person_id == person_id, File.purpose == "", File.channel != MADE, File.at >= since,
        File.state.in_(("pending", "stored")), File.id.not_in(used),
    )  # fmt: skip
    return list(db.scalars(wanted.order_by(File.id)))
