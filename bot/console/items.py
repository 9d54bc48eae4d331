"""整改 · 资金: the list and the queue, an item with its trail, what may be done with it, batches, workbooks, a county."""

import tempfile
from collections import Counter
from collections.abc import Callable, Mapping
from datetime import date
from pathlib import Path
from typing import Any

from fastapi import APIRouter, HTTPException, Request
from fastapi.responses import HTMLResponse, Response
from sqlalchemy.orm import Session
from starlette.datastructures import UploadFile

from bot import items as shared
from bot.console.frame import PAGE, PROVINCE, Console, Desk, Entry, Form, Sent, page_number, query, workbook
from bot.itemforms import after
from bot.messages import Invalid, Refused
from bot.texts import say
from bot.workbooks import Outcome, Unreadable
from bot.workdays import LOCAL
from handlers import itemlists, ledgers
from handlers import samples as sheets
from handlers.review import RECORDED, record_of
from knowledge.facts import KINDS, parse_fact, show_fact
from storage import bodies, drafts, evidence, facts, files, flags, funds, items, rosters, samples, scope
from storage.items import AT_PROVINCE, CATEGORIES, CHECKS, METHODS, OPEN, STATES, TRANSITIONS
from storage.models import Body, File, Item

READERS = (*PROVINCE, "city", "county_officer", "county_head")
IMPORTERS = ("province_officer", "province_approver")
MENU = (
    Entry(path="/console/items", label="整改事项", roles=READERS),
    Entry(path="/console/funds", label="资金", roles=READERS),
)
BATCH = ("claim", "agree", "close")  # what may be done with several items at once
BY_CHAT = ("attach", "detach", "plan", "amend", "recur")  # what takes files, several lines or a list
MOST_BYTES = 5_000_000
GROUPS: Mapping[str, tuple[str, ...]] = {"queue": AT_PROVINCE, "open": OPEN, "draft": ("draft",)}


def router(console: Console) -> APIRouter:
    """The pages of items and funds."""
    routes = APIRouter()

    @routes.get("/console/items")
    def listed(request: Request) -> HTMLResponse:
        with console.enter(request, *READERS) as desk:
            return _listed(desk)

    @routes.get("/console/items/{number:int}")
    def one(request: Request, number: int) -> HTMLResponse:
        with console.enter(request, *READERS) as desk:
            return _one(desk, _seen(desk, number))

    @routes.post("/console/items/{number:int}/{event}")
    def change(request: Request, number: int, event: str, form: Sent) -> Response:
        with console.act(request, form, *READERS) as desk:
            item = _seen(desk, number)
            if event not in TRANSITIONS or event in BY_CHAT:
                raise HTTPException(404)
            try:
                with desk.db.begin_nested():
                    changed = _apply(desk, item, event, form)
            except Refused as no:
                return _one(desk, _seen(desk, number), str(no), event, form)
            return desk.back(f"/console/items/{number}", _done(desk, changed, event))

    @routes.post("/console/items")
    def batch(request: Request, form: Sent) -> Response:
        with console.act(request, form, *READERS) as desk:
            event, chosen = str(form.get("event", "")), form.get("item[]", [])
            if event not in BATCH:
                raise HTTPException(404)
            return desk.back(str(form.get("back") or "/console/items"), _batch(desk, event, chosen))

    _workbooks(routes, console, "items", itemlists.template, itemlists.load)
    _workbooks(routes, console, "funds", ledgers.template, ledgers.load)
    _imports(routes, console)

    @routes.get("/console/items/export.xlsx")
    def export(request: Request) -> Response:
        with console.enter(request, *READERS) as desk:
            on = desk.now.astimezone(LOCAL).date()
            return workbook(lambda path: itemlists.export(desk.db, path, on), say("frame.ledger_name", on=on))

    @routes.get("/console/items/samples/{number:int}.xlsx")
    def sample(request: Request, number: int) -> Response:
        with console.enter(request, *READERS) as desk:
            drawn = samples.numbered(desk.db, number)
            if drawn is None:
                raise HTTPException(404)
            return workbook(lambda path: sheets.sheet(desk.db, drawn, path), sheets.name(drawn))

    @routes.get("/console/funds")
    def money(request: Request) -> HTMLResponse:
        with console.enter(request, *READERS) as desk:
            return _money(desk)

    @routes.get("/console/bodies/{number:int}")
    def body(request: Request, number: int) -> HTMLResponse:
        with console.enter(request, *READERS) as desk:
            return _body(desk, number)

    return routes


