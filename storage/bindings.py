"""Which person an address on a channel speaks for."""

from datetime import datetime

from sqlalchemy import bindparam, select
from sqlalchemy.orm import Session

from storage import deliveries, scope
from storage.models import Binding, Person

SPEAKS_FOR = select(Binding.person_id).where(
    Binding.channel == bindparam("channel"), Binding.address == bindparam("address"), Binding.ended_at.is_(None)
)

_LIVE = (  # made once: every message that is handed over asks it
    select(Binding)
    .where(Binding.person_id == bindparam("person"), Binding.ended_at.is_(None))
    .order_by(Binding.id.desc())
)


def live(db: Session, channel: str, address: str) -> Binding | None:
    """The binding of an address; None when it speaks for nobody."""
    wanted = select(Binding).where(Binding.channel == channel, Binding.address == address, Binding.ended_at.is_(None))
    return db.scalars(wanted).one_or_none()


def speaker(db: Session, channel: str, address: str) -> Person | None:
    """The person behind an address; None for somebody who is not bound."""
    return person(db, db.connection().scalar(SPEAKS_FOR, {"channel": channel, "address": address}))


def person(db: Session, number: int | None) -> Person | None:
    """The person with this number, whoever asks; None without a number."""
    if number is None:
        return None
    with scope.serving(db, scope.SYSTEM):  # who is asking decides the scope, so this is asked outside it
        return db.get(Person, number)


def recipient(db: Session, channel: str, address: str) -> str:
    """Whom a delivery to this address is for: the person when it is bound, else the address itself."""
    binding = live(db, channel, address)
    return deliveries.person(binding.person_id) if binding else deliveries.address(channel, address)


def addresses(db: Session, person_id: int) -> list[Binding]:
    """A person's live bindings, the newest first."""
    return list(db.scalars(_LIVE, {"person": person_id}))


def bind(db: Session, person: Person, channel: str, address: str, now: datetime) -> Binding:
    """Let an address speak for a person; what it spoke for before ends."""
    before = live(db, channel, address)
    if before is not None:
        if before.person_id == person.id:
            return before
        end(db, before, "改绑", now)
    made = Binding(person_id=person.id, channel=channel, address=address, at=now)
    db.add(made)
    db.flush()
    return made


def end(db: Session, binding: Binding, why: str, now: datetime) -> None:
    """End a binding; its row stays for the record."""
    binding.ended_at, binding.ended_why = now, why
    db.flush()
