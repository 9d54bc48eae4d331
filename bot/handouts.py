"""Files made for somebody: kept encrypted, and opened through a link that ends soon and is theirs alone."""

import base64
import hmac
from datetime import datetime, timedelta
from pathlib import Path

from cryptography.exceptions import InvalidTag
from sqlalchemy.orm import Session

from bot.files import keep, place
from bot.messages import Link, Refused, Turn
from bot.texts import say
from storage import files, scope, secrets
from storage.models import File, Person

LASTS = timedelta(hours=24)
CLEARS = 50  # files


def hand_out(turn: Turn, name: str, mime: str, data: bytes, *, body_id: int | None = None) -> Link:
    """Keep a file for whoever is speaking, of a body or else of their province, and make the link to it.

    Raises Refused where no page can be opened.
    """
    base, folder = turn.given.get("base_url", ""), turn.given.get("data")
    if folder is None or turn.user is None or not (base or turn.inbound.channel == "web"):
        raise Refused(say("handouts.no_page"))
    _clear(turn, folder)
    sealed = secrets.encrypt(turn.db, base64.b64encode(data).decode()).encode()
    file = files.made(
        turn.db,
        name=name,
        mime=mime,
        sha256=keep(folder, sealed),
        size=len(data),
        body_id=body_id,
        division_code=turn.viewer.division if body_id is None else None,
        now=turn.now,
    )
    until = int((turn.now + LASTS).timestamp())
    query = f"person={turn.user.id}&until={until}&seal={_seal(turn.db, file.id, turn.user.id, until)}"
    return Link(label=name, url=f"{base}/f/{file.id}?{query}")


def _clear(turn: Turn, folder: Path) -> None:
    """Remove what was made before and can be opened no more; some at a time."""
    with scope.serving(turn.db, scope.SYSTEM):
        for digest in files.ended(turn.db, turn.now - LASTS, CLEARS):
            place(folder, digest).unlink(missing_ok=True)


def _seal(db: Session, number: int, person_id: int, until: int) -> str:
    return secrets.digest(db, f"file:{number}:{person_id}:{until}")


def opened(
    db: Session, folder: Path, number: int, *, person_id: int, until: int, seal: str, now: datetime
) -> tuple[File, bytes] | None:
    """The file behind a link and its bytes; None when the link is not ours, has ended, or the person may not see it."""
    if until < now.timestamp() or not hmac.compare_digest(_seal(db, number, person_id, until).encode(), seal.encode()):
        return None
    with scope.serving(db, scope.SYSTEM):
        person = db.get(Person, person_id)
    scope.enter(db, person, "web")
    file = db.get(File, number)
    if file is None or file.purpose != "made" or file.sha256 is None:
        return None
    try:
        return file, base64.b64decode(secrets.decrypt(db, place(folder, file.sha256).read_text()))
    except (OSError, InvalidTag):  # removed, or kept under an earlier data key
        return None
