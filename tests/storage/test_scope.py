"""Who sees and changes what, on both databases: two provinces, two cities each, four bodies each, a canary in every text.

Whose a row is, is kept here beside the database; what a role reads is written down a second time, as a plain function.
"""

import itertools
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from random import Random
from typing import Any

import pytest
from hypothesis import HealthCheck
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test
from sqlalchemy import JSON, delete, exists, func, insert, inspect, select, union_all, update
from sqlalchemy.exc import ProgrammingError
from sqlalchemy.orm import Session, aliased, sessionmaker

from storage import audit, scope
from storage.db import UTCDateTime, transaction
from storage.models import (
    Audit,
    Base,
    Body,
    BodyYear,
    CallTask,
    Division,
    Exchange,
    Fact,
    Fund,
    MaybeOfBody,
    OfBody,
    Person,
    Role,
)
from storage.scope import COUNTY, NOBODY, PROVINCE, ROLES, SYSTEM, Grant, OutOfScope, Viewer

NOW = datetime(2020, 6, 1, 4, tzinfo=UTC)
PROVINCES = ("620000", "530000")
CITIES = tuple(f"{province[:2]}{n:02}00" for province in PROVINCES for n in (1, 2))
COUNTIES = tuple(f"{city[:4]}{n:02}" for city in CITIES for n in range(21, 25))
PLACES = (*COUNTIES, *PROVINCES)

# Every other table, with the reason why its rows need no filter.
UNSCOPED = {
    "division": "public names and codes",
    "binding": "found by the sender's own address, or by a person that was found in scope",
    "attempt": "counts wrong codes; holds an address and no text",
    "conversation": "opened by the sender's own address or person only",
    "exchange": "encrypted, and shown to its own address only; its questions are scoped as questions",
    "ruling": "an answer meant for everybody who asked",
    "delivery": "collected by its own recipient; listed on the operator's command line",
    "upload_link": "found by its secret token",
    "seal": "digests",
    "anchor": "digests",
    "switch": "settings of the program",
    "calendar_day": "public holidays",
    "occurrence": "reminders: sent to their own person; listed on the operator's command line",
    "mute": "found by its own person",
    "own_reminder": "found by its own person",
    "preference": "found by its own person",
    "chain": "numbers of people",
    "deadline_mark": "dates of notices",
    "credential": "found by its own person, or by the name that somebody signs in with",
    "visit": "found by its secret cookie",
    "pace": "how much of a channel is used",
    "pulse": "when the program's own jobs ran",
    "edition": "published knowledge, the same for all",
}


def test_every_table_is_scoped_or_says_why_not() -> None:
    mapped = {mapper.class_.__tablename__ for mapper in Base.registry.mappers}
    scoped = {one.__tablename__ for one in scope.SCOPED}
    assert not scoped & UNSCOPED.keys()
    assert mapped == scoped | UNSCOPED.keys()
    with_body = {mapper.class_.__tablename__ for mapper in Base.registry.mappers if "body_id" in mapper.columns}
    assert with_body <= scoped


# --- the two provinces -------------------------------------------------------------------------------------------------


Owner = dict[tuple[str, int], str]


@dataclass(frozen=True, kw_only=True)
class Country:
    """What was stored: the body and the person of each place, and whose each row is. `""` is the program's own."""

    sessions: sessionmaker[Session]
    bodies: dict[str, int]
    people: dict[str, int]
    owner: dict[tuple[str, int], str]


def canary(place: str) -> str:
    return f"CN{place}."


def canaries(found: object) -> set[str]:
    return set(re.findall(r"CN(\d{6})\.", repr(found)))


_number = itertools.count()


