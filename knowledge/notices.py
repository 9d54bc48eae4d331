"""Notice files → notices with their clause tree.

A file is a header of `key: value` lines, a line `---`, and the text verbatim. Labels are as printed, in
half-width brackets: 导语 · 一 · 三(一) · 三(一)1 · 三(一)1(1) · 第八条(二) · 附件1-6.1 · 附件1-一(一) · 尾段; `¶n`
numbers the paragraphs directly under a clause, the first unwritten.
"""

import re
from collections.abc import Container, Iterator
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Literal

from rapidfuzz import fuzz

from knowledge.model import Clause, KnowledgeError, Notice, Supersession
from knowledge.validity import read_supersessions

NUMERAL = "[一二三四五六七八九十百]+"
POINT = r"\d{1,2}[.．、](?:(?!\d)|(?=(?:19|20)\d\d年))"  # 2.2022年以来… is point 2
# 商务部公告2026年第3号 · 财政部 农业农村部公告2026年第12号 · 示例省人民政府令第12号 · 示例部第12号令
SERIAL = re.compile(
    r"(?!根据|按照|依据|为|现将)(?P<bodies>[\u4e00-\u9fff、 ]{2,40}?)\s*(?:(?P<kind>公\s?告|通\s?告|令)\s*[（(]?(?P<year>(?:19|20)\d\d年)?\s*第\s*(?P<serial>\d{1,5})\s*号"
    r"|第\s*(?P<order>\d{1,5})\s*号令)[）)]?(?!的|规定|要求|精神|文|等)"
)
_CHAPTER = re.compile(rf"第{NUMERAL}章")
_PART = re.compile(rf"第{NUMERAL}节")
_ARTICLE = re.compile(rf"第{NUMERAL}条")
_SECTION = re.compile(rf"({NUMERAL})、")
_ITEM = re.compile(rf"[（(]({NUMERAL})[)）]")
_POINT = re.compile(rf"(?={POINT})(\d{{1,2}})[.．、]")
_SUB = re.compile(r"[（(](\d{1,2})[)）]")
_ATTACHMENT = re.compile(r"附件\s*(\d*)\s*[:：]?")
_ROW = re.compile(r"(\d{1,3})\t(.+)")
_CLOSING = re.compile(
    r"[特专]此(?:通知|通报|通告|函告|函复|公告|批复|说明|函达|报告|复函)|此[复函致令][。，]?$|[（(]此件|抄送[:：]"
)
DATED = re.compile(
    r"[（(]?(?:\d{4}\s*年\s*\d{1,2}\s*月\s*\d{1,2}\s*日|[二一][〇○零Ｏ一二三四五六七八九]{3}年[一二三四五六七八九十]+月[一二三四五六七八九十]+日)"
)
_SIGNED = re.compile(
    r"[^，。；：:！？\t\d]{2,40}(?:厅|部|局|委|办|室|会|府|署|司|处|院|社|中心)(?:[（(](?:盖章|代章|印章|章)[)）])?"
)
# What follows an item without text of its own; after these an item stands alone, however short.
_ENDS_ITEM = re.compile(
    rf"第{NUMERAL}[章节条]|{NUMERAL}、|附件|{_CLOSING.pattern}|{DATED.pattern}|(?:{_SIGNED.pattern})$"
)
_NEAR_THE_DATE = 4  # lines of signatures above the date

_HEADER_KEYS = {
    "id", "number", "title", "issuer", "issued", "effective", "repealed", "text_status",
    "aliases", "section_paragraphs", "url", "supersedes", "confirmed", "source", "imported_by", "confirmed_by",
}  # fmt: skip


