"""Conversations through the one turn path."""

import threading
from concurrent.futures import Future
from dataclasses import replace
from datetime import date, timedelta

import pytest
from sqlalchemy import select
from sqlalchemy.orm import Session

from bot.app import Desk, assistant
from bot.inputs import option_number, universal
from bot.messages import Inbound, Reply, Turn
from handlers import ask
from knowledge.answer import answer
from knowledge.base import KnowledgeBase
from storage import conversations
from storage.db import transaction
from storage.models import Conversation, Exchange, Question
from storage.scope import SYSTEM, serving
from tests.conftest import JUNE, Talk
from tests.questions import scoring


def test_an_answer_opens_with_the_conclusion_and_quotes_the_clause(talk: Talk) -> None:
    reply = talk("专项资金能不能给站长发工资")
    assert reply.text.startswith("不可以（仅指中央财政资金）。")
    assert (
        "“中央财政资金不得用于网络交易平台、楼堂馆所建设、征地拆迁、购买流量、人员经费等经常性开支以及提取工作经费等。”"
        in reply.text
    )
    assert "三第3段" in reply.text
    assert "文本未标文号，尚未与印发件核对" in reply.text


def test_a_retried_message_gets_its_stored_reply_and_changes_nothing(talk: Talk, running: Desk) -> None:
    first = talk("16年的示范县问题整改什么时候截止", message_id="m-1")
    again = talk("16年的示范县问题整改什么时候截止", message_id="m-1")
    assert again == first
    with transaction(running.sessions) as db, serving(db, SYSTEM):
        assert db.query(Exchange).count() == 1
        assert db.query(Question).count() == 1


def test_the_stored_reply_is_given_even_when_the_text_differs(talk: Talk) -> None:
    first = talk("大屏能装吗", message_id="m-2")
    assert talk("完全不同的话", message_id="m-2") == first


def test_two_people_do_not_share_a_conversation(talk: Talk) -> None:
    talk("二次申报要什么条件", who="a")
    assert talk("只有88%呢", who="b").route != "rule:reapplication"
    assert "不可以" in talk("我们只有88%呢", who="a").text


def test_a_follow_up_uses_the_rule_of_the_question_before(talk: Talk) -> None:
    talk("16年的示范县整改期限是什么时候")
    assert "绩效评价结束当年" in talk("那18年的呢").text
    assert "6月30日" in talk("那14年的呢").text


def test_a_short_question_with_a_subject_of_its_own_is_no_follow_up(talk: Talk) -> None:
    talk("绩效评价能开视频吗")
    reply = talk("验收要不要第三方")
    assert reply.answer is not None
    assert reply.answer["citations"][0]["clause"] == "四(二)"
    assert reply.text.startswith("需要")


def test_a_correction_replaces_the_fact(talk: Talk) -> None:
    assert "未达到" in talk("拨付率85%能二次申报吗").text
    assert "92%" in talk("不对，是92%").text


def test_a_follow_up_is_forgotten_after_ten_minutes(talk: Talk) -> None:
    talk("二次申报要什么条件")
    late = talk("我们只有88%呢", at=JUNE + timedelta(minutes=11))
    assert late.route != "rule:reapplication"


def test_a_stated_fact_is_remembered_and_shown_with_the_answer(talk: Talk) -> None:
    talk("拨付率92%能二次申报吗")
    assert "按您提供的情况：资金拨付率92%" in talk("二次申报要什么条件").text


def test_what_a_question_is_about_is_not_remembered_of_the_asker(talk: Talk) -> None:
    """边远地区也要持平吗 made every later answer speak to a remote county."""
    assert "边远地区不在此列" in talk("边远地区的快递费也要和省会一样吗").text
    assert "边远地区不在此列" not in talk("快递成本必须与省会城市持平吗").text


def test_a_missing_fact_is_offered_and_picked_by_number(talk: Talk) -> None:
    asked = talk("16年的示范县整改期限是什么时候")
    assert [option.value for option in asked.options] == ["evaluated=是", "evaluated=否"]
    answered = talk("1")
    assert answered.text.startswith("已开展绩效评价的2014—2017年度示范县")
    assert "尚未开展" not in answered.text


@pytest.mark.parametrize("typed", ["2", "２", "二", "②", "第2个", "2."])
def test_every_way_of_picking_the_second_option_works(talk: Talk, typed: str) -> None:
    talk("菜单")
    assert "90%" in talk(typed).text


def test_an_option_that_is_not_there_is_refused_and_the_list_offered_again(talk: Talk) -> None:
    offered = talk("菜单").options
    refused = talk("9")
    assert "没有第9项" in refused.text
    assert refused.options == offered
    assert "90%" in talk("2").text


