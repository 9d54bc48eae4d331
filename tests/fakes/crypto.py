"""The platforms' side of the encryption, written from their documents and independent of the product's."""

import base64
import os
import secrets
import struct
import time
from hashlib import sha1
from xml.etree import ElementTree

from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

AES_KEY = base64.b64encode(bytes(range(32))).decode().rstrip("=")


def sign(*parts: str) -> str:
    return sha1("".join(sorted(parts)).encode()).hexdigest()


def encrypt(text: str | bytes, aes_key: str, receiver: str) -> str:
    raw = text.encode() if isinstance(text, str) else text
    raw = os.urandom(16) + struct.pack(">I", len(raw)) + raw + receiver.encode()
    padding = 32 - len(raw) % 32
    return encrypt_raw(raw + bytes([padding]) * padding, aes_key)


def encrypt_raw(padded: bytes, aes_key: str) -> str:
    key = base64.b64decode(f"{aes_key}=")
    encryptor = Cipher(algorithms.AES(key), modes.CBC(key[:16])).encryptor()
    return base64.b64encode(encryptor.update(padded) + encryptor.finalize()).decode()


def decrypt(encrypted: str, aes_key: str, receiver: str) -> str:
    key = base64.b64decode(f"{aes_key}=")
    decryptor = Cipher(algorithms.AES(key), modes.CBC(key[:16])).decryptor()
    raw = decryptor.update(base64.b64decode(encrypted)) + decryptor.finalize()
    raw = raw[16 : -raw[-1]]
    (length,) = struct.unpack(">I", raw[:4])
    assert raw[4 + length :].decode() == receiver
    return raw[4 : 4 + length].decode()


def seal(
    xml: str | bytes, *, token: str, aes_key: str, receiver: str, at: float | None = None, target: str = "gh_1"
) -> tuple[dict[str, str], bytes]:
    """The query and the body of an encrypted callback."""
    timestamp, nonce = str(int(at if at is not None else time.time())), secrets.token_hex(5)
    encrypted = encrypt(xml, aes_key, receiver)
    query = {
        "signature": sign(token, timestamp, nonce),
        "timestamp": timestamp,
        "nonce": nonce,
        "encrypt_type": "aes",
        "msg_signature": sign(token, timestamp, nonce, encrypted),
    }
    body = f"<xml><ToUserName><![CDATA[{target}]]></ToUserName><Encrypt><![CDATA[{encrypted}]]></Encrypt></xml>"
    return query, body.encode()


def unseal(body: bytes, *, token: str, aes_key: str, receiver: str) -> str:
    """The XML in an encrypted answer; its signature must be right."""
    found = {child.tag: child.text or "" for child in ElementTree.fromstring(body)}
    assert sign(token, found["TimeStamp"], found["Nonce"], found["Encrypt"]) == found["MsgSignature"]
    return decrypt(found["Encrypt"], aes_key, receiver)


def query_for_echo(echostr: str, *, token: str, at: float | None = None) -> dict[str, str]:
    """The query of WeChat's URL check, whose echostr is plain."""
    timestamp, nonce = str(int(at if at is not None else time.time())), secrets.token_hex(5)
    return {
        "signature": sign(token, timestamp, nonce),
        "timestamp": timestamp,
        "nonce": nonce,
        "echostr": echostr,
    }