class _Reader:
    """Walks the lines of a text and keeps the place in the tree."""

    def __init__(self, notice_id: str, section_paragraphs: tuple[str, ...]) -> None:
        self.notice_id = notice_id
        self.section_paragraphs = section_paragraphs
        self.clauses: dict[str, Clause] = {}
        self.chapter = ""
        self.section = "导语"
        self.item = ""
        self.point = ""
        self.row = ""
        self.attachment = 0
        self.announced: list[str] = []
        self.listing = False
        self.addressed = False
        self.paragraphs: dict[str, int] = {}

    def read(self, lines: list[str]) -> tuple[Clause, ...]:
        for number, line in enumerate(lines):
            self._line(line, lines[number + 1 : number + 1 + _NEAR_THE_DATE])
        return tuple(self.clauses.values())

    def _line(self, line: str, following: list[str]) -> None:
        if self._starts_attachment(line):
            return
        if not self.attachment and self._closes(line, following):
            self.section, self.item, self.listing = "尾段", "", True
            self._paragraph(self.section, line)
        elif self.listing and not self.attachment and self.section != "尾段":
            self._announce(line)
        elif not self.attachment and (match := _ATTACHMENT.match(line)):
            self.listing = True
            self._announce(line, line[match.end() :])
        elif match := _ROW.match(line):
            self._table_row(match[1], match[2])
        elif self.row and (match := _POINT.match(line)):
            self._cell(match[1], line)
        elif not self._numbered(line, following[0] if following else ""):
            if line.startswith(self.section_paragraphs):
                self.item = ""
            self.addressed |= line.endswith(("：", ":"))
            self._paragraph(self.section + self.item, line)

    def _numbered(self, line: str, following: str) -> bool:
        """Read a line that opens with a number; False for any other line."""
        prefix = f"附件{self.attachment}-" if self.attachment else ""
        if match := _CHAPTER.match(line):
            self.chapter = match.group()
            self._open(prefix + match.group(), heading=line)
        elif match := _PART.match(line):
            self._open(prefix + self.chapter + match.group(), heading=line)
        elif match := _ARTICLE.match(line):
            self._open_text(prefix + match.group(), line)
        elif match := _SECTION.match(line):
            label = prefix + match[1]
            self._open(label, heading=line) if "。" not in line else self._open_text(label, line)
        elif match := _ITEM.match(line):
            dash = "-" if self.section == f"附件{self.attachment}" else ""
            self._item(f"{dash}({match[1]})", line, following)
        elif (match := _POINT.match(line)) and self.section != "导语":
            dash = "-" if self.section + self.item == f"附件{self.attachment}" else ""
            self.point = f"{self.section}{self.item}{dash}{match[1]}"
            self._add(self.point, line, self.section + self.item)
        elif (match := _SUB.match(line)) and self.point:
            self._add(f"{self.point}({match[1]})", line, self.section + self.item)
        else:
            return False
        return True

    def _issued(self) -> None:
        """After the signature a numbered clause begins what the notice issues: 关于印发《办法》的通知."""
        if self.section == "尾段" and not self.attachment:
            self.listing = False

    def _open(self, section: str, heading: str) -> None:
        self._issued()
        self.section, self.item, self.point, self.row = section, "", "", ""
        self.clauses[section] = Clause(notice_id=self.notice_id, label=section, heading=heading)

    def _open_text(self, section: str, line: str) -> None:
        self._issued()
        self.section, self.item, self.point, self.row = section, "", "", ""
        self._paragraph(section, line)

    def _item(self, item: str, line: str, following: str) -> None:
        self.item, self.point, self.row = item, "", ""
        label = self.section + item
        is_heading = line.count("。") <= 1 and len(line) <= 40 and not _ITEM.match(following)
        if is_heading and following and not _ENDS_ITEM.match(following):
            self.clauses[label] = Clause(
                notice_id=self.notice_id, label=label, heading=line, headings=self._above(self.section)
            )
        else:
            self._paragraph(label, line)

    def _paragraph(self, base: str, line: str) -> None:
        """Add a paragraph directly under `base`; the first one carries the bare label."""
        count = self.paragraphs.get(base, 0) + 1
        self.paragraphs[base] = count
        self._add(base if count == 1 else f"{base}¶{count}", line, base)

    def _add(self, label: str, line: str, base: str = "") -> None:
        known = self.clauses.get(label)
        if known is None:
            above = self._above(base or self.section)
            self.clauses[label] = Clause(notice_id=self.notice_id, label=label, text=line, headings=above)
        else:
            text = f"{known.text}\n{line}" if known.text else line
            self.clauses[label] = Clause(
                notice_id=self.notice_id, label=label, heading=known.heading, text=text, headings=known.headings
            )

    def _above(self, base: str) -> tuple[str, ...]:
        parts = [self.section] + ([base] if base != self.section else [])
        found = (self.clauses.get(part) for part in parts)
        return tuple(clause.heading for clause in found if clause and clause.heading)

    def _announce(self, line: str, title: str | None = None) -> None:
        """Keep a line of the attachment list as a paragraph, and remember the title it announces."""
        title = (line if title is None else title).strip()
        if title:
            self.announced.append(re.sub(r"^(?:附件\s*)?\d+[.．、:：]\s*", "", title))
        self._paragraph(self.section + self.item, line)

    def _closes(self, line: str, following: list[str]) -> bool:
        """True for what ends the body: 特此通知, the signature above a date, the date, who gets a copy."""
        if self.section == "导语" and not self.addressed:
            return False
        if _CLOSING.match(line) or (DATED.match(line) and len(line) <= 24):
            return True
        if not _SIGNED.fullmatch(line):
            return False
        dated = next((place for place, text in enumerate(following) if DATED.match(text)), None)
        return dated is not None and all(_SIGNED.fullmatch(text) for text in following[:dated])

    def _starts_attachment(self, line: str) -> bool:
        number = self.attachment + 1
        explicit = re.fullmatch(r"附件\s*(\d*)\s*(?P<colon>[:：]?)\s*(.*)", line)
        announced = bool(self.announced) or self.section == "尾段"  # 附件： alone also heads the list of attachments
        bare = explicit and not explicit[3] and (announced or not explicit["colon"])
        if explicit and (bare or (explicit[1] and explicit[3] and explicit[3] in self.announced)):
            number = int(explicit[1] or number)
        elif (
            not (self.listing and number <= len(self.announced))
            or fuzz.ratio(line, self.announced[number - 1]) < 85
            or line in self._listed()
        ):
            return False
        self.attachment, self.row, self.item, self.point, self.listing = number, "", "", "", True
        self.section = f"附件{number}"
        self._paragraph(self.section, line)
        return True

    def _listed(self) -> set[str]:
        return {clause.text for clause in self.clauses.values() if clause.text.startswith("附件")}

    def _table_row(self, number: str, cells: str) -> None:
        """Read a table cell by cell: row n is 附件k-n, its numbered requirement m is 附件k-n.m."""
        self.row = f"{self.section}{self.item}-{number}"
        title, tab, rest = cells.partition("\t")
        point = _POINT.match(rest)
        above = self._above(self.section + self.item)
        self.clauses[self.row] = Clause(
            notice_id=self.notice_id, label=self.row, text=title if point else title + tab + rest, headings=above
        )
        if point:
            self._cell(point[1], rest)

    def _cell(self, number: str, line: str) -> None:
        label, row = f"{self.row}.{number}", self.clauses[self.row]
        top = self.clauses.get(self.section)
        above = (*((top.text or top.heading,) if top else ()), row.text)
        self._add(label, line)
        self.clauses[label] = replace(self.clauses[label], headings=above)


