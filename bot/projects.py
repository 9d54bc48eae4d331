"""The table 资金—承办单位—项目: one project a row, from the workbook that people fill in or from lines typed in chat.

Source: 商办建函〔2020〕144号 四(二), and for each project's information the notice of 2020 六(四).
"""

import re
from collections.abc import Sequence
from pathlib import Path

from bot import templates
from bot.inputs import amount
from bot.texts import say
from bot.workbooks import Column, Problem, Row, Sheet, one_for_each_cell, read, required

MIME = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"
MOST = 200  # projects of one body and year
LONGEST = 80  # characters of a name
INFORMED = {"完整": "yes", "不完整": "no", "不清楚": "unclear"}
Project = dict[str, str]  # project, unit, amount in 万元, informed: yes, no, unclear
SHEET = Sheet(
    name="一一对应表",
    columns=(
        Column(key="project", title="建设或补贴项目", note="一行一个项目", example="县级物流配送中心", required=True, width=28),
        Column(key="unit", title="项目承办单位", note="没有承办单位的留空", example="某某物流有限公司", width=28),
        Column(key="amount", title="资金（万元）", note="中央财政资金，单位万元；没有对应资金的留空", example="120.5", width=14),
        Column(
            key="informed", title="信息是否完整", note="从下拉列表选择；承办主体按要求提供的项目交易和活动信息",
            example="完整", choices="informed", width=14,
        ),
    ),
)  # fmt: skip


def template(path: Path) -> None:
    """Write the empty table with its choices and instructions."""
    instructions = say("projects.instructions").split("\n")
    templates.write(
        path, [SHEET], choices={"informed": list(INFORMED)}, version="projects-1", instructions=instructions
    )


def load(path: Path) -> tuple[list[Project], list[Problem]]:
    """The projects of a filled table, or its faults. Raises workbooks.Unreadable."""
    table = read(path, [SHEET])[SHEET.name]
    problems = [*table.problems, *required(table.rows)]
    found = [_project(row, problems) for row in table.rows]
    if not table.rows or len(table.rows) > MOST:
        wrong = say("projects.count", most=MOST)
        problems.append(Problem(sheet=SHEET.name, row=None, column="", wrong=wrong))
    return found, one_for_each_cell(problems)


def _project(row: Row, problems: list[Problem]) -> Project:
    for key in ("project", "unit"):
        if len(row[key]) > LONGEST:
            problems.append(row.problem(key, say("projects.too_long", most=LONGEST)))
    if row["informed"] and row["informed"] not in INFORMED:
        problems.append(row.problem("informed", say("projects.informed")))
    money = ""
    if row["amount"]:
        try:
            money = f"{amount(row['amount']).normalize():f}"
        except ValueError:
            problems.append(row.problem("amount", say("projects.amount")))
    informed = INFORMED.get(row["informed"], "unclear")
    return {"project": row["project"], "unit": row["unit"], "amount": money, "informed": informed}


def typed(text: str) -> list[Project]:
    """The projects of lines like 物流中心，某某公司，120万元，完整; 无 stands for what there is not. Raises ValueError."""
    lines = [line.strip() for line in re.split(r"[\n;；]", text) if line.strip()]
    return [_typed(line) for line in lines]


def _typed(line: str) -> Project:
    parts: Sequence[str] = [part.strip() for part in re.split(r"[，,\t]", line)]
    if len(parts) != 4 or not parts[0] or parts[3] not in INFORMED or any(len(part) > LONGEST for part in parts):
        raise ValueError(line)
    project, unit, money, informed = ("" if part == "无" else part for part in parts)
    if not project:
        raise ValueError(line)
    found = f"{amount(money).normalize():f}" if money else ""
    return {"project": project, "unit": unit, "amount": found, "informed": INFORMED[informed]}


def lacking(project: Project) -> list[str]:
    """What a row does not say: unit, amount, informed."""
    found = [key for key in ("unit", "amount") if not project[key]]
    return found + (["informed"] if project["informed"] != "yes" else [])
