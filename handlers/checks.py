"""Guided checks: gone through in chat point by point, with cited results that can be shown again and printed.

The questions and what their answers mean are data (knowledge/data/checks); nothing here passes a verdict of its own.
"""

import re
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from bot import documents, files, places, projects
from bot.dialogue import IDLE, Route
from bot.documents import Text
from bot.flows import Answered, Answers, Flow, Step
from bot.inputs import asks
from bot.items import today
from bot.messages import Invalid, Link, Option, Refused, Reply, Turn
from bot.results import LABELS, Seen, conclusion, lines, paper, parted, said, seen_of
from bot.texts import say
from bot.workbooks import Unreadable
from bot.workdays import LOCAL
from knowledge.base import KnowledgeBase
from knowledge.checks import Check, Point, applies, stated
from knowledge.expressions import names
from knowledge.facts import KINDS, parse_fact, plain, show_fact
from storage import checks, facts
from storage import files as sent_files
from storage.models import Body, CheckResult
from storage.scope import reaches

SHOWN = 9  # results in a list
FAULTS = 5  # of a table, in one message
ANSWERS = {"有": "yes", "没有": "no", "没": "no", "无": "no", "不清楚": "unclear", "不知道": "unclear", "不适用": "na"}
UNKNOWN = ("不清楚", "不知道")
ALL_AREAS = "全部方面"
TEMPLATE = "对应表模板"
_ALIKE = re.compile(r"(?:以下|余下|本方面)?(?:各项)?都?(?:是)?(都有|都没有|都不清楚|都不适用|全有|全没有)")
_DROP = re.compile(r"(?:删|删除|去掉)第?\s*(\d{1,3})\s*(?:项|行|条)?")
_FULL = ("填完了", "没有了", "就这些", "完了", "填好了")
_PER_AREA = 1_000  # a sentence longer than this is no answer


def _name(check_id: str) -> str:
    return f"check:{check_id}"


# --- the questions -----------------------------------------------------------------------------------------------------


def _full(answers: Answers) -> dict[str, Any]:  # Any: JSON
    """The answers with the year as a fact."""
    return {**answers, "batch_year": str(places.year_of(answers))}


def _asked(check: Check, answers: Answers) -> list[Point]:
    """The points that are asked one by one, of what was chosen and concerns the county."""
    known = stated(check, _full(answers))
    chosen = check.within(answers.get("area", ""))
    return [one for one in chosen if not one.fact and not one.table and applies(one, known)]


def _uses(point: Point, key: str) -> bool:
    return point.fact == key or (point.when is not None and key in names(point.when))


def _area_step(check: Check) -> Step:
    words = (ALL_AREAS, *check.areas)

    def parse(_turn: Turn, text: str) -> str:
        if text not in words:
            raise Invalid(say("checks.which_area"))
        return "" if text == ALL_AREAS else text

    options = tuple(Option(label=word, value=word) for word in words)
    return Step(key="area", ask=say("checks.ask_area", about=check.about), parse=parse, options=options)


def _fact_step(check: Check, key: str) -> Step:
    kind = KINDS[key]

    def known(turn: Turn, answers: Answers) -> places.Known | None:
        return places.recorded(turn, answers["body"]["id"], places.year_of(answers)).get(key)

    def ask(turn: Turn, answers: Answers) -> str:
        held = known(turn, answers)
        shown = f"{show_fact(key, held.value)}（{held.source}）" if held else ""
        return say("checks.ask_fact", ask=kind.ask, recorded=shown)

    def offered(turn: Turn, answers: Answers) -> tuple[Option, ...]:
        held = known(turn, answers)
        same = show_fact(key, held.value) if held else ""
        first = (Option(label=say("checks.as_recorded", value=same), value=same),) if held else ()
        rest = (*(word for word in kind.options if word != same), UNKNOWN[0])
        return (*first, *(Option(label=word, value=word) for word in rest))

    def parse(turn: Turn, text: str) -> str:
        if text in UNKNOWN:
            return ""
        if asks(text):  # 二次申报要什么条件 is no rate of two per cent
            raise Invalid(say("checks.fact_unclear", ask=kind.ask))
        try:
            return plain(parse_fact(key, text, year=turn.now.year))
        except ValueError:
            raise Invalid(say("checks.fact_unclear", ask=kind.ask)) from None

    def when(answers: Answers) -> bool:
        return any(_uses(point, key) for point in check.within(answers.get("area", "")))

    return Step(key=key, ask=ask, parse=parse, options=offered, when=when)


