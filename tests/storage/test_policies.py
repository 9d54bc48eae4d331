"""PostgreSQL's policies: statements that go past the filter and the guard find and change what these would let them."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime

import pytest
from sqlalchemy import func, insert, select, text, update
from sqlalchemy.exc import ProgrammingError
from sqlalchemy.orm import Session, sessionmaker

from bot import doctor
from bot.settings import Settings
from storage import audit, policies, scope
from storage.db import transaction
from storage.models import Body, BodyYear, Fact, Person, Unit
from storage.scope import NOBODY, ROLES, SYSTEM, Viewer
from tests.storage.test_scope import COUNTIES, PROVINCES, Country, country, places_of, viewer

__all__ = ["country"]  # a fixture
NOW = datetime(2020, 6, 1, 4, tzinfo=UTC)
pytestmark = pytest.mark.parametrize("url", ["postgres"], indirect=True)
ADMINISTRATORS = ("system_admin", "security_admin", "audit_admin")


def found(db: Session, table: str) -> set[int]:
    return set(db.execute(text(f"SELECT id FROM {table}")).scalars())


def officer(country: Country, place: str = COUNTIES[0]) -> Viewer:
    return viewer(country, "county_officer", place)


def test_every_scoped_table_has_its_policy(sessions: sessionmaker[Session]) -> None:
    with sessions.kw["bind"].begin() as connection:
        assert policies.unprotected(connection) == []
        assert not policies.exempt(connection)
        for undone in (
            "DROP POLICY scope ON fact",
            "ALTER TABLE item NO FORCE ROW LEVEL SECURITY",
            "ALTER TABLE unit DISABLE ROW LEVEL SECURITY",
        ):
            connection.exec_driver_sql(undone)
        assert policies.unprotected(connection) == ["fact", "item", "unit"]
    found = doctor.row_security(doctor.Patient(settings=Settings(), sessions=sessions, now=NOW))
    assert found is not None and found.state == "problem"
    assert "fact、item、unit" in found.what and "db upgrade" in found.remedy


def test_raw_statements_find_what_the_filter_lets_through(country: Country) -> None:
    compared = 0
    for one in (*(viewer(country, role, places_of(role)[0]) for role in ROLES), NOBODY):
        with transaction(country.sessions) as db, scope.serving(db, one):
            for mapped in scope.SCOPED:
                filtered, raw = set(db.scalars(select(mapped.id))), found(db, mapped.__tablename__)
                compared += len(raw)
                if mapped in (Body, Person, *scope.GIVEN) and one.roles & {*ADMINISTRATORS, "hotline"}:
                    assert raw >= filtered  # they give roles where they read no business
                    beyond = {country.owner[mapped.__tablename__, row][:2] for row in raw - filtered}
                    assert beyond <= {PROVINCES[0][:2]}
                else:
                    assert raw == filtered, (mapped, one)
                past = db.connection().scalar(select(func.count()).select_from(mapped.__table__))
                assert past == len(raw)
    assert compared > 500


def test_no_viewer_finds_anything_and_each_step_tells_its_own(country: Country) -> None:
    engine = country.sessions.kw["bind"]
    with transaction(country.sessions) as db:
        with scope.serving(db, SYSTEM):
            assert len(found(db, "fact")) == len(COUNTIES)
        assert [one for mapped in scope.SCOPED for one in found(db, mapped.__tablename__)] == []
    for _ in range(engine.pool.size()):  # no connection remembers whom it served
        with engine.connect() as connection:
            assert connection.exec_driver_sql("SELECT count(*) FROM fact").scalar_one() == 0
            assert connection.exec_driver_sql("UPDATE fact SET value = '1'").rowcount == 0
    with transaction(country.sessions) as db, scope.serving(db, officer(country)):
        assert len(found(db, "fact")) == 1
        step = db.begin_nested()
        with scope.serving(db, SYSTEM):
            assert len(found(db, "fact")) == len(COUNTIES)
        step.rollback()
        assert len(found(db, "fact")) == 1
        with scope.serving(db, SYSTEM):
            assert len(found(db, "fact")) == len(COUNTIES)
            with db.begin_nested() as inner:
                db.info["viewer"] = officer(country)
                assert len(found(db, "fact")) == 1
                inner.rollback()
            db.info["viewer"] = SYSTEM
            assert len(found(db, "fact")) == len(COUNTIES)


def foreign(country: Country, mine: int, other: int) -> Iterator[object]:
    """Statements past the guard that would put something into another county, or take it from there."""
    yield insert(BodyYear.__table__).values(body_id=other, batch_year=2030)
    yield insert(Unit.__table__).values(body_id=other, name="x")
    yield insert(Unit.__table__).values(division_code=PROVINCES[0], name="x")
    yield insert(Body.__table__).values(name="x", division_code=COUNTIES[0], office="")
    yield insert(Person.__table__).values(name="x", title="", at=NOW)
    yield update(Fact.__table__).where(Fact.__table__.c.body_id == mine).values(body_id=other)
    yield update(Unit.__table__).where(Unit.__table__.c.body_id == mine).values(body_id=other)
    yield text(f"INSERT INTO body_year (body_id, batch_year) VALUES ({other}, 2031)")
    yield text(f"UPDATE fact SET body_id = {other} WHERE body_id = {mine}")


def test_nothing_is_put_into_another_county(country: Country) -> None:
    mine, other = (country.bodies[place] for place in COUNTIES[:2])
    for statement in foreign(country, mine, other):
        with country.sessions() as db, scope.serving(db, officer(country)):
            with pytest.raises(ProgrammingError, match="row-level security"):
                db.connection().execute(statement)
            db.rollback()
    with transaction(country.sessions) as db, scope.serving(db, officer(country)):
        for changed in (
            f"UPDATE fact SET value = '1' WHERE body_id = {other}",
            f"DELETE FROM fact WHERE body_id = {other}",
        ):
            assert db.connection().exec_driver_sql(changed).rowcount == 0
        assert db.connection().exec_driver_sql("UPDATE fact SET value = '1'").rowcount == 1
        db.connection().execute(insert(BodyYear.__table__).values(body_id=mine, batch_year=2030))
    # the trail takes what anybody did, and shows it to those who may
    asked = text("SELECT count(*) FROM audit WHERE action = 'tried'")
    for one in (NOBODY, replace(officer(country), person_id=None)):
        with transaction(country.sessions) as db, scope.serving(db, one):
            audit.record(db, "tried", "body:1", now=NOW, role="", body_id=other)
            assert db.execute(asked).scalar_one() == 0
    with transaction(country.sessions) as db, scope.serving(db, officer(country, COUNTIES[1])):
        assert db.execute(asked).scalar_one() == 2
