"""Writing a broadcast: 新建通知, 修改通知 and 更正通知. What is written is a draft until another person approves it."""

import difflib
import re
from collections.abc import Callable
from dataclasses import replace
from datetime import date, datetime, time, timedelta
from typing import Any

from bot import audiences
from bot.audiences import canonical
from bot.broadcasts import REF, found, hours, next_open, overtaken
from bot.dialogue import Route
from bot.flows import Answered, Answers, Flow, Step
from bot.inputs import asks, coming_day
from bot.messages import Invalid, Option, Refused, Reply, Turn
from bot.texts import say
from bot.workdays import LOCAL, after
from storage import bodies, broadcasts, files, scope
from storage.audiences import Audience, from_json
from storage.models import Broadcast
from storage.visits import CHANNEL

LONGEST_TITLE, LONGEST = 60, 1500  # characters
SHORT = 40
MOST_FILES = 10
LATELY = timedelta(hours=2)  # for so long a file just sent can be taken
DELAY_S = 600
_NOTICE = re.compile(r"(?:引用|转发)?\s*([0-9A-Za-z][0-9A-Za-z.\-]{2,63})(?:\s+(.+))?")


def _options(*words: str) -> tuple[Option, ...]:
    return tuple(Option(label=word, value=word) for word in words)


def _answers(turn: Turn) -> dict[str, Any]:  # Any: JSON
    return dict(turn.conversation.answers)


def _is_question(text: str) -> bool:
    """Whether a short sentence asks something; a notice that asks for figures says 请."""
    return asks(text) and len(text) < SHORT and "请" not in text


# --- steps -----------------------------------------------------------------------------------------------------------


def _read_title(_turn: Turn, text: str) -> str:
    title = " ".join(text.split())
    if _is_question(title) or not 4 <= len(title) <= LONGEST_TITLE:
        raise Invalid(say("composing.title_length", most=LONGEST_TITLE))
    return title


def _notice_options(turn: Turn, _answers: Answers) -> tuple[Option, ...]:
    listed = (Option(label=one.name[:40], value=f"转发 {one.id}") for one in turn.kb.notices[-8:])
    return (*_options("不引用文件"), *listed)


def _read_notice(turn: Turn, text: str) -> dict[str, Any]:  # Any: JSON
    """The notice that is handed on and its clauses, word for word: 144-2020 三(一)、四(二)."""
    if text.strip() in ("不引用文件", "不引用", "无"):
        return {"notice_id": None, "clauses": []}
    match = _NOTICE.fullmatch(text.strip())
    notice = turn.kb.notice(match[1]) if match else None
    if match is None or notice is None:
        raise Invalid(say("composing.no_notice", known=[one.id for one in turn.kb.notices]))
    labels = re.split(r"[、,，\s]+", match[2].replace("（", "(").replace("）", ")")) if match[2] else []
    found = [turn.kb.clauses.get((notice.id, label)) for label in labels]
    if missing := [label for label, clause in zip(labels, found, strict=True) if clause is None]:
        raise Refused(say("composing.no_clause", notice=notice.name, missing=missing))
    clauses = [{"label": one.label, "quote": one.text or one.heading} for one in found if one]
    return {"notice_id": notice.id, "clauses": clauses}


def _ask_text(_turn: Turn, answers: Answers) -> str:
    return say("composing.ask_text", notice=bool(answers.get("notice", {}).get("notice_id")))


def _read_text(turn: Turn, text: str) -> str:
    optional = bool(_answers(turn).get("notice", {}).get("notice_id"))
    if optional and text.strip() in ("无", "不写"):
        return ""
    if _is_question(text) or not 4 <= len(text.strip()) <= LONGEST:
        raise Invalid(say("composing.text_length", most=LONGEST))
    return text.strip()


def recent(turn: Turn) -> list[Any]:  # Any: rows of File
    """What the officer has sent lately, the newest first."""
    return files.stored_by(turn.db, turn.viewer.person_id or 0, turn.now - LATELY)


def _file_options(turn: Turn, _answers: Answers) -> tuple[Option, ...]:
    listed = (Option(label=one.name or one.mime, value=f"附件 {one.id}") for one in recent(turn)[:8])
    return (*_options("不带附件"), *listed)


