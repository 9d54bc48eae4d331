"""The stages of an item that is rectified step by step, each with a date of its own (商办建函〔2020〕144号 三(一))."""

from collections.abc import Collection, Sequence
from datetime import date

from sqlalchemy import delete, select
from sqlalchemy.orm import Session

from storage import scope
from storage.models import Item, Milestone


def planned(db: Session, item_id: int) -> list[Milestone]:
    """An item's stages by date."""
    wanted = select(Milestone).where(Milestone.item_id == item_id)
    return list(db.scalars(wanted.order_by(Milestone.due_on, Milestone.id)))


def of(db: Session, item_ids: Collection[int]) -> dict[int, list[Milestone]]:
    """The stages of several items, each item's by date."""
    found: dict[int, list[Milestone]] = {one: [] for one in item_ids}
    wanted = select(Milestone).where(Milestone.item_id.in_(item_ids)).order_by(Milestone.due_on, Milestone.id)
    for stage in db.scalars(wanted):
        found[stage.item_id].append(stage)
    return found


def plan(db: Session, item: Item, stages: Sequence[tuple[date, str]]) -> None:
    """Put stages in the place of those that are not done yet. The event is the caller's."""
    undone = delete(Milestone).where(Milestone.item_id == item.id, Milestone.done_on.is_(None))
    with scope.serving(db, scope.SYSTEM):  # the caller's event has proved the role
        db.execute(undone.execution_options(synchronize_session="fetch"))
    db.add_all(Milestone(item_id=item.id, body_id=item.body_id, due_on=due, text=text) for due, text in stages)
    db.flush()


def reach(db: Session, item: Item, number: int, on: date) -> None:
    """Mark a stage as done. The event is the caller's."""
    wanted = select(Milestone).where(Milestone.id == number, Milestone.item_id == item.id)
    db.scalars(wanted).one().done_on = on
    db.flush()
