"""待答问题: what got no answer, grouped, by county and age; answered once with a clause, told to everybody who asked."""

from collections.abc import Sequence
from datetime import date, datetime
from typing import Any

from fastapi import APIRouter, HTTPException, Request
from fastapi.responses import HTMLResponse, Response

from bot.console.frame import PAGE, Console, Desk, Entry, Form, Sent, page_number, query
from bot.messages import Refused
from bot.texts import say
from bot.workdays import LOCAL, Workdays
from handlers import desk as answering
from knowledge.model import Cite
from knowledge.writing import Writer
from storage import bodies, questions, scope
from storage.questions import Group

READERS = (*scope.MAY["answer_questions"], "hotline")
MENU = (Entry(path="/console/questions", label="待答问题", roles=READERS),)


def router(console: Console) -> APIRouter:
    """The pages of open questions."""
    routes = APIRouter()

    @routes.get("/console/questions")
    def listed(request: Request) -> HTMLResponse:
        with console.enter(request, *READERS) as desk:
            return _listed(desk)

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


def _listed(desk: Desk) -> HTMLResponse:
    groups, number = answering.groups(desk.db, desk.console.kb()), page_number(desk.request)
    begin = (number - 1) * PAGE
    return desk.page(
        "desk/questions.html", rows=_rows(desk, groups[begin : begin + PAGE]), count=len(groups), number=number,
        may_answer=desk.viewer.may("answer_questions"),
        earlier=query(desk.request, page=number - 1 if number > 1 else ""),
        later=query(desk.request, page=number + 1) if len(groups) > begin + PAGE else "",
    )  # fmt: skip


def _rows(desk: Desk, groups: Sequence[Group]) -> list[dict[str, Any]]:  # Any: what the template shows of a group
    askers = questions.askers(desk.db, groups)
    names = bodies.names(desk.db, set().union(*askers.values()))
    today, days = _day(desk.now), dict[date, int]()
    for group in groups:
        since = _day(group.first.first_at)
        days[since] = days[since] if since in days else Workdays().between(since, today)
    return [
        {
            "group": group,
            "first": group.first,
            "days": days[_day(group.first.first_at)],
            "places": sorted(names[body_id] for body_id in askers[group.id]),
        }
        for group in groups
    ]


def _day(at: datetime) -> date:
    return at.astimezone(LOCAL).date()


def _one(desk: Desk, number: int, given: Form, wrong: str = "") -> HTMLResponse:
    kb = desk.console.kb()
    group = answering.group_of(desk.db, kb, number)
    if group is None:
        raise HTTPException(404)
    return desk.page(
        "desk/question.html", row=_rows(desk, [group])[0], clauses=list(kb.clauses.values()), given=given, wrong=wrong,
        notices={one.id: one for one in kb.notices},
    )  # fmt: skip
