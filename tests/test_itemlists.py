"""The list of items by workbook: round trip, undo, every bad cell, formulas, and five thousand rows."""

from collections.abc import Sequence
from datetime import UTC, date, datetime
from pathlib import Path

import openpyxl
import pytest
from sqlalchemy import func, select, update
from sqlalchemy.orm import Session, sessionmaker

from bot.installation import open_database
from bot.settings import Paths, Settings
from handlers import itemlists
from handlers.itemlists import SHEET
from storage import bodies, drafts, items, milestones
from storage.db import transaction
from storage.models import Audit, Item, ItemEvent, ItemUnit, Milestone
from storage.scope import SYSTEM, Grant, OutOfScope, Viewer, serving
from tests.commands import Program

NOW = datetime(2020, 4, 24, 4, tzinfo=UTC)
GOOD = ("1", "秦安县（620522）", "2016", "绩效评价", "2019-11-20", "站点", "三个站点停止运营，门店上锁", "附件1-3.2", "恢复运营",
        "立行立改", "", "秦安县工信商务局、秦安县财政局", "样例甲", "2020.6.30", "12.5", "", "")  # fmt: skip


def filled(path: Path, rows: Sequence[Sequence[object]]) -> Path:
    book = openpyxl.Workbook()
    book.active.title = SHEET.name
    book.active.append([column.title for column in SHEET.columns])
    for row in rows:
        book.active.append(list(row))
    book.save(path)
    return path


def with_(**changed: object) -> list[object]:
    return [changed.get(column.key, cell) for column, cell in zip(SHEET.columns, GOOD, strict=True)]


@pytest.fixture
def county(sessions: sessionmaker[Session]) -> sessionmaker[Session]:
    with transaction(sessions) as db, serving(db, SYSTEM):
        bodies.find_or_add(db, name="秦安县", division_code="620522", years=[2016, 2019])
    return sessions


def load(sessions: sessionmaker[Session], path: Path, viewer: Viewer = SYSTEM) -> itemlists.Loaded:
    with transaction(sessions) as db, serving(db, viewer):
        return itemlists.load(db, path, NOW)


def officer_of(province: str) -> Viewer:
    return Viewer(grants=(Grant(role="province_officer", body_id=None, division_code=province),))


def export(sessions: sessionmaker[Session], path: Path) -> int:
    with transaction(sessions) as db, serving(db, SYSTEM):
        return itemlists.export(db, path, date(2020, 7, 5))


def count(sessions: sessionmaker[Session], *tables: type) -> list[int]:
    with transaction(sessions) as db, serving(db, SYSTEM):
        return [db.scalar(select(func.count()).select_from(table)) or 0 for table in tables]


def test_what_is_exported_comes_back_unchanged(county: sessionmaker[Session], tmp_path: Path) -> None:
    odd = "=SUM(A1)　（２０２０年）\n第二行"
    path = filled(tmp_path / "in.xlsx", [GOOD, with_(number="2", problem="'" + odd, due_on="", amount="")])
    assert load(county, path).added == 2
    with transaction(county) as db, serving(db, SYSTEM):
        one = db.scalars(select(Item).where(Item.number == "1")).one()
        db.execute(update(Item).where(Item.number == "2").values(problem=odd))
        items.apply(db, one.id, 1, "issue", {"due_on": "2020-06-30"}, NOW)
        items.apply(db, one.id, 2, "acknowledge", {"measure": "逐站核对，限期恢复。"}, NOW)
    assert export(county, tmp_path / "out.xlsx") == 2
    sheet = openpyxl.load_workbook(tmp_path / "out.xlsx")[SHEET.name]
    shown = [
        dict(zip([cell.value for cell in sheet[1]], (c.value for c in row), strict=True))
        for row in sheet.iter_rows(min_row=2)
    ]
    assert (shown[0]["状态"], shown[0]["现超期天数"], shown[0]["责任人"]) == ("整改中", "5", "样例甲")
    assert shown[1]["问题描述*"].startswith("'=") and shown[1]["完成时限"] in (None, "")
    assert sheet.freeze_panes == "A2" and sheet.page_setup.orientation == "landscape"
    before = count(county, Item, ItemUnit, ItemEvent, Audit)
    again = load(county, tmp_path / "out.xlsx")
    assert (again.problems, again.added, again.unchanged) == ([], 0, 2)
    assert "状态" in again.ignored
    assert count(county, Item, ItemUnit, ItemEvent, Audit) == before


