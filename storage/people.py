"""People: who they are, their roles, and the personal values kept of them."""

import re
import unicodedata
from collections.abc import Collection
from dataclasses import replace
from datetime import datetime
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from storage import audit, bindings, conversations, invitations, scope, secrets, visits
from storage.db import among
from storage.models import (
    Binding,
    Body,
    Conversation,
    Delivery,
    Exchange,
    Invitation,
    OwnReminder,
    Person,
    Question,
    Role,
    Unit,
)

_PHONE = re.compile(r"1[3-9]\d{9}|0\d{9,11}")


def find_or_add(
    db: Session,
    *,
    name: str,
    now: datetime,
    body_id: int | None = None,
    unit: str = "",
    title: str = "",
    phone: str = "",
) -> tuple[Person, bool]:
    """The person of this phone and name, else of this name in the body (or unit), and whether it is new.

    Two people of one name are told apart by their phones. Title, unit and phone fill in what was empty, and the audit
    says so. Nobody is taken by a name that they gave themselves, nor who also holds a role that the viewer may not
    give: who gets their code would get their roles as well. Raises ValueError when the phone is none, and to the program
    itself also when it belongs to somebody of another name; others must not learn that, and only the audit tells it.
    """
    phone = read_phone(phone)
    viewer = scope.viewer_of(db)
    with scope.serving(db, scope.SYSTEM):
        owners = _phoned(db, phone)
        same = [one for one in owners if one.name == name and one.renamed_at is None]
        others = [] if same else [one for one in owners if one.name != name]
        if others and viewer.system:
            raise ValueError(phone)
        known = same or _namesakes(db, name, phone, body_id, unit)
        person = next((one for one in known if _within_reach(db, viewer, one)), None)
        new = person is None
        if person is None:
            person = Person(name=name, body_id=body_id, at=now)
            db.add(person)
        before, after = _filled(db, person), _fill(db, person, body_id, unit, title, phone)
    if others or not new and before != after:
        shared = {"phone_also_of": [one.id for one in others]} if others else {}
        audit.record(
            db, "person.fill", f"person:{person.id}", now=now, body_id=body_id, before=before, after=after | shared,
            role=viewer.role_for("invite") or next(iter(sorted(viewer.roles)), ""),
        )  # fmt: skip
    return person, new


def _filled(db: Session, person: Person) -> dict[str, str]:
    """What inviting may fill in, as the audit shows it."""
    return {"title": person.title or "", "unit": unit_name(db, person), "phone": masked_phone(db, person)}


def _fill(db: Session, person: Person, body_id: int | None, unit: str, title: str, phone: str) -> dict[str, str]:
    if unit and person.unit_id is None:
        person.unit_id = unit_of(db, unit, body_id).id
    person.title = person.title or title
    if phone and person.phone is None:
        set_phone(db, person, phone)
    db.flush()
    return _filled(db, person)


def _phoned(db: Session, phone: str) -> list[Person]:
    alive = select(Person).where(Person.erased_at.is_(None)).order_by(Person.id)
    return list(db.scalars(alive.where(Person.phone_digest == secrets.digest(db, phone)))) if phone else []


def _namesakes(db: Session, name: str, phone: str, body_id: int | None, unit: str) -> list[Person]:
    """Who may be meant by a name in a body, or in a unit of the province; nobody who has another phone."""
    named = select(Person).where(Person.name == name, Person.erased_at.is_(None), Person.renamed_at.is_(None))
    same = [one for one in db.scalars(named.order_by(Person.id)) if not (phone and one.phone)]
    if body_id is None:
        return [one for one in same if one.body_id is None and unit_name(db, one) == unit]
    here = set(db.scalars(select(Role.person_id).where(Role.body_id == body_id, Role.ended_at.is_(None))))
    here |= {one.person_id for one in invitations.waiting_in(db, body_id)}
    return [one for one in same if one.id in here or one.body_id == body_id]


