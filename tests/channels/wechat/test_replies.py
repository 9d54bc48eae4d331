"""One effect for one message, a reply in time, and none too long."""

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import httpx
import pytest

from bot import turns
from bot.channels import wechat
from bot.channels.wechat import LIMIT, Wechat
from bot.messages import Reply, Turn
from tests.channels.wechat.support import CONCLUSION, HOOK, QUESTION, exchanges, keys, owe
from tests.fakes.server import Site, running, until
from tests.fakes.wechat import Follower, WechatServer


def test_one_message_a_hundred_times_and_after_a_restart_has_one_effect(fake: WechatServer, tmp_path: Path) -> None:
    with running(tmp_path, **keys(fake)) as site:
        me = Follower(hook=site.url + HOOK, http=httpx.Client(timeout=60, limits=httpx.Limits(max_connections=100)))
        xml = me.xml("text", Content=QUESTION)
        with ThreadPoolExecutor(100) as pool:
            shown = set(pool.map(lambda _: me.shown(me.post(xml)), range(100)))
        assert len(shown) == 1
        assert CONCLUSION in next(iter(shown))
        assert exchanges(site) == 1
        me.http.close()
    with running(tmp_path, **keys(fake)) as site:
        me = Follower(hook=site.url + HOOK, openid=me.openid)
        assert me.shown(me.post(xml)) in shown
        assert exchanges(site) == 1
        me.http.close()


@pytest.fixture
def held(channel: Wechat) -> Iterator[tuple[threading.Event, threading.Event]]:
    """Questions stop in their handler (first event: one has begun) until the second event."""
    assistant = channel._turns._assistant
    handlers = assistant.handlers
    begun, go = threading.Event(), threading.Event()

    def ask(turn: Turn) -> Reply:
        begun.set()
        assert go.wait(30)
        return handlers.ask(turn)

    object.__setattr__(assistant, "handlers", replace(handlers, ask=ask))
    yield begun, go
    go.set()
    object.__setattr__(assistant, "handlers", handlers)


Held = tuple[threading.Event, threading.Event]


def test_a_repeated_message_waits_for_the_turn_that_is_running(desk: Site, me: Follower, held: Held) -> None:
    begun, go = held
    xml = me.xml("text", Content=QUESTION)
    with ThreadPoolExecutor(3) as pool:
        answers = [pool.submit(me.post, xml) for _ in range(3)]
        assert begun.wait(10)
        go.set()
        shown = {me.shown(answer.result()) for answer in answers}
    assert len(shown) == 1
    assert CONCLUSION in next(iter(shown))
    assert desk.said(me.openid) == [QUESTION]


def test_a_slow_answer_is_promised_in_time_and_fetched_by_a_word(
    desk: Site, me: Follower, held: Held, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(wechat, "ANSWER_S", 0.3)
    xml = me.xml("text", Content=QUESTION)
    assert me.shown(me.post(xml)) == "正在处理，稍后回复“结果”查看。"
    held[1].set()
    until(lambda: desk.said(me.openid))
    monkeypatch.undo()
    assert CONCLUSION in me.shown(me.post(xml))
    assert me.say("结果").startswith(CONCLUSION)
    assert me.say("结果").startswith(CONCLUSION)


def test_the_wait_is_shorter_than_wechats() -> None:
    assert wechat.ANSWER_S <= 4.5


def test_a_result_asked_for_without_a_question(me: Follower) -> None:
    assert "没有等待中的答复" in me.say("结果")


def test_more_than_can_be_answered_in_time_is_declined_at_once(
    desk: Site, me: Follower, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(turns, "SOON", 0)
    monkeypatch.setattr(turns.TurnThread, "_new_wait_long", lambda _: True)
    monkeypatch.setattr(turns, "MOST_LATE", 0)
    assert "没有收下" in me.say(QUESTION)
    assert desk.said(me.openid) == []


def test_what_will_be_late_is_promised_at_once(
    desk: Site, me: Follower, held: Held, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(wechat, "ANSWER_S", 60)
    monkeypatch.setattr(turns, "SOON", 0)
    monkeypatch.setattr(turns.TurnThread, "_new_wait_long", lambda _: True)
    assert me.say(QUESTION) == "正在处理，稍后回复“结果”查看。"
    held[1].set()
    until(lambda: desk.said(me.openid))
    monkeypatch.undo()
    assert me.say("结果").startswith(CONCLUSION)


@pytest.mark.expects_error
def test_a_failing_turn_still_answers(me: Follower, channel: Wechat) -> None:
    assistant = channel._turns._assistant
    handlers = assistant.handlers

    def broken(turn: Turn) -> Reply:
        raise RuntimeError("broken")

    object.__setattr__(assistant, "handlers", replace(handlers, ask=broken))
    try:
        assert "系统繁忙" in me.say(QUESTION)
    finally:
        object.__setattr__(assistant, "handlers", handlers)


def test_a_long_reply_goes_on_with_more_and_loses_nothing(desk: Site, me: Follower) -> None:
    lines = [f"第{number}行：示范县资金拨付率不低于90%方可申报。😀" for number in range(150)]
    owe(desk, me, "\n".join(lines))
    pages = [me.say("菜单")]
    while "回复“更多”" in pages[-1]:
        assert len(pages[-1].encode()) <= LIMIT
        assert "6. 全部文件" in pages[-1]
        pages.append(me.say("更多"))
    assert len(pages) > 4
    together = "\n".join(pages)
    assert all(together.count(line) == 1 for line in lines)
    assert "90%" in me.say("2")
    assert "没有更多" in me.say("更多")