def parse_clauses(notice_id: str, text: str, section_paragraphs: tuple[str, ...] = ()) -> tuple[Clause, ...]:
    """Split a notice's text into labelled clauses, in reading order.

    `section_paragraphs` are openings of paragraphs that return from an item to its section, which a plain
    text cannot show (the two paragraphs after 三(四) of the 2020 notice belong to 三).
    """
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return _Reader(notice_id, section_paragraphs).read(lines)


def _date(value: str, key: str, name: str) -> date | None:
    if not value:
        return None
    try:
        return date.fromisoformat(value)
    except ValueError:
        raise KnowledgeError([f"{name}：{key} 的日期“{value}”无法识别，请写成 2020-04-23 这样的形式。"]) from None


def _fields(header: str, name: str) -> Iterator[tuple[str, str]]:
    for line in filter(str.strip, header.splitlines()):
        key, colon, value = line.partition(":")
        if not colon or key.strip() not in _HEADER_KEYS:
            known = "、".join(sorted(_HEADER_KEYS))
            raise KnowledgeError([f"{name}：文件头“{line}”无法识别，可用的项目有 {known}。"])
        yield key.strip(), value.strip()


def header_of(content: str) -> dict[str, str]:
    """The fields of a notice file's header, as they are written."""
    header = content.partition("\n---\n")[0]
    parts = (line.partition(":") for line in header.splitlines() if line.strip())
    return {key.strip(): value.strip() for key, _, value in parts}


