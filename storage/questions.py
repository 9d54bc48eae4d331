"""Questions that got no answer, or a disputed one: kept, grouped by likeness, answered once for everybody who asked.

A province sees those of its own counties and people (storage.scope).
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import func, select, update
from sqlalchemy.orm import Session

from storage import bindings, conversations, deliveries, scope
from storage.models import Exchange, Question, Ruling

OPEN_KINDS = ("abstain", "disputed")


@dataclass(frozen=True, kw_only=True)
class Group:
    """Questions that mean the same: the first one asked stands for all."""

    questions: tuple[Question, ...]

    @property
    def id(self) -> int:
        return self.questions[0].id

    @property
    def askers(self) -> int:
        return len({question.exchange_id for question in self.questions})


def open_questions(db: Session) -> list[Question]:
    """Refused and disputed questions that the viewer sees and nobody has answered yet, oldest first."""
    wanted = select(Question).where(Question.kind.in_(OPEN_KINDS), Question.ruling_id.is_(None)).order_by(Question.id)
    return list(db.scalars(wanted))


def latest(db: Session, most: int) -> list[str]:
    """The questions asked last, each once."""
    asked = select(Question.text, func.max(Question.id).label("last")).group_by(Question.text)
    return [text for text, _ in db.execute(asked.order_by(func.max(Question.id).desc()).limit(most)).all()]


def most_asked(db: Session, most: int) -> list[tuple[str, int]]:
    """The questions that the viewer sees asked most often, in the same words, with how often."""
    asked = select(Question.text, func.count(Question.id)).group_by(Question.text)
    often = asked.order_by(func.count(Question.id).desc(), func.max(Question.id).desc()).limit(most)
    return [(text, count) for text, count in db.execute(often).all()]


def grouped(questions: Sequence[Question], alike: Callable[[str, str], bool]) -> list[Group]:
    """Group questions with the first one they are like, the most asked first."""
    groups: list[list[Question]] = []
    for question in questions:
        home = next((group for group in groups if alike(group[0].text, question.text)), None)
        if home is None:
            groups.append([question])
        else:
            home.append(question)
    made = [Group(questions=tuple(group)) for group in groups]
    return sorted(made, key=lambda group: (-len(group.questions), group.id))


def dispute(db: Session, exchange_id: int) -> None:
    """Put an answered question on the list because its asker says that the answer is wrong."""
    with scope.serving(db, scope.SYSTEM):  # found by the asker's own exchange
        for question in db.scalars(select(Question).where(Question.exchange_id == exchange_id)):
            question.kind = "disputed"


def last_question(db: Session, channel: str, address: str) -> Question | None:
    """The newest policy question of an address."""
    wanted = (
        select(Question)
        .join(Exchange, Exchange.id == Question.exchange_id)
        .where(Exchange.channel == channel, Exchange.address == address)
        .order_by(Question.id.desc())
        .limit(1)
    )
    with scope.serving(db, scope.SYSTEM):  # the asker's own, who may see nothing of where it went
        return db.scalars(wanted).one_or_none()


def adopt(db: Session, home: str) -> None:
    """Give the questions that belong to nobody to the installation's province."""
    lost = update(Question).where(Question.body_id.is_(None), Question.division_code.is_(None))
    with scope.serving(db, scope.SYSTEM):
        db.execute(lost.values(division_code=home), execution_options={"synchronize_session": False})


def settle(db: Session, group: Group, ruling: Ruling, reply: Mapping[str, Any], why: str, now: datetime) -> int:
    """Record an officer's answer for a group and queue it for everyone who asked; how many people are to be told."""
    db.add(ruling)
    db.flush()
    told: set[str] = set()
    for question in group.questions:
        question.ruling_id = ruling.id
        exchange = db.get_one(Exchange, question.exchange_id)
        recipient = bindings.recipient(db, exchange.channel, exchange.address)
        if recipient not in told:
            told.add(recipient)
            deliveries.put(
                db,
                source=f"ruling:{ruling.id}",
                recipient=recipient,
                lane="confirmation",
                reply=reply,
                why=why,
                now=now,
            )
    return len(told)


def ask_for(
    db: Session,
    text: str,
    *,
    body_id: int | None,
    person_id: int | None,
    division_code: str | None,
    edition: str,
    key: str,
    now: datetime,
) -> Question:
    """Put a question on the list for somebody who asked by telephone. `key` names the call: `call:5`."""
    with scope.serving(db, scope.SYSTEM):  # the hotline passes on for anybody
        exchange = Exchange(
            channel="call", message_id=key, address=key, person_id=person_id, route="call", edition=edition, at=now,
            took_ms=0,
        )  # fmt: skip
        conversations.write(db, exchange, text, {"text": ""})
        db.add(exchange)
        db.flush()
        question = Question(
            exchange_id=exchange.id, body_id=body_id, division_code=division_code if body_id is None else None,
            text=text, kind="abstain", score=0.0, edition=edition, at=now,
        )  # fmt: skip
        db.add(question)
        db.flush()
    return question


def ruling_of(db: Session, question_id: int) -> Ruling | None:
    """The officer's answer to a question; None while there is none."""
    wanted = select(Ruling).join(Question, Question.ruling_id == Ruling.id).where(Question.id == question_id)
    with scope.serving(db, scope.SYSTEM):
        return db.scalars(wanted).one_or_none()
