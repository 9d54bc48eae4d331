"""拟稿: entries written in the office. One person drafts, another reviews; the next edition takes them in."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from fastapi import APIRouter, HTTPException, Request
from fastapi.responses import HTMLResponse, Response

from bot.console.frame import Console, Desk, Form, Sent
from bot.console.publishing import EDITORS, record
from bot.texts import say
from knowledge import writing
from knowledge.model import CLEAR, NOT_WRITTEN, OUTSIDE, PRINCIPLE, KnowledgeError, Verdict
from knowledge.writing import Writer, Written

STANCES: tuple[Verdict, ...] = ("info", "yes", "no", "conditional")
BASES = (CLEAR, PRINCIPLE, NOT_WRITTEN, OUTSIDE)
SLOTS = ("date", "duration", "ratio", "count", "money", "phone", "who", "where", "form", "document", "list", "reason")
MOST_CITES = 3
_LENGTHS = {"title": 30, "statement": 500, "basis": 20, "binds": 60, "ask_whom": 100}
_BLANK: Mapping[str, Any] = {key: "" for key in (*_LENGTHS, "author", "reviewer", "returned", "returned_by")} | {
    "cite": [],
    "asks": {},
    "gives": [],
}


def router(console: Console) -> APIRouter:
    """The pages of entries that are written here."""
    routes = APIRouter()
    folder = console.settings.imported_notices

    @routes.get("/console/knowledge/drafts")
    def listed(request: Request) -> HTMLResponse:
        with console.enter(request, *EDITORS) as desk:
            return desk.page("desk/drafts.html", rows=writing.listed(folder), by_id=console.kb().by_id)

    @routes.get("/console/knowledge/drafts/{name}")
    def one(request: Request, name: str) -> HTMLResponse:
        with console.enter(request, *EDITORS) as desk:
            return _form(desk, _found(folder, name))

    @routes.post("/console/knowledge/drafts/{name}")
    def save(request: Request, name: str, form: Sent) -> Response:
        """Keep a draft, `new` for a new one; what is wrong in it is said and can be mended later."""
        with console.act(request, form, *EDITORS) as desk:
            known, content = _found(folder, name), content_of(form)
            if not content["title"] or not content["statement"]:
                return _form(desk, known, content, [say("frame.incomplete")])
            name = writing.save(folder, content, _writer(desk), known.name if known else "")
            record(desk, "entry.draft", f"entry:{name}", {"title": content["title"]})
            return desk.back(f"/console/knowledge/drafts/{name}", say("frame.draft_kept"))

    @routes.post("/console/knowledge/drafts/{name}/{act}")
    def settle(request: Request, name: str, act: str, form: Sent) -> Response:
        with console.act(request, form, *EDITORS) as desk:
            found = _found(folder, name)
            if found is None or act not in ("review", "return", "drop"):
                raise HTTPException(404)
            title = found.item["title"]
            if act == "drop":
                record(desk, "entry.drop", f"entry:{name}", {"title": title, "draft": str(found.draft is not None)})
                writing.drop(folder, name)
                return desk.back("/console/knowledge/drafts", say("frame.draft_dropped", title=title))
            reason = str(form.get("reason", "")).strip()[:200]
            try:
                if act == "return":
                    writing.send_back(folder, name, _writer(desk), reason)
                else:
                    writing.review(folder, console.kb(), name, _writer(desk))
            except KnowledgeError as no:
                return _form(desk, found, wrong=no.problems)
            record(desk, f"entry.{act}", f"entry:{name}", {"title": title}, reason)
            if act == "return":
                return desk.back("/console/knowledge/drafts", say("frame.draft_returned", title=title))
            return desk.back("/console/knowledge/editions", say("frame.draft_reviewed", title=title))

    return routes


def _writer(desk: Desk) -> Writer:
    return Writer(name=desk.person.name, id=desk.person.id)


def _found(folder: Path, name: str) -> Written | None:
    """What has this name; None for `new`."""
    found = writing.find(folder, name)
    if found is None and name != "new":
        raise HTTPException(404)
    return found


def content_of(form: Form) -> dict[str, Any]:  # Any: an entry as its file has it
    """What was written in the form, as an entry's file has it; what is empty is left out."""
    content: dict[str, Any] = {key: " ".join(str(form.get(key, "")).split())[:most] for key, most in _LENGTHS.items()}
    cites = []
    for number in range(1, MOST_CITES + 1):
        notice, _, clause = str(form.get(f"clause{number}", "")).partition(" ")
        quote = str(form.get(f"quote{number}", "")).replace("\r\n", "\n").strip("\n")[:1000]
        if notice or quote:
            cites.append({"notice": notice, "clause": clause, "quote": quote})
    asks = {stance: _lines(str(form.get(stance, ""))) for stance in STANCES}
    content |= {"cite": cites, "gives": [one for one in form.get("gives[]", []) if one in SLOTS]}
    content["asks"] = {stance: lines for stance, lines in asks.items() if lines}
    return {key: value for key, value in content.items() if value or key in ("title", "statement")}


def _lines(text: str) -> list[str]:
    return list(dict.fromkeys(words for line in text.splitlines() if (words := " ".join(line.split())[:100])))[:100]


def _form(
    desk: Desk, known: Written | None, given: Mapping[str, Any] | None = None, wrong: Sequence[str] = ()
) -> HTMLResponse:
    """A draft with what still keeps it from publication, and beside it what it would take the place of."""
    kb = desk.console.kb()
    item = {**_BLANK, **(given if given is not None else known.item if known else {})}
    draft = known.draft if known else None
    return desk.page(
        "desk/draft.html", known=known, item=item, draft={**_BLANK, **draft} if draft else None, wrong=wrong, bases=BASES, slots=SLOTS, stances=STANCES,
        troubles=writing.troubles(kb, draft) if draft and given is None and not wrong else [],
        own=draft is not None and _writer(desk).wrote(draft), current=kb.by_id.get(known.name) if known else None,
        clauses=list(kb.clauses.values()), notices={one.id: one for one in kb.notices}, most=MOST_CITES,
    )  # fmt: skip
