"""Guided checks as data: complete, quoted byte for byte, and every fault of a file named at once."""

import shutil
from pathlib import Path

import pytest

from knowledge.base import DATA, KnowledgeBase, read
from knowledge.checks import Check, outcome
from knowledge.model import KnowledgeError

FAULTS = """
- id: review
  title: 复核要点自查
  about: 两份同名
  complete: 已列要点均有材料
  answers: {"yes": 有, "no": 没有, unclear: 不清楚}
  points: [{id: a, text: 甲, cite: {notice: 144-2020, clause: 三(一), quote: 全面排查前期问题}}]
- id: broken
  title: 坏的
  about: 每处都错
  complete: 合格
  extra: 多的
  rule: acceptance
  areas: [甲, 空]
  answers: {"yes": 有, maybe: 也许}
  points:
    - {id: p1, area: 甲, text: 引文错, cite: {notice: 144-2020, clause: 三(一), quote: "全面排查、前期问题"}}
    - {id: p1, area: 乙, text: 条款错, cite: {notice: 144-2020, clause: 九, quote: 无}}
    - {id: p2, area: 甲, text: 没有出处}
    - {id: p3, area: 甲, text: 条件错, when: "poverty_county +", cite: {notice: 144-2020, clause: 三(一), quote: 全面排查前期问题}}
    - {id: p4, area: 甲, text: 事实错, when: weather, fact: weather, table: round, shape: 圆, cite: {notice: 144-2020, clause: 三(一), quote: 全面排查前期问题}}
    - {id: use_rate, area: 甲, text: 与事实同名, cite: {notice: 144-2020, clause: 三(一), quote: 全面排查前期问题}}
    - 一行字
- id: nothing
  title: 什么也没有
- id: ruleless
  title: 规则错
  about: 规则不存在
  complete: 已列要点均有材料
  rule: no-such-rule
  answers: {"yes": 有, "no": 没有, unclear: 不清楚}
  points: [{id: a, text: 甲, cite: {notice: 144-2020, clause: 三(一), quote: 全面排查前期问题}}]
"""


def test_every_fault_of_a_check_is_listed_with_its_place(tmp_path: Path) -> None:
    folder = tmp_path / "data"
    shutil.copytree(DATA, folder, ignore=shutil.ignore_patterns("entries", "unanswered"))  # quicker to read
    (folder / "checks" / "zz.yaml").write_text(FAULTS, "utf-8")
    with (folder / "submissions.yaml").open("a", encoding="utf-8") as file:
        file.write(
            "- {id: submit-x, what: 甲, who: 乙, whom: 丙, until: 丁, entry: scope-third, extra: 1, cite: {notice: 144-2020, clause: 三(一), quote: 无此文}}\n"
        )
        file.write("- {id: submit-x, what: 甲}\n")
    with pytest.raises(KnowledgeError) as trouble:
        read(folder)
    told = "\n".join(trouble.value.problems)
    for part in (
        "zz.yaml：review：id 重复", "broken：项目 extra 无法识别", "broken：answers 应写明", "broken 的 p1：id 重复或与事实同名",
        "broken 的 p1：引文不是三(一)的原文", "broken 的 p1：没有条款“九”", "broken 的 p1：area“乙”不在", "broken 的 p2：出处应写成",
        "broken 的 p3：“poverty_county +”不是有效的条件", "broken 的 p4：规则“acceptance”不用事实“weather”", "broken 的 p4：table 只能是",
        "broken 的 p4：项目 shape 无法识别", "broken：条件用了无法识别的事实 weather", "broken 的 use_rate：id 重复或与事实同名",
        "broken：每个要点都要有", "area“空”没有要点", "nothing：缺少", "ruleless：rule 指向的规则“no-such-rule”不存在",
        "submit-x：项目 extra", "submit-x：缺少 who", "submit-x：引文不是", "submit-x：entry 指向的“scope-third”不存在，或没有 deadline",
    ):  # fmt: skip
        assert part in told, part


def test_the_review_goes_through_every_numbered_requirement_of_annex_1(kb: KnowledgeBase) -> None:
    check = kb.checks["review"]
    cited = {point.cite.clause for point in check.points}
    assert cited == {
        label for notice, label in kb.clauses if notice == "144-2020" and label.startswith("附件1-") and "." in label
    }
    assert len(check.areas) == 6
    for place, area in enumerate(check.areas, 1):
        assert kb.clauses["144-2020", f"附件1-{place}"].full == area
        assert {point.cite.clause[4] for point in check.within(area)} == {str(place)}


@pytest.mark.parametrize("word", ["尽量", "逐步建立", "宜与", "基本一致", "原则上", "一般不超过"])
def test_a_qualifier_of_a_clause_is_in_what_no_means(kb: KnowledgeBase, word: str) -> None:
    points = [one for one in kb.checks["review"].points if word in one.cite.quote]
    assert points
    for point in points:
        assert point.answers["no"] != kb.checks["review"].points[0].answers["no"]
        assert "文件用语为" in point.answers["no"]


@pytest.mark.parametrize("name", ["review", "acceptance-check", "reapplication-check", "publicity", "label"])
def test_no_check_ends_in_more_than_its_clauses_say(kb: KnowledgeBase, name: str) -> None:
    check: Check = kb.checks[name]
    assert "仍须" in check.complete or "须由省级主管部门认定" in check.complete
    said = [check.complete, *(text for point in check.points for text in point.answers.values())]
    assert not [text for text in said if "合格" in text or "达标" in text]
    nothing = outcome(check, kb.rules, {"batch_year": "2016"})
    assert not nothing.met and not nothing.whole  # what is not answered never counts
