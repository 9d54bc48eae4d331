"""Who has a broadcast: one word from a body's people, or from each person, is enough and is kept once."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

from sqlalchemy import ColumnElement, Select, String, and_, case, cast, func, literal, or_, select
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import Session, aliased

from storage import audiences, audit, broadcasts, deliveries, scope
from storage.audiences import Line
from storage.models import Acknowledgement, Body, Broadcast, Delivery, Person, Recipient, Role

Way = Literal["card", "text", "link", "phone"]
SPEAK_FOR_BODY = ("county_officer", "county_head")
COUNTS = 1000  # audiences of which the number of parties is remembered
_COUNTED: dict[tuple[str, str], int] = {}  # by the audience's digest, and who is asked


class NotAsked(Exception):
    """The broadcast is not for this person, or asks for no acknowledgement of theirs."""


class NotForBody(Exception):
    """Somebody who may not speak for the body: a contractor."""


class Corrected(Exception):
    """A correction has taken the broadcast's place."""

    def __init__(self, by: Broadcast) -> None:
        super().__init__(str(by.id))
        self.by = by


@dataclass(frozen=True, kw_only=True)
class Party:
    """Who is asked to acknowledge: a body with its people, or a person; and who did, if anybody."""

    key: str
    lines: tuple[Line, ...]
    said: Acknowledgement | None

    @property
    def place(self) -> str:
        return self.lines[0].place or self.lines[0].name

    @property
    def reachable(self) -> tuple[Line, ...]:
        """Whom the message goes to, or whom it went to for another body of theirs."""
        return tuple(one for one in self.lines if one.excluded in ("", "duplicate"))


def parties(db: Session, broadcast: Broadcast) -> list[Party]:
    """Everybody who is asked, in the audience's order. Empty when nobody is."""
    if broadcast.acknowledgement == "none":
        return []
    with scope.serving(db, scope.SYSTEM):
        wanted = select(Acknowledgement).where(Acknowledgement.broadcast_id == broadcast.id)
        said = {one.party: one for one in db.scalars(wanted)}
    groups: dict[str, list[Line]] = {}
    for line in audiences.kept(db, broadcast):
        if line.excluded not in audiences.PASSED_OVER:
            groups.setdefault(audiences.party(broadcast.acknowledgement, line.body_id, line.person_id), []).append(line)
    return [Party(key=key, lines=tuple(lines), said=said.get(key)) for key, lines in groups.items()]


def silent(db: Session, broadcast: Broadcast) -> list[Party]:
    """The parties that have not acknowledged."""
    return [one for one in parties(db, broadcast) if one.said is None]


def called_for(db: Session, number: int) -> Broadcast:
    """The broadcast that the viewer calls people for: of a province where they may acknowledge on behalf.

    Raises broadcasts.NotFound.
    """
    with scope.serving(db, scope.SYSTEM):
        found = db.get(Broadcast, number)
    where = [one.prefix for one in scope.viewer_of(db).grants if one.role in scope.MAY["acknowledge_for"]]
    if found is None or not any(prefix and str(found.division_code).startswith(prefix) for prefix in where):
        raise broadcasts.NotFound(str(number))
    return found


def to_call(db: Session, broadcast: Broadcast) -> list[tuple[Party, str]]:
    """The silent parties that only a call can reach, with the reason: nudged twice, or no message gets there."""
    failed = broadcasts.not_reached(db, broadcast)
    found = []
    for one in silent(db, broadcast):
        if all(line.person_id in failed for line in one.reachable):
            found.append((one, "unreachable"))
        elif broadcast.nudges >= broadcasts.NUDGES:
            found.append((one, "silent"))
    return found


@dataclass(frozen=True, kw_only=True)
class Listed:
    """A party as a list shows it: who acknowledged it, and why it is to be called when nobody did."""

    place: str
    said: Acknowledgement | None
    name: str
    call: Literal["", "unreachable", "silent"]


