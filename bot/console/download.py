"""The door to stored files: `/f/{number}` with the ticket that the conversation has handed out."""

import mimetypes
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any
from urllib.parse import quote

from fastapi import APIRouter, HTTPException, Response
from fastapi.responses import FileResponse
from sqlalchemy.orm import Session, sessionmaker

from bot.files import PICTURES, place, shown, sniffed
from bot.texts import say
from storage import files, scope
from storage.db import transaction
from storage.models import File

HEADERS = {"Cache-Control": "private, no-store", "Content-Security-Policy": "default-src 'none'; sandbox"}


def router(sessions: sessionmaker[Session], clock: Callable[[], datetime], folder: Path) -> APIRouter:
    """`/f/{number}?t=`: a picture drawn anew, anything else as an attachment. What may not be opened is not found."""
    routes = APIRouter()

    @routes.get("/f/{number}")
    def download(number: str, t: str = "") -> Response:
        with transaction(sessions) as db:
            file = files.admit(db, number, t, clock())
        path = place(folder, file.sha256) if file and file.sha256 else None
        if file is None or path is None or not path.is_file():
            raise HTTPException(404, say("files.not_opened"))
        mime = sniffed(path.read_bytes())  # what is said of a file decides nothing
        if mime in PICTURES and (picture := shown(path)) is not None:
            named = {"Content-Disposition": f"inline; filename*=UTF-8''{quote(_name(file, 'image/jpeg'))}"}
            return Response(picture, media_type="image/jpeg", headers=HEADERS | named)
        kind = mime if "/" in mime else "application/octet-stream"
        return FileResponse(path, media_type=kind, filename=_name(file, kind), headers=HEADERS)

    return routes


def listed(db: Session, folder: Path, files_of: Sequence[Mapping[str, Any]], number: int) -> FileResponse | None:
    """The file at a place, from 1, of a broadcast's list, as an attachment; None for one that may not be opened."""
    kept = files_of[number - 1] if 0 < number <= len(files_of) else None
    path = place(folder, kept["sha256"]) if kept else None
    with scope.serving(db, scope.SYSTEM):
        if kept is None or path is None or files.quarantined(db, kept["sha256"]) or not path.is_file():
            return None
    named = {"Content-Disposition": f"attachment; filename*=UTF-8''{quote(kept['name'] or str(number))}"}
    return FileResponse(path, media_type=kept["mime"] or "application/octet-stream", headers=HEADERS | named)


def _name(file: File, mime: str) -> str:
    """What the sender called it, with the ending of what it is."""
    return (
        f"{Path(file.name).stem[:80] or say('files.nameless', number=file.id)}{mimetypes.guess_extension(mime) or ''}"
    )
