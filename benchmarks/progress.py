"""Time 进度统计 at 100,000 items on both databases; prints a Markdown table. usage: progress.py [ITEMS]"""

import sys
import tempfile
import time
from datetime import UTC, datetime, timedelta
from itertools import count
from pathlib import Path
from random import Random

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from sqlalchemy import insert, text  # noqa: E402
from sqlalchemy.orm import Session  # noqa: E402

from bot.migrate import upgrade  # noqa: E402
from storage import bodies, items, numbers, scope  # noqa: E402
from storage.db import make_engine, make_sessions  # noqa: E402
from storage.models import Item  # noqa: E402
from tests.databases import server  # noqa: E402

NOW = datetime(2020, 6, 1, 4, tzinfo=UTC)
BODIES, YEARS, ROUNDS = 130, (2014, 2015, 2016, 2017, 2018, 2019), 30


def fill(db: Session, wanted: int) -> None:
    """Items of one province's bodies, in every state, without their events."""
    random, number = Random(1), count(1)
    codes = [code for code in bodies.published() if code.startswith("62") and not code.endswith("00")]
    places = [
        bodies.find_or_add(db, name=f"县{n}", division_code=codes[n % len(codes)], years=YEARS)[0].id
        for n in range(BODIES)
    ]
    rows = [
        {
            "body_id": random.choice(places), "batch_year": random.choice(YEARS), "number": str(next(number)),
            "source": "绩效评价", "category": "站点", "problem": "站点停运，未提供便民服务，货架闲置。" * 3,
            "standard": "恢复营业并有近期服务记录。" * 2, "basis": "附件1-3.2", "kind": "立行立改", "measure": "逐站核对。" * 6,
            "state": random.choice(list(items.STATES)), "due_on": NOW.date() + timedelta(days=random.randint(-60, 60)),
            "first_due_on": NOW.date(), "waiting": "", "version": 3, "progress": 50, "round": 1 + (random.random() < 0.1),
            "returns": random.randint(0, 2), "extensions": 0, "county_s": 900_000, "province_s": 400_000,
            "changed_at": NOW - timedelta(days=random.randint(0, 90)), "at": NOW,
        }
        for _ in range(wanted)
    ]  # fmt: skip
    db.execute(insert(Item), rows)


def measure(url: str, wanted: int) -> str:
    upgrade(url)
    engine = make_engine(url)
    sessions = make_sessions(engine, b"k" * 32, b"a" * 32)
    with sessions() as db, scope.serving(db, scope.SYSTEM):
        fill(db, wanted)
        db.commit()
    with engine.connect() as connection:
        # PostgreSQL does this by itself some minutes after so many rows have come.
        kept = "VACUUM ANALYZE" if connection.dialect.name == "postgresql" else "ANALYZE"
        connection.execution_options(isolation_level="AUTOCOMMIT").execute(text(kept))
    officer = scope.Viewer(
        person_id=1, grants=(scope.Grant(role="province_officer", body_id=None, division_code="620000"),)
    )
    times = []
    for _ in range(ROUNDS):
        with sessions() as db, scope.serving(db, officer):
            started = time.perf_counter()
            rows = numbers.table(db, NOW, NOW.date())
            numbers.by_city(db, rows)
            times.append(time.perf_counter() - started)
            counted = numbers.total(rows)
    assert counted.counted + counted.drafts > wanted * 0.8
    engine.dispose()
    ordered = sorted(times)
    return f"{ordered[len(times) // 2] * 1000:.0f} ms | {ordered[int(len(times) * 0.95)] * 1000:.0f} ms"


def main() -> None:
    wanted = int(sys.argv[1]) if len(sys.argv) > 1 else 100_000
    print(f"| 进度统计 of one province, {wanted:,} items | p50 | p95 |\n|---|---|---|")
    with tempfile.TemporaryDirectory() as folder:
        print(f"| SQLite | {measure(f'sqlite:///{folder}/numbers.db', wanted)} |")
    with server() as postgres, postgres.database() as url:
        print(f"| PostgreSQL | {measure(url, wanted)} |")


if __name__ == "__main__":
    main()
