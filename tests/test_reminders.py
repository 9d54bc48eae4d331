"""Reminders on both databases, with a driven clock: planned, merged, stopped, put off, held back."""

import json
import os
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from datetime import date, timedelta
from pathlib import Path

import pytest
from sqlalchemy import func, select

from bot import planner
from bot.workdays import LOCAL, Workdays
from storage import items, milestones, reminders
from storage.db import transaction
from storage.models import Chain, Occurrence, Switch
from storage.scope import SYSTEM, serving
from tests.commands import Program
from tests.reminding import Province, local

COUNTY = "620522"
COUNTIES = int(os.environ.get("COUNTIES", "10"))  # `make bench` asks for 100


def test_one_digest_a_day_says_what_is_due_and_by_when(province: Province) -> None:
    province.person("甲", "county_officer", COUNTY)
    province.item(COUNTY, "1", "2020-05-13")
    province.item(COUNTY, "2", "2020-05-13")
    province.item(COUNTY, "3", "2020-05-10")  # a Sunday
    province.until("2020-05-07 08:00")
    assert province.days("甲") == ["05-06"]
    text = province.last("甲")
    assert "3项" in text and "1号事项" in text and "2号事项" in text
    assert "截止5月10日（周日），为休息日，建议不晚于5月9日（此前最后工作日）报送" in text, (
        "a Saturday made up for May Day"
    )
    province.until("2020-05-15 08:00")
    assert province.days("甲") == ["05-06", "05-08", "05-09", "05-09", "05-11", "05-12", "05-13", "05-13", "05-14"]
    assert {f"{at.astimezone(LOCAL):%H:%M}" for at, _, _ in province.sent} == {"09:45", "15:10"}


def test_the_dragon_boat_festival_is_named_with_the_day_before_it(province: Province) -> None:
    province.now = local("2020-06-19 08:00")
    province.person("甲", "county_officer", COUNTY)
    province.item(COUNTY, "1", "2020-06-25")
    province.until("2020-06-19 10:00")
    assert "截止6月25日（周四），为休息日，建议不晚于6月24日（节前最后工作日）报送" in province.last("甲")


def test_what_is_done_stops_even_when_it_is_queued_already(province: Province) -> None:
    province.person("甲", "county_officer", COUNTY)
    first, second = province.item(COUNTY, "1", "2020-05-13"), province.item(COUNTY, "2", "2020-05-13")
    province.now = local("2020-05-06 09:45")
    province.tick(deliver=False)
    province.event("甲", first, "submit", declared="属实")
    assert province.dispatcher.drain() == {"accepted": 1}
    [(_, text, _)] = province.wecom.got
    assert "2号事项" in text and "1号事项" not in text
    province.now = local("2020-05-09 09:45")
    province.tick(deliver=False)
    province.event("甲", second, "submit", declared="属实")
    assert province.dispatcher.drain() == {"skipped": 1}
    province.until("2020-05-12 18:00")
    assert len(province.wecom.got) == 1


def test_after_a_digest_that_was_not_needed_the_day_s_next_one_goes_out(province: Province) -> None:
    """It passed for one that was sent already, and what fell due later in the day came a day late."""
    province.person("甲", "county_officer", COUNTY)
    only = province.item(COUNTY, "1", "2020-05-13")
    province.now = local("2020-05-06 09:45")
    province.tick(deliver=False)
    province.event("甲", only, "submit", declared="属实")
    assert province.dispatcher.drain() == {"skipped": 1}
    province.say("甲", "提醒我今天交台账")
    province.until("2020-05-06 18:00")
    assert "交台账" in province.last("甲")
    province.until("2020-05-07 18:00")
    assert province.days("甲") == ["05-06"]


