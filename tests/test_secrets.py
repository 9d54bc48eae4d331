"""Personal values: encrypted at rest, gone when erased, absent from the log, readable again after a change of keys."""

import os
import uuid
import warnings
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import httpx
import pytest
import structlog
from sqlalchemy import select, text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import Session, sessionmaker

from bot import operations
from bot.app import assistant, without_values
from bot.installation import open_database
from bot.messages import Inbound, Reply
from bot.settings import Database, Paths, Settings, Web
from bot.turns import TurnThread
from knowledge.base import KnowledgeBase
from storage import audit, bindings, bodies, conversations, people, secrets
from storage.db import transaction
from storage.models import Base, Conversation, Exchange, Invitation, Person, Role, UploadLink
from storage.scope import OPERATOR, SYSTEM, serving
from tests.commands import Program
from tests.conftest import JUNE, serve

PHONE, NAME, OPENID, TITLE = "13987654321", "欧阳样例", "oPlantedOpenid_4f2a", "一行\n\n第二段职务"


@pytest.fixture
def office(url: str, tmp_path: Path) -> Settings:
    return Settings(paths=Paths(data=tmp_path / "data"), database=Database(url=url))


@pytest.fixture
def opened(office: Settings) -> Iterator[sessionmaker[Session]]:
    """A bound person with a phone, an invitation and an upload link that wait, and used ones."""
    sessions = open_database(office)
    with transaction(sessions) as db, serving(db, OPERATOR):
        person = Person(name=NAME, phone=secrets.encrypt(db, PHONE), phone_digest=secrets.digest(db, PHONE), at=JUNE)
        db.add(person)
        db.flush()
        bindings.bind(db, person, "wechat", OPENID, JUNE)
        for code, used in (("waiting", None), ("used", JUNE)):
            db.add(
                Invitation(
                    code_digest=secrets.digest(db, code), person_id=person.id, role="county_officer",
                    at=JUNE, expires_at=JUNE + timedelta(days=10), used_at=used,
                )
            )  # fmt: skip
        db.add(
            UploadLink(
                token_digest=secrets.digest(db, "token"), channel="wechat", address=OPENID,
                at=JUNE, expires_at=JUNE + timedelta(hours=1),
            )
        )  # fmt: skip
    yield sessions
    sessions.kw["bind"].dispose()


# --- a change of keys ------------------------------------------------------------------------------------------------


def phone_of(office: Settings) -> str:
    sessions = open_database(office)
    with transaction(sessions) as db, serving(db, OPERATOR):
        person = db.query(Person).filter_by(phone_digest=secrets.digest(db, PHONE)).one()
        found = secrets.decrypt(db, person.phone or "")
    sessions.kw["bind"].dispose()
    return found


def test_a_new_key_opens_everything_and_ends_what_waits_by_digest(
    office: Settings, opened: sessionmaker[Session]
) -> None:
    old = office.key_file.read_bytes()
    done = operations.rotate(office, opened, JUNE)
    assert done == secrets.Rekeyed(values=1, invitations=1, links=1)
    assert office.key_file.read_bytes() != old
    assert office.key_file.stat().st_mode & 0o777 == 0o600
    assert office.key_file.with_name("data.key.old-1").read_bytes() == old
    assert not office.new_key_file.exists()
    assert phone_of(office) == PHONE
    with transaction(opened) as db, serving(db, OPERATOR):
        assert [one.revoked_at for one in db.query(Invitation).order_by(Invitation.id)] == [JUNE, None]
        assert db.query(UploadLink).one().expires_at == JUNE
        report = audit.verify(db, JUNE, audit.remembered(office.audit_head_file))
        assert (report.rows, report.flaws) == (1, ())
    opened.kw["info"]["data_key"] = office.key_file.read_bytes()
    operations.rotate(office, opened, JUNE)
    assert phone_of(office) == PHONE
    assert office.key_file.with_name("data.key.old-2").exists()


