"""The knowledge calendar: what a file may say, and that the notices' dates start nothing by themselves."""

from pathlib import Path

import pytest

from knowledge.base import KnowledgeBase
from knowledge.deadlines import load_deadlines
from knowledge.files import Problems

GOOD = """
- id: one
  what: 报送名单
  who: 各省
  whom: 三部门
  date: "2020-06-25"
  read: 原文写明月日
  granularity: day
  roles: [province_officer]
  cite: {notice: demonstration-2020, clause: 五(三), quote: "于6月25日前"}
  confirmed: "no"
"""


def problems_of(folder: Path, text: str) -> list[str]:
    (folder / "test.yaml").write_text(text, encoding="utf-8")
    problems = Problems()
    load_deadlines(folder, problems)
    return problems.lines


def test_no_file_confirms_a_date_in_a_person_s_place(kb: KnowledgeBase) -> None:
    assert len(kb.deadlines) == 8
    assert not [one.id for one in kb.deadlines if one.confirmed]
    held = {one.id for one in kb.deadlines if one.confirmed is False}
    assert held == {"evaluation-2018", "review"}, "for some provinces only, and the ministry's own"


def test_the_calendar_says_the_same_dates_as_the_entries(kb: KnowledgeBase) -> None:
    answered = {entry.deadline for entry in kb.entries if entry.deadline}
    assert {one.due_on for one in kb.deadlines} <= answered


def test_a_good_file_has_no_problems(tmp_path: Path) -> None:
    assert problems_of(tmp_path, GOOD) == []


@pytest.mark.parametrize(
    ("old", "new", "trouble"),
    [
        ("2020-06-25", "2020-06-31", "无法识别"),
        ("granularity: day", "granularity: week", "granularity"),
        ("province_officer", "governor", "governor"),
        ('"no"', '"maybe"', "confirmed"),
        ("  who: 各省\n", "", "缺少 who"),
        ("  who:", "  colour: red\n  who:", "colour"),
        ("  who:", "  years: [second]\n  who:", "years"),
        ("clause: 五(三), ", "", "出处"),
    ],
)
def test_each_mistake_is_named(tmp_path: Path, old: str, new: str, trouble: str) -> None:
    assert old in GOOD
    [line] = problems_of(tmp_path, GOOD.replace(old, new))
    assert "test.yaml：one" in line and trouble in line


def test_an_id_may_be_used_once(tmp_path: Path) -> None:
    [line] = problems_of(tmp_path, GOOD + GOOD)
    assert "重复" in line
