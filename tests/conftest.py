"""Fixtures: the real knowledge, an assistant on a database in memory, a running server and a real browser."""

import os
import socket
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Generator, Iterator
from datetime import UTC, datetime
from pathlib import Path

import httpx
import pytest
import structlog
from playwright.sync_api import Browser, Page, sync_playwright
from structlog.testing import capture_logs

from bot import turns
from bot.app import Desk, desk
from bot.messages import Inbound, Reply
from knowledge.base import KnowledgeBase, load
from tests import commands
from tests.commands import ROOT, Program

pytest_plugins = ["tests.databases", "tests.reminding"]
# Two processes of tests want both cores: a turn that gave way would wait for the tests of the other.
turns.TURNS_GIVE_WAY = turns.PREPARING_GIVES_WAY = 0
CHROMIUM = "/usr/bin/chromium"
JUNE = datetime(2020, 6, 1, 4, tzinfo=UTC)

Talk = Callable[..., Reply]


@pytest.fixture(autouse=True)
def no_logged_error(request: pytest.FixtureRequest) -> Iterator[None]:
    """An ERROR in the log fails the test, unless the test is marked to expect one."""
    with capture_logs() as logs:
        yield
    errors = [entry for entry in logs if entry["log_level"] in ("error", "critical")]
    if not request.node.get_closest_marker("expects_error"):
        assert not errors


@pytest.fixture(scope="session")
def kb() -> KnowledgeBase:
    return load()


@pytest.fixture
def running(kb: KnowledgeBase) -> Iterator[Desk]:
    """An assistant with a database of its own, in memory."""
    with desk(kb) as made:
        yield made


@pytest.fixture
def talk(running: Desk) -> Talk:
    """Say something on the terminal channel and get the reply."""

    def say(text: str, *, who: str = "someone", at: datetime = JUNE, message_id: str = "", kind: str = "text") -> Reply:
        inbound = Inbound(
            channel="terminal",
            message_id=message_id or uuid.uuid4().hex,
            address=who,
            text=text,
            at=at,
            kind=kind,  # type: ignore[arg-type]  # the tests send every kind
        )
        return running.turns.submit(inbound).result(timeout=30)

    return say


@pytest.fixture(scope="session")
def program() -> Iterator[Program]:
    """Run the command line as an operator does."""
    with commands.program() as made:
        yield made


def _free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


def serve(folder: Path, *words: str) -> Generator[str, None, None]:
    """A server process on a data folder of its own; yields its address and stops it."""
    port = _free_port()
    site = f"http://127.0.0.1:{port}"
    with (folder / "log").open("w") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "bot", "serve", "--port", str(port), *words],
            cwd=folder,
            env={**os.environ, "PYTHONPATH": str(ROOT), "COUNTYDESK_PATHS__DATA": str(folder / "data")},
            stdout=log,
            stderr=log,
        )
        try:
            for _ in range(600):
                try:
                    if httpx.get(f"{site}/readyz").status_code == 200:
                        break
                except httpx.TransportError:
                    time.sleep(0.1)
                assert process.poll() is None, (folder / "log").read_text()
            yield site
        finally:
            process.terminate()
            process.wait(timeout=20)


@pytest.fixture(scope="session")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    yield from serve(tmp_path_factory.mktemp("site"))


@pytest.fixture(scope="session")
def demo_site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    yield from serve(tmp_path_factory.mktemp("demo"), "--demo")


@pytest.fixture(scope="session")
def desk_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the demo of the console's tests has its data."""
    return tmp_path_factory.mktemp("console")


@pytest.fixture(scope="session")
def desk_site(desk_folder: Path) -> Iterator[str]:
    """A demo for the console's tests, which change it: each asks about what it did itself."""
    yield from serve(desk_folder, "--demo")


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    assert Path(CHROMIUM).exists(), "Chromium is missing: run `make system`"
    with sync_playwright() as playwright:
        started = playwright.chromium.launch(
            executable_path=CHROMIUM,
            args=["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update"],
        )
        yield started
        started.close()


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    context = browser.new_context(locale="zh-CN")
    yield context.new_page()
    context.close()


@pytest.fixture(scope="session")
def shots() -> Path:
    """Where the tests leave their screenshots."""
    folder = ROOT / "tests" / "shots"
    folder.mkdir(exist_ok=True)
    return folder


structlog.configure(logger_factory=structlog.PrintLoggerFactory(sys.stderr))
