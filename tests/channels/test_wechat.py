"""WeChat over real HTTP: followers on one side, the API server on the other, the running product between."""

import json
import random
import re
import secrets
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from structlog.testing import capture_logs

from bot.channels import edge, wechat, wechat_api
from bot.channels.errors import ERRORS, Behaviour, fail
from bot.channels.wechat import LIMIT, Wechat
from bot.dialogue import Handlers
from bot.messages import ChannelStopped, Link, Reply, TemporaryFailure, Turn, Undeliverable
from bot.settings import ConfigError, load_settings
from storage import deliveries
from storage.db import make_engine, make_sessions, transaction
from tests.channels.people import bound
from tests.conftest import JUNE, serve
from tests.fakes import crypto
from tests.fakes.server import Site, running, until
from tests.fakes.wechat import APP, FAILED, SECRET, TOKEN, Fault, Follower, WechatServer

HOOK = "/channels/wechat"
QUESTION, CONCLUSION = "专项资金能不能给站长发工资", "不可以（仅指中央财政资金）"
JPEG = b"\xff\xd8\xff\xe0\x00\x10JFIF\x00" + b"\x00" * 400


@pytest.fixture(scope="module")
def fake() -> Iterator[WechatServer]:
    made = WechatServer()
    yield made
    made.close()


def keys(fake: WechatServer) -> dict[str, Any]:
    return {
        "wechat__app_id": APP,
        "wechat__app_secret": SECRET,
        "wechat__token": TOKEN,
        "wechat__aes_key": crypto.AES_KEY,
        "wechat__api_base": fake.base,
        "wechat__template_id": "template-1",
        "wechat__template_fields": ("thing1", "thing2"),
    }


