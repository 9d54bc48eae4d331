"""Acknowledging by card and by link over real HTTP, and the account of a broadcast by command and workbook."""

import json
import re
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

import httpx
import openpyxl
import pytest
from sqlalchemy.orm import Session, sessionmaker
from typer.testing import CliRunner

from bot.__main__ import app
from handlers import reconciliation
from knowledge.base import KnowledgeBase
from storage import bindings, bodies, broadcasts, people
from storage.db import make_engine, make_sessions, transaction
from storage.models import Broadcast, Person
from storage.scope import SYSTEM, serving
from tests.channels.test_contract import PNG, WecomSide
from tests.fakes.server import Site, running, until
from tests.fakes.wecom import Member
from tests.province import province

NOW = datetime.fromisoformat("2020-05-06T10:00:00+08:00")


@pytest.fixture
def side() -> Iterator[WecomSide]:
    made = WecomSide()
    yield made
    made.close()


@pytest.fixture
def desk(side: WecomSide, tmp_path: Path) -> Iterator[Site]:
    with running(tmp_path, clock__now=NOW, **side.settings()) as site:
        yield site


def staffed(side: WecomSide, desk: Site) -> dict[str, Member]:
    """The members of a county and of its province."""
    members: dict[str, Member] = {}
    keys = desk.database.parent / "keys"
    engine = make_engine(f"sqlite:///{desk.database}")
    sessions = make_sessions(engine, (keys / "data.key").read_bytes(), (keys / "audit.key").read_bytes())
    with transaction(sessions) as db, serving(db, SYSTEM):
        body, _ = bodies.find_or_add(db, name="秦安县", division_code="620522", years=[2016])
        other, _ = bodies.find_or_add(db, name="清水县", division_code="620521", years=[2017])
        for who, role, where in (
            ("clerk", "county_officer", body.id),
            ("head", "county_head", body.id),
            ("neighbour", "county_officer", other.id),
            ("officer", "province_officer", None),
            ("approver", "province_approver", None),
        ):
            members[who] = side.members[side.someone(desk)]
            person = Person(name=f"样例{who}", body_id=where, consent="2026-1", verified_at=NOW, seen_at=NOW, at=NOW)
            db.add(person)
            db.flush()
            people.give_role(db, person, role, body_id=where, division_code=None if where else "620000", now=NOW)
            bindings.bind(db, person, "wecom", members[who].name, NOW)
    engine.dispose()
    return members


def test_it_is_approved_with_one_tap_and_acknowledged_by_card_and_by_link(side: WecomSide, desk: Site) -> None:
    members = staffed(side, desk)
    officer, approver, clerk, other = (members[one] for one in ("officer", "approver", "clerk", "neighbour"))
    side.photo(officer.name, PNG + b"notice")
    until(lambda: desk.query("SELECT 1 FROM file WHERE state = 'stored'"))
    for said in ("新建通知", "关于报送整改进展的通知", "144-2020 三(一)", "请于5月15日前报送整改进展。"):
        officer.says(said)
    [(file_id,)] = desk.query("SELECT id FROM file")
    officer.says(f"附件 {file_id}")
    for said in ("2016、2017年度", "就发给这些", "每县一人签收", "以便确认都已知道", "5月12日", "批准后立即发出"):
        officer.says(said)
    officer.says("提交 N1")
    asked = until(lambda: approver.inbox.cards)[0]
    assert "已批准" in approver.press(asked, 1)

    shown = until(lambda: clerk.inbox.cards)[0]
    [text] = [one for one in clerk.inbox.texts if "【通知N1】" in one]
    assert "商办建函〔2020〕144号三（一）" in text
    assert "已签收N1：秦安县，样例clerk" in clerk.press(shown, 1)
    assert desk.query("SELECT party, way FROM acknowledgement") == [("body:1", "card")]

    found = until(lambda: [one for one in other.inbox.texts if "/f/n/" in one])[0]
    link = re.search(r"http\S+/f/n/\S+", found)
    assert link
    page = httpx.get(link[0])
    assert "请于5月15日前报送整改进展" in page.text
    assert "<button" in page.text
    assert desk.query("SELECT count(*) FROM acknowledgement") == [(1,)]  # looking is not acknowledging
    assert httpx.get(f"{link[0]}/1").content == PNG + b"notice"
    assert httpx.get(f"{link[0]}/2").status_code == 404
    done = httpx.post(link[0], follow_redirects=True)
    assert "已签收（5月6日10:00）" in done.text
    assert "<button" not in done.text
    assert httpx.post(link[0]).status_code == 303  # once more is no harm
    assert desk.query("SELECT party, way FROM acknowledgement ORDER BY id")[1:] == [("body:2", "link")]
    assert desk.query("SELECT state, count(*) FROM delivery WHERE source = 'broadcast:1' GROUP BY 1 ORDER BY 1") == [
        ("accepted", 1),
        ("acked", 2),
    ]


