"""抽查: a draw for follow-up checks that anybody can repeat, what came of it, and its sheet.

Source: 商办建函〔2020〕144号 三(二).
"""

import re
import tempfile
from pathlib import Path

from sqlalchemy import select
from sqlalchemy.orm import Session

from bot import templates
from bot.dialogue import Route
from bot.files import EXCEL, hand_out
from bot.flows import Answers, Flow, Step
from bot.itemforms import sure
from bot.items import SHOWN, offered, opening
from bot.messages import Invalid, Option, Refused, Reply, Turn
from bot.texts import say
from bot.workbooks import Column, Sheet
from bot.workdays import LOCAL
from storage import files, samples
from storage.models import Item, Sample
from storage.samples import Draw

ALL = "全部年度"

# --- drawing ---------------------------------------------------------------------------------------------------------


def _begin(turn: Turn) -> Answers:
    if not turn.viewer.may("check") or turn.viewer.division is None:
        raise Refused(say("samples.may_not"))
    if not _years(turn):
        raise Refused(say("samples.nothing"))
    return {}


def _years(turn: Turn) -> list[int]:
    wanted = select(Item.batch_year).where(Item.state == "closed").distinct()
    return sorted(turn.db.scalars(wanted))


def _year_options(turn: Turn, _answers: Answers) -> tuple[Option, ...]:
    words = (ALL, *(f"{year}年度" for year in _years(turn)))
    return tuple(Option(label=word, value=word) for word in words)


def _read_year(turn: Turn, text: str) -> int:
    """A year with closed items, 0 for all of them."""
    if text.strip() == ALL:
        return 0
    match = re.fullmatch(r"(20\d\d)(?:年度?)?", text.strip())
    if match is None or int(match[1]) not in _years(turn):
        raise Invalid(say("samples.which_year", years=_years(turn)))
    return int(match[1])


def _read_share(_turn: Turn, text: str) -> int:
    match = re.fullmatch(r"(\d{1,2})\s*[%％]?", text.strip())
    if match is None or int(match[1]) not in samples.SHARES:
        raise Invalid(say("samples.which_share", shares=samples.SHARES))
    return int(match[1])


def _prepared(turn: Turn, answers: Answers) -> Draw:
    on = turn.now.astimezone(LOCAL).date()
    return samples.prepare(turn.db, on, answers["year"] or None, answers["share"])


def _ask_sure(turn: Turn, answers: Answers) -> str:
    return say("samples.ask_sure", draw=_prepared(turn, answers))


def _keep(turn: Turn, answers: Answers) -> Reply:
    draw, division = _prepared(turn, answers), turn.viewer.division
    if division is None or not turn.viewer.may("check"):
        raise Refused(say("samples.may_not"))
    return _shown(turn, samples.keep(turn.db, draw, division, turn.now))


_DRAW = Flow(
    name="抽查",
    title=say("samples.title"),
    steps=(
        Step(key="year", ask=say("samples.ask_year"), parse=_read_year, options=_year_options),
        Step(
            key="share",
            ask=say("samples.ask_share"),
            parse=_read_share,
            options=tuple(Option(label=f"{share}%", value=f"{share}%") for share in (10, 20, 5)),
        ),
        Step(
            key="sure",
            ask=_ask_sure,
            parse=sure,
            options=(Option(label="确认", value="确认"), Option(label="取消", value="取消")),
        ),
    ),
    start=_begin,
    done=_keep,
)

# --- what came of it -------------------------------------------------------------------------------------------------


def drawn(turn: Turn) -> Reply:
    """A draw and what came of it: the newest one, or the one numbered."""
    match = re.fullmatch(_SHOW, turn.text)
    assert match is not None
    return _shown(turn, _meant(turn, match["number"]))


def _meant(turn: Turn, number: str | None) -> Sample:
    """The draw of a number, or the newest one. Raises Refused when there is none."""
    known = [samples.numbered(turn.db, int(number))] if number else samples.listed(turn.db)[:1]
    if not known or known[0] is None:
        raise Refused(say("samples.no_sample"))
    return known[0]