# --- items -----------------------------------------------------------------------------------------------------------


def _today(desk: Desk) -> date:
    return desk.now.astimezone(LOCAL).date()


def _listed(desk: Desk) -> HTMLResponse:
    asked, number = desk.request.query_params, page_number(desk.request)
    state, body, year = asked.get("state", ""), asked.get("body", ""), asked.get("year", "")
    today = _today(desk)
    found = rosters.items(
        desk.db, states=GROUPS.get(state) or ((state,) if state in STATES else ()),
        body_id=int(body) if body.isdecimal() and len(body) < 9 else None,
        year=int(year) if year.isdecimal() and len(year) == 4 else None, category=asked.get("category", ""),
        text=asked.get("q", "").strip(), overdue_on=today if state == "overdue" else None, limit=PAGE + 1,
        offset=(number - 1) * PAGE,
    )  # fmt: skip
    turn = desk.turn()
    allowed = shared.possible(turn, [item for item, _ in found[:PAGE]])
    rows: list[dict[str, Any]] = [  # Any: what the template shows of an item
        {
            "item": item, "place": place, "state": STATES[item.state],  # type: ignore[index]  # the column holds states only
            "overdue": flags.overdue_days(item, today), "may": [one for one in BATCH if one in allowed[item.id]],
        }
        for item, place in found[:PAGE]
    ]  # fmt: skip
    return desk.page(
        "desk/items.html", rows=rows, states=STATES, state=state, body=body, year=year, text=asked.get("q", ""),
        category=asked.get("category", ""), categories=CATEGORIES, bodies=bodies.visible(desk.db, 500),
        acts=[one for one in BATCH if any(one in row["may"] for row in rows)], number=number,
        samples=[(one, one.at.astimezone(LOCAL)) for one in samples.listed(desk.db)[:3]],
        here=query(desk.request), may_import=not desk.viewer.roles.isdisjoint(IMPORTERS),
        earlier=query(desk.request, page=number - 1 if number > 1 else ""),
        later=query(desk.request, page=number + 1) if len(found) > PAGE else "",
    )  # fmt: skip


def _verb(event: str) -> str:
    return say("items.verb", event=event)


def _seen(desk: Desk, number: int) -> Item:
    try:
        return items.seen(desk.db, number)
    except items.NotFound:
        raise HTTPException(404) from None


def _one(desk: Desk, item: Item, wrong: str = "", tried: str = "", given: Form | None = None) -> HTMLResponse:
    """An item's page; what was `given` for an event that was refused stands in its form again."""
    turn = desk.turn()
    lines = shared.checklist(turn, item)
    names = {line.id: line.text for line in lines}
    standing = evidence.standing(desk.db, item, "stored", "pending", "refused", "lost")
    trail = [
        {
            "row": one,
            "who": shared.name_of(turn, one.person_id),
            "at": one.at.astimezone(LOCAL),
            "told": say("items.fields", said=one.said, names=names),
        }
        for one in items.trail(desk.db, item.id)
    ]
    possible = shared.possible(turn, [item])[item.id]
    allowed = [event for event in TRANSITIONS if event not in BY_CHAT and event in possible]
    return desk.page(
        "desk/item.html", item=item, place=shared.place_of(turn, item), wrong=wrong, trail=trail, states=STATES, tried=tried, given=given or {},
        state=STATES[item.state], overdue=flags.overdue_days(item, _today(desk)),  # type: ignore[index]  # as above
        overdue_first=flags.overdue_days(item, _today(desk), original=True),
        lines=shared.lines_shown(turn, lines), missing={line.id for line in shared.gaps(turn, item)},
        files=[(one, file, _door(desk, file)) for one in standing if (file := desk.db.get(File, one.file_id))], scopes=scope.ROLES,
        elsewhere=[(shared.place_of(turn, one), one) for one in evidence.elsewhere(desk.db, item)],
        holder=shared.name_of(turn, item.holder_id) if item.holder_id else "", rules=TRANSITIONS, allowed=allowed,
        methods=METHODS, checks=CHECKS, verb=_verb, recorded=RECORDED, visit=evidence.VISIT,
    )  # fmt: skip


