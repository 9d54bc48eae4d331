"""The chat page in a real browser, against a running server with the shipped notices."""

import re
from collections.abc import Callable
from pathlib import Path

import pytest
from playwright.sync_api import Locator, Page, Request, Route, ViewportSize, expect

from tests.browser.support import (
    DESKTOP,
    PHONE,
    QUESTION,
    QUOTE,
    SMALL_PHONE,
    Watch,
    commit,
    compose,
    no_sideways_scrolling,
)


def open_chat(page: Page, site: str, size: ViewportSize = PHONE) -> None:
    page.set_viewport_size(size)
    page.goto(f"{site}/")
    expect(page.locator("#log")).not_to_have_attribute("aria-busy", "true")


def answers(page: Page) -> Locator:
    return page.locator("#log .reply:not(.pending)")


def height(box: Locator) -> float:
    return float(box.evaluate("one => one.offsetHeight"))


def ask(page: Page, text: str) -> Locator:
    before = answers(page).count()
    page.locator("#text").fill(text)
    page.locator("#text").press("Enter")
    expect(answers(page)).to_have_count(before + 1)
    return answers(page).last


def posts(page: Page) -> list[dict[str, str]]:
    """The bodies of the messages sent from now on; the list grows."""
    sent: list[dict[str, str]] = []

    def note(request: Request) -> None:
        if request.method == "POST":
            sent.append(request.post_data_json or {})

    page.on("request", note)
    return sent


@pytest.mark.parametrize("size", [PHONE, SMALL_PHONE, DESKTOP], ids=["phone", "small", "desktop"])
def test_the_chat_answers_with_the_conclusion_and_the_quoted_clause(
    page: Page, site: str, shots: Path, size: ViewportSize
) -> None:
    open_chat(page, site, size)
    page.screenshot(path=shots / f"chat-start-{size['width']}.png")
    reply = ask(page, QUESTION)
    card = reply.locator(".bubble").inner_text()
    assert card.startswith("不可以")
    assert re.search(f"“[^”]*{QUOTE}[^”]*”", card)
    for word in ("转发领导", "答得不对", "复制"):
        expect(reply.get_by_role("button", name=word, exact=True)).to_be_visible()
    no_sideways_scrolling(page)
    page.screenshot(path=shots / f"chat-answer-{size['width']}.png")


def test_enter_that_ends_a_composition_does_not_send(page: Page, site: str) -> None:
    open_chat(page, site)
    sent = posts(page)
    page.locator("#text").focus()
    compose(page, "gongzi")
    page.keyboard.press("Enter")
    page.wait_for_timeout(200)
    assert sent == []
    expect(page.locator("#log .said")).to_have_count(0)
    commit(page, "能不能发工资")
    page.wait_for_timeout(50)
    page.keyboard.press("Enter")
    expect(page.locator("#log .said")).to_have_text(["能不能发工资"])
    expect(answers(page)).to_have_count(2)


def test_an_enter_that_the_input_method_took_does_not_send(page: Page, site: str) -> None:
    open_chat(page, site)
    page.locator("#text").fill("工资")
    # Some browsers tell it by the key code alone.
    page.locator("#text").dispatch_event("keydown", {"key": "Enter", "keyCode": 229})
    page.wait_for_timeout(200)
    expect(page.locator("#log .said")).to_have_count(0)
    page.locator("#text").dispatch_event("keydown", {"key": "Enter", "keyCode": 13})
    expect(page.locator("#log .said")).to_have_count(1)
    expect(answers(page)).to_have_count(2)


def test_an_enter_in_the_same_tick_as_compositionend_does_not_send(page: Page, site: str) -> None:
    open_chat(page, site)
    page.locator("#text").fill("工资")
    page.evaluate("""() => {
        const box = document.getElementById("text");
        box.dispatchEvent(new CompositionEvent("compositionstart"));
        box.dispatchEvent(new CompositionEvent("compositionend"));
        box.dispatchEvent(new KeyboardEvent("keydown", {key: "Enter", bubbles: true, cancelable: true}));
    }""")
    page.wait_for_timeout(200)
    expect(page.locator("#log .said")).to_have_count(0)


