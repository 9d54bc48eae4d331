"""Deadlines in a clause: what is due when, who owes it, to whom.

What only looks like one is left out: history (2014年以来), effective dates (自2020年5月1日起施行), conditions
(2020年底前注册的企业), dates and numbers of documents.
"""

import calendar
import re
from dataclasses import dataclass, replace
from datetime import date, timedelta

from knowledge.importing.bodies import BODY, find_owner, find_receiver
from knowledge.text import number, sentences

_N = r"(?:\d{1,3}|[一二两三四五六七八九十]{1,3})"
_BINDS = r"(?:完成|报送|上报|报|提交|反馈|送|办结|印发|公示|公布|启动|组织|开展|到位|支付|拨付|下达|实现|建成|投入|整改|验收|备案|清零|收回|盘活|函|抄送|形成|制定|出台|召开|答复|作出|提出|关闭|结束|销号|完工|竣工|达到|达标|实现|兑付|交付|投产|办理|登记|申报|填报|上传|录入|全覆盖|覆盖|提高到|提升到|提高至|提升至|降至|降到|下降到|不低于|不少于|不超过)(?!情况|率|的|了|进度)"
_BY = r"(?:\s*[（(][^）)]{1,16}[）)])?(?:之前|以前|前|为止|截止)(?!期|年度|几|后|述|景|置|往|来|款|列|述)"
_PARTS = {"上旬": 10, "初": 10, "中旬": 20, "中": 20, "下旬": 31, "底": 31, "末": 31, "内": 31, "份": 31, "": 31}
_QUARTERS = {"一": 3, "二": 6, "三": 9, "四": 12, "1": 3, "2": 6, "3": 9, "4": 12}
_YEAR = r"(?:(?P<year>\d{4}|二[〇○零Ｏ一二三四五六七八九]{3}|今|本|当|明|次|翌)\s?年(?!度|份|来)(?:的)?\s?)?"
_CLOCK = r"(?:\s*[（(][^）)]{1,6}[)）])?\s*(?:(?P<half>上午|下午|中午|晚上?|凌晨)?\s*(?P<hour>\d{1,2})(?:[:：](?P<minute>\d{2})|[时点](?:(?P<minutes>\d{1,2})分|整)?))?"
_DAY = rf"{_YEAR}(?P<month>{_N})\s?月\s?(?P<day>{_N})\s?[日号]{_CLOCK}"
_NUMERIC = r"(?P<year>20\d\d)[.．/\-](?P<month>\d{1,2})[.．/\-](?P<day>\d{1,2})(?!\d)(?P<half>)(?P<hour>)(?P<minute>)(?P<minutes>)"
_MONTH = rf"{_YEAR}(?P<month>{_N})\s?月(?:份)?(?P<part>上旬|中旬|下旬|底|末|初|中)?"
_LAST_DAY = rf"{_YEAR}(?P<month>{_N})月{_N}[日号]\s*[至到—–\-~－]+\s*(?P<day>{_N})[日号]{_CLOCK}"  # 11月1日至15日
_SPAN = rf"{_YEAR}(?:(?:第(?=[一二三四1-4]个?季))?(?P<quarter>[一二三四1-4])(?:(?<=第.)个)?季度|(?P<halfyear>[上下])半年|(?P<yearpart>(?<![一二三四五六七八九十两几数半])年?(?:底|末|内|终))|(?P<mid>年中))(?P<end>末|底|内)?"
_UNIT = r"(?:工作日|日|天|月|周|星期|小时|分钟)"
_SPANNED = rf"(?:{_N}|半|数)"
_WITHIN = r"(?:（[^）]{1,12}）)?(?:之?内|以内)"
_OCCASION = r"期满|届满|到期|召开|开工|开始|实施|举办|开班|开展|验收|结束|截止"
_PERIOD = re.compile(
    rf"(?P<event>(?:自|从|于|在)?[^，。；：、]{{1,40}}?(?:之日起|之后|以后|(?<![此今然最先落])后|当日起|起|(?<=结束|期满|届满|到期|签订|下达|印发|公布|通过|合格|召开)))的?[，,]?(?:应当?|须|要)?(?:在|于)?{_SPANNED}(?:个)?(?:{_UNIT}|年){_WITHIN}"
    rf"|(?:应当?|须|要|请)(?:在|于)?{_SPANNED}(?:个)?{_UNIT}{_WITHIN}"
    rf"|(?:责令|限期?|(?<!控制)(?<!限制)(?<!保持)在|于){_SPANNED}(?:个)?{_UNIT}{_WITHIN}"
    rf"|(?:{_OCCASION})(?:之日)?(?:前)?{_SPANNED}(?:个)?(?:工作日|日|天|月)(?:之?前|以前)"
    rf"|(?:于|在)[^，。；：、\d]{{2,12}}(?:之)?前{_SPANNED}(?:个)?(?:工作日|日|天|月)(?!内|之内|以内|前)"
    rf"|(?<=[局厅委办社府门构业位组者人方司院所校县区市关]){_SPANNED}(?:个)?{_UNIT}{_WITHIN}(?![^，。；]{{0,2}}(?:[有无未]|不得))"
    rf"|(?<=[晚迟]于)[^，。；：、]{{2,10}}后{_SPANNED}(?:个)?{_UNIT}"
    rf"|提前{_SPANNED}(?:个)?(?:工作日|日|天|月)(?!建成|完成|完工|实现|投产|竣工)"
    rf"|(?:{_OCCASION})(?:之日)?(?:之|以)?前{_SPANNED}(?:个)?(?:工作日|日|天|月)(?![前内])"
    rf"|(?<![^，,；：:、的]){_SPANNED}(?:个)?{_UNIT}{_WITHIN}(?!有|[无曾已仍再]|累计|连续|发生|出现|不得|不予|不再)"
    rf"|(?<![^，,；：:、并]){_SPANNED}年{_WITHIN}(?=[^，。；]{{0,8}}(?:建成|完成|完工|达到|实现|投产))"
    rf"|(?<=时限为){_SPANNED}(?:个)?{_UNIT}(?!内|以内|之内)"
)
_STAGE = re.compile(
    rf"[（(]?{_N}[）)、.．]\s*[^，。；：]{{2,16}}[（(](?:[^，。；：（）()]*[日月底年]\s*[至到—–\-~－]+\s*)?"
)
_EVENT_YEAR = re.compile(
    r"(?P<event>[^，。；：、于在应]{2,16}(?:结束|完成|下达|批复|验收))的?当年(?=[^，。；]{0,4}(?:完成|办结|报|年底|内|实现))"
)
_EVERY = re.compile(
    rf"每(?P<cycle>年|半年|季度?|月|旬|周|星期|日|天|晚|早)(?:度)?(?P<rest>[^，。；]{{0,14}}?)(?P<by>{_BY}|(?:之?内|以内)|(?<=[日号])(?=停止|截止|关闭))"
    rf"|每(?P<named>年|季度?|月|旬|周|星期)(?P<day>(?:的)?(?:(?:首|末|第[一二三]个|最后一个)月)?(?:{_N}月)?(?:{_N}[日号](?:[、和及](?:{_N}[日号]|月?[底末]))*|[首末]日|[底末]|(?<=[周期])[一二三四五六日天])(?:[上下]午)?)(?!前|以前|之前|[底末]|[至到—–~－-])(?=[^，。；]{{0,24}}(?:报送|上报|填报|(?<!通)报(?![告价名到])|提交|报告))"
)
_EVERY_UNTIL = re.compile(rf"(?<=[为是：:于])每(?P<cycle>年|月)(?P<rest>(?:{_N}月)?{_N}[日号])(?P<by>)")
_NEXT_MONTH = re.compile(rf"(?:次|下)(?:个)?(?:月|季度首月)(?:的)?{_N}[日号]{_BY}")
_DIGITS = str.maketrans("〇○零Ｏ一二三四五六七八九", "0000123456789")
_CYCLES = {
    "年": "year", "半": "half", "季": "quarter", "月": "month", "旬": "ten-day", "周": "week", "星": "week", "日": "day", "天": "day", "晚": "day", "早": "day",
}  # fmt: skip
_IN_QUARTER = {"首": 1, "第一个": 1, "第二个": 2, "第三个": 3, "最后一个": 3, "末": 3}
_MONTHS_OF_YEAR = re.compile(rf"({_N})月(?:({_N})[日号]|(底|末|初|上旬|中旬|下旬))?")