def _door(desk: Desk, file: File) -> str:
    """Where the visitor opens a stored file for the next half hour; empty for one that is not there."""
    if file.state != "stored":
        return ""
    return f"/f/{file.id}?t={files.ticket(desk.db, file.id, desk.person.id, desk.now)}"


def _said(desk: Desk, item: Item, event: str, form: Form) -> dict[str, Any]:  # Any: JSON
    """An event's fields as the page's form has them."""
    if event == "claim":
        return {"holder_id": desk.person.id}
    if event == "return":
        lines = {name.removeprefix("line:"): str(form[name]).strip() for name in form if name.startswith("line:")}
        return {"lines": {line: words for line, words in lines.items() if words}}
    kept = ("csrf", "version")
    said: dict[str, Any] = {name: str(form[name]).strip() for name in form if name not in kept}
    if "declared" in said:
        said["declared"] = True
    if said.get("method") in RECORDED:
        said["record"] = record_of(desk.turn(), said["method"], said.get("record", ""))
    else:
        said.pop("record", None)
    return {name: value for name, value in said.items() if value}


def _apply(desk: Desk, item: Item, event: str, form: Form) -> Item:
    """Raises Refused."""
    version = str(form.get("version", ""))
    try:
        said = _said(desk, item, event, form)
    except Invalid as no:
        raise Refused(str(no)) from None
    for name in ("due_on", "new_due_on"):
        if name in said and not _later(said[name], _today(desk)):
            raise Refused(say("frame.day_passed"))
    try:
        return shared.act(desk.turn(), item.id, int(version) if version.isdecimal() else 0, event, said)
    except items.Incomplete:
        raise Refused(say("frame.incomplete")) from None


def _later(text: str, today: date) -> bool:
    try:
        return date.fromisoformat(text) > today
    except ValueError:
        return False


def _done(desk: Desk, item: Item, event: str) -> str:
    return after(desk.turn(), item, event).text


def _batch(desk: Desk, event: str, chosen: list[str]) -> str:
    """Do the same with each chosen item, as of the version that the list showed; what was done and what was not."""
    done, refused = 0, []
    for one in chosen[:PAGE]:
        number, _, version = one.partition(":")
        if not (number.isdecimal() and version.isdecimal()):
            continue
        item = _seen(desk, int(number))
        try:
            with desk.db.begin_nested():
                _apply(desk, item, event, {"version": version})
            done += 1
        except Refused as no:
            refused.append((item.number, str(no)))
    return say("frame.batch", done=done, refused=refused)


# --- workbooks -------------------------------------------------------------------------------------------------------