def counted(db: Session, broadcast: Broadcast) -> tuple[int, int]:
    """How many parties have acknowledged, of how many."""
    if broadcast.acknowledgement == "none":
        return 0, 0
    said = select(func.count()).where(Acknowledgement.broadcast_id == broadcast.id)
    with scope.serving(db, scope.SYSTEM):
        return db.execute(said).scalar_one(), _count_parties(db, broadcast)


def _count_parties(db: Session, broadcast: Broadcast) -> int:
    """How many are asked. What the audience's digest is of decides it: lists of broadcasts count each once."""
    key = broadcast.audience_digest, broadcast.acknowledgement
    if broadcast.audience_digest and key in _COUNTED:
        return _COUNTED[key]
    if len(_COUNTED) >= COUNTS:
        _COUNTED.clear()
    wanted = select(func.count(_party(broadcast).distinct())).where(*_asked(broadcast))
    _COUNTED[key] = db.execute(wanted).scalar_one()
    return _COUNTED[key]


def listed(db: Session, broadcast: Broadcast, limit: int, offset: int = 0) -> list[Listed]:
    """The parties page by page, the silent ones first, in the audience's order."""
    if broadcast.acknowledgement == "none":
        return []
    with scope.serving(db, scope.SYSTEM):
        found = db.execute(_described(broadcast, _page(db, broadcast, limit, offset))).all()
    return [
        Listed(
            place=f"{body or ''}{person or ''}" if broadcast.acknowledgement == "each" else body or person or "",
            said=said, name=name,
            call="" if said else "unreachable" if not left else "silent" if broadcast.nudges >= broadcasts.NUDGES else "",
        )
        for body, person, said, name, left in found
    ]  # fmt: skip


def _page(db: Session, broadcast: Broadcast, limit: int, offset: int) -> list[str]:
    """The keys of a page's parties: they are sorted before anything else is looked up of them."""
    lines = select(_party(broadcast).label("key"), func.min(Recipient.id).label("first"))
    parties = lines.where(*_asked(broadcast)).group_by("key").subquery()
    wanted = select(parties.c.key).outerjoin(Acknowledgement, _of_party(broadcast, parties.c.key))
    by = (Acknowledgement.id.is_not(None), parties.c.first)
    return list(db.scalars(wanted.order_by(*by).limit(limit).offset(offset)))


def _described(broadcast: Broadcast, keys: Sequence[str]) -> Select[Any]:  # Any: what `listed` takes apart
    """These parties' place, person, acknowledgement with its name, and how many of their lines a message reaches."""
    failed = and_(broadcasts.joined(broadcast), Delivery.state.in_(broadcasts.NOT_REACHED))
    arriving = case((and_(Recipient.excluded.in_(("", "duplicate")), Delivery.id.is_(None)), 1), else_=0)
    lines = (
        select(
            _party(broadcast).label("key"), func.min(Recipient.id).label("first"), func.sum(arriving).label("arriving")
        )
        .outerjoin(Delivery, failed)
        .where(*_asked(broadcast), _party(broadcast).in_(keys))
        .group_by("key")
        .subquery()
    )
    own, who = aliased(Person), func.coalesce(func.nullif(Acknowledgement.name, ""), Person.name, "")
    wanted = (
        select(Body.name, own.name, Acknowledgement, who, lines.c.arriving)
        .select_from(lines)
        .join(Recipient, Recipient.id == lines.c.first)
        .outerjoin(Body, Body.id == Recipient.body_id)
        .outerjoin(own, own.id == Recipient.person_id)
        .outerjoin(Acknowledgement, _of_party(broadcast, lines.c.key))
        .outerjoin(Person, Person.id == Acknowledgement.person_id)
    )
    return wanted.order_by(Acknowledgement.id.is_not(None), lines.c.first)


def _party(broadcast: Broadcast) -> ColumnElement[str]:
    """`audiences.party` of a recipient's line, in SQL."""
    person = literal("person:").concat(func.coalesce(cast(Recipient.person_id, String), "None"))
    if broadcast.acknowledgement == "each":
        return person
    return case(
        (Recipient.body_id.is_not(None), literal("body:").concat(cast(Recipient.body_id, String))), else_=person
    )


