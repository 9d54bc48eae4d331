"""Broadcasts as people see them: how one is named, what is received, when it may go out."""

import hmac
import re
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy.orm import Session

from bot import planner
from bot.messages import Link, Option, Refused, Reply, Turn
from bot.texts import say
from bot.workdays import LOCAL, QUIET_HOURS, Hours, read_hours
from knowledge.base import KnowledgeBase
from knowledge.model import Cite
from storage import broadcasts, secrets
from storage.deliveries import Guard
from storage.models import Broadcast, Delivery
from storage.scope import ROLES

REF = r"[Nn]\s*\d{1,9}(?:v\d{1,6})?"
_REF = re.compile(r"[Nn]\s*(\d{1,9})(?:v(\d{1,6}))?")


def read_ref(text: str) -> tuple[int, int | None] | None:
    """The number and the version of N12v3 where one stands in a text."""
    match = _REF.search(text)
    return (int(match[1]), int(match[2]) if match[2] else None) if match else None


def hours(turn: Turn) -> Hours:
    """When people may be written to unasked, as for reminders."""
    return read_hours(turn.given.get("quiet_hours", QUIET_HOURS))


def next_open(turn: Turn, at: datetime) -> datetime:
    """The time itself outside the quiet hours of a working day, else when the next span begins."""
    return hours(turn).next_open(at, planner.workdays(turn.db))


def in_hours(guard: Guard, hours: Hours, clock: Callable[[], datetime]) -> Guard:
    """The same guard, which also puts off what would leave in the quiet hours."""

    def look(db: Session, delivery: Delivery) -> str | datetime | None:
        if (why := guard(db, delivery)) is not None:
            return why
        now, days = clock(), planner.workdays(db)
        return None if hours.are_open(now, days) else hours.next_open(now, days)

    return look


def begins_at(turn: Turn, broadcast: Broadcast) -> datetime:
    """When sending begins after an approval now: the delay over, the chosen time come, the quiet hours past."""
    return next_open(turn, max(turn.now + timedelta(seconds=broadcast.delay_s), broadcast.send_at or turn.now))


def found(turn: Turn, text: str) -> tuple[Broadcast, int]:
    """The broadcast that was typed or tapped, and the version that was seen. Raises Refused."""
    named = read_ref(text)
    try:
        broadcast = broadcasts.find(turn.db, named[0] if named else 0)
    except broadcasts.NotFound:
        raise Refused(say("broadcasts.not_found")) from None
    return broadcast, (named[1] if named else None) or broadcast.version


def overtaken(turn: Turn, trouble: broadcasts.Overtaken) -> str:
    """Who has changed the broadcast meanwhile, and what it is now."""
    one = trouble.broadcast
    who, at = broadcasts.name_of(turn.db, one.changed_by), one.changed_at.astimezone(LOCAL)
    return say("broadcasts.overtaken", broadcast=one, who=who, at=at)


# --- what is received ------------------------------------------------------------------------------------------------


def quotations(broadcast: Broadcast, kb: KnowledgeBase) -> list[dict[str, Any]]:  # Any: texts and a citation
    """The clauses that it hands on, each with its citation; the words are those that were approved."""
    notice_id = broadcast.notice_id
    if notice_id is None or kb.notice(notice_id) is None:
        return []
    cites = [Cite(notice=notice_id, clause=one["label"], quote=one["quote"]) for one in broadcast.clauses]
    on = broadcast.at.astimezone(LOCAL).date()
    return [{"quote": one.quote, "citation": kb.citation(one, on)} for one in cites]


def message(broadcast: Broadcast, kb: KnowledgeBase, province: str, link: str = "") -> Reply:
    """What a recipient gets; `link` opens the page where it is read, downloaded and acknowledged."""
    notice = kb.notice(broadcast.notice_id) if broadcast.notice_id else None
    text = say(
        "broadcasts.message", broadcast=broadcast, notice=notice, quotations=quotations(broadcast, kb), province=province
    )  # fmt: skip
    asked = broadcast.acknowledgement != "none"
    links = (Link(label=say("broadcasts.open", asked=asked, files=len(broadcast.files)), url=link),) if link else ()
    options = (Option(label="签收", value=f"收到 N{broadcast.id}"),) if asked else ()
    return Reply(text=text, options=options, links=links, route="broadcast.message")


def why(broadcast: Broadcast, place: str, role: str) -> str:
    """Why somebody was sent it."""
    return say("broadcasts.why", number=broadcast.id, title=broadcast.title, place=place, role=ROLES.get(role, role))


def token(db: Session, number: int) -> str:
    """What opens a recipient's page: the number of their line and a keyed digest of it."""
    return f"{number}-{_seal(db, number)}"


def page(turn: Turn, number: int) -> str:
    """The address of the page of a recipient's line, for whoever is speaking; empty where none can be opened."""
    base = turn.given.get("base_url", "")
    return f"{base}/f/n/{token(turn.db, number)}" if base or turn.inbound.channel == "web" else ""


def opened(db: Session, typed: str) -> int | None:
    """The recipient's line behind a token; None for any other text."""
    match = re.fullmatch(r"(\d{1,12})-([0-9a-f]{32})", typed)
    return int(match[1]) if match and hmac.compare_digest(match[2], _seal(db, int(match[1]))) else None


def _seal(db: Session, number: int) -> str:
    return secrets.digest(db, f"broadcast page {number}")[:32]
