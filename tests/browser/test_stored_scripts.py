"""What a county writes is text on the province's pages and in its workbook: 120 payloads by every door, and none runs."""

import io
import uuid
from urllib.parse import quote

import httpx
import pytest
from openpyxl import load_workbook
from PIL import Image
from playwright.sync_api import Page, expect

from tests.browser.payloads import PAYLOADS, TAGS, packed
from tests.browser.support import Watch
from tests.console import come_in, signed_in

PAGES = (
    "items?body=2", "questions", "knowledge", "people", "contacts", "audit", "audit?action=report", "bodies/2", "funds", "board",
    "reminders", "broadcasts",
)  # fmt: skip
UNSAFE = """() => [...document.querySelectorAll("*")].filter(one =>
    [...one.attributes].some(({ name, value }) => name.startsWith("on") || name === "srcdoc" || name === "data-x"
        || /^\\s*j\\s*a\\s*v\\s*a\\s*s\\s*c\\s*r\\s*i\\s*p\\s*t\\s*:/i.test(value) && ["href", "src", "action", "data"].includes(name))
    || one.localName === "script" && !one.getAttribute("src")?.startsWith("/static/")
).map(one => one.outerHTML.slice(0, 200))"""


@pytest.fixture
def watch(page: Page, changed_site: str) -> Watch:
    """The watch over the province's pages; what the browser keeps from running is an error on its console."""
    return Watch(page, changed_site)


class Chat:
    """A county's conversation over HTTP."""

    def __init__(self, client: httpx.Client) -> None:
        self.client = client

    def say(self, *texts: str) -> str:
        """The answer to the last of some texts, with its first link."""
        for text in texts:
            said = {"message_id": uuid.uuid4().hex, "text": text}
            reply = self.client.post("/chat", json=said).raise_for_status().json()["reply"]
        return reply["text"] + "".join(link["url"] for link in reply["links"])


def photo(number: int) -> bytes:
    made = io.BytesIO()
    Image.new("RGB", (8, 8), (number, 7, 7)).save(made, "PNG")
    return made.getvalue()


def write_everywhere(chat: Chat) -> None:
    """Put the payloads into reports, a measure, names of files, questions, a title and an invitation."""
    chat.say("我是样例乙")
    for text in packed(290):
        assert "请核对" in chat.say("报进展 1", f"已办 {text}"), text
        assert "已办" in chat.say("确认")
    upload = "/f/up/" + chat.say("上传文件").rpartition("/f/up/")[2]
    for number, name in enumerate(packed(190)[:20]):
        chat.client.post(upload, content=photo(number), headers={"x-name": quote(name)}).raise_for_status()
    for text in packed(470):
        assert "待答" in chat.say(f"村站长的月饼补贴怎么发 {text}", "答得不对") or "已记" in chat.say("答得不对"), text
    chat.say("签收事项 4", packed(290)[0], "确认")
    chat.say("更正", "职务", PAYLOADS[18])
    chat.say("我是样例庚", "邀请", "县级经办人", "李明", PAYLOADS[2], PAYLOADS[10], "跳过")


def numbers(text: str) -> set[str]:
    return {f"px{number:03}" for number in range(len(PAYLOADS)) if f"px{number:03}" in text}


def opened(page: Page, site: str, path: str | None) -> str:
    """What a page shows, in which nothing can run but our own files."""
    page.goto(f"{site}{path}")
    assert page.evaluate(UNSAFE) == [], path
    return page.locator("main").inner_text()


def test_the_check_finds_what_is_not_escaped(page: Page) -> None:
    assert len(PAYLOADS) == 120
    for vector in TAGS:
        page.set_content(f"<body>{vector}")
        assert page.evaluate(UNSAFE), vector


def test_nothing_that_a_county_writes_runs(page: Page, changed_site: str, watch: Watch) -> None:
    with httpx.Client(base_url=changed_site, timeout=30) as client:
        write_everywhere(Chat(client))
    ran: list[str] = []
    page.on("dialog", lambda dialog: (ran.append(f"{page.url} {dialog.message}"), dialog.dismiss()))
    come_in(page, changed_site, "样例子", "/console/items?body=2")
    item = page.get_by_role("row").filter(has_text="两个村级站点停运").get_by_role("link").first.get_attribute("href")
    asked: set[str] = set()
    for path in (*(f"/console/{one}" for one in PAGES), item):
        shown = opened(page, changed_site, path)
        if path == item:
            assert len(numbers(shown)) == len(PAYLOADS) and "<img data-x src=/x.png onerror=alert(1)>" in shown
        if path == "/console/questions":
            alike = (
                page.locator("table.rows tbody tr")
                .filter(has_text="px")
                .filter(has_not=page.get_by_text("1", exact=True))
            )
            asked = numbers(shown)
            groups = [one.get_attribute("href") for one in alike.get_by_role("link").all()]
            groups.append(page.locator("table.rows th a").filter(has_text="px").first.get_attribute("href"))
    for group in groups:
        asked |= numbers(opened(page, changed_site, group))
    assert len(asked) == len(PAYLOADS)
    page.goto(f"{changed_site}/console/hotline")
    page.locator("#county").select_option(label="秦安县")
    expect(page.locator("#caller")).to_contain_text("月饼补贴")
    assert page.evaluate(UNSAFE) == []
    assert ran == [] and watch.wrong == []
    with signed_in(changed_site, "样例子") as officer:
        book = load_workbook(io.BytesIO(officer.get("/console/items/export.xlsx").content))
    cells = [cell for sheet in book for row in sheet.iter_rows() for cell in row if cell.value is not None]
    assert any("px000" in str(cell.value) for cell in cells)
    assert not any(cell.data_type == "f" or cell.hyperlink for cell in cells)
