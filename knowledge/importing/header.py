"""The header of a notice: its number, title, issuer and date, read from its opening and closing lines."""

import re
from collections.abc import Sequence
from datetime import date

from knowledge.model import Clause
from knowledge.notices import DATED, NUMERAL, SERIAL
from knowledge.text import number as read_number

_TITLE_END = (
    r"(?:通知|意见|公告|通告|通报|函|批复|决定|办法|方案|细则|规定|规程|指南|要点|计划)(?:[（(][^）)]{1,12}[)）])?"
)
_TITLE = re.compile(rf"(?!附件)[^。；：:]{{0,30}}关于[^。；：:]{{2,90}}{_TITLE_END}")
_PLAIN_TITLE = re.compile(rf"(?!附件|为|根据)[^。；：:，,]{{6,60}}{_TITLE_END}")
_NUMBER = re.compile(
    r"[（(]?([\u4e00-\u9fff]{1,12})\s*[〔\[［【(（]\s*((?:19|20)\d\d)\s*[〕\]］】)）]\s*(?:第)?\s*(\d{1,5})\s*号[）)]?"
)
_OFFICE = r"(?:部|厅|局|委员会|委|办公厅|办公室|办|政府|署|总社|银行|社)"
_DECIDE = re.compile(
    rf"(?<![\u4e00-\u9fff])([\u4e00-\u9fff]{{2,12}}{_OFFICE}(?:、[\u4e00-\u9fff]{{2,14}}{_OFFICE}){{0,8}})(?:决定|研究决定|联合|制定|组织)"
)
_LETTERHEAD = re.compile(r"[\u4e00-\u9fff、 ]{2,60}(?:部|厅|局|委员会|委|办公厅|办公室|政府|署|文件)")
ADDRESSEE = re.compile(r"(?!.*如下)[^。]{1,198}[：:]")
_DIGITS = "〇○零Ｏ一二三四五六七八九"


def find_title(head: list[str]) -> str:
    """The first opening line of the form of a title, else empty."""
    for pattern in (_TITLE, _PLAIN_TITLE):
        for line in head:
            if pattern.fullmatch(line.strip()) and not canonical_number(line):
                return _closed_up(line.strip())
    return ""


def _closed_up(title: str) -> str:
    """A title, or names of bodies, without the spaces of typesetting; those between issuing bodies stay."""
    bodies, about, rest = title.rpartition("关于") if "关于" in title else (title, "", "")
    parts = bodies.split()
    apart = len(parts) > 1 and all(re.search(rf"{_OFFICE}$", part) for part in parts)
    return (" " if apart else "").join(parts) + about + re.sub(r"(?<=[\u4e00-\u9fff]) +(?=[\u4e00-\u9fff])", "", rest)


def find_number(head: list[str]) -> str | None:
    """The document number where it stands alone in a line above the text; other notices' numbers are references.

    That of an announcement or order may stand in the line below its name: 示例省人民政府令 / 第12号.
    """
    for line, below in zip(head, [*head[1:], ""], strict=True):
        alone = re.fullmatch(r"[（(]?(?:20\d\d年)?\s*第\s*\d{1,5}\s*号[）)]?", below) and re.search(r"[令告]$", line)
        found = canonical_number(line) or (canonical_number(line + below) if alone else None)
        if found:
            return found[0]
    return None


def canonical_number(text: str) -> tuple[str, str, str] | None:
    """A document number in its one spelling, its running number and its year, which an order may lack."""
    if match := _NUMBER.fullmatch(text.strip()):
        return f"{match[1]}〔{match[2]}〕{match[3]}号", match[3], match[2]
    match = SERIAL.fullmatch(text.strip())
    if match is None or "关于" in text:
        return None
    bodies = _closed_up(match["bodies"].strip())
    if match["order"]:
        return f"{bodies}第{match['order']}号令", match["order"], ""
    kind = re.sub(r"\s", "", match["kind"])
    return f"{bodies}{kind}{match['year'] or ''}第{match['serial']}号", match["serial"], (match["year"] or "")[:4]


def find_issuer(title: str, head: list[str], clauses: Sequence[Clause]) -> str:
    before = title.partition("关于")[0].strip()
    signed = [
        one.text
        for one in clauses
        if one.label.startswith("尾段") and re.fullmatch(rf"[^，。；：]{{2,40}}{_OFFICE}", one.text)
    ]
    bodies = dict.fromkeys(body for line in signed for body in line.split())
    among = re.search(rf"等(\d+|{NUMERAL})个?部门$", before)
    if before and (re.search(rf"{_OFFICE}$", before) or (among and len(bodies) != read_number(among[1]))):
        return re.sub(r"\s+", "、", before)
    if bodies:
        return "、".join(bodies)
    for line in head:
        if _LETTERHEAD.fullmatch(line) and "关于" not in line:
            return "、".join(line.removesuffix("文件").split())
    opening = (one.text for one in clauses if one.label.startswith("导语"))
    decided = next((match for line in opening if (match := _DECIDE.search(line))), None)
    return decided[1] if decided else _ordering(head)


def _ordering(head: list[str]) -> str:
    """The bodies that an order or announcement names in its number."""
    found = next((match for line in head if (match := SERIAL.match(line))), None)
    return "、".join(found["bodies"].split()) if found else ""


def find_date(lines: list[str], clauses: Sequence[Clause]) -> date | None:
    """The date under the signature, else the one in the heading's brackets, else the date of printing."""
    dated = [one.text for one in clauses if one.label.startswith("尾段") and DATED.match(one.text)]
    dated += [line for line in lines[:6] if re.fullmatch(r"[（(]?\s*\d{4}年\d{1,2}月\d{1,2}日\s*[)）]?", line)]
    dated += [line for line in lines if DATED.match(line) and line.endswith("印发")]
    dated += [line for line in lines if re.search(r"\d{4}年\d{1,2}月\d{1,2}日印发$", line)]
    return next((found for line in dated if (found := _date(line)) is not None), None)


def _date(text: str) -> date | None:
    match = re.search(r"(\d{4})\s*年\s*(\d{1,2})\s*月\s*(\d{1,2})\s*日", text)
    if match is None:
        worded = re.search(rf"([{_DIGITS}]{{4}})年({NUMERAL})月({NUMERAL})日", text)
        if worded is None:
            return None
        year = "".join(str(max(0, _DIGITS.find(c) - 3)) for c in worded[1])
        parts = (int(year), read_number(worded[2]), read_number(worded[3]))
    else:
        parts = (int(match[1]), int(match[2]), int(match[3]))
    try:
        return date(*parts)
    except ValueError:
        return None


def find_year(number: str | None, title: str) -> date | None:
    """The first of January of the year in the number, else of the only year in the title."""
    found = canonical_number(number or "")
    years = [found[2]] if found and found[2] else sorted(set(re.findall(r"(20\d\d)年", title)))
    return date(int(years[0]), 1, 1) if len(years) == 1 else None


def find_addressee(clauses: Sequence[Clause]) -> str:
    opening = (one.text for one in clauses if one.label.startswith("导语"))
    return next((line[:-1] for line in opening if ADDRESSEE.fullmatch(line)), "")
