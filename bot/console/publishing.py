"""The knowledge's upkeep: import a notice, confirm its text, publish an edition and go back to an earlier one.

Whoever imported a text neither confirms nor publishes it. Indexing takes seconds, so it is done between transactions.
"""

import re
import tempfile
from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from fastapi import APIRouter, HTTPException, Request
from fastapi.responses import HTMLResponse, Response
from sqlalchemy.orm import Session
from starlette.datastructures import UploadFile

from bot import planner
from bot.console.frame import Console, Desk, Form, Sent
from bot.console.knowledge import READERS, titled
from bot.texts import say
from bot.workdays import LOCAL
from knowledge import base
from knowledge.base import KnowledgeBase
from knowledge.impact import Impact, impact, unreviewed
from knowledge.importing.draft import Draft, confirm, confirmed, draft_of, endings, store
from knowledge.importing.readers import LARGEST, Reading, read_file
from knowledge.model import Clause, KnowledgeError, Notice
from knowledge.notices import header_of, parse_notice
from knowledge.validity import Span, ends
from storage import audit, editions, questions, scope
from storage.db import transaction
from storage.scope import SYSTEM, serving

EDITORS = scope.MAY["edit_knowledge"]
SUPERSEDED = 4  # notices or clauses that a form can name
MOST_TEXT = 300_000  # characters that a form sends back
ASKED = 300  # questions of late that a publication is tried on


def router(console: Console) -> APIRouter:
    """The pages of the knowledge's upkeep."""
    routes = APIRouter()

    @routes.get("/console/knowledge/import")
    def blank(request: Request) -> HTMLResponse:
        with console.enter(request, *EDITORS) as desk:
            return _import_page(desk)

    @routes.post("/console/knowledge/import")
    def take(request: Request, form: Sent) -> Response:
        with console.act(request, form, *EDITORS):
            pass  # reading a file takes its time
        text, name, wrong, draft = "", "", "", None
        try:
            (text, unread), name = _sent(form)
            draft = draft_of(text, name, unread)
        except KnowledgeError as no:
            wrong = str(no)
        with console.act(request, form, *EDITORS) as desk:
            if draft is not None and form.get("sure") == "yes":
                try:
                    return _stored(desk, draft, name)
                except KnowledgeError as no:
                    wrong = str(no)
            return _import_page(desk, draft, text, name, wrong)

    @routes.get("/console/knowledge/notices/{notice_id}")
    def notice(request: Request, notice_id: str) -> HTMLResponse:
        with console.enter(request, *READERS) as desk:
            return _notice(desk, notice_id)

    @routes.post("/console/knowledge/notices/{notice_id}")
    def check(request: Request, notice_id: str, form: Sent) -> Response:
        with console.act(request, form, *EDITORS) as desk:
            return _confirmed(desk, notice_id, form)

    _editions(routes, console)
    return routes


def record(desk: Desk, action: str, subject: str, after: Mapping[str, str], reason: str = "") -> None:
    """Note a change of the knowledge in the audit."""
    role = desk.viewer.role_for("edit_knowledge")
    audit.record(desk.db, action, subject, now=desk.now, role=role, after=dict(after), reason=reason)


# --- import ----------------------------------------------------------------------------------------------------------


def _sent(form: Form) -> tuple[Reading, str]:
    """The text that was sent and the name of its file. Raises KnowledgeError with the remedy."""
    file = form.get("file")
    if not isinstance(file, UploadFile) or not file.filename:
        return Reading(str(form.get("text", ""))), str(form.get("name", "")).strip()[:200] or say("frame.pasted")
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / (Path(file.filename).name or "notice.txt")
        path.write_bytes(file.file.read(LARGEST + 1))
        reading = read_file(path)
    if len(reading.text) > MOST_TEXT:
        raise KnowledgeError([say("frame.text_too_long", most=MOST_TEXT)])
    return reading, path.name


def _import_page(
    desk: Desk, draft: Draft | None = None, text: str = "", name: str = "", wrong: str = ""
) -> HTMLResponse:
    return desk.page("desk/knowledge_import.html", draft=draft, text=text, name=name, wrong=wrong)


