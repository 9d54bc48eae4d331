"""Bound people for the channel tests, made in the database of a running server."""

from datetime import UTC, datetime

from storage import bindings
from storage.db import make_engine, make_sessions, transaction
from storage.models import Person
from storage.scope import SYSTEM, serving
from tests.fakes.server import Site


def bound(site: Site, channel: str, address: str) -> int:
    """Let an address speak for a new person; the person's number."""
    now = datetime.now(UTC)
    engine = make_engine(f"sqlite:///{site.database}")
    with transaction(make_sessions(engine)) as db, serving(db, SYSTEM):
        person = Person(name="李明", at=now)
        db.add(person)
        db.flush()
        bindings.bind(db, person, channel, address, now)
        number = person.id
    engine.dispose()
    return number
