"""Whom a broadcast is for: conditions as a value, and the people that they come down to.

Every exclusion is a line with its reason, so that nobody of the audience is passed over in silence.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import datetime, timedelta
from decimal import Decimal
from hashlib import sha256
from typing import Any, Literal

from sqlalchemy import ColumnElement, and_, delete, exists, func, insert, or_, select, true
from sqlalchemy.orm import Session

from storage import scope
from storage.items import OPEN
from storage.models import (
    Acknowledgement,
    Binding,
    Body,
    BodyYear,
    Broadcast,
    Fact,
    Fund,
    Item,
    Person,
    Recipient,
    Role,
)

Excluded = Literal["", "no_channel", "left", "duplicate", "nobody", "no_figures"]
EXCLUSIONS: tuple[Excluded, ...] = ("no_channel", "left", "duplicate", "nobody", "no_figures")
PASSED_OVER: tuple[Excluded, ...] = ("left", "no_figures")  # named in the preview; their body is no party by them
REMEMBERED = timedelta(days=180)  # for so long somebody who left is named
COUNTY = ("county_officer", "county_head")


@dataclass(frozen=True, kw_only=True)
class Rate:
    """A condition on a year's funds: `disbursement_rate` or `use_rate`, below a line or not."""

    rate: str
    below: bool
    line: Decimal


@dataclass(frozen=True, kw_only=True)
class Audience:
    """Conditions that must all hold; of several roles, regions or years, one.

    `silent_of` is the broadcast that must not be acknowledged yet, `holders_of` the one that must have come.
    """

    roles: tuple[str, ...] = COUNTY
    regions: tuple[str, ...] = ()  # division codes
    years: tuple[int, ...] = ()
    poverty: bool | None = None
    open_items: bool | None = None
    rates: tuple[Rate, ...] = ()
    silent_of: int | None = None
    holders_of: int | None = None

    @property
    def narrow(self) -> bool:
        """Whether anything but the roles narrows it."""
        return replace(self, roles=()) != Audience(roles=())

    def as_json(self) -> dict[str, Any]:
        """As it is stored."""
        return asdict(self) | {"rates": [[one.rate, one.below, str(one.line)] for one in self.rates]}


def from_json(stored: dict[str, Any]) -> Audience:
    """A stored audience."""
    rates = tuple(Rate(rate=rate, below=below, line=Decimal(line)) for rate, below, line in stored["rates"])
    lists = {key: tuple(stored[key]) for key in ("roles", "regions", "years")}
    return Audience(**(stored | lists | {"rates": rates}))


@dataclass(frozen=True, kw_only=True)
class Line:
    """Somebody, or a body without anybody, in an audience."""

    person_id: int | None
    name: str
    role: str
    body_id: int | None
    division_code: str | None
    code: str  # the division, for counting and order
    place: str
    excluded: Excluded


def party(acknowledgement: str, body_id: int | None, person_id: int | None) -> str:
    """Who is asked to acknowledge: the body once, or each person."""
    by_body = body_id is not None and acknowledgement != "each"
    return f"body:{body_id}" if by_body else f"person:{person_id}"


def digest(lines: Iterable[Line]) -> str:
    """The hash of an audience: who, of which body, sent to or why not."""
    texts = sorted(f"{one.person_id}|{one.role}|{one.body_id or one.division_code}|{one.excluded}" for one in lines)
    return sha256("\n".join(texts).encode()).hexdigest()


# --- finding them ----------------------------------------------------------------------------------------------------


