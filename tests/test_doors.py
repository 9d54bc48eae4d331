"""Every door × role × scope, on both databases: nothing that is shown holds the text of a place out of scope.

The doors are read from the program itself: a new route, form, page or command fails here until it has its entry in
tests/doors.py, or in the tables below.
"""

import io
import re
import shutil
import uuid
import zipfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pytest
import typer
from anyio.from_thread import start_blocking_portal
from fastapi import FastAPI
from sqlalchemy import select
from sqlalchemy.orm import Session, sessionmaker
from typer.testing import CliRunner

from bot.__main__ import app as command_line
from bot.app import assistant, web_app
from bot.channels.web import COOKIE, sign
from bot.console import frame
from bot.dialogue import Assistant, Route
from bot.inputs import universal
from bot.messages import Inbound, Media, Reply
from bot.settings import Clock, Database, Paths, Security, Settings, Telegram, Wechat, Wecom
from knowledge.base import KnowledgeBase
from storage import deliveries, scope, visits
from storage.db import make_engine, make_sessions, transaction
from storage.models import Conversation, Delivery
from storage.scope import SYSTEM, serving
from storage.secrets import decrypt
from tests.databases import KEY
from tests.doors import (
    ANSWERS,
    COUNTIES,
    LOOKERS,
    NOW,
    OTHER,
    OWN,
    SAID,
    Country,
    Target,
    phones,
    places_in,
    seed,
    visible,
)  # fmt: skip

KINDS = ("sqlite", "postgres")
BEGUN_OTHERWISE = {"绑定"}  # by a code that somebody was given
# Forms that are left before their end: one needs a file, one asks nothing more of whoever may, one has forty points.
UNENDED = {"传材料", "认领事项", "check:review"}
LONGEST = 12  # messages to one form


@pytest.fixture(scope="module", params=KINDS)
def seeded(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, Country]]:
    """The URL of a seeded database of each kind, and what is in it."""
    if request.param == "sqlite":
        path = tmp_path_factory.mktemp("doors") / "seeded.db"
        shutil.copy(request.getfixturevalue("sqlite_file"), path)
        url = f"sqlite:///{path}"
        yield url, _filled(url)
    else:
        with request.getfixturevalue("postgres").database(like="migrated") as url:
            yield url, _filled(url)


def _filled(url: str) -> Country:
    engine = make_engine(url)
    made = seed(make_sessions(engine, KEY))
    engine.dispose()
    return made


@pytest.fixture
def opened(seeded: tuple[str, Country]) -> Iterator[sessionmaker[Session]]:
    engine = make_engine(seeded[0])
    yield make_sessions(engine, KEY)
    engine.dispose()


# --- the chat --------------------------------------------------------------------------------------------------------


