"""What a question asks: yes or no, which way round, with which word, for which slot.

Everything here reads the normalised text before it is rewritten into official words.
"""

import re
from dataclasses import dataclass, field
from typing import Literal

from knowledge.model import Fact

# Slots whose value is a number or a name that either stands in a clause or does not. Order matters: first hit wins
# for overlapping words (多少钱 before 多少).
SLOT_PATTERNS: tuple[tuple[str, re.Pattern[str]], ...] = tuple(
    (slot, re.compile(pattern))
    for slot, pattern in (
        ("money", r"定价|单价|价位|多少钱|多少(?:万|元|块|资金|经费|补贴|补助|奖励)|(?<![哪那这])几(?:万|毛|块|千|百|十)(?!个|人|家|名)|几个(?:亿|钱|点的钱)|补(?:贴|助)?(?:多少|几(?!种|个方))"
                  r"|(?:给|拿|分|奖|罚|花|领|收|付|报|投|贵|便宜)(?:到|了|个|款)?多少(?!%|天|个(?!钱)|家|人|年|次|名|县)|什么价|价格是|(?:补贴|补助|收费|奖补|费用|课酬|工资|运费|罚款)[的 ]?(?:标准|金额|额度|上限)(?:是)?(?:多少|什么|怎么定|几)?|每(?:单|件|斤|公里|人|个|站|村|县)(?:能)?补|(?:补贴|补助|奖励|费用?|经费|工资|报酬|课酬|价格|收费|罚款?|限额)[^，。]{0,4}多少(?!%|家|个|人|天)|[一二两三四五六七八九十百千\d]万(?:元)?还是"),
        ("ratio", r"百分之(?:几|多少)|几成|几分之几|多少个?百分点|(?:比例|占比|率|比重)(?:是|要|得|应|须|到|达到|不低于|最低)*(?:多少|几|多高|什么水平)|多大比例|多少比例|占(?:到|了|比)?多少|几个点"),
        ("consequence", r"什么后果|啥后果|后果(?:是|有)?(?:什么|啥|哪些)|有(?:没有)?后果|(?:怎么|咋|如何)(?:处)?罚|(?:怎么|如何)追责|罚不罚|受什么处分|要紧(?:吗|不|么)|要不要紧"
                        r"|(?:不|没|未|逾期|超|晚|拖|滞后)[^，。？]{0,8}会(?:怎么?|咋)样"),
        ("duration", r"几天|多少天|多久|多长时间|年限|时长|期长|几年|多少年|几个月|几个工作日|多少个?工作日|多少小时|几小时|几分钟|多少学时|几周"),
        ("date", r"什么时候|啥时候?|几时|何时|几号|哪[一1]?[天年日]|哪几[天年]|几月|什么时间|(?:周|星期|礼拜)几|多会儿?|期限|时限|截止|截至|最晚|最迟|何日|哪[一1]?个月|日期"),
        ("count", r"多少(?:个|家|人|名|次|人次|台|辆|平|份|字|页|处|项|条|户|村|站|分|县|套|门|科|种|章|册|本(?![钱地县])|张|趟|亩|吨|只(?![能要])|公里|斤)|(?<![哪那这])几(?:个|家|人|名|次|台|辆|平|份|字|页|处|户|村|站|分|县|套|门|章|期|轮|批|册|本(?![钱地县])|张|趟|亩|吨|只(?![能要])|公里|斤)|面积(?:要)?多大|多大面积|多少平|数量(?:是|要)?多少|人数(?:要|是|有)?多少"),
        ("size", r"多大(?=[？?]?$|才|合适|的?(?:牌|字|屏|楼|库|仓))|多[宽厚](?=[？?]?$)|尺寸|几(?:米|厘米|公分|寸)"),
        ("frequency", r"频率|频次|(?<![\d几])[周月季]报(?!送|名|告|上|到|给|省|部)|(?:每|[一1])(?:周|个?月|季度?|年)[^，。？]{0,6}几[次回趟遍]|(?<![哪那这好头前后上下])几[次回遍](?![说事])|多少[遍回]"),
        ("name", r"姓(?:什么|啥|甚)|贵姓|(?:人|同志|领导|处长|司长)叫(?:什么|啥)|哪[一1]?家(?:会计师?事务所|事务所|公司|企业|机构|厂家?|银行|律所)"),
        ("phone", r"(?<!打)电话(?!回访|访谈|问|抽查|沟通|联系)|传真|微信(?!群|公众|小程序|视频|里|上|支付)|号码|联系方式|邮箱|热线"),
        ("who", r"谁|哪个(?:部门|单位|司|处|科|局|机构|级别)|哪[一1]?级|哪些部门|哪几个部门|什么人|哪家|归哪|找哪|向哪个"),
        ("form", r"怎么|如何|咋|什么(?:办法|法子|方法|方式|形式|程序|途径|流程)"),
        ("document", r"哪个(?:文件|文|办法|通知|规定)|什么(?:文件|依据)|依据(?:是|的)?|文号|哪[一1]?份文件|哪[一1]条"),
    )
)  # fmt: skip
HARD_SLOTS = frozenset(
    {"money", "ratio", "duration", "date", "count", "size", "name", "frequency", "phone", "consequence"}
)

