"""WeChat's side: an API server with faults, and followers whose messages its servers sign, encrypt and repeat."""

import json
import secrets
import threading
import time
from collections import defaultdict, deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit
from xml.etree import ElementTree

import httpx

from tests.fakes import crypto

APP, SECRET, TOKEN = "wx0123456789abcdef", "the-app-secret-that-nobody-may-log", "a-callback-token"
WAIT_S = 5.0
TRIES = 3
FAILED = "该公众号提供的服务出现故障，请稍后再试"


@dataclass(frozen=True, kw_only=True)
class Fault:
    """What happens to the next call of an endpoint instead of an answer."""

    code: int = 0
    status: int = 200
    body: bytes | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    delay_s: float = 0.0
    hang_up: bool = False
    endless: bool = False
    after: bool = False  # the call is carried out, and only its answer is lost


class WechatServer:
    """The API of one account."""

    def __init__(self, *, lasts_s: int = 7200) -> None:
        self.lasts_s = lasts_s
        self.calls: list[tuple[str, dict[str, Any]]] = []
        self.faults: defaultdict[str, deque[Fault]] = defaultdict(deque)
        self.token, self.tokens_given = "token-0", 0
        self.custom: list[dict[str, Any]] = []  # accepted customer-service messages
        self.templates: list[dict[str, Any]] = []
        self.seen_ids: set[str] = set()
        self.media: dict[str, bytes] = {}
        self.menu: dict[str, Any] = {}
        self.lock = threading.Lock()
        server = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            wbufsize = -1  # an answer in one packet: the body of a second one waits 40 ms for the first to be confirmed

            def do_GET(self) -> None:
                server._serve(self, {})

            def do_POST(self) -> None:
                length = int(self.headers.get("content-length", "0"))
                raw = self.rfile.read(length)
                if len(raw) == length:  # else the caller has died within its call
                    server._serve(self, json.loads(raw or b"{}"))

            def log_message(self, *_: object) -> None:
                pass

        self._http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._http.daemon_threads = True
        threading.Thread(target=self._http.serve_forever, daemon=True).start()
        self.base = f"http://127.0.0.1:{self._http.server_port}"

    def close(self) -> None:
        self._http.shutdown()
        self._http.server_close()

    def count(self, endpoint: str) -> int:
        return sum(called == endpoint for called, _ in self.calls)

    def revoke(self) -> None:
        """The token stops being good before its time."""
        self.token = secrets.token_hex(8)

    def _serve(self, request: BaseHTTPRequestHandler, data: dict[str, Any]) -> None:
        url = urlsplit(request.path)
        endpoint = url.path.removeprefix("/cgi-bin/")
        query = {key: values[0] for key, values in parse_qs(url.query).items()}
        with self.lock:
            self.calls.append((endpoint, data or query))
            fault = self.faults[endpoint].popleft() if self.faults[endpoint] else None
        if fault is not None and not fault.after:
            self._fail(request, fault)
            return
        with self.lock:
            answer = self._do(endpoint, query, data)
        if fault is not None:
            self._fail(request, fault)
            return
        body = answer if isinstance(answer, bytes) else json.dumps(answer).encode()
        kind = "application/octet-stream" if isinstance(answer, bytes) else "application/json"
        self._send(request, 200, body, {"Content-Type": kind})

    def _do(self, endpoint: str, query: Mapping[str, str], data: dict[str, Any]) -> dict[str, Any] | bytes:
        if endpoint == "stable_token":
            if (data.get("appid"), data.get("secret")) != (APP, SECRET):
                return {"errcode": 40125, "errmsg": "invalid appsecret"}
            if data.get("force_refresh"):
                self.revoke()
            self.tokens_given += 1
            return {"access_token": self.token, "expires_in": self.lasts_s}
        if query.get("access_token") != self.token:
            return {"errcode": 40001, "errmsg": "invalid credential"}
        if endpoint in ("message/custom/send", "message/template/send"):
            assert data["client_msg_id"], "no client_msg_id"
            sent = self.custom if "custom" in endpoint else self.templates
            if data["client_msg_id"] not in self.seen_ids:
                self.seen_ids.add(data["client_msg_id"])
                sent.append(data)
            return {"errcode": 0, "errmsg": "ok"} | ({"msgid": 900 + len(sent)} if sent is self.templates else {})
        if endpoint == "media/get":
            return self.media.get(query["media_id"], {"errcode": 40007, "errmsg": "invalid media_id"})
        if endpoint == "menu/create":
            self.menu = data
            return {"errcode": 0, "errmsg": "ok"}
        if endpoint == "get_current_selfmenu_info":
            return {"is_menu_open": 1 if self.menu else 0, "selfmenu_info": self.menu}
        return {"errcode": 48001, "errmsg": "api unauthorized"}

    def _fail(self, request: BaseHTTPRequestHandler, fault: Fault) -> None:
        time.sleep(fault.delay_s)
        if fault.hang_up or (fault.after and not fault.code and fault.body is None and fault.status == 200):
            request.close_connection = True
            request.connection.shutdown(2)
            return
        if fault.endless:
            request.send_response(200)
            request.send_header("Content-Type", "image/jpeg")
            request.end_headers()
            try:
                while True:
                    request.wfile.write(b"\xff\xd8\xff" * 30_000)
            except OSError:
                request.close_connection = True
            return
        body = fault.body if fault.body is not None else json.dumps({"errcode": fault.code, "errmsg": "x"}).encode()
        self._send(request, fault.status, body, {"Content-Type": "application/json", **fault.headers})

    def _send(self, request: BaseHTTPRequestHandler, status: int, body: bytes, headers: Mapping[str, str]) -> None:
        request.send_response(status)
        for name, value in {"Content-Length": str(len(body)), **headers}.items():
            request.send_header(name, value)
        request.end_headers()
        request.wfile.write(body)


