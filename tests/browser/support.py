"""What the browser tests share: sizes, words, the watch over a page, and typing through an input method."""

from urllib.parse import urlsplit

from playwright.sync_api import Page, Request, ViewportSize

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


def compose(page: Page, text: str) -> None:
    """Type with an input method that has not yet committed."""
    place = {"text": text, "selectionStart": len(text), "selectionEnd": len(text)}
    page.context.new_cdp_session(page).send("Input.imeSetComposition", place)


def commit(page: Page, text: str) -> None:
    page.context.new_cdp_session(page).send("Input.insertText", {"text": text})


def no_sideways_scrolling(page: Page) -> None:
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
