"""Yes or no as asked: what a question asks of an act, and what a form that asks otherwise says about it."""

from datetime import date
from itertools import product

import pytest

from knowledge.answer import answer
from knowledge.base import KnowledgeBase
from knowledge.matching import OTHERWISE, SUFFICES, UNRELATED, bearing
from knowledge.question import Force, Leaning, leaning, slots

JUNE = date(2020, 6, 1)
FORCES: tuple[Force, ...] = ("may", "must", "enough", "is")
WEIGHTS = {
    ("may", "must"): UNRELATED,
    ("may", "enough"): SUFFICES,
    ("may", "is"): OTHERWISE,
    ("must", "enough"): UNRELATED,
    ("must", "is"): OTHERWISE,
    ("enough", "is"): OTHERWISE,
}


@pytest.mark.parametrize(("asked", "form"), list(product(product(FORCES, (False, True)), repeat=2)))
def test_a_form_bears_on_a_question_by_force_and_is_turned_when_one_of_them_is(
    asked: tuple[Force, bool], form: tuple[Force, bool]
) -> None:
    one, other = (Leaning(denied=False, force=force, turned=turned) for force, turned in (asked, form))
    weight = 1.0 if asked[0] == form[0] else WEIGHTS.get((asked[0], form[0])) or WEIGHTS[form[0], asked[0]]
    assert bearing(one, other) == (weight, asked[1] != form[1])


@pytest.mark.parametrize(
    ("text", "force", "turned"),
    [
        ("能不能买流量", "may", False),
        ("买流量行不行", "may", False),
        ("用这笔钱开发电商平台行不", "may", False),
        ("不能买流量是吧", "may", True),
        ("买流量是禁止的吗", "may", True),
        ("是不是不让用中央资金建楼堂馆所", "may", True),
        ("没提供信息的项目能验收吗", "may", False),
        ("信息不完整就不能验收吧", "may", True),
        ("公服中心装得像五星级酒店行吗", "may", False),
        ("中心不应以产品展示为主要功能对吧", "may", True),
        ("要不要设专账", "must", False),
        ("必须设专账吗", "must", False),
        ("是不是每个村都得建一个站点", "must", False),
        ("不设专账不行吧", "must", False),
        ("不用设专账吧", "must", True),
        ("可以不设专账吗", "must", True),
        ("能不能不设专账", "must", True),
        ("不设专账行吗", "must", True),
        ("14到17年的县，今年不收尾也不要紧吧", "must", True),
        ("站点不是非得村村都建，对吧", "must", True),
        ("智慧乡村服务应用不用掏钱买对吧", "must", True),
        ("光贴二维码行不行", "enough", False),
        ("贴个码就完事了吧", "enough", False),
        ("教材是免费的吧", "is", False),
        ("培训看重质量而不是数量吧", "is", False),
        ("五常没份吧", "is", True),
        ("评价结果不影响后续政策吧", "is", True),
        ("拖着不整改会被摘帽子是吧", "is", False),
        ("培训看重质量不看重数量是吧", "is", False),
        ("培训是不是不看人数多少，主要看质量", "is", False),
        ("摆满产品是不是不符合要求", "may", True),
        ("站点不用村村都有，服务到了就行对吧", "must", True),
        ("教材要钱不", "is", False),
        ("15年的示范县 县里自己组织人验 不请外面机构也行吧", "must", True),
        ("拿老厂房改一改做中心，没毛病吧", "may", False),
        ("物流补贴不用定哪年退坡吧，一直给下去多好", "must", True),
        ("晚两天报名单就算放弃了吧", "is", False),
        ("干得好的县到底有没有奖励", "is", False),
        ("中心只管本县的企业，有问题没", "may", True),
        ("教材只发给交钱的学员，这么干有问题吗", "may", True),
        ("把补贴全投到下行包裹，算不算违规", "may", True),
        ("把补贴全投到下行包裹，没问题吧", "may", False),
        ("没有单独设账，有毛病不", "must", False),
        ("评价发现了有问题的项目吗", "is", False),
    ],
)
def test_what_a_question_asks_of_an_act_is_read_from_its_words(text: str, force: Force, turned: bool) -> None:
    found = leaning(text)
    assert (found.force, found.turned) == (force, turned)


