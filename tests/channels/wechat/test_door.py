"""Who comes in at the callback, and how everybody else is refused."""

import random
import time
from pathlib import Path

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bot.channels import edge, wechat
from tests.channels.wechat.support import CONCLUSION, HOOK, QUESTION, exchanges, keys
from tests.conftest import JUNE
from tests.fakes import crypto
from tests.fakes.server import Site, running
from tests.fakes.wechat import APP, TOKEN, Follower, WechatServer


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
