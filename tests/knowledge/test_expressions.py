"""Conditions of rule files: Kleene logic, exact sums, and nothing beyond the small grammar."""

import itertools
from datetime import date
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from knowledge.expressions import names, parse, value

TRUTH = st.sampled_from([True, False, None])


def compute(text: str, **known: object) -> object:
    return value(parse(text), known)


@pytest.mark.parametrize(("a", "b"), list(itertools.product([True, False, None], repeat=2)))
def test_and_or_not_follow_kleene(a: bool | None, b: bool | None) -> None:
    """False < unknown < True: and is the lesser, or the greater, not the mirror."""
    rank = {False: 0, None: 1, True: 2}
    back = {place: truth for truth, place in rank.items()}
    assert compute("a and b", a=a, b=b) is back[min(rank[a], rank[b])]
    assert compute("a or b", a=a, b=b) is back[max(rank[a], rank[b])]
    assert compute("not a", a=a) is back[2 - rank[a]]


@given(TRUTH, TRUTH, TRUTH)
def test_de_morgan_and_distribution_hold_with_unknowns(a: bool | None, b: bool | None, c: bool | None) -> None:
    known = {"a": a, "b": b, "c": c}
    assert compute("not (a and b)", **known) is compute("not a or not b", **known)
    assert compute("not (a or b)", **known) is compute("not a and not b", **known)
    assert compute("a and (b or c)", **known) is compute("a and b or a and c", **known)
    assert compute("a and b and c", **known) is compute("(a and b) and c", **known)


@given(TRUTH, TRUTH, st.sampled_from(["a and b", "a or b", "not a or b", "not (a and not b)"]))
def test_learning_a_fact_never_overturns_a_decided_condition(a: bool | None, b: bool | None, text: str) -> None:
    before = compute(text, a=a, b=b)
    if before is not None:
        for full_a, full_b in itertools.product([True, False], repeat=2):
            if a in (None, full_a) and b in (None, full_b):
                assert compute(text, a=full_a, b=full_b) is before


def test_an_absent_fact_is_unknown() -> None:
    assert compute("rate < 0.9") is None
    assert compute("rate * 2") is None
    assert compute("ceil(rate)") is None
    assert compute("not rate") is None
    assert compute("2014 <= year <= 2017") is None


def test_an_unknown_does_not_hide_what_decides() -> None:
    assert compute("rate < 0.9 or done", rate=0.5) is True
    assert compute("rate < 0.9 and done", rate=0.95) is False
    assert compute("2014 <= year <= top", year=2013) is False


@pytest.mark.parametrize(
    ("text", "known", "expected"),
    [
        ("quota * 1.5", {"quota": 5}, Fraction(15, 2)),
        ("floor(quota * 1.5)", {"quota": 5}, 7),
        ("applied / 3", {"applied": 1}, Fraction(1, 3)),
        ("applied / 3 * 3", {"applied": 1}, 1),
        ("ceil(applied / 3)", {"applied": 12}, 4),
        ("ceil(applied / 3)", {"applied": 13}, 5),
        ("0.1 + 0.2", {}, Fraction(3, 10)),
        ("-a - 1", {"a": 2}, -3),
    ],
)
def test_sums_are_exact(text: str, known: dict[str, object], expected: object) -> None:
    assert compute(text, **known) == expected


@pytest.mark.parametrize(("rate", "enough"), [(0.899, False), (0.8999999, False), (0.9, True), (0.901, True)])
def test_a_rate_is_compared_exactly(rate: float, enough: bool) -> None:
    assert compute("rate >= 0.9", rate=rate) is enough


@given(st.integers(min_value=1, max_value=3000))
def test_a_third_rounded_up_is_the_least_that_is_enough(applied: int) -> None:
    least = compute("ceil(applied / 3)", applied=applied)
    assert isinstance(least, int)
    assert least * 3 >= applied > (least - 1) * 3


@pytest.mark.parametrize(("year", "inside"), [(2013, False), (2014, True), (2017, True), (2018, False)])
def test_a_chain_holds_on_both_ends(year: int, inside: bool) -> None:
    assert compute("2014 <= year <= 2017", year=year) is inside


def test_dates_are_written_as_iso_texts() -> None:
    assert compute("on > '2020-05-29'", on=date(2020, 5, 30)) is True
    assert compute("on > '2020-05-29'", on=date(2020, 5, 29)) is False


@pytest.mark.parametrize(
    ("text", "remedy"),
    [
        ("open('x')", "只能用 ceil、floor"),
        ("__import__('os')", "只能用 ceil、floor"),
        ("a.b()", "只能用 ceil、floor"),
        ("ceil(open('x'))", "只能用 ceil、floor"),
        ("a.b", "不支持的写法"),
        ("a[0]", "不支持的写法"),
        ("[a]", "不支持的写法"),
        ("{a}", "不支持的写法"),
        ("a if b else c", "不支持的写法"),
        ("lambda: 1", "不支持的写法"),
        ("(x for x in y)", "不支持的写法"),
        ("a ** 9", "不支持的写法"),
        ("a % 2", "不支持的写法"),
        ("a not in b", "不支持的写法"),
        ("a is b", "不支持的写法"),
        ("(a := 1)", "不支持的写法"),
        ("f'{a}'", "不支持的写法"),
        ("a >", "不是有效的条件"),
        ("a = 1", "不是有效的条件"),
        ("", "不是有效的条件"),
        ("拨付率 不足", "不是有效的条件"),
    ],
)
def test_anything_else_is_refused(text: str, remedy: str) -> None:
    with pytest.raises(ValueError, match=remedy):
        parse(text)


def test_names_come_once_and_without_functions() -> None:
    assert sorted(names(parse("b < ceil(a / 3) and (b or c)"))) == ["a", "b", "c"]
    assert names(parse("ceil(applied / 3)")) == ["applied"]


@pytest.mark.parametrize(
    ("text", "expected"), [("a in '河北、山西'", True), ("a in '北京、天津'", False), ("b in '河北'", None)]
)
def test_a_word_is_looked_for_among_words(text: str, expected: bool | None) -> None:
    assert value(parse(text), {"a": "河北"}) is expected


def test_a_part_of_a_word_is_not_that_word() -> None:
    assert value(parse("a in '黑龙江、江苏'"), {"a": "江"}) is False


def test_the_year_of_a_date_is_compared() -> None:
    assert value(parse("year(on) > 2020"), {"on": date(2020, 12, 31)}) is False
    assert value(parse("year(on) > 2020"), {"on": date(2021, 1, 1)}) is True
    assert value(parse("year(on) > 2020"), {}) is None
