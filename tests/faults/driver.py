"""A process that runs turns of the counter, for tests that need several processes or one that dies.

Called with a database's URL; reads one JSON command a line, answers with one line of JSON.
`{"turns": 50, "addresses": [0, 1]}` counts on several threads at once and answers with all replies.
`{"die": "before commit", "message_id": "m"}` forks a process that kills itself at a point of the turn.
"""

import json
import os
import signal
import sys
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

from sqlalchemy import Engine, event

from bot.dialogue import Assistant
from bot.turns import TurnThread
from knowledge.base import KnowledgeBase, load
from storage import deliveries
from storage.db import make_engine, make_sessions
from tests.databases import KEY
from tests.faults import counter

POINTS = ("before handle", "within handle", "after handle", "before commit", "after commit", "before reply")
COMMITTED = POINTS[4:]


def _die(*_: Any, **__: Any) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def _and_die(function: Callable[..., Any]) -> Callable[..., Any]:
    def run(*given: Any, **named: Any) -> None:
        function(*given, **named)
        _die()

    return run


def _set(point: str, engine: Engine) -> None:
    """Let this process die at a point of its next turn."""
    if point == "before handle":
        Assistant.handle = _die  # type: ignore[assignment]
    elif point == "within handle":
        deliveries.put = _die  # type: ignore[assignment]
    elif point == "after handle":
        Assistant.handle = _and_die(Assistant.handle)  # type: ignore[method-assign]
    elif point == "before commit":
        event.listen(engine, "commit", _die)
    elif point == "after commit":
        engine.dialect.do_commit = _and_die(engine.dialect.do_commit)  # type: ignore[method-assign]
    elif point == "before reply":
        Future.set_result = _die  # type: ignore[method-assign]
    else:
        raise ValueError(point)


def _fork(url: str, kb: KnowledgeBase, point: str, message_id: str) -> int:
    """Run a turn that dies in a process of its own; the signal that ended it, 0 when it lived."""
    child = os.fork()
    if child == 0:
        engine = make_engine(url)
        turns = TurnThread(counter.assistant(kb), make_sessions(engine, KEY))
        with engine.connect():
            pass  # SQLite's and PostgreSQL's own commits at the first connection are not the turn's
        _set(point, engine)
        turns.submit(counter.said(0, message_id)).exception(timeout=30)
        os._exit(0)
    _, status = os.waitpid(child, 0)
    return os.WTERMSIG(status) if os.WIFSIGNALED(status) else 0


def _count(url: str, kb: KnowledgeBase, addresses: list[int], times: int) -> list[str]:
    engine = make_engine(url)
    turns = TurnThread(counter.assistant(kb), make_sessions(engine, KEY))

    def talk(address: int) -> list[str]:
        return [turns.submit(counter.said(address, f"{address}-{n}")).result(timeout=60).text for n in range(times)]

    with ThreadPoolExecutor(len(addresses)) as pool:
        replies = [text for texts in pool.map(talk, addresses) for text in texts]
    turns.stop()
    engine.dispose()
    return replies


def main() -> None:
    url, kb = sys.argv[1], load()
    print(json.dumps("ready"), flush=True)
    for line in sys.stdin:
        command = json.loads(line)
        if "die" in command:
            answer: object = _fork(url, kb, command["die"], command["message_id"])
        else:
            answer = _count(url, kb, command["addresses"], command["turns"])
        print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    main()
