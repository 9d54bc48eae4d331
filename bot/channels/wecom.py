"""An application of 企业微信 (WeCom): encrypted callbacks in, text and button cards out.

A reply is the answer to the callback where it can be; what comes too late, and every card, goes through the API.
Sources: https://developer.work.weixin.qq.com/document/path/90238 (callbacks), 90236 (sending), 94945 (cards).
"""

import asyncio
import re
import secrets
import threading
import time
from collections import defaultdict, deque
from collections.abc import Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime
from hashlib import sha256
from typing import Any

import structlog
from fastapi import APIRouter, Request, Response
from sqlalchemy.orm import Session, sessionmaker
from wechatpy.enterprise.client.api import WeChatAgent, WeChatMessage

from bot.channels import defer, edge, picked, pieces, plain
from bot.channels.wechat_api import Api
from bot.dialogue import apology
from bot.messages import ChannelStopped, Inbound, InboundKind, Media, Reply, TemporaryFailure, Undeliverable
from bot.settings import Wecom as Chosen
from bot.texts import say
from bot.turns import TurnThread, told
from storage import conversations
from storage.db import reading, transaction

LIMIT = 2040  # bytes of text; WeCom cuts at 2,048
ANSWER_S = 4.0  # WeCom waits 5 s
SAME_FOR_S = 1800  # for how long WeCom drops a message that it has seen
MOST_BYTES = 20 * 1024 * 1024
BUTTONS, LABEL, TITLE, SUBTITLE, KEY = 6, 10, 26, 112, 1024  # what a card holds: characters, and a key's bytes
MEMBER_LIMITS = ((30, 60.0), (1000, 3600.0))  # messages to one member within seconds; more are dropped without a word
TURN, PUSH = "turn-", "push-"  # what the task of a card begins with
MEDIA: Mapping[str, tuple[InboundKind, str]] = {
    "image": ("image", "image/jpeg"),
    "voice": ("voice", "audio/amr"),
    "video": ("file", "video/mp4"),
    "shortvideo": ("file", "video/mp4"),
    "file": ("file", ""),
}
SAID = ("Content", "Label", "Title", "Description")
KNOWN = frozenset(
    ("ToUserName", "FromUserName", "CreateTime", "MsgType", "MsgId", "AgentID", "MediaId", "FileName", "Event")
    + ("EventKey", "TaskId", "CardType", "ResponseCode", *SAID)
)
log = structlog.get_logger()


class Throttle:
    """Keeps to what one member may be sent, for WeCom drops the rest silently."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._sent: defaultdict[str, deque[float]] = defaultdict(lambda: deque(maxlen=MEMBER_LIMITS[-1][0]))

    def take(self, member: str, count: int) -> None:
        """Take the places of `count` messages. Raises TemporaryFailure with the time until they are free."""
        with self._lock:
            now, sent = self._clock(), self._sent[member]
            wait_s = 0.0
            for most, within_s in MEMBER_LIMITS:
                if len(sent) + count > most:
                    wait_s = max(wait_s, sent[max(len(sent) + count - most, 1) - 1] + within_s - now)
            if wait_s > 0:
                raise TemporaryFailure("throttled", retry_after_s=wait_s)
            sent.extend([now] * count)


# --- what comes in -----------------------------------------------------------------------------------------------


def digest(text: str) -> str:
    return sha256(text.encode()).hexdigest()[:40]


def read(fields: Mapping[str, str], at: datetime) -> Inbound | None:
    """What a callback says; None for what needs no answer. A press is not read here."""
    sender, kind = fields.get("FromUserName", ""), fields.get("MsgType", "").lower()
    event, key = fields.get("Event", "").lower(), fields.get("EventKey", "")
    number = fields.get("MsgId", "")
    if kind == "event":
        number = conversations.EVENT + digest(f"{sender} {fields.get('CreateTime')} {event} {key}")
    if not sender or len(sender) > 64 or not re.fullmatch(r"[0-9]{1,20}|event:\w+", number):
        return None
    said = Inbound(channel="wecom", message_id=number, address=sender, text="", at=at)
    if event in ("subscribe", "unsubscribe"):
        return replace(said, kind="event", text=event)
    if kind == "event":
        return replace(said, text=key) if event == "click" and key else None
    if kind in MEDIA and fields.get("MediaId"):
        shown, mime = MEDIA[kind]
        media = Media(id=fields["MediaId"], name=fields.get("FileName", ""), mime=mime)
        return replace(said, kind=shown, media=(media,))
    if kind == "text":
        return replace(said, text=fields.get("Content", ""))
    return replace(said, kind="location" if kind == "location" else "other", text=fields.get("Label", ""))


# --- what goes out -----------------------------------------------------------------------------------------------


def carded(reply: Reply) -> bool:
    """Whether a reply's options fit on the buttons of a card."""
    options = reply.options
    return 0 < len(options) <= BUTTONS and all(
        len(one.label) <= LABEL and len(one.value.encode()) <= KEY for one in options
    )


