"""The upload page on a phone, in the browser that WeChat brings: photos, papers, a refusal, an expired link, keys."""

import io
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import openpyxl
import pytest
from PIL import Image
from playwright.sync_api import Browser, FilePayload, Page, Route, expect
from sqlalchemy import select

from storage import bindings, bodies, people, uploads
from storage.db import make_engine, make_sessions, transaction
from storage.models import UploadLink
from storage.scope import SYSTEM, serving
from tests.browser.support import DESKTOP, PHONE, SMALL_PHONE, Watch, no_sideways_scrolling
from tests.fakes.server import Site, running

WECHAT = (
    "Mozilla/5.0 (Linux; Android 12; M2102K1C Build/SKQ1) AppleWebKit/537.36 (KHTML, like Gecko) Version/4.0 "
    "Chrome/107.0.5304.141 Mobile Safari/537.36 MMWEBID/4521 MicroMessenger/8.0.38.2400(0x28002639) WeChat/arm64 "
    "Weixin NetType/4G Language/zh_CN ABI/arm64"
)
PDF = b"%PDF-1.4\n1 0 obj<<>>endobj\ntrailer<<>>\n%%EOF"


def photo(colour: str) -> bytes:
    made = io.BytesIO()
    Image.effect_noise((500, 400), 90).convert("RGB").save(made, "JPEG", comment=colour.encode())
    return made.getvalue()


def book() -> bytes:
    made = io.BytesIO()
    openpyxl.Workbook().save(made)
    return made.getvalue()


def chosen(name: str, mime: str, data: bytes) -> FilePayload:
    return {"name": name, "mimeType": mime, "buffer": data}


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    with running(tmp_path_factory.mktemp("upload")) as made:
        yield made


@pytest.fixture
def site(desk: Site) -> str:
    return desk.url


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    context = browser.new_context(locale="zh-CN", user_agent=WECHAT, viewport=PHONE, is_mobile=True, has_touch=True)
    yield context.new_page()
    context.close()


@pytest.fixture
def link(desk: Site) -> str:
    """An upload link of somebody new, who has bound at a browser."""
    key = (desk.database.parent / "keys" / "data.key").read_bytes()
    engine = make_engine(f"sqlite:///{desk.database}")
    now = datetime.now(UTC)
    with transaction(make_sessions(engine, key)) as db, serving(db, SYSTEM):
        body, _ = bodies.find_or_add(db, name="秦安县", division_code="620522", years=[2016])
        number = len(db.scalars(select(UploadLink)).all())
        person, _ = people.find_or_add(db, name=f"样例{number}", now=now, body_id=body.id)
        people.give_role(db, person, "county_officer", body_id=body.id, now=now)
        bindings.bind(db, person, "web", f"visitor{number}", now)
        token = uploads.make(db, "web", f"visitor{number}", person.id, now)
    engine.dispose()
    return f"{desk.url}/f/up/{token}"


def test_files_are_sent_one_after_the_other_with_their_progress(
    page: Page, desk: Site, link: str, shots: Path, watch: Watch
) -> None:
    watch.staged = ("415",)
    page.goto(link)
    picker = page.locator("#files")
    expect(picker).to_be_disabled()
    page.screenshot(path=shots / "upload-start-390.png")
    page.get_by_label("我确认").tap()
    expect(picker).to_be_enabled()
    held: list[Route] = []
    page.route("**/f/up/*", lambda route: route.continue_() if held else held.append(route))
    picker.set_input_files(
        [
            chosen("现场照片一.jpg", "image/jpeg", photo("a")),
            chosen("现场照片二.jpg", "image/jpeg", photo("b")),
            chosen("服务合同扫描件（2020年4月签订，含附件一至附件三）.pdf", "application/pdf", PDF),
            chosen("站点台账.xlsx", "application/octet-stream", book()),
            chosen("验收录像.mp4", "video/mp4", b"0" * 20_000_001),
            chosen("情况说明.doc", "application/msword", b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + b"\0" * 600),
        ]
    )
    rows = page.locator("#sent li")
    expect(rows).to_have_count(6)
    expect(rows.nth(0)).to_contain_text("正在上传")
    expect(rows.nth(1)).to_contain_text("等待")
    page.screenshot(path=shots / "upload-sending-390.png")
    held[0].continue_()
    for row in range(4):
        expect(rows.nth(row)).to_contain_text("已收到")
        assert rows.nth(row).locator("progress").evaluate("one => one.value") == 100
    expect(rows.nth(5)).to_contain_text("另存为 .docx、.xlsx 或 PDF")
    expect(rows.nth(5).get_by_role("button", name="重传")).to_be_hidden()
    expect(rows.nth(4)).to_contain_text("超过20MB")
    expect(page.locator("#done")).to_contain_text("回到对话")
    no_sideways_scrolling(page)
    page.screenshot(path=shots / "upload-done-390.png", full_page=True)
    names = [row[0] for row in desk.query("SELECT name FROM file ORDER BY id")]
    assert [names[0], names[3], len(names)] == ["现场照片一.jpg", "站点台账.xlsx", 4]
    page.reload()
    expect(page.locator(".hint")).to_contain_text("已传4个")


def test_a_broken_connection_is_told_and_sent_again_by_keyboard(
    page: Page, desk: Site, link: str, watch: Watch, shots: Path
) -> None:
    watch.staged = ("ERR_",)
    page.on("filechooser", lambda _chooser: None)  # from here on no dialogue of the browser's own opens
    page.set_viewport_size(DESKTOP)
    page.goto(link)
    page.keyboard.press("Tab")
    while page.evaluate("document.activeElement.id") != "pledge":
        page.keyboard.press("Tab")
    page.keyboard.press("Space")
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.id") == "files"
    with page.expect_file_chooser() as asked:
        page.keyboard.press("Space")
    page.route("**/f/up/*", lambda route: route.abort())
    asked.value.set_files([chosen("合同.pdf", "application/pdf", PDF + b"again")])
    row = page.locator("#sent li")
    expect(row).to_contain_text("请检查网络后重传")
    page.unroute("**/f/up/*")
    page.keyboard.press("Tab")
    expect(row.get_by_role("button", name="重传")).to_be_focused()
    page.screenshot(path=shots / "upload-failed-1366.png")
    page.keyboard.press("Enter")
    expect(row).to_contain_text("已收到")
    expect(row.get_by_role("button", name="重传")).to_be_hidden()


def test_an_expired_link_says_how_to_go_on(page: Page, desk: Site, link: str, watch: Watch, shots: Path) -> None:
    watch.staged = ("404",)
    page.set_viewport_size(SMALL_PHONE)
    page.goto(link)
    page.get_by_label("我确认").tap()
    engine = make_engine(f"sqlite:///{desk.database}")
    with transaction(make_sessions(engine)) as db:
        for one in db.scalars(select(UploadLink)):
            one.expires_at = datetime.now(UTC)
    engine.dispose()
    page.locator("#files").set_input_files([chosen("合同.pdf", "application/pdf", PDF)])
    expect(page.locator("#sent li")).to_contain_text("这个链接已失效")
    page.reload()
    expect(page.locator("main")).to_contain_text("发“上传文件”取得新的链接")
    no_sideways_scrolling(page)
    page.screenshot(path=shots / "upload-expired-360.png")
