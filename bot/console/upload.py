"""The page behind an upload link: photos, PDF and Office files, one request each, into the sender's conversation."""

import asyncio
import io
import zipfile
from collections.abc import Callable
from datetime import datetime
from hashlib import sha256
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from fastapi import APIRouter, HTTPException, Request
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import HTMLResponse
from jinja2 import Environment
from sqlalchemy.orm import Session, sessionmaker

from bot.files import MOST_BYTES, OFFICE, keep, sniffed
from bot.messages import Inbound, Media
from bot.turns import TurnThread
from storage import bindings, files, uploads
from storage.db import transaction
from storage.models import UploadLink
from storage.scope import SYSTEM, serving

MOST_FILES = 20
MOST_UNPACKED = 200_000_000  # bytes of an Office file's parts together
WORD, EXCEL = f"{OFFICE}wordprocessingml.document", f"{OFFICE}spreadsheetml.sheet"
KINDS = ("image/", "application/pdf", "application/msword", "application/vnd.ms-excel", WORD, EXCEL)
GONE = "这个链接已失效。请回到对话，发“上传文件”取得新的链接。"


def router(
    turns: TurnThread,
    sessions: sessionmaker[Session],
    templates: Environment,
    clock: Callable[[], datetime],
    folder: Path,
) -> APIRouter:
    """`/f/up/{token}`: the page, and one file a request. An unknown, used up or expired token is not found."""
    routes = APIRouter()

    def opened(token: str) -> tuple[UploadLink, int]:
        with transaction(sessions) as db, serving(db, SYSTEM):
            link = uploads.find(db, token, clock())
            if link is None or _left(db, link):
                raise HTTPException(404, GONE)
            return link, files.count_since(db, link.channel, link.address, link.at)

    def taken(digest: str) -> bool:
        with transaction(sessions) as db, serving(db, SYSTEM):
            return files.known(db, digest)

    @routes.get("/f/up/{token}", response_class=HTMLResponse)
    def page(token: str) -> str:
        link, sent = opened(token)
        minutes = max(1, round((link.expires_at - clock()).total_seconds() / 60))
        limits = {"most_files": MOST_FILES, "most_bytes": MOST_BYTES, "sent": sent, "minutes": minutes}
        return templates.get_template("upload.html").render(**limits)

    @routes.post("/f/up/{token}")
    async def take(token: str, request: Request) -> dict[str, Any]:
        link, sent = await run_in_threadpool(opened, token)
        if sent >= MOST_FILES:
            raise HTTPException(409, f"一个链接最多传{MOST_FILES}个文件，请回到对话再取一个链接。")
        data = await _read(request)
        mime = sniffed(data)
        if not mime.startswith(KINDS) or _risky(data):
            raise HTTPException(415, "只收照片、PDF、Word 和 Excel 文件（不含宏），这个文件不是。")
        await run_in_threadpool(keep, folder, data)
        digest = sha256(data).hexdigest()
        name = unquote(request.headers.get("x-name", ""))[:200]
        media = Media(id=f"upload:{digest}", name=name, mime=mime, sha256=digest, size=len(data))
        inbound = Inbound(
            channel=link.channel,
            message_id=f"upload:{link.id}:{digest}",
            address=link.address,
            text="",
            at=clock(),
            kind="image" if mime.startswith("image/") else "file",
            media=(media,),
        )
        reply = await asyncio.wrap_future(turns.submit(inbound))
        if not await run_in_threadpool(taken, digest):
            raise HTTPException(503, "文件没有保存成功，请稍后重传。")
        return {"text": reply.text}

    return routes


def _left(db: Session, link: UploadLink) -> bool:
    """Whether the sender has unbound meanwhile."""
    person = bindings.speaker(db, link.channel, link.address)
    return person is None or person.id != link.person_id


def _risky(data: bytes) -> bool:
    """Whether an Office file carries macros or unpacks to far more than it is."""
    if not data.startswith(b"PK"):
        return False
    try:
        parts = zipfile.ZipFile(io.BytesIO(data)).infolist()
    except zipfile.BadZipFile:
        return True
    return any("vbaProject" in part.filename for part in parts) or sum(part.file_size for part in parts) > MOST_UNPACKED


async def _read(request: Request) -> bytes:
    """The body, refused as soon as it is too large."""
    data = bytearray()
    async for part in request.stream():
        data += part
        if len(data) > MOST_BYTES:
            raise HTTPException(413, f"文件超过{MOST_BYTES // 1_000_000}MB，请压缩后再传。")
    return bytes(data)
