"""What was refused or disputed is kept, grouped, answered once, and told to everyone who asked."""

import tempfile
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import select
from sqlalchemy.orm import Session, sessionmaker

from bot.app import Desk, assistant, home
from bot.messages import Inbound, Refused
from bot.settings import Province, Settings
from bot.turns import TurnThread
from handlers import desk as office
from knowledge.base import KnowledgeBase
from knowledge.files import Problems, load_entries
from knowledge.model import Cite, KnowledgeError
from knowledge.writing import Writer, review, save, send_back
from storage import bindings, bodies, people
from storage.db import transaction
from storage.models import Question
from storage.scope import SYSTEM, Viewer, grants, serving
from tests.conftest import JUNE, Talk

CLAUSE = Cite(notice="demonstration-2020", clause="六(二)", quote="因地制宜制定实施方案，细化资金支持方向和奖补标准")
ANSWER = "每个站点的补助标准由省级主管部门细化，请以本省文件为准。"


def settle(
    running: Desk, number: int, cite: Cite = CLAUSE, text: str = ANSWER, folder: Path | None = None
) -> office.Settled:
    by = Writer(name="样例审核人")
    with tempfile.TemporaryDirectory() as made, transaction(running.sessions) as db, serving(db, SYSTEM):
        return office.settle(db, running.kb, number, text, cite, by, folder or Path(made), JUNE)


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


def test_the_answer_becomes_a_draft_entry_that_another_reviews(talk: Talk, running: Desk, tmp_path: Path) -> None:
    talk("一个村级站点补多少钱")
    name = settle(running, int(str(listed(running)[0]["id"])), folder=tmp_path).draft
    with pytest.raises(KnowledgeError, match="草稿是您写的"):
        review(
            tmp_path, running.kb, name, Writer(name="样例审核人", id=7)
        )  # a writer without a number is known by name
    review(tmp_path, running.kb, name, Writer(name="另一人", id=8))
    problems = Problems()
    [entry] = load_entries(tmp_path, problems)
    assert problems.lines == []
    assert entry.statement == ANSWER
    assert entry.cites == (CLAUSE,)
    assert [form.text for form in entry.forms] == ["一个村级站点补多少钱"]
    assert (entry.status, entry.reviewer) == ("有明确规定", "另一人")


def test_a_draft_is_its_writers_by_number_whatever_the_name(tmp_path: Path, kb: KnowledgeBase) -> None:
    name = save(tmp_path, {"title": "事项", "statement": "口径"}, Writer(name="张三", id=7))
    with pytest.raises(KnowledgeError, match="草稿是您写的"):
        review(tmp_path, kb, name, Writer(name="张三丰", id=7))  # renamed since
    send_back(tmp_path, name, Writer(name="张三", id=8), "没有依据")  # a namesake
    with pytest.raises(KnowledgeError, match="已退回"):
        review(tmp_path, kb, name, Writer(name="李四", id=9))


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


def test_a_province_sees_its_own_counties_and_people_s_questions(
    sessions: sessionmaker[Session], kb: KnowledgeBase, tmp_path: Path
) -> None:
    """And who is not bound asks the province whose office runs the installation."""
    chosen = Settings(province=Province(name="甘肃省商务厅"))
    turns = TurnThread(assistant(kb, chosen, home=home(sessions, chosen)), sessions)
    places = {"县甲": "620522", "县乙": "530122", "市甲": "620500", "省甲": "620000", "省乙": "530000"}
    viewers = {}
    with transaction(sessions) as db, serving(db, SYSTEM):
        for name, code in places.items():
            bodies.division(db, code)
            body = bodies.find_or_add(db, name=name, division_code=code)[0].id if "县" in name else None
            person, _ = people.find_or_add(db, name=name, body_id=body, now=JUNE)
            role = {"县": "county_officer", "市": "city", "省": "province_officer"}[name[0]]
            people.give_role(db, person, role, body_id=body, division_code=None if body else code, now=JUNE)
            bindings.bind(db, person, "terminal", name, JUNE)
            viewers[name] = Viewer(person_id=person.id, grants=grants(db, person.id))
    for who in (*places, "nobody"):
        inbound = Inbound(channel="terminal", message_id=who, address=who, text=f"{ASKED[who]}补多少钱", at=JUNE)
        turns.submit(inbound).result(timeout=60)
        inbound = Inbound(channel="terminal", message_id=f"{who}!", address=who, text="答得不对", at=JUNE)
        assert "已记下" in turns.submit(inbound).result(timeout=60).text
    turns.stop()
    seen = {"省甲": {"县甲", "市甲", "省甲", "nobody"}, "省乙": {"县乙", "省乙"}, "县甲": {"县甲"}}
    for who, askers in seen.items():
        foreign = number_of(sessions, "县甲" if who == "省乙" else "县乙")
        with transaction(sessions) as db, serving(db, viewers[who]):
            groups = office.groups(db, kb)
            assert {text for group in groups for text in group.texts} == {f"{ASKED[a]}补多少钱" for a in askers}
            with pytest.raises(Refused, match="可能已经答复"):
                office.settle(db, kb, foreign, ANSWER, CLAUSE, Writer(name=who), tmp_path, JUNE)


ASKED = {
    "县甲": "每个站点",
    "县乙": "每个中心",
    "市甲": "每名讲师",
    "省甲": "每台设备",
    "省乙": "每辆货车",
    "nobody": "每件包裹",
}


def number_of(sessions: sessionmaker[Session], who: str) -> int:
    with transaction(sessions) as db, serving(db, SYSTEM):
        return db.scalars(select(Question.id).where(Question.text == f"{ASKED[who]}补多少钱")).one()


def test_questions_asked_before_the_province_was_known_become_its_own(talk: Talk, running: Desk) -> None:
    talk("一个村级站点补多少钱")
    chosen = Settings(province=Province(name="甘肃省商务厅"))
    with transaction(running.sessions) as db, serving(db, SYSTEM):
        assert db.scalars(select(Question.division_code)).all() == [None]
    assert home(running.sessions, chosen) == "620000"
    with transaction(running.sessions) as db, serving(db, SYSTEM):
        assert db.scalars(select(Question.division_code)).all() == ["620000"]
    assert home(running.sessions, Settings()) is None


def test_a_disputed_answer_enters_the_same_list(talk: Talk, running: Desk) -> None:
    talk("二次申报要什么条件")
    assert listed(running) == []
    assert "已记下" in talk("答得不对").text
    assert [(group["question"], group["kind"]) for group in listed(running)] == [("二次申报要什么条件", "disputed")]


def test_disputing_nothing_says_so(talk: Talk) -> None:
    assert "请先提问" in talk("答得不对").text