def _read_files(turn: Turn, text: str) -> list[dict[str, Any]]:  # Any: JSON
    """The attachments, of the files that the officer has just sent."""
    if text.strip() in ("不带附件", "无", "不带"):
        return []
    wanted = [int(number) for number in re.findall(r"\d{1,9}", text)]
    known = {one.id: one for one in recent(turn)}
    found = [known[number] for number in wanted if number in known]
    if not found:
        raise Invalid(say("composing.no_file"))
    if len(found) > MOST_FILES:
        raise Refused(say("composing.too_many_files", most=MOST_FILES))
    if not turn.given.get("base_url") and turn.inbound.channel not in ("web", CHANNEL):
        raise Refused(say("composing.no_page"))
    return [{"sha256": one.sha256, "name": one.name, "mime": one.mime, "size": one.size} for one in found]


# --- for whom --------------------------------------------------------------------------------------------------------


def _province(turn: Turn) -> str:
    assert turn.viewer.division is not None  # an officer's form
    return turn.viewer.division


def _ask_audience(_turn: Turn, answers: Answers) -> str:
    chosen = answers.get("conditions")
    return say("composing.ask_audience", chosen=canonical(from_json(chosen)) if chosen else "")


def _audience_options(turn: Turn, answers: Answers) -> tuple[Option, ...]:
    """Conditions to add: the years and cities that the province has, and what the rest can be."""
    with scope.serving(turn.db, scope.SYSTEM):
        years, cities = bodies.years_and_cities(turn.db, _province(turn))
    done = ("就发给这些",) if "conditions" in answers else ()
    if answers.get("adding") == "years":
        return _options(*(f"{year}年度" for year in years), *done, "返回条件")
    if answers.get("adding") == "cities":
        return _options(*(bodies.published().get(code, code) for code in cities), *done, "返回条件")
    rest = ("贫困县", "有未完成整改事项", "使用率低于90%", "拨付率低于90%", "加上市级联系人")
    return _options(*(done or ("全省",)), "按年度", "按市州", *rest)


def _read_audience(turn: Turn, text: str) -> Any:  # Any: JSON, or Answered for a condition that is added
    answers = _answers(turn)
    chosen = from_json(answers["conditions"]) if "conditions" in answers else None
    word = text.strip()
    if word in ("按年度", "按市州", "返回条件"):
        return Answered(key="adding", value={"按年度": "years", "按市州": "cities"}.get(word, ""))
    if word == "就发给这些" and chosen is not None:
        return chosen.as_json()
    if word in ("清空", "清空条件"):
        return Answered(key="conditions", value=Audience().as_json())
    typed = "县级经办人、县级分管负责人、市级联系人" if word == "加上市级联系人" else word
    try:
        more = audiences.read(typed, _province(turn), chosen)
    except audiences.Unclear as trouble:
        raise Invalid(say("composing.audience_unclear", piece=trouble.piece)) from None
    return more.as_json() if more == Audience() else Answered(key="conditions", value=more.as_json())


# --- acknowledging and sending ---------------------------------------------------------------------------------------

_MODES = {"每县一人签收": "county", "每人签收": "each", "不用签收": "none"}


def _read_mode(_turn: Turn, text: str) -> str:
    if text.strip() not in _MODES:
        raise Invalid(say("composing.mode_unclear"))
    return _MODES[text.strip()]


def _asked(answers: Answers) -> bool:
    return answers.get("acknowledgement") in ("county", "each")


def _read_why(_turn: Turn, text: str) -> str:
    if _is_question(text) or not 4 <= len(text.strip()) <= 60:
        raise Invalid(say("composing.why_length"))
    return text.strip().rstrip("。")


def _earliest_due(turn: Turn) -> date:
    """At least one working day must lie between the sending and the day by which people acknowledge."""
    return after(turn.now, 1).date()


def _read_due(turn: Turn, text: str) -> str:
    try:
        day = coming_day(text, turn.now.astimezone(LOCAL).date())
    except ValueError:
        raise Invalid(say("composing.day_unclear")) from None
    if day < _earliest_due(turn):
        raise Refused(say("composing.due_too_soon", on=_earliest_due(turn)))
    return day.isoformat()


def _due_options(turn: Turn, _answers: Answers) -> tuple[Option, ...]:
    days = (after(turn.now, count).date() for count in (2, 3, 5))
    return tuple(Option(label=f"{day.month}月{day.day}日", value=day.isoformat()) for day in days)


_SENDING = (say("composing.after_delay"), say("composing.at_once"))
_TIME = re.compile(
    r"([今明后]天|[今明]日|.{3,8}?[日号]|\d{4}-\d\d-\d\d)?\s*(?:(上午|下午)?(\d{1,2})[点时:：](半|\d{1,2})?分?)"
)