def _workbooks(
    routes: APIRouter,
    console: Console,
    kind: str,
    template: Callable[[Session, Path], object],
    load: Callable[[Session, Path, Any], Outcome],  # Any: the time of the import
) -> None:
    """The empty workbook of a kind, and its import: first what it would do, then, sent again, doing it."""

    @routes.get(f"/console/{kind}/template.xlsx")
    def empty(request: Request) -> Response:
        with console.enter(request, *IMPORTERS) as desk:
            return workbook(lambda path: template(desk.db, path), say("frame.template_name", kind=kind))

    @routes.post(f"/console/{kind}/import")
    def take(request: Request, form: Sent) -> Response:
        sent = form.get("file")
        data = sent.file.read(MOST_BYTES + 1) if isinstance(sent, UploadFile) else b""
        name = sent.filename or "" if isinstance(sent, UploadFile) else ""
        with console.act(request, form, *IMPORTERS) as desk:
            outcome, wrong = None, ""
            try:
                outcome = _loaded(desk, data, name, load, keep=form.get("sure") == "yes")
            except Unreadable as no:
                wrong = str(no)
            if outcome is not None and form.get("sure") == "yes" and not outcome.problems:
                path = f"/console/{kind}"
                if isinstance(outcome, itemlists.Loaded) and outcome.added:
                    path = f"{path}/imports/{outcome.token}"
                return desk.back(path, say("frame.imported", outcome=outcome))
            return desk.page("desk/import.html", kind=kind, outcome=outcome, wrong=wrong, name=name)


def _imports(routes: APIRouter, console: Console) -> None:
    """What an import has added, until it is taken back."""

    @routes.get("/console/items/imports/{token}")
    def added(request: Request, token: str) -> HTMLResponse:
        with console.enter(request, *IMPORTERS) as desk:
            found = drafts.imported(desk.db, token)
            if not found:
                raise HTTPException(404)
            names = bodies.names(desk.db, {item.body_id for item in found})
            counted = Counter(names[item.body_id] for item in found)
            return desk.page("desk/imported.html", token=token, counted=counted, here="items")

    @routes.post("/console/items/imports/{token}")
    def undo(request: Request, token: str, form: Sent) -> Response:
        with console.act(request, form, *IMPORTERS) as desk:
            try:
                count = drafts.undo(desk.db, token, desk.now)
            except drafts.Moved as moved:
                said = say("frame.import_moved", numbers=moved.numbers)
                return desk.back(f"/console/items/imports/{token}", said)
            return desk.back("/console/items", say("frame.import_undone", count=count))


def _loaded(
    desk: Desk,
    data: bytes,
    name: str,
    load: Callable[[Session, Path, Any], Outcome],  # Any: as above
    *,
    keep: bool,
) -> Outcome:
    """What a workbook does, or with `keep` False would do. Raises Unreadable."""
    if not data or len(data) > MOST_BYTES:
        raise Unreadable(say("frame.no_file"))
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / (Path(name).name or "list.xlsx")
        path.write_bytes(data)
        attempt = desk.db.begin_nested()
        outcome = load(desk.db, path, desk.now)
        if keep and not outcome.problems:
            attempt.commit()
        else:
            attempt.rollback()
        return outcome


# --- money and counties ----------------------------------------------------------------------------------------------


def _money(desk: Desk) -> HTMLResponse:
    rows = []
    for body, year, fund in rosters.funds(desk.db):
        reported = funds.sums(fund) if fund else None
        rates = (
            [funds.rate(part, reported.allocated) for part in (reported.disbursed, reported.used)] if reported else []
        )
        rows.append({"body": body, "year": year, "fund": fund, "rates": rates})
    return desk.page(
        "desk/funds.html", rows=rows, line=funds.LINE, may_import=not desk.viewer.roles.isdisjoint(IMPORTERS)
    )


def _body(desk: Desk, number: int) -> HTMLResponse:
    body = desk.db.get(Body, number)
    if body is None:
        raise HTTPException(404)
    years = bodies.batch_years(desk.db, body.id)
    found = rosters.items(desk.db, body_id=body.id, limit=500)
    counts = {state: sum(item.state == state for item, _ in found) for state in STATES}
    return desk.page(
        "desk/body.html", body=body, years=years, counts=counts, states=STATES,
        history={year: funds.history(desk.db, body.id, year) for year in years},
        known={year: facts.newest(desk.db, body.id, year) for year in years}, kinds=KINDS,
        shown=lambda key, value: show_fact(key, parse_fact(key, value)),
        people=rosters.people(desk.db, text=body.name, limit=PAGE),
    )  # fmt: skip
