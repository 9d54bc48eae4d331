"""A file of any kind → its text; what cannot be read is refused with a remedy and nothing is kept."""

import io
import re
import zipfile
import zlib
from collections import Counter
from html.parser import HTMLParser
from pathlib import Path
from typing import NamedTuple

import pypdfium2

from knowledge.importing.printed import Line, Word, with_rows
from knowledge.importing.word import read_docx
from knowledge.importing.wrapping import ENDED, PAGE_NUMBER, START, glue
from knowledge.model import KnowledgeError

LARGEST = 20 * 2**20  # bytes of a file
_UNPACKED = 200 * 2**20  # bytes of all parts of a .docx
_PARTS, _RATIO = 4000, 250  # parts of a .docx; how far one part may shrink
_PAGES = 400
_SCANNED = 20  # characters a page; fewer means a picture of a text
_PICTURE = 0.08  # of a page; a seal covers 0.03
_INDENT, _RAGGED = 15, 40  # points: the least indent of a paragraph; how far from the edge a full line may end
_SPREADSHEETS = {".xls", ".xlsx", ".xlsm", ".et", ".csv", ".ods"}
_PICTURES = (b"\xff\xd8\xff", b"\x89PNG", b"GIF8", b"II*\0", b"MM\0*", b"BM")
_OLD_OFFICE = b"\xd0\xcf\x11\xe0"
_LONGEST, _SENTENCE = 300_000, 3000  # characters of a notice and its attachments, and of one sentence
_SAVE_AS = "请在 WPS 或 Word 中打开，另存为 .docx 后再导入"


def refusal(name: str, trouble: str, remedy: str) -> KnowledgeError:
    """The error for a file that is not taken in."""
    return KnowledgeError([f"{name}：{trouble}。{remedy}。"])


def check_length(name: str, text: str) -> None:
    """Refuse a text without end, or without sentences: it is no notice, and reading it would take for ever."""
    if len(text) > _LONGEST:
        raise refusal(name, f"有{len(text)}字，文字过多", "请只粘贴通知正文和附件")
    longest = max(map(len, re.split(r"[。；;！？\n\t]", text)))
    if longest > _SENTENCE:
        raise refusal(name, f"有一段{longest}字没有句号，不像通知正文", "请核对文件，或只粘贴正文")


class Reading(NamedTuple):
    """The text of a file, and warnings of what stands in it as a picture and was not read."""

    text: str
    unread: tuple[str, ...] = ()


def read_file(path: Path) -> Reading:
    """The text of a .docx, .pdf, .html or .txt file. Raises KnowledgeError with the remedy."""
    name = path.name
    try:
        size = path.stat().st_size
        if not path.is_file():
            raise refusal(name, "这不是一个文件", "请给出通知文件的路径")
        if size > LARGEST:
            raise refusal(
                name, f"文件有{size / 2**20:.0f}MB，超过{LARGEST // 2**20}MB", "请删去图片后再导入，或只粘贴正文"
            )
        content = path.read_bytes()
    except OSError:
        raise refusal(name, "找不到或打不开这个文件", "请核对路径和权限") from None
    reading = _by_content(name, path.suffix.lower(), content)
    if len(re.findall(r"[\u4e00-\u9fff]", reading.text)) < _SCANNED:
        raise refusal(name, "没有读到中文正文", "请确认文件不是空的，也不是扫描件；扫描件请先做文字识别")
    return reading


def _by_content(name: str, suffix: str, content: bytes) -> Reading:
    start = content.lstrip()[:512].lower()
    if suffix in _SPREADSHEETS:
        raise refusal(
            name, "这是电子表格，不是通知正文", "整改清单请用 items import 导入；通知请导入 .docx、.pdf、.html 或 .txt"
        )
    if not content.strip():
        raise refusal(name, "文件是空的", "请核对后重新选择")
    if content.startswith(b"%PDF"):
        return _read_pdf(name, content)
    if content.startswith(b"PK"):
        _check_archive(name, content)
        return Reading(*read_docx(name, content))
    if content.startswith(_OLD_OFFICE):
        raise refusal(name, "这是旧版 Office 文件（.doc、.wps）或加了密码的文件", f"{_SAVE_AS}；有密码的请先取消密码")
    if content.startswith(b"{\\rtf"):
        raise refusal(name, "这是 RTF 文件", _SAVE_AS)
    if content.startswith(_PICTURES):
        raise refusal(name, "这是图片，没有文字", "请先做文字识别，或导入 .docx 原件")
    text = _decoded(name, content)
    if suffix in (".html", ".htm", ".mht") or start.startswith((b"<!doctype html", b"<html")):
        return Reading(_read_html(text))
    if suffix in (".docx", ".pdf"):
        raise refusal(name, f"内容不是 {suffix} 格式，文件可能已损坏", "请重新下载或另存后再导入")
    return Reading(text)