_A_NOT_A = re.compile(
    r"(能不能够?|可不可以|可以不可以|是不是|会不会|要不要|行不行|(?<![应使利费作通适引运])用不用|有没有|有无|算不算|该不该|对不对|需不需要|许不许"
    r"|够不够|得不得|好不好|成不成|让不让|准不准|允不允许|支不支持|支持不支持|合不合规|必不必须|是否|能否|可否|[应须]否"
    r"|(?<![应使利适通])([一-龥])不\2[一-龥]?|([一-龥])没\3)"
)
_TAIL = re.compile(
    r"(?:吗|嘛|么(?<!什么)(?<!怎么)(?<!多么)|吧|不|没|没有|不行|不能|行不|可以不|对吧|是吧|是吗|对吗|不对|不成)[？?。！!~，\s]*$"
)
_WH = re.compile(r"什么|哪|谁|几(?![乎率])|多少|怎么|如何|为什么|为啥|啥|咋|多久|多大|多高|多长")
# What is to be confirmed may hold a question word: 整改清单不写谁负责也行吧, 难道谁都能报.
_CONFIRMED = re.compile(r"吧(?:[？?。！!~，,\s]|$)|(?:是|对|可以|(?<![才就])行|成)(?:吗|么|不)[？?。！!~，\s]*$|难道")
_TELLS = re.compile(r"告诉我|[跟给和]我[说讲]|(?:[说讲查看]{2}|[说讲]一?下)[^，,]{0,6}(?:什么|哪|谁|几|多少|怎么|咋)")
# The predicate of a question ends its last clause and starts at the last word that decides: 钱投哪些项目县里|能自己定么.
_PREDICATE = re.compile(r"[^，,；;。\s]{4,}$")
_DECIDES = re.compile(r"(?:能|可以|要|得|须|会|算|让|用|归|由|都|也|就|没|不)(?!多少|几|怎|什么|谁|哪).+$")
_VOUCHED = re.compile(r"^.{0,4}(?:有|说|写|讲).{0,4}(?:没有?|吗|么|不)$")  # 有规矩没: the question is the clause before
_ELLIPTIC = re.compile(
    r"^(?:可以|能|行|算|要|得|必须|一定|允许).{2,}|(?:可以|就行了?|就可以了?|也行|也可以|没问题|得行|要得|合规|够了|算数|达标|算|超)[？?]?$"
)
# The predicate itself forbids, waives or finds fault (不能…吧, 不用…了吧, …算违规吧); a permission after it means that
# the negation belongs to a condition instead (不给数据能验收吗).
_DENIAL = re.compile(
    r"(?:不能|不可以|不得|不准|不许|不让|不允许|禁止|不支持|不用|不需要|不必|不会|不算|不行|不属于|无需|没必要|没有要求|不该|不应|不再"
    r"|不要(?!求)|不够|不合(?!适)|不符合|违规|违反|没资格|不给|不补|不管|不追求|不看|不查|没有?(?=.{0,6}(?:要求|规定|限制|资格|机会)))"
    r"(?!.*(?:(?<![功智性节效动职])能|可以|行吗|行不|行吧|成吗|合规|没事|没问题|没毛病|算|达标|也行|过得去))"
    r"|不在.{0,12}(?:之列|范围|里|内)|不包括|不含|不至于|(?<=[一-龥])不了(?=[^，。]{0,4}(?:吧|吗|了|对|是)*[？?]?$)"
)
_CAN = r"(?:(?<![功智性节效动职要得只])能(?!力|源|耗|手)|可以)"
# A permission after a denial belongs to the predicate, so the denial was a condition: 不给数据能验收吗.
_NO_PERMISSION_AFTER = rf"(?!.*(?:{_CAN}|行得通|行吗|行不|行吧|成吗|合规|没事|没问题|没毛病|算(?:数|吗|吧)|达标|也行|过得去|没关系|就行|不打紧))"
_ASKS_MAY = re.compile(
    r"能不能够?|可不可以|可以不可以|行不行|让不让|准不准|许不许|允不允许|成不成|可否|能否|给不给|支不支持|支持不支持"
)
_ASKS_MUST = re.compile(r"要不要|需不需要|(?<![应使利费作通适引运])用不用|该不该|应否|须否|必不必须|得不得")
_WAIVED = re.compile(
    rf"(?:不用|不需要?|不必|无需|无须|没必要|用不着|犯不着|不强制|不是(?:非得?|必须|一定)|不要求|没(?:有)?要求|甭|就免了)"
    rf"{_NO_PERMISSION_AFTER}"
)
_FORBIDDEN = re.compile(
    rf"(?:不能|不可以|不得(?!不)|不准|不许|不让|不允许|禁止|严禁|不应该?|不该|不支持|没资格|没机会|不宜|不要(?!求|紧))"
    rf"{_NO_PERMISSION_AFTER}"
)
# Words of state are no act: 不完整, 不到90%.
_ACT = r"(?!是|同|仅|但|足|少于|超过|低于|完整|完|全|齐|到[\d一二三四五六七八九十半期]|满|达|合|够|好|了|过|管|一定|得|算|如|必要|要紧|打紧|碍事|看重)"
_UNTRUE = re.compile(
    rf"(?:不会|不至于|不算|不属于|不包括|不含|不在.{{0,12}}(?:里|内|之列|范围)|不归|不看(?!重)|不查|不管|不追求|不影响|不收|不补|不再|不够"
    rf"|不合|没有?(?=.{{0,6}}(?:要求|规定|限制|资格|机会|统一|提|写|说|列|讲)))"
    rf"{_NO_PERMISSION_AFTER}|(?:没(?!事|问题|毛病|关系|错|啥|什么)|不{_ACT}(?!打紧|要紧))[^，,的就算视会要得能须应]{{1,12}}(?:吧|是吗|对吗)$"
)
# Leaving the act undone is what is asked about: 可以不回访吗, 不回访行吗.
_OMITTED = re.compile(
    rf"(?:能|可以|允许)先?(?:不|别){_ACT}"
    rf"|(?:^|[，,])[^，,]{{0,16}}(?:不|别|没){_ACT}[^，,。不没先再还能]{{1,10}}[，,\s]*(?:也|都|总)?"
    r"(?:可以|能行|行|成|中|没事|没问题|没毛病|没关系|没啥|不打紧|不要紧|不碍事|没什么|无所谓|能?过得去|说得过去|就免了)(?:吗|吧|的|了|不|么)*[？?\s]*$"
)
_LEFT_OUT = re.compile(rf"(?:不|没有?|未){_ACT}[^，,]{{2,12}}[，,\s]*(?:这样|这么干|这)?$")  # 没有单独设账，有毛病不
_DOUBLE = re.compile(r"不(?:能|可|得|可以)不|(?<!不是)非.{1,12}不可|[不没].{1,12}就?不行")
_ENOUGH = re.compile(
    r"就(?:行|算(?=数|完|了|[吗吧么]|达标|合格|合规|过|到位|交差|做到|符合|[？?]?$)|完事|没事|可以|够|成|得了|拉倒|齐|得)|够了|光(?!伏)|只(?!要|有|准|能)|随便|随意|糊弄|凑合|凑数|拉倒|交差"
    r"|走过场|应付"
)
_MUST = re.compile(
    r"必须|一定|才行|非要|非得|需要|须|应该|应当|得(?!好|不错|出色|突出|差|快|慢|拔尖)(?=.{1,12}(?:吗|吧|不)[？?]?$)|(?<![不只主重还必])要(?!求|是|么|点|钱|紧)|还要|强制|硬性|(?<!应)该(?=多|给|有|由|先|要|去|交|报|让)"
)
_MAY_AT_END = re.compile(
    rf"{_CAN}[^，, ]{{1,6}}吗[？?]?$|(?:可以|行得通|行|成|没事|没问题|没毛病|没关系|不打紧|不要紧|允许|支持|合规矩?|过得去|说得过去|使得)(?:吗|吧)[？?]?$"
)
_MAY = re.compile(
    rf"{_CAN}|(?<![上下银运进执举施通])行(?:吗|吧|不)|允许|许可|让|成吗|支持|鼓励|没事吧|没问题吧|没关系吧|不打紧"
)
_CONFIRM = re.compile(r"(?:是吗|吧|对吧|对吗|是吧|是不是|对不对|没错吧|是这样吗|了吗|吗)[？?。！!\s]*$|是不是|^是否")

