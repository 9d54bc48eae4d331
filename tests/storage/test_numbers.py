"""The numbers of rectification, against items whose every event is known; and draws that anybody can repeat."""

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from hashlib import sha256
from random import Random
from typing import Any

import pytest
from sqlalchemy import select
from sqlalchemy.orm import Session, sessionmaker

from storage import bodies, items, links, numbers, samples
from storage.db import transaction
from storage.models import Body, Item
from storage.numbers import Numbers
from storage.scope import SYSTEM, Grant, Viewer, serving

START = datetime(2020, 4, 1, 2, tzinfo=UTC)
DAY = timedelta(days=1)
SAID: dict[str, dict[str, Any]] = {
    "issue": {"due_on": "2020-04-20"},
    "acknowledge": {"measure": "逐项核对，限期整改"},
    "submit": {"declared": True},
    "claim": {"holder_id": None},
    "return": {"lines": {"整体": "没有盖章"}},
    "propose": {"method": "现场考察", "finding": "属实"},
    "confirm": {"check": "回头看", "method": "现场考察", "finding": "属实"},
    "reopen": {"check": "回头看", "method": "现场考察", "finding": "又停运", "due_on": "2020-06-30"},
    "ask_extension": {"new_due_on": "2020-06-30", "reason": "汛期道路中断"},
    "withdraw": {"reason": "误列"},
    "refer": {"document": "样例〔2020〕1号", "reason": "拒不整改"},
    "recur": {"problem": "一个站点又停运"},
}
CLOSED = ("issue", "acknowledge", "submit", "claim", "propose", "close")


def led(db: Session, body: Body, number: str, events: tuple[str, ...], **values: Any) -> Item:
    """An item that one event a day has happened to, from the second day on."""
    columns = {"batch_year": 2016, "source": "绩效评价", "category": "站点", "problem": "站点停运", "kind": "立行立改"}
    item = items.add(db, body, START, number=number, **{**columns, **values})
    for day, event in enumerate(events, 1):
        item = items.apply(db, item.id, item.version, event, SAID.get(event, {}), START + day * DAY)
    return item


Counties = tuple[sessionmaker[Session], dict[str, int]]


@pytest.fixture
def counties(sessions: sessionmaker[Session]) -> Counties:
    """Three counties of two cities, with items in every state in the first one."""
    with transaction(sessions) as db, serving(db, SYSTEM):
        made = {}
        for name, code in (("秦安县", "620522"), ("清水县", "620521"), ("静宁县", "620826"), ("墨江县", "530822")):
            made[name] = bodies.find_or_add(db, name=name, division_code=code, years=[2016, 2017])[0].id
        body = db.get_one(Body, made["秦安县"])
        ways: dict[str, tuple[str, ...]] = {
            "draft": (),
            "issued": CLOSED[:1],
            "extended": (*CLOSED[:2], "ask_extension", "grant_extension"),
            "claimed": CLOSED[:4],
            "closed": CLOSED,
            "returned and closed": (*CLOSED[:4], "return", *CLOSED[2:]),
            "confirmed": (*CLOSED, "confirm"),
            "reopened": (*CLOSED, "reopen"),
            "reopened and closed": (*CLOSED, "reopen", *CLOSED[2:]),
            "withdrawn": ("issue", "withdraw"),
            "referred": ("issue", "acknowledge", "refer"),
        }
        for number, events in ways.items():
            item = led(db, body, number, events)
            if number == "confirmed":
                items.apply(db, item.id, item.version, "recur", SAID["recur"], START + 8 * DAY)
                back = links.recurrence(db, items.find(db, item.id), "一个站点又停运", START + 8 * DAY)
                items.apply(db, back.id, 1, "issue", SAID["issue"], START + 9 * DAY)
        led(db, db.get_one(Body, made["清水县"]), "1", (*CLOSED, "confirm"))
        led(db, db.get_one(Body, made["静宁县"]), "1", CLOSED[:2], batch_year=2017)
        led(db, db.get_one(Body, made["墨江县"]), "1", CLOSED[:2], batch_year=2017)
    return sessions, made


