"""Calls that the hotline takes: saved while they are written down, finished with an outcome, followed up."""

from collections.abc import Mapping
from datetime import datetime

from sqlalchemy import or_, select
from sqlalchemy.orm import Session

from storage import people, scope, secrets
from storage.models import Body, Call, Exchange, Person, Question

OUTCOMES = ("已答", "转问", "待回复", "非本项目", "举报")
TEXTS = ("question", "used", "note")
_MOST = {"question": 500, "used": 1000, "note": 1000}


def begin(db: Session, seat: Person, now: datetime) -> Call:
    """A call that a seat has taken."""
    viewer = scope.viewer_of(db)
    code = next((one.division_code for one in viewer.grants if one.division_code), None)
    call = Call(person_id=seat.id, division_code=code, name="", question="", used="", outcome="", note="", at=now)
    with scope.serving(db, scope.SYSTEM):  # a seat writes for its province, which it does not read
        db.add(call)
        db.flush()
    return call


def find(db: Session, number: int) -> Call | None:
    """A call of the viewer's own desk or province."""
    return db.scalars(select(Call).where(Call.id == number)).one_or_none()


def write(db: Session, call: Call, fields: Mapping[str, str]) -> None:
    """Save what stands in the form; an unreadable phone is left out. Raises OutOfScope for a county out of reach."""
    for name in TEXTS:
        if name in fields:
            setattr(call, name, fields[name].strip()[: _MOST[name]])
    if "name" in fields:
        name = fields["name"].strip()[:40]
        call.name = secrets.encrypt(db, name) if name else ""
    if fields.get("outcome", "") in ("", *OUTCOMES):
        call.outcome = fields.get("outcome", call.outcome)
    if "phone" in fields:
        try:
            phone = people.read_phone(fields["phone"])
        except ValueError:
            phone = ""
        call.phone = secrets.encrypt(db, phone) if phone else None
        call.phone_digest = secrets.digest(db, phone) if phone else None
        call.caller_id = next((one.id for one in people.named(db, phone)), None) if phone else None
    if "county" in fields:
        county = int(fields["county"]) if fields["county"].isdecimal() and len(fields["county"]) < 9 else None
        if county is not None and db.scalars(select(Body.id).where(Body.id == county)).first() is None:
            raise scope.OutOfScope("county")
        call.county_id = county
    if call.caller_id is not None and call.county_id is None:
        call.county_id = db.scalars(select(Person.body_id).where(Person.id == call.caller_id)).one_or_none()
    _flush(db)


def finish(db: Session, call: Call, now: datetime) -> None:
    """Close a call."""
    call.ended_at = call.ended_at or now
    _flush(db)


def _flush(db: Session) -> None:
    with scope.serving(db, scope.SYSTEM):
        db.flush()


def name_of(db: Session, call: Call) -> str:
    """The caller's name as written down."""
    return secrets.decrypt(db, call.name) if call.name else ""


def phone_of(db: Session, call: Call) -> str:
    """The caller's phone, masked; empty when none was given."""
    return secrets.masked(secrets.decrypt(db, call.phone)) if call.phone else ""


def of_seat(db: Session, seat_id: int, since: datetime) -> list[Call]:
    """A seat's calls since a time and those not finished, the newest first."""
    wanted = select(Call).where(Call.person_id == seat_id, or_(Call.at >= since, Call.ended_at.is_(None)))
    return list(db.scalars(wanted.order_by(Call.id.desc()).limit(50)))


def to_return(db: Session, seat_id: int) -> list[Call]:
    """A seat's calls whose question has been answered since, and that were not called back yet."""
    wanted = (
        select(Call)
        .join(Question, Question.id == Call.question_id)
        .where(Call.person_id == seat_id, Call.outcome == "转问", Question.ruling_id.is_not(None))
    )
    with scope.serving(db, scope.SYSTEM):
        return list(db.scalars(wanted.order_by(Call.id)))


def earlier(db: Session, call: Call, limit: int = 5) -> list[Call]:
    """Earlier calls from the same number or county."""
    same = []
    if call.phone_digest is not None:
        same.append(Call.phone_digest == call.phone_digest)
    if call.county_id is not None:
        same.append(Call.county_id == call.county_id)
    if not same:
        return []
    wanted = select(Call).where(or_(*same), Call.id != call.id)
    return list(db.scalars(wanted.order_by(Call.id.desc()).limit(limit)))


def asked_by(db: Session, county_id: int, limit: int = 5) -> list[Question]:
    """What a county's people asked last."""
    wanted = (
        select(Question)
        .join(Exchange, Exchange.id == Question.exchange_id)
        .join(Person, Person.id == Exchange.person_id)
        .where(Person.body_id == county_id)
    )
    return list(db.scalars(wanted.order_by(Question.id.desc()).limit(limit)))