# Of a contrast the asserted half is the predicate: 看重质量不看重数量, 不看人数，主要看质量.
_CONTRASTS = (
    (re.compile(r"([一-龥]{1,2})([^，,]{1,6})不\1[^，,吧吗]{1,6}"), r"\1\2"),
    (re.compile(r"不[^，,]{1,10}[，,](?=而是?|主要|重点|更)"), ""),
)
# The predicate finds fault (这样不符合要求吧): it asks whether one may not.
_FAULT = re.compile(r"不(?:符合|合规|合要求|合规定|达标)|违规|违反")
# So does a predicate that asks for fault outright: 只收本县的，有问题没; 算不算违规.
_FAULTY = re.compile(
    r"(?<!没)有(?:没有)?(?:什么|啥)?(?:问题|毛病|错)(?:吗|么|没有?|不)?[？?。\s]*$"
    r"|(?:算不算|是不是|会不会|违不违反|(?<![没不])算|(?<!不)属于|(?<!不)是)(?:违规|违反|犯规|踩线|踩红线|违纪)[^，,]{0,6}(?<!吧)[？?。\s]*$"
)
# A waiver or permission inferred from a premise (既然没统一时限，是不是就可以不做了): a clause states what is so, not what follows.
INFERS = re.compile(
    r"既然[^？?]*(?:可以|能|不用|不必|不需要|算了)|(?:没有?|未|不)[^，,？?]{2,14}[，,][^？?]{0,6}就(?:可以|能)不"
)
# A waiver with what suffices instead: 不用村村都有，服务到了就行吧.
_INSTEAD = re.compile(r"(?:不用|不需要?|不必|无需|没必要)[^，,]{1,12}[，,][^，,]{1,12}就(?:行|可以|够|成)")
_COUNTS_AS = re.compile(r"(?:可以|(?<!不)能)(?=算[^数了])")  # 可以算公共服务吗 asks whether it is so
_CHARGED = re.compile(r"(?:要不要|需要|[要得])[收花付掏交]?(?:钱|费(?!用))")
# A statement with a modal, asked by its mark alone: 人走了以后还得回访？
_ASKED_BY_MARK = re.compile(r"[一-龥].*(?:得|要|必须|应该|可以|能|会|算|支持|鼓励|允许).*[？?]$")

