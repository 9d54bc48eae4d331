"""Editions: an import waits, another person confirms or publishes it, every running process follows, and back again."""

import json
from collections.abc import Callable
from datetime import date
from pathlib import Path

import httpx
import pytest
from typer.testing import CliRunner

from bot import app as composition
from bot.__main__ import app
from knowledge.base import load, load_files, read_files, write_files
from knowledge.impact import impact
from knowledge.model import KnowledgeError
from tests.fakes.server import running, until
from tests.importing.support import SAMPLES, load_sample

KEPT = ("notices", "synonyms", "phrases", "checklists", "rules/facts", "rules/expense", "unanswered/outside")
FEW = {name: content for name, content in read_files().items() if name.startswith(KEPT)} | {"rules/policy.yaml": b"[]"}
CALL = next(load_sample(path) for path in SAMPLES if path.stem == "call")
Run = Callable[..., tuple[int, str]]


@pytest.fixture(autouse=True)
def program(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A program that comes with few files: indexing all of them takes many seconds an edition."""
    folder = tmp_path / "program"
    write_files(FEW, folder)
    for function in (read_files, load):
        monkeypatch.setattr(function, "__defaults__", (folder, None))
    return folder


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """The command line on a data folder of its own: exit code and output, errors included."""
    monkeypatch.setenv("COUNTYDESK_PATHS__DATA", str(tmp_path / "data"))

    def call(*words: str, typed: str = "") -> tuple[int, str]:
        done = CliRunner().invoke(app, list(words), input=typed)
        if isinstance(done.exception, KnowledgeError):  # main() prints it and exits 1
            return 1, str(done.exception)
        assert done.exception is None or isinstance(done.exception, SystemExit), done.exception
        return done.exit_code, done.output if done.exit_code else done.stdout

    return call


def test_an_import_waits_for_another_person_and_reaches_every_running_process(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(composition, "FOLLOWS_EVERY_S", 0.2)
    with running(tmp_path) as one, running(tmp_path) as other:

        def status() -> set[int]:
            return {httpx.get(f"{site.url}/notice/88-2023").status_code for site in (one, other)}

        assert "没有可发布的改动" in run("knowledge", "publish")[1]
        run("notice", "import", "-", "--by", "张三", typed="\n".join(CALL.lines))
        assert status() == {404}
        code, out = run("knowledge", "publish", "--by", "张三")
        assert code == 1
        assert "88-2023是张三导入的，须由另一人确认（notice confirm）或发布" in out
        assert run("knowledge", "publish")[0] == 1
        confirm = ("notice", "confirm", "88-2023", "--number", "示商电函〔2023〕88号", "--reason", "与印发件核对")
        assert "须由另一人核对" in run(*confirm, "--by", "张三")[1]
        assert run(*confirm, "--by", "李四")[0] == 0
        told = run("knowledge", "publish", "--by", "张三", "--dry-run")[1]
        assert "新增文件 88-2023" in told
        assert "已发布第2版" not in told
        assert "已发布第2版" in run("knowledge", "publish", "--by", "张三", "--note", "收录申报通知")[1]
        until(lambda: status() == {200})
        asked = {"q": "申报主体什么时候网上填报", "on": "2023-03-01"}
        assert httpx.post(f"{other.url}/api/v1/ask", json=asked, timeout=60).json()["edition"].startswith("2-")

        listed = run("knowledge", "editions")[1].splitlines()
        assert [line.split("\t")[0] for line in listed] == ["* 2", "1"]
        assert "张三\t收录申报通知" in listed[0]
        assert "删去文件 88-2023" in run("knowledge", "rollback", "1", "--by", "李四")[1]
        until(lambda: status() == {404})
        assert run("knowledge", "rollback", "1")[0] == 1
        assert run("knowledge", "rollback", "9")[0] == 1
    with running(tmp_path) as again:  # a restart keeps what was chosen
        assert httpx.get(f"{again.url}/notice/88-2023").status_code == 404


def test_an_exported_edition_is_the_same_knowledge(run: Run, tmp_path: Path) -> None:
    folder = tmp_path / "out"
    assert "第1版" in run("knowledge", "export", str(folder))[1]
    assert load(folder).digest == load().digest
    code, out = run("knowledge", "export", str(folder))
    assert code == 1
    assert "不是空文件夹" in out


def test_newer_files_of_the_program_are_published_with_what_was_imported_before(run: Run, program: Path) -> None:
    run("notice", "import", "-", typed="\n".join(CALL.lines))
    run("knowledge", "publish", "--dry-run")  # the first start publishes what there is
    run("notice", "import", "-", typed="\n".join(CALL.lines).replace("示商电函", "示商贸函"))
    phrases = program / "phrases.yaml"
    phrases.write_bytes(phrases.read_bytes() + b"\n")
    listed = run("knowledge", "editions")[1].splitlines()
    assert [line.split("\t")[0] for line in listed] == ["* 2", "1"]
    told = run("knowledge", "publish", "--dry-run")[1]
    assert "新增文件 88-2023-2" in told
    assert "新增文件 88-2023 " not in told


def test_what_a_confirmed_notice_supersedes_is_told_before_and_after_it_is_published(run: Run, tmp_path: Path) -> None:
    newer = tmp_path / "data" / "notices" / "9-2020.txt"
    newer.parent.mkdir(parents=True)
    text = """id: 9-2020
number: 示商电发〔2020〕9号
title: 示例省商务厅关于负面清单的通知
issuer: 示例省商务厅
issued: 2020-05-01
text_status: {status}
source: 粘贴
supersedes: demonstration-2020#三¶3 by 一 | 7-2010
---
示例省商务厅关于负面清单的通知
一、中央财政资金不得用于发放津贴补贴。
"""
    newer.write_text(text.format(status="unverified"), encoding="utf-8")
    checked = run("knowledge", "check")[1]
    assert "尚未生效的取代：9-2020 写明取代 demonstration-2020三第3段，文本尚未与印发件核对" in checked
    assert "引用了已废止的条款" not in checked
    run("knowledge", "publish")
    newer.write_text(text.format(status="official"), encoding="utf-8")
    stale = "引用了已废止的条款，不再据以答复：expense-trading-platform 引 《关于做好2020年电子商务进农村综合示范工作的通知》三"
    told = run("knowledge", "publish", "--dry-run")[1]
    assert stale in told
    assert "今后一年的提醒没有变化" in told
    assert stale in run("knowledge", "check")[1]
    assert "写明取代 7-2010，所指文件不在库中" in run("knowledge", "check")[1]
    assert "[三¶3]（已废止）" in run("notice", "show", "demonstration-2020")[1]
    assert run("knowledge", "publish")[0] == 0
    for on, notice in (("2020-04-30", "demonstration-2020"), ("2020-05-01", "9-2020")):
        out = run("ask", "专项资金能不能发津贴补贴", "--on", on, "--json")[1]
        assert {one["notice_id"] for one in json.loads(out)["citations"]} == {notice}, out
    said = run("chat", "--on", "2020-06-01", typed="48号文三¶3怎么规定\n")[1]
    assert "已废止（被《示例省商务厅关于负面清单的通知》（示商电发〔2020〕9号）一取代）" in said


def test_the_impact_names_what_changes_and_the_answers_that_do() -> None:
    before = load()
    assert not impact(before, before, ["大屏能装吗"], date(2020, 6, 1)).differences
    name = "notices/demonstration-2020.txt"
    repealed = FEW | {name: FEW[name].replace(b"text_status:", b"repealed: 2020-05-01\ntext_status:", 1)}
    found = impact(before, load_files(repealed), ["专项资金能不能发工资", "你好"], date(2020, 6, 1))
    [notice] = found.differences
    assert (notice.what, notice.kind, notice.id, notice.detail) == ("notice", "changed", "demonstration-2020", 0)
    assert [question for question, _, _ in found.answers] == ["专项资金能不能发工资"]
