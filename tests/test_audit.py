"""The trail: append-only, sealed into a chain that shows every change, trimmed only behind an anchor; on both databases."""

import threading
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import Connection, Engine, text
from sqlalchemy.exc import DBAPIError, IntegrityError
from sqlalchemy.orm import Session, sessionmaker

from bot.app import Desk
from bot.installation import open_database
from bot.settings import Paths, Settings
from storage import audit
from storage.db import transaction
from storage.models import Audit, Switch
from storage.scope import OPERATOR, see_all, serving
from tests.conftest import JUNE, serve

GUARDED = ("audit", "seal", "anchor")
SOON = JUNE + timedelta(seconds=5)


def write(sessions: sessionmaker[Session], *reasons: str, at: datetime = JUNE) -> None:
    for reason in reasons:
        with transaction(sessions) as db, serving(db, OPERATOR):
            audit.record(db, "test", "person:1", now=at, role="operator", after={"次数": 1, "率": 0.9}, reason=reason)


def flaws(sessions: sessionmaker[Session], known: audit.Head | None = None) -> list[tuple[str, int | None]]:
    with transaction(sessions) as db:
        return [(one.kind, one.audit_id) for one in audit.verify(db, SOON, known).flaws]


def engine_of(sessions: sessionmaker[Session]) -> Engine:
    found: Engine = sessions.kw["bind"]
    return found


def unguard(connection: Connection) -> None:
    """What somebody with the database's own password can do."""
    for table in GUARDED:
        if connection.dialect.name == "sqlite":
            for name in ("update", "delete", "replace"):
                connection.exec_driver_sql(f"DROP TRIGGER {table}_{name}")
        else:
            connection.exec_driver_sql(f"ALTER TABLE {table} DISABLE TRIGGER USER")


def tamper(sessions: sessionmaker[Session], *statements: str) -> None:
    with engine_of(sessions).begin() as connection:
        see_all(connection)
        unguard(connection)
        for statement in statements:
            connection.exec_driver_sql(statement)


@pytest.fixture
def sealed(sessions: sessionmaker[Session]) -> Iterator[sessionmaker[Session]]:
    """Five sealed rows, 1 to 5."""
    write(sessions, "甲", "乙", "丙", "丁", "戊")
    assert audit.seal(sessions) == 5
    assert flaws(sessions) == []
    yield sessions


# --- append-only -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE audit SET reason = 'x' WHERE id = 2",
        "UPDATE seal SET digest = 'x' WHERE position = 2",
        "UPDATE anchor SET digest = 'x'",
        "DELETE FROM audit WHERE id = 2",
        "DELETE FROM seal WHERE position = 2",
        "DELETE FROM anchor",
        "DELETE FROM audit WHERE id = 4",  # above the anchor
        "DELETE FROM seal WHERE position = 4",
    ],
)
def test_nobody_changes_or_deletes_a_row(sealed: sessionmaker[Session], statement: str) -> None:
    anchored = 3 if "4" in statement or "anchor" in statement else 0
    anchor = (
        f"INSERT INTO anchor (position, digest, rows, at, mac) VALUES ({anchored}, 'x', 0, '{JUNE.isoformat()}', '')"
    )
    with engine_of(sealed).begin() as connection:
        connection.exec_driver_sql(anchor)
    with pytest.raises(DBAPIError, match="append-only"), engine_of(sealed).begin() as connection:
        see_all(connection)
        connection.exec_driver_sql(statement)


def test_a_row_cannot_be_replaced_or_truncated(sealed: sessionmaker[Session]) -> None:
    if engine_of(sealed).dialect.name == "sqlite":
        statement = "INSERT OR REPLACE INTO seal (position, audit_id, digest) VALUES (2, 2, 'x')"
    else:
        statement = "TRUNCATE audit"
    with pytest.raises(DBAPIError, match="append-only"), engine_of(sealed).begin() as connection:
        connection.exec_driver_sql(statement)


def test_the_database_in_memory_is_guarded_too(running: Desk) -> None:
    with transaction(running.sessions) as db:
        assert audit.guarded(db.connection())
    write(running.sessions, "甲")
    with pytest.raises(DBAPIError, match="append-only"), transaction(running.sessions) as db:
        db.execute(text("UPDATE audit SET reason = 'x'"))