@dataclass
class Visit:
    """One looker at one door, in a transaction that is rolled back: what was typed, and what came of it."""

    db: Session
    assistant: Assistant
    country: Country
    role: str
    typed: list[str] = field(default_factory=list)
    ended: set[str] = field(default_factory=set)
    replies: list[Reply] = field(default_factory=list)
    written: str = ""

    def say(self, text: str, kind: Any = "text") -> Reply:
        self.typed.append(text)
        media = (Media(id=uuid.uuid4().hex, mime="image/jpeg"),) if kind == "image" else ()
        inbound = Inbound(
            channel="terminal",
            message_id=uuid.uuid4().hex,
            address=self.role,
            text=text,
            at=NOW,
            kind=kind,
            media=media,
        )
        self.replies.append(self.assistant.handle(self.db, inbound))
        self.db.flush()
        return self.replies[-1]

    def form(self) -> tuple[str, list[Any]]:
        """The open form and its answers."""
        with serving(self.db, SYSTEM):
            address = str(self.country.lookers.get(self.role, self.role))
            talk = self.db.scalars(select(Conversation).where(Conversation.address == address)).one_or_none()
        return (talk.flow or "", list(talk.answers)) if talk is not None else ("", [])

    def walk(self, named: Mapping[str, Any]) -> None:
        """Carry the open form to its end: the answer of the table, else the first option; else leave it."""
        for _ in range(LONGEST):
            name, before = self.form()
            if not name:
                return
            step = self.assistant.handlers.flows[name].next_step(dict(before))
            assert step is not None
            offered = [one.value for one in self.replies[-1].options]
            known = [ANSWERS[step.key].format(**named)] if step.key in ANSWERS else []
            for answer in (*known, *offered[:1]):
                if self.say(answer).route == "cancel":
                    return
                if self.form() != (name, before):
                    break
            else:
                self.say("取消")
                return
            if not self.form()[0]:
                self.ended.add(name)
        self.say("取消")

    def leaks(self, known_phones: Mapping[str, str], folder: Path) -> list[str]:
        """The places out of scope whose texts or phones were shown, kept for later, or sent to others."""
        typed, allowed = "\n".join(self.typed), visible(self.role)
        self.written = papers(folder)
        shown = repr([one.to_json() for one in self.replies]) + self.written
        with serving(self.db, SYSTEM):
            address = str(self.country.lookers.get(self.role, self.role))
            for talk in self.db.scalars(select(Conversation).where(Conversation.address == address)):
                shown += repr(talk.options) + (decrypt(self.db, talk.rest) if talk.rest else "")
            found = sorted(places_in(shown, typed) - allowed)
            found += [
                f"phone of {place}" for phone, place in known_phones.items() if phone in shown and place not in allowed
            ]
            for sent in self.db.scalars(select(Delivery).where(Delivery.at == NOW, Delivery.state == "queued")):
                person = next((one for one in self.country.shown_to if sent.recipient == deliveries.person(one)), 0)
                others = places_in(repr(sent.reply) + sent.why) - self.country.shown_to.get(person, set())
                found += [f"{one}, sent to {sent.recipient}" for one in sorted(others)]
        return found


def papers(folder: Path) -> str:
    """The words of the documents and workbooks that were made, which are taken away again."""
    words = ""
    for path in [one for one in folder.rglob("*") if one.is_file()]:
        words += unpacked(path.read_bytes())
        path.unlink()
    return words


def unpacked(data: bytes) -> str:
    """The words of a page, or of the parts of a document or workbook."""
    if not data.startswith(b"PK"):
        return data.decode(errors="ignore")
    with zipfile.ZipFile(io.BytesIO(data)) as parts:
        return "".join(parts.read(one).decode(errors="ignore") for one in parts.namelist())


def named(target: Target) -> dict[str, Any]:
    """What words may name of a county."""
    return {"body": target.body, "code": target.code, "person": target.person, "name": target.name,
            "invitation": target.invitation, **target.items, **target.files}  # fmt: skip


def doors(assistant: Assistant) -> dict[str, list[tuple[Any, str]]]:
    """Every chat door with the messages for it: kind, and words, which may be several lines."""
    routes = {route.name for route in assistant.handlers.routes}
    missing, gone = sorted(routes - SAID.keys()), sorted(SAID.keys() - routes)
    assert not missing, f'add to SAID in tests/doors.py what is said to these routes, "route": ("words",): {missing}'
    assert not gone, f"take these out of SAID in tests/doors.py, they are no routes any more: {gone}"
    events = {f"event:{name}" for name in assistant.handlers.events}
    assert events <= OTHER.keys(), f"add these events to OTHER in tests/doors.py: {sorted(events - OTHER.keys())}"
    flows = set(assistant.handlers.flows) - assistant.kb.rules.keys() - BEGUN_OTHERWISE
    begun = {name for route in assistant.handlers.routes for name in _begun(route)}
    assert flows <= begun, f"no words in SAID of tests/doors.py begin these forms: {sorted(flows - begun)}"
    found = {name: [("text", one) for one in said] for name, said in SAID.items()}
    return found | {name: [said] for name, said in OTHER.items()}


_SAMPLES = {"body": "某某县", "name": "某某某", "code": "620522"}