def test_a_stage_has_reminders_of_its_own_until_it_is_done(province: Province) -> None:
    province.person("甲", "county_officer", COUNTY)
    province.person("乙", "county_head", COUNTY)
    number = province.item(COUNTY, "1", "2020-06-30")
    with transaction(province.sessions) as db, serving(db, SYSTEM):
        item = items.find(db, number)
        milestones.plan(db, item, [(date(2020, 5, 12), "完成选址"), (date(2020, 6, 30), "恢复营业")])
        first = milestones.planned(db, number)[0].id
    province.until("2020-05-12 08:00")
    assert province.days("甲") == ["05-08", "05-11"], "the item's own date is further off"
    province.until("2020-05-12 10:00")
    assert "1号事项阶段任务：完成选址——截止5月12日（周二），今天" in province.last("甲")
    assert "恢复营业" not in province.last("甲"), "the last stage's date is the item's own"
    assert "阶段完成" in province.say("甲", "为什么")
    province.until("2020-05-16 08:00")
    assert "1号事项阶段任务" in province.last("乙"), "three working days late"
    with transaction(province.sessions) as db, serving(db, SYSTEM):
        milestones.reach(db, items.find(db, number), first, date(2020, 5, 16))
    province.tick()
    kept = {state for key, state in province.states().items() if key.startswith("stage:")}
    assert "cancelled" in kept and "planned" not in kept


def test_another_date_cancels_and_plans_anew_and_back_again(province: Province) -> None:
    province.person("甲", "county_officer", COUNTY)
    province.person("丙", "province_officer", "620000")
    number = province.item(COUNTY, "1", "2020-05-29")
    province.plan()
    before = [key for key in province.states() if key.startswith("item:")]
    assert len(before) == 6 + 1, "T-15 to O+1 for the county, O+5 for the province"
    province.event("甲", number, "ask_extension", new_due_on="2020-06-30", reason="汛期")
    province.event("丙", number, "grant_extension")
    done = province.plan()
    assert (done["cancelled"], done["added"]) == (7, 1), "of the new ladder, T-30 lies within five weeks"
    states = province.states()
    assert {state for key, state in states.items() if key in before} == {"cancelled"}
    assert province.plan() == {}


def test_a_day_off_that_is_entered_later_moves_what_is_planned(province: Province) -> None:
    province.person("甲", "county_officer", COUNTY)
    province.item(COUNTY, "1", "2020-05-29")
    province.plan()
    with transaction(province.sessions) as db:
        reminders.correct(db, date(2020, 5, 29), False, "样例文件", province.now)
    assert province.plan()["moved"] > 0
    with transaction(province.sessions) as db:
        step = select(Occurrence.planned_on).where(Occurrence.step == "T0", Occurrence.state == "planned")
        assert db.scalars(step).one() == date(2020, 5, 28)


def test_four_planners_at_once_leave_exactly_the_right_rows(province: Province) -> None:
    for number in range(5):
        province.person(f"甲{number}", "county_officer", COUNTY)
    for number in range(20):
        province.item(COUNTY, str(number), "2020-05-29")
    with ThreadPoolExecutor(4) as pool:
        done = list(pool.map(lambda _: province.plan()["added"], range(4)))
    assert sum(done) == 5 * 20 * 6
    with transaction(province.sessions) as db:
        assert db.scalar(select(func.count()).select_from(Occurrence)) == 5 * 20 * 6


def test_who_is_told_of_an_overdue_item_is_frozen_when_it_becomes_so(province: Province) -> None:
    province.person("甲", "county_officer", COUNTY)
    province.person("乙", "county_head", COUNTY)
    province.person("丙", "province_officer", "620000")
    province.person("厅", "province_leader", "620000")
    province.item(COUNTY, "1", "2020-05-06")
    province.until("2020-05-07 08:00")
    late = province.person("乙二", "county_head", COUNTY)
    province.until("2020-05-21 08:00")
    assert [province.days(who, "1号事项") for who in ("乙", "丙", "厅")] == [["05-09"], ["05-12"], ["05-19"]]
    assert province.days("乙二") == []
    assert "已逾期3个工作日" in province.last("乙")
    with transaction(province.sessions) as db:
        assert late not in db.scalars(select(Chain)).one().people["head"]


