"""The money of a demonstration year: reported in chat and by workbook, shown on the card, used in answers."""

from collections.abc import Callable, Sequence
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import openpyxl
import pytest
from sqlalchemy import select

from bot.app import Desk
from bot.inputs import amount, day
from bot.installation import open_database
from bot.settings import Paths, Settings
from storage import bodies, facts, funds, people
from storage.db import transaction
from storage.funds import Sums
from storage.models import Audit, Fact, Fund
from storage.scope import SYSTEM, serving
from tests.commands import Program
from tests.conftest import Talk
from tests.seats import seat

JULY = datetime(2020, 7, 1, 4, tzinfo=UTC)
NAMES = {"620522": "秦安县", "620521": "清水县", "430424": "衡东县"}


def sums(allocated: str, disbursed: str, used: str, as_of: date = date(2020, 6, 30)) -> Sums:
    return Sums(allocated=Decimal(allocated), disbursed=Decimal(disbursed), used=Decimal(used), as_of=as_of)


def county(
    running: Desk, code: str = "620522", years: Sequence[int] = (2016,), reported: Sums | None = None, **known: str
) -> int:
    """A body with its years, the first one's funds and facts; its number."""
    with transaction(running.sessions) as db, serving(db, SYSTEM):
        body, _ = bodies.find_or_add(db, name=NAMES[code], division_code=code, years=years)
        if reported:
            funds.report(db, body.id, years[0], reported, source="样例", now=JULY, role="operator")
        for key, value in known.items():
            facts.add(
                db,
                body.id,
                key,
                value,
                batch_year=years[0],
                as_of=date(2020, 5, 1),
                source="样例",
                now=JULY,
                role="operator",
            )
        return body.id


def person(running: Desk, role: str, who: str, body_id: int | None = None, division: str | None = None) -> int:
    """Somebody with a role, bound to a terminal address."""
    return seat(running.sessions, who, role, JULY, body_id=body_id, division=division)


def rows(running: Desk, table: type) -> list:  # type: ignore[type-arg]  # rows of whichever table
    with transaction(running.sessions) as db, serving(db, SYSTEM):
        return list(db.scalars(select(table).order_by(table.id)))


@pytest.fixture
def clerk(running: Desk, talk: Talk) -> Callable[..., str]:
    """A county's clerk: says something and gets the text back."""
    body = county(running, reported=sums("2000", "1760", "1500"), evaluated="yes")
    person(running, "county_officer", "clerk", body)

    def say(*texts: str, at: datetime = JULY) -> str:
        return [talk(text, who="clerk", at=at).text for text in texts][-1]

    return say


# --- 填报资金 ----------------------------------------------------------------------------------------------------------


def test_a_report_in_chat_shows_before_and_after_and_both_rates(running: Desk, clerk: Callable[..., str]) -> None:
    shown = clerk("填报资金", "1", "1800万元", "15,005,000元", "6月30日")
    assert "原填报：下达2,000万元，拨付1,760万元，使用1,500万元（截至2020年6月30日）；拨付率88%，使用率75%" in shown
    assert "现填报：下达2,000万元，拨付1,800万元，使用1,500.5万元" in shown
    assert "拨付率90%（拨付÷下达），达到90%；使用率75.02%（使用÷下达），距90%差299.5万元" in shown
    assert len(rows(running, Fund)) == 1  # nothing is stored before the confirmation
    assert "已保存" in clerk("确认")
    last = rows(running, Fund)[-1]
    assert (last.disbursed, last.used, last.source) == (Decimal("1800"), Decimal("1500.5"), "县级经办人对话填报")
    audit = rows(running, Audit)[-1]
    assert (audit.action, audit.role, audit.channel) == ("fund.report", "county_officer", "terminal")
    assert (audit.before["disbursed"], audit.after["disbursed"]) == ("1760", "1800")


def test_numbers_out_of_order_are_asked_about_and_corrected_in_a_word(running: Desk, clerk: Callable[..., str]) -> None:
    shown = clerk("填报资金", "2000", "900", "1500", "今天")
    assert "使用1,500万元大于拨付900万元" in shown
    assert "数字属实" in clerk("确认")  # the plain word is not enough
    assert "请留意" not in clerk("拨付 1900万")
    assert "已保存" in clerk("确认")
    assert rows(running, Fund)[-1].disbursed == 1900
    clerk("填报资金", "2000", "2100", "1500", "今天")
    assert "已保存" in clerk("数字属实，确认")


