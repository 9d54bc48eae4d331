"""Who may see and change what. One place filters every read, one guards every write; outside scope is "not found".

A session serves one viewer at a time. A session without one finds nothing of any body: scope is denied by default.
On PostgreSQL the same holds once more below (storage.policies), for which each transaction is told its viewer.
"""

import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from typing import Any
from weakref import WeakKeyDictionary

from sqlalchemy import (
    ColumnElement,
    Connection,
    Engine,
    Table,
    and_,
    any_,
    event,
    false,
    func,
    inspect,
    or_,
    select,
    true,
)
from sqlalchemy.orm import ORMExecuteState, Session, SessionTransaction, UOWTransaction
from sqlalchemy.orm.util import LoaderCriteriaOption
from sqlalchemy.sql import visitors

from storage.models import Base, Body, Invitation, MaybeOfBody, OfBody, Person, Role

ROLES: Mapping[str, str] = {
    "county_officer": "县级经办人",
    "county_head": "县级分管负责人",
    "contractor": "承办单位联系人",
    "city": "市级联系人",
    "province_officer": "省级经办人",
    "province_approver": "省级审核人",
    "province_leader": "厅领导",
    "hotline": "热线坐席",
    "system_admin": "系统管理员",
    "security_admin": "安全管理员",
    "audit_admin": "审计管理员",
}
COUNTY = ("county_officer", "county_head", "contractor")
PROVINCE = ("province_officer", "province_approver", "province_leader")
READERS = (*COUNTY, "city", *PROVINCE, "hotline")  # the administrators see no body's business

MAY: Mapping[str, tuple[str, ...]] = {
    "report_facts": ("county_officer", "county_head", "province_officer"),
    "report_funds": ("county_officer", "county_head", "province_officer"),
    "self_check": ("county_officer", "county_head", "province_officer"),
    "invite": ("county_head", "province_officer", "security_admin"),
    "import_people": ("province_officer", "security_admin"),
    "see_phone": ("province_officer", "hotline"),
    "broadcast": ("province_officer",),
    "approve": ("province_approver",),
    "quarantine": ("province_officer", "province_approver"),
    "check": ("province_officer", "province_approver"),
    "make_papers": ("county_officer", "county_head", "city", *PROVINCE),
    "settle_deadlines": ("province_officer", "province_approver"),
    "switch_sending": ("system_admin", "province_approver", "province_officer"),
    "call": ("hotline", "province_officer"),
    "answer_questions": ("province_officer", "province_approver"),
    "edit_knowledge": ("province_officer", "province_approver"),
    "acknowledge_for": ("hotline", "province_officer"),
}


class OutOfScope(Exception):
    """A write that the viewer's roles do not allow. The doors say "not found"."""


def prefix_of(code: str) -> str:
    """What the codes within a division begin with: 62 for a province, 6205 for a city."""
    return code[:2] if code.endswith("0000") else code[:4] if code.endswith("00") else code


@dataclass(frozen=True, kw_only=True)
class Grant:
    """A role and where it holds: one body, or every body of a division."""

    role: str
    body_id: int | None
    division_code: str | None

    @property
    def prefix(self) -> str:
        """What the codes of the division's counties begin with."""
        return prefix_of(self.division_code or "")


@dataclass(frozen=True, kw_only=True)
class Viewer:
    """Whoever a session works for. `system` is the program itself: imports, jobs, the command line."""

    person_id: int | None = None
    grants: tuple[Grant, ...] = ()
    channel: str = ""
    system: bool = False

    @property
    def roles(self) -> frozenset[str]:
        return frozenset(grant.role for grant in self.grants)

    def may(self, action: str) -> bool:
        """Whether a role of theirs allows the action somewhere."""
        return self.system or not self.roles.isdisjoint(MAY[action])

    def role_for(self, action: str) -> str:
        """The role that allows the action, for the audit."""
        return "system" if self.system else next((role for role in MAY[action] if role in self.roles), "")

    @property
    def division(self) -> str | None:
        """The division whose own rows they read and write: the province's, for the province's people."""
        return next((grant.division_code for grant in self.grants if grant.role in PROVINCE), None)


SYSTEM = Viewer(system=True)
OPERATOR = Viewer(system=True, channel="terminal")  # whoever runs the command line
NOBODY = Viewer()


