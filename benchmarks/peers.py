"""Ask other systems the same questions; prints a Markdown table and draws peers.svg. usage: peers.py [QUESTIONS.jsonl …]

Every system gets the text of the two notices as shipped, one question at a time, without earlier turns. A threshold of
refusal that a system leaves open is chosen on round 1; the figures are from rounds 2 and 3, or from the files named.
"""

import json
import re
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import time
import venv
from collections.abc import Callable, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from rapidfuzz import fuzz, process  # noqa: E402

from benchmarks.run import asker  # noqa: E402
from knowledge import semantic  # noqa: E402
from knowledge.base import DATA, VECTORS, KnowledgeBase, load, read  # noqa: E402
from knowledge.notices import load_notices  # noqa: E402
from tests.questions import scoring  # noqa: E402

PLOT = Path(__file__).parent / "peers.svg"
Cited = dict[str, str]
BUILT_IN = 0.5  # between 0 for a refusal and 1 for an answer, of a system that refuses by itself
SHORTEST = 8  # characters; anything shorter is a label, not a sentence

# What runs inside a peer's own environment: `given` comes in, `replies` go out as [text, score or null, seconds].
BAISITONG = """
import asyncio, os
os.environ["DATABASE_URL"] = "sqlite:///peer.db"
from baisitong.database import SessionLocal, init_tables
from baisitong.services.documents import ingest_document
from baisitong.services.rag import RagService
from baisitong.services.retriever import ensure_index

init_tables()
db = SessionLocal()
for title, text in given["documents"]:
    ingest_document(db, title, text)
ensure_index(db)

async def reply(number, question):
    text, sources = "", []
    async for frame in RagService(db).ask(f"question-{number:05}", question):
        event = json.loads(frame.removeprefix("data: "))
        text += event.get("content", "") if event["type"] == "token" else ""
        sources = event["sources"] if event["type"] == "done" else sources
    return text, float(bool(sources))

for number, question in enumerate(given["questions"]):
    started = time.perf_counter()
    text, found = asyncio.run(reply(number, question))
    replies.append([text, found, time.perf_counter() - started])
"""
CHATTERBOT = """
from chatterbot import ChatBot, languages
from chatterbot.tagging import LowercaseTagger
from chatterbot.trainers import ListTrainer

best = {"import_path": "chatterbot.logic.BestMatch", "search_algorithm_name": "text_search",
        "default_response": "抱歉，没有找到。", "maximum_similarity_threshold": 0.90}
bot = ChatBot("peer", read_only=True, database_uri="sqlite:///peer.db", logic_adapters=[best],
              tagger=LowercaseTagger, tagger_language=languages.CHI)
trainer = ListTrainer(bot, show_training_progress=False)
for sentence in given["sentences"]:
    trainer.train([sentence, sentence])
for question in given["questions"]:
    started = time.perf_counter()
    found = bot.get_response(question)
    replies.append([found.text, found.confidence, time.perf_counter() - started])
"""
FRAME = """
import json, sys, time
given, replies = json.load(open("given.json", encoding="utf-8")), []
{body}
json.dump(replies, open("replies.json", "w", encoding="utf-8"))
"""


@dataclass(frozen=True, kw_only=True)
class Unit:
    """A stretch of a notice that a search can return."""

    notice_id: str
    clause: str
    text: str