def test_a_change_that_fails_leaves_the_old_key(
    office: Settings, opened: sessionmaker[Session], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise OSError("no space left")

    with monkeypatch.context() as patched, pytest.raises(OSError, match="no space"):
        patched.setattr(audit, "record", fail)
        operations.rotate(office, opened, JUNE)
    assert phone_of(office) == PHONE
    assert operations.rotate(office, opened, JUNE) is not None  # the key left behind is dropped
    assert phone_of(office) == PHONE


def test_a_change_cut_short_after_the_commit_is_finished_by_the_next(
    office: Settings, opened: sessionmaker[Session], monkeypatch: pytest.MonkeyPatch
) -> None:
    def cut(_: Settings) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
        patched.setattr(operations, "_swap", cut)
        operations.rotate(office, opened, JUNE)
    assert operations.rotate(office, opened, JUNE) is None
    assert phone_of(office) == PHONE


def test_the_command_asks_whether_the_service_is_stopped(program: Program, tmp_path: Path) -> None:
    assert program("keys", "rotate", typed="n\n", cwd=tmp_path).returncode == 1
    assert not (tmp_path / "data").exists()
    done = program("keys", "rotate", "--yes", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "重新加密0项" in done.stdout


# --- at rest ---------------------------------------------------------------------------------------------------------


def found_on_disk(folder: Path, planted: str) -> list[str]:
    return [path.name for path in folder.rglob("*") if path.is_file() and planted.encode() in path.read_bytes()]


def test_a_phone_is_in_no_file_and_an_erased_name_leaves_none(tmp_path: Path) -> None:
    office = Settings(paths=Paths(data=tmp_path / "data"))
    sessions = open_database(office)
    with transaction(sessions) as db, serving(db, OPERATOR):
        db.add(Person(name=NAME, phone=secrets.encrypt(db, PHONE), at=JUNE))
    assert found_on_disk(office.paths.data, NAME)
    assert found_on_disk(office.paths.data, PHONE) == []
    with transaction(sessions) as db, serving(db, OPERATOR):
        person = db.query(Person).one()
        person.name, person.phone = "用户1", None
    sessions.kw["bind"].dispose()  # the log is written back and removed
    assert found_on_disk(office.paths.data, NAME) == []


@pytest.mark.parametrize(
    ("said", "kept"),
    [
        ("我的电话13987654321，能二次申报吗", "我的电话139****4321，能二次申报吗"),
        ("１３９８７６５４３２１", "139****4321"),
        ("139-8765-4321 或 138 0000 1111", "139****4321 或 138****1111"),
        ("文号2020004823、邮编743000、金额12345678901234元", "文号2020004823、邮编743000、金额12345678901234元"),
    ],
)
def test_phones_in_a_text_are_masked(said: str, kept: str) -> None:
    assert secrets.without_phones(said) == kept


def test_a_phone_typed_into_the_chat_is_neither_stored_nor_logged(tmp_path: Path) -> None:
    """Through the server, with questions that are answered, refused and disputed."""
    server = serve(tmp_path)
    site = next(server)
    said = [f"我是{NAME}，电话{PHONE}，能二次申报吗", f"{PHONE}", f"每个站点补多少钱，回电 139 8765 4321，{OPENID}"]
    with httpx.Client(base_url=site) as browser:
        for number, text_said in enumerate((*said, "答得不对", "更多", "为什么")):
            answered = browser.post("/chat", json={"message_id": f"message-{number}", "text": text_said})
            assert answered.status_code == 200
        assert browser.post("/api/v1/ask", json={"q": said[0]}).status_code == 200
        browser.post("/chat", json={"message_id": "short", "text": said[0]})  # an invalid request is not logged either
    server.close()
    log = (tmp_path / "log").read_text("utf-8")
    assert [planted for planted in (PHONE, NAME, OPENID) if planted in log] == []
    assert found_on_disk(tmp_path / "data", PHONE) == []
    assert found_on_disk(tmp_path / "data", "139****4321")


def test_an_error_of_the_database_does_not_carry_values_into_the_log(opened: sessionmaker[Session]) -> None:
    with pytest.raises(DBAPIError, match="hide_parameters") as caught, transaction(opened) as db:
        db.execute(text("INSERT INTO person (name, title) VALUES (:name, :title)"), {"name": NAME, "title": TITLE})
    logged = {"event": f"turn failed for {PHONE}", "exc_info": caught.value, "log_level": "error"}
    line = str(without_values(None, "error", structlog.processors.format_exc_info(None, "error", logged)))
    assert "INSERT INTO person" in line
    assert [planted for planted in (NAME, PHONE, TITLE[-4:]) if planted in line] == []


# --- what was shown once ---------------------------------------------------------------------------------------------


def tables(sessions: sessionmaker[Session]) -> str:
    """Every row of every table, as a reader of the database finds them."""
    with transaction(sessions) as db, serving(db, SYSTEM):
        return repr([db.execute(select(table)).all() for table in Base.metadata.sorted_tables])


def test_codes_links_and_phones_are_shown_again_and_stand_in_no_table(
    sessions: sessionmaker[Session], kb: KnowledgeBase
) -> None:
    turns = TurnThread(assistant(kb, Settings(web=Web(base_url="https://example.org"))), sessions)
    with transaction(sessions) as db, serving(db, SYSTEM):
        body, _ = bodies.find_or_add(db, name="秦安县", division_code="620522", years=[2016])
        for name, role, place in (("甲某", "county_head", "620522"), ("乙某", "province_officer", "620000")):
            person, _ = people.find_or_add(db, name=name, phone=PHONE if name == "甲某" else "", now=JUNE)
            county = {"body_id": body.id} if place == "620522" else {"division_code": place}
            people.give_role(db, person, role, now=JUNE, **county)  # type: ignore[arg-type]  # one of the two
            bindings.bind(db, person, "terminal", name, JUNE)

    def say(who: str, said: str, number: str) -> Reply:
        inbound = Inbound(channel="terminal", message_id=number, address=who, text=said, at=JUNE)
        return turns.submit(inbound).result(timeout=60)

    steps = ("邀请", "县级经办人", "丙某", "跳过", "跳过", "跳过")
    for number, said in enumerate(steps):
        invited = say("甲某", said, f"i{number}")
    code = invited.links[0].url.rpartition("=")[2]
    link = say("甲某", "上传文件", "u").links[0].url.rpartition("/")[2]
    say("乙某", "看电话 甲某", "p1")
    phone = say("乙某", "回拨来电", "p2")
    assert len(code) == 9 and code in invited.text and len(link) > 20 and PHONE in phone.text
    assert "丙某" in say("nobody", f"绑定 {code}", "b").text  # typed and left: the code is still good
    readable = tables(sessions)
    assert [one for one in (code, code.replace("-", ""), link, PHONE) if one in readable] == []
    assert say("甲某", "again", "i5") == invited
    assert say("乙某", "again", "p2") == phone
    turns.stop()


def test_what_waits_for_more_is_encrypted_and_comes_whole(sessions: sessionmaker[Session], kb: KnowledgeBase) -> None:
    turns = TurnThread(replace(assistant(kb), limits={"terminal": 300}), sessions)

    def say(said: str, number: str) -> Reply:
        inbound = Inbound(channel="terminal", message_id=number, address="o", text=said, at=JUNE)
        return turns.submit(inbound).result(timeout=60)

    first = say("项目管理有哪些要求", "1")
    new = b"another key".ljust(32, b".")
    with transaction(sessions) as db, serving(db, SYSTEM):
        stored = db.scalars(select(Conversation.rest)).one()
        assert stored.startswith(secrets.PREFIX)
        rest = secrets.decrypt(db, stored).partition("\n")[2]
        assert secrets.rekey(db, new, JUNE).values == 3  # said, reply, rest
        db.expire_all()
        exchange = db.scalars(select(Exchange)).one()
        assert conversations.said(db, exchange) == "项目管理有哪些要求"
        assert Reply.from_json(conversations.reply(db, exchange)) == first
    sessions.configure(info={**sessions.kw["info"], "data_key": new})
    assert len(rest) > 50
    assert say("更多", "2").text[:50] == rest[:50]
    turns.stop()


def test_what_waits_for_more_ends_with_the_role_that_it_was_written_for(
    sessions: sessionmaker[Session], kb: KnowledgeBase
) -> None:
    turns = TurnThread(replace(assistant(kb), limits={"terminal": 300}), sessions)

    def say(said: str) -> str:
        inbound = Inbound(channel="terminal", message_id=uuid.uuid4().hex, address="o", text=said, at=JUNE)
        return turns.submit(inbound).result(timeout=60).text

    with transaction(sessions) as db, serving(db, SYSTEM):
        body, _ = bodies.find_or_add(db, name="秦安县", division_code="620522", years=[2016])
        for number in range(20):
            one, _ = people.find_or_add(db, name=f"样例{number}", body_id=body.id, now=JUNE)
            people.give_role(db, one, "county_officer", body_id=body.id, now=JUNE)
        head = people.give_role(db, one, "county_head", body_id=body.id, now=JUNE)
        bindings.bind(db, one, "terminal", "o", JUNE)
    assert "样例19" not in say("本县人员") and "样例15" in say("更多")
    say("本县人员")
    with transaction(sessions) as db, serving(db, SYSTEM):
        people.end_role(db, db.get_one(Role, head.id), JUNE)
    assert "样例" not in say("结果") and "样例" not in say("更多")
    turns.stop()


def test_no_nonce_is_used_twice_nor_by_a_process_forked_off() -> None:
    assert len({secrets._nonce() for _ in range(2000)}) == 2000
    readable, writable = os.pipe()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # from 3.12 on: other threads of the tests do not go along
        child = os.fork()
    if not child:
        os.write(writable, secrets._nonce())
        os._exit(0)
    os.waitpid(child, 0)
    assert os.read(readable, 100) not in set(secrets._NONCES)
    os.close(readable)
    os.close(writable)
