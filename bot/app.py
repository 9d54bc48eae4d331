"""Composition: settings → database, knowledge, assistant, web. The only file that knows all of them."""

import os
import re
import sys
import threading
from collections.abc import AsyncIterator, Callable, Mapping, MutableMapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from datetime import datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

import structlog
from fastapi import FastAPI, HTTPException, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import HTMLResponse, JSONResponse, PlainTextResponse, Response
from fastapi.staticfiles import StaticFiles
from sqlalchemy import text
from sqlalchemy.orm import Session, sessionmaker
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from bot import digests
from bot.broadcasts import in_hours
from bot.channels import Channel, Platform, web
from bot.console import board, download, drafts, frame, hotline, items, public, publishing, questions, system, upload
from bot.console import broadcasts as broadcast_pages
from bot.console import knowledge as knowledge_pages
from bot.console import receipts as receipt_pages
from bot.console import reminders as reminder_pages
from bot.delivery import Dispatcher
from bot.demo import counties, populate, seed
from bot.dialogue import Assistant, Handlers
from bot.files import Fetcher
from bot.installation import Clock, clock_of, open_database, settings
from bot.items import gone
from bot.jobs import Jobs
from bot.messages import Reply, Turn
from bot.metrics import metrics
from bot.settings import KEY_BYTES, Settings, ensure_key
from bot.turns import TurnThread
from bot.workdays import read_hours
from handlers import (
    ask,
    binding,
    broadcast,
    calls,
    checks,
    composing,
    console,
    county,
    demo,
    inbox,
    inviting,
    materials,
    menu,
    papers,
    phones,
    profile,
    progress,
    receipts,
    rectification,
    reminders,
    review,
    samples,
    stages,
    submissions,
    updates,
)
from knowledge import base
from knowledge.base import KnowledgeBase, load
from storage import acknowledgements, bodies, broadcasts, editions
from storage import questions as asked
from storage.audit import seal
from storage.db import make_engine, make_sessions, reading, transaction
from storage.deliveries import Guard
from storage.models import Base
from storage.scope import SYSTEM, serving
from storage.secrets import without_phones

STATIC = Path(__file__).parent / "console" / "static"
CONTENT_POLICY = "default-src 'self'; img-src 'self' data:; object-src 'none'; base-uri 'none'; frame-ancestors 'self'"
GUARDS = (
    (b"content-security-policy", CONTENT_POLICY.encode()),
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"same-origin"),
)
SEALS_EVERY_S = 5.0
FOLLOWS_EVERY_S = 3.0  # how soon every process has a new edition
ROW_SHOWN = re.compile(r"\nDETAIL:.*?(?=\n\[SQL|\n\nThe above exception|\Z)", re.DOTALL)
LIMITS = {"wechat": 2040, "wecom": 2040}  # bytes of one passive reply; what is longer waits for 更多


def configure_logging() -> None:
    """Structured lines on stderr; stdout is for results."""
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            without_values,
            structlog.processors.JSONRenderer(ensure_ascii=False),
        ],
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
    )


