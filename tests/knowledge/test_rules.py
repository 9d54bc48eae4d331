"""Both sides of every boundary of every rule: as questions, and as facts given one by one."""

from datetime import date

import pytest

from handlers.ask import headline
from knowledge.answer import answer, apply_rule
from knowledge.base import KnowledgeBase
from knowledge.facts import KINDS, parse_fact
from knowledge.model import Answer, Fact
from knowledge.rules import failures

MAY = date(2020, 5, 20)

# question, rule, verdict (None: no yes or no is owed), words of the headline
QUESTIONS: list[tuple[str, str, str | None, list[str]]] = [
    ("拨付率89.9%能二次申报吗", "reapplication", "no", ["89.9%", "90%以上"]),
    ("拨付率90%、验收完成了，能二次申报吗", "reapplication", "conditional", ["90%", "须由省级主管部门认定"]),
    ("拨付率90.1%、验收已经完成，能二次申报吗", "reapplication", "conditional", ["90.1%", "须由省级主管部门认定"]),
    ("拨付率95%但验收没做，能二次申报吗", "reapplication", "no", ["验收须基本完成"]),
    ("使用率89.9%能验收吗", "acceptance", "no", ["89.9%", "90%以上"]),
    ("使用率90%、全部完工并投入使用了，能验收吗", "acceptance", "conditional", ["90%", "仍须省级主管部门认定"]),
    ("使用率90.1%，项目都完工了，能开展验收吗", "acceptance", "conditional", ["90.1%", "仍须省级主管部门认定"]),
    ("使用率95%，项目没完工，能验收吗", "acceptance", "no", ["基本完工并投入使用"]),
    ("县到村配送2天行吗", "delivery-days", "yes", ["一般不超过3天"]),
    ("县到村配送3天行吗", "delivery-days", "yes", ["一般不超过3天"]),
    ("县到村配送3.1天行吗", "delivery-days", "conditional", ["3.1天", "超过“一般不超过3天”"]),
    ("县到村配送三天半行吗", "delivery-days", "conditional", ["3.5天", "超过“一般不超过3天”"]),
    ("县到村配送4天行吗", "delivery-days", "conditional", ["超过“一般不超过3天”"]),
    ("给了5个名额，申报7个行吗", "application-ceiling", "yes", ["7个", "未超过上限"]),
    ("给了5个名额，申报8个行吗", "application-ceiling", "no", ["7个", "超过上限"]),
    ("预下达4个，申报6个可以吗", "application-ceiling", "yes", ["6个", "未超过上限"]),
    ("预下达4个，申报7个可以吗", "application-ceiling", "no", ["6个", "超过上限"]),
    ("预下达5个，最多申报几个县", "application-ceiling", None, ["最多申报7个"]),
    ("申报12个县，贫困县4个够吗", "poverty-share", "yes", ["原则上不少于1/3"]),
    ("申报12个县，贫困县3个够吗", "poverty-share", "conditional", ["低于“原则上不少于1/3”", "“原则上”"]),
    ("申报12个县，贫困县至少要几个", "poverty-share", None, ["原则上不少于4个"]),
    ("2014年度示范县已开展绩效评价，什么时候完成整改", "rectification-date", None, ["6月30日前"]),
    ("2017年度示范县已开展绩效评价，什么时候完成整改", "rectification-date", None, ["6月30日前"]),
    ("2018年度示范县什么时候完成整改", "rectification-date", None, ["绩效评价结束当年"]),
    ("2018年下达的资金没用完要收回吗", "idle-funds", "yes", ["2018年及以前", "未实际安排使用"]),
    ("2019年下达的资金没用完要收回吗", "idle-funds", "conditional", ["只写到2018年及以前"]),
    ("2016年度示范县已开展绩效评价，整改6月30日弄完行吗", "rectification-date", "yes", ["6月30日在2020年上半年以内"]),
    ("2016年度示范县已开展绩效评价，整改7月1日弄完行吗", "rectification-date", "no", ["7月1日已过2020年上半年"]),
    ("2016年度示范县已开展绩效评价，整改拖到国庆行不行", "rectification-date", "no", ["10月1日已过2020年上半年"]),
    ("2018年度示范县评价2020年结束，整改12月底完成行吗", "rectification-date", "yes", ["12月31日在绩效评价结束当年"]),
    ("2018年度示范县评价2020年结束，整改拖到2021年1月行吗", "rectification-date", "no", ["已过绩效评价结束当年"]),
    ("2016年度示范县验收12月31日搞完可以吗", "acceptance-date", "yes", ["不晚于2020年年底", "由省里另定"]),
    ("2015年度示范县验收拖到2021年行不行", "acceptance-date", "no", ["2021年1月1日已过2020年年底"]),
    ("我们是边远地区，快递费要和省会一样吗", "parcel-cost", "no", ["边远地区不在此列", "文件未写"]),
    ("我们是边远地区，快递费比省会高可以吗", "parcel-cost", "yes", ["边远地区不在此列"]),
    ("我们县不是边远地区，快递成本比省会高可以吗", "parcel-cost", "conditional", ["原则上应与省会城市持平"]),
    ("用中央资金建的站点要不要挂标识", "labelling", "yes", ["显著位置", "全国电子商务进农村综合示范项目"]),
    ("县里自筹资金的项目要贴标识吗", "labelling", "conditional", ["没有要求，也没有禁止"]),
    ("河北在主送名单里吗", "addressees", "yes", ["列有河北"]),
    ("兵团在不在主送名单", "addressees", "yes", ["新疆生产建设兵团"]),
    ("天津在主送范围吗", "addressees", "no", ["没有列天津"]),
    ("推荐回执4月29日报算晚吗", "nomination-late", "no", ["未过4月30日"]),
    ("推荐回执4月30日报行吗", "nomination-late", "yes", ["未过4月30日"]),
    ("推荐回执5月1日报行吗", "nomination-late", "no", ["已过4月30日"]),
    ("最终名单6月25日报行吗", "final-list-late", "yes", ["未过6月25日"]),
    ("最终名单6月26日报行吗", "final-list-late", "no", ["已过6月25日"]),
    ("样板情况9月30日上报行吗", "model-report-late", "yes", ["未过9月30日"]),
    ("样板情况10月1日上报行吗", "model-report-late", "no", ["已过9月30日", "由省上报"]),
    ("5月29日报县排序名单可以吗", "ranked-list-late", "yes", ["未过5月29日"]),
    ("5月30日报县排序名单可以吗", "ranked-list-late", "no", ["已过5月29日", "视同自动放弃"]),
    ("5月29日报送排序名单算逾期吗", "ranked-list-late", "no", ["未过5月29日"]),
    ("5月30日报送排序名单算逾期吗", "ranked-list-late", "yes", ["已过5月29日", "省级主管部门"]),
]


