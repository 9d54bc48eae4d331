"""The province's side of open questions: list them grouped, answer once with a clause, tell everyone who asked."""

from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from rapidfuzz import fuzz
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
from storage.questions import Group

ALIKE = 82.0  # of 100: token-sorted likeness of two questions in official words


def groups(db: Session, kb: KnowledgeBase) -> list[Group]:
    """The open questions, grouped, most asked first."""

    def alike(one: str, other: str) -> bool:
        a, b = (kb.wording.rewrite(normalise(text)) for text in (one, other))
        return fuzz.ratio(a, b) >= ALIKE

    return questions.grouped(questions.open_questions(db), alike)


def as_json(group: Group) -> dict[str, Any]:
    """One group for `questions list --json`."""
    return {
        "id": group.id,
        "question": group.questions[0].text,
        "asked": len(group.questions),
        "kind": group.questions[0].kind,
        "first_at": group.questions[0].at.isoformat(),
        "last_at": group.questions[-1].at.isoformat(),
        "also": sorted({question.text for question in group.questions[1:]}),
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
    group = next((one for one in groups(db, kb) if number in {question.id for question in one.questions}), None)
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
        question=group.questions[0].text,
        text=text,
        citation=kb.citation(cite, now.astimezone(LOCAL).date()),
    )
    why = say("ask.why_settled", question=group.questions[0].text)
    told = questions.settle(db, group, ruling, Reply(text=words).to_json(), why, now)
    audit.record(
        db, "answer", f"question:{number}", now=now, role=scope.viewer_of(db).role_for("answer_questions"),
        after={"clause": f"{cite.notice} {cite.clause}", "told": told},
    )  # fmt: skip
    return Settled(told=told, draft=writing.save(folder, _draft(group, ruling), by))


def _draft(group: Group, ruling: Ruling) -> dict[str, Any]:  # Any: an entry as its file has it
    """The answer as an entry to be reviewed, in the form of knowledge/data/entries."""
    return {
        "title": group.questions[0].text[:14],
        "statement": ruling.text,
        "basis": "有明确规定",
        "cite": [{"notice": ruling.notice_id, "clause": ruling.clause, "quote": ruling.quote}],
        "asks": {"info": sorted({question.text for question in group.questions})},
    }
