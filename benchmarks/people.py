"""A province's pages in chat with many people and a long trail. usage: people.py [PEOPLE ITEMS TRAIL]"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))

from province import HEAD, HEAD_LINE, NOW, OFFICER, PROVINCIAL, databases, fill, pages, timed

from knowledge.base import load
from storage import audit, questions
from storage.db import reading

SIZES = ((1000, 4000, 4000), (20_000, 4000, 100_000))
PAGES = (
    (OFFICER, "我的事项"),
    (PROVINCIAL, "我的事项"),
    (PROVINCIAL, "待审"),
    (HEAD, "本县人员"),
    (OFFICER, "本县情况"),
)


def main(words: list[str]) -> None:
    kb = load()
    for people, items, trail in [tuple(map(int, words))] if words else SIZES:
        print(f"\n{people:,} people, {items:,} items, {trail:,} audit rows\n\n{HEAD_LINE}")
        with databases() as made:
            for name, sessions in made.items():
                fill(sessions, people=people, items=items, trail=trail, questions=people)
                with pages(sessions, kb) as page:
                    for person, text in PAGES:
                        who = {OFFICER: "officer", HEAD: "head", PROVINCIAL: "province"}[person]
                        print(page(person, text).line(f"{text} ({who})", name), flush=True)
                with reading(sessions) as db:
                    print(timed(lambda db=db: questions.open_questions(db)).line("open questions", name))
                    print(timed(lambda db=db: audit.verify(db, NOW), 3).line("audit verify, the whole chain", name))


if __name__ == "__main__":
    main(sys.argv[1:])
