"""Conversations and exchanges. What was said and replied is encrypted at rest.

What every turn asks is one statement made once. What it writes is put off until the session is asked for something
else, or to the commit, so that turns in one transaction write together. Both would else be most of a turn's time.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from pydantic_core import from_json
from sqlalchemy import (
    BindParameter,
    ColumnElement,
    Connection,
    Row,
    and_,
    bindparam,
    event,
    exists,
    func,
    insert,
    inspect,
    literal_column,
    select,
    true,
    update,
)
from sqlalchemy.orm import ORMExecuteState, Session, SessionTransaction
from sqlalchemy.sql.visitors import ExternallyTraversible, replacement_traverse

from storage import bindings, deliveries, scope, secrets
from storage.db import hold, json_text
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
_LEFT = ("flow", "answers", "options", "rest", "before", "facts", "touched_at")
_NOTHING = select(literal_column("1")).subquery()
_HERE = and_(Conversation.channel == bindparam("channel"), Conversation.address == bindparam("address"))
_KNOWN: tuple[ColumnElement[Any], ...] = (
    _STORED.scalar_subquery().label("stored"),
    bindings.SPEAKS_FOR.scalar_subquery().label("person_id"),
    exists(deliveries.WAITS).label("waits"),
    *(_TABLES["conversation"].c[name] for name in ("id", *_LEFT)),
)
_ARRIVAL = select(*_KNOWN).select_from(_NOTHING.outerjoin(_TABLES["conversation"], _HERE))
_ASKED = func.json_each(bindparam("asked")).table_valued("key", "value", name="asked")
_PLACES = ("channel", "address", "message_id", "recipient")


def _replaced(expression: ColumnElement[Any]) -> ColumnElement[Any]:
    """With the values in the list of what is asked in place of parameters."""

    def value(element: ExternallyTraversible, **_: Any) -> ColumnElement[Any] | None:  # Any: SQLAlchemy's to use
        if isinstance(element, BindParameter) and element.key in _PLACES:
            return _ASKED.c.value.op("->>")(literal_column(str(_PLACES.index(element.key))))
        return None

    made: ColumnElement[Any] = replacement_traverse(expression, {}, value)
    return made


_ARRIVALS = (  # the same statement for many at a time, in SQLite's words
    select(*(_replaced(one) for one in _KNOWN))
    .select_from(_ASKED.outerjoin(_TABLES["conversation"], _replaced(_HERE)))
    .order_by(_ASKED.c.key)
)
_BEGIN = insert(_TABLES["conversation"])
_KEEP = update(_TABLES["conversation"]).where(Conversation.id == bindparam("number"))
_RECORD = insert(_TABLES["exchange"])
_EXCHANGE = select(Exchange.id).where(
    Exchange.channel == bindparam("of_channel"), Exchange.message_id == bindparam("of_message")
)
# inline: a question's number would be of no use, and is not for everybody to see
_RECORD_QUESTION = insert(_TABLES["question"]).values(exchange_id=_EXCHANGE.scalar_subquery()).inline()
_NEW = inspect(Conversation).class_manager.new_instance
_OWED = "owed"  # the key in a session's info of what turns have put off
_FORESEEN = "foreseen"  # and of what has been read for the turns to come


@dataclass(frozen=True, kw_only=True)
class Arrival:
    """What is known when a message comes: the reply it got before, whom its address speaks for, and what is there.

    `waits` says whether something waits for the address itself; `conversation` is that with the address, not with the
    person behind it, and belongs to no session.
    """

    reply: dict[str, Any] | None
    person_id: int | None
    waits: bool
    conversation: Conversation | None


@dataclass(kw_only=True)
class _Owed:
    """The rows that turns have put off: conversations begun and gone on with, exchanges, questions."""

    connection: Connection
    begun: list[dict[str, Any]] = field(default_factory=list)
    kept: list[dict[str, Any]] = field(default_factory=list)
    exchanges: list[dict[str, Any]] = field(default_factory=list)
    questions: list[dict[str, Any]] = field(default_factory=list)
    of: set[tuple[str, str]] = field(default_factory=set)  # the channels with the addresses and messages they are of


def said(db: Session, exchange: Exchange) -> str:
    """What was said; empty when nothing was."""
    return secrets.decrypt(db, exchange.said) if exchange.said else ""


def reply(db: Session, exchange: Exchange) -> dict[str, Any]:
    """The JSON of what was replied."""
    return _reply(db, exchange.reply)


def _reply(db: Session, stored: str) -> dict[str, Any]:
    found: dict[str, Any] = from_json(secrets.decrypt(db, stored))
    return found


def write(db: Session, exchange: Exchange, said: str, reply: Mapping[str, Any]) -> None:
    """Put into an exchange, encrypted, what was said and replied."""
    exchange.said, exchange.reply = _encrypted(db, said, reply)


def _encrypted(db: Session, said: str, reply: Mapping[str, Any]) -> tuple[str, str]:
    return secrets.encrypt(db, said) if said else "", secrets.encrypt(db, json_text(reply))


def stored_reply(db: Session, channel: str, message_id: str) -> dict[str, Any] | None:
    """The reply that a message got before; None for a new message."""
    found = db.connection().scalar(_STORED, {"channel": channel, "message_id": message_id})
    return None if found is None else _reply(db, found)


def foresee(db: Session, messages: Sequence[tuple[str, str, str]]) -> None:
    """Read, on SQLite, what `arrival` will be asked about these messages (channel, address, id), all at once.

    It is good until the transaction writes something.
    """
    asked = [_asked(*one) for one in messages]
    rows = db.connection().execute(_ARRIVALS, {"asked": json_text(asked)})
    db.info[_FORESEEN] = _changes(db), dict(zip(asked, rows, strict=True))


def _asked(channel: str, address: str, message_id: str) -> tuple[str, str, str, str]:
    """What _PLACES names."""
    return channel, address, message_id, deliveries.address(channel, address)


def _foreseen(db: Session, asked: tuple[str, str, str, str]) -> Row[Any] | None:
    changes, rows = db.info.get(_FORESEEN, (0, {}))
    found: Row[Any] | None = rows.get(asked)
    return found if found is not None and changes == _changes(db) else None


def _changes(db: Session) -> int:
    """How many rows this connection to SQLite has written so far."""
    driver: Any = db.connection().connection.driver_connection  # Any: the standard library's sqlite3 or pysqlite3
    return int(driver.total_changes)


def arrival(db: Session, channel: str, address: str, message_id: str) -> Arrival:
    """What is known of a message and of the address it comes from."""
    owed = _owed(db)
    if (channel, address) in owed.of or (channel, message_id) in owed.of:
        settle(db)
    asked = _asked(channel, address, message_id)
    each = dict(zip(_PLACES, asked, strict=True))
    found: Sequence[Any] = _foreseen(db, asked) or db.connection().execute(_ARRIVAL, each).one()
    stored, person_id, waits, number, *left = found
    held = {"id": number, "channel": channel, "address": address, **dict(zip(_LEFT, left, strict=True))}
    return Arrival(
        reply=None if stored is None else _reply(db, stored),
        person_id=person_id,
        waits=waits,
        conversation=None if number is None else _loaded(held),
    )


def _loaded(held: dict[str, Any]) -> Conversation:
    """A conversation with what its row holds, as a query would load it; its constructor takes each value for a change."""
    made: Conversation = _NEW()
    vars(made).update(held)
    return made


def open_conversation(
    db: Session, arrived: Arrival, channel: str, address: str, user: Person | None, now: datetime
) -> Conversation:
    """The conversation with a person, on whatever channel, or with an address; begun when there is none.

    A person's is the session's: what they do may change their other rows, and this one among them.
    """
    if user is not None:
        channel, address = "person", str(user.id)
        hold(db, f"person:{user.id}")  # the person may be writing on another channel too
        held = db.scalar(_HELD, {"channel": channel, "address": address})
    else:
        held = arrived.conversation
    if held is not None:
        return held
    begun = Conversation(
        channel=channel, address=address, answers=[], options=[], rest="", before={}, facts={}, touched_at=now
    )
    if user is not None:
        db.add(begun)
    return begun


def close_conversation(db: Session, conversation: Conversation) -> None:
    """Write what a turn leaves in its conversation, which the session lets go."""
    if inspect(conversation).pending:
        return  # it is a person's and new: the next flush inserts it
    if conversation in db:
        db.expunge(conversation)
    owed, left = _owed(db), {name: getattr(conversation, name) for name in _LEFT}
    channel, address = conversation.channel, conversation.address
    owed.of.add((channel, address))
    if conversation.id is None:
        owed.begun.append({"channel": channel, "address": address, **left})
    else:
        owed.kept.append({"number": conversation.id, **left})


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
    owed, words = _owed(db), dict(zip(("said", "reply"), _encrypted(db, said, reply), strict=True))
    owed.of.add((exchange["channel"], exchange["message_id"]))
    owed.exchanges.append({**exchange, **words})
    answer = reply["answer"]
    if answer is None or answer["kind"] == "chat":
        return
    body_id = asker.body_id if asker is not None else None
    own = next((one.division_code for one in scope.viewer_of(db).grants if one.division_code), home)
    question = {
        "of_channel": exchange["channel"],
        "of_message": exchange["message_id"],
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
    owed.questions.append(question)


def _owed(db: Session) -> _Owed:
    owed: _Owed | None = db.info.get(_OWED)
    if owed is None:
        owed = db.info[_OWED] = _Owed(connection=db.connection())
    return owed


@event.listens_for(Session, "before_commit")
def settle(db: Session) -> None:
    """Write what turns have put off.

    It passes the guard of writes: anybody may ask, also who sees nothing of where the question goes.
    """
    owed: _Owed | None = db.info.pop(_OWED, None)
    if owed is None or not owed.of:
        return
    rows = ((_BEGIN, owed.begun), (_KEEP, owed.kept), (_RECORD, owed.exchanges), (_RECORD_QUESTION, owed.questions))
    for statement, put_off in rows:
        if put_off:
            owed.connection.execute(statement, put_off)


@event.listens_for(Session, "after_transaction_create")
def _settle_outside(db: Session, begun: SessionTransaction) -> None:
    """Write before a savepoint begins: one that is undone would take other people's turns along."""
    if begun.nested:
        settle(db)


@event.listens_for(Session, "after_soft_rollback")
def _forget(db: Session, _undone: SessionTransaction) -> None:
    """What is undone is not written either; what came before a savepoint has been written before it."""
    db.info.pop(_OWED, None)


@event.listens_for(Session, "do_orm_execute")
def _settle_first(state: ORMExecuteState) -> None:
    settle(state.session)


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
