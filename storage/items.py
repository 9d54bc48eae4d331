"""Rectification items: one table of transitions, one function that applies them.

Only `apply` changes an item. It compares the version that the caller saw and sets the next one, so that of two people
at once one is told what the other has done. Flags such as overdue are computed, never stored.
Source: 商办建函〔2020〕144号 三, 五.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any, Literal

from sqlalchemy import case, select, update
from sqlalchemy.orm import Session

from storage import audit, scope
from storage.models import Body, Evidence, File, Item, ItemEvent, ItemUnit, Person, Role

State = Literal[
    "draft", "issued", "rectifying", "submitted", "verifying", "returned", "closed", "reopened", "confirmed",
    "withdrawn", "referred",
]  # fmt: skip

STATES: Mapping[State, str] = {
    "draft": "待下发",
    "issued": "待签收",
    "rectifying": "整改中",
    "submitted": "销号待审",
    "verifying": "核查中",
    "returned": "退回补充",
    "closed": "已销号",
    "reopened": "重新整改",
    "confirmed": "回头看通过",
    "withdrawn": "移出清单",
    "referred": "转处理",
}
SOURCES = ("绩效评价", "复核", "审计", "日常检查", "举报", "专项整改")
CATEGORIES = ("助农增收", "公共服务中心", "站点", "物流", "培训", "项目管理", "资金", "公开标识", "其他")
KINDS = ("立行立改", "分阶段", "持续")
METHODS = ("材料审核", "现场考察", "电话回访", "物流追溯")
CHECKS = ("回头看", "日常监督检查")

AT_COUNTY: tuple[State, ...] = ("issued", "rectifying", "returned", "reopened")
WORKING: tuple[State, ...] = ("rectifying", "returned", "reopened")
AT_PROVINCE: tuple[State, ...] = ("submitted", "verifying")
OPEN: tuple[State, ...] = (*AT_COUNTY, *AT_PROVINCE)
DONE: tuple[State, ...] = ("closed", "confirmed")
COUNTED: tuple[State, ...] = (*OPEN, *DONE, "referred")  # issued and not taken off the list

Said = Mapping[str, Any]  # Any: JSON values of an event's fields


@dataclass(frozen=True, kw_only=True)
class Transition:
    """One row of the table. `after` None leaves the state; `needs` are fields that must not be empty.

    `other_than` names events whose last actor must be somebody else; `waiting` is the signature that must be asked for.
    """

    before: tuple[State, ...]
    after: State | None
    roles: tuple[str, ...]
    needs: tuple[str, ...] = ()
    other_than: tuple[str, ...] = ()
    waiting: str = ""
    sets: Callable[[Item, Said, datetime], dict[str, Any]] = lambda item, said, now: {}


class NotFound(Exception):
    """There is no such item, or not for this viewer."""


class Overtaken(Exception):
    """The item has changed, or its state does not allow the event. Says what it is now and who made it so."""

    def __init__(self, item: Item, last: ItemEvent) -> None:
        super().__init__(item.state)
        self.state, self.version, self.waiting = item.state, item.version, item.waiting
        self.event, self.person_id, self.at = last.event, last.person_id, last.at


class Incomplete(Exception):
    """Fields are missing."""

    def __init__(self, fields: Sequence[str]) -> None:
        super().__init__(", ".join(fields))
        self.fields = tuple(fields)


class SamePerson(Exception):
    """The event needs another person than the one who did `event`."""

    def __init__(self, event: str) -> None:
        super().__init__(event)
        self.event = event


_OFFICER = ("county_officer", "county_head")
_REVIEWER = ("province_officer", "province_approver")
_APPROVER = ("province_approver",)


def _dated(item: Item, said: Said, now: datetime) -> dict[str, Any]:
    return {"measure": said["measure"]}


def _due(item: Item, said: Said, now: datetime) -> dict[str, Any]:
    due = date.fromisoformat(said["due_on"])
    return {"due_on": due, "first_due_on": item.first_due_on or due, "issued_at": now}


def _extended(item: Item, said: Said, now: datetime) -> dict[str, Any]:
    return {"due_on": item.asked_due_on, "asked_due_on": None, "extensions": item.extensions + 1}


TRANSITIONS: Mapping[str, Transition] = {
    "issue": Transition(
        before=("draft",), after="issued", roles=_APPROVER, needs=("due_on",), other_than=("draft",), sets=_due
    ),
    "acknowledge": Transition(before=("issued",), after="rectifying", roles=_OFFICER, needs=("measure",), sets=_dated),
    "report": Transition(
        before=WORKING,
        after=None,
        roles=(*_OFFICER, "contractor", "hotline"),
        needs=("text",),
        sets=lambda item, said, now: {"progress": int(said.get("progress", item.progress))},
    ),
    "attach": Transition(before=WORKING, after=None, roles=(*_OFFICER, "contractor"), needs=("files",)),
    "detach": Transition(before=WORKING, after=None, roles=_OFFICER, needs=("files",)),
    "request": Transition(
        before=WORKING,
        after=None,
        roles=_OFFICER,
        needs=("declared",),
        sets=lambda item, said, now: {"waiting": "head"},
    ),
    "agree": Transition(
        before=WORKING,
        after="submitted",
        roles=("county_head",),
        waiting="head",
        sets=lambda item, said, now: {"waiting": "", "submitted_at": now},
    ),
    "decline": Transition(
        before=WORKING,
        after=None,
        roles=("county_head",),
        needs=("reason",),
        waiting="head",
        sets=lambda item, said, now: {"waiting": ""},
    ),
    "submit": Transition(
        before=WORKING,
        after="submitted",
        roles=_OFFICER,
        needs=("declared",),
        sets=lambda item, said, now: {"waiting": "", "submitted_at": now},
    ),
    "recall": Transition(
        before=(*WORKING, "submitted"),
        after="rectifying",
        roles=_OFFICER,
        sets=lambda item, said, now: {"waiting": ""},
    ),
    "claim": Transition(
        before=("submitted",),
        after="verifying",
        roles=_REVIEWER,
        other_than=("submit", "agree", "request"),
        sets=lambda item, said, now: {"holder_id": said["holder_id"]},
    ),
    "release": Transition(
        before=("verifying",),
        after="submitted",
        roles=_REVIEWER,
        sets=lambda item, said, now: {"holder_id": None, "waiting": ""},
    ),
    "return": Transition(
        before=("verifying",),
        after="returned",
        roles=_REVIEWER,
        needs=("lines",),
        sets=lambda item, said, now: {"holder_id": None, "waiting": "", "returns": item.returns + 1},
    ),
    "propose": Transition(
        before=("verifying",),
        after=None,
        roles=_REVIEWER,
        needs=("method", "finding"),
        sets=lambda item, said, now: {"waiting": "approver"},
    ),
    "close": Transition(
        before=("verifying",),
        after="closed",
        roles=_APPROVER,
        other_than=("propose", "claim", "submit", "agree"),
        waiting="approver",
        sets=lambda item, said, now: {"waiting": "", "holder_id": None, "closed_at": now, "progress": 100},
    ),
    "refuse": Transition(
        before=("verifying",),
        after=None,
        roles=_APPROVER,
        needs=("reason",),
        waiting="approver",
        sets=lambda item, said, now: {"waiting": ""},
    ),
    "confirm": Transition(
        before=("closed",),
        after="confirmed",
        roles=_REVIEWER,
        needs=("check", "method", "finding"),
        other_than=("close",),
    ),
    "reopen": Transition(
        before=("closed",),
        after="reopened",
        roles=_REVIEWER,
        needs=("check", "method", "finding", "due_on"),
        other_than=("close",),
        sets=lambda item, said, now: {
            "due_on": date.fromisoformat(said["due_on"]),
            "round": item.round + 1,
            "closed_at": None,
            "progress": 0,
        },
    ),
    "ask_extension": Transition(
        before=WORKING,
        after=None,
        roles=("county_head", "county_officer"),
        needs=("new_due_on", "reason"),
        sets=lambda item, said, now: {"asked_due_on": date.fromisoformat(said["new_due_on"])},
    ),
    "grant_extension": Transition(before=WORKING, after=None, roles=_REVIEWER, sets=_extended),
    "deny_extension": Transition(
        before=WORKING,
        after=None,
        roles=_REVIEWER,
        needs=("reason",),
        sets=lambda item, said, now: {"asked_due_on": None},
    ),
    "withdraw": Transition(
        before=("draft", *OPEN),
        after="withdrawn",
        roles=_APPROVER,
        needs=("reason",),
        sets=lambda item, said, now: {"waiting": "", "duplicate_of": said.get("duplicate_of")},
    ),
    "refer": Transition(
        before=OPEN,
        after="referred",
        roles=("province_approver", "province_leader"),
        needs=("document", "reason"),
        other_than=("claim",),
        sets=lambda item, said, now: {"waiting": ""},
    ),
}
_SIGNATURES = ("close",)  # two people even where one operates everything (试点模式)


def find(db: Session, item_id: int) -> Item:
    """An item that the viewer may see. Raises NotFound."""
    found = db.scalars(select(Item).where(Item.id == item_id).execution_options(populate_existing=True)).one_or_none()
    if found is None:
        raise NotFound(str(item_id))
    return found


def add(db: Session, body: Body, now: datetime, **values: Any) -> Item:
    """Put an item on a body's list, not issued yet. `values` are columns of Item."""
    item = Item(body_id=body.id, state="draft", changed_at=now, at=now, version=1, **values)
    item.first_due_on = item.first_due_on or item.due_on
    db.add(item)
    db.flush()
    _note(db, item, "draft", "draft", _role(db, item, ("province_officer", "province_approver")), {}, now)
    return item