def _ask_sending(turn: Turn, _answers: Answers) -> str:
    return say("composing.ask_sending", spans=hours(turn).spans)


def _read_sending(turn: Turn, text: str) -> dict[str, Any]:  # Any: JSON
    """When: after a delay in which it can be recalled, at once, or at a time of an office's hours to come."""
    if text.strip() in _SENDING:
        return {"delay_s": DELAY_S if text.strip() == _SENDING[0] else 0, "send_at": None}
    match = _TIME.fullmatch(text.strip())
    today = turn.now.astimezone(LOCAL).date()
    try:
        if match is None:
            raise ValueError
        near = {None: 0, "今天": 0, "今日": 0, "明天": 1, "明日": 1, "后天": 2}
        day = today + timedelta(days=near[match[1]]) if match[1] in near else coming_day(match[1], today)
        hour = int(match[3]) + (12 if match[2] == "下午" and int(match[3]) < 12 else 0)
        at = datetime.combine(day, time(hour, 30 if match[4] == "半" else int(match[4] or 0)), LOCAL)
    except ValueError:
        raise Invalid(say("composing.time_unclear")) from None
    if at <= turn.now:
        raise Refused(say("composing.time_past"))
    if next_open(turn, at) != at:
        raise Refused(say("composing.out_of_hours", at=next_open(turn, at).astimezone(LOCAL), spans=hours(turn).spans))
    return {"delay_s": 0, "send_at": at.isoformat()}


# --- forms -----------------------------------------------------------------------------------------------------------

_STEPS = {
    "标题": Step(key="title", ask=say("composing.ask_title"), parse=_read_title, prose=True),
    "引用文件": Step(key="notice", ask=say("composing.ask_notice"), parse=_read_notice, options=_notice_options),
    "正文": Step(key="text", ask=_ask_text, parse=_read_text, prose=True),
    "附件": Step(key="files", ask=say("composing.ask_files"), parse=_read_files, options=_file_options),
    "范围": Step(key="audience", ask=_ask_audience, parse=_read_audience, options=_audience_options),
    "签收": Step(
        key="acknowledgement", ask=say("composing.ask_mode"), parse=_read_mode, options=_options(*_MODES)
    ),
    "发送时间": Step(
        key="sending", ask=_ask_sending, parse=_read_sending, options=_options(*_SENDING)
    ),
}  # fmt: skip
_WHY = Step(key="why", ask=say("composing.ask_why"), parse=_read_why, when=_asked, prose=True)
_DUE = Step(key="due_on", ask=say("composing.ask_due"), parse=_read_due, options=_due_options, when=_asked)


def values(answers: Answers) -> dict[str, Any]:
    """Columns of a broadcast from the answers that were given."""
    found: dict[str, Any] = {key: answers[key] for key in ("title", "text", "files", "audience") if key in answers}
    found |= answers.get("notice", {})
    if "sending" in answers:
        at = answers["sending"]["send_at"]
        found |= {"delay_s": answers["sending"]["delay_s"], "send_at": datetime.fromisoformat(at) if at else None}
    if "acknowledgement" in answers:
        due = answers.get("due_on")
        found |= {
            "acknowledgement": answers["acknowledgement"],
            "acknowledge_why": answers.get("why", ""),
            "due_on": date.fromisoformat(due) if due else None,
        }
    return found


def _officer(turn: Turn) -> Answers:
    if not turn.viewer.may("broadcast"):
        raise Refused(say("composing.not_yours"))
    return {}


def _composed(turn: Turn, answers: Answers) -> Reply:
    return _shown(broadcasts.draft(turn.db, {"clauses": [], "files": [], **values(answers)}, turn.now))


def _shown(broadcast: Broadcast) -> Reply:
    at = f"N{broadcast.id}v{broadcast.version}"
    options = tuple(
        Option(label=label, value=f"{word} {at}")
        for label, word in (
            ("看范围和全文", "下发"),
            ("试发给自己", "试发"),
            ("提交审批", "提交"),
            ("修改", "修改通知"),
        )
    )
    text = say("composing.kept", broadcast=broadcast)
    return Reply(text=text, options=options, kind="flow", route="composing.kept")


_COMPOSE = Flow(
    name="新建通知",
    title="新建通知",
    steps=(
        *(_STEPS[key] for key in ("标题", "引用文件", "正文", "附件", "范围", "签收")),
        _WHY,
        _DUE,
        _STEPS["发送时间"],
    ),
    start=_officer,
    done=_composed,
)

