"""What is to be sent: one row per recipient, put in the transaction that caused it, collected or handed over later."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Literal

from sqlalchemy import select
from sqlalchemy.orm import Session

from storage.models import Delivery

State = Literal[
    "queued", "claimed", "handing", "accepted", "acked", "failed", "unknown", "skipped", "expired", "cancelled"
]
Lane = Literal["reply", "confirmation", "reminder", "notice"]

LANES: Mapping[Lane, int] = {"reply": 0, "confirmation": 1, "reminder": 2, "notice": 3}
WAITING: tuple[State, ...] = ("queued",)


def person(number: int) -> str:
    """The recipient that a person is."""
    return f"person:{number}"


def address(channel: str, address: str) -> str:
    """The recipient that an address is, of somebody who is not bound."""
    return f"{channel}:{address}"


def put(
    db: Session,
    *,
    source: str,
    recipient: str,
    lane: Lane,
    reply: Mapping[str, Any],  # Any: a reply as JSON
    why: str,
    now: datetime,
    version: int = 1,
    not_before: datetime | None = None,
    not_after: datetime | None = None,
) -> Delivery | None:
    """Queue a message in the caller's transaction; None when the recipient has this version of it already."""
    same = select(Delivery.id).where(
        Delivery.source == source, Delivery.version == version, Delivery.recipient == recipient
    )
    if db.scalars(same).first() is not None:
        return None
    delivery = Delivery(
        source=source,
        version=version,
        recipient=recipient,
        lane=LANES[lane],
        reply=dict(reply),
        why=why,
        not_before=not_before or now,
        not_after=not_after,
        state="queued",
        at=now,
    )
    db.add(delivery)
    db.flush()
    return delivery


def collect(db: Session, recipients: Sequence[str], channel: str, now: datetime) -> list[Delivery]:
    """What waits for somebody who is just writing: it goes with the reply and counts as accepted now."""
    wanted = select(Delivery).where(
        Delivery.recipient.in_(recipients), Delivery.state.in_(WAITING), Delivery.not_before <= now
    )
    found = [one for one in db.scalars(wanted.order_by(Delivery.lane, Delivery.id)) if not _late(one, now)]
    for one in found:
        one.state, one.channel, one.handed_at, one.accepted_at = "accepted", channel, now, now
    return found


def _late(delivery: Delivery, now: datetime) -> bool:
    return delivery.not_after is not None and delivery.not_after < now
