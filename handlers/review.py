"""The province's part in rectification: the queue, review, 销号 by two people, follow-up checks, and the list itself.

Source: 商办建函〔2020〕144号 三(二), 五.
"""

import re
import unicodedata
from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Any

from bot.dialogue import Route
from bot.flows import Answers, Flow, Step
from bot.inputs import asks, day, day_within, numbers
from bot.itemforms import Form, choice, due, fields, flow_of, route_of, sure, words
from bot.items import (
    SHOWN,
    act,
    briefs,
    checklist,
    eligible,
    lines_shown,
    listed,
    may,
    named,
    offered,
    place_of,
    ref,
    seen,
    today,
    why_not,
)
from bot.messages import Invalid, Option, Refused, Reply, Turn
from bot.texts import say
from storage import evidence, items, links
from storage.items import Standing
from storage.models import Item
from storage.secrets import without_phones

MOST_WAYBILLS = 50
RECORDED_WITHIN = 180  # days, of a call or visit whose year is not named
PHOTOS_SINCE = timedelta(minutes=30)
_VISIT = re.compile(
    r"(?P<who>[^，,；;\n]{2,}?)\s*(?:[，,；;\n]|(?:实地|现场)?(?:查看|核查|看|去|到)了?)\s*(?P<where>.*[一-鿿].+)", re.S
)
UNLINKED = "不在清单上"

# --- lists -----------------------------------------------------------------------------------------------------------


def queue(turn: Turn) -> Reply:
    """What waits to be claimed and what is being verified, the longest waiting first."""
    return _list(turn, eligible(turn, ("claim", "return"), items.WAITING))


def to_sign(turn: Turn) -> Reply:
    """What waits for the signature of an approver."""
    return _list(turn, eligible(turn, ("close",)))


def to_check(turn: Turn) -> Reply:
    """What is closed and not confirmed by a follow-up check yet."""
    return _list(turn, eligible(turn, ("confirm",)))


def drafts(turn: Turn) -> Reply:
    """What is on the list and not issued yet."""
    return _list(turn, eligible(turn, ("issue",)))


def _list(turn: Turn, found: Sequence[Standing]) -> Reply:
    if not found:
        return Reply(text=say("review.nothing"), route="review.list")
    return listed(turn, found, say("review.listed", count=len(found), more=len(found) == items.MOST), "review.list")


# --- the second signature, one item or several at once ---------------------------------------------------------------


def _agreed(turn: Turn) -> Answers:
    """The items agreed to, each with its event: a head's confirmation, or the signature that closes."""
    match = re.fullmatch(_AGREE, turn.text)
    assert match is not None
    typed = [match["one"]] if match["one"] else [str(one) for one in numbers(match["before"] or match["after"] or "")]
    waiting = [*eligible(turn, ("agree",)), *eligible(turn, ("close",))]
    named_ones: list[tuple[Item | Standing, int]] = [named(turn, one, waiting) for one in typed] or [
        (one, one.version) for one in waiting
    ]
    found, cannot = [], []
    for item, version in named_ones:
        event = next((one for one in ("agree", "close") if may(turn, item, (one,))), None)
        if event is None and item.version == version:
            cannot.append(why_not(turn, item, ("agree", "close")))
        else:
            found.append([item.id, version, event or "agree"])
    if not found:
        raise Refused("\n".join(cannot) or say("review.nothing"))
    return {"items": found, "cannot": cannot}


def _closes(answers: Answers) -> bool:
    """Whether something is closed for good: that is asked once more."""
    return any(event == "close" for _, _, event in answers["items"])


def _ask_close(turn: Turn, answers: Answers) -> str:
    named_ones = [seen(turn, one[0]) for one in answers["items"]]
    proposed = [(line, _proposal(turn, item)) for item, line in zip(named_ones, briefs(turn, named_ones), strict=True)]
    return say("review.ask_close", briefs=proposed, cannot=answers["cannot"])


def _proposal(turn: Turn, item: Item) -> dict[str, Any]:  # Any: JSON
    past = items.trail(turn.db, item.id)
    return next((dict(one.said) for one in reversed(past) if one.event == "propose"), {})


