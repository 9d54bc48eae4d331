"""A county's rectification items in chat: the list, the card, and the forms for what happens to one of them.

Source: 商办建函〔2020〕144号 三; the evidence of each category follows its 附件1.
"""

import re
from dataclasses import replace
from datetime import date
from typing import Any

from bot.dialogue import Route
from bot.flows import Answers
from bot.itemforms import Form, due, flow_of, route_of, words
from bot.items import REF, card, eligible, listed, named, offered, opening, possible, ref, seen, today, trail
from bot.messages import Invalid, Option, Reply, Turn
from bot.texts import say
from storage import evidence, flags, items, milestones
from storage.items import Standing
from storage.models import Item

# --- the list and the card -------------------------------------------------------------------------------------------


def mine(turn: Turn) -> Reply:
    """What somebody has to do, the most urgent first."""
    assert turn.user is not None
    waiting = _to_confirm(turn) if turn.viewer.division is None else eligible(turn, ("close",))
    others = items.working(turn.db) if turn.viewer.division is None else items.held(turn.db, turn.user.id)
    found: list[Item | Standing] = [*waiting, *(one for one in others if one.id not in {other.id for other in waiting})]
    if not found:
        return Reply(text=say("rectification.nothing"), route="items.mine")
    late = sum(1 for one in found if flags.overdue_days(one, today(turn)))
    return listed(
        turn, found, say("rectification.mine", count=len(found), late=late, waiting=len(waiting)), "items.mine"
    )


def show(turn: Turn) -> Reply:
    """One item and what can be done with it."""
    match = re.fullmatch(_SHOW, turn.text)
    assert match is not None
    item, _ = named(turn, match["item"])
    return card(turn, item, _next(turn, item))


def history(turn: Turn) -> Reply:
    """What happened to one item."""
    match = re.fullmatch(_HISTORY, turn.text)
    assert match is not None
    item, _ = named(turn, match["item"])
    return trail(turn, item)


def _next(turn: Turn, item: Item) -> list[Option]:
    """What the viewer can do with an item now."""
    at = ref(item)
    stages = milestones.planned(turn.db, item.id)
    actions = [one for one in _ACTIONS if one[0] != "plan" or stages or item.kind == "分阶段"]
    allowed = possible(turn, [item])[item.id]
    found = [Option(label=label, value=f"{form} {at}") for event, label, form in actions if event in allowed]
    if "report" in allowed and any(one.done_on is None for one in stages):
        found.append(Option(label="阶段完成", value=f"阶段完成 {at}"))
    if evidence.materials(turn.db, item):
        found.append(Option(label="看材料", value=f"看材料 #{item.id}"))
    if item.state in ("closed", "confirmed", "reopened") and turn.viewer.may("make_papers"):
        found.append(Option(label="出回头看记录", value=f"出回头看记录 #{item.id}"))
    return found


_ACTIONS = (
    ("acknowledge", "签收，填整改措施", "签收事项"),
    ("agree", "同意，申请销号", "同意"),
    ("decline", "退给经办人", "退给经办人"),
    ("report", "报进展", "报进展"),
    ("plan", "安排阶段", "安排阶段"),
    ("attach", "传材料", "传材料"),
    ("request", "申请销号", "申请销号"),
    ("ask_extension", "申请延期", "申请延期"),
    ("recall", "撤回申请", "撤回申请"),
    ("issue", "下发", "下发事项"),
    ("claim", "认领核查", "认领事项"),
    ("propose", "提请销号", "提请销号"),
    ("return", "退回补充", "退回事项"),
    ("release", "放弃认领", "放弃认领"),
    ("close", "同意销号", "同意"),
    ("refuse", "不同意销号", "不同意销号"),
    ("confirm", "记录回头看", "回头看记录"),
    ("recur", "登记再次发生", "再次发生"),
    ("grant_extension", "批准延期", "批准延期"),
    ("deny_extension", "不批延期", "不批延期"),
    ("withdraw", "移出清单", "移出清单"),
    ("refer", "转处理", "转处理"),
)