def _within_reach(db: Session, viewer: scope.Viewer, person: Person) -> bool:
    return viewer.system or all(
        role.body_id is not None and scope.reaches(db, viewer, "invite", role.body_id) for role in roles(db, person.id)
    )


def named(db: Session, who: str) -> list[Person]:
    """The people that a number, a phone or a name may mean, of those the viewer sees."""
    alive = select(Person).where(Person.erased_at.is_(None))
    if who.isascii() and who.isdigit() and len(who) < 10:
        return list(db.scalars(alive.where(Person.id == int(who))))
    try:
        digest = secrets.digest(db, read_phone(who))
    except ValueError:
        return list(db.scalars(alive.where(Person.name == who).order_by(Person.id)))
    return list(db.scalars(alive.where(Person.phone_digest == digest)))


def unit_of(db: Session, name: str, body_id: int | None) -> Unit:
    """The unit of this name in a body, or of the province; added when missing."""
    wanted = select(Unit).where(Unit.name == name, Unit.body_id == body_id)
    with scope.serving(db, scope.SYSTEM):
        found = db.scalars(wanted).first()
        if found is None:
            found = Unit(name=name, body_id=body_id)
            db.add(found)
            db.flush()
    return found


def units_of(db: Session, wanted: Collection[tuple[int, str]]) -> dict[tuple[int, str], int]:
    """The units of these bodies and names; those that are missing are added."""
    with scope.serving(db, scope.SYSTEM):
        listed = (
            select(Unit).where(among(db, Unit.body_id, {body_id for body_id, _ in wanted})).order_by(Unit.id.desc())
        )
        found = {(one.body_id, one.name): one for one in db.scalars(listed)}
        new = {key: Unit(body_id=key[0], name=key[1]) for key in wanted if key not in found}
        db.add_all(new.values())
        db.flush()
    return {key: (found | new)[key].id for key in wanted}


def unit_name(db: Session, person: Person) -> str:
    """What the place is called where somebody works; empty when it is not known."""
    with scope.serving(db, scope.SYSTEM):
        return db.scalars(select(Unit.name).where(Unit.id == person.unit_id)).one_or_none() or ""


# --- roles ---------------------------------------------------------------------------------------------------------------


def roles(db: Session, person_id: int) -> list[Role]:
    """A person's roles that have not ended, the oldest first."""
    wanted = select(Role).where(Role.person_id == person_id, Role.ended_at.is_(None))
    with scope.serving(db, scope.SYSTEM):
        return list(db.scalars(wanted.order_by(Role.id)))


def lost(db: Session, person_id: int, since: datetime) -> bool:
    """Whether a role of a person has ended since a time."""
    ended = select(Role.id).where(Role.person_id == person_id, Role.ended_at >= since)
    with scope.serving(db, scope.SYSTEM):
        return db.scalars(ended.limit(1)).first() is not None


def give_role(
    db: Session,
    person: Person,
    role: str,
    *,
    now: datetime,
    body_id: int | None = None,
    division_code: str | None = None,
) -> Role:
    """Give a person a role of a body or a division; the one held already when there is one."""
    assert (body_id is None) != (division_code is None) and role in scope.ROLES
    for held in roles(db, person.id):
        if (held.role, held.body_id, held.division_code) == (role, body_id, division_code):
            return held
    made = Role(person_id=person.id, role=role, body_id=body_id, division_code=division_code, at=now)
    db.add(made)
    if body_id is not None and person.body_id is None:
        person.body_id = body_id
    db.flush()
    return made


