"""Look-up among 20,000 clauses, and the console's lists of 20,000 rows for 30 staff at once. usage: console.py [SECONDS]

The server is a process of its own, on SQLite and on PostgreSQL. Each of the staff is signed in and opens a page of a
list, reads for a second or two, and opens the next.
"""

import os
import random
import re
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import httpx
from province import BODIES, KEY, PROVINCE, at, databases, fill  # first: it makes the project's modules known
from sqlalchemy import update
from sqlalchemy.orm import Session, sessionmaker

from bot.app import assistant
from bot.messages import Inbound
from bot.settings import Settings
from bot.turns import TurnThread
from knowledge.base import DATA, all_notices, load
from knowledge.importing.draft import draft_of, store
from storage import bindings, broadcasts, people, visits
from storage.audiences import Audience
from storage.db import transaction
from storage.models import Delivery, Question
from storage.scope import SYSTEM, Viewer, grants, serving
from tests.questions import scoring

ROWS, CLAUSES, STAFF, LOOKUPS = 20_000, 20_000, 30, 200
READS_S = (1.0, 2.0)  # for how long a page is read
NUMERALS = "一二三四五六七八九十"
PAGES = (
    "items", "items?page=390", "items?state=queue", "items?q=站点", "people", "people?page=390", "people?q=样例1",
    "audit", "audit?page=390", "audit?subject=item:5", "questions", "broadcasts", "broadcasts/1",
)  # fmt: skip


def now() -> datetime:
    return datetime.now(UTC)


def write_notices(folder: Path) -> int:
    """Import notices made of the real ones' sentences; how many clauses there are then."""
    chance, taken = random.Random(1), all_notices(DATA, None)
    words = [
        part for one in taken for clause in one.clauses for part in re.findall(r"[^。；\n]{8,80}[。；]", clause.text)
    ]
    made = sum(len(one.clauses) for one in taken)
    for number in range(1, CLAUSES):
        lines = [
            f"样商函〔2021〕{number}号",
            f"样例省商务厅关于做好2021年第{number}批电子商务进农村综合示范工作的通知",
            "各县（市、区）商务局：",
        ]
        for section in NUMERALS:
            lines.append(f"{section}、{chance.choice(words)[:12]}")
            lines += [f"（{item}）{chance.choice(words)}{chance.choice(words)}" for item in NUMERALS]
        draft = draft_of("\n".join([*lines, "样例省商务厅", "2021年3月1日"]))
        store(draft, folder, taken, f"{number}.txt")
        made += len(draft.clauses)
        if made >= CLAUSES:
            break
    return made


def populate(sessions: sessionmaker[Session]) -> list[int]:
    """Fill the province and send a broadcast to all; the numbers of the staff."""
    fill(sessions, people=ROWS, items=ROWS, trail=ROWS, questions=ROWS)
    asked = sorted({row["q"] for name in ("round1", "round2", "round3", "round4") for row in scoring.rows(name)})
    with transaction(sessions) as db, serving(db, SYSTEM):
        staff = []
        for number in range(STAFF):
            role = "province_officer" if number % 2 else "province_approver"
            person, _ = people.find_or_add(db, name=f"处员{number}", now=now())
            people.give_role(db, person, role, division_code=PROVINCE, now=now())
            person.consent, person.verified_at, person.seen_at = "2026-1", now(), now()
            bindings.bind(db, person, "terminal", f"desk{number}", now())
            staff.append(person.id)
        rows = [
            {"id": number, "text": asked[number % len(asked)], "kind": "abstain", "body_id": number % BODIES + 1}
            for number in range(1, ROWS + 1)
        ]
        db.execute(update(Question), rows)
    values = {"title": "样例通知", "text": "请于5月15日前报送。", "clauses": [], "files": [], "acknowledgement": "each",
              "audience": Audience().as_json(), "acknowledge_why": "样例", "delay_s": 0}  # fmt: skip
    with transaction(sessions) as db, serving(db, Viewer(person_id=staff[1], grants=grants(db, staff[1]))):
        broadcasts.draft(db, values, now())
    turns = TurnThread(assistant(load()), sessions)
    for who, text in ((1, "提交 N1"), (1, "确认"), (0, "批准 N1")):
        said = Inbound(channel="terminal", message_id=text, address=f"desk{who}", text=text, at=now())
        told = turns.submit(said).result().text
    assert "发给" in told, told
    turns.stop()
    with transaction(sessions) as db:
        sent = (
            update(Delivery).where(Delivery.id % 10 > 0).values(state="accepted", channel="wechat", accepted_at=now())
        )
        db.connection().execute(sent)
    return staff