def bodies(viewer: Viewer, *roles: str) -> ColumnElement[bool]:
    """The condition on Body that holds for what the viewer reads, or reaches with one of `roles`."""
    if viewer.system:
        return true()
    reached = [grant for grant in viewer.grants if grant.role in (roles or READERS)]
    own = [grant.body_id for grant in reached if grant.body_id is not None]
    conditions: list[ColumnElement[bool]] = [Body.id.in_(own)] if own else []
    return or_(false(), *conditions, _below(Body.division_code, reached))


def _below(code: Any, reached: Collection[Grant]) -> ColumnElement[bool]:  # Any: a column, mapped or not
    """The condition on a division's code that it lies within one of the grants' divisions."""
    return or_(false(), *(code.startswith(grant.prefix) for grant in reached if grant.division_code))


def reaches(db: Session, viewer: Viewer, action: str, body_id: int) -> bool:
    """Whether a role that allows the action holds for this body."""
    return bool(reached(db, viewer, action, {body_id}))


def reached(db: Session, viewer: Viewer, action: str, body_ids: set[int]) -> set[int]:
    """Those of the bodies for which a role that allows the action holds."""
    return _reached(db, body_ids, bodies(viewer, *MAY[action]))


def _reached(db: Session, body_ids: set[int], condition: ColumnElement[bool]) -> set[int]:
    """Those of the bodies that a condition holds for, asked past the filter: administrators reach what they do not read."""
    wanted = select(Body.id).where(Body.id.in_(body_ids), condition)
    return set(db.connection().scalars(wanted)) if body_ids else set()


def grants(db: Session, person_id: int) -> tuple[Grant, ...]:
    """A person's roles that have not ended."""
    held = select(Role.role, Role.body_id, Role.division_code).where(
        Role.person_id == person_id, Role.ended_at.is_(None)
    )
    with serving(db, SYSTEM):
        return tuple(
            Grant(role=role, body_id=body_id, division_code=code) for role, body_id, code in db.execute(held).all()
        )


def standing(db: Session, person_id: int) -> Viewer:
    """A person as a viewer with the roles that they hold now, whoever asks."""
    return Viewer(person_id=person_id, grants=grants(db, person_id))


def covers(db: Session, viewer: Viewer, body_id: int | None, division_code: str | None) -> bool:
    """Whether any role of the viewer holds for a body, or for a division."""
    if body_id is not None:
        return bool(_reached(db, {body_id}, bodies(viewer, *ROLES)))
    return any(one.division_code and (division_code or "").startswith(one.prefix) for one in viewer.grants)


def enter(db: Session, user: Person | None, channel: str, held: Sequence[Grant] | None = None) -> Viewer:
    """Let a session serve a person from now on; nobody in particular when there is none. `held`: if known already."""
    viewer = NOBODY
    if user is not None:
        held = grants(db, user.id) if held is None else held
        viewer = Viewer(person_id=user.id, grants=tuple(held), channel=channel)
    db.info["viewer"] = viewer
    return viewer


@contextmanager
def serving(db: Session, viewer: Viewer) -> Iterator[Session]:
    """Let a session serve somebody else for a while: the program itself, or the next recipient."""
    before = db.info.get("viewer", NOBODY)
    db.flush()
    db.info["viewer"] = viewer
    try:
        yield db
        db.flush()
    finally:
        db.info["viewer"] = before


def viewer_of(db: Session) -> Viewer:
    """Whom a session serves."""
    found: Viewer = db.info.get("viewer", NOBODY)
    return found


# --- the one filter, the one guard -----------------------------------------------------------------------------------


SCOPED: tuple[Any, ...] = tuple(
    mapper.class_ for mapper in Base.registry.mappers if issubclass(mapper.class_, OfBody | MaybeOfBody | Body | Person)
)
GIVEN = (Role, Invitation)
_TABLES = frozenset(one.__tablename__ for one in SCOPED)
_TOUCHING: WeakKeyDictionary[Any, frozenset[str]] = WeakKeyDictionary()  # Any: statements, each as itself


