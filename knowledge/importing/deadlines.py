"""Deadlines in a clause: what is due when, who owes it, to whom.

What only looks like one is left out: history (2014年以来), effective dates (自2020年5月1日起施行), conditions
(2020年底前注册的企业), dates and numbers of documents.
"""

import calendar
import re
from dataclasses import dataclass, replace
from datetime import date, timedelta

from knowledge.text import number, sentences

_N = r"(?:\d{1,3}|[一二两三四五六七八九十]{1,3})"
_BINDS = r"(?:完成|报送|上报|报|提交|反馈|送|办结|印发|公示|公布|启动|组织|开展|到位|支付|拨付|下达|实现|建成|投入|整改|验收|备案|清零|收回|盘活|函|抄送|形成|制定|出台|召开|答复|作出|提出|关闭|结束)"
_BY = r"(?:之前|以前|前|为止|截止)(?!期|年度|几|后|述|景|置|往|来|款|列|述)"
_PARTS = {"上旬": 10, "初": 10, "中旬": 20, "中": 20, "下旬": 31, "底": 31, "末": 31, "内": 31, "份": 31, "": 31}
_QUARTERS = {"一": 3, "二": 6, "三": 9, "四": 12, "1": 3, "2": 6, "3": 9, "4": 12}
_YEAR = r"(?:(?P<year>\d{4}|今|本|当|明|次|翌)年(?!度|份|来)(?:的)?)?"
_CLOCK = r"(?:\s*[（(][^）)]{1,6}[)）])?\s*(?:(?P<half>上午|下午|中午|晚上?|凌晨)?\s*(?P<hour>\d{1,2})(?:[:：](?P<minute>\d{2})|[时点](?:(?P<minutes>\d{1,2})分|整)?))?"
_DAY = rf"{_YEAR}(?P<month>{_N})月(?P<day>{_N})[日号]{_CLOCK}"
_MONTH = rf"{_YEAR}(?P<month>{_N})月(?:份)?(?P<part>上旬|中旬|下旬|底|末|初|中)?"
_LAST_DAY = rf"{_YEAR}(?P<month>{_N})月{_N}[日号]\s*[至到—–\-~－]+\s*(?P<day>{_N})[日号]{_CLOCK}"  # 11月1日至15日
_SPAN = rf"{_YEAR}(?:第?(?P<quarter>[一二三四1-4])(?:个)?季度|(?P<halfyear>[上下])半年|(?P<yearpart>(?<![一二三四五六七八九十两几数半])年?(?:底|末|内|终))|(?P<mid>年中))(?P<end>末|底|内)?"
_UNIT = r"(?:工作日|日|天|月|周|小时)"
_WITHIN = r"(?:（[^）]{1,12}）)?(?:之?内|以内)"
_OCCASION = r"期满|届满|到期|召开|开工|开始|实施|举办|开班|开展|验收|结束|截止"
_PERIOD = re.compile(
    rf"(?P<event>(?:自|从|于|在)?[^，。；：、]{{2,40}}?(?:之日起|之后|以后|后|当日起|起))的?[，,]?(?:应当?|须|要)?(?:在|于)?{_N}(?:个)?(?:{_UNIT}|年){_WITHIN}"
    rf"|(?:应当?|须|要|请)(?:在|于)?{_N}(?:个)?{_UNIT}{_WITHIN}"
    rf"|(?:责令|限期?|在|于){_N}(?:个)?{_UNIT}{_WITHIN}"
    rf"|(?:{_OCCASION})(?:之日)?(?:前)?{_N}(?:个)?(?:工作日|日|天|月)(?:之?前|以前)"
    rf"|(?<=[局厅委办社府门构业位组]){_N}(?:个)?{_UNIT}{_WITHIN}(?![^，。；]{{0,2}}(?:[有无未]|不得))"
    rf"|(?<=[晚迟]于)[^，。；：、]{{2,10}}后{_N}(?:个)?{_UNIT}"
    rf"|提前{_N}(?:个)?(?:工作日|日|天|月)(?!建成|完成|完工|实现|投产|竣工)"
    rf"|(?:{_OCCASION})(?:之日)?(?:之|以)?前{_N}(?:个)?(?:工作日|日|天|月)(?![前内])"
    rf"|(?<=[，,；]){_N}(?:个)?{_UNIT}{_WITHIN}(?!有|[无曾已仍再]|累计|连续|发生|出现|不得|不予|不再)"
)
_STAGE = re.compile(
    rf"[（(]?{_N}[）)、.．]\s*[^，。；：]{{2,16}}[（(](?:[^，。；：（）()]*[日月底年]\s*[至到—–\-~－]+\s*)?"
)
_EVENT_YEAR = re.compile(
    r"(?P<event>[^，。；：、于在应]{2,16}(?:结束|完成|下达|批复|验收))的?当年(?=[^，。；]{0,4}(?:完成|办结|报|年底|内|实现))"
)
_EVERY = re.compile(
    rf"每(?P<cycle>年|半年|季度?|月|周|日|天)(?:度)?(?P<rest>[^，。；]{{0,14}}?)(?P<by>{_BY}|(?:之?内|以内)|(?<=[日号])(?=停止|截止|关闭))"
)
_EVERY_UNTIL = re.compile(rf"(?<=[为是：:于])每(?P<cycle>年|月)(?P<rest>(?:{_N}月)?{_N}[日号])(?P<by>)")
_NEXT_MONTH = re.compile(rf"(?:次|下)(?:个)?(?:月|季度首月)(?:的)?{_N}[日号]{_BY}")
_MONTHS_OF_YEAR = re.compile(rf"({_N})月(?:({_N})[日号]|(底|末|初|上旬|中旬|下旬))?")

