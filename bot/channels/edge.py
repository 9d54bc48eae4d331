"""What a callback of WeChat or WeCom must pass before anything reads it: size, signature, freshness, encryption, form.

Whatever is wrong raises BadCallback, and the door answers every BadCallback alike.
"""

import base64
import binascii
import hmac
import re
import secrets
from collections.abc import Container, Iterator, Mapping, Sequence
from hashlib import sha1
from typing import Any
from xml.parsers import expat

from fastapi import Request, Response
from starlette.requests import ClientDisconnect
from wechatpy.crypto import PrpCrypto

BODY_LIMIT = 64 * 1024
FRESH_S = 600  # how far the platform's clock may be from ours, and how late a callback may come
_DEEPEST = 8
_MOST_ELEMENTS = 400
_BLOCK = 32  # bytes: the platforms pad to 32 although AES blocks have 16
_NOT_XML = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ud800-\udfff\ufffe\uffff]")


class BadCallback(Exception):
    """A request that the platform did not send. The text is for the log."""


def refusal() -> Response:
    """The one answer to every BadCallback."""
    return Response("forbidden", status_code=403, media_type="text/plain")


def query_of(request: Request) -> dict[str, str]:
    """The query's parameters. Raises BadCallback when one is given twice."""
    pairs = request.query_params.multi_items()
    query = dict(pairs)
    if len(query) != len(pairs):
        raise BadCallback("a parameter twice")
    return query


async def body_of(request: Request, limit: int = BODY_LIMIT) -> bytes:
    """The body. Raises BadCallback as soon as it is longer than `limit`."""
    body = b""
    try:
        async for part in request.stream():
            body += part
            if len(body) > limit:
                raise BadCallback("body too long")
    except ClientDisconnect as error:
        raise BadCallback("hung up") from error
    return body


def signature(token: str, *parts: str) -> str:
    """The platforms' signature: SHA-1 over the sorted parts, the token among them."""
    return sha1("".join(sorted((token, *parts))).encode("utf-8", "surrogatepass")).hexdigest()


def check_signature(query: Mapping[str, str], name: str, token: str, now_s: float, *more: str) -> None:
    """Compare the signature in the parameter `name` in constant time, then the age of its timestamp.

    `more` is what is signed beside timestamp and nonce. Raises BadCallback.
    """
    given, timestamp, nonce = (query.get(key, "") for key in (name, "timestamp", "nonce"))
    expected = signature(token, timestamp, nonce, *more)
    if not hmac.compare_digest(expected.encode(), given.encode("utf-8", "surrogatepass")):
        raise BadCallback("signature")
    if not re.fullmatch("[0-9]{1,12}", timestamp) or abs(now_s - int(timestamp)) > FRESH_S:
        raise BadCallback("timestamp")


def _nonces() -> Iterator[str]:
    """16 unpredictable hexadecimal digits at a time.

    They are drawn by the thousand: each draw lets other threads go on, and then waits until they let go again.
    """
    while True:
        drawn = secrets.token_hex(8 * 1024)
        yield from (drawn[start : start + 16] for start in range(0, len(drawn), 16))


class _Crypto(PrpCrypto):  # type: ignore[misc]  # wechatpy carries no types
    """wechatpy's encryption with an unpredictable prefix."""

    def __init__(self, key: bytes, nonces: Iterator[str]) -> None:
        super().__init__(key)
        self._nonces = nonces

    def get_random_string(self) -> str:
        return next(self._nonces)


