"""Backups that can be relied on: whole or not at all, checked before use, and restored with sending off."""

import json
import resource
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import inspect, text
from sqlalchemy.orm import Session, sessionmaker

from bot.app import assistant
from bot.backup import MANIFEST, backup, restore, without_secrets
from bot.installation import open_database
from bot.messages import Inbound, Refused
from bot.settings import Database, Paths, Settings
from knowledge.base import KnowledgeBase
from storage import audit, deliveries, secrets
from storage.db import make_engine, transaction
from storage.models import Audit, Person
from storage.scope import OPERATOR, SYSTEM, serving
from tests.commands import ROOT, Program
from tests.conftest import JUNE
from tests.databases import Server

PHONE = "13987654321"


def settings(url: str, data: Path) -> Settings:
    return Settings(paths=Paths(data=data), database=Database(url=url))


@contextmanager
def database(chosen: Settings) -> Iterator[sessionmaker[Session]]:
    sessions = open_database(chosen)
    yield sessions
    sessions.kw["bind"].dispose()


def ask(sessions: sessionmaker[Session], kb: KnowledgeBase, said: str, number: str) -> str:
    inbound = Inbound(channel="web", message_id=number, address="visitor", text=said, at=JUNE)
    with transaction(sessions) as db:
        return assistant(kb).handle(db, inbound).text


def fill(sessions: sessionmaker[Session], kb: KnowledgeBase) -> None:
    """A person with a phone, a question, something to send, and their trail."""
    with transaction(sessions) as db, serving(db, OPERATOR):
        db.add(Person(name="样例甲", phone=secrets.encrypt(db, PHONE), phone_digest=secrets.digest(db, PHONE), at=JUNE))
        db.flush()
        audit.record(db, "people.add", "person:1", now=JUNE, role="operator", after={"name": "样例甲"})
        deliveries.put(db, source="ruling:1", recipient="person:1", lane="notice", reply={}, why="", now=JUNE)
    ask(sessions, kb, "二次申报要什么条件", "first")
    audit.seal(sessions)


@pytest.fixture
def office(url: str, tmp_path: Path, kb: KnowledgeBase) -> Iterator[Settings]:
    """An installation in use, with a file and a draft."""
    chosen = settings(url, tmp_path / "data")
    (tmp_path / "data" / "files" / "ab").mkdir(parents=True)
    (tmp_path / "data" / "files" / "ab" / "cdef").write_bytes(b"evidence")
    with database(chosen) as sessions:
        fill(sessions, kb)
    yield chosen


@pytest.fixture
def saved(office: Settings, tmp_path: Path) -> Path:
    with database(office) as sessions:
        backup(office, sessions, tmp_path / "saved", JUNE)
    return tmp_path / "saved"


@pytest.fixture
def empty(request: pytest.FixtureRequest, office: Settings, tmp_path: Path) -> Iterator[Settings]:
    """A new machine with the keys that were kept apart."""
    data = tmp_path / "other" / "data"
    shutil.copytree(office.paths.data / "keys", data / "keys")
    (data / "keys" / "audit.head").unlink(missing_ok=True)
    if office.database_url.startswith("sqlite"):
        yield settings(f"sqlite:///{data / 'countydesk.db'}", data)
    else:
        server: Server = request.getfixturevalue("postgres")
        with server.database(like="migrated") as made:
            yield settings(made, data)


