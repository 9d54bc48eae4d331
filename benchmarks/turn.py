"""Where the time of a full WeChat turn goes, in CPU time of this process, on SQLite. usage: turn.py [TURNS]"""

import asyncio
import os
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent))

from load import PEOPLE, request, texts

from bot import dialogue, turns
from bot.app import assistant, published
from bot.channels import edge, wechat
from bot.installation import open_database
from bot.messages import Inbound
from bot.settings import Paths, Settings
from storage import conversations
from tests.fakes import crypto
from tests.fakes.wechat import APP, TOKEN

STAGES: tuple[tuple[str, Any, str], ...] = (
    ("the turn's transaction", turns.TurnThread, "_answer"),
    ("  what is known of message and address", conversations, "arrival"),
    ("  answer", dialogue.Assistant, "_reply"),
    ("  leave the conversation", conversations, "close_conversation"),
    ("  encrypt exchange, make its rows", conversations, "record_exchange"),
    ("  write what is put off", conversations, "settle"),
)


def watch(spent: Counter[str], owner: Any, name: str, stage: str) -> None:
    """Add the CPU time of a function's calls to its stage."""
    function: Callable[..., Any] = getattr(owner, name)

    def watched(*given: Any, **named: Any) -> Any:
        started = time.thread_time()
        try:
            return function(*given, **named)
        finally:
            spent[stage] += time.thread_time() - started

    setattr(owner, name, watched)


async def envelope(count: int, spent: Counter[str]) -> None:
    """Open and close as many callbacks as there are turns."""
    sealed = edge.Envelope(token=TOKEN, aes_key=crypto.AES_KEY, receiver=APP)
    raws = [request("h", texts(5)[1], number, number) for number in range(count)]
    started = time.thread_time()
    for raw in raws:
        head, _, body = raw.partition(b"\r\n\r\n")
        pairs = head.split(b" ")[1].partition(b"?")[2].decode().split("&")
        query = dict(pair.split("=", 1) for pair in pairs)
        message = wechat.parse(sealed.open(query, body, time.time()))
        sealed.close(wechat.rendered(message, "答" * 200), time.time())
    spent["decrypt, parse, render, encrypt"] += time.thread_time() - started


def main(count: int = 1600) -> None:
    os.chdir(tempfile.mkdtemp())
    chosen = Settings(paths=Paths(data=Path("data")))
    sessions = open_database(chosen)
    made = turns.TurnThread(assistant(published(sessions, chosen, datetime.now(UTC)), chosen), sessions)
    text, spent = texts(5)[1], Counter[str]()

    def run(first: int, turns_: int) -> None:
        waiting = [
            made.submit(
                Inbound(channel="wechat", message_id=str(first + n), address=str(n % PEOPLE), text=text, at=datetime.now(UTC))
            )
            for n in range(turns_)
        ]  # fmt: skip
        assert all(one.result().kind != "chat" for one in waiting)

    run(0, PEOPLE)
    run(10_000, PEOPLE)  # everybody has asked before
    for stage, owner, name in STAGES:
        watch(spent, owner, name, stage)
    run(20_000, count)
    asyncio.run(envelope(count, spent))
    print("| stage | µs of CPU |\n|---|---|")
    for stage in (*(one for one, _, _ in STAGES), "decrypt, parse, render, encrypt"):
        print(f"| {stage} | {spent[stage] / count * 1e6:.0f} |")
    made.stop()


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
