"""Lines as a file gives them → one paragraph a line.

Undoes hard wrapping, page breaks inside a sentence and lost line breaks; no character is changed or left out except
white space at a break and the residue of conversions (page numbers, bookmark and paragraph tags).
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass

from rapidfuzz import fuzz

from knowledge.importing.wrapping import START, unwrap
from knowledge.notices import DATED, NUMERAL, POINT, SERIAL
from knowledge.text import number as read_number

_RESIDUE = re.compile(r"\[bookmark:[^\]\n]*\]|</?p>[ \t]*|[\u200b-\u200f\ufeff\u00ad]")
_SHORT_HEADING = 44


@dataclass
class _Place:
    """The last number seen at each level."""

    chapter: int = 0
    part: int = 0
    article: int = 0
    section: int = 0
    item: int = 0
    last_item: int = 0  # not begun afresh: some notices number （一） on through all sections
    point: int = 0
    sub: int = 0
    row: int = 0
    columns: int = 0  # of the table whose rows are counted
    listing: bool = False

    def enter(self, level: str, number: int) -> None:
        """Take a number and begin the levels below afresh."""
        setattr(self, level, number)
        if level == "item":
            self.last_item = number
        below = {
            "chapter": ("part", "item", "point", "sub"),
            "part": ("item", "point", "sub"),
            "article": ("item", "point", "sub"),
            "section": ("item", "point", "sub", "row"),
            "item": ("point", "sub", "row"),
            "point": ("sub",),
            "row": ("point", "sub"),
        }
        for name in below.get(level, ()):
            setattr(self, name, 0)

    def enter_attachment(self) -> None:
        for name in ("chapter", "part", "article", "section", "item", "last_item", "point", "sub", "row"):
            setattr(self, name, 0)
        self.listing = False


_ISSUED_KINDS = r"(?:办法|规定|细则|方案|规程|指南|要点|标准|措施|制度|计划|意见)(?:\s*[（(][^）)]{1,12}[）)])?"
_MARK = re.compile(
    rf"(?P<chapter>第{NUMERAL}章)|(?P<part>第{NUMERAL}节)|(?P<article>第{NUMERAL}条)|(?P<section>{NUMERAL}、)"
    rf"|(?P<item>[（(]{NUMERAL}[）)])|(?P<sub>[（(]\d{{1,2}}[）)])|(?:(?<![\d.．—–-])|(?<=\t[—–-]))(?P<row>\d{{1,6}})\t"
    rf"|(?<![\d.．—–-])(?P<point>{POINT})"
)
_CHAPTER_HEAD = re.compile(rf"[ \u3000]*[^，。；：第]{{2,20}}?[ \u3000]*第{NUMERAL}[条节]")
_AFTER_END = re.compile(r"(?:[。；：！？:;!?…][”’」』）)]?|[\t\s]|[。；！？][”’]|[。；][（(][^。（）()]{2,80}[）)])$")
_TITLED = re.compile(rf"{_ISSUED_KINDS}$")


def _value(mark: str) -> int:
    return read_number(re.sub(r"[第章节条（()）、.．\t]", "", mark))


def split(lines: list[str]) -> list[str]:
    """Break lines before numbers that go on in sequence, and where the shape of a notice tells that one ended."""
    place = _Place()
    out: list[str] = []
    for line in lines:
        if re.fullmatch(r"附件\s*\d*\s*[:：]?", line):
            place.enter_attachment()
        pieces = _pieces(line, place)
        lost = len(pieces) > 1 and any(re.match(rf"第{NUMERAL}[章条]|{NUMERAL}、", piece) for piece in pieces[1:])
        if lost or (len(lines) < 4 and len(line) > 120):
            pieces = [part for piece in pieces for part in _unnumbered(piece)]
        out += pieces
    return out


def _pieces(line: str, place: _Place) -> list[str]:
    cuts = [0]
    for match in _MARK.finditer(line):
        level = str(match.lastgroup)
        value = _value(match.group())
        if match.start() == 0:
            place.enter(level, value)
        elif level == "row" and (start := _row_after_number(line, match, cuts[-1], place)):
            place.enter(level, place.row + 1)
            cuts.append(start)
        elif _accepts(line, match, level, value, cuts[-1], place):
            place.enter(level, value)
            cuts.append(match.start())
    bounds = zip(cuts, [*cuts[1:], len(line)], strict=True)
    return [piece for a, b in bounds if (piece := line[a:b].strip())]


def _row_after_number(line: str, match: re.Match[str], cut: int, place: _Place) -> int:
    """Where a row's number stands after the last cell of the row before, itself a number (202 is 20 and 2); else 0."""
    following = str(place.row + 1)
    last_cell = place.columns > 2 and line.count("\t", cut, match.start()) == place.columns - 1
    glued = last_cell and len(match["row"]) > len(following) and match["row"].endswith(following)
    return match.end("row") - len(following) if glued else 0


