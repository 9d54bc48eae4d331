"""WeCom over real HTTP: its API and its members of our own on one side, the running server on the other."""

import threading
import time
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from itertools import count
from pathlib import Path
from typing import Any

import httpx
import pytest

from bot.channels.wecom import Throttle, Wecom, card, messages
from bot.messages import ChannelStopped, Link, Media, Option, Reply, TemporaryFailure, Undeliverable
from storage.db import sqlite_driver
from tests.fakes import crypto
from tests.fakes.server import Site, running
from tests.fakes.wecom import AGENT, CORP, SECRET, TOKEN, Fault, Member, WecomServer, check_url

HOOK = "/channels/wecom"
NAMES = (f"ZhangSan{number}" for number in count(1))
ACKNOWLEDGE = Reply(
    text="请签收通知", options=(Option(label="签收", value="帮助"), Option(label="有疑问", value="人工"))
)


@pytest.fixture(scope="module")
def fake() -> Iterator[WecomServer]:
    made = WecomServer()
    yield made
    made.close()


def keys(fake: WecomServer) -> dict[str, Any]:
    return {
        "wecom__corp_id": CORP,
        "wecom__agent_id": AGENT,
        "wecom__secret": SECRET,
        "wecom__token": TOKEN,
        "wecom__aes_key": crypto.AES_KEY,
        "wecom__api_base": fake.base,
    }