def test_every_number_is_what_its_definition_says(counties: Counties) -> None:
    sessions, made = counties
    now = START + 30 * DAY
    with transaction(sessions) as db, serving(db, SYSTEM):
        [row] = numbers.table(db, now, date(2020, 5, 1), body_id=made["秦安县"])
    one = row.numbers
    assert replace(one, county_s=0, province_s=0) == Numbers(
        drafts=1, counted=10, open=5, closed=3, confirmed=1, referred=1, overdue=3, overdue_first=5, first_time=3,
        closings=6, rebounds=3,
    )  # fmt: skip
    assert (one.closing_rate, one.confirmed_rate, one.first_time_rate, one.rebound_rate) == (0.4, 0.25, 0.75, 0.5)
    county = {"issued": 29, "extended": 29, "claimed": 2, "closed": 2, "returned and closed": 3, "confirmed": 2, "back": 21,
              "reopened": 2 + 23, "reopened and closed": 2 + 1, "referred": 2}  # fmt: skip
    province = {"claimed": 27, "closed": 3, "returned and closed": 2 + 3, "confirmed": 3, "reopened": 3, "twice": 6}
    assert one.county_days == pytest.approx(sum(county.values()) / 10)
    assert one.province_days == pytest.approx(sum(province.values()) / 10)
    assert not one.cleared


def test_a_county_is_cleared_only_when_everything_is_confirmed(counties: Counties) -> None:
    sessions, made = counties
    with transaction(sessions) as db, serving(db, SYSTEM):
        body = db.get_one(Body, made["清水县"])

        def cleared() -> bool:
            return numbers.total(numbers.table(db, START, START.date(), body_id=body.id)).cleared

        assert cleared()
        draft = led(db, body, "2", ())
        assert not cleared()
        items.apply(db, draft.id, 1, "withdraw", SAID["withdraw"], START)
        assert cleared()
        led(db, body, "3", CLOSED)
        assert not cleared()
    assert not Numbers().cleared


def test_each_viewer_counts_what_they_read_and_nothing_else(counties: Counties) -> None:
    sessions, made = counties

    def places(*grants: Grant) -> list[tuple[str, int]]:
        with transaction(sessions) as db, serving(db, Viewer(person_id=1, grants=grants)):
            rows = numbers.table(db, START, START.date())
            assert [name for name, _ in numbers.by_city(db, rows).values()] == sorted(
                {names[row.city] for row in rows}, key=list(names.values()).index
            )
            return [(row.place, row.batch_year) for row in rows]

    names = {"530800": "普洱市", "620500": "天水市", "620800": "平凉市"}
    of_body = {"body_id": made["秦安县"], "division_code": None}
    province = Grant(role="province_officer", body_id=None, division_code="620000")
    assert places(province) == [("清水县", 2016), ("秦安县", 2016), ("静宁县", 2017)]
    assert places(Grant(role="city", body_id=None, division_code="620500")) == [("清水县", 2016), ("秦安县", 2016)]
    assert places(Grant(role="county_officer", **of_body)) == [("秦安县", 2016)]
    assert places(Grant(role="contractor", **of_body)) == []
    assert places(Grant(role="security_admin", body_id=None, division_code="620000")) == []
    assert places() == []


def test_the_days_of_both_sides_follow_from_the_events_and_fill_the_whole_time(counties: Counties) -> None:
    sessions, made = counties
    random = Random(7)
    with transaction(sessions) as db, serving(db, SYSTEM):
        body = db.get_one(Body, made["清水县"])
        now = START
        for number in range(12):
            item = led(db, body, f"w{number}", ())
            for _ in range(15):
                possible = [
                    event
                    for event in items.TRANSITIONS
                    if event in SAID | {"close": {}, "grant_extension": {}, "release": {}, "recall": {}}
                    and items.allows(item, event)
                    and event not in ("withdraw", "refer", "recur")
                ]
                if not possible:
                    break
                now += timedelta(hours=random.randint(1, 50))
                event = random.choice(possible)
                item = items.apply(db, item.id, item.version, event, SAID.get(event, {}), now)
        now += 3 * DAY
        held = {"county": 0.0, "province": 0.0}
        for item in db.scalars(select(Item).where(Item.body_id == body.id)):
            past = items.trail(db, item.id)
            ends = [*(one.at for one in past[1:]), now]
            for one, end in zip(past, ends, strict=True):
                for side, states in (("county", items.AT_COUNTY), ("province", items.AT_PROVINCE)):
                    held[side] += (end - one.at).total_seconds() * (one.after in states)
        total = numbers.total(numbers.table(db, now, now.date(), body_id=body.id))
        assert (total.county_s, total.province_s) == (held["county"], held["province"])
        assert held["county"] > held["province"] > 0


