"""What every page of the console stands on: sign-in, visits, forms that nobody else can send, and the navigation.

A page opens one transaction, serves its visitor's scope in it, and renders before it ends. Whoever is not signed in
is sent to the sign-in page; what a role does not have is not found.
"""

import base64
import io
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import quote, urlsplit

import segno
from fastapi import Depends, FastAPI, HTTPException, Request
from fastapi.responses import HTMLResponse, RedirectResponse, Response
from jinja2 import Environment
from sqlalchemy import event
from sqlalchemy.orm import Session, sessionmaker

from bot.messages import Inbound, Turn
from bot.settings import Settings
from bot.texts import say
from bot.turns import TurnThread
from bot.workdays import LOCAL
from knowledge.base import KnowledgeBase
from storage import bodies, scope, visits
from storage.db import reading, transaction
from storage.models import Conversation, Person
from storage.models import Visit as Row
from storage.visits import NotSignedIn

COOKIE = "countydesk_desk"
PAGE = 50  # rows of a list on one page
PROVINCE = scope.PROVINCE
ADMINS = ("system_admin", "security_admin", "audit_admin")
XLSX = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"
Form = Mapping[str, Any]  # Any: a field's text, or an uploaded file


@dataclass(frozen=True, kw_only=True)
class Entry:
    """A line of the navigation, and the roles that have it."""

    path: str
    label: str
    roles: tuple[str, ...]


def _changes_nothing(_db: Session, _context: object, _instances: object) -> None:
    raise RuntimeError("a page that is looked at changes nothing")


@dataclass(frozen=True, kw_only=True)
class Console:
    """What the pages are given. `menu` is filled by the modules of pages, in the order of the navigation."""

    sessions: sessionmaker[Session]
    kb: Callable[[], KnowledgeBase]
    turns: TurnThread
    templates: Environment
    clock: Callable[[], datetime]
    settings: Settings
    menu: tuple[Entry, ...] = field(default=())

    @property
    def secure(self) -> bool:
        """Whether the site is reached by HTTPS, so that its cookie may say so."""
        return self.settings.web.base_url.startswith("https:")

    @property
    def cookie(self) -> str:
        return f"__Host-{COOKIE}" if self.secure else COOKIE

    @contextmanager
    def enter(self, request: Request, *roles: str) -> Iterator["Desk"]:
        """A signed-in visitor's transaction. Raises NotSignedIn; 404 when none of `roles` is theirs.

        A page that is looked at waits for no writer: its transaction only reads, unless the visit has to be noted.
        """
        if request.method == "GET":
            with reading(self.sessions) as db:
                event.listen(db, "before_flush", _changes_nothing)
                desk = self._desk(db, request, roles)
                if not desk.visit.said and not desk.is_stale:
                    yield desk
                    db.flush()
                    return
        with transaction(self.sessions) as db:
            desk = self._desk(db, request, roles)
            if desk.is_stale:
                desk.visit.seen_at = desk.now
            yield desk

    def _desk(self, db: Session, request: Request, roles: tuple[str, ...]) -> "Desk":
        now = self.clock()
        visit, person = visits.find(db, request.cookies.get(self.cookie, ""), now)
        viewer = scope.viewer_of(db)
        if roles and viewer.roles.isdisjoint(roles):
            raise HTTPException(404)
        return Desk(console=self, request=request, db=db, visit=visit, person=person, viewer=viewer, now=now)

    @contextmanager
    def act(self, request: Request, form: Form, *roles: str) -> Iterator["Desk"]:
        """As `enter`, for a request that changes something: 403 unless it comes from a page of this visit."""
        with self.enter(request, *roles) as desk:
            if not _same_site(request) or form.get("csrf") != desk.csrf:
                raise HTTPException(403, say("frame.stale_form"))
            yield desk

    def render(self, name: str, /, **values: Any) -> HTMLResponse:  # Any: each page takes its own
        return HTMLResponse(self.templates.get_template(name).render(**values))