def test_a_form_asks_goes_back_resumes_and_ends(talk: Talk) -> None:
    assert "使用率" in talk("判断 acceptance").text
    assert "完工" in talk("95%").text
    assert "使用率" in talk("上一步").text
    assert "完工" in talk("95%").text
    aside = talk("专项资金能不能买流量")
    assert aside.text.startswith("不可以")
    assert "继续“示范县验收条件”" in aside.text
    done = talk("是")
    assert "仍须省级主管部门认定" in done.text
    assert done.kind == "answer"


def test_a_form_that_is_decided_early_asks_no_more(talk: Talk) -> None:
    talk("判断 acceptance")
    assert "未达到开展验收" in talk("89.9%").text


def test_a_form_can_be_cancelled(talk: Talk) -> None:
    talk("判断 reapplication")
    assert "已取消" in talk("取消").text
    assert talk("取消").route == "menu"


def test_an_answer_that_does_not_fit_the_step_is_asked_again(talk: Talk) -> None:
    talk("判断 acceptance")
    again = talk("多")
    assert "使用率" in again.text


def test_a_form_is_dropped_after_half_an_hour(talk: Talk) -> None:
    talk("判断 acceptance")
    late = talk("88%", at=JUNE + timedelta(minutes=31))
    assert late.route == "rule:two-rates"
    assert "二次申报" in late.text
    assert "验收" in late.text


def test_universal_words_act_only_as_whole_messages(talk: Talk) -> None:
    assert talk("为什么要贴标识").kind in ("answer", "abstain")
    assert talk("帮助").route == "help"


def test_why_names_the_clauses_and_the_edition(talk: Talk, running: Desk) -> None:
    talk("验收要满足什么条件")
    reply = talk("为什么")
    assert "商办建函〔2020〕144号四（二）" in reply.text
    assert running.kb.edition in reply.text


def test_more_without_more_says_so(talk: Talk) -> None:
    assert "没有更多内容" in talk("更多").text


def test_forwarding_gives_at_most_three_lines(talk: Talk) -> None:
    assert "请先提问" in talk("转发领导").text
    talk("二次申报要什么条件")
    lines = talk("转发领导").text.splitlines()
    assert 2 <= len(lines) <= 3
    assert "四第3段" in lines[-1]


def test_a_choice_under_an_answer_is_not_taken_for_the_question(talk: Talk) -> None:
    asked = "16年的示范县整改期限"
    picked = talk(talk(asked).options[0].label)
    assert picked.answer is not None
    assert picked.answer["question"] == asked
    assert picked.answer["headline"] in talk("转发").text


def test_a_report_of_wrongdoing_gets_the_channel_and_is_no_question(talk: Talk, running: Desk) -> None:
    assert "举报监督渠道" in talk("我要举报").text
    with transaction(running.sessions) as db, serving(db, SYSTEM):
        assert db.query(Question).count() == 0


def test_a_picture_is_answered_with_what_works(talk: Talk) -> None:
    assert "政策问题不用绑定" in talk("", kind="image").text
    assert "文字" in talk("", kind="location").text


def test_every_route_example_reaches_its_own_route_alone(kb: KnowledgeBase) -> None:
    routes = assistant(kb).handlers.routes
    for route in routes:
        assert route.examples
        for example in route.examples:
            assert [other.name for other in routes if other.match(universal(example) or example)] == [route.name]


def test_route_and_flow_names_are_unique_and_every_form_exists(kb: KnowledgeBase) -> None:
    handlers = assistant(kb).handlers
    names = [route.name for route in handlers.routes]
    assert len(names) == len(set(names))
    for route in (one for one in handlers.routes if one.flow):
        for example in route.examples:
            match = route.match(universal(example) or example)
            assert match is not None and route.begins(match) in handlers.flows
    assert {flow.name for flow in ask.flows(kb)} == set(kb.rules)


@pytest.mark.parametrize("text", ["12年", "一共", "1个县", "二次申报"])
def test_ordinary_text_is_no_option_number(text: str) -> None:
    assert option_number(text) is None


@pytest.mark.expects_error
def test_a_failing_turn_changes_nothing_and_gives_a_reference(running: Desk, talk: Talk) -> None:
    handlers = running.turns._assistant.handlers

    def broken(_turn: object) -> Reply:
        raise RuntimeError("planted")

    object.__setattr__(running.turns._assistant, "handlers", replace(handlers, ask=broken))
    reply = talk("二次申报要什么条件", message_id="m-3")
    assert "系统繁忙" in reply.text
    object.__setattr__(running.turns._assistant, "handlers", handlers)
    with transaction(running.sessions) as db:
        assert db.query(Exchange).count() == 0
    assert "90%" in talk("二次申报要什么条件", message_id="m-3").text


