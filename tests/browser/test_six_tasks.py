"""The six main tasks by keyboard alone, as the manuals tell them; wherever the focus stands, it is seen."""

import re

import pytest
from playwright.sync_api import Page, expect

from tests.browser.support import DESKTOP, Watch
from tests.console import come_in, signed_in, token_of

MOST_TABS = 40  # from the beginning of the main part to what is looked for
OUTLINED = """() => {
    const here = document.activeElement, style = getComputedStyle(here);
    return here === document.body || style.outlineStyle !== "none" && parseFloat(style.outlineWidth) > 0;
}"""
HERE = "wanted => document.activeElement.matches(wanted)"


@pytest.fixture
def watch(page: Page, changed_site: str) -> Watch:
    return Watch(page, changed_site)


@pytest.fixture(autouse=True)
def yes(page: Page) -> None:
    """Say yes to what the page asks back, as Enter does."""
    page.set_viewport_size(DESKTOP)
    page.on("dialog", lambda dialog: dialog.accept())


def press(page: Page, *keys: str) -> None:
    for key in keys:
        page.keyboard.press(key)


def tab_to(page: Page, wanted: str) -> None:
    """Go on with Tab until the focus is on an element of a selector."""
    for _ in range(MOST_TABS):
        press(page, "Tab")
        assert page.evaluate(OUTLINED), page.evaluate("document.activeElement.outerHTML.slice(0, 200)")
        if page.evaluate(HERE, wanted):
            return
    raise AssertionError(f"Tab does not reach {wanted}")


def into(page: Page) -> None:
    """Pass over the navigation, by the link that a page begins with."""
    page.wait_for_load_state()
    tab_to(page, ".skip")
    press(page, "Enter")
    expect(page.locator("#main")).to_be_focused()


def go(page: Page, label: str) -> None:
    """Open a page of the navigation by its number."""
    labels = [one.strip() for one in page.locator(".side a").all_inner_texts()]
    press(page, "g", str(labels.index(label) + 1))
    page.wait_for_url(f"**{page.locator('.side a').nth(labels.index(label)).get_attribute('href')}")
    expect(page.locator("h1").first).to_contain_text(label)


def find(page: Page, words: str) -> None:
    """Look for something in a list; the focus is on the first row found."""
    press(page, "/")
    page.keyboard.type(words)
    with page.expect_navigation():
        press(page, "Enter")
    press(page, "j")


def told(page: Page) -> str:
    return page.locator("p.said").inner_text()


def test_look_up_copy_and_log_a_call(page: Page, changed_site: str, watch: Watch) -> None:
    page.context.grant_permissions(["clipboard-read", "clipboard-write"], origin=changed_site)
    come_in(page, changed_site, "样例寅", "/console/hotline")
    page.keyboard.type("买流量")
    expect(page.locator("#results li").first).to_be_visible()
    press(page, "Control+Enter")  # of the three keystrokes that are allowed
    expect(page.locator("#toast")).to_contain_text("已复制")
    assert "不得用于" in page.evaluate("navigator.clipboard.readText()")
    tab_to(page, "#phone")
    page.keyboard.type("13900000002")
    expect(page.locator("#saved")).to_contain_text("已保存")
    expect(page.locator("#phone")).to_have_value("13900000002")  # digits are no keys here
    tab_to(page, "#name")  # the caller's card comes when the number is left
    expect(page.locator("#caller")).to_contain_text("两个村级站点停运")
    press(page, "Alt+p")
    page.keyboard.type("只问这一条")
    press(page, "Alt+n")
    expect(page.get_by_role("status").first).to_contain_text("已结束（已答）")
    expect(page.locator("#q")).to_be_focused()
    press(page, "Alt+t")
    assert page.evaluate(HERE, "#tasks + .scroll button")
    press(page, "Enter")
    expect(page.locator("h1")).to_contain_text("致电")
    press(page, "2")
    expect(page.get_by_role("status").first).to_contain_text("无人接听")
    assert watch.wrong == []


def test_answer_a_question_with_its_clause(page: Page, changed_site: str, watch: Watch) -> None:
    come_in(page, changed_site, "样例子", "/console/account")
    go(page, "待答问题")
    press(page, "j", "Enter")
    page.wait_for_url(re.compile(r"questions/\d+"))
    into(page)
    tab_to(page, "#text")
    page.keyboard.type("文件没有写明，请按本省规定办理。")
    tab_to(page, "#clause")
    press(page, "ArrowDown")
    chosen = page.locator("#clause option:checked").inner_text()
    tab_to(page, "#quote")
    page.keyboard.type(chosen.partition("：")[2].removesuffix("…")[:20])
    tab_to(page, "form[data-confirm] button.primary")
    press(page, "Enter")
    page.wait_for_url("**/knowledge/drafts/*")
    assert "已答复" in told(page)
    assert watch.wrong == []


def test_claim_and_return_an_item(page: Page, changed_site: str, watch: Watch) -> None:
    come_in(page, changed_site, "样例子", "/console/account")
    go(page, "整改事项")
    find(page, "三家快递")
    press(page, "Enter")
    page.wait_for_url(re.compile(r"items/\d+"))
    into(page)
    tab_to(page, "form[action$=claim] button")
    press(page, "Enter")
    expect(page.locator("form[action$=return]")).to_be_visible()
    into(page)
    tab_to(page, "input[name='line:整体']")
    page.keyboard.type("补一份加盖公章的整合协议")
    tab_to(page, "form[action$=return] button")
    press(page, "Enter")
    expect(page.locator(".badge").first).to_contain_text("退回")
    assert watch.wrong == []


def test_close_what_was_proposed(page: Page, changed_site: str, watch: Watch) -> None:
    come_in(page, changed_site, "样例丑", "/console/account")
    go(page, "整改事项")
    find(page, "资产管理办法")
    press(page, "x")
    tab_to(page, "button[value=close]")
    with page.expect_navigation():
        press(page, "Enter")
    assert "1" in told(page)
    expect(page.locator("table.rows tbody tr").first).to_contain_text("已销号")
    assert watch.wrong == []


def test_approve_a_broadcast(page: Page, changed_site: str, watch: Watch) -> None:
    with signed_in(changed_site, "样例子") as officer:
        csrf = token_of(officer.get("/console/account").text)
        given = {
            "title": "关于报送整改进度的通知",
            "notice": "144-2020",
            "clauses": "三(一)",
            "mode": "none",
            "sending": "now",
        }
        kept = officer.post("/console/broadcasts/new", data={"csrf": csrf, "condition[]": ["天水市"], **given})
        assert officer.post(f"{kept.url}/submit", data={"csrf": csrf, "version": "1"}).is_success
    come_in(page, changed_site, "样例丑", "/console/account")
    go(page, "通知下发")
    press(page, "j", "Enter")
    page.wait_for_url(re.compile(r"broadcasts/\d+"))
    into(page)
    tab_to(page, "form[action$=approve] button")
    press(page, "Enter")
    expect(page.locator("dl.facts")).to_contain_text("样例丑")
    assert "批准" in told(page)
    assert watch.wrong == []
