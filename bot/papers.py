"""Papers as .docx in plain official layout: A4, title, paragraphs and tables, numbered pages.

Sizes, margins and typefaces follow GB/T 9704-2012 (5.2, 7). The typefaces are named as Windows and WPS name them; where
one is missing, the system's own Chinese typeface is used.
"""

import io
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from docx import Document
from docx.enum.table import WD_TABLE_ALIGNMENT
from docx.enum.text import WD_ALIGN_PARAGRAPH, WD_LINE_SPACING
from docx.oxml import OxmlElement
from docx.oxml.ns import qn
from docx.shared import Mm, Pt

TITLE, BODY, HEADING, FIGURES = "FZXiaoBiaoSong-B05S", "FangSong", "SimHei", "SimSun"
_NO_XML = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff\ufffe\uffff]")  # what XML 1.0 cannot hold
TITLE_STAND_IN = "STZhongsong"
TITLE_PT, BODY_PT, TABLE_PT, FOOTER_PT, LINE_PT = 22, 16, 12, 14, 28  # 二号, 三号, 小四, 四号; 22 lines to a page


@dataclass(frozen=True, kw_only=True)
class Heading:
    """A heading of the first level."""

    text: str


@dataclass(frozen=True, kw_only=True)
class Table:
    """Rows of cells with the columns' widths in mm; with `titles` a head that each page repeats.

    Without `titles` it is a form: the first column holds the labels.
    """

    rows: Sequence[Sequence[str]]
    widths: Sequence[int]
    titles: Sequence[str] = ()


@dataclass(frozen=True, kw_only=True)
class Paper:
    """What a paper says, top to bottom. A text has one paragraph to a line; `signed` stands at the right, below."""

    title: str  # in one line, or in two
    addressed: str = ""
    parts: Sequence[Heading | Table | str]
    signed: Sequence[str] = ()

    @property
    def name(self) -> str:
        """The title in one line."""
        return self.title.replace("\n", "")


def write(paper: Paper) -> bytes:
    """The paper as the bytes of a .docx file."""
    made = Document()
    _page(made)
    _typefaces(made)
    made.core_properties.title = _NO_XML.sub("", paper.name)
    made.core_properties.author = made.core_properties.comments = ""
    _paragraph(made, paper.title, TITLE, TITLE_PT, align=WD_ALIGN_PARAGRAPH.CENTER, after_pt=LINE_PT)
    if paper.addressed:
        _paragraph(made, paper.addressed, BODY, BODY_PT)
    for part in paper.parts:
        if isinstance(part, Table):
            _table(made, part)
        elif isinstance(part, Heading):
            _paragraph(made, part.text, HEADING, BODY_PT, indent_pt=2 * BODY_PT, keep=True)
        else:
            for line in filter(None, part.splitlines()):
                _paragraph(made, line, BODY, BODY_PT, indent_pt=2 * BODY_PT)
    if paper.signed:
        made.paragraphs[-1].paragraph_format.keep_with_next = True  # a signature never has a page to itself
    for number, line in enumerate(paper.signed):
        made_line = _paragraph(made, line, BODY, BODY_PT, align=WD_ALIGN_PARAGRAPH.RIGHT, keep=True)
        made_line.paragraph_format.right_indent = Pt(2 * BODY_PT)
        made_line.paragraph_format.space_before = Pt(0 if number else LINE_PT)
    file = io.BytesIO()
    made.save(file)
    return file.getvalue()


# Any below: python-docx comes without types.


def _page(made: Any) -> None:
    section = made.sections[0]
    section.page_width, section.page_height = Mm(210), Mm(297)
    section.top_margin, section.bottom_margin = Mm(37), Mm(35)
    section.left_margin, section.right_margin = Mm(28), Mm(26)
    section.footer_distance = Mm(28)
    made.settings.odd_and_even_pages_header_footer = True
    for footer, align in ((section.footer, WD_ALIGN_PARAGRAPH.RIGHT), (section.even_page_footer, None)):
        footer.is_linked_to_previous = False
        line = footer.paragraphs[0]
        line.alignment = align
        line.paragraph_format.left_indent = line.paragraph_format.right_indent = Pt(FOOTER_PT)
        for text in ("— ", None, " —"):
            run = line.add_run(text or "")
            _font(run, FIGURES, FOOTER_PT)
            if text is None:
                _page_number(run)


