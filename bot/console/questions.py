"""待答问题: what got no answer, grouped, by county and age; answered once with a clause, told to everybody who asked."""

from datetime import date, datetime
from typing import Any

from fastapi import APIRouter, HTTPException, Request
from fastapi.responses import HTMLResponse, Response

from bot.console.frame import PAGE, Console, Desk, Entry, Form, Sent
from bot.messages import Refused
from bot.texts import say
from bot.workdays import LOCAL, Workdays
from handlers import desk as answering
from knowledge.model import Cite
from knowledge.writing import Writer
from storage import bodies, scope
from storage.questions import Group

READERS = (*scope.MAY["answer_questions"], "hotline")
MENU = (Entry(path="/console/questions", label="待答问题", roles=READERS),)


def router(console: Console) -> APIRouter:
    """The pages of open questions."""
    routes = APIRouter()

    @routes.get("/console/questions")
    def listed(request: Request) -> HTMLResponse:
        with console.enter(request, *READERS) as desk:
            rows = [_row(desk, group) for group in answering.groups(desk.db, console.kb())[:PAGE]]
            return desk.page("desk/questions.html", rows=rows, may_answer=desk.viewer.may("answer_questions"))

    @routes.get("/console/questions/{number:int}")
    def one(request: Request, number: int) -> HTMLResponse:
        with console.enter(request, *scope.MAY["answer_questions"]) as desk:
            return _one(desk, number, {})

    @routes.post("/console/questions/{number:int}")
    def answer(request: Request, number: int, form: Sent) -> Response:
        with console.act(request, form, *scope.MAY["answer_questions"]) as desk:
            notice, _, clause = str(form.get("clause", "")).partition(" ")
            cite = Cite(notice=notice, clause=clause, quote=str(form.get("quote", "")).strip())
            text, folder = str(form.get("text", "")).strip(), console.settings.imported_notices
            by = Writer(name=desk.person.name, id=desk.person.id)
            try:
                with desk.db.begin_nested():
                    done = answering.settle(desk.db, console.kb(), number, text, cite, by, folder, desk.now)
            except Refused as no:
                return _one(desk, number, form, wrong=str(no))
            return desk.back(f"/console/knowledge/drafts/{done.draft}", say("frame.answered", told=done.told))

    return routes


def _row(desk: Desk, group: Group) -> dict[str, Any]:  # Any: what the template shows of a group
    first = group.questions[0]
    places = {one.body_id for one in group.questions if one.body_id is not None}
    return {
        "group": group,
        "first": first,
        "days": Workdays().between(_day(first.at), _day(desk.now)),
        "places": sorted(bodies.place(desk.db, body_id, None) for body_id in places),
    }


def _day(at: datetime) -> date:
    return at.astimezone(LOCAL).date()


def _one(desk: Desk, number: int, given: Form, wrong: str = "") -> HTMLResponse:
    kb = desk.console.kb()
    groups = answering.groups(desk.db, kb)
    group = next((one for one in groups if number in {question.id for question in one.questions}), None)
    if group is None:
        raise HTTPException(404)
    return desk.page(
        "desk/question.html", row=_row(desk, group), clauses=list(kb.clauses.values()), given=given, wrong=wrong,
        notices={one.id: one for one in kb.notices},
    )  # fmt: skip