def _begun(route: Route) -> Iterator[str]:
    """The forms that a route's words begin; the words must be its own."""
    for said in SAID[route.name]:
        first = re.sub(r"\{(\w+)\}", lambda found: _SAMPLES.get(found[1], "12"), said).split("\n")[0]
        match = route.match(universal(first) or first)
        assert match or "\n" in said, f"{route.name} does not take {first}: correct it in SAID of tests/doors.py"
        if match and (form := route.begins(match)):
            yield form


@pytest.mark.timeout(900)  # thousands of turns: minutes on a busy machine
def test_no_chat_door_shows_any_role_what_is_out_of_scope(
    seeded: tuple[str, Country], opened: sessionmaker[Session], kb: KnowledgeBase, tmp_path: Path
) -> None:
    """On PostgreSQL each door has its first words alone, and forms are not carried to their end."""
    country, full = seeded[1], seeded[0].startswith("sqlite")
    made = assistant(kb, home="620000", province="甘肃省商务厅", folder=tmp_path, base_url="https://example.org")
    cells, leaks = 0, []
    ended, shown, written = set[str](), dict[str, set[str]](), 0
    with opened() as db, db.begin():
        with serving(db, SYSTEM):
            known_phones = phones(db)
        for door, said in doors(made).items():
            for role in LOOKERS:
                for place in COUNTIES:
                    cells += 1
                    for kind, words in said if full else said[:1]:
                        if place != OWN and ("{" not in words or place in visible(role) and door != "items.show"):
                            continue  # shown already, of all four counties; or in scope as one's own is
                        visit = Visit(db, made, country, role)
                        with db.begin_nested() as step:
                            for line in words.format(**named(country.targets[place])).split("\n"):
                                visit.say(line, kind)
                                if full:
                                    visit.walk(named(country.targets[place]))
                            leaks += [
                                (door, role, place, one, visit.typed) for one in visit.leaks(known_phones, tmp_path)
                            ]
                            step.rollback()
                        db.expunge_all()
                        scope.enter(db, None, "")
                        ended |= visit.ended
                        shown.setdefault(role, set()).update(places_in(repr(visit.replies)))
                        written += bool(places_in(visit.written))
    assert not leaks, leaks[:10]
    assert cells == (len(SAID) + len(OTHER)) * len(LOOKERS) * len(COUNTIES) >= 3000
    unended = set(made.handlers.flows) - ended - made.kb.rules.keys() - BEGUN_OTHERWISE - UNENDED
    assert not full or not unended, (
        f"nobody carries these forms to their end: add to ANSWERS in tests/doors.py: {sorted(unended)}"
    )
    assert written >= 10 or not full  # papers are read too
    for role in LOOKERS:  # the matrix looks at something: each role is shown every county that it reads
        assert visible(role) & set(COUNTIES) <= shown[role], (role, shown[role])


# --- the pages and interfaces ----------------------------------------------------------------------------------------