def row(mapped: Any, place: str, bodies: dict[str, int], people: dict[str, int], owner: Owner | None = None) -> Any:
    """A row of a place: every text carries its canary, everything else is some valid value.

    `owner` holds the rows there are; a row that must point to another one points to one of the same place.
    """
    known = {(table, of): number for (table, number), of in (owner or {}).items()}
    values: dict[str, Any] = {}
    samples: dict[Any, Any] = {
        bool: True,
        int: 2016,
        datetime: NOW,
        date: NOW.date(),
        Decimal: Decimal(1),
        float: 1.0,
        bytes: b"x",
    }
    for column in inspect(mapped).columns:
        named = {UTCDateTime: datetime, JSON: dict}  # types that do not say what they hold
        kind = named.get(type(column.type)) or column.type.python_type
        if column.key == "body_id":
            values[column.key] = bodies.get(place)
        elif column.key == "division_code":
            values[column.key] = place if place in PROVINCES else None
        elif column.key == "person_id":
            values[column.key] = people.get(place)
        elif column.foreign_keys and not column.nullable and not column.primary_key:
            [key] = column.foreign_keys
            values[column.key] = known[key.column.table.name, place]
        elif column.primary_key or column.foreign_keys or column.key in ("ended_at", "used_at", "revoked_at"):
            continue
        elif kind is str:
            values[column.key] = f"{canary(place)}{next(_number)}"
        elif kind is dict:
            values[column.key] = {"x": canary(place)}
        else:
            values[column.key] = 2016 + next(_number) if kind is int else samples[kind]
    return mapped(**values)


@pytest.fixture
def country(sessions: sessionmaker[Session]) -> Country:
    made = Country(sessions=sessions, bodies={}, people={}, owner={})
    with transaction(sessions) as db, scope.serving(db, SYSTEM):
        db.add_all(Division(code=code, name=code) for code in (*PROVINCES, *CITIES, *COUNTIES))
        db.flush()
        for county in COUNTIES:
            body = Body(name=f"{canary(county)}name", division_code=county, office=canary(county))
            db.add(body)
            db.flush()
            made.bodies[county] = body.id
            made.owner["body", body.id] = county
        for place in PLACES:
            person = row(Person, place, made.bodies, {})
            person.body_id = None
            db.add(person)
            db.flush()
            made.people[place] = person.id
            made.owner["person", person.id] = place
        for place in (*PLACES, ""):  # what was asked there
            said = row(Exchange, place, made.bodies, made.people)
            db.add(said)
            db.flush()
            made.owner["exchange", said.id] = place
        order = [table.name for table in Base.metadata.sorted_tables]
        for mapped in sorted(scope.SCOPED, key=lambda one: order.index(one.__tablename__)):
            if mapped in (Body, Person):
                continue
            places = (*PLACES, "") if issubclass(mapped, MaybeOfBody) else COUNTIES
            for place in places:
                one = row(mapped, place, made.bodies, {**made.people, "": made.people[COUNTIES[0]]}, made.owner)
                db.add(one)
                db.flush()
                made.owner[mapped.__tablename__, one.id] = place
    return made


def places_of(role: str) -> tuple[str, ...]:
    return COUNTIES if role in COUNTY else CITIES if role == "city" else PROVINCES


def reads(role: str, place: str, county: str) -> bool:
    """Whether somebody with a role at a place reads what belongs to a county."""
    if role in COUNTY:
        return county == place
    if role == "city":
        return county[:4] == place[:4]
    return role in (*PROVINCE, "hotline") and county[:2] == place[:2]


def visible(role: str, place: str) -> set[str]:
    """The places whose rows somebody with a role sees: counties, and their own province's rows."""
    seen = {county for county in COUNTIES if reads(role, place, county)}
    return seen | ({place} if role in PROVINCE else set())


def viewer(country: Country, role: str, place: str) -> Viewer:
    body_id = country.bodies.get(place) if role in COUNTY else None
    grant = Grant(role=role, body_id=body_id, division_code=None if body_id else place)
    return Viewer(person_id=10_000, grants=(grant,), channel="test")


def everyone(country: Country) -> Iterator[tuple[Viewer, set[str]]]:
    for role in ROLES:
        for place in places_of(role):
            yield viewer(country, role, place), visible(role, place)
    yield NOBODY, set()


