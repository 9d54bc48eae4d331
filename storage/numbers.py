"""How far rectification has come, by body, year and city. Each number has one definition; nobody is ranked.

The definitions, with their formulas, stand in docs/数字口径.md.
Source: 商办建函〔2020〕144号 三.
"""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

from sqlalchemy import BigInteger, ColumnElement, Select, Subquery, cast, func, select
from sqlalchemy.orm import Session

from storage import bodies, items, scope
from storage.db import among
from storage.models import Body, Division, Item

DAY_S = 86_400


@dataclass(frozen=True, kw_only=True)
class Numbers:
    """Counts of items, and what follows from them. A rate is a fraction from 0 to 1, None where nothing is counted."""

    drafts: int = 0  # on the list, not issued: counted nowhere else
    counted: int = 0  # issued and not taken off the list
    open: int = 0
    closed: int = 0  # not confirmed by a follow-up check: 未抽查
    confirmed: int = 0
    referred: int = 0
    overdue: int = 0  # open, past the deadline with its extensions
    overdue_first: int = 0  # open, past the deadline as issued
    first_time: int = 0  # closed or confirmed without ever having been returned
    closings: int = 0  # how often an item was closed
    rebounds: int = 0  # how often one was reopened by a failed check, or came back after a passed one
    county_s: int = 0  # how long counties have held the counted items
    province_s: int = 0  # how long the province has

    @property
    def closing_rate(self) -> float | None:
        """销号率."""
        return _rate(self.closed + self.confirmed, self.counted)

    @property
    def confirmed_rate(self) -> float | None:
        """回头看确认率: what was not checked never counts as confirmed."""
        return _rate(self.confirmed, self.closed + self.confirmed)

    @property
    def first_time_rate(self) -> float | None:
        """一次通过率."""
        return _rate(self.first_time, self.closed + self.confirmed)

    @property
    def rebound_rate(self) -> float | None:
        """反弹率."""
        return _rate(self.rebounds, self.closings)

    @property
    def county_days(self) -> float | None:
        """Days that a county has held an item, on average."""
        return _rate(self.county_s, self.counted * DAY_S)

    @property
    def province_days(self) -> float | None:
        """Days that the province has held an item, on average."""
        return _rate(self.province_s, self.counted * DAY_S)

    @property
    def cleared(self) -> bool:
        """见底清零, of a body: all that is on its list is confirmed."""
        return 0 < self.counted == self.confirmed and not self.drafts


@dataclass(frozen=True, kw_only=True)
class Row:
    """The numbers of one body and batch year."""

    body_id: int
    place: str
    code: str
    batch_year: int
    numbers: Numbers

    @property
    def city(self) -> str:
        """The code of the city: 620522 → 620500."""
        return f"{self.code[:4]}00"


def table(
    db: Session, now: datetime, on: date, *, within: str = "", body_id: int | None = None, year: int | None = None
) -> list[Row]:
    """The numbers of every body and year that the viewer works on or reads, by code and year.

    `on` is the local date that decides what is overdue; `within` a division's code, whose bodies are wanted.
    """
    places = {id_: (name, code) for id_, name, code in db.execute(select(Body.id, Body.name, Body.division_code))}
    wanted = [
        id_ for id_, (_, code) in places.items() if code.startswith(scope.prefix_of(within)) and body_id in (None, id_)
    ]
    counted = _counted(db, on).where(among(db, Item.body_id, wanted), items.own(scope.viewer_of(db)))
    if year is not None:
        counted = counted.where(Item.batch_year == year)
    with scope.serving(db, scope.SYSTEM):  # of bodies that the viewer reads: not asked again for each of the items
        found = db.execute(_summed(counted.subquery(), int(now.timestamp()))).all()
    rows = [
        Row(
            body_id=id_,
            place=places[id_][0],
            code=places[id_][1],
            batch_year=batch_year,
            numbers=Numbers(**dict(zip(Numbers.__dataclass_fields__, sums, strict=True))),
        )
        for id_, batch_year, *sums in found
    ]
    return sorted(rows, key=lambda row: (row.code, row.body_id, row.batch_year))


