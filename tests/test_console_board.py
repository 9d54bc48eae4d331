"""The board over HTTP: its numbers are those of the rows beneath it, within one's scope."""

import base64
import re
from collections.abc import Iterator

import pytest

from tests.conftest import serve
from tests.console import signed_in


@pytest.fixture(scope="module")
def desk_site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    yield from serve(tmp_path_factory.mktemp("console"), "--demo")


def table(page: str, heading: str) -> list[list[str]]:
    """The cells of the table under a heading, row by row."""
    part = page.split(f'<h2 id="{heading}">')[1].split("<tbody>")[1].split("</tbody>")[0]
    return [
        [re.sub("<[^>]+>", "", cell) for cell in re.findall(r"<t[hd][^>]*>(.*?)</t[hd]>", row)]
        for row in re.findall(r"<tr>(.*?)</tr>", part, re.DOTALL)
    ]


def tiles(page: str) -> dict[str, str]:
    return dict(re.findall(r"<div><dt>(.*?)</dt><dd>(.*?)</dd>", page))


def test_the_province_by_city_and_year(desk_site: str) -> None:
    with signed_in(desk_site, "样例子") as officer:
        assert officer.get("/console").url.path == "/console/board"
        page = officer.get("/console/board").text
        rows = table(page, "closing")
        assert [row[:2] for row in rows] == [
            ["兰州市", "2015"], ["天水市", "2016"], ["天水市", "2017"], ["武威市", "2018"], ["张掖市", "2019"], ["平凉市", "2014"],
        ]  # fmt: skip
        counted, done = sum(int(row[2]) for row in rows), sum(int(row[4]) + int(row[5]) for row in rows)
        assert tiles(page)["纳入统计"] == f"{counted}项" and tiles(page)["销号率"] == f"{done / counted:.1%}"
        assert ["天水市", "2016", "88.00%", "82.00%"] in [
            [row[0], row[1], row[5], row[6]] for row in table(page, "money")
        ]
        overdue = sum(int(row[3]) for row in table(page, "overdue"))
        assert tiles(page)["逾期"] == f"{overdue}项" and overdue

        one = officer.get("/console/board", params={"city": "620500", "year": "2016"}).text
        [row] = table(one, "closing")
        assert row[:2] == ["秦安县", "2016"] and tiles(one)["纳入统计"] == f"{row[2]}项"
        assert officer.get("/console/board", params={"city": "1'", "year": "x"}).text.count("<tbody>") == 4


def test_pictures_run_nothing_and_are_named(desk_site: str) -> None:
    with signed_in(desk_site, "样例子") as officer:
        page = officer.get("/console/board").text
    drawn = re.findall(r'<img class="chart" src="data:image/svg\+xml;base64,([^"]+)" alt="([^"]+)"', page)
    assert len(drawn) == 4
    for code, words in drawn:
        svg = base64.b64decode(code).decode()
        assert "<script" not in svg and 'xlink:href="http' not in svg and words.endswith("数据见下表")
        assert "天水市" in svg


def test_a_county_sees_itself(desk_site: str) -> None:
    with signed_in(desk_site, "样例庚") as head:
        page = head.get("/console/board").text
        places = {row[0] for heading in ("closing", "money") for row in table(page, heading)}
        assert places == {"秦安县"}
    with signed_in(desk_site, "样例寅") as hotline:
        assert hotline.get("/console/board").status_code == 404