def apply(
    db: Session, item_id: int, version: int, event: str, said: Said, now: datetime, *, pilot: bool = False
) -> Item:
    """Apply an event by the session's viewer to the item as of `version`; the item afterwards.

    `pilot` lets one person hold several parts, except for closing. Raises NotFound, scope.OutOfScope, Overtaken,
    Incomplete or SamePerson, with nothing changed.
    """
    item = find(db, item_id)
    rule = TRANSITIONS[event]
    role = _role(db, item, rule.roles)
    if item.version != version or item.state not in rule.before or (rule.waiting and item.waiting != rule.waiting):
        raise _overtaken(db, item)
    if missing := [field for field in rule.needs if not said.get(field)]:
        raise Incomplete(missing)
    if not pilot or event in _SIGNATURES:
        _other_person(db, item, rule)
    before = item.state
    values = {
        "state": rule.after or item.state,
        "version": version + 1,
        "changed_at": now,
        **rule.sets(item, said, now),
    }
    changed = (
        update(Item)
        .where(Item.id == item.id, Item.version == version)
        .values(values)
        .returning(Item.id)
        .execution_options(synchronize_session=False)
    )
    with scope.serving(
        db, scope.SYSTEM
    ):  # the role has been proved; a change of many rows is refused to everybody else
        done = db.scalars(changed).first()
    if done is None:
        raise _overtaken(db, find(db, item_id))
    item = find(db, item_id)
    _note(db, item, event, before, role, said, now)
    return item


