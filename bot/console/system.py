"""系统: people and invitations, the trail of changes with its check, and the state of the installation."""

from typing import Any

from fastapi import APIRouter, HTTPException, Request
from fastapi.responses import HTMLResponse, Response
from sqlalchemy.orm import Session

from bot.console.frame import ADMINS, PAGE, PROVINCE, Console, Desk, Entry, Sent, page_number, query
from bot.console.public import invitation_sheet
from bot.doctor import examine
from bot.doctor import trail as whole_trail
from bot.messages import Invalid
from bot.texts import say
from bot.workdays import LOCAL
from handlers.inviting import Invited, given, invite, person_name, renew, revoke, roles_given
from storage import audit, bodies, deliveries, rosters, scope
from storage.db import reading
from storage.items import STATES, TRANSITIONS

INVITERS = scope.MAY["invite"]
PEOPLE = (*PROVINCE, "security_admin", "county_head")
TRAIL = (*PROVINCE, "audit_admin")
STATE = (*PROVINCE, *ADMINS)
SHEET_POLICY = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; frame-ancestors 'none'"  # the sheet is one file, with its style in it
MENU = (
    Entry(path="/console/people", label="人员与邀请", roles=PEOPLE),
    Entry(path="/console/audit", label="审计", roles=TRAIL),
    Entry(path="/console/system", label="系统状态", roles=STATE),
)


def router(console: Console) -> APIRouter:
    """The pages of the system group."""
    routes = APIRouter()

    @routes.get("/console/people")
    def people(request: Request) -> HTMLResponse:
        with console.enter(request, *PEOPLE) as desk:
            return _people(desk)

    @routes.post("/console/people/invite")
    def new(request: Request, form: Sent) -> Response:
        with console.act(request, form, *INVITERS) as desk:
            try:
                made = _invited(desk, form)
            except Invalid as wrong:
                return _people(desk, wrong=str(wrong), given=form)
            return _sheet(desk, made)

    @routes.post("/console/invitations/{number}/{act}")
    def change(request: Request, number: int, act: str, form: Sent) -> Response:
        with console.act(request, form, *INVITERS) as desk:
            found = given(desk.db, number)
            if found is None or act not in ("revoke", "again") or found.revoked_at:
                raise HTTPException(404)
            if act == "revoke":
                revoke(desk.db, found, desk.now)
                return desk.back("/console/people", say("frame.revoked", number=number))
            again = renew(desk.db, found, desk.now)
            if again is None:
                return desk.back("/console/people", say("frame.not_renewed", number=number))
            return _sheet(desk, again)

    @routes.get("/console/audit")
    def trail(request: Request) -> HTMLResponse:
        with console.enter(request, *TRAIL) as desk:
            return _trail(desk)

    @routes.post("/console/audit/verify")
    def verify(request: Request, form: Sent) -> HTMLResponse:
        with console.act(request, form, *TRAIL):
            pass
        audit.seal(console.sessions, console.settings.audit_head_file)  # what was written a moment ago is no gap
        known = audit.remembered(console.settings.audit_head_file)
        with reading(console.sessions) as db:  # all of it: others write meanwhile
            report = audit.verify(db, console.clock(), known)
        with console.enter(request, *TRAIL) as desk:
            return _trail(desk, report=report)

    @routes.get("/console/system")
    def state(request: Request) -> HTMLResponse:
        with console.enter(request, *STATE):
            pass
        # It asks platforms: not within a transaction. Whether the trail is whole takes long and is asked on its own page.
        findings = list(examine(console.settings, console.clock(), without=(whole_trail,)))
        with console.enter(request, *STATE) as desk:
            on, reason = deliveries.sending(desk.db)
            chosen = console.settings
            settings = [
                ("province.name", chosen.province.name),
                ("province.report_channel", chosen.province.report_channel),
                ("province.pilot_mode", str(chosen.province.pilot_mode).lower()),
                ("web.base_url", chosen.web.base_url),
                ("database", desk.db.get_bind().dialect.name),
                ("edition", console.kb().edition),
            ]
            return desk.page(
                "desk/system.html", findings=findings, on=on, reason=reason, settings=settings, here="system",
                may_switch=desk.viewer.may("switch_sending"),
            )  # fmt: skip

    @routes.post("/console/system/sending")
    def sending(request: Request, form: Sent) -> Response:
        with console.act(request, form, *scope.MAY["switch_sending"]) as desk:
            path = "/console/reminders" if form.get("from") == "reminders" else "/console/system"
            on, reason = form.get("on") == "yes", str(form.get("reason", "")).strip()
            if len(reason) < 2:
                return desk.back(path, say("frame.reason_missing"))
            before, _ = deliveries.sending(desk.db)
            deliveries.switch_sending(desk.db, on, reason, desk.now)
            audit.record(
                desk.db, "sending", "switch:sending", now=desk.now, role=desk.viewer.role_for("switch_sending"),
                before={"on": before}, after={"on": on}, reason=reason,
            )  # fmt: skip
            return desk.back(path, say("frame.switched", on=on))

    return routes


