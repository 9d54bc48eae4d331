"""Facts about the asker's county: their kinds, how they are written, and reading them out of a question."""

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path

import yaml

from knowledge.model import Fact, Facts
from knowledge.text import normalise


@dataclass(frozen=True, kw_only=True)
class FactKind:
    """One fact that rules use: how it is asked, and its type (year, rate, bool, count, days, date, province)."""

    key: str
    type: str
    label: str
    ask: str
    options: tuple[str, ...] = ()


def _kinds() -> dict[str, FactKind]:
    """The kinds of facts.yaml; they are part of the program, so a fault in them is a bug."""
    rows = yaml.load(
        (Path(__file__).parent / "data" / "rules" / "facts.yaml").read_text("utf-8"), Loader=yaml.BaseLoader
    )
    return {row["key"]: FactKind(**{**row, "options": tuple(row.get("options", ()))}) for row in rows}


KINDS = _kinds()

_YES = {"yes", "true", "是", "有", "对", "已开展", "已完成", "是的", "1"}
_NO = {"no", "false", "否", "没有", "不是", "未开展", "未完成", "没", "0"}


def _year(text: str) -> int:
    match = re.search(r"(20\d\d)", normalise(text + ("年" if re.fullmatch(r"\d{2}", text) else "")))
    if not match:
        raise ValueError
    return int(match[1])


def _rate(text: str) -> float:
    match = re.search(r"(\d+(?:\.\d+)?)(%?)", normalise(text))
    if not match:
        raise ValueError
    value = float(match[1])
    share = value / 100 if match[2] or value > 1 else value
    if share > 1:
        raise ValueError
    return round(share, 6)


def _bool(text: str) -> bool:
    word = text.strip().lower()
    if word in _YES:
        return True
    if word in _NO:
        return False
    raise ValueError


def _count(text: str) -> int:
    match = re.search(r"\d+", normalise(text if re.search(r"\d", text) else text + "个"))
    if not match:
        raise ValueError
    return int(match[0])


def _days(text: str) -> int | float:
    found = _number_of_days(normalise(text if re.search(r"天|日", text) else text + "天"))
    if found is None:
        raise ValueError
    return found


def _number_of_days(text: str) -> int | float | None:
    """How many days a text names; 3天半 is 3.5."""
    match = re.search(r"(?<![\d.])(\d+(?:\.\d+)?)[天日](半)?", text)
    if not match:
        return None
    number = float(match[1]) + (0.5 if match[2] else 0)
    return int(number) if number.is_integer() else number


def _province(text: str) -> str:
    match = _PROVINCE.search(text)
    if not match:
        raise ValueError
    return "新疆生产建设兵团" if match[0] == "兵团" else match[0]


def _date(text: str, year: int) -> date:
    text = normalise(text)
    if match := re.search(r"(20\d\d)-(\d{1,2})-(\d{1,2})", text):
        return date(int(match[1]), int(match[2]), int(match[3]))
    match = re.search(r"(?:(20\d\d)年)?(\d{1,2})月(\d{1,2})", text)
    if not match:
        raise ValueError
    return date(int(match[1] or year), int(match[2]), int(match[3]))


def parse_fact(key: str, text: str, *, year: int = 2020) -> Fact:
    """Convert what was typed for one fact. `year` completes a date without one. Raises ValueError."""
    parsers: dict[str, Callable[[str], Fact]] = {
        "year": _year, "rate": _rate, "bool": _bool, "count": _count, "days": _days, "province": _province,
        "date": lambda typed: _date(typed, year),
    }  # fmt: skip
    return parsers[KINDS[key].type](text)


def show_fact(key: str, value: Fact) -> str:
    """Write a fact as a Chinese reader expects it: 85%, 2016年度, 5月30日, 是."""
    if isinstance(value, bool):
        return "是" if value else "否"
    if isinstance(value, date):
        return f"{value.year}年{value.month}月{value.day}日"
    if isinstance(value, float):
        return f"{value * 100:.10g}%" if KINDS[key].type == "rate" else f"{value:g}"
    return f"{value}年" if KINDS[key].type == "year" else str(value)


