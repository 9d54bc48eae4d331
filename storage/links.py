"""Links between items: one that is on the list twice, and one that came back after a passed follow-up check."""

from datetime import datetime

from sqlalchemy import select
from sqlalchemy.orm import Session

from storage import items
from storage.models import Body, Item


def beside(db: Session, item: Item) -> list[Item]:
    """The other items on the same body's list of the same year, by number."""
    wanted = select(Item).where(Item.body_id == item.body_id, Item.batch_year == item.batch_year, Item.id != item.id)
    return list(db.scalars(wanted.order_by(Item.number, Item.id)))


def recurrence(db: Session, item: Item, problem: str, now: datetime) -> Item:
    """Put a problem that came back after a passed check on the list again: a new item, linked to the old one."""
    stem = f"{item.number[:28]}-"
    taken = select(Item.number).where(Item.body_id == item.body_id, Item.batch_year == item.batch_year)
    numbers = set(db.scalars(taken.where(Item.number.startswith(stem, autoescape=True))))
    number = next(f"{stem}{count}" for count in range(2, len(numbers) + 3) if f"{stem}{count}" not in numbers)
    kept = {key: getattr(item, key) for key in ("batch_year", "category", "basis", "standard", "kind")}
    body = db.get_one(Body, item.body_id)
    return items.add(db, body, now, **kept, number=number, source="日常检查", problem=problem, recurs_of=item.id)