def _counted(db: Session, on: date) -> Select[*tuple[Any, ...]]:  # Any: a row of many columns
    """Items counted by body, year and state: few rows, whatever the number of items.

    Nothing is asked of an item but what its index holds, and nothing about its state: of that there is one a row.
    """
    sqlite = db.get_bind().dialect.name == "sqlite"  # what `extract` does there takes three times as long
    changed_s = func.unixepoch(Item.changed_at) if sqlite else func.date_part("epoch", Item.changed_at)
    return (
        select(
            Item.body_id, Item.batch_year, Item.state, func.count().label("some"),
            func.count().filter(Item.due_on < on).label("late"),
            func.count().filter(Item.first_due_on < on).label("late_first"),
            func.count().filter(Item.returns == 0).label("never_returned"), func.sum(Item.round).label("rounds"),
            func.count(Item.recurs_of).label("recurring"), func.sum(Item.county_s).label("county_s"),
            func.sum(Item.province_s).label("province_s"), _whole(func.sum(changed_s)).label("changed_s"),
        )
        .where(Item.state != "withdrawn")
        .group_by(Item.body_id, Item.batch_year, Item.state)
    )  # fmt: skip


def _summed(counted: Subquery, now_s: int) -> Select[*tuple[Any, ...]]:  # Any: as above
    """The fields of Numbers, in their order, by body and year."""
    of = counted.c
    since_s = of.some * now_s - of.changed_s  # how long the items of a row have been where they are

    def sum_of(value: ColumnElement[int], *states: str) -> ColumnElement[int]:
        """The sum over the items in these states; without any, over all that have been issued."""
        of_these = of.state.in_(states) if states else of.state != "draft"
        return _whole(func.coalesce(func.sum(value).filter(of_these), 0))

    return select(
        of.body_id, of.batch_year, sum_of(of.some, "draft"), sum_of(of.some), sum_of(of.some, *items.OPEN),
        sum_of(of.some, "closed"), sum_of(of.some, "confirmed"), sum_of(of.some, "referred"), sum_of(of.late, *items.OPEN),
        sum_of(of.late_first, *items.OPEN), sum_of(of.never_returned, *items.DONE),
        sum_of(of.rounds - of.some) + sum_of(of.some, *items.DONE), sum_of(of.rounds - of.some + of.recurring),
        sum_of(of.county_s) + sum_of(since_s, *items.AT_COUNTY), sum_of(of.province_s) + sum_of(since_s, *items.AT_PROVINCE),
    ).group_by(of.body_id, of.batch_year)  # fmt: skip


def _whole(sum_: ColumnElement[Any]) -> ColumnElement[int]:  # Any: whatever the database sums in
    """A sum as a plain number: PostgreSQL's would come as decimals, which take long to read and to add."""
    return cast(sum_, BigInteger)


def together(counted: Iterable[Numbers]) -> Numbers:
    """The sum of several numbers."""
    sums = map(sum, zip(*(vars(one).values() for one in counted), strict=True))
    return Numbers(**dict(zip(Numbers.__dataclass_fields__, sums, strict=False)))


def total(rows: Iterable[Row]) -> Numbers:
    """The numbers of several bodies and years together."""
    return together(row.numbers for row in rows)


def by_city(db: Session, rows: Iterable[Row]) -> dict[str, tuple[str, list[Row]]]:
    """Rows by their city's code, with its name, in the order of codes."""
    found: dict[str, list[Row]] = defaultdict(list)
    for row in rows:
        found[row.city].append(row)
    with scope.serving(db, scope.SYSTEM):
        known = db.execute(select(Division.code, Division.name).where(Division.code.in_(found)))
        names = {code: name for code, name in known}
    return {
        code: (names.get(code) or bodies.published().get(code, code), listed) for code, listed in sorted(found.items())
    }


def by_body(rows: Iterable[Row]) -> dict[int, tuple[str, Numbers]]:
    """The numbers of each body over its years, with its name, in the order of codes."""
    found: dict[int, list[Row]] = defaultdict(list)
    for row in rows:
        found[row.body_id].append(row)
    return {body_id: (listed[0].place, total(listed)) for body_id, listed in found.items()}


def _rate(part: int, whole: int) -> float | None:
    return part / whole if whole else None
