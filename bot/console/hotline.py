"""热线坐席: the look-up with the caller's card and the call log beside it, passing on, and the counties' contacts."""

from dataclasses import replace
from datetime import datetime, time
from typing import Any

from fastapi import APIRouter, HTTPException, Request
from fastapi.responses import HTMLResponse, JSONResponse, Response

from bot.console.frame import PAGE, Console, Desk, Entry, Sent, page_number, query
from bot.messages import Refused
from bot.texts import say
from bot.workdays import LOCAL
from handlers import calls as calling
from storage import bodies, calllog, calls, facts, flags, items, people, questions, rosters, scope
from storage.models import Body, Call, CallTask, Person, Question

SEATS = ("hotline", "province_officer", "province_approver")
MENU = (
    Entry(path="/console/hotline", label="热线坐席", roles=SEATS),
    Entry(path="/console/contacts", label="各县通讯录", roles=SEATS),
)


def router(console: Console) -> APIRouter:
    """The pages of the hotline."""
    routes = APIRouter()

    @routes.get("/console/hotline")
    def seat(request: Request) -> HTMLResponse:
        with console.enter(request, *SEATS) as desk:
            return _seat(desk)

    @routes.post("/console/hotline/calls/{number}")
    def save(request: Request, number: str, form: Sent) -> JSONResponse:
        """Save the form as it stands; `new` begins a call."""
        with console.act(request, form, *SEATS) as desk:
            call = calllog.begin(desk.db, desk.person, desk.now) if number == "new" else _own(desk, number)
            try:
                calllog.write(desk.db, call, {name: str(value) for name, value in form.items()})
            except scope.OutOfScope:
                raise HTTPException(404) from None
            return JSONResponse({"id": call.id, "at": desk.now.astimezone(LOCAL).strftime("%H:%M:%S")})

    @routes.get("/console/hotline/calls/{number}/caller")
    def caller(request: Request, number: str) -> HTMLResponse:
        with console.enter(request, *SEATS) as desk:
            return console.render("desk/caller.html", **_caller(desk, _own(desk, number)))

    @routes.post("/console/hotline/calls/{number}/finish")
    def finish(request: Request, number: str, form: Sent) -> Response:
        with console.act(request, form, *SEATS) as desk:
            call = _own(desk, number)
            if not call.outcome:
                return desk.back(f"/console/hotline?call={call.id}", say("frame.no_outcome"))
            if call.outcome == "转问" and call.question_id is None:
                if len(call.question) < 2:
                    return desk.back(f"/console/hotline?call={call.id}", say("frame.no_question"))
                call.question_id = _passed_on(desk, call).id
            calllog.finish(desk.db, call, desk.now)
            return desk.back("/console/hotline", say("frame.call_done", outcome=call.outcome))

    @routes.post("/console/hotline/tasks/{number:int}")
    def dial(request: Request, number: int, form: Sent) -> HTMLResponse:
        """A county to be called, with the phones that this is the reason to see."""
        with console.act(request, form, *scope.MAY["call"]) as desk:
            task, place = _to_call(desk, number)
            told = calling.callees(desk.turn(), task)
            return desk.page("desk/call.html", task=task, place=place, callees=told, outcomes=calls.outcomes(task))

    @routes.post("/console/hotline/tasks/{number:int}/outcome")
    def called(request: Request, number: int, form: Sent) -> Response:
        with console.act(request, form, *scope.MAY["call"]) as desk:
            outcome = str(form.get("outcome", ""))
            if outcome not in (calls.ACKNOWLEDGED, *calls.OUTCOMES):
                raise HTTPException(404)
            try:
                told = calling.ended(replace(desk.turn(), text=f"电话结果 #{number} {outcome}"))
            except Refused:
                raise HTTPException(404) from None
            return desk.back("/console/hotline", told.text)

    @routes.get("/console/contacts")
    def contacts(request: Request) -> HTMLResponse:
        with console.enter(request, *SEATS) as desk:
            return _contacts(desk)

    @routes.post("/console/contacts/{number:int}")
    def phone(request: Request, number: int, form: Sent) -> HTMLResponse:
        with console.act(request, form, *SEATS) as desk:
            person = desk.db.get(Person, number)
            if person is None or not desk.viewer.may("see_phone"):
                raise HTTPException(404)
            reason = str(form.get("reason", "")).strip()
            if len(reason) < 2:
                return _contacts(desk, wrong=True)
            return _contacts(desk, shown=(person.id, people.see_phone(desk.db, person, reason, desk.now)))

    return routes


