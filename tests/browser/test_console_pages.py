"""Every page of the console in a real browser: accessible, quiet, by keyboard, on desk, phone and paper."""

from pathlib import Path

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page

from tests.browser.support import DESKTOP, PHONE, Watch, no_sideways_scrolling
from tests.console import come_in

ROLES = {"province": "样例子", "approver": "样例丑", "hotline": "样例寅", "head": "样例庚", "security": "样例卯"}

DEEPER = {  # pages that the navigation does not name
    "province": (
        "knowledge/calendar", "knowledge/drafts", "knowledge/drafts/new", "knowledge/import", "knowledge/editions",
        "knowledge/notices/demonstration-2020", "broadcasts/new",
    )
}  # fmt: skip


@pytest.fixture
def watch(page: Page, demo_site: str) -> Watch:
    """The watch over a page of the demo."""
    return Watch(page, demo_site)


def serious(page: Page) -> list[str]:
    """What axe finds that keeps somebody from using the page."""
    found = Axe().run(page).response["violations"]
    return [
        f"{one['id']}: {one['nodes'][0]['html'][:200]}" for one in found if one["impact"] in ("serious", "critical")
    ]


@pytest.mark.parametrize("role", ROLES)
def test_every_page_of_a_role(page: Page, demo_site: str, watch: Watch, shots: Path, role: str) -> None:
    page.set_viewport_size(DESKTOP)
    come_in(page, demo_site, ROLES[role], "/console/account")
    paths = [one.get_attribute("href") or "" for one in page.locator(".side a").all()]
    assert paths or role == "hotline"
    for path in [*paths, *(f"/console/{one}" for one in DEEPER.get(role, ())), "/console/account"]:
        page.goto(demo_site + path)
        assert serious(page) == [], path
        no_sideways_scrolling(page)
        name = f"desk-{role}-{path.removeprefix('/console/').replace('/', '-')}"
        page.screenshot(path=shots / f"{name}.png", full_page=True)
        page.set_viewport_size(PHONE)
        no_sideways_scrolling(page)
        page.screenshot(path=shots / f"{name}-phone.png")
        page.set_viewport_size(DESKTOP)
    assert watch.wrong == []


def test_the_sign_in_page(page: Page, demo_site: str, watch: Watch, shots: Path) -> None:
    page.set_viewport_size(DESKTOP)
    page.goto(f"{demo_site}/console")
    assert serious(page) == []
    page.screenshot(path=shots / "desk-login.png")
    page.get_by_label("账号", exact=True).fill("nobody")
    page.get_by_label("密码", exact=True).fill("wrong")
    page.get_by_role("textbox", name="动态口令").fill("000000")
    watch.staged = ("403",)
    page.keyboard.press("Enter")
    page.get_by_role("alert").wait_for()
    assert "不对" in page.get_by_role("alert").inner_text()


def test_the_navigation_by_keys(page: Page, demo_site: str, watch: Watch) -> None:
    page.set_viewport_size(DESKTOP)
    come_in(page, demo_site, ROLES["province"], "/console/account")
    for key, place in (("3", 2), ("b", 10)):
        wanted = page.locator(".side a").nth(place).get_attribute("href")
        page.keyboard.press("g")
        page.keyboard.press(key)
        page.wait_for_url(f"**{wanted}")
    page.keyboard.press("?")
    assert page.locator("#keys").is_visible()
    page.get_by_role("button", name="大字").click()
    page.reload()
    assert page.evaluate("document.documentElement.classList.contains('large')")
    assert watch.wrong == []
