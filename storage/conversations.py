"""Conversations and exchanges. What was said and replied is encrypted at rest."""

import json
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import select, true
from sqlalchemy.orm import Session

from storage import scope, secrets
from storage.db import hold
from storage.models import Conversation, Exchange, Person, Question

PUSH = "push"
EVENT = "event:"  # begins the message id of what was not written but pressed, scanned or reported


def said(db: Session, exchange: Exchange) -> str:
    """What was said; empty when nothing was."""
    return secrets.decrypt(db, exchange.said) if exchange.said else ""


def reply(db: Session, exchange: Exchange) -> dict[str, Any]:
    """The JSON of what was replied."""
    return _reply(db, exchange.reply)


def _reply(db: Session, stored: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(secrets.decrypt(db, stored))
    return found


def write(db: Session, exchange: Exchange, said: str, reply: Mapping[str, Any]) -> None:
    """Put into an exchange, encrypted, what was said and replied."""
    exchange.said = secrets.encrypt(db, said) if said else ""
    exchange.reply = secrets.encrypt(db, json.dumps(reply, ensure_ascii=False))


def stored_reply(db: Session, channel: str, message_id: str) -> dict[str, Any] | None:
    """The reply that a message got before; None for a new message."""
    wanted = select(Exchange.reply).where(Exchange.channel == channel, Exchange.message_id == message_id)
    found = db.scalars(wanted).one_or_none()
    return None if found is None else _reply(db, found)


def open_conversation(db: Session, channel: str, address: str, user: Person | None, now: datetime) -> Conversation:
    """The conversation with a person, on whatever channel, or with an address; begun when there is none."""
    if user is not None:
        channel, address = "person", str(user.id)
        hold(db, f"person:{user.id}")  # the person may be writing on another channel too
    wanted = select(Conversation).where(Conversation.channel == channel, Conversation.address == address)
    conversation = db.scalars(wanted).one_or_none()
    if conversation is None:
        conversation = Conversation(
            channel=channel, address=address, answers=[], options=[], rest="", before={}, facts={}, touched_at=now
        )
        db.add(conversation)
    return conversation


def offered(db: Session, channel: str, address: str, message_id: str, since: datetime) -> list[dict[str, Any]]:
    """The options under the reply to a message, while nothing has been said after it, on whatever channel."""
    wanted = select(Exchange).where(
        Exchange.channel == channel, Exchange.address == address, Exchange.message_id == message_id
    )
    origin = db.scalars(wanted).one_or_none()
    if origin is None or origin.at < since:
        return []
    same = Exchange.person_id == origin.person_id if origin.person_id else Exchange.address == address
    here = true() if origin.person_id else Exchange.channel == channel
    if db.scalars(select(Exchange.id).where(same, here, Exchange.id > origin.id).limit(1)).first() is not None:
        return []
    options: list[dict[str, Any]] = reply(db, origin)["options"]
    return options


def record_exchange(
    db: Session, exchange: Exchange, said: str, reply: Mapping[str, Any], asker: Person | None, home: str | None
) -> None:
    """Store an exchange and, for a policy question, how it was answered and whose it is.

    `home` is the code of the installation's province.
    """
    write(db, exchange, said, reply)
    db.add(exchange)
    answer = reply["answer"]
    if answer is None or answer["kind"] == "chat":
        return
    body_id = asker.body_id if asker is not None else None
    own = next((one.division_code for one in scope.viewer_of(db).grants if one.division_code), home)
    with scope.serving(db, scope.SYSTEM):  # anybody may ask, also who sees nothing of where the question goes
        db.add(
            Question(
                exchange_id=exchange.id,
                body_id=body_id,
                division_code=own if body_id is None else None,
                text=said,
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


def last_exchange(db: Session, channel: str, address: str, without: Sequence[str]) -> Exchange | None:
    """The newest exchange with an address whose route is not one of `without`."""
    wanted = select(Exchange).where(
        Exchange.channel == channel, Exchange.address == address, Exchange.route.not_in(without)
    )
    return db.scalars(wanted.order_by(Exchange.id.desc()).limit(1)).one_or_none()


def spoke_at(db: Session, channel: str, address: str) -> datetime | None:
    """When an address last wrote something of its own; a menu button or another event (EVENT) is none."""
    wanted = select(Exchange.at).where(
        Exchange.channel == channel,
        Exchange.address == address,
        Exchange.route != PUSH,
        Exchange.message_id.not_like(f"{EVENT}%"),
    )
    return db.scalars(wanted.order_by(Exchange.id.desc()).limit(1)).one_or_none()


def record_push(db: Session, channel: str, address: str, key: str, reply: dict[str, Any], now: datetime) -> int:
    """Put a message that nobody asked for into an address's history, once per key; its number."""
    message_id = f"push:{key}"
    wanted = select(Exchange.id).where(Exchange.channel == channel, Exchange.message_id == message_id)
    known = db.scalars(wanted).one_or_none()
    if known is not None:
        return known
    pushed = Exchange(
        channel=channel,
        message_id=message_id,
        address=address,
        route=PUSH,
        edition="",
        at=now,
        took_ms=0,
    )
    write(db, pushed, "", reply)
    db.add(pushed)
    db.flush()
    return pushed.id


def pushed_since(db: Session, channel: str, address: str, after: int) -> list[Exchange]:
    """What was pushed to an address after the exchange with this number, oldest first."""
    wanted = select(Exchange).where(
        Exchange.channel == channel, Exchange.address == address, Exchange.id > after, Exchange.route == PUSH
    )
    return list(db.scalars(wanted.order_by(Exchange.id)))
