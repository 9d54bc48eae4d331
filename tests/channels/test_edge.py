"""The guards that WeChat and WeCom share."""

import base64
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.channels.edge import BODY_LIMIT, BadCallback, Envelope, cdata, flat
from tests.fakes import crypto

TOKEN, RECEIVER = "a-token", "wx1234567890abcdef"
ENVELOPE = Envelope(token=TOKEN, aes_key=crypto.AES_KEY, receiver=RECEIVER)
KNOWN = ("ToUserName", "FromUserName", "CreateTime", "MsgType", "Content", "MsgId")


def sealed(xml: str | bytes, **more: object) -> tuple[dict[str, str], bytes]:
    return crypto.seal(xml, token=TOKEN, aes_key=crypto.AES_KEY, receiver=RECEIVER, **more)  # type: ignore[arg-type]


@given(st.text(alphabet=st.characters(exclude_categories=["Cs"])))
def test_what_the_platform_seals_opens_and_the_other_way_round(text: str) -> None:
    query, body = sealed(text)
    assert ENVELOPE.open(query, body, time.time()) == text
    answer = ENVELOPE.close(text, time.time())
    assert crypto.unseal(answer.encode(), token=TOKEN, aes_key=crypto.AES_KEY, receiver=RECEIVER) == text


@pytest.mark.parametrize("age_s", [-590, 0, 590])
def test_a_callback_within_ten_minutes_is_fresh(age_s: int) -> None:
    query, body = sealed("x", at=time.time() - age_s)
    assert ENVELOPE.open(query, body, time.time()) == "x"


@pytest.mark.parametrize("age_s", [-700, 610, 3600, 10**9])
def test_an_old_or_early_callback_is_refused(age_s: int) -> None:
    query, body = sealed("x", at=time.time() - age_s)
    with pytest.raises(BadCallback, match="timestamp"):
        ENVELOPE.open(query, body, time.time())


def test_another_receiver_is_refused() -> None:
    query, body = crypto.seal("x", token=TOKEN, aes_key=crypto.AES_KEY, receiver="wx-another")
    with pytest.raises(BadCallback, match="receiver"):
        ENVELOPE.open(query, body, time.time())


@pytest.mark.parametrize(
    ("raw", "why"),
    [
        (b"\0" * 32, "padding"),
        (b"a" * 31 + b"\x21", "padding"),
        (b"a" * 30 + b"\x01\x02", "padding"),
        (b"a" * 16 + b"\x00\x00\xff\xff" + b"x" * 11 + b"\x01", "length"),
        (b"\x10" * 16, "length|receiver"),
        (b"\x20" * 32, "length|receiver"),
    ],
)
def test_a_signed_but_malformed_plaintext_is_refused(raw: bytes, why: str) -> None:
    encrypted = crypto.encrypt_raw(raw, crypto.AES_KEY)
    with pytest.raises(BadCallback, match=why):
        ENVELOPE._decrypt(encrypted)


@pytest.mark.parametrize("encrypted", ["", "=", "abc", "!!!!", "AAAA", base64.b64encode(b"x" * 17).decode(), "é" * 8])
def test_a_signed_ciphertext_that_is_none_is_refused(encrypted: str) -> None:
    with pytest.raises(BadCallback):
        ENVELOPE._decrypt(encrypted)


@given(st.text(max_size=300), st.binary(max_size=300))
def test_arbitrary_bytes_raise_nothing_else(value: str, body: bytes) -> None:
    for query in ({}, {"msg_signature": value, "timestamp": value, "nonce": value, "echostr": value}):
        for attempt in (
            lambda query=query: ENVELOPE.open(query, body, 0),
            lambda query=query: ENVELOPE.echo(query, 0),
            lambda: flat(value, KNOWN, said=("Content",)),
            lambda: flat(f"<xml>{value}</xml>", KNOWN, said=("Content",)),
        ):
            try:
                attempt()
            except BadCallback:
                continue


@given(st.text(alphabet=st.characters(exclude_categories=["Cs", "Cc", "Cn"])))
def test_what_a_person_writes_stays_text(typed: str) -> None:
    xml = (
        f"<xml><FromUserName><![CDATA[me]]></FromUserName><Content><![CDATA[{typed}]]></Content><MsgId>1</MsgId></xml>"
    )
    assert flat(xml, KNOWN, said=("Content",)) == {"FromUserName": "me", "Content": typed, "MsgId": "1"}


@pytest.mark.parametrize(
    "typed",
    [
        "]]></Content><FromUserName><![CDATA[boss]]></FromUserName><Content><![CDATA[",
        "]]>",
        "<![CDATA[x]]>",
        "<!DOCTYPE xml [<!ENTITY a 'b'>]>&a;",
        "&lt; & <",
    ],
)
def test_text_that_looks_like_xml_injects_nothing(typed: str) -> None:
    xml = f"<xml><FromUserName><![CDATA[me]]></FromUserName><Content><![CDATA[{typed}]]></Content></xml>"
    assert flat(xml, KNOWN, said=("Content",)) == {"FromUserName": "me", "Content": typed}


def test_control_characters_are_dropped() -> None:
    xml = "<xml><Content><![CDATA[a\x00b\x08c\x1bd\ne]]></Content><MsgId>\x011</MsgId></xml>"
    assert flat(xml, KNOWN, said=("Content",)) == {"Content": "abcd\ne", "MsgId": "1"}


@pytest.mark.parametrize(
    "xml",
    [
        "",
        "text",
        "{}",
        "<xml>",
        "<other/>",
        "<xml><MsgId>1</MsgId><MsgId>2</MsgId></xml>",
        "<xml><MsgId><a>1</a></MsgId></xml>",
        "<xml><MsgId a='1'>1</MsgId></xml>",
        "<xml>words<MsgId>1</MsgId></xml>",
        "<xml><MsgId>&a;</MsgId></xml>",
        "<xml><?php x?><MsgId>1</MsgId></xml>",
        "<!DOCTYPE xml><xml><MsgId>1</MsgId></xml>",
        '<!DOCTYPE xml SYSTEM "http://127.0.0.1/x.dtd"><xml><MsgId>1</MsgId></xml>',
        '<!DOCTYPE xml [<!ENTITY a SYSTEM "file:///etc/passwd">]><xml><MsgId>&a;</MsgId></xml>',
        "<xml>" + "<a>" * 9 + "</a>" * 9 + "</xml>",
        "<xml>" + "<a/>" * 400 + "</xml>",
        "<xml><MsgId>1</MsgId></xml><xml/>",
    ],
)
def test_other_forms_are_refused(xml: str) -> None:
    with pytest.raises(BadCallback):
        flat(xml, KNOWN, said=("Content",))


def test_elements_that_the_platform_adds_are_passed_over_but_not_around_the_ciphertext() -> None:
    xml = "<xml><MsgId>1</MsgId><New><item><MsgId>2</MsgId></item></New></xml>"
    assert flat(xml, KNOWN) == {"MsgId": "1"}
    with pytest.raises(BadCallback):
        flat(xml, KNOWN, strict=True)


def test_text_in_an_answer_cannot_end_its_section() -> None:
    xml = f"<xml><Content><![CDATA[{cdata('a]]><b/>' + chr(0) + chr(0xD800))}]]></Content></xml>"
    assert flat(xml, KNOWN) == {"Content": "a]]><b/>"}


def test_the_limit_is_far_above_a_message() -> None:
    assert BODY_LIMIT == 65_536
