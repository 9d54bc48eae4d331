"""Updates of items in one sentence, their photos, and submission: a draft is shown and confirmed once.

Source: 商办建函〔2020〕144号 三; the evidence of each category follows its 附件1.
"""

import re
from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Any

from bot.dialogue import Route
from bot.flows import Answered, Answers, Flow, Step
from bot.inputs import asks, numbers
from bot.itemforms import Form, flow_of, route_of, sure
from bot.items import (
    REF,
    act,
    brief,
    briefs,
    checklist,
    eligible,
    gaps,
    lines_shown,
    may,
    name_of,
    named,
    offered,
    seen,
    why_not,
)
from bot.messages import Invalid, Option, Refused, Reply, Turn
from bot.texts import say
from storage import deliveries, evidence, items, people
from storage.items import Standing
from storage.models import Item

BEFORE = timedelta(minutes=10)  # photos sent so long before an update belong to it
SINCE = timedelta(minutes=30)  # and so long after it
UPDATE = "更新事项"
_SEVERAL = r"(?:都|均|已经|已|也|全部|全)*"
_DONE = rf"{_SEVERAL}(?:(?:整改|改|做|办|弄|搞|处理|落实)(?:完成|完毕|到位|完|好|妥)|完成整改|完成|完工|搞定|解决)(?:了)?(?!一半|[\d一二三四五六七八九]|的|后)"
_SHARE = (
    rf"{_SEVERAL}(?:(?:进度|完成|进展|做到|做|到)(?:了|到|为|是|约|大概)*\s*(?P<share>\d{{1,3}})\s*[%％]"
    r"|(?:整改|完成|做|改|弄|干)(?:了|到)?(?:大概|约)?(?:(?P<half>一半)|(?P<tenths>[一二三四五六七八九])成))(?:了)?"
)
_N = r"第?\s*(?:\d{1,4}|[一二三四五六七八九]?十[一二三四五六七八九]?|[一二三四五六七八九])"
_UNIT = r"\s*(?:号|项|条|个)?(?:整改)?(?:事项|问题)?"
_LIST = rf"{_N}(?:{_UNIT}\s*[、,，和及跟\-—~至到]\s*{_N})*{_UNIT}"
_BUT = rf"除(?:了|开)?\s*(?P<but>{_LIST})\s*(?:以外|之外|外)?[，,\s]*(?:其他|其余|剩下|别)?(?:的)?(?:事项|问题)?"
_PART = rf"(?:{_BUT}|(?P<nums>{_LIST})|全部(?:事项|问题)?)\s*(?:{_SHARE}|{_DONE})"
_UNNAMED = re.sub(r"\?P<\w+>", "", _PART)
_GREETING = r"(?:(?:您好|你好|领导好|报告|我们县?|我县|本县)[，,。！!\s]*)?"
_UPDATES = rf"(?!.*[吗呢?？]\s*$){_GREETING}(?:{_UNNAMED})(?:(?:[，,。；;、！!\s]|但|不过|就是|只是).*)?"
_LATER = re.compile(
    r"(?:照片|材料|佐证|文件)?(?:随后|稍后|之后|回头|晚点|改天|过几天|今天|明天|后天|上午|下午|晚上|下周)(?:一并)?(?:再)?(?:发|传|补|交)|后补"
)


# --- one sentence for several items ----------------------------------------------------------------------------------


def _read(turn: Turn, text: str) -> dict[str, Any]:  # Any: the JSON of a draft
    """A draft of what one sentence says of several items. Raises Invalid when it says nothing of any."""
    parts = list(re.finditer(_PART, text))
    if not parts:
        raise Invalid(say("updates.update_unclear"))
    note = re.sub(rf"^{_GREETING}", "", re.sub(_PART, "", text))
    note = re.sub(r"^(?:但是|但|不过|就是|只是)", "", note.strip("，,。；;、！! "))
    draft: dict[str, Any] = {"items": [], "cannot": [], "note": note[:300], "later": bool(_LATER.search(note))}
    allowed = {one.id for one in eligible(turn, ("report",))}
    current = items.working(turn.db)
    for part in parts:
        for typed in _meant(turn, part, current, allowed):
            _place(turn, draft, typed, current, allowed, _share(part))
    return draft


