"""The days of a ladder, as arithmetic. The vectors are the notices' own dates under the official calendar of 2020."""

from datetime import date, timedelta

import pytest

from bot.ladder import Mute, Subject, plan, steps
from bot.workdays import Workdays

DAYS = Workdays()
NAMES = ("T0", "T-30", "T-15", "T-7", "T-3", "T-1", "O+1")
# legal day → T0, T-30, T-15, T-7, T-3, T-1, O+1
VECTORS = {
    "04-30": "04-30 03-31 04-15 04-23 04-27 04-29 05-06",
    "05-29": "05-29 04-29 05-14 05-22 05-26 05-28 06-01",
    "05-31": "05-29 04-29 05-14 05-22 05-26 05-28 06-01",
    "06-25": "06-24 05-25 06-09 06-17 06-19 06-23 06-28",
    "06-30": "06-30 05-29 06-15 06-23 06-24 06-29 07-01",
    "09-30": "09-30 08-31 09-15 09-23 09-27 09-29 10-09",
}


def day(text: str) -> date:
    return date.fromisoformat(f"2020-{text}")


@pytest.mark.parametrize("due", VECTORS)
def test_the_ladder_of_a_date(due: str) -> None:
    found = steps(day(due), DAYS)
    assert [found[name] for name in NAMES] == [day(text) for text in VECTORS[due].split()]


def test_the_ladder_reaches_into_the_next_year() -> None:
    found = steps(day("12-31"), DAYS)
    assert [found[name] for name in NAMES[:6]] == [day(f"12-{n}") for n in ("31", "01", "16", "24", "28", "30")]
    assert found["O+1"] == date(2021, 1, 4)


def item(due: date, since: date = date(2020, 1, 1), **more: object) -> Subject:
    people = {"holder": (1,), "head": (2,), "province": (3,), "leader": (4,)}
    return Subject(key="item:1", due_on=due, since=since, people=people, **more)  # type: ignore[arg-type]  # tests vary


def days_of(subject: Subject, person: int, end: date = date(2020, 12, 31), days: Workdays = DAYS) -> list[str]:
    made = plan([subject], days, date(2020, 1, 1), end)
    return [f"{one.rung.step} {one.on:%m-%d}" for one in made if one.person_id == person]


def test_steps_before_the_item_was_issued_never_were() -> None:
    found = days_of(item(day("04-30"), since=day("04-24")), 1, day("05-06"))
    assert found == ["T-3 04-27", "T-1 04-29", "T0 04-30", "O+1 05-06"]


def test_what_stays_open_goes_up_and_then_weekly_for_ever() -> None:
    overdue = item(day("06-30"), since=day("06-30"))
    end = day("08-31")
    assert [days_of(overdue, person, end) for person in (2, 3, 4)] == [["O+3 07-03"], ["O+5 07-07"], ["O+10 07-14"]]
    weekly = days_of(overdue, 1, end)
    assert weekly[:4] == ["T0 06-30", "O+1 07-01", "O+15 07-21", "O+20 07-28"]
    assert len(weekly) >= 8


def test_putting_off_moves_a_reminder_and_knowing_drops_it() -> None:
    due = day("05-29")
    snoozed = item(due, since=day("05-20"), mutes={1: Mute(until=day("05-27"), snooze=True)})
    assert days_of(snoozed, 1, due) == ["S0527 05-27", "T-1 05-28", "T0 05-29"]
    known = item(due, since=day("05-20"), mutes={1: Mute(until=day("05-28"), snooze=False)})
    assert days_of(known, 1, due) == ["T-1 05-28", "T0 05-29"]


def test_what_was_put_off_before_an_item_was_issued_again_is_forgotten() -> None:
    again = item(day("05-29"), since=day("05-28"), mutes={1: Mute(until=day("05-27"), snooze=True)})
    assert days_of(again, 1, day("05-29")) == ["T-1 05-28", "T0 05-29"]


def test_a_notice_s_deadline_goes_up_to_nobody() -> None:
    people = {"holder": (1,), "head": (2,), "province": (3,), "leader": (4,)}
    subject = Subject(key="deadline:x", due_on=day("05-29"), since=day("05-28"), people=people)  # type: ignore[arg-type]  # as in item
    assert [days_of(subject, person) for person in (1, 2, 3, 4)] == [["T-1 05-28", "T0 05-29", "O+1 06-01"], [], [], []]


def test_one_s_own_reminder_comes_once_on_the_last_working_day_up_to_it() -> None:
    own = Subject(key="own:7", due_on=day("06-20"), since=day("06-01"), people={"holder": (1,)})
    assert days_of(own, 1) == ["T0 06-19"]


def test_what_waits_to_be_looked_at_comes_back_until_it_is() -> None:
    waiting = Subject(key="review:1", due_on=day("06-01"), since=day("06-01"), people={"holder": (1,)})
    first = ["R+1 06-02", "R+3 06-04", "R+5 06-08", "R+10 06-15", "R+15 06-22"]
    assert days_of(waiting, 1, day("06-23")) == first


def test_another_date_is_another_reminder() -> None:
    keys = {one.key for due in (day("05-29"), day("06-30")) for one in plan([item(due)], DAYS, due, due)}
    assert keys == {"item:1:20200529:T0:1", "item:1:20200630:T0:1"}


def test_a_year_without_an_announcement_is_provisional_until_the_days_are_entered() -> None:
    due = date(2035, 10, 3)
    subject = item(due, since=due - timedelta(days=9))
    found = plan([subject], DAYS, subject.since, due + timedelta(days=1))
    assert found and all(one.rung.provisional for one in found)
    holidays = {date(2035, 10, number): False for number in range(1, 8)}
    entered = Workdays(corrected={date(2035, 9, number): number not in (29, 30) for number in range(20, 31)} | holidays)
    assert steps(due, entered)["T0"] == date(2035, 9, 28)
    assert not any(one.rung.provisional for one in plan([subject], entered, date(2035, 9, 20), date(2035, 9, 28)))


def test_a_corrected_day_counts_and_leaves_the_legal_date_alone() -> None:
    made_up = Workdays(corrected={day("06-25"): True})
    assert steps(day("06-25"), made_up)["T0"] == day("06-25")
    assert made_up.between(day("06-24"), day("06-28")) == 2


def test_a_hundred_counties_make_few_days_of_reminders_each() -> None:
    due, person_days = day("06-30"), set()
    subjects = [
        Subject(key=f"item:{county * 12 + n}", due_on=due, since=day("05-01"), people={"holder": (county,)})
        for county in range(100)
        for n in range(12)
    ]
    made = plan(subjects, DAYS, day("05-01"), day("07-01"))
    person_days = {(one.person_id, one.on) for one in made}
    assert len(made) == 100 * 12 * 7
    assert len(person_days) == 100 * 7  # one digest holds the twelve of a day
    assert all(DAYS.is_workday(one.on) for one in made)
