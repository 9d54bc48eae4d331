"""Workbooks that people fill in: what their sheets are, and reading them with every fault named by row and column.

A workbook comes from outside: its size, rows and cells are counted before it is parsed, and formulas are not trusted.
"""

import re
import unicodedata
import warnings
import zipfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any

import openpyxl
from openpyxl.utils import get_column_letter

from bot.texts import say

MOST_BYTES = 5_000_000
MOST_UNPACKED = 60_000_000
MOST_ROWS, MOST_COLUMNS = 20_000, 60
HEADER_WITHIN = 10  # rows; a title may stand above the header
_EPOCH = date(1899, 12, 30)  # of Excel's day numbers
_WIDE = {0xFEE0 + code: code for code in (*range(ord("0"), ord("9") + 1), *range(ord("A"), ord("Z") + 1))}
_MARKED = re.compile(r"[\s　*＊]|[（(].*?[）)]")
FORMULA_SIGNS = ("=", "+", "-", "@", "＝", "＋", "－", "＠", "\t", "\r")


@dataclass(frozen=True, kw_only=True)
class Column:
    """A column: its header, how to fill it, an example of what is right. `choices` names a list of the template."""

    key: str
    title: str
    note: str
    example: str
    required: bool = False
    choices: str = ""
    width: int = 16


@dataclass(frozen=True, kw_only=True)
class Sheet:
    """A sheet to fill: its name and its columns."""

    name: str
    columns: tuple[Column, ...]


@dataclass(frozen=True, kw_only=True)
class Problem:
    """A fault: where it is, what is wrong, and an example of what is right."""

    sheet: str
    row: int | None
    column: str
    wrong: str
    example: str = ""


class Unreadable(Exception):
    """The file as a whole cannot be used; the message says in Chinese why and what to do."""


@dataclass(frozen=True, kw_only=True)
class Row:
    """A filled row: its number in the sheet and its texts by column key; an empty cell is an empty text."""

    sheet: Sheet
    number: int
    letters: Mapping[str, str]
    texts: Mapping[str, str]

    def __getitem__(self, key: str) -> str:
        return self.texts.get(key, "")

    def problem(self, key: str, wrong: str) -> Problem:
        """A fault of one of the row's cells."""
        column = next(one for one in self.sheet.columns if one.key == key)
        place = f"{self.letters.get(key, '')}列“{column.title}”"
        return Problem(sheet=self.sheet.name, row=self.number, column=place, wrong=wrong, example=column.example)


@dataclass(kw_only=True)
class Table:
    """What a sheet says: its rows, its faults, and the headers of columns that are not read."""

    rows: list[Row] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)
    ignored: list[str] = field(default_factory=list)


def read(path: Path, sheets: Sequence[Sheet]) -> dict[str, Table]:
    """Read the sheets of a workbook, by name. Raises Unreadable when the file as a whole cannot be used."""
    _check(path)
    try:
        with (
            warnings.catch_warnings(),
            path.open("rb") as file,
        ):  # a stored file's name has no ending, which a path needs
            warnings.simplefilter("ignore")  # openpyxl warns of parts of a file that it leaves out
            book = openpyxl.load_workbook(file)
    except Exception as error:  # whatever a broken file makes the parser raise
        raise Unreadable(say("workbooks.broken", name=path.name)) from error
    tables: dict[str, Table] = {}
    for sheet in sheets:
        if sheet.name not in book.sheetnames:
            wrong = say("workbooks.no_sheet", name=sheet.name, found=book.sheetnames)
            tables[sheet.name] = Table(problems=[Problem(sheet=sheet.name, row=None, column="", wrong=wrong)])
        else:
            tables[sheet.name] = _table(book[sheet.name], sheet, path)
    return tables


