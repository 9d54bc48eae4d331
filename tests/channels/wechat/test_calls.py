"""Tokens and error codes of the platform's API."""

import json
import math
import socket
import ssl
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from structlog.testing import capture_logs

from bot.channels import wechat_api
from bot.channels.errors import ERRORS, Behaviour, fail
from bot.messages import ChannelStopped, TemporaryFailure, Undeliverable
from tests.channels.wechat.support import TEXT, Fresh
from tests.conftest import JUNE
from tests.fakes.wechat import APP, SECRET, Fault


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


@contextmanager
def heard_by(serve: Callable[[socket.socket], None]) -> Iterator[str]:
    """Somebody at a port of this machine, who serves one connection; where."""
    with socket.create_server(("127.0.0.1", 0)) as listening, ThreadPoolExecutor(1) as pool:

        def listen() -> None:
            connection, _ = listening.accept()
            with connection:
                serve(connection)

        serving = pool.submit(listen)
        yield f"127.0.0.1:{listening.getsockname()[1]}"
        serving.result(timeout=10)


def own_paper() -> bytes:
    """A key and a certificate for this machine that only its holder vouches for."""
    key, who = ec.generate_private_key(ec.SECP256R1()), x509.Name([])
    ends_at = datetime.now(UTC) + timedelta(days=1)
    names = x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))])
    made = x509.CertificateBuilder(who, who, key.public_key(), 1, datetime(2020, 1, 1, tzinfo=UTC), ends_at)
    paper = made.add_extension(names, critical=True).sign(key, hashes.SHA256())
    pem = serialization.Encoding.PEM
    plain = serialization.NoEncryption()
    secret = key.private_bytes(pem, serialization.PrivateFormat.PKCS8, plain)
    return secret + paper.public_bytes(pem)


def test_who_shows_a_certificate_that_nobody_vouches_for_is_told_nothing(tmp_path: Path) -> None:
    (tmp_path / "paper.pem").write_bytes(own_paper())
    context, heard = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), list[bytes]()
    context.load_cert_chain(tmp_path / "paper.pem")

    def serve(plain: socket.socket) -> None:
        with suppress(ssl.SSLError), context.wrap_socket(plain, server_side=True) as connection:
            heard.append(connection.recv(1000))

    with heard_by(serve) as where:
        api = wechat_api.Api(
            grant=wechat_api.stable_token(APP, SECRET), api_base=f"https://{where}", clock=lambda: JUNE
        )
        with pytest.raises(TemporaryFailure, match="unreachable"):  # so that it surely was not sent
            api.post("message/custom/send", data=TEXT)
        api.close()
    assert not any(heard)


def test_a_file_that_comes_by_drops_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each drop comes in time and no block is ever full."""
    monkeypatch.setattr(wechat_api, "FETCH_S", 0.1)

    def serve(connection: socket.socket) -> None:
        connection.recv(1000)
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Type: image/jpeg\r\nContent-Length: 60000\r\n\r\n")
        with suppress(OSError):
            for _ in range(500):
                connection.sendall(b"x")
                time.sleep(0.01)

    with heard_by(serve) as where:
        api = wechat_api.Api(grant=wechat_api.stable_token(APP, SECRET), api_base=f"http://{where}", clock=lambda: JUNE)
        api._token, api._good_until = "token", math.inf
        with pytest.raises(TemporaryFailure, match="too-slow"):
            api.media("drip", 10_000_000)
        api.close()
