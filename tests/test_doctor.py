"""The doctor names every problem with its remedy, and a sound installation has none."""

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy.orm import Session, sessionmaker

from bot import doctor
from bot.app import published
from bot.installation import open_database
from bot.settings import Clock, Database, Paths, Province, Settings, Web
from storage import audit, deliveries, secrets
from storage.db import transaction
from storage.models import Person
from storage.scope import OPERATOR, serving
from tests.commands import Program
from tests.test_audit import tamper

NOW = datetime.now(UTC)


@pytest.fixture
def sound(url: str, tmp_path: Path) -> Settings:
    """An installation in order: set up, bound to a person, backed up an hour ago."""
    chosen = Settings(
        paths=Paths(data=tmp_path / "data"),
        database=Database(url=url),
        web=Web(base_url="https://desk.example.gov.cn"),
        province=Province(name="示例省", report_channel="000-00000000"),
    )
    sessions = open_database(chosen)
    published(sessions, chosen, NOW)
    with transaction(sessions) as db, serving(db, OPERATOR):
        db.add(Person(name="样例甲", phone=secrets.encrypt(db, "13987654321"), at=NOW))
        audit.record(db, "backup", "backup:database", now=NOW - timedelta(minutes=50), role="operator")
    audit.seal(sessions, chosen.audit_head_file)
    sessions.kw["bind"].dispose()
    return chosen


def problems(chosen: Settings) -> dict[str, str]:
    """What is wrong and its remedy."""
    return {one.what: one.remedy for one in doctor.examine(chosen, NOW) if one.state == "problem"}


def test_a_sound_installation_has_no_problem(sound: Settings) -> None:
    assert problems(sound) == {}
    assert all(one.remedy for one in doctor.examine(sound, NOW) if one.state == "advice")


def test_it_looks_while_others_write(sound: Settings) -> None:
    """Reading the whole trail takes long; within a transaction that writes, no turn would be answered meanwhile."""

    def write(sessions: sessionmaker[Session]) -> None:
        with transaction(sessions) as db:
            db.connection()
            assert problems(sound) == {}

    in_database(sound, write)


def in_database(chosen: Settings, work: Callable[[sessionmaker[Session]], object]) -> None:
    sessions = open_database(chosen)
    work(sessions)
    sessions.kw["bind"].dispose()


def stop_sending(sessions: sessionmaker[Session]) -> None:
    with transaction(sessions) as db:
        deliveries.switch_sending(db, False, "从备份恢复", NOW)


def chmod(chosen: Settings) -> None:
    chosen.key_file.chmod(0o644)


def shorten(chosen: Settings) -> None:
    chosen.audit_key_file.write_bytes(b"short")


def other_key(chosen: Settings) -> None:
    chosen.key_file.write_bytes(b"x" * 32)


def begin_rotation(chosen: Settings) -> None:
    chosen.new_key_file.write_bytes(b"x" * 32)


def change_audit(chosen: Settings) -> None:
    in_database(chosen, lambda sessions: tamper(sessions, "UPDATE audit SET reason = 'x'"))


@pytest.mark.parametrize(
    ("harm", "named", "remedy"),
    [
        (chmod, "别人也能读", "chmod 600"),
        (shorten, "不完整", "放回"),
        (lambda chosen: chosen.audit_key_file.unlink(), "没有密钥文件", "放回"),
        (other_key, "解不开", "data.key"),
        (begin_rotation, "没有做完", "keys rotate"),
        (change_audit, "触发器不全", "db upgrade"),
        (change_audit, "1处不符", "audit verify"),
        (lambda chosen: in_database(chosen, stop_sending), "已停止（从备份恢复）", "deliveries start"),
    ],
    ids=["open key", "short key", "no key", "other key", "half rotated", "triggers", "audit", "sending"],
)
def test_a_harm_is_named_with_its_remedy(
    sound: Settings, harm: Callable[[Settings], None], named: str, remedy: str
) -> None:
    harm(sound)
    found = problems(sound)
    assert any(named in what and remedy in how for what, how in found.items()), found


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"clock": Clock(now=NOW)}, "停住"),
        ({"web": Web(base_url="http://desk.example.gov.cn")}, "http://desk.example.gov.cn"),
        ({"database": Database(url="sqlite:////nowhere/countydesk.db")}, "打不开"),
    ],
    ids=["clock", "http", "no database"],
)
def test_settings_that_are_wrong_are_named(sound: Settings, change: dict[str, object], named: str) -> None:
    assert any(named in what for what in problems(sound.model_copy(update=change)))


def test_an_old_backup_is_a_problem_and_none_is_advice(sound: Settings) -> None:
    late = [one for one in doctor.examine(sound, NOW + timedelta(hours=30)) if "上次备份" in one.what]
    assert [(one.state, one.what) for one in late] == [("problem", "上次备份在31小时前")]


def test_a_check_that_breaks_is_a_finding_and_the_others_go_on(
    sound: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(_patient: doctor.Patient) -> None:
        raise RuntimeError("no such thing")

    monkeypatch.setattr(doctor, "CHECKS", (broken, doctor.python))
    [first, second] = doctor.examine(sound, NOW)
    assert "RuntimeError: no such thing" in first.what
    assert second.state == "ok"


def test_the_command_lists_marks_and_fails_on_problems(program: Program, tmp_path: Path) -> None:
    done = program("doctor", cwd=tmp_path)
    assert done.returncode == 1
    assert "✗ 数据库打不开，或还没有建立。" in done.stdout
    assert "✓ 知识库可用" in done.stdout
    assert "! 未设置 [province] name" in done.stdout
    assert not (tmp_path / "data").exists()  # it only looks
    rows = [json.loads(line) for line in program("doctor", "--json", cwd=tmp_path).stdout.splitlines()]
    assert {row["state"] for row in rows} == {"ok", "advice", "problem"}


def test_unusable_settings_are_findings_too(program: Program, tmp_path: Path) -> None:
    (tmp_path / "countydesk.toml").write_text("[web]\nbase = 1\n", "utf-8")
    done = program("doctor", cwd=tmp_path)
    assert done.returncode == 1
    assert done.stdout.startswith("✗ web.base：没有这项设置")