def _check(path: Path) -> None:
    """Refuse what is no plain workbook, or would unpack to more than a roster can be."""
    if not path.is_file():
        raise Unreadable(say("workbooks.no_file", name=path.name))
    if path.stat().st_size > MOST_BYTES:
        raise Unreadable(say("workbooks.too_big", name=path.name, most=MOST_BYTES // 1_000_000))
    if not zipfile.is_zipfile(path):
        raise Unreadable(say("workbooks.not_xlsx", name=path.name))
    try:
        with zipfile.ZipFile(path) as packed:
            members = packed.infolist()
            if sum(member.file_size for member in members) > MOST_UNPACKED or len(members) > 500:
                raise Unreadable(say("workbooks.too_big_inside", name=path.name))
            if any(member.filename.lower().endswith("vbaproject.bin") for member in members):
                raise Unreadable(say("workbooks.macros", name=path.name))
            for member in members:
                if member.filename.endswith((".xml", ".rels")):
                    _count(packed.read(member), path)
    except (zipfile.BadZipFile, RuntimeError, NotImplementedError, OSError, EOFError) as error:
        raise Unreadable(say("workbooks.broken", name=path.name)) from error


def _count(xml: bytes, path: Path) -> None:
    if b"<!DOCTYPE" in xml or b"<!ENTITY" in xml:
        raise Unreadable(say("workbooks.broken", name=path.name))
    if xml.count(b"<row") > MOST_ROWS + HEADER_WITHIN or xml.count(b"<c ") > MOST_ROWS * MOST_COLUMNS:
        raise Unreadable(say("workbooks.too_many_rows", name=path.name, most=MOST_ROWS))


def _table(worksheet: Any, sheet: Sheet, path: Path) -> Table:  # Any: openpyxl has no types
    table = Table()
    header, places = _header(worksheet, sheet, table)
    if header is None:
        return table
    letters = {key: get_column_letter(place) for key, place in places.items()}
    for merged in worksheet.merged_cells.ranges:
        if merged.max_row > header and merged.min_row <= worksheet.max_row:
            wrong = say("workbooks.merged", cells=merged.coord)
            table.problems.append(
                Problem(sheet=sheet.name, row=max(merged.min_row, header + 1), column=merged.coord, wrong=wrong)
            )
    if worksheet.max_row > MOST_ROWS + header:  # rows that are numbered further apart are not counted before
        raise Unreadable(say("workbooks.too_many_rows", name=path.name, most=MOST_ROWS))
    for cells in worksheet.iter_rows(min_row=header + 1, max_col=max(places.values())):  # empty cells cost too
        number = cells[0].row
        read = {key: cells[place - 1] for key, place in places.items()}
        row = Row(sheet=sheet, number=number, letters=letters, texts={key: text_of(one) for key, one in read.items()})
        if not any(row.texts.values()):
            continue
        for key, cell in read.items():
            if cell.data_type in ("f", "e"):
                table.problems.append(row.problem(key, say("workbooks.formula", error=cell.data_type == "e")))
        table.rows.append(row)
    return table


def _header(worksheet: Any, sheet: Sheet, table: Table) -> tuple[int | None, dict[str, int]]:
    """The row of the header and the place of each column, wherever it was moved; its faults go to the table."""
    wanted = {_bare(column.title): column.key for column in sheet.columns}
    best: tuple[int, dict[str, int], list[str]] = (0, {}, [])
    for cells in worksheet.iter_rows(max_row=HEADER_WITHIN, max_col=MOST_COLUMNS):
        titles = [(text_of(cell), cell.column) for cell in cells]
        places = {wanted[_bare(title)]: place for title, place in reversed(titles) if _bare(title) in wanted}
        if len(places) > len(best[1]):
            best = (cells[0].row, places, [title for title, _ in titles if title and _bare(title) not in wanted])
    number, places, table.ignored = best
    missing = [column for column in sheet.columns if column.required and column.key not in places]
    for column in missing:
        wrong = say("workbooks.no_column", title=column.title)
        table.problems.append(
            Problem(sheet=sheet.name, row=number or None, column=f"“{column.title}”", wrong=wrong, example=column.title)
        )
    return (None if missing else number), places


def _bare(title: str) -> str:
    return _MARKED.sub("", unicodedata.normalize("NFKC", title))


def text_of(cell: Any) -> str:  # Any: openpyxl has no types
    """A cell as text: dates as 2020-06-30, whole numbers without a point, full-width digits narrow, edges trimmed.

    The ' that keeps a text of ours from being a formula is taken off.
    """
    value = cell.value
    if value is None or cell.data_type in ("f", "e"):
        return "" if value is None else str(value)
    if isinstance(value, bool):
        return "是" if value else "否"
    if isinstance(value, datetime | date):
        return value.isoformat()[:10]
    if isinstance(value, float):
        return f"{value:.10f}".rstrip("0").rstrip(".")
    text = clean(str(value))
    return text[1:].strip() if text.startswith("'") and text[1:].startswith(FORMULA_SIGNS) else text


def clean(text: str) -> str:
    """A text as cells are read: without control characters, full-width digits narrow, edges trimmed."""
    if not text.isprintable():
        text = "".join(one for one in text if one.isprintable() or one.isspace())
    return text.strip().translate(_WIDE)


def day_number(text: str) -> date | None:
    """The day behind Excel's number for it: 44012 → 2020-06-30; None for other texts."""
    if re.fullmatch(r"[34]\d{4}|5[0-4]\d{3}", text):
        return _EPOCH + timedelta(days=int(text))
    return None


def required(rows: Iterable[Row]) -> list[Problem]:
    """The cells that must be filled and are not."""
    return [
        row.problem(column.key, say("workbooks.empty"))
        for row in rows
        for column in row.sheet.columns
        if column.required and not row[column.key]
    ]


def one_for_each_cell(problems: Iterable[Problem]) -> list[Problem]:
    """The faults in the order of the sheets' rows, the first one of each cell: the rest would follow from it."""
    first: dict[tuple[str, int | None, str], Problem] = {}
    for problem in problems:
        first.setdefault((problem.sheet, problem.row, problem.column), problem)
    order = list(dict.fromkeys(sheet for sheet, _, _ in first))
    return sorted(first.values(), key=lambda one: (order.index(one.sheet), one.row or 0))


@dataclass(kw_only=True)
class Outcome:
    """What an import did, or would do: counts of rows, its faults, and headers that were not read."""

    added: int = 0
    changed: int = 0
    unchanged: int = 0
    blank: int = 0
    problems: list[Problem] = field(default_factory=list)
    ignored: list[str] = field(default_factory=list)
