"""Looking at what was sent as evidence, and shutting away what should not have been sent."""

import re

from bot.dialogue import Route
from bot.files import link
from bot.flows import Answers, Flow, Step
from bot.itemforms import sure, words
from bot.items import REF, brief, checklist, gaps, lines_shown, may, named, offered, ref
from bot.messages import Option, Refused, Reply, Turn
from bot.texts import say
from storage import audit, deliveries, evidence, files, items, scope
from storage.models import Evidence, File, Item

SHOWN = 20  # files in one list


# --- looking ---------------------------------------------------------------------------------------------------------


def look(turn: Turn) -> Reply:
    """The evidence of an item; of none named, the items to choose among."""
    match = re.fullmatch(_LOOK, turn.text)
    assert match is not None
    if match["item"] is None:
        return _which(turn)
    item, _ = named(turn, match["item"])
    found = evidence.materials(turn.db, item)
    if not found:
        return Reply(text=say("materials.empty", brief=brief(turn, item)), route="materials.look")
    text = say("materials.listed", brief=brief(turn, item), count=len(found), most=SHOWN)
    names = {line.id: line.text for line in checklist(turn, item)}
    options = tuple(_option(proof, file, names) for proof, file in found[-SHOWN:])
    return Reply(text=text, options=options, route="materials.look")


def _which(turn: Turn, what: str = "看材料") -> Reply:
    found: list[Item] = items.working(turn.db)[:SHOWN]
    if not found:
        return Reply(text=say("materials.no_items"), route="materials.look")
    return Reply(
        text=say("materials.which", what=what),
        options=offered(turn, found, lambda one: f"{what} #{one.id}"),
        route="materials.look",
    )


def missing(turn: Turn) -> Reply:
    """What an item's checklist asks for and nobody has sent, line by line with the clause."""
    match = re.fullmatch(_MISSING, turn.text)
    assert match is not None
    typed = match["before"] or match["after"]
    if typed is None:
        return _which(turn, "缺材料清单")
    item, _ = named(turn, typed)
    lines, lacking = checklist(turn, item), gaps(turn, item)
    text = say("materials.missing", brief=brief(turn, item), lines=lines_shown(turn, lacking), count=len(lines))
    sends = (Option(label="传材料", value=f"传材料 {ref(item)}"),) if lacking and may(turn, item, ("attach",)) else ()
    return Reply(text=text, options=sends, route="materials.missing")


def _option(proof: Evidence, file: File, names: dict[str, str]) -> Option:
    label = say("materials.option", file=file, line=names.get(proof.line, proof.line))
    return Option(label=label, value=f"打开材料 {file.id}")