def _share(part: re.Match[str]) -> int:
    """How far an item has come, in per cent."""
    if part["tenths"]:
        return 10 * numbers(part["tenths"])[0]
    return 50 if part["half"] else min(100, int(part["share"] or 100))


def _meant(turn: Turn, part: re.Match[str], current: Sequence[Item | Standing], allowed: set[int]) -> list[str]:
    """The items that a part of a sentence is about: those listed, all, or all but those listed. Raises Refused."""
    if part["nums"]:
        return [str(number) for number in numbers(part["nums"])]
    but = {named(turn, str(number), current)[0].id for number in numbers(part["but"] or "")}
    return [f"#{one}" for one in sorted(allowed - but)]


def _place(
    turn: Turn, draft: dict[str, Any], typed: str, current: Sequence[Item | Standing], allowed: set[int], share: int
) -> None:
    """Put one named item into a draft, or among those that cannot be updated, with the reason."""
    try:
        item, version = named(turn, typed, current)
    except Refused:
        draft["cannot"].append([typed, say("updates.no_such", number=typed)])
        return
    before = next((one for one in draft["items"] if one["id"] == item.id), None)
    if before is not None:
        if before["share"] != share:
            raise Refused(say("updates.contradicts", brief=brief(turn, item), shares=(before["share"], share)))
        return
    to = "report" if share < 100 or draft["later"] else "submit" if may(turn, item, ("request",)) else "done"
    waits = to == "done" and "contractor" not in turn.viewer.roles  # for the head already
    if item.id not in allowed or waits:
        reason = why_not(turn, item, ("request",) if waits else ("report",))
        draft["cannot"].append([typed, say("updates.cannot", item=item, reason=reason)])
        return
    draft["items"].append({"id": item.id, "version": version, "share": share, "to": to})


def _begin_update(turn: Turn) -> Answers:
    draft = _submission(turn) if re.fullmatch(_SUBMIT, turn.text) else _read(turn, turn.text)
    if draft is None:
        return _found(turn)
    if not draft["items"]:
        raise Refused("\n".join(reason for _, reason in draft["cannot"]))
    return {**_found(turn), "draft": draft}


def _found(turn: Turn) -> dict[str, Any]:  # Any: JSON
    """The photos that were sent just before, as a form begins with them."""
    assert turn.user is not None
    sent = evidence.loose_files(turn.db, turn.user.id, turn.now - BEFORE)
    return {"files": sent} if sent else {}


def _submission(turn: Turn) -> dict[str, Any] | None:  # Any: the JSON of a draft
    """A draft that submits the item named, or the only one there is; None when it is to be asked for."""
    match = re.fullmatch(_SUBMIT, turn.text)
    assert match is not None
    allowed = eligible(turn, ("request",))
    typed = match["before"] or match["after"]
    if not allowed and not typed:
        raise Refused(say("items.none_for", what="申请销号"))
    if not typed and len(allowed) > 1:
        return None
    item, version = named(turn, typed, allowed) if typed else (seen(turn, allowed[0].id), allowed[0].version)
    if not may(turn, item, ("request",)) and item.version == version:
        raise Refused(why_not(turn, item, ("request",)))
    return {
        "items": [{"id": item.id, "version": version, "share": 100, "to": "submit"}],
        "cannot": [], "note": "", "later": False,
    }  # fmt: skip