def _stored(desk: Desk, draft: Draft, name: str) -> Response:
    """Keep the draft. Raises KnowledgeError when it cannot be kept."""
    folder = desk.console.settings.imported_notices
    path = store(draft, folder, base.all_notices(base.DATA, folder), name, desk.person.name)
    record(desk, "notice.import", f"notice:{path.stem}", {"title": draft.title, "file": name})
    return desk.back(f"/console/knowledge/notices/{path.stem}", say("frame.notice_stored", title=draft.title))


def _confirmed(desk: Desk, notice_id: str, form: Form) -> Response:
    """Make a text official; what it takes out of force is shown first, and done when the same is sent again."""
    number, reason = str(form.get("number", "")).strip(), str(form.get("reason", "")).strip()
    supersedes, effective = _supersedes(form), str(form.get("effective", "")).strip()
    given: dict[str, Any] = {  # Any: see confirmed
        "shipped": base.DATA / base.NOTICES, "folder": desk.console.settings.imported_notices, "by": desk.person.name,
        "on": desk.now.astimezone(LOCAL).date(), "supersedes": supersedes, "effective": effective,
    }  # fmt: skip
    try:
        content = confirmed(notice_id, number, reason, **given)
        if supersedes and form.get("seen") != _seen(form):
            return _notice(desk, notice_id, form, ending=parse_notice(content, notice_id))
        confirm(notice_id, number, reason, **given)
    except KnowledgeError as no:
        return _notice(desk, notice_id, form, str(no))
    done = {"number": number, "supersedes": supersedes, "effective": effective}
    record(desk, "notice.confirm", f"notice:{notice_id}", {key: text for key, text in done.items() if text}, reason)
    return desk.back("/console/knowledge/editions", say("frame.notice_confirmed", number=number))


def _supersedes(form: Form) -> str:
    """What the form says that is superseded, as a notice's header has it."""
    found = []
    for number in range(1, SUPERSEDED + 1):
        old, clause, by = (str(form.get(f"{name}{number}", "")).strip() for name in ("old", "clause", "by"))
        clause = re.sub(r"\s", "", clause.replace("（", "(").replace("）", ")"))
        if old:
            found.append(old + (f"#{clause}" if clause else "") + (f" by {by}" if by else ""))
    return " | ".join(found)


def _notice(
    desk: Desk, notice_id: str, given: Form | None = None, wrong: str = "", ending: Notice | None = None
) -> HTMLResponse:
    """A notice that is published or waits, with what is known of its text.

    `ending` is the notice as it would be confirmed, to show what it takes out of force.
    """
    files = base.read_files(imported=desk.console.settings.imported_notices)
    content = files.get(f"{base.NOTICES}/{notice_id}.txt")
    if content is None:
        raise HTTPException(404)
    kb, made, header = desk.console.kb(), parse_notice(content.decode(), notice_id), header_of(content.decode())
    others, over = list[Notice](), list[tuple[Clause, Span]]()
    if made.supersedes or made.text_status != "official":
        stored = base.all_notices(base.DATA, desk.console.settings.imported_notices)
        others = [one for one in stored if one.id != notice_id]
        over = ends(ending or made, others)
    resting = kb.citing({(clause.notice_id, clause.label) for clause, _ in over})
    return desk.page(
        "desk/knowledge_notice.html", header=header, held=kb.notice(notice_id), made=made, given=given or {}, wrong=wrong,
        lines=content.decode().partition("\n---\n")[2].splitlines(), own=header.get("imported_by") == desk.person.name,
        may_edit=desk.viewer.may("edit_knowledge"), ending=ending, endings=endings(made.clauses), others=others, over=over,
        names={one.id: one.name for one in others}, resting=list(dict.fromkeys(titled(kb, one) for one in resting)), most=SUPERSEDED,
        seen=_seen(given) if given and ending else "",
    )  # fmt: skip


def _seen(form: Form) -> str:
    """What a form says is superseded and from when, as the page that shows it hands it back."""
    return f"{str(form.get('effective', '')).strip()} {_supersedes(form)}"


# --- editions --------------------------------------------------------------------------------------------------------


