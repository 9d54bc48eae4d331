"""What comes of the guided checks: results kept and printed, the label's sheet, the province's papers."""

import io
import re
from datetime import UTC, datetime, timedelta

import docx

from storage import people
from storage.db import transaction
from storage.models import Conversation, Exchange, File
from storage.scope import SYSTEM, serving
from tests.checks import CHECKS, NOW, REPORT, WORDS, Office, office, through, title, words

__all__ = ["office"]

# --- results, kept and printed ---------------------------------------------------------------------------------------------


def words_of(data: bytes) -> tuple[list[str], list[list[list[str]]]]:
    made = docx.Document(io.BytesIO(data))
    tables = [[[cell.text for cell in row.cells] for row in table.rows] for table in made.tables]
    return [one.text for one in made.paragraphs if one.text], tables


def test_a_result_is_shown_again_and_printed_with_every_point_and_clause(office: Office) -> None:
    first = through(office, "是", "85%", "物流中心，某某公司，120万元，完整", "填完了")
    listed = office.reply("clerk", "我的自查")
    assert [one.label for one in listed.options] == ["验收检查 秦安县2016年度 2020-04-24"]
    office.say("clerk", "1")
    assert office.whole("clerk") == first

    office.reply("clerk", "看自查 #1")
    reply = office.pick("clerk", "导出 Word")
    assert "30分钟内有效" in reply.text
    assert reply.links[0].label == "秦安县2016年度验收检查（2020年4月24日）.docx"
    lines, tables = words_of(office.download(reply))
    assert lines[0] == "秦安县2016年度验收检查表"
    assert lines[1] == "单位：秦安县　　示范年度：2016年度　　自查日期：2020年4月24日"
    assert "中央财政资金使用85%，未达到开展验收须满足的90%以上。" in lines and "还缺1项；有材料7项。" in lines
    assert "填表人：" in lines[-1]
    points, projects = tables
    check = office.kb.checks["acceptance-check"]
    assert [row[1] for row in points[1:]] == [one.text for one in check.points]
    assert [row[4] for row in points[1:]] == [f"“{one.cite.quote}”" for one in check.points]
    assert points[2][2].startswith("85%（未达到）") and points[2][3] == "商办建函〔2020〕144号四（二）"
    assert projects[1] == ["1", "物流中心", "某某公司", "120", "完整"]
    assert not [line for line in lines if "合格" in line]


def test_a_link_is_its_owners_for_half_an_hour_and_the_file_goes_after_a_day(office: Office) -> None:
    office.say("clerk", "标识自查", "都有")
    reply = office.reply("clerk", "导出自查 #1")
    path = reply.links[0].url.removeprefix("http://desk.test")
    assert office.download(reply)
    number = office.rows(File)[-1].id
    guesses = (
        path.replace(f"t={office.ids['clerk']}-", f"t={office.ids['neighbour']}-"),
        re.sub(r"-(\d+)-", lambda match: f"-{int(match[1]) + 1}-", path),
        path.replace(f"/f/{number}", f"/f/{number + 1}"),
        path[:-2] + "é",
        "/f/99?t=1-9999999999-00000000000000000000000000000000",
    )
    assert [office.get(one).status_code for one in guesses] == [404] * len(guesses)
    with transaction(office.sessions) as db, serving(db, SYSTEM):
        [role] = people.roles(db, office.ids["clerk"])
        role.ended_at = NOW
    assert office.get(path).status_code == 404
    with transaction(office.sessions) as db, serving(db, SYSTEM):
        db.get_one(type(role), role.id).ended_at = None
    assert office.get(path).status_code == 200
    office.now += timedelta(minutes=31)
    assert office.get(path).status_code == 404
    office.now += timedelta(hours=24)
    office.reply("clerk", "导出自查 #1")  # clears away what nobody can open any more
    assert [one.state for one in office.rows(File)] == ["lost", "stored"]
    assert len([one for one in (office.folder / "files").rglob("*") if one.is_file()]) == 1


def test_another_county_and_a_contractor_see_no_result(office: Office) -> None:
    office.say("clerk", "标识自查", "都有")
    for who in ("neighbour", "contractor"):
        for text in ("看自查 #1", "导出自查 #1", "记入本县情况 #1"):
            assert "没有找到这份自查" in office.say(who, text)
    assert "还没有自查记录" in office.say("neighbour", "我的自查")
    assert "不能查看" in office.say("contractor", "我的自查")
    assert "不能填报" in office.say("contractor", "标识自查")
    assert "须先绑定单位" in office.say("stranger", "自查")
    assert "秦安县2016年度" in office.reply("officer", "我的自查").options[0].label


@words
def test_every_check_is_on_the_list_and_reached_from_the_menu(office: Office) -> None:
    assert "自查" in [one.label for one in office.reply("clerk", "菜单").options]
    menu = [one.value for one in office.reply("clerk", "自查").options]
    assert menu == [*(title(office, name) for name in CHECKS), "我的自查"]
    assert set(CHECKS) == set(office.kb.checks)
    for one in menu[:-1]:
        assert office.reply("clerk", one).kind == "flow"
        office.say("clerk", "取消")
    assert [one.value for one in office.reply("officer", "自查").options][-2:] == ["报送材料核对单", "填推荐回执"]