def _point_step(check: Check, point: Point) -> Step:
    def ask(turn: Turn, answers: Answers) -> str:
        together = [one for one in _asked(check, answers) if one.area == point.area]
        return say(
            "checks.ask_point", area=point.area, place=together.index(point) + 1, count=len(together),
            text=point.text, citation=turn.kb.citation(point.cite, today(turn)), choices=[LABELS[one] for one in point.answers],
        )  # fmt: skip

    def parse(turn: Turn, text: str) -> tuple[Answered, ...]:
        answers = dict(turn.conversation.answers)
        left = [one for one in _asked(check, answers) if one.area == point.area and one.id not in answers]
        return tuple(Answered(key=one.id, value=code) for one, code in _read(text, left))

    options = tuple(Option(label=LABELS[one], value=LABELS[one]) for one in point.answers)
    return Step(
        key=point.id, ask=ask, parse=parse, options=options, when=lambda answers: point in _asked(check, answers)
    )


def _read(text: str, left: Sequence[Point]) -> list[tuple[Point, str]]:
    """The answers that a message gives to the points that are left of an area: one, several in order, or one for all.

    Raises Invalid on what may be a question, Refused on what begins like an answer and is none.
    """
    if alike := _ALIKE.fullmatch(text):
        code = ANSWERS[alike[1][1:]]
        given = [code] * len(left)
    else:
        words = [word for word in re.split(r"[\s,，、;；。]+", text[:_PER_AREA]) if word]
        given = (
            [_code(word, point) for word, point in zip(words, left, strict=False)] if len(words) <= len(left) else []
        )
    fits = given and all(code in point.answers for point, code in zip(left, given, strict=False))
    if not fits:
        meant = re.split(r"[\s,，、;；。]+", text)[0] in ANSWERS and not asks(text)
        raise (Refused if meant else Invalid)(
            say("checks.answer_unclear", choices=[LABELS[one] for one in left[0].answers], left=len(left))
        )
    return list(zip(left, given, strict=False))


def _code(word: str, point: Point) -> str:
    if word.isascii() and word.isdigit() and 0 < int(word) <= len(point.answers):
        return list(point.answers)[int(word) - 1]
    return ANSWERS.get(word, "")


# --- the table of projects -----------------------------------------------------------------------------------------------


def _table_step(check: Check) -> Step:
    cite = next(point.cite for point in check.points if point.table)

    def ask(turn: Turn, answers: Answers) -> str:
        return say("checks.ask_table", rows=answers.get("rows") or [], citation=turn.kb.citation(cite, today(turn)))

    def offered(_turn: Turn, answers: Answers) -> tuple[Option, ...]:
        words = (_FULL[0],) if answers.get("rows") else ("取 Excel 模板", "表已发", "没有对应表", UNKNOWN[0])
        values = {"取 Excel 模板": TEMPLATE}
        return tuple(Option(label=word, value=values.get(word, word)) for word in words)

    return Step(key="table", ask=ask, parse=_table, options=offered)


def _table(turn: Turn, text: str) -> Any:  # Any: the answer, Answered, or a tuple of these
    rows = list(dict(turn.conversation.answers).get("rows") or [])
    if text in UNKNOWN:
        return "unclear"
    if text in ("没有", "没有对应表", "无"):
        return (Answered(key="rows", value=[]), "no")
    if text in ("表已发", "已发", "发了"):
        return (Answered(key="rows", value=_sent(turn)), "file")
    if text in _FULL and rows:
        return "typed"
    if dropped := _DROP.fullmatch(text):
        place = int(dropped[1])
        if not 0 < place <= len(rows):
            raise Refused(say("checks.no_row", count=len(rows)))
        return Answered(key="rows", value=rows[: place - 1] + rows[place:])
    try:
        rows += [row for row in projects.typed(text) if row not in rows]
    except ValueError:
        meant = re.search(r"[，,\t\n]", text) and not asks(text)
        raise (Refused if meant else Invalid)(say("checks.row_unclear")) from None
    if len(rows) > projects.MOST:
        raise Refused(say("projects.count", most=projects.MOST))
    return Answered(key="rows", value=rows)


