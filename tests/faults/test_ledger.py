"""kill -9 while the ledger is handed over to a fake WeChat over HTTP: nothing lost, nothing twice, doubt is listed."""

import os
import random
import signal
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime
from functools import partial

import pytest
from sqlalchemy import select
from sqlalchemy.orm import Session, sessionmaker

from bot.messages import Reply
from storage import deliveries
from storage.db import make_engine, make_sessions, transaction
from storage.models import Delivery
from tests.databases import KEY, server
from tests.fakes.server import until
from tests.fakes.wechat import WechatServer
from tests.faults.sender import POINTS, WORKERS
from tests.faults.support import Driver, driver

AUDIENCE = int(os.environ.get("AUDIENCE", "2000"))  # `make bench` asks for more
KILLS = int(os.environ.get("LEDGER_KILLS", "5"))
RESTARTS = int(os.environ.get("RESTARTS", "1"))
LEASE_OVER_S = deliveries.LEASE.total_seconds() + 30


@pytest.fixture
def platform() -> Iterator[WechatServer]:
    made = WechatServer()
    yield made
    made.close()


def announce(sessions: sessionmaker[Session], audience: int) -> None:
    reply, why = Reply(text="请查收通知").to_json(), ""
    replies = {f"wechat:openid-{number}": (reply, why) for number in range(audience)}
    with transaction(sessions) as db:
        deliveries.put_all(db, source="broadcast:1", lane="notice", replies=replies, now=datetime.now(UTC))


def states(sessions: sessionmaker[Session]) -> Counter[str]:
    with transaction(sessions) as db:
        return Counter(deliveries.counts(db, "broadcast:1"))


def got(platform: WechatServer) -> Counter[str]:
    return Counter(one["touser"] for one in platform.templates)


def _has(platform: WechatServer, count: int) -> bool:
    return len(platform.templates) >= count


def killed_now_and_then(sender: Driver, platform: WechatServer, seed: int) -> int:
    """Let senders die at every point and at random, the later ones by later clocks; how many were killed."""
    chance, kills = random.Random(seed), 0
    for point in POINTS:
        sender.tell(late_s=kills * LEASE_OVER_S, die=point)
        sender.tell(wait=sender.answer())
        assert sender.answer() == signal.SIGKILL, point
        kills += 1
    for number in range(KILLS):
        more = len(platform.templates) + chance.randint(1, AUDIENCE // (2 * KILLS))
        enough = partial(_has, platform, min(more, AUDIENCE - KILLS * 50))
        sender.tell(late_s=kills * LEASE_OVER_S)
        child = sender.answer()
        until(enough, 120)
        os.kill(child, signal.SIGKILL)
        sender.tell(wait=child)
        assert sender.answer() == signal.SIGKILL, number
        kills += 1
    return kills


def test_killed_senders_lose_nothing_and_send_nothing_twice(
    url: str, sessions: sessionmaker[Session], platform: WechatServer
) -> None:
    announce(sessions, AUDIENCE)
    with driver(url, platform.base, module="sender") as sender:
        kills = killed_now_and_then(sender, platform, seed=1)
        sender.tell(late_s=kills * LEASE_OVER_S)
        sender.tell(wait=sender.answer())
        assert sender.answer() == 0
    settled(sessions, platform, kills)


def settled(sessions: sessionmaker[Session], platform: WechatServer, falls: int, audience: int = AUDIENCE) -> None:
    """Everybody was sent it, none twice; what is in doubt is no more than was in hand when something fell down."""
    found, received = states(sessions), got(platform)
    assert sum(found.values()) == audience and set(found) <= {"accepted", "unknown"}, found
    assert found["unknown"] <= WORKERS * falls
    assert set(received.values()) == {1}
    print(f"{audience} recipients, {falls} falls: {dict(found)}, received by {len(received)}")
    with transaction(sessions) as db:
        rows = db.execute(select(Delivery.recipient, Delivery.state)).all()
    unheard = {who for who, state in rows if state == "accepted"} - {f"wechat:{openid}" for openid in received}
    assert not unheard, "said to be accepted and never received"
    heard_of = {who.removeprefix("wechat:") for who, _ in rows}
    assert set(received) <= heard_of and len(received) >= audience - found["unknown"]


def test_a_database_that_falls_down_loses_nothing_and_doubles_nothing(platform: WechatServer) -> None:
    """One sender goes on through immediate shutdowns of its server."""
    chance, audience = random.Random(1), AUDIENCE if RESTARTS > 1 else AUDIENCE // 4
    with server() as postgres, postgres.database(like="migrated") as url:
        engine = make_engine(url)
        sessions = make_sessions(engine, KEY)
        announce(sessions, audience)
        with driver(url, platform.base, module="sender") as sender:
            sender.tell(late_s=0)
            child = sender.answer()
            for number in range(RESTARTS):
                until(
                    partial(_has, platform, (2 * number + 1) * audience // (2 * RESTARTS) + chance.randint(0, 50)), 1200
                )
                postgres.crash()
            sender.tell(wait=child)
            assert sender.answer() == 0
            sender.tell(late_s=LEASE_OVER_S)  # what nobody knows of is settled when its lease is over
            sender.tell(wait=sender.answer())
            assert sender.answer() == 0
        settled(sessions, platform, RESTARTS, audience)
        engine.dispose()


def test_two_processes_at_once_send_each_message_once_and_share_the_day(
    url: str, sessions: sessionmaker[Session], platform: WechatServer
) -> None:
    announce(sessions, 200)
    with driver(url, platform.base, module="sender") as sender:
        children = []
        for _ in range(2):
            sender.tell(late_s=0, day=150)  # of which notices may use 120
            children.append(sender.answer())
        for child in children:
            sender.tell(wait=child)
            assert sender.answer() == 0
    assert states(sessions) == {"accepted": 120, "queued": 80}
    assert set(got(platform).values()) == {1} and len(got(platform)) == 120
    assert platform.count("message/template/send") == 120, "not even a repetition that the platform would have hidden"
