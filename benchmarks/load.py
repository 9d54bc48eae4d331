"""Load the running server with signed, encrypted WeChat messages. usage: load.py [RATE SECONDS] | saturate

Open loop: every message is made before the clock starts and has a time at which it is due, and its latency counts
from then, whether or not the generator or the server kept up. The generator runs on one core, the server on the other,
and its own lag is printed: a run whose generator lags is worth nothing. Without arguments the three published loads
run, then the saturation.
"""

import asyncio
import http.server
import os
import secrets
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlencode

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from storage.db import sqlite_driver  # noqa: E402
from tests.fakes import crypto  # noqa: E402
from tests.fakes.wechat import APP, SECRET, TOKEN, element  # noqa: E402
from tests.questions import scoring  # noqa: E402

HOOK = "/channels/wechat"
PEOPLE = 2000
REPEATED = 0.8
CONNECTIONS = 600
LOADS = ((200, 30), (400, 30), (1000, 20))  # messages a second, seconds


def texts(count: int) -> list[str]:
    """Questions of which four in five were asked before."""
    pool = [
        row["q"]
        for name in ("round1", "round2", "round3", "round4")
        for row in scoring.rows(name)
        if not row.get("prev")
    ]
    often = pool[:40]
    made = []
    for number in range(count):
        fresh = number % 5 == 0
        made.append(f"{pool[number // 5 % len(pool)]}{number // 5 // len(pool) or ''}" if fresh else often[number % 40])
    return made


def request(host: str, text: str, person: int, number: int) -> bytes:
    """A POST as WeChat sends it, ready for the socket."""
    xml = "<xml>" + "".join(
        element(name, value)
        for name, value in {
            "ToUserName": "gh_1", "FromUserName": f"o-load-{person}", "CreateTime": int(time.time()), "MsgType": "text",
            "Content": text, "MsgId": number,
        }.items()
    ) + "</xml>"  # fmt: skip
    query, body = crypto.seal(xml, token=TOKEN, aes_key=crypto.AES_KEY, receiver=APP)
    head = f"POST {HOOK}?{urlencode(query)} HTTP/1.1\r\nHost: {host}\r\nContent-Type: text/xml\r\nContent-Length: {len(body)}\r\n\r\n"
    return head.encode() + body


@dataclass(kw_only=True)
class Result:
    """Latencies in seconds from the due time, the generator's lags, and what was answered."""

    latencies: list[float] = field(default_factory=list)
    lags: list[float] = field(default_factory=list)
    answers: Counter[str] = field(default_factory=Counter)
    after: list[float] = field(default_factory=list)

    def line(self, name: str) -> str:
        return (
            f"| {name} | {percentile(self.latencies, 0.5)} | {percentile(self.latencies, 0.99)} | "
            f"{max(self.latencies) * 1000:.0f} | {percentile(self.lags, 0.99)} | {dict(self.answers)} |"
        )


def percentile(times_s: list[float], share: float) -> str:
    ordered = sorted(times_s)
    return f"{ordered[min(len(ordered) - 1, int(share * len(ordered)))] * 1000:.0f}"


