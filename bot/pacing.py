"""How fast a channel may be called, and how much of its day is kept for what people are waiting for."""

import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from sqlalchemy.orm import Session

from bot.workdays import LOCAL
from storage import deliveries

# Calls a second on one channel: Telegram takes some 30 overall (https://core.telegram.org/bots/faq).
RATES: Mapping[str, int] = {"telegram": 25}
# Messages a day that a platform takes of one account: WeChat's template messages.
DAYS: Mapping[str, int] = {"wechat": 100_000}
FOR_NOTICES = 0.8  # the share of a day that notices may use; the rest is for reminders and replies
COUNTED_FOR = timedelta(minutes=1)


@dataclass(kw_only=True)
class Pacer:
    """Token buckets of one process, and the day's count, which is asked of the ledger once a minute."""

    rates: Mapping[str, int] = field(default_factory=lambda: RATES)
    days: Mapping[str, int] = field(default_factory=lambda: DAYS)
    clock: Callable[[], float] = time.monotonic
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _free_at: dict[str, float] = field(default_factory=dict)
    _used: dict[str, tuple[datetime, int]] = field(default_factory=dict)

    def wait_s(self, channel: str) -> float:
        """Take the next place of a channel; how long until it comes."""
        rate = self.rates.get(channel)
        if rate is None:
            return 0.0
        with self._lock:
            now = self.clock()
            at = max(now, self._free_at.get(channel, now))
            self._free_at[channel] = at + 1 / rate
            return at - now

    def reserved(self, db: Session, channel: str, lane: int, now: datetime) -> datetime | None:
        """When a notice may go out if the day's share of notices is used up; None when it may go now."""
        most = self.days.get(channel)
        if most is None or lane < deliveries.LANES["notice"]:
            return None
        midnight = now.astimezone(LOCAL).replace(hour=0, minute=0, second=0, microsecond=0)
        with self._lock:
            at, count = self._used.get(channel, (midnight - COUNTED_FOR, 0))
            if now - at >= COUNTED_FOR or at < midnight:
                at, count = now, deliveries.taken_since(db, channel, midnight)
            self._used[channel] = at, count + 1
        return midnight + timedelta(days=1, minutes=10) if count >= most * FOR_NOTICES else None