# --- reading ---------------------------------------------------------------------------------------------------------------


def test_every_role_sees_exactly_its_own_rows_of_every_table(country: Country) -> None:
    cells = 0
    for one, seen in everyone(country):
        with transaction(country.sessions) as db, scope.serving(db, one):
            for mapped in scope.SCOPED:
                rows = db.scalars(select(mapped)).all()
                found = {country.owner[mapped.__tablename__, row.id] for row in rows}
                places = PLACES if issubclass(mapped, MaybeOfBody | Person) else COUNTIES
                assert found == seen & set(places), (one, mapped)
                assert canaries([vars(row) for row in rows]) <= seen
                cells += len(PLACES)
    assert cells >= 3000


OTHER = aliased(Fact)
SHAPES: dict[str, Callable[[], Any]] = {
    "columns": lambda: select(Fact.value, Fact.source),
    "aggregate": lambda: select(func.max(Fact.value), func.min(Fact.value)),
    "alias": lambda: select(aliased(Fact)),
    "alias columns": lambda: select(aliased(Fact).value),
    "joined from another table": lambda: select(Division.code, Fact.value).join(Fact, Fact.source != Division.code),
    "joined body": lambda: select(Division.code, Body.name).join(Body, Body.division_code == Division.code),
    "outer join": lambda: select(Division.code, Body.name).outerjoin(Body, Body.division_code == Division.code),
    "subquery": lambda: select(select(Fact.value).subquery().c.value),
    "entity of a subquery": lambda: select(aliased(Fact, select(Fact).subquery())),
    "cte": lambda: select(select(Fact.value).cte().c.value),
    "scalar subquery": lambda: select(select(func.max(Fact.value)).scalar_subquery()),
    "union": lambda: union_all(select(Fact.value), select(Fact.source)),
    "entities of a union": lambda: select(Fact).from_statement(union_all(select(Fact), select(Fact))),
    "joined alias": lambda: select(Fact.value, OTHER.value).join(OTHER, OTHER.source != Fact.value),
    "person through a role": lambda: select(Person).join(Role, Role.person_id == Person.id),
    "two tables": lambda: select(Fact.value, Fund.source).where(Fact.value != Fund.source),
    "core": lambda: select(Fact.__table__.c.value),
    "core subquery": lambda: select(select(Fact.__table__).subquery()),
}


@pytest.mark.parametrize("shape", SHAPES)
def test_no_shape_of_a_query_gets_round_the_filter(country: Country, shape: str) -> None:
    refused = 0
    for one, seen in everyone(country):
        with transaction(country.sessions) as db, scope.serving(db, one):
            try:
                found = db.execute(SHAPES[shape]()).all()
            except OutOfScope:
                refused += 1
                continue
            shown = [vars(cell) if isinstance(cell, Base) else cell for row in found for cell in row]
            assert canaries(shown) <= seen
            assert canaries(shown) or not seen & set(COUNTIES)
    assert refused in (0, len(list(everyone(country))))
    assert bool(refused) == shape.startswith("core")


COUNTS: dict[str, Callable[[], Any]] = {
    "function": lambda: select(func.count(Fact.id)),
    "from": lambda: select(func.count()).select_from(Fact),
    "from a subquery": lambda: select(func.count()).select_from(select(Fact).subquery()),
    "exists": lambda: select(func.count(Division.code)).where(exists().where(Fact.source != Division.code)),
}


@pytest.mark.parametrize("shape", COUNTS)
def test_nothing_outside_scope_is_counted(country: Country, shape: str) -> None:
    for one, seen in everyone(country):
        with transaction(country.sessions) as db, scope.serving(db, one):
            counties = len(seen & set(COUNTIES))
            divisions = len((*PROVINCES, *CITIES, *COUNTIES)) if counties else 0
            assert db.scalar(COUNTS[shape]()) == (divisions if shape == "exists" else counties)
            if shape == "from":
                assert db.query(Fact).count() == counties


