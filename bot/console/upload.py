"""The page behind an upload link: photos, PDF and Office files, one request each, into the sender's conversation."""

import asyncio
from collections.abc import Callable
from datetime import datetime
from hashlib import sha256
from pathlib import Path
from typing import Any
from urllib.parse import unquote
from weakref import WeakValueDictionary

from fastapi import APIRouter, HTTPException, Request
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import HTMLResponse
from jinja2 import Environment
from sqlalchemy.orm import Session, sessionmaker

from bot.files import KINDS, MOST_BYTES, keep, not_taken, sniffed
from bot.messages import Inbound, Media
from bot.texts import say
from bot.turns import TurnThread
from storage import bindings, files, uploads
from storage.db import transaction
from storage.models import UploadLink
from storage.scope import SYSTEM, serving

READ_S = 300.0  # for one file


def router(
    turns: TurnThread,
    sessions: sessionmaker[Session],
    templates: Environment,
    clock: Callable[[], datetime],
    folder: Path,
) -> APIRouter:
    """`/f/up/{token}`: the page, and one file a request. An unknown, used up or expired token is not found."""
    routes = APIRouter()
    locks: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()  # one file of a link is taken at a time

    def opened(token: str) -> tuple[UploadLink, int]:
        with transaction(sessions) as db, serving(db, SYSTEM):
            link = uploads.find(db, token, clock())
            if link is None or _left(db, link):
                raise HTTPException(404, say("files.link_gone"))
            return link, files.sent_since(db, link.channel, link.address, link.at)[0]

    def known(digest: str) -> bool:
        with transaction(sessions) as db, serving(db, SYSTEM):
            return files.known(db, digest)

    def refusal(data: bytes) -> str:
        with transaction(sessions) as db, serving(db, SYSTEM):
            return not_taken(db, data)

    @routes.get("/f/up/{token}", response_class=HTMLResponse)
    def page(token: str) -> str:
        link, sent = opened(token)
        minutes = max(1, round((link.expires_at - clock()).total_seconds() / 60))
        limits = {"most_files": uploads.MOST_FILES, "most_bytes": MOST_BYTES, "sent": sent, "minutes": minutes}
        return templates.get_template("upload.html").render(**limits)

    @routes.post("/f/up/{token}")
    async def take(token: str, request: Request) -> dict[str, Any]:
        async with locks.setdefault(token, asyncio.Lock()):
            link, sent = await run_in_threadpool(opened, token)
            if sent >= uploads.MOST_FILES:
                megabytes = uploads.MOST_BYTES // 1_000_000
                raise HTTPException(409, say("inbox.link_full", most=uploads.MOST_FILES, megabytes=megabytes))
            data = await _read(request)
            mime, digest = sniffed(data), sha256(data).hexdigest()
            if why := await run_in_threadpool(refusal, data):
                raise HTTPException(409 if mime in KINDS else 415, why)
            await run_in_threadpool(keep, folder, data)
            name = unquote(request.headers.get("x-name", ""))[:200]
            media = Media(id=f"upload:{digest}", name=name, mime=mime, sha256=digest, size=len(data))
            inbound = _inbound(link, media, clock())
            reply = await asyncio.wrap_future(turns.submit(inbound, {"link_at": link.at}))
            if reply.route == "inbox.full":
                raise HTTPException(409, reply.text)
            if not await run_in_threadpool(known, digest):
                raise HTTPException(503, say("files.not_stored"))
            return {"text": reply.text}

    return routes


def _inbound(link: UploadLink, media: Media, now: datetime) -> Inbound:
    """A file as its sender's message; the same bytes through the same link are the same message."""
    return Inbound(
        channel=link.channel,
        message_id=f"upload:{link.id}:{media.sha256}",
        address=link.address,
        text="",
        at=now,
        kind="image" if media.mime.startswith("image/") else "file",
        media=(media,),
    )


def _left(db: Session, link: UploadLink) -> bool:
    """Whether the sender has unbound meanwhile."""
    person = bindings.speaker(db, link.channel, link.address)
    return person is None or person.id != link.person_id


async def _read(request: Request) -> bytes:
    """The body, refused as soon as it is too large or too slow."""
    data = bytearray()
    try:
        async with asyncio.timeout(READ_S):
            async for part in request.stream():
                data += part
                if len(data) > MOST_BYTES:
                    raise HTTPException(413, say("files.too_large", megabytes=MOST_BYTES // 1_000_000))
    except TimeoutError:
        raise HTTPException(408, say("files.too_slow")) from None
    return bytes(data)
