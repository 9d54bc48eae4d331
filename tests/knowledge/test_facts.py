"""Facts about a county: typed one by one, shown, and read out of a question."""

from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from knowledge.facts import KINDS, known_for, parse_fact, read_facts, show_fact
from knowledge.model import Fact
from knowledge.text import normalise

TYPED: list[tuple[str, str, Fact, str]] = [
    ("batch_year", "2016年度", 2016, "2016年"),
    ("batch_year", "16", 2016, "2016年"),
    ("batch_year", "一七年", 2017, "2017年"),
    ("evaluation_year", "2020年", 2020, "2020年"),
    ("evaluated", "是", True, "是"),
    ("evaluated", "未开展", False, "否"),
    ("poverty_county", "不是", False, "否"),
    ("disbursement_rate", "89.9%", 0.899, "89.9%"),
    ("disbursement_rate", "九成", 0.9, "90%"),
    ("use_rate", "88", 0.88, "88%"),
    ("use_rate", "0.88", 0.88, "88%"),
    ("use_rate", "百分之九十点一", 0.901, "90.1%"),
    ("projects_complete", "yes", True, "是"),
    ("acceptance_done", "没有", False, "否"),
    ("pre_allocated", "五", 5, "5"),
    ("applied", "十二个", 12, "12"),
    ("poverty_applied", "4个", 4, "4"),
    ("delivery_days", "三天", 3, "3"),
    ("delivery_days", "三天半", 3.5, "3.5"),
    ("delivery_days", "3.1", 3.1, "3.1"),
    ("done_on", "7月1日", date(2020, 7, 1), "2020年7月1日"),
    ("remote_area", "是", True, "是"),
    ("central_funded", "否", False, "否"),
    ("province", "河北省", "河北", "河北"),
    ("province", "兵团", "新疆生产建设兵团", "新疆生产建设兵团"),
    ("fund_year", "2018年", 2018, "2018年"),
    ("submitted_on", "5月30日", date(2020, 5, 30), "2020年5月30日"),
    ("submitted_on", "2021-06-01", date(2021, 6, 1), "2021年6月1日"),
]


@pytest.mark.parametrize(("key", "typed", "fact", "shown"), TYPED)
def test_a_typed_fact_is_converted_and_shown(key: str, typed: str, fact: Fact, shown: str) -> None:
    parsed = parse_fact(key, typed)
    assert parsed == fact
    assert type(parsed) is type(fact)
    assert show_fact(key, parsed) == shown


def test_every_kind_is_covered_here() -> None:
    assert {key for key, *_ in TYPED} == set(KINDS)


@pytest.mark.parametrize("key", list(KINDS))
def test_nonsense_is_refused(key: str) -> None:
    with pytest.raises(ValueError):
        parse_fact(key, "不清楚")


@pytest.mark.parametrize("key", list(KINDS))
def test_an_offered_option_is_understood(key: str) -> None:
    for option in KINDS[key].options:
        shown = show_fact(key, parse_fact(key, option))
        assert shown.removesuffix("年") == option.removesuffix("度").removesuffix("年")


@pytest.mark.parametrize("text", ["120%", "101", "1000%"])
def test_a_rate_above_the_whole_is_refused(text: str) -> None:
    with pytest.raises(ValueError):
        parse_fact("use_rate", text)


def test_an_impossible_date_is_refused() -> None:
    with pytest.raises(ValueError):
        parse_fact("submitted_on", "2月30日")


@given(st.integers(min_value=0, max_value=1000))
def test_a_shown_rate_is_read_back(tenths: int) -> None:
    shown = show_fact("use_rate", parse_fact("use_rate", f"{tenths / 10}%"))
    assert parse_fact("use_rate", shown) == pytest.approx(tenths / 1000)


QUESTIONS: list[tuple[str, dict[str, Fact]]] = [
    ("使用率88", {"use_rate": 0.88}),
    ("拨付率才85", {"disbursement_rate": 0.85}),
    ("拨付率90.5能报吗", {"disbursement_rate": 0.905}),
    ("拨付率百分之八十九点九", {"disbursement_rate": 0.899}),
    ("钱用了八成五", {"use_rate": 0.85}),
    ("拨付率120%", {}),
    ("项目没完工", {"projects_complete": False}),
    ("项目还没有完工", {"projects_complete": False}),
    ("项目未完工", {"projects_complete": False}),
    ("项目都完工了", {"projects_complete": True}),
    ("未验收", {"acceptance_done": False}),
    ("验收没做", {"acceptance_done": False}),
    ("验收已经完成", {"acceptance_done": True}),
    ("没完工，未验收", {"projects_complete": False, "acceptance_done": False}),
    ("没做绩效评价", {"evaluated": False}),
    ("已经评价过了", {"evaluated": True}),
    ("我们是非贫困县", {"poverty_county": False}),
    ("我们是贫困县", {"poverty_county": True}),
    ("给了5个名额", {"pre_allocated": 5}),
    ("申报十二个县，其中贫困县四个", {"applied": 12, "poverty_applied": 4}),
    ("送到村要三天", {"delivery_days": 3}),
    ("2019年下达的资金", {"fund_year": 2019}),
    ("16年的示范县", {"batch_year": 2016}),
    ("2021年6月1日报的", {"submitted_on": date(2021, 6, 1)}),
    ("5月30号报的", {"submitted_on": date(2020, 5, 30)}),
    ("2月30日报的", {}),
    ("晚于5月29日报还收吗", {"submitted_on": date(2020, 5, 30)}),
    ("5月29日之后报行吗", {"submitted_on": date(2020, 5, 30)}),
    ("钱花到90%才能验收吗", {}),
    ("组织16个县来报可以不", {"applied": 16}),
    ("18年的县评价今年结束", {"batch_year": 2018, "evaluation_year": 2020}),
    ("凑了11个县去申报", {"applied": 11}),
    ("评价提的毛病改到9月底", {"evaluated": True, "done_on": date(2020, 9, 30)}),
    ("怎么验收", {}),
]


