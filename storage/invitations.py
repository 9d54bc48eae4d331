"""Invitations: one-use codes that bind an address to a person, a role and a body. Only a code's digest is kept."""

import secrets as random
import unicodedata
from datetime import datetime

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from storage import scope, secrets
from storage.models import Attempt, Invitation, Person

ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"  # Crockford's base 32: no I, L, O, U
LENGTH = 8
_READ_AS = str.maketrans({"O": "0", "I": "1", "L": "1"})


def make(
    db: Session,
    *,
    person: Person,
    role: str,
    now: datetime,
    expires_at: datetime,
    body_id: int | None = None,
    division_code: str | None = None,
    made_by: int | None = None,
    succeeds: int | None = None,
) -> tuple[Invitation, str]:
    """Invite a person to a role of a body or a division; the code, as shown, is known only now.

    Earlier open invitations of the same person to the same role and place are revoked. `made_by` and `succeeds`
    are persons; the latter's role ends when the code is used. `expires_at`: bot.workdays.after(now, 10).
    """
    assert (body_id is None) != (division_code is None) and role in scope.ROLES
    for earlier in waiting(db, person.id):
        if gives(earlier) == (role, body_id, division_code):
            earlier.revoked_at = now
    code = "".join(random.choice(ALPHABET) for _ in range(LENGTH))
    made = Invitation(
        code_digest=secrets.digest(db, code),
        person_id=person.id,
        role=role,
        body_id=body_id,
        division_code=division_code,
        made_by=made_by,
        succeeds=succeeds,
        at=now,
        expires_at=expires_at,
    )
    db.add(made)
    db.flush()
    return made, shown(code)


def shown(code: str) -> str:
    """A code as people copy it: XXXX-XXXX."""
    return f"{code[:4]}-{code[4:]}"


def read(typed: str) -> str | None:
    """What was typed as a code: any case, full-width, spaces and dashes, O for 0, I and L for 1. None for no code."""
    plain = unicodedata.normalize("NFKC", typed).upper().translate(_READ_AS)
    code = "".join(one for one in plain if not one.isspace() and unicodedata.category(one) != "Pd" and one not in "−_.")
    return code if len(code) == LENGTH and all(one in ALPHABET for one in code) else None


def open_for(db: Session, code: str, now: datetime) -> Invitation | None:
    """The invitation that a read code opens; None when it is wrong, used, revoked or expired."""
    wanted = select(Invitation).where(
        Invitation.code_digest == secrets.digest(db, code),
        Invitation.used_at.is_(None),
        Invitation.revoked_at.is_(None),
        Invitation.expires_at > now,
    )
    with scope.serving(db, scope.SYSTEM):  # whoever holds the code may use it
        return db.scalars(wanted).one_or_none()


def waiting(db: Session, person_id: int) -> list[Invitation]:
    """A person's invitations that are neither used nor revoked, the oldest first."""
    wanted = select(Invitation).where(
        Invitation.person_id == person_id, Invitation.used_at.is_(None), Invitation.revoked_at.is_(None)
    )
    with scope.serving(db, scope.SYSTEM):
        return list(db.scalars(wanted.order_by(Invitation.id)))


def made_by(db: Session, person_id: int, body_id: int | None, division_code: str | None) -> list[Invitation]:
    """What somebody has invited to in a place that is neither used nor revoked."""
    wanted = select(Invitation).where(
        Invitation.made_by == person_id,
        Invitation.used_at.is_(None),
        Invitation.revoked_at.is_(None),
        Invitation.body_id.is_(None) if body_id is None else Invitation.body_id == body_id,
        Invitation.division_code.is_(None) if division_code is None else Invitation.division_code == division_code,
    )
    with scope.serving(db, scope.SYSTEM):
        return list(db.scalars(wanted))


def gives(invitation: Invitation) -> tuple[str, int | None, str | None]:
    """The role that an invitation gives, and its body or division."""
    return invitation.role, invitation.body_id, invitation.division_code


def waiting_in(db: Session, body_id: int) -> list[Invitation]:
    """The open invitations of a body that the viewer sees, the oldest first."""
    wanted = select(Invitation).where(
        Invitation.body_id == body_id, Invitation.used_at.is_(None), Invitation.revoked_at.is_(None)
    )
    return list(db.scalars(wanted.order_by(Invitation.id)))


def used_in(db: Session, body_id: int) -> list[Invitation]:
    """The invitations of a body that were used and not undone, of those the viewer sees, the oldest first."""
    wanted = select(Invitation).where(
        Invitation.body_id == body_id, Invitation.used_at.is_not(None), Invitation.revoked_at.is_(None)
    )
    return list(db.scalars(wanted.order_by(Invitation.id)))


def numbered(db: Session, number: int) -> Invitation | None:
    """An invitation of a body that the viewer sees; None outside scope."""
    return db.scalars(select(Invitation).where(Invitation.id == number)).one_or_none()


# --- codes that were not accepted ----------------------------------------------------------------------------------------


def miss(db: Session, channel: str, address: str, now: datetime) -> None:
    """Write down that an address gave a code that is none."""
    db.add(Attempt(channel=channel, address=address, at=now))
    db.flush()


def misses(db: Session, since: datetime, channel: str | None = None, address: str | None = None) -> int:
    """How many codes were not accepted since then: everywhere, on a channel, or from one address."""
    wanted = select(func.count()).select_from(Attempt).where(Attempt.at > since)
    if channel is not None:
        wanted = wanted.where(Attempt.channel == channel)
    if address is not None:
        wanted = wanted.where(Attempt.address == address)
    return db.scalars(wanted).one()
