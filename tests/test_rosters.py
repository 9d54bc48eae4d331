"""A province's counties and people from one roster: template, dry run, import, import again, and every bad cell."""

import zipfile
from collections.abc import Callable, Sequence
from pathlib import Path

import openpyxl
import pytest
from sqlalchemy import select

from bot.installation import open_database
from bot.settings import Paths, Settings
from bot.templates import safe
from bot.workbooks import MOST_ROWS
from handlers.rosters import BODIES, PEOPLE
from storage import bodies
from storage.db import transaction
from storage.models import Audit, Body, Fact, Invitation, Person, Role
from storage.scope import SYSTEM, serving
from tests.commands import Program

COUNTIES = [("620522", "秦安县", "2016、2019", "工信商务局", "是"), ("620521", "清水县", "2017年度", "", "否")]
STAFF = [
    ("样例甲", "县级经办人", "秦安县", "秦安县工信商务局", "主任", "13800000001"),
    ("样例乙", "县级分管负责人", "620521", "清水县商务局", "", ""),
    ("样例丙", "市级联系人", "天水市", "天水市商务局", "", ""),
    ("样例丁", "省级经办人", "全省", "省商务厅市场建设处", "", ""),
]


@pytest.fixture(autouse=True)
def july(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COUNTYDESK_CLOCK__NOW", "2020-07-01T12:00:00+08:00")


def roster(path: Path, counties: Sequence[Sequence[object]], staff: Sequence[Sequence[object]]) -> Path:
    """A filled roster as a person saves it."""
    book = openpyxl.Workbook()
    book.remove(book.active)
    for sheet, rows in ((BODIES, counties), (PEOPLE, staff)):
        made = book.create_sheet(sheet.name)
        made.append([column.title for column in sheet.columns])
        for row in rows:
            made.append(list(row))
    book.save(path)
    return path


def stored(folder: Path, table: type) -> list:  # type: ignore[type-arg]  # rows of whichever table
    sessions = open_database(Settings(paths=Paths(data=folder / "data")))
    with transaction(sessions) as db, serving(db, SYSTEM):
        return list(db.scalars(select(table).order_by(table.id)))


def test_a_roster_brings_counties_people_facts_and_codes(program: Program, tmp_path: Path) -> None:
    roster(tmp_path / "r.xlsx", COUNTIES, STAFF)
    tried = program("people", "import", "r.xlsx", "--dry-run", cwd=tmp_path)
    assert (tried.returncode, tried.stdout) == (0, "试运行，没有保存：新增6行，更新0行，未变0行。\n"), tried.stderr
    assert stored(tmp_path, Body) == stored(tmp_path, Person) == stored(tmp_path, Audit) == []

    done = program("people", "import", "r.xlsx", "--codes", "codes.xlsx", cwd=tmp_path)
    assert (done.returncode, done.stdout) == (0, "新增6行，更新0行，未变0行。\n")
    assert [(body.name, body.office) for body in stored(tmp_path, Body)] == [("秦安县", "工信商务局"), ("清水县", "")]
    assert [(fact.key, fact.value) for fact in stored(tmp_path, Fact)] == [
        ("poverty_county", "yes"),
        ("poverty_county", "no"),
    ]
    assert stored(tmp_path, Role) == []  # roles come with the binding
    assert all(one.phone is None or one.phone.startswith("aesgcm1:") for one in stored(tmp_path, Person))
    handed = list(openpyxl.load_workbook(tmp_path / "codes.xlsx")["邀请码"].iter_rows(min_row=2, values_only=True))
    assert [row[:3] for row in handed] == [
        ("秦安县", "样例甲", "县级经办人"),
        ("清水县", "样例乙", "县级分管负责人"),
        ("天水市", "样例丙", "市级联系人"),
        ("甘肃省", "样例丁", "省级经办人"),
    ]
    assert all(len(row[3]) == 9 and f"绑定 {row[3]}" in row[5] for row in handed)
    assert len(stored(tmp_path, Invitation)) == 4
    audit = stored(tmp_path, Audit)
    assert {one.action for one in audit} == {"body.import", "fact.add", "person.import", "invite"}
    assert not any("样例甲" in str(one.after) for one in audit)


def test_the_same_roster_again_changes_nothing(program: Program, tmp_path: Path) -> None:
    roster(tmp_path / "r.xlsx", COUNTIES, STAFF)
    program("people", "import", "r.xlsx", cwd=tmp_path)
    before = [len(stored(tmp_path, table)) for table in (Body, Fact, Person, Invitation, Audit)]
    again = program("people", "import", "r.xlsx", cwd=tmp_path)
    assert again.stdout == "新增0行，更新0行，未变6行。\n"
    assert [len(stored(tmp_path, table)) for table in (Body, Fact, Person, Invitation, Audit)] == before
    more = [("620522", "秦安县", "2016、2019、2020", "工信商务局", "否"), COUNTIES[1]]
    changed = program("people", "import", str(roster(tmp_path / "r.xlsx", more, STAFF)), cwd=tmp_path)
    assert changed.stdout == "新增0行，更新1行，未变5行。\n"
    assert stored(tmp_path, Fact)[-1].value == "no"
    with transaction(open_database(Settings(paths=Paths(data=tmp_path / "data")))) as db, serving(db, SYSTEM):
        assert bodies.batch_years(db, 1) == [2016, 2019, 2020]


def test_every_bad_cell_is_named_and_nothing_is_stored(program: Program, tmp_path: Path) -> None:
    counties = [
        *COUNTIES,
        ("12345", "某县", "2016", "", ""),
        ("620523", "清水县", "2016", "", ""),  # 620523 is 甘谷县
        ("620524", "武山县", "二〇一六", "", "也许"),
        ("620525", "张家川回族自治县", "=2016+0", "", ""),
        ("620522", "秦安县", "2016", "", ""),
    ]
    staff = [
        ("样例甲", "县长", "秦安县", "", "", ""),
        ("样例乙", "县级经办人", "不存在县", "", "", ""),
        ("", "县级经办人", "秦安县", "", "", ""),
        ("样例丙", "市级联系人", "火星市", "", "", ""),
        ("样例丁", "县级经办人", "秦安县", "", "", "12"),
        ("样例戊", "县级经办人", "秦安县", "", "", "13800000002"),
        ("样例己", "县级经办人", "秦安县", "", "", "１３８００００００２"),
    ]
    staff[-1] = ("样例己", "县级经办人", "秦安县", "", "", "１３８０００００００２")  # the same number, full-width
    done = program("people", "import", str(roster(tmp_path / "r.xlsx", counties, staff)), cwd=tmp_path)
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    found = {tuple(line.split("\t")[:3]): line.split("\t")[3:] for line in done.stdout.splitlines()[1:]}
    for place in (
        ("示范县", "4", "A列“行政区划代码”"),
        ("示范县", "5", "B列“名称”"),
        ("示范县", "6", "C列“示范年度”"),
        ("示范县", "6", "E列“是否贫困县”"),
        ("示范县", "7", "C列“示范年度”"),
        ("示范县", "8", "A列“行政区划代码”"),
        ("人员", "2", "B列“角色”"),
        ("人员", "3", "C列“所在地”"),
        ("人员", "4", "A列“姓名”"),
        ("人员", "5", "C列“所在地”"),
        ("人员", "6", "F列“手机号”"),
        ("人员", "8", "F列“手机号”"),
    ):
        wrong, example = found[place]
        assert wrong and example, place
    assert "公式" in done.stdout
    assert stored(tmp_path, Body) == stored(tmp_path, Person) == []


def test_a_name_is_kept_without_the_spaces_that_align_it(program: Program, tmp_path: Path) -> None:
    staff = [
        ("样　例", "县级经办人", "秦安县"),
        ("样例　乙", "县级分管负责人", "清水县"),
        ("样 例", "县级经办人", "秦安县"),
    ]
    twice = program("people", "import", str(roster(tmp_path / "r.xlsx", COUNTIES, staff)), cwd=tmp_path)
    assert twice.returncode == 1 and "与第2行重复" in twice.stdout
    done = program("people", "import", str(roster(tmp_path / "r.xlsx", COUNTIES, staff[:2])), cwd=tmp_path)
    assert done.returncode == 0, done.stdout
    assert [one.name for one in stored(tmp_path, Person)] == ["样例", "样例乙"]


def test_columns_may_move_and_more_are_dropped_with_a_word(program: Program, tmp_path: Path) -> None:
    path = roster(tmp_path / "r.xlsx", COUNTIES, STAFF)
    book = openpyxl.load_workbook(path)
    book["人员"].insert_cols(1)
    book["人员"]["A1"] = "身份证号"
    book["人员"]["A2"] = "620522199001010011"
    book["示范县"].insert_rows(1)
    book["示范县"]["A1"] = "2020年示范县名册"
    book.save(path)
    done = program("people", "import", "r.xlsx", cwd=tmp_path)
    assert done.returncode == 0, done.stdout
    assert "未读取的列：身份证号" in done.stdout
    assert "新增6行" in done.stdout


def test_merged_cells_are_named_with_what_to_do(program: Program, tmp_path: Path) -> None:
    path = roster(tmp_path / "r.xlsx", COUNTIES, STAFF)
    book = openpyxl.load_workbook(path)
    book["人员"].merge_cells("C2:C3")
    book.save(path)
    done = program("people", "import", "r.xlsx", cwd=tmp_path)
    assert done.returncode == 1
    assert "C2:C3是合并单元格，请取消合并" in done.stdout


def _bomb(path: Path) -> None:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as packed:
        packed.writestr("xl/worksheets/sheet1.xml", b"0" * 70_000_000)


def _empty_rows(path: Path) -> None:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as packed:
        packed.writestr("xl/worksheets/sheet1.xml", b"<row/>" * 1_000_000)


def _far_row(path: Path) -> None:
    book = openpyxl.load_workbook(roster(path, COUNTIES, STAFF))
    book[PEOPLE.name].cell(MOST_ROWS + 2, 1, "样例末")  # the only one below: few rows, and far apart
    book.save(path)


def _entities(path: Path) -> None:
    with zipfile.ZipFile(path, "w") as packed:
        packed.writestr("xl/workbook.xml", '<!DOCTYPE x [<!ENTITY a "b">]><workbook/>')


def _macros(path: Path) -> None:
    with zipfile.ZipFile(path, "w") as packed:
        packed.writestr("xl/vbaProject.bin", b"x")


def _cut_short(path: Path) -> None:
    whole = roster(path.with_name("whole.xlsx"), COUNTIES, STAFF).read_bytes()
    path.write_bytes(whole[: len(whole) // 2])


HOSTILE: dict[str, tuple[Callable[[Path], object], str]] = {
    "zip bomb": (_bomb, "解压后过大"),
    "a million empty rows": (_empty_rows, "空行"),
    "a row beyond what is read": (_far_row, "超过20000行"),
    "entities": (_entities, "损坏"),
    "macros": (_macros, "宏"),
    "cut short": (_cut_short, "不是 .xlsx"),
    "an old or locked file": (lambda path: path.write_bytes(b"\xd0\xcf\x11\xe0" + b"0" * 600), "另存为"),
    "a zip that is no workbook": (lambda path: zipfile.ZipFile(path, "w").close(), "损坏"),
    "a big file": (lambda path: path.write_bytes(b"0" * 5_000_001), "超过5MB"),
    "no file": (lambda path: None, "没有文件"),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_an_unusable_file_is_refused_with_a_remedy(program: Program, tmp_path: Path, name: str) -> None:
    make, words = HOSTILE[name]
    make(tmp_path / "x.xlsx")
    done = program("people", "import", "x.xlsx", cwd=tmp_path)
    assert done.returncode == 1
    assert words in done.stderr
    assert "Traceback" not in done.stderr
    assert done.stdout == ""


def test_the_template_has_choices_instructions_and_is_read_back(program: Program, tmp_path: Path) -> None:
    made = program("people", "template", "t.xlsx", cwd=tmp_path)
    assert made.returncode == 0, made.stderr
    book = openpyxl.load_workbook(tmp_path / "t.xlsx")
    assert book.sheetnames == ["示范县", "人员", "填写说明", "选项"]
    assert book["选项"].sheet_state == "hidden"
    assert book["人员"].freeze_panes == "A2"
    assert {str(one.sqref) for one in book["人员"].data_validations.dataValidation} == {"B2:B2001", "C2:C2001"}
    for sheet, rows in (("示范县", COUNTIES), ("人员", STAFF)):
        for number, row in enumerate(rows, 2):
            for place, value in enumerate(row, 1):
                book[sheet].cell(number, place).value = value
    book.save(tmp_path / "t.xlsx")
    assert program("people", "import", "t.xlsx", cwd=tmp_path).stdout.startswith("新增6行")
    assert program("people", "template", "t.txt", cwd=tmp_path).returncode == 2


@pytest.mark.parametrize("sign", ["=1+1", "+1", "-1", "@x", "＝1", "＋1", "－1", "＠x", "\t=1"])
def test_a_written_text_is_never_a_formula(sign: str) -> None:
    assert safe(sign) == f"'{sign}"
    assert safe("秦安县") == "秦安县"
