"""Percentages, amounts and prohibitions in a clause, each with its own words."""

import re
from dataclasses import dataclass

from knowledge.text import number

_SOFTLY = r"(?:原则上|一般|应|要|须|均|也|且)*"
_NOT = r"(?:不(?:得|应|能|可|准|许|允许)?|未)"
_FLOOR = rf"{_SOFTLY}(?:{_NOT}(?:低于|少于|小于|短于)|至少[一-龥]{{0,4}}?|最低(?:为|不低于)?|达到或超过|≥|≧|>=)"
_CAP = rf"{_SOFTLY}(?:{_NOT}(?:超过|超出|高于|高出|多于|大于|长于|突破)|最[高多](?:不(?:得)?超过|为|可达|可|补助|给予|奖励|支持|领取)*|上限(?:为|是)?|(?<![期年时权上有局界下受])限(?:报|用|推荐|申报|购|领|选|评)?|(?:控制|限制)(?:在|到)|≤|≦|<=)"
_OVER = r"(?:超过|高于|大于|多于|超出|突破|超|逾|＞|>)"
_UNDER = r"(?:低于|少于|小于|不足|不到|不满|未满|未达到|未达|达不到|＜|<)"
_ABOUT = r"(?:(?:大)?约(?:占|为)?|大概|左右|近)"
_LINK = r"(?:(?:20\d\d年度?)?[^，。；\d%]{0,16}?(?:总额|总投资|投资额|金额|数量|比例)?(?:的|为|达|到|至)?)"
_PERCENT = r"(?<!\d)(?P<percent>\d+(?:\.\d+)?)\s*[%％]|百分之(?P<word>[一二三四五六七八九十百零点]+|\d+(?:\.\d+)?)|(?P<upper>\d{1,2})[/／](?P<lower>\d{1,2})(?![\d/／月])|(?P<of>[二三四五六七八九十])分之(?P<part>[一二三四五六七八九])|(?P<tenths>[一二两三四五六七八九])成(?P<ones>半|[一二三四五六七八九])?(?![立为功员效本果就熟交年分品色绩长])"
_MONEY = r"(?P<money>\d[\d,]*(?:\.\d+)?)\s*(?P<unit>万元|亿元|千元|元)"
_MEASURE = r"万?(?:人次|人|户|件|单|个|亩|吨)|工作日|小时|学时|课时|分钟|(?<=个)月|立方米|平方米|公里|厘米|毫米|(?![万亿千百元成分月%])[一-龥]"
_COUNT = rf"(?!(?:19|20)\d\d年)(?P<count>(?<!\d)\d+(?:\.\d+)?|[一二两三四五六七八九十]{{1,3}})\s*(?:个)?(?P<measure>{_MEASURE})(?![以之]?前|内|底|月|份|期)"
_SPAN = r"工作日|日|天|小时|学时|课时|分钟|年|(?<=个)月|周|万?(?:人次|人|户|件|单|亩|吨)|家|名|次|个|村|立方米|平方米|公里|场|期|台|套|项|座|处"
_COUNT_LISTED = rf"(?P<count>(?<!\d)\d+(?:\.\d+)?|[一二两三四五六七八九十]{{1,3}})\s*(?:个)?(?P<measure>{_SPAN})"
_INCLUDED = r"[（(]不?含[^）)]{0,6}[）)]"
_AFTER = rf"(?P<after>\s*(?:{_INCLUDED})?\s*(?:及?以上|及?以下|以内|之内|左右|上下|的上限|为上限|封顶|为限)(?:{_INCLUDED})?|\s*{_INCLUDED})?"

_FIGURE = re.compile(rf"(?:{_PERCENT}|{_MONEY}){_AFTER}")
_QUANTITY = re.compile(rf"(?P<before>{_FLOOR}|{_CAP})(?:[^，。；\d%]{{2,10}}的)?{_COUNT}{_AFTER}")
_QUANTITY_AFTER = re.compile(rf"{_COUNT_LISTED}(?P<after>(?:（含）)?及?以[上下]|左右)")
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
    return bool(re.search(r"\d", re.sub(r"20\d\d年", "", before)))


