"""验收检查 and 二次申报自查 in chat: the conditions by the rules, the table of projects typed and sent as a workbook."""

import io
from datetime import UTC, datetime

import openpyxl
import pytest
from sqlalchemy import select

from bot.messages import Media
from bot.projects import MIME as EXCEL
from storage import evidence
from storage.db import transaction
from storage.models import CheckResult, Conversation, File
from storage.scope import SYSTEM, serving
from tests.checks import NOW, Office, office, through, words

__all__ = ["office"]

ROW = ("物流中心，某某公司，120万元，完整", "填完了")


@words
@pytest.mark.parametrize(
    ("done", "used", "expected", "missing"),
    [
        ("是", "89.99%", "中央财政资金使用89.99%，未达到开展验收须满足的90%以上。", "还缺1项"),
        ("是", "90%", "两项已列条件满足；条件以“等”结尾，仍须省级主管部门认定。", ""),
        ("否", "90%", "全部项目须基本完工并投入使用，未达到的不满足开展验收的条件。", "还缺1项"),
        ("否", "50%", "中央财政资金使用50%，未达到", "还缺2项"),
        ("不清楚", "90%", "", "1项不清楚（不作已具备）"),
        ("是", "不清楚", "", "1项不清楚（不作已具备）"),
    ],
)
def test_the_conditions_of_acceptance_are_judged_by_the_rule(
    office: Office, done: str, used: str, expected: str, missing: str
) -> None:
    said = through(office, done, used, *ROW)
    assert expected in said and missing in said
    assert ("仍须省级商务主管部门会同财政、扶贫主管部门复核验收报告并出具书面意见" in said) == (not missing)
    if missing:
        assert "“拟开展验收的示范县须满足全部项目基本完工并投入使用、中央财政资金使用90%以上等条件”" in said


def test_the_use_rate_on_record_is_taken_with_one_tap_and_named_with_its_source(office: Office) -> None:
    office.funds(1, "2000", "1900", "1799.99")
    office.recorded(1, projects_complete="yes")
    office.say("clerk", "验收检查", "1")
    assert "现有记录：89.99%（3月填报）" in office.last["clerk"].text
    office.say("clerk", "1", *ROW, "都有")
    said = office.whole("clerk")
    assert "中央财政资金使用率：89.99%（3月填报）" in said
    assert "时限：省级商务主管部门组织2014—2017年度示范县在今年年底前（2020年12月31日前）完成验收" in said
    assert "时限已过" not in said
    office.now = datetime(2021, 1, 4, 2, tzinfo=UTC)
    assert "时限已过（2020年12月31日）" in office.say("clerk", "看自查 #1")


def test_what_a_project_lacks_is_named_with_the_clause(office: Office) -> None:
    said = through(
        office,
        "是",
        "95%",
        "物流中心，某某公司，120万元，完整\n站点改造，无，30，不完整",
        "培训，某某学校，无，不清楚",
        "填完了",
    )
    assert "站点改造：缺承办单位" in said and "培训：缺资金" in said
    assert "站点改造：信息不完整或不清楚" in said and "物流中心：" not in said
    assert "商办建函〔2020〕144号四（二）“验收报告须体现资金、项目承办单位、建设或补贴项目一一对应”" in said
    assert "六（四）“未提供完整信息的项目不得验收。”" in said
    kept = office.rows(CheckResult)[-1].answers["rows"]
    assert kept[1] == {"project": "站点改造", "unit": "", "amount": "30", "informed": "no"}


@words
def test_a_table_that_does_not_exist_is_missing_and_one_not_known_is_unclear(office: Office) -> None:
    assert "还缺2项" in through(office, "是", "95%", "没有对应表")
    assert "2项不清楚" in through(office, "是", "95%", "不清楚")
    assert "1项不清楚" in through(office, "是", "95%", "物流中心，某某公司，120万元，不清楚", "填完了")