def _page_number(run: Any) -> None:
    for kind, code in (("begin", ""), ("", "PAGE"), ("separate", ""), ("", ""), ("end", "")):
        if kind:
            part = OxmlElement("w:fldChar")
            part.set(qn("w:fldCharType"), kind)
        else:
            part = OxmlElement("w:instrText" if code else "w:t")
            part.text = code or "1"
        run._r.append(part)


def _typefaces(made: Any) -> None:
    """Say which language the text is in, and what may stand in for the title's typeface, which few machines have."""
    style = made.styles["Normal"]
    _font(style, BODY, BODY_PT)
    language = made.styles.element.find(f".//{qn('w:docDefaults')}//{qn('w:lang')}")
    language.set(qn("w:eastAsia"), "zh-CN")
    fonts = next(part for part in made.part.package.iter_parts() if part.partname == "/word/fontTable.xml")
    told = f'<w:font w:name="{TITLE}"><w:altName w:val="{TITLE_STAND_IN}"/><w:charset w:val="86"/></w:font>'
    fonts._blob = fonts.blob.replace(b"</w:fonts>", f"{told}</w:fonts>".encode())


def _font(run: Any, name: str, size_pt: float) -> None:
    run.font.name, run.font.size = name, Pt(size_pt)
    fonts = run._element.get_or_add_rPr().get_or_add_rFonts() if hasattr(run, "_element") else None
    if fonts is not None:
        fonts.set(qn("w:eastAsia"), name)


def _paragraph(
    place: Any, text: str, font: str, size_pt: float, *, align: Any = None, indent_pt: float = 0, after_pt: float = 0,
    keep: bool = False,
) -> Any:  # fmt: skip
    line = place.add_paragraph()
    _fill(line, text, font, size_pt, line_pt=max(LINE_PT, size_pt * 1.5))
    line.alignment = align
    line.paragraph_format.first_line_indent = Pt(indent_pt)
    line.paragraph_format.space_after = Pt(after_pt)
    line.paragraph_format.keep_with_next = keep
    return line


def _fill(line: Any, text: str, font: str, size_pt: float, *, line_pt: float) -> None:
    _font(line.add_run(_NO_XML.sub("", text)), font, size_pt)
    form = line.paragraph_format
    form.line_spacing_rule, form.line_spacing = WD_LINE_SPACING.EXACTLY, Pt(line_pt)
    form.space_before = form.space_after = Pt(0)


def _table(made: Any, table: Table) -> None:
    _gap(made, TABLE_PT / 2)
    rows = [*([table.titles] if table.titles else []), *table.rows]
    built = made.add_table(rows=len(rows), cols=len(table.widths), style="Table Grid")
    built.alignment, built.autofit = WD_TABLE_ALIGNMENT.CENTER, False
    for column, width in zip(built.columns, table.widths, strict=True):
        column.width = Mm(width)
    for number, (line, cells) in enumerate(zip(built.rows, rows, strict=True)):
        _row(line, head=bool(table.titles) and not number)
        for place, (cell, text) in enumerate(zip(line.cells, cells, strict=True)):
            label = not number if table.titles else not place
            cell.width = Mm(table.widths[place])
            for part, words in enumerate(text.splitlines() or [""]):
                written = cell.add_paragraph() if part else cell.paragraphs[0]
                _fill(written, words, HEADING if label else BODY, TABLE_PT, line_pt=TABLE_PT * 1.5)
                written.alignment = WD_ALIGN_PARAGRAPH.CENTER if label else None
                written.paragraph_format.keep_with_next = not table.titles and number < len(rows) - 1
    _gap(made, TABLE_PT)


def _gap(made: Any, high_pt: float) -> None:
    _fill(made.add_paragraph(), "", BODY, 1, line_pt=high_pt)


def _row(line: Any, *, head: bool) -> None:
    """Keep a row on one page, and let each page repeat the head."""
    properties = line._tr.get_or_add_trPr()
    for name in ("w:cantSplit", *(("w:tblHeader",) if head else ())):
        properties.append(OxmlElement(name))
