"""Rectification items: one table of transitions, one function that applies them.

Only `apply` changes an item. It compares the version that the caller saw and sets the next one, so that of two people
at once one is told what the other has done. Flags such as overdue are computed, never stored (storage.flags).
Source: 商办建函〔2020〕144号 三, 五.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from typing import Any, Literal

from sqlalchemy import ColumnElement, Row, func, or_, select, true, update
from sqlalchemy.orm import Session, aliased

from storage import audit, evidence, scope
from storage.db import among
from storage.models import Body, Item, ItemEvent, ItemUnit, Person

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

URGENT = (Item.due_on.is_(None), Item.due_on, Item.body_id, Item.id)
WAITING = (Item.state == "verifying", Item.submitted_at, Item.id)  # the longest first, before what has been claimed
MOST = 500  # items in one answer to the question what somebody works on
_STANDING = (
    Item.id, Item.body_id, Item.version, Item.number, Item.state, Item.waiting, Item.asked_due_on, Item.due_on
)  # fmt: skip
Standing = Row[Any]  # Any: the values of _STANDING, enough to tell what can be done with an item
Said = Mapping[str, Any]  # Any: JSON values of an event's fields


@dataclass(frozen=True, kw_only=True)
class Transition:
    """One row of the table. `after` None leaves the state; `needs` are fields that must not be empty.

    `other_than` names events whose last actor must be somebody else; `waiting` is the signature that must be asked for;
    `when` is what else must hold of the item.
    """

    before: tuple[State, ...]
    after: State | None
    roles: tuple[str, ...]
    needs: tuple[str, ...] = ()
    other_than: tuple[str, ...] = ()
    waiting: str = ""
    when: Callable[[Item | Standing], bool] = lambda item: True
    sets: Callable[[Item, Said, datetime], dict[str, Any]] = lambda item, said, now: {}


class NotFound(Exception):
    """There is no such item, or not for this viewer."""


class Overtaken(Exception):
    """The item has changed, or its state does not allow the event. Says what it is now and who made it so."""

    def __init__(self, item: "Item | Standing", last: ItemEvent) -> None:
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


def _applied(item: Item | Standing) -> bool:
    return item.state == "submitted" or item.waiting == "head"


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


def _asked(item: Item, said: Said, now: datetime) -> dict[str, Any]:
    return {"asked_due_on": date.fromisoformat(said["new_due_on"])}


def _denied(item: Item, said: Said, now: datetime) -> dict[str, Any]:
    return {"asked_due_on": None}


def _waits(whom: str) -> Callable[[Item, Said, datetime], dict[str, Any]]:
    return lambda item, said, now: {"waiting": whom}


def _sent(item: Item, said: Said, now: datetime) -> dict[str, Any]:
    return {"waiting": "", "submitted_at": now}


def _claimed(item: Item, said: Said, now: datetime) -> dict[str, Any]:
    return {"holder_id": said["holder_id"]}


def _released(item: Item, said: Said, now: datetime) -> dict[str, Any]:
    return {"holder_id": None, "waiting": ""}


def _returned(item: Item, said: Said, now: datetime) -> dict[str, Any]:
    return {**_released(item, said, now), "returns": item.returns + 1}


def _closed(item: Item, said: Said, now: datetime) -> dict[str, Any]:
    return {**_released(item, said, now), "closed_at": now, "progress": 100}


def _reopened(item: Item, said: Said, now: datetime) -> dict[str, Any]:
    due = date.fromisoformat(said["due_on"])
    return {"due_on": due, "round": item.round + 1, "closed_at": None, "progress": 0}


def _withdrawn(item: Item, said: Said, now: datetime) -> dict[str, Any]:
    return {"waiting": "", "duplicate_of": said.get("duplicate_of")}


def _progress(item: Item, said: Said, now: datetime) -> dict[str, Any]:
    return {"progress": int(said.get("progress", item.progress))}


_TEXTS = ("source", "category", "problem", "basis", "standard", "kind", "measure")
_FROM_TEXT: Mapping[str, Callable[[str], Any]] = {  # Any: the type of the column
    "found_on": date.fromisoformat, "due_on": date.fromisoformat, "amount": Decimal,
}  # fmt: skip


def _amended(item: Item, said: Said, now: datetime) -> dict[str, Any]:
    """The columns that a list gives anew; those of a draft only, so that no deadline in force is touched."""
    values = {key: after for key, (_, after) in said["changed"].items() if key in _TEXTS}
    for key, read in _FROM_TEXT.items():
        if key in said["changed"]:
            values[key] = read(said["changed"][key][1]) if said["changed"][key][1] else None
    return values | ({"first_due_on": values["due_on"]} if "due_on" in values else {})


TRANSITIONS: Mapping[str, Transition] = {
    "amend": Transition(before=("draft",), after=None, roles=_REVIEWER, needs=("changed",), sets=_amended),
    "issue": Transition(
        before=("draft",), after="issued", roles=_APPROVER, needs=("due_on",), other_than=("draft", "amend"), sets=_due
    ),
    "acknowledge": Transition(before=("issued",), after="rectifying", roles=_OFFICER, needs=("measure",), sets=_dated),
    "plan": Transition(before=("issued", *WORKING), after=None, roles=_OFFICER, needs=("stages",)),
    "report": Transition(
        before=WORKING, after=None, roles=(*_OFFICER, "contractor", "hotline"), needs=("text",), sets=_progress
    ),
    "attach": Transition(before=WORKING, after=None, roles=(*_OFFICER, "contractor"), needs=("files",)),
    "detach": Transition(before=WORKING, after=None, roles=_OFFICER, needs=("files",)),
    "request": Transition(
        before=WORKING, after=None, roles=_OFFICER, needs=("declared",), when=lambda item: not item.waiting,
        sets=_waits("head")
    ),
    "agree": Transition(before=WORKING, after="submitted", roles=("county_head",), waiting="head", sets=_sent),
    "decline": Transition(
        before=WORKING, after=None, roles=("county_head",), needs=("reason",), waiting="head", sets=_waits("")
    ),
    "submit": Transition(before=WORKING, after="submitted", roles=_OFFICER, needs=("declared",), sets=_sent),
    "recall": Transition(
        before=(*WORKING, "submitted"), after="rectifying", roles=_OFFICER, when=_applied, sets=_waits("")
    ),
    "claim": Transition(
        before=("submitted",), after="verifying", roles=_REVIEWER, other_than=("submit", "agree", "request"),
        sets=_claimed
    ),
    "release": Transition(before=("verifying",), after="submitted", roles=_REVIEWER, sets=_released),
    "return": Transition(before=("verifying",), after="returned", roles=_REVIEWER, needs=("lines",), sets=_returned),
    "propose": Transition(
        before=("verifying",), after=None, roles=_REVIEWER, needs=("method", "finding"), when=lambda item: not item.waiting,
        sets=_waits("approver")
    ),
    "close": Transition(
        before=("verifying",), after="closed", roles=_APPROVER, other_than=("propose", "claim", "submit", "agree"),
        waiting="approver", sets=_closed
    ),
    "refuse": Transition(
        before=("verifying",), after=None, roles=_APPROVER, needs=("reason",), waiting="approver", sets=_waits("")
    ),
    "confirm": Transition(
        before=("closed",), after="confirmed", roles=_REVIEWER, needs=("check", "method", "finding"),
        other_than=("close",)
    ),
    "reopen": Transition(
        before=("closed",), after="reopened", roles=_REVIEWER, needs=("check", "method", "finding", "due_on"),
        other_than=("close",), sets=_reopened
    ),
    "recur": Transition(before=("confirmed",), after=None, roles=_REVIEWER, needs=("problem",)),
    "ask_extension": Transition(
        before=WORKING, after=None, roles=_OFFICER, needs=("new_due_on", "reason"), sets=_asked
    ),
    "grant_extension": Transition(
        before=WORKING, after=None, roles=_REVIEWER, when=lambda item: item.asked_due_on is not None, sets=_extended
    ),
    "deny_extension": Transition(
        before=WORKING, after=None, roles=_REVIEWER, needs=("reason",),
        when=lambda item: item.asked_due_on is not None, sets=_denied
    ),
    "withdraw": Transition(
        before=("draft", *OPEN), after="withdrawn", roles=_APPROVER, needs=("reason",), sets=_withdrawn
    ),
    "refer": Transition(
        before=OPEN, after="referred", roles=("province_approver", "province_leader"), needs=("document", "reason"),
        other_than=("claim",), sets=_waits("")
    ),
}  # fmt: skip
_WATCHED = {event for rule in TRANSITIONS.values() for event in rule.other_than}
SIGNATURES = ("close",)  # two people even where one operates everything (试点模式)


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

    `pilot` lets one person hold several parts, except for closing, and says so in the event. Raises NotFound, scope.OutOfScope, Overtaken,
    Incomplete or SamePerson, with nothing changed.
    """
    item = find(db, item_id)
    rule = TRANSITIONS[event]
    role = _role(db, item, rule.roles)
    if item.version != version or not allows(item, event):
        raise _overtaken(db, item)
    if missing := [field for field in rule.needs if not said.get(field)]:
        raise Incomplete(missing)
    if same := same_person(event, parts(db, [item])[item.id]):
        if not pilot or event in SIGNATURES:
            raise SamePerson(same)
        said = {**said, "pilot": same}
    before = item.state
    fixed = {"state": rule.after or item.state, "version": version + 1, "changed_at": now}
    values = {**fixed, **_held(item, now), **rule.sets(item, said, now)}
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