_ATTRIBUTE = re.compile(
    r"(?:已|经|曾|印发|发布|施行|开始|注册|成立|设立|建成|开工|立项|批复|下达|安排|发生|签订|取得|获得|购置|入库|支持|列入|认定|备案|实施|开展|形成|未)[^，。；]{0,16}?的(?!通知|意见|函)"
)
_NOT_DUE = re.compile(
    r"^(?:起|以来|开始|至今|施行|实施|生效|印发|年度|以来)|^[^，。；]{0,3}(?:起施行|起实施|起执行|起生效)"
)
_PENALTY = re.compile(r"的?[，,]?(?:将|一律)?(?:取消|暂停|限制|禁止|不得|不再|不予|不能|免于)")
_HISTORY_BEFORE = re.compile(r"(?<!报名)(?<!申报)(?<!受理)(?<!征集)(?:截至|截止到)\s*$|(?:自|从|早在|原定(?:于)?)\s*$")
_AIM = re.compile(r"(?:原则上|力争|争取|确保|务必|最迟|不晚于|不迟于|一般)")
_ENDS = re.compile(
    r"(?:(?:截止|截至|最迟|最晚|最后)(?:时间|日期|期限)?|不得?(?:迟|晚)于|不得超过|(?:完成|办结|整改|建设|实施|验收|销号|申报|报名|受理|报送|提交|办理|送达)?(?:时限|(?<!执行)(?<!有效)(?<!使用)期限|限期|时间节点)"
    r"|(?:完成|办结|报送|提交|达标|交付|竣工|投产|上报)(?:时间|日期)|延(?:期|长)?(?:至|到)|(?:顺延|推迟)(?:至|到))(?:要求)?(?:应|须)?(?:为|是|于|在|[:：])?\s*$"
)
_PLAN = re.compile(r"(?:拟|计划|预计|将|定)(?:于|在)?\s*$")
_PERIOD_END = re.compile(r"(?:[底末]|年内|月内)$")  # a day that ends a period binds by its verb alone: 8月底完工
_ATTAINED = re.compile(
    r"(?:[、和及](?:\d{1,2}月[底末]|年底))*[，,]?[^。；后]{0,30}?(?:完成|完工|竣工|达到|达标|实现|建成|销号|办结|到位|投产|投入使用|交付|报送|上报|提交|清零|覆盖|提高[到至]|提升[到至]|降[至到]|不低于|不少于|全部|基本|拨付|支付|兑付|印发|出台|各?报一次|(?<!通)报(?![告价名到]))(?!情况|率|的|了|进度|[^，。；]{0,6}的)"
)
_APPLIED = re.compile(
    r"^(?:期间)?(?:[（(][^）)]{0,40}[）)])?[，,]?(?:[^。；，]{0,24}[，,])?[^。；，]{0,20}?(?:报名|申报|递交|提交|填报|登记|申请|领取(?!的))"
)