def end_role(db: Session, role: Role, now: datetime) -> None:
    """End a role; its row stays. Who spoke for its body speaks for another of theirs, or for none.

    The code by which they would bind a further channel to it ends too: it would give the role again.
    """
    role.ended_at = now
    db.flush()
    with scope.serving(db, scope.SYSTEM):
        for own in invitations.waiting(db, role.person_id):
            if own.made_by == own.person_id and invitations.gives(own) == (role.role, role.body_id, role.division_code):
                own.revoked_at = now
        person = db.get_one(Person, role.person_id)
        left = [held.body_id for held in roles(db, person.id) if held.body_id is not None]
        if person.body_id == role.body_id and role.body_id not in left:
            person.body_id = left[0] if left else None


def holding(db: Session, role: str, body_id: int) -> list[Person]:
    """The people who hold a role of a body now."""
    wanted = (
        select(Person)
        .join(Role, Role.person_id == Person.id)
        .where(Role.role == role, Role.body_id == body_id, Role.ended_at.is_(None))
    )
    with scope.serving(db, scope.SYSTEM):
        return list(db.scalars(wanted.order_by(Person.id)))


def names(db: Session) -> dict[int, str]:
    """Everybody's name by number, of those the viewer sees."""
    return {number: name for number, name in db.execute(select(Person.id, Person.name)).all()}


def over(db: Session, role: str, body_id: int) -> list[int]:
    """The people of the province, or of the city, who hold a role over a body."""
    with scope.serving(db, scope.SYSTEM):
        code = db.get_one(Body, body_id).division_code
        held = db.scalars(select(Role).where(Role.role == role, Role.ended_at.is_(None))).all()
        return sorted(
            {
                one.person_id
                for one in held
                if one.division_code
                and code.startswith(scope.Grant(role=role, body_id=None, division_code=one.division_code).prefix)
            }
        )


# --- personal values -------------------------------------------------------------------------------------------------------


def masked_name(name: str) -> str:
    """李*, 李*明: as a name stands in the audit."""
    return name[:1] + "*" * max(len(name) - 2, 1) + (name[-1] if len(name) > 2 else "")


def read_name(typed: str) -> str:
    """A name as it is kept, however it was spaced: 张　三 → 张三, Li  Ming → Li Ming."""
    plain = re.sub(r"\s+", " ", unicodedata.normalize("NFKC", typed)).strip()
    return re.sub(r"(?<=[一-鿿]) (?=[一-鿿])", "", plain)


def read_phone(typed: str) -> str:
    """A phone's digits; empty for none. Raises ValueError on what is no mobile or fixed number of mainland China."""
    digits = re.sub(r"[\s\-－—()（）]", "", unicodedata.normalize("NFKC", typed)).removeprefix("+86")
    if digits and not _PHONE.fullmatch(digits):
        raise ValueError(typed)
    return digits


def set_phone(db: Session, person: Person, phone: str) -> None:
    """Keep a read phone encrypted, or forget it when empty."""
    person.phone = secrets.encrypt(db, phone) if phone else None
    person.phone_digest = secrets.digest(db, phone) if phone else None
    db.flush()


def masked_phone(db: Session, person: Person) -> str:
    """138****5678; empty when no phone is kept."""
    return secrets.masked(secrets.decrypt(db, person.phone)) if person.phone else ""


def see_phone(db: Session, person: Person, reason: str, now: datetime) -> str:
    """A person's full phone, which leaves a line in the audit. Raises OutOfScope, or ValueError without a reason.

    Whoever may see phones in one place and only reads another may not see them there.
    """
    viewer = scope.viewer_of(db)
    allowing = tuple(one for one in viewer.grants if one.role in scope.MAY["see_phone"])
    with scope.serving(db, replace(viewer, person_id=None, grants=allowing)):
        seen = db.scalars(select(Person.id).where(Person.id == person.id)).first()
    if not viewer.may("see_phone") or seen is None:
        raise scope.OutOfScope("phone")
    if not reason.strip():
        raise ValueError("a reason")
    audit.record(
        db, "see_phone", f"person:{person.id}", now=now, role=viewer.role_for("see_phone"), body_id=person.body_id,
        reason=reason.strip(),
    )  # fmt: skip
    return secrets.decrypt(db, person.phone) if person.phone else ""