def _agree(turn: Turn, answers: Answers) -> Reply:
    lines = []
    for item_id, version, event in answers["items"]:
        item = seen(turn, item_id)
        try:
            with turn.db.begin_nested():
                item = act(turn, item_id, version, event, {})
        except Refused as trouble:
            lines.append(say("review.not_done", item=item, reason=str(trouble)))
        else:
            lines.append(say("review.agreed", item=item, state=items.STATES[item.state]))  # type: ignore[index]  # the column holds states only
    text = "\n".join((*lines, *answers["cannot"]))
    return Reply(text=text, options=(Option(label="我的事项", value="我的事项"),), kind="flow", route="review.agreed")


_AGREED = Flow(
    name="同意",
    title=say("review.agree_title"),
    steps=(
        Step(
            key="sure",
            ask=_ask_close,
            parse=sure,
            options=(Option(label="确认", value="确认"), Option(label="取消", value="取消")),
            when=_closes,
        ),
    ),
    start=_agreed,
    done=_agree,
)


# --- forms -----------------------------------------------------------------------------------------------------------


def _ask_lines(turn: Turn, answers: Answers) -> str:
    return say("review.ask_lines", lines=lines_shown(turn, checklist(turn, seen(turn, answers["item"][0]))))


def _read_lines(turn: Turn, text: str) -> dict[str, str]:
    """What is missing, by line of the checklist: 1、3 照片看不清；2 没有盖章. Without a number it is about the whole."""
    lines = checklist(turn, seen(turn, dict(turn.conversation.answers)["item"][0]))
    found: dict[str, str] = {}
    for part in re.split(r"[；;\n]", text):
        match = re.fullmatch(r"\s*((?:第?\d{1,2}\s*[、,，和条项:：]*\s*)*)(.*)", part)
        if match is None or not match[2].strip():
            continue
        places = numbers(match[1])
        if not all(1 <= one <= len(lines) for one in places):
            raise Refused(say("review.no_such_line", count=len(lines)))
        for key in [lines[one - 1].id for one in places] or ["整体"]:
            found[key] = match[2].strip("，,：: 。")[:300]
    if asks(text) or not found or min(map(len, found.values())) < 2:
        raise Invalid(say("review.lines_unclear"))
    return found


def _claimed(turn: Turn, _answers: Answers) -> dict[str, Any]:  # Any: JSON
    return {"holder_id": turn.viewer.person_id}


def _issue_options(turn: Turn, answers: Answers) -> tuple[Option, ...]:
    planned = seen(turn, answers["item"][0]).due_on
    return (Option(label=planned.isoformat(), value=planned.isoformat()),) if planned else ()


def _issue_day(turn: Turn, text: str) -> Any:  # Any: an ISO date
    """The deadline: as planned, or any coming day."""
    planned = seen(turn, dict(turn.conversation.answers)["item"][0]).due_on
    if planned is not None and text.strip() == planned.isoformat():
        return text.strip()
    return due("due_on", "").parse(turn, text)


def _needs_record(answers: Answers) -> bool:
    return answers.get("method") in RECORDED


def _ask_record(_turn: Turn, answers: Answers) -> str:
    return say("review.ask_record", method=answers["method"])


def _ask_finding(_turn: Turn, answers: Answers) -> str:
    return say("review.ask_finding", method=answers.get("method", ""))


def _read_record(turn: Turn, text: str) -> dict[str, Any]:  # Any: JSON
    return record_of(turn, dict(turn.conversation.answers)["method"], text)


def record_of(turn: Turn, method: str, text: str) -> dict[str, Any]:  # Any: JSON
    """What proves a check: who went where, who was called and when, or the waybills that were traced. Raises Invalid."""
    if method == "物流追溯":
        return {"waybills": _waybills(text)}
    unclear = say("review.visit_unclear") if method == evidence.VISIT else say("review.call_unclear")
    try:
        typed, rest = day_within(text)
        on = day(typed, today(turn))
    except ValueError:
        raise Invalid(unclear) from None
    guessed = "20" not in typed and (today(turn) - on).days > RECORDED_WITHIN  # tomorrow, taken for last year's day
    if asks(text) or len(re.findall("[一-鿿]", rest)) < 2 or on > today(turn) or guessed:
        raise Invalid(unclear)
    if method != evidence.VISIT:
        return {"called_on": on.isoformat(), "called": without_phones(rest)[:200]}
    visit = _VISIT.fullmatch(rest)
    if visit is None:
        raise Invalid(unclear)
    return {"visited_on": on.isoformat(), "visitors": visit["who"][:100], "seen": visit["where"][:300]}


