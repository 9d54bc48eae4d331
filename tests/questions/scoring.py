"""Score answers to questions whose right clauses are known.

A row of a question file: `q`, `prev` (earlier questions of the conversation), `answerable`, `gold` clauses any one of
which is a right main citation, `must` groups of strings of which the card must hold one each, `verdict` of the yes/no
question as asked or null. A row of twins.jsonl has `both` clauses in place of `gold`. The files were written from the notices alone, without sight of the entries.
"""

import json
import re
import unicodedata
from collections import Counter
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
Row = dict[str, Any]  # Any: JSON of one question or one answer
_OPPOSITE = {"yes": "no", "no": "yes"}
_QUALIFIED = re.compile("原则|一般|须|认定|条件|鼓励|优先|除|视|限|尽量|力争")


def rows(*names: str) -> list[Row]:
    """The questions of the named files."""
    return [json.loads(line) for name in names for line in (HERE / f"{name}.jsonl").read_text("utf-8").splitlines()]


def _plain(text: str) -> str:
    return re.sub(r"\s+", "", unicodedata.normalize("NFKC", text)).replace("—", "-").replace("至", "-")


def _same_clause(gold: str, cited: str) -> bool:
    gold, cited = _plain(gold).split("¶")[0], _plain(cited).split("¶")[0]
    return gold == cited or (gold.startswith("附件") and cited.startswith((gold + ".", gold + "-")))


def _cites(row: Row, answer: Row) -> bool:
    return any(
        ("144" in notice) == (citation["notice_id"] == "144-2020") and _same_clause(clause, citation["clause"])
        for notice, clause in row["gold"]
        for citation in answer["citations"]
    )


def judge(row: Row, answer: Row) -> str:
    """right, wrong, refused (unanswerable, and said so), missed (answerable, but refused) or overreach."""
    if not row["answerable"]:
        return "refused" if answer["kind"] in ("abstain", "chat", "clarify") else "overreach"
    if answer["kind"] != "answer":
        return "missed"
    text = _plain(answer["text"])
    stated = all(any(_plain(one) in text for one in group) for group in row["must"] or [])
    contrary = row["verdict"] in _OPPOSITE and answer["verdict"] == _OPPOSITE[row["verdict"]]
    overstated = row["verdict"] == "conditional" and answer["verdict"] in _OPPOSITE and not _QUALIFIED.search(text[:80])
    return "right" if _cites(row, answer) and stated and not contrary and not overstated else "wrong"


def states_both(row: Row, answer: Row) -> bool:
    """True when the answer to a twin question cites both its clauses and says something of each."""
    cited = {(citation["notice_id"], citation["clause"]) for citation in answer["citations"]}
    text = _plain(answer["text"])
    said = all(any(_plain(one) in text for one in group) for group in row["must"])
    return answer["kind"] == "answer" and said and all(tuple(clause) in cited for clause in row["both"])


def headline_answers(row: Row, answer: Row) -> bool:
    """True when the conclusion alone, before the first quotation, holds what the row's `must` asks for."""
    conclusion = _plain(answer["text"].split("\n“")[0])
    return all(any(_plain(one) in conclusion for one in group) for group in row["must"] or [])


def totals(questions: Iterable[Row], ask: Callable[[Row], Row]) -> dict[str, float]:
    """Ask every question and sum up: right and concluded as shares of what can be, and what was said wrongly."""
    tally: Counter[str] = Counter()
    yes_no = concluded = 0
    for row in questions:
        answer = ask(row)
        verdict = judge(row, answer)
        tally[verdict] += 1
        if row["answerable"] and row["verdict"] in _OPPOSITE:
            yes_no += 1
            concluded += verdict == "right" and answer["verdict"] == row["verdict"]
    answerable = tally["right"] + tally["wrong"] + tally["missed"]
    said = tally["right"] + tally["wrong"] + tally["overreach"]
    return {
        "right": tally["right"] / max(1, answerable),
        "said_and_wrong": (tally["wrong"] + tally["overreach"]) / max(1, said),
        "refused": tally["refused"] / max(1, tally["refused"] + tally["overreach"]),
        "concluded": concluded / max(1, yes_no),
        "questions": sum(tally.values()),
    }