def _own(desk: Desk, number: str) -> Call:
    found = calllog.find(desk.db, int(number)) if number.isdecimal() and len(number) < 10 else None
    if found is None or found.person_id != desk.person.id:
        raise HTTPException(404)
    return found


def _to_call(desk: Desk, number: int) -> tuple[CallTask, str]:
    try:
        return calling.found(desk.turn(), str(number))
    except Refused:
        raise HTTPException(404) from None


def _morning(desk: Desk) -> datetime:
    return datetime.combine(desk.now.astimezone(LOCAL).date(), time(), LOCAL)


def _seat(desk: Desk) -> HTMLResponse:
    asked = desk.request.query_params.get("call", "")
    call = _own(desk, asked) if asked else None
    listed = calllog.of_seat(desk.db, desk.person.id, _morning(desk))
    finished = next((one for one in listed if one.ended_at is not None), None)
    today = desk.now.astimezone(LOCAL).date()
    tasks = calls.waiting(desk.db, today) if desk.viewer.may("call") else []
    answered = [(one, _ruling(desk, one)) for one in calllog.to_return(desk.db, desk.person.id)]
    return desk.page(
        "desk/hotline.html", call=call, name=calllog.name_of(desk.db, call) if call else "",
        phone=calllog.phone_of(desk.db, call) if call else "", calls=[(one, _who(desk, one)) for one in listed],
        local=lambda at: at.astimezone(LOCAL), outcomes=calllog.OUTCOMES, bodies=bodies.visible(desk.db, 500),
        last_question=finished.question if finished else "", answered=answered, here="hotline",
        tasks=tasks,
        report_channel=desk.console.settings.province.report_channel, **_caller(desk, call),
    )  # fmt: skip


def _ruling(desk: Desk, call: Call) -> str:
    ruling = questions.ruling_of(desk.db, call.question_id) if call.question_id else None
    return ruling.text if ruling else ""


def _who(desk: Desk, call: Call) -> str:
    place = bodies.place(desk.db, call.county_id, None) if call.county_id else ""
    return " ".join(part for part in (place, calllog.name_of(desk.db, call)) if part)


def _caller(desk: Desk, call: Call | None) -> dict[str, Any]:  # Any: what the caller's card shows
    """The caller and their county: what is known, what is open, what was asked, whom to ask next."""
    known = desk.db.get(Person, call.caller_id) if call is not None and call.caller_id else None
    county = desk.db.get(Body, call.county_id) if call is not None and call.county_id else None
    card: dict[str, Any] = {"known": known, "county": county, "years": [], "open": [], "asked": [], "staff": []}
    if call is not None and county is not None:
        today = desk.now.astimezone(LOCAL).date()
        card |= {
            "years": [
                (year, list(facts.newest(desk.db, county.id, year).values()))
                for year in bodies.batch_years(desk.db, county.id)
            ],
            "open": [
                (one, flags.overdue_days(one, today))
                for one, _ in rosters.items(desk.db, states=items.OPEN, body_id=county.id, limit=8)
            ],
            "asked": calllog.asked_by(desk.db, county.id),
            "staff": rosters.people(desk.db, text=county.name, limit=6),
        }
    before = calllog.earlier(desk.db, call) if call is not None else []
    card["earlier"] = [(one, one.at.astimezone(LOCAL)) for one in before]
    return card


def _passed_on(desk: Desk, call: Call) -> Question:
    return questions.ask_for(
        desk.db, call.question, body_id=call.county_id, person_id=call.caller_id, division_code=call.division_code,
        edition=desk.console.kb().edition, key=f"call:{call.id}", now=desk.now,
    )  # fmt: skip


def _contacts(desk: Desk, shown: tuple[int, str] | None = None, *, wrong: bool = False) -> HTMLResponse:
    text, number = desk.request.query_params.get("q", ""), page_number(desk.request)
    found = rosters.people(desk.db, text=text, limit=PAGE + 1, offset=(number - 1) * PAGE)
    return desk.page(
        "desk/contacts.html", rows=[(one, people.masked_phone(desk.db, one.person)) for one in found[:PAGE]], text=text,
        shown=shown, wrong=wrong, number=number, may_see=desk.viewer.may("see_phone"),
        earlier=query(desk.request, page=number - 1 if number > 1 else ""),
        later=query(desk.request, page=number + 1) if len(found) > PAGE else "",
    )  # fmt: skip