# Each HTTP route with the requests made of it: a path, and a body. They name counties as in SAID.
HTTP: Mapping[str, tuple[tuple[str, Any], ...]] = {
    "GET /": (("/", None),),
    "GET /lookup": (("/lookup", None),),
    "GET /privacy": (("/privacy", None),),
    "GET /notices": (("/notices", None),),
    "GET /notice/{notice_id}": (("/notice/144-2020", None),),
    "GET /{name}.txt": (("/MP_verify_x.txt", None),),
    "GET /api/v1/search": (("/api/v1/search?q={body}", None),),
    "POST /api/v1/ask": (("/api/v1/ask", {"q": "{body}二次申报要什么条件"}),),
    "POST /chat": tuple(
        ("/chat", {"text": text}) for text in ("我的事项", "本县情况", "事项 #{rectifying}", "看电话 #{person}", "取消")
    ),
    "GET /chat/history": (("/chat/history", None),),
    "GET /chat/new": (("/chat/new?after=0", None),),
    "GET /f/n/{token}": (("/f/n/1-" + "0" * 32, None),),
    "POST /f/n/{token}": (("/f/n/1-" + "0" * 32, b""),),
    "GET /f/n/{token}/{number}": (("/f/n/1-" + "0" * 32 + "/1", None),),
    "GET /f/{number}": (("/f/{file}?t=x", None),),
    "GET /f/up/{token}": (("/f/up/{link}", None),),
    "POST /f/up/{token}": (("/f/up/{link}", b"no picture"),),
    "GET /channels/wechat": (("/channels/wechat", None),),
    "POST /channels/wechat": (("/channels/wechat", b"<xml/>"),),
    "GET /channels/wecom": (("/channels/wecom", None),),
    "POST /channels/wecom": (("/channels/wecom", b"<xml/>"),),
    "POST /channels/telegram": (("/channels/telegram", b"{}"),),
    "GET /console": (("/console", None),),
    "GET /console/login": (("/console/login", None),),
    "POST /console/login": (("/console/login", {"name": "{name}", "password": "x", "code": "1"}),),
    "GET /console/in/{ticket}": (("/console/in/x", None),),
    "POST /console/in/{ticket}": (("/console/in/x", {}),),
    "GET /console/account": (("/console/account", None),),
    "POST /console/account": (("/console/account", {"name": "x"}),),
    "POST /console/logout": (("/console/logout", {"csrf": "stale"}),),
    "GET /console/hotline": (("/console/hotline", None), ("/console/hotline?call={call}", None)),
    "POST /console/hotline/calls/{number}": (
        ("/console/hotline/calls/new", {"question": "x", "county": "{code}"}),
        ("/console/hotline/calls/{call}", {"question": "x"}),
    ),
    "GET /console/hotline/calls/{number}/caller": (("/console/hotline/calls/{call}/caller", None),),
    "POST /console/hotline/calls/{number}/finish": (("/console/hotline/calls/{call}/finish", {}),),
    "POST /console/hotline/tasks/{number:int}": (("/console/hotline/tasks/{task}", {}),),
    "POST /console/hotline/tasks/{number:int}/outcome": (
        ("/console/hotline/tasks/{task}/outcome", {"outcome": "空号"}),
    ),
    "GET /console/contacts": (("/console/contacts?q={name}", None),),
    "POST /console/contacts/{number:int}": (("/console/contacts/{person}", {"reason": "回拨来电"}),),
    "GET /console/items": (("/console/items", None), ("/console/items?body={body}", None)),
    "GET /console/items/{number:int}": (("/console/items/{proposed}", None),),
    "POST /console/items/{number:int}/{event}": (
        ("/console/items/{rectifying}/withdraw", {"reason": "已经核实"}),
        ("/console/items/{submitted}/claim", {}),
    ),
    "POST /console/items": (("/console/items", {"event": "claim", "item[]": "{submitted}"}),),
    "GET /console/items/export.xlsx": (("/console/items/export.xlsx", None),),
    "GET /console/items/samples/{number:int}.xlsx": (("/console/items/samples/{sample}.xlsx", None),),
    "GET /console/items/template.xlsx": (("/console/items/template.xlsx", None),),
    "POST /console/items/import": (("/console/items/import", {"token": "x"}),),
    "GET /console/items/imports/{token}": (("/console/items/imports/{import}", None),),
    "POST /console/items/imports/{token}": (("/console/items/imports/{import}", {}),),
    "GET /console/funds": (("/console/funds", None),),
    "GET /console/funds/template.xlsx": (("/console/funds/template.xlsx", None),),
    "POST /console/funds/import": (("/console/funds/import", {"token": "x"}),),
    "GET /console/bodies/{number:int}": (("/console/bodies/{body_id}", None),),
    "GET /console/questions": (("/console/questions", None),),
    "GET /console/questions/{number:int}": (("/console/questions/{question}", None),),
    "POST /console/questions/{number:int}": (
        ("/console/questions/{question}", {"clause": "144-2020 一", "quote": "x", "text": "x"}),
    ),
    "GET /console/board": (("/console/board", None),),
    "GET /console/knowledge": (("/console/knowledge", None),),
    "GET /console/knowledge/{kind:path}": (("/console/knowledge/notices", None), ("/console/knowledge/asked", None)),
    "GET /console/knowledge/editions": (("/console/knowledge/editions", None),),
    "POST /console/knowledge/editions": (("/console/knowledge/editions", {"act": "publish"}),),
    "GET /console/knowledge/import": (("/console/knowledge/import", None),),
    "POST /console/knowledge/import": (("/console/knowledge/import", {"text": "x"}),),
    "GET /console/knowledge/notices/{notice_id}": (("/console/knowledge/notices/144-2020", None),),
    "POST /console/knowledge/notices/{notice_id}": (("/console/knowledge/notices/144-2020", {"reason": "x"}),),
    "GET /console/knowledge/calendar": (("/console/knowledge/calendar", None),),
    "POST /console/knowledge/calendar/{deadline}": (("/console/knowledge/calendar/x", {"confirmed": "yes"}),),
    "GET /console/knowledge/drafts": (("/console/knowledge/drafts", None),),
    "GET /console/knowledge/drafts/{name}": (("/console/knowledge/drafts/new", None),),
    "POST /console/knowledge/drafts/{name}": (("/console/knowledge/drafts/new", {"title": "x"}),),
    "POST /console/knowledge/drafts/{name}/{act}": (("/console/knowledge/drafts/own-1/review", {}),),
    "GET /console/reminders": (("/console/reminders", None),),
    "POST /console/reminders/release": (("/console/reminders/release", {}),),
    "GET /console/broadcasts": (("/console/broadcasts", None),),
    "GET /console/broadcasts/audience": (("/console/broadcasts/audience", None),),
    "GET /console/broadcasts/new": (("/console/broadcasts/new", None),),
    "POST /console/broadcasts/new": (("/console/broadcasts/new", {"title": "x", "text": "x"}),),
    "GET /console/broadcasts/{number:int}": (
        ("/console/broadcasts/{bc_sent}", None),
        ("/console/broadcasts/{bc_draft}", None),
    ),
    "GET /console/broadcasts/{number:int}/edit": (("/console/broadcasts/{bc_draft}/edit", None),),
    "POST /console/broadcasts/{number:int}/edit": (("/console/broadcasts/{bc_draft}/edit", {"title": "x"}),),
    "GET /console/broadcasts/{number:int}/files/{place:int}": (("/console/broadcasts/{bc_sent}/files/1", None),),
    "GET /console/broadcasts/{number:int}/account.xlsx": (("/console/broadcasts/{bc_sent}/account.xlsx", None),),
    "POST /console/broadcasts/{number:int}/{act}": (
        ("/console/broadcasts/{bc_submitted}/approve", {}),
        ("/console/broadcasts/{bc_sent}/nudge", {}),
    ),
    "GET /console/people": (("/console/people", None),),
    "POST /console/people/invite": (
        ("/console/people/invite", {"place": "{body}", "role": "county_officer", "name": "新来者"}),
    ),
    "POST /console/invitations/{number}/{act}": (
        ("/console/invitations/{invitation}/again", {}),
        ("/console/invitations/{invitation}/revoke", {}),
    ),
    "GET /console/audit": (("/console/audit", None),),
    "POST /console/audit/verify": (("/console/audit/verify", {}),),
    "GET /console/system": (("/console/system", None),),
    "POST /console/system/sending": (("/console/system/sending", {"on": "yes", "reason": "试一试"}),),
    "GET /metrics": (("/metrics", None),),
    "GET /healthz": (("/healthz", None),),
    "GET /readyz": (("/readyz", None),),
    "GET /favicon.ico": (("/favicon.ico", None),),
    "MOUNT /static": (("/static/nothing", None),),
}


