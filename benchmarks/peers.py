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

best = {
    "import_path": "chatterbot.logic.BestMatch",
    "search_algorithm_name": "text_search",
    "default_response": "抱歉，没有找到。",
    "maximum_similarity_threshold": 0.90,
}
bot = ChatBot(
    "peer", read_only=True, database_uri="sqlite:///peer.db", tagger=LowercaseTagger, tagger_language=languages.CHI,
    logic_adapters=[best],
)
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
    citations: tuple[dict[str, str], ...] = ()


@dataclass(frozen=True, kw_only=True)
class Figures:
    """One row of the table; `clause` is None where a system names none."""

    name: str
    threshold: float | None
    shown: float
    clause: float | None
    refused: float
    length: float
    seconds: float

    def row(self) -> str:
        clause = "–" if self.clause is None else f"{self.clause:.0%}"
        threshold = "built in" if self.threshold is None else f"{self.threshold:.3g}"
        cells = f"{self.shown:.0%} | {clause} | {self.refused:.0%} | {self.length:.0f} | {self.seconds * 1000:.1f}"
        return f"| {self.name} | {cells} | {threshold} |"


Ask = Callable[[Sequence[str]], list[Reply]]


def sentences_of(clauses: Sequence[Unit]) -> list[Unit]:
    parts = [(unit, part.strip()) for unit in clauses for part in re.split(r"(?<=[。；！？])|\n", unit.text)]
    return [replace(unit, text=part) for unit, part in parts if len(part) >= SHORTEST]