def test_a_session_without_a_viewer_finds_nothing(country: Country) -> None:
    with transaction(country.sessions) as db:
        assert [one for mapped in scope.SCOPED for one in db.scalars(select(mapped))] == []
    with transaction(country.sessions) as db, scope.serving(db, SYSTEM):
        assert len(db.scalars(select(Fact)).all()) == len(COUNTIES)


def test_what_the_program_has_loaded_is_not_at_hand_for_the_viewer(country: Country) -> None:
    mine, other = COUNTIES[0], COUNTIES[-1]
    with transaction(country.sessions) as db:
        with scope.serving(db, SYSTEM):
            facts = {country.owner["fact", fact.id]: fact for fact in db.scalars(select(Fact))}
        with scope.serving(db, viewer(country, "county_officer", mine)):
            assert db.get(Fact, facts[mine].id) is facts[mine]
            assert db.get(Fact, facts[other].id) is None
            assert db.get(Fact, facts[other].id, with_for_update=True) is None
            assert db.get(Division, "620000") is not None


def test_a_person_who_left_is_no_colleague_any_more(country: Country) -> None:
    mine = COUNTIES[0]
    officer = viewer(country, "county_officer", mine)
    with transaction(country.sessions) as db:
        with scope.serving(db, officer):
            assert db.get(Person, country.people[mine]) is not None
        with scope.serving(db, SYSTEM):
            for role in db.scalars(select(Role).where(Role.person_id == country.people[mine])):
                role.ended_at = NOW
        with scope.serving(db, officer):
            assert db.get(Person, country.people[mine]) is not None  # invited, so still to be seen
        with scope.serving(db, SYSTEM):
            for invitation in db.scalars(select(scope.Invitation)):
                invitation.revoked_at = NOW
        with scope.serving(db, officer):
            assert db.get(Person, country.people[mine]) is None


def test_people_see_their_own_roles_where_no_body_is_named(country: Country) -> None:
    with transaction(country.sessions) as db:
        with scope.serving(db, SYSTEM):
            db.add(Role(person_id=country.people[CITIES[0][:4] + "21"], role="city", division_code=CITIES[0], at=NOW))
        own = Viewer(person_id=country.people[CITIES[0][:4] + "21"])
        with scope.serving(db, own):
            assert [role.role for role in db.scalars(select(Role).where(Role.division_code.is_not(None)))] == ["city"]


# --- writing ---------------------------------------------------------------------------------------------------------------


WRITTEN = [mapped for mapped in scope.SCOPED if mapped not in (Body, Person, Audit)]


@pytest.mark.parametrize("role", ROLES)
def test_a_foreign_write_is_refused(country: Country, role: str) -> None:
    one = viewer(country, role, places_of(role)[0])
    for mapped in WRITTEN:
        for place in (COUNTIES[0], COUNTIES[1], COUNTIES[4], COUNTIES[-1], *PROVINCES):
            if place in PROVINCES and issubclass(mapped, OfBody):
                continue
            made = row(mapped, place, country.bodies, country.people, country.owner)
            if mapped is BodyYear:
                made.batch_year = 2020
            if mapped is CallTask:
                made.called_on = NOW.date() + timedelta(days=1)
            reached = place in visible(role, one.grants[0].division_code or COUNTIES[0])
            read = reached or mapped in scope.GIVEN
            if issubclass(mapped, MaybeOfBody) and role not in (*COUNTY, "city"):
                reached = place[:2] == PROVINCES[0][:2]  # administrators invite people whose work they do not see
            with country.sessions() as db, scope.serving(db, one):
                db.add(made)
                if reached and (read or db.get_bind().dialect.name == "sqlite"):
                    db.flush()
                else:  # PostgreSQL gives nobody the number of a row that they do not read
                    with pytest.raises(ProgrammingError if reached else OutOfScope):
                        db.flush()
                db.rollback()