# Pages that show somebody a text of their own.
SHOWING = {
    "POST /chat", "GET /chat/history", "GET /console/items", "GET /console/items/{number:int}", "GET /console/funds",
    "GET /console/bodies/{number:int}", "GET /console/questions", "GET /console/people", "GET /console/contacts",
    "GET /console/items/export.xlsx",
}  # fmt: skip


def office(url: str, folder: Path) -> Settings:
    """The settings of an installation with every channel on, whose key opens the seeded database."""
    key = folder / "data.key"
    key.write_bytes(KEY)
    key.chmod(0o600)
    aes = "a" * 43
    return Settings(
        database=Database(url=url),
        paths=Paths(data=folder),
        clock=Clock(now=NOW),
        security=Security(data_key_file=key),
        wechat=Wechat(app_id="wx1", app_secret="s", token="t", aes_key=aes),
        wecom=Wecom(corp_id="ww1", agent_id=1, secret="s", token="t", aes_key=aes),
        telegram=Telegram(token="1:t", secret_token="s", enabled_reason="x"),
    )


def http_doors(app: FastAPI) -> set[str]:
    """Every HTTP door of the program: method and path."""
    return {
        f"{method} {route.path}"
        for route in _routes(app.router)
        for method in sorted((getattr(route, "methods", None) or {"MOUNT"}) - {"HEAD"})
    }


