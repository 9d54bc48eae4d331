"""通知下发: what was sent and who has it, writing a broadcast with the audience counted meanwhile, and its two signatures."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from fastapi import APIRouter, HTTPException, Request
from fastapi.responses import HTMLResponse, Response
from starlette.datastructures import UploadFile

from bot import audiences as sentences
from bot.broadcasts import begins_at, message, overtaken
from bot.console.download import listed as listed_file
from bot.console.frame import PAGE, Console, Desk, Entry, Form, Sent, page_number, query, workbook
from bot.files import MOST_BYTES, keep, not_taken, sniffed
from bot.messages import Invalid, Media, Refused, Reply, Turn
from bot.texts import say
from bot.workdays import LOCAL
from handlers import broadcast as sending
from handlers import composing, inbox, reconciliation
from storage import acknowledgements, audiences, bodies, broadcasts, deliveries, files, scope
from storage.audiences import from_json
from storage.models import Broadcast

STAFF = (*scope.MAY["broadcast"], *scope.MAY["approve"])
MENU = (Entry(path="/console/broadcasts", label="通知下发", roles=STAFF),)
MODES = ("county", "each", "none")
STUCK = {"unknown", *broadcasts.NOT_REACHED}  # states of a message that are told with the person's name
NAMED = 200  # people of whom a page says where their message is
LEFT_OUT = 20  # people of whom a page says why they are sent nothing, for each reason
_FORMS = {flow.name: flow for flow in (*sending.FLOWS, *composing.FLOWS)}
_STEPS = {step.key: step for step in _FORMS["新建通知"].steps}
_ACTS: Mapping[str, Callable[[Turn], Reply]] = {
    "approve": sending.approve,
    "drop": sending.drop,
    "pause": sending.pause,
    "resume": sending.resume,
    "nudge": sending.nudge,
}
_WITH_REASON = {"return": "退回通知", "recall": "撤回通知"}


def router(console: Console) -> APIRouter:
    """The pages of broadcasts."""
    routes = APIRouter()

    @routes.get("/console/broadcasts")
    def listed(request: Request) -> HTMLResponse:
        with console.enter(request, *STAFF) as desk:
            rows = [
                (one, *_progress(desk, one, deliveries.counts(desk.db, broadcasts.source(one))))
                for one in broadcasts.listed(desk.db, PAGE)
            ]
            return desk.page("desk/broadcasts.html", rows=rows, may_write=desk.viewer.may("broadcast"))

    @routes.get("/console/broadcasts/audience")
    def count(request: Request) -> HTMLResponse:
        """What the form shows of an audience while it is chosen."""
        with console.enter(request, *scope.MAY["broadcast"]) as desk:
            return _counted(desk, request.query_params.getlist("condition[]"))

    @routes.get("/console/broadcasts/new")
    def blank(request: Request) -> HTMLResponse:
        with console.enter(request, *scope.MAY["broadcast"]) as desk:
            return _form(desk, {})

    @routes.post("/console/broadcasts/new")
    def compose(request: Request, form: Sent) -> Response:
        wrong = list[str]()
        arrived = _arrived(console, request, form, wrong)
        with console.act(request, form, *scope.MAY["broadcast"]) as desk:
            return _kept(desk, _ticked(desk, form, arrived, wrong), None, wrong)

    @routes.get("/console/broadcasts/{number:int}")
    def one(request: Request, number: int) -> HTMLResponse:
        with console.enter(request, *STAFF) as desk:
            return _one(desk, _seen(desk, number))

    @routes.get("/console/broadcasts/{number:int}/edit")
    def edit(request: Request, number: int) -> HTMLResponse:
        with console.enter(request, *scope.MAY["broadcast"]) as desk:
            found = _seen(desk, number)
            return _form(desk, _as_form(found), found)

    @routes.post("/console/broadcasts/{number:int}/edit")
    def change(request: Request, number: int, form: Sent) -> Response:
        wrong = list[str]()
        arrived = _arrived(console, request, form, wrong)
        with console.act(request, form, *scope.MAY["broadcast"]) as desk:
            return _kept(desk, _ticked(desk, form, arrived, wrong), _seen(desk, number), wrong)

    @routes.get("/console/broadcasts/{number:int}/files/{place:int}")
    def attachment(request: Request, number: int, place: int) -> Response:
        with console.enter(request, *STAFF) as desk:
            handed = listed_file(desk.db, console.settings.paths.data, _seen(desk, number).files, place)
        if handed is None:
            raise HTTPException(404)
        return handed

    @routes.get("/console/broadcasts/{number:int}/account.xlsx")
    def account(request: Request, number: int) -> Response:
        with console.enter(request, *STAFF) as desk:
            found = _seen(desk, number)
            name = say("frame.account_name", number=number)
            return workbook(lambda path: reconciliation.export(desk.db, found, path, desk.now), name)

    @routes.post("/console/broadcasts/{number:int}/{act}")
    def act(request: Request, number: int, act: str, form: Sent) -> Response:
        with console.act(request, form, *STAFF) as desk:
            found = _seen(desk, number)
            try:
                with desk.db.begin_nested():
                    told = _done(desk, found, act, form)
            except (Refused, Invalid) as no:
                return _one(desk, _seen(desk, number), wrong=str(no))
            if act == "correct":
                newer = broadcasts.newest_correction(desk.db, number)
                return desk.back(f"/console/broadcasts/{newer}", say("frame.broadcast_kept", number=newer))
            path = "/console/broadcasts" if act == "drop" else f"/console/broadcasts/{number}"
            return desk.back(path, told.text.split("\n\n")[0])

    return routes


def _seen(desk: Desk, number: int) -> Broadcast:
    try:
        return broadcasts.find(desk.db, number)
    except broadcasts.NotFound:
        raise HTTPException(404) from None


def _progress(desk: Desk, one: Broadcast, counted: Mapping[str, int]) -> tuple[str, int, int]:
    """What it is doing, and how many of how many parties have acknowledged."""
    said, asked = acknowledgements.counted(desk.db, one) if one.begins_at else (0, 0)
    return broadcasts.phase(desk.db, one, counted, desk.now), said, asked


# --- one -------------------------------------------------------------------------------------------------------------


def _one(desk: Desk, one: Broadcast, wrong: str = "") -> HTMLResponse:
    draft, gone = one.state == "draft", one.begins_at is not None
    meant = from_json(one.audience)
    reached = (
        audiences.tally(broadcasts.preview(desk.db, one, desk.now), LEFT_OUT)
        if draft
        else audiences.tally_kept(desk.db, one, LEFT_OUT)
    )
    number = page_number(desk.request)
    parties = acknowledgements.listed(desk.db, one, PAGE + 1, (number - 1) * PAGE) if gone else []
    counted = deliveries.counts(desk.db, broadcasts.source(one))  # each recipient has one from the approval on
    stuck = counted.keys() & STUCK
    phase, said, asked = _progress(desk, one, counted)
    own = desk.viewer.person_id in (one.author_id, one.submitted_by)
    begins = begins_at(desk.turn(), one) if draft or one.state == "submitted" else one.begins_at
    turn = desk.turn()
    return desk.page(
        "desk/broadcast.html", one=one, phase=phase, wrong=wrong, own=own, parties=parties[:PAGE], acknowledged=said, asked=asked,
        audience=sending.summary(meant, reached), narrow=meant.narrow,
        begins=begins.astimezone(LOCAL) if begins else None, counted=counted,
        author=broadcasts.name_of(desk.db, one.author_id), approver=broadcasts.name_of(desk.db, one.approved_by),
        stuck=broadcasts.standings(desk.db, one, sorted(stuck), NAMED) if stuck else [],
        number=number,
        earlier=query(desk.request, page=number - 1 if number > 1 else ""),
        later=query(desk.request, page=number + 1) if len(parties) > PAGE else "",
        correction=broadcasts.correction(desk.db, one) if gone else None, local=LOCAL,
        message=message(one, turn.kb, turn.given["province"]).text,
        may_write=desk.viewer.may("broadcast"), may_approve=desk.viewer.may("approve"),
    )  # fmt: skip


def _done(desk: Desk, one: Broadcast, act: str, form: Form) -> Reply:
    """Do what the chat does for the same words, as of the version that the page showed. Raises Refused or Invalid."""
    version = str(form.get("version", ""))
    turn = replace(desk.turn(), text=f"N{one.id}v{version if version.isdecimal() else 0}")
    if act in _ACTS:
        return _ACTS[act](turn)
    if act == "submit":
        flow = _FORMS["提交"]
        answers = flow.start(turn)
        if answers["everybody"] and form.get("sure") != "yes":
            raise Refused(say("frame.whole_province"))
        return flow.done(turn, answers)
    if act in _WITH_REASON:
        flow = _FORMS[_WITH_REASON[act]]
        return flow.done(turn, {**flow.start(turn), "reason": _read(turn, flow.steps[0].parse, form.get("reason"))})
    if act == "correct":
        flow = _FORMS["更正通知"]
        begun = flow.start(turn)
        turn.conversation.answers = [[key, value] for key, value in begun.items()]
        text = _read(turn, flow.steps[0].parse, form.get("text"))
        kept = {"acknowledgement": one.acknowledgement, "why": one.acknowledge_why}
        if one.due_on and one.due_on > desk.now.astimezone(LOCAL).date():
            kept["due_on"] = one.due_on.isoformat()
        return flow.done(
            turn, {**begun, **kept, "text": text, "sending": {"delay_s": composing.DELAY_S, "send_at": None}}
        )
    raise HTTPException(404)


def _read(turn: Turn, parse: Callable[[Turn, str], Any], typed: object) -> Any:  # Any: what a step of a form reads
    return parse(turn, str(typed or "").replace("\r\n", "\n"))


# --- writing ---------------------------------------------------------------------------------------------------------


def _form(desk: Desk, given: Form, one: Broadcast | None = None, wrong: Sequence[str] = ()) -> HTMLResponse:
    province = desk.viewer.division or ""
    with scope.serving(desk.db, scope.SYSTEM):
        years, cities = bodies.years_and_cities(desk.db, province)
    turn = desk.turn()
    held = {file["sha256"] for file in one.files} if one else set()
    return desk.page(
        "desk/broadcast_form.html", given=given, one=one, wrong=wrong, years=years, notices=turn.kb.notices,
        cities=[bodies.published().get(code, code) for code in cities], chosen=given.get("condition[]", []),
        files=[file for file in composing.recent(turn) if file.sha256 not in held], most_files=composing.MOST_FILES,
        kept=given.get("kept[]", []), megabytes=MOST_BYTES // 1_000_000, role_names=[scope.ROLES[key] for key in (*audiences.COUNTY, "contractor", "city")],
        longest=composing.LONGEST, longest_title=composing.LONGEST_TITLE,
    )  # fmt: skip


def _counted(desk: Desk, conditions: Sequence[str]) -> HTMLResponse:
    """The audience of some conditions as it would be now, or why they are none."""
    try:
        audience = sentences.read("；".join(conditions), desk.viewer.division or "")
    except sentences.Unclear as trouble:
        return desk.console.render(
            "desk/audience.html", audience=None, wrong=say("composing.audience_unclear", piece=trouble.piece)
        )
    lines = audiences.find(desk.db, audience, desk.viewer.division or "", desk.now)
    return desk.console.render(
        "desk/audience.html", audience=sending.summary(audience, audiences.tally(lines, LEFT_OUT)), wrong=""
    )


def _arrived(console: Console, request: Request, form: Form, wrong: list[str]) -> list[Media]:
    """Keep the bytes of the files that a form brings, which takes time; what is not taken is added to `wrong`."""
    sent = [one for one in form.get("upload[]", []) if isinstance(one, UploadFile) and one.filename]
    found = list[Media]()
    if len(sent) > composing.MOST_FILES:
        wrong.append(say("composing.too_many_files", most=composing.MOST_FILES))
        return found
    for one in sent:
        data, name = one.file.read(MOST_BYTES + 1), Path(one.filename or "").name[:200]
        with console.act(request, form, *scope.MAY["broadcast"]) as desk:
            why = not_taken(desk.db, data)
        if why:
            wrong.append(say("frame.file_not_taken", name=name, why=why))
        else:
            digest = keep(console.settings.paths.data, data)
            found.append(Media(id=f"console:{digest}", name=name, mime=sniffed(data), sha256=digest, size=len(data)))
    return found


def _ticked(desk: Desk, form: Form, arrived: Sequence[Media], wrong: list[str]) -> Form:
    """The form with its files received, as those that somebody sends in chat are, and ticked."""
    turn, numbers = desk.turn(), list[str]()
    for media in arrived:
        reply = inbox.received(replace(turn, inbound=replace(turn.inbound, kind="file", media=(media,))))
        file = files.last_sent(desk.db, desk.person.id, desk.now)
        if reply.route == "inbox.full" or file is None:
            wrong.append(say("frame.file_not_taken", name=media.name, why=reply.text))
        else:
            file.purpose = "broadcast"
            numbers.append(str(file.id))
    return {**form, "files[]": [*form.get("files[]", []), *numbers]}


def _kept(desk: Desk, form: Form, one: Broadcast | None, wrong: list[str]) -> Response:
    """Keep what was written as a draft; what cannot be read is told together and nothing is lost."""
    turn = desk.turn()
    answers = _answers(turn, form, wrong)
    held = [file for file in (one.files if one else []) if file["sha256"] in form.get("kept[]", [])]
    answers["files"] = list({file["sha256"]: file for file in (*held, *answers.get("files", []))}.values())
    if len(answers["files"]) > composing.MOST_FILES:
        wrong.append(say("composing.too_many_files", most=composing.MOST_FILES))
    version = str(form.get("version", ""))
    if not wrong:
        try:
            with desk.db.begin_nested():
                if one is None:
                    made = broadcasts.draft(desk.db, {"clauses": [], **composing.values(answers)}, desk.now)
                else:
                    made = broadcasts.edit(
                        desk.db, one.id, int(version) if version.isdecimal() else 0, composing.values(answers), desk.now
                    )
            return desk.back(f"/console/broadcasts/{made.id}", say("frame.broadcast_kept", number=made.id))
        except broadcasts.Overtaken as trouble:
            wrong.append(overtaken(turn, trouble))
    return _form(desk, form, one, wrong)


def _answers(turn: Turn, form: Form, wrong: list[str]) -> dict[str, Any]:  # Any: JSON, by a form's step
    """What the form says, read by the steps of the chat's form; what does not fit is added to `wrong`."""
    answers: dict[str, Any] = {}

    def read(key: str, typed: str) -> None:
        try:
            answers[key] = _read(turn, _STEPS[key].parse, typed)
        except (Invalid, Refused) as no:
            wrong.append(str(no))

    def text(name: str) -> str:
        return str(form.get(name, "")).strip()

    read("title", text("title"))
    read("notice", f"{text('notice')} {text('clauses')}".strip() if text("notice") else "不引用文件")
    turn.conversation.answers = [["notice", answers.get("notice", {})]]
    read("text", text("text") or ("不写" if text("notice") else ""))
    if form["files[]"]:
        read("files", " ".join(form["files[]"]))
    try:
        audience = sentences.read("；".join(form.get("condition[]", [])), turn.viewer.division or "")
        answers["audience"] = audience.as_json()
    except sentences.Unclear as trouble:
        wrong.append(say("composing.audience_unclear", piece=trouble.piece))
    answers["acknowledgement"] = text("mode") if text("mode") in MODES else "none"
    if answers["acknowledgement"] != "none":
        read("why", text("why"))
        read("due_on", text("due_on"))
    if text("sending") == "at":
        read("sending", text("send_at").replace("T", " "))
    else:
        answers["sending"] = {"delay_s": 0 if text("sending") == "now" else composing.DELAY_S, "send_at": None}
    return answers


def _as_form(one: Broadcast) -> dict[str, Any]:  # Any: see Form
    """A broadcast as its form was sent."""
    at = one.send_at.astimezone(LOCAL) if one.send_at else None
    return {
        "title": one.title, "text": one.text, "notice": one.notice_id or "", "mode": one.acknowledgement,
        "clauses": "、".join(clause["label"] for clause in one.clauses), "why": one.acknowledge_why,
        "due_on": one.due_on.isoformat() if one.due_on else "", "more": sentences.canonical(from_json(one.audience)),
        "kept[]": [file["sha256"] for file in one.files], "sending": "at" if at else "delay" if one.delay_s else "now",
        "send_at": at.strftime("%Y-%m-%dT%H:%M") if at else "",
    }  # fmt: skip
