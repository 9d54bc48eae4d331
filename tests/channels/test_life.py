"""The life of one item from the list to 回头看通过: over WeChat, and over `chat --as` from a pipe, on both databases."""

import io
import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from urllib.parse import quote

import httpx
import pytest
from docx import Document
from sqlalchemy import Connection, Engine, event, func, select
from sqlalchemy.orm import Session, sessionmaker
from typer.testing import CliRunner

from bot.__main__ import app as command_line
from bot.settings import ensure_key
from bot.workdays import LOCAL
from storage import bodies, evidence, invitations, items, people
from storage.db import make_engine, make_sessions, transaction
from storage.models import Exchange, Item
from storage.scope import SYSTEM, serving
from tests.channels.test_contract import PNG, WechatSide
from tests.fakes.server import Site, running, until
from tests.test_itemlists import filled, with_

YESTERDAY = datetime.now(LOCAL) - timedelta(days=1)
PEOPLE = {
    "经办": ("county_officer", None), "副县长": ("county_head", None),
    "省经办": ("province_officer", "620000"), "处长": ("province_approver", "620000"),
}  # fmt: skip
PHOTO = "〔照片〕"
NEXT_YEAR = datetime.now(UTC).year + 1
Said = tuple[str, str]  # what is said, and what the reply has to contain


def again(photo: bool) -> list[tuple[str, list[Said]]]:
    """An application, from the evidence to the claim."""
    proof = [(PHOTO, "放入正在填的这一单"), ("材料已齐", "确认")] if photo else [("纸质材料已报，无电子件", "确认")]
    return [
        ("经办", [("申请销号 #1", "附件1-3.2"), *proof, ("确认", "待分管负责人确认")]),
        ("副县长", [("待我确认", "待您确认1项"), ("1", "销号待审")]),
        ("省经办", [("待审", "1项"), ("认领事项 #1", "核查中")]),
    ]


def signed() -> list[tuple[str, list[Said]]]:
    """销号 by two people: whoever proposes it cannot sign."""
    found = "实地查看两个站点均正常营业"
    return [
        (
            "省经办",
            [
                ("提请销号 #1", "什么方式"),
                ("现场考察", "哪天去的"),
                (f"{YESTERDAY.month}月{YESTERDAY.day}日，张某、李某，城关镇站点", "照片"),
                ("没有照片", "发现"),
                (found, "请核对"),
                ("确认", "待另一人签批"),
            ],
        ),
        ("省经办", [("同意 #1", "待签批")]),
        ("处长", [("待签批", "1项"), ("同意 #1", found), ("确认", "已销号")]),
    ]


def checked(result: str, *rest: Said) -> list[tuple[str, list[Said]]]:
    said = [
        ("回头看记录 #1", "形式"),
        ("回头看", "方式"),
        ("现场考察", "哪天去的"),
        (f"{YESTERDAY.month}月{YESTERDAY.day}日，张某、李某，城关镇站点", "照片"),
        ("没有照片", "发现"),
        ("再次实地查看两个站点", "结果"),
    ]
    return [("省经办", [*said, (result, ""), *rest])]


def life(photo: bool) -> list[tuple[str, list[Said]]]:
    """Who says what, in order, once the list has been imported."""
    measure = "两个站点年底前恢复营业，负责人样例甲"
    return [
        ("处长", [("待下发", "项。回复数字"), ("下发事项 #1", "哪一天"), (f"{NEXT_YEAR}-06-30", "请核对"), ("确认", "待签收")]),
        ("经办", [("我的事项", "三个站点停止运营"), ("签收事项 #1", "整改措施"), (measure, "请核对"), ("确认", "整改中")]),
        ("经办", [("报进展 #1", "哪一步"), ("一个站点已恢复，进度50%", "请核对"), ("确认", "已办")]),
        ("经办", [(PHOTO, "三个站点停止运营")] if photo else []),
        *again(photo),
        ("省经办", [("退回事项 #1", "缺什么"), ("2 照片看不清", "请核对"), ("确认", "退回补充")]),
        *again(photo),
        *signed(),
        *checked("不通过", (f"{NEXT_YEAR}-09-30", "请核对"), ("确认", "重新整改")),
        *again(photo),
        *signed(),
        *checked("通过", ("确认", "回头看通过")),
    ]  # fmt: skip


EVENTS = [
    "draft",
    "issue",
    "acknowledge",
    "report",
    "request",
    "agree",
    "claim",
    "return",
    "request",
    "agree",
    "claim",
    "propose",
    "close",
    "reopen",
    "request",
    "agree",
    "claim",
    "propose",
    "close",
    "confirm",
]


@contextmanager
def opened(url: str, data: Path) -> Iterator[sessionmaker[Session]]:
    """The server's own database."""
    engine = make_engine(url)
    yield make_sessions(engine, ensure_key(data / "keys" / "data.key"), ensure_key(data / "keys" / "audit.key"))
    engine.dispose()


def invited(sessions: sessionmaker[Session]) -> dict[str, str]:
    """Each person's invitation."""
    now, codes = datetime.now(UTC), {}
    with transaction(sessions) as db, serving(db, SYSTEM):
        body, _ = bodies.find_or_add(db, name="秦安县", division_code="620522", years=[2016])
        for name, (role, division) in PEOPLE.items():
            person, _ = people.find_or_add(db, name=name, now=now, body_id=None if division else body.id)
            where = {"division_code": division} if division else {"body_id": body.id}
            _, codes[name] = invitations.make(
                db, person=person, role=role, now=now, expires_at=now + timedelta(days=14), **where
            )
    return codes