def test_a_date_of_an_unverified_text_waits_for_a_person(province: Province) -> None:
    province.now, province.year = local("2020-06-08 08:00"), 2016
    province.person("丙", "province_officer", "620000")
    province.person("甲", "county_officer", COUNTY)
    province.plan()
    subjects = {key.split(":")[1] for key in province.states()}
    assert subjects == {"rectification-2014-2017"}, "the official text's date only"
    with transaction(province.sessions) as db:
        reminders.mark(db, "final-list", date(2020, 6, 25), True, None, province.now)
    province.until("2020-06-09 10:00")
    assert "报送最终示范县名单" in province.last("丙")
    assert "各省→三部门" in province.last("丙")
    assert province.days("甲") == [], "counties do not owe the list"


def test_the_notices_dates_are_past_and_nobody_is_written_to(province: Province) -> None:
    province.now = local("2026-11-27 08:00")
    province.person("丙", "province_officer", "620000")
    province.person("甲", "county_officer", COUNTY)
    with transaction(province.sessions) as db:
        for one in province.kb.deadlines:
            reminders.mark(db, one.id, one.due_on, True, None, province.now)
    province.until("2026-11-28 00:00")
    assert province.sent == [] and province.states() == {}


@pytest.mark.expects_error
def test_after_a_long_silence_a_person_decides_on_what_is_late(province: Province) -> None:
    province.person("甲", "county_officer", COUNTY)
    province.item(COUNTY, "1", "2020-05-13")
    province.now = local("2020-05-06 06:00")
    province.tick()  # planned T-7 for today, and then nothing runs for two days
    province.now = local("2020-05-08 08:00")
    assert province.tick()["held"]
    province.until("2020-05-08 12:00")
    assert province.sent == []
    with transaction(province.sessions) as db:
        assert "1人" in db.get_one(Switch, "reminders").reason
        reminders.set_switch(db, "reminders", "released", "", province.now)
    province.until("2020-05-08 18:00")
    assert province.days("甲") == ["05-08"]


def test_what_a_dead_day_did_not_bring_comes_the_next_day_and_not_later_than_its_last(province: Province) -> None:
    province.person("甲", "county_officer", COUNTY)
    province.item(COUNTY, "1", "2020-05-13")
    province.now = local("2020-05-06 09:45")
    province.tick(deliver=False)
    province.until("2020-05-06 09:50")
    assert province.days("甲") == ["05-06"]
    province.until("2020-05-08 20:00")
    province.now = local("2020-05-09 09:45")
    province.tick(deliver=False)
    province.now = local("2020-05-09 20:00")
    assert province.dispatcher.drain() == {"expired": 1}
    province.until("2020-05-11 10:00")
    assert province.days("甲") == ["05-06", "05-11"]
    assert sorted(province.states().values()).count("superseded") == 0


def test_quiet_hours_put_a_waiting_message_off(province: Province) -> None:
    province.person("甲", "county_officer", COUNTY)
    province.item(COUNTY, "1", "2020-05-13")
    province.now = local("2020-05-06 11:58")
    province.tick(deliver=False)
    province.now = local("2020-05-06 12:01")
    assert province.dispatcher.drain() == {"queued": 1}
    province.until("2020-05-06 14:10")
    [(at, _, _)] = province.sent
    assert f"{at.astimezone(LOCAL):%H:%M}" == "14:10"


def test_caps_hold_however_much_there_is(province: Province) -> None:
    province.person("甲", "county_officer", COUNTY)
    for number, due in enumerate(("2020-05-11", "2020-05-12", "2020-05-13", "2020-05-14", "2020-05-15")):
        province.item(COUNTY, str(number), due)
    province.until("2020-05-16 18:00")
    days = province.days("甲")
    assert max(days.count(one) for one in days) == 2
    weeks = [date(2020, int(one[:2]), int(one[3:])).isocalendar().week for one in days]
    assert max(weeks.count(one) for one in weeks) <= 6