def _decoded(name: str, content: bytes) -> str:
    if content.startswith((b"\xff\xfe", b"\xfe\xff")):
        codes: tuple[str, ...] = ("utf-16",)
    else:
        codes = ("utf-8-sig", "gb18030")
    if codes[0] != "utf-16" and b"\0" in content:
        raise refusal(name, "这不是文本文件", "请导入 .docx、.pdf、.html 或 .txt")
    for code in codes:
        try:
            return content.decode(code)
        except UnicodeDecodeError:
            continue
    raise refusal(name, "文字编码无法识别", "请另存为 UTF-8 编码的 .txt")


def _check_archive(name: str, content: bytes) -> None:
    """Refuse an archive that is no plain .docx: a bomb, encrypted, with macros, with a DOCTYPE, a spreadsheet."""
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            parts = archive.infolist()
            names = {part.filename for part in parts}
            _check_sizes(name, parts)
            if any(part.flag_bits & 1 for part in parts):
                raise refusal(name, "文件加了密码", "请取消密码后再导入")
            if any(one.startswith("xl/") for one in names):
                raise refusal(name, "这是电子表格，不是通知正文", "整改清单请用 items import 导入")
            if any("vbaProject" in one for one in names):
                raise refusal(name, "文件带有宏", "请另存为不带宏的 .docx 后再导入")
            if "word/document.xml" not in names:
                raise refusal(name, "这不是 Word 文件（.docx）", _SAVE_AS)
            for part in parts:
                if part.filename.endswith((".xml", ".rels")):
                    with archive.open(part) as opened:
                        if b"<!DOCTYPE" in opened.read(4096).upper():
                            raise refusal(name, "文件中有不应出现的外部引用声明", _SAVE_AS)
    except (zipfile.BadZipFile, zlib.error, NotImplementedError, EOFError, OSError):
        raise refusal(name, "文件已损坏，打不开", "请重新下载或另存后再导入") from None


def _check_sizes(name: str, parts: list[zipfile.ZipInfo]) -> None:
    too_many = len(parts) > _PARTS or sum(part.file_size for part in parts) > _UNPACKED
    shrunk = any(part.file_size > 2**20 and part.file_size > _RATIO * max(part.compress_size, 1) for part in parts)
    if too_many or shrunk:
        raise refusal(name, "文件解开后异常庞大，已停止读取", "请用 Word 另存后再导入，或只粘贴正文")


# --- pdf -----------------------------------------------------------------------------------------------------------


def _read_pdf(name: str, content: bytes) -> Reading:
    try:
        document = pypdfium2.PdfDocument(content)
    except pypdfium2.PdfiumError as error:
        if "password" in str(error).lower():
            raise refusal(name, "文件加了密码", "请取消密码后再导入") from None
        raise refusal(name, "PDF 文件已损坏，打不开", "请重新下载或另存后再导入") from None
    try:
        if len(document) > _PAGES:
            raise refusal(name, f"文件有{len(document)}页，超过{_PAGES}页", "请只导入通知正文和附件")
        pages = [_page_lines(page, number) for number, page in enumerate(document, 1)]
        pictures = [number for number, page in enumerate(document, 1) if _holds_picture(page)]
    except pypdfium2.PdfiumError:
        raise refusal(name, "PDF 文件已损坏，打不开", "请重新下载或另存后再导入") from None
    finally:
        document.close()
    if sum(len(line.text) for page in pages for line in page) < _SCANNED * max(len(pages), 1):
        raise refusal(name, "这是扫描件，没有可读的文字", "请先做文字识别，或导入 .docx 原件")
    text = "\n".join(_paragraphs(with_rows(_without_running_heads(pages))))
    return Reading(
        text,
        tuple(
            _picture_warning(number, sum(len(line.text) for line in pages[number - 1]) >= _SCANNED)
            for number in pictures
        ),
    )


def _picture_warning(page: int, has_text: bool) -> str:
    what = "有图片，图中的文字" if has_text else "是图片（扫描页），页上的文字"
    return f"第{page}页{what}没有读到，请对照原件补录，或导入 .docx 原件。"


def _holds_picture(page: pypdfium2.PdfPage) -> bool:
    """True for a page with a picture too large for a seal or a letterhead's mark and without text set over it."""
    text_page = page.get_textpage()
    images = page.get_objects(filter=[pypdfium2.raw.FPDF_PAGEOBJ_IMAGE])
    bounds = [image.get_bounds() for image in images]
    bare = [each for each in bounds if len(text_page.get_text_bounded(*each).strip()) < _SCANNED]
    text_page.close()
    width, height = page.get_size()
    covered = sum((right - left) * (top - bottom) for left, bottom, right, top in bare)
    return bool(covered > _PICTURE * width * height)


