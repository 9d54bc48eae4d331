"""Who sits at the console: sign-in by a link from a bound channel, or by password and one-time code; visits that end.

A ticket (the link's last part) names a person and a time and is sealed with the data key; it begins one visit.
"""

import re
import secrets as random
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import pyotp
from argon2 import PasswordHasher
from argon2.exceptions import VerificationError
from sqlalchemy import and_, bindparam, select
from sqlalchemy.orm import Session

from storage import audit, scope, secrets
from storage.db import hold
from storage.invitations import miss, misses
from storage.models import Credential, Person, Role, Visit

TICKET_LASTS = timedelta(minutes=5)
IDLE = timedelta(minutes=30)
LONGEST = timedelta(hours=12)
TOUCHED_EVERY = timedelta(minutes=1)  # a page does not write merely because it is looked at
SHORTEST = 10  # characters of a password
FAILURES = 5
LOCKED_FIRST, LOCKED_MOST = timedelta(minutes=15), timedelta(hours=24)
TRIES_OF_ADDRESS, TRIES_WITHIN = 30, timedelta(hours=1)
CHANNEL = "console"
_STEP_S = 30
_hasher = PasswordHasher()
_NOBODY = _hasher.hash("nobody")  # verified where there is no such name, so that both take equally long
_NO_SECRET = pyotp.random_base32()


class NotSignedIn(Exception):
    """Nobody is signed in with what was sent: `why` is wrong, many, used, or empty for an ended visit."""

    def __init__(self, why: str = "") -> None:
        super().__init__(why)
        self.why = why


@dataclass(frozen=True, kw_only=True)
class Begun:
    """A visit that has begun, and its cookie's value, which is stored nowhere."""

    visit: Visit
    token: str


# --- by link ---------------------------------------------------------------------------------------------------------


def ticket(db: Session, person_id: int, now: datetime) -> str:
    """The last part of a link that signs a person in once, within five minutes."""
    words = f"{person_id}.{int((now + TICKET_LASTS).timestamp())}.{random.token_urlsafe(9).replace('.', '-')}"
    return f"{words}.{_seal(db, words)}"


def holder(db: Session, given: str, now: datetime) -> Person:
    """Whom a ticket would sign in. Raises NotSignedIn when it is none, too old, or used."""
    words, _, seal = given.rpartition(".")
    if not random.compare_digest(seal.encode(), _seal(db, words).encode()):
        raise NotSignedIn("used")
    number, expires, _ = words.split(".")
    with scope.serving(db, scope.SYSTEM):
        used = db.scalars(select(Visit.id).where(Visit.ticket_digest == secrets.digest(db, given))).first()
        person = db.get(Person, int(number))
        if used is not None or person is None or person.erased_at or datetime.fromtimestamp(int(expires), UTC) < now:
            raise NotSignedIn("used")
    return person


def begin_by_ticket(db: Session, given: str, now: datetime) -> Begun:
    """Sign in whom a ticket names. Of two at once the second waits, and finds it used. Raises NotSignedIn."""
    digest = secrets.digest(db, given)
    hold(db, f"ticket:{digest}")
    person = holder(db, given, now)
    return _begin(db, person, now, ticket_digest=digest)


def _seal(db: Session, words: str) -> str:
    return secrets.digest(db, f"ticket:{words}")[:32]


# --- by password -----------------------------------------------------------------------------------------------------


def begin_by_password(db: Session, name: str, password: str, code: str, address: str, now: datetime) -> Begun | str:
    """Sign in by name, password and one-time code; or why not: wrong, many.

    Five failures lock a name for 15 minutes, each further five for twice as long; an address has thirty tries an hour.
    A name that is locked and one that nobody has get the same answer after the same work as a wrong password.
    The answer is returned, not raised, so that the failure that it counts is committed.
    """
    if misses(db, now - TRIES_WITHIN, CHANNEL, address) >= TRIES_OF_ADDRESS:
        return "many"
    found = db.scalars(select(Credential).where(Credential.name == name).with_for_update()).one_or_none()
    locked = found is not None and found.locked_until is not None and found.locked_until > now
    right = _right(found.password if found else _NOBODY, password)
    step = _step(db, found, code, now)
    if found is None or locked or not right or step is None:
        miss(db, CHANNEL, address, now)
        if found is not None and not locked:
            _failed(found, now)
        return "wrong"
    found.failures, found.locked_until, found.step = 0, None, step
    with scope.serving(db, scope.SYSTEM):
        return _begin(db, db.get_one(Person, found.person_id), now)


def _right(stored: str, password: str) -> bool:
    try:
        return _hasher.verify(stored, password)
    except VerificationError:
        return False


def _step(db: Session, found: Credential | None, code: str, now: datetime) -> int | None:
    """The time step whose code this is, now or one before or after, and not used yet."""
    made = pyotp.TOTP(secrets.decrypt(db, found.totp) if found and found.totp else _NO_SECRET)
    here = int(now.timestamp()) // _STEP_S
    steps = (step for step in (here - 1, here, here + 1) if found is None or step > found.step)
    return next((step for step in steps if random.compare_digest(made.at(step * _STEP_S), code.strip())), None)