def _sent(turn: Turn) -> list[projects.Project]:
    """The projects of the table that was sent last."""
    assert turn.user is not None
    file, folder = sent_files.last_sent(turn.db, turn.user.id, turn.now - IDLE), turn.given.get("folder")
    if file is None or folder is None:
        raise Refused(say("checks.no_table"))
    if file.state == "pending":
        raise Refused(say("checks.table_coming"))
    if file.state != "stored" or file.sha256 is None or file.mime != projects.MIME:
        raise Refused(say("checks.table_unusable"))
    file.purpose = "table"
    path = files.place(folder, file.sha256)
    try:
        rows, faults = projects.load(path)
    except Unreadable as trouble:
        raise Refused(str(trouble).replace(path.name, file.name or "")) from trouble
    if faults:
        raise Refused(say("checks.table_faults", faults=faults[:FAULTS], count=len(faults)))
    return rows


def table_sent(turn: Turn, reply: Reply) -> Reply | None:
    """A file that comes while a check still wants its table is that table; None for everything else."""
    waits = {_name(check.id) for check in turn.kb.checks.values() if any(point.table for point in check.points)}
    answered = dict(turn.conversation.answers)
    if reply.route != "inbox.took" or turn.inbound.kind != "file" or turn.conversation.flow not in waits:
        return None
    if "table" in answered or turn.user is None:
        return None
    file = sent_files.last_sent(turn.db, turn.user.id, turn.now)
    if file is not None:
        file.purpose = "table"
    options = tuple(Option(**one) for one in turn.conversation.options)
    return Reply(text=say("checks.table_took"), options=options, kind="flow", route="checks.table")


