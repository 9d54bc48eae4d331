"""Faults planted in a copy of the knowledge files are all reported at once; the edition follows the files."""

import shutil
from collections.abc import Callable
from datetime import date
from pathlib import Path

import pytest

from knowledge.base import DATA, KnowledgeBase, _cites, digest_of, pack, read, read_files
from knowledge.model import KnowledgeError

BAN = "中央财政资金不得用于网络交易平台、楼堂馆所建设"
ENTRY = """
- id: {id}
  title: 试验{id}
  statement: 试验。
  basis: {basis}
  asks: [{form}]
  cite: {{notice: {notice}, clause: {clause}, quote: "{quote}"}}
{more}"""


def entry(name: str, **parts: str) -> str:
    sound = {"basis": "有明确规定", "form": f"试验问法{name}", "notice": "demonstration-2020", "clause": "三¶3"}
    return ENTRY.format(**{"quote": BAN, "more": "", **sound, **parts}, id=name)


RULE = """
- id: planted-rule
  title: 试验规则
  entries: [no-such-entry]
  facts: [delivery_days]
  cases:
    - {name: 快, when: delivery_days <= 3, statement: 快, cite: &c {notice: demonstration-2020, clause: 三¶3, quote: "中央财政资金不得用于网络交易平台"}}
    - {name: 慢, when: delivery_days > 3, statement: 慢, cite: *c}
  tests:
    - {given: {delivery_days: "3"}, expect: 快}
    - {given: {delivery_days: "4"}, expect: 慢}
"""

TRUE_TEST, FALSE_TEST = [f'    - {{given: {{delivery_days: "5"}}, expect: {expected}}}\n' for expected in ("慢", "快")]