@dataclass(frozen=True, kw_only=True)
class Desk:
    """One visitor's request: the transaction that serves their scope, and what their pages show."""

    console: Console
    request: Request
    db: Session
    visit: Row
    person: Person
    viewer: scope.Viewer
    now: datetime

    @property
    def is_stale(self) -> bool:
        """Whether it is a while since the visit was last noted to go on."""
        return self.now - self.visit.seen_at > visits.TOUCHED_EVERY

    @property
    def csrf(self) -> str:
        return visits.csrf(self.db, self.request.cookies.get(self.console.cookie, ""))

    @property
    def entries(self) -> list[Entry]:
        """The navigation of the visitor's roles."""
        return [one for one in self.console.menu if not self.viewer.roles.isdisjoint(one.roles)]

    def page(self, name: str, /, **values: Any) -> HTMLResponse:  # Any: each page takes its own
        """A page in the frame; what the last act said is shown once."""
        if said := self.visit.said:
            self.visit.said = ""
        places = [bodies.place(self.db, one.body_id, one.division_code) for one in self.viewer.grants]
        frame = {
            "menu": self.entries, "path": self.request.url.path, "person": self.person, "csrf": self.csrf, "said": said,
            "places": list(dict.fromkeys(places)), "roles": [scope.ROLES[one] for one in sorted(self.viewer.roles)],
            "now": self.now.astimezone(LOCAL), "may": self.viewer.may,
        }  # fmt: skip
        return self.console.render(name, **frame, **values)

    def turn(self) -> Turn:
        """The request as a turn, for what pages and chat do alike; it has no conversation to go on with."""
        address = str(self.person.id)
        return Turn(
            inbound=Inbound(channel=visits.CHANNEL, message_id="", address=address, text="", at=self.now),
            text="",
            user=self.person,
            viewer=self.viewer,
            conversation=Conversation(channel=visits.CHANNEL, address=address, answers=[], options=[]),
            db=self.db,
            kb=self.console.kb(),
            now=self.now,
            given={
                "pilot_mode": self.console.settings.province.pilot_mode,
                "province": self.console.settings.province.name,
                "base_url": self.console.settings.web.base_url,
            },
        )

    def back(self, path: str, said: str = "") -> Response:
        """Go to a page after an act, and say there what was done."""
        self.visit.said = said
        return RedirectResponse(path, status_code=303)


async def read_form(request: Request) -> dict[str, Any]:  # Any: see Form
    """A form's fields: the last of each name, all of those whose name ends in []."""
    form = await request.form()
    return {name: form.getlist(name) if name.endswith("[]") else form[name] for name in form}


Sent = Annotated[dict[str, Any], Depends(read_form)]  # Any: see Form


def page_number(request: Request) -> int:
    """Which page of a list is asked for, from 1."""
    asked = request.query_params.get("page", "1")
    return max(1, int(asked)) if asked.isascii() and asked.isdigit() and len(asked) < 7 else 1


def query(request: Request, **changed: object) -> str:
    """The address of the same list with other choices; empty ones are left out."""
    kept = {**request.query_params, **{name: str(value) for name, value in changed.items()}}
    pairs = "&".join(f"{name}={quote(value)}" for name, value in kept.items() if value)
    return f"{request.url.path}?{pairs}" if pairs else request.url.path


