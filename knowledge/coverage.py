"""Which clauses, and which facts of a clause, no curated statement tells."""

import re
from collections import defaultdict
from collections.abc import Iterator

from knowledge.base import KnowledgeBase
from knowledge.model import Clause
from knowledge.text import normalise

TOLD = 0.7  # share of a fact's adjacent pairs of characters that one statement must hold
SHORTEST = 5  # characters; a shorter piece is no fact of its own
_HEADING = re.compile(r"^[(（][一二三四五六七八九十][)）]|如下$|以下方向$")  # announces facts, is none


def _told(kb: KnowledgeBase) -> dict[tuple[str, str], list[str]]:
    """The statements that cite each clause: of entries, rules and expenses, absences left out."""
    told: dict[tuple[str, str], list[str]] = defaultdict(list)
    for entry in kb.entries:
        for cite in () if entry.absent else entry.cites:
            told[cite.notice, cite.clause].append(entry.statement)
    for rule in kb.rules.values():
        for case in rule.cases:
            for cite in case.cites:
                told[cite.notice, cite.clause].append(case.statement)
    for row in kb.expenses:
        for cite in row.cites:
            told[cite.notice, cite.clause].append(row.statement)
    return told


def uncovered(kb: KnowledgeBase) -> list[Clause]:
    """Clauses with text of their own that nothing curated cites, in reading order."""
    cited = set(_told(kb)) | {(cite.notice, cite.clause) for entry in kb.entries for cite in entry.cites}
    return [
        clause
        for clause in kb.clause_list
        if (clause.notice_id, clause.label) not in cited and len(_plain(clause.text)) >= SHORTEST
    ]


def uncovered_facts(kb: KnowledgeBase) -> list[tuple[Clause, str]]:
    """Facts of cited clauses that no statement citing the clause tells, as printed, in reading order.

    A fact is a piece between two punctuation marks, each item of a list in it, and each number: what a person could
    ask about.
    """
    told = _told(kb)
    return [
        (clause, fact)
        for clause in kb.clause_list
        if (said := told.get((clause.notice_id, clause.label)))
        for fact in _untold(clause.text, [_plain(text) for text in said])
    ]


def _untold(text: str, said: list[str]) -> Iterator[str]:
    for fact in re.split(r"[。；;，,：:！？\t\n]", text):
        plain = _plain(fact)
        if len(plain) < SHORTEST or _HEADING.search(fact.strip()):
            continue
        exact = [*re.findall(r"\d+(?:\.\d+)?%?", plain), *map(_plain, fact.split("、")[1:-1])]
        untold = [word for word in exact if not any(word in one for one in said)]
        if max(_share(plain, one) for one in said) < TOLD or untold:
            yield fact.strip()


def _share(fact: str, statement: str) -> float:
    pairs = {fact[at : at + 2] for at in range(len(fact) - 1)}
    return sum(pair in statement for pair in pairs) / len(pairs)


def _plain(text: str) -> str:
    """The text without spaces, quotation marks and list numbers."""
    return re.sub(r"^\d\.|[\s“”‘’《》〔〕()（）、—-]|^其中|^同时", "", normalise(text))
