"""Funds of many bodies at once: the workbook to fill in, and what its rows become."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path

from sqlalchemy import select
from sqlalchemy.orm import Session

from bot import templates
from bot.inputs import UNIT_NEEDED, amount, day
from bot.texts import say
from bot.workbooks import Column, Outcome, Problem, Row, Sheet, day_number, one_for_each_cell, read, required
from bot.workdays import LOCAL
from storage import bodies, funds
from storage.funds import Sums
from storage.models import Body, BodyYear

OPERATOR = "operator"
_AMOUNTS = {"allocated": "下达", "disbursed": "拨付", "used": "使用"}
SHEET = Sheet(
    name="资金",
    columns=(
        Column(
            key="body", title="实施主体", note="从下拉列表选择；也可以写县名或六位区划代码", example="秦安县（620522）",
            required=True, choices="bodies", width=24,
        ),
        Column(
            key="year", title="示范年度", note="该县登记的示范年度", example="2016", required=True, choices="years", width=12
        ),
        Column(
            key="allocated", title="下达（万元）", note="中央财政资金下达数，单位万元", example="2000", required=True
        ),
        Column(key="disbursed", title="拨付（万元）", note="其中已拨付，单位万元", example="1760.5", required=True),
        Column(key="used", title="使用（万元）", note="其中已使用，单位万元", example="1500", required=True),
        Column(key="as_of", title="截至日", note="数字截至哪一天，不能晚于今天", example="2020-06-30", required=True),
        Column(key="note", title="说明", note="拨付大于下达或使用大于拨付时，必须写明原因", example="含结转资金", width=30),
    ),
)  # fmt: skip


def template(db: Session, path: Path) -> int:
    """Write the workbook with a row for each demonstration year, its last allocation filled in; how many rows."""
    listed = db.execute(
        select(Body.name, Body.division_code, BodyYear.body_id, BodyYear.batch_year)
        .join(BodyYear, BodyYear.body_id == Body.id)
        .order_by(Body.division_code, Body.id, BodyYear.batch_year)
    ).all()
    rows = []
    for name, code, body_id, year in listed:
        fund = funds.newest(db, body_id, year)
        allocated = f"{fund.allocated.normalize():f}" if fund else ""
        rows.append((f"{name}（{code}）", str(year), allocated))
    templates.write(
        path,
        [SHEET],
        choices={
            "bodies": list(dict.fromkeys(row[0] for row in rows)),
            "years": sorted({row[1] for row in rows}),
        },
        rows={SHEET.name: rows},
        version="funds-1",
        instructions=say("ledgers.instructions").split("\n"),
    )
    return len(rows)


@dataclass(frozen=True, kw_only=True)
class _Report:
    row: Row
    body_id: int
    year: int
    sums: Sums
    note: str


def load(db: Session, path: Path, now: datetime) -> Outcome:
    """Read a filled workbook and store its rows; nothing is stored when any row has a fault.

    Raises Unreadable. The session must serve the program itself.
    """
    table = read(path, [SHEET])[SHEET.name]
    rows = [row for row in table.rows if any(row[key] for key in ("disbursed", "used", "as_of"))]
    outcome = Outcome(
        blank=len(table.rows) - len(rows), problems=[*table.problems, *required(rows)], ignored=table.ignored
    )
    reports = [report for row in rows if (report := _report(db, row, now, outcome.problems)) is not None]
    outcome.problems = one_for_each_cell((*outcome.problems, *_twice(reports)))
    if outcome.problems:
        return outcome
    source = say("ledgers.source", file=path.name)[:128]
    for report in reports:
        before = funds.newest(db, report.body_id, report.year)
        stored = funds.report(
            db, report.body_id, report.year, report.sums, source=source, now=now, role=OPERATOR, reason=report.note
        )
        if stored is None:
            outcome.unchanged += 1
        elif before is None:
            outcome.added += 1
        else:
            outcome.changed += 1
    return outcome


def _report(db: Session, row: Row, now: datetime, problems: list[Problem]) -> _Report | None:
    """What a row reports; None, and its faults, when it cannot be read."""
    faults: list[Problem] = []
    body = _body(db, row, faults)
    year = _year(db, row, body, faults)
    amounts = {key: _amount(row, key, faults) for key in _AMOUNTS}
    as_of = _day(row, now, faults)
    problems += faults
    if faults or body is None or as_of is None or None in amounts.values() or not year:
        return None
    sums = Sums(**{key: found for key, found in amounts.items() if found is not None}, as_of=as_of)
    doubts = funds.strange(sums)
    for key in doubts if not row["note"] else ():
        problems.append(row.problem(key, say("ledgers.strange", key=key)))
    return _Report(row=row, body_id=body.id, year=year, sums=sums, note=row["note"])


def _body(db: Session, row: Row, faults: list[Problem]) -> Body | None:
    typed = row["body"]
    if not typed:
        return None
    match = re.fullmatch(r"(?P<name>.*?)\s*[（(]?(?P<code>\d{6})[）)]?", typed)
    found = bodies.named(db, match["code"] if match else typed)
    if match and match["name"]:
        found = [body for body in found if body.name == match["name"]]
    if len(found) == 1:
        return found[0]
    faults.append(
        row.problem("body", say("ledgers.several", typed=typed) if found else say("ledgers.unknown_body", typed=typed))
    )
    return None


def _year(db: Session, row: Row, body: Body | None, faults: list[Problem]) -> int:
    match = re.fullmatch(r"(20\d\d)(?:年度?)?", row["year"])
    if not row["year"] or body is None:
        return 0
    years = bodies.batch_years(db, body.id)
    if match is None or int(match[1]) not in years:
        faults.append(row.problem("year", say("ledgers.no_year", body=body.name, typed=row["year"], years=years)))
        return 0
    return int(match[1])


def _amount(row: Row, key: str, faults: list[Problem]) -> Decimal | None:
    if not row[key]:
        return None
    try:
        return amount(row[key])
    except ValueError:
        large = row[key].isascii() and row[key].isdigit()
        wrong = (
            say("ledgers.amount_large", typed=row[key], most=UNIT_NEEDED)
            if large
            else say("ledgers.amount", typed=row[key])
        )
        faults.append(row.problem(key, wrong))
        return None


def _day(row: Row, now: datetime, faults: list[Problem]) -> date | None:
    if not row["as_of"]:
        return None
    today = now.astimezone(LOCAL).date()
    try:
        found = day_number(row["as_of"]) or day(row["as_of"], today)
    except ValueError:
        faults.append(row.problem("as_of", say("ledgers.day", typed=row["as_of"])))
        return None
    if found > today:
        faults.append(row.problem("as_of", say("ledgers.day_to_come", typed=found)))
        return None
    return found


def _twice(reports: Sequence[_Report]) -> list[Problem]:
    """Rows that report the same day of the same year again."""
    first: dict[tuple[int, int, date], int] = {}
    found = []
    for report in reports:
        key = (report.body_id, report.year, report.sums.as_of)
        if key in first:
            found.append(report.row.problem("body", say("ledgers.twice", row=first[key])))
        first.setdefault(key, report.row.number)
    return found
