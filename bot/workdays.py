"""China's working days, with the holidays and the days made up for them.

Source: chinesecalendar, which follows the State Council's yearly notices. A year without a notice yet counts Monday
to Friday, provisionally.
"""

from datetime import date, datetime, timedelta
from zoneinfo import ZoneInfo

import chinese_calendar

LOCAL = ZoneInfo("Asia/Shanghai")


def is_known(day: date) -> bool:
    """Whether the holidays of the day's year have been announced."""
    try:
        chinese_calendar.is_workday(day)
    except NotImplementedError:
        return False
    return True


def is_workday(day: date) -> bool:
    """Whether people work on a day; Monday to Friday where the holidays are not announced."""
    if not is_known(day):
        return day.weekday() < 5
    return bool(chinese_calendar.is_workday(day))


def after(now: datetime, days: int) -> datetime:
    """The end, in China, of the working day that comes so many working days after the day of `now`."""
    day = now.astimezone(LOCAL).date()
    while days:
        day += timedelta(days=1)
        days -= is_workday(day)
    return datetime(day.year, day.month, day.day, 23, 59, 59, tzinfo=LOCAL)


def between(first: date, last: date) -> int:
    """How many working days follow `first` up to `last`."""
    return sum(is_workday(first + timedelta(days=number)) for number in range(1, (last - first).days + 1))