def on_card(reply: Reply) -> bool:
    """Whether a card holds the whole reply."""
    return carded(reply) and len(reply.text) <= SUBTITLE and not reply.links


def card(reply: Reply, task: str) -> dict[str, Any]:  # Any: JSON
    """A card with a button for each option. `task` is unique, so that the buttons act once.

    Under the reply to a message a button's key is the option's number; a push stands for itself whatever was said
    since, and its key is the option's value.
    """
    first, _, rest = reply.text.partition("\n")
    whole = on_card(reply)
    title, under = (
        (first, rest) if whole and len(first) <= TITLE else (say("channels.choose"), reply.text if whole else first)
    )
    return {
        "msgtype": "template_card",
        "template_card": {
            "card_type": "button_interaction",
            "main_title": {"title": title},
            "sub_title_text": under[:SUBTITLE],
            "task_id": task,
            "button_list": [
                {"text": one.label, "style": 1, "key": str(number) if task.startswith(TURN) else one.value}
                for number, one in enumerate(reply.options, 1)
            ],
        },
    }


def task_of(inbound: Inbound) -> str:
    """The task of a card under the reply to a message; WeCom takes no colon in it."""
    return TURN + inbound.message_id.replace(":", "@")


def messages(reply: Reply, task: str) -> list[dict[str, Any]]:  # Any: JSON
    """A reply as the API's messages: text, and a card where its options fit on one."""
    found: list[dict[str, Any]] = []
    if not on_card(reply):
        bare = Reply(text=reply.text, links=reply.links) if carded(reply) else reply
        texts = pieces(edge.clean(plain(bare)), LIMIT, lambda one: len(one.encode()))
        found = [{"msgtype": "text", "text": {"content": text}} for text in texts]
    return [*found, card(reply, task)] if carded(reply) else found


def answer_xml(sender: str, receiver: str, text: str, now_s: float) -> str:
    """A text as the answer to a callback."""
    return (
        f"<xml><ToUserName><![CDATA[{edge.cdata(sender)}]]></ToUserName>"
        f"<FromUserName><![CDATA[{edge.cdata(receiver)}]]></FromUserName><CreateTime>{int(now_s)}</CreateTime>"
        f"<MsgType><![CDATA[text]]></MsgType><Content><![CDATA[{edge.cdata(text)}]]></Content></xml>"
    )


