"""A clerk's day over real HTTP: invited, bound, answered, a photo, three files by link, unbound."""

import io
import re
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx
import openpyxl
import pytest

from storage import bodies, invitations, people
from storage.db import make_engine, make_sessions, transaction
from storage.scope import SYSTEM, serving
from tests.channels.test_contract import PNG, TelegramSide, WechatSide, WecomSide
from tests.fakes.server import Site, running, until

PDF = b"%PDF-1.4\n1 0 obj<<>>endobj\ntrailer<<>>\n%%EOF"


class WebSide:
    """A browser."""

    name = "web"

    def __init__(self) -> None:
        self.http = httpx.Client(timeout=30)
        self.site = ""

    def settings(self) -> dict[str, Any]:
        return {}

    def someone(self, site: Site) -> str:
        self.site = site.url
        return ""

    def send(self, address: str, text: str) -> str:
        said = {"message_id": uuid.uuid4().hex, "text": text}
        reply = self.http.post(f"{self.site}/chat", json=said).json()["reply"]
        lines = [reply["text"], *(f"{number}. {one['label']}" for number, one in enumerate(reply["options"], 1))]
        return "\n".join([*lines, *(f"{one['label']}：{one['url']}" for one in reply["links"])])

    def close(self) -> None:
        self.http.close()


Anyone = WechatSide | WecomSide | TelegramSide | WebSide


@pytest.fixture(params=[WechatSide, WecomSide, WebSide, TelegramSide], ids=lambda side: side.name)
def side(request: pytest.FixtureRequest) -> Iterator[Anyone]:
    made = request.param()
    yield made
    made.close()


@pytest.fixture
def desk(side: Anyone, tmp_path: Path) -> Iterator[Site]:
    with running(tmp_path, **side.settings()) as site:
        yield site


def invited(site: Site) -> str:
    """The code of an invitation for a county's clerk, made by an operator."""
    now = datetime.now(UTC)
    keys = site.database.parent / "keys"
    engine = make_engine(f"sqlite:///{site.database}")
    sessions = make_sessions(engine, (keys / "data.key").read_bytes(), (keys / "audit.key").read_bytes())
    with transaction(sessions) as db, serving(db, SYSTEM):
        body, _ = bodies.find_or_add(db, name="秦安县", division_code="620522", years=[2016])
        person, _ = people.find_or_add(db, name="样例甲", now=now, body_id=body.id)
        expires = now + timedelta(days=14)
        _, code = invitations.make(
            db, person=person, role="county_officer", body_id=body.id, now=now, expires_at=expires
        )
    engine.dispose()
    return code


def files() -> dict[str, bytes]:
    book = io.BytesIO()
    openpyxl.Workbook().save(book)
    return {"现场.png": PNG + b"1", "合同.pdf": PDF, "台账.xlsx": book.getvalue()}


def test_a_clerks_day(side: Anyone, desk: Site) -> None:
    who, code = side.someone(desk), invited(desk)
    if isinstance(side, WechatSide):
        shown = side.followers[who].send("event", Event="subscribe", EventKey=f"qrscene_{code}", Ticket="t")
    else:
        shown = side.send(who, f"绑定 {code}")
    assert "样例甲" in shown
    assert "秦安县" in shown
    assert "个人信息告知" in shown
    assert "秦安县" in side.send(who, "1")
    assert "不得用于" in side.send(who, "专项资金能不能给站长发工资")
    assert "上半年" in side.send(who, "问题整改什么时候完成")
    assert "绩效评价结束当年" in side.send(who, "那2018年度的呢")
    assert side.send(who, "更多")
    assert "样例甲" in side.send(who, "我的信息")
    if isinstance(side, TelegramSide):
        return
    if not isinstance(side, WebSide):
        photo = PNG + b"by message"
        assert "已收到" in side.photo(who, photo)
        place = desk.database.parent / "files" / sha256(photo).hexdigest()[:2] / sha256(photo).hexdigest()
        until(place.exists)
    found = re.search(r"/f/up/\S+", side.send(who, "上传文件"))
    assert found
    page = httpx.get(f"{desk.url}{found[0]}", timeout=60)
    assert "不含国家秘密" in page.text
    for name, data in files().items():
        sent = httpx.post(f"{desk.url}{found[0]}", content=data, headers={"X-Name": quote(name)}, timeout=60)
        assert sent.status_code == 200, sent.text
        assert "已收到" in sent.json()["text"]
    refused = httpx.post(f"{desk.url}{found[0]}", content=b"<html><script>alert(1)</script></html>", timeout=60)
    assert refused.status_code == 415
    assert "只收照片" in refused.json()["error"]
    large = httpx.post(f"{desk.url}{found[0]}", content=PNG + b"0" * 20_000_001, timeout=60)
    assert large.status_code == 413
    stored = desk.query("SELECT state, count(*) FROM file GROUP BY state")
    assert stored == [("stored", 3 if isinstance(side, WebSide) else 4)]
    side.send(who, "解绑")
    side.send(who, "1")
    assert httpx.get(f"{desk.url}{found[0]}", timeout=60).status_code == 404
    assert "须先绑定" in side.send(who, "我的")
    assert httpx.get(f"{desk.url}/f/up/guessed", timeout=60).status_code == 404
