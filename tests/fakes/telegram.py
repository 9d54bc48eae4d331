"""A Bot API server with faults, and the people who use the bot. It plays Telegram's side of webhook and polling."""

import json
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from email import message_from_bytes
from email.policy import HTTP
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs

import httpx

TOKEN = "700:a-bots-token"
SECRET = "a-webhook-secret"
WAIT_S = 15.0


@dataclass(frozen=True, kw_only=True)
class Fault:
    """What happens to the next call of a method instead of an answer."""

    status: int = 200
    body: str | None = None  # None: Telegram's own form of an error
    description: str = ""
    retry_after: int = 0
    delay_s: float = 0.0
    after: bool = False  # the call is carried out, and only its answer is lost


@dataclass(kw_only=True)
class Chat:
    """A private chat, as its person sees it."""

    number: int
    shown: list[dict[str, Any]] = field(default_factory=list)


class TelegramServer:
    """The Bot API for one bot, on a port of its own."""

    def __init__(self) -> None:
        self.changed = threading.Condition()
        self.calls: list[tuple[str, dict[str, Any]]] = []
        self.faults: dict[str, deque[Fault]] = {}
        self.chats: dict[int, Chat] = {}
        self.files: dict[str, bytes] = {}
        self.alerts: list[str] = []
        self.webhook: dict[str, Any] | None = None
        self.queue: list[dict[str, Any]] = []
        self.confirmed = 0
        self._numbers = iter(range(1, 10**9))
        self._update_ids = iter(range(1000, 10**9))
        server = self
        self._closing = threading.Event()

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                server._serve(self)

            do_GET = do_POST

            def log_message(self, *_: object) -> None: ...

        self._http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._http.daemon_threads = True
        self.base = f"http://127.0.0.1:{self._http.server_port}"
        threading.Thread(target=self._http.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()

    def close(self) -> None:
        self._closing.set()
        with self.changed:
            self.changed.notify_all()
        self._http.shutdown()
        self._http.server_close()

    def fail(self, method: str, *faults: Fault) -> None:
        """Let the next calls of a method fail, in this order."""
        self.faults.setdefault(method, deque()).extend(faults)

    def wait(self, ready: Callable[[], Any]) -> Any:
        """Wait until something is true; what it is."""
        with self.changed:
            assert self.changed.wait_for(ready, WAIT_S), "nothing came"
            return ready()

    def called(self, method: str) -> list[dict[str, Any]]:
        return [body for name, body in self.calls if name == method]

    # --- the server ------------------------------------------------------------------------------------------------

    def _serve(self, request: BaseHTTPRequestHandler) -> None:
        length = int(request.headers.get("content-length") or 0)
        body = _form(request.headers.get("content-type", ""), request.rfile.read(length))
        _, prefix, method, *rest = f"{request.path}/".split("/")
        if prefix == "file":
            self._file(request, "/".join(rest).strip("/"))
            return
        if prefix != f"bot{TOKEN}":
            _send(request, 401, {"ok": False, "error_code": 401, "description": "Unauthorized"})
            return
        with self.changed:
            waiting = self.faults.get(method)
            fault = waiting.popleft() if waiting else None
            self.calls.append((method, body))
            self.changed.notify_all()
        if fault is None:
            status, answer = getattr(self, f"_{method}", self._fine)(body)
            _send(request, status, answer)
            return
        if fault.after:
            getattr(self, f"_{method}", self._fine)(body)
        self._closing.wait(fault.delay_s)
        if fault.body is not None:
            _send(request, fault.status, fault.body)
        elif fault.status == 200:
            request.close_connection = True
        else:
            more = {"parameters": {"retry_after": fault.retry_after}} if fault.retry_after else {}
            _send(request, fault.status, _error(fault.status, fault.description) | more)

    def _file(self, request: BaseHTTPRequestHandler, path: str) -> None:
        content = self.files.get(path)
        request.send_response(404 if content is None else 200)
        request.send_header("content-length", str(len(content or b"")))
        request.end_headers()
        request.wfile.write(content or b"")

    def _fine(self, _body: dict[str, Any]) -> tuple[int, Any]:
        return 200, {"ok": True, "result": True}

    def _getMe(self, _body: dict[str, Any]) -> tuple[int, Any]:
        return 200, {
            "ok": True,
            "result": {"id": 700, "is_bot": True, "first_name": "商务助手", "username": "desk_bot"},
        }

    def _setWebhook(self, body: dict[str, Any]) -> tuple[int, Any]:
        with self.changed:
            self.webhook = body
            self.changed.notify_all()
        return 200, {"ok": True, "result": True}

    def _getWebhookInfo(self, _body: dict[str, Any]) -> tuple[int, Any]:
        found = {"url": (self.webhook or {}).get("url", ""), "has_custom_certificate": False, "pending_update_count": 0}
        return 200, {"ok": True, "result": found}

    def _deleteWebhook(self, _body: dict[str, Any]) -> tuple[int, Any]:
        self.webhook = None
        return 200, {"ok": True, "result": True}

    def _getUpdates(self, body: dict[str, Any]) -> tuple[int, Any]:
        offset, until = int(body.get("offset", 0)), time.monotonic() + float(body.get("timeout", 0))
        with self.changed:
            self.confirmed = max(self.confirmed, offset)
            while True:
                self.queue = [one for one in self.queue if one.get("update_id", offset) >= offset]
                left = until - time.monotonic()
                if self.queue or left <= 0 or self._closing.is_set():
                    self.changed.notify_all()
                    return 200, {"ok": True, "result": self.queue[:100]}
                self.changed.wait(left)

    def _sendMessage(self, body: dict[str, Any]) -> tuple[int, Any]:
        chat = self.chats.get(int(body["chat_id"]))
        if chat is None:
            return 400, _error(400, "Bad Request: chat not found")
        text = str(body.get("text", ""))
        if not text.strip():
            return 400, _error(400, "Bad Request: message text is empty")
        if len(text.encode("utf-16-le")) // 2 > 4096:
            return 400, _error(400, "Bad Request: message is too long")
        keyboard = body.get("reply_markup", {}).get("inline_keyboard", [])
        if any(len(button["callback_data"].encode()) > 64 for row in keyboard for button in row):
            return 400, _error(400, "Bad Request: BUTTON_DATA_INVALID")
        with self.changed:
            message = {
                "message_id": next(self._numbers),
                "date": int(time.time()),
                "chat": {"id": chat.number, "type": "private"},
                "text": text,
                **({"reply_markup": {"inline_keyboard": keyboard}} if keyboard else {}),
            }
            chat.shown.append(message)
            self.changed.notify_all()
        return 200, {"ok": True, "result": message}

    def _answerCallbackQuery(self, body: dict[str, Any]) -> tuple[int, Any]:
        self.alerts.append(str(body.get("text", "")))
        return 200, {"ok": True, "result": True}

    def _editMessageReplyMarkup(self, body: dict[str, Any]) -> tuple[int, Any]:
        with self.changed:
            for message in self.chats[int(body["chat_id"])].shown:
                if message["message_id"] == int(body["message_id"]):
                    message.pop("reply_markup", None)
            self.changed.notify_all()
        return 200, {"ok": True, "result": True}

    def _getFile(self, body: dict[str, Any]) -> tuple[int, Any]:
        name = str(body["file_id"])
        if f"files/{name}" not in self.files:
            return 400, _error(400, "Bad Request: wrong file_id or the file is temporarily unavailable")
        path = f"files/{name}"
        found = {"file_id": name, "file_unique_id": name, "file_size": len(self.files[path]), "file_path": path}
        return 200, {"ok": True, "result": found}

    # --- what the platform sends -------------------------------------------------------------------------------------

    def update(self, **content: Any) -> dict[str, Any]:
        """An update with a number of its own."""
        return {"update_id": next(self._update_ids), **content}

    def post(self, update: Any, *, to: str = "", secret: str = SECRET) -> httpx.Response:
        """Deliver by webhook."""
        headers = {"x-telegram-bot-api-secret-token": secret} if secret else {}
        address = to or (self.webhook or {})["url"]
        return httpx.post(address, content=json.dumps(update), headers=headers, timeout=30)

    def enqueue(self, *updates: dict[str, Any]) -> None:
        """Keep updates for the next poll."""
        with self.changed:
            self.queue.extend(updates)
            self.changed.notify_all()


class Person:
    """Somebody who talks to the bot in a private chat. `deliver` takes an update to the product."""

    def __init__(self, server: TelegramServer, number: int, deliver: Callable[[dict[str, Any]], Any]) -> None:
        self.server, self.number, self.deliver = server, number, deliver
        self.chat = server.chats.setdefault(number, Chat(number=number))

    @property
    def address(self) -> str:
        return str(self.number)

    @property
    def _self(self) -> dict[str, Any]:
        return {
            "chat": {"id": self.number, "type": "private", "first_name": "张"},
            "from": {"id": self.number, "is_bot": False, "first_name": "张"},
        }

    def message(self, **content: Any) -> dict[str, Any]:
        """An update that carries a message of theirs."""
        said = {"message_id": next(self.server._numbers), "date": int(time.time()), **self._self, **content}
        return self.server.update(message=said)

    def press(self, message: dict[str, Any], number: int) -> dict[str, Any]:
        """An update for pressing a message's button, counted from 1."""
        button = message["reply_markup"]["inline_keyboard"][number - 1][0]
        return self.server.update(
            callback_query={
                "id": str(next(self.server._numbers)),
                "from": self._self["from"],
                "chat_instance": "1",
                "message": message,
                "data": button["callback_data"],
            }
        )

    def gets(self, update: dict[str, Any], messages: int = 1) -> list[dict[str, Any]]:
        """Deliver an update and wait for the messages that it brings."""
        before = len(self.chat.shown)
        self.deliver(update)
        self.server.wait(lambda: len(self.chat.shown) >= before + messages)
        return self.chat.shown[before:]

    def says(self, text: str) -> str:
        """Say something and read the answer."""
        return "\n".join(str(one["text"]) for one in self.gets(self.message(text=text)))


def _error(status: int, description: str) -> dict[str, Any]:
    return {"ok": False, "error_code": status, "description": description or "Error"}


def _form(kind: str, raw: bytes) -> dict[str, Any]:
    """A call's parameters: a form whose values may be JSON."""
    if kind.startswith("application/json"):
        return dict(json.loads(raw or b"{}"))
    if kind.startswith("multipart/"):
        whole = message_from_bytes(b"content-type: " + kind.encode() + b"\r\n\r\n" + raw, policy=HTTP)
        pairs = {
            str(part.get_param("name", header="content-disposition")): part.get_content() for part in whole.iter_parts()
        }
    else:
        pairs = {name: values[0] for name, values in parse_qs(raw.decode()).items()}
    read: dict[str, Any] = {}
    for name, value in pairs.items():
        structured = isinstance(value, str) and value[:1] in ("{", "[") and name != "text"
        read[name] = json.loads(value) if structured else value
    return read


def _send(request: BaseHTTPRequestHandler, status: int, body: Any) -> None:
    raw = body.encode() if isinstance(body, str) else json.dumps(body).encode()
    try:
        request.send_response(status)
        request.send_header("content-type", "application/json")
        request.send_header("content-length", str(len(raw)))
        request.end_headers()
        request.wfile.write(raw)
    except OSError:  # the caller has gone
        request.close_connection = True
