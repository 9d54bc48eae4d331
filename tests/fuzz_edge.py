"""Throw arbitrary bytes at the callback door: nothing but BadCallback may come out. Run by `make fuzz`."""

import contextlib
import sys

import atheris

with atheris.instrument_imports(include=["bot.channels.edge", "bot.channels.wechat", "wechatpy"]):
    from bot.channels import edge, wechat

from datetime import UTC, datetime

from tests.fakes import crypto

TOKEN, RECEIVER, NOW_S = "a-token", "wx0123456789abcdef", 1_590_984_000
ENVELOPE = edge.Envelope(token=TOKEN, aes_key=crypto.AES_KEY, receiver=RECEIVER)
AT = datetime.fromtimestamp(NOW_S, UTC)


def one(data: bytes) -> None:
    """The bytes as a whole body, as a ciphertext that is signed, as a padded plaintext, and as a signed message."""
    with contextlib.suppress(edge.BadCallback):
        ENVELOPE.open({}, data, NOW_S)
    attempts = [data.decode("latin-1"), crypto.encrypt(data, crypto.AES_KEY, RECEIVER)]
    if data and len(data) % 16 == 0:
        attempts.append(crypto.encrypt_raw(data, crypto.AES_KEY))
    for encrypted in attempts:
        query = {"timestamp": str(NOW_S), "nonce": "1"}
        query["msg_signature"] = edge.signature(TOKEN, str(NOW_S), "1", encrypted)
        try:
            body = f"<xml><Encrypt><![CDATA[{encrypted}]]></Encrypt></xml>".encode()
            wechat.inbound(wechat.parse(ENVELOPE.open(query, body, NOW_S)), AT)
        except edge.BadCallback:
            continue


if __name__ == "__main__":
    atheris.Setup(sys.argv, one)
    atheris.Fuzz()
