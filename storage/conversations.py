"""Conversations and exchanges."""

from datetime import datetime
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from storage.models import Conversation, Exchange, Person, Question


def stored_reply(db: Session, channel: str, message_id: str) -> dict[str, Any] | None:
    """The reply that a message got before; None for a new message."""
    found = select(Exchange.reply).where(Exchange.channel == channel, Exchange.message_id == message_id)
    return db.scalars(found).one_or_none()


def open_conversation(db: Session, channel: str, address: str, user: Person | None, now: datetime) -> Conversation:
    """The conversation with a person, on whatever channel, or with an address; begun when there is none."""
    if user is not None:
        channel, address = "person", str(user.id)
    wanted = select(Conversation).where(Conversation.channel == channel, Conversation.address == address)
    conversation = db.scalars(wanted).one_or_none()
    if conversation is None:
        conversation = Conversation(
            channel=channel, address=address, answers=[], options=[], rest="", before={}, facts={}, touched_at=now
        )
        db.add(conversation)
    return conversation


def record_exchange(db: Session, exchange: Exchange, answer: dict[str, Any] | None) -> None:
    """Store an exchange and, for a policy question, how it was answered."""
    db.add(exchange)
    db.flush()
    if answer is None or answer["kind"] == "chat":
        return
    db.add(
        Question(
            exchange_id=exchange.id,
            text=exchange.said,
            kind=answer["kind"],
            status=answer["status"],
            verdict=answer["verdict"],
            score=answer["score"],
            edition=exchange.edition,
            at=exchange.at,
        )
    )


def recent_exchanges(db: Session, channel: str, address: str, limit: int) -> list[Exchange]:
    """The last exchanges with an address, oldest first."""
    wanted = select(Exchange).where(Exchange.channel == channel, Exchange.address == address)
    return list(reversed(db.scalars(wanted.order_by(Exchange.id.desc()).limit(limit)).all()))