def workbook(write: Callable[[Path], object], name: str) -> Response:
    """An Excel file to download, written by `write`."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "file.xlsx"
        write(path)
        headers = {"Content-Disposition": f"attachment; filename*=UTF-8''{quote(name)}", "Cache-Control": "no-store"}
        return Response(path.read_bytes(), media_type=XLSX, headers=headers)


def _same_site(request: Request) -> bool:
    """Whether a browser says that the request comes from our own page, where it says anything."""
    origin = request.headers.get("origin")
    return origin in (None, "null") or urlsplit(str(origin)).netloc == request.headers.get("host")


# --- sign-in ---------------------------------------------------------------------------------------------------------


def register(app: FastAPI, console: Console) -> None:
    """The pages for signing in and out, one's own account, and the way to the first page."""

    @app.exception_handler(NotSignedIn)
    def sent_away(request: Request, _error: NotSignedIn) -> Response:
        if request.method != "GET" or request.headers.get("accept") == "application/json":
            return Response(status_code=401)
        path = request.url.path
        onward = f"?next={quote(path)}" if path != "/console" else ""
        return RedirectResponse(f"/console/login{onward}", status_code=303)

    @app.get("/console/login")
    def login(next: str = "", why: str = "") -> HTMLResponse:
        return console.render("desk/login.html", next=next, why=why, name="")

    @app.post("/console/login")
    def sign_in(request: Request, form: Sent) -> Response:
        if not _same_site(request):
            raise HTTPException(403, say("frame.stale_form"))
        name = str(form.get("name", "")).strip()
        address = request.client.host if request.client else ""
        with transaction(console.sessions) as db:
            begun = visits.begin_by_password(
                db, name, str(form.get("password", "")), str(form.get("code", "")), address, console.clock()
            )
        if isinstance(begun, str):
            response = console.render("desk/login.html", next=form.get("next", ""), why=begun, name=name)
            response.status_code = 403
            return response
        return _welcome(console, begun.token, str(form.get("next", "")))

    @app.get("/console/in/{ticket}")
    def knock(ticket: str) -> HTMLResponse:
        """Ask first: what looks at links by itself must not use one up."""
        try:
            with transaction(console.sessions) as db:
                person = visits.holder(db, ticket, console.clock())
        except NotSignedIn as no:
            return console.render("desk/login.html", next="", why=no.why, name="")
        return console.render("desk/knock.html", name=person.name)

    @app.post("/console/in/{ticket}")
    def come_in(ticket: str) -> Response:
        try:
            with transaction(console.sessions) as db:
                begun = visits.begin_by_ticket(db, ticket, console.clock())
        except NotSignedIn as no:
            return RedirectResponse(f"/console/login?why={no.why}", status_code=303)
        return _welcome(console, begun.token, "")

    @app.post("/console/logout")
    def sign_out(request: Request, form: Sent) -> Response:
        with console.act(request, form) as desk:
            visits.end(desk.db, desk.visit, desk.now)
        response = RedirectResponse("/console/login", status_code=303)
        response.delete_cookie(console.cookie, secure=console.secure, httponly=True)
        return response

    @app.get("/console")
    def first(request: Request) -> Response:
        with console.enter(request) as desk:
            return RedirectResponse(desk.entries[0].path if desk.entries else "/console/account", status_code=303)

    _account(app, console)


def _welcome(console: Console, token: str, onward: str) -> Response:
    """The first page, with the visit's cookie; only a path of the console is followed."""
    target = onward if onward.startswith("/console/") and "\\" not in onward else "/console"
    response = RedirectResponse(target, status_code=303)
    response.set_cookie(console.cookie, token, httponly=True, samesite="lax", secure=console.secure, path="/")
    return response


def _account(app: FastAPI, console: Console) -> None:
    def shown(desk: Desk, name: str, wrong: str, secret: str) -> HTMLResponse:
        issuer = desk.console.settings.province.name or say("frame.issuer")
        picture = io.BytesIO()
        segno.make(visits.secret_url(secret, name or desk.person.name, issuer)).save(picture, kind="svg", scale=4)
        code = "data:image/svg+xml;base64," + base64.b64encode(picture.getvalue()).decode()
        return desk.page("desk/account.html", name=name, wrong=wrong, secret=secret, picture=code)

    @app.get("/console/account")
    def account(request: Request) -> HTMLResponse:
        with console.enter(request) as desk:
            return shown(desk, visits.login_name(desk.db, desk.person.id), "", visits.new_secret())

    @app.post("/console/account")
    def enrol(request: Request, form: Sent) -> Response:
        with console.act(request, form) as desk:
            name, secret = str(form.get("name", "")).strip(), str(form.get("secret", ""))
            if not visits.is_secret(secret):
                raise HTTPException(403, say("frame.stale_form"))
            wrong = visits.enrol(
                desk.db, desk.person, name, str(form.get("password", "")), secret, str(form.get("code", "")), desk.now
            )
            if wrong:
                return shown(desk, name, wrong, secret)
            return desk.back("/console/account", say("frame.enrolled", name=name))
