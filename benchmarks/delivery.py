"""How fast the ledger is handed over and reminders are planned; the bare loop of the same calls runs beside it.

    .venv/bin/python benchmarks/delivery.py [MESSAGES]

On SQLite and PostgreSQL. The platform is the project's fake WeChat in a process of its own, 20 ms away.
"""

import os
import statistics
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import cast

from province import databases  # first: it makes the project's modules known
from sqlalchemy.orm import Session, sessionmaker

from bot import planner
from bot.app import assistant
from bot.channels.wechat import Wechat
from bot.delivery import Dispatcher
from bot.messages import Inbound, Media, Reply
from bot.settings import Wechat as Keys
from bot.turns import TurnThread
from knowledge.base import KnowledgeBase, load
from storage import bodies, deliveries, people
from storage.db import transaction
from storage.models import Item
from storage.scope import SYSTEM, serving
from tests.fakes import crypto, wechat

LATENCY_S = 0.02
QUESTIONS = ("二次申报要什么条件", "问题整改什么时候完成", "专项资金能不能给站长发工资", "菜单")


@dataclass(kw_only=True)
class Nothing:
    """A channel that takes everything at once."""

    name: str = "wechat"
    limit: int = 0

    def push(self, address: str, reply: Reply, key: str) -> str:
        return ""

    def fetch(self, media: Media) -> bytes:
        return b""


class Slow(wechat.WechatServer):
    """The fake platform, 20 ms away."""

    def _serve(self, request, data):  # type: ignore[no-untyped-def]
        time.sleep(LATENCY_S)
        super()._serve(request, data)


def now() -> datetime:
    return datetime.now(UTC)


@contextmanager
def platform() -> Iterator[str]:
    """The fake in a process of its own; its address."""
    with subprocess.Popen([sys.executable, __file__, "--platform"], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        yield process.stdout.readline().strip()
        process.kill()


def announce(sessions: sessionmaker[Session], count: int, source: str) -> None:
    reply = Reply(text="请查收通知").to_json()
    with transaction(sessions) as db:
        for number in range(count):
            deliveries.put(
                db, source=source, recipient=f"wechat:{source}-{number}", lane="notice", reply=reply, why="", now=now()
            )  # fmt: skip


def timed(work: Callable[[], object]) -> float:
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def rate(count: int, work: Callable[[], object]) -> tuple[float, float]:
    """How many messages a second, and ms of this process's CPU time for each."""
    began = time.process_time()
    took = timed(work)
    return count / took, 1000 * (time.process_time() - began) / count


def channel(sessions: sessionmaker[Session], base: str) -> Wechat:
    keys = Keys(
        app_id=wechat.APP, app_secret=wechat.SECRET, token=wechat.TOKEN, aes_key=crypto.AES_KEY, api_base=base,
        template_id="t",
    )  # fmt: skip
    return Wechat(keys, cast(TurnThread, None), sessions, now)


def replies(sessions: sessionmaker[Session], kb: KnowledgeBase, ended: threading.Event) -> list[float]:
    """Ask questions until the sending has ended, ten a second; how long each reply took."""
    turns, took = TurnThread(assistant(kb), sessions), []
    while not ended.wait(0.1):
        text = QUESTIONS[len(took) % len(QUESTIONS)]
        inbound = Inbound(channel="terminal", message_id=uuid.uuid4().hex, address="asker", text=text, at=now())
        took.append(timed(lambda inbound=inbound: turns.submit(inbound).result(timeout=60)))
    turns.stop()
    return took


def plan(sessions: sessionmaker[Session], kb: KnowledgeBase) -> tuple[int, float, float]:
    """Plan more than 10,000 reminders; how many, in what time, and the time of planning them again."""
    at = datetime(2020, 6, 1, 2, tzinfo=UTC)
    with transaction(sessions) as db, serving(db, SYSTEM):
        for county in range(100):
            code = f"62{county // 20 + 1:02}{county % 20 + 21}"
            body, _ = bodies.find_or_add(db, name=f"县{county}", division_code=code, years=[2018])
            person, _ = people.find_or_add(db, name=f"经办{county}", body_id=body.id, now=at)
            people.give_role(db, person, "county_officer", body_id=body.id, now=at)
            db.add_all(
                Item(
                    body_id=body.id, batch_year=2018, number=str(number), source="绩效评价", category="站点", problem="停运",
                    kind="立行立改", due_on=date(2020, 7, 1) + timedelta(days=number % 3), state="rectifying", issued_at=at,
                    changed_at=at, at=at,
                )
                for number in range(18)
            )  # fmt: skip
    found: list[int] = []

    def once() -> None:
        with transaction(sessions) as db, serving(db, SYSTEM):
            found.append(planner.plan(db, kb, at)["added"])

    first, second = timed(once), timed(once)
    return found[0], first, second


def measure(name: str, sessions: sessionmaker[Session], count: int) -> None:
    kb = load()
    announce(sessions, count, "broadcast:1")
    alone, cpu_ms = rate(count, Dispatcher(channels={"wechat": Nothing()}, sessions=sessions, clock=now).drain)
    print(f"| {name} | ledger alone | {alone:.0f}/s, {cpu_ms:.1f} ms of CPU each |")
    with platform() as base:
        machine = Dispatcher(channels={"wechat": channel(sessions, base)}, sessions=sessions, clock=now)
        push = channel(sessions, base).push
        pool = ThreadPoolExecutor(machine.workers)
        calls = [(f"bare-{number}", Reply(text="请查收通知"), uuid.uuid4().hex) for number in range(count)]
        bare, bare_ms = rate(count, lambda: list(pool.map(lambda call: push(*call), calls)))
        announce(sessions, count, "broadcast:2")
        whole, cpu_ms = rate(count, machine.drain)
        print(f"| {name} | the same calls in a bare loop | {bare:.0f}/s, {bare_ms:.1f} ms of CPU each |")
        shown = f"{whole:.0f}/s, {whole / bare:.2f} of the bare loop, {cpu_ms:.1f} ms of CPU each"
        print(f"| {name} | end to end, 20 ms away | {shown} |")
        announce(sessions, count, "broadcast:3")
        ended = threading.Event()
        asking = pool.submit(replies, sessions, kb, ended)
        machine.drain()
        ended.set()
        took = sorted(asking.result())
        p95 = took[int(len(took) * 0.95)]
        print(f"| {name} | a reply meanwhile | p50 {statistics.median(took):.3f} s, p95 {p95:.3f} s, of {len(took)} |")
    added, first, second = plan(sessions, kb)
    print(f"| {name} | planning {added} reminders | {first:.2f} s, again {second:.2f} s |", flush=True)


def main(arguments: list[str]) -> None:
    if arguments == ["--platform"]:
        print(Slow().base, flush=True)
        threading.Event().wait()
    count = int(arguments[0]) if arguments else 2000
    print(f"{count} messages, load {os.getloadavg()[0]:.1f}\n\n| database | measured | |\n|---|---|---|")
    with databases() as made:
        for name, sessions in made.items():
            measure(name, sessions, count)


if __name__ == "__main__":
    main(sys.argv[1:])
