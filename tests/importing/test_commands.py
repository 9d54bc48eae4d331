"""`notice import`, `confirm` and `diff`, and what an imported notice answers, run as an operator runs them."""

import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import date
from pathlib import Path

import pytest
import yaml
from typer.testing import CliRunner

from bot.__main__ import app
from knowledge.answer import answer
from knowledge.base import DATA, KnowledgeBase, all_notices, read
from knowledge.importing.draft import draft_of, store
from knowledge.model import Answer, KnowledgeError
from tests.importing.support import SAMPLES, UNSEEN, load_sample

SAMPLE = {path.stem: load_sample(path) for path in (*SAMPLES, *UNSEEN)}
QUESTIONS = yaml.safe_load((Path(__file__).parent / "questions.yaml").read_text(encoding="utf-8"))
NOTICES = Path(__file__).parent.parent / "notices"
ON = date(2024, 3, 1)
Run = Callable[..., tuple[int, str]]


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """The command line on a data folder of its own: exit code and output, errors included."""
    monkeypatch.setenv("COUNTYDESK_PATHS__DATA", str(tmp_path / "data"))

    def call(*words: str, typed: str = "") -> tuple[int, str]:
        done = CliRunner().invoke(app, ["notice", *words], input=typed)
        if isinstance(done.exception, KnowledgeError):  # main() prints it and exits 1
            return 1, str(done.exception)
        assert done.exception is None or isinstance(done.exception, SystemExit), done.exception
        return done.exit_code, done.output if done.exit_code else done.stdout

    return call


def written(name: str, folder: Path) -> str:
    path = folder / f"{name}.txt"
    path.write_text("\n".join(SAMPLE[name].lines), encoding="utf-8")
    return str(path)


def test_a_dry_run_prints_the_contract_and_keeps_nothing(run: Run, tmp_path: Path) -> None:
    code, out = run("import", written("call", tmp_path), "--dry-run", "--json")
    assert code == 0
    row = json.loads(out)
    keys = "number title issuer issued text_status clauses deadlines percentages amounts prohibitions warnings"
    assert list(row) == keys.split()
    assert (row["number"], row["issued"], row["text_status"]) == ("示商电函〔2023〕88号", "2023-02-20", "unverified")
    assert row["clauses"][0] == {"label": "导语", "text": "示商电函〔2023〕88号"}
    due = row["deadlines"][0]
    assert (due["date"], due["time"], due["granularity"], due["clause"]) == ("2023-03-14", "12:00", "time", "二(一)")
    assert (due["who"], due["recurring"]) == ("申报主体", False)
    assert {"text", "value", "op", "clause"} <= set(row["percentages"][0])
    assert {"text", "clause"} == set(row["prohibitions"][0])
    assert not (tmp_path / "data").exists()


def test_an_import_is_kept_confirmed_and_listed(run: Run, tmp_path: Path) -> None:
    code, out = run("import", written("call", tmp_path))
    assert code == 0
    assert "已入库：88-2023" in out
    assert "countydesk notice confirm 88-2023 --number 示商电函〔2023〕88号" in out
    assert "88-2023\t示商电函〔2023〕88号" in run("list")[1]
    assert "文本未核对" in run("list")[1].splitlines()[-1]
    assert "[二(一)] （一）网上填报。" in run("show", "88-2023")[1]
    code, out = run("confirm", "88-2023", "--number", "示商电函〔2023〕88号", "--reason", "与印发件逐字核对")
    assert code == 0
    assert run("list")[1].splitlines()[-1].endswith("正式文本")
    kept = (tmp_path / "data" / "notices" / "88-2023.txt").read_text(encoding="utf-8")
    assert "与印发件逐字核对" in kept
    assert kept.partition("\n---\n")[2].splitlines() == SAMPLE["call"].lines


def test_nothing_is_overwritten(run: Run, tmp_path: Path) -> None:
    path = written("call", tmp_path)
    run("import", path)
    kept = tmp_path / "data" / "notices" / "88-2023.txt"
    before = kept.read_bytes()
    code, out = run("import", path)
    assert code == 1
    assert "已在库中（88-2023），没有覆盖" in out
    assert kept.read_bytes() == before
    assert [one.name for one in kept.parent.iterdir()] == ["88-2023.txt"]
    code, out = run("import", str(NOTICES / "144-2020.supplied.txt"))
    assert code == 1
    assert "notice diff 144-2020" in out


def test_two_notices_of_one_number_and_year_get_names_of_their_own(run: Run, tmp_path: Path) -> None:
    text = "\n".join(SAMPLE["call"].lines)
    run("import", "-", typed=text)
    code, out = run("import", "-", typed=text.replace("示商电函", "示商贸函"))
    assert code == 0
    assert "88-2023-2" in out


@pytest.mark.parametrize(
    ("words", "named"),
    [
        (("confirm", "none", "--number", "示商〔2023〕8号", "--reason", "核对"), "notice list"),
        (("confirm", "../x", "--number", "示商〔2023〕8号", "--reason", "核对"), "notice list"),
        (("confirm", "demonstration-2020", "--number", "48号文", "--reason", "核对"), "〔2020〕"),
        (("confirm", "demonstration-2020", "--number", "财办建〔2020〕48号", "--reason", " "), "--reason"),
        (("confirm", "144-2020", "--number", "商办建函〔2020〕144号", "--reason", "核对"), "已是正式文本"),
        (("diff", "144-2020", "none"), "没有文件“none”"),
        (("show", "none"), "144-2020"),
        (("import", "none.docx"), "找不到"),
    ],
)
def test_a_wrong_word_is_refused_with_a_remedy(words: tuple[str, ...], named: str, run: Run, tmp_path: Path) -> None:
    code, out = run(*words)
    assert code == 1
    assert named in out
    assert not (tmp_path / "data").exists()


