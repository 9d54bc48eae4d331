"""PostgreSQL's own fence: row-level security on every scoped table, also against statements the filter never sees.

A policy lets through what the viewer reads, and takes what they may write (storage.scope). It knows them from a
setting of the transaction, which storage.scope sends. Without it no row is found: who opens the database by hand says
`SET countydesk.viewer = 'system'` first.
"""

from collections.abc import Iterator
from typing import Any

from sqlalchemy import Connection

from storage.models import Body, OfBody, Person
from storage.scope import GIVEN, SCOPED, SETTING

APPENDED = ("audit", "question")  # anybody may add a row, naming any place: the trail of what they did or asked
_NAME = "scope"
_TOLD = f"current_setting('{SETTING}', true)"
_SYSTEM = f"(SELECT {_TOLD} = 'system')"  # in a SELECT of its own: asked once a statement, not once a row


def _told(field: int, kind: str) -> str:
    """A field of storage.scope.told; NULL also for the program itself: where a row has changed while a statement waited
    for it, PostgreSQL works out every part of a policy, needed or not.

    The outer cast makes ANY take the value for an array, not for rows.
    """
    value = f"nullif(nullif(split_part({_TOLD}, '|', {field}), ''), 'system')"
    return f"(SELECT {value}::{kind})::{kind}"


_PERSON, _READ, _READ_IN, _REACHED, _REACHED_IN, _OWN = (
    _told(field, kind) for field, kind in enumerate(("int", "int[]", "text[]", "int[]", "text[]", "text[]"), 1)
)
_READS = f"body_id = ANY ({_READ}) OR body_id IN (SELECT id FROM body WHERE division_code LIKE ANY ({_READ_IN}))"
_REACHES = (
    f"body_id = ANY ({_REACHED}) OR body_id IN (SELECT id FROM body WHERE division_code LIKE ANY ({_REACHED_IN}))"
)
# Of what the policies of these two tables let through; LIMIT keeps PostgreSQL from reading them whole for one person.
_HELD = (
    "(SELECT true FROM role WHERE role.person_id = person.id AND role.ended_at IS NULL LIMIT 1) OR "
    "(SELECT true FROM invitation WHERE invitation.person_id = person.id AND invitation.used_at IS NULL "
    "AND invitation.revoked_at IS NULL LIMIT 1)"
)


def _conditions(mapped: Any) -> tuple[str, str]:  # Any: a mapped class
    """Which rows of a scoped table are found, and which may be written: as storage.scope filters and guards."""
    if mapped is Body:
        # names and codes, also where somebody invites without reading any business
        found = f"id = ANY ({_REACHED}) OR division_code LIKE ANY ({_REACHED_IN})"
        return found, f"id = ANY ({_READ}) OR division_code LIKE ANY ({_READ_IN})"
    if mapped is Person:
        return f"id = {_PERSON} OR {_HELD}", f"id = {_PERSON} OR {_HELD}"
    if issubclass(mapped, OfBody):
        return _READS, _READS
    given = mapped in GIVEN  # whoever gives roles where they read nothing sees whom to
    found = (
        f"{_REACHES if given else _READS} OR "
        f"body_id IS NULL AND division_code LIKE ANY ({_REACHED_IN if given else _OWN})"
    )
    if "person_id" in mapped.__table__.columns:
        found += f" OR body_id IS NULL AND person_id = {_PERSON}"
    written = f"(body_id IS NULL OR {_REACHES}) AND (division_code IS NULL OR division_code LIKE ANY ({_REACHED_IN}))"
    return found, written


def _statements(mapped: Any) -> Iterator[str]:  # Any: a mapped class
    table = mapped.__tablename__
    found, written = _conditions(mapped)
    yield f"ALTER TABLE {table} ENABLE ROW LEVEL SECURITY"
    yield f"ALTER TABLE {table} FORCE ROW LEVEL SECURITY"  # the program owns its tables
    for name in (_NAME, f"{_NAME}_add"):
        yield f"DROP POLICY IF EXISTS {name} ON {table}"
    yield (f"CREATE POLICY {_NAME} ON {table} USING ({_SYSTEM} OR {found}) WITH CHECK ({_SYSTEM} OR {written})")
    if table in APPENDED:
        yield f"CREATE POLICY {_NAME}_add ON {table} FOR INSERT WITH CHECK (true)"


def protect(connection: Connection) -> None:
    """Make the policies of every scoped table; nothing on SQLite, which knows none."""
    if connection.dialect.name != "postgresql":
        return
    for mapped in SCOPED:
        connection.exec_driver_sql(";".join(_statements(mapped)))


def unprotected(connection: Connection) -> list[str]:
    """The scoped tables of a PostgreSQL database whose rows no policy guards."""
    guarded = (
        "SELECT relname FROM pg_class JOIN pg_policy ON polrelid = pg_class.oid "
        f"WHERE polname = '{_NAME}' AND relrowsecurity AND relforcerowsecurity AND relnamespace = "
        "current_schema()::regnamespace"
    )
    return sorted({one.__tablename__ for one in SCOPED} - set(connection.exec_driver_sql(guarded).scalars()))


def exempt(connection: Connection) -> bool:
    """Whether policies do not hold for the connection's role: a superuser, or one that passes by them."""
    asked = "SELECT rolsuper OR rolbypassrls FROM pg_roles WHERE rolname = current_user"
    return bool(connection.exec_driver_sql(asked).scalar_one())