def _editions(routes: APIRouter, console: Console) -> None:
    @routes.get("/console/knowledge/editions")
    def listed(request: Request) -> HTMLResponse:
        with console.enter(request, *EDITORS) as desk:
            return _editions_page(desk)

    @routes.post("/console/knowledge/editions")
    def publish(request: Request, form: Sent) -> Response:
        """Show what would change; sent again with `sure`, do it."""
        with console.act(request, form, *EDITORS) as desk:
            asked, now, by = questions.latest(desk.db, ASKED), desk.now, desk.person.name
        number, note = str(form.get("number", "")), str(form.get("note", "")).strip()
        sure = form.get("sure") == "yes"
        try:
            fresh, files = _wanted(console, number, by)
            found = None if sure else _impact(console, fresh, asked, now)
        except KnowledgeError as no:
            with console.act(request, form, *EDITORS) as desk:
                return _editions_page(desk, wrong=str(no))
        with console.act(request, form, *EDITORS) as desk:
            if not sure:
                return _editions_page(desk, found=found, asked=len(asked), number=number)
            if not note:
                return _editions_page(desk, wrong=say("frame.reason_missing"))
            made = _make_current(desk, fresh, files, number, note)
            return desk.back("/console/knowledge/editions", say("frame.edition_current", number=made))


def _impact(console: Console, fresh: KnowledgeBase, asked: Sequence[str], now: datetime) -> Impact:
    """What changes, for the whole installation: its reminders are those of every province."""
    on = now.astimezone(LOCAL).date()
    with transaction(console.sessions) as db, serving(db, SYSTEM):
        current = _current(console, db)
        return impact(current, fresh, asked, on, planner.shifts(db, current, fresh, on))


def _current(console: Console, db: Session) -> KnowledgeBase:
    """The knowledge of the current edition, also in the seconds before this process goes on with it."""
    edition = editions.find(db, editions.current_number(db))
    if edition is None or edition.digest == console.kb().digest:
        return console.kb()
    return base.load_files(base.unpack(edition.files))


def _wanted(console: Console, number: str, by: str) -> tuple[KnowledgeBase, Mapping[str, bytes]]:
    """The knowledge of an earlier edition, or with no number of the files as they stand now.

    Raises KnowledgeError with what is wrong in them, or when `by` is the only one who has looked at a new text.
    """
    if not number:
        files = base.read_files(imported=console.settings.imported_notices)
        if held := unreviewed(files, console.kb(), by):
            raise KnowledgeError([say("frame.unreviewed", notices=held)])
        return base.load_files(files), files
    with transaction(console.sessions) as db:
        earlier = editions.find(db, int(number) if number.isdecimal() and len(number) < 9 else None)
        if earlier is None:
            raise HTTPException(404)
        files = base.unpack(earlier.files)
    return base.load_files(files), files


def _make_current(desk: Desk, fresh: KnowledgeBase, files: Mapping[str, bytes], number: str, note: str) -> int:
    """Let every process go on with this knowledge; its number."""
    by, role = desk.person.name, desk.viewer.role_for("edit_knowledge")
    if not number:
        return editions.publish(desk.db, fresh.digest, base.pack(files), desk.now, by=by, note=note, role=role)
    editions.make_current(desk.db, int(number), desk.now, by=by, note=note, role=role)
    return int(number)


def _editions_page(
    desk: Desk, *, found: Impact | None = None, asked: int = 0, wrong: str = "", number: str = ""
) -> HTMLResponse:
    files = base.read_files(imported=desk.console.settings.imported_notices)
    current = editions.current_number(desk.db)
    rows = [(one, one.published_at.astimezone(LOCAL)) for one in editions.listed(desk.db)]
    waiting = next((one.digest for one, _ in rows if one.number == current), "") != base.digest_of(files)
    stale: dict[str, dict[str, None]] = {}  # the titles of what rests on each clause, each once
    for name, citation in found.stale if found else ():
        source = say("frame.stale_clause", citation=citation)
        stale.setdefault(source, {})[titled(desk.console.kb(), name)] = None
    return desk.page(
        "desk/knowledge_editions.html", rows=rows, current=current, waiting=waiting, found=found, asked=asked,
        wrong=wrong, number=number, stale=stale,
    )  # fmt: skip