@pytest.mark.parametrize(("question", "rule", "verdict", "words"), QUESTIONS, ids=[one[0] for one in QUESTIONS])
def test_a_question_is_decided_by_its_rule(
    kb: KnowledgeBase, question: str, rule: str, verdict: str | None, words: list[str]
) -> None:
    found = answer(kb, question, on=MAY)
    assert (found.kind, found.route) == ("answer", f"rule:{rule}")
    assert found.verdict == (verdict or "info")
    assert found.missing == () or verdict is None
    for word in words:
        assert word in headline(found)


def test_every_rule_is_asked_here(kb: KnowledgeBase) -> None:
    assert {rule for _, rule, _, _ in QUESTIONS} == set(kb.rules)


# rule, facts as typed, words of the statement, kind
STATED: list[tuple[str, dict[str, str], str]] = [
    ("reapplication", {"disbursement_rate": "89.9%"}, "89.9%，未达到"),
    ("reapplication", {"disbursement_rate": "90%", "acceptance_done": "是"}, "须由省级主管部门认定"),
    ("reapplication", {"disbursement_rate": "90.1%", "acceptance_done": "是"}, "须由省级主管部门认定"),
    ("reapplication", {"disbursement_rate": "90%", "acceptance_done": "否"}, "未基本完成的不满足"),
    ("acceptance", {"use_rate": "89.9%"}, "89.9%，未达到"),
    ("acceptance", {"use_rate": "90%", "projects_complete": "是"}, "仍须省级主管部门认定"),
    ("acceptance", {"use_rate": "90.1%", "projects_complete": "是"}, "仍须省级主管部门认定"),
    ("acceptance", {"use_rate": "90%", "projects_complete": "否"}, "未达到的不满足"),
    ("delivery-days", {"delivery_days": "3"}, "在“一般不超过3天”以内"),
    ("delivery-days", {"delivery_days": "4"}, "超过“一般不超过3天”"),
    ("application-ceiling", {"pre_allocated": "5", "applied": "7"}, "未超过上限"),
    ("application-ceiling", {"pre_allocated": "5", "applied": "8"}, "8个超过上限"),
    ("application-ceiling", {"pre_allocated": "6", "applied": "9"}, "未超过上限"),
    ("application-ceiling", {"pre_allocated": "6", "applied": "10"}, "10个超过上限"),
    ("poverty-share", {"applied": "12", "poverty_applied": "4"}, "达到“原则上不少于1/3”（4个）"),
    ("poverty-share", {"applied": "12", "poverty_applied": "3"}, "低于“原则上不少于1/3”（4个）"),
    ("poverty-share", {"applied": "13", "poverty_applied": "4"}, "低于“原则上不少于1/3”（5个）"),
    ("poverty-share", {"applied": "13", "poverty_applied": "5"}, "达到“原则上不少于1/3”（5个）"),
    ("rectification-date", {"batch_year": "2014", "evaluated": "是"}, "6月30日前"),
    ("rectification-date", {"batch_year": "2017", "evaluated": "是"}, "6月30日前"),
    ("rectification-date", {"batch_year": "2018", "evaluation_year": "2020"}, "即在2020年内"),
    ("rectification-date", {"batch_year": "2018", "evaluation_year": "2021"}, "即在2021年内"),
    ("acceptance-date", {"batch_year": "2017"}, "今年年底前（2020年12月31日前）"),
    ("acceptance-date", {"batch_year": "2018"}, "2018年度及以后示范县的验收时限，144号文未写"),
    ("delivery-days", {"delivery_days": "2.9"}, "2.9天，在“一般不超过3天”以内"),
    ("delivery-days", {"delivery_days": "3.1"}, "3.1天，超过“一般不超过3天”"),
    ("rectification-date", {"batch_year": "2014", "evaluated": "否"}, "文件未写整改时限"),
    ("rectification-date", {"batch_year": "2013"}, "没有写到这种情况"),
    ("idle-funds", {"fund_year": "2018"}, "统一收回"),
    ("idle-funds", {"fund_year": "2019"}, "只写到2018年及以前"),
    ("ranked-list-late", {"submitted_on": "5月29日"}, "未过5月29日"),
    ("ranked-list-late", {"submitted_on": "5月30日"}, "视同自动放弃"),
]