class Envelope:
    """The encryption that WeChat and WeCom share. `receiver` is the app id or the corp id.

    Source: 消息加解密说明, https://developer.work.weixin.qq.com/document/path/90968.
    """

    def __init__(self, *, token: str, aes_key: str, receiver: str) -> None:
        self.token, self.receiver = token, receiver
        self._nonces = _nonces()
        self._crypto = _Crypto(base64.b64decode(f"{aes_key}="), self._nonces)

    def open(self, query: Mapping[str, str], body: bytes, now_s: float) -> str:
        """The XML in an encrypted callback, its signature, age and receiver checked. Raises BadCallback."""
        outer = flat(decoded(body), ("ToUserName", "AgentID", "Encrypt"), strict=True)
        encrypted = outer.get("Encrypt", "")
        check_signature(query, "msg_signature", self.token, now_s, encrypted)
        return self._decrypt(encrypted)

    def echo(self, query: Mapping[str, str], now_s: float) -> str:
        """What WeCom's URL check wants back: its echostr, decrypted. Raises BadCallback."""
        encrypted = query.get("echostr", "")
        check_signature(query, "msg_signature", self.token, now_s, encrypted)
        return self._decrypt(encrypted)

    def close(self, xml: str, now_s: float) -> str:
        """An answer's XML, encrypted and signed."""
        timestamp, nonce = str(int(now_s)), next(self._nonces)
        encrypted = self._crypto.encrypt(xml, self.receiver).decode()
        signed = signature(self.token, timestamp, nonce, encrypted)
        return (
            f"<xml><Encrypt><![CDATA[{encrypted}]]></Encrypt><MsgSignature><![CDATA[{signed}]]></MsgSignature>"
            f"<TimeStamp>{timestamp}</TimeStamp><Nonce><![CDATA[{nonce}]]></Nonce></xml>"
        )

    def _decrypt(self, encrypted: str) -> str:
        """wechatpy checks neither padding nor lengths and lets five kinds of exception out; here all are one."""
        try:
            plain = self._crypto.cipher.decrypt(base64.b64decode(encrypted, validate=True))
        except (ValueError, binascii.Error) as error:
            raise BadCallback("ciphertext") from error
        padding = plain[-1] if plain else 0
        if not 1 <= padding <= _BLOCK or plain[-padding:] != bytes([padding]) * padding:
            raise BadCallback("padding")
        content = plain[16:-padding]
        length = int.from_bytes(content[:4], "big")
        if len(content) < 4 + length:
            raise BadCallback("length")
        if not hmac.compare_digest(content[4 + length :], self.receiver.encode()):
            raise BadCallback("receiver")
        return decoded(content[4 : 4 + length])


# --- XML ---------------------------------------------------------------------------------------------------------


def decoded(raw: bytes) -> str:
    """UTF-8 as text. Raises BadCallback."""
    try:
        return raw.decode()
    except UnicodeDecodeError as error:
        raise BadCallback("encoding") from error


def clean(text: str) -> str:
    """Without the characters that XML forbids or that only steer a terminal."""
    return _NOT_XML.sub("", text)


def cdata(text: str) -> str:
    """Text to stand within one CDATA section, whatever is in it."""
    return clean(text).replace("]]>", "]]]]><![CDATA[>")


def flat(text: str, known: Container[str], *, said: Sequence[str] = (), strict: bool = False) -> dict[str, str]:
    """The known elements directly under <xml>, each at most once and without children. Raises BadCallback.

    `said` names, in the order of the message, those that hold what a person wrote. The platforms put that into
    CDATA as it is, `]]>` and control characters included, so it is cut out before the rest is parsed.
    Other elements are passed over, because platforms add some; with `strict` they are refused.
    """
    text, cut = _without_said(clean(text), said)
    reader = _Flat(known, strict)
    parser = expat.ParserCreate()
    parser.buffer_text = True
    parser.StartElementHandler, parser.EndElementHandler = reader.start, reader.end
    parser.CharacterDataHandler = reader.characters
    parser.StartDoctypeDeclHandler = parser.ProcessingInstructionHandler = reader.refuse
    try:
        parser.Parse(text, True)
    except expat.ExpatError as error:
        raise BadCallback("not XML") from error
    return {**reader.found, **cut}


def _without_said(text: str, said: Sequence[str]) -> tuple[str, dict[str, str]]:
    """Take out each element of `said` from its first opening to its last closing: a person may have typed both."""
    cut: dict[str, str] = {}
    for tag in said:
        opening, closing = f"<{tag}><![CDATA[", f"]]></{tag}>"
        start, end = text.find(opening), text.rfind(closing)
        if start < 0 or end < start + len(opening):
            continue
        cut[tag] = text[start + len(opening) : end]
        text = f"{text[:start]}<{tag}/>{text[end + len(closing) :]}"
    return text, cut


class _Flat:
    """Collects elements while expat reads."""

    def __init__(self, known: Container[str], strict: bool) -> None:
        self.found: dict[str, str] = {}
        self._known, self._strict = known, strict
        self._depth = self._elements = 0
        self._current = ""

    def start(self, name: str, attributes: Mapping[str, str]) -> None:
        self._depth += 1
        self._elements += 1
        if attributes or self._depth > _DEEPEST or self._elements > _MOST_ELEMENTS or self._current:
            raise BadCallback("form")
        if self._depth == 1 and name != "xml":
            raise BadCallback("root")
        if self._depth != 2:
            return
        if name in self._known:
            if name in self.found:
                raise BadCallback("an element twice")
            self._current, self.found[name] = name, ""
        elif self._strict:
            raise BadCallback("an unknown element")

    def end(self, _name: str) -> None:
        self._depth -= 1
        self._current = ""

    def characters(self, data: str) -> None:
        if self._current:
            self.found[self._current] += data
        elif self._depth == 1 and data.strip():
            raise BadCallback("text between elements")

    def refuse(self, *_: Any) -> None:  # Any: expat passes different things for each kind of markup
        raise BadCallback("markup")