def template(turn: Turn) -> Reply:
    """The empty table of projects, to be filled in."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "template.xlsx"
        projects.template(path)
        data = path.read_bytes()
    body_id = turn.user.body_id if turn.user else None
    link = files.hand_out(turn, say("checks.template_name"), projects.MIME, data, body_id=body_id)
    return Reply(text=say("checks.template"), links=(link,), route="checks.template")


# --- the form ------------------------------------------------------------------------------------------------------------


def _start(check: Check) -> Callable[[Turn], Answers]:
    def start(turn: Turn) -> Answers:
        area = next((one for one in check.areas if one in turn.text), None)
        began = {"provincial": turn.viewer.division is not None, **places.own("self_check")(turn)}
        return began if area is None else {**began, "area": area}

    return start


def _done(check: Check) -> Callable[[Turn, Answers], Reply]:
    def done(turn: Turn, answers: Answers) -> Reply:
        body, year = answers["body"]["id"], places.year_of(answers)
        places.guard(turn, "self_check", body)
        known = places.recorded(turn, body, year)
        same = {key: known[key].source for key in check.facts if _same(key, answers, known) and known[key].source}
        kept = {key: value for key, value in answers.items() if key not in ("body", "year", "search")}
        role = turn.viewer.role_for("self_check")
        edition = turn.kb.edition
        result = checks.keep(
            turn.db, body, year, check.id, {**kept, "sources": same}, edition=edition, now=turn.now, role=role
        )
        return _shown(turn, result, "flow")

    return done


def _same(key: str, answers: Answers, known: places.OfBody) -> bool:
    return bool(answers.get(key)) and key in known and plain(known[key].value) == answers[key]


def flows(kb: KnowledgeBase) -> list[Flow]:
    """One form for each check: body and year, area, facts, the table of projects, then the points in their order."""
    return [
        Flow(
            name=_name(check.id),
            title=check.title,
            steps=(
                places.which("self_check"),
                places.year_step(),
                *((_area_step(check),) if check.areas else ()),
                *(_fact_step(check, key) for key in check.facts if key != "batch_year"),
                *((_table_step(check),) if any(point.table for point in check.points) else ()),
                *(_point_step(check, point) for point in check.points if not point.fact and not point.table),
            ),
            done=_done(check),
            start=_start(check),
        )
        for check in kb.checks.values()
    ]


# --- the result ----------------------------------------------------------------------------------------------------------


def _shown(turn: Turn, result: CheckResult, kind: Any = "chat") -> Reply:  # Any: a ReplyKind
    seen = seen_of(turn, result)
    head = say("results.head", seen=seen, year=result.batch_year, conclusion=conclusion(seen))
    text, rest = parted(head, lines(turn, seen))
    return Reply(text=text, rest=rest, options=_next(turn, seen), kind=kind, route="checks.result")


def _next(turn: Turn, seen: Seen) -> tuple[Option, ...]:
    """What can be done with a result."""
    number, area, title = seen.result.id, seen.result.answers.get("area", ""), seen.check.title
    found = [(say("checks.export"), f"导出自查 #{number}")]
    if area and (following := seen.check.areas[seen.check.areas.index(area) + 1 :]):
        found.append((say("checks.go_on", area=following[0]), f"{title} {following[0]}"))
    if new := _new_facts(turn, seen):
        told = "；".join(f"{KINDS[key].label}：{said(key, seen)}" for key in new)
        found.append((say("checks.record", told=told), f"记入本县情况 #{number}"))
    if seen.check.id == "label":
        found.append((say("checks.print_label"), "标识打印页"))
    return tuple(Option(label=label, value=value) for label, value in found)


def _new_facts(turn: Turn, seen: Seen) -> list[str]:
    """The facts that were said and differ from what is recorded, of those that a county records here."""
    result = seen.result
    if not reaches(turn.db, turn.viewer, "report_facts", result.body_id):
        return []
    known = places.recorded(turn, result.body_id, result.batch_year)
    keepable = (*facts.OF_BODY, *facts.OF_YEAR)
    return [
        key
        for key in seen.check.facts
        if key in keepable and result.answers.get(key) and not _same(key, result.answers, known)
    ]


# --- kept results --------------------------------------------------------------------------------------------------------


def _found(turn: Turn, pattern: str) -> CheckResult:
    """The result that a message names, of a body that the viewer may check."""
    match = re.fullmatch(pattern, turn.text)
    assert match is not None
    result = checks.find(turn.db, int(match["number"]))
    if result is None or not reaches(turn.db, turn.viewer, "self_check", result.body_id):
        raise Refused(say("checks.no_such"))
    return result


def menu(turn: Turn) -> Reply:
    """The checks there are."""
    listed = [turn.kb.checks[key] for key in _FORMS if key in turn.kb.checks]
    for_province = ("报送材料核对单", "填推荐回执") if turn.viewer.division is not None else ()
    words = (*(one.title for one in listed), "我的自查", *for_province)
    options = tuple(Option(label=word, value=word) for word in words)
    return Reply(text=say("checks.menu", checks=listed), options=options, route="checks.menu")


def mine(turn: Turn) -> Reply:
    """The last results of the body spoken for, or of whatever the viewer may check."""
    assert turn.user is not None
    if not turn.viewer.may("self_check"):
        raise Refused(say("checks.may_not"))
    found = [one for one in checks.recent(turn.db, SHOWN, turn.user.body_id) if one.name in turn.kb.checks]
    options = tuple(
        Option(
            label=say(
                "checks.listed",
                title=turn.kb.checks[one.name].title,
                body=turn.db.get_one(Body, one.body_id).name,
                year=one.batch_year,
                on=one.at.astimezone(LOCAL).date(),
                area=one.answers.get("area", ""),
            ),
            value=f"看自查 #{one.id}",
        )
        for one in found
    )
    return Reply(text=say("checks.mine", count=len(found)), options=options, route="checks.mine")


def show(turn: Turn) -> Reply:
    """A kept result once more."""
    return _shown(turn, _found(turn, _SHOW))


def record(turn: Turn) -> Reply:
    """Record the facts that were said in a check, each once."""
    seen = seen_of(turn, _found(turn, _RECORD))
    result, new = seen.result, _new_facts(turn, seen)
    for key in new:
        facts.add(
            turn.db,
            result.body_id,
            key,
            result.answers[key],
            batch_year=None if key in facts.OF_BODY else result.batch_year,
            as_of=seen.on,
            source=say("checks.fact_source", title=seen.check.title),
            now=turn.now,
            role=turn.viewer.role_for("report_facts"),
        )
    told = [f"{KINDS[key].label}：{said(key, seen)}" for key in new]
    return Reply(text=say("checks.recorded", body=seen.body, told=told), route="checks.recorded")


def export(turn: Turn) -> Reply:
    """A kept result as a document."""
    seen = seen_of(turn, _found(turn, _EXPORT))
    name = say("checks.file_name", seen=seen, year=seen.result.batch_year)
    link = files.hand_out(turn, name, documents.MIME, paper(turn, seen), body_id=seen.result.body_id)
    return Reply(text=say("checks.exported", name=name), links=(link,), route="checks.exported")


# --- the label -----------------------------------------------------------------------------------------------------------


def label(turn: Turn) -> Reply:
    """A sheet to print: the prescribed words, byte for byte from the clause, and the province's reporting channel."""
    point = next(one for one in turn.kb.checks["label"].points if one.id == "label-words")
    words = re.search("“(.+?)”", point.cite.quote)
    assert words is not None  # the clause puts them into quotation marks
    channel = turn.given.get("report_channel", "")
    blocks = [
        Text(text="", size=60),
        Text(text=words[1], size=48, bold=True, centred=True),  # nine to a line: 全国电子商务进农村 / 综合示范项目
        Text(text="", size=44),
        Text(text=say("checks.label_channel", channel=channel), size=22, centred=True),
    ]
    body_id = turn.user.body_id if turn.user else None
    data = documents.write("", blocks)
    link: Link = files.hand_out(turn, say("checks.label_name"), documents.MIME, data, body_id=body_id)
    citation = turn.kb.citation(
        next(one.cite for one in turn.kb.checks["label"].points if one.id == "label-place"), today(turn)
    )
    phrase = turn.kb.phrases["unverified"]
    text = say("checks.label", words=words[1], channel=channel, citation=citation, phrase=phrase)
    return Reply(text=text, links=(link,), route="checks.label")


