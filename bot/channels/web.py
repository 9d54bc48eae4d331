"""The web chat and the answer API: browsers and programs as channels."""

import asyncio
import hmac
import secrets
from collections.abc import Callable
from datetime import UTC, datetime
from hashlib import sha256
from typing import Annotated, Any

from fastapi import APIRouter, Body, Cookie, HTTPException, Request, Response
from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy.orm import Session, sessionmaker

from bot.messages import Inbound, Media, Reply, Undeliverable
from bot.turns import TurnThread
from knowledge.facts import KINDS, parse_fact
from storage import conversations
from storage.db import reading, transaction
from storage.models import Exchange

COOKIE = "countydesk_visitor"
YEAR_S = 365 * 24 * 3600
LONGEST_MESSAGE = 10_000
SHOWN = 30


class Said(BaseModel):
    """A message from the chat page; a resend carries the same id."""

    model_config = ConfigDict(extra="forbid")
    message_id: str = Field(min_length=8, max_length=64)
    text: str = Field(max_length=LONGEST_MESSAGE)


class Asked(BaseModel):
    """A question from a program. `facts` are keyed as in `ask --fact`; `on` is an ISO date."""

    model_config = ConfigDict(extra="forbid")
    q: str = Field(max_length=LONGEST_MESSAGE)
    session: str | None = Field(default=None, max_length=64)
    facts: dict[str, str] = Field(default_factory=dict)
    on: str | None = None


def sign(visitor: str, key: bytes) -> str:
    """A visitor's id with a seal, so that nobody reads another's conversation by guessing an id."""
    seal = hmac.new(key, visitor.encode(), sha256).hexdigest()[:32]
    return f"{visitor}.{seal}"


def visitor_of(cookie: str | None, key: bytes) -> str | None:
    """The visitor's id of a cookie whose seal is right."""
    visitor, _, _ = (cookie or "").partition(".")
    return visitor if visitor and hmac.compare_digest(sign(visitor, key), cookie or "") else None


def shown(reply: Reply) -> dict[str, Any]:
    """A reply for the chat page."""
    return {
        "text": reply.text,
        "options": [{"label": option.label, "value": option.value} for option in reply.options],
        "links": [{"label": link.label, "url": link.url} for link in reply.links],
        "kind": reply.kind,
        "more": bool(reply.rest),
    }


def read_facts(stated: dict[str, str], year: int) -> dict[str, Any]:
    """Convert stated facts. Raises ValueError naming the first that is unknown or unreadable."""
    facts: dict[str, Any] = {}
    for key, text in stated.items():
        if key not in KINDS:
            raise ValueError(f"没有“{key}”这项情况，可用：{'、'.join(KINDS)}")
        try:
            facts[key] = parse_fact(key, text, year=year)
        except ValueError:
            raise ValueError(f"{key} 的值“{text}”无法识别") from None
    return facts


class WebChannel:
    """Pushes into the history of a browser, where the open page finds them."""

    name = "web"
    limit = 0

    def __init__(self, sessions: sessionmaker[Session], clock: Callable[[], datetime]) -> None:
        self._sessions = sessions
        self._clock = clock

    def push(self, address: str, reply: Reply, key: str) -> str:
        """Store a message for the page; the same key is stored once."""
        with transaction(self._sessions) as db:
            number = conversations.record_push(db, self.name, address, key, reply.to_json(), self._clock())
        return str(number)

    def fetch(self, media: Media) -> bytes:
        """Nothing to fetch: files come through upload links."""
        raise Undeliverable("no-media")


def router(turns: TurnThread, sessions: sessionmaker[Session], key: bytes, clock: Callable[[], datetime]) -> APIRouter:
    """The chat's and the API's routes."""
    routes = APIRouter()

    @routes.post("/chat")
    async def chat(
        said: Said, response: Response, countydesk_visitor: Annotated[str | None, Cookie()] = None
    ) -> dict[str, Any]:
        visitor = visitor_of(countydesk_visitor, key)
        if visitor is None:
            visitor = secrets.token_urlsafe(16).replace(".", "-")
            keep(response, visitor, key)
        inbound = Inbound(
            channel="web", message_id=f"{visitor}:{said.message_id}", address=visitor, text=said.text, at=clock()
        )
        reply = await asyncio.wrap_future(turns.submit(inbound))
        return {"reply": shown(reply)}

    @routes.get("/chat/history")
    def history(countydesk_visitor: Annotated[str | None, Cookie()] = None) -> dict[str, Any]:
        visitor = visitor_of(countydesk_visitor, key)
        if visitor is None:
            return {"exchanges": []}
        with reading(sessions) as db:
            recent = conversations.recent_exchanges(db, "web", visitor, SHOWN)
            return {"exchanges": [_exchange(db, one) for one in recent]}

    @routes.get("/chat/new")
    def new(after: int, countydesk_visitor: Annotated[str | None, Cookie()] = None) -> dict[str, Any]:
        visitor = visitor_of(countydesk_visitor, key)
        if visitor is None:
            return {"exchanges": []}
        with reading(sessions) as db:
            pushed = conversations.pushed_since(db, "web", visitor, after)
            return {"exchanges": [_exchange(db, one) for one in pushed]}

    @routes.post("/api/v1/ask")
    async def ask(asked: Annotated[Asked, Body()]) -> dict[str, Any]:
        try:
            at = clock() if asked.on is None else datetime.fromisoformat(asked.on).replace(hour=4, tzinfo=UTC)
            given = read_facts(asked.facts, at.year)
        except ValueError as error:
            raise HTTPException(422, f"请求有误：{error}") from error
        identity = secrets.token_hex(12)
        inbound = Inbound(channel="api", message_id=identity, address=asked.session or identity, text=asked.q, at=at)
        reply = await asyncio.wrap_future(turns.submit(inbound, given))
        return line(asked.q, reply)

    return routes


def _exchange(db: Session, one: Exchange) -> dict[str, Any]:
    """An exchange for the chat page; `said` is null for a message that was pushed."""
    said = None if one.route == conversations.PUSH else conversations.said(db, one)
    return {"id": one.id, "said": said, "reply": shown(Reply.from_json(conversations.reply(db, one)))}


def line(question: str, reply: Reply) -> dict[str, Any]:
    """A reply in the shape of CONTRACTS' `ask`, also when it is a menu or a form's step."""
    found = dict(reply.answer or {})
    blank: dict[str, Any] = {
        "question": question, "kind": reply.kind, "status": None, "verdict": None, "headline": reply.text.split("\n")[0],
        "text": reply.text, "more": reply.rest, "citations": [], "missing": [], "as_of": "", "edition": "", "score": 0.0,
        "route": reply.route,
    }  # fmt: skip
    options = [{"label": option.label, "citations": []} for option in reply.options]
    return {**blank, "choices": options, **found, "text": reply.text, "question": question}


def keep(response: Response, visitor: str, key: bytes) -> None:
    """Remember a browser, so that its conversation goes on after a reload."""
    response.set_cookie(COOKIE, sign(visitor, key), max_age=YEAR_S, httponly=True, samesite="lax")


def visitor_in(request: Request, key: bytes) -> str | None:
    return visitor_of(request.cookies.get(COOKIE), key)