class ScopedSession(Session):
    """A session whose `get` asks the filter, also for a row that another viewer's turn of the session has loaded."""

    def get(self, entity: Any, ident: Any, **options: Any) -> Any:  # Any: as the method that it replaces
        if entity not in SCOPED or viewer_of(self).system:
            return super().get(entity, ident, **options)
        wanted = select(entity).where(entity.id == ident)
        if options.get("with_for_update"):
            wanted = wanted.with_for_update()
        return self.scalars(wanted).one_or_none()


@event.listens_for(Session, "do_orm_execute")
def _filter(state: ORMExecuteState) -> None:
    viewer = viewer_of(state.session)
    if viewer.system or not (touched := _touched(state.statement)):
        return
    if not (state.is_select and state.is_orm_statement):
        # what the filter or the guard would not see: rows of a subquery counted, rows changed by a statement
        raise OutOfScope(str(state.statement))
    state.statement = state.statement.options(
        *_criteria(viewer, touched, state.session.get_bind().dialect.name == "postgresql")
    )


def _touched(statement: Any) -> frozenset[str]:  # Any: whatever can be executed
    """The scoped tables that stand anywhere in a statement. One made once is looked through once."""
    known = _TOUCHING.get(statement)
    if known is None:
        tables = (part.name for part in visitors.iterate(statement) if isinstance(part, Table))
        known = _TOUCHING[statement] = _TABLES.intersection(tables)
    return known


@lru_cache(maxsize=4096)
def _criteria(viewer: Viewer, tables: frozenset[str], arrays: bool) -> tuple[LoaderCriteriaOption, ...]:
    """What the classes of these tables are filtered by: a statement is hashed with all that it is given.

    `arrays`: whether the database has them. Plain expressions: a lambda's would be cached for the next viewer.
    """
    made: list[tuple[Any, ColumnElement[bool]]] = [
        (
            one,
            bodies(viewer) if one is Body else _people(viewer, arrays) if one is Person else _rows(viewer, one, arrays),
        )
        for one in SCOPED
        if one.__tablename__ in tables
    ]
    return tuple(Criteria(one, condition, include_aliases=True) for one, condition in made)


class Criteria(LoaderCriteriaOption):
    """SQLAlchemy's filter of a class, also of an alias that is joined: it would filter the class once more instead."""

    _cache_key_traversal = LoaderCriteriaOption._traverse_internals

    def _resolve_where_criteria(self, ext_info: Any) -> ColumnElement[bool]:  # Any: a mapper, or an alias of it
        found = super()._resolve_where_criteria(ext_info)
        return ext_info._adapter.traverse(found) if ext_info.is_aliased_class else found


def _rows(viewer: Viewer, mapped: Any, arrays: bool) -> ColumnElement[bool]:  # Any: a class of OfBody or MaybeOfBody
    """Rows of what the viewer reads, of the province they work for, and of no body but about themselves.

    PostgreSQL is given the bodies as an array: it would join them to a list that it believes to be short.
    """
    read = select(Body.id).where(bodies(viewer))
    of_body: ColumnElement[bool] = (
        mapped.body_id == any_(func.array(read.scalar_subquery())) if arrays else mapped.body_id.in_(read)
    )
    if issubclass(mapped, OfBody):
        return of_body
    conditions = [of_body, and_(mapped.body_id.is_(None), _below(mapped.division_code, _provincial(viewer)))]
    if viewer.person_id is not None and hasattr(mapped, "person_id"):
        conditions.append(and_(mapped.body_id.is_(None), mapped.person_id == viewer.person_id))
    return or_(*conditions)


def _people(viewer: Viewer, arrays: bool) -> ColumnElement[bool]:
    """Oneself, and whoever holds a role now or is invited to one where the viewer reads.

    Of a whole division's people each is asked after by themselves, and LIMIT keeps them so: a page of them is found
    without gathering all. A body's few are gathered first.
    """
    conditions: list[ColumnElement[bool]] = [Person.id == viewer.person_id] if viewer.person_id is not None else []
    wide = any(one.division_code for one in viewer.grants)
    for mapped, current in (
        (Role, Role.ended_at.is_(None)),
        (Invitation, and_(Invitation.used_at.is_(None), Invitation.revoked_at.is_(None))),
    ):
        held = and_(current, _rows(viewer, mapped, arrays))
        found = select(true()).where(mapped.person_id == Person.id, held).correlate(Person).limit(1).scalar_subquery()
        conditions.append(found if wide else Person.id.in_(select(mapped.person_id).where(held)))
    return or_(*conditions)


