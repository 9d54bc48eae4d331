"""A server of 企业微信's API with faults, and members who use an application there: WeCom's side of the callbacks."""

import json
import secrets
import threading
import time
from collections import defaultdict, deque
from collections.abc import Callable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit
from xml.etree import ElementTree

import httpx

from tests.fakes import crypto

CORP, SECRET, AGENT, TOKEN = "ww0123456789abcdef", "an-app-secret", 1000002, "a-callback-token"
WAIT_S = 15.0


@dataclass(frozen=True, kw_only=True)
class Fault:
    """What happens to the next call of an endpoint instead of an answer."""

    code: int = 0
    status: int = 200
    body: str | None = None
    delay_s: float = 0.0
    hang_up: bool = False
    after: bool = False  # the call is carried out, and only its answer is lost


@dataclass(kw_only=True)
class Inbox:
    """What a member sees in the application: texts as cut by WeCom, cards with their buttons."""

    shown: list[dict[str, Any]] = field(default_factory=list)

    @property
    def texts(self) -> list[str]:
        return [str(one["text"]["content"]) for one in self.shown if one["msgtype"] == "text"]

    @property
    def cards(self) -> list[dict[str, Any]]:
        return [one["template_card"] for one in self.shown if one["msgtype"] == "template_card"]


class WecomServer:
    """The API for one application. Its clock can be set forward."""

    def __init__(self) -> None:
        self.changed = threading.Condition()
        self.calls: list[tuple[str, dict[str, Any]]] = []
        self.faults: dict[str, deque[Fault]] = {}
        self.members: defaultdict[str, Inbox] = defaultdict(Inbox)
        self.outside: set[str] = set()  # members who may not use the application
        self.dropped: list[str] = []
        self.media: dict[str, bytes] = {}
        self.codes: dict[str, dict[str, Any]] = {}  # response code → card, until it is used
        self.tokens: list[str] = []
        self.ahead_s = 0.0
        self._sent: defaultdict[str, list[float]] = defaultdict(list)
        self._seen: dict[str, float] = {}
        self._closing = threading.Event()
        server = self

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
        self._http.shutdown()
        self._http.server_close()

    def fail(self, endpoint: str, *faults: Fault) -> None:
        """Let the next calls of an endpoint fail, in this order."""
        self.faults.setdefault(endpoint, deque()).extend(faults)

    def wait(self, ready: Callable[[], Any]) -> Any:
        """Wait until something is true; what it is."""
        with self.changed:
            assert self.changed.wait_for(ready, WAIT_S), "nothing came"
            return ready()

    def called(self, endpoint: str) -> list[dict[str, Any]]:
        return [body for name, body in self.calls if name == endpoint]

    def now(self) -> float:
        return time.monotonic() + self.ahead_s

    def code_for(self, card: dict[str, Any]) -> str:
        """A response code: sending a card gives one, and so does each click."""
        code = secrets.token_hex(12)
        self.codes[code] = card
        return code

    # --- the server ------------------------------------------------------------------------------------------------

    def _serve(self, request: BaseHTTPRequestHandler) -> None:
        address = urlsplit(request.path)
        endpoint = address.path.removeprefix("/cgi-bin/")
        query = {name: values[0] for name, values in parse_qs(address.query).items()}
        body = json.loads(request.rfile.read(int(request.headers.get("content-length") or 0)) or b"{}")
        with self.changed:
            waiting = self.faults.get(endpoint)
            fault = waiting.popleft() if waiting else Fault()
            self.calls.append((endpoint, body))
            self.changed.notify_all()
        self._closing.wait(fault.delay_s)
        plain = fault == Fault(delay_s=fault.delay_s)
        answer = self._answer(endpoint, query, body) if plain or fault.after else b""
        with self.changed:
            self.changed.notify_all()
        if fault.hang_up or fault.after:
            request.close_connection = True
        elif plain:
            _send(request, 200, answer)
        elif fault.body is not None:
            _send(request, fault.status, fault.body.encode())
        else:
            _send(request, fault.status, _json({"errcode": fault.code, "errmsg": "fault"}))

    def _answer(self, endpoint: str, query: dict[str, str], body: dict[str, Any]) -> bytes:
        with self.changed:
            if endpoint == "gettoken":
                return _json(self._gettoken(query))
            if not self.tokens or query.get("access_token") != self.tokens[-1]:
                return _json({"errcode": 40014, "errmsg": "invalid access_token"})
            if endpoint == "media/get":
                found = self.media.get(query.get("media_id", ""))
                return _json({"errcode": 40007, "errmsg": "invalid media_id"}) if found is None else found
            if endpoint == "message/send":
                return _json(self._send_message(body))
            if endpoint == "message/update_template_card":
                return _json(self._update(body))
            if endpoint == "agent/get":
                known = query.get("agentid") == str(AGENT)
                return _json({"errcode": 0, "name": "商务助手"} if known else {"errcode": 301002, "errmsg": "no"})
        return _json({"errcode": 40066, "errmsg": "invalid url"})

    def _gettoken(self, query: dict[str, str]) -> dict[str, Any]:
        if query.get("corpid") != CORP:
            return {"errcode": 40013, "errmsg": "invalid corpid"}
        if query.get("corpsecret") != SECRET:
            return {"errcode": 40001, "errmsg": "invalid credential"}
        if not self.tokens:
            self.revoke()
        return {"errcode": 0, "errmsg": "ok", "access_token": self.tokens[-1], "expires_in": 7200}

    def revoke(self) -> None:
        """Replace the token early."""
        self.tokens.append(secrets.token_hex(16))

    def _send_message(self, body: dict[str, Any]) -> dict[str, Any]:
        if body.get("agentid") != AGENT:
            return {"errcode": 40056, "errmsg": "invalid agentid"}
        people = str(body["touser"]).split("|")
        refused = [one for one in people if one.lower() in {name.lower() for name in self.outside}]
        answer: dict[str, Any] = {"errcode": 0, "errmsg": "ok", "msgid": secrets.token_hex(8)}
        if len(refused) == len(people) and len(people) > 1:
            return {"errcode": 81013, "errmsg": "all invalid"}
        if refused:
            answer["invaliduser"] = "|".join(one.lower() for one in refused)
        if body["msgtype"] == "template_card":
            card = body["template_card"]
            if not 1 <= len(card["button_list"]) <= 6 or not card["task_id"]:
                return {"errcode": 42014, "errmsg": "invalid template card"}
            answer["response_code"] = self.code_for(card)
        whole = json.dumps(body, sort_keys=True)
        if body.get("enable_duplicate_check") and self.now() < self._seen.get(whole, 0):
            return answer
        self._seen[whole] = self.now() + float(body.get("duplicate_check_interval", 1800))
        for one in people:
            if one not in refused:
                self._show(one, body)
        return answer

    def _show(self, member: str, body: dict[str, Any]) -> None:
        """Over 30 in a minute or 1,000 in an hour a message is dropped, and nobody is told."""
        sent = self._sent[member]
        if any(sum(at > self.now() - within for at in sent) >= most for most, within in ((30, 60), (1000, 3600))):
            self.dropped.append(member)
            return
        sent.append(self.now())
        shown = {"msgtype": body["msgtype"], body["msgtype"]: body[body["msgtype"]]}
        if body["msgtype"] == "text":
            shown = {"msgtype": "text", "text": {"content": _cut(body["text"]["content"])}}
        self.members[member].shown.append(shown)

    def _update(self, body: dict[str, Any]) -> dict[str, Any]:
        card = self.codes.pop(str(body.get("response_code")), None)
        if card is None:
            return {"errcode": 42045, "errmsg": "response_code used or expired"}
        card["replaced"] = body["button"]["replace_name"]
        return {"errcode": 0, "errmsg": "ok", "invaliduser": []}