@dataclass(frozen=True, kw_only=True)
class Reply:
    """What a system says. Below a threshold its score makes it a refusal."""

    text: str
    score: float
    seconds: float
    citations: tuple[Cited, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Figures:
    """One row of the table; `clause` is None where none is named, `unrefused` is `shown` without the threshold."""

    name: str
    threshold: float
    unrefused: float
    shown: float
    clause: float | None
    refused: float
    length: float
    seconds: float

    def row(self) -> str:
        clause = "–" if self.clause is None else f"{self.clause:.0%}"
        threshold = "built in | –" if self.threshold == BUILT_IN else f"{self.threshold:.3g} | {self.unrefused:.0%}"
        cells = f"{self.shown:.0%} | {clause} | {self.refused:.0%} | {self.length:.0f} | {self.seconds * 1000:.1f}"
        return f"| {self.name} | {cells} | {threshold} |"


Ask = Callable[[Sequence[str]], list[Reply]]


def sentences_of(clauses: Sequence[Unit]) -> list[Unit]:
    parts = [(unit, part.strip()) for unit in clauses for part in re.split(r"(?<=[。；！？])|\n", unit.text)]
    return [replace(unit, text=part) for unit, part in parts if len(part) >= SHORTEST]


def installed(package: str, body: str, given: dict[str, Any]) -> Ask:  # Any: JSON
    """A package that is installed in an environment of its own and asked there."""

    def ask(questions: Sequence[str]) -> list[Reply]:
        with tempfile.TemporaryDirectory() as folder:
            place = Path(folder)
            venv.create(place / "venv", with_pip=True)
            python = str(place / "venv" / "bin" / "python")
            pip = [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", package]
            subprocess.run(pip, check=True, capture_output=True)
            (place / "given.json").write_text(json.dumps(given | {"questions": list(questions)}), "utf-8")
            subprocess.run([python, "-c", FRAME.format(body=body)], cwd=place, check=True, capture_output=True)
            replies = json.loads((place / "replies.json").read_text("utf-8"))
        return [Reply(text=text, score=score, seconds=seconds) for text, score, seconds in replies]

    return ask


def timed(one: Callable[[str], tuple[str, float, Sequence[Cited]]]) -> Ask:
    """A system that is asked in this process."""

    def ask(questions: Sequence[str]) -> list[Reply]:
        replies: list[Reply] = []
        for question in questions:
            started = time.perf_counter()
            text, score, cited = one(question)
            seconds = time.perf_counter() - started
            replies.append(Reply(text=text, score=score, seconds=seconds, citations=tuple(cited)))
        return replies

    return ask


def searching(units: Sequence[Unit], best: Callable[[str], tuple[int, float] | None]) -> Ask:
    """A system whose reply is the unit at the place that `best` finds, with its score."""

    def one(question: str) -> tuple[str, float, Sequence[Cited]]:
        if (hit := best(question)) is None:
            return "", float("-inf"), ()
        unit = units[hit[0]]
        return unit.text, hit[1], ({"notice_id": unit.notice_id, "clause": unit.clause},)

    return timed(one)


def fuzzy(units: Sequence[Unit]) -> Ask:
    """The unit of the highest partial ratio."""
    texts = [unit.text for unit in units]
    return searching(units, lambda text: process.extractOne(text, texts, scorer=fuzz.partial_ratio)[:0:-1])


def pairs(text: str) -> list[str]:
    """Adjacent pairs of letters, digits and Chinese characters."""
    return [run[n : n + 2] for run in re.findall(r"\w+", text.lower()) for n in range(max(1, len(run) - 1))]


def full_text(units: Sequence[Unit]) -> Ask:
    """SQLite's full-text search over character pairs, ranked by BM25."""
    db = sqlite3.connect(":memory:")
    db.execute("CREATE VIRTUAL TABLE units USING fts5(words)")
    db.executemany("INSERT INTO units(rowid, words) VALUES (?, ?)", enumerate(" ".join(pairs(u.text)) for u in units))
    select = "SELECT rowid, -bm25(units) FROM units WHERE units MATCH ? ORDER BY bm25(units) LIMIT 1"

    def best(question: str) -> tuple[int, float] | None:
        query = " OR ".join(f'"{pair}"' for pair in dict.fromkeys(pairs(question)))
        return db.execute(select, (query,)).fetchone() if query else None

    return searching(units, best)


def own(kb: KnowledgeBase) -> Ask:
    """countydesk by the path that a message takes, database included."""

    def ask(questions: Sequence[str]) -> list[Reply]:
        with contextmanager(asker)(kb) as one:

            def said(text: str) -> tuple[str, float, Sequence[Cited]]:
                reply = one({"q": text})
                return reply["text"], float(reply["kind"] == "answer"), reply["citations"]

            return timed(said)(["预热问题", *questions])[1:]

    return ask


def shows(row: scoring.Row, reply: Reply) -> bool:
    text = scoring._plain(reply.text)
    return all(any(scoring._plain(one) in text for one in group) for group in row["must"] or [])


def figures(name: str, rows: Sequence[scoring.Row], replies: Sequence[Reply], least: float) -> Figures:
    """Sum up; a reply that scores below `least` is a refusal."""
    both = list(zip(rows, replies, strict=True))
    asked = [(row, reply) for row, reply in both if row["answerable"]]
    right = [r.score >= least and scoring._cites(row, {"citations": r.citations}) for row, r in asked]
    return Figures(
        name=name,
        threshold=least,
        unrefused=statistics.fmean([shows(row, reply) for row, reply in asked]),
        shown=statistics.fmean([reply.score >= least and shows(row, reply) for row, reply in asked]),
        clause=statistics.fmean(right) if any(reply.citations for reply in replies) else None,
        refused=statistics.fmean([reply.score < least for row, reply in both if not row["answerable"]]),
        length=statistics.median([len(reply.text.strip()) for reply in replies if reply.score >= least] or [0]),
        seconds=statistics.median(reply.seconds for reply in replies),
    )


def threshold(rows: Sequence[scoring.Row], replies: Sequence[Reply]) -> float:
    """The score from which facts shown and refusals together are most."""
    tried = {least: figures("", rows, replies, least) for least in {reply.score for reply in replies}}
    return max(sorted(tried), key=lambda least: tried[least].shown + tried[least].refused)


def draw(table: Sequence[Figures]) -> None:
    import pygal
    from pygal.style import Style

    style = Style(background="white", plot_background="white", value_label_font_size=13, title_font_size=14)
    chart = pygal.XY(
        stroke=False, dots_size=4, width=860, height=560, js=[], no_prefix=True, style=style, truncate_legend=-1,
        legend_at_bottom=True, legend_at_bottom_columns=2, xrange=(0, 100), range=(0, 100), print_labels=True,
        print_values=False, x_title="fact shown, % of answerable", y_title="refused, % of unanswerable",
    )  # fmt: skip
    for number, row in enumerate(table, start=1):
        chart.add(f"{number}  {row.name}", [{"value": (100 * row.shown, 100 * row.refused), "label": str(number)}])
    PLOT.write_text(re.sub("(?s)<script.*?</script>", "", chart.render(is_unicode=True)) + "\n", "utf-8")


def main() -> None:
    tuning = [row for row in scoring.rows("round1") if not row.get("prev")]
    named = [json.loads(line) for name in sys.argv[1:] for line in Path(name).read_text("utf-8").splitlines()]
    tested = [row for row in named or scoring.rows("round2", "round3") if not row.get("prev")]
    notices = load_notices(DATA / "notices")
    clauses = [Unit(notice_id=n.id, clause=c.label, text=c.full) for n in notices for c in n.clauses]
    sentences = sentences_of(clauses)
    titles = {path.stem: path.read_text("utf-8").partition("\n---\n")[2] for path in (DATA / "notices").glob("*.txt")}
    given = {"documents": [(n.title, titles[n.id]) for n in notices], "sentences": [unit.text for unit in sentences]}

    systems: list[tuple[str, Ask, bool]] = [  # name, how to ask, whether a threshold is to be chosen
        ("baisitong 1.0.6", installed("baisitong==1.0.6", BAISITONG, given), False),
        ("ChatterBot 1.2.15", installed("chatterbot==1.2.15", CHATTERBOT, given), True),
        ("rapidfuzz, sentences", fuzzy(sentences), True),
        ("SQLite FTS5, sentences", full_text(sentences), True),
        ("SQLite FTS5, clauses", full_text(clauses), True),
        ("countydesk, words alone", own(read().warmed()), False),
    ]
    if semantic.available() and VECTORS.exists():
        systems.append(("countydesk, with the encoder", own(load()), False))
    table: list[Figures] = []
    for name, ask, chosen in systems:
        rows = [*tuning, *tested] if chosen else tested
        replies = ask([row["q"] for row in rows])
        least = threshold(tuning, replies[: len(tuning)]) if chosen else BUILT_IN
        table.append(figures(name, tested, replies[-len(tested) :], least))
    print(f"{len(tested)} questions, {sum(row['answerable'] for row in tested)} of them answerable\n")
    print("| system | fact shown | right clause | refused | characters | ms | threshold | fact shown without it |")
    print("\n".join(["|---" * 8 + "|", *(row.row() for row in table)]))
    draw(table)


if __name__ == "__main__":
    main()