def _draft(turn: Turn, text: str) -> dict[str, Any]:  # Any: the JSON of a draft
    """The first step, when nothing has been said of any item yet: an update, or the item to submit."""
    if re.fullmatch(_UPDATES, text):
        draft = _read(turn, text)
    else:
        typed = _typed(text)
        draft = {"items": [], "cannot": [], "note": "", "later": False}
        allowed = eligible(turn, ("request",))
        for one in typed:
            _place(turn, draft, one, allowed, {item.id for item in allowed}, 100)
    if draft["cannot"] and not draft["items"]:
        raise Refused("\n".join(reason for _, reason in draft["cannot"]))
    if not draft["items"]:
        raise Invalid(say("updates.update_unclear"))
    return draft


def _typed(text: str) -> list[str]:
    """The items that a message names and nothing else: a list of numbers, an item's own number, a tapped option."""
    if re.fullmatch(_LIST, text.strip()):
        return [str(number) for number in numbers(text)]
    return [text.strip()] if re.fullmatch(REF, text.strip()) else []


def _open(turn: Turn, _answers: Answers) -> tuple[Option, ...]:
    return offered(turn, eligible(turn, ("request",))[:20])


def _spread(answers: Answers) -> dict[int, list[int]]:
    """Which photos go to which item: as was said, else in order when there are as many, else all to each."""
    ids, files = [one["id"] for one in answers["draft"]["items"]], list(answers.get("files", []))
    places = answers.get("assign")
    if places and len(places) == len(files) and max(places) < len(ids):
        return {one: [file for file, place in zip(files, places, strict=True) if ids[place] == one] for one in ids}
    if len(files) == len(ids):
        return {one: [file] for one, file in zip(ids, files, strict=True)}
    return {one: files for one in ids}


def _ambiguous(answers: Answers) -> bool:
    files, ids = answers.get("files", []), answers["draft"]["items"]
    return bool(files) and len(ids) > 1 and len(files) != len(ids)


def _assign(turn: Turn, text: str) -> list[int]:
    """The place of each photo's item: one for all, or one for each photo in order."""
    answers = dict(turn.conversation.answers)
    ids, files = answers["draft"]["items"], answers["files"]
    said = [int(one) for one in re.findall(r"\d+", text)] if re.fullmatch(r"[\d\s、,，;；和第项号都]+", text) else []
    if len(said) == 1:
        said *= len(files)
    if len(said) != len(files) or not all(1 <= one <= len(ids) for one in said):
        raise Invalid(say("updates.assign_unclear", count=len(files), items=len(ids)))
    return [one - 1 for one in said]


def _submitted(answers: Answers) -> bool:
    return any(one["to"] == "submit" for one in answers["draft"]["items"])


def _ask_gaps(turn: Turn, answers: Answers) -> str:
    shown = [
        (brief(turn, item), lines_shown(turn, checklist(turn, item)), {line.id for line in gaps(turn, item)})
        for item in _items(turn, answers, "submit")
    ]
    return say("updates.ask_gaps", shown=shown, photos=len(answers.get("files", [])))


def _gap_options(turn: Turn, answers: Answers) -> tuple[Option, ...]:
    spread = _spread(answers)
    whole = all(spread[item.id] or not gaps(turn, item) for item in _items(turn, answers, "submit"))
    labels = (*(("材料已齐",) if whole else ()), "先报进展")
    return tuple(Option(label=one, value=one) for one in labels)


def _read_gaps(turn: Turn, text: str) -> str:
    """How the lines without evidence are explained; 先报进展 submits nothing yet."""
    offered = {one.value for one in _gap_options(turn, dict(turn.conversation.answers))}
    if text in offered:
        return text
    if text == "材料已齐" or len(text) < 4 or asks(text):
        raise Invalid(say("updates.gaps_unclear"))
    return text[:300]


def _items(turn: Turn, answers: Answers, to: str) -> list[Item]:
    return [seen(turn, one["id"]) for one in answers["draft"]["items"] if one["to"] == to]


