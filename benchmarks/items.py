"""Importing a long list of items, and a province's lists over very many. usage: items.py [ROWS ITEMS]"""

import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))

import openpyxl
from province import HEAD, HEAD_LINE, NOW, OFFICER, PROVINCIAL, databases, fill, pages
from sqlalchemy.orm import Session, sessionmaker

from handlers import itemlists
from knowledge.base import load
from storage.db import transaction
from storage.scope import SYSTEM, serving

ROWS, ITEMS = 5000, 100_000
PAGES = (
    (OFFICER, "我的事项"), (HEAD, "待我确认"), (OFFICER, "本县情况"), (PROVINCIAL, "我的事项"), (PROVINCIAL, "待审"),
    (PROVINCIAL, "待下发"), (PROVINCIAL, "待回头看"), (PROVINCIAL, "进度统计"), (PROVINCIAL, "事项 #77"),
)  # fmt: skip


def workbook(path: Path, rows: int) -> None:
    """A list of different items, as a province fills it in."""
    book = openpyxl.Workbook(write_only=True)
    sheet = book.create_sheet(itemlists.SHEET.name)
    sheet.append([column.title for column in itemlists.SHEET.columns])
    for number in range(rows):
        sheet.append([
            f"新-{number}", f"样例{number % 130}", "2016", "绩效评价", "2019-11-20", "站点",
            f"第{number}号村级站点门店上锁，经营主体已注销{number * 7919}，无人值守", "附件1-3.2", "站点恢复运营并有台账",
            "立行立改", "", "县工信商务局、县财政局", "样例甲", "2020-06-30", "12.5",
        ])  # fmt: skip
    book.save(path)


def imported(sessions: sessionmaker[Session], path: Path) -> str:
    """Seconds that an import takes on the clock and in this process, and how often it told how far it was."""
    told: list[int] = []
    wall_s, own_s = time.perf_counter(), time.process_time()
    with transaction(sessions) as db, serving(db, SYSTEM):
        outcome = itemlists.load(db, path, NOW, lambda done, of: told.append(done))
    assert not outcome.problems and outcome.added, outcome.problems[:3]
    wall_s, own_s = time.perf_counter() - wall_s, time.process_time() - own_s
    return f"{outcome.added} rows in {wall_s:.1f} s, {own_s:.1f} s of this process; told {len(told)} times"


def main(words: list[str]) -> None:
    rows, count = map(int, words or (ROWS, ITEMS))
    kb, path = load(), Path(tempfile.mkdtemp()) / "items.xlsx"
    workbook(path, rows)
    with databases() as made:
        for name, sessions in made.items():
            fill(sessions, people=1000, items=count, trail=0, questions=0)
            print(f"\n{name}, {count:,} items\n\n{HEAD_LINE}")
            with pages(sessions, kb) as page:
                for person, text in PAGES:
                    who = {OFFICER: "officer", HEAD: "head", PROVINCIAL: "province"}[person]
                    print(page(person, text).line(f"{text} ({who})", name), flush=True)
            print(f"\nimport: {imported(sessions, path)}", flush=True)
    path.unlink()


if __name__ == "__main__":
    main(sys.argv[1:])