def _overtaken(db: Session, item: Item) -> Overtaken:
    return Overtaken(item, trail(db, item.id)[-1])


def _role(db: Session, item: Item, roles: Sequence[str]) -> str:
    """The viewer's role that allows an event on this item. Raises OutOfScope when none does."""
    viewer = scope.viewer_of(db)
    if viewer.system:
        return "system"
    for role in roles:
        if not any(grant.role == role for grant in viewer.grants):
            continue
        reached = select(Body.id).where(Body.id == item.body_id, scope.bodies(viewer, role))
        if db.scalars(reached).first() is None:
            continue
        if role != "contractor" or _works_on(db, viewer.person_id, item):
            return role
    raise scope.OutOfScope(f"item:{item.id}")


def _works_on(db: Session, person_id: int | None, item: Item) -> bool:
    """Whether a contractor's unit is responsible for the item."""
    own = (
        select(ItemUnit.id)
        .join(Person, Person.unit_id == ItemUnit.unit_id)
        .where(ItemUnit.item_id == item.id, Person.id == person_id)
    )
    return db.scalars(own).first() is not None


def _other_person(db: Session, item: Item, rule: Transition) -> None:
    """Two people where the table asks for two: in this round, somebody else did the events named."""
    person_id = scope.viewer_of(db).person_id
    if person_id is None or not rule.other_than:
        return
    latest = case({"draft": 0}, value=ItemEvent.event, else_=1)
    past = (
        select(ItemEvent.event)
        .where(ItemEvent.item_id == item.id, ItemEvent.event.in_(rule.other_than), ItemEvent.person_id == person_id)
        .where(ItemEvent.version > _round_began(db, item))
        .order_by(latest.desc(), ItemEvent.version.desc())
    )
    if (event := db.scalars(past).first()) is not None:
        raise SamePerson(event)