_NUMBER = r"\s*#?(?P<number>\d{1,9})"
_SHOW, _EXPORT, _RECORD = rf"看?自查{_NUMBER}", rf"导出自查{_NUMBER}", rf"记入本县情况{_NUMBER}"
_FORMS = {
    "review": ("复核要点自查|复核自查|复核要点自查\\s*[一-鿿]{2,20}", "复核要点自查", "复核要点自查 农村电商培训体系"),
    "acceptance-check": ("验收检查|验收自查", "验收检查", "验收自查"),
    "reapplication-check": ("二次申报自查|二次申报检查", "二次申报自查"),
    "publicity": ("政务公开自查|公开自查", "政务公开自查"),
    "label": ("标识自查|标识检查", "标识自查"),
}
ROUTES = [
    *(
        Route(name=_name(key), pattern=pattern, flow=True, member=True, examples=tuple(examples))
        for key, (pattern, *examples) in _FORMS.items()
    ),
    Route(name="checks.menu", pattern=r"自查|我要自查|自查检查", run=menu, member=True, examples=("自查",)),
    Route(name="checks.mine", pattern=r"我的自查|自查记录|自查结果", run=mine, member=True, examples=("我的自查",)),
    Route(name="checks.show", pattern=_SHOW, run=show, member=True, examples=("看自查 #12", "自查12")),
    Route(name="checks.export", pattern=_EXPORT, run=export, member=True, examples=("导出自查 #12",)),
    Route(name="checks.record", pattern=_RECORD, run=record, member=True, examples=("记入本县情况 #12",)),
    Route(name="checks.template", pattern=r"(?:一一)?对应表模板", run=template, member=True, examples=("对应表模板",)),
    Route(name="checks.label", pattern=r"标识打印页|打印标识|标识样张", run=label, member=True, examples=("标识打印页",)),
]  # fmt: skip
