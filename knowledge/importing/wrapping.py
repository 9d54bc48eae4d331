"""Lines that a wrap or a page break cut → paragraphs, a line each."""

import re

from knowledge.notices import DATED, NUMERAL, POINT

PAGE_NUMBER = re.compile(
    r"[—–\-－・·\s]*(?:第\s*)?\d{1,3}(?:\s*页)?(?:\s*[/／共]\s*共?\s*\d{1,3}\s*页?)?[—–\-－・·\s]*"
)
ENDED = re.compile(r"[。；：！？:;!?”’」』》）)…]$")
START = re.compile(
    rf"(?:第{NUMERAL}[章节条]|{NUMERAL}、|[（(]{NUMERAL}[）)]|[（(]\d{{1,2}}[）)]|{POINT}|附件\s*\d*\s*(?:[:：]|$)|特此(?:通知|函告|函复|公告)|[（(]?联\s*系\s*(?:人|电\s*话|方式)\s*[:：]|20\d\d年第\d{{1,4}}号$|序号\t|\d{{1,3}}\t)"
)
_FIRST = re.compile(r"一、|第一[章条]")
_TITLED = re.compile(r"(?:方案|办法|规定|细则|指南|要点|意见|措施|标准|规程|计划|制度)(?:[（(][^）)]{1,12}[)）])?$")
_LONG_LINE = 60  # characters; no heading is longer


def _is_wrapped(lines: list[str]) -> tuple[int, int] | None:
    """The shortest and longest full line of a hard-wrapped text; None when lines are paragraphs."""
    open_ends = [
        len(line)
        for line, after in zip(lines, lines[1:], strict=False)
        if len(line) >= 16 and not ENDED.search(line) and not START.match(after) and not START.fullmatch(line)
    ]
    longest = max(map(len, lines))
    many = len(open_ends) >= max(3, 0.3 * sum(len(line) >= 16 for line in lines))
    at_the_edge = sum(length >= longest - 1 for length in open_ends) >= 2
    if not (many or at_the_edge) or max(open_ends) > 120:
        return None
    if max((len(line) for line in lines if "\t" not in line), default=0) > 1.5 * max(open_ends):
        return None  # a line far longer than what is cut is a paragraph
    middle = sorted(open_ends)[len(open_ends) // 2]
    ordered = sorted(length for length in open_ends if length > 0.7 * middle)  # a shorter one is a heading's end
    return ordered[len(ordered) // 10], ordered[-1]


def unwrap(raw: list[str]) -> list[str]:
    """Join lines that a wrap or a page break cut; blank lines and indents are taken as hints where they say anything."""
    lines = [
        line
        for before, line in zip(["", *raw], raw, strict=False)
        if line.strip() and not (PAGE_NUMBER.fullmatch(line) and "\t" not in before)  # after a tab, a cell's end
    ]
    if not lines:
        return []
    plain = [line.strip(" \u3000") for line in lines]  # a tab is a cell's edge
    indented = [bool(re.match(r"\u3000|[ ]{2,}", line)) for line in lines]
    telling = 3 <= sum(indented) <= 0.8 * len(lines)
    full = _is_wrapped(plain)
    out = [plain[0]]
    for place in range(1, len(plain)):
        hint = (indented[place], indented[place - 1]) if telling else None
        if _next_row(out[-1], plain[place]):
            out.append(plain[place])
        elif _continues(plain[place - 1], plain[place], full, hint) or _cut(out[-1], plain[place]):
            out[-1] += glue(out[-1], plain[place]) + plain[place]
        else:
            out.append(plain[place])
    return out


def _next_row(paragraph: str, after: str) -> bool:
    """True where a line opens with the number that follows the one of the table's row before it."""
    row, following = (re.match(r"(\d{1,3})\t", text) for text in (paragraph, after))
    return bool(row and following and int(following[1]) == int(row[1]) + 1)


def _cut(paragraph: str, after: str) -> bool:
    """True where a long paragraph stops inside a sentence, as a page break leaves it."""
    inside = not ENDED.search(paragraph[-1:]) and "\t" not in after
    return inside and len(paragraph) >= _LONG_LINE and not re.match(rf"第{NUMERAL}|{NUMERAL}、|附件|\d+\t", after)


def glue(left: str, right: str) -> str:
    """Latin words keep the space that stood for the break; numbers and Chinese had none."""
    return " " if re.search(r"[A-Za-z]$", left[-1:]) and re.match(r"[A-Za-z]", right) else ""


def _continues(line: str, after: str, full: tuple[int, int] | None, hint: tuple[bool, bool] | None) -> bool:
    over = bool(ENDED.search(line)) and not (re.search(r"\d[:：]$", line) and re.match(r"\d\d", after))
    opens = bool(START.match(after)) and not re.match(r"\d{1,2}[.．、]", after)
    if full is None or DATED.fullmatch(after) or (hint is not None and hint[0]):
        return False
    low, high = full
    if len(line) < low - 2 or len(line) > high + 2:
        return False
    if _FIRST.match(after) and _TITLED.search(line):
        return False  # a title may fill its line
    if not over:
        return not (START.match(after) and re.search(r"[，、]$", line) is None and opens and len(line) < low)
    if opens or START.match(after) or (len(after) < low and not ENDED.search(after)):
        return False  # what goes on ends with a mark; a short line without one is a heading or a signature
    if hint is not None or re.match("现[将就]", after):
        return True
    if line.endswith(("）", ")", "》", "”")):
        return True  # a paragraph hardly ever ends with these
    return high - low <= 3 and line.endswith(("。", "；"))
