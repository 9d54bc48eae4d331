"""What is computed of an item and never stored: whether it is overdue, stale, or was closed just before its deadline."""

from datetime import date, datetime

from storage.items import OPEN, WORKING, Standing
from storage.models import Item


def overdue_days(item: Item | Standing, on: date, *, original: bool = False) -> int:
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