def merge(db: Session, invited: Person, known: Person, now: datetime) -> None:
    """Let somebody who is bound be whom they were invited as under a number that nobody has used yet."""
    with scope.serving(db, scope.SYSTEM):
        for waiting in invitations.waiting(db, invited.id):
            waiting.person_id = known.id
        known.title, known.unit_id = known.title or invited.title, known.unit_id or invited.unit_id
        if known.phone is None:
            known.phone, known.phone_digest = invited.phone, invited.phone_digest
        known.renamed_at = None  # whoever invited them knows them by this name
        set_phone(db, invited, "")
        invited.name, invited.title, invited.unit_id, invited.body_id = f"用户#{invited.id}", "", None, None
        invited.erased_at = now
    audit.record(
        db, "merge", f"person:{invited.id}", now=now, role=next(iter(sorted(scope.viewer_of(db).roles)), ""),
        body_id=known.body_id, after={"person": known.id},
    )  # fmt: skip


def erase(db: Session, person: Person, now: datetime) -> None:
    """Forget a person's values, end their bindings, roles and invitations; only the number stays.

    Their name and phone also go from what they and their colleagues said and were told.
    """
    with scope.serving(db, scope.SYSTEM):
        values = [person.name, secrets.decrypt(db, person.phone) if person.phone else ""]
        _forget_words(db, person.id, [one for one in values if one])
        for binding in bindings.addresses(db, person.id):
            bindings.end(db, binding, "注销", now)
        for role in roles(db, person.id):
            role.ended_at = now
        for invitation in invitations.waiting(db, person.id):
            invitation.revoked_at = now
        visits.forget(db, person.id, now)
        for own in db.scalars(select(OwnReminder).where(OwnReminder.person_id == person.id)):
            own.text, own.ended_at = "", own.ended_at or now
        set_phone(db, person, "")
        person.name, person.title, person.unit_id, person.body_id = f"用户#{person.id}", "", None, None
        person.consent, person.consent_at, person.renamed_at, person.erased_at = None, None, None, now
        db.flush()


def _forget_words(db: Session, number: int, values: list[str]) -> None:
    own = select(Binding.address).where(Binding.person_id == number)
    places = select(Role.body_id).where(Role.person_id == number)
    inviters = db.scalars(select(Invitation.made_by).where(Invitation.person_id == number))
    involved = {number, *(one for one in inviters if one is not None)}
    involved |= set(db.scalars(select(Role.person_id).where(Role.body_id.in_(places))))

    def forgotten(value: Any) -> Any:  # Any: JSON
        if isinstance(value, dict):
            return {key: forgotten(one) for key, one in value.items()}
        if isinstance(value, list):
            return [forgotten(one) for one in value]
        for known in values if isinstance(value, str) else ():
            value = value.replace(known, f"用户#{number}")
        return value

    for said in db.scalars(select(Exchange).where(Exchange.person_id.in_(involved) | Exchange.address.in_(own))):
        was = conversations.said(db, said), conversations.reply(db, said)
        conversations.write(db, said, *map(forgotten, was))
    asked = select(Question).join(Exchange, Exchange.id == Question.exchange_id).where(Exchange.person_id.in_(involved))
    for question in db.scalars(asked):
        question.text = forgotten(question.text)
    for sent in db.scalars(select(Delivery).where(Delivery.recipient.in_([f"person:{one}" for one in involved]))):
        sent.reply = forgotten(sent.reply)
    for talk in db.scalars(
        select(Conversation).where(
            (Conversation.channel == "person") & Conversation.address.in_([str(one) for one in involved])
            | Conversation.address.in_(own)
        )
    ):
        talk.answers, talk.options, talk.before = map(forgotten, (talk.answers, talk.options, talk.before))
        if talk.rest:
            talk.rest = secrets.encrypt(db, forgotten(secrets.decrypt(db, talk.rest)))