def _accepts(line: str, match: re.Match[str], level: str, value: int, cut: int, place: _Place) -> bool:
    """True where a number inside a line opens a clause: next in sequence, after a sentence, heading or cell."""
    before = line[max(cut, match.start() - 400) : match.start()]  # a table's head fits in; a whole file need not
    ended = bool(_AFTER_END.search(before[-90:]))
    chapter = level == "chapter" and bool(_CHAPTER_HEAD.match(line[match.end() :]))
    begun_midway = chapter and ended and value > place.chapter
    runs_on = level == "item" and place.item == 0 and value == place.last_item + 1
    if value != getattr(place, level) + 1 and not (begun_midway or runs_on):
        return False
    heading = (
        len(before) <= _SHORT_HEADING
        and "。" not in before
        and bool(START.match(before))
        and level in _BELOW_HEADING.get(_level(before), ())
    )
    bare_list = level == _level(before) in ("section", "item") and bool(re.fullmatch(r"[^，。；：]{5,24}", before))
    titled = value == 1 and bool(_TITLED.search(before[-40:])) and _opens(line[match.end() :], level)
    listed = (
        level == "point" and "附件" in line[cut : min(cut + 3, match.start())] or (place.listing and level == "point")
    )
    place.listing = listed
    if listed:
        return value > 1
    spaced = level in ("chapter", "part", "article") and re.match(r"[ \u3000]", line[match.end() :])
    if level == "row" and line[match.start() - 1] == "\t":
        return False  # a number in a cell of its own is no row's, though it may be the next one
    in_table = level == "row" and (value > 1 or "序号" in before)
    if in_table and value == 1:
        place.columns = before.count("\t", before.rindex("序号")) + 1
    after_table = level == "section" and place.row > 1 and "\t" in before
    if not (ended or heading or spaced or chapter or in_table or bare_list or titled or after_table):
        return False
    if level in ("chapter", "part", "article", "section", "row") or value > 1 or heading:
        return True
    return _goes_on(line[match.end() :], level)


_BELOW_HEADING = {
    "chapter": ("part", "article", "section", "item"),
    "part": ("article",),
    "section": ("item", "point"),
    "article": ("item",),
    "item": ("point",),
    "point": ("sub",),
}


def _level(text: str) -> str:
    match = _MARK.match(text)
    return str(match.lastgroup) if match else ""


def _opens(rest: str, level: str) -> bool:
    """True where the first number after a title begins a text: no list of one, no 本办法第一条规定."""
    if level == "article":
        return not re.match(r"规定|的|第|[、和至款项]", rest)
    return level == "section" and _goes_on(rest, level)


def _goes_on(rest: str, level: str) -> bool:
    """True when number two of a level follows: a lone 1. or （一） inside a sentence is no list."""
    return any(
        m.lastgroup == level and _value(m.group()) == 2 and _AFTER_END.search(rest[: m.start()])
        for m in _MARK.finditer(rest)
    )