def applied(kb: KnowledgeBase, rule: str, typed: dict[str, str], on: date = MAY) -> Answer:
    facts: dict[str, Fact] = {key: parse_fact(key, text) for key, text in typed.items()}
    return apply_rule(kb, kb.rules[rule], facts, on=on, question=kb.understand(kb.rules[rule].title, on.year))


@pytest.mark.parametrize(("rule", "typed", "words"), STATED)
def test_facts_given_one_by_one_decide_the_same(
    kb: KnowledgeBase, rule: str, typed: dict[str, str], words: str
) -> None:
    found = applied(kb, rule, typed)
    assert words in found.statement
    assert found.missing == ()
    assert found.citations


@pytest.mark.parametrize(("batch", "evaluated"), [("2013", "是"), ("2014", "否"), ("2017", "否")])
def test_what_no_case_covers_is_not_decided(kb: KnowledgeBase, batch: str, evaluated: str) -> None:
    found = applied(kb, "rectification-date", {"batch_year": batch, "evaluated": evaluated})
    assert (found.kind, found.status, found.verdict) == ("abstain", "所收文件未作规定", None)


UNDECIDED: list[tuple[str, str, str, list[str]]] = [
    ("拨付率90%能二次申报吗", "reapplication", "acceptance_done", ["未基本完成的不满足", "两项已列条件满足"]),
    ("使用率90%能验收吗", "acceptance", "projects_complete", ["未达到的不满足", "两项已列条件满足"]),
    ("2017年度示范县什么时候完成整改", "rectification-date", "evaluated", ["6月30日前", "尚未开展绩效评价的"]),
]


@pytest.mark.parametrize(("question", "rule", "key", "cases"), UNDECIDED, ids=[one[0] for one in UNDECIDED])
def test_an_undecided_rule_states_the_remaining_cases_and_asks(
    kb: KnowledgeBase, question: str, rule: str, key: str, cases: list[str]
) -> None:
    found = answer(kb, question, on=MAY)
    assert found.route == f"rule:{rule}"
    assert found.missing == (key,)
    assert [choice.value for choice in found.choices] == [f"{key}={option}" for option in KINDS[key].options]
    remaining = kb.rules[rule].possible(found.facts)
    assert len(remaining) == len(cases) == len(found.statement.split("\n"))
    for words in cases:
        assert words in headline(found)