def test_a_row_cannot_be_taken_from_or_given_to_another_body(country: Country) -> None:
    mine, other = COUNTIES[0], COUNTIES[1]
    officer = viewer(country, "county_officer", mine)
    for holder, taker in ((mine, other), (other, mine)):
        with country.sessions() as db:
            with scope.serving(db, SYSTEM):
                fact = db.scalars(select(Fact).where(Fact.body_id == country.bodies[holder])).one()
            db.info["viewer"] = officer
            fact.body_id = country.bodies[taker]
            with pytest.raises(OutOfScope):
                db.flush()
            db.rollback()


def test_nobody_deletes_renames_or_adds_a_body_out_of_scope(country: Country) -> None:
    officer = viewer(country, "county_officer", COUNTIES[0])
    changes: list[Callable[[Session, Any, Any], None]] = [
        lambda db, fact, body: db.delete(fact),
        lambda db, fact, body: setattr(fact, "value", "1"),
        lambda db, fact, body: setattr(body, "name", "x"),
        lambda db, fact, body: db.add(Body(name="new", division_code=COUNTIES[0])),
    ]
    for change in changes:
        with country.sessions() as db:
            with scope.serving(db, SYSTEM):
                fact = db.scalars(select(Fact).where(Fact.body_id == country.bodies[COUNTIES[1]])).one()
                body = db.get_one(Body, country.bodies[COUNTIES[1]])
            db.info["viewer"] = officer
            change(db, fact, body)
            with pytest.raises(OutOfScope):
                db.flush()
            db.rollback()


def test_rows_are_not_changed_by_statements_that_the_guard_does_not_see(country: Country) -> None:
    other = country.bodies[COUNTIES[1]]
    statements = [
        update(Fact).values(value="1"),
        update(Fact).values(body_id=other),
        delete(Fact),
        insert(BodyYear).values(body_id=other, batch_year=2030),
        insert(BodyYear.__table__).values(body_id=other, batch_year=2030),
        update(Fact.__table__).values(value="1"),
    ]
    for statement in statements:
        with country.sessions() as db, scope.serving(db, viewer(country, "county_officer", COUNTIES[0])):
            with pytest.raises(OutOfScope):
                db.execute(statement)
            db.rollback()


def test_the_trail_names_the_division_of_a_province_s_own_change(country: Country) -> None:
    officers = {
        place: replace(viewer(country, "province_officer", place), person_id=country.people[place])
        for place in PROVINCES
    }
    with transaction(country.sessions) as db:
        with scope.serving(db, officers["620000"]):
            audit.record(db, "switch.set", "switch:sending", now=NOW, role="province_officer")
        wanted = select(Audit).where(Audit.action == "switch.set")
        for place, one in officers.items():
            with scope.serving(db, one):
                assert len(db.scalars(wanted).all()) == (1 if place == "620000" else 0)


def test_an_administrator_reaches_bodies_to_invite_without_reading_them(country: Country) -> None:
    admin = viewer(country, "security_admin", "620000")
    with transaction(country.sessions) as db, scope.serving(db, admin):
        assert db.scalars(select(Body)).all() == []
        assert scope.reaches(db, admin, "invite", country.bodies[COUNTIES[0]])
        assert not scope.reaches(db, admin, "invite", country.bodies[COUNTIES[-1]])
        assert not scope.reaches(db, admin, "report_funds", country.bodies[COUNTIES[0]])


# --- moves and role changes ------------------------------------------------------------------------------------------------


