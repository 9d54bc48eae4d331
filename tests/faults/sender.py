"""A process that hands the ledger over to a fake WeChat, for tests in which it dies.

Called with a database's URL and the platform's address; reads one JSON command a line, answers with one line of JSON.
`{"late_s": 0}` forks a sender whose clock is so much later and answers with its number at once; `{"die": "called", …}`
lets it kill itself at a point of the hand-over; `{"day": 100, …}` is what the platform takes a day. `{"wait": 123}` waits for a sender: its signal, 0 when it was done.
"""

import itertools
import json
import os
import signal
import sys
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any, cast

import structlog

from bot.channels.wechat import Wechat
from bot.delivery import Dispatcher
from bot.messages import ChannelStopped, TemporaryFailure
from bot.pacing import Pacer
from bot.settings import Wechat as Keys
from bot.turns import TurnThread
from storage import deliveries
from storage.db import make_engine, make_sessions
from tests.fakes import crypto, wechat

POINTS = ("claimed", "before the note", "noted", "called", "before the result", "finished")
WORKERS = 4
REACHED = 9  # how many messages pass a point before it kills


def _die_at(point: str) -> None:
    """Let this process die at a point of one of its hand-overs."""
    passed = itertools.count(1)

    def die() -> None:
        if next(passed) == REACHED:
            os.kill(os.getpid(), signal.SIGKILL)

    def before(function: Callable[..., Any]) -> Callable[..., Any]:
        def run(*given: Any, **named: Any) -> Any:
            die()
            return function(*given, **named)

        return run

    def after(function: Callable[..., Any]) -> Callable[..., Any]:
        def run(*given: Any, **named: Any) -> Any:
            result = function(*given, **named)
            die()
            return result

        return run

    if point == "claimed":
        deliveries.claim = after(deliveries.claim)
    elif point == "before the note":
        deliveries.hand = after(deliveries.hand)
    elif point == "noted":
        Wechat.push = before(Wechat.push)  # type: ignore[method-assign]
    elif point == "called":
        Wechat.push = after(Wechat.push)  # type: ignore[method-assign]
    elif point == "before the result":
        deliveries.accepted = after(deliveries.accepted)
    elif point == "finished":
        Dispatcher._note = after(Dispatcher._note)  # type: ignore[method-assign]
    else:
        raise ValueError(point)


def _send(url: str, platform: str, late_s: float, point: str, day: int) -> None:
    """Hand over what is due until nothing is, or so many of a day as notices may use of it."""
    engine = make_engine(url)
    sessions = make_sessions(engine)

    def clock() -> datetime:
        return datetime.now(UTC) + timedelta(seconds=late_s)

    keys = Keys(
        app_id=wechat.APP, app_secret=wechat.SECRET, token=wechat.TOKEN, aes_key=crypto.AES_KEY, api_base=platform,
        template_id="a-template",
    )  # fmt: skip
    channel = Wechat(keys, cast(TurnThread, None), sessions, clock)  # nobody writes to it here
    if point:
        _die_at(point)
    pacer = Pacer(days={"wechat": day})
    Dispatcher(channels={"wechat": channel}, sessions=sessions, clock=clock, workers=WORKERS, pacer=pacer).drain()
    engine.dispose()


def _fork(url: str, platform: str, command: dict[str, Any]) -> int:
    child = os.fork()
    if child:
        return child
    try:
        _send(url, platform, command["late_s"], command.get("die", ""), command.get("day", 100_000))
    except (TemporaryFailure, ChannelStopped):
        os._exit(1)
    os._exit(0)


def _wait(child: int) -> int:
    _, status = os.waitpid(child, 0)
    return os.WTERMSIG(status) if os.WIFSIGNALED(status) else os.WEXITSTATUS(status)


def main() -> None:
    url, platform = sys.argv[1:]
    structlog.configure(logger_factory=structlog.PrintLoggerFactory(sys.stderr))
    print(json.dumps("ready"), flush=True)
    for line in sys.stdin:
        command = json.loads(line)
        answer = _wait(command["wait"]) if "wait" in command else _fork(url, platform, command)
        print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    main()
