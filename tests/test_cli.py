"""The command line, run as an operator runs it."""

import json
import subprocess
from pathlib import Path

import pytest

from tests.commands import Program


def lines(done: subprocess.CompletedProcess[str]) -> list[dict[str, object]]:
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


def test_ask_prints_the_card(program: Program) -> None:
    done = program("ask", "专项资金能不能给站长发工资", "--on", "2020-06-01")
    assert done.returncode == 0
    assert done.stdout.startswith("不可以（仅指中央财政资金）。")
    assert done.stderr == ""


def test_ask_json_with_facts_and_date(program: Program) -> None:
    words = ("ask", "问题整改什么时候完成", "--json", "--on", "2020-07-01")
    done = program(*words, "--fact", "batch_year=2016", "--fact", "evaluated=yes")
    [answer] = lines(done)
    assert "6月30日" in str(answer["headline"])
    assert "时限已过（2020年6月30日）" in str(answer["text"])
    assert answer["as_of"] == "2020-07-01"


@pytest.mark.parametrize(
    ("words", "named"),
    [
        (("ask",), "问题"),
        (("ask", "x", "--batch", "y"), "问题"),
        (("ask", "x", "--fact", "planet=1"), "planet"),
        (("ask", "x", "--fact", "batch_year"), "KEY=VALUE"),
        (("ask", "x", "--fact", "use_rate=很多"), "use_rate"),
        (("ask", "x", "--on", "昨天"), "昨天"),
        (("ask", "--batch", "no-such-file"), "no-such-file"),
    ],
)
def test_a_wrong_call_exits_2_and_says_what_to_write(program: Program, words: tuple[str, ...], named: str) -> None:
    done = program(*words)
    assert done.returncode == 2
    assert named in done.stderr
    assert "Traceback" not in done.stderr
    assert done.stdout == ""


def test_a_batch_answers_line_by_line_and_goes_on_after_a_bad_one(program: Program, tmp_path: Path) -> None:
    rows = [
        {"id": "a", "q": "二次申报要什么条件", "session": "s", "on": "2020-06-01"},
        "{broken",
        {"id": "c"},
        {"id": "d", "q": "x", "on": "never"},
        {"id": "e", "q": "x", "facts": {"planet": "1"}},
        {"id": "f", "q": "我们只有88%呢", "session": "s", "on": "2020-06-01"},
        {"id": "g", "q": "我们只有88%呢", "session": "other", "on": "2020-06-01"},
    ]
    typed = "\n".join(row if isinstance(row, str) else json.dumps(row, ensure_ascii=False) for row in rows)
    answers = lines(program("ask", "--batch", "-", typed=typed, cwd=tmp_path))
    assert [answer["id"] for answer in answers] == ["a", "line-2", "c", "d", "e", "f", "g"]
    assert [answer["kind"] for answer in answers[1:5]] == ["error"] * 4
    assert answers[5]["route"] == "rule:reapplication"
    assert answers[5]["verdict"] == "no"
    assert answers[6]["route"] == "rule:two-rates"
    assert list(tmp_path.iterdir()) == []


def test_chat_reads_a_script_from_a_pipe(program: Program) -> None:
    done = program("chat", "--on", "2020-06-01", typed="菜单\n2\n那两个90%有什么区别\n")
    menu, conditions, figures = done.stdout.strip().split("\n\n")
    assert "2. 验收条件" in menu
    assert "90%" in conditions
    assert "四第3段" in figures
    assert "四（二）" in figures


def test_notices_are_listed_and_shown_clause_by_clause(program: Program) -> None:
    listed = program("notice", "list").stdout
    assert "144-2020\t商办建函〔2020〕144号" in listed
    assert "demonstration-2020\t（未标文号）" in listed
    shown = program("notice", "show", "144-2020").stdout
    assert "[附件1-6.1] 1.工作规范：" in shown
    missing = program("notice", "show", "nothing")
    assert missing.returncode == 1
    assert "144-2020" in missing.stderr


def test_knowledge_check_counts_and_names_uncovered_clauses(program: Program) -> None:
    done = program("knowledge", "check")
    assert done.returncode == 0
    assert "条款 89" in done.stdout
    assert "没有问答" not in done.stdout


@pytest.mark.parametrize(
    ("toml", "environment", "named"),
    [
        ("[planet]\nx = 1\n", {}, ["planet"]),
        ("[web]\nport = 1\n[clock]\nnow = 'later'\n", {}, ["web.port", "clock.now"]),
        ("[web\n", {}, ["countydesk.toml"]),
        ("", {"COUNTYDESK_PLANET__X": "1"}, ["COUNTYDESK_PLANET__X"]),
    ],
)
def test_unusable_settings_stop_the_start_and_are_all_named(
    program: Program,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    toml: str,
    environment: dict[str, str],
    named: list[str],
) -> None:
    (tmp_path / "countydesk.toml").write_text(toml, encoding="utf-8")
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    done = program("db", "upgrade", cwd=tmp_path)
    assert done.returncode == 1
    for name in named:
        assert name in done.stderr
    assert "Traceback" not in done.stderr


def test_open_questions_are_listed_and_answered_from_the_command_line(program: Program, tmp_path: Path) -> None:
    from bot.app import assistant
    from bot.installation import open_database
    from bot.messages import Inbound
    from bot.settings import Paths, Settings
    from bot.turns import TurnThread
    from knowledge.base import load
    from tests.conftest import JUNE

    sessions = open_database(Settings(paths=Paths(data=tmp_path / "data")))
    turns = TurnThread(assistant(load()), sessions)
    said = Inbound(channel="web", message_id="m", address="a", text="一个村级站点补多少钱", at=JUNE)
    turns.submit(said).result(timeout=30)
    turns.stop()
    [row] = lines(program("questions", "list", "--json", cwd=tmp_path))
    assert (row["question"], row["asked"]) == ("一个村级站点补多少钱", 1)
    words = ("questions", "answer", str(row["id"]), "--text", "由省里定。", "--notice", "demonstration-2020")
    refused = program(*words, "--clause", "六(二)", "--quote", "不是原文", "--officer", "样例", cwd=tmp_path)
    assert refused.returncode == 1
    assert "逐字照录" in refused.stderr
    quote = "细化资金支持方向和奖补标准"
    done = program(*words, "--clause", "六(二)", "--quote", quote, "--officer", "样例", cwd=tmp_path)
    assert done.returncode == 0
    assert "1人" in done.stdout
    assert quote in (tmp_path / "data" / "notices" / "own-1.draft").read_text(encoding="utf-8")
    assert program("questions", "list", "--json", cwd=tmp_path).stdout == ""