_ATTRIBUTE = re.compile(
    r"(?:已|经|曾|印发|发布|施行|开始|注册|成立|设立|建成|开工|立项|批复|下达|安排|发生|签订|取得|获得|购置|入库|支持|列入|认定|备案|实施|开展|形成|未)[^，。；]{0,16}?的(?!通知|意见|函)"
)
_NOT_DUE = re.compile(
    r"^(?:起|以来|开始|至今|施行|实施|生效|印发|年度|以来)|^[^，。；]{0,3}(?:起施行|起实施|起执行|起生效)"
)
_PENALTY = re.compile(r"的?[，,]?(?:将|一律)?(?:取消|暂停|限制|禁止|不得|不再|不予|不能|免于)")
_HISTORY_BEFORE = re.compile(r"(?:截至|截止到|自|从|早在|原定(?:于)?)\s*$")
_AIM = re.compile(r"(?:原则上|力争|争取|确保|务必|最迟|不晚于|不迟于|一般)")
_ENDS = re.compile(r"(?:截止|最迟|不迟于|不晚于|最晚)(?:时间|日期)?(?:为|是|于|[:：])?\s*$")
_BACK = 20  # sentences in which a body is still looked for
_PLAN = re.compile(r"(?:拟|计划|预计)(?:于|在)?\s*$")