@words
def test_rows_are_typed_corrected_and_refused(office: Office) -> None:
    office.say("clerk", "验收检查", "是", "95%")
    for wrong in (
        "物流中心，某某公司，120万元",
        "，某某公司，1，完整",
        "甲，乙，许多，完整",
        "甲，乙，1，大概",
        "甲" * 200 + "，乙，1，完整",
    ):
        assert "没有看懂。请一行一个" in office.say("clerk", wrong)
        assert not dict(office.rows(Conversation)[-1].answers).get("rows")
    assert "已记1个项目" in office.say("clerk", "甲，乙，1.2亿，完整")
    assert "12000万元" in office.last["clerk"].text
    assert "已记1个项目" in office.say("clerk", "甲，乙，1.2亿，完整")  # the same row once more
    assert "已记2个项目" in office.say("clerk", "=1+1，@乙，3，完整")
    assert "没有这一项" in office.say("clerk", "删第3项")
    assert "已记1个项目" in office.say("clerk", "删第1项")
    assert "=1+1" in office.last["clerk"].text


def filled(data: bytes, *rows: tuple[object, ...]) -> bytes:
    book = openpyxl.load_workbook(io.BytesIO(data))
    for row in rows:
        book["一一对应表"].append(row)
    out = io.BytesIO()
    book.save(out)
    return out.getvalue()


def test_the_table_is_filled_in_from_the_template_and_sent_back(office: Office) -> None:
    office.say("clerk", "验收检查", "是", "95%")
    aside = office.pick("clerk", "取 Excel 模板")
    assert "继续“验收检查”" in aside.text
    template = office.download(aside)
    sheet = openpyxl.load_workbook(io.BytesIO(template))["一一对应表"]
    assert [str(one.sqref) for one in sheet.data_validations.dataValidation] == ["D2:D2001"]

    assert "还没有收到表格" in office.say("clerk", "表已发")
    bad = filled(template, ("物流中心", "某某公司", 120, "也许"), ("", "某某公司", "许多", "完整"))
    assert "回复“表已发”" in office.send("clerk", bad)
    said = office.say("clerk", "表已发")
    assert "第2行D列“信息是否完整”" in said and "第3行C列“资金（万元）”" in said and "第3行A列" in said
    office.send("clerk", b"no workbook", "application/pdf")
    assert "不是 .xlsx 表格" in office.say("clerk", "表已发")
    office.send("clerk", b"PK\x03\x04 broken")
    assert "对应表.xlsx" in office.say("clerk", "表已发")

    office.send("clerk", filled(template, ("物流中心", "某某公司", 120.5, "完整"), ("站点", "", "", "不完整")))
    assert "委托第三方" in office.say("clerk", "表已发")
    office.say("clerk", "都有")
    assert "站点：缺承办单位、缺资金" in office.whole("clerk")
    assert office.rows(CheckResult)[-1].answers["rows"][0]["amount"] == "120.5"
    with transaction(office.sessions) as db, serving(db, SYSTEM):
        assert evidence.loose_files(db, office.ids["clerk"], NOW) == []  # a table proves no item


@words
def test_a_table_that_is_still_on_its_way_is_waited_for(office: Office) -> None:
    office.say("clerk", "验收检查", "是", "95%")
    office.reply("clerk", "", (Media(id="from-the-platform", name="对应表.xlsx", mime=EXCEL),))
    assert "还在接收" in office.say("clerk", "表已发")
    with transaction(office.sessions) as db, serving(db, SYSTEM):
        db.scalars(select(File).where(File.state == "pending")).one().state = "lost"
    assert "没有保存成功" in office.say("clerk", "表已发")


# --- 二次申报自查 ----------------------------------------------------------------------------------------------------------


@words
@pytest.mark.parametrize(
    ("paid", "accepted", "expected", "missing"),
    [
        ("88%", "是", "资金拨付率88%，未达到二次申报须满足的90%以上。", "还缺1项"),
        ("90%", "否", "项目验收须基本完成，未基本完成的不满足二次申报条件。", "还缺1项"),
        ("90%", "是", "“工作成效突出”等条件须由省级主管部门认定", ""),
        ("不清楚", "是", "", "1项不清楚"),
    ],
)
def test_the_conditions_of_a_second_application_are_judged_by_the_rule(
    office: Office, paid: str, accepted: str, expected: str, missing: str
) -> None:
    office.say("clerk", "二次申报自查", paid, accepted, "都有")
    said = office.whole("clerk")
    assert expected in said and missing in said
    assert "使用率" not in said and "符合申报条件" not in said