def imported(folder: Path, count: int) -> None:
    """The list of items, by the command line."""
    rows = [with_(number=str(number), due_on=f"{NEXT_YEAR}-06-30") for number in range(1, count + 1)]
    done = CliRunner().invoke(command_line, ("items", "import", str(filled(folder / "list.xlsx", rows))))
    assert done.exit_code == 0, done.output


def trail(sessions: sessionmaker[Session]) -> list[str]:
    with transaction(sessions) as db, serving(db, SYSTEM):
        return [one.event for one in items.trail(db, 1) if one.event != "attach"]


def lived(say: Callable[[str, str], str], photo: bool) -> None:
    for who, said in life(photo):
        for text, expected in said:
            reply = say(who, text)
            assert expected in reply, (who, text, reply)


@pytest.fixture
def place(url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Where the server and the command line keep their data, on the same database; their connections end with the test."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COUNTYDESK_DATABASE__URL", url)
    monkeypatch.setenv("COUNTYDESK_PATHS__DATA", str(tmp_path / "data"))
    engines: set[Engine] = set()

    def connected(connection: Connection) -> None:
        engines.add(connection.engine)

    event.listen(Engine, "engine_connect", connected)
    yield tmp_path / "data"
    event.remove(Engine, "engine_connect", connected)
    for engine in engines:
        engine.dispose()


def test_over_wechat(url: str, place: Path, tmp_path: Path) -> None:
    side = WechatSide()
    with running(tmp_path, database__url=url, **side.settings()) as site, opened(url, place) as sessions:
        openids = {}
        for name, code in invited(sessions).items():
            openids[name] = side.someone(site)
            assert name in side.send(openids[name], f"绑定 {code}")
            assert "绑定" in side.send(openids[name], "1")
        imported(tmp_path, 4)
        shots = (PNG + str(number).encode() for number in range(100))

        def say(who: str, text: str) -> str:
            return side.photo(openids[who], next(shots)) if text == PHOTO else side.send(openids[who], text)

        lived(say, photo=True)
        assert trail(sessions) == EVENTS
        until(lambda: _stored(sessions) == 4)  # the first photo and one with each application
        link = re.search(r"http\S+/f/\d+\?t=\S+", say("经办", "出回头看记录 #1"))
        assert link
        paper = httpx.get(link[0])
        assert paper.status_code == 200
        told = "\n".join(cell.text for table in Document(io.BytesIO(paper.content)).tables for cell in table._cells)
        assert f"不通过，重新整改至{NEXT_YEAR}年9月30日" in told
        assert told.count("再次实地查看两个站点") == 2
        three_at_once(say, site, sessions, openids["经办"])
    side.close()


def _stored(sessions: sessionmaker[Session]) -> int:
    """How many photos have been fetched and prove the item, in all its rounds."""
    with transaction(sessions) as db, serving(db, SYSTEM):
        return len(evidence.hashes(db, 1))


def three_at_once(say: Callable[[str, str], str], site: Site, sessions: sessionmaker[Session], clerk: str) -> None:
    """Three items with their photos take the clerk four messages."""
    for number in (2, 3, 4):
        for text in (f"下发事项 #{number}", f"{NEXT_YEAR}-06-30", "确认"):
            say("处长", text)
        for text in (f"签收事项 #{number}", "逐站核对，限期恢复，负责人样例甲", "确认"):
            assert say("经办", text)
    before = _typed(sessions, clerk)
    page = re.search(r"/f/up/\S+", say("经办", "上传文件"))
    assert page
    for number in (2, 3, 4):
        headers = {"X-Name": quote(f"站点{number}.png")}
        sent = httpx.post(f"{site.url}{page[0]}", content=PNG + b"three" + bytes([number]), headers=headers)
        assert sent.status_code == 200, sent.text
    say("经办", "2、3、4改完了")
    assert say("经办", "材料已齐").count("附材料1份") == 3
    assert say("经办", "确认").count("待分管负责人确认") == 3
    assert _typed(sessions, clerk) - before <= 4
    with transaction(sessions) as db, serving(db, SYSTEM):
        waiting = list(db.scalars(select(Item).where(Item.waiting == "head")))
        assert [one.id for one in waiting] == [2, 3, 4]
        assert [len(evidence.standing(db, one, "stored")) for one in waiting] == [1, 1, 1]


def _typed(sessions: sessionmaker[Session], address: str) -> int:
    """How many messages somebody has typed."""
    with transaction(sessions) as db:
        wanted = select(func.count()).select_from(Exchange).where(Exchange.address == address, Exchange.said != "")
        return db.scalar(wanted) or 0


def test_over_chat_as(url: str, place: Path, tmp_path: Path) -> None:
    with opened(url, place) as sessions:
        codes = invited(sessions)
        imported(tmp_path, 1)
        before = (
            "副县长",
            [("待我确认", "没有待您确认的事项")],
        )  # an office without a bound head would submit by itself
        for who, said in _turns([before, *life(photo=False)]):
            if who in codes:
                said = [(f"绑定 {codes.pop(who)}", who), ("1", "已绑定"), *said]
            script = "".join(f"{text}\n" for text, _ in said)
            done = CliRunner().invoke(command_line, ("chat", "--as", who), input=script)
            assert done.exit_code == 0, done.output
            rest = done.stdout
            for text, expected in said:
                assert expected in rest, (who, text, done.stdout)
                rest = rest[rest.index(expected) :]
        assert trail(sessions) == EVENTS


def _turns(steps: Sequence[tuple[str, list[Said]]]) -> Iterator[tuple[str, list[Said]]]:
    """The script with what one person says in a row taken together."""
    who, said = "", list[Said]()
    for name, lines in (*steps, ("", [])):
        if name != who:
            if said:
                yield who, said
            who, said = name, []
        said = [*said, *lines]