def test_the_case_that_is_left_is_stated_alone_once_the_fact_is_known(kb: KnowledgeBase) -> None:
    question, earlier = "拨付率90%能二次申报吗", {"acceptance_done": True}
    assert len(answer(kb, question, on=MAY).statement.split("\n")) == 2
    found = answer(kb, question, facts=earlier, on=MAY)
    assert "须由省级主管部门认定" in found.statement and "\n" not in found.statement


def test_an_undecided_sum_says_what_it_can(kb: KnowledgeBase) -> None:
    assert "最多申报7个" in applied(kb, "application-ceiling", {"pre_allocated": "5"}).statement
    assert "原则上不少于4个" in applied(kb, "poverty-share", {"applied": "12"}).statement


@pytest.mark.parametrize(
    ("rule", "typed", "sums"),
    [
        ("application-ceiling", {"pre_allocated": "5", "applied": "7"}, "5 × 150% = 7.5，取整数，最多7个"),
        ("poverty-share", {"applied": "12", "poverty_applied": "4"}, "12 × 1/3，向上取整，原则上不少于4个"),
        ("reapplication", {"disbursement_rate": "89.9%"}, "89.9% < 90%"),
    ],
)
def test_the_arithmetic_is_shown(kb: KnowledgeBase, rule: str, typed: dict[str, str], sums: str) -> None:
    [shown] = applied(kb, rule, typed).sums
    assert shown.startswith(sums)


def test_a_passed_deadline_is_noted_the_day_after(kb: KnowledgeBase) -> None:
    typed = {"batch_year": "2016", "evaluated": "是"}
    passed = "时限已过（2020年6月30日）"
    assert passed not in applied(kb, "rectification-date", typed, date(2020, 6, 30)).notes
    assert passed in applied(kb, "rectification-date", typed, date(2020, 7, 1)).notes


def test_a_date_decides_what_it_can_while_the_batch_is_unknown(kb: KnowledgeBase) -> None:
    found = answer(kb, "整改7月底才能弄完可以吗", on=MAY)
    assert (found.route, found.verdict) == ("rule:rectification-date", "conditional")
    assert "2020年7月31日已过2020年上半年" in found.statement
    assert "2018年度及以后" in found.statement
    assert found.missing[0] == "batch_year"


def test_the_arithmetic_of_a_stated_date_is_shown(kb: KnowledgeBase) -> None:
    [shown] = answer(kb, "2016年度示范县已开展绩效评价，整改拖到国庆行不行", on=MAY).sums
    assert shown.startswith("2020年10月1日晚于2020年6月30日")


@pytest.mark.parametrize("question", ["9月底报什么", "我们16年的县6月底前就得验收完吧"])
def test_a_date_that_is_asked_about_is_not_judged(kb: KnowledgeBase, question: str) -> None:
    assert not answer(kb, question, on=MAY).facts.keys() & {"submitted_on", "done_on"}


def test_the_provinces_of_the_rule_are_those_of_the_clause(kb: KnowledgeBase) -> None:
    [addressed] = kb.rules["addressees"].cases[0].cites
    names = addressed.quote.removesuffix("商务主管部门：").split("、")
    assert len(names) == 29
    for name in names:
        assert applied(kb, "addressees", {"province": name}).verdict == "yes"


def test_one_rate_does_not_decide_the_other_rule(kb: KnowledgeBase) -> None:
    found = answer(kb, "拨付率95%，使用率85%，能验收吗", on=MAY)
    assert (found.route, found.verdict) == ("rule:acceptance", "no")
    assert found.facts == {"use_rate": 0.85}


def test_the_tests_beside_each_rule_hold_and_count(kb: KnowledgeBase) -> None:
    for rule in kb.rules.values():
        assert failures(rule) == []
        reached = {name for test in rule.tests for name in [test["expect"]] if isinstance(name, str)}
        reached |= {name for test in rule.tests if isinstance(test["expect"], list) for name in test["expect"]}
        assert {case.name for case in rule.cases} <= reached, rule.id
