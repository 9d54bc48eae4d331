"""WeChat 服务号: callbacks in 安全模式 answered within its five seconds, and messages pushed inside its windows.

wechatpy gives the message classes and renders the replies; what it parses has passed bot.channels.edge before.
"""

import re
import secrets
import threading
import time
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from hashlib import sha256

import structlog
from fastapi import APIRouter, Request, Response
from sqlalchemy.orm import Session, sessionmaker
from wechatpy.client.api import WeChatMenu
from wechatpy.events import EVENT_TYPES
from wechatpy.messages import MESSAGE_TYPES, BaseMessage, UnknownMessage
from wechatpy.replies import TextReply

from bot.channels import edge, plain
from bot.channels.wechat_api import Answer, Api, stable_token
from bot.dialogue import apology
from bot.messages import Inbound, InboundKind, Media, Reply, Undeliverable, cut
from bot.settings import Wechat as Chosen
from bot.texts import say
from bot.turns import Outlook, TurnThread, told
from storage import bindings, conversations, deliveries
from storage.db import reading

LIMIT = 2040  # bytes of text, as the assistant's limits say; above 2,047 WeChat shows strange things
ANSWER_S = 4.0  # WeChat waits 5 s, and what arrives has waited its turn in this process already
WINDOW = timedelta(hours=48)  # for customer-service messages after somebody wrote
IN_WINDOW = 5
FIELD = 20  # characters of a template's field
MOST_BYTES: Mapping[str, int] = {"image": 10_000_000, "voice": 2_000_000, "video": 10_000_000, "file": 20_000_000}
MEDIA: Mapping[str, tuple[InboundKind, str]] = {
    "image": ("image", "image"),
    "voice": ("voice", "voice"),
    "video": ("file", "video"),
    "shortvideo": ("file", "video"),
    "file": ("file", "file"),
}
SAID = ("Content", "Recognition", "Label", "Title", "Description", "Url", "FileName")
KNOWN = frozenset(
    ("ToUserName", "FromUserName", "CreateTime", "MsgType", "MsgId", "MediaId", "PicUrl", "Format", "ThumbMediaId")
    + ("Location_X", "Location_Y", "Scale", "Event", "EventKey", "Ticket", "MsgID", "Status", *SAID)
)
_FORMS: Mapping[str, str] = {
    "ToUserName": r"[\w@.-]{1,64}",
    "FromUserName": r"[\w@.-]{1,64}",
    "CreateTime": r"[0-9]{1,12}",
    "MsgType": r"\w{1,32}",
}
_CODE = re.compile(r"[0-9A-Za-z]{4}-?[0-9A-Za-z]{4,28}")  # an invitation's code as a scene
log = structlog.get_logger()


# --- what comes in -----------------------------------------------------------------------------------------------


def parse(xml: str) -> BaseMessage:
    """A callback's XML as wechatpy's message. Raises edge.BadCallback unless it has the form of one."""
    fields = edge.flat(xml, KNOWN, said=SAID)
    for name, form in _FORMS.items():
        if not re.fullmatch(form, fields.get(name, ""), re.ASCII):
            raise edge.BadCallback(name)
    kind = fields["MsgType"].lower()
    if kind == "event":
        if not re.fullmatch(r"\w{1,64}", fields.get("Event", ""), re.ASCII) or len(fields.get("EventKey", "")) > 1024:
            raise edge.BadCallback("Event")
        known: type[BaseMessage] = EVENT_TYPES.get(fields["Event"].lower(), UnknownMessage)
        return known(fields)
    if not re.fullmatch(r"[0-9]{1,20}", fields.get("MsgId", ""), re.ASCII):
        raise edge.BadCallback("MsgId")
    if kind in MEDIA and not re.fullmatch(r"[\w-]{1,200}", fields.get("MediaId", ""), re.ASCII):
        raise edge.BadCallback("MediaId")
    made: BaseMessage = MESSAGE_TYPES.get(kind, UnknownMessage)(fields)
    return made


def inbound(message: BaseMessage, at: datetime) -> Inbound | None:
    """What a message says; None for what needs no answer and is not worth a turn."""
    fields: Mapping[str, str] = message._data
    kind = fields["MsgType"].lower()
    if kind == "event":
        return _event(fields, at)
    said = Inbound(
        channel="wechat", message_id=fields["MsgId"].lstrip("0") or "0", address=message.source, text="", at=at
    )
    if kind == "text":
        return replace(said, text=fields.get("Content", ""))
    if kind == "voice" and fields.get("Recognition", "").strip():
        return replace(said, text=fields["Recognition"])
    if kind in MEDIA:
        shown, mime = MEDIA[kind]
        media = Media(id=fields["MediaId"], name=fields.get("FileName", ""), mime=mime)
        return replace(said, kind=shown, media=(media,))
    if kind == "location":
        return replace(said, kind="location", text=fields.get("Label", ""))
    return replace(said, kind="other", text=fields.get("Title", ""))  # its Url is never opened


