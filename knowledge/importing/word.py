"""A Word document → its text: paragraphs with their automatic numbers, tables row by row."""

import io
import re
from collections import defaultdict
from collections.abc import Iterator
from typing import Any

import cn2an
import docx
from docx.oxml.ns import qn

from knowledge.model import KnowledgeError

Element = Any  # an lxml element; lxml ships no types

_FALLBACK = "{http://schemas.openxmlformats.org/markup-compatibility/2006}Fallback"
_HIDDEN = {
    qn("w:del"),
    qn("w:moveFrom"),
    qn("w:instrText"),
    qn("w:pPr"),
    qn("w:rPr"),
    _FALLBACK,
}
_CHINESE = {
    "chineseCounting",
    "chineseCountingThousand",
    "japaneseCounting",
    "ideographDigital",
    "taiwaneseCountingThousand",
}
_SEAL = 25 * 360_000**2  # square units of a picture, 360,000 a centimetre; seals and marks are smaller
_IMAGEDATA = "{urn:schemas-microsoft-com:vml}imagedata"
_CIRCLED = "①②③④⑤⑥⑦⑧⑨⑩⑪⑫⑬⑭⑮⑯⑰⑱⑲⑳"


def read_docx(name: str, content: bytes) -> tuple[str, tuple[str, ...]]:
    """The text of a .docx that passed the checks of its archive, and warnings of its pictures.

    Raises KnowledgeError when it is broken.
    """
    try:
        document = docx.Document(io.BytesIO(content))
        numbers = _Numbers(document)
        return "\n".join(_blocks(document.element.body, numbers)), tuple(_pictures(document.element.body))
    except Exception as error:  # the library raises whatever its parsers raise on a broken file
        raise KnowledgeError(
            [f"{name}：文件已损坏，打不开（{type(error).__name__}）。请重新下载或另存后再导入。"]
        ) from error


def _pictures(body: Element) -> Iterator[str]:
    """Where pictures stand that may hold text, by the words before and, if Word noted it, the page."""
    paged = next(body.iter(qn("w:lastRenderedPageBreak")), None) is not None
    page, said, begins = 1, "", True
    for one in body.iter():
        if one.tag == qn("w:lastRenderedPageBreak"):
            page += 1
        elif one.tag == qn("w:t"):
            said, begins = (("" if begins else said) + (one.text or ""))[-12:], False
        elif one.tag == qn("w:p"):
            begins = True
        elif one.tag in (qn("w:drawing"), qn("w:pict")) and _is_picture(one):
            after = f"“…{said}”之后" if said else "开头"
            yield f"{f'第{page}页' if paged else ''}{after}有图片，图中的文字没有读到，请对照原件补录。"


def _is_picture(drawing: Element) -> bool:
    """True for a picture larger than a seal; what is drawn beside it as a fallback, and boxes of text, are none."""
    if (
        next(drawing.iterancestors(_FALLBACK), None) is not None
        or next(drawing.iter(qn("w:txbxContent")), None) is not None
    ):
        return False
    size = next(drawing.iter(qn("wp:extent")), None)
    if size is None:
        return next(drawing.iter(_IMAGEDATA), None) is not None
    return int(size.get("cx")) * int(size.get("cy")) > _SEAL


def _blocks(parent: Element, numbers: "_Numbers") -> Iterator[str]:
    for child in parent:
        if child.tag == qn("w:p"):
            yield from (numbers.of(child) + _text(child)).split("\n")
        elif child.tag == qn("w:tbl"):
            yield from _table(child, numbers)
        elif child.tag in (qn("w:sdt"), qn("w:sdtContent"), qn("w:ins"), qn("w:smartTag"), qn("w:customXml")):
            yield from _blocks(child, numbers)


def _table(table: Element, numbers: "_Numbers") -> Iterator[str]:
    """Rows with tabs between cells; the paragraphs of the last cell stay paragraphs. One cell alone is a frame."""
    for row in table.iter(qn("w:tr")):
        cells = [_blocks(cell, numbers) for cell in row if cell.tag == qn("w:tc")]
        parts = [[part.strip() for part in cell if part.strip()] for cell in cells]
        if not any(parts):
            continue
        whole = ["".join(cell) for cell in parts[:-1]]
        yield from "\t".join([*whole, "\n".join(parts[-1])]).split("\n")


