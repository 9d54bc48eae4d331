"""How fast a channel may be called, how often a person, and how much of a day is kept for what people are waiting for.

What has been used of it stands in the database, so that all processes together keep to it.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from sqlalchemy.orm import Session

from bot.workdays import LOCAL
from storage import deliveries

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

    def places(
        self, db: Session, channel: str, lane: int, recipients: Sequence[str], now: datetime
    ) -> list[float | Later]:
        """Take places on a channel for messages of a lane: how many seconds to wait for each, or when to ask again."""
        late: dict[int, Later] = {}
        taken: Counter[str] = Counter()
        for number, who in enumerate(recipients if channel in self.persons else ()):
            for most, within in self.persons[channel]:
                if deliveries.reached(db, who, channel, most - taken[who], now - within):
                    late[number] = Later(code="person", at=now + within)
            taken[who] += number not in late
        free = iter(self._free(db, channel, lane, len(recipients) - len(late), now))
        return [late[number] if number in late else next(free) for number in range(len(recipients))]

    def _free(self, db: Session, channel: str, lane: int, count: int, now: datetime) -> list[float | Later]:
        rate, day = self.rates.get(channel, 0), self.days.get(channel, 0)
        if not (rate or day) or not count:
            return [0.0] * count
        today = now.astimezone(LOCAL)
        most = int(day * FOR_NOTICES) if day and lane == deliveries.LANES["notice"] else NO_LIMIT
        wait_s = deliveries.take_places(db, channel, today.date(), count, rate=rate, most=most, now=now)
        if wait_s is not None:
            return [wait_s + number / rate if rate else wait_s for number in range(count)]
        if count > 1:  # a part of them may find room
            return [one for _ in range(count) for one in self._free(db, channel, lane, 1, now)]
        midnight = today.replace(hour=0, minute=0, second=0, microsecond=0)
        return [Later(code="reserve", at=midnight + timedelta(days=1, minutes=10))]