def find(db: Session, audience: Audience, province: str, now: datetime) -> list[Line]:
    """The lines of an audience within a province, by division, body and role."""
    with scope.serving(db, scope.SYSTEM):
        bodies = {body.id: body for body in db.scalars(select(Body).where(*_conditions(audience, province)))}
        held = _held(db, audience, bodies, province, now)
        bound = set(db.scalars(select(Binding.person_id).where(Binding.ended_at.is_(None)).distinct()))
        unknown = _without_figures(db, audience, province)
    lines = _sorted_out(held, bodies, bound)
    staffed = {one.body_id for one in lines if one.excluded != "left"}
    county = not set(audience.roles).isdisjoint(scope.COUNTY)
    empty = [body for body in bodies.values() if county and body.id not in staffed]
    lines += [_of_body(body, "nobody") for body in empty] + [_of_body(body, "no_figures") for body in unknown]
    return sorted(lines, key=lambda one: (one.code, one.body_id or 0, one.role, one.person_id or 0))


def _of_body(body: Body, excluded: Excluded) -> Line:
    return Line(
        person_id=None, name="", role="", body_id=body.id, division_code=None, code=body.division_code,
        place=body.name, excluded=excluded,
    )  # fmt: skip


def _held(
    db: Session, audience: Audience, bodies: dict[int, Body], province: str, now: datetime
) -> list[Any]:  # Any: rows of these columns
    """The roles of the audience, held now or until lately, those held now first."""
    columns = (Role.person_id, Role.role, Role.body_id, Role.division_code, Role.ended_at, Person.name)
    current = or_(Role.ended_at.is_(None), Role.ended_at > now - REMEMBERED)
    wanted = select(*columns).join(Person, Person.id == Role.person_id).where(Role.role.in_(audience.roles), current)
    persons, said = _persons(db, audience), _said(db, audience)
    codes = {body.division_code for body in bodies.values()}
    above = {code[:4] for code in codes} | {code[:2] for code in codes}

    def meant(one: Any) -> bool:  # Any: a row of these columns
        if one.person_id in said:
            return False
        if one.body_id is not None:
            return one.body_id in bodies
        if persons is not None:
            return one.person_id in persons
        prefix = scope.prefix_of(one.division_code)
        return bool(one.division_code.startswith(province[:2])) and prefix in above

    return [one for one in db.execute(wanted.order_by(Role.ended_at.is_not(None), Role.id)).all() if meant(one)]


def _sorted_out(held: Sequence[Any], bodies: dict[int, Body], bound: set[int]) -> list[Line]:
    """One line for each role: the first live one of a person is sent to, the others are named with the reason."""
    lines: list[Line] = []
    seen: set[Any] = set()
    for one in held:
        body = bodies[one.body_id] if one.body_id is not None else None
        key = (one.person_id, one.body_id or one.division_code)
        if one.ended_at and key in seen:
            continue  # the same person holds another role there now
        reason: Excluded = "left" if one.ended_at else "duplicate" if one.person_id in seen else ""
        if not one.ended_at:
            seen |= {key, one.person_id}
        if not reason and one.person_id not in bound:
            reason = "no_channel"
        lines.append(
            Line(
                person_id=one.person_id, name=one.name, role=one.role, body_id=one.body_id,
                division_code=one.division_code, code=body.division_code if body else one.division_code,
                place=body.name if body else "", excluded=reason,
            )
        )  # fmt: skip
    return lines


def _conditions(audience: Audience, province: str) -> list[ColumnElement[bool]]:
    """What must hold of a body."""
    found: list[ColumnElement[bool]] = [Body.division_code.startswith(province[:2])]
    if audience.regions:
        prefixes = [scope.prefix_of(code) for code in audience.regions]
        found.append(or_(*(Body.division_code.startswith(prefix) for prefix in prefixes)))
    if audience.years:
        found.append(Body.id.in_(select(BodyYear.body_id).where(BodyYear.batch_year.in_(audience.years))))
    if audience.poverty is not None:
        poor = Body.id.in_(_poor())
        found.append(poor if audience.poverty else ~poor)
    if audience.open_items is not None:
        opened = Body.id.in_(select(Item.body_id).where(Item.state.in_(OPEN)))
        found.append(opened if audience.open_items else ~opened)
    found += [Body.id.in_(_at_rate(one, audience.years)) for one in audience.rates]
    if audience.silent_of is not None:
        found.append(Body.id.in_(_bodies_of(audience.silent_of, silent=True)))
    if audience.holders_of is not None:
        found.append(Body.id.in_(_bodies_of(audience.holders_of, silent=False)))
    return found