class Wire:
    """Keep-alive connections to the server, which closes one that has been idle for five seconds."""

    def __init__(self, host: str, port: int) -> None:
        self._host, self._port = host, port
        self._idle: list[tuple[asyncio.StreamReader, asyncio.StreamWriter]] = []
        self._free = asyncio.Semaphore(CONNECTIONS)

    async def post(self, raw: bytes) -> bytes:
        """The body of the answer; its status must be 200. A kept connection that was closed meanwhile is replaced."""
        async with self._free:
            while self._idle:
                kept = self._idle.pop()
                try:
                    return await self._exchange(raw, *kept)
                except (asyncio.IncompleteReadError, ConnectionError) as closed:
                    kept[1].close()
                    if getattr(closed, "partial", b""):
                        raise
            return await self._exchange(raw, *await asyncio.open_connection(self._host, self._port))

    async def _exchange(self, raw: bytes, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bytes:
        writer.write(raw)
        head = await reader.readuntil(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 200"), head
        length = next(int(line[15:]) for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:"))
        body = await reader.readexactly(length)
        self._idle.append((reader, writer))
        return body

    def close(self) -> None:
        for _, writer in self._idle:
            writer.close()


def kind(body: bytes) -> str:
    """What an answer says, roughly."""
    if body == b"success":
        return "silent"
    text = crypto.unseal(body, token=TOKEN, aes_key=crypto.AES_KEY, receiver=APP)
    return "later" if "正在处理" in text else "declined" if "没有收下" in text else "answered"


async def load(port: int, rate: int, seconds: int, first: int) -> Result:
    """Send `rate` messages a second for `seconds`, then a probe every tenth of a second for ten seconds."""
    count, host = rate * seconds, f"127.0.0.1:{port}"
    raws = [request(host, text, number % PEOPLE, first + number) for number, text in enumerate(texts(count))]
    probes = [request(host, "菜单", 9000 + number, first + count + number) for number in range(100)]
    wire, result, bodies = Wire("127.0.0.1", port), Result(), list[bytes]()

    async def one(raw: bytes, due: float, into: list[float]) -> None:
        body = await wire.post(raw)
        into.append(time.perf_counter() - due)
        bodies.append(body)

    start = time.perf_counter() + 0.5
    tasks = []
    due_at = [start + number / rate for number in range(count)]
    due_after = [start + seconds + number / 10 for number in range(100)]
    for raw, due, into in [
        *((raw, due, result.latencies) for raw, due in zip(raws, due_at, strict=True)),
        *((raw, due, result.after) for raw, due in zip(probes, due_after, strict=True)),
    ]:
        wait = due - time.perf_counter()
        if wait > 0:
            await asyncio.sleep(wait)
        if into is result.latencies:
            result.lags.append(max(time.perf_counter() - due, 0.0))
        tasks.append(asyncio.create_task(one(raw, due, into)))
    await asyncio.gather(*tasks)
    wire.close()
    result.answers = Counter(kind(body) for body in bodies)
    return result


def recovery(result: Result) -> str:
    """Seconds after the load until every later probe is answered within 300 ms."""
    slow = [number for number, latency in enumerate(result.after) if latency > 0.3]
    return f"{(max(slow) + 1) / 10:.1f} s" if slow else "at once"


async def closed(port: int, path: str, raws: list[bytes]) -> float:
    """Messages a second with 32 always under way."""
    wire, waiting = Wire("127.0.0.1", port), iter([raw.replace(HOOK.encode(), path.encode(), 1) for raw in raws])

    async def worker() -> None:
        for raw in waiting:
            await wire.post(raw)

    started = time.perf_counter()
    await asyncio.gather(*(worker() for _ in range(32)))
    wire.close()
    return len(raws) / (time.perf_counter() - started)


def saturate(port: int, server_id: int, first: int, count: int = 3000) -> str:
    """The full turn over a bare encrypted echo, on the same server in the same run: by the clock, and by its CPU time.

    What the clock says depends on what else the machine does; the CPU time hardly does.
    """
    host, often = f"127.0.0.1:{port}", texts(5)[1]
    found = []
    for turn in range(3):
        raws = [request(host, often, number % PEOPLE, first + turn * 10_000 + number) for number in range(count)]
        rates, used = [], []
        for path in (HOOK, "/bench/echo"):
            before = cpu_s(server_id)
            rates.append(asyncio.run(closed(port, path, raws)))
            used.append((cpu_s(server_id) - before) / count * 1000)
        found.append((rates[0] / rates[1], *rates, *used))
    ratio, full, echo, full_ms, echo_ms = sorted(found)[1]
    return (
        f"full turn {full:.0f}/s, bare encrypted echo {echo:.0f}/s, ratio {ratio:.2f} (median of 3); "
        f"CPU {full_ms:.2f} ms and {echo_ms:.2f} ms, ratio {echo_ms / full_ms:.2f}"
    )


def cpu_s(process: int) -> float:
    """The CPU time of a process and its threads."""
    fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def stored(database: Path) -> tuple[int, int]:
    """How many load messages are stored, and how many different ones."""
    with closing(sqlite_driver().connect(str(database))) as connection:
        row = connection.execute(
            "SELECT count(*), count(DISTINCT message_id) FROM exchange WHERE address LIKE 'o-load-%'"
        ).fetchone()
    return int(row[0]), int(row[1])


@contextmanager
def server() -> Iterator[tuple[int, Path, int]]:
    """The product, warm, on a data folder of its own, pinned to the last core, and this process to the first."""
    folder = Path(tempfile.mkdtemp())
    with socket.create_server(("127.0.0.1", 0)) as found:
        port = int(found.getsockname()[1])
    api = http.server.ThreadingHTTPServer(("127.0.0.1", 0), http.server.BaseHTTPRequestHandler)
    threading.Thread(target=api.serve_forever, daemon=True).start()
    keys = {"APP_ID": APP, "APP_SECRET": SECRET, "TOKEN": TOKEN, "AES_KEY": crypto.AES_KEY}
    environment = {f"COUNTYDESK_WECHAT__{key}": value for key, value in keys.items()}
    environment |= {"COUNTYDESK_WECHAT__API_BASE": f"http://127.0.0.1:{api.server_port}", "PYTHONPATH": str(ROOT)}
    process = subprocess.Popen(
        [sys.executable, str(ROOT / "benchmarks" / "bare.py"), str(port)],
        cwd=folder,
        env=os.environ | environment,
        stderr=(folder / "log").open("w"),
    )
    try:
        for _ in range(3000):
            assert process.poll() is None, (folder / "log").read_text()
            try:
                socket.create_connection(("127.0.0.1", port), 1).close()
                break
            except OSError:
                time.sleep(0.1)
        cores = sorted(os.sched_getaffinity(0))
        os.sched_setaffinity(0, {cores[0]})
        for task in os.listdir(f"/proc/{process.pid}/task"):
            os.sched_setaffinity(int(task), {*cores[1:]} or {cores[0]})
        asyncio.run(load(port, 20, 3, secrets.randbelow(10**12)))  # warm
        yield port, folder / "data" / "countydesk.db", process.pid
    finally:
        process.terminate()
        process.wait()
        print((folder / "log").read_text()[-2000:], file=sys.stderr)
        shutil.rmtree(folder)
        api.shutdown()


def main(words: list[str]) -> None:
    loads = [(int(words[0]), int(words[1]))] if len(words) == 2 else [] if words else list(LOADS)
    if loads:
        print(
            "| load | p50 ms | p99 ms | worst ms | generator lag p99 ms | answers | recovery |\n|---|---|---|---|---|---|---|"
        )
        with server() as (port, database, _):
            for rate, seconds in loads:
                result = asyncio.run(load(port, rate, seconds, secrets.randbelow(10**12)))
                print(f"{result.line(f'{rate}/s for {seconds} s')} {recovery(result)} |")
                all_, different = stored(database)
                assert all_ == different, "an effect twice"
    if not words or words == ["saturate"]:
        with server() as (port, _, server_id):  # another one: the first still answers what came late
            print(saturate(port, server_id, secrets.randbelow(10**12)))


if __name__ == "__main__":
    main(sys.argv[1:])
