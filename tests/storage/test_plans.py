"""The questions that every list and every turn asks find their rows by an index, on both databases."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, date, datetime

import pytest
from sqlalchemy import Connection, event
from sqlalchemy.orm import Session, sessionmaker

from storage import bindings, bodies, conversations, deliveries, invitations, items, people, questions
from storage.db import transaction
from storage.models import Item, Person
from storage.scope import SYSTEM, enter, serving

NOW = datetime(2020, 4, 24, 2, tzinfo=UTC)
LONG = ("item", "item_event", "item_unit", "person", "role", "binding", "exchange", "question", "delivery", "audit")
ASKED: dict[str, Callable[[Session, int], object]] = {
    "items.working": lambda db, body: items.working(db),
    "items.standing": lambda db, body: items.standing(db, ("submitted", "verifying"), items.WAITING),
    "items.parts": lambda db, body: items.parts(db, [Item(id=1), Item(id=2)]),
    "items.held": lambda db, body: items.held(db, 1),
    "items.touched": lambda db, body: items.touched(db, 1, NOW),
    "items.trail": lambda db, body: items.trail(db, 1),
    "people.holding": lambda db, body: people.holding(db, "county_officer", body),
    "people.roles": lambda db, body: people.roles(db, 1),
    "invitations.waiting_in": lambda db, body: invitations.waiting_in(db, body),
    "questions.open_questions": lambda db, body: questions.open_questions(db),
    "questions.last_question": lambda db, body: questions.last_question(db, "web", "a"),
    "bindings.speaker": lambda db, body: bindings.speaker(db, "web", "a"),
    "conversations.arrival": lambda db, body: conversations.arrival(db, "web", "a", "1"),
    "conversations.stored_reply": lambda db, body: conversations.stored_reply(db, "web", "1"),
    "conversations.recent_exchanges": lambda db, body: conversations.recent_exchanges(db, "web", "a", 5),
    "conversations.spoke_at": lambda db, body: conversations.spoke_at(db, "web", "a"),
    "deliveries.collect": lambda db, body: deliveries.collect(db, ["web:a", "person:1"], "web", NOW, {}),
    "deliveries.due": lambda db, body: deliveries.due(db, NOW),
    "deliveries.claim": lambda db, body: deliveries.claim(db, NOW, 20, 15),
}


@pytest.fixture
def county(sessions: sessionmaker[Session]) -> Iterator[tuple[sessionmaker[Session], int]]:
    """A body with one item, an officer (person 1) and someone at the province (person 2)."""
    with transaction(sessions) as db, serving(db, SYSTEM):
        bodies.division(db, "620000")
        body, _ = bodies.find_or_add(db, name="秦安县", division_code="620522", years=[2016])
        db.flush()
        for name, role, where in (("甲", "county_officer", body.id), ("乙", "province_officer", None)):
            person, _ = people.find_or_add(db, name=f"样例{name}", body_id=where, now=NOW)
            people.give_role(
                db, person, role, body_id=where, division_code=None if where else "620000", now=NOW
            )  # fmt: skip
        items.add(
            db, body, NOW, batch_year=2016, number="1", source="绩效评价", category="站点", problem="停运", standard="恢复",
            kind="立行立改", due_on=date(2020, 6, 30),
        )  # fmt: skip
        number = body.id
    yield sessions, number


@contextmanager
def plans(db: Session) -> Iterator[list[str]]:
    """The lines of the plans of what is selected meanwhile; PostgreSQL reads a table whole only where it must."""
    found: list[str] = []
    lite = db.get_bind().dialect.name == "sqlite"
    if not lite:
        db.connection().exec_driver_sql("SET LOCAL enable_seqscan = off")

    def explain(connection: Connection, cursor: object, statement: str, parameters: object, *_: object) -> None:
        if statement.lstrip().startswith(("SELECT", "UPDATE")):
            word = "EXPLAIN QUERY PLAN" if lite else "EXPLAIN"
            asked = connection.connection.cursor()
            asked.execute(f"{word} {statement}", parameters)
            found.extend(str(row[-1]) for row in asked.fetchall())

    event.listen(db.connection(), "before_cursor_execute", explain)
    yield found


@pytest.mark.parametrize("number", [1, 2], ids=["county", "province"])
def test_long_tables_are_read_by_an_index(county: tuple[sessionmaker[Session], int], number: int) -> None:
    sessions, body = county
    whole: dict[str, list[str]] = {}
    for name, ask in ASKED.items():
        with transaction(sessions) as db:
            with serving(db, SYSTEM):
                user = db.get_one(Person, number)
            enter(db, user, "web")
            with plans(db) as lines:
                ask(db, body)
            assert lines, f"{name} asked nothing"
            whole[name] = [
                line
                for line in lines
                for table in LONG
                if line == f"SCAN {table}" or f"Seq Scan on {table}" in line and f"Seq Scan on {table}_" not in line
            ]
    assert {name: lines for name, lines in whole.items() if lines} == {}


@pytest.mark.parametrize("url", ["sqlite"], indirect=True)
def test_what_is_foreseen_is_what_is_known_until_something_is_written(
    county: tuple[sessionmaker[Session], int],
) -> None:
    sessions, _ = county
    messages = [("web", address, f"{address}-2") for address in "ab"]
    with transaction(sessions) as db:
        exchange = {"channel": "web", "address": "a", "route": "menu", "edition": "", "at": NOW, "took_ms": 0}
        for number in ("a-1", "a-2"):
            told = {"answer": None, "text": number}
            conversations.record_exchange(db, {**exchange, "message_id": number}, "菜单", told, None, None)
    with transaction(sessions) as db:
        known = [conversations.arrival(db, *one) for one in messages]
        with plans(db) as lines:
            conversations.foresee(db, messages)
        assert not [line for line in lines if line.startswith("SCAN") and line.split()[1] in LONG]
        with plans(db) as lines:
            assert [conversations.arrival(db, *one) for one in messages] == known
        assert lines == []
        assert known[0].reply == {"answer": None, "text": "a-2"}
        assert known[1].person_id is None
        with serving(db, SYSTEM):
            bindings.bind(db, db.get_one(Person, 1), "web", "b", NOW)
            db.flush()
        assert conversations.arrival(db, *messages[1]).person_id == 1


def test_a_long_list_is_asked_about_in_the_same_words_as_a_short_one(
    county: tuple[sessionmaker[Session], int],
) -> None:
    """A parameter for each of 500 items took longer than all else, and PostgreSQL's plan for any list longer still."""
    asked: list[set[str]] = []
    for count in (1, 400):
        with transaction(county[0]) as db:
            with serving(db, SYSTEM):
                user = db.get_one(Person, 2)
            enter(db, user, "web")
            said = set[str]()
            event.listen(db.connection(), "before_cursor_execute", lambda *given, said=said: said.add(given[2]))
            items.parts(db, [Item(id=number) for number in range(1, count + 1)])
            bodies.codes(db, range(1, count + 1))
            bodies.names(db, range(1, count + 1))
        asked.append(said)
    assert asked[0] == asked[1]
    [own] = [one for one in asked[0] if "FROM item_event" in one]
    assert "body.division_code" not in own
