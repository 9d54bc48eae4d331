"""The samples in every layout: labels, deadlines, figures and prohibitions against hand-made gold."""

import functools
import json
import random
import re
from collections import Counter
from datetime import date
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from knowledge.importing.draft import Draft, draft_of
from knowledge.importing.layout import restore
from knowledge.notices import parse_clauses
from tests.importing.support import KINDS, LEAST, SAMPLES, UNSEEN, Sample, base, hits, layouts, load_sample, score

NOTICES = Path(__file__).parent.parent / "notices"
GROUPS = {name: [load_sample(path) for path in paths] for name, paths in (("samples", SAMPLES), ("unseen", UNSEEN))}
ALL = [*GROUPS["samples"], *GROUPS["unseen"]]
LAYOUTS = [name for name, _ in layouts(["一"])]


@functools.cache
def read(sample: str, layout: str) -> Draft:
    [one] = [each for each in ALL if each.name == sample]
    return draft_of(dict(layouts(one.lines))[layout])


@pytest.mark.parametrize("group", GROUPS)
@pytest.mark.parametrize("layout", LAYOUTS)
def test_deadlines_figures_and_prohibitions_are_read_in_every_layout(layout: str, group: str) -> None:
    drafts = [(sample, read(sample.name, layout)) for sample in GROUPS[group]]
    for kind, same in KINDS.items():
        pairs = [
            (hits(sample.gold[kind], getattr(draft, kind), same), len(getattr(draft, kind)), len(sample.gold[kind]))
            for sample, draft in drafts
        ]
        precision, recall = score(pairs)
        assert precision >= LEAST, (kind, precision)
        assert recall >= LEAST, (kind, recall)


@pytest.mark.parametrize("group", GROUPS)
@pytest.mark.parametrize("layout", LAYOUTS)
def test_labels_are_read_in_every_layout(layout: str, group: str) -> None:
    lost = "lost" in layout  # nothing in the text tells an unnumbered paragraph from the one before it
    pairs = []
    for sample in GROUPS[group]:
        shown = [one.label for one in read(sample.name, layout).clauses]
        found, wanted = ({base(x) for x in labels} if lost else set(labels) for labels in (shown, sample.labels))
        pairs.append((len(found & wanted), len(found), len(wanted)))
    precision, recall = score(pairs)
    assert precision >= LEAST
    assert recall >= LEAST


@pytest.mark.parametrize("sample", ALL, ids=lambda one: one.name)
def test_a_printed_notice_gives_exactly_its_labels_texts_and_header(sample: Sample) -> None:
    draft = read(sample.name, "printed")
    wanted: dict[str, str] = {}
    for label, line in sample.labelled:
        wanted[label] = wanted.get(label, "") + line
    cells = re.compile(r"\s|^\d+(?=\t)")  # a row's number becomes part of its label
    assert {one.label: cells.sub("", one.full) for one in draft.clauses} == {
        label: cells.sub("", text) for label, text in wanted.items()
    }
    read_header = {"number": draft.number, "title": draft.title, "issuer": draft.issuer, "issued": draft.issued_on}
    assert read_header == sample.header


@pytest.mark.parametrize("sample", ALL, ids=lambda one: one.name)
def test_deadlines_name_who_owes_and_to_whom(sample: Sample) -> None:
    draft = read(sample.name, "printed")
    for clause, text, on, who, whom in sample.gold["deadlines"]:
        due = next(one for one in draft.deadlines if one.clause == clause and text in one.text and one.on == on)
        assert who in due.who
        assert whom in due.whom


@pytest.mark.parametrize("sample", ALL, ids=lambda one: one.name)
def test_no_layout_loses_or_adds_a_character(sample: Sample) -> None:
    bare = re.sub(r"\s", "", "".join(sample.lines))
    for layout, text in layouts(sample.lines):
        restored = re.sub(r"\s", "", "".join(restore(text)))
        if "附件：1" not in restored.replace("附件：1.", ""):
            assert restored.replace("附件：1.", "附件：1.") == bare, layout


@pytest.mark.parametrize(
    ("head", "number"),
    [
        ("示例部公告2026年第3号", "示例部公告2026年第3号"),
        ("财政部 农业农村部公告2026年第12号", "财政部 农业农村部公告2026年第12号"),
        ("示例省商务厅公 告\n2026年 第8号", "示例省商务厅公告2026年第8号"),
        ("示例市人民政府令\n第12号", "示例市人民政府令第12号"),
        ("示例部第12号令", "示例部第12号令"),
        ("根据示例部公告2026年第3号", None),
    ],
)
@pytest.mark.parametrize("between", ["\n", " "])
def test_announcements_and_orders_are_read_with_their_number(head: str, number: str | None, between: str) -> None:
    title = "关于规范网络零售标注的公告"
    body = "现将有关事项公告如下：\n一、经营者应当如实标注产地。\n二、本公告自发布之日起施行。\n示例部\n2026年2月1日"
    draft = draft_of(between.join([head, title, body]))
    assert (draft.number, draft.title) == (number, title)


CLAUSES = json.loads((NOTICES / "clauses.json").read_text(encoding="utf-8"))


@pytest.mark.parametrize("name", ["144-2020", "demonstration-2020"])
@pytest.mark.parametrize("layout", ["printed", "wrapped at 35", "wrapped and indented"])
def test_the_supplied_notices_come_out_with_their_labels(name: str, layout: str) -> None:
    supplied = (NOTICES / f"{name}.supplied.txt").read_text(encoding="utf-8")
    lines = [line for line in supplied.splitlines() if line.strip()]
    draft = draft_of(supplied if layout == "printed" else dict(layouts(lines))[layout])
    wanted = list(dict.fromkeys(row["label"] for row in CLAUSES if row["notice_id"] == name))
    found = [one.label for one in draft.clauses]
    if layout == "printed":
        assert found == wanted
    both = len(set(found) & set(wanted))
    assert both / len(found) >= LEAST
    assert both / len(wanted) >= LEAST


def test_the_dates_of_the_supplied_notices_are_found_and_no_others() -> None:
    dates: Counter[tuple[str, date | None]] = Counter()
    for name in ("144-2020", "demonstration-2020"):
        draft = draft_of((NOTICES / f"{name}.supplied.txt").read_text(encoding="utf-8"))
        dates.update((one.clause, one.on) for one in draft.deadlines)
    assert dates == Counter(
        {
            ("一(一)", date(2020, 5, 20)): 1,
            ("三(一)", date(2020, 6, 30)): 1,
            ("三(一)", None): 1,
            ("四(二)", date(2020, 12, 31)): 1,
            ("五¶3", date(2020, 4, 30)): 1,
            ("五(二)", date(2020, 5, 29)): 1,
            ("五(三)", date(2020, 6, 25)): 1,
            ("六(一)", date(2020, 9, 30)): 1,
        }
    )


@settings(max_examples=25, deadline=None)
@given(st.integers(24, 60), st.integers(0, len(ALL) - 1), st.randoms(use_true_random=False))
def test_wrapping_changes_no_numbered_clause(width: int, place: int, chance: random.Random) -> None:
    lines = ALL[place].lines
    wrapped = "\n".join(line[n : n + width] for line in lines for n in range(0, len(line), width))
    blank = "\n" * chance.choice((1, 2)) + wrapped
    whole, cut = (
        {base(one.label) for one in parse_clauses("x", "\n".join(restore(text)))} for text in ("\n".join(lines), blank)
    )
    assert len(whole ^ cut) <= 0.05 * len(whole)
