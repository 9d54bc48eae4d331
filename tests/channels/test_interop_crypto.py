"""Our encryption and that of libraries written by others, from npm, read each other."""

import json
import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bot.channels.edge import Envelope, signature
from tests.fakes import crypto

FOLDER = Path(__file__).parent.parent / "interop"
TOKEN, ID = "a-token", "wx0123456789abcdef"
ENVELOPE = Envelope(token=TOKEN, aes_key=crypto.AES_KEY, receiver=ID)
TEXTS = st.text(alphabet=st.characters(exclude_categories=["Cs"]), max_size=3000)
EXAMPLES = settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


class Node:
    """A node process that answers line by line."""

    def __init__(self) -> None:
        node = shutil.which("node")
        assert node, "node is missing: run `make system`"
        assert (FOLDER / "node_modules" / "wechat-crypto").is_dir(), "run `make interop`"
        self.process = subprocess.Popen(
            [node, "--no-deprecation", "crypto.cjs"],
            cwd=FOLDER,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            encoding="utf-8",
        )

    def __call__(self, library: str, act: str, text: str, **more: str) -> Any:
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        request = {
            "library": library,
            "act": act,
            "text": text,
            "token": TOKEN,
            "key": crypto.AES_KEY,
            "id": ID,
            **more,
        }
        self.process.stdin.write(json.dumps(request) + "\n")
        self.process.stdin.flush()
        return json.loads(self.process.stdout.readline())


@pytest.fixture(scope="module")
def node() -> Iterator[Node]:
    made = Node()
    yield made
    assert made.process.stdin is not None
    made.process.stdin.close()
    made.process.wait(timeout=10)
    assert made.process.stdout is not None
    made.process.stdout.close()


@pytest.fixture(params=["wechat-crypto", "@wecom/crypto"])
def library(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@EXAMPLES
@given(text=TEXTS)
def test_theirs_opens_here(node: Node, library: str, text: str) -> None:
    encrypted = node(library, "encrypt", text)
    timestamp = str(int(time.time()))
    query = {"timestamp": timestamp, "nonce": "n1"}
    query["msg_signature"] = node(library, "sign", encrypted, timestamp=timestamp, nonce="n1")
    body = f"<xml><ToUserName>gh_1</ToUserName><Encrypt><![CDATA[{encrypted}]]></Encrypt></xml>"
    assert ENVELOPE.open(query, body.encode(), time.time()) == text


@EXAMPLES
@given(text=TEXTS)
def test_ours_opens_there(node: Node, library: str, text: str) -> None:
    body = ENVELOPE.close(text, time.time())
    fields = {
        name: body.split(f"<{name}>")[1].split(f"</{name}>")[0].removeprefix("<![CDATA[").removesuffix("]]>")
        for name in ("Encrypt", "MsgSignature", "TimeStamp", "Nonce")
    }
    found = node(library, "decrypt", fields["Encrypt"])
    assert (found["message"], found["id"]) == (text, ID)
    signed = node(library, "sign", fields["Encrypt"], timestamp=fields["TimeStamp"], nonce=fields["Nonce"])
    assert signed == fields["MsgSignature"]


@EXAMPLES
@given(
    timestamp=st.integers(0, 10**10).map(str), nonce=st.text("0123456789abcdef", max_size=20), text=st.text("AZaz09+/=")
)
def test_signatures_agree(node: Node, library: str, timestamp: str, nonce: str, text: str) -> None:
    assert node(library, "sign", text, timestamp=timestamp, nonce=nonce) == signature(TOKEN, timestamp, nonce, text)


def test_an_encrypted_echo_of_theirs_comes_back(node: Node, library: str) -> None:
    echostr = node(library, "encrypt", "5837397520665436492")
    timestamp = str(int(time.time()))
    query = {"timestamp": timestamp, "nonce": "n", "echostr": echostr}
    query["msg_signature"] = node(library, "sign", echostr, timestamp=timestamp, nonce="n")
    assert ENVELOPE.echo(query, time.time()) == "5837397520665436492"