@dataclass(frozen=True, kw_only=True)
class Deadline:
    """Something due. `on` is the last day, None where an event decides; `recurring` names a first `on` that comes again.

    `granularity`: time, day, ten-day, month, quarter, half, year, period or event. `time` is HH:MM.
    """

    text: str
    on: date | None
    granularity: str
    clause: str
    action: str
    who: str
    whom: str
    recurring: bool = False
    every: str = ""
    time: str = ""
    soft: bool = False


@dataclass(frozen=True, kw_only=True)
class _Found:
    start: int
    end: int
    on: date | None
    granularity: str
    recurring: bool = False
    every: str = ""
    time: str = ""
    bound: bool = True  # carries its own 前


def last_day(year: int, month: int) -> date:
    """The last day of a month."""
    return date(year, month, calendar.monthrange(year, month)[1])


class Reader:
    """Reads deadlines of one notice; `issued` is its date, or its first of January where only the year is known."""

    def __init__(self, issued: date | None, addressee: str = "") -> None:
        self.issued = issued
        self.addressee = addressee

    def read(self, clause: str, text: str) -> list[Deadline]:
        """All deadlines of a clause, in reading order."""
        out: list[Deadline] = []
        before: list[str] = []
        for sentence in sentences(text):
            found = self._in_sentence(sentence)
            for place, one in enumerate(found):
                until = found[place + 1].start if place + 1 < len(found) else len(sentence)
                out.append(self._deadline(clause, sentence, one, until, before))
            before.append(sentence)
        return out

    def _deadline(self, clause: str, sentence: str, one: _Found, until: int, before: list[str]) -> Deadline:
        rest = sentence[one.end : until]
        action = re.split(r"[；。]", rest)[0].strip("，, 、")
        action = re.sub(r"[，,、]?(?:并|和|及|以及|且)?(?:于|在|分别于|应于)?$", "", action)
        near = rest if len(rest) > 6 else sentence[one.end :]  # dates of one list share what follows
        return Deadline(
            text=sentence[one.start : one.end],
            on=one.on,
            granularity=one.granularity,
            clause=clause,
            action=action or sentence[: one.start].strip("，, "),
            who=find_owner(sentence[: one.start], before, rest, self.addressee),
            whom=find_receiver(near, sentence[: one.start]),
            recurring=one.recurring,
            every=one.every,
            time=one.time,
            soft=bool(_AIM.search(sentence[max(0, one.start - 12) : one.start])),
        )

    # --- dates -----------------------------------------------------------------------------------------------------

    def _in_sentence(self, sentence: str) -> list[_Found]:
        masked = _without_titles(sentence)
        found = [*self._recurring(masked), *self._of_next_month(masked), *self._periods(masked)]
        taken = [(one.start, one.end) for one in found]
        for pattern, reader in (
            (_LAST_DAY, self._day),
            (_DAY, self._day),
            (_NUMERIC, self._day),
            (_SPAN, self._span),
            (_MONTH, self._month),
        ):
            for match in re.finditer(
                rf"(?<!\d)(?<!每)(?:{pattern})(?P<by>(?:当[天日])?(?:上午|下午|中午|晚上?)?(?:下班)?{_BY})?", masked
            ):
                if any(a < match.end() and match.start() < b for a, b in taken):
                    continue
                one = reader(match)
                if one is not None:
                    taken.append(match.span())
                    found.append(one)
        found = self._of_named_year(masked, sorted(found, key=lambda one: one.start))
        return [one for one in found if self._binds(masked, one, found)]

    def _of_named_year(self, sentence: str, found: list[_Found]) -> list[_Found]:
        """Dates without a year after one that names it: 2025年11月20日前…，12月20日前 is of 2025."""
        out: list[_Found] = []
        named: date | None = None
        for one in found:
            said = sentence[one.start : one.end]
            if one.on and re.match(r"20\d\d年", said) and self.issued and one.on >= self.issued:
                named = one.on
            elif one.on and named and not one.recurring and re.match(rf"{_N}月", said):
                of_year = _safe(named.year, one.on.month, one.on.day) or one.on
                passed = self.issued is not None and of_year < self.issued
                one = replace(one, on=_safe(named.year + passed, one.on.month, one.on.day) or one.on)
            out.append(one)
        return out

    def _year(self, word: str | None, month: int) -> int | None:
        base = self.issued
        if word and word[0] in "12二":
            return int(word.translate(_DIGITS))
        if base is None:
            return None
        if word in ("明", "次", "翌"):
            return base.year + 1
        if word is None and month < base.month:
            return base.year + 1
        return base.year

    def _day(self, match: re.Match[str]) -> _Found | None:
        month, day = number(match["month"]), number(match["day"])
        year = self._year(match["year"], month)
        if not (1 <= month <= 12 and 1 <= day <= 31):
            return None
        on = _safe(year, month, day) if year else None
        time = _clock(match)
        return _Found(
            start=match.start(), end=match.end(), on=on, granularity="time" if time else "day", time=time, bound=bool(match["by"])
        )  # fmt: skip

    def _month(self, match: re.Match[str]) -> _Found | None:
        month, part = number(match["month"]), match["part"] or ""
        if not 1 <= month <= 12:
            return None
        year = self._year(match["year"], month)
        by_start = match["by"] and not part  # 6月前 is before June
        on = None
        if year and by_start:
            on = date(year, month, 1) - timedelta(days=1)
        elif year:
            on = min(last_day(year, month), _safe(year, month, _PARTS[part]) or last_day(year, month))
        granularity = "ten-day" if part in ("上旬", "中旬", "下旬", "初", "中") else "month"
        return _Found(start=match.start(), end=match.end(), on=on, granularity=granularity, bound=bool(match["by"]))

    def _span(self, match: re.Match[str]) -> _Found | None:
        if match["quarter"]:
            month, granularity = _QUARTERS[match["quarter"]], "quarter"
        elif match["halfyear"] or match["mid"]:
            month, granularity = (12 if match["halfyear"] == "下" else 6), "half"
        else:
            if not match["year"] and not match["yearpart"].startswith("年"):
                return None
            month, granularity = 12, "year"
        year = self._year(match["year"], month)
        return _Found(
            start=match.start(), end=match.end(), on=last_day(year, month) if year else None, granularity=granularity,
            bound=bool(match["by"]) or (match["yearpart"] or "").endswith("内") or match["end"] == "内",
        )  # fmt: skip

    def _periods(self, sentence: str) -> list[_Found]:
        found = [
            _Found(start=_period_start(match), end=match.end(), on=None, granularity="period")
            for match in _PERIOD.finditer(sentence)
            if not re.search(r"每(?:年|月|季|周)", match["event"] or "")
        ]
        years = (
            _Found(start=m.start(), end=m.end(), on=None, granularity="event") for m in _EVENT_YEAR.finditer(sentence)
        )
        return found + list(years)

    def _recurring(self, sentence: str) -> list[_Found]:
        out: list[_Found] = []
        until = [match for match in _EVERY_UNTIL.finditer(sentence) if _ENDS.search(sentence[: match.start()])]
        for match in [*_EVERY.finditer(sentence), *until]:
            parts = match.groupdict()
            every = _CYCLES[(parts["cycle"] or parts["named"])[0]]
            rest, by = parts["rest"] or parts.get("day") or "", parts["by"] or ""
            named = list(_MONTHS_OF_YEAR.finditer(rest)) if every in ("year", "half") else []
            if every == "year" and not named and not re.search(r"底|末|内|中", rest + by):
                continue
            if "内" in by and not re.search(r"\d|[一二三四五六七八九十]", rest):
                continue
            days = re.split(r"[、和及]", rest) if every == "month" else [rest]
            dates = [self._first_after(*self._month_day(m)) for m in named] or [
                self._cycle(every, day, self._begins(sentence[: match.start()])) for day in days
            ]
            for on in dates:
                out.append(
                    _Found(start=match.start(), end=match.end(), on=on, granularity="period" if on is None else "day" if re.search(r"[日号]", rest) else "month" if named else every, recurring=True, every=every)
                )  # fmt: skip
        return out

    @staticmethod
    def _of_next_month(sentence: str) -> list[_Found]:
        return [
            _Found(start=m.start(), end=m.end(), on=None, granularity="day", recurring=True, every="month")
            for m in _NEXT_MONTH.finditer(sentence)
        ]

    @staticmethod
    def _month_day(match: re.Match[str]) -> tuple[int, int]:
        return number(match[1]), number(match[2]) if match[2] else _PARTS[match[3] or ""]

    def _first_after(self, month: int, day: int) -> date | None:
        if self.issued is None or not 1 <= month <= 12:
            return None
        for year in (self.issued.year, self.issued.year + 1):
            on = _safe(year, month, day) or last_day(year, month)
            if on >= self.issued:
                return on
        return None

    def _begins(self, before: str) -> date | None:
        """From when a cycle runs: the notice's date, or the month of 自2022年8月起 after it."""
        begins = re.search(rf"[自从]{_YEAR}(?P<month>{_N})月(?:份)?(?:起|开始)", before)
        if self.issued is None or begins is None or not 1 <= number(begins["month"]) <= 12:
            return self.issued
        month = number(begins["month"])
        return max(self.issued, date(self._year(begins["year"], month) or self.issued.year, month, 1))

    def _cycle(self, every: str, rest: str, since: date | None) -> date | None:
        """The first due day after the notice for 每月5日前, 每季度末前, 每年年底前; None where an event decides."""
        if since is None or self.issued is None:
            return None
        day = re.search(rf"({_N})[日号]", rest)
        if every == "month" and re.fullmatch(
            rf"\s*(?:的)?(?:{_N}[日号]|月?底|月?末|最后一[日天])(?:[上下]午)?\s*", rest
        ):
            year, month = since.year, since.month
            for _ in range(2):
                on = (_safe(year, month, number(day[1])) if day else None) or last_day(year, month)
                if on >= since:
                    return on
                year, month = (year + 1, 1) if month == 12 else (year, month + 1)
        within = re.fullmatch(
            rf"度?(?:的)?(?P<which>首|末|第[一二三]个|最后一个)月(?:的)?(?:(?P<day>{_N})[日号]|[底末])", rest
        )
        if every == "quarter" and within:
            months = (3 * quarter + _IN_QUARTER[within["which"]] for quarter in range(8))
            days = (
                (within["day"] and _safe(year, month, number(within["day"]))) or last_day(year, month)
                for year, month in ((self.issued.year + (each - 1) // 12, (each - 1) % 12 + 1) for each in months)
            )
            return next(on for on in days if on >= self.issued)
        if every == "quarter" and re.fullmatch(r"(?:度)?(?:末|底|结束)?", rest):
            return last_day(self.issued.year, (self.issued.month + 2) // 3 * 3)
        if every == "year" and "后" not in rest:
            return self._first_after(12, 31)
        return None

    # --- what binds ------------------------------------------------------------------------------------------------

    def _binds(self, sentence: str, one: _Found, others: list[_Found]) -> bool:
        """True for a date by which something must be done."""
        before, after = sentence[: one.start], sentence[one.end :]
        attribute = _ATTRIBUTE.match(after) and one.granularity != "period"
        not_due = _NOT_DUE.match(after) and not (one.bound and re.match("印发|开始|实施", after))  # 11月底前印发通报
        if _HISTORY_BEFORE.search(before) or not_due or attribute:
            return False
        if one.on and self.issued and one.on < self.issued and not one.recurring:
            return False
        said = sentence[one.start : one.end]
        if not re.match(r"20\d\d|[今本明次]", said) and re.search(r"至今|迄今|仍未|尚未", after):
            return False  # 应于6月底前完工，至今未开工 speaks of the June that is past
        if one.granularity in ("period", "event") or one.recurring:
            measured = re.match(r"[^，。；]{0,8}率|有效|享受|免费", after)  # 培训后三个月内就业率, 领取之日起5日内有效
            return not (re.search(r"(?:视同|超过|逾期超过)$", before) or _PENALTY.match(after) or measured)
        if one.bound:
            return not re.match(r"(?:年度|已|即已)", after)
        return self._shares_binder(sentence, one, others) or self._bound_by_words(before, said, after)

    @staticmethod
    def _shares_binder(sentence: str, one: _Found, others: list[_Found]) -> bool:
        """True in a list of dates that ends in 前: 6月底、9月底和12月底前."""
        for other in sorted(others, key=lambda each: each.start):
            if other.start < one.end:
                continue
            if not re.fullmatch(r"[、和及与，]|以及", sentence[one.end : other.start]):
                return False
            if other.bound:
                return True
            one = other
        return False

    @staticmethod
    def _bound_by_words(before: str, said: str, after: str) -> bool:
        """True for 于今年上半年完成, 报名截止时间为3月14日12:00, 申报时间为3月1日至3月20日."""
        if re.match(r"[至到—–\-~－]", after):
            return False
        if _ENDS.search(before) or re.match(r"[，,]?[^，。；]{0,6}(?:关闭|截止|停止受理|停止申报)", after):
            return True
        if _PLAN.search(before):
            return False
        planned = re.search(r"(?:拟|计划|预计|将)[^，。；]{0,6}$", before) or re.match(
            r"[，,]?[^，。；]{0,6}(?:拟|将)", after
        )
        if _PERIOD_END.search(said) and not planned and _ATTAINED.match(after):
            return True
        if _ends_range(before, after):
            return True
        if (
            re.search(r"(?:^|[，。；：、）)]|力争|争取|确保)到\s*$", before)
            and re.match(r"[，,]", after)
            and said.endswith(("底", "末"))
        ):
            return True  # 到2025年底，…达到90%; 到2025年 alone names no day
        if re.search(r"(?:至|到)\s*$", before):
            return bool(re.match(rf"[，,]?{_BINDS}", after))
        aimed = re.search(
            r"(?:应|须|要|请|务必|力争|争取|确保|原则上|并|分别)?(?:于|在)\s*$|(?:力争|争取|确保)\s*$", before
        )
        event = said.endswith("旬") and re.match(r"组织|开展|启动|召开", after)  # 我厅于11月下旬组织抽查
        planned = event or re.search(r"(?:拟|计划|预计|将)(?:于|在)\s*$", before)
        return bool(aimed) and not planned and bool(re.match(rf"[，,]?[^，。；已了]{{0,14}}?{_BINDS}(?!了)", after))


def _ends_range(before: str, after: str) -> bool:
    """True for the last day of a span in which something is applied for, or of a stage of a timetable."""
    if re.search(r"(?:于|在|请|应|须|自)[^，。；]{0,20}日\s*[至到—–\-~－]+\s*$", before) and _APPLIED.search(after):
        return True  # 请于7月3日至7月9日持营业执照报名
    if re.search(
        r"(?:申报|报名|受理|报送|提交|征集|公示)(?:时间|日期|期限)?(?:为|是|[:：])?[^，。；]{4,16}[至到—\-~]\s*$",
        before,
    ):
        return True
    if re.match(r"[：:]", after) and re.fullmatch(
        rf"(?:[（(]?{_N}[）)、.．])?\s*(?:[^，。；：]*日\s*[至到—–\-~－]+\s*)?", before
    ):
        return True  # a timetable's line: （一）3月20日至4月20日：主体申报
    return bool(re.match(r"[)）]", after) and _STAGE.fullmatch(before))


def _period_start(match: re.Match[str]) -> int:
    """Where the event's own words begin, without the body that owes: 各县应｜自资金下达之日起."""
    event = match["event"] or ""
    numbered = re.match(r"(?:第[一二三四五六七八九十百]+条\s*)?", event)
    before = numbered.end() if numbered else 0
    event = event[before:]
    opened = re.match(r".*?(?=自(?!评|查|行|治|然|主|动|愿)|从|收到|接到|(?:应|要|须)?(?:在|于))", event) or re.match(
        rf"(?:{BODY.pattern})(?!的)(?=[^，。；]{{2,}}后)", event
    )
    return match.start() + before + (opened.end() if opened else 0)


def _without_titles(sentence: str) -> str:
    """The sentence with titles and document numbers blanked, so that their dates are not read."""
    return re.sub(r"《[^》]*》|〔\d{4}〕\d+号|\d{4}年度", lambda m: "＿" * len(m.group()), sentence)


def _safe(year: int, month: int, day: int) -> date | None:
    try:
        return date(year, month, day)
    except ValueError:
        return last_day(year, month) if 1 <= month <= 12 and day > 28 else None


def _clock(match: re.Match[str]) -> str:
    if not match["hour"]:
        return ""
    hour, minute = int(match["hour"]), int(match["minute"] or match["minutes"] or 0)
    if match["half"] in ("下午", "晚", "晚上") and hour < 12:
        hour += 12
    return f"{hour:02}:{minute:02}" if hour <= 24 and minute < 60 else ""