def test_every_bad_cell_is_named_and_nothing_is_stored(county: sessionmaker[Session], tmp_path: Path) -> None:
    bad = {"body": "清水县", "year": "2017", "source": "听说", "found_on": "2020-05-01", "category": "站店",
           "kind": "随缘", "due_on": "2020.4.31", "amount": "-3", "stages": "5月31日完成选址", "recurs_of": "77", "number": "9" * 40, "problem": "", "units": ""}  # fmt: skip
    rows = [GOOD, *(with_(**{"number": f"n{place}", key: value}) for place, (key, value) in enumerate(bad.items())), GOOD,
            with_(number="x", due_on="6月30日")]  # fmt: skip
    outcome = load(county, filled(tmp_path / "in.xlsx", rows))
    titles = {column.key: column.title for column in SHEET.columns}
    named = {(one.row, one.column.split("“")[1].rstrip("”")) for one in outcome.problems if one.wrong and one.example}
    wanted = {(place, titles[key]) for place, key in enumerate(bad, 3)} | {
        (len(bad) + 3, "编号"),
        (len(bad) + 4, "完成时限"),
    }
    assert named == wanted
    assert count(county, Item, ItemEvent, ItemUnit) == [0, 0, 0]


def test_a_changed_row_is_refused_once_issued_and_a_like_one_is_shown(
    county: sessionmaker[Session], tmp_path: Path
) -> None:
    load(county, filled(tmp_path / "in.xlsx", [GOOD]))
    with transaction(county) as db, serving(db, SYSTEM):
        items.apply(db, db.scalars(select(Item.id)).one(), 1, "issue", {"due_on": "2020-06-30"}, NOW)
    refused = load(county, filled(tmp_path / "in.xlsx", [with_(standard="另一标准")]))
    assert [(one.row, one.column) for one in refused.problems] == [(2, "I列“整改标准”")]
    alike = load(county, filled(tmp_path / "in.xlsx", [with_(number="2", problem="三个站点停止运营，门店 上锁。")]))
    assert alike.added == 1 and "编号1" in alike.suspected[0].wrong
    other_year = load(county, filled(tmp_path / "in.xlsx", [with_(year="2019年度")]))
    assert (other_year.added, other_year.suspected) == (1, [])


def test_a_newer_list_amends_drafts_with_what_changed(county: sessionmaker[Session], tmp_path: Path) -> None:
    first = load(county, filled(tmp_path / "in.xlsx", [GOOD]))
    newer = with_(
        standard="三个站点恢复运营", kind="分阶段", due_on="2020-07-15", amount="", units="秦安县商务局", person="样例乙",
        stages="2020-06-20 完成装修；2020-05-31 完成选址",
    )  # fmt: skip
    amended = load(county, filled(tmp_path / "in.xlsx", [newer]), officer_of("620000"))
    assert (amended.problems, amended.added, amended.changed) == ([], 0, 1)
    assert load(county, filled(tmp_path / "in.xlsx", [newer])).unchanged == 1
    with transaction(county) as db, serving(db, SYSTEM):
        item = db.scalars(select(Item)).one()
        assert (item.state, item.version, item.standard, item.amount) == ("draft", 2, "三个站点恢复运营", None)
        assert item.first_due_on == item.due_on == date(2020, 7, 15)
        event = items.trail(db, item.id)[-1]
        assert (event.event, event.said["changed"]["due_on"]) == ("amend", ["2020-06-30", "2020-07-15"])
        assert [one.text for one in milestones.planned(db, item.id)] == ["完成选址", "完成装修"]
    assert count(county, ItemUnit, Milestone) == [1, 2]
    late = load(county, filled(tmp_path / "in.xlsx", [with_(stages="2020-12-31 完成选址")]))
    assert [one.column for one in late.problems] == ["P列“阶段安排”"]
    with transaction(county) as db, serving(db, SYSTEM):
        assert drafts.undo(db, first.token, NOW) == 1
    assert count(county, Item, ItemUnit, Milestone) == [0, 0, 0]


