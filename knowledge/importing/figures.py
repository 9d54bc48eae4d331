"""Percentages, amounts and prohibitions in a clause, each with its own words."""

import re
from dataclasses import dataclass

from knowledge.text import number

_FLOOR = r"(?:原则上|一般|应|要|须|均|也|且)*(?:不低于|不少于|不得低于|不得少于|不应低于|不应少于|不能低于|不能少于|不小于|不得小于|至少[一-龥]{0,4}?|最低(?:为|不低于)?|达到或超过|≥|>=)"
_CAP = r"(?:原则上|一般|应|要|须|均|也|且)*(?:不超过|不高于|不多于|不得超过|不得高于|不得多于|不应超过|不应高于|不能超过|不大于|最高(?:不超过|为|可达|补助|给予|奖励|支持)*|最多(?:不超过|为|给予)*|不突破|不得突破|上限(?:为|是)?|(?<![期年时权上有局界下受])限(?:报|推荐|申报|购|领|选|评)?|控制在|≤|<=)"
_OVER = r"(?:超过|高于|大于|多于|超出|突破|＞|>)"
_UNDER = r"(?:低于|少于|小于|不足|不到|未达到|未达|达不到|＜|<)"
_ABOUT = r"(?:约|大约|大概|左右|近)"
_LINK = r"(?:[^，。；\d%]{0,16}?(?:总额|总投资|投资额|金额|数量|比例)?(?:的|为|达|到|至)?)"
_PERCENT = r"(?<!\d)(?P<percent>\d+(?:\.\d+)?)\s*[%％]|百分之(?P<word>[一二三四五六七八九十百零点]+|\d+(?:\.\d+)?)|(?P<upper>\d{1,2})/(?P<lower>\d{1,2})(?![\d/月])|(?P<of>[二三四五六七八九十])分之(?P<part>[一二三四五六七八九])|(?P<tenths>[一二三四五六七八九])成(?P<half>半)?(?![立为功员效本果就熟交年分品色绩长])"
_MONEY = r"(?P<money>\d[\d,]*(?:\.\d+)?)\s*(?P<unit>万元|亿元|千元|元)"
_COUNT = r"(?P<count>(?<!\d)\d+(?:\.\d+)?|[一二两三四五六七八九十]{1,3})\s*(?:个)?(?P<measure>万?(?:人次|人|户|件|单|个|亩|吨)|工作日|日|天|小时|学时|课时|分钟|年|个月|月|周|家|名|人次|人|次|个|户|村|立方米|平方米|公里|件|条(?!件|款)|场|期|台|套|项)(?![以之]?(?:前|内|底)|月|份|期)"
_AFTER = r"(?P<after>\s*[（(]?(?:含)?[）)]?\s*(?:及?以上|及?以下|以内|之内|左右|上下|的上限|为上限|封顶|为限))?"

_FIGURE = re.compile(rf"(?:{_PERCENT}|{_MONEY}){_AFTER}")
_QUANTITY = re.compile(rf"(?P<before>{_FLOOR}|{_CAP}){_COUNT}{_AFTER}")
_QUANTITY_AFTER = re.compile(rf"{_COUNT}(?P<after>(?:（含）)?及?以[上下]|左右)")
_QUANTITY_WITHIN = re.compile(
    r"(?P<count>\d+)\s*(?P<measure>个|家|名|项|户|辆|份|平方米|立方米|公里)(?P<after>(?:（含）)?(?:以内|之内))"
)
_OPERATORS = tuple(
    (op, re.compile(rf"{words}{_LINK if op in ('>=', '<=') else ''}\s*$"))
    for op, words in ((">=", _FLOOR), ("<=", _CAP), ("<", _UNDER), (">", _OVER), ("~", _ABOUT))
)


@dataclass(frozen=True, kw_only=True)
class Figure:
    """A percentage or an amount: `value` in the printed unit, `op` one of >= <= > < = ~; `text` with its operator."""

    text: str
    value: float
    unit: str
    op: str
    clause: str


@dataclass(frozen=True, kw_only=True)
class Prohibition:
    """The part of a sentence that forbids something."""

    text: str
    clause: str


def percentages(clause: str, text: str) -> list[Figure]:
    """Percentages and fractions, in reading order; 1/3 is given as 33.33 with the unit %."""
    return [one for one in _figures(clause, text) if one.unit == "%"]