def plain(value: Fact) -> str:
    """Write a fact as it is stored: yes, 0.85, 2020-05-30; `parse_fact` reads it back."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    return value.isoformat() if isinstance(value, date) else str(value)


_PROVINCE = re.compile(
    "新疆生产建设兵团|兵团|河北|山西|内蒙古|辽宁|吉林|黑龙江|江苏|浙江|安徽|福建|江西|山东|河南|湖北|湖南|广东|广西|海南|重庆|四川|贵州"
    "|云南|西藏|陕西|甘肃|青海|宁夏|新疆|北京|天津|上海|香港|澳门|台湾"
)
_PERCENT = re.compile(r"(\d+(?:\.\d+)?)%")
_BARE_RATE = re.compile(
    r"率(?:现在|目前)?(?:才|只有|是|到|刚到|为|达到|有|就|已经)*(\d{1,3}(?:\.\d+)?)(?![\d.%年个万月])"
)
_SHORT_OF = re.compile(r"(?:不到|没到|未到|低于|不足|不满|少于|达不到|没有?达到|未达到?|没用到|没花到|没拨到)了?$")
_USE = re.compile(r"使用率?|用了|花了|花到|花掉|用到|用掉|使用|支出率")
_PAYOUT = re.compile(r"拨付|支付|拨了|拨到|付了|打出去|再申报|二次申报|再报")
_BATCH = re.compile(
    r"(?<![拖推延放等]到)(20[0-3]\d)年(?!\d*月|底|初|结束|完成|做完|[^，。]{0,6}下达|[^，。]{0,8}评价(?:结束|完成|做完))"
)
_NO_COMPLETE = re.compile(
    r"没(?:有)?(?:完工|投用|投入使用|建完|建成|弄完|干完)|未(?:完工|投入使用|建成)|在建|还在(?:建|施工)|完工一半|(?:一半|部分)[^，。]{0,4}(?:没|未)"
)
_COMPLETE = re.compile(r"(?:都|全部?|均|基本)(?:已经|已|基本)*(?:完工|投用|投入使用|建好|建成|建完|做完)")
_NO_ACCEPTANCE = re.compile(
    r"(?:没|未|还没有?|没有)(?:做|搞|通过|完成)?验收|验收(?:还|都)?(?:没|未)(?:做|完|过|弄|搞)?"
)
_ACCEPTANCE = re.compile(r"验收(?:也|都|已经|已|基本|全部)*(?:弄|搞|做)?(?:完成|通过|完了?|过了|好了)")
_NOT_EVALUATED = re.compile(r"(?:没|未|还没有?)(?:做|搞|开展|进行)?过?(?:绩效)?评价")
_EVALUATED = re.compile(
    r"(?:已经?|都)(?:做|搞|开展|完成)?过?了?(?:绩效)?评价|(?:绩效)?评价(?:已经?|都)?(?:做|搞)过?了|评价过了|评价(?:时|里|中)?(?:提|发现|查出|指出)[^，。]{0,4}(?:问题|毛病|意见)"
)
_QUOTA = re.compile(
    r"(\d+)个?(?:县|示范县)?的?(?:名额|指标|计划)|(?:给|分|下达|预下达?)(?:了|到|给)?(?:我们|咱们?|我)?省?(?:里)?(?:示范县)?(\d+)个"
)
_APPLIED = re.compile(
    r"(?<!申请)(?:申报|上报|报|推荐)(?:了|上去|到)?(\d+)个(?!名额|指标)"
    r"|(?:组织|动员|挑|凑|选)(?:了|出)?(\d+)个县?(?:[来去](?:申?报|参加)|(?:申报|上报))|(\d+)个县(?:都|想|要)*[来去]申?报"
)
_POOR_APPLIED = re.compile(
    r"(?:贫困县|穷县)(?:只|才|有|报了?|占)*(\d+)个|(?<!申报)(?<!上报)(?<!报)(?<!\d)(\d+)个(?:是)?(?:贫困县|穷县)(?!\d)"
)
# A delivery time, not a delay: 晚两天 and 迟了三天 are lateness.
_DAYS = re.compile(
    r"(?:送|到村|配送|快递|物流|包裹|寄)[^，。？]*?(?<![晚迟])(?<![晚迟]了)(?<!超过)(?<!逾期)(?<![\d.])(\d+(?:\.\d+)?天半?)|(?<![\d.])(?<![晚迟])(?<![晚迟]了)(?<!逾期)(\d+(?:\.\d+)?天半?)[^，。？]*?(?:送|到村|配送|能到)"
)
_MONTH_DAY = re.compile(r"(?:(20\d\d)年)?(\d{1,2})月(?:(\d{1,2})[日号]?|(初|上旬))")
_AFTER = re.compile(r"(?:晚于|迟于|超过|过了?)(?:20\d\d年)?\d{1,2}月\d{1,2}|月\d{1,2}[日号]?(?:以|之)?后(?!面)")
_FINISHES = re.compile(r"整改|改完|改好|改到|销号|验")
# Somebody's own plan (拖到国庆行吗), not a question what the deadline is (6月底前就得验完吧).
_PLANS = re.compile(
    r"[拖推延放等改定排]到|推迟|延后|才|再[验改弄搞]|行[吗不吧]|可以|[能成]吗|来得及|赶得上|算晚|算迟|晚不晚|迟不迟|逾期|超期|过期"
)
_PUT_OFF = re.compile(r"[拖推延放等]到(20\d\d)年(?![度\d底末初上下])")
_BY = re.compile(
    r"(?P<next>明年|下一?年)?(?:(?P<year>20\d\d)年)?"
    r"(?:(?P<month>\d{1,2})月份?(?:(?P<day>\d{1,2})[日号]?|(?P<early>初|上旬)|(?P<middle>中旬?))?"
    r"|(?P<feast>国庆|元旦)|(?P<half>[上下]半年)|(?P<last>年底|年末|年尾))?"
)


def _rates(text: str) -> dict[str, float]:
    found: dict[str, float] = {}
    for match in [*_PERCENT.finditer(text), *_BARE_RATE.finditer(text)]:
        if _SHORT_OF.search(text[max(0, match.start() - 6) : match.start()]):
            continue  # 不到90% states no rate
        if re.match(r"(?:以上)?(?:了)?才(?:能|可|让|给|行|算|准)", text[match.end() :]):
            continue  # 90%才能验收 asks what is required
        before = text[max(0, match.start() - 14) : match.end()]
        value = float(match[1])
        if value > 100:
            continue
        last_use = max((m.start() for m in _USE.finditer(before)), default=-1)
        last_payout = max((m.start() for m in _PAYOUT.finditer(before)), default=-1)
        told = "use_rate" if last_use > last_payout else "disbursement_rate"
        key = "rate" if last_use == last_payout else told
        found.setdefault(key, round(value / 100, 6))
    return found


def _truths(text: str) -> dict[str, bool]:
    found: dict[str, bool] = {}
    for key, no, yes in (
        ("projects_complete", _NO_COMPLETE, _COMPLETE),
        ("acceptance_done", _NO_ACCEPTANCE, _ACCEPTANCE),
        ("evaluated", _NOT_EVALUATED, _EVALUATED),
    ):
        if no.search(text):
            found[key] = False
        elif yes.search(text):
            found[key] = True
    if re.search(r"(?:不是|不属于|非|不算)边远", text):
        found["remote_area"] = False
    elif re.search(
        r"(?<!除)(?<!除了)(?<!是不是)(?<!算)(?<!属于)(?:边远|偏远)(?!.{0,4}[除之以]外|.{0,6}(?:怎么|如何|谁)?(?:定|界定|认定|划分))",
        text,
    ):
        found["remote_area"] = True
    if re.search(
        r"(?:没用|没有用|没花|不是|没拿|没沾|非)(?:国家|中央)|(?:自筹|自有|自己的?|县级(?:配套)?|地方|省级|企业自己?)(?:资金|掏|出|的?钱|财政)",
        text,
    ):
        found["central_funded"] = False
    elif re.search(r"中央(?:财政)?(?:资金|的?钱|专项)|(?:国家|示范|专项)的?(?:资金|钱)", text):
        found["central_funded"] = True
    if re.search(r"非贫困县|不是贫困县", text):
        found["poverty_county"] = False
    elif re.search(r"(?:我们?|咱们?|本)县?是(?:个)?(?:国家级)?贫困县|国贫县", text):
        found["poverty_county"] = True
    return found


def _submitted(text: str, year: int) -> date | None:
    match = _MONTH_DAY.search(text)
    if not match:
        return None
    day = {"初": 1, "上旬": 1}.get(match[4] or "", 0) or int(match[3])
    try:
        said = date(int(match[1] or year), int(match[2]), day)
    except ValueError:
        return None
    return said + timedelta(days=bool(_AFTER.search(text)))  # 晚于5月29日 is the next day at the earliest


def _month_end(year: int, month: int) -> date:
    return (date(year + month // 12, month % 12 + 1, 1)) - timedelta(days=1)


def _finished(text: str, year: int) -> date | None:
    """The day by which a question would finish: 拖到国庆 is 1 October, 7月底 its last day, 明年 1 January at the earliest.

    A batch (2016年度) and a year alone name no day. Written for deadlines at the end of a half year, where a month
    without a day is judged the same on each of its days.
    """
    for match in _BY.finditer(text):
        part = match.groupdict()
        on = int(part["year"] or year) + bool(part["next"])
        if part["month"]:
            return _day_of(on, int(part["month"]), part)
        if part["feast"]:
            return date(on, 10, 1) if part["feast"] == "国庆" else date(on + (not part["next"]), 1, 1)
        if part["half"]:
            return date(on, 6, 30) if part["half"] == "上半年" else date(on, 7, 1)
        if part["last"]:
            return date(on, 12, 31)
        if part["next"]:
            return date(on, 1, 1)
    put_off = _PUT_OFF.search(text)
    return date(int(put_off[1]), 1, 1) if put_off else None


def _day_of(year: int, month: int, part: dict[str, str]) -> date | None:
    if not 1 <= month <= 12:
        return None
    day = int(part["day"]) if part["day"] else 1 if part["early"] else 15 if part["middle"] else 31
    last = _month_end(year, month)
    return min(last, last.replace(day=max(1, min(day, last.day))))


def read_facts(text: str, *, year: int) -> dict[str, Fact]:
    """Read the county's facts out of a normalised question.

    A rate without a telling word comes back as `rate`; the rule that uses it decides which one it is.
    """
    found: dict[str, Fact] = {**_rates(text), **_truths(text)}
    years = [int(match[1]) for match in _BATCH.finditer(text)]
    if years:
        found["batch_year"] = years[0]
    for key, pattern in (
        ("pre_allocated", _QUOTA), ("poverty_applied", _POOR_APPLIED),
        ("applied", _APPLIED), ("delivery_days", _DAYS),
    ):  # fmt: skip
        if match := pattern.search(text):
            said = next(filter(None, match.groups()))
            found[key] = _days(said) if key == "delivery_days" else int(said)
    if match := re.search(r"(20\d\d)年[^，。]{0,6}(?:下达|下来|拨下|的(?:指标|钱|资金))", text):
        found["fund_year"] = int(match[1])
    if match := re.search(
        r"(20\d\d)年[^，。]{0,8}评价(?:结束|完成|做完)|评价[^，。]{0,4}(20\d\d)年(?:结束|完成|做完)", text
    ):
        found["evaluation_year"] = int(match[1] or match[2])
    elif re.search(r"今年[^，。]{0,6}评价(?:结束|完成|做完)|评价[^，。]{0,3}今年(?:结束|完成|做完)", text):
        found["evaluation_year"] = year
    asks_which = re.search(r"什么|啥|哪|谁|几|多少", text)  # 9月底报什么 states no date of the asker's
    if not asks_which and (on := _submitted(text, year)):
        found["submitted_on"] = on
    if not asks_which and _FINISHES.search(text) and _PLANS.search(text) and (by := _finished(text, year)):
        found["done_on"] = by
    if len(provinces := set(_PROVINCE.findall(text))) == 1:
        found["province"] = _province(provinces.pop())
    return found


def known_for(keys: Iterable[str], said: Facts, remembered: Facts) -> dict[str, Fact]:
    """The facts a rule can use: what the question says comes before what was said earlier.

    A bare rate or year in the question goes to the rule's own.
    """
    keys = tuple(keys)
    known = {key: remembered[key] for key in keys if key in remembered}
    known |= {key: said[key] for key in keys if key in said}
    rates = [key for key in keys if KINDS[key].type == "rate"]
    years = [key for key in keys if KINDS[key].type == "year"]
    if "batch_year" in said and len(years) == 1 and years[0] not in said:
        known[years[0]] = said["batch_year"]
    if "rate" in said and len(rates) == 1 and rates[0] not in said:
        known[rates[0]] = said["rate"]
    return known