@pytest.fixture(scope="module")
def desk(fake: WecomServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    with running(tmp_path_factory.mktemp("wecom"), **keys(fake)) as site:
        yield site


@pytest.fixture
def member(fake: WecomServer, desk: Site) -> Member:
    """Somebody new."""
    fake.faults.clear()
    return Member(fake, next(NAMES), desk.url + HOOK)


@pytest.fixture
def channel(desk: Site) -> Wecom:
    found = desk.channels["wecom"]
    assert isinstance(found, Wecom)
    return found


# --- the door ----------------------------------------------------------------------------------------------------


def test_the_url_check_gets_its_text_back_within_a_second(desk: Site) -> None:
    answer = check_url(desk.url + HOOK, "1616140317555161061")
    assert (answer.status_code, answer.text) == (200, "1616140317555161061")


@pytest.mark.parametrize("wrong", [{"receiver": "ww-another"}, {"token": "another"}, {"at": 1_500_000_000}])
def test_a_url_check_that_is_not_wecoms_is_refused(desk: Site, wrong: dict[str, Any]) -> None:
    answer = check_url(desk.url + HOOK, "1", **wrong)
    assert (answer.status_code, answer.text) == (403, "forbidden")


def test_a_changed_signature_or_an_old_message_is_refused(desk: Site, member: Member) -> None:
    query, body = crypto.seal(member.xml("text", Content="你好"), token=TOKEN, aes_key=crypto.AES_KEY, receiver=CORP)
    for change in ({"msg_signature": "0" * 40}, {"timestamp": "1"}, {"nonce": "x"}, {"msg_signature": ""}):
        answer = httpx.post(desk.url + HOOK, params=query | change, content=body)
        assert (answer.status_code, answer.text) == (403, "forbidden")
    assert member.post(member.xml("text", Content="你好"), at=time.time() - 700).status_code == 403
    assert desk.said(member.name) == []


@pytest.mark.parametrize(
    "body",
    [b"", b"<xml", b"{}", b"\xff" * 9, b"<!DOCTYPE x><xml/>", b"<xml/>", b"x" * 70_000],
    ids=lambda body: str(body[:9]),
)
def test_a_body_that_is_none_is_refused(desk: Site, body: bytes) -> None:
    answer = httpx.post(desk.url + HOOK, params={"msg_signature": "x", "timestamp": "1", "nonce": "1"}, content=body)
    assert (answer.status_code, answer.text) == (403, "forbidden")


@pytest.mark.parametrize(
    "elements",
    ["", "<MsgType>text</MsgType>", "<FromUserName>a</FromUserName><MsgType>text</MsgType><MsgId>x</MsgId>",
     "<FromUserName>a</FromUserName><MsgType>event</MsgType><Event>new_thing</Event>"],
)  # fmt: skip
def test_a_signed_message_that_says_nothing_is_passed_over(desk: Site, member: Member, elements: str) -> None:
    answer = member.post(f"<xml>{elements}</xml>")
    assert (answer.status_code, answer.content) == (200, b"")


# --- talking -----------------------------------------------------------------------------------------------------


def test_a_question_is_answered_in_the_callback(fake: WecomServer, member: Member) -> None:
    assert "四第3段" in member.says("拨付率85%能二次申报吗")
    assert member.inbox.shown == []


def test_what_is_typed_cannot_leave_its_element(desk: Site, member: Member) -> None:
    typed = "]]></Content><FromUserName><![CDATA[boss]]></FromUserName><Content><![CDATA[菜单\x00"
    assert member.says(typed)
    assert desk.said(member.name) == [typed.replace("\x00", "")]
    assert desk.said("boss") == []


def test_a_repeated_message_gets_the_same_answer_and_one_exchange(desk: Site, member: Member) -> None:
    xml = member.xml("text", Content="16年的示范县整改期限")
    with ThreadPoolExecutor(8) as pool:
        answers = set(pool.map(lambda _: member.hears(xml), range(8)))
    assert len(answers) == 1
    assert desk.said(member.name) == ["16年的示范县整改期限"]


def test_the_menu_is_text_with_numbers(member: Member) -> None:
    assert "\n2. 验收条件" in member.says("菜单")
    assert "验收" in member.says("2")


def test_entering_greets_once(fake: WecomServer, desk: Site, member: Member) -> None:
    assert member.does("enter_agent", EventKey="")
    assert member.does("enter_agent", EventKey="") == ""
    assert desk.said(member.name) == ["subscribe"]


def test_a_menu_click_is_the_words_it_stands_for(desk: Site, member: Member) -> None:
    assert member.does("click", EventKey="帮助") == member.says("帮助")


@pytest.mark.parametrize(
    ("kind", "elements", "words"),
    [
        ("image", {"PicUrl": "http://127.0.0.1:9/x", "MediaId": "m1"}, "照片1张"),
        ("voice", {"MediaId": "m1", "Format": "amr"}, "请打字发来"),
        ("video", {"MediaId": "m1", "ThumbMediaId": "m2"}, "文件1个"),
        ("file", {"MediaId": "m1", "FileName": "合同.pdf"}, "文件1个"),
        ("location", {"Location_X": "34.9", "Location_Y": "105.6", "Scale": "9", "Label": "秦安县"}, "无法处理"),
        ("link", {"Title": "看", "Description": "这", "Url": "http://127.0.0.1:9/", "PicUrl": ""}, "无法处理"),
        ("new-kind", {}, "无法处理"),
    ],
)
def test_other_kinds_get_a_friendly_line(member: Member, kind: str, elements: dict[str, str], words: str) -> None:
    assert words in member.hears(member.xml(kind, **elements))


def test_an_answer_that_takes_too_long_is_sent_afterwards(fake: WecomServer, desk: Site, member: Member) -> None:
    with closing(sqlite_driver().connect(desk.database, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")  # another writer keeps the turn waiting
        started = time.monotonic()
        assert member.says("拨付率85%能二次申报吗") == ""
        assert time.monotonic() - started < 5
        assert member.inbox.shown == []
        other.execute("ROLLBACK")
    fake.wait(lambda: member.inbox.texts)
    assert "四第3段" in member.inbox.texts[0]


def test_a_turn_that_could_not_be_stored_is_answered(
    member: Member, channel: Wecom, monkeypatch: pytest.MonkeyPatch
) -> None:
    failed: Future[Reply] = Future()
    failed.set_exception(OSError("the disk is full"))
    monkeypatch.setattr(channel._turns, "submit", lambda _: failed)
    assert "系统繁忙" in member.says("拨付率85%能二次申报吗")


def test_what_cannot_be_sent_afterwards_is_left_to_the_ledger(fake: WecomServer, desk: Site, member: Member) -> None:
    fake.fail("message/send", Fault(code=-1))
    with closing(sqlite_driver().connect(desk.database, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        assert member.says("拨付率85%能二次申报吗") == ""
        other.execute("ROLLBACK")
    fake.wait(lambda: member.inbox.texts)
    assert "四第3段" in member.inbox.texts[0]
    assert desk.deferred(f"wecom:{member.name}") == 1


def test_a_choice_is_text_when_its_card_cannot_be_sent(fake: WecomServer, desk: Site, member: Member) -> None:
    fake.fail("message/send", Fault(code=45033))
    member.says("判断 reapplication")
    choice = member.says("95%")
    assert "第2步" in choice
    assert "\n1. " in choice
    assert member.inbox.shown == []


# --- cards -------------------------------------------------------------------------------------------------------


def at_the_choice(fake: WecomServer, member: Member) -> dict[str, Any]:
    """Fill a form up to a step that is answered by a button; its card."""
    member.says("判断 reapplication")
    assert member.says("95%") == ""  # a form's choice comes as a card
    return fake.wait(lambda: member.inbox.cards)[0]  # type: ignore[no-any-return]  # JSON


def test_a_forms_choice_is_a_card_whose_button_answers_it(fake: WecomServer, desk: Site, member: Member) -> None:
    choice = at_the_choice(fake, member)
    first = choice["button_list"][0]
    xml = member.pressing(choice, 1)
    answer = member.hears(xml)
    assert desk.said(member.name)[-1] == first["text"] or desk.said(member.name)[-1] in ("yes", "是")
    fake.wait(lambda: choice.get("replaced"))
    assert choice["replaced"] == "已选择"
    assert member.hears(xml) == answer  # the callback once more
    assert len(desk.said(member.name)) == 3


def test_a_forms_card_is_stale_once_something_else_was_said(fake: WecomServer, desk: Site, member: Member) -> None:
    choice = at_the_choice(fake, member)
    member.says("取消")
    said = desk.said(member.name)
    assert "已过期" in member.press(choice, 1)
    fake.wait(lambda: choice.get("replaced"))
    assert choice["replaced"] == "已过期"
    assert desk.said(member.name) == said


def test_another_members_card_is_stale(fake: WecomServer, desk: Site, member: Member) -> None:
    choice = at_the_choice(fake, member)
    other = Member(fake, next(NAMES), member.url)
    assert "已过期" in other.press(choice, 1)
    assert desk.said(other.name) == []


def test_a_pushed_card_acts_once_and_is_updated_once(
    fake: WecomServer, desk: Site, member: Member, channel: Wecom
) -> None:
    channel.push(member.name, ACKNOWLEDGE, "broadcast:1:1:1")
    (shown,) = member.inbox.cards
    assert [button["text"] for button in shown["button_list"]] == ["签收", "有疑问"]
    first = member.press(shown, 1)
    assert "直接提问" in first
    fake.wait(lambda: shown.get("replaced"))
    assert shown["replaced"] == "已选择"
    assert member.press(shown, 2) == first  # the other button, of a card on another device
    assert desk.said(member.name) == ["帮助"]
    updates = [one for one in fake.called("message/update_template_card") if one["userids"] == [member.name]]
    assert len(updates) == 1


def test_a_pushed_card_stays_good_whatever_is_said(fake: WecomServer, member: Member, channel: Wecom) -> None:
    channel.push(member.name, ACKNOWLEDGE, "broadcast:2:1:1")
    member.says("你好")
    assert "直接提问" in member.press(member.inbox.cards[0], 1)


def test_two_pressing_at_once_act_once(desk: Site, member: Member, channel: Wecom) -> None:
    channel.push(member.name, ACKNOWLEDGE, "broadcast:3:1:1")
    shown = member.inbox.cards[0]
    with ThreadPoolExecutor(8) as pool:
        answers = set(pool.map(lambda number: member.press(shown, number % 2 + 1), range(8)))
    assert len(answers) == 1
    assert len(desk.said(member.name)) == 1


def test_a_long_push_is_text_and_a_card(member: Member, channel: Wecom) -> None:
    text = "\n".join(f"第{number}条：请各县于6月24日前报送进展情况。" for number in range(120))
    channel.push(
        member.name, Reply(text=text, options=ACKNOWLEDGE.options, links=(Link(label="原文", url="http://x/"),)), "k4"
    )
    assert len(member.inbox.texts) > 1
    assert "\n".join(member.inbox.texts) == f"{text}\n原文：http://x/"
    assert member.inbox.shown[-1]["msgtype"] == "template_card"


def test_options_that_do_not_fit_on_buttons_are_numbered() -> None:
    long = Reply(text="请选", options=(Option(label="一个放不进按钮的很长的选项", value="x"),))
    (only,) = messages(long, "push-1")
    assert only["text"]["content"] == "请选\n1. 一个放不进按钮的很长的选项"
    many = Reply(text="请选", options=tuple(Option(label=str(number), value="x") for number in range(7)))
    assert [one["msgtype"] for one in messages(many, "push-1")] == ["text"]


def test_a_card_under_a_reply_holds_numbers_and_a_pushed_one_values() -> None:
    keys = [
        [b["key"] for b in card(ACKNOWLEDGE, task)["template_card"]["button_list"]] for task in ("turn-1", "push-1")
    ]
    assert keys == [["1", "2"], ["帮助", "人工"]]


# --- pushing -----------------------------------------------------------------------------------------------------


def test_the_same_key_reaches_a_member_once(fake: WecomServer, member: Member, channel: Wecom) -> None:
    fake.fail("message/send", Fault(after=True))
    with pytest.raises(TemporaryFailure) as raised:
        channel.push(member.name, Reply(text="提醒"), "k5")
    assert raised.value.sure is False
    channel.push(member.name, Reply(text="提醒"), "k5")
    assert member.inbox.texts == ["提醒"]


def test_a_member_outside_the_application_is_gone_and_the_others_are_not(
    fake: WecomServer, member: Member, channel: Wecom
) -> None:
    fake.outside.add(member.name)
    with pytest.raises(Undeliverable) as raised:
        channel.push(member.name, Reply(text="提醒"), "k6")
    assert (raised.value.code, raised.value.gone) == ("invaliduser", True)
    other = next(NAMES)
    channel.push(other, Reply(text="提醒"), "k6")
    assert fake.members[other].texts == ["提醒"]


def test_more_than_a_member_may_get_waits_and_is_never_dropped(
    fake: WecomServer, member: Member, channel: Wecom
) -> None:
    for number in range(30):
        channel.push(member.name, Reply(text=f"提醒{number}"), f"k7-{number}")
    with pytest.raises(TemporaryFailure) as raised:
        channel.push(member.name, Reply(text="提醒30"), "k7-30")
    assert raised.value.sure is True
    assert 0 < raised.value.retry_after_s <= 60
    assert len(member.inbox.texts) == 30
    assert fake.dropped == []


def test_the_throttle_holds_in_every_minute_and_hour() -> None:
    at = 0.0
    throttle, taken = Throttle(lambda: at), []
    while at < 8000:
        try:
            throttle.take("a", 1)
        except TemporaryFailure as trouble:
            assert trouble.retry_after_s > 0
            at += trouble.retry_after_s
        else:
            taken.append(at)
            at += 0.5
    for most, within in ((30, 60), (1000, 3600)):
        assert max(sum(start <= one < start + within for one in taken) for start in taken) == most
    throttle.take("b", 30)
    with pytest.raises(TemporaryFailure):
        throttle.take("b", 1)


def test_parts_that_do_not_all_fit_are_not_begun() -> None:
    throttle = Throttle(lambda: 0.0)
    throttle.take("a", 29)
    with pytest.raises(TemporaryFailure):
        throttle.take("a", 2)
    throttle.take("a", 1)


def test_a_revoked_token_is_fetched_once_for_all_threads(fake: WecomServer, member: Member, channel: Wecom) -> None:
    channel.push(member.name, Reply(text="先"), "k8")
    fake.revoke()
    before = len(fake.called("gettoken"))
    together = threading.Barrier(8)

    def send(number: int) -> None:
        together.wait()
        channel.push(member.name, Reply(text=f"后{number}"), f"k8-{number}")

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(send, range(8)))
    assert len(fake.called("gettoken")) == before + 1
    assert len(member.inbox.texts) == 9


@pytest.mark.parametrize(
    ("fault", "kind", "expected"),
    [
        (Fault(code=-1), TemporaryFailure, {"sure": False}),
        (Fault(code=45009), TemporaryFailure, {"sure": True, "retry_after_s": 60}),
        (Fault(code=45033), TemporaryFailure, {"sure": True}),
        (Fault(code=81013), Undeliverable, {}),
        (Fault(code=60111), Undeliverable, {"gone": True}),
        (Fault(code=60020), ChannelStopped, {"code": "60020"}),
        (Fault(code=301002), ChannelStopped, {}),
        (Fault(status=502), TemporaryFailure, {"sure": False}),
        (Fault(body="<html>"), TemporaryFailure, {"sure": False}),
        (Fault(body='{"errcode":'), TemporaryFailure, {"sure": False}),
        (Fault(hang_up=True), TemporaryFailure, {"sure": False}),
    ],
    ids=str,
)
def test_a_refusal_has_its_meaning(
    fake: WecomServer, member: Member, channel: Wecom, fault: Fault, kind: type[Exception], expected: dict[str, Any]
) -> None:
    fake.fail("message/send", fault)
    with pytest.raises(kind) as raised:
        channel.push(member.name, Reply(text="提醒"), "k9")
    assert {name: getattr(raised.value, name) for name in expected} == expected
    assert member.inbox.shown == []


def test_a_token_refused_twice_stops_the_channel(fake: WecomServer, member: Member, channel: Wecom) -> None:
    fake.fail("message/send", Fault(code=42001), Fault(code=42001))
    sent = len(fake.called("message/send"))
    with pytest.raises(ChannelStopped):
        channel.push(member.name, Reply(text="提醒"), "k10")
    assert len(fake.called("message/send")) == sent + 2


def test_a_file_is_fetched(fake: WecomServer, member: Member, channel: Wecom) -> None:
    fake.media["m1"] = b"\xff\xd8" * 1000
    assert channel.fetch(Media(id="m1")) == fake.media["m1"]
    fake.revoke()
    assert channel.fetch(Media(id="m1")) == fake.media["m1"]
    with pytest.raises(Undeliverable):
        channel.fetch(Media(id="expired"))


def test_without_settings_there_is_no_wecom(desk: Site, tmp_path: Path) -> None:
    with running(tmp_path) as site:
        assert "wecom" not in site.channels
        assert httpx.get(site.url + HOOK).status_code == 404
