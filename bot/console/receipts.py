"""The page behind a broadcast's link: its text, its files, and the button that acknowledges it. The link is one person's."""

from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any

from fastapi import APIRouter, HTTPException
from fastapi.responses import FileResponse, HTMLResponse, RedirectResponse
from jinja2 import Environment
from sqlalchemy.orm import Session, sessionmaker

from bot.broadcasts import message, opened
from bot.console.download import listed
from bot.workdays import LOCAL
from knowledge.base import KnowledgeBase
from storage import acknowledgements, broadcasts
from storage.db import transaction
from storage.models import Broadcast, Recipient
from storage.scope import SYSTEM, Viewer, grants, serving

GONE = "没有这个通知，或链接不完整。请回到对话，发“我的通知”查看。"
NOT_ASKED = "这个通知没有请您签收，或已撤回、更正。请回到对话，发“我的通知”查看。"
NOT_YOURS = "由县级经办人或分管负责人代表本县签收；承办单位和已离岗的人员不用签收。"


def router(
    sessions: sessionmaker[Session],
    templates: Environment,
    clock: Callable[[], datetime],
    kb: Callable[[], KnowledgeBase],
    province: str,
    folder: Path,
) -> APIRouter:
    """`/f/n/{token}`: the page, its files, and POST to acknowledge. Any other token is not found."""
    routes = APIRouter()

    def found(db: Session, token: str) -> tuple[Broadcast, Recipient]:
        number = opened(db, token)
        with serving(db, SYSTEM):
            line = db.get(Recipient, number) if number is not None else None
            broadcast = db.get_one(Broadcast, line.broadcast_id) if line else None
        if line is None or broadcast is None or broadcast.begins_at is None or broadcast.begins_at > clock():
            raise HTTPException(404, GONE)
        return broadcast, line

    @routes.get("/f/n/{token}", response_class=HTMLResponse)
    def page(token: str) -> str:
        with transaction(sessions) as db:
            broadcast, line = found(db, token)
            return templates.get_template("broadcast.html").render(token=token, **_shown(db, broadcast, line))

    def _shown(db: Session, broadcast: Broadcast, line: Recipient) -> dict[str, Any]:  # Any: what the page shows
        said = acknowledgements.said(db, broadcast, line) if broadcast.acknowledgement != "none" else None
        newer = broadcasts.correction(db, broadcast)
        asked = broadcast.state == "sent" and broadcast.acknowledgement != "none" and newer is None
        return {
            "broadcast": broadcast,
            "text": message(broadcast, kb(), province).text,
            "asked": asked and said is None,
            "said_at": said.at.astimezone(LOCAL) if said else None,
            "newer": newer.id if newer else None,
        }

    @routes.post("/f/n/{token}")
    def acknowledge(token: str) -> RedirectResponse:
        with transaction(sessions) as db:
            broadcast, line = found(db, token)
            assert line.person_id is not None  # links are made for people only
            viewer = Viewer(person_id=line.person_id, grants=grants(db, line.person_id), channel="web")
            try:
                with serving(db, viewer):
                    acknowledgements.acknowledge(db, broadcast.id, "link", clock())
            except (acknowledgements.NotAsked, acknowledgements.Corrected) as trouble:
                raise HTTPException(409, NOT_ASKED) from trouble
            except acknowledgements.NotForBody as trouble:
                raise HTTPException(403, NOT_YOURS) from trouble
        return RedirectResponse(f"/f/n/{token}", status_code=303)

    @routes.get("/f/n/{token}/{number}")
    def file(token: str, number: int) -> FileResponse:
        with transaction(sessions) as db:
            broadcast, _ = found(db, token)
            handed = listed(db, folder, broadcast.files, number)
        if handed is None:
            raise HTTPException(404, GONE)
        return handed

    return routes
