"""A province of a given size, on either database, and how long its pages take. Used by people.py and items.py."""

import itertools
import shutil
import sys
import tempfile
import time
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from sqlalchemy import insert  # noqa: E402
from sqlalchemy.orm import Session, sessionmaker  # noqa: E402

from bot.app import assistant  # noqa: E402
from bot.messages import Inbound  # noqa: E402
from bot.migrate import upgrade  # noqa: E402
from bot.turns import TurnThread  # noqa: E402
from knowledge.base import KnowledgeBase  # noqa: E402
from storage import audit, bodies, secrets  # noqa: E402
from storage.db import make_engine, make_sessions, transaction  # noqa: E402
from storage.items import CATEGORIES, STATES  # noqa: E402
from storage.models import Base  # noqa: E402
from storage.scope import SYSTEM, see_all, serving  # noqa: E402
from tests.databases import server  # noqa: E402

NOW = datetime(2020, 4, 24, 2, tzinfo=UTC)
BODIES = 130
PROVINCE = "620000"
OFFICER, HEAD, PROVINCIAL = 1, 2, 3  # the people who look at the pages; the first two are of the first body
KEY = b"a key for benchmarks, 32 bytes.."


@contextmanager
def databases() -> Iterator[Mapping[str, sessionmaker[Session]]]:
    """An empty, migrated database of each kind."""
    folder = Path(tempfile.mkdtemp())
    with server() as postgres, postgres.database() as url:
        made: dict[str, sessionmaker[Session]] = {}
        for name, at in (("SQLite", f"sqlite:///{folder}/bench.db"), ("PostgreSQL", url)):
            upgrade(at)
            made[name] = make_sessions(make_engine(at), KEY, KEY)
        yield made
        for sessions in made.values():
            sessions.kw["bind"].dispose()
    shutil.rmtree(folder)


def _put(db: Session, table: str, rows: Iterator[dict[str, Any]] | Sequence[dict[str, Any]]) -> None:
    rows = iter(rows)
    while portion := list(itertools.islice(rows, 2000)):
        db.connection().execute(insert(Base.metadata.tables[table]), portion)


def fill(sessions: sessionmaker[Session], *, people: int, items: int, trail: int, questions: int) -> None:
    """Put a province's people, items, audit rows and open questions into an empty database, then analyse it."""
    codes = [code for code in bodies.published() if code.startswith("62") and not code.endswith("00")]
    with transaction(sessions) as db, serving(db, SYSTEM):
        for code in (PROVINCE, *codes):
            bodies.division(db, code)
        for number in range(BODIES):
            bodies.find_or_add(db, name=f"样例{number}", division_code=codes[number % len(codes)], years=[2016, 2019])
        db.flush()
        _people(db, people)
        _items(db, items)
        _questions(db, questions)
    for _ in range(0, trail, 1000):
        with transaction(sessions) as db, serving(db, SYSTEM):
            for number in range(1000):
                audit.record(db, "measured", f"item:{number}", now=NOW, role="system", after={"number": number})
    while audit.seal(sessions):
        pass
    engine = sessions.kw["bind"]
    with engine.connect() as connection:
        connection.exec_driver_sql("ANALYZE")
        connection.commit()
    if engine.dialect.name == "postgresql":  # numbers were given, not drawn
        _renumber(sessions)


def _renumber(sessions: sessionmaker[Session]) -> None:
    with sessions.kw["bind"].begin() as connection:
        see_all(connection)
        for table in ("person", "item", "exchange", "unit"):
            connection.exec_driver_sql(
                f"SELECT setval(pg_get_serial_sequence('{table}', 'id'), (SELECT max(id) FROM {table}))"
            )


def _people(db: Session, count: int) -> None:
    roles = {OFFICER: "county_officer", HEAD: "county_head", PROVINCIAL: "province_officer"}
    of = {number: None if number == PROVINCIAL else 1 if number in roles else number % BODIES + 1
          for number in range(1, count + 1)}  # fmt: skip
    _put(db, "unit", [{"id": one, "name": f"单位{one}", "body_id": one} for one in range(1, BODIES + 1)])
    _put(db, "person", (
        {"id": number, "name": f"样例{number}", "title": "", "body_id": body, "unit_id": body, "consent": "2026-1",
         "consent_at": NOW, "verified_at": NOW, "seen_at": NOW, "at": NOW}
        for number, body in of.items()
    ))  # fmt: skip
    _put(db, "role", (
        {"person_id": number, "role": roles.get(number, "county_officer" if number % 4 else "contractor"),
         "body_id": body, "division_code": None if body else PROVINCE, "at": NOW}
        for number, body in of.items()
    ))  # fmt: skip
    _put(db, "binding", (
        {"person_id": number, "channel": "terminal", "address": str(number), "at": NOW} for number in of
    ))  # fmt: skip


