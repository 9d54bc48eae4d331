"""The public pages in a real browser, against a running server with the shipped notices.

Fixtures from conftest: `page` (a fresh context), `site` (the server's address), `shots` (where pictures go).
"""

import re
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import parse_qs, unquote, urlsplit

import pytest
from playwright.sync_api import Locator, Page, Request, Route, ViewportSize, expect

PHONE: ViewportSize = {"width": 390, "height": 844}
SMALL_PHONE: ViewportSize = {"width": 360, "height": 640}
DESKTOP: ViewportSize = {"width": 1366, "height": 768}

QUESTION = "专项资金能不能给站长发工资"
QUOTE = "不得用于网络交易平台、楼堂馆所建设、征地拆迁、购买流量、人员经费等经常性开支"
SCREEN_QUOTE = "不盲目安设大型电子显示屏等"
SEARCH = "**/api/v1/search?*"


class Watch:
    """What went wrong in the page unasked; `staged` are failures that the test causes itself."""

    def __init__(self, page: Page, site: str) -> None:
        self.wrong: list[str] = []
        self.staged: tuple[str, ...] = ()
        self.host = urlsplit(site).netloc
        page.on("console", lambda said: self._note(said.text) if said.type in ("error", "warning") else None)
        page.on("pageerror", lambda error: self.wrong.append(f"script: {error}"))
        page.on("request", self._request)

    def _note(self, text: str) -> None:
        if not any(part in text for part in self.staged):
            self.wrong.append(f"console: {text}")

    def _request(self, request: Request) -> None:
        parts = urlsplit(request.url)
        if parts.scheme in ("http", "https", "ws", "wss") and parts.netloc != self.host:
            self.wrong.append(f"request to {request.url}")


@pytest.fixture(autouse=True)
def watch(page: Page, site: str) -> Iterator[Watch]:
    watch = Watch(page, site)
    yield watch
    assert watch.wrong == []


@pytest.fixture
def clipboard(page: Page, site: str) -> Callable[[str], str]:
    """Read what was copied, in the form asked for."""
    page.context.grant_permissions(["clipboard-read", "clipboard-write"], origin=site)

    def read(kind: str = "text/plain") -> str:
        script = """async kind => {
            for (const item of await navigator.clipboard.read())
                if (item.types.includes(kind)) return await (await item.getType(kind)).text();
            return "";
        }"""
        return str(page.evaluate(script, kind))

    return read


@pytest.fixture(params=["secure", "plain http"])
def security(request: pytest.FixtureRequest, page: Page) -> str:
    """Open the page as over https and as over plain http, where navigator.clipboard.write is not used."""
    if request.param == "plain http":
        page.add_init_script("Object.defineProperty(window, 'isSecureContext', {value: false})")
    return str(request.param)


def compose(page: Page, text: str) -> None:
    """Type with an input method that has not yet committed."""
    place = {"text": text, "selectionStart": len(text), "selectionEnd": len(text)}
    page.context.new_cdp_session(page).send("Input.imeSetComposition", place)


def commit(page: Page, text: str) -> None:
    page.context.new_cdp_session(page).send("Input.insertText", {"text": text})


def no_sideways_scrolling(page: Page) -> None:
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")


# ---- the chat ----


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


# ---- 查答案 ----


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


# ---- the notices ----


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
