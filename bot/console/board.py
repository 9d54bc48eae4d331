"""看板: the numbers of rectification and the two 90 % figures by city and year, as pictures with their tables."""

import base64
import sys
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from xml.etree.ElementTree import Element

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse

from bot.console.frame import PROVINCE, Console, Desk, Entry
from bot.texts import say
from bot.workdays import LOCAL
from storage import funds, numbers, rosters
from storage.funds import Sums
from storage.models import Body, Fund
from storage.numbers import Numbers, Row

READERS = (*PROVINCE, "city", "county_officer", "county_head")
MENU = (Entry(path="/console/board", label="看板", roles=READERS),)
MOST_BARS = 30  # places in one picture; the table has all
COLOURS = ("#1a4480", "#c47a00")
LINE_PERCENT = 90


@dataclass(frozen=True, kw_only=True)
class Money:
    """The sums of the demonstration years of a place that were reported, and how many were not."""

    place: str
    batch_year: int
    sums: Sums
    reported: int
    missing: int


def router(console: Console) -> APIRouter:
    """The page of numbers."""
    routes = APIRouter()

    @routes.get("/console/board")
    def board(request: Request) -> HTMLResponse:
        with console.enter(request, *READERS) as desk:
            return _board(desk)

    return routes


def _board(desk: Desk) -> HTMLResponse:
    """Cities where several are seen, else the bodies of the one city; of all years or of one."""
    asked, on = desk.request.query_params, desk.now.astimezone(LOCAL).date()
    money = rosters.funds(desk.db)
    everything = _with_empty(numbers.table(desk.db, desk.now, on), money)
    years = sorted({row.batch_year for row in everything})
    year = next((one for one in years if str(one) == asked.get("year")), None)
    cities = {code: name for code, (name, _) in numbers.by_city(desk.db, everything).items()}
    city = asked.get("city", "") if asked.get("city") in cities else ""
    rows = [row for row in everything if year in (None, row.batch_year) and city in ("", row.city)]
    together = not city and len(cities) > 1
    parts, bodies = _parts(rows, cities if together else {}), numbers.by_body(rows)
    reports = {(body.id, which): fund for body, which, fund in money}
    listed = [_money(place, year, part, reports) for place, year, part in parts if year is not None]
    return desk.page(
        "desk/board.html", on=on, total=numbers.total(rows), bodies=len(bodies), years=years, year=year, city=city,
        cleared=sum(counted.cleared for _, counted in bodies.values()), together=together, line=LINE_PERCENT,
        cities=cities, definitions=say("progress.definitions"), money=listed,
        parts=[(place, year, numbers.total(part)) for place, year, part in parts if year is not None],
        pictures=_pictures([(place, numbers.total(part)) for place, year, part in parts if year is None], listed),
    )  # fmt: skip


def _with_empty(rows: list[Row], money: Sequence[tuple[Body, int, Fund | None]]) -> list[Row]:
    """The rows with those of the demonstration years that have no items, by code and year."""
    known = {(row.body_id, row.batch_year) for row in rows}
    empty = [
        Row(body_id=body.id, place=body.name, code=body.division_code, batch_year=year, numbers=Numbers())
        for body, year, _ in money
        if (body.id, year) not in known
    ]
    return sorted((*rows, *empty), key=lambda row: (row.code, row.body_id, row.batch_year))


def _parts(rows: Sequence[Row], cities: dict[str, str]) -> list[tuple[str, int | None, list[Row]]]:
    """The rows of each city, or with no `cities` body, in each year and over its years (None), in the order of codes."""
    found: dict[tuple[str, str], list[Row]] = defaultdict(list)
    for row in rows:
        found[(row.city, cities[row.city]) if cities else (f"{row.code} {row.body_id}", row.place)].append(row)
    made: list[tuple[str, int | None, list[Row]]] = []
    for (_, place), listed in found.items():
        for year in sorted({row.batch_year for row in listed}):
            made.append((place, year, [row for row in listed if row.batch_year == year]))
        made.append((place, None, listed))
    return made


