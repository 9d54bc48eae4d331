"""China's working days, with the holidays and the days made up for them.

Source: chinesecalendar, which follows the State Council's yearly notices; single days may be corrected by a table. A
year without a notice yet counts Monday to Friday, provisionally.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, datetime, time, timedelta
from functools import lru_cache
from zoneinfo import ZoneInfo

import chinese_calendar

LOCAL = ZoneInfo("Asia/Shanghai")


@dataclass(frozen=True, kw_only=True)
class Workdays:
    """The calendar with corrected days: date → whether people work then."""

    corrected: Mapping[date, bool] = field(default_factory=dict)

    def is_known(self, day: date) -> bool:
        """Whether it is settled if people work on the day."""
        return day in self.corrected or is_known(day)

    def is_workday(self, day: date) -> bool:
        known = self.corrected.get(day)
        return is_workday(day) if known is None else known

    def on_or_before(self, day: date) -> date:
        """The last working day up to a day."""
        while not self.is_workday(day):
            day -= timedelta(days=1)
        return day

    def shifted(self, day: date, count: int) -> date:
        """The working day that comes so many working days after a day, or before it when negative."""
        one = timedelta(days=1 if count > 0 else -1)
        left = abs(count)
        while left:
            day += one
            left -= self.is_workday(day)
        return day

    def between(self, start: date, end: date) -> int:
        """How many working days lie after `start` up to `end`; 0 when `end` is not later."""
        days = (end - start).days
        return sum(self.is_workday(start + timedelta(days=number)) for number in range(1, days + 1))


@lru_cache(maxsize=4096)
def is_known(day: date) -> bool:
    """Whether the holidays of the day's year have been announced."""
    try:
        chinese_calendar.is_workday(day)
    except NotImplementedError:
        return False
    return True


@lru_cache(maxsize=4096)
def is_workday(day: date) -> bool:
    """Whether people work on a day; Monday to Friday where the holidays are not announced."""
    if not is_known(day):
        return day.weekday() < 5
    return bool(chinese_calendar.is_workday(day))


def after(now: datetime, days: int) -> datetime:
    """The end, in China, of the working day that comes so many working days after the day of `now`."""
    day = Workdays().shifted(now.astimezone(LOCAL).date(), days)
    return datetime(day.year, day.month, day.day, 23, 59, 59, tzinfo=LOCAL)


# --- hours -----------------------------------------------------------------------------------------------------------

QUIET_HOURS = "17:30-09:00, 12:00-14:00"
_SPAN = re.compile(r"(\d{1,2}:\d{2})\s*[-—~至]\s*(\d{1,2}:\d{2})")


@dataclass(frozen=True, kw_only=True)
class Hours:
    """When people may be written to unasked: spans of a working day, in order, by China's clock."""

    spans: tuple[tuple[time, time], ...]

    @property
    def opening(self) -> time:
        return self.spans[0][0]

    @property
    def closing(self) -> time:
        return self.spans[-1][1]

    def are_open(self, at: datetime, days: Workdays) -> bool:
        """Whether it is a working day and no quiet hour."""
        local = at.astimezone(LOCAL)
        return days.is_workday(local.date()) and any(first <= local.time() < last for first, last in self.spans)

    def next_open(self, at: datetime, days: Workdays) -> datetime:
        """The next time at which people may be written to: now, or when a span begins."""
        if self.are_open(at, days):
            return at
        local = at.astimezone(LOCAL)
        later = [first for first, _ in self.spans if first > local.time()] if days.is_workday(local.date()) else []
        if later:
            return datetime.combine(local.date(), later[0], LOCAL)
        return datetime.combine(days.shifted(local.date(), 1), self.opening, LOCAL)


def read_hours(quiet: str) -> Hours:
    """The hours outside of the quiet ones, written as 17:30-09:00, 12:00-14:00. Raises ValueError."""
    spans = [(_time(first), _time(last)) for first, last in _SPAN.findall(quiet)]
    night = [(first, last) for first, last in spans if first > last]
    if _SPAN.sub("", quiet).strip(" ,，、;；") or len(night) != 1:
        raise ValueError(quiet)
    [(closing, opening)] = night
    breaks = sorted(span for span in spans if span not in night)
    edges = [opening, *(edge for span in breaks for edge in span), closing]
    if edges != sorted(set(edges)):
        raise ValueError(quiet)
    return Hours(spans=tuple(zip(edges[::2], edges[1::2], strict=True)))


def _time(text: str) -> time:
    hours, minutes = text.split(":")
    return time(int(hours), int(minutes))