@pytest.mark.parametrize(
    ("question", "verdict"),
    [
        # Required: 设置专账.
        ("中央资金要不要设专账", "yes"),
        ("中央资金不用设专账吧", "no"),
        ("中央资金可以不设专账吗", "no"),
        # Forbidden: 购买流量, 未提供完整信息的项目验收.
        ("能不能用中央资金买流量", "no"),
        ("不能用中央资金买流量是吧", "yes"),
        ("没提供完整信息的项目能验收吗", "no"),
        ("信息不完整的项目不能验收对吧", "yes"),
        # Allowed: 视频连线替代非必要的现场检查.
        ("非必要的现场检查能不能换成视频", "yes"),
        ("非必要的现场检查不能用电话代替吧", "no"),
        # Not required: 五常市申报.
        ("五常市还要申报吗", "no"),
        ("五常市不用再申报了吧", "yes"),
        # Asked for fault: a prohibition, a duty left out.
        ("外头的合作社来找中心一律不办，有问题没", "yes"),
        ("中央资金没有单独设账，有毛病不", "yes"),
        # A limit that is kept, one that is broken.
        ("预下达8个，我们申报12个，没超吧", "yes"),
        ("预下达8个，我们申报12个，超没超", "no"),
        ("预下达10个，组织16个县来报可以不", "no"),
        ("我们是2016年的示范县，评价提的毛病改到今年9月底，算超期不", "yes"),
        # What the words of an answer do not speak of is not confirmed.
        ("复核会查到村里吗", "conditional"),
    ],
)
def test_what_is_required_forbidden_allowed_or_waived_is_answered_as_asked(
    kb: KnowledgeBase, question: str, verdict: str
) -> None:
    assert answer(kb, question, on=JUNE).verdict == verdict


def test_a_project_that_fell_through_is_no_health_code(kb: KnowledgeBase) -> None:
    assert answer(kb, "项目黄了怎么办", on=JUNE).route != "outside-epidemic-travel"


def test_where_the_epidemic_is_bad_the_evaluation_may_wait(kb: KnowledgeBase) -> None:
    found = answer(kb, "疫情重的地方是不是可以缓一缓", on=JUNE)
    assert [citation.clause for citation in found.citations] == ["一(一)"]


@pytest.mark.parametrize(
    "text",
    [
        "2018年度的评价既然没统一时限，是不是就可以不做了",
        "没有统一要求时限，绩效评价就可以不做了吧",
        "既然完成时限不做统一要求，绩效评价能不能不做了",
    ],
)
def test_what_a_question_infers_from_a_clause_is_not_confirmed(kb: KnowledgeBase, text: str) -> None:
    found = answer(kb, text, on=JUNE)
    assert found.kind != "chat" and found.verdict != "yes"


@pytest.mark.parametrize(
    ("text", "slot"),
    [
        ("系统里的数据每周几更新", "date"),
        ("标识牌做多大", "size"),
        ("项目审计由哪家会计师事务所做", "name"),
        ("司里对接的人姓啥", "name"),
        ("智慧乡村 报数 周报 月报", "frequency"),
        ("名单报晚了后果是啥", "consequence"),
        ("回头看一共要看几遍", "frequency"),
    ],
)
def test_a_value_that_no_clause_states_is_asked_for(kb: KnowledgeBase, text: str, slot: str) -> None:
    assert slots(text) == {slot}
    assert slot == "consequence" or answer(kb, text, on=date(2020, 5, 1)).kind == "abstain"


def test_a_quantity_is_not_asked_for_where_its_ground_is(kb: KnowledgeBase) -> None:
    assert slots("给各省分多少个县是看哪些指标定的") == set()
    found = answer(kb, "给各省分多少个县是看哪些指标定的", on=JUNE)
    assert {citation.clause for citation in found.citations} == {"五(一)"}


def test_one_of_two_ways_is_answered_by_the_clause_that_names_it(kb: KnowledgeBase) -> None:
    found = answer(kb, "年底前验收是县里自己验还是请人验", on=JUNE)
    assert [citation.clause for citation in found.citations] == ["四(二)"]


@pytest.mark.parametrize(
    "text",
    [
        "帮我写一首诗",
        "县里凭什么规定站点每月要卖满两万",
        "邻县的物流细则为什么跟我们县的不一样",
        "示范资格被撤了不服，能要求听证吗",
        "收回资金的决定下来了能不能复议",
        "项目只完成六成，监理认定后先付六成款，行不行",
        "预下达7个最后核给5个，多出的钱咋处理",
        "整改清单的负责人非得是副县长吗",
        "专账会计必须有会计证不",
    ],
)
def test_no_number_and_no_nearest_clause_stands_in_for_what_is_unwritten(kb: KnowledgeBase, text: str) -> None:
    found = answer(kb, text, on=date(2020, 5, 1))
    assert not found.route.startswith("rule:")
    assert found.kind == "abstain" or found.route in ("rect-part-payment", "proc-adjust-fund")