def test_lost_triggers_are_noticed(sessions: sessionmaker[Session]) -> None:
    with engine_of(sessions).begin() as connection:
        see_all(connection)
        assert audit.guarded(connection)
        unguard(connection)
        assert not audit.guarded(connection)


def test_a_change_without_its_audit_row_is_rolled_back(sessions: sessionmaker[Session]) -> None:
    with pytest.raises(DBAPIError), transaction(sessions) as db, serving(db, OPERATOR):
        db.add(Switch(key="sending", value="off", reason="", at=JUNE))
        db.flush()
        audit.record(db, "test", "switch:sending", now=JUNE, role="operator", body_id=404)  # there is no such body
    with transaction(sessions) as db:
        assert db.get(Switch, "sending") is None


# --- what verify names -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("change", "named"),
    [
        (["UPDATE audit SET reason = '己' WHERE id = 3"], [("altered", 3)]),
        (["UPDATE audit SET at = '2020-05-31 04:00:00+00' WHERE id = 3"], [("altered", 3)]),
        (["UPDATE audit SET role = 'county_head' WHERE id = 5"], [("altered", 5)]),
        (["DELETE FROM audit WHERE id = 3"], [("missing", 3)]),
        (["DELETE FROM audit WHERE id = 5"], [("missing", 5)]),
        (["DELETE FROM seal WHERE position = 3", "DELETE FROM audit WHERE id = 3"], [("gap", None)]),
        (["UPDATE seal SET digest = 'x' WHERE position = 5"], [("broken", 5)]),
        (
            [
                "UPDATE seal SET audit_id = 99 WHERE position = 2",
                "UPDATE seal SET audit_id = 2 WHERE position = 3",
                "UPDATE seal SET audit_id = 3 WHERE position = 2",
            ],
            [("broken", 3), ("broken", 2)],
        ),
        (
            [
                'INSERT INTO audit (id, at, role, channel, action, subject, "before", "after", reason, mac) '
                'SELECT 6, at, role, channel, action, subject, "before", "after", \'庚\', mac FROM audit WHERE id = 5'
            ],
            [("foreign", 6)],
        ),
    ],
    ids=["text", "time", "role", "deleted", "last deleted", "deleted with seal", "seal", "reordered", "inserted"],
)
def test_every_change_is_named(
    sealed: sessionmaker[Session], change: list[str], named: list[tuple[str, int | None]]
) -> None:
    tamper(sealed, *change)
    assert flaws(sealed) == named


def test_a_row_flipped_by_one_bit_on_the_disk_is_named(sealed: sessionmaker[Session]) -> None:
    if engine_of(sealed).dialect.name != "sqlite":
        pytest.skip("a file of PostgreSQL has a checksum of its own")
    path = Path(engine_of(sealed).url.database or "")
    engine_of(sealed).dispose()  # the log is written back into the file
    content = bytearray(path.read_bytes())
    assert content.count("丙".encode()) == 1
    content[content.index("丙".encode()) + 2] ^= 1
    path.write_bytes(content)
    assert flaws(sealed) == [("altered", 3)]


def test_an_end_that_was_cut_off_is_noticed_by_what_is_remembered_outside(
    sealed: sessionmaker[Session], tmp_path: Path
) -> None:
    write(sealed, "己")
    audit.seal(sealed, tmp_path / "head")
    known = audit.remembered(tmp_path / "head")
    assert known is not None and known.position == 6
    assert flaws(sealed, known) == []
    tamper(sealed, "DELETE FROM seal WHERE position = 6", "DELETE FROM audit WHERE id = 6")
    assert flaws(sealed) == []
    assert flaws(sealed, known) == [("cut", None)]


def test_rows_that_nobody_seals_are_named_after_an_hour(sealed: sessionmaker[Session]) -> None:
    write(sealed, "己", at=JUNE - audit.LATE)
    assert flaws(sealed) == [("unsealed", 6)]
    audit.seal(sealed)
    assert flaws(sealed) == []


# --- the sealer ------------------------------------------------------------------------------------------------------