# --- changing --------------------------------------------------------------------------------------------------------


def _edited(turn: Turn) -> Answers:
    _officer(turn)
    broadcast, version = found(turn, turn.text)
    if broadcast.state not in ("draft", "submitted"):
        raise Refused(say("composing.fixed", number=broadcast.id, state=broadcast.state))
    return {"broadcast": [broadcast.id, version]}


def _read_field(_turn: Turn, text: str) -> str:
    if text.strip() not in _STEPS:
        raise Invalid(say("composing.which_field", known=list(_STEPS)))
    return text.strip()


def _only(field: str, step: Step) -> Step:
    applies: Callable[[Answers], bool] = step.when
    return replace(step, when=lambda answers: answers.get("field") == field and applies(answers))


def _edit(turn: Turn, answers: Answers) -> Reply:
    number, version = answers["broadcast"]
    try:
        return _shown(broadcasts.edit(turn.db, number, version, values(answers), turn.now))
    except broadcasts.Overtaken as trouble:
        raise Refused(overtaken(turn, trouble)) from None


_EDIT = Flow(
    name="修改通知",
    title="修改通知",
    steps=(
        Step(key="field", ask=say("composing.ask_field"), parse=_read_field, options=_options(*_STEPS)),
        *(_only(field, step) for field, step in _STEPS.items()),
        _only("签收", _WHY),
        _only("签收", _DUE),
    ),
    start=_edited,
    done=_edit,
)

# --- correcting ------------------------------------------------------------------------------------------------------


def _corrected(turn: Turn) -> Answers:
    _officer(turn)
    broadcast, _ = found(turn, turn.text)
    if broadcast.state not in ("sent", "recalled") or not broadcast.audience_digest:
        raise Refused(say("composing.not_sent", number=broadcast.id))
    if (newer := broadcasts.correction(turn.db, broadcast)) is not None:
        raise Refused(say("composing.corrected_already", number=broadcast.id, by=newer.id))
    return {"corrects": broadcast.id}


def _ask_correction(turn: Turn, answers: Answers) -> str:
    return say("composing.ask_correction", broadcast=broadcasts.find(turn.db, answers["corrects"]))


def _read_correction(turn: Turn, text: str) -> str:
    before = broadcasts.find(turn.db, _answers(turn)["corrects"])
    if _is_question(text) or not 4 <= len(text.strip()) <= LONGEST:
        raise Invalid(say("composing.text_length", most=LONGEST))
    if text.strip() == before.text:
        raise Refused(say("composing.nothing_changed"))
    return text.strip()


def changes(old: str, new: str) -> list[tuple[str, str]]:
    """What a new text says otherwise, sentence by sentence: (old, new), either of them empty."""
    a, b = ([one for one in re.split(r"(?<=[。；！？\n])", text) if one.strip()] for text in (old, new))
    matched = difflib.SequenceMatcher(None, a, b, autojunk=False).get_opcodes()
    return [("".join(a[i:j]).strip(), "".join(b[k:n]).strip()) for kind, i, j, k, n in matched if kind != "equal"]


def _correct(turn: Turn, answers: Answers) -> Reply:
    before = broadcasts.find(turn.db, answers["corrects"])
    audience = Audience(roles=from_json(before.audience).roles, holders_of=before.id)
    kept = {key: getattr(before, key) for key in ("title", "notice_id", "clauses", "files")}
    changed = kept | values(answers) | {
        "corrects_id": before.id,
        "change": say("composing.change", changes=changes(before.text, answers["text"])),
        "audience": audience.as_json(),
    }  # fmt: skip
    return _shown(broadcasts.draft(turn.db, changed, turn.now))


_CORRECT = Flow(
    name="更正通知",
    title="更正通知",
    steps=(
        Step(key="text", ask=_ask_correction, parse=_read_correction, prose=True),
        _STEPS["签收"],
        _WHY,
        _DUE,
        _STEPS["发送时间"],
    ),
    start=_corrected,
    done=_correct,
)
FLOWS = (_COMPOSE, _EDIT, _CORRECT)
ROUTES = [
    Route(name="新建通知", pattern=r"新建通知|下发(?:新)?通知|发通知", flow=True, member=True, examples=("新建通知",)),
    Route(name="修改通知", pattern=rf"修改通知\s*{REF}", flow=True, member=True, examples=("修改通知 N12v3",)),
    Route(name="更正通知", pattern=rf"更正通知\s*{REF}", flow=True, member=True, examples=("更正通知 N12",)),
]
