"""What people type → values: option numbers, the words that work everywhere, amounts and days."""

import re
import unicodedata
from calendar import monthrange
from collections.abc import Callable
from datetime import date, timedelta
from decimal import ROUND_HALF_UP, Decimal
from functools import lru_cache

import cn2an

from knowledge.text import normalise

UNIVERSAL = frozenset({"帮助", "菜单", "返回", "上一步", "取消", "更多", "人工", "为什么", "提醒设置", "我的", "结果"})
_SAME = {"?": "帮助", "？": "帮助", "help": "帮助", "主菜单": "菜单", "退出": "取消", "算了": "取消", "转人工": "人工"}

_CIRCLED = "①②③④⑤⑥⑦⑧⑨⑩"
_NUMBER = re.compile(r"第?([0-9]{1,2}|[一二三四五六七八九十])(?:个|项|条)?[.、。]?")


def universal(text: str) -> str | None:
    """The universal word that the whole message equals, else None."""
    word = text.strip(" 　。.!！“”\"'‘’")
    word = _SAME.get(word.lower(), word)
    return word if word in UNIVERSAL else None


def option_number(text: str) -> int | None:
    """1, １, 一, ①, 第1个 → 1; None for anything else."""
    text = text.strip()
    if len(text) == 1 and text in _CIRCLED:
        return _CIRCLED.index(text) + 1
    match = _NUMBER.fullmatch(unicodedata.normalize("NFKC", text))
    if not match:
        return None
    return int(match[1]) if match[1].isdigit() else "一二三四五六七八九十".index(match[1]) + 1


_ASKS = re.compile(r"[?？]\s*$|[吗呢]$|多少|什么|怎么|怎样|哪些|哪个|哪天|能不能|可不可以|是不是|有没有|几号|几天")


def asks(text: str) -> bool:
    """Whether a sentence is a question, so that a form that waits for words does not swallow it."""
    return bool(_ASKS.search(text.strip("。！! 　")))


# --- amounts and days ------------------------------------------------------------------------------------------------

WAN = 10_000  # 元
UNIT_NEEDED = Decimal(100_000)  # 万元 without a unit from here on is more likely 元
_AROUND = re.compile(r"^(?:人民币|大约|约|共计?|合计|[¥￥])|(?:整|左右|。)$|[,，\s]")
_PARTS = re.compile(r"(?:(\d+(?:\.\d+)?)亿)?(?:(\d+(?:\.\d+)?)(?:万|w|W))?(\d+(?:\.\d+)?)?(元|块钱?)?")


def amount(text: str) -> Decimal:
    """An amount in 万元, to the 元: 1760, 1,760.5万, 1.2亿, 17600000元, 一千七百六十万元. Raises ValueError.

    A bare number is 万元; one so large that 元 may be meant is refused, as are negative amounts.
    """
    typed = _AROUND.sub("", unicodedata.normalize("NFKC", text.strip()))
    match = _PARTS.fullmatch(typed)
    if match is None or typed in ("", "元"):
        return _amount_in_words(typed)
    hundreds_of_millions, tens_of_thousands, rest, unit = match.groups()
    if rest and not unit and (hundreds_of_millions or tens_of_thousands):
        raise ValueError("a unit is missing")
    if not (hundreds_of_millions or tens_of_thousands or unit):
        return _bare(Decimal(rest))
    yuan = Decimal(hundreds_of_millions or 0) * WAN * WAN + Decimal(tens_of_thousands or 0) * WAN + Decimal(rest or 0)
    return _to_the_yuan(yuan / WAN)


def _amount_in_words(typed: str) -> Decimal:
    spoken = typed.removesuffix("元")
    found = Decimal(str(cn2an.cn2an(spoken, "smart")))
    if found < 0:
        raise ValueError("negative")
    return _to_the_yuan(found / WAN) if spoken != typed or re.search("[万亿]", spoken) else _bare(found)


def _bare(number: Decimal) -> Decimal:
    if number >= UNIT_NEEDED:
        raise ValueError("a unit is missing")
    return _to_the_yuan(number)


def _to_the_yuan(number: Decimal) -> Decimal:
    if number >= 10**10:
        raise ValueError("too large")
    return number.quantize(Decimal("0.0001"), ROUND_HALF_UP)


_DAY = re.compile(r"(?:(20\d\d)[-./年])?(\d{1,2})[-./月](?:(\d{1,2})[日号]?|(?:份)?(底|末))(?:为止|止)?")
_COMING_DAYS = {"明天": 1, "明日": 1, "后天": 2, "大后天": 3}
_NEAR_DAYS = {"今天": 0, "今日": 0, "现在": 0, "昨天": 1, "昨日": 1, "前天": 2}