_PAUSE = re.compile(r"(?<=[一-龥])\s+(?=[一-龥])")  # on a phone a space is a comma
# What follows the question is a remark: 不用定哪年断奶吧，一直给下去多好.
_AFTERTHOUGHT = re.compile(r"(?<=吧)[，,](?!.*(?:[吗么吧不没]|什么|啥|谁|哪|怎|多少)[？?]?)[^？?]{2,}$")
_FREE = re.compile(r"不要钱|不收费|不收钱|不花钱|不付费|一分钱不花|不用钱")

_MODALS: tuple[tuple[str, re.Pattern[str]], ...] = tuple(
    (modal, re.compile(pattern))
    for modal, pattern in (
        ("is", r"才(?:让|能|可以|准|行)"),
        ("support", r"支不支持|支持吗|支持不|支持(?:的)?吧|鼓励吗|鼓励不|是否支持|是否鼓励"),
        ("must", r"要不要|需不需要|(?<![应使利费作通适引运])用不用|得不得|该不该|必须|一定要|非要|非得|需要|(?<!只|主|重|还)要(?!紧).{0,14}(?:吗|不|么|吧)[？?]?$|得.{1,10}(?:吗|不)[？?]?$|应该"),
        ("may", r"(?<![功智性节效动职])能(?!力|源|耗|手)|可以|可否|(?<![上下银运进执举施通])行(?:不行|吗|不|吧)|允许|许可吗|让|(?<![标精水])准(?!备|则|确|入)|成吗"),
        ("will", r"会不会|(?<![委协商大开社机议展宴集晚工人])会(?!议|计|员|场|展|费|同).{0,14}(?:吗|不|么|吧)[？?]?$"),
        ("has", r"有没有|有无|有.{0,14}(?:吗|不|么|没|吧)[？?]?$"),
    )
)  # fmt: skip

