"""Many at once, on both databases: nothing lost, nothing locked, compared by the replies."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from threading import Event

from sqlalchemy import text
from sqlalchemy.orm import Session, sessionmaker

from bot.app import Desk, assistant
from bot.messages import Inbound, Reply, Turn
from bot.turns import TurnThread
from knowledge.base import KnowledgeBase
from storage.db import make_engine, make_sessions, transaction
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