def _held(item: Item, now: datetime) -> dict[str, int]:
    """How long each side has held an item until now, when one does."""
    since_s = max(0, int(now.timestamp()) - int(item.changed_at.timestamp()))
    sides = {"county_s": AT_COUNTY, "province_s": AT_PROVINCE}
    return {key: getattr(item, key) + since_s for key, states in sides.items() if item.state in states}


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


def allows(item: Item | Standing, event: str) -> bool:
    """Whether the table lets an event happen to an item as it is now, whoever does it."""
    rule = TRANSITIONS[event]
    return item.state in rule.before and rule.waiting in ("", item.waiting) and rule.when(item)


def same_person(event: str, own: Sequence[str]) -> str:
    """Which of somebody's own events an event needs another person than; empty for none."""
    return next((one for one in own if one in TRANSITIONS[event].other_than), "")


def parts(db: Session, found: Collection[Item | Standing]) -> dict[int, list[str]]:
    """The viewer's events that some event needs another person than, on each item in its present round: latest first.

    The draft comes last. Once an item was sent back or reopened, earlier signatures are used up. The program itself
    asks: the items have been found in scope already, and their events are found by number alone.
    """
    own: dict[int, list[str]] = {item.id: [] for item in found}
    person_id = scope.viewer_of(db).person_id
    if person_id is None or not own:
        return own
    turned = aliased(ItemEvent)
    began = (
        select(func.coalesce(func.max(turned.version), 0))
        .where(turned.item_id == ItemEvent.item_id, turned.event.in_(("return", "reopen")))
        .scalar_subquery()
    )
    past = (
        select(ItemEvent.item_id, ItemEvent.event)
        .where(among(db, ItemEvent.item_id, own), ItemEvent.person_id == person_id, ItemEvent.event.in_(_WATCHED))
        .where(ItemEvent.version > began)
        .order_by(ItemEvent.event == "draft", ItemEvent.version.desc())
    )
    with scope.serving(db, scope.SYSTEM):
        for item_id, event in db.execute(past):
            own[item_id].append(event)
    return own


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
            evidence=evidence.hashes(db, item.id),
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