def _event(fields: Mapping[str, str], at: datetime) -> Inbound | None:
    """An event has no number: sender, second, kind and key make one, for two clicks can share a second."""
    event, key = fields["Event"].lower(), fields.get("EventKey", "")
    parts = (fields["FromUserName"], fields["CreateTime"], event, key, fields.get("MsgID", ""))
    number = conversations.EVENT + sha256("\n".join(parts).encode()).hexdigest()[:40]
    said = Inbound(channel="wechat", message_id=number, address=fields["FromUserName"], text="", at=at)
    if event in ("subscribe", "scan"):
        scene = key.removeprefix("qrscene_")
        if _CODE.fullmatch(scene):
            return replace(said, text=f"绑定 {scene}")
        return replace(said, kind="event", text="subscribe")
    if event == "click":
        return replace(said, text=key) if key else None
    if event in ("unsubscribe", "view"):
        return replace(said, kind="event", text=event)
    if event == "templatesendjobfinish" and re.fullmatch("[0-9]{1,20}", fields.get("MsgID", ""), re.ASCII):
        return replace(said, kind="event", text=f"sent {fields['MsgID']} {fields.get('Status', '')[:32]}")
    return None


# --- what goes out -----------------------------------------------------------------------------------------------


def rendered(message: BaseMessage, text: str) -> str:
    """A passive reply as XML."""
    answer = TextReply(source=message.target, target=message.source, time=int(time.time()), content=edge.cdata(text))
    return str(answer.render())


def shown(reply: Reply) -> str:
    """A reply as one message; the turn has cut it to size already."""
    return cut(plain(reply), LIMIT)[0]


def fields_of(reply: Reply, names: tuple[str, ...]) -> dict[str, dict[str, str]]:
    """A reply's first lines as the fields of a template, each at most 20 characters on one line."""
    lines = [line.strip() for line in edge.clean(reply.text).splitlines() if line.strip()]
    return {
        name: {"value": line if len(line) <= FIELD else f"{line[: FIELD - 1]}…"}
        for name, line in zip(names, lines, strict=False)
    }