def installed(package: str, body: str, given: dict[str, Any]) -> list[Reply]:  # Any: JSON
    """Install a package in an environment of its own and ask it there."""
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        venv.create(place / "venv", with_pip=True)
        python = str(place / "venv" / ("Scripts" if sys.platform == "win32" else "bin") / "python")
        subprocess.run(
            [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", package],
            check=True,
            capture_output=True,
        )
        (place / "given.json").write_text(json.dumps(given), "utf-8")
        subprocess.run([python, "-c", FRAME.format(body=body)], cwd=place, check=True, capture_output=True)
        replies = json.loads((place / "replies.json").read_text("utf-8"))
    return [Reply(text=text, score=score, seconds=seconds) for text, score, seconds in replies]


def found(unit: Unit | None, score: float, started: float) -> Reply:
    seconds = time.perf_counter() - started
    if unit is None:
        return Reply(text="", score=float("-inf"), seconds=seconds)
    cited = ({"notice_id": unit.notice_id, "clause": unit.clause},)
    return Reply(text=unit.text, score=score, seconds=seconds, citations=cited)


def fuzzy(units: Sequence[Unit]) -> Ask:
    """The sentence of the highest partial ratio."""
    texts = [unit.text for unit in units]

    def ask(questions: Sequence[str]) -> list[Reply]:
        replies: list[Reply] = []
        for question in questions:
            started = time.perf_counter()
            hit = process.extractOne(question, texts, scorer=fuzz.partial_ratio)
            replies.append(found(units[hit[2]] if hit else None, hit[1] if hit else 0.0, started))
        return replies

    return ask


def pairs(text: str) -> list[str]:
    """Adjacent pairs of letters, digits and Chinese characters."""
    return [run[n : n + 2] for run in re.findall(r"\w+", text.lower()) for n in range(max(1, len(run) - 1))]


def full_text(units: Sequence[Unit]) -> Ask:
    """SQLite's full-text search over character pairs, ranked by BM25."""
    db = sqlite3.connect(":memory:")
    db.execute("CREATE VIRTUAL TABLE units USING fts5(words)")
    db.executemany("INSERT INTO units(rowid, words) VALUES (?, ?)", enumerate(" ".join(pairs(u.text)) for u in units))

    def ask(questions: Sequence[str]) -> list[Reply]:
        replies: list[Reply] = []
        for question in questions:
            started = time.perf_counter()
            query = " OR ".join(f'"{pair}"' for pair in dict.fromkeys(pairs(question)))
            best = "SELECT rowid, -bm25(units) FROM units WHERE units MATCH ? ORDER BY bm25(units) LIMIT 1"
            hit = db.execute(best, (query,)).fetchone() if query else None
            replies.append(found(units[hit[0]] if hit else None, hit[1] if hit else 0.0, started))
        return replies

    return ask


def own(kb: KnowledgeBase) -> Ask:
    """countydesk by the path that a message takes, database included."""

    def ask(questions: Sequence[str]) -> list[Reply]:
        replies: list[Reply] = []
        for one in asker(kb):
            one({"q": "预热问题"})
            for question in questions:
                started = time.perf_counter()
                said = one({"q": question})
                seconds = time.perf_counter() - started
                answered = float(said["kind"] == "answer")
                cited = tuple(said["citations"])
                replies.append(Reply(text=said["text"], score=answered, seconds=seconds, citations=cited))
        return replies

    return ask


def shows(row: scoring.Row, reply: Reply) -> bool:
    text = scoring._plain(reply.text)
    return all(any(scoring._plain(one) in text for one in group) for group in row["must"] or [])


def share(hits: Sequence[bool]) -> float:
    return sum(hits) / max(1, len(hits))


def figures(
    name: str, rows: Sequence[scoring.Row], replies: Sequence[Reply], least: float, *, chosen: bool, cites: bool
) -> Figures:
    """Sum up; a reply that scores below `least` is a refusal."""
    both = list(zip(rows, replies, strict=True))
    asked = [(row, reply) for row, reply in both if row["answerable"]]
    right = [r.score >= least and scoring._cites(row, {"citations": r.citations}) for row, r in asked]
    return Figures(
        name=name,
        threshold=least if chosen else None,
        shown=share([reply.score >= least and shows(row, reply) for row, reply in asked]),
        clause=share(right) if cites else None,
        refused=share([reply.score < least for row, reply in both if not row["answerable"]]),
        length=statistics.median([len(reply.text.strip()) for reply in replies if reply.score >= least] or [0]),
        seconds=statistics.median(reply.seconds for reply in replies),
    )


def threshold(rows: Sequence[scoring.Row], replies: Sequence[Reply]) -> float:
    """The score from which facts shown and refusals together are most."""

    def worth(least: float) -> float:
        tried = figures("", rows, replies, least, chosen=True, cites=False)
        return tried.shown + tried.refused

    return max(sorted({reply.score for reply in replies}), key=worth)


def draw(table: Sequence[Figures]) -> None:
    import pygal
    from pygal.style import Style

    style = Style(background="white", plot_background="white", label_font_size=13, major_label_font_size=13)
    chart = pygal.XY(
        stroke=False, dots_size=6, width=860, height=520, js=[], no_prefix=True, style=style, title=None,
        legend_at_bottom=True, legend_at_bottom_columns=2, truncate_legend=-1, xrange=(0, 100), range=(0, 100),
        x_title="fact shown, % of answerable questions", y_title="refused, % of unanswerable questions",
        print_values=False, print_labels=True,
    )  # fmt: skip
    for number, row in enumerate(table, start=1):
        point = {"value": (100 * row.shown, 100 * row.refused), "label": str(number)}
        chart.add(f"{number}  {row.name}", [point])
    PLOT.write_text(chart.render(is_unicode=True) + "\n", "utf-8")


def main() -> None:
    tuning = [row for row in scoring.rows("round1") if not row.get("prev")]
    named = [json.loads(line) for name in sys.argv[1:] for line in Path(name).read_text("utf-8").splitlines()]
    tested = [row for row in named or scoring.rows("round2", "round3") if not row.get("prev")]
    notices = load_notices(DATA / "notices")
    clauses = [Unit(notice_id=n.id, clause=c.label, text=c.full) for n in notices for c in n.clauses]
    sentences = sentences_of(clauses)
    titles = {path.stem: path.read_text("utf-8").partition("\n---\n")[2] for path in (DATA / "notices").glob("*.txt")}
    given = {"documents": [(n.title, titles[n.id]) for n in notices], "sentences": [unit.text for unit in sentences]}

    def peer(package: str, body: str) -> Ask:
        return lambda questions: installed(package, body, given | {"questions": list(questions)})

    systems: list[tuple[str, Ask, bool, bool]] = [  # name, how to ask, threshold to choose, names clauses
        ("baisitong 1.0.6", peer("baisitong==1.0.6", BAISITONG), False, False),
        ("ChatterBot 1.2.15", peer("chatterbot==1.2.15", CHATTERBOT), True, False),
        ("rapidfuzz, sentences", fuzzy(sentences), True, True),
        ("SQLite FTS5, sentences", full_text(sentences), True, True),
        ("SQLite FTS5, clauses", full_text(clauses), True, True),
        ("countydesk, words alone", own(read().warmed()), False, True),
    ]
    if semantic.available() and VECTORS.exists():
        systems.append(("countydesk, with the encoder", own(load()), False, True))
    table: list[Figures] = []
    for name, ask, chosen, cites in systems:
        rows = [*tuning, *tested] if chosen else tested
        replies = ask([row["q"] for row in rows])
        least = threshold(tuning, replies[: len(tuning)]) if chosen else 0.5
        table.append(figures(name, tested, replies[-len(tested) :], least, chosen=chosen, cites=cites))
        print(name, file=sys.stderr)
    answerable = sum(row["answerable"] for row in tested)
    print(f"{answerable} answerable and {len(tested) - answerable} unanswerable questions\n")
    print(
        "| system | fact shown | right clause | refused | characters | ms | threshold |\n|---|---|---|---|---|---|---|"
    )
    print("\n".join(row.row() for row in table))
    draw(table)


if __name__ == "__main__":
    main()
