"""Questions that got no answer, or a disputed one: kept, grouped by likeness, answered once for everybody who asked.

A province sees those of its own counties and people (storage.scope).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import func, select, update
from sqlalchemy.orm import Session

from storage import bindings, conversations, deliveries, scope
from storage.models import Exchange, Question, Ruling

OPEN_KINDS = ("abstain", "disputed")


@dataclass(frozen=True, kw_only=True)
class Asked:
    """Open questions of one kind in the same words: the number of the first one, how many, when first and last."""

    text: str
    kind: str
    id: int
    count: int
    first_at: datetime
    last_at: datetime


@dataclass(frozen=True, kw_only=True)
class Group:
    """Questions that mean the same: the first one asked stands for all."""

    asked: tuple[Asked, ...]

    @property
    def first(self) -> Asked:
        return self.asked[0]

    @property
    def id(self) -> int:
        return self.first.id

    @property
    def count(self) -> int:
        return sum(one.count for one in self.asked)

    @property
    def texts(self) -> list[str]:
        """The different words, those asked first in front."""
        return list(dict.fromkeys(one.text for one in self.asked))


_OPEN = (Question.kind.in_(OPEN_KINDS), Question.ruling_id.is_(None))


def open_questions(db: Session) -> list[Asked]:
    """Refused and disputed questions that the viewer sees and nobody has answered yet, oldest first."""
    first, count = func.min(Question.id), func.count(Question.id)
    wanted = select(Question.text, Question.kind, first, count, func.min(Question.at), func.max(Question.at))
    listed = wanted.where(*_OPEN).group_by(Question.text, Question.kind).order_by(first)
    return [
        Asked(text=text, kind=kind, id=number, count=many, first_at=first_at, last_at=last_at)
        for text, kind, number, many, first_at, last_at in db.execute(listed).all()
    ]


def open_text(db: Session, number: int) -> str | None:
    """The words of an open question that the viewer sees."""
    return db.scalars(select(Question.text).where(Question.id == number, *_OPEN)).one_or_none()


def askers(db: Session, groups: Sequence[Group]) -> dict[int, set[int]]:
    """The bodies that each group's questions belong to, by its number."""
    home = {text: group.id for group in groups for text in group.texts}
    wanted = select(Question.text, Question.body_id).where(Question.text.in_(home), *_OPEN).distinct()
    found: dict[int, set[int]] = {group.id: set() for group in groups}
    for text, body_id in db.execute(wanted).all():
        if body_id is not None:
            found[home[text]].add(body_id)
    return found


def latest(db: Session, most: int) -> list[str]:
    """The questions asked last, each once."""
    asked = select(Question.text, func.max(Question.id).label("last")).group_by(Question.text)
    return [text for text, _ in db.execute(asked.order_by(func.max(Question.id).desc()).limit(most)).all()]


def most_asked(db: Session, most: int) -> list[tuple[str, int]]:
    """The questions that the viewer sees asked most often, in the same words, with how often."""
    asked = select(Question.text, func.count(Question.id)).group_by(Question.text)
    often = asked.order_by(func.count(Question.id).desc(), func.max(Question.id).desc()).limit(most)
    return [(text, count) for text, count in db.execute(often).all()]


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
    for question in list(
        db.scalars(select(Question).where(Question.text.in_(group.texts), *_OPEN).order_by(Question.id))
    ):
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