def without_values(_logger: object, _method: str, line: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Take out of a log line what people typed: phone numbers, and the row that PostgreSQL shows with an error."""
    for key, value in line.items():
        if isinstance(value, str):
            line[key] = without_phones(ROW_SHOWN.sub("", value))
    return line


def received(turn: Turn) -> Reply:
    """What came as a picture or a file: kept, and put to the form that is open, or to an item."""
    reply = inbox.received(turn)
    return checks.table_sent(turn, reply) or updates.attached(turn, reply)


def assistant(
    kb: KnowledgeBase,
    chosen: Settings | None = None,
    guards: Mapping[str, Guard] | None = None,
    **more: Any,  # Any: see Turn.given
) -> Assistant:
    """The assistant with every handler; `more` is given to each turn, `guards` are asked before a message goes along."""
    given: dict[str, Any] = dict(more)
    if chosen is not None:
        given |= {
            "province": chosen.province.name,
            "report_channel": chosen.province.report_channel,
            "pilot_mode": chosen.province.pilot_mode,
            "base_url": chosen.web.base_url,
            "folder": chosen.paths.data,
            "quiet_hours": chosen.province.quiet_hours,
        }
    handlers = Handlers(
        routes=[
            *menu.ROUTES,
            *inbox.ROUTES,
            *binding.ROUTES,
            *inviting.ROUTES,
            *profile.ROUTES,
            *console.ROUTES,
            *phones.ROUTES,
            *county.ROUTES,
            *checks.ROUTES,
            *submissions.ROUTES,
            *rectification.ROUTES,
            *updates.ROUTES,
            *materials.ROUTES,
            *review.ROUTES,
            *stages.ROUTES,
            *samples.ROUTES,
            *progress.ROUTES,
            *papers.ROUTES,
            *reminders.ROUTES,
            *calls.ROUTES,
            *composing.ROUTES,
            *broadcast.ROUTES,
            *receipts.ROUTES,
            *ask.ROUTES,
            *demo.ROUTES,
        ],
        flows={
            flow.name: flow
            for flow in (
                *ask.flows(kb),
                *binding.FLOWS,
                *inviting.FLOWS,
                *profile.FLOWS,
                *phones.FLOWS,
                *county.FLOWS,
                *checks.flows(kb),
                *submissions.FLOWS,
                *rectification.FLOWS,
                *updates.FLOWS,
                *materials.FLOWS,
                *review.FLOWS,
                *stages.FLOWS,
                *samples.FLOWS,
                *composing.FLOWS,
                *broadcast.FLOWS,
            )
        },
        ask=ask.ask,
        why=_why,
        received=received,
        events={**menu.EVENTS, **inbox.EVENTS},
        after=profile.seen,
        opening=county.opening,
    )
    return Assistant(kb=kb, handlers=handlers, given=given, limits=LIMITS, guards=guards or {})


def reminding(current: Callable[[], KnowledgeBase], chosen: Settings) -> digests.Desk:
    """What digests are made of."""
    return digests.Desk(current=current, hours=read_hours(chosen.province.quiet_hours))


def guarding(office: digests.Desk, clock: Clock) -> dict[str, Guard]:
    """What is looked at again before it is sent, by the first word of its source."""
    return {
        digests.SOURCE: digests.guard(office, clock),
        "item": gone,
        "call": calls.settled,
        "invitation": binding.settled,
        "broadcast": in_hours(broadcasts.gone, office.hours, clock),
        "nudge": in_hours(acknowledgements.settled, office.hours, clock),
    }


def _why(turn: Turn) -> Reply:
    """The reason of what was said last: of a message that nobody asked for, of an answer, or of both."""
    told = reminders.why(turn)
    if told is None or not turn.conversation.before.get("clauses"):
        return told or ask.why(turn)
    return replace(told, text=f"{told.text}\n\n{ask.why(turn).text}")


@dataclass(frozen=True, kw_only=True)
class Desk:
    """A running assistant without a web server: what `ask` and `chat` use."""

    kb: KnowledgeBase
    turns: TurnThread
    sessions: sessionmaker[Session]

    def __enter__(self) -> "Desk":
        return self

    def __exit__(self, *_: object) -> None:
        self.turns.stop()


def desk(kb: KnowledgeBase | None = None) -> Desk:
    """An assistant on a database in memory: nothing is written to disk."""
    engine = make_engine("sqlite://")
    Base.metadata.create_all(engine)
    sessions = make_sessions(engine, os.urandom(KEY_BYTES), os.urandom(KEY_BYTES))
    kb = kb or knowledge(settings())
    return Desk(kb=kb, turns=TurnThread(assistant(kb), sessions), sessions=sessions)


def knowledge(chosen: Settings) -> KnowledgeBase:
    """The shipped knowledge with the notices imported here."""
    return load(imported=chosen.imported_notices)


def published(sessions: sessionmaker[Session], chosen: Settings, now: datetime) -> KnowledgeBase:
    """The knowledge of the current edition.

    The first start publishes what there is. A program with newer files publishes these by itself, with the imported
    notices that were published before; what was imported since waits for `knowledge publish`.
    """
    ours = base.read_files()
    seal = base.digest_of(ours)
    with transaction(sessions) as db:
        held = editions.find(db, editions.current_number(db))
        if held is None or not editions.knows_program(db, seal):
            before = base.unpack(held.files) if held else base.read_files(imported=chosen.imported_notices)
            files = ours | {name: content for name, content in before.items() if base.is_imported(name, content)}
            digest = base.digest_of(files)
            if held is None or held.digest != digest:
                number = editions.publish(db, digest, base.pack(files), now, by=None, note="")
                held = editions.find(db, number)
            editions.note_program(db, seal, now)
    assert held is not None
    return base.load_files(base.unpack(held.files)).numbered(held.number)


def follow(turns: TurnThread, sessions: sessionmaker[Session], remade: Callable[[], Assistant]) -> None:
    """Let the turns go on with the current edition when another one has been made current meanwhile."""
    with reading(sessions) as db:
        number = editions.current_number(db)
    if number != turns.kb.number:
        turns.use(remade())
        structlog.get_logger().info("edition loaded", edition=turns.kb.edition)


def home(sessions: sessionmaker[Session], chosen: Settings) -> str | None:
    """The code of the province whose office runs the installation: what people ask who are not bound is its own."""
    code = bodies.province_of(chosen.province.name)
    if code is not None:
        with transaction(sessions) as db, serving(db, SYSTEM):
            bodies.division(db, code)
            asked.adopt(db, code)
    return code


def every(seconds: float, work: Callable[[], object], name: str) -> Callable[[], None]:
    """Do something now and again, in a thread of its own; the function returned does it once more and ends that."""
    ended = threading.Event()

    def run() -> None:
        while True:
            ending = ended.wait(seconds)
            try:
                work()
            except Exception:  # the job boundary: it is tried again the next time
                structlog.get_logger().exception("job failed", job=threading.current_thread().name)
            if ending:
                return

    thread = threading.Thread(target=run, name=name, daemon=True)
    thread.start()

    def stop() -> None:
        ended.set()
        thread.join()

    return stop


def platforms(chosen: Settings, turns: TurnThread, sessions: sessionmaker[Session], clock: Clock) -> list[Platform]:
    """The channels whose keys are set. Their libraries are loaded only then."""
    made: list[Platform] = []
    if chosen.wechat.app_id:
        from bot.channels.wechat import Wechat

        made.append(Wechat(chosen.wechat, turns, sessions, clock))
    if chosen.wecom.corp_id:
        from bot.channels.wecom import Wecom

        made.append(Wecom(chosen.wecom, turns, sessions, clock))
    if chosen.telegram.token:
        from bot.channels.telegram import Telegram

        made.append(Telegram(chosen.telegram, chosen.web.base_url, turns, sessions, clock))
    return made


def web_app(chosen: Settings, clock: Clock | None = None, *, sample: bool = False) -> FastAPI:
    """The web server: chat, look-up, notices, answer API, health; with `sample`, the demo's province."""
    clock = clock or clock_of(chosen)
    sessions = open_database(chosen)
    office = reminding(lambda: turns.kb, chosen)
    guards = guarding(office, clock)
    living = home(sessions, chosen)

    def made() -> Assistant:
        more = {"counties": counties()} if sample else {}
        return assistant(published(sessions, chosen, clock()), chosen, guards, home=living, **more)

    turns = TurnThread(made(), sessions)
    if sample:
        populate(sessions, chosen.imported_notices)
        seed(turns, sessions)
    running = platforms(chosen, turns, sessions, clock)
    channels: dict[str, Channel] = {"web": web.WebChannel(sessions, clock), **{one.name: one for one in running}}
    dispatcher = Dispatcher(channels=channels, sessions=sessions, clock=clock, guards=guards)
    jobs = Jobs(sessions=sessions, desk=office, clock=clock, folder=chosen.paths.data)
    fetcher = Fetcher(channels, sessions, chosen.paths.data, clock)

    @asynccontextmanager
    async def lifespan(_app: FastAPI) -> AsyncIterator[None]:
        for one in running:
            one.start()
        fetcher.start()
        if chosen.sending.enabled:
            dispatcher.start()
            jobs.start()
        stop_sealing = every(SEALS_EVERY_S, lambda: seal(sessions, chosen.audit_head_file), "sealer")
        stop_following = every(FOLLOWS_EVERY_S, lambda: follow(turns, sessions, made), "editions")
        yield
        jobs.stop()
        stop_following()
        dispatcher.stop()
        fetcher.stop()
        for one in running:
            one.stop()
        turns.stop()
        stop_sealing()

    app = FastAPI(title="countydesk", docs_url=None, redoc_url=None, openapi_url=None, lifespan=lifespan)
    app.state.channels, app.state.jobs, app.state.dispatcher = channels, jobs, dispatcher
    templates = public.pages(version("countydesk"))
    for one in running:  # before all others and by themselves: an included router costs each message a tenth more
        app.router.routes.extend(one.router().routes)
    app.include_router(web.router(turns, sessions, ensure_key(chosen.key_file), clock))
    app.include_router(upload.router(turns, sessions, templates, clock, chosen.paths.data))
    listed = (board, hotline, questions, knowledge_pages, broadcast_pages, reminder_pages, items, system)
    desks = frame.Console(
        sessions=sessions, kb=lambda: turns.kb, turns=turns, templates=templates, clock=clock, settings=chosen,
        menu=tuple(entry for pages in listed for entry in pages.MENU),
    )  # fmt: skip
    frame.register(app, desks)
    for pages in (drafts, publishing, *listed):  # the first that fits an address has it
        app.include_router(pages.router(desks))
    app.include_router(download.router(sessions, clock, chosen.paths.data))
    told = receipt_pages.router(sessions, templates, clock, lambda: turns.kb, chosen.province.name, chosen.paths.data)
    app.include_router(told)
    app.include_router(
        public.router(lambda: turns.kb, templates, clock, chosen.province.name, chosen.paths.data / "verify")
    )
    app.add_api_route("/favicon.ico", lambda: Response(status_code=204), methods=["GET"])
    app.mount("/static", StaticFiles(directory=STATIC), name="static")
    _health(app, sessions)
    app.include_router(metrics(sessions, clock))
    _errors(app, lambda title, words: templates.get_template("error.html").render(title=title, text=words))

    app.add_middleware(_Guarded)
    return app


class _Guarded:
    """Adds to every answer what keeps a browser from being used against us, where the page has not said otherwise.

    Plain ASGI: a middleware of the framework's own kind would run each request in a task more.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                given = {name for name, _ in message["headers"]}
                message["headers"] = [*message["headers"], *(one for one in GUARDS if one[0] not in given)]
            await send(message)

        await self._app(scope, receive, with_headers if scope["type"] == "http" else send)


def _health(app: FastAPI, sessions: sessionmaker[Session]) -> None:
    @app.get("/healthz")
    def healthz() -> PlainTextResponse:
        return PlainTextResponse("ok")

    @app.get("/readyz")
    def readyz() -> PlainTextResponse:
        with transaction(sessions) as db:
            db.execute(text("SELECT 1"))
        return PlainTextResponse("ready")


def _errors(app: FastAPI, page: Callable[[str, str], str]) -> None:
    def answered(request: Request, status: int, words: str) -> Response:
        if "text/html" in request.headers.get("accept", ""):
            return HTMLResponse(page("打不开这个页面", words), status_code=status)
        return JSONResponse({"error": words}, status_code=status)

    @app.exception_handler(RequestValidationError)
    def unreadable(request: Request, error: RequestValidationError) -> Response:
        fields = "、".join(sorted({str(one["loc"][-1]) for one in error.errors()}))
        return answered(request, 422, f"请求有误，请检查：{fields}。")

    @app.exception_handler(404)
    def missing(request: Request, error: HTTPException) -> Response:
        words = error.detail if error.detail != "Not Found" else "没有这个页面，请从首页重新进入。"
        return answered(request, 404, words)

    @app.exception_handler(HTTPException)
    def refused(request: Request, error: HTTPException) -> Response:
        return answered(request, error.status_code, str(error.detail))

    @app.exception_handler(Exception)
    def failed(request: Request, error: Exception) -> Response:
        route = request.scope.get("route")  # as written, without its values: some are secret
        structlog.get_logger().error("request failed", path=getattr(route, "path", ""), exc_info=error)
        return answered(request, 500, "系统繁忙，请稍后再试。")