@pytest.fixture(scope="session")
def clean(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the real notices and word list, and one sound entry: quick to read."""
    folder = tmp_path_factory.mktemp("knowledge") / "data"
    shutil.copytree(DATA / "notices", folder / "notices")
    for name in ("synonyms.yaml", "phrases.yaml"):
        shutil.copy(DATA / name, folder)
    for name in ("entries", "unanswered", "rules"):
        (folder / name).mkdir()
    (folder / "entries" / "sound.yaml").write_text(entry("sound"), encoding="utf-8")
    (folder / "rules" / "expense.yaml").write_text("[]", encoding="utf-8")
    (folder / "rules" / "policy.yaml").write_text("[]", encoding="utf-8")
    return folder


@pytest.fixture
def folder(clean: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(clean, tmp_path / "data"))


Plant = Callable[[Path], None]


def write(name: str, text: str) -> Plant:
    return lambda folder: (folder / name).write_bytes(text.encode()) and None


# The fault, and what its line says: where, which item, what to do.
FAULTS: dict[str, tuple[Plant, list[str]]] = {
    "altered-quote": (
        write("entries/a.yaml", entry("altered", quote=BAN.replace("不得", "不能"))),
        ["altered", "引文不是三¶3的原文", "请逐字照录"],
    ),
    "unknown-clause": (
        write("entries/b.yaml", entry("nowhere", clause="三¶9")),
        ["demonstration-2020", "nowhere", "没有条款“三¶9”", "请核对条款号"],
    ),
    "unknown-notice": (
        write("entries/c.yaml", entry("stranger", notice="no-notice")),
        ["no-notice", "stranger", "请核对条款号"],
    ),
    "duplicate-id": (
        write("entries/d.yaml", entry("twice", form="甲问") + entry("twice", form="乙问")),
        ["twice", "id 重复", "请改名"],
    ),
    "duplicate-form": (
        write("entries/e.yaml", entry("copy", form="试验问法sound")),
        ["试验问法sound", "sound", "请只留一处"],
    ),
    "broken-yaml": (
        write("entries/f.yaml", "- id: fine\n  title: 好\n  asks: [没有收尾\n"),
        ["f.yaml：第4行", "请检查缩进、引号和冒号"],
    ),
    "unknown-key": (
        write("entries/g.yaml", entry("strange", more="  colour: red\n")),
        ["g.yaml：strange", "项目 colour 无法识别", "请改正或删去"],
    ),
    "bad-date": (
        write("entries/h.yaml", entry("undated", more="  deadline: 4月30日\n")),
        ["h.yaml：undated", "日期“4月30日”无法识别", "2020-04-30"],
    ),
    "bad-status": (
        write("entries/i.yaml", entry("unsure", basis="大概")),
        ["i.yaml：unsure", "状态“大概”无法识别", "可用"],
    ),
    "no-twin": (
        write("entries/j.yaml", entry("lonely", more="  twin: no-such-twin\n")),
        ["lonely", "twin 指向的“no-such-twin”不存在"],
    ),
    "other-coding": (
        lambda folder: (folder / "entries/k.yaml").write_bytes("- id: 编码".encode("gb18030")) and None,
        ["k.yaml：全文", "不是 UTF-8 编码，请另存为 UTF-8"],
    ),
    "rule-without-entry": (
        write("rules/policy.yaml", RULE + TRUE_TEST),
        ["policy.yaml：planted-rule", "entries 中的“no-such-entry”不存在"],
    ),
    "no-id": (write("unanswered/l.yaml", "- title: 无名\n"), ["l.yaml：第1项", "缺少 id", "- id:"]),
    "bad-outcome": (
        write("rules/expense.yaml", "- id: maybe\n  outcome: 也许\n"),
        ["expense.yaml：maybe", "outcome 只能是 禁止、支持、两边都沾"],
    ),
}


def problems(folder: Path) -> list[str]:
    with pytest.raises(KnowledgeError) as caught:
        read(folder)
    assert str(caught.value) == "\n".join(caught.value.problems)
    return caught.value.problems


def test_the_copy_is_sound_before_a_fault_is_planted(folder: Path) -> None:
    assert [one.id for one in read(folder).entries] == ["sound"]


@pytest.mark.parametrize("fault", list(FAULTS))
def test_a_planted_fault_is_named_with_its_remedy(folder: Path, fault: str) -> None:
    plant, words = FAULTS[fault]
    plant(folder)
    [line] = problems(folder)
    for word in words:
        assert word in line


def test_all_faults_are_listed_at_once(folder: Path) -> None:
    for plant, _ in FAULTS.values():
        plant(folder)
    (folder / "notices" / "broken.txt").write_text("id: broken\n没有分隔行", encoding="utf-8")
    listed = problems(folder)
    text = "\n".join(listed)
    assert "broken.txt：缺少文件头与正文之间的分隔行" in text
    # Without its notices no clause is known, so the altered quotation is reported as a clause that is not there.
    for fault in set(FAULTS) - {"altered-quote"}:
        assert any(all(word in line for word in FAULTS[fault][1]) for line in listed), fault


def test_all_faults_but_a_notice_are_listed_at_once(folder: Path) -> None:
    for plant, _ in FAULTS.values():
        plant(folder)
    listed = problems(folder)
    assert len(listed) == len(FAULTS)
    for fault, (_, words) in FAULTS.items():
        assert any(all(word in line for word in words) for line in listed), fault


def test_a_failing_rule_test_says_what_came_out(folder: Path) -> None:
    text = (RULE + FALSE_TEST).replace("[no-such-entry]", "[sound]")
    (folder / "rules" / "policy.yaml").write_text(text, encoding="utf-8")
    [line] = problems(folder)
    assert line.startswith("policy.yaml：planted-rule：given")
    assert "应得“快”，实得“慢”" in line


def test_a_rule_with_two_tests_is_too_little_tested(folder: Path) -> None:
    (folder / "rules" / "policy.yaml").write_text(RULE.replace("[no-such-entry]", "[sound]"), encoding="utf-8")
    [line] = problems(folder)
    assert line == "policy.yaml：planted-rule：至少要有三个测试，边界两侧都要有。"


def test_the_digest_follows_content_and_names_only(folder: Path, tmp_path: Path) -> None:
    first = digest_of(read_files(folder))
    copy = Path(shutil.copytree(folder, tmp_path / "elsewhere"))
    (copy / "entries" / "sound.yaml").touch()
    assert digest_of(read_files(copy)) == first
    assert read(copy).edition == read(folder).edition == f"1-{first[:8]}"
    assert pack(read_files(copy)) == pack(read_files(folder))
    (copy / "entries" / "sound.yaml").write_text(entry("sound") + "\n", encoding="utf-8")
    assert digest_of(read_files(copy)) != first
    assert read(copy).edition != read(folder).edition
    assert pack(read_files(copy)) != pack(read_files(folder))
    shutil.move(folder / "entries" / "sound.yaml", folder / "entries" / "other.yaml")
    assert digest_of(read_files(folder)) != first


def test_a_publication_number_opens_the_edition(kb: KnowledgeBase) -> None:
    numbered = kb.numbered(7)
    assert numbered.edition == f"7-{kb.digest[:8]}"
    assert numbered.matcher is kb.matcher


def test_every_citation_is_a_part_of_its_clause(kb: KnowledgeBase) -> None:
    cited = _cites(kb.entries, kb.expenses, kb.rules.values())
    assert len(cited) > len(kb.entries) / 2
    wrong = [(name, one.clause) for name, one in cited if one.quote not in kb.clauses[one.notice, one.clause].full]
    assert wrong == []
    onward = [one.onward for one in kb.entries if one.onward]
    assert {cite.quote for cite in onward} <= {cite.quote for _, cite in cited}
    assert all(kb.citation(cite, date(2020, 6, 1)).quote == cite.quote for _, cite in cited)


def test_what_is_written_has_a_citation(kb: KnowledgeBase) -> None:
    assert [one.id for one in kb.entries if not one.absent and not one.cites] == []
