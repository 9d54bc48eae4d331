"""The database: engine and sessions. SQLite is set up for one writer that never loses a turn; PostgreSQL for several."""

import json
import sqlite3
import threading
from collections import deque
from collections.abc import Collection, Iterator
from contextlib import contextmanager, nullcontext
from datetime import UTC, datetime
from types import ModuleType
from typing import Any
from weakref import WeakKeyDictionary

from pydantic_core import from_json, to_json
from sqlalchemy import (
    ARRAY,
    ColumnElement,
    DateTime,
    Engine,
    Integer,
    Select,
    any_,
    cast,
    create_engine,
    event,
    func,
    literal_column,
    make_url,
    select,
)
from sqlalchemy.engine import Dialect
from sqlalchemy.orm import Session, sessionmaker
from sqlalchemy.pool import StaticPool
from sqlalchemy.types import TypeDecorator

WAL_SINCE = (
    3,
    51,
    3,
)  # two connections in WAL mode can corrupt a file of an older SQLite: docs/decisions/0005-sqlite.md
READS = "reads"  # the execution option of a connection that changes nothing
# Policies make PostgreSQL think every list dear: it would compile each anew, for longer than the list takes (jit).
LIMITS = (
    "-c jit=off -c lock_timeout=10s -c statement_timeout=30s -c idle_in_transaction_session_timeout=60s -c timezone=UTC"
)


class Gate:
    """Lets the threads of this process write one after the other, in the order in which they came.

    SQLite lets those who wait try again every tenth of a second: beside turns without end they would hardly ever hit
    upon the moment between two of them.
    """

    def __init__(self) -> None:
        self.waiting: deque[threading.Event] = deque()  # the first one is through
        self._lock = threading.Lock()
        self._within = threading.local()

    @contextmanager
    def passed(self) -> Iterator[None]:
        """Wait for one's turn; who is through already does not wait for themselves."""
        if getattr(self._within, "yes", False):
            yield
            return
        mine = threading.Event()
        with self._lock:
            self.waiting.append(mine)
            self.waiting[0].set()
        mine.wait()
        self._within.yes = True
        try:
            yield
        finally:
            self._within.yes = False
            with self._lock:
                self.waiting.popleft()
                if self.waiting:
                    self.waiting[0].set()


_GATES: WeakKeyDictionary[Engine, Gate] = WeakKeyDictionary()  # of SQLite databases


def json_text(value: Any) -> str:  # Any: what JSON can hold
    """A value as JSON, in about a third of the time of the standard library: every turn writes five."""
    return to_json(value).decode()


class Unfit(Exception):
    """The database cannot be relied on; the message says in Chinese what to change."""


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
    # hide_parameters: an error's message must not carry what people typed into the log
    options: dict[str, Any] = {"json_serializer": json_text, "json_deserializer": from_json, "hide_parameters": True}
    if not url.startswith("sqlite"):
        # LIMITS: a turn that waits longer has lost its reader already; better an apology than a queue that never ends
        return create_engine(
            make_url(url).set(drivername="postgresql+psycopg"),
            connect_args={"options": LIMITS, "connect_timeout": 10},
            pool_size=20,  # of which each is kept: one that overflows is made and closed each time
            max_overflow=0,
            pool_pre_ping=True,
            **options,
        )
    if url in ("sqlite://", "sqlite:///:memory:"):
        options["poolclass"] = StaticPool
    driver = sqlite_driver()
    engine = create_engine(url, module=driver, connect_args={"check_same_thread": False, "timeout": 30}, **options)
    _GATES[engine] = Gate()

    @event.listens_for(engine, "connect")
    def _on_connect(connection: Any, _record: object) -> None:  # Any: the driver's own connection
        # The driver must not open transactions by itself: a deferred BEGIN that turns into a writer fails at once
        # with "database is locked", which no timeout cures (https://www.sqlite.org/lang_transaction.html).
        connection.isolation_level = None
        _set_journal(connection, driver)
        for pragma in ("synchronous=FULL", "foreign_keys=ON", "secure_delete=ON"):
            connection.execute(f"PRAGMA {pragma}")

    @event.listens_for(engine, "begin")
    def _on_begin(connection: Any) -> None:  # Any: SQLAlchemy's connection, untyped in events
        connection.exec_driver_sql("BEGIN" if connection.get_execution_options().get(READS) else "BEGIN IMMEDIATE")

    return engine


