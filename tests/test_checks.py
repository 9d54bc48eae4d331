"""Guided checks in chat: every path of every check, their cited results, documents, the table of projects, the province's papers."""

import io
import re
import uuid
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import docx
import httpx
import openpyxl
import pytest
from anyio.from_thread import start_blocking_portal
from fastapi import FastAPI
from sqlalchemy import select
from sqlalchemy.orm import Session, sessionmaker

from bot.app import assistant
from bot.console import download
from bot.files import keep
from bot.messages import Inbound, Media, Reply
from bot.projects import MIME as EXCEL
from bot.settings import Paths, Province, Settings, Web
from bot.turns import TurnThread
from knowledge.base import KnowledgeBase
from knowledge.checks import Check, Point
from storage import bindings, bodies, evidence, facts, funds, people
from storage.db import transaction
from storage.funds import Sums
from storage.models import Audit, CheckResult, Conversation, Exchange, Fact, File
from storage.scope import SYSTEM, serving

NOW = datetime(2020, 4, 24, 2, tzinfo=UTC)
REPORT = "举报电话0931-0000000（样例号码）"
WORDS = "全国电子商务进农村综合示范项目"
CHECKS = ("review", "acceptance-check", "reapplication-check", "publicity", "label")


class Office:
    """Two counties and a province at their terminals, with a page for the files that are handed out."""

    def __init__(self, sessions: sessionmaker[Session], kb: KnowledgeBase, folder: Path) -> None:
        self.sessions, self.kb, self.folder, self.now = sessions, kb, folder, NOW
        self.ids: dict[str, int] = {}
        self.last: dict[str, Reply] = {}
        self.set_up()
        app = FastAPI()
        app.include_router(download.router(sessions, lambda: self.now, folder))
        self.page = app

    def set_up(self, channel: str = REPORT, base: str = "http://desk.test") -> None:
        """Begin again with other settings."""
        if hasattr(self, "turns"):
            self.turns.stop()
        chosen = Settings(
            paths=Paths(data=self.folder),
            web=Web(base_url=base),
            province=Province(name="甘肃省商务厅（样例）", report_channel=channel),
        )
        self.turns = TurnThread(assistant(self.kb, chosen), self.sessions)

    def person(self, who: str, role: str, body_id: int | None = None, division: str | None = None) -> None:
        with transaction(self.sessions) as db, serving(db, SYSTEM):
            if division:
                bodies.division(db, division)
            made, _ = people.find_or_add(db, name=f"样例{who}", body_id=body_id, now=NOW)
            people.give_role(db, made, role, body_id=body_id, division_code=division, now=NOW)
            bindings.bind(db, made, "terminal", who, NOW)
            made.consent, made.consent_at, made.verified_at, made.seen_at = "2026-1", NOW, NOW, NOW
            self.ids[who] = made.id

    def reply(self, who: str, text: str, media: tuple[Media, ...] = ()) -> Reply:
        self.now += timedelta(seconds=1)
        inbound = Inbound(
            channel="terminal", message_id=uuid.uuid4().hex, address=who, text=text, at=self.now,
            kind="file" if media else "text", media=media,
        )  # fmt: skip
        self.last[who] = self.turns.submit(inbound).result(timeout=60)
        return self.last[who]

    def say(self, who: str, *texts: str) -> str:
        return [self.reply(who, text).text for text in texts][-1]

    def whole(self, who: str) -> str:
        """The last reply with what 更多 brings."""
        first = self.last[who]
        return f"{first.text}\n{self.say(who, '更多')}" if first.rest else first.text

    def pick(self, who: str, part: str) -> Reply:
        """Tap the option of the last reply whose label contains the text."""
        [option] = [one for one in self.last[who].options if part in one.label]
        return self.reply(who, option.value)

    def send(self, who: str, data: bytes, mime: str = EXCEL) -> str:
        """A file through the upload page: its bytes lie there already."""
        media = Media(id="x", name="对应表.xlsx", mime=mime, sha256=keep(self.folder, data), size=len(data))
        return self.reply(who, "", (media,)).text

    def get(self, url: str) -> httpx.Response:
        async def ask() -> httpx.Response:
            transport = httpx.ASGITransport(app=self.page)
            async with httpx.AsyncClient(transport=transport, base_url="http://desk.test") as client:
                return await client.get(url)

        with (
            start_blocking_portal() as portal
        ):  # a thread of its own: a browser of other tests may hold this one's loop
            return portal.call(ask)

    def download(self, reply: Reply) -> bytes:
        [link] = reply.links
        got = self.get(link.url)
        assert got.status_code == 200
        assert got.headers["content-disposition"].startswith("attachment")
        return got.content

    def rows(self, table: type) -> list:  # type: ignore[type-arg]  # rows of whichever table
        with transaction(self.sessions) as db, serving(db, SYSTEM):
            found = list(db.scalars(select(table).order_by(table.id)))
            db.expunge_all()
            return found

    def recorded(self, body_id: int, **values: str) -> None:
        with transaction(self.sessions) as db, serving(db, SYSTEM):
            for key, value in values.items():
                facts.add(
                    db, body_id, key, value, batch_year=2016, as_of=date(2020, 4, 1), source="样例", now=NOW, role="operator"
                )  # fmt: skip

    def funds(self, body_id: int, allocated: str, disbursed: str, used: str) -> None:
        amounts = {"allocated": Decimal(allocated), "disbursed": Decimal(disbursed), "used": Decimal(used)}
        with transaction(self.sessions) as db, serving(db, SYSTEM):
            reported = Sums(**amounts, as_of=date(2020, 3, 31))
            funds.report(db, body_id, 2016, reported, source="样例", now=NOW, role="operator")