def _text(element: Element) -> str:
    out: list[str] = []
    for child in element:
        if child.tag in _HIDDEN:
            continue
        if child.tag == qn("w:t"):
            out.append(child.text or "")
        elif child.tag in (qn("w:br"), qn("w:cr")):
            out.append("\n")
        elif child.tag == qn("w:tab"):
            out.append(" ")
        elif child.tag == qn("w:noBreakHyphen"):
            out.append("-")
        else:
            out.append(_text(child))
    return "".join(out)


class _Numbers:
    """The numbers that Word writes in front of paragraphs, counted as Word counts them."""

    def __init__(self, document: Any) -> None:  # Any: python-docx ships no types for its parts
        self.levels: dict[tuple[str, int], tuple[str, str, int]] = {}
        self.styles: dict[str, tuple[str, int]] = {}
        self.counts: dict[str, dict[int, int]] = defaultdict(dict)
        self.source: dict[str, str] = {}
        try:
            root = document.part.numbering_part.element
        except (KeyError, NotImplementedError):
            return
        abstract = {one.get(qn("w:abstractNumId")): one for one in root.iter(qn("w:abstractNum"))}
        for num in root.iter(qn("w:num")):
            number, of = num.get(qn("w:numId")), num.find(qn("w:abstractNumId"))
            if of is not None and of.get(qn("w:val")) in abstract:
                self.source[number] = of.get(qn("w:val"))
                self._read(number, abstract[of.get(qn("w:val"))])
        for style in document.styles.element.iter(qn("w:style")):
            if (found := self._reference(style)) is not None:
                self.styles[style.get(qn("w:styleId"))] = found

    def _read(self, number: str, abstract: Element) -> None:
        for level in abstract.iter(qn("w:lvl")):
            parts = {tag: level.find(qn(f"w:{tag}")) for tag in ("numFmt", "lvlText", "start")}
            values = {tag: part.get(qn("w:val")) if part is not None else None for tag, part in parts.items()}
            place = int(level.get(qn("w:ilvl")))
            self.levels[number, place] = (
                values["numFmt"] or "decimal",
                values["lvlText"] or "",
                int(values["start"] or 1),
            )

    @staticmethod
    def _reference(element: Element) -> tuple[str, int] | None:
        found = element.find(f"{qn('w:pPr')}/{qn('w:numPr')}")
        number = found.find(qn("w:numId")) if found is not None else None
        if found is None or number is None:
            return None
        level = found.find(qn("w:ilvl"))
        return number.get(qn("w:val")), int(level.get(qn("w:val"))) if level is not None else 0

    def of(self, paragraph: Element) -> str:
        """The number in front of a paragraph, empty if it has none; counts on."""
        reference = self._reference(paragraph)
        if reference is None:
            style = paragraph.find(f"{qn('w:pPr')}/{qn('w:pStyle')}")
            reference = self.styles.get(style.get(qn("w:val"))) if style is not None else None
        if reference is None or reference not in self.levels or not _text(paragraph).strip():
            return ""
        number, level = reference
        counts = self.counts[self.source[number]]
        counts[level] = counts.get(level, self.levels[reference][2] - 1) + 1
        for below in [one for one in counts if one > level]:
            del counts[below]
        return re.sub(r"%(\d)", lambda m: self._shown(number, int(m[1]) - 1, counts), self.levels[reference][1])

    def _shown(self, number: str, level: int, counts: dict[int, int]) -> str:
        form, _, start = self.levels.get((number, level), ("decimal", "", 1))
        value = counts.get(level, start)
        if form in _CHINESE:
            return str(cn2an.an2cn(value)).replace("一十", "十", 1) if value < 20 else str(cn2an.an2cn(value))
        if form == "decimalEnclosedCircle" and value <= len(_CIRCLED):
            return _CIRCLED[value - 1]
        return "" if form in ("bullet", "none") else str(value)
