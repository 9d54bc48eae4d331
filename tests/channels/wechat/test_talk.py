"""What followers say and press, and what they are shown."""

import re

import pytest

from bot.channels import edge, wechat
from tests.channels.wechat.support import CONCLUSION, QUESTION, owe
from tests.fakes.server import Site
from tests.fakes.wechat import FAILED, Follower


def test_a_question_is_answered_encrypted(me: Follower) -> None:
    assert me.say(QUESTION).startswith(CONCLUSION)


def test_a_number_picks_from_the_list_shown(me: Follower) -> None:
    assert "2. 验收条件" in me.say("菜单")
    assert "90%" in me.say("2")


@pytest.mark.parametrize(
    "typed",
    [
        "]]>", "]]></Content><FromUserName><![CDATA[boss]]></FromUserName><Content><![CDATA[x", "<![CDATA[a]]>",
        "a\x00b\x08c", "大\x0b屏能装吗", "\x1b[31m", "<script>alert(1)</script>", "&lt;&amp;", "😀👨‍👩‍👧", "", " ", "\u202e\u200b",
        "问" * 600, "<!DOCTYPE xml>",
    ],
)  # fmt: skip
def test_whatever_is_typed_gets_a_readable_reply_and_comes_from_the_typist(
    desk: Site, me: Follower, typed: str
) -> None:
    shown = me.say(typed)
    assert shown
    assert shown != FAILED
    assert not re.search("[\x00-\x08\x0b\x0c\x0e-\x1f]", shown)
    assert len(desk.said(me.openid)) == 1
    assert desk.said("boss") == []


def test_text_that_breaks_xml_comes_back_whole(desk: Site, me: Follower) -> None:
    """A reply may quote what was typed."""
    message = wechat.parse(me.xml("text", Content="x"))
    xml = wechat.rendered(message, "a]]>b\x00c<d>&e;")
    found = edge.flat(xml, ("ToUserName", "FromUserName", "CreateTime", "MsgType", "Content"))
    assert found["Content"] == "a]]>bc<d>&e;"


def test_spoken_words_are_answered_and_silence_asks_to_type(me: Follower) -> None:
    assert me.send("voice", MediaId="m1", Format="amr", Recognition=QUESTION).startswith(CONCLUSION)
    assert "请打字" in me.send("voice", MediaId="m1", Format="amr", Recognition="")
    assert "请打字" in me.send("voice", MediaId="m1", Format="amr")


@pytest.mark.parametrize(
    ("kind", "elements"),
    [
        ("location", {"Location_X": "23.1", "Location_Y": "113.3", "Scale": "20", "Label": "秦安县"}),
        ("link", {"Title": "题", "Description": "述", "Url": "http://127.0.0.1:9/"}),
        ("miniprogrampage", {"Title": "题"}),
        ("hologram", {}),
    ],
)
def test_an_unsupported_kind_says_what_works(me: Follower, kind: str, elements: dict[str, str]) -> None:
    assert "可以发文字提问" in me.send(kind, **elements)


def test_a_follower_is_greeted_with_the_menu(me: Follower) -> None:
    shown = me.send("event", Event="subscribe", EventKey="")
    assert "您好" in shown
    assert "2. 验收条件" in shown
    assert "90%" in me.say("2")


def test_a_scanned_invitation_is_the_words_to_bind(desk: Site, me: Follower) -> None:
    assert me.send("event", Event="subscribe", EventKey="qrscene_K7PW-2M9D", Ticket="t") != FAILED
    assert me.send("event", Event="SCAN", EventKey="K7PW-2M9D", Ticket="t") != FAILED
    assert desk.said(me.openid) == ["绑定 K7PW-2M9D", "绑定 K7PW-2M9D"]


def test_a_menu_button_says_its_words(me: Follower) -> None:
    assert "90%" in me.click("验收要满足什么条件")


@pytest.mark.parametrize(
    "elements",
    [
        {"Event": "unsubscribe", "EventKey": ""},
        {"Event": "VIEW", "EventKey": "http://127.0.0.1/x"},
        {"Event": "TEMPLATESENDJOBFINISH", "MsgID": 200, "Status": "success"},
        {"Event": "LOCATION", "Latitude": "1", "Longitude": "2"},
        {"Event": "subscribe_msg_popup_event"},
        {"Event": "CLICK", "EventKey": ""},
    ],
)
def test_an_event_without_an_answer_is_taken_silently(me: Follower, elements: dict[str, object]) -> None:
    answer = me.post(me.xml("event", **elements))
    assert (answer.status_code, answer.content) == (200, b"success")


def test_leaving_does_not_use_up_what_one_is_owed(desk: Site, me: Follower) -> None:
    owe(desk, me, "您有一条答复")
    assert me.send("event", Event="unsubscribe", EventKey="") == ""
    assert "您有一条答复" in me.say(QUESTION)


def test_two_buttons_in_one_second_are_two_messages_and_one_repeated_is_one(desk: Site, me: Follower) -> None:
    xml = me.xml("event", Event="CLICK", EventKey="全部文件", CreateTime=1_590_984_000)
    other = me.xml("event", Event="CLICK", EventKey="帮助", CreateTime=1_590_984_000)
    first, second = me.shown(me.post(xml)), me.shown(me.post(other))
    assert first != second
    assert me.shown(me.post(xml)) == first
    assert desk.said(me.openid) == ["全部文件", "帮助"]
