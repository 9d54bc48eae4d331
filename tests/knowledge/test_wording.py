"""Everyday words become official ones; homophone slips are repaired."""

from pathlib import Path

import pytest

from knowledge.base import DATA, KnowledgeBase
from knowledge.files import Problems
from knowledge.text import normalise
from knowledge.wording import Repairer, Wording, load_wording

WORDS = """
terms:
  购买流量: [买流量, 刷单]
  拨付: [打款, 付款]
  拨付率: [打款率]
  资金拨付: [拨付到位]
ask:
  多久: [要几天]
antonyms:
  - [收费, 免费]
confusions:
  拔付: 拨付
regressions:
  - {q: 打款率多少, has: 拨付率}
"""


def load(folder: Path, text: str) -> tuple[Wording, list[str]]:
    path = folder / "synonyms.yaml"
    path.write_text(text, encoding="utf-8")
    problems = Problems()
    return load_wording(path, problems), problems.lines


@pytest.fixture
def words(tmp_path: Path) -> Wording:
    wording, problems = load(tmp_path, WORDS)
    assert problems == []
    return wording


def test_the_longest_word_is_rewritten_first(words: Wording) -> None:
    assert words.rewrite("打款率和打款") == "拨付率和拨付"


def test_rewrites_do_not_chain(words: Wording) -> None:
    """打款 becomes 拨付; 拨付 followed by 到位 must not be rewritten once more."""
    assert words.rewrite("打款到位") == "拨付到位"
    assert words.rewrite("拨付到位") == "资金拨付"


def test_an_official_word_stays(words: Wording) -> None:
    assert words.rewrite("购买流量") == "购买流量"


def test_confusions_are_mended_before_words_are_rewritten(words: Wording) -> None:
    assert words.rewrite("拔付到位") == "资金拨付"


def test_explain_names_only_what_changed(words: Wording) -> None:
    assert words.explain("买流量要几天") == "买流量 → 购买流量，要几天 → 多久"
    assert words.explain("拨付") == ""


@pytest.mark.parametrize(
    ("one", "other", "opposed"),
    [
        ("培训收费吗", "培训免费吗", True),
        ("培训免费吗", "培训收费吗", True),
        ("培训收费吗", "培训要收费吗", False),
        ("收费还是免费", "免费吗", False),
        ("培训吗", "免费吗", False),
    ],
)
def test_opposed(words: Wording, one: str, other: str, opposed: bool) -> None:
    assert words.opposed(one, other) is opposed


def test_a_word_that_holds_its_antonym_is_no_antonym_of_itself() -> None:
    words = Wording(antonyms=(("贫困县", "非贫困县"),))
    assert words.opposed("贫困县看什么", "非贫困县看什么")
    assert not words.opposed("非贫困县看什么", "非贫困县报什么")


def test_a_word_in_two_places_is_reported(tmp_path: Path) -> None:
    _, problems = load(tmp_path, "terms:\n  拨付: [打款]\n  收回: [打款]\n")
    assert problems == ["synonyms.yaml：打款：同时归入“拨付”和“收回”，请只留一处。"]


def test_a_broken_regression_is_reported(tmp_path: Path) -> None:
    _, problems = load(tmp_path, "terms:\n  拨付: [打款]\nregressions:\n  - {q: 转账慢, has: 拨付}\n")
    assert problems == ["synonyms.yaml：regressions“转账慢”：换词后没有出现“拨付”。"]


def test_a_file_of_another_shape_is_reported(tmp_path: Path) -> None:
    wording, problems = load(tmp_path, "- 拨付\n")
    assert len(problems) == 1 and "应分为 terms" in problems[0]
    assert wording.rewrite("打款") == "打款"


def test_no_word_list_rewrites_nothing(tmp_path: Path) -> None:
    problems = Problems()
    assert load_wording(tmp_path / "synonyms.yaml", problems).rewrite("买流量") == "买流量"
    assert problems.lines == []


def test_every_regression_of_the_real_list_holds() -> None:
    problems = Problems()
    wording = load_wording(DATA / "synonyms.yaml", problems)
    assert problems.lines == []
    assert len(wording.expected) >= 50
    for question, word in wording.expected:
        assert word in wording.rewrite(normalise(question)), question


SLIPS = [
    ("什么条件才能验手", "验收"),
    ("拨夫率多少", "拨付率"),
    ("二次申抱要什么条件", "2次申报"),
    ("共通配送怎么搞", "共同配送"),
    ("示犯县有几个", "示范县"),
    ("负面清蛋有哪些", "负面清单"),
    ("尾宽什么时候给", "尾款"),
    ("回头砍怎么做", "回头看"),
    ("公共福务中心干什么", "公共服务中心"),
    ("物留配送中心", "物流配送中心"),
    ("排序明单报给谁", "排序名单"),
    ("存量姿金怎么办", "存量资金"),
    ("社会自本", "社会资本"),
    ("政务公凯", "政务公开"),
    ("物流补贴退破", "退坡"),
    ("直播带伙", "直播带货"),
    ("征地猜迁", "征地拆迁"),
    ("购买流亮", "购买流量"),
    ("质量追速", "质量追溯"),
    ("提取工作经非", "工作经费"),
    ("人员经飞", "人员经费"),
    ("请第三芳验收", "第三方"),
    ("出具书面意件", "书面意见"),
    ("电话回仿", "电话回访"),
    ("以将代补", "以奖代补"),
]


@pytest.mark.parametrize(("typed", "meant"), SLIPS)
def test_a_homophone_slip_is_repaired(kb: KnowledgeBase, typed: str, meant: str) -> None:
    assert meant not in normalise(typed)
    assert meant in kb.repairer.repair(normalise(typed))


@pytest.mark.parametrize(
    "text",
    ["验收报告要体现什么", "中央财政资金使用率", "县到村配送时间", "市场体系建设司", "有关建议请反馈", "abc 123", ""],
)
def test_what_the_notices_know_is_left_alone(kb: KnowledgeBase, text: str) -> None:
    assert kb.repairer.repair(text) == text


@pytest.mark.parametrize("text", ["验收已经完成", "我们县是贫困县", "培训班主要叫哪些人", "花的钱能报", "风险县"])
def test_a_repair_does_not_cut_into_a_known_word(kb: KnowledgeBase, text: str) -> None:
    """验收已经完成 became 验受益经完成, so that the fact was lost; 县是贫困县 became 显示屏困县."""
    assert kb.repairer.repair(text) == text


def test_the_commoner_of_two_words_of_one_sound_is_taken() -> None:
    repairer = Repairer(["公示", "攻势"], "公示公示攻势公示")
    assert repairer.repair("宫市") == "公示"


def test_a_stretch_in_the_corpus_is_no_slip() -> None:
    assert Repairer(["公示"], "公示 公式").repair("公式") == "公式"
    assert Repairer(["公示"], "公示").repair("公式") == "公示"


def test_lone_characters_and_long_words_are_no_vocabulary() -> None:
    assert Repairer(["收", "一二三四五六七八九"], "").by_sound == {}
