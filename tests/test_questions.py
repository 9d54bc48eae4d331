"""What was refused or disputed is kept, grouped, answered once, and told to everyone who asked."""

from datetime import timedelta

import pytest
import yaml

from bot.app import Desk
from bot.messages import Refused
from handlers import desk as office
from knowledge.files import Problems, load_entries
from knowledge.model import Cite
from storage.db import transaction
from storage.scope import SYSTEM, serving
from tests.conftest import JUNE, Talk

CLAUSE = Cite(notice="demonstration-2020", clause="六(二)", quote="因地制宜制定实施方案，细化资金支持方向和奖补标准")
ANSWER = "每个站点的补助标准由省级主管部门细化，请以本省文件为准。"


def settle(running: Desk, number: int, cite: Cite = CLAUSE, text: str = ANSWER) -> office.Settled:
    with transaction(running.sessions) as db, serving(db, SYSTEM):
        return office.settle(db, running.kb, number, text, cite, "样例审核人", JUNE)


def listed(running: Desk) -> list[dict[str, object]]:
    with transaction(running.sessions) as db, serving(db, SYSTEM):
        return [office.as_json(group) for group in office.groups(db, running.kb)]


def test_refused_questions_are_grouped_by_likeness_and_counted(talk: Talk, running: Desk) -> None:
    talk("一个村级站点补多少钱", who="a")
    talk("一个村级站点补贴多少钱", who="b")
    talk("2021年的示范县名单有哪些", who="c")
    talk("二次申报要什么条件", who="d")
    groups = listed(running)
    assert [(group["question"], group["asked"]) for group in groups] == [
        ("一个村级站点补多少钱", 2),
        ("2021年的示范县名单有哪些", 1),
    ]
    assert groups[0]["also"] == ["一个村级站点补贴多少钱"]


def test_an_answer_is_told_once_to_everyone_who_asked_with_its_clause(talk: Talk, running: Desk) -> None:
    talk("一个村级站点补多少钱", who="a")
    talk("一个村级站点补贴多少钱", who="b")
    talk("2021年的示范县名单有哪些", who="c")
    number = int(str(listed(running)[0]["id"]))
    assert settle(running, number).told == 2
    for who in ("a", "b"):
        text = talk("你好", who=who, at=JUNE + timedelta(hours=1)).text
        assert ANSWER in text
        assert f"“{CLAUSE.quote}”" in text
        assert "六（二）" in text
        assert ANSWER not in talk("你好", who=who, at=JUNE + timedelta(hours=2)).text
    assert ANSWER not in talk("你好", who="c").text
    assert [group["question"] for group in listed(running)] == ["2021年的示范县名单有哪些"]


def test_what_is_owed_comes_again_with_the_retried_message(talk: Talk, running: Desk) -> None:
    talk("一个村级站点补多少钱", who="a")
    settle(running, int(str(listed(running)[0]["id"])))
    first = talk("你好", who="a", message_id="again")
    assert ANSWER in first.text
    assert talk("你好", who="a", message_id="again") == first


def test_the_answer_becomes_a_draft_entry_that_the_program_can_read(
    talk: Talk, running: Desk, tmp_path_factory: pytest.TempPathFactory
) -> None:
    talk("一个村级站点补多少钱")
    draft = settle(running, int(str(listed(running)[0]["id"]))).draft
    folder = tmp_path_factory.mktemp("drafts")
    (folder / "draft.yaml").write_text(draft, encoding="utf-8")
    problems = Problems()
    [entry] = load_entries(folder, problems)
    assert problems.lines == []
    assert entry.statement == ANSWER
    assert entry.cites == (CLAUSE,)
    assert [form.text for form in entry.forms] == ["一个村级站点补多少钱"]
    assert yaml.safe_load(draft)[0]["basis"] == "有明确规定"


@pytest.mark.parametrize(
    ("cite", "text", "said"),
    [
        (Cite(notice="demonstration-2020", clause="九", quote="x"), ANSWER, "没有条款"),
        (Cite(notice="demonstration-2020", clause="六(二)", quote="细化奖补的标准"), ANSWER, "逐字照录"),
        (Cite(notice="demonstration-2020", clause="六(二)", quote=""), ANSWER, "逐字照录"),
        (CLAUSE, "  ", "写明答复"),
    ],
)
def test_an_answer_without_an_exact_clause_is_refused_and_nothing_changes(
    talk: Talk, running: Desk, cite: Cite, text: str, said: str
) -> None:
    talk("一个村级站点补多少钱")
    before = listed(running)
    with pytest.raises(Refused, match=said):
        settle(running, int(str(before[0]["id"])), cite, text)
    assert listed(running) == before


def test_a_question_cannot_be_answered_twice(talk: Talk, running: Desk) -> None:
    talk("一个村级站点补多少钱")
    number = int(str(listed(running)[0]["id"]))
    settle(running, number)
    with pytest.raises(Refused, match="可能已经答复"):
        settle(running, number)


def test_a_disputed_answer_enters_the_same_list(talk: Talk, running: Desk) -> None:
    talk("二次申报要什么条件")
    assert listed(running) == []
    assert "已记下" in talk("答得不对").text
    assert [(group["question"], group["kind"]) for group in listed(running)] == [("二次申报要什么条件", "disputed")]


def test_disputing_nothing_says_so(talk: Talk) -> None:
    assert "请先提问" in talk("答得不对").text