def _asked(broadcast: Broadcast) -> tuple[ColumnElement[bool], ...]:
    """Which lines make a party."""
    return Recipient.broadcast_id == broadcast.id, Recipient.excluded.not_in(audiences.PASSED_OVER)


def _of_party(broadcast: Broadcast, key: ColumnElement[str]) -> ColumnElement[bool]:
    return and_(Acknowledgement.broadcast_id == broadcast.id, Acknowledgement.party == key)


# --- acknowledging ---------------------------------------------------------------------------------------------------


def own(db: Session, person_id: int, number: int | None = None) -> list[tuple[Broadcast, Recipient]]:
    """The broadcasts sent to a person or to a body that they speak for, with each line that makes it so.

    The newest come first, and of each the person's own line. Whoever takes over a body's business finds its broadcasts.
    """
    bodies = select(Role.body_id).where(
        Role.person_id == person_id, Role.role.in_(SPEAK_FOR_BODY), Role.ended_at.is_(None)
    )
    self = and_(Recipient.person_id == person_id, Recipient.excluded.in_(("", "duplicate", "no_channel")))
    for_body = and_(Recipient.body_id.in_(bodies), Recipient.excluded.not_in(audiences.PASSED_OVER))
    wanted = (
        select(Broadcast, Recipient)
        .join(Recipient, Recipient.broadcast_id == Broadcast.id)
        .where(or_(self, and_(for_body, Broadcast.acknowledgement != "each")), Broadcast.begins_at.is_not(None))
        .order_by(Broadcast.id.desc(), (Recipient.person_id == person_id).desc(), Recipient.excluded)
    )
    if number is not None:
        wanted = wanted.where(Broadcast.id == number)
    with scope.serving(db, scope.SYSTEM):
        return [(broadcast, line) for broadcast, line in db.execute(wanted)]


def said(db: Session, broadcast: Broadcast, line: Recipient) -> Acknowledgement | None:
    """The acknowledgement of a recipient's party."""
    key = audiences.party(broadcast.acknowledgement, line.body_id, line.person_id)
    return _of(db, broadcast, [key]).get(key)


def _of(db: Session, broadcast: Broadcast, keys: Iterable[str]) -> dict[str, Acknowledgement]:
    with scope.serving(db, scope.SYSTEM):
        wanted = select(Acknowledgement).where(
            Acknowledgement.broadcast_id == broadcast.id, Acknowledgement.party.in_(list(keys))
        )
        return {one.party: one for one in db.scalars(wanted.execution_options(populate_existing=True))}


def acknowledge(db: Session, number: int, way: Way, now: datetime) -> tuple[Broadcast, list[Acknowledgement], bool]:
    """Acknowledge a broadcast for the viewer's parties: those that stand now, and whether any is new.

    Raises NotAsked, NotForBody or Corrected.
    """
    person_id = scope.viewer_of(db).person_id
    found = own(db, person_id, number) if person_id is not None else []
    found = [(broadcast, line) for broadcast, line in found if broadcast.acknowledgement != "none"]
    if not found or found[0][0].state == "recalled":
        raise NotAsked
    broadcast = found[0][0]
    if (newer := broadcasts.correction(db, broadcast)) is not None:
        raise Corrected(newer)
    lines = {
        audiences.party(broadcast.acknowledgement, line.body_id, person_id): line
        for _, line in found
        if broadcast.acknowledgement == "each" or _speaks_for(db, line)
    }
    if not lines:
        raise NotForBody
    new = [_record(db, broadcast, one.body_id, one.division_code, person_id, "", way, now) for one in lines.values()]
    return broadcast, list(_of(db, broadcast, lines).values()), any(new)


def _speaks_for(db: Session, line: Recipient) -> bool:
    """Whether the viewer still holds a role that speaks for the line's body, or is asked for themselves."""
    if line.body_id is None:
        return True
    grants = scope.viewer_of(db).grants
    return any(grant.body_id == line.body_id and grant.role in SPEAK_FOR_BODY for grant in grants)