def _items(db: Session, count: int) -> None:
    states, categories = tuple(STATES), tuple(CATEGORIES)
    _put(db, "item", (
        {"id": number, "body_id": number % BODIES + 1, "batch_year": 2016 if number % 2 else 2019,
         "number": str(number), "source": "绩效评价", "category": categories[number % len(categories)],
         "problem": f"第{number}个站点停止运营", "basis": "", "standard": "恢复运营", "kind": "立行立改", "measure": "恢复",
         "state": states[number // BODIES % len(states)], "waiting": "", "version": 1, "progress": 0, "round": 1,
         "returns": 0, "extensions": 0, "first_due_on": date(2020, 6, 30), "due_on": date(2020, 4, 1) + timedelta(number % 90),
         "submitted_at": NOW - timedelta(hours=number % 999), "changed_at": NOW, "at": NOW}
        for number in range(1, count + 1)
    ))  # fmt: skip
    _put(db, "item_unit", (
        {"item_id": number, "unit_id": number % BODIES + 1, "body_id": number % BODIES + 1, "leads": True, "person": ""}
        for number in range(1, count + 1)
    ))  # fmt: skip
    _put(db, "item_event", (
        {"item_id": number, "body_id": number % BODIES + 1, "version": 1, "event": "draft", "before": "", "after": "draft",
         "role": "system", "channel": "", "said": {}, "evidence": [], "at": NOW}
        for number in range(1, count + 1)
    ))  # fmt: skip


def _questions(db: Session, count: int) -> None:
    _put(db, "exchange", (
        {"id": number, "channel": "bench", "message_id": str(number), "address": str(number),
         "said": secrets.encrypt(db, f"问{number}"), "reply": secrets.encrypt(db, "{}"), "route": "ask", "edition": "1", "at": NOW, "took_ms": 1}
        for number in range(1, count + 1)
    ))  # fmt: skip
    _put(db, "question", (
        {"exchange_id": number, "text": f"第{number}个问题怎么办", "kind": "answer" if number % 10 else "abstain",
         "score": 0.5, "edition": "1", "at": NOW}
        for number in range(1, count + 1)
    ))  # fmt: skip


# --- measuring -----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class Times:
    """How long something took, each time: on the clock, and in this process (PostgreSQL's own work is elsewhere)."""

    wall_s: tuple[float, ...]
    own_s: tuple[float, ...]

    def line(self, *what: str) -> str:
        shown = (f"{at(self.wall_s, 0.5)} | {at(self.wall_s, 0.95)} | {at(self.own_s, 0.95)}",)
        return f"| {' | '.join((*what, *shown))} |"


HEAD_LINE = "| page | database | p50 ms | p95 ms | p95 ms of this process |\n|---|---|---|---|---|"


def at(times_s: Sequence[float], share: float) -> str:
    """A percentile in milliseconds."""
    ordered = sorted(times_s)
    return f"{ordered[round(share * (len(ordered) - 1))] * 1000:.0f}"


def timed(work: Callable[[], object], times: int = 40) -> Times:
    """Do something three times to warm up, then measure it."""
    wall, own = [], []
    for number in range(-3, times):
        wall_s, own_s = time.perf_counter(), time.process_time()
        work()
        if number >= 0:
            wall.append(time.perf_counter() - wall_s)
            own.append(time.process_time() - own_s)
    return Times(wall_s=tuple(wall), own_s=tuple(own))


@contextmanager
def pages(sessions: sessionmaker[Session], kb: KnowledgeBase) -> Iterator[Callable[[int, str], Times]]:
    """What measures a page: the person who asks for it and the words that they type."""
    turns = TurnThread(assistant(kb), sessions)

    def page(person: int, words: str) -> Times:
        def ask() -> None:
            inbound = Inbound(
                channel="terminal", message_id=uuid.uuid4().hex, address=str(person), text=words, at=NOW
            )  # fmt: skip
            reply = turns.submit(inbound).result(timeout=120)
            assert reply.route not in ("apology", "members-only") and "系统繁忙" not in reply.text, reply.text

        return timed(ask)

    yield page
    turns.stop()