def _provincial(viewer: Viewer) -> list[Grant]:
    return [grant for grant in viewer.grants if grant.role in PROVINCE]


@event.listens_for(Session, "before_flush")
def _guard(db: Session, _context: UOWTransaction, _instances: object) -> None:
    """Refuse rows of places that the viewer does not reach, before and after the change.

    Who may change people and give roles is decided by MAY: administrators give roles where they read nothing.
    """
    viewer = viewer_of(db)
    if viewer.system:
        return
    for row in (*db.new, *db.dirty, *db.deleted):
        if not isinstance(row, OfBody | MaybeOfBody | Body):
            continue
        roles = READERS if isinstance(row, OfBody | Body) else tuple(ROLES)
        if isinstance(row, Body):
            body_ids, codes = {row.id}, set[Any]()
        else:
            body_ids = _was_and_is(row, "body_id")
            codes = _was_and_is(row, "division_code") if isinstance(row, MaybeOfBody) else set()
        held = [grant for grant in viewer.grants if grant.role in roles and grant.division_code]
        if body_ids != _reached(db, body_ids, bodies(viewer, *roles)) or not all(
            any(code.startswith(grant.prefix) for grant in held) for code in codes
        ):
            raise OutOfScope(type(row).__name__)


def _was_and_is(row: Any, name: str) -> set[Any]:  # Any: a mapped object and its column's values
    history = inspect(row).attrs[name].history
    return {value for value in (*history.deleted, getattr(row, name)) if value is not None}


# --- whom PostgreSQL is told of -----------------------------------------------------------------------------------------

SETTING = "countydesk.viewer"
_TELL = f"SELECT set_config('{SETTING}', %s, true)"
_NAMED = re.compile(rf"\b(?:{'|'.join(sorted(_TABLES))})\b")


@lru_cache(maxsize=4096)
def told(viewer: Viewer) -> str:
    """A viewer as policies read them: `system`, or their number and arrays, `7|{3}|{62%}|…`, see the order below."""
    if viewer.system:
        return "system"
    readers = [grant for grant in viewer.grants if grant.role in READERS]
    arrays = [array for held in (readers, viewer.grants) for array in (_own(held), _within(held))]
    return "|".join((str(viewer.person_id or ""), *arrays, _within(_provincial(viewer))))


def _own(held: Collection[Grant]) -> str:
    return "{" + ",".join(str(one.body_id) for one in held if one.body_id is not None) + "}"


def _within(held: Collection[Grant]) -> str:
    return "{" + ",".join(f"{one.prefix}%" for one in held if one.division_code) + "}"


def see_all(connection: Connection) -> None:
    """Let what is left of a transaction outside any session see every row: a backup's counts."""
    if connection.dialect.name == "postgresql":
        connection.exec_driver_sql(_TELL, ("system",))


def tell(engine: Engine) -> None:
    """Tell the transactions of sessions on PostgreSQL whom they serve, each time before it matters and has changed."""
    event.listen(engine, "begin", _forget)
    event.listen(engine, "rollback_savepoint", _forget_told)
    event.listen(engine, "before_cursor_execute", _tell)


def _forget(connection: Connection) -> None:
    connection.info.pop("serves", None)
    connection.info.pop("told", None)


def _forget_told(connection: Connection, _name: str, _context: object) -> None:
    connection.info["told"] = None  # the setting is undone with what came after the savepoint


@event.listens_for(Session, "after_begin")
def _begin(db: Session, _transaction: SessionTransaction, connection: Connection) -> None:
    connection.info["serves"] = db.info


def _tell(connection: Connection, _cursor: object, statement: str, *_rest: object) -> None:
    serves = connection.info.get("serves")
    if serves is None or not _names_scoped(statement):
        return
    viewer = serves.get("viewer", NOBODY)
    if connection.info.get("told", NOBODY) != viewer:  # nobody is what a transaction begins with
        connection.exec_driver_sql(_TELL, (told(viewer),))  # by the engine, which notices a lost connection
        connection.info["told"] = viewer


@lru_cache(maxsize=4096)
def _names_scoped(statement: str) -> bool:
    """Whether the text of a statement names a scoped table, or something of the same name."""
    return _NAMED.search(statement) is not None