def sqlite_driver() -> ModuleType:
    """The SQLite to use: Python's own, or that of the package pysqlite3 where it is newer."""
    try:
        from pysqlite3 import dbapi2
    except ImportError:
        return sqlite3
    newer: ModuleType = max(sqlite3, dbapi2, key=lambda module: module.sqlite_version_info)
    return newer


def _set_journal(connection: Any, driver: ModuleType) -> None:  # Any: the driver's own connection
    """Use a write-ahead log where that is safe, else a rollback journal. Raises Unfit when it cannot be changed."""
    mode = "WAL" if driver.sqlite_version_info >= WAL_SINCE else "TRUNCATE"
    try:
        connection.execute(f"PRAGMA journal_mode={mode}")
    except driver.OperationalError as error:
        raise Unfit(
            f"SQLite {driver.sqlite_version} 与其他进程同时以 WAL 方式打开数据库可能损坏文件：请先停止其他进程再启动，"
            "或安装 pysqlite3（pip install pysqlite3）。"
        ) from error


def check_durable(engine: Engine) -> None:
    """Raise Unfit when PostgreSQL may forget what it has confirmed: messages leave on the strength of a commit."""
    with engine.connect() as connection:
        names = ("fsync", "full_page_writes", "synchronous_commit")
        off = [name for name in names if connection.exec_driver_sql(f"SHOW {name}").scalar_one() == "off"]
    if off:
        raise Unfit(f"PostgreSQL 的 {'、'.join(off)} 已关闭，断电会丢失已确认的数据：请改为 on 后重新启动。")


def hold(db: Session, key: str) -> None:
    """Wait until no other transaction holds this key, then hold it to the end of this one.

    On SQLite a transaction holds the whole database already.
    """
    if db.get_bind().dialect.name == "postgresql":
        db.execute(select(func.pg_advisory_xact_lock(func.hashtextextended(key, 0))))


def among(db: Session, column: Any, numbers: Collection[int]) -> ColumnElement[bool]:  # Any: a column, mapped or not
    """The condition that a column holds one of many numbers, as one parameter; one for each costs more than the rows."""
    if db.get_bind().dialect.name == "postgresql":
        found: ColumnElement[bool] = column == any_(cast(list(numbers), ARRAY(Integer)))
        return found
    each: Select[Any] = select(literal_column("value")).select_from(
        func.json_each(json.dumps(list(numbers)))
    )  # Any: numbers
    listed: ColumnElement[bool] = column.in_(each)
    return listed


def make_sessions(engine: Engine, data_key: bytes = b"", audit_key: bytes = b"") -> sessionmaker[Session]:
    """Sessions whose objects stay readable after the commit.

    `data_key` encrypts personal values (storage.secrets), `audit_key` proves who wrote the audit (storage.audit).
    """
    from storage.scope import (
        ScopedSession,
        tell,
    )  # not at the top: it imports the models, and they the column type above

    if engine.dialect.name == "postgresql":
        tell(engine)
    info = {"data_key": data_key, "audit_key": audit_key}
    return sessionmaker(engine, class_=ScopedSession, expire_on_commit=False, info=info)


@contextmanager
def transaction(sessions: sessionmaker[Session]) -> Iterator[Session]:
    """One transaction: committed at the end, rolled back on any error."""
    gate = gate_of(sessions)
    with gate.passed() if gate else nullcontext(), sessions() as db, db.begin():
        yield db


def gate_of(sessions: sessionmaker[Session]) -> Gate | None:
    """What those who write pass one after the other; None where several can."""
    return _GATES.get(sessions.kw["bind"])


@contextmanager
def reading(sessions: sessionmaker[Session]) -> Iterator[Session]:
    """A transaction that changes nothing: on SQLite it waits for no writer and keeps none waiting."""
    with sessions() as db:
        db.connection(execution_options={READS: True})
        yield db