def test_shift_enter_makes_a_new_line_and_the_box_grows_to_five_rows(page: Page, site: str) -> None:
    open_chat(page, site)
    box = page.locator("#text")
    one_row = height(box)
    box.press_sequentially("第一行")
    box.press("Shift+Enter")
    box.press_sequentially("第二行")
    assert box.input_value() == "第一行\n第二行"
    assert height(box) > one_row
    box.fill("行\n" * 30)
    assert height(box) < one_row * 4
    expect(page.locator("#left")).to_be_hidden()
    box.fill("字" * 1990)
    expect(page.locator("#left")).to_have_text("还可输入 10 字")


def test_a_double_click_sends_once(page: Page, site: str) -> None:
    open_chat(page, site)
    sent = posts(page)
    page.locator("#text").fill(QUESTION)
    page.locator("#send").dblclick()
    expect(answers(page)).to_have_count(2)
    assert len(sent) == 1


def test_what_is_typed_while_an_answer_is_on_its_way_stays_in_the_box(page: Page, site: str) -> None:
    held: list[Route] = []
    open_chat(page, site)
    sent = posts(page)
    page.route("**/chat", lambda route: held.append(route))
    page.locator("#text").fill(QUESTION)
    page.locator("#text").press("Enter")
    expect(page.locator("#log .pending")).to_be_visible()
    page.locator("#text").fill("验收要什么条件")
    page.locator("#text").press("Enter")
    expect(page.locator("#text")).to_have_value("验收要什么条件")
    assert len(sent) == 1
    held[0].continue_()
    expect(answers(page)).to_have_count(2)
    expect(page.locator("#text")).to_have_value("验收要什么条件")


def test_a_choice_sends_its_value_shows_its_label_and_only_the_latest_reply_can_be_pressed(
    page: Page, site: str
) -> None:
    page.route("**/chat", lambda route: route.fulfill(json={"reply": TWO_CHOICES}))
    open_chat(page, site)
    sent = posts(page)
    ask(page, "二次申报")
    answers(page).last.get_by_role("button", name="不是国家级贫困县").click()
    expect(answers(page)).to_have_count(3)
    assert [one["text"] for one in sent] == ["二次申报", "2"]
    expect(page.locator("#log .said").last).to_have_text("不是国家级贫困县")
    for button in page.locator("#log .options button").all()[:-2]:
        expect(button).to_be_disabled()
    for button in answers(page).last.locator(".options button").all():
        expect(button).to_be_enabled()


TWO_CHOICES = {
    "text": "贵县是国家级贫困县吗？<b>",
    "kind": "clarify",
    "options": [{"label": "是国家级贫困县", "value": "1"}, {"label": "不是国家级贫困县", "value": "2"}],
    "links": [
        {"label": "查看原文", "url": "/notice/144-2020#四(二)"},
        {"label": "坏的", "url": "javascript:alert(1)"},
    ],
    "more": False,
}


def test_a_reply_is_text_and_only_web_addresses_become_links(page: Page, site: str) -> None:
    page.route("**/chat", lambda route: route.fulfill(json={"reply": TWO_CHOICES}))
    open_chat(page, site)
    reply = ask(page, "<img src=x onerror=alert(1)>")
    expect(page.locator("#log .said").last).to_have_text("<img src=x onerror=alert(1)>")
    expect(reply.locator(".bubble")).to_have_text("贵县是国家级贫困县吗？<b>")
    expect(reply.locator("a")).to_have_count(1)
    expect(page.locator("#log img, #log b")).to_have_count(0)


def test_the_greeting_offers_choices_that_work(page: Page, site: str) -> None:
    open_chat(page, site)
    choice = answers(page).first.locator(".options button").first
    label = choice.inner_text()
    sent = posts(page)
    choice.dblclick()
    expect(page.locator("#log .said")).to_have_text([label])
    expect(answers(page)).to_have_count(2)
    expect(choice).to_be_disabled()
    assert len(sent) == 1