def test_counties_of_twelve_items_get_at_most_eight_messages_a_person(province: Province) -> None:
    """Beside it: a message an item and day from three days before to seven after would be 12 times 11."""
    for county in range(COUNTIES):
        place = f"62{county // 20 + 1:02}{county % 20 + 21}"
        province.person(f"经办{county}", "county_officer", place)
        province.items(place, 12, "2020-06-30")
    days = [*planner.ladder.steps(date(2020, 6, 30), Workdays()).values(), date(2020, 6, 10), date(2020, 6, 29)]
    for on in sorted(set(days)):
        for at in ("09:45", "12:30", "15:10", "18:00"):
            province.now = local(f"{on} {at}")
            province.tick(deliver=False)
            province.accept()
    sent = Counter(one.recipient for one in province.deliveries())
    assert len(sent) == COUNTIES and set(sent.values()) == {8}, "the ladder's seven and a second one on the last day"
    assert {f"{one.at.astimezone(LOCAL):%H:%M}" for one in province.deliveries()} == {"09:45", "15:10"}


@pytest.mark.parametrize("hours", [25, -25])
def test_a_clock_that_jumps_repeats_nothing_and_skips_nothing(province: Province, hours: int) -> None:
    province.person("甲", "county_officer", COUNTY)
    province.item(COUNTY, "1", "2020-05-20")
    province.until("2020-05-12 10:00")
    province.now += timedelta(hours=hours)
    province.tick()
    province.now -= timedelta(hours=hours)
    province.until("2020-05-22 20:00")
    assert province.days("甲") == ["05-13", "05-15", "05-19", "05-20", "05-20", "05-21"]


def test_the_year_turns_into_one_without_an_announcement(province: Province) -> None:
    province.now = local("2035-12-24 08:00")
    province.person("甲", "county_officer", COUNTY)
    province.item(COUNTY, "1", "2036-01-04")
    province.until("2036-01-08 20:00")
    assert province.days("甲") == ["12-28", "01-01", "01-03", "01-04", "01-04", "01-07"], "Monday to Friday"
    assert "工作日为暂定" in province.last("甲")


def test_a_host_in_another_zone_keeps_china_s_dates(province: Province, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TZ", "America/New_York")
    time.tzset()
    try:
        province.person("甲", "county_officer", COUNTY)
        province.item(COUNTY, "1", "2020-05-07")
        province.until("2020-05-08 20:00")
    finally:
        monkeypatch.undo()
        time.tzset()
    assert province.days("甲") == ["05-06", "05-07", "05-07", "05-08"]
    assert "5月7日（周四）" in province.last("甲")


def test_plan_on_the_command_line_writes_nothing(program: Program, tmp_path: Path) -> None:
    (tmp_path / "countydesk.toml").write_text("[clock]\nnow = 2026-11-27T10:00:00\n", encoding="utf-8")
    done = program("reminders", "plan", "--from", "2026-11-27", "--to", "2026-12-31", "--json", cwd=tmp_path)
    assert (done.returncode, done.stdout) == (0, "")
    assert "8个时限已过" in done.stderr
    assert program("reminders", "plan", "--from", "x", "--to", "2026-12-31", cwd=tmp_path).returncode == 2
    assert program("reminders", "workday", "2027-02-08", "--rest", "--source", "样例", cwd=tmp_path).returncode == 0


def test_a_plan_names_who_when_and_why(province: Province) -> None:
    from bot.schedule import _rows
    from bot.settings import Settings

    province.person("甲", "county_officer", COUNTY)
    province.item(COUNTY, "1", "2020-05-31")
    with transaction(province.sessions) as db, serving(db, SYSTEM):
        rows = list(_rows(db, province.kb, date(2020, 5, 28), date(2020, 5, 29), Settings()))
    assert json.dumps(rows)
    [first, *_] = [row for row in rows if row["kind"] == "item"]
    assert (first["person"], first["step"], first["last_workday"]) == ("甲", "T-1", "2020-05-29")
    assert first["at"].startswith("2020-05-28T09:") and "144号" in first["why"]
