"""The hotline's desk by keyboard: type, copy, pass on; the log survives a reload."""

import re
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from tests.browser.support import DESKTOP, Watch
from tests.console import come_in


@pytest.fixture
def watch(page: Page, demo_site: str) -> Watch:
    return Watch(page, demo_site)


def test_from_the_ring_to_the_next_call(page: Page, demo_site: str, watch: Watch, shots: Path) -> None:
    page.set_viewport_size(DESKTOP)
    page.context.grant_permissions(["clipboard-read", "clipboard-write"], origin=demo_site)
    come_in(page, demo_site, "样例寅", "/console/hotline")
    expect(page.locator("#q")).to_be_focused()
    page.keyboard.type("买流量")
    expect(page.locator("#results li").first).to_be_visible()
    page.keyboard.press("Control+Enter")  # one keystroke after typing
    expect(page.locator("#used")).to_have_value(re.compile("不得"))
    expect(page.locator("#saved")).to_contain_text("已保存")
    assert "不得用于" in page.evaluate("navigator.clipboard.readText()")
    page.locator("#county").select_option(label="秦安县")
    expect(page.locator("#caller")).to_contain_text("两个村级站点停运")
    page.screenshot(path=shots / "desk-hotline-call.png", full_page=True)
    page.reload()
    expect(page.locator("#question")).to_have_value("买流量")
    page.keyboard.press("Alt+n")
    expect(page.get_by_role("status").first).to_contain_text("已结束（已答）")
    expect(page.locator("#question")).to_have_value("")
    page.locator("#q").fill("每个站点的牌子多少钱一块")
    page.keyboard.press("Alt+u")
    expect(page.get_by_role("status").first).to_contain_text("已结束（转问）")
    assert watch.wrong == []