@pytest.fixture(scope="module")
def desk(fake: WechatServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    with running(tmp_path_factory.mktemp("wechat"), **keys(fake)) as site:
        yield site


@pytest.fixture
def me(fake: WechatServer, desk: Site) -> Iterator[Follower]:
    """Somebody new."""
    fake.faults.clear()
    follower = Follower(hook=desk.url + HOOK)
    yield follower
    follower.http.close()


@pytest.fixture
def channel(fake: WechatServer, desk: Site) -> Wechat:
    fake.faults.clear()
    found = desk.channels["wechat"]
    assert isinstance(found, Wechat)
    return found


def exchanges(desk: Site) -> int:
    return int(desk.query("SELECT count(*) FROM exchange")[0][0])


# --- the door ----------------------------------------------------------------------------------------------------


def test_the_url_check_echoes(desk: Site) -> None:
    query = crypto.query_for_echo("5837397520665436492", token=TOKEN)
    answer = httpx.get(desk.url + HOOK, params=query)
    assert (answer.status_code, answer.text) == (200, "5837397520665436492")


@pytest.mark.parametrize(
    "change",
    [{"signature": "0" * 40}, {"signature": ""}, {"timestamp": "1"}, {"nonce": "other"}, {"echostr": "<script>"}],
)
def test_a_url_check_of_somebody_else_is_refused(desk: Site, change: dict[str, str]) -> None:
    query = crypto.query_for_echo("1", token=TOKEN) | change
    answer = httpx.get(desk.url + HOOK, params=query)
    assert (answer.status_code, answer.text) == (403, "forbidden")


def test_an_old_url_check_is_refused(desk: Site) -> None:
    query = crypto.query_for_echo("1", token=TOKEN, at=time.time() - 700)
    assert httpx.get(desk.url + HOOK, params=query).status_code == 403


def mutated(signature: str, chance: random.Random) -> str:
    kind, at = chance.randrange(6), chance.randrange(len(signature))
    if kind == 0:
        other = chance.choice([one for one in "0123456789abcdef" if one != signature[at]])
        return signature[:at] + other + signature[at + 1 :]
    return [
        "",
        signature[:at],
        signature.upper() if signature.upper() != signature else "",
        signature + chance.choice("0af"),
        signature[:at] + "é" + signature[at + 1 :],
        "%00" + signature[3:],
    ][kind - 1]


def test_two_thousand_mutated_signatures_get_one_answer_and_write_nothing(desk: Site, me: Follower) -> None:
    before = exchanges(desk)
    chance = random.Random(20200529)
    query, body = crypto.seal(me.xml("text", Content="你好"), token=TOKEN, aes_key=crypto.AES_KEY, receiver=APP)
    seen = set()
    for _ in range(2000):
        wrong = query | {"msg_signature": mutated(query["msg_signature"], chance)}
        answer = me.http.post(me.hook, params=wrong, content=body)
        headers = tuple(sorted((name, value) for name, value in answer.headers.items() if name != "date"))
        seen.add((answer.status_code, answer.content, headers))
    assert len(seen) == 1
    assert next(iter(seen))[:2] == (403, b"forbidden")
    assert exchanges(desk) == before
    assert me.http.post(me.hook, params=query, content=body).status_code == 200


OUTSIDE = [
    b"", b"x", b"{}", b"\xff\xfe<", b"<xml", b"<xml/>", b"<xml></xml>", b"<html></html>", b"\x00" * 100,
    b"<xml><Encrypt></Encrypt></xml>",
    b"<xml><Encrypt>abc</Encrypt></xml>",
    b"<xml><Encrypt><![CDATA[" + b"A" * 64 + b"]]></Encrypt></xml>",
    b"<xml><Encrypt>a</Encrypt><Encrypt>b</Encrypt></xml>",
    b"<xml><Encrypt><a>b</a></Encrypt></xml>",
    b"<xml><Encrypt a='b'>c</Encrypt></xml>",
    b"<xml><Content>plain</Content></xml>",
    b'<!DOCTYPE xml [<!ENTITY a "b">]><xml><Encrypt>&a;</Encrypt></xml>',
    b'<!DOCTYPE xml SYSTEM "http://127.0.0.1/x.dtd"><xml><Encrypt>a</Encrypt></xml>',
    b'<?xml version="1.0"?><!DOCTYPE l [<!ENTITY l "lol"><!ENTITY l2 "&l;&l;">]><xml><Encrypt>&l2;</Encrypt></xml>',
    b"<xml>" + b"<a>" * 5000 + b"</a>" * 5000 + b"</xml>",
    b"<xml>" + b"<a/>" * 10000 + b"</xml>",
    b"<xml><Encrypt>" + b"A" * 70_000 + b"</Encrypt></xml>",
    b"A" * 2_000_000,
]  # fmt: skip


def inside(**change: object) -> str:
    elements: dict[str, object] = {
        "ToUserName": "gh_1", "FromUserName": "o1", "CreateTime": 1590984000, "MsgType": "text", "Content": "a", "MsgId": 7,
    }  # fmt: skip
    elements |= change
    return (
        "<xml>"
        + "".join(f"<{name}>{value}</{name}>" for name, value in elements.items() if value is not None)
        + "</xml>"
    )


INSIDE = [
    "", "text", "<xml/>", "<other><MsgType>text</MsgType></other>", "{}",
    inside(MsgType=None), inside(FromUserName=None), inside(ToUserName=None), inside(CreateTime=None), inside(MsgId=None),
    inside(MsgId="x"), inside(MsgId="<a>1</a>"), inside(MsgId="9" * 30), inside(CreateTime="soon"),
    inside(FromUserName="a b"), inside(FromUserName="a" * 100), inside(Content="<b>x</b>"), inside(MsgType="<a/>"),
    inside(MsgType="text</MsgType><MsgType>event"), inside(Content="&unknown;"),
    inside(MsgType="event", MsgId=None), inside(MsgType="image", MediaId="../../etc/passwd"),
    '<!DOCTYPE xml [<!ENTITY a SYSTEM "file:///etc/passwd">]>' + inside(Content="&a;"),
    inside() + inside(),
]  # fmt: skip


def test_hostile_bodies_get_the_same_answer_and_write_nothing(desk: Site, me: Follower) -> None:
    assert len(OUTSIDE) + len(INSIDE) >= 40
    before = exchanges(desk)
    seen = set()
    for body in OUTSIDE:
        query, _ = crypto.seal("x", token=TOKEN, aes_key=crypto.AES_KEY, receiver=APP)
        answer = me.http.post(me.hook, params=query, content=body)
        seen.add((answer.status_code, answer.content))
    for xml in INSIDE:
        answer = me.post(xml)
        seen.add((answer.status_code, answer.content))
        assert answer.status_code == 403, xml
    for more in ({"receiver": "wx-another"}, {"token": "another"}, {"at": time.time() - 700}):
        answer = me.post(inside(), **more)
        seen.add((answer.status_code, answer.content))
    assert seen == {(403, b"forbidden")}
    assert exchanges(desk) == before


def test_a_refusal_takes_no_time(desk: Site, me: Follower) -> None:
    taken = []
    for body in OUTSIDE[:-2] * 3:
        started = time.perf_counter()
        me.http.post(me.hook, params={"msg_signature": "a", "timestamp": "1", "nonce": "1"}, content=body)
        taken.append(time.perf_counter() - started)
    assert sorted(taken)[len(taken) // 2] < 0.05


def test_a_parameter_twice_is_refused(desk: Site, me: Follower) -> None:
    query, body = crypto.seal(me.xml("text", Content="你好"), token=TOKEN, aes_key=crypto.AES_KEY, receiver=APP)
    answer = me.http.post(me.hook, params=[*query.items(), ("nonce", query["nonce"])], content=body)
    assert answer.status_code == 403


def test_plain_messages_are_refused_even_with_a_right_signature(desk: Site, me: Follower) -> None:
    query = crypto.query_for_echo("1", token=TOKEN)
    answer = me.http.post(me.hook, params=query, content=me.xml("text", Content="你好").encode())
    assert (answer.status_code, answer.content) == (403, b"forbidden")


def test_plaintext_for_development_is_good_for_one_body_each(fake: WechatServer, tmp_path: Path) -> None:
    with running(tmp_path, **keys(fake), wechat__plaintext=True) as site:
        me = Follower(hook=site.url + HOOK)
        query, xml = crypto.query_for_echo("1", token=TOKEN), me.xml("text", Content=QUESTION).encode()
        first = me.http.post(me.hook, params=query, content=xml)
        assert CONCLUSION in first.text
        assert CONCLUSION in me.http.post(me.hook, params=query, content=xml).text
        other = me.http.post(me.hook, params=query, content=me.xml("text", Content="解绑").encode())
        assert other.status_code == 403
        assert CONCLUSION in me.say(QUESTION)
        me.http.close()


@settings(max_examples=400, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    st.dictionaries(
        st.sampled_from([*sorted(wechat.KNOWN), "Unknown"]),
        st.one_of(
            st.text(max_size=40),
            st.integers().map(str),
            st.sampled_from(["text", "event", "voice", "image", "location", "link", "subscribe", "SCAN", "CLICK"]),
        ),
        max_size=12,
    )
)
def test_any_elements_are_a_message_or_refused(elements: dict[str, str]) -> None:
    xml = "<xml>" + "".join(f"<{name}><![CDATA[{value}]]></{name}>" for name, value in elements.items()) + "</xml>"
    try:
        said = wechat.inbound(wechat.parse(xml), JUNE)
    except edge.BadCallback:
        return
    assert said is None or (said.address == elements["FromUserName"] and said.message_id)


# --- what is said ------------------------------------------------------------------------------------------------


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


# --- once, in time, in size --------------------------------------------------------------------------------------


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

    object.__setattr__(assistant, "handlers", Handlers(**{**handlers.__dict__, "ask": ask}))
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
    monkeypatch.setattr(wechat, "MOST_WAITING", 0)
    assert "没有收下" in me.say(QUESTION)
    assert desk.said(me.openid) == []


@pytest.mark.expects_error
def test_a_failing_turn_still_answers(me: Follower, channel: Wechat) -> None:
    assistant = channel._turns._assistant
    handlers = assistant.handlers

    def broken(turn: Turn) -> Reply:
        raise RuntimeError("broken")

    object.__setattr__(assistant, "handlers", Handlers(**{**handlers.__dict__, "ask": broken}))
    try:
        assert "系统繁忙" in me.say(QUESTION)
    finally:
        object.__setattr__(assistant, "handlers", handlers)


def owe(desk: Site, me: Follower, text: str) -> None:
    """Let something wait for the follower's next message; with `skipped` the ledger does not push it before."""
    engine = make_engine(f"sqlite:///{desk.database}")
    now = wechat.datetime.now(wechat.UTC)
    with transaction(make_sessions(engine)) as db:
        made = deliveries.put(
            db, source=f"test:{secrets.token_hex(4)}", recipient=f"wechat:{me.openid}", lane="reply",
            reply=Reply(text=text).to_json(), why="", now=now,
        )  # fmt: skip
        assert made is not None
        made.state, made.code = "failed", deliveries.NO_CHANNEL
    engine.dispose()


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


# --- pushing -----------------------------------------------------------------------------------------------------

NOTICE = Reply(text="您问的“站点补多少钱”有了答复：所收文件未作规定，可向省厅了解。\n请查看", links=())


def test_a_message_within_the_window_is_a_customer_service_message(
    fake: WechatServer, me: Follower, channel: Wechat
) -> None:
    me.say("你好")
    channel.push(me.openid, NOTICE, "ruling:1:1:1")
    assert fake.custom[-1]["touser"] == me.openid
    assert fake.custom[-1]["text"]["content"] == NOTICE.text
    assert fake.custom[-1]["client_msg_id"]


def test_somebody_who_only_pressed_buttons_or_nothing_gets_a_template_message(
    fake: WechatServer, me: Follower, channel: Wechat
) -> None:
    me.click("帮助")
    sent = len(fake.custom)
    number = channel.push(me.openid, Reply(text=NOTICE.text, links=(Link(label="看", url="http://127.0.0.1/n"),)), "k2")
    assert len(fake.custom) == sent
    made = fake.templates[-1]
    assert number
    assert made["template_id"] == "template-1"
    assert made["url"] == "http://127.0.0.1/n"
    assert [len(one["value"]) for one in made["data"].values()] == [20, 3]


def test_the_window_closes_after_48_hours_and_after_five_messages(
    fake: WechatServer, desk: Site, me: Follower, channel: Wechat, monkeypatch: pytest.MonkeyPatch
) -> None:
    me.say("你好")
    now = channel._clock()
    monkeypatch.setattr(channel, "_clock", lambda: now + timedelta(hours=48, minutes=1))
    assert not channel._window_open(me.openid)
    monkeypatch.setattr(channel, "_clock", lambda: now + timedelta(hours=47))
    assert channel._window_open(me.openid)
    engine = make_engine(f"sqlite:///{desk.database}")
    with transaction(make_sessions(engine)) as db:
        for number in range(5):
            made = deliveries.put(
                db, source=f"test:{me.openid}", version=number, recipient=f"wechat:{me.openid}", lane="reply",
                reply=NOTICE.to_json(), why="", now=now,
            )  # fmt: skip
            assert made is not None
            made.state, made.channel, made.handed_at = "accepted", "wechat", now + timedelta(seconds=1)
    engine.dispose()
    assert not channel._window_open(me.openid)


@pytest.mark.parametrize("code", [45015, 45047])
def test_a_window_that_wechat_says_is_closed_falls_back_to_the_template(
    fake: WechatServer, me: Follower, channel: Wechat, code: int
) -> None:
    me.say("你好")
    fake.faults["message/custom/send"].append(Fault(code=code))
    channel.push(me.openid, NOTICE, f"fallback:{code}")
    assert fake.templates[-1]["touser"] == me.openid


def test_without_a_template_another_channel_must_do_it(
    fake: WechatServer, me: Follower, channel: Wechat, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(channel, "_chosen", channel._chosen.model_copy(update={"template_id": ""}))
    with pytest.raises(Undeliverable, match="window"):
        channel.push(me.openid, NOTICE, "nowhere")
    me.say("你好")
    fake.faults["message/custom/send"].append(Fault(code=45015))
    with pytest.raises(Undeliverable, match="45015"):
        channel.push(me.openid, NOTICE, "closed")


@pytest.mark.parametrize(
    ("fault", "sure"),
    [
        (Fault(code=-1), False),
        (Fault(status=502), False),
        (Fault(body=b"<html>oops"), False),
        (Fault(body=b'{"errcode": "x"}'), False),
        (Fault(body=b'{"errco'), False),
        (Fault(body=b"[]"), False),
        (Fault(hang_up=True), False),
        (Fault(after=True), False),
        (Fault(code=45011), True),
    ],
)
def test_a_push_that_may_have_arrived_is_not_sure_and_sent_again_arrives_once(
    fake: WechatServer, me: Follower, channel: Wechat, fault: Fault, sure: bool
) -> None:
    me.say("你好")
    fake.faults["message/custom/send"].append(fault)
    with pytest.raises(TemporaryFailure) as trouble:
        channel.push(me.openid, NOTICE, f"again:{me.openid}")
    assert trouble.value.sure is sure
    channel.push(me.openid, NOTICE, f"again:{me.openid}")
    assert [one["touser"] for one in fake.custom].count(me.openid) == 1


def test_an_unreachable_platform_has_surely_not_taken_it(monkeypatch: pytest.MonkeyPatch) -> None:
    api = wechat_api.Api(grant=wechat_api.stable_token(APP, SECRET), api_base="http://127.0.0.1:9", clock=lambda: JUNE)
    with pytest.raises(TemporaryFailure) as trouble:
        api.post("message/custom/send", data={})
    assert trouble.value.sure
    api.close()


def test_a_slow_platform_is_given_up(fake: WechatServer, me: Follower, channel: Wechat) -> None:
    me.say("你好")
    fake.faults["message/custom/send"].append(Fault(delay_s=1.0))
    before = channel.api._http.timeout
    channel.api._http.timeout = httpx.Timeout(0.2)
    try:
        with pytest.raises(TemporaryFailure) as trouble:
            channel.push(me.openid, NOTICE, "slow")
    finally:
        channel.api._http.timeout = before
    assert not trouble.value.sure


def test_a_template_that_did_not_arrive_goes_with_the_next_message(
    fake: WechatServer, desk: Site, me: Follower
) -> None:
    engine = make_engine(f"sqlite:///{desk.database}")
    with transaction(make_sessions(engine)) as db:
        made = deliveries.put(
            db, source=f"test:{me.openid}", recipient=f"wechat:{me.openid}", lane="reply",
            reply=Reply(text="有一条通知").to_json(), why="", now=wechat.datetime.now(wechat.UTC),
        )  # fmt: skip
        assert made is not None
        made.state, made.channel, made.platform_id = "accepted", "wechat", "777001"
    engine.dispose()
    report = {"Event": "TEMPLATESENDJOBFINISH", "MsgID": 777001, "Status": "failed:user block"}
    assert me.send("event", **report) == ""
    assert "有一条通知" in me.say("帮助")


# --- tokens ------------------------------------------------------------------------------------------------------


@pytest.fixture
def fresh() -> Iterator[tuple[WechatServer, wechat_api.Api]]:
    server = WechatServer()
    api = wechat_api.Api(grant=wechat_api.stable_token(APP, SECRET), api_base=server.base, clock=lambda: JUNE)
    yield server, api
    api.close()
    server.close()


Fresh = tuple[WechatServer, wechat_api.Api]
TEXT = {"touser": "o1", "client_msg_id": "1"}


def test_many_threads_ask_for_one_token(fresh: Fresh) -> None:
    server, api = fresh
    server.faults["stable_token"].append(Fault(after=False, delay_s=0.2, body=json.dumps(
        {"access_token": "token-0", "expires_in": 7200}).encode()))  # fmt: skip
    with ThreadPoolExecutor(8) as pool:
        list(
            pool.map(
                lambda number: api.post("message/custom/send", data=TEXT | {"client_msg_id": str(number)}), range(8)
            )
        )
    assert server.count("stable_token") == 1
    assert len(server.custom) == 8


@pytest.mark.parametrize("code", [40001, 40014, 42001])
def test_a_token_revoked_early_is_renewed_once_and_the_call_repeated(fresh: Fresh, code: int) -> None:
    server, api = fresh
    api.post("message/custom/send", data=TEXT)
    server.faults["message/custom/send"].append(Fault(code=code))
    api.post("message/custom/send", data=TEXT | {"client_msg_id": "2"})
    assert len(server.custom) == 2
    assert server.count("stable_token") == 2
    assert server.calls[-2][1]["force_refresh"] is True


def test_a_secret_that_stays_wrong_stops_the_channel_after_two_tries(fresh: Fresh) -> None:
    server, api = fresh
    server.faults["message/custom/send"].extend([Fault(code=40001)] * 50)
    with pytest.raises(ChannelStopped, match="app_secret"):
        api.post("message/custom/send", data=TEXT)
    assert server.count("message/custom/send") == 2
    assert server.count("stable_token") == 2


def test_many_threads_renew_a_dead_token_once(fresh: Fresh) -> None:
    server, api = fresh
    api.token()
    server.revoke()
    with ThreadPoolExecutor(8) as pool:
        list(
            pool.map(
                lambda number: api.post("message/custom/send", data=TEXT | {"client_msg_id": str(number)}), range(8)
            )
        )
    assert len(server.custom) == 8
    assert server.count("stable_token") == 2


def test_a_token_is_renewed_before_its_end(monkeypatch: pytest.MonkeyPatch, fresh: Fresh) -> None:
    server, api = fresh
    now = [1000.0]
    monkeypatch.setattr(wechat_api.time, "monotonic", lambda: now[0])
    api.token()
    now[0] += 6800
    api.token()
    assert server.count("stable_token") == 1
    now[0] += 200
    api.token()
    assert server.count("stable_token") == 2


@pytest.mark.parametrize(
    ("fault", "raised"),
    [
        (Fault(code=40125), ChannelStopped),
        (Fault(code=40164), ChannelStopped),
        (Fault(code=-1), TemporaryFailure),
        (Fault(status=500), TemporaryFailure),
        (Fault(body=b"{}"), TemporaryFailure),
        (Fault(hang_up=True), TemporaryFailure),
    ],
)
def test_no_token_means_that_nothing_was_sent(fresh: Fresh, fault: Fault, raised: type[Exception]) -> None:
    server, api = fresh
    server.faults["stable_token"].append(fault)
    with pytest.raises(raised) as trouble:
        api.post("message/custom/send", data=TEXT)
    assert getattr(trouble.value, "sure", True)
    assert server.count("message/custom/send") == 0


# --- error codes -------------------------------------------------------------------------------------------------

EXPECTED: dict[int, Behaviour] = {
    -1: "retry", 40001: "token", 40014: "token", 42001: "token", 45009: "tomorrow", 45011: "slower", 45015: "elsewhere",
    45047: "elsewhere", 40003: "gone", 43004: "gone", 50002: "gone", 45065: "already", 45066: "slower", 45002: "ours",
    47001: "ours", 48001: "stop", 48004: "stop", 40164: "stop", 61004: "stop", 43101: "elsewhere", 89503: "stop",
    60020: "stop", 81013: "elsewhere", 99999: "ours",
}  # fmt: skip
RAISED: dict[Behaviour, type[Exception] | None] = {
    "retry": TemporaryFailure, "slower": TemporaryFailure, "tomorrow": ChannelStopped, "token": ChannelStopped,
    "stop": ChannelStopped, "elsewhere": Undeliverable, "gone": Undeliverable, "ours": Undeliverable, "already": None,
}  # fmt: skip


@pytest.mark.expects_error
@pytest.mark.parametrize("code", sorted(EXPECTED | dict(ERRORS)))
def test_every_error_code_has_its_behaviour(fresh: Fresh, code: int) -> None:
    server, api = fresh
    expected = EXPECTED.get(code, ERRORS.get(code))
    assert expected is not None
    raised = RAISED[expected]
    server.faults["message/custom/send"].extend([Fault(code=code)] * 2)
    with capture_logs() as logs:
        if raised is None:
            api.post("message/custom/send", data=TEXT)
            return
        with pytest.raises(raised) as trouble:
            api.post("message/custom/send", data=TEXT)
    assert getattr(trouble.value, "gone", False) is (expected == "gone")
    assert getattr(trouble.value, "sure", True) is (expected != "retry")
    assert [one["log_level"] for one in logs] == (["error"] if expected == "ours" else [])


def test_a_used_up_quota_waits_for_ten_past_midnight_in_china() -> None:
    with pytest.raises(ChannelStopped) as stopped:
        fail(45009, JUNE)  # noon in China
    assert stopped.value.retry_after_s == (12 * 60 + 10) * 60


# --- files -------------------------------------------------------------------------------------------------------


def files(desk: Site, me: Follower) -> list[tuple[Any, ...]]:
    return desk.query(
        "SELECT state, mime, size, sha256, reason, name FROM file WHERE address = ? ORDER BY id", me.openid
    )


def settled(desk: Site, me: Follower) -> list[tuple[Any, ...]]:
    until(lambda: all(row[0] != "pending" for row in files(desk, me)))
    return files(desk, me)


def photo(me: Follower, media_id: str) -> str:
    return me.send("image", PicUrl="http://127.0.0.1:9/never", MediaId=media_id)


def test_a_photo_is_acknowledged_at_once_and_stored_under_its_hash(
    fake: WechatServer, desk: Site, me: Follower
) -> None:
    bound(desk, "wechat", me.openid)
    fake.media["photo-1"] = JPEG
    fake.faults["media/get"].append(Fault(delay_s=0.5, code=-1))
    assert photo(me, "photo-1").startswith("已收到材料1份")
    [(state, mime, size, digest, _, _)] = settled(desk, me)
    assert (state, mime, size) == ("stored", "image/jpeg", len(JPEG))
    path = desk.database.parent / "files" / digest[:2] / digest
    assert path.read_bytes() == JPEG
    assert path.stat().st_mode & 0o077 == 0
    assert "已收到材料" in photo(me, "photo-1")
    assert [row[3] for row in settled(desk, me)] == [digest, digest]


def test_a_photo_of_somebody_unknown_is_not_stored(fake: WechatServer, desk: Site, me: Follower) -> None:
    shown = photo(me, "photo-2")
    assert "已收到照片1张" in shown
    assert "绑定" in shown
    assert files(desk, me) == []


@pytest.mark.parametrize(
    ("fault", "state"),
    [
        (Fault(status=302, body=b"", headers={"Location": "http://127.0.0.1:9/"}), "lost"),
        (Fault(endless=True), "refused"),
        (Fault(body=b"<html>error</html>", headers={"Content-Type": "text/html"}), "refused"),
        (Fault(body=b"<html>error</html>", headers={"Content-Type": "image/jpeg"}), "refused"),
        (Fault(body=b'{"video_url": "http://127.0.0.1:9/v"}'), "refused"),
        (Fault(body=b"MZ" + b"\0" * 100, headers={"Content-Type": "image/jpeg"}), "refused"),
        (Fault(body=b"x" * 10_000_001, headers={"Content-Type": "image/jpeg"}), "refused"),
        (Fault(code=40007), "lost"),
        (Fault(status=404), "lost"),
    ],
    ids=[
        "redirect",
        "endless",
        "html",
        "disguised html",
        "video elsewhere",
        "program",
        "too big",
        "expired",
        "missing",
    ],
)
def test_a_file_that_cannot_be_kept_is_told(
    fake: WechatServer, desk: Site, me: Follower, fault: Fault, state: str
) -> None:
    bound(desk, "wechat", me.openid)
    fake.faults["media/get"].append(fault)
    photo(me, "photo-3")
    assert settled(desk, me)[0][0] == state
    told = until(lambda: [one for one in fake.custom if one["touser"] == me.openid])
    assert "没有保存" in told[0]["text"]["content"]


@pytest.mark.parametrize(
    "fault",
    [
        Fault(hang_up=True),
        Fault(status=500),
        Fault(body=b"short", headers={"Content-Length": "500", "Content-Type": "image/jpeg"}, delay_s=0),
        Fault(code=40001),
    ],
    ids=["hang up", "500", "cut short", "token"],
)
def test_a_fetch_that_fails_is_tried_again(
    fake: WechatServer, desk: Site, me: Follower, fault: Fault, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bot.files.AGAIN_S", 0.05)
    monkeypatch.setattr(wechat_api, "ANSWER_S", 1.0)
    bound(desk, "wechat", me.openid)
    fake.media["photo-4"] = JPEG
    fake.faults["media/get"].append(fault)
    photo(me, "photo-4")
    assert settled(desk, me)[0][0] == "stored"


def test_a_drip_is_cut_off(fresh: Fresh, monkeypatch: pytest.MonkeyPatch) -> None:
    server, api = fresh
    monkeypatch.setattr(wechat_api, "FETCH_S", 0.0)
    server.media["slow"] = JPEG
    with pytest.raises(TemporaryFailure, match="too-slow"):
        api.media("slow", 10_000_000)


def test_a_file_sent_before_a_restart_is_fetched_after_it(
    fake: WechatServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake.faults.clear()
    with running(tmp_path, **keys(fake)) as site:
        me = Follower(hook=site.url + HOOK)
        bound(site, "wechat", me.openid)
        fake.faults["media/get"].append(Fault(status=500))
        photo(me, "photo-5")
        until(lambda: files(site, me)[0][4] == "http-500")
        me.http.close()
    fake.media["photo-5"] = JPEG
    with running(tmp_path, **keys(fake)) as site:
        assert settled(site, me)[0][0] == "stored"


def test_files_voices_and_videos_are_fetched_too(fake: WechatServer, desk: Site, me: Follower) -> None:
    bound(desk, "wechat", me.openid)
    fake.media["f1"] = b"%PDF-1.4\n" + b"\0" * 300
    assert me.send("file", MediaId="f1", FileName="验收报告.pdf").startswith("已收到材料1份")
    [(state, mime, _, _, _, name)] = settled(desk, me)
    assert (state, mime, name) == ("stored", "application/pdf", "验收报告.pdf")


def test_nothing_but_the_parser_reads_a_picture_or_link_address() -> None:
    root = Path(wechat.__file__).parent.parent.parent
    for path in [*root.glob("bot/**/*.py"), *root.glob("handlers/*.py")]:
        for line in path.read_text("utf-8").splitlines():
            assert "PicUrl" not in line or "KNOWN" in line or "ToUserName" in line, path


# --- settings, command line, logs --------------------------------------------------------------------------------


def test_a_half_configured_account_stops_the_start_with_everything_that_is_missing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COUNTYDESK_WECHAT__APP_ID", APP)
    monkeypatch.setenv("COUNTYDESK_WECHAT__AES_KEY", crypto.AES_KEY)
    with pytest.raises(ConfigError) as error:
        load_settings({}, tmp_path)
    assert "wechat：还缺 app_secret、token" in str(error.value)
    assert "基本配置" in str(error.value)
    assert crypto.AES_KEY not in str(error.value)


def test_a_mistyped_aes_key_is_named_and_not_shown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for key, value in {"APP_ID": APP, "APP_SECRET": SECRET, "TOKEN": TOKEN, "AES_KEY": "short-key"}.items():
        monkeypatch.setenv(f"COUNTYDESK_WECHAT__{key}", value)
    with pytest.raises(ConfigError, match="aes_key 应为43位") as error:
        load_settings({}, tmp_path)
    assert "short-key" not in str(error.value)


def test_a_secret_may_be_in_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "secret").write_text(f"{SECRET}\n")
    for key, value in {"APP_ID": APP, "TOKEN": TOKEN, "AES_KEY": crypto.AES_KEY}.items():
        monkeypatch.setenv(f"COUNTYDESK_WECHAT__{key}", value)
    monkeypatch.setenv("COUNTYDESK_WECHAT__APP_SECRET_FILE", str(tmp_path / "secret"))
    assert load_settings({}, tmp_path).wechat.app_secret == SECRET
    monkeypatch.setenv("COUNTYDESK_WECHAT__APP_SECRET_FILE", str(tmp_path / "nowhere"))
    with pytest.raises(ConfigError, match="app_secret_file"):
        load_settings({}, tmp_path)


Program = Callable[..., subprocess.CompletedProcess[str]]


def test_the_menu_is_made_by_command(
    fake: WechatServer, program: Program, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert program("wechat", "menu", cwd=tmp_path).returncode == 1
    for key, value in keys(fake).items():
        if "template" not in key:
            monkeypatch.setenv(f"COUNTYDESK_{key.upper()}", value)
    done = program("wechat", "menu", cwd=tmp_path)
    assert (done.returncode, done.stdout) == (0, "菜单已建立。\n")
    buttons = fake.menu["button"]
    assert [one["name"] for one in buttons] == ["查政策", "办整改", "我的"]
    assert all(len(one["name"]) <= 4 and len(one["sub_button"]) == 5 for one in buttons)
    below = [entry for one in buttons for entry in one["sub_button"]]
    assert all(entry["type"] == "click" and len(entry["name"]) <= 8 for entry in below)
    assert "验收要满足什么条件" in [entry["key"] for entry in below]
    fake.faults["menu/create"].append(Fault(code=48001))
    refused = program("wechat", "menu", cwd=tmp_path)
    assert refused.returncode == 1
    assert "48001" in refused.stderr


def test_every_menu_button_gets_an_answer(me: Follower) -> None:
    from handlers.menu import ACCOUNT_MENU

    for below in ACCOUNT_MENU.values():
        for _, words in below:
            assert me.click(words) not in ("", FAILED)


def test_the_log_of_a_process_holds_no_openid_text_or_secret(
    fake: WechatServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for key, value in keys(fake).items():
        if "template" not in key:
            monkeypatch.setenv(f"COUNTYDESK_{key.upper()}", value)
    for site in serve(tmp_path):
        me = Follower(hook=site + HOOK)
        assert CONCLUSION in me.say(QUESTION)
        me.post("<xml/>")
        me.post(me.xml("text", Content="秘密的话"), token="another")
        me.http.close()
    log = (tmp_path / "log").read_text("utf-8")
    assert "callback refused" in log
    for planted in (me.openid, QUESTION, "秘密的话", SECRET, TOKEN, crypto.AES_KEY):
        assert planted not in log