def _failed(found: Credential, now: datetime) -> None:
    found.failures += 1
    if found.failures % FAILURES == 0:
        found.locked_until = now + min(LOCKED_FIRST * 2 ** (found.failures // FAILURES - 1), LOCKED_MOST)


def weak(password: str, name: str) -> bool:
    """Whether a password is too short, of fewer than three kinds of characters, or holds the name."""
    kinds = (str.islower, str.isupper, str.isdigit, lambda one: not one.isalnum())
    held = sum(any(kind(one) for one in password) for kind in kinds)
    return len(password) < SHORTEST or held < 3 or name.lower() in password.lower()


def new_secret() -> str:
    """A secret for an authenticator app."""
    return pyotp.random_base32()


def is_secret(text: str) -> bool:
    """Whether a form brings back such a secret whole."""
    return re.fullmatch(r"[A-Z2-7]{32}", text) is not None


def secret_url(secret: str, name: str, issuer: str) -> str:
    """What an authenticator app scans."""
    return pyotp.TOTP(secret).provisioning_uri(name=name, issuer_name=issuer)


def enrol(db: Session, person: Person, name: str, password: str, secret: str, code: str, now: datetime) -> str:
    """Give a person a name, a password and a one-time code to sign in with; what is wrong: weak, taken, code; or ''."""
    if len(name) < 2 or weak(password, name):
        return "weak"
    taken = db.scalars(select(Credential).where(Credential.name == name)).one_or_none()
    if taken is not None and taken.person_id != person.id:
        return "taken"
    if not pyotp.TOTP(secret).verify(code.strip(), for_time=now, valid_window=1):
        return "code"
    found = db.get(Credential, person.id) or Credential(person_id=person.id, step=0, failures=0)
    found.name, found.password, found.totp = name, _hasher.hash(password), secrets.encrypt(db, secret)
    found.failures, found.locked_until, found.changed_at = 0, None, now
    db.add(found)
    role = next(iter(sorted(scope.viewer_of(db).roles)), "")
    audit.record(db, "enrol", f"person:{person.id}", now=now, role=role, body_id=person.body_id)
    return ""


def login_name(db: Session, person_id: int) -> str:
    """The name that a person signs in with; empty when they have none."""
    return db.scalars(select(Credential.name).where(Credential.person_id == person_id)).one_or_none() or ""


# --- visits ----------------------------------------------------------------------------------------------------------


def _begin(db: Session, person: Person, now: datetime, *, ticket_digest: str | None = None) -> Begun:
    token = random.token_urlsafe(32)
    for open_one in db.scalars(select(Visit).where(Visit.person_id == person.id, Visit.ended_at.is_(None))):
        if open_one.seen_at + IDLE < now or open_one.at + LONGEST < now:
            open_one.ended_at = now
    visit = Visit(
        token_digest=secrets.digest(db, token), ticket_digest=ticket_digest, person_id=person.id, said="", at=now,
        seen_at=now,
    )  # fmt: skip
    db.add(visit)
    db.flush()
    viewer = scope.enter(db, person, CHANNEL)
    audit.record(db, "sign_in", f"person:{person.id}", now=now, role=next(iter(sorted(viewer.roles)), ""))
    db.flush()
    return Begun(visit=visit, token=token)


_HELD = (
    select(Visit, Person, Role.role, Role.body_id, Role.division_code)
    .join(Person, Person.id == Visit.person_id)
    .outerjoin(Role, and_(Role.person_id == Person.id, Role.ended_at.is_(None)))
    .where(Visit.token_digest == bindparam("digest"), Visit.ended_at.is_(None))
)  # asked for every page: at once, and made once


def find(db: Session, token: str, now: datetime) -> tuple[Visit, Person]:
    """The visit of a cookie and its person, whom the session serves from now on. Raises NotSignedIn."""
    with scope.serving(db, scope.SYSTEM):
        held = db.execute(_HELD, {"digest": secrets.digest(db, token)}).all()
    if not held:
        raise NotSignedIn()
    visit, person = held[0][:2]
    if visit.seen_at + IDLE < now or visit.at + LONGEST < now or person.erased_at is not None:
        raise NotSignedIn()
    grants = [scope.Grant(role=role, body_id=body, division_code=code) for _, _, role, body, code in held if role]
    scope.enter(db, person, CHANNEL, grants)
    return visit, person


def csrf(db: Session, token: str) -> str:
    """What a form of this visit must carry."""
    return secrets.digest(db, f"form:{token}")[:32]


def end(db: Session, visit: Visit, now: datetime) -> None:
    """Sign out."""
    visit.ended_at = now


def forget(db: Session, person_id: int, now: datetime) -> None:
    """End a person's visits and forget what they sign in with: whoever set it up may not have been them."""
    for visit in db.scalars(select(Visit).where(Visit.person_id == person_id, Visit.ended_at.is_(None))):
        visit.ended_at = now
    credential = db.get(Credential, person_id)
    if credential is not None:
        db.delete(credential)
    db.flush()