def test_a_guessed_link_is_not_found(desk: Site) -> None:
    for token in ("1-" + "0" * 32, "1", "x", "1-" + "0" * 31, "%2e%2e"):
        assert httpx.get(f"{desk.url}/f/n/{token}").status_code == 404
        assert httpx.post(f"{desk.url}/f/n/{token}").status_code == 404


def test_the_account_adds_up_and_is_no_formula(
    sessions: sessionmaker[Session], kb: KnowledgeBase, tmp_path: Path
) -> None:
    with province(sessions, kb) as office:
        office.person("未绑", "county_officer", "清水县", bound=False)
        office.composed(title="=cmd|' /C calc'!A0 的通知")
        office.say("officer", "提交 N1")
        office.say("approver", "批准 N1")
        office.send(minutes=11)
        office.say("秦安", "收到")
        path = tmp_path / "对账.xlsx"
        with transaction(sessions) as db, serving(db, SYSTEM):
            broadcast = broadcasts.find(db, 1)
            found = reconciliation.as_json(db, broadcast, office.now)
            reconciliation.export(db, broadcast, path, office.now)
    assert found["recipients"] == sum(found["deliveries"].values()) == 3
    assert found["deliveries"] == {"acked": 1, "accepted": 2}
    assert found["excluded"] == {"no_channel": 1}
    assert (found["parties"], found["acknowledged"], found["phase"]) == (2, 1, "done")
    book = openpyxl.load_workbook(path)
    assert book.sheetnames == ["对账", "签收表", "送达对账单", "未列入发送"]
    cells = [cell for sheet in book for row in sheet for cell in row]
    assert not [cell for cell in cells if cell.data_type == "f"]
    assert found["audience_sha256"] in [cell.value for cell in cells]
    receipts = [[cell.value for cell in row] for row in book["签收表"]]
    assert receipts[1][:3] == ["清水县", "620521", "未签收"]
    assert receipts[2][:5] == ["秦安县", "620522", "已签收", "样例秦安", "回复"]
    assert [cell.value for cell in book["未列入发送"][2]] == ["清水县", "县级经办人", "样例未绑", "没有绑定渠道"]


def test_status_and_export_are_commands(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COUNTYDESK_PATHS__DATA", str(tmp_path))
    assert CliRunner().invoke(app, ["broadcast", "status", "N1"]).exit_code == 1
    engine = make_engine(f"sqlite:///{tmp_path}/countydesk.db")
    with transaction(make_sessions(engine)) as db, serving(db, SYSTEM):
        bodies.division(db, "620000")
        values = {"clauses": [], "files": [], "acknowledgement": "none", "text": "", "title": "样例通知"}
        audience = {"roles": [], "regions": [], "years": [], "poverty": None, "open_items": None, "rates": []}
        audience |= {"silent_of": None, "holders_of": None}
        db.add(
            Broadcast(division_code="620000", state="draft", audience=audience, changed_at=NOW, at=NOW, **values)
        )  # fmt: skip
    engine.dispose()
    told = CliRunner().invoke(app, ["broadcast", "status", "n1", "--json"])
    assert json.loads(told.stdout)["recipients"] == 0
    assert "N1《样例通知》 draft" in CliRunner().invoke(app, ["broadcast", "status", "1"]).stdout
    assert CliRunner().invoke(app, ["broadcast", "export", "1", str(tmp_path / "x.csv")]).exit_code == 2
    assert CliRunner().invoke(app, ["broadcast", "export", "1", str(tmp_path / "x.xlsx")]).exit_code == 0
    assert (tmp_path / "x.xlsx").exists()
