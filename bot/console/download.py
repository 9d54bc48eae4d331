"""The page behind a link to a file that was made for somebody."""

from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from urllib.parse import quote

from fastapi import APIRouter, HTTPException, Response
from sqlalchemy.orm import Session, sessionmaker

from bot.handouts import opened
from storage.db import transaction

GONE = "这个链接已失效。请回到对话，重新导出文件。"


def router(sessions: sessionmaker[Session], clock: Callable[[], datetime], folder: Path) -> APIRouter:
    """`/f/{number}`: the file as an attachment. Whatever is wrong with the link, it is not found."""
    routes = APIRouter()

    @routes.get("/f/{number}")
    def download(number: int, person: int = 0, until: int = 0, seal: str = "") -> Response:
        with transaction(sessions) as db:
            found = opened(db, folder, number, person_id=person, until=until, seal=seal, now=clock())
            if found is None:
                raise HTTPException(404, GONE)
            file, data = found
            headers = {
                "Content-Disposition": f"attachment; filename*=UTF-8''{quote(file.name)}",
                "Cache-Control": "private, no-store",
            }
            return Response(data, media_type=file.mime, headers=headers)

    return routes