# --- draws -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("share", "sizes"),
    [
        (20, (8, 10, 12, 13, 13, 14, 14, 14)),
        (10, (10, 16, 22, 25, 27, 28, 29, 29)),
        (5, (10, 19, 31, 45, 51, 56, 57, 58)),
    ],
)
def test_as_many_are_drawn_as_show_one_bad_one_in_time(share: int, sizes: tuple[int, ...]) -> None:
    assert tuple(samples.size(count, share) for count in (10, 20, 50, 100, 200, 500, 1000, 2000)) == sizes
    assert samples.size(0, share) == 0


def test_a_draw_can_be_repeated_by_anybody_from_its_sheet(counties: Counties) -> None:
    sessions, made = counties
    on = date(2020, 5, 1)
    with transaction(sessions) as db, serving(db, SYSTEM):
        body = db.get_one(Body, made["静宁县"])
        for number in range(60):
            led(db, body, f"R{number:02}", CLOSED, batch_year=2017)
        led(db, body, "money", CLOSED, batch_year=2017, category="资金")
        led(db, body, "told", CLOSED, batch_year=2017, source="举报")
        led(db, body, "soon", CLOSED, batch_year=2017, due_on=date(2020, 4, 8))
        draw = samples.prepare(db, on, 2017, 10)
        assert draw == samples.prepare(db, on, 2017, 10)
        why = dict(draw.drawn)
        numbers_of = {item.id: item.number for item in samples.found(db, why).values()}
        certain = {numbers_of[one]: reason for one, reason in why.items() if reason != "random"}
        assert certain == {"money": "funds", "told": "reported"}
        assert draw.random == samples.size(61, 10)
        lines = sorted(line for _, line in draw.listed)
        seed = "2020-05-01 " + sha256("\n".join(lines).encode()).hexdigest()
        assert draw.seed == seed
        rest = [line for line in lines if not line.endswith((" money", " told"))]
        drawn = sorted(rest, key=lambda line: sha256(f"{seed}:{line}".encode()).hexdigest())[: draw.random]
        assert [dict(draw.listed)[one] for one, reason in draw.drawn if reason == "random"] == drawn
        kept = samples.keep(db, draw, "620000", START + 20 * DAY)
        one, other = (db.get_one(Item, number) for number, _ in draw.drawn[:2])
        items.apply(db, one.id, one.version, "confirm", SAID["confirm"], START + 21 * DAY)
        items.apply(db, other.id, other.version, "reopen", SAID["reopen"], START + 21 * DAY)
        came_of = samples.results(db, kept)
        assert (came_of[one.id], came_of[other.id]) == ("confirm", "reopen")
        assert list(came_of.values()).count("") == len(draw.drawn) - 2
        again = samples.prepare(db, on, 2017, 10)
        assert again.random == min(
            len(again.listed) - again.certain, 2 * samples.size(len(again.listed) - again.certain, 10)
        )


def test_every_body_and_year_has_at_least_one(counties: Counties) -> None:
    sessions, made = counties
    with transaction(sessions) as db, serving(db, SYSTEM):
        for number in range(60):
            led(db, db.get_one(Body, made["静宁县"]), f"R{number:02}", CLOSED)
        led(db, db.get_one(Body, made["清水县"]), "L", CLOSED)
        draw = samples.prepare(db, date(2020, 5, 1), 2016, 20)
        places = {item.body_id for item in samples.found(db, dict(draw.drawn)).values()}
        assert places == {made["秦安县"], made["清水县"], made["静宁县"]}


def test_another_province_does_not_see_a_draw(counties: Counties) -> None:
    sessions, _ = counties
    with transaction(sessions) as db, serving(db, SYSTEM):
        kept = samples.keep(db, samples.prepare(db, date(2020, 5, 1), None, 10), "620000", START)

    def seen(*grants: Grant) -> bool:
        with transaction(sessions) as db, serving(db, Viewer(person_id=9, grants=grants)):
            return samples.numbered(db, kept.id) is not None

    assert seen(Grant(role="province_officer", body_id=None, division_code="620000"))
    assert not seen(Grant(role="province_officer", body_id=None, division_code="530000"))
    assert not seen(Grant(role="county_officer", body_id=1, division_code=None))
