"""The database: engine and sessions, with SQLite set up for one writer that never loses a turn."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import DateTime, Engine, create_engine, event
from sqlalchemy.engine import Dialect
from sqlalchemy.orm import Session, sessionmaker
from sqlalchemy.pool import StaticPool
from sqlalchemy.types import TypeDecorator


class UTCDateTime(TypeDecorator[datetime]):
    """An aware UTC time, on databases that have none too. A naive time is refused."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError("a time without a zone")
        return value.astimezone(UTC)

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        if value is None or value.tzinfo is not None:
            return value
        return value.replace(tzinfo=UTC)


def make_engine(url: str) -> Engine:
    """An engine for a database URL. `sqlite://` is a database in memory, shared by all its threads."""
    if not url.startswith("sqlite"):
        return create_engine(url)
    in_memory = url in ("sqlite://", "sqlite:///:memory:")
    options: dict[str, Any] = {"poolclass": StaticPool} if in_memory else {}
    engine = create_engine(url, connect_args={"check_same_thread": False, "timeout": 30}, **options)

    @event.listens_for(engine, "connect")
    def _on_connect(connection: Any, _record: object) -> None:  # Any: the driver's own connection
        # The driver must not open transactions by itself: a deferred BEGIN that turns into a writer fails at once
        # with "database is locked", which no timeout cures (https://www.sqlite.org/lang_transaction.html).
        connection.isolation_level = None
        for pragma in ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON"):
            connection.execute(f"PRAGMA {pragma}")

    @event.listens_for(engine, "begin")
    def _on_begin(connection: Any) -> None:  # Any: SQLAlchemy's connection, untyped in events
        connection.exec_driver_sql("BEGIN IMMEDIATE")

    return engine


def make_sessions(engine: Engine, data_key: bytes = b"") -> sessionmaker[Session]:
    """Sessions whose objects stay readable after the commit; `data_key` encrypts personal values (storage.secrets)."""
    return sessionmaker(engine, expire_on_commit=False, info={"data_key": data_key})


@contextmanager
def transaction(sessions: sessionmaker[Session]) -> Iterator[Session]:
    """One transaction: committed at the end, rolled back on any error."""
    with sessions() as db, db.begin():
        yield db