def test_a_row_committed_late_gets_a_later_position(sessions: sessionmaker[Session]) -> None:
    if engine_of(sessions).dialect.name == "sqlite":
        pytest.skip("SQLite has one writer: rows are committed in order")
    with transaction(sessions) as late, serving(late, OPERATOR):
        audit.record(late, "test", "person:1", now=JUNE, role="operator", reason="晚")
        late.flush()
        write(sessions, "早")
        assert audit.seal(sessions) == 1
    assert audit.seal(sessions) == 1
    with transaction(sessions) as db:
        assert db.execute(text("SELECT audit_id FROM seal ORDER BY position")).scalars().all() == [2, 1]
    assert flaws(sessions) == []


def test_several_sealers_do_not_fork_the_chain(sessions: sessionmaker[Session]) -> None:
    write(sessions, *(str(number) for number in range(40)))
    start = threading.Barrier(4)

    def work() -> None:
        start.wait()
        for _ in range(3):
            audit.seal(sessions)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    audit.seal(sessions)
    with transaction(sessions) as db:
        report = audit.verify(db, SOON)
        assert (report.rows, report.flaws) == (40, ())


def test_a_position_is_taken_once(sealed: sessionmaker[Session]) -> None:
    statement = "INSERT INTO seal (position, audit_id, digest) VALUES (5, 99, 'x')"
    with pytest.raises((IntegrityError, DBAPIError)), engine_of(sealed).begin() as connection:
        connection.exec_driver_sql(statement)


def test_a_server_has_sealed_everything_when_it_stops(tmp_path: Path) -> None:
    chosen = Settings(paths=Paths(data=tmp_path / "data"))
    sessions = open_database(chosen)
    server = serve(tmp_path)
    next(server)
    write(sessions, "甲")
    server.close()
    with transaction(sessions) as db:
        assert audit.verify(db, SOON, audit.remembered(chosen.audit_head_file)).rows == 1
    assert audit.remembered(chosen.audit_head_file) is not None
    engine_of(sessions).dispose()


# --- the trim --------------------------------------------------------------------------------------------------------


@pytest.fixture
def trimmed(sessions: sessionmaker[Session]) -> sessionmaker[Session]:
    """Rows 1 to 3 are older than 400 days and gone, 4 and 5 stay, 6 tells of the trim."""
    write(sessions, "甲", "乙", "丙", at=JUNE - timedelta(days=401))
    write(sessions, "丁", "戊", at=JUNE - timedelta(days=399))
    audit.seal(sessions)
    with transaction(sessions) as db, serving(db, OPERATOR):
        assert audit.trim(db, JUNE) == 3
    return sessions


def test_the_chain_goes_on_behind_an_anchor(trimmed: sessionmaker[Session]) -> None:
    with transaction(trimmed) as db, serving(db, OPERATOR):
        assert [row.id for row in db.query(Audit).order_by(Audit.id)] == [4, 5, 6]
    audit.seal(trimmed)
    assert flaws(trimmed) == []
    tamper(trimmed, "UPDATE audit SET reason = 'x' WHERE id = 4")
    assert flaws(trimmed) == [("altered", 4)]


def test_a_forged_anchor_is_named(sealed: sessionmaker[Session]) -> None:
    forged = "INSERT INTO anchor (position, digest, rows, at, mac) SELECT position, digest, 3, '2020-06-01 04:00:00+00', digest FROM seal WHERE position = 3"
    old = "DELETE FROM audit WHERE id <= 3", "DELETE FROM seal WHERE position <= 3"
    with engine_of(sealed).begin() as connection:
        see_all(connection)
        for statement in (forged, *old):
            connection.exec_driver_sql(statement)
    assert flaws(sealed) == [("anchor", None)]


def test_everything_can_be_old(sealed: sessionmaker[Session]) -> None:
    later = JUNE + timedelta(days=500)
    with transaction(sealed) as db, serving(db, OPERATOR):
        assert audit.trim(db, later) == 5
    audit.seal(sealed)
    with transaction(sealed) as db:
        report = audit.verify(db, later)
    assert (report.rows, report.head.position, report.flaws) == (1, 6, ())


def test_less_than_400_days_are_refused(sealed: sessionmaker[Session]) -> None:
    with pytest.raises(ValueError, match="400"), transaction(sealed) as db:
        audit.trim(db, JUNE, 399)
    with transaction(sealed) as db, serving(db, OPERATOR):
        assert audit.trim(db, JUNE + timedelta(days=399)) == 0