def _poor() -> Any:  # Any: a select of body ids
    newest = func.row_number().over(partition_by=Fact.body_id, order_by=(Fact.as_of.desc(), Fact.id.desc()))
    facts = select(Fact.body_id, Fact.value, newest.label("place")).where(Fact.key == "poverty_county").subquery()
    return select(facts.c.body_id).where(facts.c.place == 1, facts.c.value == "yes")


def _newest_funds(years: Sequence[int]) -> Any:  # Any: a subquery of the report that holds of each body and year
    newest = func.row_number().over(
        partition_by=(Fund.body_id, Fund.batch_year), order_by=(Fund.as_of.desc(), Fund.id.desc())
    )
    wanted = select(Fund.body_id, Fund.allocated, Fund.disbursed, Fund.used, newest.label("place"))
    return wanted.where(Fund.withdrawn_at.is_(None), Fund.batch_year.in_(years) if years else true()).subquery()


def _at_rate(condition: Rate, years: Sequence[int]) -> Any:  # Any: a select of body ids
    funds = _newest_funds(years)
    part = funds.c.disbursed if condition.rate == "disbursement_rate" else funds.c.used
    line = funds.c.allocated * condition.line
    reached = part < line if condition.below else part >= line
    return select(funds.c.body_id).where(funds.c.place == 1, funds.c.allocated > 0, reached)


def _without_figures(db: Session, audience: Audience, province: str) -> list[Body]:
    """The bodies of which no funds are reported, where funds decide."""
    if not audience.rates:
        return []
    others = _conditions(replace(audience, rates=()), province)
    funds = _newest_funds(audience.years)
    known = select(funds.c.body_id).where(funds.c.allocated > 0)
    return list(db.scalars(select(Body).where(*others, Body.id.not_in(known))))


def _is_silent() -> ColumnElement[bool]:
    """Whether nobody has acknowledged for a recipient's party."""
    said = exists().where(
        Acknowledgement.broadcast_id == Recipient.broadcast_id,
        or_(
            and_(Acknowledgement.body_id == Recipient.body_id, Acknowledgement.party.startswith("body:")),
            and_(Acknowledgement.person_id == Recipient.person_id, Acknowledgement.party.startswith("person:")),
        ),
    )
    return ~said


def _bodies_of(broadcast_id: int, *, silent: bool) -> Any:  # Any: a select of body ids
    wanted = select(Recipient.body_id).where(
        Recipient.broadcast_id == broadcast_id, Recipient.body_id.is_not(None), Recipient.excluded.not_in(PASSED_OVER)
    )
    return wanted.where(_is_silent()) if silent else wanted


def _persons(db: Session, audience: Audience) -> set[int | None] | None:
    """Who of no body is meant where an earlier broadcast decides; None where the regions do."""
    broadcast_id = audience.silent_of or audience.holders_of
    if broadcast_id is None:
        return None
    wanted = select(Recipient.person_id).where(Recipient.broadcast_id == broadcast_id, Recipient.body_id.is_(None))
    return set(db.scalars(wanted.where(_is_silent()) if audience.silent_of else wanted))


def _said(db: Session, audience: Audience) -> set[int | None]:
    """Who has acknowledged for themselves the broadcast that must not be acknowledged yet."""
    own = select(Acknowledgement.person_id).where(
        Acknowledgement.broadcast_id == audience.silent_of, Acknowledgement.party.startswith("person:")
    )
    return set(db.scalars(own)) if audience.silent_of is not None else set()


# --- the snapshot ----------------------------------------------------------------------------------------------------