def test_a_report_is_taken_back_within_a_day(running: Desk, clerk: Callable[..., str]) -> None:
    clerk("填报资金", "2000", "1900", "1500", "今天", "确认")
    assert "拨付率95%" in clerk("本县情况")
    assert "现行：下达2,000万元，拨付1,760万元" in clerk("撤回填报")
    assert "拨付率88%" in clerk("本县情况")
    assert "没有您的填报可以撤回" in clerk("撤回填报")
    assert [row.withdrawn_at is not None for row in rows(running, Fund)] == [False, True]
    assert rows(running, Audit)[-1].action == "fund.withdraw"
    clerk("填报资金", "2000", "1900", "1500", "今天", "确认")
    assert "没有您的填报可以撤回" in clerk("撤回填报", at=JULY + timedelta(hours=25))


def test_an_older_day_is_history_and_the_same_again_is_not_stored(running: Desk, clerk: Callable[..., str]) -> None:
    assert "只作历史" in clerk("填报资金", "2000", "1000", "900", "2020年3月31日")
    clerk("确认")
    assert "拨付率88%" in clerk("本县情况")
    assert "与已有填报相同" in clerk("填报资金", "2000", "1760", "1500", "6月30日", "确认")
    assert len(rows(running, Fund)) == 2


def test_unreadable_answers_are_asked_again_with_an_example(clerk: Callable[..., str]) -> None:
    assert "例如“1760万元”" in clerk("填报资金", "abc")
    assert "例如“1760万元”" in clerk("17600000")
    assert "例如“6月30日”" in clerk("2000", "1900", "1500", "??")
    assert "不能晚于今天" in clerk("2020-07-02")


def test_a_contractor_and_a_stranger_do_not_report(running: Desk, talk: Talk, clerk: Callable[..., str]) -> None:
    person(running, "contractor", "builder", 1)
    assert "不能填报" in talk("填报资金", who="builder", at=JULY).text
    assert "秦安县" in talk("本县情况", who="builder", at=JULY).text
    assert "绑定" in talk("填报资金", who="stranger", at=JULY).text
    assert "秦安县" not in talk("本县情况", who="stranger", at=JULY).text


def test_a_role_that_ends_in_mid_form_stores_nothing(running: Desk, clerk: Callable[..., str]) -> None:
    clerk("填报资金", "2000", "1900", "1500", "今天")
    with transaction(running.sessions) as db, serving(db, SYSTEM):
        people.end_role(db, people.roles(db, 1)[0], JULY)
    clerk("确认")
    assert len(rows(running, Fund)) == 1


# --- answers -----------------------------------------------------------------------------------------------------------


def test_the_newest_report_decides_and_says_where_it_comes_from(clerk: Callable[..., str]) -> None:
    shown = clerk("我们县能二次申报吗")
    assert shown.startswith("不可以：资金拨付率88%")
    assert "按贵县情况：资金拨付率88%（6月填报）" in shown
    assert "使用75%" in clerk("我们能申请验收了吗")
    clerk("填报资金", "2000", "1900", "1850", "今天", "确认")
    assert "按贵县情况：资金拨付率95%（7月填报）" in clerk("我们县能二次申报吗")


def test_what_is_said_comes_before_what_is_recorded(running: Desk, clerk: Callable[..., str]) -> None:
    clerk("我们县能二次申报吗")
    shown = clerk("不对，拨付率是92%")
    assert "按您提供的情况：资金拨付率92%" in shown
    assert "88%" not in shown
    assert rows(running, Fund)[-1].disbursed == 1760  # what is said in talk changes no record


def test_a_hair_below_the_line_is_below_it(running: Desk, talk: Talk) -> None:
    person(running, "county_officer", "a", county(running, reported=sums("2000", "1799.9999", "1800")))
    assert "不可以：资金拨付率89.99%" in talk("我们县能二次申报吗", who="a", at=JULY).text
    assert "差0.0001万元" in talk("本县情况", who="a", at=JULY).text