def _shown(turn: Turn, sample: Sample) -> Reply:
    """A draw: how it was made, and its items, those that nobody has checked yet first."""
    came_of = samples.results(turn.db, sample)
    found = samples.found(turn.db, came_of)
    left = [one for one, event in came_of.items() if not event and one in found and found[one].state == "closed"]
    rest = [one for one in came_of if one in found and one not in left]
    text = say(
        "samples.shown",
        sample=sample,
        at=sample.at.astimezone(LOCAL),
        left=len(left),
        passed=sum(event == "confirm" for event in came_of.values()),
        failed=sum(event == "reopen" for event in came_of.values()),
        shown=SHOWN,
    )
    options = offered(turn, [found[one] for one in (*left, *rest)[:SHOWN]], opening)
    options = (*options, Option(label="记录表（可打印）", value=f"抽查记录表 {sample.id}"))
    return Reply(text=text, options=options, route="samples.drawn")


# --- the sheet -------------------------------------------------------------------------------------------------------

DRAWN = Sheet(
    name="抽查记录",
    columns=(
        Column(key="place", title="序号", note="", example="", width=6),
        Column(key="line", title="事项（区划代码 实施主体 年度 编号）", note="", example="", width=36),
        Column(key="problem", title="问题描述", note="", example="", width=36),
        Column(key="why", title="抽中原因", note="", example="", width=20),
        Column(key="form", title="形式（回头看/日常监督检查）", note="", example="", width=14),
        Column(key="method", title="核查方式", note="", example="", width=12),
        Column(key="finding", title="核查发现", note="", example="", width=36),
        Column(key="result", title="结果", note="", example="", width=10),
        Column(key="signed", title="核查人、日期", note="", example="", width=16),
    ),
)
LISTED = Sheet(
    name="抽查名单",
    columns=(
        Column(key="line", title="名单（区划代码 实施主体 年度 编号）", note="", example="", width=36),
        Column(key="order", title="次序值", note="", example="", width=70),
        Column(key="drawn", title="是否抽中", note="", example="", width=16),
    ),
)


def sheet(db: Session, sample: Sample, path: Path) -> int:
    """Write a draw to be printed and filled in, with the whole list to draw it again; how many items were drawn."""
    lines = dict(tuple(one) for one in sample.listed)
    found = samples.found(db, lines)
    came_of, why = samples.results(db, sample), dict(tuple(one) for one in sample.drawn)
    record = [
        [
            str(place), lines[one], found[one].problem if one in found else "", say("samples.reason", why=why[one]),
            "", "", "", say("samples.result", event=came_of[one]), "",
        ]
        for place, one in enumerate(why, 1)
    ]  # fmt: skip
    whole = [
        [line, samples.order(sample.seed, line), say("samples.reason", why=why.get(one, ""))]
        for one, line in lines.items()
    ]  # fmt: skip
    templates.write(
        path,
        [DRAWN, LISTED],
        rows={DRAWN.name: record, LISTED.name: whole},
        instructions=say("samples.instructions", sample=sample, at=sample.at.astimezone(LOCAL)).split("\n"),
    )
    return len(record)


def name(sample: Sample) -> str:
    """The name of a draw's sheet as a file."""
    return say("samples.file", sample=sample)


def printed(turn: Turn) -> Reply:
    """The sheet of a draw as a link: the newest one, or the one numbered."""
    match = re.fullmatch(_PRINT, turn.text)
    assert match is not None
    sample = _meant(turn, match["number"])
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "sheet.xlsx"
        sheet(turn.db, sample, path)
        opens = hand_out(turn, name(sample), EXCEL, path.read_bytes())
    return Reply(
        text=say("samples.printed", sample=sample, minutes=files.OPEN_FOR.seconds // 60),
        links=(opens,),
        route="samples.printed",
    )


_SHOW = r"抽查结果(?:\s*(?:第|#)?\s*(?P<number>\d{1,6})\s*(?:次|号)?)?"
_PRINT = r"(?:打印|导出)?抽查记录表(?:\s*(?:第|#)?\s*(?P<number>\d{1,6})\s*(?:次|号)?)?"
FLOWS = (_DRAW,)
ROUTES = [
    Route(
        name="抽查", pattern=r"抽查|抽取回头看|回头看抽查", flow=True, member=True, examples=("抽查", "回头看抽查")
    ),
    Route(name="samples.drawn", pattern=_SHOW, run=drawn, member=True, examples=("抽查结果", "抽查结果 3")),
    Route(name="samples.printed", pattern=_PRINT, run=printed, member=True, examples=("抽查记录表", "打印抽查记录表 3")),
]  # fmt: skip