def _what(turn: Turn, answers: Answers) -> list[dict[str, Any]]:  # Any: what the template needs
    """For each item of a draft: what will happen to it."""
    spread, found = _spread(answers), []
    for one in answers["draft"]["items"]:
        item = seen(turn, one["id"])
        to = "report" if one["to"] == "submit" and answers.get("gaps") == "先报进展" else one["to"]
        heads = [name_of(turn, head) for head in _other_heads(turn, item)] if to == "submit" else []
        found.append(
            {
                "brief": brief(turn, item),
                "share": one["share"],
                "to": to,
                "photos": len(spread[item.id]),
                "heads": heads,
            }
        )
    return found


def _other_heads(turn: Turn, item: Item) -> list[int]:
    """The heads who have to agree; none when the submitter is one, or nobody is bound as one."""
    found = [one.id for one in people.holding(turn.db, "county_head", item.body_id)]
    return [] if turn.viewer.person_id in found else found


def _ask_sure(turn: Turn, answers: Answers) -> str:
    gap = answers.get("gaps", "")
    return say(
        "updates.draft",
        what=_what(turn, answers),
        cannot=[reason for _, reason in answers["draft"]["cannot"]],
        note=answers["draft"]["note"],
        gap="" if gap in ("先报进展", "材料已齐") else gap,
    )


def _sure_options(turn: Turn, answers: Answers) -> tuple[Option, ...]:
    signed = any(one["heads"] for one in _what(turn, answers)) and bool(answers.get("files"))
    labels = ("确认", *(("线下已签批",) if signed else ()), "取消")
    return tuple(Option(label=one, value=one) for one in labels)


def _read_sure(turn: Turn, text: str) -> Any:  # Any: the answer, or Answered
    """A confirmation, a signature on paper, or a correction: 不对，是4号."""
    answers = dict(turn.conversation.answers)
    if fixed := re.fullmatch(r"(?:不对|错了|不是)[，,。\s]*(?:是|应该是|应为)?\s*(.+)", text):
        return Answered(key="draft", value=_corrected(turn, answers["draft"], fixed[1]))
    if re.fullmatch(_UPDATES, text):
        return Answered(key="draft", value=_whole(_read(turn, text)))
    if text == "线下已签批":
        if not answers.get("files"):
            raise Refused(say("updates.scan_first"))
        return "offline"
    return "yes" if sure(turn, text) else "no"


def _corrected(turn: Turn, draft: dict[str, Any], said: str) -> dict[str, Any]:  # Any: the JSON of a draft
    """The draft with other items, or other words for them."""
    if re.match(_PART, said):
        return _whole(_read(turn, said))
    typed = _typed(said)
    if not typed:
        raise Invalid(say("items.confirm_or_back"))
    share = draft["items"][0]["share"]
    fresh = {**draft, "items": [], "cannot": []}
    allowed = {one.id for one in eligible(turn, ("report",))}
    for number in typed:
        _place(turn, fresh, number, items.working(turn.db), allowed, share)
    return _whole(fresh)


def _whole(draft: dict[str, Any]) -> dict[str, Any]:  # Any: the JSON of a draft
    if not draft["items"]:
        raise Refused("\n".join(reason for _, reason in draft["cannot"]))
    return draft


def _store(turn: Turn, answers: Answers) -> Reply:
    """Do what was confirmed, each item for itself: one that cannot be changed any more leaves the others alone."""
    spread, lines, last = _spread(answers), [], None
    for one, what in zip(answers["draft"]["items"], _what(turn, answers), strict=True):
        try:
            with turn.db.begin_nested():
                last = _update(turn, answers, {**one, "to": what["to"]}, spread[one["id"]])
        except Refused as trouble:
            lines.append(say("updates.not_updated", brief=what["brief"], reason=str(trouble)))
        else:
            lines.append(say("updates.updated", item=last, to=what["to"], state=items.STATES[last.state]))  # type: ignore[index]  # the column holds states only
    options = (Option(label="我的事项", value="我的事项"),)
    text = say("updates.stored", lines=lines, later=answers["draft"]["later"])
    return Reply(text=text, options=options, kind="flow", route="items.updated")