def _to_confirm(turn: Turn) -> list[Standing]:
    return eligible(turn, ("agree",))


def to_confirm(turn: Turn) -> Reply:
    """What waits for the head of a county."""
    found = _to_confirm(turn)
    if not found:
        return Reply(text=say("rectification.nothing_to_confirm"), route="items.to-confirm")
    lines = offered(turn, found)
    several = tuple(Option(label=f"同意 {one.label}", value=f"同意 {one.value}") for one in lines)
    looks = tuple(
        Option(label=f"先看 {one.label}", value=opening(item)) for item, one in zip(found, lines, strict=True)
    )
    return Reply(
        text=say("rectification.to_confirm", count=len(found)), options=several + looks, route="items.to-confirm"
    )


# --- forms of one item -----------------------------------------------------------------------------------------------


def _progress(turn: Turn, answers: Answers) -> dict[str, Any]:  # Any: JSON
    share = re.search(r"(\d{1,3})\s*[%％]", answers["text"])
    return {"text": answers["text"]} | ({"progress": min(100, int(share[1]))} if share else {})


def _read_new_due(turn: Turn, text: str) -> str:
    """The day to which a deadline is to be moved: after the one in force."""
    asked: str = _NEW_DUE.parse(turn, text)
    in_force = seen(turn, dict(turn.conversation.answers)["item"][0]).due_on
    if in_force is not None and date.fromisoformat(asked) <= in_force:
        raise Invalid(say("rectification.not_later", due_on=in_force))
    return asked


_NEW_DUE = due("new_due_on", say("rectification.ask_new_due"))
_FORMS = {
    "签收事项": Form(
        name="签收事项",
        typed=r"签收事项|签收(?=\s*(?:第|#|编号|\d))|(?<=[号项条])签收",
        events=("acknowledge",),
        steps=(words("measure", say("rectification.ask_measure"), 6),),
    ),
    "报进展": Form(
        name="报进展",
        typed="报进展|报告进展|填报进展",
        events=("report",),
        steps=(words("text", say("rectification.ask_progress"), 3),),
        said=_progress,
    ),
    "申请延期": Form(
        name="申请延期",
        typed="申请延期",
        events=("ask_extension",),
        steps=(replace(_NEW_DUE, parse=_read_new_due), words("reason", say("rectification.ask_delay"), 4)),
    ),
    "撤回申请": Form(name="撤回申请", typed="撤回申请|撤回销号申请|撤回", events=("recall",)),
    "退给经办人": Form(
        name="退给经办人",
        typed="退给经办人|不同意申请",
        events=("decline",),
        steps=(words("reason", say("rectification.ask_reason"), 2),),
    ),
}
_SHOW = rf"(?:事项|查看事项|看事项|看)\s*(?P<item>{REF})"
_HISTORY = rf"(?:办理过程|事项过程|过程)\s*(?P<item>{REF})"
FLOWS = tuple(flow_of(form) for form in _FORMS.values())
ROUTES = [
    Route(name="items.mine", pattern=r"我的事项|整改事项|事项清单|我的整改", run=mine, member=True, examples=("我的事项",)),
    Route(name="items.show", pattern=_SHOW, run=show, member=True, examples=("事项 3", "事项 #12", "看第3项")),
    Route(name="items.trail", pattern=_HISTORY, run=history, member=True, examples=("办理过程 3", "办理过程 #12")),
    Route(name="items.to-confirm", pattern=r"待我确认", run=to_confirm, member=True, examples=("待我确认",)),
    route_of(_FORMS["签收事项"], "签收事项", "签收事项 #12v1", "签收第3项", "签收4号", "4号签收"),
    route_of(_FORMS["报进展"], "报进展", "报进展 3", "3号报进展"),
    route_of(_FORMS["申请延期"], "申请延期", "3号申请延期"),
    route_of(_FORMS["撤回申请"], "撤回申请", "撤回申请 #12v3", "撤回", "撤回3号"),
    route_of(_FORMS["退给经办人"], "退给经办人", "退给经办人 #12v3"),
]  # fmt: skip