def _page_lines(page: pypdfium2.PdfPage, number: int) -> list[Line]:
    text_page = page.get_textpage()
    text: str = text_page.get_text_range()
    last = text_page.count_chars() - 1
    lines: list[Line] = []
    place = 0
    for line in re.split(r"\r\n|\r|\n", text):
        words = []
        for found in re.finditer(r"\S+", line):
            first, end = (
                text_page.get_charbox(min(place + at, last), loose=True) for at in (found.start(), found.end() - 1)
            )
            words.append(Word(found.group().replace("\ufffe", ""), first[0], first[1], end[2], first[3], number))
        if words:
            lines.append(Line(line.replace("\ufffe", "").strip(), tuple(words)))
        place += len(line) + 2
    text_page.close()
    return lines


def _paragraphs(lines: list[Line]) -> list[str]:
    """Lines as text: one that begins right of the margin is indented, as paragraphs are; one that begins at the margin
    goes on with the line before it where that is full, as far as the print tells.
    """  # fmt: skip
    set_lines = [line for line in lines if line.words]
    starts = Counter(round(line.left) for line in set_lines)
    margin = min((left for left, count in starts.items() if count > 1), default=min(starts, default=0))
    edge = max((line.right for line in set_lines), default=0.0)
    indents = sum(line.left > margin + _INDENT for line in set_lines) >= 3
    out: list[str] = []
    before: Line | None = None
    for line in lines:
        indented = bool(line.words) and line.left > margin + _INDENT
        full = before is not None and bool(before.words) and before.right > edge - _RAGGED
        numbered = START.match(line.text) or re.match(r"\d{1,3}\s", line.text)
        if full and not indented and not numbered and (indents or not ENDED.search(out[-1][-1:])):
            out[-1] += glue(out[-1], line.text) + line.text
        else:
            out.append(f"\u3000\u3000{line.text}" if indented else line.text)
        before = line
    return out


def _without_running_heads(pages: list[list[Line]]) -> list[Line]:
    """Leave out page numbers, and a first or last line that most pages share."""
    ends = Counter(text for page in pages if page for text in {page[0].text, page[-1].text})
    running = {text for text, count in ends.items() if len(pages) > 3 and count > len(pages) * 0.6}
    return [
        line
        for page in pages
        for n, line in enumerate(page)
        if not (n in (0, len(page) - 1) and (line.text in running or PAGE_NUMBER.fullmatch(line.text)))
    ]


# --- html ----------------------------------------------------------------------------------------------------------

_BLOCKS = {
    "p",
    "div",
    "br",
    "li",
    "h1",
    "h2",
    "h3",
    "h4",
    "h5",
    "h6",
    "table",
    "section",
    "article",
    "ul",
    "ol",
    "tr",
    "hr",
}
_SILENT = {"script", "style", "head", "nav", "footer", "noscript", "template", "select", "button"}


class _Page(HTMLParser):
    """Collects the visible text of a page, a table row as cells with tabs between."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.out: list[str] = []
        self.silent: list[str] = []
        self.cells = 0
        self.in_cell = 0

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag in _SILENT:
            self.silent.append(tag)
        elif tag in ("td", "th"):
            self.in_cell += 1
            self.out.append("\t" if self.cells else "")
            self.cells += 1
        elif tag == "tr":
            self.cells = 0
            self.out.append("\n")
        elif tag in _BLOCKS:
            self.out.append("\v" if self.in_cell else "\n")

    def handle_endtag(self, tag: str) -> None:
        if self.silent and tag == self.silent[-1]:
            self.silent.pop()
        elif tag in ("td", "th"):
            self.in_cell = max(0, self.in_cell - 1)
        elif tag in _BLOCKS:
            self.out.append("\v" if self.in_cell else "\n")

    def handle_data(self, data: str) -> None:
        if not self.silent:
            self.out.append(re.sub(r"[\r\n\t]+[ ]*", "", data))


def _read_html(text: str) -> str:
    page = _Page()
    page.feed(text)
    page.close()
    rows = "".join(page.out).split("\n")
    return "\n".join(_row([cell.split("\v") for cell in row.split("\t")]) for row in rows)


def _row(cells: list[list[str]]) -> str:
    """A table row as text: cells with tabs between; the paragraphs of the last cell stay paragraphs."""
    whole = ["".join(part.strip() for part in cell) for cell in cells[:-1]]
    last = "\n".join(part.strip() for part in cells[-1] if part.strip()) if cells else ""
    return "\t".join([*whole, last])
