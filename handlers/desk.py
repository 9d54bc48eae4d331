"""The province's side of open questions: list them grouped, answer once with a clause, tell everyone who asked."""

from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from rapidfuzz import fuzz, process
from sqlalchemy.orm import Session

from bot.messages import Refused, Reply
from bot.texts import say
from bot.workdays import LOCAL
from knowledge import writing
from knowledge.base import KnowledgeBase
from knowledge.model import Cite
from knowledge.text import normalise
from knowledge.writing import Writer
from storage import audit, questions, scope
from storage.models import Ruling
from storage.questions import Asked, Group

ALIKE = 82.0  # of 100: token-sorted likeness of two questions in official words
LISTS = 8  # lists of open questions whose grouping is remembered


def groups(db: Session, kb: KnowledgeBase) -> list[Group]:
    """The open questions, each with the first one that it is like, the most asked first."""
    listed = questions.open_questions(db)
    gathered: dict[int, list[Asked]] = {}
    for home, asked in zip(_homes(kb, tuple(one.text for one in listed)), listed, strict=True):
        gathered.setdefault(home, []).append(asked)
    made = [Group(asked=tuple(one)) for one in gathered.values()]
    return sorted(made, key=lambda group: (-group.count, group.id))


def _homes(kb: KnowledgeBase, texts: tuple[str, ...]) -> list[int]:
    """For each question the place, among those unlike any before, of the first that it is like.

    Lists are looked at more often than they change: the last ones are remembered.
    """
    if texts not in kb.alike:
        heads, homes = list[str](), list[int]()
        for text in texts:
            official = kb.wording.rewrite(normalise(text))
            like = process.extract_iter(official, heads, scorer=fuzz.ratio, processor=None, score_cutoff=ALIKE)
            home = next((place for _, _, place in like), len(heads))
            homes.append(home)
            if home == len(heads):
                heads.append(official)
        if len(kb.alike) >= LISTS:
            kb.alike.clear()
        kb.alike[texts] = homes
    return kb.alike[texts]


def group_of(db: Session, kb: KnowledgeBase, number: int) -> Group | None:
    """The group of an open question."""
    text = questions.open_text(db, number)
    return None if text is None else next(group for group in groups(db, kb) if text in group.texts)


def as_json(group: Group) -> dict[str, Any]:
    """One group for `questions list --json`."""
    return {
        "id": group.id,
        "question": group.first.text,
        "asked": group.count,
        "kind": group.first.kind,
        "first_at": group.first.first_at.isoformat(),
        "last_at": max(one.last_at for one in group.asked).isoformat(),
        "also": sorted(group.texts[1:]),
    }


@dataclass(frozen=True, kw_only=True)
class Settled:
    """What answering a group did: how many people are told, and the name of the draft entry that it became."""

    told: int
    draft: str


def settle(
    db: Session, kb: KnowledgeBase, number: int, text: str, cite: Cite, by: Writer, folder: Path, now: datetime
) -> Settled:
    """Answer the group that question `number` stands for, and draft the answer as an entry for another's review.

    `folder` is that of the imported notices. Raises Refused when it is not open or the quote is not exact.
    """
    group = group_of(db, kb, number)
    if group is None:
        raise Refused(say("desk.not_open", number=number))
    clause = kb.clauses.get((cite.notice, cite.clause))
    if clause is None:
        raise Refused(say("desk.no_clause", notice=cite.notice, clause=cite.clause))
    if not cite.quote or cite.quote not in clause.full:
        raise Refused(say("desk.not_exact", clause=cite.clause))
    if not text.strip():
        raise Refused(say("desk.no_text"))
    ruling = Ruling(text=text, notice_id=cite.notice, clause=cite.clause, quote=cite.quote, officer=by.name, at=now)
    words = say(
        "ask.settled",
        question=group.first.text,
        text=text,
        citation=kb.citation(cite, now.astimezone(LOCAL).date()),
    )
    why = say("ask.why_settled", question=group.first.text)
    told = questions.settle(db, group, ruling, Reply(text=words).to_json(), why, now)
    audit.record(
        db, "answer", f"question:{number}", now=now, role=scope.viewer_of(db).role_for("answer_questions"),
        after={"clause": f"{cite.notice} {cite.clause}", "told": told},
    )  # fmt: skip
    return Settled(told=told, draft=writing.save(folder, _draft(group, ruling), by))


def _draft(group: Group, ruling: Ruling) -> dict[str, Any]:  # Any: an entry as its file has it
    """The answer as an entry to be reviewed, in the form of knowledge/data/entries."""
    return {
        "title": group.first.text[:14],
        "statement": ruling.text,
        "basis": "有明确规定",
        "cite": [{"notice": ruling.notice_id, "clause": ruling.clause, "quote": ruling.quote}],
        "asks": {"info": sorted(group.texts)},
    }