@pytest.fixture
def office(sessions: sessionmaker[Session], kb: KnowledgeBase, tmp_path: Path) -> Iterator[Office]:
    made = Office(sessions, kb, tmp_path / "data")
    with transaction(sessions) as db, serving(db, SYSTEM):
        body, _ = bodies.find_or_add(db, name="秦安县", division_code="620522", years=[2016])
        other, _ = bodies.find_or_add(db, name="清水县", division_code="620521", years=[2017, 2019])
        numbers = body.id, other.id
    for who, role in (("clerk", "county_officer"), ("contractor", "contractor")):
        made.person(who, role, numbers[0])
    made.person("neighbour", "county_officer", numbers[1])
    made.person("officer", "province_officer", division="620000")
    yield made
    made.turns.stop()


# What concerns words alone is looked at on one database.
words = pytest.mark.parametrize("url", ["sqlite"], indirect=True)


def asked(check: Check, poor: bool = True) -> list[Point]:
    """The points that are asked of a county: written down a second time, without the program's conditions."""
    provincial = {"money-rules", "money-watch", "open-province"}
    others = {"rural-link", "rural-firms"} if poor else {"poor-tilt", "poor-help"}
    return [
        one for one in check.points if not one.fact and not one.table and one.id not in provincial | others
    ]  # fmt: skip


BEGIN = {  # what is said before the points, so that nothing else is missing
    "review": ("全部方面", "是"),
    "acceptance-check": ("是", "95%", "物流中心，某某公司，120万元，完整", "填完了"),
    "reapplication-check": ("95%", "是"),
    "publicity": (),
    "label": (),
}


def title(office: Office, name: str) -> str:
    return office.kb.checks[name].title


# --- every path of every check -------------------------------------------------------------------------------------------


