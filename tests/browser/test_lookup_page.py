"""The look-up page in a real browser, against a running server with the shipped notices."""

import re
from collections.abc import Callable
from pathlib import Path
from urllib.parse import parse_qs, unquote, urlsplit

import pytest
from playwright.sync_api import Locator, Page, Route, ViewportSize, expect

from tests.browser.support import (
    DESKTOP,
    PHONE,
    SCREEN_QUOTE,
    SEARCH,
    SMALL_PHONE,
    Watch,
    commit,
    compose,
    no_sideways_scrolling,
)


def open_lookup(page: Page, site: str, size: ViewportSize = DESKTOP, q: str = "") -> Locator:
    page.set_viewport_size(size)
    page.goto(f"{site}/lookup?q={q}" if q else f"{site}/lookup")
    expect(page.locator("#q")).to_be_focused()
    return page.locator("#q")


def options(page: Page) -> Locator:
    return page.get_by_role("option")


def search(page: Page, text: str) -> None:
    with page.expect_response(lambda response: parse_qs(urlsplit(response.url).query).get("q") == [text]):
        page.locator("#q").fill(text)
    expect(options(page).first).to_be_visible()


@pytest.mark.parametrize("size", [PHONE, SMALL_PHONE, DESKTOP], ids=["phone", "small", "desktop"])
def test_the_screen_is_found_with_its_clause_and_the_matched_words(
    page: Page, site: str, shots: Path, size: ViewportSize
) -> None:
    box = open_lookup(page, site, size)
    page.screenshot(path=shots / f"lookup-start-{size['width']}.png")
    search(page, "大屏")
    links = page.locator("#detail figcaption a")
    for _ in range(options(page).count()):
        if any("附件1-2.1" in one for one in links.all_inner_texts()):
            break
        box.press("ArrowDown")
    expect(page.locator("#detail blockquote").filter(has_text=SCREEN_QUOTE)).to_be_visible()
    expect(page.locator("#detail mark").first).to_be_visible()
    expect(page.locator("#detail .aloud")).to_contain_text("口播")
    no_sideways_scrolling(page)
    page.screenshot(path=shots / f"lookup-answer-{size['width']}.png")
    source = links.filter(has_text="附件1-2.1").first
    expect(source).to_have_attribute("target", "_blank")
    page.goto(site + str(source.get_attribute("href")))
    expect(page.locator("section:target")).to_contain_text(SCREEN_QUOTE)


def test_pinyin_initials_find_the_second_application(page: Page, site: str) -> None:
    open_lookup(page, site)
    search(page, "ecsb")
    expect(page.locator("#results")).to_contain_text("二次申报")


def test_the_address_can_carry_the_question(page: Page, site: str) -> None:
    box = open_lookup(page, site, q="大屏")
    expect(box).to_have_value("大屏")
    expect(options(page).first).to_be_visible()


def test_one_character_asks_nothing_and_clears_the_list(page: Page, site: str) -> None:
    box = open_lookup(page, site)
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    box.press_sequentially("大")
    page.wait_for_timeout(200)
    assert asked == []
    search(page, "大屏")
    page.route(SEARCH, lambda route: None)
    box.fill("验收")
    page.wait_for_timeout(150)
    box.press("Backspace")
    expect(options(page)).to_have_count(0)
    page.wait_for_timeout(150)
    expect(page.locator("#message .failed")).to_have_count(0)


def test_nothing_is_asked_while_an_input_method_composes(page: Page, site: str) -> None:
    box = open_lookup(page, site)
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    compose(page, "daping")
    page.keyboard.press("Enter")
    page.wait_for_timeout(200)
    assert asked == []
    commit(page, "大屏")
    expect(options(page).first).to_be_visible()
    expect(box).to_have_value("大屏")
    assert len(asked) == 1
    # Some input methods do not mark their input events as composing.
    box.dispatch_event("compositionstart")
    box.fill("大屏 yan")
    page.wait_for_timeout(200)
    assert len(asked) == 1
    box.fill("验收")
    with page.expect_request(SEARCH):
        box.dispatch_event("compositionend")


def test_a_late_answer_to_an_earlier_text_is_dropped(page: Page, site: str) -> None:
    open_lookup(page, site)
    held: list[Route] = []

    def hold(route: Route) -> None:
        if "流量" in unquote(route.request.url):
            held.append(route)
        else:
            route.continue_()

    page.route(SEARCH, hold)
    # Without aborting, the late answer really arrives.
    page.evaluate("AbortController.prototype.abort = () => {}")
    page.locator("#q").fill("流量")
    page.wait_for_timeout(150)
    search(page, "大屏")
    shown = options(page).all_inner_texts()
    assert held
    held[0].fulfill(json={"results": [], "ms": 1})
    page.wait_for_timeout(200)
    assert options(page).all_inner_texts() == shown


