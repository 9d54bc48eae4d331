"""The Telegram channel against a Bot API server that others wrote: telegram-test-api, from npm."""

import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from bot.messages import Media
from tests.fakes.server import Site, running, until

FOLDER = Path(__file__).parent.parent / "interop"
TOKEN, SECRET, CHAT = "666:a-token", "a-secret", 7
ANSWERS_S, UP_S = 30.0, 90.0  # for one answer, and until something is up, on a machine with much else to do


class Peer:
    """telegram-test-api and one person who writes through it."""

    def __init__(self, url: str) -> None:
        self.url = url

    def _user(self) -> dict[str, Any]:
        return {
            "botToken": TOKEN,
            "from": {"id": CHAT, "first_name": "张", "is_bot": False},
            "chat": {"id": CHAT, "first_name": "张", "type": "private"},
            "date": int(time.time()),
        }

    def post(self, path: str, content: dict[str, Any]) -> Any:
        answer = httpx.post(f"{self.url}/{path}", json=content, timeout=ANSWERS_S, trust_env=False)
        return answer.raise_for_status().json()

    def listened(self) -> str:
        """How the bot has asked for its updates; empty until it has, or while the server does not answer yet."""
        try:
            return httpx.get(f"{self.url}/listened", timeout=ANSWERS_S, trust_env=False).text
        except httpx.TransportError:
            return ""

    def send(self, path: str, **content: Any) -> None:
        self.post(path, {**self._user(), **content})

    def press(self, shown: dict[str, Any], data: str) -> None:
        message = {**self._user(), "message_id": shown["messageId"], "text": shown["message"]["text"]}
        self.send("sendCallback", message=message, data=data)

    def gets(self) -> dict[str, Any]:
        """The next message from the bot."""
        asked = {"token": TOKEN, "chatId": CHAT}
        found = until(lambda: self.post("getUpdates", asked)["result"], UP_S)
        assert len(found) == 1
        return dict(found[0])


@pytest.fixture(scope="module")
def peer() -> Iterator[Peer]:
    if shutil.which("node") is None or not (FOLDER / "node_modules").is_dir():
        pytest.fail("node or its packages are missing: run `make interop`")
    server = subprocess.Popen(
        ["node", "telegram.cjs"], cwd=FOLDER, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert server.stdin is not None and server.stdout is not None
    with server:
        port = server.stdout.readline()  # written once it listens; empty when it has ended instead
        assert port.strip().isdigit(), "telegram-test-api did not start"
        yield Peer(f"http://127.0.0.1:{int(port)}")
        server.stdin.close()


@pytest.fixture(scope="module", params=["webhook", "polling"])
def desk(request: pytest.FixtureRequest, peer: Peer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    settings = {
        "telegram__token": TOKEN,
        "telegram__secret_token": SECRET,
        "telegram__mode": request.param,
        "telegram__api_base": peer.url,
        "telegram__enabled_reason": "测试",
    }
    with running(tmp_path_factory.mktemp(request.param), **settings) as site:
        until(lambda: peer.listened() == request.param, UP_S)
        yield site


def test_text_is_answered(peer: Peer, desk: Site) -> None:
    peer.send("sendMessage", text="拨付率85%能二次申报吗")
    assert "四第3段" in peer.gets()["message"]["text"]


def test_a_button_acts_and_goes(peer: Peer, desk: Site) -> None:
    peer.send("sendMessage", text="菜单")
    menu = peer.gets()
    (first, *_), *_ = menu["message"]["reply_markup"]["inline_keyboard"]
    peer.press(menu, first["callback_data"])
    assert "要花的是什么" in peer.gets()["message"]["text"]
    assert desk.said(str(CHAT))[-1] == "能不能花"

    def markup() -> object:
        found = peer.post("getUpdatesHistory", {"token": TOKEN})["result"]
        return [
            one["message"].get("reply_markup")
            for one in found
            if one["messageId"] == menu["messageId"] and "chat_id" in one["message"]
        ]

    until(lambda: markup() == [None], UP_S)


def test_a_photo_is_seen_and_fetched(peer: Peer, desk: Site) -> None:
    photo = [{"file_id": "photo-1", "file_unique_id": "1", "width": 10, "height": 10}]
    peer.send("sendMessage", photo=photo)
    assert peer.gets()["message"]["text"]
    assert desk.channels["telegram"].fetch(Media(id="photo-1")) == b"\x89PNG-of-a-project"
