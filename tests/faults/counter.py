"""An assistant whose turns write in every way that a turn can, for a person with several addresses.

加一 counts in the conversation and adds a fact of the body, a line of the trail and a message to a colleague; the reply
is the number. A lost update shows as a number that is said twice.
"""

from datetime import UTC, datetime

from sqlalchemy import func, select
from sqlalchemy.orm import Session, sessionmaker

from bot.dialogue import Assistant, Handlers, Route
from bot.messages import Inbound, Reply, Turn
from knowledge.base import KnowledgeBase
from storage import audit, bindings, deliveries, scope
from storage.db import transaction
from storage.models import Audit, Body, Conversation, Delivery, Division, Exchange, Fact, Person, Role

NOW = datetime(2020, 6, 1, 4, tzinfo=UTC)


def count(turn: Turn) -> Reply:
    assert turn.user is not None and turn.user.body_id is not None
    number = turn.conversation.facts.get("number", 0) + 1
    turn.conversation.facts = {"number": number}
    fact = Fact(
        body_id=turn.user.body_id, key="number", value=str(number), as_of=turn.now.date(), source="count",
        person_id=turn.user.id, at=turn.now,
    )  # fmt: skip
    turn.db.add(fact)
    turn.db.flush()
    audit.record(
        turn.db, "count", f"fact:{fact.id}", now=turn.now, role="county_officer", body_id=fact.body_id,
        after={"number": number},
    )  # fmt: skip
    reply = Reply(text=str(number), route="count")
    deliveries.put(
        turn.db, source=f"count:{number}", recipient="terminal:colleague", lane="notice", reply=reply.to_json(),
        why="", now=turn.now,
    )  # fmt: skip
    return reply


def _other(turn: Turn) -> Reply:
    return Reply(text="?")


def assistant(kb: KnowledgeBase) -> Assistant:
    routes = [Route(name="count", pattern="加一", run=count, examples=("加一",))]
    return Assistant(
        kb=kb, handlers=Handlers(routes=routes, flows={}, ask=_other, why=_other, received=_other, events={})
    )


def add_person(sessions: sessionmaker[Session], addresses: int) -> None:
    """A county officer whom each of the addresses `0`, `1`, … speaks for."""
    with transaction(sessions) as db, scope.serving(db, scope.SYSTEM):
        db.add(Division(code="620522", name="秦安县"))
        db.flush()
        body = Body(name="秦安县", division_code="620522")
        db.add(body)
        db.flush()
        person = Person(name="样例", body_id=body.id, at=NOW)
        db.add(person)
        db.flush()
        db.add(Role(person_id=person.id, role="county_officer", body_id=body.id, at=NOW))
        for number in range(addresses):
            bindings.bind(db, person, "terminal", str(number), NOW)


def said(address: int, message_id: str) -> Inbound:
    return Inbound(channel="terminal", message_id=message_id, address=str(address), text="加一", at=NOW)


def written(sessions: sessionmaker[Session]) -> dict[str, int]:
    """How much of everything that a turn writes is there."""
    with transaction(sessions) as db, scope.serving(db, scope.SYSTEM):
        rows = {
            table.__tablename__: db.scalar(select(func.count()).select_from(table)) or 0
            for table in (Exchange, Fact, Audit, Delivery)
        }
        numbers = [one.facts["number"] for one in db.scalars(select(Conversation))]
    assert len(numbers) <= 1
    return rows | {"number": sum(numbers)}