_GREETING = re.compile(
    r"^(?:你好|您好|hello|hi|在吗|在不在|有人吗|早上好|下午好|上午好|晚上好|喂)[呀啊吗么？?!！。，~\s]*$"
)
_THANKS = re.compile(
    r"^(?:好的?|行|嗯+|哦+|ok|明白了?|知道了|收到|清楚了)?[，,。\s]*(?:谢谢|多谢|感谢|辛苦|谢了)[^？?]{0,8}$|^(?:好的?|明白了?|知道了|收到|ok|嗯+|清楚了)[！!。~\s]*$"
)
_ABUSE = re.compile(r"傻[逼叉瓜子]|[草操艹]你|他妈|妈的|去死|滚(?:蛋|开)?$|垃圾|废物|白痴|智障|混蛋|王八")
_FOLLOW = re.compile(r"^(?:那么?|要是|如果是|换成|还有|另外|再|然后|其他的?|依据|为什么|为啥)|呢[？?]?$|的话[？?]?$")


Force = Literal["may", "must", "enough", "is"]


@dataclass(frozen=True, kw_only=True)
class Leaning:
    """How a yes/no question leans, for comparing it with a form whose answer is known.

    `denied`: it supposes a prohibition or a waiver (不能买流量是吗). `force`: what it asks of an act, whether one may
    do it, must do it, has done enough with it, or none of these, whether something is so. `turned`: it asks that the
    other way round: may not (不能…吧), need not (不用…吧, 可以不…吗), is not so.
    """

    denied: bool
    force: Force
    turned: bool


@dataclass(frozen=True, kw_only=True)
class Question:
    """A question understood. `text` is normalised, `official` rewritten, `repaired` the same after homophone repair."""

    raw: str
    text: str
    official: str
    repaired: str
    yes_no: bool
    leaning: Leaning
    modal: str
    slots: frozenset[str]
    facts: dict[str, Fact] = field(default_factory=dict)

    @property
    def denied(self) -> bool:
        return self.leaning.denied

    @property
    def wordless(self) -> bool:
        """Nothing in it can be looked up: punctuation, emoji, a lone character."""
        known = re.findall(r"[\u3400-\u9fff]|\d+(?:\.\d+)?%", self.text)
        return not known or len(re.findall(r"[\u3400-\u9fffa-z0-9]", self.text)) < 2


_CORRELATIVE = re.compile(r"(多少|什么时候|啥时候?)([^，,。？?]{1,5})\1")  # 干多少给多少 asks for no amount
# A quantity whose ground is asked is not asked itself: 分多少个县是看哪些指标.
_GROUNDED = re.compile(r"(?:几|多少)(?=[个家名][^，。？]{0,6}[看按凭](?:什么|啥|哪))")
# In a yes/no question these are "some", not "how many": 把几家快递放一起算不算整合.
_SOME = re.compile(r"(?:几|多少)(?=个|家|人|名|次|遍|回|台|辆|份|处|户|天|年|项|条|站|村)")


def slots(text: str) -> frozenset[str]:
    """Which values a question asks for."""
    found: set[str] = set()
    text = _GROUNDED.sub("若干", _CORRELATIVE.sub(r"若干\2若干", text))
    rest = _SOME.sub("若干", text) if is_yes_no(text) else text
    for slot, pattern in SLOT_PATTERNS:
        if pattern.search(rest):
            found.add(slot)
            rest = pattern.sub("＿", rest)
    return frozenset(found)


