"""Make the pictures of the manuals anew, from the demo province: python -m tests.browser.manual.

Chromium names its own buttons in Chinese only where its language packs are installed (Debian: chromium-l10n).
"""

import io
import os
import re
import tempfile
from collections.abc import Sequence
from contextlib import contextmanager
from pathlib import Path

from PIL import Image
from playwright.sync_api import Browser, Page, expect, sync_playwright

from tests.browser.support import DESKTOP, PHONE, QUESTION
from tests.commands import ROOT
from tests.conftest import CHROMIUM, serve
from tests.console import come_in

IMAGES = ROOT / "docs" / "images"
MARGIN = 8  # pixels around what is shown
SCALE = 1.5
COLOURS = 64
SHOW = "shown => { for (const one of document.querySelectorAll('.top, .composer')) one.style.visibility = shown }"
SHOTS: tuple[tuple[str, Sequence[str], str], ...] = (  # whose conversation, what is said in it, the picture of the end
    ("stranger", (QUESTION,), "ask"),
    ("clerk", ("我是样例乙", "我的事项"), "items"),
    ("clerk", ("1",), "card"),
    ("clerk", ("我的事项", "1号事项进度80%，回访已做一半"), "update"),
    ("clerk", ("确认", "申请销号 2"), "submit"),
    ("clerk", ("照片随纸质材料报送", "确认", "本县情况"), "county"),
    ("clerk", ("填报资金", "2000", "1760.5", "1500", "今天"), "funds"),
    ("clerk", ("确认", "出整改情况报告"), "paper"),
    ("head", ("我是样例庚", "待我确认"), "confirm"),
    ("officer", ("我是样例子", "回头看记录 #8", "回头看", "现场考察"), "visit-asked"),
    (
        "officer",
        ("4月22日，样例子、李某，城关镇站点和县仓储中心", "没有照片", "实地查看3个站点，台账与实物一致", "通过"),
        "visit",
    ),
    (
        "officer",
        (
            "新建通知", "关于报送整改进展的通知", "144-2020 三(一)", "请于4月30日前将整改进展报省商务厅市场体系建设处。",
            "不带附件", "2016、2017年度",
        ),
        "broadcast-audience",
    ),
    (
        "officer",
        ("就发给这些", "每县一人签收", "以便确认各县已知道报送时限", "4月28日", "批准后立即发出", "看范围和全文"),
        "broadcast-card",
    ),
    ("officer", ("提交 N3",), "broadcast-submitted"),
    ("approver", ("我是样例丑", "通知下发", "1"), "broadcast-approve"),
    ("approver", ("批准 N3",), "broadcast-approved"),
    ("clerk", ("通知 N3",), "broadcast-received"),
    ("clerk", ("收到 N3",), "broadcast-acknowledged"),
    ("officer", ("进度 N3",), "broadcast-progress"),
)  # fmt: skip
DESKS = (  # who opens which page of the console, the picture of it, and whether it is shown beyond the first screen
    ("样例子", "board", "board", False),
    ("样例子", "items?q=三家快递只合用场地", "item", True),
    ("样例子", "reminders", "reminders", False),
    ("样例寅", "hotline", "hotline", True),
    ("样例子", "items?q=带动贫困户名单未核实", "check", True),
    ("样例子", "items?q=帮扶台账不全", "follow-up", True),
    ("样例子", "broadcasts/new", "compose", True),
    ("样例子", "broadcasts/1", "broadcast", True),
    ("样例子", "questions", "question", True),
    ("样例子", "knowledge/import", "import", True),
    ("样例寅", "hotline", "call", True),
)
NOTICE = """示例省商务厅关于做好2020年电商进农村综合示范物流配送工作的通知
示商电发〔2020〕8号
各示范县商务主管部门：
现将有关事项通知如下：
一、工作要求
（一）各示范县应于5月20日前将县到村配送线路图报省商务厅。
（二）县到村配送覆盖率不低于85%。
（三）物流补贴资金不得用于购置办公用车。
示例省商务厅
2020年4月22日"""
UNSHOWN = ("broadcast-submitted", "broadcast-approved", "broadcast-acknowledged")  # steps on the way
VISIT = {"提请销号": ("霍城镇、清泉镇站点", "逐户核对30户，名单与台账一致"), "回头看通过": ("城关镇站点和县仓储中心", "台账与实物一致")}  # fmt: skip
INVITING = ("邀请", "县级经办人", "李明", "跳过", "跳过", "跳过")


def say(page: Page, text: str) -> str:
    """Say something in the chat; the answer."""
    answers = page.locator("#log .reply:not(.pending)")
    before = answers.count()
    page.locator("#text").fill(text)
    page.locator("#text").press("Enter")
    expect(answers).to_have_count(before + 1)
    return answers.last.inner_text()