def test_scope_follows_every_move_and_role_change(country: Country) -> None:
    """200 steps: roles given and ended, facts and bodies moved, somebody writes; after each, somebody looks."""
    people = [country.people[place] for place in COUNTIES[:4]]
    home = {country.bodies[county]: county for county in COUNTIES}
    partial = [0, 0]  # how often a viewer saw some facts or people and not all

    class Moves(RuleBasedStateMachine):
        def __init__(self) -> None:
            super().__init__()
            self.county = dict(home)
            self.held: dict[int, tuple[int, str, str, int | None]] = {}  # role id → person, role, place, body
            self.looked = 0
            with transaction(country.sessions) as db, scope.serving(db, SYSTEM):
                for mapped in (Role, scope.Invitation):
                    db.execute(delete(mapped))
                for body in db.scalars(select(Body)):
                    body.division_code = home[body.id]
                self.facts = {fact.id: fact.body_id for fact in db.scalars(select(Fact))}

        @initialize(seed=st.integers(0, 2**32))
        def begin(self, seed: int) -> None:
            self.random = Random(seed)  # of the runner's own draws, most walks would repeat one kind of step

        @rule()
        def step(self) -> None:
            self.random.choice((self.give, self.move, self.write))()

        def give(self) -> None:
            person, role = self.random.choice(people), self.random.choice(tuple(ROLES))
            place = self.random.choice(places_of(role))
            body = country.bodies[place] if role in COUNTY else None
            made = Role(person_id=person, role=role, body_id=body, division_code=None if body else place, at=NOW)
            with transaction(country.sessions) as db, scope.serving(db, SYSTEM):
                db.add(made)
                db.flush()
                self.held[made.id] = (person, role, place, body)
                for ended in sorted(self.held)[:-5]:  # few enough for most of the country to be out of sight
                    del self.held[ended]
                    db.get_one(Role, ended).ended_at = NOW

        def move(self) -> None:
            moved, body = self.random.choice(sorted(self.facts)), self.random.choice(sorted(home))
            county = self.random.choice(COUNTIES)
            self.facts[moved], self.county[body] = country.bodies[county], county
            with transaction(country.sessions) as db, scope.serving(db, SYSTEM):
                db.get_one(Fact, moved).body_id = country.bodies[county]
                db.get_one(Body, body).division_code = county

        def body_seen(self, person: int, body: int) -> bool:
            return any(
                body == own if own else reads(role, place, self.county[body])
                for who, role, place, own in self.held.values()
                if who == person and (own or role not in COUNTY)
            )

        def person_seen(self, viewer: int, person: int) -> bool:
            provinces = {place[:2] for who, role, place, _ in self.held.values() if who == viewer and role in PROVINCE}
            return viewer == person or any(
                self.body_seen(viewer, own) if own else place[:2] in provinces
                for who, _, place, own in self.held.values()
                if who == person
            )

        def write(self) -> None:
            person, body = self.random.choice(people), self.random.choice(sorted(home))
            with country.sessions() as db:
                with scope.serving(db, SYSTEM):
                    user = db.get_one(Person, person)
                scope.enter(db, user, "test")
                db.add(row(Fact, self.county[body], {self.county[body]: body}, {}))
                try:
                    db.flush()
                    written = True
                except OutOfScope:
                    written = False
                db.rollback()
            assert written == self.body_seen(person, body)

        @invariant()
        def look(self) -> None:
            self.looked += 1
            person = people[self.looked % len(people)]
            with transaction(country.sessions) as db:
                with scope.serving(db, SYSTEM):
                    user = db.get_one(Person, person)
                scope.enter(db, user, "test")
                facts = {fact.id for fact in db.scalars(select(Fact))}
                seen = {one.id for one in db.scalars(select(Person).where(Person.id.in_(people)))}
            assert facts == {fact for fact, body in self.facts.items() if self.body_seen(person, body)}
            assert seen == {one for one in people if self.person_seen(person, one)}
            partial[0] += 0 < len(facts) < len(self.facts)
            partial[1] += 1 < len(seen) < len(people)

    run_state_machine_as_test(  # type: ignore[no-untyped-call]  # hypothesis does not annotate it
        Moves,
        settings=hypothesis_settings(
            stateful_step_count=200, max_examples=2, deadline=None, database=None, derandomize=True,
            suppress_health_check=list(HealthCheck),
        ),
    )  # fmt: skip
    assert min(partial) >= 50, partial