_WHO_HEAD = r"(?:各|有关|相关|所有|全部|省级|市级|县级|乡镇|中央|受支持|受理|拟?申报|示范|承办|项目|低风险|中高风险|贫困|牵头|上述|本省|(?:20\d\d(?:[—\-至]20\d\d)?年度?)|[、和及]|商务|财政|扶贫|乡村振兴|农业农村|供销|邮政|快递|主管|行业|地|经济|信息化|发展改革|交通运输|市场监管|第三方|评价|审计|监理|验收|省|市|县|区|州|盟|自治区|团场|实施|建设|运营|培训|（[^）]{1,10}）)"
_WHO = re.compile(
    rf"(?:{_WHO_HEAD}){{0,12}}(?:主管部门|部门（单位）|部门|省份|(?:管理|监管|监督管理|乡村振兴|省|市)局|(?:合作社)?联合社|合作社|(?:合作)?总社|委员会|总部|商务厅|财政厅|商务局|财政局|农业农村局|供销社|商务部|财政部|三部门|(?:人民)?政府(?!采购|性|投资|购买|补贴|引导|主导|网|信息|规章)|示范县|申报县|试点县|县市区|县区|各[省市县区地](?!州)(?:（[^）]{{1,6}}）)?|各设区市|各市州|各州市|基地|申报主体|主体(?!责任|地位|功能|作用|工程|结构|信息)|(?:有关|相关)[县市区]|[一-龥]{{0,2}}人员(?=[^。；]{{0,12}}(?:应|须|需))|单位|企业|机构|公司|合作社|院校|(?:专家|检查|督查|工作|评审|验收|评价)组|领导小组|(?<=[各示])县|省商务厅|省财政厅|各县|各地|各乡镇|各[一-龥]{{1,4}}平台)"
)
_NOT_WHO = re.compile(r"(?:报送?|上报|会同|商|配合|反馈|抄送|给|至|送|对|与|经|报经|委托)$")
_DOES = re.compile(r"(?:将[于在]|应|要|须|需|负责|力争|必须|务必|于|在|原则上|每)")
_WHOM = re.compile(
    r"(?:报送|上报|送达|送交|反馈|提交|抄送|函报|报告|报备|报|寄送|(?<!配)送)(?:至|给|到|于)?(?P<after>(?!及|和|、|由)(?:[^，。；（()）的报]|[（(][^）)]{1,4}[）)]){0,22}?(?:主管部门|部门|财政部|商务部|(?:厅|局|委|社)(?![一-龥]{0,10}(?:[科室]|处(?![理置罚分])))|司|处|办公室|研究室|办|政府(?!研究室|办)|中心|专班(?!办)))(?![一-龥]{0,3}(?:的|备案的))"
    r"|[向到](?P<toward>[^，。；]{1,22}?(?:部门|部|厅|局|委|司|处|办|政府|中心))(?:作情况说明|说明情况|汇报|报送|提交|报告|申请|备案|提出|反馈|推荐)"
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
        whom = _WHOM.search(near) or _WHOM.search(sentence[: one.start])
        return Deadline(
            text=sentence[one.start : one.end],
            on=one.on,
            granularity=one.granularity,
            clause=clause,
            action=action or sentence[: one.start].strip("，, "),
            who=self._who(sentence[: one.start], before, rest),
            whom=(whom["after"] or whom["toward"]) if whom else "",
            recurring=one.recurring,
            every=one.every,
            time=one.time,
            soft=bool(_AIM.search(sentence[max(0, one.start - 12) : one.start])),
        )

    def _who(self, prefix: str, before: list[str], rest: str) -> str:
        """The nearest body named as the doer, in the sentence, else in those before it, else the addressee."""
        follows = re.match(rf"[，,]?由?(?P<who>{_WHO.pattern})", rest)  # 3月15日前，各市州将…
        if follows and not _WHO.search(re.split(r"[，,；]", prefix)[-1]):
            return follows["who"]
        for text in (prefix.rpartition("；")[2], prefix, *before[:-_BACK:-1]):
            named = [match for match in _WHO.finditer(text) if not _NOT_WHO.search(text[: match.start()])]
            doers = [
                match
                for match in named
                if _DOES.match(text[match.end() :] or "应") or text[: match.start()].endswith(("请", "由"))
            ]
            openers = [
                match for match in named if re.search(r"(?:^|[，,；：:])(?:其中[，,])?(?:由)?$", text[: match.start()])
            ]
            for kind in (doers, openers, named):
                if kind:
                    return re.sub(r"^（[一二三四五六七八九十]+）|^[、和及]+|、+$", "", kind[-1].group())
        return self.addressee

    # --- dates -----------------------------------------------------------------------------------------------------

    def _in_sentence(self, sentence: str) -> list[_Found]:
        masked = _without_titles(sentence)
        found = [*self._recurring(masked), *self._of_next_month(masked), *self._periods(masked)]
        taken = [(one.start, one.end) for one in found]
        for pattern, reader in ((_LAST_DAY, self._day), (_DAY, self._day), (_SPAN, self._span), (_MONTH, self._month)):
            for match in re.finditer(rf"(?<!\d)(?<!每)(?:{pattern})(?P<by>(?:下班|中午|上午|下午)?{_BY})?", masked):
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
                year = named.year + (one.on.month < named.month)
                one = replace(one, on=_safe(year, one.on.month, one.on.day) or one.on)
            out.append(one)
        return out

    def _year(self, word: str | None, month: int) -> int | None:
        base = self.issued
        if word and word.isdigit():
            return int(word)
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
            every = {
                "年": "year",
                "半": "half",
                "季": "quarter",
                "月": "month",
                "周": "week",
                "日": "day",
                "天": "day",
            }[match["cycle"][0]]
            named = list(_MONTHS_OF_YEAR.finditer(match["rest"])) if every in ("year", "half") else []
            if every == "year" and not named and not re.search(r"底|末|内|中", match["rest"] + match["by"]):
                continue
            if "内" in match["by"] and not re.search(r"\d|[一二三四五六七八九十]", match["rest"]):
                continue
            dates = [self._first_after(*self._month_day(m)) for m in named] or [
                self._cycle(every, match["rest"], self._begins(sentence[: match.start()]))
            ]
            for on in dates:
                out.append(
                    _Found(start=match.start(), end=match.end(), on=on, granularity="period" if on is None else "day" if re.search(r"[日号]", match["rest"]) else "month" if named else every, recurring=True, every=every)
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
        begins = re.search(rf"自{_YEAR}(?P<month>{_N})月(?:份)?起", before)
        if self.issued is None or begins is None or not 1 <= number(begins["month"]) <= 12:
            return self.issued
        month = number(begins["month"])
        return max(self.issued, date(self._year(begins["year"], month) or self.issued.year, month, 1))

    def _cycle(self, every: str, rest: str, since: date | None) -> date | None:
        """The first due day after the notice for 每月5日前, 每季度末前, 每年年底前; None where an event decides."""
        if since is None or self.issued is None:
            return None
        day = re.search(rf"({_N})[日号]", rest)
        if every == "month" and re.fullmatch(rf"\s*(?:的)?(?:{_N}[日号]|底|末)\s*", rest):
            year, month = since.year, since.month
            for _ in range(2):
                on = (_safe(year, month, number(day[1])) if day else None) or last_day(year, month)
                if on >= since:
                    return on
                year, month = (year + 1, 1) if month == 12 else (year, month + 1)
        if every == "quarter" and re.fullmatch(rf"度?(?:的)?(?:首月|第一个月){_N}[日号]", rest) and day:
            begins = (
                date(self.issued.year + extra, month, number(day[1])) for extra in (0, 1) for month in (1, 4, 7, 10)
            )
            return next(on for on in begins if on >= self.issued)
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
        if one.granularity in ("period", "event") or one.recurring:
            measured = re.match(r"[^，。；]{0,8}率", after)  # 培训后三个月内就业率
            return not (re.search(r"(?:视同|超过|逾期超过)$", before) or _PENALTY.match(after) or measured)
        if one.bound:
            return not re.match(r"(?:年度|已|即已)", after)
        said = sentence[one.start : one.end]
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
        if _PLAN.search(before) or re.match(r"[至到—\-~]", after):
            return False
        if _ENDS.search(before):
            return True
        if re.search(
            r"(?:申报|报名|受理|报送|提交|征集|公示)(?:时间|日期|期限)?(?:为|是|[:：])?[^，。；]{4,16}[至到—\-~]\s*$",
            before,
        ):
            return True
        if re.match(r"[：:]", after) and re.fullmatch(
            rf"(?:[（(]?{_N}[）)、.．])?\s*(?:[^，。；：]*日\s*[至到—–\-~－]+\s*)?", before
        ):
            return True  # a timetable's line: （一）3月20日至4月20日：主体申报
        if re.match(r"[)）]", after) and _STAGE.fullmatch(before):
            return True
        if (
            re.search(r"(?<![^，。；：、）)])到\s*$", before)
            and re.match(r"[，,]", after)
            and said.endswith(("底", "末"))
        ):
            return True  # 到2025年底，…达到90%; 到2025年 alone names no day
        if re.search(r"(?:至|到)\s*$", before):
            return bool(re.match(rf"[，,]?{_BINDS}", after))
        aimed = re.search(
            r"(?:应|须|要|请|务必|力争|争取|确保|原则上|并|分别)?(?:于|在)\s*$|(?:力争|争取|确保)\s*$", before
        )
        planned = re.search(r"(?:拟|计划|预计|将)(?:于|在)\s*$", before)
        return bool(aimed) and not planned and bool(re.match(rf"[，,]?[^，。；已了]{{0,14}}?{_BINDS}(?!了)", after))


def _period_start(match: re.Match[str]) -> int:
    """Where the event's own words begin, without the body that owes: 各县应｜自资金下达之日起."""
    event = match["event"] or ""
    numbered = re.match(r"(?:第[一二三四五六七八九十百]+条\s*)?", event)
    before = numbered.end() if numbered else 0
    event = event[before:]
    opened = re.match(r".*?(?=自(?!评|查|行|治|然|主|动|愿)|从|收到|接到|(?:应|要|须)?(?:在|于))", event) or re.match(
        rf"(?:{_WHO.pattern})(?!的)(?=[^，。；]{{2,}}后)", event
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