def test_a_list_names_the_item_whose_problem_came_back(county: sessionmaker[Session], tmp_path: Path) -> None:
    load(county, filled(tmp_path / "in.xlsx", [GOOD]))
    again = filled(tmp_path / "again.xlsx", [with_(number="2", recurs_of="1")])
    assert [one.column for one in load(county, again).problems] == ["Q列“再次发生的原编号”"]
    with transaction(county) as db, serving(db, SYSTEM):
        first = db.scalars(select(Item)).one()
        first.state = "confirmed"
    assert load(county, again).added == 1
    with transaction(county) as db, serving(db, SYSTEM):
        assert db.scalars(select(Item.recurs_of).where(Item.number == "2")).one() == first.id
    assert load(county, again).unchanged == 1


def test_an_officer_brings_in_their_own_province_alone(county: sessionmaker[Session], tmp_path: Path) -> None:
    path = filled(tmp_path / "in.xlsx", [GOOD, with_(number="2")])
    assert "没有登记" in load(county, path, officer_of("610000")).problems[0].wrong
    assert load(county, path, officer_of("620000")).added == 2
    with transaction(county) as db, serving(db, SYSTEM):
        assert set(db.execute(select(Audit.action, Audit.role, Audit.body_id))) == {
            ("item.draft", "province_officer", 1)
        }
        assert db.scalars(select(Item.number).join(ItemEvent, ItemEvent.item_id == Item.id)).all() == ["1", "2"]
        draft = drafts.Draft(values={"body_id": 1, "due_on": None}, units=(), person="")
        with serving(db, officer_of("610000")), pytest.raises(OutOfScope):
            drafts.add(db, [draft], "token", NOW)


def test_an_import_is_undone_until_somebody_has_acted(county: sessionmaker[Session], tmp_path: Path) -> None:
    first = load(county, filled(tmp_path / "in.xlsx", [GOOD]))
    second = load(county, filled(tmp_path / "in.xlsx", [with_(number="2", problem="物流价格高")]))
    with transaction(county) as db, serving(db, SYSTEM):
        items.apply(
            db, db.scalars(select(Item.id).where(Item.number == "1")).one(), 1, "issue", {"due_on": "2020-06-30"}, NOW
        )
    with transaction(county) as db, serving(db, SYSTEM):
        with pytest.raises(drafts.Moved):
            drafts.undo(db, first.token, NOW)
        assert drafts.undo(db, second.token, NOW) == 1
        assert drafts.undo(db, second.token, NOW) == 0
    assert count(county, Item, ItemUnit) == [1, 2]
    with transaction(county) as db, serving(db, SYSTEM):
        assert [one.action for one in db.scalars(select(Audit).order_by(Audit.id))][-1] == "item.undo_import"


def test_an_operator_imports_undoes_and_exports(
    program: Program, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COUNTYDESK_CLOCK__NOW", "2020-04-24T12:00:00+08:00")
    with transaction(open_database(Settings(paths=Paths(data=tmp_path / "data")))) as db, serving(db, SYSTEM):
        bodies.find_or_add(db, name="秦安县", division_code="620522", years=[2016])
    assert program("items", "template", "t.xlsx", cwd=tmp_path).returncode == 0
    filled(tmp_path / "in.xlsx", [GOOD])
    tried = program("items", "import", "in.xlsx", "--dry-run", cwd=tmp_path)
    assert tried.stdout == "试运行，没有保存：新增1行，更新0行，未变0行。\n", tried.stderr
    done = program("items", "import", "in.xlsx", cwd=tmp_path)
    token = done.stdout.split()[-1]
    assert program("items", "export", "out.xlsx", "--county", "秦安县", "--year", "2016", cwd=tmp_path).stdout.endswith(
        "1项。\n"
    )
    exported = openpyxl.load_workbook(tmp_path / "out.xlsx")
    assert exported["进度统计"]["D2"].value == "1"
    assert program("items", "sample", "1", "s.xlsx", cwd=tmp_path).returncode == 1
    assert program("items", "import", "--undo", token, cwd=tmp_path).stdout == "已撤销，删去1项。\n"
    assert program("items", "import", cwd=tmp_path).returncode == 2


def test_a_long_list_tells_how_far_it_is(county: sessionmaker[Session], tmp_path: Path) -> None:
    rows = [
        with_(
            number=str(place), problem=f"第{place * 7919 % 100003}号问题：{'甲乙丙丁戊己庚'[place % 7] * (place % 40)}"
        )
        for place in range(1500)
    ]
    path = filled(tmp_path / "in.xlsx", rows)
    told: list[int] = []
    with transaction(county) as db, serving(db, SYSTEM):
        outcome = itemlists.load(db, path, NOW, lambda done, of: told.append(done))
    assert outcome.added == 1500
    assert told == [1000]