def _update(turn: Turn, answers: Answers, one: dict[str, Any], files: list[int]) -> Item:
    item = seen(turn, one["id"])
    version, note = one["version"], answers["draft"]["note"]
    if files:
        item = act(turn, item.id, version, "attach", {"files": files})
        evidence.attach(turn.db, item, files, "", turn.now)
        version = item.version
    if one["to"] != "submit":
        return _report(turn, item.id, version, note or say("updates.reported_share", share=one["share"]), one["share"])
    gap = answers.get("gaps", "")
    said: dict[str, Any] = {"declared": True, "text": note, "gaps": {line.id: gap for line in gaps(turn, item)}}
    if answers["sure"] == "offline":
        return act(turn, item.id, version, "submit", {**said, "signed_offline": files})
    return act(turn, item.id, version, "request" if _other_heads(turn, item) else "submit", said)


def _report(turn: Turn, item_id: int, version: int, text: str, share: int | None) -> Item:
    said: dict[str, Any] = {"text": text} | ({} if share is None else {"progress": share})
    item = act(turn, item_id, version, "report", said)
    if share == 100 and "contractor" in turn.viewer.roles:
        _tell_officers(turn, item)
    return item


def _tell_officers(turn: Turn, item: Item) -> None:
    """A contractor says that an item is done: its officers submit it."""
    for person in people.holding(turn.db, "county_officer", item.body_id):
        text = say("updates.contractor_done", brief=brief(turn, item), who=name_of(turn, turn.viewer.person_id))
        deliveries.put(
            turn.db, source=f"item:{item.id}", version=item.version, recipient=deliveries.person(person.id), lane="notice",
            reply=Reply(text=text, route="item.told").to_json(), why=say("updates.why_contractor"), now=turn.now,
        )  # fmt: skip


_UPDATE = Flow(
    name=UPDATE,
    title=say("updates.update_title"),
    steps=(
        Step(key="draft", ask=say("updates.ask_update"), parse=_draft, options=_open),
        Step(
            key="assign",
            ask=lambda turn, answers: say(
                "updates.ask_assign",
                count=len(answers["files"]),
                briefs=briefs(turn, [seen(turn, one["id"]) for one in answers["draft"]["items"]]),
            ),
            parse=_assign,
            when=_ambiguous,
        ),
        Step(key="gaps", ask=_ask_gaps, parse=_read_gaps, options=_gap_options, when=_submitted, prose=True),
        Step(key="sure", ask=_ask_sure, parse=_read_sure, options=_sure_options),
    ),
    start=_begin_update,
    done=_store,
)


# --- photos ----------------------------------------------------------------------------------------------------------


def attached(turn: Turn, reply: Reply) -> Reply:
    """Put what was just sent into the open form, or onto the item that was just updated; ask when there are several."""
    if turn.user is None or reply.route != "inbox.took":
        return reply
    sent = evidence.loose_files(turn.db, turn.user.id, turn.now - BEFORE)
    if not sent:
        return reply
    flow = {UPDATE: _UPDATE, _MATERIALS.name: _MATERIALS}.get(turn.conversation.flow or "")
    if flow is not None:
        return _into_form(turn, flow, sent)
    if any(one["value"] == "发完了" for one in turn.conversation.options):  # a form that waits for them
        return replace(reply, text=say("updates.photos_kept", count=len(sent)))
    item = _just_updated(turn)
    if item is None:
        return replace(reply, text=say("updates.photos_wait", count=len(sent)), options=())
    item = act(turn, item.id, item.version, "attach", {"files": sent})
    evidence.attach(turn.db, item, sent, "", turn.now)
    return Reply(text=say("updates.photos_on", count=len(sent), brief=brief(turn, item)), route="items.photos")