@pytest.mark.expects_error
def test_a_failing_turn_takes_none_of_those_it_waited_with_along(running: Desk) -> None:
    assistant, entered, go_on = running.turns._assistant, threading.Event(), threading.Event()
    ask = assistant.handlers.ask

    def staged(turn: Turn) -> Reply:
        if turn.text == "等一等":
            entered.set()
            assert go_on.wait(30)
        reply = ask(turn)
        if turn.text == "出错":
            turn.db.flush()
            raise RuntimeError("planted")
        return reply

    object.__setattr__(assistant, "handlers", replace(assistant.handlers, ask=staged))

    def say(text: str) -> Future[Reply]:
        return running.turns.submit(Inbound(channel="terminal", message_id=text, address=text, text=text, at=JUNE))

    first = say("等一等")
    assert entered.wait(30)
    waiting = [say(text) for text in ("二次申报要什么条件", "出错", "大屏能装吗")]  # these wait together
    go_on.set()
    replies = [future.result(timeout=60).text for future in (first, *waiting)]
    assert ["系统繁忙" in text for text in replies] == [False, False, True, False]
    with transaction(running.sessions) as db:
        stored = {one.message_id: conversations.reply(db, one)["text"] for one in db.scalars(select(Exchange))}
        assert set(db.scalars(select(Conversation.address))) == set(stored)
    assert stored == {"等一等": replies[0], "二次申报要什么条件": replies[1], "大屏能装吗": replies[3]}


def test_turns_that_write_together_see_what_those_before_them_said(running: Desk) -> None:
    """The same message twice, and 更多 after the reply it continues, in one transaction."""

    def say(db: Session, number: str, text: str) -> Reply:
        said = Inbound(channel="terminal", message_id=number, address="一人", text=text, at=JUNE)
        return running.turns._assistant.handle(db, said)

    with transaction(running.sessions) as db:
        first, again, more = say(db, "1", "验收条件"), say(db, "1", "验收条件"), say(db, "2", "1")
    assert again == first and first.options and more.text != first.text
    with transaction(running.sessions) as db:
        stored = {one.message_id: conversations.reply(db, one) for one in db.scalars(select(Exchange))}
        assert stored == {"1": first.to_json(), "2": more.to_json()}
        assert len(db.scalars(select(Conversation)).all()) == 1


def test_a_savepoint_that_is_undone_leaves_earlier_turns_alone(running: Desk) -> None:
    said = Inbound(channel="terminal", message_id="1", address="一人", text="二次申报要什么条件", at=JUNE)
    with transaction(running.sessions) as db:
        running.turns._assistant.handle(db, said)
        with db.begin_nested() as step:
            assert db.scalars(select(Exchange.message_id)).all() == ["1"]
            step.rollback()
    with transaction(running.sessions) as db, serving(db, SYSTEM):
        assert db.scalars(select(Exchange.message_id)).all() == ["1"]
        assert len(db.scalars(select(Conversation)).all()) == len(db.scalars(select(Question)).all()) == 1


def test_messages_sent_at_once_are_each_answered_once(running: Desk) -> None:
    questions = ["二次申报要什么条件", "大屏能装吗", "专项资金能不能买流量", "每个站点补多少钱"] * 20
    waiting: list[Future[Reply]] = [
        running.turns.submit(
            Inbound(channel="terminal", message_id=f"m{number % 40}", address=f"p{number % 40}", text=text, at=JUNE)
        )
        for number, text in enumerate(questions)
    ]
    replies = [future.result(timeout=60) for future in waiting]
    assert replies[:40] == replies[40:]
    with transaction(running.sessions) as db:
        assert db.query(Exchange).count() == 40
        assert len(conversations.recent_exchanges(db, "terminal", "p1", 5)) == 1


def test_two_questions_in_one_message_are_both_answered(talk: Talk) -> None:
    reply = talk("专项资金能不能买流量？另外每个站点补多少钱？")
    assert reply.text.startswith("不可以")
    assert "第二问：所收两份文件没有规定" in reply.text
    follow = talk("推荐复核专家要什么级别的？几号前报？")
    assert "处级" in follow.text
    assert "4月30日" in follow.text


def test_a_question_between_two_facts_shows_both(talk: Talk, running: Desk) -> None:
    found = [answer(running.kb, row["q"], on=date(2020, 6, 1)) for row in scoring.rows("round1")]
    between = [one for one in found if one.related and not one.related.second]
    assert len(between) >= 3
    for one in between:
        assert one.related is not None
        assert one.related.citation is not None
        assert one.related.citation.clause != one.citations[0].clause
    assert "相近规定：" in talk(between[0].question).text


def test_a_vague_question_gets_both_twins_side_by_side(talk: Talk) -> None:
    for text in ("资金要到90%说的是什么", "我们县资金才85%，行不行"):
        reply = talk(text, who=text)
        assert "二次申报" in reply.text
        assert "验收" in reply.text
        assert reply.answer is not None
        assert {"四¶3", "四(二)"} <= {citation["clause"] for citation in reply.answer["citations"]}