def test_the_restore_drill(office: Settings, saved: Path, empty: Settings, kb: KnowledgeBase) -> None:
    found = restore(empty, saved, JUNE + timedelta(days=3))
    manifest = json.loads((saved / MANIFEST).read_text("utf-8"))
    assert (found.rows, found.phones_readable, found.flaws) == (sum(manifest["rows"].values()), True, 0)
    with database(empty) as sessions, transaction(sessions) as db, serving(db, SYSTEM):
        for name, rows in manifest["rows"].items():
            more = {"audit": 1, "seal": 1, "switch": 1}.get(name, 0)  # the restore itself: recorded, sealed, switched
            assert db.execute(text(f"SELECT count(*) FROM {name}")).scalar_one() == rows + more, name
        if db.get_bind().dialect.name == "sqlite":
            assert db.execute(text("PRAGMA integrity_check")).scalars().all() == ["ok"]
            assert db.execute(text("PRAGMA foreign_key_check")).all() == []
        report = audit.verify(db, JUNE + timedelta(days=3), audit.Head(**manifest["audit"]))
        assert (report.rows, report.flaws) == (2, ())
        assert audit.guarded(db.connection())
        assert deliveries.sending(db) == (False, "从备份恢复")
        assert [row.action for row in db.query(Audit).order_by(Audit.id)] == ["people.add", "restore"]
        assert secrets.decrypt(db, db.query(Person).one().phone or "") == PHONE
    with database(empty) as sessions:
        assert "90%" in ask(sessions, kb, "二次申报要什么条件", "second")
        first = ask(sessions, kb, "这句话不会被再次回答", "first")
        assert "90%" in first  # a message seen before the backup gets its stored reply
    assert (empty.paths.data / "files" / "ab" / "cdef").read_bytes() == b"evidence"


def test_a_backup_never_overwrites(office: Settings, saved: Path) -> None:
    before = {path: path.stat().st_mtime_ns for path in saved.rglob("*")}
    with database(office) as sessions, pytest.raises(Refused, match="从不覆盖"):
        backup(office, sessions, saved, JUNE)
    assert {path: path.stat().st_mtime_ns for path in saved.rglob("*")} == before


def test_an_occupied_database_is_not_touched(office: Settings, saved: Path) -> None:
    with database(office) as sessions, transaction(sessions) as db:
        before = audit.head(db)
    with pytest.raises(Refused, match="已有数据"):
        restore(office, saved, JUNE)
    with database(office) as sessions, transaction(sessions) as db:
        assert audit.head(db) == before
        assert deliveries.sending(db) == (True, "")


def _flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


@pytest.mark.parametrize("damage", ["bit", "missing", "added", "manifest", "newer"])
def test_a_damaged_backup_is_refused_and_nothing_is_restored(saved: Path, empty: Settings, damage: str) -> None:
    manifest = json.loads((saved / MANIFEST).read_text("utf-8"))
    database_file = next(saved / name for name in manifest["files"] if name.startswith("countydesk."))
    match damage:
        case "bit":
            _flip(database_file)
        case "missing":
            (saved / "files" / "ab" / "cdef").unlink()
        case "added":
            (saved / "files" / "extra").write_text("x")
        case "manifest":
            (saved / MANIFEST).write_text("{", "utf-8")
        case "newer":
            (saved / MANIFEST).write_text(json.dumps(manifest | {"revision": "9999"}), "utf-8")
    with pytest.raises(Refused, match="不予恢复|没有完整的备份|请先升级程序"):
        restore(empty, saved, JUNE)
    assert not (empty.paths.data / "files").exists()
    with database(empty) as sessions, transaction(sessions) as db:
        assert audit.head(db).position == 0


def test_keys_stay_apart_and_are_asked_for(office: Settings, saved: Path, empty: Settings) -> None:
    for key in (office.key_file, office.audit_key_file):
        assert all(key.read_bytes() not in path.read_bytes() for path in saved.rglob("*") if path.is_file())
    empty.audit_key_file.unlink()
    with pytest.raises(Refused, match=r"audit\.key"):
        restore(empty, saved, JUNE)


def test_other_keys_are_noticed(saved: Path, empty: Settings) -> None:
    for path in (empty.key_file, empty.audit_key_file):
        path.write_bytes(b"x" * 32)
    found = restore(empty, saved, JUNE)
    assert not found.phones_readable
    assert found.flaws > 0


def test_a_failed_restore_leaves_nothing_behind(saved: Path, empty: Settings) -> None:
    manifest = json.loads((saved / MANIFEST).read_text("utf-8"))
    manifest["rows"]["person"] += 1
    (saved / MANIFEST).write_text(json.dumps(manifest), "utf-8")
    with pytest.raises(Refused, match="与清单不符"):
        restore(empty, saved, JUNE)
    left = sorted(path.name for path in empty.paths.data.iterdir())
    assert left == ["keys"]
    engine = make_engine(empty.database_url)
    assert not inspect(engine).has_table("person")
    engine.dispose()
    (empty.paths.data / "countydesk.db").unlink(missing_ok=True)