def _with_suffix(op: str, suffix: str) -> str:
    """The operator with what follows the figure: 以上, 以下（不含）, or （含） after 高于."""
    open_ended = "不含" in suffix
    if "以上" in suffix:
        return ">" if open_ended else ">="
    if "以下" in suffix:
        return "<" if open_ended else "<="
    if any(word in suffix for word in ("以内", "之内", "上限", "封顶", "为限")):
        return "<="
    if "含" in suffix and op in "<>":
        return op if open_ended else f"{op}="
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
            return 100.0 if match["word"] == "百" else _number(match["word"])
        if match["upper"]:
            lower = int(match["lower"])
            return round(100 * int(match["upper"]) / lower, 2) if lower > int(match["upper"]) > 0 else None
        if match["of"]:
            return round(100 * number(match["part"]) / number(match["of"]), 2)
        if match["tenths"]:
            return 10.0 * number(match["tenths"]) + (
                5 if match["ones"] == "半" else number(match["ones"]) if match["ones"] else 0
            )
        return _number(match["money"])
    except ValueError:
        return None


_FORBIDS = re.compile(
    r"(?<!只)不得(?!不|已|了|当|力|而知|分(?:[，。；、）)\s]|$))|严禁|(?<!明令)(?<!依法)(?<!规定)(?<!国家)禁止(?![性类的令区]|目录|清单|名单)|不准(?!确|予)|不许|不允许|不应(?!对|急)"
    r"|(?<!只)(?<!能)不能(?!不|够|按时|按期|及时|如期|满足|达到|正常|完成)|[绝决]不(?![仅止是])"
    r"|不(?:盲目|片面|简单|随意|擅自|单纯|过度|搞|新[增建征设购上]|向(?:基层|企业|群众|农[民户]|村)|截留|挪用|挤占|摊派|转嫁|弄虚作假|发放|再?安排|再?重复|再?纳入|以(?![^，。；]{0,8}(?:为例|上|下)))"
    r"|原则上不(?!低|少|超|高|多|大|小|晚|迟|早)|[切请]勿|切忌|概不|不可(?![或抗逆分持替避撤估控行知见靠少缺侵再])|不宜|(?<!需)(?<!必)不要(?!求)|坚决杜绝|杜绝|一律不"
)
_CITED = re.compile(
    r"(?:是否|关于|违反)[^，。；]{0,12}(?:不得|禁止|严禁)|(?:存在|属于|具有|符合|出现|有)[^，。；]{0,10}(?:不得|禁止|严禁)[^，。；]{1,20}(?:情形|行为|事项|问题|情况)|(?:废止|停止执行)$"
)
_PIECE = re.compile(r"[^，,。；;：:！\n\t]+")
_INABILITY = re.compile(
    r"(?:因|由于|如|若|确|确实|凡|对)[^，。；]{0,12}不能|不能[^，。；]{0,14}的(?:$|(?=[应须要由可]))"
)


_ENUMERATOR = re.compile(r"^[（(]?[一二三四五六七八九十\d]{1,3}[)）.．、]\s*")


def prohibitions(clause: str, text: str) -> list[Prohibition]:
    """Every part of a sentence that forbids, with the part before it where it would lack its subject."""
    out: list[Prohibition] = []
    pieces = list(_PIECE.finditer(_titles_blanked(text)))
    for place, piece in enumerate(pieces):
        found = _FORBIDS.search(piece.group())
        if found is None or (found.group() == "不能" and _INABILITY.search(piece.group())):
            continue
        if _CITED.search(piece.group()):
            continue
        start = piece.start()
        bare = not piece.group()[: found.start()].strip() and place > 0
        if bare and text[pieces[place - 1].end()] in "，," and not _FORBIDS.search(pieces[place - 1].group()):
            start = pieces[place - 1].start()
        out.append(Prohibition(text=_ENUMERATOR.sub("", text[start : piece.end()].strip()), clause=clause))
    return out


def _titles_blanked(text: str) -> str:
    return re.sub(r"《[^》]*》|“[^”]*”", lambda m: "＿" * len(m.group()), text)
