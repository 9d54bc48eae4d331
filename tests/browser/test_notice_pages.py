"""The notice pages in a real browser, against a running server with the shipped notices."""

from pathlib import Path

import pytest
from playwright.sync_api import Page, ViewportSize, expect

from tests.browser.support import (
    DESKTOP,
    PHONE,
    SMALL_PHONE,
    Watch,
    no_sideways_scrolling,
)


def test_the_list_names_both_notices_and_their_standing(page: Page, site: str, shots: Path) -> None:
    page.set_viewport_size(PHONE)
    page.goto(f"{site}/notices")
    official = page.locator(".notices li").filter(has_text="商办建函〔2020〕144号")
    expect(official).to_contain_text("正式文本")
    expect(official).to_contain_text("2020年4月23日")
    unverified = page.locator(".notices li").filter(has_text="关于做好2020年电子商务进农村综合示范工作的通知")
    for words in ("未标文号", "未标日期", "文本未核对"):
        expect(unverified).to_contain_text(words)
    no_sideways_scrolling(page)
    page.screenshot(path=shots / "notices-390.png")


@pytest.mark.parametrize("size", [SMALL_PHONE, DESKTOP], ids=["small", "desktop"])
def test_a_notice_has_an_address_for_every_clause(page: Page, site: str, shots: Path, size: ViewportSize) -> None:
    page.set_viewport_size(size)
    page.goto(f"{site}/notice/144-2020#四(二)")
    target = page.locator("section:target")
    expect(target).to_contain_text("中央财政资金使用90%以上等条件")
    expect(target).to_be_in_viewport()
    page.locator(".contents a").filter(has_text="附件1-2").click()
    expect(page.locator("section:target")).to_contain_text("农村电商公共服务中心")
    # The receipt's header line is a table row, cell by cell.
    expect(page.locator("td").filter(has_text="联系电话（手机）")).to_have_count(1)
    no_sideways_scrolling(page)
    page.screenshot(path=shots / f"notice-{size['width']}.png")


def test_an_unknown_notice_gives_a_page_in_words_with_a_way_home(page: Page, site: str, watch: Watch) -> None:
    watch.staged = ("404",)
    response = page.goto(f"{site}/notice/no-such-notice")
    assert response is not None
    assert response.status == 404
    expect(page.locator("h1")).to_be_visible()
    page.get_by_role("link", name="返回首页").click()
    expect(page.locator("#text")).to_be_visible()


@pytest.mark.parametrize("path", ["/", "/lookup", "/notices", "/notice/144-2020"])
def test_a_doubled_type_size_still_fits(page: Page, site: str, path: str) -> None:
    page.set_viewport_size(DESKTOP)
    page.goto(site + path)
    page.evaluate("document.documentElement.style.fontSize = '200%'")
    no_sideways_scrolling(page)
