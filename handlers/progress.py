"""进度统计: the numbers of rectification in one's scope, by city, body and year, and what each of them means.

Source: 商办建函〔2020〕144号 三.
"""

import re
from collections.abc import Sequence
from datetime import datetime

from sqlalchemy.orm import Session

from bot.dialogue import Route
from bot.messages import Option, Refused, Reply, Turn
from bot.texts import say
from bot.workbooks import Column, Sheet
from bot.workdays import LOCAL
from storage import numbers
from storage.numbers import Numbers, Row

OFFERED = 30  # cities or counties in one list
_TITLES = (
    "市", "实施主体", "示范年度", "待下发", "纳入统计", "在办", "已销号未抽查", "回头看通过", "转处理", "销号率", "回头看确认率",
    "现逾期", "原逾期", "一次通过率", "反弹率", "县级平均天数", "省级平均天数", "见底清零",
)  # fmt: skip
SHEET = Sheet(
    name="进度统计",
    columns=tuple(Column(key=title, title=title, note="", example="", width=12) for title in _TITLES),
)


def progress(turn: Turn) -> Reply:
    """The numbers of what the viewer sees, or of one city, county or year of it, with what can be looked at next."""
    match = re.fullmatch(_PATTERN, turn.text)
    assert match is not None
    year = int(match["year"]) if match["year"] else None
    rows = numbers.table(turn.db, turn.now, turn.now.astimezone(LOCAL).date(), year=year)
    place, rows = _within(turn.db, rows, match["place"])
    if not rows:
        raise Refused(say("progress.nothing", place=match["place"] or "", year=year))
    bodies = numbers.by_body(rows)
    text = say(
        "progress.card",
        place=place,
        year=year,
        on=turn.now.astimezone(LOCAL).date(),
        total=numbers.total(rows),
        bodies=len(bodies),
        cleared=sum(found.cleared for _, found in bodies.values()),
    )
    return Reply(text=text, options=_next(turn.db, rows, place, year), route="progress")


def _within(db: Session, rows: Sequence[Row], typed: str | None) -> tuple[str, list[Row]]:
    """The rows of the place that was typed, by name or code, and what it is called. Of everything when none was."""
    cities = numbers.by_city(db, rows)
    if typed is None:
        names = (
            {row.place for row in rows} if len(numbers.by_body(rows)) == 1 else {name for name, _ in cities.values()}
        )
        return (names.pop() if len(names) == 1 else ""), list(rows)
    for code, (name, listed) in cities.items():
        if typed in (code, name):
            return name, listed
    listed = [row for row in rows if typed in (row.place, row.code)]
    if len({row.body_id for row in listed}) > 1:
        raise Refused(say("progress.several", place=typed, codes=sorted({row.code for row in listed})))
    return (listed[0].place if listed else ""), listed


def _next(db: Session, rows: Sequence[Row], place: str, year: int | None) -> tuple[Option, ...]:
    """Cities where there are several, else counties, else the years; and the definitions."""
    asked = f" {year}年度" if year else ""
    cities, found = numbers.by_city(db, rows), numbers.by_body(rows)
    codes = {row.body_id: row.code for row in rows}
    if len(cities) > 1:
        parts = [(name, f"{code}{asked}", numbers.total(listed)) for code, (name, listed) in cities.items()]
    elif len(found) > 1:
        parts = [(name, f"{codes[body]}{asked}", counted) for body, (name, counted) in found.items()]
    else:
        parts = []
    years = sorted({row.batch_year for row in rows})
    if year is None and len(years) > 1:
        sums = {one: numbers.total(row for row in rows if row.batch_year == one) for one in years}
        within = {row.code for row in rows} if len(found) == 1 else {row.city for row in rows} if place else set()
        parts += [(f"{one}年度", " ".join((*within, f"{one}年度")), counted) for one, counted in sums.items()]
    options = [
        Option(label=say("progress.part", name=name, total=counted), value=f"进度统计 {value}")
        for name, value, counted in parts[:OFFERED]
    ]
    return (*options, Option(label="数字口径", value="数字口径"))


def definitions(turn: Turn) -> Reply:
    """What each number counts, with its formula."""
    return Reply(text=say("progress.definitions"), route="progress.definitions")


# --- the workbook's sheet --------------------------------------------------------------------------------------------


def cells(
    db: Session, now: datetime, body_id: int | None = None, year: int | None = None
) -> dict[Sheet, list[list[str]]]:
    """The sheet of numbers that goes with the 整改台账: a row for each body and year of what the viewer sees."""
    rows = numbers.table(db, now, now.astimezone(LOCAL).date(), body_id=body_id, year=year)
    cities = numbers.by_city(db, rows)
    found = [
        [cities[row.city][0], f"{row.place}（{row.code}）", str(row.batch_year), *_texts(row.numbers)] for row in rows
    ]
    return {SHEET: found}


def _texts(one: Numbers) -> list[str]:
    counts = (one.drafts, one.counted, one.open, one.closed, one.confirmed, one.referred)
    return [
        *map(str, counts), _percent(one.closing_rate), _percent(one.confirmed_rate), str(one.overdue),
        str(one.overdue_first), _percent(one.first_time_rate), _percent(one.rebound_rate), _days(one.county_days),
        _days(one.province_days), "是" if one.cleared else "否",
    ]  # fmt: skip


def _percent(rate: float | None) -> str:
    return "" if rate is None else f"{rate:.1%}"


def _days(days: float | None) -> str:
    return "" if days is None else f"{days:.1f}"


_PATTERN = r"(?:整改)?进度统计(?:\s*(?P<place>[一-鿿·]{2,20}|\d{6}))?(?:\s*(?P<year>20\d\d)(?:年度)?)?"
ROUTES = [
    Route(
        name="progress",
        pattern=_PATTERN,
        run=progress,
        member=True,
        examples=(
            "进度统计",
            "进度统计 天水市",
            "进度统计 秦安县 2016年度",
            "进度统计 2016",
            "进度统计 620522 2016年度",
        ),
    ),
    Route(name="progress.definitions", pattern=r"数字口径|统计口径", run=definitions, examples=("数字口径",)),
]
