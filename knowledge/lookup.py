"""Look-up as you type, for a person with a caller waiting: ranked answers with the reason why each was found."""

import re
from dataclasses import dataclass
from datetime import date

from knowledge.answer import answer, answer_entry
from knowledge.base import KnowledgeBase
from knowledge.matching import Match
from knowledge.model import Answer, Form
from knowledge.text import normalise

SHORTEST = 2
_INITIALS = re.compile(r"[a-z]{2,12}")


@dataclass(frozen=True, kw_only=True)
class Found:
    """One result: the answer, its entry's title, why it matched, and the words to mark in the quotation."""

    answer: Answer
    title: str
    why: str
    marks: tuple[str, ...]


def look_up(kb: KnowledgeBase, text: str, *, on: date, limit: int = 7) -> list[Found]:
    """Answers for what has been typed so far, best first; none below two characters.

    Latin letters are read as pinyin initials of titles (ecsb → 二次申报) before anything else.
    """
    typed, whole = normalise(text), kb
    kb = whole.as_of(on)
    if len(re.sub(r"\W", "", typed)) < SHORTEST:
        return []
    if _INITIALS.fullmatch(typed) and (found := _by_initials(kb, typed, on, limit)):
        return found
    question = kb.understand(text, on.year)
    matches = [match for match in kb.matcher.match(question) if match.score >= match.weights.refuse_from]
    first = answer(whole, text, on=on)
    answers = [first] if first.kind in ("answer", "abstain") and first.route != "unknown" else []
    answers += [answer_entry(whole, match, question, on) for match in matches[: limit + 2]]
    why = kb.wording.explain(typed)
    found, seen = [], set[str]()
    for one in answers:
        identity = one.statement
        if identity in seen:
            continue
        seen.add(identity)
        title = kb.by_id[one.route].title if one.route in kb.by_id else _rule_title(kb, one.route)
        found.append(Found(answer=one, title=title, why=why, marks=_marks(f"{question.official} {typed} {text}", one)))
    return found[:limit]


def _rule_title(kb: KnowledgeBase, route: str) -> str:
    name = route.rsplit(":", 1)[-1]
    titles = {row.id: row.title for row in kb.expenses} | {rule.id: rule.title for rule in kb.rules.values()}
    return titles.get(name) or (kb.by_id[name].title if name in kb.by_id else "")


def _by_initials(kb: KnowledgeBase, typed: str, on: date, limit: int) -> list[Found]:
    hits = sorted(
        ((place, len(letters), entry) for entry, letters in kb.initials if (place := letters.find(typed)) >= 0),
        key=lambda hit: hit[:2],
    )
    found = []
    for _, _, entry in hits[:limit]:
        match = Match(entry=entry, score=1.0, form=Form(text=entry.title, verdict="info"), nearness=1.0)
        question = kb.understand(entry.title, on.year)
        one = answer_entry(kb, match, question, on)
        found.append(Found(answer=one, title=entry.title, why=f"{typed} → {entry.title}", marks=()))
    return found


def _marks(typed: str, found: Answer) -> tuple[str, ...]:
    """The longest pieces of what was typed that stand in the main quotation."""
    if not found.citations:
        return ()
    quote = found.citations[0].quote
    pieces = {
        typed[a:b] for a in range(len(typed)) for b in range(a + 2, min(a + 12, len(typed)) + 1) if typed[a:b] in quote
    }
    pieces = {piece for piece in pieces if re.search(r"[\u3400-\u9fff\d%]{2}", piece)}
    return tuple(sorted(p for p in pieces if not any(p != other and p in other for other in pieces)))