_SIGNED_AGAIN = re.compile(
    r"(?<=[厅部局委办府会署社])\s*(?=(?:财政部|商务部|国务院|农业农村部|国家)|([\u4e00-\u9fff]{2,3}省|[\u4e00-\u9fff]{2,5}[市县州区])(?=[\u4e00-\u9fff]{2,12}[厅局委办府会署社]))"
)
_DOC_NUMBER = re.compile(
    r"(?<!\d)20\d\d年第\d{1,4}号(?!令|文)|[（(]?[\u4e00-\u9fff]{1,12}[〔\[［【(（](?:19|20)\d\d[〕\]］】)）]\s*(?:第)?\d{1,5}\s*号[）)]?(?![）)]?(?:的|等|文|）))"
)
_AFTER_OFFICE = re.compile(
    r".*(?:办公厅|办公室|厅|部|局|委员会|委|政府|文件|府|会|的(?:通知|意见|公告|通告|通报|批复|决定|办法|方案|细则|规定))(?=[\u4e00-\u9fff])"
)
_TITLE = re.compile(
    r"关于(?:(?!关于)[^。；]){4,90}?的?(?:通知|意见|公告|通告|通报|函|批复|决定|办法|方案|细则|规定)(?!》)(?=[^》，。的（(])"
)
_SLOGAN = re.compile(r"(?<=。)(?=[\u4e00-\u9fff]{4}，[\u4e00-\u9fff]{4}。)")
_BEFORE = re.compile(
    r"(?<=[。；：])\s*(?=附件\s*\d*\s*[:：]|[特专]此(?:通知|通报|通告|函告|函复|函达|公告|批复|复函)|此[复函]。|[（(]?联\s*系\s*人|抄送[:：])"
    r"|(?<=日)\s*(?=抄送[:：])|(?<=[。\d）)])(?=(?:联系)?电\s*话[:：]|传\s*真[:：]|邮\s*箱[:：])"
    r"|(?<=如下：)(?=\S)|(?<=此通知。)(?=\S)|(?<=此函告。)(?=\S)|(?<=此函达。)(?=\S)|(?<=此公告。)(?=\S)|(?<=。此复。)(?=\S)"
    r"|(?<=[。：；])[ \u3000]+(?=\S)|(?<=。)(?=根据《|各地可)"
)


def _unnumbered(piece: str) -> Iterator[str]:
    """Break one piece where its words show a paragraph's end; only used where line breaks were lost."""
    slogans = _SLOGAN.findall(piece)
    parts = [part for part in _BEFORE.split(piece) if part.strip()]
    for part in parts:
        inner = _SLOGAN.split(part) if len(slogans) >= 2 else [part]
        for one in inner:
            yield from _tail(one.strip())


_ISSUES = (
    r"\s*([（(]此件[^）)]{2,12}[）)])?\s*((?!印发|发布|公布|下发|起|前|以|至)[^，。；：]{4,60}?"
    rf"{_ISSUED_KINDS})?\s*(?<!日)((?:为了?|根据|按照).+)?"
)
_AFTER_DATE = re.compile(rf"[^，。；]{{0,12}}|{_ISSUES}")
_ISSUED = re.compile(rf"({DATED.pattern}){_ISSUES}")


def _tail(text: str) -> Iterator[str]:
    """Break off the signature and the date at the end: …执行。省商务厅2021年3月1日."""
    dated = [match for match in DATED.finditer(text) if _AFTER_DATE.fullmatch(text[match.end() :])]
    if not dated or not dated[-1].start():
        yield text
        return
    head, date = text[: dated[-1].start()].rstrip(), text[dated[-1].start() :]
    cut = max(head.rfind(mark) for mark in "。；）") + 1
    signed = head[cut:].strip()
    unsigned = len(text) - dated[-1].end() > 12 and not re.search(r"[厅部局委办室府会署社院]$", signed)
    if unsigned or len(signed) > 80 or len(signed) == 1 or re.search(r"[，：、于自从在至]", signed[-1:]):
        yield text
        return
    if head[:cut].strip():
        yield head[:cut].strip()
    yield from _signatures(signed)
    if issued := _ISSUED.fullmatch(date):
        yield from (part.strip() for part in issued.groups() if part and part.strip())
    else:
        yield date.strip()