def test_files_that_cannot_be_brought_back_leave_the_database_to_be_restored_again(
    saved: Path, empty: Settings
) -> None:
    in_the_way = empty.paths.data / "files"
    in_the_way.write_text("", "utf-8")
    with pytest.raises(Refused, match="files"):
        restore(empty, saved, JUNE)
    in_the_way.unlink()
    assert restore(empty, saved, JUNE).files


def test_secrets_are_left_out_of_the_settings(saved: Path) -> None:
    assert json.loads((saved / "settings.json").read_text("utf-8"))["province"] == {
        "name": "",
        "report_channel": "",
        "pilot_mode": False,
        "quiet_hours": "17:30-09:00, 12:00-14:00",
    }
    given = {
        "wechat": {"app_id": "wx1", "app_secret": "s1", "token": "t1", "aes_key": "a1", "secret_file": "/run/secret"},
        "database": {"url": "postgresql://desk:pw1@host/desk"},
    }
    assert without_secrets(given) == {
        "wechat": {"app_id": "wx1", "app_secret": "", "token": "", "aes_key": "", "secret_file": "/run/secret"},
        "database": {"url": "postgresql://desk:***@host/desk"},
    }


# --- from the command line -------------------------------------------------------------------------------------------


ENVIRONMENT = {"PYTHONPATH": str(ROOT), "PATH": "/usr/bin:/bin", "COUNTYDESK_PATHS__DATA": "data"}


def test_an_operator_backs_up_restores_and_starts_sending(program: Program, tmp_path: Path, kb: KnowledgeBase) -> None:
    old, new = tmp_path / "old", tmp_path / "new"
    for folder in (old, new):
        folder.mkdir()
    with database(settings("", old / "data")) as sessions:
        fill(sessions, kb)
    done = program("backup", "saved", cwd=old, env=ENVIRONMENT)
    assert done.returncode == 0, done.stderr
    assert "不含密钥" in done.stdout and "data.key" in done.stdout
    refused = program("restore", str(old / "saved"), cwd=new, env=ENVIRONMENT)
    assert (refused.returncode, refused.stdout) == (1, "")
    assert "密钥" in refused.stderr
    shutil.copytree(old / "data" / "keys", new / "data" / "keys")
    done = program("restore", str(old / "saved"), cwd=new, env=ENVIRONMENT)
    assert done.returncode == 0, done.stderr
    assert "停止状态" in done.stdout and "注意" not in done.stdout
    assert program("audit", "verify", cwd=new, env=ENVIRONMENT).stdout.startswith("审计记录完整：2条")
    [waiting] = [
        json.loads(line)
        for line in program("deliveries", "list", "--json", cwd=new, env=ENVIRONMENT).stdout.splitlines()
    ]
    assert (waiting["state"], waiting["source"]) == ("queued", "ruling:1")
    assert program("deliveries", "start", "--reason", "已核对", cwd=new, env=ENVIRONMENT).returncode == 0
    with database(settings("", new / "data")) as sessions, transaction(sessions) as db:
        assert deliveries.sending(db) == (True, "")
    assert program("audit", "verify", cwd=new, env=ENVIRONMENT).stdout.startswith("审计记录完整：3条")


def test_a_backup_that_does_not_fit_on_the_disk_leaves_nothing(tmp_path: Path, kb: KnowledgeBase) -> None:
    with database(settings("", tmp_path / "data")) as sessions:
        fill(sessions, kb)

    def small_disk() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))

    done = subprocess.run(
        [sys.executable, "-m", "bot", "backup", "saved"],
        cwd=tmp_path, capture_output=True, text=True, timeout=120, check=False, env=ENVIRONMENT, preexec_fn=small_disk,
    )  # fmt: skip
    assert done.returncode == 1
    assert "没有完成" in done.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["data"]
