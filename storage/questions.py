"""Questions that got no answer, or a disputed one: kept, grouped by likeness, answered once for everybody who asked."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import select
from sqlalchemy.orm import Session

from storage.models import Exchange, Owed, Question, Ruling

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
    """Refused and disputed questions that nobody has answered yet, oldest first."""
    wanted = select(Question).where(Question.kind.in_(OPEN_KINDS), Question.ruling_id.is_(None)).order_by(Question.id)
    return list(db.scalars(wanted))


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
    return db.scalars(wanted).one_or_none()


def settle(db: Session, group: Group, ruling: Ruling, words: str, now: datetime) -> int:
    """Record an officer's answer for a group and owe it to everyone who asked; how many people are to be told."""
    db.add(ruling)
    db.flush()
    told: set[tuple[str, str]] = set()
    for question in group.questions:
        question.ruling_id = ruling.id
        exchange = db.get_one(Exchange, question.exchange_id)
        if (exchange.channel, exchange.address) not in told:
            told.add((exchange.channel, exchange.address))
            db.add(Owed(channel=exchange.channel, address=exchange.address, text=words, ruling_id=ruling.id, at=now))
    return len(told)


def collect_owed(db: Session, channel: str, address: str, now: datetime) -> list[str]:
    """What an address is still to be told, marked as told now."""
    wanted = select(Owed).where(Owed.channel == channel, Owed.address == address, Owed.told_at.is_(None))
    owed = list(db.scalars(wanted.order_by(Owed.id)))
    for one in owed:
        one.told_at = now
    return [one.text for one in owed]