def _is_visit(answers: Answers) -> bool:
    return answers.get("method") == evidence.VISIT


def _read_photos(turn: Turn, text: str) -> list[int]:
    """The photos that were sent for a visit; none when there are none. Raises Invalid."""
    assert turn.user is not None  # a member's form
    word = text.strip("。！! ")
    found = evidence.loose_files(turn.db, turn.user.id, turn.now - PHOTOS_SINCE) if word == "发完了" else []
    if word not in ("发完了", "没有照片") or (word == "发完了" and not found):
        raise Invalid(say("review.photos_unclear"))
    return found


def _with_photos(flow: Flow) -> Flow:
    """The form of a check whose photos of a visit are kept with the item, in one with the event."""

    def done(turn: Turn, answers: Answers) -> Reply:
        with turn.db.begin_nested():
            if photos := answers.get("files"):
                evidence.attach(turn.db, seen(turn, answers["item"][0]), photos, evidence.VISIT, turn.now)
            return flow.done(turn, answers)

    return replace(flow, done=done)


def _waybills(text: str) -> list[str]:
    """Waybill numbers by their shape, as stated: 9 to 20 digits, after at most 4 letters. Raises Invalid."""
    plain = re.sub(r"运单号?|快递单号?|单号|[:：是为]", " ", unicodedata.normalize("NFKC", text).upper())
    found = list(dict.fromkeys(part for part in re.split(r"[\s、,，;；和]+", plain) if part))
    wrong = [one for one in found if not re.fullmatch(r"[A-Z]{0,4}\d{9,20}", one)]
    if not found or wrong or len(found) > MOST_WAYBILLS:
        raise Invalid(say("review.waybills_unclear", wrong=wrong[:3], most=MOST_WAYBILLS))
    return found


def _is_duplicate(answers: Answers) -> bool:
    return "重复" in answers.get("reason", "")


def _duplicates(turn: Turn, answers: Answers) -> tuple[Option, ...]:
    others = links.beside(turn.db, seen(turn, answers["item"][0]))
    shown = offered(turn, others[:SHOWN], lambda one: f"编号{one.number}")
    return (*shown, Option(label=UNLINKED, value=UNLINKED))


def _read_duplicate(turn: Turn, text: str) -> int:
    """The item on the same list that this one repeats; 0 when it is on none."""
    if text.strip() == UNLINKED:
        return 0
    others = links.beside(turn.db, seen(turn, dict(turn.conversation.answers)["item"][0]))
    found = next((one.id for one in others if text.strip().removeprefix("编号") == one.number), None)
    if found is None:
        raise Invalid(say("review.which_duplicate"))
    return found


def _withdrawal(turn: Turn, answers: Answers) -> dict[str, Any]:  # Any: JSON
    same = answers.get("duplicate")
    number = seen(turn, same).number if same else None
    return {"reason": answers["reason"], "duplicate": number, "duplicate_of": same or None}


def _recur(turn: Turn, answers: Answers) -> Reply:
    """Put a problem that came back on the list again, linked to the item that was confirmed."""
    item_id, version = answers["item"]
    before = act(turn, item_id, version, "recur", fields(answers))
    made = links.recurrence(turn.db, before, answers["problem"], turn.now)
    options = (
        Option(label="看新的一项", value=f"事项 #{made.id}"),
        Option(label="下发", value=f"下发事项 {ref(made)}"),
    )
    text = say("review.recurred", before=before, made=made, place=place_of(turn, before))
    return Reply(text=text, options=options, kind="flow", route="review.recurred")


def _failed(answers: Answers) -> bool:
    return bool(answers.get("result") == "不通过")


def _checked(_turn: Turn, answers: Answers) -> dict[str, Any]:  # Any: JSON
    return {key: value for key, value in fields(answers).items() if key != "result"}


