"""How fast a channel may be called, how often a person, and how much of a day is kept for what people are waiting for.

What has been used of it stands in the database, so that all processes together keep to it.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from sqlalchemy.orm import Session

from bot.workdays import LOCAL
from storage import deliveries
from storage.models import Delivery

# Calls a second on one channel: Telegram takes some 30 overall (https://core.telegram.org/bots/faq).
RATES: Mapping[str, int] = {"telegram": 25}
# Messages a day that a platform takes of one account: WeChat's template messages.
DAYS: Mapping[str, int] = {"wechat": 100_000}
NO_LIMIT = 2**31 - 1  # what an integer column holds
FOR_NOTICES = 0.8  # the share of a day that notices may use; the rest is for reminders and replies
# Messages to one person within a time. WeCom drops what is beyond 30 a minute and 1,000 an hour
# (https://developer.work.weixin.qq.com/document/path/90236); the rest is for replies, which the ledger does not hold.
PERSONS: Mapping[str, tuple[tuple[int, timedelta], ...]] = {
    "wecom": ((20, timedelta(minutes=1)), (700, timedelta(hours=1)))
}


@dataclass(frozen=True, kw_only=True)
class Later:
    """A message must wait for its place; the code says why."""

    code: str
    at: datetime


@dataclass(frozen=True, kw_only=True)
class Pacer:
    """What the channels and the people on them are spared."""

    rates: Mapping[str, int] = field(default_factory=lambda: RATES)
    days: Mapping[str, int] = field(default_factory=lambda: DAYS)
    persons: Mapping[str, tuple[tuple[int, timedelta], ...]] = field(default_factory=lambda: PERSONS)

    def place(self, db: Session, channel: str, delivery: Delivery, now: datetime) -> float | Later:
        """Take a message's place on a channel: how many seconds to wait for it, or when to ask again."""
        for most, within in self.persons.get(channel, ()):
            if deliveries.reached(db, delivery.recipient, channel, most, now - within):
                return Later(code="person", at=now + within)
        rate, day = self.rates.get(channel, 0), self.days.get(channel, 0)
        if not rate and not day:
            return 0.0
        today = now.astimezone(LOCAL)
        most = int(day * FOR_NOTICES) if day and delivery.lane == deliveries.LANES["notice"] else NO_LIMIT
        wait_s = deliveries.take_place(db, channel, today.date(), rate=rate, most=most, now=now)
        if wait_s is not None:
            return wait_s
        midnight = today.replace(hour=0, minute=0, second=0, microsecond=0)
        return Later(code="reserve", at=midnight + timedelta(days=1, minutes=10))
