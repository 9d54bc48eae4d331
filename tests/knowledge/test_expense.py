"""May the central funds pay for this? Four outcomes, the strictest first, each with its clause."""

from datetime import date

import pytest

from knowledge.answer import answer
from knowledge.base import KnowledgeBase
from knowledge.expense import BOTH, FORBIDDEN, SUPPORTED, find_expense, is_about_spending
from knowledge.text import normalise

MAY = date(2020, 5, 20)
BAN = "中央财政资金不得用于网络交易平台、楼堂馆所建设、征地拆迁、购买流量、人员经费等经常性开支以及提取工作经费等。"

OUTCOMES = [
    ("买流量能不能列支", FORBIDDEN, "no", "有明确规定"),
    ("物流配送中心司机工资能列支吗", FORBIDDEN, "no", "有明确规定"),
    ("专项资金能搞共同配送吗", SUPPORTED, "yes", "有明确规定"),
    ("专项资金支持仓储物流配送中心吗", SUPPORTED, "yes", "有明确规定"),
    ("专项资金能付讲师费吗", BOTH, "conditional", "仅有原则规定"),
    ("直播带货能用专项资金吗", BOTH, "conditional", "仅有原则规定"),
]


@pytest.mark.parametrize(("question", "outcome", "verdict", "status"), OUTCOMES, ids=[one[0] for one in OUTCOMES])
def test_a_listed_expense_is_judged_with_its_clauses(
    kb: KnowledgeBase, question: str, outcome: str, verdict: str, status: str
) -> None:
    found = answer(kb, question, on=MAY)
    row = next(row for row in kb.expenses if found.route == f"rule:expense:{row.id}")
    assert (row.outcome, found.verdict, found.status) == (outcome, verdict, status)
    assert found.scope == "仅指中央财政资金"
    assert [one.quote for one in found.citations] == [cite.quote for cite in row.cites]
    for one in found.citations:
        assert one.quote in kb.clauses[one.notice_id, one.clause].full


def test_every_forbidden_row_quotes_the_negative_list(kb: KnowledgeBase) -> None:
    forbidden = [row for row in kb.expenses if row.outcome == FORBIDDEN]
    assert forbidden
    for row in forbidden:
        assert BAN in [cite.quote for cite in row.cites], row.id


def test_every_row_on_both_sides_quotes_two_places_and_leaves_it_to_the_province(kb: KnowledgeBase) -> None:
    both = [row for row in kb.expenses if row.outcome == BOTH]
    assert both
    for row in both:
        assert len({(cite.clause, cite.quote) for cite in row.cites}) >= 2, row.id
        assert "省级主管部门认定" in row.statement, row.id


def test_a_supported_row_never_rests_on_the_negative_list_alone(kb: KnowledgeBase) -> None:
    for row in kb.expenses:
        if row.outcome == SUPPORTED:
            assert {cite.quote for cite in row.cites} - {BAN}, row.id


STRICTEST = [
    ("物流配送中心司机工资", FORBIDDEN, "工资"),
    ("共同配送和买流量", FORBIDDEN, "流量"),
    ("直播带货和买流量", FORBIDDEN, "流量"),
    ("共同配送和直播带货", BOTH, "直播"),
    ("共同配送", SUPPORTED, "共同配送"),
]


@pytest.mark.parametrize(("text", "outcome", "name"), STRICTEST)
def test_the_strictest_outcome_wins(kb: KnowledgeBase, text: str, outcome: str, name: str) -> None:
    found = find_expense(kb.expenses, text)
    assert found is not None
    assert found[0].outcome == outcome
    assert name in found[1]


@pytest.mark.parametrize("text", ["直播带货和买流量能用专项资金吗", "买流量和直播带货能用专项资金吗"])
def test_the_order_of_several_expenses_does_not_matter(kb: KnowledgeBase, text: str) -> None:
    found = answer(kb, text, on=MAY)
    assert found.verdict == "no"
    assert BAN in [one.quote for one in found.citations]


def test_of_names_that_overlap_the_longest_counts(kb: KnowledgeBase) -> None:
    for row in kb.expenses:
        for name in row.names:
            found = find_expense(kb.expenses, name)
            assert found is not None
            assert found[0] is row, f"{name} is judged as {found[0].id}"


DENIED = [
    ("不能用专项资金买流量是吗", "yes"),
    ("专项资金不能买流量吧", "yes"),
    ("不能用资金搞共同配送吧", "no"),
    ("不能用专项资金付讲师费吧", "conditional"),
]


@pytest.mark.parametrize(("question", "verdict"), DENIED)
def test_a_negated_question_turns_the_verdict_round(kb: KnowledgeBase, question: str, verdict: str) -> None:
    found = answer(kb, question, on=MAY)
    assert found.route.startswith("rule:expense:")
    assert (found.modal, found.verdict) == ("denied", verdict)


def test_what_an_expense_is_compared_with_is_not_the_expense(kb: KnowledgeBase) -> None:
    found = answer(kb, "请网红拍视频推广算不算买流量", on=MAY)
    assert (found.route, found.verdict) == ("rule:expense:expense-live-promotion", "conditional")


def test_a_fee_that_no_row_names_is_not_judged_by_the_word_before_it(kb: KnowledgeBase) -> None:
    assert find_expense(kb.expenses, "学员去考直播销售员证，报名费给报销吗") is None
    assert find_expense(kb.expenses, "直播带货培训的讲师费能列吗") is not None


UNLISTED = ["钢琴", "烟花", "望远镜", "乐器", "手表"]


@pytest.mark.parametrize("item", UNLISTED)
def test_what_nobody_listed_is_judged_by_no_row(kb: KnowledgeBase, item: str) -> None:
    assert find_expense(kb.expenses, normalise(f"中央财政资金能买{item}吗")) is None


@pytest.mark.parametrize("item", UNLISTED)
@pytest.mark.parametrize("frame", ["中央资金能买{}吗", "专项资金能不能用来买{}", "可以用财政资金采购{}吗"])
def test_absence_from_the_list_is_neither_permission_nor_ban(kb: KnowledgeBase, item: str, frame: str) -> None:
    """能不能用来买乐器 was answered 可以 out of the clause on accounts, 能买钢琴吗 不可以 out of a list without it."""
    found = answer(kb, frame.format(item), on=MAY)
    assert (found.kind, found.verdict, found.status) == ("abstain", None, "所收文件未作规定")
    assert "没有列出不等于可以列支" in found.statement
    assert [one.quote for one in found.citations] == [BAN]


@pytest.mark.parametrize(
    ("text", "spending"),
    [
        ("专项资金能买电脑吗", True),
        ("能不能从项目款里列支", True),
        ("专项资金什么时候拨付", False),
        ("买电脑多少钱", False),
        ("验收要什么条件", False),
    ],
)
def test_is_about_spending(text: str, spending: bool) -> None:
    assert is_about_spending(text) is spending


def test_a_sum_asked_for_is_not_judged_as_an_expense(kb: KnowledgeBase) -> None:
    assert not answer(kb, "专项资金能给每个站点补多少钱工资", on=MAY).route.startswith("rule:expense")
