"""Workbooks that we hand out: templates with choices and instructions, and filled sheets. Nothing in them is a formula."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import xlsxwriter

from bot.texts import say
from bot.workbooks import FORMULA_SIGNS, Sheet

ROWS_WITH_CHOICES = 2000
_OPTIONS = {"strings_to_formulas": False, "strings_to_urls": False, "strings_to_numbers": False}


def safe(text: str) -> str:
    """A text that no spreadsheet program takes for a formula, even after it was saved as CSV."""
    return f"'{text}" if text.startswith(FORMULA_SIGNS) else text


def write(
    path: Path,
    sheets: Sequence[Sheet],
    *,
    choices: Mapping[str, Sequence[str]] | None = None,
    rows: Mapping[str, Sequence[Sequence[str]]] | None = None,
    version: str = "",
    instructions: Sequence[str] = (),
) -> None:
    """Write sheets with their rows, choices to pick from, and, for a template, a sheet of instructions.

    `choices` are the lists that columns name; `rows` the rows of each sheet by its name; `version` says which
    template it is, in a hidden name.
    """
    with xlsxwriter.Workbook(str(path), _OPTIONS) as book:
        formats = {
            "header": book.add_format(
                {"bold": True, "bg_color": "#D9E2EC", "border": 1, "text_wrap": True, "valign": "vcenter"}
            ),
            "text": book.add_format({"num_format": "@", "valign": "top"}),
            "wrapped": book.add_format({"num_format": "@", "text_wrap": True, "valign": "top"}),
        }
        if version:
            book.define_name("countydesk_template", f'="{version}"')
        lists = {name: values for name, values in (choices or {}).items() if values}
        for sheet in sheets:
            _sheet(book, sheet, (rows or {}).get(sheet.name, ()), lists, formats)
        if instructions:
            _instructions(book, sheets, instructions, formats)
        if lists:
            _lists(book, lists)


def _sheet(
    book: Any, sheet: Sheet, rows: Sequence[Sequence[str]], lists: Mapping[str, Sequence[str]], formats: Any
) -> None:
    made = book.add_worksheet(sheet.name)
    made.set_landscape()
    made.set_paper(9)  # A4
    made.fit_to_pages(1, 0)
    made.repeat_rows(0)
    made.set_footer("&C&P/&N")
    made.freeze_panes(1, 0)
    made.set_row(0, 32)
    for place, column in enumerate(sheet.columns):
        made.set_column(place, place, column.width, formats["text"])
        made.write_string(0, place, f"{column.title}{'*' if column.required else ''}", formats["header"])
        if column.choices in lists:
            made.data_validation(
                1,
                place,
                ROWS_WITH_CHOICES,
                place,
                {
                    "validate": "list",
                    "source": f"={say('templates.lists')}!{_range(list(lists).index(column.choices), lists[column.choices])}",
                    "ignore_blank": True,
                    "error_type": "warning",  # a name may be typed that the list does not have yet
                    "error_title": column.title[:32],
                    "error_message": say("templates.pick", example=column.example)[:255],
                },
            )
    for number, row in enumerate(rows, 1):
        for place, text in enumerate(row):
            made.write_string(number, place, safe(text), formats["text"])


def _range(place: int, values: Sequence[str]) -> str:
    letter = chr(ord("A") + place)
    return f"${letter}$1:${letter}${len(values)}"


def _instructions(book: Any, sheets: Sequence[Sheet], lines: Sequence[str], formats: Any) -> None:  # Any: no types
    made = book.add_worksheet(say("templates.instructions"))
    made.set_column(0, 1, 16, formats["wrapped"])
    made.set_column(2, 3, 44, formats["wrapped"])
    for row, line in enumerate(lines):
        made.merge_range(row, 0, row, 3, "", formats["wrapped"])
        made.write_string(row, 0, line, formats["wrapped"])
        made.set_row(row, 32)
    row = len(lines) + 1
    for place, title in enumerate(say("templates.columns").split("|")):
        made.write_string(row, place, title, formats["header"])
    for sheet in sheets:
        for column in sheet.columns:
            row += 1
            for place, text in enumerate((sheet.name, column.title, column.note, column.example)):
                made.write_string(row, place, safe(text), formats["wrapped"])


def _lists(book: Any, lists: Mapping[str, Sequence[str]]) -> None:  # Any: no types
    made = book.add_worksheet(say("templates.lists"))
    made.hide()
    for place, values in enumerate(lists.values()):
        for row, value in enumerate(values):
            made.write_string(row, place, safe(value))