@words
def test_without_an_address_for_pages_a_file_is_refused(office: Office) -> None:
    office.set_up(base="")
    office.say("clerk", "标识自查", "都有")
    assert "还没有设置网页地址" in office.say("clerk", "导出自查 #1")
    assert not office.rows(File)


# --- the label ---------------------------------------------------------------------------------------------------------------


@words
def test_the_sheet_has_the_prescribed_words_and_the_provinces_channel(office: Office) -> None:
    office.say("clerk", "标识自查", "没有 没有 没有 没有")
    reply = office.pick("clerk", "标识打印页")
    assert f"“{WORDS}”字样，以及省级主管部门的举报监督渠道。”" in reply.text and "尚未与印发件核对" in reply.text
    data = office.download(reply)
    assert words_of(data)[0] == [WORDS, REPORT]
    page = docx.Document(io.BytesIO(data)).sections[0]
    assert (round(page.page_width.mm), round(page.page_height.mm)) == (210, 297)
    assert WORDS in office.kb.clauses["demonstration-2020", "六(四)"].full


@words
def test_without_a_reporting_channel_the_sheet_invents_none(office: Office) -> None:
    office.set_up(channel="")
    reply = office.reply("clerk", "标识打印页")
    assert "尚未设置" in reply.text and "不要自拟" in reply.text
    assert words_of(office.download(reply))[0] == [WORDS, "省级主管部门举报监督渠道：＿＿＿＿＿＿＿＿＿＿"]


# --- the province's papers ---------------------------------------------------------------------------------------------------


def test_the_receipt_is_filled_in_from_the_chat_as_annex_2_has_it(office: Office) -> None:
    assert "熟悉业务的处级同志" in office.say("officer", "填推荐回执")
    assert "处级的请另行推荐" in office.say("officer", "否")
    assert "不再承担其他工作" in office.say("officer", "是")
    assert "15天" in office.say("officer", "不能")
    office.say("officer", "能", "市场体系建设处", "样例丑")
    assert "“男”或“女”" in office.say("officer", "未知")
    office.say("officer", "女", "回族", "处长")
    assert "手机号" in office.say("officer", "12345")
    office.say("officer", "13900000003", "无")
    confirm = office.last["officer"].text
    assert "139****0003" in confirm and "13900000003" not in confirm and "备注：（留空）" in confirm
    reply = office.reply("officer", "确认")
    assert "时限已过" not in reply.text and "请于2020年4月30日前" in reply.text
    lines, [[header, row]] = words_of(office.download(reply))
    clause = {number: office.kb.clauses["144-2020", f"附件2¶{number}"].text for number in (2, 3, 4, 5)}
    assert lines == [clause[2], clause[3], clause[5]]
    assert header == ["单位", "姓 名", "性 别", "民 族", "职 务", "联系电话（手机）", "备注"]
    assert row == ["市场体系建设处", "样例丑", "女", "回族", "处长", "13900000003", ""]
    kept = repr([(one.said, one.reply) for one in office.rows(Exchange)]) + repr(
        [one.answers for one in office.rows(Conversation)]
    )
    assert "13900000003" not in kept


@words
def test_a_receipt_after_the_day_says_that_it_has_passed(office: Office) -> None:
    office.now = datetime(2020, 4, 30, 2, tzinfo=UTC)
    said = ("填推荐回执", "是", "能", "市场体系建设处", "样例丑", "男", "汉族", "副处长", "打印后手填", "无")
    assert "时限已过" not in office.say("officer", *said)
    office.now = datetime(2020, 5, 1, 2, tzinfo=UTC)
    assert "时限已过（2020年4月30日）：2020年5月1日已过4月30日" in office.say("officer", "取消", *said)
    assert "县里不报" in office.say("clerk", "填推荐回执")


@words
def test_the_list_of_submissions_names_who_reports_to_whom_and_what_has_passed(office: Office) -> None:
    office.reply("officer", "报送材料核对单")
    said = office.whole("officer")
    assert "县里的时间由省里另定，文件未写" in said and "时限已过" not in said
    for one in office.kb.submissions:
        assert f"{one.who}→{one.whom}" in said and f"“{one.cite.quote}”" in said
    office.now = datetime(2020, 6, 1, 2, tzinfo=UTC)
    office.reply("officer", "报送材料核对单")
    said = office.whole("officer")
    assert "4月30日前（时限已过：2020年4月30日）" in said and "5月29日前（时限已过：2020年5月29日）" in said
    assert "6月25日前；" in said and "9月底前\n" in said
    assert "文件未写报送对象" in said
    reply = office.reply("officer", "导出核对单")
    lines, [rows] = words_of(office.download(reply))
    assert lines[:2] == ["省级报送材料核对单", "单位：甘肃省商务厅（样例）　　日期：2020年6月1日"]
    assert [row[5] for row in rows[1:]] == ["□"] * 6
    assert "（时限已过：2020年5月29日）；逾期或未按规定报送的，视同自动放弃" in rows[3][3]
    assert not office.reply("stranger", "报送材料核对单").options