def keep(db: Session, broadcast: Broadcast, lines: Sequence[Line]) -> None:
    """Store an audience as it stands; an earlier one of the broadcast goes."""
    rows = [
        {
            "broadcast_id": broadcast.id, "person_id": one.person_id, "role": one.role, "body_id": one.body_id,
            "division_code": one.division_code, "excluded": one.excluded,
        }
        for one in lines
    ]  # fmt: skip
    with scope.serving(db, scope.SYSTEM):
        old = delete(Recipient).where(Recipient.broadcast_id == broadcast.id)
        db.execute(old.execution_options(synchronize_session=False))
        if rows:
            db.execute(insert(Recipient), rows)


@dataclass(frozen=True, kw_only=True)
class Tally:
    """An audience in numbers: how many it goes to by division, how many bodies, and who is left out by reason.

    Of those left out the first ones are named.
    """

    codes: Mapping[str, int]
    bodies: int
    left_out: Mapping[str, tuple[int, Sequence[Line]]]


def tally(lines: Sequence[Line], named: int) -> Tally:
    """Count an audience that has been found."""
    left_out: dict[str, list[Line]] = {}
    for one in lines:
        if one.excluded:
            left_out.setdefault(one.excluded, []).append(one)
    return Tally(
        codes=Counter(one.code for one in lines if not one.excluded),
        bodies=len({one.body_id for one in lines if one.body_id and one.excluded not in PASSED_OVER}),
        left_out={reason: (len(found), found[:named]) for reason, found in left_out.items()},
    )


def tally_kept(db: Session, broadcast: Broadcast, named: int) -> Tally:
    """Count a stored audience, however large, as `tally` does."""
    place = (Recipient.excluded, Recipient.body_id, Recipient.division_code)
    lines = select(*place, func.count().label("count"), func.min(Recipient.id).label("first"))
    parts = lines.where(Recipient.broadcast_id == broadcast.id).group_by(*place).subquery()
    code = func.coalesce(Body.division_code, parts.c.division_code, "")
    wanted = (
        select(parts.c.excluded, parts.c.body_id, code, parts.c.count)
        .outerjoin(Body, Body.id == parts.c.body_id)
        .order_by(parts.c.first)
    )
    with scope.serving(db, scope.SYSTEM):
        found = db.execute(wanted).all()
    codes, left_out = Counter[str](), Counter[str]()
    for excluded, _, of, count in found:
        codes.update({of: count} if not excluded else {})
        left_out.update({excluded: count} if excluded else {})
    return Tally(
        codes=codes,
        bodies=len({body_id for excluded, body_id, *_ in found if body_id and excluded not in PASSED_OVER}),
        left_out={reason: (count, kept(db, broadcast, reason, named)) for reason, count in left_out.items()},
    )


def kept(db: Session, broadcast: Broadcast, excluded: str | None = None, limit: int | None = None) -> list[Line]:
    """The stored audience of a broadcast that the viewer was found to see, or the first ones left out for a reason."""
    own = (Recipient.person_id, Recipient.role, Recipient.body_id, Recipient.division_code, Recipient.excluded)
    wanted = (
        select(*own, Person.name, Body.name.label("place"), Body.division_code.label("code"))
        .outerjoin(Person, Person.id == Recipient.person_id)
        .outerjoin(Body, Body.id == Recipient.body_id)
        .where(Recipient.broadcast_id == broadcast.id)
        .order_by(Recipient.id)
        .limit(limit)
    )
    if excluded is not None:
        wanted = wanted.where(Recipient.excluded == excluded)
    with scope.serving(db, scope.SYSTEM):
        return [
            Line(
                person_id=one.person_id, name=one.name or "", role=one.role, body_id=one.body_id,
                division_code=one.division_code, code=one.code or one.division_code or "", place=one.place or "",
                excluded=one.excluded,
            )
            for one in db.execute(wanted)
        ]  # fmt: skip