@words
@pytest.mark.parametrize("name", CHECKS)
def test_each_answer_to_each_point_comes_to_what_it_means(office: Office, name: str) -> None:
    check = office.kb.checks[name]
    points = asked(check)
    for answer in ("有", "没有", "不清楚", "不适用"):
        office.say("clerk", check.title, *BEGIN[name])
        for point in points:
            labels = [one.label for one in office.last["clerk"].options]
            assert labels == (["有", "没有", "不清楚", "不适用"] if "na" in point.answers else ["有", "没有", "不清楚"])
            assert f"有没有{point.text}？" in office.last["clerk"].text
            assert f"“{point.cite.quote}”" in office.last["clerk"].text
            office.say("clerk", str(labels.index(answer) + 1) if answer in labels else "有")
        said = office.whole("clerk")
        assert "合格" not in said and "通过验收" not in said
        listed = [point for point in points if answer != "有" and (answer != "不适用" or "na" in point.answers)]
        for point in listed:
            assert f"“{point.cite.quote}”" in said
            if answer == "没有":
                assert point.answers["no"] in said
        if answer == "有":
            assert check.complete in said and "缺项" not in said
            assert "仍须" in said or "认定" in said
        elif listed:
            assert check.complete not in said or answer == "不适用"
        if answer == "没有":
            assert f"还缺{len(points)}项" in said
        if answer == "不清楚":
            assert f"{len(points)}项不清楚（不作已具备）" in said and "还缺" not in said
        if answer == "不适用" and len(listed) == len(points):
            assert "不能据此得出结论" in said


@words
def test_the_quotations_name_their_clause_and_an_unverified_text_says_so(office: Office) -> None:
    office.say("clerk", "政务公开自查", "没有 没有 没有 没有 没有 没有")
    said = office.whole("clerk")
    assert "《关于做好2020年电子商务进农村综合示范工作的通知》六（四）“督促示范县在政府网站推行综合示范政务公开" in said
    assert "商办建函〔2020〕144号附件1-6.1“有关资金支出、项目建设信息、决策程序等按要求在政府网站及时公示。”" in said
    assert "文本未标文号，尚未与印发件核对" in office.reply("clerk", "看自查 #1").text
    office.say("clerk", "复核要点自查 农村电商培训体系", "都有")
    assert "尚未与印发件核对" not in office.whole("clerk")


# --- 复核要点自查 ----------------------------------------------------------------------------------------------------------


def test_the_six_areas_are_gone_through_one_at_a_time(office: Office) -> None:
    assert [one.label for one in office.reply("clerk", "复核要点自查").options] == [
        "全部方面",
        *office.kb.checks["review"].areas,
    ]
    assert "农村电商培训体系 1/6：有没有培训对象和培训目标的材料" in office.say("clerk", "6")
    assert "3/6" in office.say("clerk", "有 没有")
    assert "4/6" in office.say("clerk", "3")
    said = office.say("clerk", "都有")
    assert "秦安县2016年度复核要点自查（2020年4月24日）" in said
    assert "还缺1项，1项不清楚（不作已具备）；有材料4项。" in said
    assert "未查：助力脱贫攻坚和乡村振兴、农村电商公共服务中心" in said and "未查：农村电商培训体系" not in said
    assert "1. 如实的培训记录\n" in said and "商办建函〔2020〕144号附件1-5.1“如实做好培训记录。”" in said
    reply = office.pick("clerk", "接着查：资金和项目管理")
    assert "资金和项目管理 1/5" in reply.text
    office.say("clerk", "都有")
    assert "已列要点均有材料，仍须以商务部组织的绩效评价复核为准。" in office.last["clerk"].text
    assert [one.answers["area"] for one in office.rows(CheckResult)] == ["农村电商培训体系", "资金和项目管理"]


def test_a_county_is_asked_what_concerns_it_and_what_it_says_is_kept_when_it_agrees(office: Office) -> None:
    area = "复核要点自查 助力脱贫攻坚和乡村振兴"
    office.recorded(1, poverty_county="no")
    reply = office.reply("clerk", area)
    assert "贵县是否为贫困县？\n现有记录：否（4月登记）" in reply.text
    assert [one.label for one in reply.options] == ["与记录相同：否", "是", "不清楚"]
    assert "有机衔接" in office.say("clerk", "1")
    office.say("clerk", "都有")
    assert not [one for one in office.last["clerk"].options if "记入" in one.label]

    assert "倾斜的安排文件" in office.say("clerk", area, "是")
    office.say("clerk", "都有")
    assert "记入本县情况（是否贫困县：是）" in [one.label for one in office.last["clerk"].options]
    assert "是否贫困县：是" in office.pick("clerk", "记入本县情况").text
    kept = office.rows(Fact)[-1]
    assert (kept.key, kept.value, kept.source, kept.as_of) == (
        "poverty_county",
        "yes",
        "复核要点自查时填写",
        date(2020, 4, 24),
    )
    assert [one.action for one in office.rows(Audit)][-1] == "fact.add"
    assert "没有要记入的新情况" in office.say("clerk", "记入本县情况 #2")
    assert len(office.rows(Fact)) == 2