# --- people ----------------------------------------------------------------------------------------------------------


def _people(desk: Desk, wrong: str = "", given: Any = None) -> HTMLResponse:  # Any: a form, see frame.Form
    request, number = desk.request, page_number(desk.request)
    text, role = request.query_params.get("q", ""), request.query_params.get("role", "")
    listed = rosters.people(desk.db, text=text, role=role, limit=PAGE + 1, offset=(number - 1) * PAGE)
    visible = bodies.visible(desk.db, 500)
    reached = scope.reached(desk.db, desk.viewer, "invite", {one.id for one in visible})
    return desk.page(
        "desk/people.html", rows=listed[:PAGE], text=text, role=role, role_names=scope.ROLES, number=number,
        earlier=query(request, page=number - 1 if number > 1 else ""),
        later=query(request, page=number + 1) if len(listed) > PAGE else "",
        waiting=rosters.invitations(desk.db, limit=PAGE), wrong=wrong, given=given or {},
        bodies=[one for one in visible if one.id in reached],
        may_invite=desk.viewer.may("invite"), county_roles=scope.COUNTY,
    )  # fmt: skip


def _invited(desk: Desk, form: Any) -> Invited:  # Any: a form, see frame.Form
    """Invite to a role of a body. Raises Invalid."""
    role, place = str(form.get("role", "")), str(form.get("body", ""))
    body_id = int(place) if place.isascii() and place.isdigit() else 0
    if role not in roles_given(desk.db, body_id, None):
        raise Invalid(say("frame.no_place"))
    name = person_name(str(form.get("name", "")).strip())
    return invite(
        desk.db, name=name, role=role, body_id=body_id, now=desk.now, unit=str(form.get("unit", "")).strip()[:60],
        title=str(form.get("title", "")).strip()[:60], phone=str(form.get("phone", "")).strip(),
    )  # fmt: skip


def _sheet(desk: Desk, made: Invited) -> HTMLResponse:
    """The code to print or forward: shown once, for only its digest is kept."""
    base_url = desk.console.settings.web.base_url
    words = invitation_sheet(desk.console.templates, made.place, [made], base_url, back="/console/people")
    return HTMLResponse(words, headers={"Cache-Control": "no-store", "Content-Security-Policy": SHEET_POLICY})


# --- the trail -------------------------------------------------------------------------------------------------------


def _trail(desk: Desk, report: audit.Report | None = None) -> HTMLResponse:
    request, number = desk.request, page_number(desk.request)
    action, kind, of = (request.query_params.get(name, "").strip() for name in ("action", "kind", "number"))
    subject = f"{kind}:{of}" if kind else ""
    found = rosters.trail(desk.db, subject=subject, action=action, limit=PAGE + 1, offset=(number - 1) * PAGE)
    rows = [
        {"row": row, "name": name, "at": row.at.astimezone(LOCAL), "place": _place(desk.db, row.body_id)}
        for row, name in found[:PAGE]
    ]
    return desk.page(
        "desk/audit.html", rows=rows, report=report, action=action, kind=kind, of=of, number=number,
        role_names=scope.ROLES, states=STATES,
        verbs={f"item.{event}": say("items.verb", event=event) for event in ("draft", *TRANSITIONS)},
        earlier=query(request, page=number - 1 if number > 1 else ""),
        later=query(request, page=number + 1) if len(found) > PAGE else "",
    )  # fmt: skip


def _place(db: Session, body_id: int | None) -> str:
    return bodies.place(db, body_id, None) if body_id is not None else ""