_BODY = r"[\u4e00-\u9fff]{3,28}[厅部局委办室府会署社院]"
_SIGNED_LAST = rf"(?<=[。；]){_BODY}\s*{DATED.pattern}$"


def _signed_off(lines: list[str]) -> list[str]:
    """Break off a signature that a line runs into: after a sentence, or by a body that the letterhead or title names."""
    heads = (line[:200].partition("关于")[0].rpartition("号")[2].split() for line in lines[:3])
    names = "|".join({name for head in heads for name in head if re.fullmatch(_BODY, name)})
    known = rf"|(?<=\S)(?<!《)(?:(?:{names})\s*)+{DATED.pattern}$" if names else ""
    signed = re.compile(_SIGNED_LAST + known)
    out: list[str] = []
    for line in lines:
        found = signed.search(line, max(0, len(line) - 200)) if len(line) > 40 else None
        out += [line[: found.start()], *_tail(found.group())] if found else [line]
    return out


def _signatures(text: str) -> list[str]:
    """Bodies that signed together, one a line."""
    cuts = [0, *(match.start() for match in _SIGNED_AGAIN.finditer(text)), len(text)]
    parts = [text[a:b].strip() for a, b in zip(cuts, cuts[1:], strict=False)]
    return [body for part in parts for body in part.split()]


_ORDINAL = re.compile(r"[（(]?(?:20\d\d年)?\s*第\s*\d{1,5}\s*号[）)]?(?=\s|关于|$)")  # below 示例省人民政府令


def _open_head(lines: list[str]) -> list[str]:
    """Give number, title and addressees of the opening lines a line each."""
    out: list[str] = []
    for place, line in enumerate(lines):
        if START.match(line) or place > 6 or out and out[-1].endswith(("：", ":")):
            return out + lines[place:]
        below = _ORDINAL.match(line) if out and re.search(r"[令告]$", out[-1]) else None
        if below:
            out.append(below.group())
            line = line[below.end() :].strip()
        out += list(_head(line))
    return out


def _head(line: str) -> Iterator[str]:
    if (serial := SERIAL.match(line)) and "关于" not in serial.group():
        yield serial.group()
        line = line[serial.end() :].strip()
    found = _DOC_NUMBER.search(line)
    before = line[: found.start()] if found else ""
    if (
        found
        and not re.search(r"[，。]", before)
        and before.count("《") == before.count("》")
        and found.group() != line
    ):
        office = _AFTER_OFFICE.match(found.group())
        start = found.start() + (office.end() if office else 0)
        yield from filter(None, (line[:start].strip(), line[start : found.end()].strip()))
        line = line[found.end() :].strip()
    title = _TITLE.search(line)
    colon = re.search(r"[：:]", line)
    if title and colon and title.end() < colon.start() and "。" not in line[: colon.start()]:
        yield line[: title.end()].strip()
        line = line[title.end() :].strip()
        colon = re.search(r"[：:]", line)
    if (
        colon
        and 0 < colon.start() < 160
        and colon.end() < len(line)
        and "。" not in line[: colon.start()]
        and len(line) - colon.end() > 12
        and re.search(
            r"(?:部门|局|厅|委|办|单位|机构|政府|企业|公司|社|县|市|区|镇|乡|街道|中心|会|院|校|室|处)[：:]$",
            line[: colon.end()],
        )
    ):
        yield line[: colon.end()].strip()
        line = line[colon.end() :].strip()
    if line:
        yield line


# --- attachments that run on inside a line -------------------------------------------------------------------------

_LISTING = re.compile(r"(?<=[。；\d）)\s])附件\s*[:：]|^附件\s*[:：]")
_NUMBERED = re.compile(rf"(?<!\d)(?={POINT})(\d{{1,2}})[.．、]\s*")