def test_the_conversation_is_there_after_a_reload(page: Page, site: str) -> None:
    open_chat(page, site)
    reply = ask(page, QUESTION)
    before = reply.locator(".bubble").inner_text()
    page.reload()
    expect(page.locator("#log .said")).to_have_text([QUESTION])
    expect(answers(page)).to_have_count(2)
    assert answers(page).last.locator(".bubble").inner_text() == before


def test_more_is_offered_only_where_there_is_more(page: Page, site: str) -> None:
    card = {"text": "可以。", "kind": "answer", "options": [], "links": [], "more": True}
    page.route("**/chat", lambda route: route.fulfill(json={"reply": card}))
    open_chat(page, site)
    sent = posts(page)
    ask(page, "验收")
    reply = answers(page).nth(1)
    card["more"] = False
    reply.get_by_role("button", name="更多", exact=True).click()
    expect(answers(page)).to_have_count(3)
    assert sent[-1]["text"] == "更多"
    expect(answers(page).last.get_by_role("button", name="更多", exact=True)).to_have_count(0)
    expect(reply.get_by_role("button", name="转发领导")).to_have_count(0)


def test_a_lost_message_is_sent_again_under_the_same_id(page: Page, site: str, watch: Watch, shots: Path) -> None:
    watch.staged = ("ERR_FAILED",)
    open_chat(page, site)
    sent = posts(page)
    # The server gets the first attempt, its reply gets lost.
    page.route("**/chat", lambda route: (route.fetch(), route.abort()))
    page.locator("#text").fill(QUESTION)
    page.locator("#text").press("Enter")
    expect(page.locator("#log .failed")).to_contain_text("没有收到答复，请检查网络后重发。")
    page.screenshot(path=shots / "chat-failed-390.png")
    page.unroute("**/chat")
    page.get_by_role("button", name="重发").dblclick()
    expect(answers(page)).to_have_count(2)
    expect(page.locator("#log .failed")).to_have_count(0)
    assert len(sent) == 2
    assert sent[0]["message_id"] == sent[1]["message_id"]
    page.reload()
    expect(page.locator("#log .said")).to_have_text([QUESTION])


def test_a_lost_message_waits_while_another_is_on_its_way(page: Page, site: str, watch: Watch) -> None:
    watch.staged = ("ERR_FAILED",)
    held: list[Route] = []
    open_chat(page, site)
    page.route("**/chat", lambda route: route.abort())
    page.locator("#text").fill("验收要什么条件")
    page.locator("#text").press("Enter")
    expect(page.get_by_role("button", name="重发")).to_be_visible()
    page.unroute("**/chat")
    page.route("**/chat", lambda route: held.append(route))
    page.locator("#text").fill(QUESTION)
    page.locator("#text").press("Enter")
    page.get_by_role("button", name="重发").click()
    page.wait_for_timeout(100)
    assert len(held) == 1
    held[0].continue_()
    expect(answers(page)).to_have_count(2)
    page.unroute("**/chat")
    page.get_by_role("button", name="重发").click()
    expect(answers(page)).to_have_count(3)


def test_a_refusal_of_the_server_is_shown_in_its_words(page: Page, site: str, watch: Watch) -> None:
    watch.staged = ("503",)
    page.route("**/chat", lambda route: route.fulfill(status=503, json={"error": "系统正在升级，请稍后再试。"}))
    open_chat(page, site)
    page.locator("#text").fill(QUESTION)
    page.locator("#send").click()
    expect(page.locator("#log .failed")).to_contain_text("系统正在升级，请稍后再试。")
    expect(page.get_by_role("button", name="重发")).to_be_visible()
    expect(page.locator("#send")).to_be_enabled()


def test_an_answer_can_be_copied_from_the_chat(
    page: Page, site: str, security: str, clipboard: Callable[[str], str]
) -> None:
    open_chat(page, site)
    reply = ask(page, QUESTION)
    reply.get_by_role("button", name="复制", exact=True).click()
    expect(reply.get_by_role("button", name="已复制")).to_be_visible()
    copied = clipboard("text/plain")
    assert copied.startswith("不可以")
    assert QUOTE in copied
