"""Fixtures of the browser tests; any console error or request to another host fails a test.

A machine with as many test processes as cores may keep a browser waiting: what a page shows has half a minute, and a
test in which the browser itself did not answer is run once more, which the summary tells.
"""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from tests.browser.support import Watch
from tests.conftest import serve

HERE = Path(__file__).parent
expect.set_options(timeout=30_000)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if HERE in item.path.parents:
            item.add_marker(pytest.mark.flaky(reruns=1, only_rerun=["TimeoutError"]))


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


@pytest.fixture(scope="session")
def changed_site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A demo for the browser tests that change it."""
    yield from serve(tmp_path_factory.mktemp("changed"), "--demo")