class Member:
    """A member who uses the application at `url`."""

    def __init__(self, server: WecomServer, name: str, url: str) -> None:
        self.server, self.name, self.url = server, name, url

    @property
    def inbox(self) -> Inbox:
        return self.server.members[self.name]

    def xml(self, kind: str, **elements: str | int) -> str:
        """A message or an event as XML. Text goes into CDATA as it is."""
        parts = {"ToUserName": CORP, "FromUserName": self.name, "CreateTime": int(time.time()), "MsgType": kind}
        parts |= {"MsgId": secrets.randbelow(10**18)} if kind != "event" else {}
        parts |= {"AgentID": AGENT, **elements}
        inside = (
            f"<{tag}>{value if isinstance(value, int) else f'<![CDATA[{value}]]>'}</{tag}>"
            for tag, value in parts.items()
        )
        return f"<xml>{''.join(inside)}</xml>"

    def post(self, xml: str, *, at: float | None = None) -> httpx.Response:
        query, body = crypto.seal(xml, token=TOKEN, aes_key=crypto.AES_KEY, receiver=CORP, at=at, target=CORP)
        body = body.replace(b"</xml>", f"<AgentID><![CDATA[{AGENT}]]></AgentID></xml>".encode())
        return httpx.post(self.url, params=query, content=body, timeout=30)

    def hears(self, xml: str) -> str:
        """Send a callback; the text in its answer, "" when that is empty."""
        response = self.post(xml)
        assert response.status_code == 200, response.text
        if not response.content:
            return ""
        answer = crypto.unseal(response.content, token=TOKEN, aes_key=crypto.AES_KEY, receiver=CORP)
        found = {child.tag: child.text or "" for child in ElementTree.fromstring(answer)}
        assert (found["ToUserName"], found["FromUserName"], found["MsgType"]) == (self.name, CORP, "text")
        assert len(found["Content"].encode()) <= 2048
        return found["Content"]

    def says(self, text: str) -> str:
        return self.hears(self.xml("text", Content=text))

    def does(self, event: str, **elements: str | int) -> str:
        return self.hears(self.xml("event", Event=event, **elements))

    def press(self, card: dict[str, Any], number: int) -> str:
        """Press a card's button, counted from 1."""
        return self.hears(self.pressing(card, number))

    def pressing(self, card: dict[str, Any], number: int) -> str:
        key = card["button_list"][number - 1]["key"]
        return self.xml(
            "event",
            Event="template_card_event",
            EventKey=key,
            TaskId=card["task_id"],
            CardType=card["card_type"],
            ResponseCode=self.server.code_for(card),
        )


def check_url(url: str, echo: str, **more: Any) -> httpx.Response:
    """WeCom's URL check, which must be answered within a second."""
    encrypted = crypto.encrypt(echo, crypto.AES_KEY, more.get("receiver", CORP))
    at, nonce = str(int(more.get("at", time.time()))), secrets.token_hex(5)
    signed = crypto.sign(more.get("token", TOKEN), at, nonce, encrypted)
    query = {"msg_signature": signed, "timestamp": at, "nonce": nonce, "echostr": encrypted}
    return httpx.get(url, params=query, timeout=1)


def _cut(text: str) -> str:
    return text.encode()[:2048].decode(errors="ignore")


def _json(body: Any) -> bytes:
    return json.dumps(body).encode()


def _send(request: BaseHTTPRequestHandler, status: int, body: bytes) -> None:
    kind = "application/json" if body[:1] in (b"{", b"") else "image/jpeg"
    try:
        request.send_response(status)
        request.send_header("content-type", kind)
        request.send_header("content-length", str(len(body)))
        request.end_headers()
        request.wfile.write(body)
    except OSError:  # the caller has gone
        request.close_connection = True
