"""SQLite and PostgreSQL as the program sets them up: schema, limits, guards."""

import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Event, Thread

import pytest
from alembic import command
from sqlalchemy import text
from sqlalchemy.orm import Session, sessionmaker

from bot.app import web_app
from bot.migrate import _config, check, upgrade
from bot.settings import ConfigError, Database, Paths, Settings
from storage import conversations
from storage import db as database
from storage.db import Unfit, hold, make_engine, make_sessions, sqlite_driver, transaction
from storage.models import Exchange, Question
from storage.scope import SYSTEM, serving
from tests.databases import KEY, KINDS, ROLE, Server


def journal(url: str) -> str:
    engine = make_engine(url)
    try:
        with engine.connect() as connection:
            return str(connection.exec_driver_sql("PRAGMA journal_mode").scalar_one())
    finally:
        engine.dispose()


def test_models_and_migrations_agree_on_sqlite(tmp_path: Path) -> None:
    check(f"sqlite:///{tmp_path}/empty.db")


def test_models_and_migrations_agree_on_postgresql(postgres: Server) -> None:
    with postgres.database() as url:
        check(url)


@pytest.fixture(params=KINDS)
def empty(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """The URL of a database without a schema, of each kind."""
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path}/empty.db"
    else:
        with request.getfixturevalue("postgres").database() as url:
            yield url


_BEFORE = (
    "INSERT INTO division (code, name) VALUES ('620000', 'p'), ('620522', 'c')",
    "INSERT INTO body (id, name, division_code, office) VALUES (7, 'c', '620522', '')",
    "INSERT INTO person (id, name, title, body_id, at) VALUES (1, 'a', '', 7, :at), (2, 'b', '', NULL, :at)",
    "INSERT INTO role (person_id, role, division_code, at) VALUES (2, 'province_officer', '620000', :at)",
    "INSERT INTO conversation (channel, address, answers, options, rest, before, facts, touched_at)"
    " VALUES ('t', 'a', '[]', '[]', 'the rest', '{}', '{}', :at)",
    *(
        "INSERT INTO exchange (id, channel, message_id, address, person_id, said, reply, route, edition, at, took_ms)"
        f" VALUES ({number}, 't', 'm{number}', 'a', {person}, '码', '{{\"text\"\\:\"码 {number}\"}}', '', '', :at, 0)"
        for number, person in ((1, 1), (2, 2), (3, "NULL"))
    ),
    *(
        f"INSERT INTO question (exchange_id, text, kind, score, edition, at) VALUES ({number}, 'q', 'abstain', 0, '', :at)"
        for number in (1, 2, 3)
    ),
)


def test_what_earlier_versions_stored_readable_is_encrypted_and_their_questions_find_their_place(empty: str) -> None:
    command.upgrade(_config(empty), "0010")
    engine = make_engine(empty)
    with engine.begin() as connection:
        for statement in _BEFORE:
            connection.execute(text(statement), {"at": "2020-06-01 00:00:00+00:00"} if ":at" in statement else {})
    with pytest.raises(ValueError, match="no data key"):
        upgrade(empty)
    upgrade(empty, KEY)
    with transaction(make_sessions(engine, KEY)) as db, serving(db, SYSTEM):
        assert [conversations.reply(db, one)["text"] for one in db.query(Exchange).order_by(Exchange.id)] == [
            "码 1", "码 2", "码 3",
        ]  # fmt: skip
        assert {conversations.said(db, one) for one in db.query(Exchange)} == {"码"}
        places = [(one.body_id, one.division_code) for one in db.query(Question).order_by(Question.exchange_id)]
        assert places == [(7, None), (None, "620000"), (None, None)]
        stored = db.execute(text("SELECT said, reply FROM exchange UNION SELECT rest, rest FROM conversation")).all()
        assert "码" not in repr(stored) and "the rest" not in repr(stored)
    engine.dispose()


# --- SQLite -----------------------------------------------------------------------------------------------------------


def test_the_newer_sqlite_is_used_also_by_migrations(tmp_path: Path) -> None:
    assert sqlite_driver().sqlite_version_info >= sqlite3.sqlite_version_info
    engine = make_engine("sqlite://")
    with engine.connect() as connection:
        found = connection.exec_driver_sql("SELECT sqlite_version()").scalar_one()
    assert found == sqlite_driver().sqlite_version
    engine.dispose()
    told = "import storage.db as d; d.WAL_SINCE = (99,); from bot.migrate import upgrade; upgrade('sqlite:///x.db')"
    subprocess.run([sys.executable, "-c", told], cwd=tmp_path, check=True, capture_output=True)
    assert (tmp_path / "x.db").read_bytes()[18:20] == b"\x01\x01"  # no write-ahead log: sqlite.org/fileformat.html


