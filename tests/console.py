"""Signing in at the console of a served demo, as its people do: by the link that the chat hands out."""

import uuid
from collections.abc import Iterator
from contextlib import contextmanager

import httpx
from playwright.sync_api import Page


def ticket(site: str, name: str) -> str:
    """The path of a fresh sign-in link of a sample person, asked for in the web chat."""
    with httpx.Client(base_url=site, timeout=30) as chat:
        for text in (f"我是{name}", "工作台"):
            reply = chat.post("/chat", json={"message_id": uuid.uuid4().hex, "text": text}).json()["reply"]
    url: str = reply["links"][0]["url"]
    return url.removeprefix(site)


@contextmanager
def signed_in(site: str, name: str) -> Iterator[httpx.Client]:
    """A client that is signed in as a sample person."""
    with httpx.Client(base_url=site, timeout=30, follow_redirects=True) as client:
        client.post(ticket(site, name)).raise_for_status()
        yield client


def token_of(page: str) -> str:
    """What the forms of a page carry against forged requests."""
    return page.split('name="csrf" value="')[1].split('"')[0]


def come_in(page: Page, site: str, name: str, path: str) -> None:
    """Sign in by link in a browser and open a page."""
    page.goto(site + ticket(site, name))
    page.get_by_role("button", name="进入工作台").press("Enter")
    page.locator(".side").wait_for()
    page.goto(site + path)