def working(db: Session, *states: State) -> list[Item]:
    """The first items in some states that the viewer works on, most urgent first: a contractor's are their unit's."""
    wanted = select(Item).where(Item.state.in_(states or OPEN), own(scope.viewer_of(db)))
    return list(db.scalars(wanted.order_by(*URGENT).limit(MOST)))


def standing(db: Session, states: Collection[State], by: Sequence[Any] = URGENT) -> list[Standing]:  # Any: columns
    """As `working`, where the first items in some states stand: much less work than the items themselves."""
    wanted = select(*_STANDING).where(Item.state.in_(states), own(scope.viewer_of(db)))
    return list(db.execute(wanted.order_by(*by).limit(MOST)))


def loaded(db: Session, found: Sequence[Item | Standing]) -> list[Item]:
    """The items themselves, in the same order."""
    wanted = [one.id for one in found if not isinstance(one, Item)]
    rows = {one.id: one for one in db.scalars(select(Item).where(Item.id.in_(wanted)))} if wanted else {}
    return [one if isinstance(one, Item) else rows[one.id] for one in found]


def held(db: Session, person_id: int) -> list[Item]:
    """What somebody of the province has claimed, the longest waiting first."""
    wanted = select(Item).where(Item.holder_id == person_id, Item.state == "verifying")
    return list(db.scalars(wanted.order_by(Item.submitted_at, Item.id)))


def seen(db: Session, item_id: int) -> Item:
    """An item that the viewer works on or reads; a contractor's must be their unit's. Raises NotFound."""
    wanted = select(Item).where(Item.id == item_id, own(scope.viewer_of(db)))
    found = db.scalars(wanted.execution_options(populate_existing=True)).one_or_none()
    if found is None:
        raise NotFound(str(item_id))
    return found


def own(viewer: scope.Viewer) -> ColumnElement[bool]:
    """The condition that an item is the viewer's: in a body where they are more than a contractor, or of their unit."""
    if "contractor" not in viewer.roles:  # the filter of every select leaves what the others read
        return true()
    readers = [role for role in scope.READERS if role != "contractor"]
    theirs = (
        select(ItemUnit.item_id)
        .join(Person, Person.unit_id == ItemUnit.unit_id)
        .where(Person.id == viewer.person_id)
        .scalar_subquery()
    )
    reached = select(Body.id).where(scope.bodies(viewer, *readers)).scalar_subquery()
    return or_(Item.body_id.in_(reached), Item.id.in_(theirs))


def touched(db: Session, person_id: int, since: datetime) -> list[int]:
    """The items that somebody has reported on or added to from a time on."""
    wanted = select(ItemEvent.item_id).where(
        ItemEvent.person_id == person_id,
        ItemEvent.at >= since,
        ItemEvent.event.in_(("acknowledge", "report", "attach")),
    )
    return sorted(set(db.scalars(wanted)))