def test_of_two_years_one_is_asked_only_where_it_matters(running: Desk, talk: Talk) -> None:
    person(running, "county_officer", "a", county(running, years=(2016, 2019), reported=sums("2000", "1760", "1500")))
    asked = talk("我们县能二次申报吗", who="a", at=JULY)
    assert [option.label for option in asked.options] == ["2016年度", "2019年度"]
    assert "资金拨付率88%（6月填报）" in talk("1", who="a", at=JULY).text
    assert [option.value for option in talk("专项资金能不能给站长发工资", who="a", at=JULY).options] == []
    other = talk("2019年度示范县问题整改什么时候完成", who="a", at=JULY)
    assert "绩效评价结束当年" in other.text


def test_without_a_county_nothing_is_assumed(running: Desk, talk: Talk) -> None:
    county(running, reported=sums("2000", "1760", "1500"))
    assert "贵县情况：" not in talk("二次申报要什么条件", who="stranger").text


# --- 更新本县信息, 本县情况 ------------------------------------------------------------------------------------------------


def test_a_fact_is_updated_with_its_day_and_used(running: Desk, clerk: Callable[..., str]) -> None:
    assert "原为“是”，现为“否”" in clerk("更新本县信息", "2", "否", "6月1日")
    assert "已保存" in clerk("确认")
    last = rows(running, Fact)[-1]
    assert (last.key, last.value, last.as_of, last.batch_year) == ("evaluated", "no", date(2020, 6, 1), 2016)
    assert "是否已开展绩效评价：否（6月登记）" in clerk("问题整改什么时候完成")
    assert "相同" in clerk("更新本县信息", "2", "否", "6月1日", "确认")


def test_the_card_shows_rates_gaps_dates_and_clauses(clerk: Callable[..., str]) -> None:
    shown = clerk("本县情况")
    for words in (
        "秦安县（2016年度示范县）",
        "拨付率88%（拨付÷下达），距90%差40万元",
        "使用率75%（使用÷下达），距90%差300万元",
        "商办建函〔2020〕144号三（一）",
        "时限已过（2020年6月30日）",
        "四第3段，文本未标文号，尚未与印发件核对",
        "文件未写算法",
    ):
        assert words in shown


def test_a_province_finds_a_county_by_name_and_no_further(running: Desk, talk: Talk) -> None:
    for code in NAMES:
        county(running, code)
    person(running, "province_officer", "p", division="620000")
    asked = talk("本县情况", who="p", at=JULY)
    assert [option.label for option in asked.options] == ["清水县", "秦安县"]
    assert "没有找到“衡东县”" in talk("衡东县", who="p", at=JULY).text
    assert talk("秦安", who="p", at=JULY).text.startswith("秦安县（2016年度示范县）")
    talk("本县情况", who="p", at=JULY)
    assert "请回复括号中的代码" in talk("县", who="p", at=JULY).text
    assert talk("620521", who="p", at=JULY).text.startswith("清水县（2016年度示范县）")


def test_a_long_card_goes_on_with_the_next_year(running: Desk, talk: Talk) -> None:
    years = (2014, 2015, 2016, 2017)
    person(running, "county_officer", "a", county(running, years=years, reported=sums("2000", "1760", "1500")))
    first, rest = (talk(text, who="a", at=JULY).text for text in ("本县情况", "更多"))
    assert "【2014年度】" in first and "【2017年度】" not in first and len(first) < 700
    assert "【2017年度】" in rest


def test_the_first_words_of_the_day_name_what_is_due(clerk: Callable[..., str]) -> None:
    clerk("你好", at=JULY - timedelta(days=3))
    today = JULY - timedelta(days=1)
    assert clerk("你好", at=today).startswith(
        "今天（6月30日）到期：2016年度绩效评价问题整改时限（商办建函〔2020〕144号三（一））"
    )
    assert "到期" not in clerk("你好", at=today + timedelta(hours=1))
    assert "到期" not in clerk("你好", at=JULY + timedelta(days=1))