RECORDED = (evidence.VISIT, "电话回访", "物流追溯")  # methods that are recorded: storage.items.METHODS
_METHOD = choice("method", say("review.ask_method"), items.METHODS)
_FINDING = words("finding", _ask_finding, 4)
_RECORD = Step(key="record", ask=_ask_record, parse=_read_record, when=_needs_record)
_PHOTOS = Step(
    key="files",
    ask=say("review.ask_photos"),
    parse=_read_photos,
    options=(Option(label="发完了", value="发完了"), Option(label="没有照片", value="没有照片")),
    when=_is_visit,
)
_REASON = words("reason", say("review.ask_reason"), 2)
_FORMS = {
    "下发事项": Form(
        name="下发事项",
        typed="下发事项",
        events=("issue",),
        steps=(Step(key="due_on", ask=say("review.ask_due"), parse=_issue_day, options=_issue_options),),
    ),
    "认领事项": Form(name="认领事项", typed="认领事项|认领核查|认领", events=("claim",), said=_claimed, sure=False),
    "放弃认领": Form(name="放弃认领", typed="放弃认领", events=("release",)),
    "退回事项": Form(
        name="退回事项",
        typed="退回事项|退回补充",
        events=("return",),
        steps=(Step(key="lines", ask=_ask_lines, parse=_read_lines, prose=True),),
    ),
    "提请销号": Form(
        name="提请销号", typed="提请销号", events=("propose",), steps=(_METHOD, _RECORD, _PHOTOS, _FINDING)
    ),
    "不同意销号": Form(name="不同意销号", typed="不同意销号", events=("refuse",), steps=(_REASON,)),
    "回头看记录": Form(
        name="回头看记录",
        typed="回头看记录|记录回头看|日常监督检查记录",
        events=("confirm", "reopen"),
        steps=(
            choice("check", say("review.ask_check"), items.CHECKS),
            _METHOD,
            _RECORD,
            _PHOTOS,
            _FINDING,
            choice("result", say("review.ask_result"), ("通过", "不通过")),
            due("due_on", say("review.ask_new_due"), _failed),
        ),
        chosen=lambda answers: "reopen" if _failed(answers) else "confirm",
        said=_checked,
    ),
    "批准延期": Form(name="批准延期", typed="批准延期|同意延期", events=("grant_extension",)),
    "不批延期": Form(name="不批延期", typed="不批延期|不同意延期", events=("deny_extension",), steps=(_REASON,)),
    "移出清单": Form(
        name="移出清单",
        typed="移出清单",
        events=("withdraw",),
        steps=(
            _REASON,
            Step(
                key="duplicate",
                ask=say("review.which_duplicate"),
                parse=_read_duplicate,
                options=_duplicates,
                when=_is_duplicate,
            ),
        ),
        said=_withdrawal,
    ),
    "再次发生": Form(
        name="再次发生",
        typed="再次发生|登记再次发生",
        events=("recur",),
        steps=(words("problem", say("review.ask_problem"), 4),),
    ),
    "转处理": Form(
        name="转处理",
        typed="转处理",
        events=("refer",),
        steps=(words("document", say("review.ask_document"), 4), _REASON),
    ),
}
_NUMS = r"第?\s*\d{1,4}(?:\s*[、,，和及\-—~至到]\s*第?\s*\d{1,4})*\s*(?:号|项)?"
_AGREE = rf"(?:(?P<before>{_NUMS})\s*(?:都|均|全部)?同意(?:销号)?|(?:全部|都)同意|同意\s*(?:全部|(?P<one>#\s*\d+(?:v\d+)?)|(?P<after>{_NUMS})))"
_DONE = {"再次发生": _recur}  # what is done with the answers beside applying the event
_VISITS = ("提请销号", "回头看记录")
FLOWS = (
    _AGREED,
    *(
        replace(flow_of(form), done=_DONE[form.name])
        if form.name in _DONE
        else _with_photos(flow_of(form))
        if form.name in _VISITS
        else flow_of(form)
        for form in _FORMS.values()
    ),
)
ROUTES = [
    Route(
        name="review.queue", pattern=r"待审(?:事项|核)?|待核查", run=queue, member=True, examples=("待审", "待审事项")
    ),
    Route(name="review.to-sign", pattern=r"待签批|待我签批", run=to_sign, member=True, examples=("待签批",)),
    Route(name="review.to-check", pattern=r"待回头看", run=to_check, member=True, examples=("待回头看",)),
    Route(name="review.drafts", pattern=r"待下发", run=drafts, member=True, examples=("待下发",)),
    Route(
        name="同意", pattern=_AGREE, flow=True, member=True, examples=("1-5同意", "全部同意", "同意 #12v3", "同意1、3")
    ),
    *(route_of(form, form.name, f"{form.name} #12v3", f"3号{form.name}") for form in _FORMS.values()),
]