@pytest.mark.parametrize(("question", "facts"), QUESTIONS)
def test_facts_are_read_out_of_a_question(question: str, facts: dict[str, Fact]) -> None:
    assert read_facts(normalise(question), year=2020) == facts


BY: list[tuple[str, date]] = [
    ("整改拖到国庆行不行", date(2020, 10, 1)),
    ("整改7月底才能弄完", date(2020, 7, 31)),
    ("整改拖到2月可以吗", date(2020, 2, 29)),
    ("整改7月初弄完行吗", date(2020, 7, 1)),
    ("整改拖到年底行吗", date(2020, 12, 31)),
    ("整改上半年弄完行吗", date(2020, 6, 30)),
    ("整改下半年再弄行吗", date(2020, 7, 1)),
    ("验收拖到明年行吗", date(2021, 1, 1)),
    ("验收拖到明年3月行吗", date(2021, 3, 31)),
    ("验收拖到元旦行吗", date(2021, 1, 1)),
    ("验收拖到2021年行吗", date(2021, 1, 1)),
]


@pytest.mark.parametrize(("question", "by"), BY)
def test_the_day_by_which_something_would_be_finished_is_read(question: str, by: date) -> None:
    assert read_facts(normalise(question), year=2020)["done_on"] == by


@pytest.mark.parametrize(
    "question", ["整改什么时候完成", "整改拖到13月行吗", "我们6月底前就得验收完吧", "7月底整改要做什么"]
)
def test_a_day_that_nobody_plans_is_not_read(question: str) -> None:
    assert "done_on" not in read_facts(normalise(question), year=2020)


@pytest.mark.parametrize(
    ("question", "facts"),
    [
        ("我们是边远地区，快递费要一样吗", {"remote_area": True}),
        ("我们不是边远地区，快递费要一样吗", {"remote_area": False}),
        ("除边远地区外要持平吗", {}),
        ("我们算边远地区吗", {}),
        ("用中央资金建的站点", {"central_funded": True}),
        ("企业自己掏钱建的站点", {"central_funded": False}),
        ("河北在主送名单里吗", {"province": "河北"}),
        ("江苏浙江都在主送名单里吗", {}),
    ],
)
def test_what_a_question_says_of_place_and_funds_is_read(question: str, facts: dict[str, Fact]) -> None:
    assert read_facts(normalise(question), year=2020) == facts


def test_every_kind_can_be_read_out_of_a_question() -> None:
    read = set().union(*(facts for _, facts in QUESTIONS)) | {"evaluation_year", "done_on"}
    read |= {"remote_area", "central_funded", "province"}
    assert read == set(KINDS)


@pytest.mark.parametrize("text", ["评价2020年结束", "2020年绩效评价结束"])
def test_the_year_of_an_evaluation_is_no_batch(text: str) -> None:
    """评价2020年结束 was read as batch 2020 too."""
    assert read_facts(text, year=2020) == {"evaluation_year": 2020}


@pytest.mark.parametrize("text", ["5月底报的", "5月末报的"])
def test_the_end_of_a_month_is_no_day(text: str) -> None:
    """5月底 was read as 28 May, so that a list sent after the 29th passed for punctual."""
    assert read_facts(text, year=2020) == {}


@pytest.mark.parametrize("text", ["拨付率88%，使用率92%", "使用率92%，拨付率88%", "拨付率88，使用率92"])
def test_the_two_rates_are_kept_apart(text: str) -> None:
    assert read_facts(text, year=2020) == {"disbursement_rate": 0.88, "use_rate": 0.92}


def test_a_rate_without_a_telling_word_goes_to_the_rate_of_the_rule() -> None:
    said = read_facts("我们只有88%", year=2020)
    assert said == {"rate": 0.88}
    assert known_for(["use_rate", "projects_complete"], said, {}) == {"use_rate": 0.88}
    assert known_for(["disbursement_rate", "acceptance_done"], said, {}) == {"disbursement_rate": 0.88}


def test_a_bare_rate_is_not_guessed_where_a_rule_has_two() -> None:
    assert known_for(["use_rate", "disbursement_rate"], {"rate": 0.88}, {}) == {}


def test_one_rate_never_stands_for_the_other() -> None:
    said = read_facts("使用率95%", year=2020)
    assert known_for(["disbursement_rate"], said, {}) == {}


def test_what_is_said_now_comes_before_what_was_said() -> None:
    known = known_for(
        ["use_rate", "projects_complete"], {"use_rate": 0.95}, {"use_rate": 0.5, "projects_complete": True}
    )
    assert known == {"use_rate": 0.95, "projects_complete": True}
