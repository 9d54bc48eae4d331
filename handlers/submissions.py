"""What the province sends to the ministries: the list of submissions, and the receipt that names an expert (附件2)."""

import re
from collections.abc import Callable
from datetime import date
from typing import Any

from bot import documents, files
from bot.dialogue import Route
from bot.documents import Table, Text
from bot.flows import Answers, Flow, Step
from bot.inputs import asks
from bot.messages import Invalid, Option, Refused, Reply, Turn
from bot.results import parted
from bot.texts import say
from bot.workdays import LOCAL
from knowledge.model import Citation
from knowledge.submissions import Submission
from storage import people, secrets

NOTICE = "144-2020"
RULE = "nomination-late"
LATER = "打印后手填"
LONGEST = 60
_FIELDS = ("unit", "name", "sex", "nation", "post", "phone", "note")  # the columns of 附件2, in order


def _today(turn: Turn) -> date:
    return turn.now.astimezone(LOCAL).date()


# --- 报送材料核对单 -------------------------------------------------------------------------------------------------------


def _passed(turn: Turn, one: Submission) -> date | None:
    """The date of a submission when it has passed."""
    due = turn.kb.by_id[one.entry].deadline if one.entry else None
    return due if due is not None and due < _today(turn) else None


def _notes(turn: Turn) -> list[str]:
    cited = [turn.kb.citation(one.cite, _today(turn)) for one in turn.kb.submissions]
    titles = dict.fromkeys(one.title for one in cited if one.text_status == "unverified")
    return [say("submissions.unverified", title=title, phrase=turn.kb.phrases["unverified"]) for title in titles]


def checklist(turn: Turn) -> Reply:
    """What the province hands in: what, who to whom, until when, with the clause."""
    entries = [
        say(
            "submissions.entry",
            place=place,
            one=one,
            passed=_passed(turn, one),
            citation=turn.kb.citation(one.cite, _today(turn)),
        )
        for place, one in enumerate(turn.kb.submissions, 1)
    ]
    text, rest = parted(say("submissions.checklist", notes=_notes(turn)), entries)
    options = (Option(label=say("submissions.export"), value="导出核对单"),) if turn.user else ()
    return Reply(text=text, rest=rest, options=options, route="submissions.checklist")


def export(turn: Turn) -> Reply:
    """The list of submissions as a document to tick off."""
    rows = [
        (
            str(place),
            one.what,
            say("submissions.from_to", who=one.who, whom=one.whom),
            say("submissions.until", until=one.until, passed=_passed(turn, one), note=one.note),
            say("submissions.clause", citation=turn.kb.citation(one.cite, _today(turn))),
            "□",
        )
        for place, one in enumerate(turn.kb.submissions, 1)
    ]
    head = say("submissions.checklist_head", province=turn.given.get("province", ""), today=_today(turn))
    table = Table(
        header=say("submissions.checklist_columns").split("|"), rows=rows, widths=(1.2, 2.5, 2.4, 3, 4.9, 1.6)
    )
    notes = [Text(text=note, size=12) for note in _notes(turn)]
    data = documents.write(say("submissions.checklist_title"), [Text(text=head), table, *notes])
    name = say("submissions.checklist_name")
    body_id = turn.user.body_id if turn.user and turn.viewer.division is None else None
    link = files.hand_out(turn, name, documents.MIME, data, body_id=body_id)
    return Reply(text=say("submissions.exported", name=name), links=(link,), route="submissions.export")


# --- 推荐回执 -------------------------------------------------------------------------------------------------------------


def _asked(turn: Turn) -> Citation:
    """The sentence that asks for one person of rank, for fifteen days, by a day."""
    clause = turn.kb.clauses[NOTICE, "五¶3"]
    rule = turn.kb.rules[RULE]
    cited = turn.kb.citation(rule.cases[0].cites[0], _today(turn))
    return Citation(
        notice_id=cited.notice_id, number=cited.number, title=cited.title, clause=clause.label, quote=clause.text,
        text_status=cited.text_status, validity=cited.validity,
    )  # fmt: skip


def _late(turn: Turn) -> dict[str, Any]:  # Any: texts and a date
    """What the rule says to a receipt that is sent today; nothing while it is in time."""
    rule, known = turn.kb.rules[RULE], {"submitted_on": _today(turn)}
    [case] = rule.possible(known)
    return {"late": rule.fill(case.statement, known) if case.verdict == "no" else "", "due": case.deadline}


def _begin(turn: Turn) -> Answers:
    if turn.viewer.division is None:
        raise Refused(say("submissions.province_only"))
    return {}


