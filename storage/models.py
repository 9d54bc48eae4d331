"""Every table, top to bottom."""

from datetime import datetime
from typing import Any

from sqlalchemy import JSON, ForeignKey, Index, LargeBinary, MetaData, String, Text, UniqueConstraint
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from storage.db import UTCDateTime


class Base(DeclarativeBase):
    """The tables of countydesk. Constraints are named, so that a migration can change them on every database."""

    metadata = MetaData(
        naming_convention={
            "ix": "ix_%(table_name)s_%(column_0_name)s",
            "uq": "uq_%(table_name)s_%(column_0_name)s",
            "fk": "fk_%(table_name)s_%(column_0_name)s",
            "pk": "pk_%(table_name)s",
        }
    )
    type_annotation_map = {datetime: UTCDateTime, dict[str, Any]: JSON, list[Any]: JSON}


class Conversation(Base):
    """Where a person on a channel is: the form being filled, the choices offered, what was said and known."""

    __tablename__ = "conversation"
    __table_args__ = (UniqueConstraint("channel", "address"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    channel: Mapped[str] = mapped_column(String(16))
    address: Mapped[str] = mapped_column(String(128))
    flow: Mapped[str | None] = mapped_column(String(64))
    answers: Mapped[list[Any]] = mapped_column(default=list)  # [key, value] pairs in the order of answering
    options: Mapped[list[Any]] = mapped_column(default=list)  # {label, value} of the numbered list shown last
    rest: Mapped[str] = mapped_column(Text, default="")
    before: Mapped[dict[str, Any]] = mapped_column(default=dict)  # the last question and what answered it
    facts: Mapped[dict[str, Any]] = mapped_column(default=dict)  # fact key → {value, said_on}
    touched_at: Mapped[datetime]


class Exchange(Base):
    """A message and the reply it got. A repeated message gets the stored reply."""

    __tablename__ = "exchange"
    __table_args__ = (
        UniqueConstraint("channel", "message_id"),
        Index("ix_exchange_address", "channel", "address", "id"),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    channel: Mapped[str] = mapped_column(String(16))
    message_id: Mapped[str] = mapped_column(String(128))
    address: Mapped[str] = mapped_column(String(128))
    said: Mapped[str] = mapped_column(Text)
    reply: Mapped[dict[str, Any]]
    route: Mapped[str] = mapped_column(String(128))
    edition: Mapped[str] = mapped_column(String(32))
    at: Mapped[datetime]
    took_ms: Mapped[int]


class Question(Base):
    """A policy question with how it was answered, reproducible from its edition and date."""

    __tablename__ = "question"

    id: Mapped[int] = mapped_column(primary_key=True)
    exchange_id: Mapped[int] = mapped_column(ForeignKey("exchange.id"), index=True)
    text: Mapped[str] = mapped_column(Text)
    kind: Mapped[str] = mapped_column(String(16), index=True)
    status: Mapped[str | None] = mapped_column(String(16))
    verdict: Mapped[str | None] = mapped_column(String(16))
    score: Mapped[float]
    edition: Mapped[str] = mapped_column(String(32))
    at: Mapped[datetime] = mapped_column(index=True)
    ruling_id: Mapped[int | None] = mapped_column(ForeignKey("ruling.id"), index=True)


class Ruling(Base):
    """An officer's answer to open questions, with the clause it rests on."""

    __tablename__ = "ruling"

    id: Mapped[int] = mapped_column(primary_key=True)
    text: Mapped[str] = mapped_column(Text)
    notice_id: Mapped[str] = mapped_column(String(64))
    clause: Mapped[str] = mapped_column(String(32))
    quote: Mapped[str] = mapped_column(Text)
    officer: Mapped[str] = mapped_column(String(64))
    at: Mapped[datetime]


class Owed(Base):
    """Something an asker is still to be told; it goes with the next reply to that address."""

    __tablename__ = "owed"
    __table_args__ = (Index("ix_owed_address", "channel", "address", "told_at"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    channel: Mapped[str] = mapped_column(String(16))
    address: Mapped[str] = mapped_column(String(128))
    text: Mapped[str] = mapped_column(Text)
    ruling_id: Mapped[int] = mapped_column(ForeignKey("ruling.id"))
    at: Mapped[datetime]
    told_at: Mapped[datetime | None]


class Edition(Base):
    """A published set of knowledge files, kept whole so that every process and every later day can load it."""

    __tablename__ = "edition"

    number: Mapped[int] = mapped_column(primary_key=True)
    digest: Mapped[str] = mapped_column(String(64), unique=True)
    files: Mapped[bytes] = mapped_column(LargeBinary)
    published_at: Mapped[datetime]