@words
def test_whether_a_point_concerns_the_county_may_stay_open_and_then_it_does_not_count(office: Office) -> None:
    office.say("clerk", "复核要点自查 助力脱贫攻坚和乡村振兴", "不清楚")
    said = office.say("clerk", "都有")
    assert "4项不清楚（不作已具备）" in office.whole("clerk") and "均有材料" not in said


def test_the_provinces_own_points_are_asked_of_the_province_alone(office: Office) -> None:
    office.say("officer", "复核要点自查 资金和项目管理", "秦安县")
    assert "1/7" in office.last["officer"].text
    office.say("officer", "有 有 有 有 有")
    assert "（省级）" in office.last["officer"].text
    office.say("officer", "没有 有")
    assert "附件1-6.2" in office.last["officer"].text
    assert [one.body_id for one in office.rows(CheckResult)] == [1]


@words
def test_a_body_of_two_years_is_asked_for_the_year(office: Office) -> None:
    assert "2017年度或2019年度" in office.say("neighbour", "验收检查")
    office.say("neighbour", "2019年度", "是", "95%", "不清楚")
    assert "验收报告如实写明" in office.last["neighbour"].text  # 委托第三方 is asked of 2014—2017 only
    office.say("neighbour", "都有")
    said = office.whole("neighbour")
    assert "清水县2019年度" in said and "2018年度及以后示范县的验收时限，144号文未写" in said


# --- back, asides, bad input ----------------------------------------------------------------------------------------------


@words
def test_a_check_goes_back_answer_by_answer_and_resumes_after_a_question(office: Office) -> None:
    office.say("clerk", "标识自查")
    assert "3/4" in office.say("clerk", "有 有")
    assert "2/4" in office.say("clerk", "上一步")
    aside = office.say("clerk", "专项资金能不能给站长发工资")
    assert "不可以" in aside and "继续“标识自查”" in aside and "2/4" in aside
    assert [one.label for one in office.last["clerk"].options] == ["有", "没有", "不清楚", "不适用"]
    assert "4/4" in office.say("clerk", "没有 有")
    assert "还缺1项" in office.say("clerk", "1")
    office.say("clerk", "标识自查", "有")
    assert "已取消" in office.say("clerk", "取消")
    assert len(office.rows(CheckResult)) == 1


@words
@pytest.mark.parametrize(
    "typed",
    ["9", "有 有 有 有 有 有 有", "有 也许", "x", "", "有" * 4000, "1 1 5", "都", "有\x00", "'; DROP TABLE check_result;--",
     "{{ 7 * 7 }}", "١", "没有 不适用 都有"],
)  # fmt: skip
def test_what_is_no_answer_is_asked_again_and_changes_nothing(office: Office, typed: str) -> None:
    office.say("clerk", "标识自查", "有")
    before = office.rows(Conversation)[-1].answers
    said = office.say("clerk", typed)
    assert re.search("请回复有、没有、不清楚、不适用|继续“标识自查”：2/4|没有第9项", said)
    after = office.rows(Conversation)[-1]
    assert after.flow == "check:label" and after.answers == before
    assert "49" not in said
    assert "还缺" not in office.say("clerk", "都有")


@words
def test_unfinished_checks_leave_no_result(office: Office) -> None:
    office.say("clerk", "复核要点自查", "1", "是", "有")
    office.now += timedelta(hours=1)
    assert "还没有自查记录" in office.say("clerk", "我的自查")
    assert not office.rows(CheckResult)


# --- 验收检查 --------------------------------------------------------------------------------------------------------------


def through(office: Office, *said: str) -> str:
    """An acceptance check with these first answers; everything else is there."""
    office.say("clerk", "验收检查", *said)
    office.say("clerk", "都有")
    return office.whole("clerk")


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