@lru_cache(maxsize=1024)  # a workbook names few days, each many times
def day(text: str, today: date) -> date:
    """A day up to now: 2020-06-30, 2020.6.30, 20200630, 6月30日, 6月底, 上月底, 今天. Raises ValueError.

    A day without a year is the last such day that is not in the future.
    """
    typed = normalise(text).replace(" ", "").removeprefix("截至").removeprefix("截止")
    if typed in _NEAR_DAYS:
        return today - timedelta(days=_NEAR_DAYS[typed])
    if typed in ("上月底", "上月末", "上个月底", "上个月末"):
        return today.replace(day=1) - timedelta(days=1)
    if re.fullmatch(r"20\d{6}", typed):
        return date(int(typed[:4]), int(typed[4:6]), int(typed[6:]))
    match = _DAY.fullmatch(typed)
    if match is None:
        raise ValueError("no day")
    year, month = int(match[1] or today.year), int(match[2])
    if not 1 <= month <= 12:
        raise ValueError("no month")

    def of(year: int) -> date:
        return date(year, month, int(match[3]) if match[3] else monthrange(year, month)[1])

    found = of(year)
    return of(year - 1) if match[1] is None and found > today else found


def coming_day(text: str, today: date) -> date:
    """A day from today on: 2020-06-30, 6月30日, 6月底, 月底, 下月底, 年底, 后天, 下周五. Raises ValueError.

    A day without a year is the next such day.
    """
    typed = normalise(text).replace(" ", "").removesuffix("前")
    months = {"月底": 0, "本月底": 0, "月末": 0, "下月底": 1, "下个月底": 1, "下月末": 1}
    if typed in months:
        year, month = divmod(today.year * 12 + today.month - 1 + months[typed], 12)
        return date(year, month + 1, monthrange(year, month + 1)[1])
    if typed in _COMING_DAYS:
        return today + timedelta(days=_COMING_DAYS[typed])
    if week := re.fullmatch(r"(?:这|本)?(下)?(?:周|星期|礼拜)([一二三四五六日天])", typed):
        weekday = "一二三四五六日".index(week[2].replace("天", "日"))
        found = today + timedelta(days=weekday - today.weekday() + (7 if week[1] else 0))
        if found < today:
            raise ValueError("past")
        return found
    if typed in ("年底", "今年底", "年末"):
        return date(today.year, 12, 31)
    if re.fullmatch(r"20\d{6}", typed):
        found = date(int(typed[:4]), int(typed[4:6]), int(typed[6:]))
    else:
        match = _DAY.fullmatch(typed)
        if match is None or not 1 <= int(match[2]) <= 12:
            raise ValueError("no day")
        month = int(match[2])

        def of(year: int) -> date:
            return date(year, month, int(match[3]) if match[3] else monthrange(year, month)[1])

        found = of(int(match[1] or today.year))
        found = of(today.year + 1) if match[1] is None and found < today else found
    if found < today:
        raise ValueError("past")
    return found


_NARROW = {0xFEE0 + ord(digit): digit for digit in "0123456789"}
_DIGITS = "[0-9〇一二三四五六七八九十]"
_SAYS_DAY = re.compile(
    rf"(?:20\d\d[-./年])?{_DIGITS}{{1,3}}(?:[-./]\d{{1,2}}|月(?:{_DIGITS}{{1,3}}[日号]?|份?[底末]))前?|今[天日]|昨[天日]|前天"
)


def day_within(text: str) -> tuple[str, str]:
    """The first day that a sentence names, as typed, and the rest of the sentence. Raises ValueError when it names none."""
    plain = text.translate(_NARROW)
    match = _SAYS_DAY.search(plain)
    if match is None:
        raise ValueError("no day")
    rest = f"{plain[: match.start()]} {plain[match.end() :]}".strip(" ，,。；;：:、")
    return match[0].removesuffix("前"), rest


def stages(text: str, read: Callable[[str], date]) -> list[tuple[date, str]]:
    """Steps with their days, by day: 5月31日选址；6月20日装修. `read` reads a day. Raises ValueError."""
    found = []
    for part in re.split(r"[；;\n]", text):
        if part.strip():
            typed, rest = day_within(part)
            if len(rest) < 2:
                raise ValueError("no text")
            found.append((read(typed), rest[:200]))
    if not found:
        raise ValueError("no stage")
    return sorted(found)


_TENS = re.compile("([一二三四五六七八九])?十([一二三四五六七八九])?")
_NUMERALS = {"一": 1, "二": 2, "三": 3, "四": 4, "五": 5, "六": 6, "七": 7, "八": 8, "九": 9}


def numbers(text: str) -> list[int]:
    """The numbers of a list, in order and each once: 1、3、5 · 1-5 · 1到3和7 · 一、三. Empty for none."""
    typed = unicodedata.normalize("NFKC", text)
    typed = _TENS.sub(lambda match: str(_NUMERALS.get(match[1], 1) * 10 + _NUMERALS.get(match[2], 0)), typed)
    typed = re.sub("[一二三四五六七八九]", lambda match: str(_NUMERALS[match.group()]), typed)
    found: list[int] = []
    for first, last in re.findall(r"(\d{1,4})(?:\s*(?:号|项|条)?\s*(?:-|—|~|至|到)\s*(?:第)?(\d{1,4}))?", typed):
        until = int(last) if last else int(first)
        found += range(int(first), min(until, int(first) + 200) + 1)
    return list(dict.fromkeys(found))