def amounts(clause: str, text: str) -> list[Figure]:
    """Sums of money, and quantities that carry an operator."""
    money = [one for one in _figures(clause, text) if one.unit != "%"]
    found: list[Figure] = []
    taken: list[tuple[int, int]] = []
    for pattern in (_QUANTITY, _QUANTITY_AFTER, _QUANTITY_WITHIN):
        for match in pattern.finditer(text):
            if any(a <= match.start() < b for a, b in taken):
                continue
            taken.append(match.span())
            op = _operator(match["before"]) if pattern is _QUANTITY else _with_suffix("=", match["after"])
            found.append(
                Figure(text=match.group(), value=_number(match["count"]), unit=match["measure"], op=op, clause=clause)
            )
    return money + found


def _figures(clause: str, text: str) -> list[Figure]:
    out: list[Figure] = []
    for match in _FIGURE.finditer(text):
        before = text[max(0, match.start() - 24) : match.start()]
        op, start = "=", match.start()
        for name, pattern in _OPERATORS:
            if (found := pattern.search(re.split(r"[，。；]", before)[-1])) and not _belongs_elsewhere(found.group()):
                op, start = name, match.start() - len(found.group())
                break
        op = _with_suffix(op, match["after"] or "")
        value = _value(match)
        if value is not None:
            unit = match["unit"] or "%"
            out.append(Figure(text=text[start : match.end()].strip(), value=value, unit=unit, op=op, clause=clause))
    return out


def _belongs_elsewhere(before: str) -> bool:
    """True when another figure stands between the operator and this one."""
    return bool(re.search(r"\d", before))


def _with_suffix(op: str, suffix: str) -> str:
    if "以上" in suffix:
        return ">="
    if any(word in suffix for word in ("以下", "以内", "之内", "上限", "封顶", "为限")):
        return "<="
    return "~" if re.search(r"左右|上下", suffix) else op


def _operator(words: str) -> str:
    return ">=" if re.fullmatch(_FLOOR, words) else "<="


def _number(text: str) -> float:
    return float(text.replace(",", "")) if re.match(r"\d", text) else float(number(text))


def _value(match: re.Match[str]) -> float | None:
    try:
        if match["percent"]:
            return float(match["percent"])
        if match["word"]:
            return _number(match["word"])
        if match["upper"]:
            lower = int(match["lower"])
            return round(100 * int(match["upper"]) / lower, 2) if lower > int(match["upper"]) > 0 else None
        if match["of"]:
            return round(100 * number(match["part"]) / number(match["of"]), 2)
        if match["tenths"]:
            return 10.0 * number(match["tenths"]) + (5 if match["half"] else 0)
        return _number(match["money"])
    except ValueError:
        return None


_FORBIDS = re.compile(
    r"(?<!只)不得(?!不|已|了|当|力|分(?:[，。；、）)\s]|$))|严禁|禁止(?!性)|不准(?!确|予)|不许|不允许|不应(?!对|急)|(?<!只)(?<!能)不能(?!不|够按|按时|按期|及时|如期|满足|达到|正常|完成)"
    r"|不(?:盲目|片面|简单|随意|擅自|再?重复|单纯|过度|搞|纳入|以(?![^，。；]{0,8}(?:为例|上|下)))|原则上不(?!低|少|超|高|多|大|小|晚|迟|早)|[切请]勿|不可(?!或缺|抗|逆|分|持续|替代|避免)|不宜|(?<!需)(?<!必)不要(?!求)|坚决杜绝|杜绝|一律不"
)
_PIECE = re.compile(r"[^，,。；;：:！\n\t]+")
_INABILITY = re.compile(r"(?:因|由于|如|若|确|确实|凡|对)[^，。；]{0,12}不能|不能[^，。；]{0,14}的$")


_ENUMERATOR = re.compile(r"^[（(]?[一二三四五六七八九十\d]{1,3}[)）.．、]\s*")


def prohibitions(clause: str, text: str) -> list[Prohibition]:
    """Every part of a sentence that forbids, with the part before it where it would lack its subject."""
    out: list[Prohibition] = []
    pieces = list(_PIECE.finditer(_titles_blanked(text)))
    for place, piece in enumerate(pieces):
        found = _FORBIDS.search(piece.group())
        if found is None or (found.group() == "不能" and _INABILITY.search(piece.group())):
            continue
        start = piece.start()
        bare = not piece.group()[: found.start()].strip() and place > 0
        if bare and text[pieces[place - 1].end()] in "，," and not _FORBIDS.search(pieces[place - 1].group()):
            start = pieces[place - 1].start()
        out.append(Prohibition(text=_ENUMERATOR.sub("", text[start : piece.end()].strip()), clause=clause))
    return out


def _titles_blanked(text: str) -> str:
    return re.sub(r"《[^》]*》", lambda m: "＿" * len(m.group()), text)