def _open_attachments(lines: list[str]) -> list[str]:
    """Give each announced attachment, and each attachment's title where it starts, a line of its own."""
    out: list[str] = []
    for line in lines:
        listing = _LISTING.search(line)
        if listing is None or len(line) - listing.end() < 30:
            out.append(line)
            continue
        titles, rest = _announced(line[listing.end() :])
        if not titles:
            out.append(line)
            continue
        out += [line[: listing.start()].strip()] if listing.start() else []
        single = len(titles) == 1 and not _NUMBERED.match(line[listing.end() :].strip())
        out += [f"附件：{'' if single else '1. '}{titles[0]}"]
        out += [f"{number}. {title}" for number, title in enumerate(titles[1:], 2)]
        out += _by_title(rest, titles)
    return [line for line in out if line]


def _announced(text: str) -> tuple[list[str], str]:
    """The titles of a list that runs on into the attachments, and the text after it; no titles where unclear."""
    text = text.strip()
    start = 0
    chunks: list[re.Match[str]] = []
    for match in _NUMBERED.finditer(text):
        if int(match[1]) == len(chunks) + 1 and match.start() - start < (80 if chunks else 1):
            chunks.append(match)
            start = match.end()
        else:
            break
    titles = [text[a.end() : b.start()].strip() for a, b in zip(chunks, chunks[1:], strict=False)]
    last = text[chunks[-1].end() :] if chunks else text
    end = _recurring(last)
    if not end and titles:
        end = _place_of(titles[0], last)[0]
    if not end:
        return [], text
    return [*titles, last[:end].strip()], last[end:].strip()


def _recurring(text: str) -> int:
    """The length of the longest opening that occurs again later: the announced title, and that title in its place."""
    for length in range(min(60, len(text) // 2), 3, -1):
        if text[:length] in text[length:] and not re.search(r"[。；\n]", text[:length]):
            return length
    return 0


def _place_of(title: str, text: str) -> tuple[int, int]:
    """Where a title stands in a text, its words as announced or nearly so; (0, 0) where it does not."""
    place = text.find(title)
    if place >= 0:
        return place, place + len(title)
    found = fuzz.partial_ratio_alignment(title, text, score_cutoff=85)
    if found is None or len(title) < 8:
        return 0, 0
    end = text.find(title[-4:], found.dest_start)
    end = end + 4 if end >= 0 else found.dest_end
    start = text.rfind(title[:1], 0, end - len(title) + 3)
    return (start if 0 <= found.dest_start - start <= 4 else found.dest_start), end


def _by_title(text: str, titles: list[str]) -> list[str]:
    """Cut the text of all attachments before and after each title."""
    out: list[str] = []
    for number, title in enumerate(titles, 1):
        start, end = _place_of(title, text)
        if not end:
            continue
        before = text[:start].strip()
        marked = re.search(rf"附件\s*{number}?\s*[:：]?$", before)
        head = before[: marked.start()].strip() if marked else before
        out += list(_tail(head)) if number == 1 and head else [head]
        out += [marked.group()] if marked else []
        out.append(text[start:end])
        text = text[end:].strip()
    return [*out, text]


def restore(text: str) -> list[str]:
    """A text's paragraphs, one a line, whatever its line breaks were."""
    plain = text.replace("\r\n", "\n").replace("\r", "\n").replace("\f", "\n").replace("\xa0", " ")
    lines = [part for line in unwrap(plain.split("\n")) for part in re.split(r"</p>\s*<p>", line)]
    lines = [_RESIDUE.sub("", line).strip() for line in lines]
    lines = _open_head(split(_open_attachments(_signed_off([line for line in lines if line]))))
    return _joined_title(lines)


def _joined_title(lines: list[str]) -> list[str]:
    """Join a title that was set on two or three lines."""
    for place, line in enumerate(lines[:8]):
        if (
            "关于" in line
            and len(line) < 60
            and not re.search(r"[，。：:]|(?:通知|意见|公告|通告|通报|函|批复|决定|办法|方案|细则|规定)$", line)
        ):
            for end in range(place + 1, min(place + 3, len(lines))):
                if (
                    re.search(r"(?:通知|意见|公告|通告|通报|函|批复|决定|办法|方案|细则|规定)$", lines[end])
                    and len(lines[end]) < 50
                ):
                    return [*lines[:place], "".join(lines[place : end + 1]), *lines[end + 1 :]]
    return lines
