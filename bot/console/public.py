"""The pages open to everybody: the chat, 查答案 with its search, and the notices."""

import re
import time
from collections.abc import Callable, Sequence
from datetime import date, datetime
from pathlib import Path
from typing import Any
from urllib.parse import quote

import segno
from fastapi import APIRouter, HTTPException, Request
from fastapi.responses import HTMLResponse, PlainTextResponse
from jinja2 import Environment, FileSystemLoader, StrictUndefined

from bot.channels.web import shown
from bot.messages import Option, Reply
from bot.texts import label_text, say
from handlers.ask import LOCAL, aloud, as_json, cited, copies, headline
from handlers.binding import PRIVACY
from handlers.inviting import Invited, bind_url
from knowledge.base import KnowledgeBase
from knowledge.lookup import Found, look_up
from storage.scope import ROLES

PAGES = Path(__file__).parent / "pages"
_PROOF = re.compile(r"(?:MP|WW)_verify_[A-Za-z0-9]{1,64}")  # of 公众号 and 企业微信
_PROOF_BYTES = 1024
_FIRST = ("专项资金能不能给站长发工资", "验收要满足什么条件", "二次申报要什么条件", "问题整改什么时候完成", "菜单")


def pages(version: str) -> Environment:
    """The templates of the pages, escaping everything."""
    made = Environment(
        loader=FileSystemLoader(PAGES), autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    made.filters["label"] = label_text
    made.filters["cells"] = lambda text: text.split("\t")
    made.globals["version"] = version
    return made


def result(kb: KnowledgeBase, found: Found) -> dict[str, Any]:
    """One search result: the answer with its sizes for copying, and why it was found."""
    answer = found.answer
    written = as_json(answer)
    citations = [
        {**shown_one, "source": say("ask.source", citation=citation)}
        for shown_one, citation in zip(written["citations"], cited(answer), strict=True)
    ]
    main = answer.citations[0] if answer.citations else None
    return {
        "id": answer.route,
        "title": found.title,
        "headline": headline(answer),
        "verdict": written["verdict"],
        "status": answer.status,
        "kind": answer.kind,
        "citations": citations,
        "notes": list(answer.notes),
        "binds": answer.binds,
        "why": found.why,
        "marks": list(found.marks),
        "aloud": aloud(answer),
        "copies": copies(answer),
        "url": f"/notice/{main.notice_id}#{quote(main.clause)}" if main else "",
    }


def invitation_sheet(
    templates: Environment, place: str, invited: Sequence[Invited], base_url: str, back: str = ""
) -> str:
    """A page to print, one block per invited person: name, role, code, and the code as a picture to scan.

    `back` is the page that a link on the screen leads to.
    """
    cards = [
        {
            "name": one.person.name,
            "role": ROLES[one.invitation.role],
            "code": one.code,
            "until": one.invitation.expires_at.astimezone(LOCAL),
            "picture": segno.make(bind_url(base_url, one.code) or f"绑定 {one.code}").svg_inline(scale=3),
        }
        for one in invited
    ]
    return templates.get_template("sheet.html").render(place=place, cards=cards, url=base_url, back=back)


def _ended(kb: KnowledgeBase, on: date) -> dict[str, str]:
    """How what is not in force is marked: clauses by their id, a notice of which nothing is by its own."""
    known = {
        clause.id: kb.validity(*place, on) for place, clause in kb.clauses.items() if not kb.spans[place].holds(on)
    }
    for notice in kb.notices:
        marks = {known.get(clause.id, "") for clause in notice.clauses}
        if marks and "" not in marks:
            known[notice.id] = min(marks, key=len) if len(marks) > 1 else marks.pop()
    return known


def router(
    kb: Callable[[], KnowledgeBase], templates: Environment, clock: Callable[[], datetime], province: str, proofs: Path
) -> APIRouter:
    """The public pages' routes. `proofs` is the folder of the files by which platforms see whose domain this is."""
    routes = APIRouter()

    def page(name: str, **values: Any) -> HTMLResponse:  # Any: each page takes its own
        return HTMLResponse(templates.get_template(name).render(**values))

    @routes.get("/")
    def chat() -> HTMLResponse:
        options = tuple(Option(label=text, value=text) for text in _FIRST)
        return page("chat.html", welcome=shown(Reply(text=say("ask.greeting"), options=options)))

    @routes.get("/lookup")
    def lookup() -> HTMLResponse:
        return page("lookup.html")

    @routes.get("/api/v1/search")
    def search(q: str = "", limit: int = 7) -> dict[str, Any]:
        started = time.perf_counter()
        found = look_up(kb(), q[:200], on=clock().astimezone(LOCAL).date(), limit=max(1, min(limit, 20)))
        results = [result(kb(), one) for one in found]
        return {"results": results, "ms": round((time.perf_counter() - started) * 1000, 1)}

    @routes.get("/privacy")
    def privacy() -> HTMLResponse:
        return page("privacy.html", province=province, edition=PRIVACY)

    @routes.get("/notices")
    def notices() -> HTMLResponse:
        return page("notices.html", notices=kb().notices, ended=_ended(kb(), clock().astimezone(LOCAL).date()))

    @routes.get("/notice/{notice_id}")
    def notice(request: Request, notice_id: str) -> HTMLResponse:
        found = kb().notice(notice_id)
        if found is None:
            raise HTTPException(404, "没有这份文件，请从“全部文件”重新选择。")
        return page("notice.html", notice=found, ended=_ended(kb(), clock().astimezone(LOCAL).date()))

    @routes.get("/{name}.txt")
    def proof(name: str) -> PlainTextResponse:
        path = proofs / f"{name}.txt"
        if not _PROOF.fullmatch(name) or not path.is_file():
            raise HTTPException(404)
        return PlainTextResponse(path.read_bytes()[:_PROOF_BYTES])

    return routes