def _round_began(db: Session, item: Item) -> int:
    """The version at which the item was last sent back or reopened: earlier signatures are used up."""
    turned = select(ItemEvent.version).where(ItemEvent.item_id == item.id, ItemEvent.event.in_(("return", "reopen")))
    return db.scalars(turned.order_by(ItemEvent.version.desc())).first() or 0


def _note(db: Session, item: Item, event: str, before: str, role: str, said: Said, now: datetime) -> None:
    viewer = scope.viewer_of(db)
    db.add(
        ItemEvent(
            item_id=item.id,
            body_id=item.body_id,
            version=item.version,
            event=event,
            before=before,
            after=item.state,
            person_id=viewer.person_id,
            role=role,
            channel=viewer.channel,
            said=dict(said),
            evidence=hashes(db, item.id),
            at=now,
        )
    )
    audit.record(
        db,
        f"item.{event}",
        f"item:{item.id}",
        now=now,
        role=role,
        body_id=item.body_id,
        before={"state": before},
        after={"state": item.state, "version": item.version},
        reason=str(said.get("reason", "")),
    )
    db.flush()


# --- reading -----------------------------------------------------------------------------------------------------


def trail(db: Session, item_id: int) -> list[ItemEvent]:
    """What happened to an item, oldest first."""
    return list(db.scalars(select(ItemEvent).where(ItemEvent.item_id == item_id).order_by(ItemEvent.version)))


def hashes(db: Session, item_id: int) -> list[str]:
    """The hashes of the files that stand as an item's evidence."""
    wanted = (
        select(File.sha256)
        .join(Evidence, Evidence.file_id == File.id)
        .where(Evidence.item_id == item_id, Evidence.withdrawn_at.is_(None), File.sha256.is_not(None))
    )
    return sorted(one for one in db.scalars(wanted) if one)


def open_items(db: Session, body_id: int, on: date) -> list[Item]:
    """A body's unfinished items, most urgent first: overdue, then by deadline, without one last.

    Source: 商办建函〔2020〕144号 三(一).
    """
    wanted = select(Item).where(Item.body_id == body_id, Item.state.in_(OPEN))
    return sorted(db.scalars(wanted), key=lambda one: (one.due_on or date.max, one.number))


def queue(db: Session, limit: int = 50, offset: int = 0) -> list[Item]:
    """What the province has to review, the longest waiting first."""
    wanted = select(Item).where(Item.state.in_(AT_PROVINCE)).order_by(Item.submitted_at, Item.id)
    return list(db.scalars(wanted.limit(limit).offset(offset)))


def heads(db: Session, body_id: int) -> list[int]:
    """The people who confirm a body's submissions."""
    wanted = select(Role.person_id).where(Role.body_id == body_id, Role.role == "county_head", Role.ended_at.is_(None))
    return sorted(set(db.scalars(wanted)))


# --- flags -------------------------------------------------------------------------------------------------------


def overdue_days(item: Item, on: date, *, original: bool = False) -> int:
    """Days past the current deadline, or the original one; 0 when not overdue or not open."""
    due = item.first_due_on if original else item.due_on
    return max(0, (on - due).days) if due is not None and item.state in OPEN else 0


def stale(item: Item, now: datetime, days: int = 15) -> bool:
    """Whether a county has reported nothing for so long."""
    return item.state in WORKING and (now - item.changed_at).days >= days


def burst(item: Item) -> bool:
    """Whether it was closed within five days before its deadline: such items are looked at first in a follow-up check."""
    if item.closed_at is None or item.due_on is None:
        return False
    return 0 <= (item.due_on - item.closed_at.date()).days <= 5