def _routes(router: Any) -> Iterator[Any]:  # Any: FastAPI's routes are of several kinds, and may hold routers
    for route in router.routes:
        if hasattr(route, "path"):
            yield route
        else:
            yield from _routes(getattr(route, "original_router", None) or route)


@pytest.mark.timeout(900)
def test_no_page_or_interface_shows_any_role_what_is_out_of_scope(
    seeded: tuple[str, Country], tmp_path: Path, opened: sessionmaker[Session]
) -> None:
    country = seeded[1]
    app = web_app(office(seeded[0], tmp_path))
    found = http_doors(app)
    assert found <= HTTP.keys(), f"add to HTTP in tests/test_doors.py: {sorted(found - HTTP.keys())}"
    assert HTTP.keys() <= found, f"these are no routes any more: {sorted(HTTP.keys() - found)}"
    with transaction(opened) as db, serving(db, SYSTEM):
        known_phones = phones(db)
        desks = {
            role: (token, visits.csrf(db, token))
            for role, number in country.lookers.items()
            for token in [visits.begin_by_ticket(db, visits.ticket(db, number, NOW), NOW).token]
        }
    leaks: list[Any] = []
    with start_blocking_portal() as portal:  # a thread of its own: a browser of other tests may hold this one's loop
        cells = portal.call(_visit_all, app, country, desks, known_phones, leaks)
    app.state.channels["web"]._sessions.kw["bind"].dispose()
    assert not leaks, leaks[:10]
    assert cells == len(HTTP) * len(LOOKERS) * len(COUNTIES)


async def _visit_all(
    app: FastAPI,
    country: Country,
    desks: Mapping[str, tuple[str, str]],
    known_phones: Mapping[str, str],
    leaks: list[Any],
) -> int:
    cells = 0
    showing = set[str]()
    transport = httpx.ASGITransport(app=app)
    for role in LOOKERS:
        token, csrf = desks.get(role, ("", ""))
        cookies = {COOKIE: sign(role, KEY), frame.COOKIE: token}
        async with httpx.AsyncClient(transport=transport, base_url="https://test", cookies=cookies) as client:
            for door, requests in HTTP.items():
                for place in COUNTIES:
                    cells += 1
                    if place != OWN and not any("{" in repr(one).replace("{'", "") for one in requests):
                        continue
                    for path, body in requests:
                        typed, shown = await _asked(client, door, path, body, country.targets[place], csrf)
                        wrong = sorted(places_in(shown, typed) - visible(role))
                        wrong += [
                            of for phone, of in known_phones.items() if phone in shown and of not in visible(role)
                        ]
                        leaks += [(door, role, place, one, shown[:200]) for one in wrong]
                        if places_in(shown, typed):
                            showing.add(door)
    assert not SHOWING - showing, SHOWING - showing  # the pages are really reached
    return cells


