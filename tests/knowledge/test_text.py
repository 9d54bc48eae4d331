"""What people type becomes one spelling."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from knowledge.text import grams, initials, normalise, number, pinyin, sentences, squeeze

SPELLINGS = [
    ("ＡＰＰ１２３％", "app123%"),
    ("驗收報告", "验收报告"),
    ("縣級物流配送中心", "县级物流配送中心"),
    ("能不能报?", "能不能报？"),
    ("16年", "2016年"),
    ("一七年", "2017年"),
    ("二零一七年", "2017年"),
    ("二〇二〇年", "2020年"),
    ("2017年", "2017年"),
    ("18级", "2018级"),
    ("2014到17年", "2014—2017年"),
    ("14-17年度", "2014—2017年度"),
    ("2014年到2017年", "2014—2017年"),
    ("八成五", "85%"),
    ("九成", "90%"),
    ("9成半", "95%"),
    ("成立公司", "成立公司"),
    ("三成功", "三成功"),
    ("百分之九十", "90%"),
    ("百分之90", "90%"),
    ("百分之一百", "100%"),
    ("六月二十五号", "6月25日"),
    ("6月25号", "6月25日"),
    ("十二月", "12月"),
    ("三个县", "3个县"),
    ("两家企业", "2家企业"),
    ("一百五十个", "150个"),
    ("第三批", "第三批"),
    ("三区三州", "三区三州"),
    ("验\x00收\u200b条\ufeff件", "验收条件"),
    ("验收\n条件\t呢", "验收 条件 呢"),
    ("您好，请问一下验收要什么", "验收要什么"),
    ("领导让我问一句，验收要什么", "验收要什么"),
    ("老师，验收要什么", "验收要什么"),
    ("小王问：验收要什么", "验收要什么"),
]


@pytest.mark.parametrize(("typed", "expected"), SPELLINGS)
def test_one_spelling(typed: str, expected: str) -> None:
    assert normalise(typed) == expected


def test_a_decimal_in_words_keeps_its_fraction() -> None:
    """百分之八十九点九 was read as 89 %, and 百分之九十点一 as exactly 90 %."""
    assert normalise("百分之八十九点九") == "89.9%"
    assert normalise("百分之九十点一") == "90.1%"
    assert normalise("百分之八十八点二五") == "88.25%"


def test_a_span_of_years_is_not_a_year() -> None:
    """十年 became 10年 and, normalised once more, 2010年."""
    assert normalise(normalise("用了十年的设备")) == "用了十年的设备"


def test_a_greeting_after_a_space_goes_too() -> None:
    """老师， 请问… kept its second run-up phrase."""
    assert normalise("老师， 请问验收要什么") == "验收要什么"


def test_a_lone_surrogate_does_not_stop_the_reading() -> None:
    """A client may post half of an emoji; the converter for traditional characters refused it."""
    assert normalise("验收\ud83d条件") == "验收条件"


@given(st.text(max_size=40))
def test_any_text_is_read_and_its_reading_stays(text: str) -> None:
    once = normalise(text)
    assert normalise(once) == once


TRICKY = "零〇一二两三九十百千年批级月日号个天县%百分之成半点到至-—~0129.第请问你好老师那，, ？?\n\u200b\ud800\u0301ｅａＡ％驗縣"


@settings(max_examples=400)
@given(st.text(alphabet=TRICKY, max_size=14))
def test_numerals_and_run_up_phrases_are_read_once(text: str) -> None:
    once = normalise(text)
    assert normalise(once) == once


@given(st.integers(min_value=1, max_value=99))
def test_a_rate_in_words_equals_the_rate_in_digits(rate: int) -> None:
    digits = "零一二三四五六七八九"
    tens, ones = divmod(rate, 10)
    words = ("" if tens == 0 else "十" if tens == 1 else digits[tens] + "十") + (digits[ones] if ones else "")
    assert normalise(f"拨付率百分之{words}") == normalise(f"拨付率{rate}％") == f"拨付率{rate}%"
    assert number(words) == rate


def test_number_refuses_what_is_none() -> None:
    with pytest.raises(ValueError):
        number("县")


def test_grams_are_characters_pairs_and_whole_numbers() -> None:
    assert grams("拨付90%") == ["拨", "付", "拨付", "90%", "付90%"]


def test_punctuation_breaks_pairs() -> None:
    assert "收报" not in grams("验收，报告")
    assert "收报" in grams("验收报告")


def test_latin_words_stay_whole() -> None:
    assert "app" in grams("智慧app")


@pytest.mark.parametrize(
    ("one", "other"),
    [("只", "资"), ("吃", "次"), ("是", "四"), ("牛", "流"), ("宁", "林"), ("常", "产"), ("生", "森"), ("京", "斤")],
)
def test_sounds_that_are_mixed_up_are_folded(one: str, other: str) -> None:
    assert pinyin(one) == pinyin(other)


@pytest.mark.parametrize(("one", "other"), [("县", "村"), ("拨", "付"), ("验", "收")])
def test_other_sounds_stay_apart(one: str, other: str) -> None:
    assert pinyin(one) != pinyin(other)


@given(st.text(alphabet="电商进农村综合示范绩效评价验收拨付", max_size=12))
def test_each_character_has_one_syllable(text: str) -> None:
    assert len(pinyin(text)) == len(text)


@pytest.mark.parametrize(
    ("text", "letters"), [("二次申报", "ecsb"), ("绩效评价", "jxpj"), ("验收（2020）", "ys2020"), ("App", "app")]
)
def test_initials(text: str, letters: str) -> None:
    assert initials(text) == letters


def test_sentences_keep_their_marks() -> None:
    assert sentences("甲应报送。乙呢？\n丙“销号。”丁") == ["甲应报送。", "乙呢？", "丙“销号。”", "丁"]


def test_squeeze_leaves_words_and_rates() -> None:
    assert squeeze("拨付率 90%，够吗？App") == "拨付率90%够吗app"
