"""Many at once, on both databases: nothing lost, nothing locked, compared by the replies."""

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta
from threading import Event

import pytest
from sqlalchemy import text
from sqlalchemy.orm import Session, sessionmaker

from bot.app import Desk, assistant
from bot.messages import Inbound, Reply, Turn
from bot.turns import TurnThread
from knowledge.base import KnowledgeBase
from storage import bodies, invitations, people
from storage.db import make_engine, make_sessions, transaction
from storage.scope import SYSTEM, serving
from tests.databases import KEY, Server
from tests.faults import counter
from tests.faults.support import driver

THREADS, TURNS = 8, 50
SCRIPT = (
    "二次申报要什么条件", "我们只有88%呢", "那92%呢", "判断 reapplication", "85%", "取消", "16年的示范县整改期限",
    "那18年的呢", "为什么", "菜单",
)  # fmt: skip


def _talk(turns: TurnThread, who: str) -> list[Reply]:
    """Hold a conversation whose replies depend on what was said before."""
    return [
        turns.submit(
            Inbound(
                channel="terminal", message_id=f"{who}-{n}", address=who, text=SCRIPT[n % len(SCRIPT)], at=counter.NOW
            )
        ).result(timeout=60)
        for n in range(TURNS)
    ]


def test_conversations_held_at_once_go_as_if_alone(
    sessions: sessionmaker[Session], running: Desk, kb: KnowledgeBase
) -> None:
    alone = _talk(running.turns, "alone")
    assert len({reply.text for reply in alone}) >= len(SCRIPT) - 2
    turns = TurnThread(assistant(kb), sessions)
    with ThreadPoolExecutor(THREADS) as pool:
        together = list(pool.map(lambda n: _talk(turns, f"who{n}"), range(THREADS)))
    turns.stop()
    assert together == [alone] * THREADS


def test_one_person_on_eight_channels_loses_no_update(sessions: sessionmaker[Session], kb: KnowledgeBase) -> None:
    counter.add_person(sessions, addresses=THREADS)
    turns = TurnThread(counter.assistant(kb), sessions)

    def talk(address: int) -> list[str]:
        return [turns.submit(counter.said(address, f"{address}-{n}")).result(timeout=60).text for n in range(TURNS)]

    with ThreadPoolExecutor(THREADS) as pool:
        replies = [text for texts in pool.map(talk, range(THREADS)) for text in texts]
    turns.stop()
    total = THREADS * TURNS
    assert sorted(map(int, replies)) == list(range(1, total + 1))
    assert counter.written(sessions) == dict.fromkeys(("exchange", "fact", "audit", "delivery", "number"), total)


def test_two_processes_at_once_lose_no_update(url: str, sessions: sessionmaker[Session]) -> None:
    counter.add_person(sessions, addresses=THREADS)
    with driver(url) as first, driver(url) as second:
        first.tell(addresses=[0, 1, 2, 3], turns=TURNS)
        second.tell(addresses=[4, 5, 6, 7], turns=TURNS)
        replies = [*map(int, first.answer()), *map(int, second.answer())]
    total = THREADS * TURNS
    assert sorted(replies) == list(range(1, total + 1))
    assert counter.written(sessions) == dict.fromkeys(("exchange", "fact", "audit", "delivery", "number"), total)


def test_a_message_retried_at_another_process_gets_the_one_reply(postgres: Server, kb: KnowledgeBase) -> None:
    """The second delivery of a message arrives while the first is being answered."""
    with postgres.database(like="migrated") as url:
        engine = make_engine(url)
        sessions = make_sessions(engine, KEY)
        counter.add_person(sessions, addresses=1)
        reached, go_on = Event(), Event()

        def slow(turn: Turn) -> Reply:
            reached.set()
            assert go_on.wait(20)
            return counter.count(turn)

        def alike(run: Callable[[Turn], Reply]) -> TurnThread:
            made = counter.assistant(kb)
            [route] = made.handlers.routes
            return TurnThread(
                replace(made, handlers=replace(made.handlers, routes=[replace(route, run=run)])), sessions
            )

        first, second = alike(slow), alike(counter.count)
        waiting = [first.submit(counter.said(0, "m"))]
        assert reached.wait(20)
        waiting.append(second.submit(counter.said(0, "m")))
        with transaction(sessions) as db:
            blocked = text("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted")
            while not db.scalar(blocked) and not waiting[1].done():  # until the server says that the second one waits
                pass
        go_on.set()
        assert [future.result(timeout=20).text for future in waiting] == ["1", "1"]
        assert counter.written(sessions)["exchange"] == 1
        first.stop()
        second.stop()
        engine.dispose()


def test_messages_of_one_address_are_answered_in_order(sessions: sessionmaker[Session], kb: KnowledgeBase) -> None:
    counter.add_person(sessions, addresses=1)
    turns = TurnThread(counter.assistant(kb), sessions)
    waiting = [turns.submit(counter.said(0, f"m{n}")) for n in range(TURNS)]
    assert [future.result(timeout=60).text for future in waiting] == [str(n + 1) for n in range(TURNS)]
    turns.stop()


def test_a_code_that_two_devices_confirm_at_once_binds_one(sessions: sessionmaker[Session], kb: KnowledgeBase) -> None:
    """The second waits for the row that the first is changing; the policies must hold then, too."""
    if sessions.kw["bind"].dialect.name == "sqlite":
        pytest.skip("turns go one after another there")
    with transaction(sessions) as db, serving(db, SYSTEM):
        body, _ = bodies.find_or_add(db, name="秦安县", division_code="620522", years=[2016])
        person, _ = people.find_or_add(db, name="张三", body_id=body.id, now=counter.NOW)
        _, code = invitations.make(
            db, person=person, role="county_officer", now=counter.NOW, expires_at=counter.NOW + timedelta(days=9), body_id=body.id
        )  # fmt: skip

    def say(db: Session, who: str, words: str) -> str:
        said = Inbound(channel="terminal", message_id=f"{who} {words}", address=who, text=words, at=counter.NOW)
        return assistant(kb).handle(db, said).text

    def second() -> str:
        with transaction(sessions) as db:
            return say(db, "two", "同意")

    for who in ("one", "two"):
        with transaction(sessions) as db:
            say(db, who, f"绑定 {code}")
    with ThreadPoolExecutor(1) as pool:
        with transaction(sessions) as db, sessions() as looking:
            assert "已绑定" in say(db, "one", "同意")
            db.flush()
            later = pool.submit(second)
            while not later.done() and not looking.scalar(text("SELECT count(*) FROM pg_locks WHERE NOT granted")):
                time.sleep(0.01)
        assert "不能使用" in later.result(timeout=60)