# --- the workbook --------------------------------------------------------------------------------------------------------


@pytest.fixture
def office(running: Desk, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A data folder with two counties, on 1 July 2020."""
    monkeypatch.setenv("COUNTYDESK_CLOCK__NOW", "2020-07-01T12:00:00+08:00")
    with transaction(open_database(Settings(paths=Paths(data=tmp_path / "data")))) as db, serving(db, SYSTEM):
        bodies.find_or_add(db, name="秦安县", division_code="620522", years=[2016, 2019])
        bodies.find_or_add(db, name="清水县", division_code="620521", years=[2017])
    return tmp_path


def held(folder: Path, table: type = Fund) -> list:  # type: ignore[type-arg]  # rows of whichever table
    with transaction(open_database(Settings(paths=Paths(data=folder / "data")))) as db, serving(db, SYSTEM):
        return list(db.scalars(select(table).order_by(table.id)))


def fill(path: Path, *lines: Sequence[object]) -> None:
    book = openpyxl.load_workbook(path)
    for number, line in enumerate(lines, 2):
        for place, value in enumerate(line, 1):
            book["资金"].cell(number, place).value = value
    book.save(path)


def test_the_template_is_filled_tried_imported_and_imported_again(program: Program, office: Path) -> None:
    made = program("funds", "template", "f.xlsx", cwd=office)
    assert made.stdout == "已生成f.xlsx，3行待填。\n", made.stderr
    book = openpyxl.load_workbook(office / "f.xlsx")
    assert book.sheetnames == ["资金", "填写说明", "选项"]
    assert [row[:2] for row in book["资金"].iter_rows(min_row=2, values_only=True)] == [
        ("清水县（620521）", "2017"), ("秦安县（620522）", "2016"), ("秦安县（620522）", "2019"),
    ]  # fmt: skip
    full_width = ("秦安县", "２０１６年度", "２０００", "1,760.5万", "15000000元", datetime(2020, 6, 30))  # noqa: DTZ001
    fill(office / "f.xlsx", ("清水县（620521）", 2017, 1500, 1400.25, 1300, "2020.6.30"), full_width)
    tried = program("funds", "import", "f.xlsx", "--dry-run", cwd=office)
    assert tried.stdout == "试运行，没有保存：新增2行，更新0行，未变0行，未填1行。\n"
    assert held(office) == []
    assert program("funds", "import", "f.xlsx", cwd=office).stdout == "新增2行，更新0行，未变0行，未填1行。\n"
    assert [(row.allocated, row.disbursed, row.used, row.as_of) for row in held(office)] == [
        (1500, Decimal("1400.25"), 1300, date(2020, 6, 30)), (2000, Decimal("1760.5"), 1500, date(2020, 6, 30)),
    ]  # fmt: skip
    assert program("funds", "import", "f.xlsx", cwd=office).stdout == "新增0行，更新0行，未变2行，未填1行。\n"
    assert len(held(office)) == len(held(office, Audit)) == 2
    fill(office / "f.xlsx", ("清水县（620521）", 2017, 1500, 1450, 1300, "2020.6.30"))
    assert program("funds", "import", "f.xlsx", cwd=office).stdout == "新增0行，更新1行，未变1行，未填1行。\n"
    assert [row.disbursed for row in held(office)] == [Decimal("1400.25"), Decimal("1760.5"), 1450]


BAD: dict[str, tuple[tuple[object, ...], str, str]] = {
    "unknown county": (("火星县", 2016, 1, 1, 1, "2020-06-30"), "A列", "没有登记“火星县”"),
    "code of another": (("秦安县（620521）", 2016, 1, 1, 1, "2020-06-30"), "A列", "没有登记"),
    "no year of the county": (("秦安县", 2018, 1, 1, 1, "2020-06-30"), "B列", "2016、2019"),
    "text for an amount": (("秦安县", 2016, "两千多", 1, 1, "2020-06-30"), "C列", "不是有效的金额"),
    "negative": (("秦安县", 2016, 2000, -5, 1, "2020-06-30"), "D列", "不小于0"),
    "in yuan": (("秦安县", 2016, 20000000, 1, 1, "2020-06-30"), "C列", "是否按元填写"),
    "formula": (("秦安县", 2016, "=1000+1000", 1, 1, "2020-06-30"), "C列", "公式"),
    "no such day": (("秦安县", 2016, 2000, 1, 1, "2020-06-31"), "F列", "不是有效的日期"),
    "a day to come": (("秦安县", 2016, 2000, 1, 1, "2020-07-02"), "F列", "晚于今天"),
    "nothing paid": (("秦安县", 2016, 2000, None, 1, "2020-06-30"), "D列", "未填写"),
    "more used than paid": (("秦安县", 2016, 2000, 100, 101, "2020-06-30"), "E列", "使用大于拨付"),
    "more paid than allocated": (("秦安县", 2016, 2000, 2001, 101, "2020-06-30"), "D列", "拨付大于下达"),
}


def test_every_bad_cell_is_named_with_what_is_right_and_nothing_is_stored(program: Program, office: Path) -> None:
    program("funds", "template", "f.xlsx", cwd=office)
    good = ("清水县", 2017, 1500, 1400, 1300, 44012)  # the day as Excel's number
    fill(office / "f.xlsx", good, *(line for line, _, _ in BAD.values()), good)
    done = program("funds", "import", "f.xlsx", cwd=office)
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    lines = [line.split("\t") for line in done.stdout.splitlines()]
    for number, (name, (_, column, wrong)) in enumerate(BAD.items(), 3):
        [found] = [line for line in lines if line[1] == str(number) and line[2].startswith(column)] or [None]
        assert found is not None, name
        assert wrong in found[3] and found[4], name
    last = str(len(BAD) + 3)
    assert any(line[1] == last and "与第2行重复" in line[3] for line in lines)
    assert {line[1] for line in lines[1:]} == {str(number) for number in range(3, len(BAD) + 4)}
    assert held(office) == []


def test_numbers_out_of_order_are_taken_with_a_reason(program: Program, office: Path) -> None:
    program("funds", "template", "f.xlsx", cwd=office)
    fill(office / "f.xlsx", ("清水县", 2017, 1500, 1600, 1300, "2020-06-30", "含结转资金"))
    assert program("funds", "import", "f.xlsx", cwd=office).returncode == 0
    assert held(office, Audit)[-1].reason == "含结转资金"


# --- what people type ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("typed", "wan"),
    [
        ("1760", "1760"), ("１７６０", "1760"), ("1,760.5万", "1760.5"), ("1.2亿", "12000"), ("1亿2000万元", "12000"),
        ("17600000元", "1760"), ("一千七百六十万元", "1760"), ("两亿三千万", "23000"), ("约1760 万元", "1760"), ("0", "0"),
        ("1760.12345万元", "1760.1235"), ("99999", "99999"),
    ],
)  # fmt: skip
def test_amounts_are_read_in_every_unit(typed: str, wan: str) -> None:
    assert amount(typed) == Decimal(wan)


@pytest.mark.parametrize(
    "typed", ["", "元", "abc", "-5", "负五", "100000", "1亿2000", "99999999999999亿", "1.2.3", "万"]
)
def test_what_is_no_amount_is_refused(typed: str) -> None:
    with pytest.raises(ValueError):
        amount(typed)


@pytest.mark.parametrize(
    ("typed", "found"),
    [
        ("2020-06-30", "2020-06-30"), ("2020.6.30", "2020-06-30"), ("2020/6/30", "2020-06-30"), ("20200630", "2020-06-30"),
        ("6月30日", "2021-06-30"), ("12月底", "2020-12-31"), ("上月底", "2021-06-30"), ("今天", "2021-07-03"),
        ("六月底", "2021-06-30"), ("截至2020年2月底", "2020-02-29"),
    ],
)  # fmt: skip
def test_days_are_read_as_people_write_them(typed: str, found: str) -> None:
    assert day(typed, date(2021, 7, 3)).isoformat() == found


@pytest.mark.parametrize("typed", ["2020-02-30", "13月1日", "2月29日", "明天", "", "2020年"])
def test_what_is_no_day_is_refused(typed: str) -> None:
    with pytest.raises(ValueError):
        day(typed, date(2021, 7, 3))