def wants_a_value(text: str) -> bool:
    """True when a question has a question word: what, who, how much …"""
    return bool(_WH.search(text))


def is_yes_no(text: str) -> bool:
    """True for a question that wants yes or no: 能不能…, …吗, …吧, 可以…."""
    if _A_NOT_A.search(text):
        return True
    if _CONFIRMED.search(text):
        return not _TELLS.search(text)
    rest = _SOME.sub("若干", text)
    if _TAIL.search(text):
        return not _WH.search(_predicate(rest))
    return bool(_ELLIPTIC.search(text) or _ASKED_BY_MARK.search(text)) and not _WH.search(rest)


def _predicate(text: str) -> str:
    """What a question that ends in 吗 or the like decides; all of it where that cannot be told."""
    last = _PREDICATE.search(text.rstrip("？?。！!~， "))
    if last is None or _VOUCHED.search(last.group()):
        return text
    decides = _DECIDES.search(last.group())
    return decides.group() if decides else last.group()


def leaning(text: str) -> Leaning:
    """Read how a yes/no question leans."""
    text = _AFTERTHOUGHT.sub("", _PAUSE.sub("，", text))
    free = _CHARGED.sub("收费", _FREE.sub("免费", _COUNTS_AS.sub("", text)))
    for contrast, asserted in _CONTRASTS:
        free = contrast.sub(asserted, free)
    without = re.sub(r"[不没][？?。\s]*$", "", _A_NOT_A.sub("＿", free))
    confirming = bool(_CONFIRM.search(free))
    force, turned = _force(free, confirming)
    return Leaning(
        denied=bool(_FAULTY.search(text)) or confirming and bool(_DENIAL.search(without) or _INSTEAD.search(without)),
        force=force,
        turned=turned,
    )


def _force(text: str, confirming: bool) -> tuple[Force, bool]:
    """What a question asks of an act and whether the other way round. To leave undone (可以不…) is to need not."""
    if faulty := _FAULTY.search(text):
        return ("must", False) if _LEFT_OUT.search(text[: faulty.start()]) else ("may", True)
    if _ASKS_MUST.search(text):
        return "must", False
    plain, removed = _A_NOT_A.subn("", _ASKS_MAY.sub("能", text))
    plain = (
        re.sub(r"[不没]?[？?。\s]*$", "吗", plain, count=1) if removed else re.sub(r"[不没][？?。\s]*$", "吗", plain)
    )
    if _DOUBLE.search(plain):
        return "must", False
    if _OMITTED.search(plain):
        return "must", True
    if confirming and _INSTEAD.search(plain):
        return "must", True
    if confirming and _FAULT.search(plain) and not _MAY_AT_END.search(plain):
        return "may", True
    if confirming and not _ASKS_MAY.search(text):
        denials: tuple[tuple[Force, re.Pattern[str]], ...] = (("must", _WAIVED), ("may", _FORBIDDEN), ("is", _UNTRUE))
        for force, denial in denials:
            if denial.search(plain):
                return force, True
    if _ENOUGH.search(plain):
        return "enough", False
    if _ASKS_MAY.search(text) or _MAY_AT_END.search(plain):
        return "may", False
    return "must" if _MUST.search(plain) else "may" if _MAY.search(plain) else "is", False


def modal(text: str) -> str:
    """The word a yes/no answer opens with: may, must, will, has, support or is."""
    return next((name for name, pattern in _MODALS if pattern.search(text)), "is")


def small_talk(text: str) -> str | None:
    """greeting, thanks or abuse; None for anything else."""
    text = text.strip().lower()
    if _GREETING.search(text):
        return "greeting"
    if _THANKS.search(text):
        return "thanks"
    return "abuse" if _ABUSE.search(text) else None


def leans_on_before(text: str, stands_alone: bool) -> bool:
    """True when a question cannot stand alone: 那18年的呢, or one that is short and near nothing by itself."""
    return bool(_FOLLOW.search(text)) or (len(text) <= 8 and not stands_alone)
