"""Conversations and exchanges. What was said and replied is encrypted at rest.

What every turn asks and writes is a statement made once, without the unit of work: together they are most of its time.
"""

import json
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import bindparam, insert, inspect, select, true, update
from sqlalchemy.orm import Session

from storage import scope, secrets
from storage.db import hold
from storage.models import Base, Conversation, Exchange, Person

PUSH = "push"
EVENT = "event:"  # begins the message id of what was not written but pressed, scanned or reported
_TABLES = Base.metadata.tables
_STORED = select(_TABLES["exchange"].c.reply).where(
    Exchange.channel == bindparam("channel"), Exchange.message_id == bindparam("message_id")
)
_HELD = select(Conversation).where(
    Conversation.channel == bindparam("channel"), Conversation.address == bindparam("address")
)
_KEEP = update(_TABLES["conversation"]).where(Conversation.id == bindparam("number"))
_LEFT = ("flow", "answers", "options", "rest", "before", "facts", "touched_at")
_RECORD, _RECORD_QUESTION = insert(_TABLES["exchange"]), insert(_TABLES["question"])


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
    exchange.said, exchange.reply = _encrypted(db, said, reply)


def _encrypted(db: Session, said: str, reply: Mapping[str, Any]) -> tuple[str, str]:
    return secrets.encrypt(db, said) if said else "", secrets.encrypt(db, json.dumps(reply, ensure_ascii=False))


def stored_reply(db: Session, channel: str, message_id: str) -> dict[str, Any] | None:
    """The reply that a message got before; None for a new message."""
    found = db.connection().scalar(_STORED, {"channel": channel, "message_id": message_id})
    return None if found is None else _reply(db, found)


def open_conversation(db: Session, channel: str, address: str, user: Person | None, now: datetime) -> Conversation:
    """The conversation with a person, on whatever channel, or with an address; begun when there is none."""
    if user is not None:
        channel, address = "person", str(user.id)
        hold(db, f"person:{user.id}")  # the person may be writing on another channel too
    conversation = db.scalar(_HELD, {"channel": channel, "address": address})
    if conversation is None:
        conversation = Conversation(
            channel=channel, address=address, answers=[], options=[], rest="", before={}, facts={}, touched_at=now
        )
        db.add(conversation)
    return conversation


def close_conversation(db: Session, conversation: Conversation) -> None:
    """Write what a turn leaves in its conversation, which the session lets go."""
    if inspect(conversation).pending:
        return  # it is new: the next flush inserts it
    db.expunge(conversation)
    left = {name: getattr(conversation, name) for name in _LEFT}
    db.connection().execute(_KEEP, {"number": conversation.id, **left})


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
    db: Session,
    exchange: Mapping[str, Any],
    said: str,
    reply: Mapping[str, Any],
    asker: Person | None,
    home: str | None,
) -> None:
    """Store an exchange and, for a policy question, how it was answered and whose it is.

    `exchange` has the columns but those of what was said and replied. `home` is the code of the installation's
    province.
    """
    words = dict(zip(("said", "reply"), _encrypted(db, said, reply), strict=True))
    stored = db.connection().execute(_RECORD, {**exchange, **words}).inserted_primary_key
    answer = reply["answer"]
    if answer is None or answer["kind"] == "chat":
        return
    body_id = asker.body_id if asker is not None else None
    own = next((one.division_code for one in scope.viewer_of(db).grants if one.division_code), home)
    assert stored is not None  # one row was inserted
    question = {
        "exchange_id": stored.id,
        "body_id": body_id,
        "division_code": own if body_id is None else None,
        "text": said,
        "kind": answer["kind"],
        "status": answer["status"],
        "verdict": answer["verdict"],
        "score": answer["score"],
        "edition": exchange["edition"],
        "at": exchange["at"],
    }
    # past the guard of writes: anybody may ask, also who sees nothing of where the question goes
    db.connection().execute(_RECORD_QUESTION, question)


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
    return db.connection().scalar(_SPOKE_AT, {"channel": channel, "address": address})


_SPOKE_AT = (  # made once: every message that is pushed asks it
    select(Exchange.at)
    .where(
        Exchange.channel == bindparam("channel"),
        Exchange.address == bindparam("address"),
        Exchange.route != PUSH,
        Exchange.message_id.not_like(f"{EVENT}%"),
    )
    .order_by(Exchange.id.desc())
    .limit(1)
)


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