class Wecom:
    """One application of one organisation. Its calls run in threads of their own."""

    name = "wecom"
    limit = LIMIT

    def __init__(
        self, chosen: Chosen, turns: TurnThread, sessions: sessionmaker[Session], clock: Callable[[], datetime]
    ) -> None:
        self._chosen, self._turns, self._sessions, self._clock = chosen, turns, sessions, clock
        self._envelope = edge.Envelope(token=chosen.token, aes_key=chosen.aes_key, receiver=chosen.corp_id)
        self._api = _api(chosen, clock)
        self._messages = WeChatMessage(self._api)
        self._throttle = Throttle()
        self._pool = ThreadPoolExecutor(4, thread_name_prefix="wecom")

    def start(self) -> None:
        """Nothing to begin: WeCom calls us."""

    def stop(self) -> None:
        """Finish what is being sent."""
        self._pool.shutdown()
        self._api.close()

    # --- in ------------------------------------------------------------------------------------------------------

    def router(self) -> APIRouter:
        """The callback's routes. Freshness goes by the wire's clock: the turns' may stand still in a demo."""
        routes = APIRouter()

        @routes.get("/channels/wecom")
        async def check(request: Request) -> Response:
            try:
                return Response(self._envelope.echo(edge.query_of(request), time.time()), media_type="text/plain")
            except edge.BadCallback as bad:
                return self._refuse(bad)

        @routes.post("/channels/wecom")
        async def callback(request: Request) -> Response:
            try:
                query, body = edge.query_of(request), await edge.body_of(request)
                fields = edge.flat(self._envelope.open(query, body, time.time()), KNOWN, said=SAID)
            except edge.BadCallback as bad:
                return self._refuse(bad)
            text = await self._take(fields)
            if not text:
                return Response(status_code=200)
            answer = answer_xml(fields["FromUserName"], self._chosen.corp_id, text, time.time())
            return Response(self._envelope.close(answer, time.time()), media_type="application/xml")

        return routes

    def _refuse(self, bad: edge.BadCallback) -> Response:
        log.info("callback refused", channel=self.name, reason=str(bad))
        return edge.refusal()

    async def _take(self, fields: Mapping[str, str]) -> str:
        """Answer a callback; "" when nothing is to be said at once."""
        event = fields.get("Event", "").lower()
        if event == "template_card_event" and fields.get("TaskId") and fields.get("FromUserName"):
            return await self._pressed(fields)
        inbound = read(fields, self._clock())
        if event == "enter_agent" and fields.get("FromUserName"):
            inbound = await asyncio.to_thread(self._entered, fields["FromUserName"])
        if inbound is None:
            log.info("callback passed over", channel=self.name, kind=event or fields.get("MsgType", ""))
            return ""
        return await self._turn(inbound)

    def _entered(self, member: str) -> Inbound | None:
        """Greet somebody who opens the application for the first time; later on they come to work."""
        with reading(self._sessions) as db:
            known = conversations.recent_exchanges(db, self.name, member, 1)
        number = f"{conversations.EVENT}{digest(member)}"
        at = self._clock()
        greeting = Inbound(channel=self.name, message_id=number, address=member, text="subscribe", at=at, kind="event")
        return None if known else greeting

    async def _pressed(self, fields: Mapping[str, str]) -> str:
        """A button of a card acts once: the card is the message's identity, whichever button and however often."""
        task, key, member = fields["TaskId"], fields.get("EventKey", ""), fields["FromUserName"]
        number = f"{conversations.EVENT}{digest(task)}"
        inbound = Inbound(channel=self.name, message_id=number, address=member, text=key, at=self._clock())
        text, again = await asyncio.to_thread(self._meant, inbound, task)
        if not again and (code := fields.get("ResponseCode")):
            told = say("channels.stale_button") if text is None else say("channels.chosen")
            self._pool.submit(self._settle, member, code, told)
        if text is None:
            return say("channels.stale")
        return await self._turn(replace(inbound, text=text))

    def _meant(self, inbound: Inbound, task: str) -> tuple[str | None, bool]:
        """What a button sends (None: it is out of date), and whether the card has acted before."""
        with transaction(self._sessions) as db:
            again = conversations.stored_reply(db, self.name, inbound.message_id) is not None
        if not task.startswith(TURN):
            return inbound.text, again
        number = int(inbound.text) if re.fullmatch("[0-9]{1,2}", inbound.text) else 0
        return picked(self._sessions, inbound, task.removeprefix(TURN).replace("@", ":"), number), again

    def _settle(self, member: str, code: str, told: str) -> None:
        """Put in place of a card's buttons what became of them; possible once within 72 hours."""
        asked = {
            "userids": [member],
            "agentid": self._chosen.agent_id,
            "response_code": code,
            "button": {"replace_name": told},
        }
        try:
            self._api.post("message/update_template_card", data=asked)
        except (TemporaryFailure, Undeliverable, ChannelStopped) as trouble:
            log.warning("card not updated", channel=self.name, code=trouble.code)

    async def _turn(self, inbound: Inbound) -> str:
        """The reply as text for the callback's answer; "" when it goes through the API."""
        ends_at = time.monotonic() + ANSWER_S
        turn = self._turns.submit(inbound)
        if not await told(turn, ANSWER_S):
            self._pool.submit(lambda: self._follow(inbound, _outcome(inbound, turn)))
            return ""
        reply = _outcome(inbound, turn)
        if len(plain(reply).encode()) > LIMIT:
            self._pool.submit(self._follow, inbound, reply)
            return ""
        if reply.kind == "flow" and on_card(reply) and await self._on_card(inbound, reply, ends_at):
            return ""
        return plain(reply)

    async def _on_card(self, inbound: Inbound, reply: Reply, ends_at: float) -> bool:
        """Send a form's choice as a card while WeCom waits for the answer; if that fails, the answer is the text."""
        sending = self._pool.submit(self._send, inbound.address, messages(reply, task_of(inbound)))
        try:
            left_s = ends_at - time.monotonic()
            await asyncio.wait_for(asyncio.shield(asyncio.wrap_future(sending)), left_s)
        except (TimeoutError, TemporaryFailure, Undeliverable, ChannelStopped) as trouble:
            log.warning("card not sent", channel=self.name, code=getattr(trouble, "code", "late"))
            return False
        return True

    def _follow(self, inbound: Inbound, reply: Reply) -> None:
        """Send a reply after the callback was answered; what WeCom does not take now is left to the ledger."""
        if not reply.text:
            return
        try:
            self._send(inbound.address, messages(reply, task_of(inbound)))
        except TemporaryFailure as trouble:
            log.warning("reply deferred", channel=self.name, code=trouble.code)
            defer(self._sessions, inbound, reply, self._clock(), trouble.retry_after_s)
        except Undeliverable as trouble:
            log.warning("reply not sent", channel=self.name, code=trouble.code)
        except ChannelStopped as trouble:
            log.error("channel stopped", channel=self.name, code=trouble.code, reason=trouble.reason)
            defer(self._sessions, inbound, reply, self._clock(), trouble.retry_after_s)

    # --- out -----------------------------------------------------------------------------------------------------

    def push(self, address: str, reply: Reply, key: str) -> str:
        """Send to a member. The same key makes the same message, which WeCom takes once in half an hour."""
        return self._send(address, messages(reply, PUSH + digest(key)))

    def _send(self, member: str, parts: list[dict[str, Any]]) -> str:  # Any: JSON
        """Send all parts or, when the member's limit is reached, none; the last one's id."""
        self._throttle.take(member, len(parts))
        sent = ""
        for part in parts:
            same = {"enable_duplicate_check": 1, "duplicate_check_interval": SAME_FOR_S}
            try:
                answer = self._messages.send(self._chosen.agent_id, member, msg={**part, **same})
            except ChannelStopped as trouble:
                if trouble.code != "45009":
                    raise
                # Unlike WeChat's, WeCom's frequency limits last a minute or an hour, not the day.
                raise TemporaryFailure(trouble.code, retry_after_s=60) from trouble
            for refused in ("invaliduser", "unlicenseduser"):  # in an answer that says ok
                if member.lower() in str(answer.get(refused) or "").lower().split("|"):
                    raise Undeliverable(refused, gone=refused == "invaliduser")
            sent = str(answer.get("msgid") or "")
        return sent

    def fetch(self, media: Media) -> bytes:
        """Download what was sent, from the API's host alone. It is kept there for three days."""
        return self._api.media(media.id, MOST_BYTES)


def _outcome(inbound: Inbound, turn: Future[Reply]) -> Reply:
    """What a turn replied, waited for, or an apology; the turn thread has logged why a commit failed."""
    try:
        return turn.result()
    except Exception:  # the webhook boundary
        return apology(inbound, secrets.token_hex(4))


def application(chosen: Chosen) -> str:
    """The application's name, asked of WeCom now. Raises what errors.fail raises."""
    with closing(_api(chosen, lambda: datetime.now(UTC))) as api:
        return str(WeChatAgent(api).get(chosen.agent_id).get("name") or "")


def _api(chosen: Chosen, clock: Callable[[], datetime]) -> Api:
    asked = {"corpid": chosen.corp_id, "corpsecret": chosen.secret}
    return Api(api_base=chosen.api_base, grant=lambda _forced: ("GET", "gettoken", asked, None), clock=clock)
