"""Many items at once, as a list brings them: all drafted in one go, and taken back together while nobody has seen them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

from sqlalchemy import delete, func, insert, select
from sqlalchemy.orm import Session

from storage import audit, items, people, scope
from storage.db import among
from storage.models import Base, Body, Item, ItemEvent, ItemUnit, Milestone

OPERATOR = "operator"
_TABLES = Base.metadata.tables
_KEY = ("body_id", "batch_year", "number")  # of which an item is the only one
_AT_ONCE = 500  # ids of one statement


@dataclass(frozen=True, kw_only=True)
class Draft:
    """An item to be: columns of Item, its units, the one that leads first, and the person responsible there."""

    values: dict[str, Any]  # Any: columns of different types
    units: tuple[str, ...]
    person: str
    stages: tuple[tuple[date, str], ...] = ()


class Moved(Exception):
    """Items of an import have been acted on since."""

    def __init__(self, numbers: Sequence[str]) -> None:
        super().__init__(", ".join(numbers))
        self.numbers = tuple(numbers)


def add(db: Session, drafts: Sequence[Draft], token: str, now: datetime) -> None:
    """Put items on their bodies' lists, each with its event and audit row: of the program itself, or of somebody of the province.

    Raises scope.OutOfScope when a body is out of their reach.
    """
    if not drafts:
        return
    viewer, role = scope.viewer_of(db), _role(db)
    _reach(db, {one.values["body_id"] for one in drafts})
    fixed = {"state": "draft", "version": 1, "changed_at": now, "at": now}
    values = [{**one.values, "first_due_on": one.values["due_on"], **fixed} for one in drafts]
    ids = _numbered(db, values)
    made = [(ids[tuple(one.values[key] for key in _KEY)], one) for one in drafts]
    _detail(db, made)
    event = {
        "version": 1, "event": "draft", "before": "draft", "after": "draft", "person_id": viewer.person_id, "role": role,
        "channel": viewer.channel or "terminal", "said": {"imported": token}, "at": now,
    }  # fmt: skip
    _put(db, "item_event", [{"item_id": id_, "body_id": one.values["body_id"], **event} for id_, one in made])
    after = {"state": "draft", "version": 1}
    changes = [audit.Change(subject=f"item:{id_}", body_id=one.values["body_id"], after=after) for id_, one in made]
    audit.record_all(db, "item.draft", changes, now=now, role=role, reason=token)


def _role(db: Session) -> str:
    """The role by which the viewer brings lists in and takes them back."""
    viewer = scope.viewer_of(db)
    return OPERATOR if viewer.system else next(one for one in scope.PROVINCE if one in viewer.roles)


def _reach(db: Session, body_ids: set[int]) -> None:
    """Refuse what the guard of a flush would: thousands of rows are put in without one."""
    if len(body_ids) > len(db.scalars(select(Body.id).where(among(db, Body.id, body_ids))).all()):
        raise scope.OutOfScope("item")


def _numbered(db: Session, values: Sequence[Mapping[str, Any]]) -> dict[tuple[Any, ...], int]:  # Any: as in Draft
    """Put items in; their numbers by body, year and 编号. Asked for afterwards: one by one they would cost as much again."""
    table = _TABLES["item"]
    newest = db.connection().scalar(select(func.max(table.c.id))) or 0
    _put(db, table.name, values)
    added = select(*(table.c[key] for key in _KEY), table.c.id).where(table.c.id > newest)
    return {tuple(key): id_ for *key, id_ in db.connection().execute(added)}


def _put(db: Session, table: str, rows: Sequence[Mapping[str, Any]]) -> None:  # Any: columns of different types
    if rows:
        db.connection().execute(insert(_TABLES[table]), rows)


def _detail(db: Session, made: Sequence[tuple[int, Draft]]) -> None:
    """Put the units and stages of items beside them, by the items' numbers."""
    units = people.units_of(db, {(one.values["body_id"], name) for _, one in made for name in one.units})
    _put(db, "item_unit", [
        {
            "item_id": id_, "body_id": one.values["body_id"], "unit_id": units[one.values["body_id"], name],
            "leads": not place, "person": "" if place else one.person,
        }
        for id_, one in made
        for place, name in enumerate(one.units)
    ])  # fmt: skip
    _put(db, "milestone", [
        {"item_id": id_, "body_id": one.values["body_id"], "due_on": due, "text": text}
        for id_, one in made
        for due, text in one.stages
    ])  # fmt: skip


def amend(
    db: Session, item: Item, draft: Draft, changed: Mapping[str, Sequence[str]], token: str, now: datetime
) -> None:
    """Give a draft that is not issued yet the content of a newer list. `changed` are column → [before, after]."""
    said = {"changed": {key: list(pair) for key, pair in changed.items()}, "imported": token}
    item = items.apply(db, item.id, item.version, "amend", said, now)
    item.recurs_of = draft.values["recurs_of"]
    if changed.keys() & {"units", "person", "stages"}:
        with scope.serving(db, scope.SYSTEM):  # the event above has proved the role
            for table in (ItemUnit, Milestone):
                db.execute(delete(table).where(table.item_id == item.id).execution_options(synchronize_session=False))
        _detail(db, [(item.id, draft)])
    db.flush()


def imported(db: Session, token: str) -> list[Item]:
    """The items that an import has added, as far as they are still there."""
    wanted = select(Item).join(ItemEvent, ItemEvent.item_id == Item.id).where(ItemEvent.event == "draft")
    return list(db.scalars(wanted.where(ItemEvent.said["imported"].as_string() == token).order_by(Item.id)))


def undo(db: Session, token: str, now: datetime) -> int:
    """Delete the items of an import; how many. Raises Moved when any was issued or changed. The audit rows stay."""
    found = imported(db, token)
    if moved := [item.number for item in found if item.state != "draft"]:
        raise Moved(moved)
    with scope.serving(db, scope.SYSTEM):  # they have been found as the viewer's
        for start in range(0, len(found), _AT_ONCE):
            ids = [item.id for item in found[start : start + _AT_ONCE]]
            for table in (ItemUnit, ItemEvent, Milestone):
                db.execute(delete(table).where(table.item_id.in_(ids)).execution_options(synchronize_session=False))
            db.execute(delete(Item).where(Item.id.in_(ids)).execution_options(synchronize_session=False))
    changes = [
        audit.Change(
            subject=f"item:{item.id}", body_id=item.body_id, before={"state": item.state, "number": item.number}
        )
        for item in found
    ]
    audit.record_all(db, "item.undo_import", changes, now=now, role=_role(db), reason=token)
    return len(found)