class Wechat:
    """The channel. Its clock is the assistant's; signatures are measured against the machine's."""

    name = "wechat"
    limit = LIMIT

    def __init__(
        self, chosen: Chosen, turns: TurnThread, sessions: sessionmaker[Session], clock: Callable[[], datetime]
    ) -> None:
        self._chosen, self._turns, self._sessions, self._clock = chosen, turns, sessions, clock
        self._envelope = edge.Envelope(token=chosen.token, aes_key=chosen.aes_key, receiver=chosen.app_id)
        self.api = Api(grant=stable_token(chosen.app_id, chosen.app_secret), api_base=chosen.api_base, clock=clock)
        self._waiting: dict[str, tuple[Outlook, Future[Reply]]] = {}
        self._lock = threading.Lock()
        self._plain_seen: dict[str, str] = {}

    def router(self) -> APIRouter:
        """The two doors of /channels/wechat. They are plain ASGI routes: nothing in them is for FastAPI to check."""
        routes = APIRouter()
        routes.add_route("/channels/wechat", self._check, methods=["GET"])
        routes.add_route("/channels/wechat", self._receive, methods=["POST"])
        return routes

    def start(self) -> None:
        """Nothing goes on in the background."""

    def stop(self) -> None:
        """Close the connections to the platform."""
        self.api.close()

    # --- the doors -----------------------------------------------------------------------------------------------

    async def _check(self, request: Request) -> Response:
        """The platform's test of our address: echo what it sent, if it was the platform."""
        try:
            query = edge.query_of(request)
            edge.check_signature(query, "signature", self._chosen.token, time.time())
            if not re.fullmatch(r"[\w+/=-]{1,256}", query.get("echostr", ""), re.ASCII):
                raise edge.BadCallback("echostr")
        except edge.BadCallback as refused:
            return self._refuse(refused)
        return Response(query["echostr"], media_type="text/plain")

    async def _receive(self, request: Request) -> Response:
        started = time.monotonic()
        try:
            query, body = edge.query_of(request), await edge.body_of(request)
            sealed = not self._chosen.plaintext or "msg_signature" in query
            xml = self._envelope.open(query, body, time.time()) if sealed else self._open_plain(query, body)
            message = parse(xml)
        except edge.BadCallback as refused:
            return self._refuse(refused)
        said = inbound(message, self._clock())
        text = await self._answer(said, started + ANSWER_S) if said is not None else ""
        if not text:
            return Response("success", media_type="text/plain")
        answer = rendered(message, text)
        return Response(self._envelope.close(answer, time.time()) if sealed else answer, media_type="application/xml")

    def _refuse(self, refused: edge.BadCallback) -> Response:
        log.info("callback refused", channel=self.name, why=str(refused))
        return edge.refusal()

    def _open_plain(self, query: Mapping[str, str], body: bytes) -> str:
        """明文模式, for development only: its signature does not cover the body, so each is good for one body."""
        edge.check_signature(query, "signature", self._chosen.token, time.time())
        digest = sha256(body).hexdigest()
        if self._plain_seen.setdefault(query["signature"], digest) != digest:
            raise edge.BadCallback("another body under the same signature")
        return edge.decoded(body)

    async def _answer(self, said: Inbound, until: float) -> str:
        """The reply to a message, or where to find it later. A repeated message waits for the same turn."""
        outlook, future = self._submit(said)
        if future is None:
            return say("wechat.busy")
        if outlook is not Outlook.SOON:
            until = 0.0
        if not await told(future, max(until - time.monotonic(), 0.01)):
            return say("wechat.later")
        try:
            reply = future.result()
        except Exception:  # the webhook boundary: the turn thread has logged why the commit failed
            return shown(apology(said, secrets.token_hex(4)))
        return shown(reply)

    def _submit(self, said: Inbound) -> tuple[Outlook, Future[Reply] | None]:
        """Queue a message, or find it in the queue (see TurnThread.offer)."""
        with self._lock:
            if (known := self._waiting.get(said.message_id)) is not None:
                return known
            outlook, future = self._turns.offer(said)
            if future is None:
                return outlook, None
            self._waiting[said.message_id] = outlook, future
        future.add_done_callback(lambda _: self._done(said.message_id))
        return outlook, future

    def _done(self, message_id: str) -> None:
        with self._lock:
            self._waiting.pop(message_id, None)

    # --- pushing -------------------------------------------------------------------------------------------------

    def push(self, address: str, reply: Reply, key: str) -> str:
        """Send as a customer-service message while its window is open, else by template (see Channel.push)."""
        identity = sha256(key.encode()).hexdigest()[:32]
        if self._window_open(address):
            try:
                text = edge.clean(shown(reply))
                data = {"touser": address, "msgtype": "text", "text": {"content": text}, "client_msg_id": identity}
                return _number(self.api.post("message/custom/send", data=data))
            except Undeliverable as closed:
                if closed.gone or not self._chosen.template_id:
                    raise
        if not self._chosen.template_id:
            raise Undeliverable("window")
        data = {
            "touser": address,
            "template_id": self._chosen.template_id,
            "data": fields_of(reply, self._chosen.template_fields),
            "client_msg_id": identity,
            **({"url": reply.links[0].url} if reply.links else {}),
        }
        return _number(self.api.post("message/template/send", data=data))

    def _window_open(self, address: str) -> bool:
        now = self._clock()
        with reading(self._sessions) as db:
            spoke_at = conversations.spoke_at(db, self.name, address)
            if spoke_at is None or now - spoke_at >= WINDOW:
                return False
            known = {bindings.recipient(db, self.name, address), deliveries.address(self.name, address)}
            return deliveries.sent_since(db, sorted(known), self.name, spoke_at) < IN_WINDOW

    def fetch(self, media: Media) -> bytes:
        """The bytes of a picture, voice, video or file (see Channel.fetch)."""
        return self.api.media(media.id, MOST_BYTES.get(media.mime, MOST_BYTES["file"]))


def create_menu(chosen: Chosen, menu: Mapping[str, tuple[tuple[str, str], ...]]) -> None:
    """Give the account its menu: each button says the words it stands for. Raises what errors.fail raises."""
    buttons = [
        {"name": name, "sub_button": [{"type": "click", "name": label, "key": words} for label, words in below]}
        for name, below in menu.items()
    ]
    with closing(_api(chosen)) as api:
        WeChatMenu(client=api).create({"button": buttons})


def menu_size(chosen: Chosen) -> int:
    """How many buttons the account shows at its foot, asked of WeChat now. Raises what errors.fail raises."""
    with closing(_api(chosen)) as api:
        found: Answer = WeChatMenu(client=api).get_menu_info()
    shown = found.get("selfmenu_info") if found.get("is_menu_open") else None
    return len(shown.get("button", ())) if isinstance(shown, dict) else 0


def _api(chosen: Chosen) -> Api:
    grant = stable_token(chosen.app_id, chosen.app_secret)
    return Api(grant=grant, api_base=chosen.api_base, clock=lambda: datetime.now(UTC))


def _number(answer: Answer) -> str:
    """The platform's number of a message, where it gives one."""
    return str(answer.get("msgid") or answer.get("msg_id") or "")
