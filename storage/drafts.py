"""Many items at once, as a list brings them: all drafted in one go, and taken back together while nobody has seen them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

from sqlalchemy import delete, select
from sqlalchemy.orm import Session

from storage import audit, items, people, scope
from storage.models import Item, ItemEvent, ItemUnit, Milestone

OPERATOR = "operator"
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
    """Put items on their bodies' lists, each with its event and audit row: of the program itself, or of somebody of the province."""
    viewer = scope.viewer_of(db)
    role = OPERATOR if viewer.system else next(one for one in scope.PROVINCE if one in viewer.roles)
    channel = viewer.channel or "terminal"
    wanted = dict.fromkeys((one.values["body_id"], name) for one in drafts for name in one.units)
    units = {key: people.unit_of(db, key[1], key[0]).id for key in wanted}  # first: finding one writes what waits
    made = [
        Item(state="draft", version=1, changed_at=now, at=now, first_due_on=one.values["due_on"], **one.values)
        for one in drafts
    ]
    db.add_all(made)
    db.flush()
    for item, draft in zip(made, drafts, strict=True):
        _detail(db, item, draft, units)
        db.add(
            ItemEvent(
                item_id=item.id, body_id=item.body_id, version=1, event="draft", before="draft", after="draft",
                person_id=viewer.person_id, role=role, channel=channel, said={"imported": token}, at=now,
            )
        )  # fmt: skip
        audit.record(
            db, "item.draft", f"item:{item.id}", now=now, role=role, body_id=item.body_id,
            after={"state": "draft", "version": 1}, reason=token,
        )  # fmt: skip
    db.flush()


def _detail(db: Session, item: Item, draft: Draft, units: dict[tuple[int, str], int]) -> None:
    """Put an item's units and stages beside it. `units` are the units known so far, by body and name."""
    for place, name in enumerate(draft.units):
        if (item.body_id, name) not in units:
            units[item.body_id, name] = people.unit_of(db, name, item.body_id).id
        unit_id, person = units[item.body_id, name], "" if place else draft.person
        db.add(ItemUnit(item_id=item.id, body_id=item.body_id, unit_id=unit_id, leads=not place, person=person))
    db.add_all(
        Milestone(item_id=item.id, body_id=item.body_id, due_on=due, text=text) for due, text in draft.stages
    )  # fmt: skip


def amend(
    db: Session, item: Item, draft: Draft, changed: Mapping[str, Sequence[str]], token: str, now: datetime
) -> None:
    """Give a draft that is not issued yet the content of a newer list. `changed` are column → [before, after]."""
    said = {"changed": {key: list(pair) for key, pair in changed.items()}, "imported": token}
    item = items.apply(db, item.id, item.version, "amend", said, now)
    item.recurs_of = draft.values["recurs_of"]
    if changed.keys() & {"units", "person", "stages"}:
        for table in (ItemUnit, Milestone):
            db.execute(delete(table).where(table.item_id == item.id).execution_options(synchronize_session=False))
        _detail(db, item, draft, {})
    db.flush()


def undo(db: Session, token: str, now: datetime) -> int:
    """Delete the items of an import; how many. Raises Moved when any was issued or changed. The audit rows stay."""
    wanted = select(Item).join(ItemEvent, ItemEvent.item_id == Item.id).where(ItemEvent.event == "draft")
    found = list(db.scalars(wanted.where(ItemEvent.said["imported"].as_string() == token)))
    if moved := [item.number for item in found if item.state != "draft"]:
        raise Moved(moved)
    for start in range(0, len(found), _AT_ONCE):
        ids = [item.id for item in found[start : start + _AT_ONCE]]
        for table in (ItemUnit, ItemEvent, Milestone):
            db.execute(delete(table).where(table.item_id.in_(ids)).execution_options(synchronize_session=False))
        db.execute(delete(Item).where(Item.id.in_(ids)).execution_options(synchronize_session=False))
    for item in found:
        audit.record(
            db, "item.undo_import", f"item:{item.id}", now=now, role=OPERATOR, body_id=item.body_id,
            before={"state": item.state, "number": item.number}, reason=token,
        )  # fmt: skip
    db.flush()
    return len(found)
