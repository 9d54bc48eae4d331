"""Word documents in a plain official layout: A4, a title, paragraphs and tables, page numbers."""

import io
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import docx
from docx.enum.table import WD_TABLE_ALIGNMENT
from docx.enum.text import WD_ALIGN_PARAGRAPH
from docx.oxml import OxmlElement
from docx.oxml.ns import qn
from docx.shared import Cm, Pt

from bot.texts import say

MIME = "application/vnd.openxmlformats-officedocument.wordprocessingml.document"
BODY_PT, TITLE_PT, TABLE_PT = 16, 22, 11  # 三号, 二号, and small enough for seven columns


@dataclass(frozen=True, kw_only=True)
class Text:
    """A paragraph. `size` in points."""

    text: str
    size: float = BODY_PT
    bold: bool = False
    centred: bool = False


@dataclass(frozen=True, kw_only=True)
class Table:
    """A table with a header row; `widths` in cm. Rows that are shorter than the header end in empty cells."""

    header: Sequence[str]
    rows: Sequence[Sequence[str]]
    widths: Sequence[float]


def write(title: str, blocks: Sequence[Text | Table]) -> bytes:
    """The bytes of a .docx with these blocks under a title; without a title line when it is empty."""
    made = docx.Document()
    _page(made)
    if title:
        _paragraph(made, Text(text=title, size=TITLE_PT, bold=True, centred=True), say("documents.title_font"))
    for block in blocks:
        if isinstance(block, Text):
            _paragraph(made, block, say("documents.body_font"))
        else:
            _table(made, block)
    made.core_properties.author, made.core_properties.title = "", _clean(title)
    buffer = io.BytesIO()
    made.save(buffer)
    return buffer.getvalue()


def _clean(text: str) -> str:
    """A text without the control characters and halves of characters that XML cannot hold."""
    return "".join(one for one in text if unicodedata.category(one)[0] != "C" or one in "\n\t")


def _page(made: Any) -> None:  # Any: python-docx has no types
    page = made.sections[0]
    page.page_width, page.page_height = Cm(21), Cm(29.7)
    page.top_margin, page.bottom_margin, page.left_margin, page.right_margin = Cm(3.7), Cm(3.5), Cm(2.8), Cm(2.6)
    footer = page.footer.paragraphs[0]
    footer.alignment = WD_ALIGN_PARAGRAPH.CENTER
    for kind, text in (("begin", ""), ("", "PAGE"), ("end", "")):
        run = footer.add_run()
        part = OxmlElement("w:fldChar" if kind else "w:instrText")
        if kind:
            part.set(qn("w:fldCharType"), kind)
        else:
            part.text = text
        run._r.append(part)


def _paragraph(made: Any, block: Text, font: str) -> None:
    paragraph = made.add_paragraph()
    paragraph.paragraph_format.space_before = paragraph.paragraph_format.space_after = Pt(4)
    if block.centred:
        paragraph.alignment = WD_ALIGN_PARAGRAPH.CENTER
    _run(paragraph, block.text, block.size, font, block.bold)


def _run(paragraph: Any, text: str, size: float, font: str, bold: bool = False) -> None:
    run = paragraph.add_run(_clean(text))
    run.font.size, run.font.bold, run.font.name = Pt(size), bold, font
    run._r.get_or_add_rPr().rFonts.set(qn("w:eastAsia"), font)


def _table(made: Any, block: Table) -> None:
    table = made.add_table(rows=1, cols=len(block.header), style="Table Grid")
    table.alignment, table.autofit = WD_TABLE_ALIGNMENT.CENTER, False
    for column, width in zip(table.columns, block.widths, strict=True):
        column.width = Cm(width)  # what LibreOffice goes by; Word goes by the cells
    _cells(table.rows[0].cells, block.header, block.widths, bold=True)
    header = OxmlElement("w:tblHeader")  # repeated on every page
    table.rows[0]._tr.get_or_add_trPr().append(header)
    for row in block.rows:
        made_row = table.add_row()
        made_row._tr.get_or_add_trPr().append(OxmlElement("w:cantSplit"))
        _cells(made_row.cells, row, block.widths, bold=False)


def _cells(cells: Sequence[Any], texts: Sequence[str], widths: Sequence[float], *, bold: bool) -> None:
    for place, (cell, width) in enumerate(zip(cells, widths, strict=True)):
        cell.width = Cm(width)
        text = texts[place] if place < len(texts) else ""
        _run(cell.paragraphs[0], text, TABLE_PT, say("documents.body_font"), bold)