def _yes(words: tuple[str, ...], otherwise: str) -> Callable[[Turn, str], bool]:
    def parse(_turn: Turn, text: str) -> bool:
        if text.strip("。！! ") not in words:
            raise Invalid(otherwise)
        return True

    return parse


def _line(field: str, pattern: str = "") -> Callable[[Turn, str], str]:
    def parse(_turn: Turn, text: str) -> str:
        typed = " ".join(text.split())
        if len(typed) > LONGEST or asks(typed) or (pattern and not re.fullmatch(pattern, typed)):
            raise Invalid(say("submissions.unclear", field=field))
        return "" if field == "note" and typed == "无" else typed

    return parse


def _phone(_turn: Turn, text: str) -> str:
    try:
        return "" if text == LATER else people.read_phone(text)
    except ValueError:
        raise Invalid(say("submissions.unclear", field="phone")) from None


def _confirm(turn: Turn, answers: Answers) -> str:
    cells = turn.kb.clauses[NOTICE, "附件2¶4"].text.split("\t")
    shown = [(label, _masked(field, answers[field])) for label, field in zip(cells, _FIELDS, strict=True)]
    return say("submissions.confirm", shown=shown, **_late(turn))


def _masked(field: str, value: str) -> str:
    return secrets.masked(value) if field == "phone" and value else value


def _receipt(turn: Turn, answers: Answers) -> Reply:
    _begin(turn)
    words = {key: turn.kb.clauses[NOTICE, f"附件2¶{key}"].text for key in (2, 3, 4, 5)}
    table = Table(
        header=words[4].split("\t"),
        rows=[[answers[field] for field in _FIELDS]],
        widths=(3.2, 2, 1.3, 1.5, 2.6, 3, 2),
    )
    blocks: list[Text | Table] = [Text(text=words[3]), table, Text(text=words[5])]
    link = files.hand_out(
        turn, say("submissions.receipt_name"), documents.MIME, documents.write(words[2], blocks)
    )  # fmt: skip
    text = say("submissions.receipt", citation=_asked(turn), **_late(turn))
    return Reply(text=text, links=(link,), kind="flow", route="submissions.receipt")


def _options(*words: str) -> tuple[Option, ...]:
    return tuple(Option(label=word, value=word) for word in words)


_STEPS = {
    "unit": (_line("unit", r".{2,60}"), ()),
    "name": (_line("name", r"[一-鿿·•]{2,15}|[A-Za-z][A-Za-z .·'-]{1,40}"), ()),
    "sex": (_line("sex", "男|女"), _options("男", "女")),
    "nation": (_line("nation", r"[一-鿿]{1,8}"), _options("汉族")),
    "post": (_line("post", r".{2,60}"), ()),
    "phone": (_phone, _options(LATER)),
    "note": (_line("note"), _options("无")),
}
_RECEIPT = Flow(
    name="推荐回执",
    title="推荐回执",
    steps=(
        Step(
            key="rank",
            ask=lambda turn, answers: say("submissions.begin", citation=_asked(turn)),
            parse=_yes(("是", "是的"), say("submissions.not_of_rank")),
            options=_options("是", "取消"),
        ),
        Step(
            key="free",
            ask=say("submissions.free"),
            parse=_yes(("能", "可以", "是"), say("submissions.not_free")),
            options=_options("能", "取消"),
        ),
        *(
            Step(
                key=field,
                ask=say("submissions.ask", field=field),
                parse=_STEPS[field][0],
                options=_STEPS[field][1],
                prose=True,
            )
            for field in _FIELDS
        ),
        Step(
            key="sure",
            ask=_confirm,
            parse=_yes(("确认", "是", "对"), say("submissions.confirm_or_back")),
            options=_options("确认", "取消"),
        ),
    ),
    start=_begin,
    done=_receipt,
)
FLOWS = (_RECEIPT,)
ROUTES = [
    Route(
        name="submissions.receipt",
        pattern=r"(?:填|填写|办理|办)(?P<flow>推荐回执)",
        flow=True,
        member=True,
        examples=("填推荐回执", "办理推荐回执"),
    ),
    Route(
        name="submissions.checklist",
        pattern=r"(?:省级)?报送(?:材料)?(?:核对单|清单)",
        run=checklist,
        examples=("报送材料核对单", "报送清单"),
    ),
    Route(
        name="submissions.export",
        pattern=r"导出(?:报送材料)?核对单",
        run=export,
        member=True,
        examples=("导出核对单",),
    ),
]
