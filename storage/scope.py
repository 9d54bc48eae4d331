"""Who may see and change what. One place filters every read, one guards every write; outside scope is "not found".

A session serves one viewer at a time. A session without one finds nothing of any body: scope is denied by default.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, event, false, or_, select, true
from sqlalchemy.orm import ORMExecuteState, Session, UOWTransaction, with_loader_criteria

from storage.models import Body, MaybeOfBody, OfBody, Person, Role

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
    "invite": ("county_head", "province_officer", "security_admin"),
    "import_people": ("province_officer", "security_admin"),
    "see_phone": ("province_officer", "hotline"),
    "broadcast": ("province_officer",),
    "approve": ("province_approver",),
    "answer_questions": ("province_officer", "province_approver"),
}


class OutOfScope(Exception):
    """A write that the viewer's roles do not allow. The doors say "not found"."""


@dataclass(frozen=True, kw_only=True)
class Grant:
    """A role and where it holds: one body, or every body of a division."""

    role: str
    body_id: int | None
    division_code: str | None

    @property
    def prefix(self) -> str:
        """What the codes of the division's counties begin with: 62 for a province, 6205 for a city."""
        code = self.division_code or ""
        return code[:2] if code.endswith("0000") else code[:4] if code.endswith("00") else code


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
    def province_wide(self) -> bool:
        return self.system or not self.roles.isdisjoint(PROVINCE)


SYSTEM = Viewer(system=True)
NOBODY = Viewer()


def bodies(viewer: Viewer, *roles: str) -> ColumnElement[bool]:
    """The condition on Body that holds for what the viewer reads, or reaches with one of `roles`."""
    if viewer.system:
        return true()
    reached = [grant for grant in viewer.grants if grant.role in (roles or READERS)]
    own = [grant.body_id for grant in reached if grant.body_id is not None]
    conditions: list[ColumnElement[bool]] = [Body.id.in_(own)] if own else []
    conditions += [Body.division_code.startswith(grant.prefix) for grant in reached if grant.division_code]
    return or_(false(), *conditions)


def reaches(db: Session, viewer: Viewer, action: str, body_id: int) -> bool:
    """Whether a role that allows the action holds for this body."""
    found = select(Body.id).where(Body.id == body_id, bodies(viewer, *MAY[action]))
    return db.scalars(found).first() is not None


def grants(db: Session, person_id: int) -> tuple[Grant, ...]:
    """A person's roles that have not ended."""
    held = select(Role.role, Role.body_id, Role.division_code).where(
        Role.person_id == person_id, Role.ended_at.is_(None)
    )
    with serving(db, SYSTEM):
        return tuple(
            Grant(role=role, body_id=body_id, division_code=code) for role, body_id, code in db.execute(held).all()
        )


def enter(db: Session, user: Person | None, channel: str) -> Viewer:
    """Let a session serve a person from now on; nobody in particular when there is none."""
    viewer = NOBODY if user is None else Viewer(person_id=user.id, grants=grants(db, user.id), channel=channel)
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


def _scoped(mapped: Any) -> bool:  # Any: a mapped class
    return issubclass(mapped, OfBody | MaybeOfBody | Body | Person)


@event.listens_for(Session, "do_orm_execute")
def _filter(state: ORMExecuteState) -> None:
    viewer = viewer_of(state.session)
    if viewer.system or not any(_scoped(mapper.class_) for mapper in state.all_mappers):
        return
    visible = select(Body.id).where(bodies(viewer))
    own = viewer.person_id
    of_all = true() if viewer.province_wide else false()
    colleagues = select(Role.person_id).where(or_(Role.body_id.in_(visible), of_all))
    state.statement = state.statement.options(
        with_loader_criteria(Body, bodies(viewer), include_aliases=True),
        with_loader_criteria(
            OfBody, lambda cls: cls.body_id.in_(visible), include_aliases=True, track_closure_variables=False
        ),
        with_loader_criteria(
            MaybeOfBody,
            lambda cls: or_(cls.body_id.in_(visible), of_all),
            include_aliases=True,
            track_closure_variables=False,
        ),
        with_loader_criteria(Person, or_(Person.id == own, Person.id.in_(colleagues)), include_aliases=True),
    )


@event.listens_for(Session, "before_flush")
def _guard(db: Session, _context: UOWTransaction, _instances: object) -> None:
    viewer = viewer_of(db)
    if viewer.system:
        return
    changed = [one for one in (*db.new, *db.dirty, *db.deleted) if isinstance(one, OfBody)]
    if not changed:
        return
    with db.no_autoflush:
        for row in changed:
            reached = select(Body.id).where(Body.id == row.body_id, bodies(viewer))
            if db.scalars(reached).first() is None:
                raise OutOfScope(type(row).__name__)