def _money(place: str, year: int, part: Sequence[Row], reports: dict[tuple[int, int], Fund | None]) -> Money:
    """The sums of what was reported; what is missing is counted apart, never as nought."""
    funded = [reports.get((row.body_id, row.batch_year)) for row in part]
    known = [funds.sums(fund) for fund in funded if fund is not None]
    sums = Sums(
        allocated=sum((one.allocated for one in known), Decimal(0)),
        disbursed=sum((one.disbursed for one in known), Decimal(0)),
        used=sum((one.used for one in known), Decimal(0)),
        as_of=min((one.as_of for one in known), default=date.min),
    )
    return Money(place=place, batch_year=year, sums=sums, reported=len(known), missing=len(part) - len(known))


# --- pictures --------------------------------------------------------------------------------------------------------


def _pictures(parts: Sequence[tuple[str, Numbers]], money: Sequence[Money]) -> dict[str, str]:
    """The address of each picture, by the name of the table that it shows."""
    places, counted = [place for place, _ in parts], [one for _, one in parts]
    named = [f"{one.place} {one.batch_year}" for one in money]
    return {
        "closing": _bars(
            places,
            {"销号率": [_percent(one.closing_rate) for one in counted],
             "回头看确认率": [_percent(one.confirmed_rate) for one in counted]},
            unit="%",
        ),
        "overdue": _bars(
            places, {"现逾期": [one.overdue for one in counted], "原逾期": [one.overdue_first for one in counted]}
        ),
        "clocks": _bars(
            places,
            {"在县": [one.county_days for one in counted], "在省": [one.province_days for one in counted]}, unit="天",
        ),
        "money": _bars(
            named,
            {"拨付率": [_percent(one.sums.disbursement_rate) for one in money],
             "使用率": [_percent(one.sums.use_rate) for one in money]},
            unit="%", line=LINE_PERCENT,
        ),
    }  # fmt: skip


def _percent(rate: float | Decimal | None) -> float | None:
    return None if rate is None else float(rate) * 100


def _bars(
    places: Sequence[str], series: dict[str, list[float | int | None]], *, unit: str = "", line: int | None = None
) -> str:
    """Bars side by side as a picture within the page: no script, and no style that the page would have to allow."""
    import pygal  # loaded for the first picture: it takes as long as the rest of the console
    from pygal.style import Style

    # pygal looks for maps of its own at every later import of the program, in a way that Python warns about
    sys.meta_path[:] = [one for one in sys.meta_path if type(one).__module__ != "pygal"]
    style = Style(
        background="white", plot_background="white", colors=COLOURS, label_font_size=13, major_label_font_size=13,
        legend_font_size=14, font_family="sans-serif", guide_stroke_color="#d7dee6",
        major_guide_stroke_color="#9b1c1c" if line else "#d7dee6",
    )  # fmt: skip
    chart = pygal.Bar(
        width=960, height=320, js=[], style=style, legend_at_bottom=True, truncate_legend=-1, truncate_label=-1,
        x_label_rotation=20 if len(places) > 8 else 0, show_minor_y_labels=True, min_scale=4, no_data_text="",
        value_formatter=lambda value: f"{value:.3g}{unit}",
    )  # fmt: skip
    if unit == "%":
        chart.range = (0, 100)
        chart.y_labels = sorted({0, 20, 40, 60, 80, 100, line or 0})
        chart.y_labels_major = [line or 0]
    elif not unit:
        most = max((value or 0 for values in series.values() for value in values), default=0)
        chart.y_labels = range(0, int(most) + 2, max(1, int(most) // 5))
    chart.add_xml_filter(_without_script)
    chart.x_labels = list(places[:MOST_BARS])
    for name, values in series.items():
        chart.add(name, values[:MOST_BARS])
    return "data:image/svg+xml;base64," + base64.b64encode(chart.render()).decode()


def _without_script(tree: Element) -> Element:
    """A picture without the settings that pygal leaves in it for its own script."""
    for parent in tree.iter():
        for script in parent.findall("script"):
            parent.remove(script)
    return tree