def on_behalf(
    db: Session, number: int, body_id: int, name: str, now: datetime
) -> tuple[Broadcast, Acknowledgement, bool]:
    """Note what somebody of a body said on the phone; what stands now and whether it is new.

    Raises OutOfScope, or NotAsked when the broadcast does not ask this body.
    """
    viewer = scope.viewer_of(db)
    if not viewer.may("acknowledge_for") or not scope.reaches(db, viewer, "acknowledge_for", body_id):
        raise scope.OutOfScope("acknowledgement")
    with scope.serving(db, scope.SYSTEM):
        broadcast = db.get(Broadcast, number)
    if broadcast is None or broadcast.state != "sent" or broadcast.acknowledgement != "county":
        raise NotAsked
    if (newer := broadcasts.correction(db, broadcast)) is not None:
        raise Corrected(newer)
    key = audiences.party("county", body_id, None)
    if key not in {one.key for one in parties(db, broadcast)}:
        raise NotAsked
    new = _record(db, broadcast, body_id, None, None, name, "phone", now)
    return broadcast, _of(db, broadcast, [key])[key], new


def _record(
    db: Session,
    broadcast: Broadcast,
    body_id: int | None,
    division_code: str | None,
    person_id: int | None,
    name: str,
    way: Way,
    now: datetime,
) -> bool:
    """Keep the first acknowledgement of a party; False when there is one. The people of the party are nudged no more."""
    viewer = scope.viewer_of(db)
    key = audiences.party(broadcast.acknowledgement, body_id, person_id)
    dialect = sqlite if db.get_bind().dialect.name == "sqlite" else postgresql
    values = {
        "broadcast_id": broadcast.id, "party": key, "body_id": body_id, "division_code": division_code,
        "person_id": person_id, "name": name, "way": way, "at": now,
        "recorded_by": viewer.person_id if way == "phone" else None,
    }  # fmt: skip
    once = dialect.insert(Acknowledgement).values(values).on_conflict_do_nothing().returning(Acknowledgement.id)
    with scope.serving(db, scope.SYSTEM):  # the party has been proved to be the viewer's
        new = db.execute(once).first() is not None
    if person_id is not None:
        deliveries.acknowledged(db, broadcasts.source(broadcast), [deliveries.person(person_id)], now)
    if new:
        _settle(db, broadcast, body_id, person_id)
        audit.record(
            db, "broadcast.acknowledge", broadcasts.source(broadcast), now=now,
            role=next(iter(sorted(viewer.roles)), ""), body_id=body_id, after={"party": key, "way": way},
        )  # fmt: skip
    return new


def _settle(db: Session, broadcast: Broadcast, body_id: int | None, person_id: int | None) -> None:
    """Withdraw the nudges that still wait for a party's people."""
    with scope.serving(db, scope.SYSTEM):
        mine = Recipient.person_id == person_id if body_id is None else Recipient.body_id == body_id
        wanted = select(Recipient.person_id).where(Recipient.broadcast_id == broadcast.id, mine)
        whose = [deliveries.person(one) for one in db.scalars(wanted) if one is not None]
    deliveries.cancel(db, f"nudge:{broadcast.id}", "acknowledged", whose)


def settled(db: Session, delivery: Delivery) -> str | None:
    """Why a nudge must not go out any more: all its recipient's parties have acknowledged, or see `broadcasts.gone`."""
    number, person_id = int(delivery.source.partition(":")[2]), int(delivery.recipient.partition(":")[2])
    open_ones = [one for one in own(db, person_id, number) if said(db, *one) is None]
    return broadcasts.gone(db, delivery) if open_ones else "acknowledged"


def nudge_lines(found: Sequence[Party]) -> list[Line]:
    """Whom a nudge of these parties goes to: who speaks for the body, each person once."""
    lines = {
        line.person_id: line
        for one in found
        for line in one.reachable
        if one.key.startswith("person:") or line.role in SPEAK_FOR_BODY
    }
    return list(lines.values())