def test_the_keys_choose_open_return_and_clear(page: Page, site: str, shots: Path) -> None:
    box = open_lookup(page, site)
    search(page, "验收")
    expect(options(page).nth(0)).to_have_attribute("aria-selected", "true")
    box.press("ArrowDown")
    expect(options(page).nth(1)).to_have_attribute("aria-selected", "true")
    expect(box).to_have_attribute("aria-activedescendant", "result-1")
    box.press("ArrowUp")
    expect(options(page).nth(0)).to_have_attribute("aria-selected", "true")
    box.press("Enter")
    expect(page.locator("#detail")).to_be_focused()
    page.keyboard.press("?")
    expect(page.locator("#keys")).to_be_visible()
    page.screenshot(path=shots / "lookup-keys-1366.png")
    page.keyboard.press("?")
    expect(page.locator("#keys")).to_be_hidden()
    page.keyboard.press("/")
    expect(box).to_be_focused()
    expect(box).to_have_value("验收")
    assert page.evaluate("getSelection().toString()") == "验收"
    box.press("Escape")
    expect(box).to_have_value("验收")
    expect(page.locator("#detail")).to_be_hidden()
    expect(page.locator("[aria-selected=true]")).to_have_count(0)
    page.locator("#keys-button").focus()
    page.keyboard.press("Control+k")
    expect(box).to_be_focused()
    box.fill("")
    box.press_sequentially("/?")
    expect(box).to_have_value("/?")
    expect(page.locator("#keys")).to_be_hidden()


def test_ctrl_enter_copies_the_chosen_answer_in_both_forms(
    page: Page, site: str, security: str, clipboard: Callable[[str], str]
) -> None:
    box = open_lookup(page, site)
    search(page, "发工资")
    box.press("Control+Enter")
    expect(page.get_by_role("status").filter(has_text="已复制（微信版）")).to_be_visible()
    copied = clipboard("text/plain")
    assert page.locator("#detail h2").inner_text() in copied
    assert page.locator("#detail blockquote").first.inner_text().strip("“”") in copied
    html = clipboard("text/html")
    assert "<p" in html
    assert page.locator("#detail h2").inner_text() in html
    expect(box).to_be_focused()


def test_alt_and_a_digit_copies_that_result(page: Page, site: str, clipboard: Callable[[str], str]) -> None:
    box = open_lookup(page, site)
    search(page, "验收")
    second = options(page).nth(1).locator(".headline").inner_text()
    box.press("Alt+2")
    expect(page.locator("#toast")).to_have_text("已复制（微信版）")
    assert second in clipboard("text/plain")
    expect(options(page).nth(0)).to_have_attribute("aria-selected", "true")


def test_the_three_copies_are_on_buttons_and_digits(page: Page, site: str, clipboard: Callable[[str], str]) -> None:
    box = open_lookup(page, site)
    search(page, "发工资")
    copied = set()
    for name in ("短信版", "微信版", "公文版"):
        page.locator("#detail").get_by_role("button", name=re.compile(name)).click()
        expect(page.locator("#toast")).to_have_text(f"已复制（{name}）")
        copied.add(clipboard("text/plain"))
    assert len(copied) == 3
    box.focus()
    box.press("Enter")
    page.keyboard.press("1")
    expect(page.locator("#toast")).to_have_text("已复制（短信版）")
    page.keyboard.press("3")
    expect(page.locator("#toast")).to_have_text("已复制（公文版）")
    assert "不可以" not in clipboard("text/plain")


def test_a_copy_asked_for_before_the_answer_came_waits_for_it(
    page: Page, site: str, clipboard: Callable[[str], str]
) -> None:
    box = open_lookup(page, site)
    search(page, "发工资")
    held: list[Route] = []
    page.route(SEARCH, lambda route: held.append(route))
    box.fill("大屏")
    box.press("Control+Enter")
    page.wait_for_timeout(200)
    expect(page.locator("#toast")).to_have_text("")
    held[-1].continue_()
    expect(page.locator("#toast")).to_have_text("已复制（微信版）")
    assert page.locator("#detail h2").inner_text() in clipboard("text/plain")
    assert "显示屏" in clipboard("text/plain")


def test_no_result_says_what_to_do_and_hands_the_words_to_the_chat(page: Page, site: str, shots: Path) -> None:
    box = open_lookup(page, site)
    page.route(SEARCH, lambda route: route.fulfill(json={"results": [], "ms": 1}))
    box.fill("每站补助标准")
    expect(page.locator("#message")).to_contain_text("没有查到“每站补助标准”")
    page.screenshot(path=shots / "lookup-nothing-1366.png")
    page.get_by_role("link", name="到对话里提问").click()
    expect(page.locator("#text")).to_have_value("每站补助标准")


def test_a_failed_search_is_said_and_can_be_repeated(page: Page, site: str, watch: Watch) -> None:
    watch.staged = ("ERR_FAILED", "500")
    box = open_lookup(page, site)
    page.route(SEARCH, lambda route: route.abort())
    box.fill("大屏")
    expect(page.locator("#message")).to_contain_text("连不上服务器，请检查网络。")
    page.unroute(SEARCH)
    page.route(SEARCH, lambda route: route.fulfill(status=500, body="oops"))
    page.get_by_role("button", name="重试").click()
    expect(page.locator("#message")).to_contain_text("查询没有成功，请稍后再试。")
    page.unroute(SEARCH)
    page.get_by_role("button", name="重试").click()
    expect(options(page).first).to_be_visible()
    expect(page.locator("#message")).to_be_empty()