def _into_form(turn: Turn, flow: Flow, sent: list[int]) -> Reply:
    kept = [pair for pair in turn.conversation.answers if pair[0] not in ("files", "assign")]
    turn.conversation.answers = [["files", sent], *kept]
    answers = dict(turn.conversation.answers)
    step = flow.next_step(answers)
    assert step is not None
    text = say("updates.photos_in_form", count=len(sent), ask=step.asked(turn, answers))
    options = step.offered(turn, answers)
    turn.conversation.options = [{"label": one.label, "value": one.value} for one in options]
    return Reply(text=text, options=options, kind="flow", route=f"flow:{flow.name}")


def _just_updated(turn: Turn) -> Item | None:
    """The one item that the person has worked on in the last half hour, when it still takes evidence."""
    assert turn.user is not None
    found = items.touched(turn.db, turn.user.id, turn.now - SINCE)
    allowed = {one.id: one for one in eligible(turn, ("attach",))}
    return seen(turn, found[0]) if len(found) == 1 and found[0] in allowed else None


def _line_options(turn: Turn, answers: Answers) -> tuple[Option, ...]:
    item = seen(turn, answers["item"][0])
    lines = [Option(label=line.text, value=line.id) for line in checklist(turn, item)]
    return (*lines, Option(label="其他材料", value="其他材料"))


def _read_line(turn: Turn, text: str) -> str:
    offered = _line_options(turn, dict(turn.conversation.answers))
    found = next((one.value for one in offered if text in (one.label, one.value)), None)
    if found is None:
        raise Invalid(say("updates.which_line"))
    return "" if found == "其他材料" else found


def _sent_all(turn: Turn, text: str) -> bool:
    if text.strip("。 ") not in ("发完了", "完了", "好了", "确认", "没有了"):
        raise Invalid(say("updates.send_now"))
    if not dict(turn.conversation.answers).get("files"):
        raise Invalid(say("updates.nothing_sent"))
    return True


def _attach(turn: Turn, answers: Answers) -> Reply:
    item_id, version = answers["item"]
    item = act(turn, item_id, version, "attach", {"files": answers["files"], "line": answers["line"]})
    evidence.attach(turn.db, item, answers["files"], answers["line"], turn.now)
    missing = lines_shown(turn, gaps(turn, item))
    text = say("updates.attached", count=len(answers["files"]), brief=brief(turn, item), missing=missing)
    options = (Option(label="再传材料", value=f"传材料 #{item.id}"), Option(label="看这一项", value=f"事项 #{item.id}"))
    return Reply(text=text, options=options, kind="flow", route="items.attached")


_MATERIALS_FORM = Form(
    name="传材料",
    typed="传材料|上传材料|传佐证",
    events=("attach",),
    steps=(
        Step(key="line", ask=say("updates.which_line"), parse=_read_line, options=_line_options),
        Step(
            key="sent",
            ask=say("updates.send_now"),
            parse=_sent_all,
            options=(Option(label="发完了", value="发完了"), Option(label="取消", value="取消")),
        ),
    ),
    sure=False,
)
_MATERIALS = replace(flow_of(_MATERIALS_FORM), done=_attach)
_SUBMIT = rf"(?:(?P<before>{REF})\s*)?申请销号(?:\s*(?P<after>{REF}))?"
FLOWS = (_UPDATE, _MATERIALS)
ROUTES = [
    Route(
        name=UPDATE,
        pattern=_UPDATES,
        flow=True,
        member=True,
        sentence=True,
        examples=("1、3、5改完了", "3号事项进度80%，月底前完工", "第2项改完了，照片随后发"),
    ),
    Route(
        name="申请销号",
        pattern=_SUBMIT,
        flow=UPDATE,
        member=True,
        examples=("申请销号", "申请销号 #12v3", "3号申请销号"),
    ),
    route_of(_MATERIALS_FORM, "传材料", "传材料 #12v3"),
]  # fmt: skip