async def _asked(
    client: httpx.AsyncClient, door: str, path: str, body: Any, target: Target, csrf: str
) -> tuple[str, str]:
    """Make one request; what was typed, and what came back with its headers."""
    words = {**named(target), "link": target.link}
    path = path.format(**words)
    if isinstance(body, dict):
        body = {key: value.format(**words) for key, value in body.items()}
        if door == "POST /chat":
            body["message_id"] = uuid.uuid4().hex
        form = {"data": {"csrf": csrf, **body}} if path.startswith("/console") else {"json": body}
        got = await client.post(path, **form)
    elif isinstance(body, bytes):
        got = await client.post(path, content=body)
    else:
        got = await client.get(path)
    assert got.status_code < 500, (door, path, got.text)
    if door.split()[1].startswith("/channels/"):
        assert got.status_code == 403
    return path + repr(body), unpacked(got.content) + repr(got.headers)


# --- the command line ------------------------------------------------------------------------------------------------

# Whom each command serves: everybody, with public knowledge alone; the operator of the whole installation, who has the
# database and its key at hand; or the person that it speaks for, in whose scope it must stay.
COMMANDS: Mapping[str, str] = {
    "ask": "everybody", "notice list": "everybody", "notice show": "everybody", "notice import": "everybody",
    "notice confirm": "everybody", "notice diff": "everybody", "knowledge check": "everybody",
    "knowledge vectors": "everybody", "wechat menu": "everybody", "chat": "person",
} | dict.fromkeys((
    "broadcast status", "broadcast export", "knowledge publish", "knowledge editions", "knowledge rollback",
    "knowledge export", "backup", "restore", "doctor", "invite", "serve", "questions list", "questions answer",
    "funds template", "funds import", "items template", "items import", "items export", "items sample",
    "people template", "people import", "db upgrade", "reminders plan", "reminders workday",
    "reminders release",
    "audit verify", "audit trim", "keys rotate", "deliveries list", "deliveries stop", "deliveries start",
), "operator")  # fmt: skip


def commands(group: Any, before: tuple[str, ...] = ()) -> Iterator[str]:  # Any: click's groups and commands
    """Every command of the command line, with its group."""
    for name, one in group.commands.items():
        yield from commands(one, (*before, name)) if hasattr(one, "commands") else (" ".join((*before, name)),)


@pytest.mark.parametrize("seeded", ["sqlite"], indirect=True)
def test_the_command_line_speaks_for_a_person_in_that_person_s_scope(
    seeded: tuple[str, Country], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = set(commands(typer.main.get_command(command_line)))
    assert found == COMMANDS.keys(), f"say in COMMANDS of tests/test_doors.py whom it serves: {found ^ COMMANDS.keys()}"
    url, country = seeded
    chosen = office(url, tmp_path)
    for name, value in (
        ("DATABASE__URL", url), ("PATHS__DATA", str(tmp_path)), ("CLOCK__NOW", NOW.isoformat()),
        ("SECURITY__DATA_KEY_FILE", str(chosen.key_file)),
    ):  # fmt: skip
        monkeypatch.setenv(f"COUNTYDESK_{name}", value)
    monkeypatch.chdir(tmp_path)
    said = [
        text.format(**named(country.targets[place]))
        for place in COUNTIES
        for text in ("事项 #{rectifying}", "看电话 #{person}", "取消", "切换县 {body}")
    ]
    script = "\n".join(("我的事项", "本县情况", "取消", "待审", *said)) + "\n"
    for role, number in country.lookers.items():
        done = CliRunner().invoke(command_line, ["chat", "--as", str(number)], input=script)
        assert done.exit_code == 0, (role, done.output)
        assert places_in(done.output, script) <= visible(role), (role, done.output)
    public = CliRunner().invoke(command_line, ["ask", f"{country.targets[COUNTIES[0]].body}二次申报要什么条件"])
    assert public.exit_code == 0
    assert not places_in(public.output, country.targets[COUNTIES[0]].body)
