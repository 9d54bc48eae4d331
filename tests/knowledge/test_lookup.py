"""Look-up while a caller waits: short input, pinyin initials, marks, expenses and rules among the results."""

from datetime import date

import pytest

from knowledge.base import KnowledgeBase
from knowledge.lookup import Found, look_up

MAY = date(2020, 5, 20)
TYPED = ["二次申报", "验收条件", "共同配送能列支吗", "拨付率88%能二次申报吗", "ecsb", "县到村配送"]


def looked(kb: KnowledgeBase, text: str, limit: int = 7) -> list[Found]:
    return look_up(kb, text, on=MAY, limit=limit)


@pytest.mark.parametrize("text", ["", " ", "e", "验", "!!", "？", "验。", "…… ，"])
def test_nothing_below_two_characters(kb: KnowledgeBase, text: str) -> None:
    assert looked(kb, text) == []


def test_two_characters_are_enough(kb: KnowledgeBase) -> None:
    assert looked(kb, "验收")


@pytest.mark.parametrize(("letters", "title"), [("ecsb", "二次申报"), ("ys", "验收"), ("gtps", "共同配送")])
def test_pinyin_initials_find_titles(kb: KnowledgeBase, letters: str, title: str) -> None:
    found = looked(kb, letters)
    assert any(title in one.title for one in found)
    assert all(one.why == f"{letters} → {one.title}" for one in found)


def test_capital_letters_are_initials_too(kb: KnowledgeBase) -> None:
    assert [one.title for one in looked(kb, "ECSB")] == [one.title for one in looked(kb, "ecsb")]


def test_titles_that_begin_with_the_letters_come_first(kb: KnowledgeBase) -> None:
    first = {letters.find("ecsb") for entry, letters in kb.initials if entry.title == looked(kb, "ecsb")[0].title}
    assert first == {min(place for _, letters in kb.initials if (place := letters.find("ecsb")) >= 0)}


@pytest.mark.parametrize("text", TYPED)
def test_marks_are_parts_of_the_quotation(kb: KnowledgeBase, text: str) -> None:
    for one in looked(kb, text):
        for mark in one.marks:
            assert len(mark) >= 2
            assert mark in one.answer.citations[0].quote


def test_a_word_with_a_numeral_is_marked_whole(kb: KnowledgeBase) -> None:
    """二次申报 is read as 2次申报, so that only 次申报 was marked."""
    marked = [one.marks for one in looked(kb, "二次申报") if "二次申报" in one.answer.citations[0].quote]
    assert marked
    assert all("二次申报" in marks for marks in marked)


@pytest.mark.parametrize("text", TYPED)
def test_results_have_titles_and_differ(kb: KnowledgeBase, text: str) -> None:
    found = looked(kb, text)
    assert found
    assert all(one.title for one in found)
    statements = [one.answer.statement for one in found]
    assert len(set(statements)) == len(statements)


def test_an_expense_is_judged_first(kb: KnowledgeBase) -> None:
    first = looked(kb, "共同配送能列支吗")[0]
    assert first.answer.route.startswith("rule:expense:")
    assert first.answer.verdict == "yes"
    assert first.title in {row.title for row in kb.expenses}


def test_a_rule_decides_first(kb: KnowledgeBase) -> None:
    first = looked(kb, "拨付率88%能二次申报吗")[0]
    assert first.answer.route == "rule:reapplication"
    assert first.answer.verdict == "no"
    assert first.title == kb.rules["reapplication"].title


@pytest.mark.parametrize("text", ["验收", "ys"])
@pytest.mark.parametrize("limit", [1, 3])
def test_the_limit_keeps_the_best(kb: KnowledgeBase, text: str, limit: int) -> None:
    best = [one.answer.statement for one in looked(kb, text, limit)]
    assert best == [one.answer.statement for one in looked(kb, text)][:limit]
    assert len(best) == limit


def test_an_everyday_word_is_explained(kb: KnowledgeBase) -> None:
    assert "打款率 → 拨付率" in looked(kb, "打款率要求")[0].why