@contextmanager
def serving_site(sessions: sessionmaker[Session], folder: Path) -> Iterator[str]:
    """The product on a database, sending nothing; its address."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    url, key = f"http://127.0.0.1:{port}", folder / "a.key"
    key.write_bytes(KEY)
    settings = {
        "DATABASE__URL": sessions.kw["bind"].url.render_as_string(hide_password=False), "PATHS__DATA": str(folder),
        "SECURITY__DATA_KEY_FILE": str(key), "SECURITY__AUDIT_KEY_FILE": str(key), "SENDING__ENABLED": "false",
        "WEB__BASE_URL": url,
    }  # fmt: skip
    environment = {**os.environ, **{f"COUNTYDESK_{name}": value for name, value in settings.items()}}
    command = [sys.executable, "-m", "bot", "serve", "--port", str(port)]
    with subprocess.Popen(command, env=environment, stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL) as process:
        try:
            for _ in range(1200):
                time.sleep(0.5)
                try:
                    if httpx.get(f"{url}/readyz").status_code == 200:
                        break
                except httpx.ConnectError:
                    assert process.poll() is None, "it did not start"
            yield url
        finally:
            process.terminate()


def look_up(url: str) -> None:
    """Type questions as somebody with a caller waiting does, and print how long the server took."""
    asked = [row["q"] for row in scoring.rows("round2")][: LOOKUPS // 4]
    typed = [text[: len(text) * part // 4] for text in asked for part in (1, 2, 3, 4)]
    with httpx.Client(base_url=url, timeout=60) as client:
        took = [client.get("/api/v1/search", params={"q": one}).json()["ms"] / 1000 for one in typed]
        took = took[len(took) // 10 :]  # the first ones warm up
    print(f"| look-up at the server | – | {at(took, 0.5)} | {at(took, 0.95)} | {len(took)} | 100 |", flush=True)


def sit(url: str, ticket: str, seed: int, until: float) -> list[tuple[str, float]]:
    """One of the staff at work: which pages they opened, and how long each took."""
    chance, took = random.Random(seed), []
    with httpx.Client(base_url=url, timeout=120) as client:
        assert client.post(f"/console/in/{ticket}").status_code == 303
        while time.monotonic() < until:
            page = chance.choice(PAGES)
            started = time.perf_counter()
            response = client.get(f"/console/{page}")
            took.append((page, time.perf_counter() - started))
            assert response.status_code == 200, (page, response.status_code)
            time.sleep(chance.uniform(*READS_S))
    return took


def staff_at_once(name: str, url: str, tickets: list[str], seconds: float) -> None:
    """Let all the staff work at once, and print how long their pages took."""
    until = time.monotonic() + seconds
    with ThreadPoolExecutor(STAFF) as pool:
        runs = [pool.submit(sit, url, ticket, seed, until) for seed, ticket in enumerate(tickets)]
        took = [one for run in runs for one in run.result()]
    for page in (*PAGES, "all pages"):
        times = [took_s for opened, took_s in took if page in (opened, "all pages")]
        if times:
            print(f"| {page} | {name} | {at(times, 0.5)} | {at(times, 0.95)} | {len(times)} | 500 |", flush=True)


def main(seconds: float) -> None:
    with tempfile.TemporaryDirectory() as at_home, databases() as made:
        folder = Path(at_home)
        clauses = write_notices(Settings(paths={"data": folder}).imported_notices)  # type: ignore[arg-type]  # pydantic reads it
        print(f"{clauses:,} clauses, {ROWS:,} rows, {STAFF} staff, load {os.getloadavg()[0]:.1f}\n")
        print("| page | database | p50 ms | p95 ms | requests | goal |\n|---|---|---|---|---|---|")
        for name, sessions in made.items():
            staff = populate(sessions)
            with serving_site(sessions, folder) as url:
                if name == "SQLite":
                    look_up(url)
                with transaction(sessions) as db:
                    tickets = [visits.ticket(db, one, now()) for one in staff]
                staff_at_once(name, url, tickets, seconds)
    print(f"\nload {os.getloadavg()[0]:.1f}")


if __name__ == "__main__":
    main(float(sys.argv[1]) if len(sys.argv) > 1 else 60.0)
