"""Lists for a desk: people, invitations, the trail, items, funds. Filtered by scope, most of them page by page."""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

from sqlalchemy import Select, or_, select
from sqlalchemy.orm import Session

from storage import scope
from storage.bodies import names, place
from storage.db import among
from storage.items import OPEN
from storage.models import Audit, Binding, Body, BodyYear, Fund, Invitation, Item, Person, Role


@dataclass(frozen=True, kw_only=True)
class Listed:
    """A person as a list shows them: what they hold (role, place), the channels they are bound on."""

    person: Person
    held: tuple[tuple[str, str], ...]
    channels: tuple[str, ...]


def people(db: Session, *, text: str = "", role: str = "", limit: int, offset: int = 0) -> list[Listed]:
    """People whom the viewer sees, by number; `text` stands in a name, or names a body."""
    wanted = select(Person).where(Person.erased_at.is_(None))
    current = select(Role.person_id).where(Role.ended_at.is_(None))
    if role:
        wanted = wanted.where(Person.id.in_(current.where(Role.role == role)))
    if text:
        there = current.where(Role.body_id.in_(select(Body.id).where(Body.name.contains(text, autoescape=True))))
        wanted = wanted.where(or_(Person.name.contains(text, autoescape=True), Person.id.in_(there)))
    found = list(db.scalars(wanted.order_by(Person.id).limit(limit).offset(offset)))
    numbers = [one.id for one in found]
    with scope.serving(db, scope.SYSTEM):
        roles = db.scalars(
            select(Role).where(among(db, Role.person_id, numbers), Role.ended_at.is_(None)).order_by(Role.id)
        )
        listed = roles.all()
        places = names(db, {one.body_id for one in listed if one.body_id is not None})
        held: dict[int, list[tuple[str, str]]] = {}
        for one in listed:
            where = places[one.body_id] if one.body_id is not None else place(db, None, one.division_code)
            held.setdefault(one.person_id, []).append((scope.ROLES[one.role], where))
        live = select(Binding.person_id, Binding.channel).where(
            among(db, Binding.person_id, numbers), Binding.ended_at.is_(None)
        )
        channels: dict[int, list[str]] = {}
        for number, channel in db.execute(live.order_by(Binding.id)).all():
            channels.setdefault(number, []).append(channel)
    return [
        Listed(person=one, held=tuple(held.get(one.id, ())), channels=tuple(channels.get(one.id, ()))) for one in found
    ]


def invitations(db: Session, *, limit: int, offset: int = 0) -> list[tuple[Invitation, Person | None, str]]:
    """Invitations that wait to be used, of what the viewer sees, the newest first: with whom and where."""
    wanted = select(Invitation).where(Invitation.used_at.is_(None), Invitation.revoked_at.is_(None))
    found = list(db.scalars(wanted.order_by(Invitation.id.desc()).limit(limit).offset(offset)))
    with scope.serving(db, scope.SYSTEM):
        return [(one, db.get(Person, one.person_id), place(db, one.body_id, one.division_code)) for one in found]


def trail(
    db: Session,
    *,
    subject: str = "",
    action: str = "",
    person_id: int | None = None,
    since: datetime | None = None,
    limit: int,
    offset: int = 0,
) -> list[tuple[Audit, str]]:
    """The trail, the newest first, with the name of whoever made the change. `subject` is `item:12`, or its beginning."""
    wanted: Select[Any] = select(Audit)
    if subject:
        exact = ":" in subject and subject[-1] != ":"
        wanted = wanted.where(Audit.subject == subject if exact else Audit.subject.startswith(subject, autoescape=True))
    if action:
        wanted = wanted.where(Audit.action == action)
    if person_id is not None:
        wanted = wanted.where(Audit.person_id == person_id)
    if since is not None:
        wanted = wanted.where(Audit.at >= since)
    found = list(db.scalars(wanted.order_by(Audit.id.desc()).limit(limit).offset(offset)))
    with scope.serving(db, scope.SYSTEM):
        wanted_names = select(Person.id, Person.name).where(
            among(db, Person.id, {one.person_id for one in found if one.person_id is not None})
        )
        names: dict[int, str] = {number: name for number, name in db.execute(wanted_names).all()}
    return [(one, names.get(one.person_id, "") if one.person_id is not None else "") for one in found]


def items(
    db: Session,
    *,
    states: Collection[str] = (),
    body_id: int | None = None,
    year: int | None = None,
    category: str = "",
    text: str = "",
    overdue_on: date | None = None,
    limit: int,
    offset: int = 0,
) -> list[tuple[Item, str]]:
    """Items that the viewer reads with their body's name, the soonest due first; with `overdue_on`, open ones past it."""
    wanted = select(Item.id)
    if states:
        wanted = wanted.where(Item.state.in_(states))
    if body_id is not None:
        wanted = wanted.where(Item.body_id == body_id)
    if year is not None:
        wanted = wanted.where(Item.batch_year == year)
    if category:
        wanted = wanted.where(Item.category == category)
    if text:
        wanted = wanted.where(or_(Item.problem.contains(text, autoescape=True), Item.number == text))
    if overdue_on is not None:
        wanted = wanted.where(Item.state.in_(OPEN), Item.due_on < overdue_on)
    by = (Item.due_on.is_(None), Item.due_on, Item.body_id, Item.id)
    numbers = list(db.scalars(wanted.order_by(*by).limit(limit).offset(offset)))  # sorted without their long texts
    listed = (
        select(Item, Body.name).join(Body, Body.id == Item.body_id).where(among(db, Item.id, numbers)).order_by(*by)
    )
    return [(item, name) for item, name in db.execute(listed).all()]


def funds(db: Session) -> list[tuple[Body, int, Fund | None]]:
    """Every demonstration year of what the viewer reads, by code and year, with what was reported last."""
    years = select(Body, BodyYear.batch_year).join(BodyYear, BodyYear.body_id == Body.id)
    listed = db.execute(years.order_by(Body.division_code, Body.id, BodyYear.batch_year)).all()
    newest: dict[tuple[int, int], Fund] = {}
    for one in db.scalars(select(Fund).where(Fund.withdrawn_at.is_(None)).order_by(Fund.as_of, Fund.id)):
        newest[one.body_id, one.batch_year] = one
    return [(body, year, newest.get((body.id, year))) for body, year in listed]