def test_a_recent_sqlite_writes_ahead_and_an_old_one_does_not(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    url = f"sqlite:///{tmp_path}/a.db"
    recent = sqlite_driver().sqlite_version_info >= (3, 51, 3)
    assert journal(url) == ("wal" if recent else "truncate")
    monkeypatch.setattr(database, "WAL_SINCE", (99,))
    assert journal(url) == "truncate"


def test_an_old_sqlite_refuses_a_file_that_another_process_writes_ahead(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = sqlite_driver().connect(str(tmp_path / "a.db"))
    other.execute("PRAGMA journal_mode=WAL")
    other.execute("CREATE TABLE t (x)")
    monkeypatch.setattr(database, "WAL_SINCE", (99,))
    engine = make_engine(f"sqlite:///{tmp_path}/a.db")
    with pytest.raises(Unfit, match="pysqlite3"):
        engine.connect()
    other.close()
    engine.connect().close()
    engine.dispose()


def test_python_s_own_sqlite_serves_where_the_package_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pysqlite3", None)
    assert sqlite_driver() is sqlite3


# --- PostgreSQL ----------------------------------------------------------------------------------------------------------


def settings(url: str, folder: Path) -> Settings:
    return Settings(database=Database(url=url), paths=Paths(data=folder))


def test_the_application_s_role_is_a_plain_one(postgres: Server) -> None:
    engine = make_engine(postgres.url("migrated"))
    with engine.connect() as connection:
        row = connection.exec_driver_sql(
            "SELECT rolname, rolsuper, rolbypassrls, rolcreaterole FROM pg_roles WHERE rolname = current_user"
        ).one()
        limits = [connection.exec_driver_sql(f"SHOW {name}_timeout").scalar_one() for name in ("lock", "statement")]
    engine.dispose()
    assert tuple(row) == (ROLE, False, False, False)
    assert limits == ["10s", "30s"]


def test_an_outdated_schema_stops_the_start(postgres: Server, tmp_path: Path) -> None:
    with postgres.database() as url:
        with pytest.raises(ConfigError, match="db upgrade"):
            web_app(settings(url, tmp_path))
        upgrade(url)
        engine = make_engine(url)
        with engine.begin() as connection:
            connection.exec_driver_sql("UPDATE alembic_version SET version_num = 'later'")
        engine.dispose()
        with pytest.raises(ConfigError, match="db upgrade"):
            web_app(settings(url, tmp_path))


@contextmanager
def switched_off(server: Server, name: str) -> Iterator[None]:
    server.operate(f"ALTER SYSTEM SET {name} = off", "SELECT pg_reload_conf()")
    try:
        yield
    finally:
        server.operate(f"ALTER SYSTEM RESET {name}", "SELECT pg_reload_conf()")


@pytest.mark.parametrize("name", ["fsync", "full_page_writes", "synchronous_commit"])
def test_a_database_that_may_forget_stops_the_start(postgres: Server, tmp_path: Path, name: str) -> None:
    with postgres.database(like="migrated") as url:
        _await(url, name, "on")
        with switched_off(postgres, name):
            _await(url, name, "off")
            with pytest.raises(ConfigError, match=name):
                web_app(settings(url, tmp_path))
        _await(url, name, "on")


def _await(url: str, name: str, value: str) -> None:
    """Wait until new connections have a setting: the server reads its configuration in its own time."""
    for _ in range(200):
        engine = make_engine(url)
        with engine.connect() as connection:
            found = connection.execute(text("SELECT current_setting(:name), pg_sleep(0.02)"), {"name": name}).one()[0]
        engine.dispose()
        if found == value:
            return
    raise AssertionError(name)


def test_who_holds_a_key_keeps_others_waiting(postgres: Server) -> None:
    with postgres.database(like="migrated") as url:
        engine = make_engine(url)
        sessions: sessionmaker[Session] = database.make_sessions(engine)
        order: list[str] = []
        started = Event()

        def second() -> None:
            with transaction(sessions) as db:
                started.set()
                hold(db, "web:a")
                order.append("second")

        with transaction(sessions) as db:
            hold(db, "web:a")
            with transaction(sessions) as other:
                hold(other, "web:b")  # another key is free
            thread = Thread(target=second)
            thread.start()
            assert started.wait(10)
            waiting = text("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted")
            while not db.scalar(waiting):  # until the server itself says that the second one waits
                pass
            order.append("first")
        thread.join(10)
        engine.dispose()
        assert order == ["first", "second"]