def test_a_text_without_title_is_not_kept(run: Run, tmp_path: Path) -> None:
    code, out = run("import", "-", typed="各市商务局：\n一、请认真落实各项工作任务，及时报送有关材料和数据。\n")
    assert code == 1
    assert "没有读到标题、发文机关" in out
    assert not (tmp_path / "data").exists()


def test_a_number_other_than_the_printed_one_is_refused(run: Run, tmp_path: Path) -> None:
    run("import", written("call", tmp_path))
    code, out = run("confirm", "88-2023", "--number", "示商电函〔2023〕89号", "--reason", "核对")
    assert code == 1
    assert "不一致" in out


def test_a_confirmed_shipped_notice_is_quoted_under_its_number(run: Run, tmp_path: Path) -> None:
    run("confirm", "demonstration-2020", "--number", "财办建〔2020〕48号", "--reason", "与印发件逐字核对")
    notices = all_notices(DATA, tmp_path / "data" / "notices")
    [one] = [notice for notice in notices if notice.id == "demonstration-2020"]
    assert (one.number, one.text_status) == ("财办建〔2020〕48号", "official")
    assert [clause.label for clause in one.clauses][-1] == "六(五)¶2"


def test_a_difference_is_shown_clause_by_clause(run: Run) -> None:
    code, out = run("diff", "144-2020", str(NOTICES / "144-2020.supplied.txt"))
    assert code == 0
    assert out.splitlines() == [
        "改动 [附件1-4.1] 1.物流整合：针对县……伸，提升共同配送效率〔-和-〕〔+ and +〕市场化可持续发展能力。",
        "共1处不同。",
    ]
    assert run("diff", "144-2020", "144-2020")[1] == "两份文本相同。\n"


# --- answering -----------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def with_sample(
    kb: KnowledgeBase, tmp_path_factory: pytest.TempPathFactory
) -> Callable[[str], tuple[KnowledgeBase, str]]:
    """The knowledge with one sample imported, and that notice's id."""

    def load(name: str) -> tuple[KnowledgeBase, str]:
        folder = tmp_path_factory.mktemp("imported")
        path = store(draft_of("\n".join(SAMPLE[name].lines)), folder, kb.notices, name)
        notices = tuple(all_notices(DATA, folder))
        clauses = {(one.notice_id, one.label): one for notice in notices for one in notice.clauses}
        grown = replace(kb, notices=notices, clauses=clauses, answered={}, views={})
        grown.__dict__.update(matcher=kb.matcher, repairer=kb.repairer)  # what is costly to build again
        return grown, path.stem

    return load


def asked(base: KnowledgeBase, name: str) -> Iterator[tuple[Answer, list[str]]]:
    for question, gold in QUESTIONS[name]:
        yield answer(base, question, on=ON), gold


@pytest.mark.parametrize(
    ("names", "least"),
    [(("station", "measures", "call", "joint", "training"), 40), (("media",), 20), (("commerce",), 20)],
)
def test_an_unseen_notice_answers_before_anybody_writes_an_entry(
    names: tuple[str, ...], least: int, with_sample: Callable[[str], tuple[KnowledgeBase, str]]
) -> None:
    right, total = 0, 0
    for name in names:
        base, notice_id = with_sample(name)
        for found, gold in asked(base, name):
            main = found.citations[0] if found.citations else None
            right += found.kind == "answer" and main is not None and main.notice_id == notice_id and main.clause in gold
            total += 1
    assert total >= least
    assert right / total >= 0.8


def test_what_an_imported_notice_does_not_say_is_refused(
    with_sample: Callable[[str], tuple[KnowledgeBase, str]],
) -> None:
    base, _ = with_sample("station")
    assert [answer(base, question, on=ON).kind for question in QUESTIONS["refused"]] == ["abstain"] * 6


def test_a_clause_is_quoted_whole_with_the_words_that_open_its_list(
    with_sample: Callable[[str], tuple[KnowledgeBase, str]],
) -> None:
    base, notice_id = with_sample("measures")
    found = answer(base, "可以用来偿还债务吗", on=ON)
    assert [(one.clause, one.quote) for one in found.citations] == [
        ("第七条(三)", "（三）偿还债务。"),
        ("第七条", "第七条 资金不得用于下列支出："),
    ]
    found = answer(base, "评审公示期要多少天", on=ON)
    assert found.verdict == "info"
    assert found.citations[0].quote == base.clauses[notice_id, "第九条"].text
    assert found.notes == ("文本尚未与印发件核对",)


def test_a_question_that_names_a_curated_notice_is_not_answered_from_another(
    with_sample: Callable[[str], tuple[KnowledgeBase, str]],
) -> None:
    base, _ = with_sample("station")
    found = answer(base, "48号文的联系人电话是多少", on=ON)
    assert found.kind == "abstain"


def test_the_program_answers_from_an_imported_notice(run: Run, tmp_path: Path) -> None:
    run("import", written("joint", tmp_path))
    assert "notice-2024" in {notice.id for notice in read(imported=tmp_path / "data" / "notices").notices}