def _status(value: str, name: str) -> Literal["official", "unverified"]:
    if value == "official":
        return "official"
    if value == "unverified":
        return "unverified"
    raise KnowledgeError([f"{name}：text_status 只能写 official 或 unverified，现为“{value}”。"])


def _supersedes(value: str, name: str) -> tuple[Supersession, ...]:
    try:
        return read_supersessions(value)
    except ValueError as error:
        raise KnowledgeError(
            [f"{name}：supersedes“{error}”无法识别，请写成 8-2020 或 8-2020#三(一) by 二，几项以 | 分开。"]
        ) from None


def parse_notice(content: str, name: str) -> Notice:
    """Read one notice file; `name` is used in messages. Raises KnowledgeError with the remedy."""
    header, line, text = content.partition("\n---\n")
    if not line:
        raise KnowledgeError([f"{name}：缺少文件头与正文之间的分隔行“---”。"])
    fields = dict(_fields(header, name))
    absent = [key for key in ("id", "title", "issuer", "text_status") if not fields.get(key)]
    if absent:
        raise KnowledgeError([f"{name}：文件头缺少 {'、'.join(absent)}。"])
    returning = tuple(filter(None, (part.strip() for part in fields.get("section_paragraphs", "").split("|"))))
    return Notice(
        id=fields["id"],
        number=fields.get("number") or None,
        title=fields["title"],
        issuer=fields["issuer"],
        issued_on=_date(fields.get("issued", ""), "issued", name),
        effective_on=_date(fields.get("effective", ""), "effective", name),
        repealed_on=_date(fields.get("repealed", ""), "repealed", name),
        text_status=_status(fields["text_status"], name),
        aliases=tuple(filter(None, (part.strip() for part in fields.get("aliases", "").split("|")))),
        supersedes=_supersedes(fields.get("supersedes", ""), name),
        clauses=parse_clauses(fields["id"], text, returning),
    )


def load_notices(folder: Path) -> list[Notice]:
    """Read every notice of a folder; all problems of all files are raised together."""
    notices: list[Notice] = []
    problems: list[str] = []
    for path in sorted(folder.glob("*.txt")):
        try:
            notices.append(parse_notice(path.read_text(encoding="utf-8"), path.name))
        except KnowledgeError as error:
            problems += error.problems
        except UnicodeDecodeError:
            problems.append(f"{path.name}：不是 UTF-8 编码，请另存为 UTF-8。")
    if problems:
        raise KnowledgeError(problems)
    return notices


# --- what is not answered from ---------------------------------------------------------------------------------------

_CONTACT = re.compile(r"[（(]?(?:联\s*系\s*人|电\s*话|传\s*真|邮\s*箱)")
_LISTED = re.compile(r"附件\s*\d*\s*[:：]?")


def part_of(clause: Clause, labels: Container[str]) -> Literal["text", "contact", "frame"]:
    """What a clause is of its notice, whose labels are given: a `contact` (联系人：…, 电话：…), its `frame`, or `text`.

    The frame are titles, addressees, reasons given at the start, signatures, lists of attachments.
    """
    if clause.label.startswith("导语"):
        numbered = "一" in labels or "第一条" in labels
        return "frame" if numbered or len(clause.text) < 40 or clause.text.endswith(("：", ":")) else "text"
    if _CONTACT.match(clause.text):
        return "contact"
    listed = clause.label.startswith("尾段") or (_LISTED.match(clause.text) and len(clause.text) < 60)
    return "frame" if listed or re.fullmatch(r"附件\d+", clause.label) else "text"