def picture(page: Page, name: str) -> None:
    """The last words and their answer, as few colours as they need."""
    boxes = [page.locator(one).last.bounding_box() for one in ("#log .said", "#log .reply")]
    first, last = (box for box in boxes if box)
    top = first["y"] + page.evaluate("scrollY") - MARGIN
    clip = {"x": 0, "y": top, "width": PHONE["width"], "height": last["y"] + last["height"] - first["y"] + 2 * MARGIN}
    page.evaluate(SHOW, "hidden")
    shot = Image.open(io.BytesIO(page.screenshot(full_page=True, clip=clip)))  # type: ignore[arg-type]  # a mapping of floats
    page.evaluate(SHOW, "visible")
    shot.convert("RGB").quantize(COLOURS).save(IMAGES / f"manual-{name}.png", optimize=True)


def opened(browser: Browser, site: str) -> Page:
    page = browser.new_context(locale="zh-CN", viewport=PHONE, device_scale_factor=SCALE).new_page()
    page.goto(f"{site}/")
    expect(page.locator("#log")).not_to_have_attribute("aria-busy", "true")
    return page


def make(browser: Browser, site: str) -> None:
    """Hold the conversations and keep their pictures."""
    pages = {who: opened(browser, site) for who in ("stranger", "clerk", "head", "officer", "approver", "newcomer")}
    for who, said, name in SHOTS:
        for text in said:
            say(pages[who], text)
        if name not in UNSHOWN:
            picture(pages[who], name)
    found = None
    for text in INVITING:
        found = re.search(r"绑定 ([0-9A-Z]{4}-[0-9A-Z]{4})", say(pages["head"], text))
    assert found, "no invitation was made"
    say(pages["newcomer"], found[0])
    picture(pages["newcomer"], "binding")


def make_desks(browser: Browser, site: str) -> None:
    """Open the console's pages as their people and keep their pictures."""
    for who, path, name, whole in DESKS:
        page = browser.new_context(locale="zh-CN", viewport=DESKTOP).new_page()
        come_in(page, site, who, f"/console/{path}")
        if name == "item":
            page.locator("table.rows th a").first.press("Enter")
            page.get_by_role("heading", name="办理").wait_for()
        if name == "hotline":
            page.keyboard.type("买流量")
            page.locator("#results li").first.wait_for()
            page.keyboard.press("Control+Enter")
            page.locator("#county").select_option(label="秦安县")
            page.get_by_role("heading", name="可再问").wait_for()
            expect(page.locator("#toast")).not_to_have_class(re.compile("shown"))
            page.evaluate("scrollTo(0, 0)")
        if name == "compose":
            page.get_by_label("2016年度").check()
            page.get_by_text("年度为2016").wait_for()
            page.evaluate("scrollTo(0, 0)")
        if name == "question":
            page.locator("table.rows th a").first.press("Enter")
            page.get_by_role("button", name="答复并告知").wait_for()
        if name == "import":
            page.get_by_label("或粘贴全文").fill(NOTICE)
            page.get_by_role("button", name="读出内容").press("Enter")
            page.get_by_role("button", name="入库").wait_for()
        if name == "call":
            page.keyboard.press("Alt+t")
            page.keyboard.press("Enter")
            page.get_by_role("heading", name="通话结果").wait_for()
        if name in ("check", "follow-up"):
            shot = _visit(page, "提请销号" if name == "check" else "回头看通过")
        else:
            shot = page.screenshot(full_page=whole)
        small = Image.open(io.BytesIO(shot)).convert("RGB").quantize(COLOURS)
        small.save(IMAGES / f"manual-desk-{name}.png", optimize=True)


def _visit(page: Page, verb: str) -> bytes:
    """The filled in form of a check on the spot."""
    page.locator("table.rows th a").first.press("Enter")
    form = page.get_by_role("form", name=verb, exact=True)
    form.get_by_label("核查方式").select_option("现场考察")
    where, finding = VISIT[verb]
    form.get_by_label("核查发现").fill(finding)
    form.get_by_label("记录").fill(f"4月22日，样例子、李某，{where}")
    return form.screenshot()


if __name__ == "__main__":
    with (
        tempfile.TemporaryDirectory() as folder,
        contextmanager(serve)(Path(folder), "--demo") as demo,
        sync_playwright() as playwright,
    ):
        started = playwright.chromium.launch(
            executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu"], env={**os.environ, "LANGUAGE": "zh_CN"}
        )
        make_desks(started, demo)
        make(started, demo)
        started.close()