def open_(turn: Turn) -> Reply:
    """A link to one file, good for a while and for this person only."""
    match = re.fullmatch(_OPEN, turn.text)
    assert match is not None
    number = int(match["number"])
    may = turn.viewer.may("quarantine")
    file = files.seen(turn.db, number)
    if file is None:
        shut = turn.db.get(File, number) if may else None
        if shut is None or shut.state != "quarantined":
            raise Refused(say("materials.not_found", number=number))
        options = (Option(label="解除隔离", value=f"解除隔离 {number}"),)
        return Reply(text=say("materials.shut", file=shut), options=options, route="materials.open")
    opens = link(turn, file, say("materials.link"))
    if opens is None:
        return Reply(text=say("materials.no_page"), route="materials.open")
    shutting = (Option(label="隔离这份材料", value=f"隔离材料 {number}"),)
    text = say("materials.opened", file=file, minutes=files.OPEN_FOR.seconds // 60)
    return Reply(text=text, links=(opens,), options=shutting if may else (), route="materials.open")


# --- quarantine ------------------------------------------------------------------------------------------------------


def _reached(turn: Turn, pattern: str, state: files.State) -> Answers:
    """The file that a message names, when the viewer may shut it away or release it. Raises Refused otherwise."""
    match = re.fullmatch(pattern, turn.text)
    assert match is not None
    if not turn.viewer.may("quarantine"):
        raise Refused(say("materials.province_only"))
    number = int(match["number"])
    file = turn.db.get(File, number)
    reached = file is not None and (
        file.body_id is None or scope.reaches(turn.db, turn.viewer, "quarantine", file.body_id)
    )
    if file is None or not reached or file.state != state:
        raise Refused(say("materials.not_found", number=number))
    return {"file": number}


def _file(turn: Turn, answers: Answers) -> File:
    found: File = turn.db.get_one(File, answers["file"])
    return found


def _shut(turn: Turn, answers: Answers) -> Reply:
    file = _file(turn, answers)
    found = files.quarantine(turn.db, file, answers["reason"])
    _write_down(turn, file, found, "file.quarantine", answers["reason"])
    own = {one.person_id: one for one in reversed(found) if one.person_id is not None}
    for person_id, one in sorted(
        own.items()
    ):  # each hears of the file that they sent, under the name that they gave it
        deliveries.put(
            turn.db, source=f"file:{one.id}", version=int(turn.now.timestamp()), recipient=deliveries.person(person_id),
            lane="notice", why=say("materials.why"), now=turn.now,
            reply=Reply(text=say("materials.told", file=one, reason=answers["reason"]), route="told").to_json(),
        )  # fmt: skip
    return Reply(text=say("materials.done", number=file.id, count=len(found)), route="materials.shut")


def _release(turn: Turn, answers: Answers) -> Reply:
    file = _file(turn, answers)
    found = files.release(turn.db, file)
    _write_down(turn, file, found, "file.release", answers["reason"])
    return Reply(text=say("materials.released", number=file.id, count=len(found)), route="materials.released")


def _write_down(turn: Turn, file: File, found: list[File], action: str, reason: str) -> None:
    audit.record(
        turn.db, action, f"file:{file.id}", now=turn.now, role=turn.viewer.role_for("quarantine"),
        body_id=file.body_id, after={"files": [one.id for one in found], "sha256": file.sha256}, reason=reason,
    )  # fmt: skip


_SURE = (Option(label="确认", value="确认"), Option(label="取消", value="取消"))
_SHUT, _RELEASE = (rf"{word}\s*(?P<number>\d{{1,9}})" for word in ("隔离材料", "解除隔离"))
FLOWS = (
    Flow(
        name="隔离材料",
        title="隔离材料",
        steps=(
            words("reason", say("materials.ask_reason"), 2),
            Step(
                key="sure",
                ask=lambda turn, answers: say("materials.sure", file=_file(turn, answers), reason=answers["reason"]),
                parse=sure,
                options=_SURE,
            ),
        ),
        start=lambda turn: _reached(turn, _SHUT, "stored"),
        done=_shut,
    ),
    Flow(
        name="解除隔离",
        title="解除隔离",
        steps=(words("reason", say("materials.ask_reason"), 2),),
        start=lambda turn: _reached(turn, _RELEASE, "quarantined"),
        done=_release,
    ),
)
_LOOK = rf"(?:看|查看)(?:材料|佐证)(?:\s*(?P<item>{REF}))?"
_MISSING = (
    rf"(?:(?P<before>{REF})\s*(?:还)?(?:缺材料清单|(?:还)?[缺差](?:什么|哪些|啥)(?:材料|佐证)?)[?？]?)"
    rf"|(?:缺材料清单|还?[缺差]材料|材料缺口)(?:\s*(?P<after>{REF}))?"
)
_OPEN = r"打开材料\s*(?P<number>\d{1,9})"
ROUTES = [
    Route(
        name="materials.look", pattern=_LOOK, run=look, member=True, examples=("看材料", "看材料 3", "查看佐证 #12v3")
    ),
    Route(
        name="materials.missing",
        pattern=_MISSING,
        run=missing,
        member=True,
        examples=("缺材料清单", "缺材料清单 #12v3", "3号还缺什么材料？", "缺材料"),
    ),
    Route(name="materials.open", pattern=_OPEN, run=open_, member=True, examples=("打开材料 45",)),
    Route(name="隔离材料", pattern=_SHUT, flow=True, member=True, examples=("隔离材料 45",)),
    Route(name="解除隔离", pattern=_RELEASE, flow=True, member=True, examples=("解除隔离 45",)),
]