def element(name: str, value: object) -> str:
    """An element as WeChat writes it: numbers bare, everything else in CDATA without escaping."""
    return f"<{name}>{value}</{name}>" if isinstance(value, int) else f"<{name}><![CDATA[{value}]]></{name}>"


@dataclass(kw_only=True)
class Follower:
    """Somebody on the phone; WeChat's servers carry the messages to `hook` and back."""

    hook: str
    openid: str = field(default_factory=lambda: f"o{secrets.token_urlsafe(16)}")
    http: httpx.Client = field(default_factory=lambda: httpx.Client(timeout=WAIT_S, trust_env=False))

    def xml(self, kind: str, **elements: object) -> str:
        """A message's XML; elements of the same names replace the usual ones."""
        usual: dict[str, object] = {
            "ToUserName": "gh_0123456789ab",
            "FromUserName": self.openid,
            "CreateTime": int(time.time()),
            "MsgType": kind,
        }
        if kind != "event":
            usual["MsgId"] = secrets.randbelow(10**18) + 1
        return "<xml>" + "".join(element(name, value) for name, value in {**usual, **elements}.items()) + "</xml>"

    def post(self, xml: str | bytes, **more: Any) -> httpx.Response:
        """One delivery of a message, signed and encrypted."""
        query, body = crypto.seal(xml, **{"token": TOKEN, "aes_key": crypto.AES_KEY, "receiver": APP, **more})
        return self.http.post(self.hook, params=query, content=body)

    def shown(self, answer: httpx.Response) -> str:
        """What an answer shows on the phone; it must be a reply of the account to this person."""
        if answer.status_code != 200:
            return FAILED
        if answer.content in (b"", b"success"):
            return ""
        xml = crypto.unseal(answer.content, token=TOKEN, aes_key=crypto.AES_KEY, receiver=APP)
        found = ElementTree.fromstring(xml)
        assert [child.tag for child in found].count("Content") == 1
        values = {child.tag: child.text or "" for child in found}
        assert (values["ToUserName"], values["FromUserName"], values["MsgType"]) == (
            self.openid,
            "gh_0123456789ab",
            "text",
        )
        assert abs(int(values["CreateTime"]) - time.time()) < 60
        assert len(values["Content"].encode()) <= 2047
        return values["Content"]

    def send(self, kind: str, **elements: object) -> str:
        """Send a message as WeChat does, up to three times, and see what the phone shows."""
        xml = self.xml(kind, **elements)
        for _ in range(TRIES):
            try:
                answer = self.post(xml)
            except httpx.TimeoutException:
                continue
            if answer.status_code == 200:
                return self.shown(answer)
        return FAILED

    def say(self, text: str) -> str:
        return self.send("text", Content=text)

    def click(self, key: str) -> str:
        return self.send("event", Event="CLICK", EventKey=key)
