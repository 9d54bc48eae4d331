"""Papers: what they say against what was reported, who may make them, and how they look in a word processor."""

import io
import os
import re
import subprocess
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pypdfium2
import pytest
from docx import Document
from openpyxl import load_workbook
from sqlalchemy import select
from sqlalchemy.orm import Session, sessionmaker

from bot import papers
from bot.app import assistant
from bot.files import place
from bot.settings import Paths, Province, Settings, Web
from bot.turns import TurnThread
from knowledge.base import KnowledgeBase
from storage import bodies, items
from storage.db import transaction
from storage.models import File
from storage.scope import SYSTEM, serving
from tests.test_rectification import Office

APRIL = datetime(2020, 4, 8, 2, tzinfo=UTC)
PROBLEMS = (("站点", "两个站点停运"), ("培训", "培训没有回访记录"), ("资金", "资金未设专账。"), ("物流", "物流未整合"))

ON_SQLITE = pytest.mark.parametrize("url", ["sqlite"], indirect=True)  # where the database does not matter


@pytest.fixture
def office(sessions: sessionmaker[Session], kb: KnowledgeBase, tmp_path: Path) -> Iterator[Office]:
    """Two counties and a province; four items of the first, of which one is closed and one was never issued."""
    chosen = Settings(
        paths=Paths(data=tmp_path), web=Web(base_url="http://desk"), province=Province(name="甘肃省商务厅")
    )
    turns = TurnThread(assistant(kb, chosen), sessions)
    made = Office(sessions, turns)
    made.now = APRIL
    with transaction(sessions) as db, serving(db, SYSTEM):
        body, _ = bodies.find_or_add(db, name="秦安县", division_code="620522", years=[2016], office="秦安县电商办")
        other, _ = bodies.find_or_add(db, name="清水县", division_code="620521", years=[2017, 2019])
        numbers = body.id, other.id
        for number, (category, problem) in enumerate(PROBLEMS, 1):
            items.add(
                db, body, APRIL, batch_year=2016, number=f"Q{number}", source="绩效评价", category=category,
                problem=problem, kind="立行立改", due_on=date(2020, 4, 30) if number == 2 else date(2020, 6, 30),
                standard="恢复正常", basis="附件1-3.2" if number == 1 else "",
            )  # fmt: skip
    for who, role in (("clerk", "county_officer"), ("contractor", "contractor")):
        made.person(who, role, numbers[0])
    made.person("neighbour", "county_officer", numbers[1])
    made.person("officer", "province_officer", division="620000")
    made.person("approver", "province_approver", division="620000")
    for number in (1, 2, 3):
        at = f"#{made.item(number).id}"
        made.say("approver", f"下发事项 {at}", made.item(number).due_on.isoformat(), "确认")
        if number < 3:
            made.say("clerk", f"签收事项 {at}", "逐项核对并限期整改", "确认")
    _closed(made)
    yield made
    turns.stop()


def _closed(office: Office) -> None:
    """In May, the first item is reported on, submitted and closed, and the funds are reported."""
    at = f"#{office.item(1).id}"
    office.now = datetime(2020, 5, 6, 2, tzinfo=UTC)
    office.say("clerk", f"报进展 {at}", "一个站点已恢复，进度50%", "确认")
    office.say("clerk", f"申请销号 {at}", "照片随纸质材料报送", "确认")
    office.say(
        "officer",
        f"认领事项 {at}",
        f"提请销号 {at}",
        "现场考察",
        "5月5日，张某、李某，城关镇站点",
        "没有照片",
        "两个站点均正常营业",
        "确认",
    )
    office.say("approver", f"同意 {at}", "确认")
    office.say("clerk", "填报资金", "2000", "1760.5", "1500", "今天", "确认")


def _paper(office: Office, who: str, text: str) -> bytes:
    """Ask for a paper; its bytes."""
    reply = office.reply(who, text)
    assert [link.url.split("?")[0] for link in reply.links], reply.text
    with transaction(office.sessions) as db, serving(db, SYSTEM):
        file = db.scalars(select(File).order_by(File.id.desc())).first()
        assert file is not None
        assert reply.links[0].label == file.name
        assert reply.links[0].url.startswith(f"http://desk/f/{file.id}?t=")
        folder = office.turns._assistant.given["folder"]
        return place(folder, str(file.sha256)).read_bytes()


def _lines(data: bytes) -> list[str]:
    """The paper's words, paragraph by paragraph and row by row."""
    document, found = Document(io.BytesIO(data)), []
    for block in document.iter_inner_content():
        if hasattr(block, "rows"):
            found += ["|".join(cell.text.replace("\n", "；") for cell in row.cells) for row in block.rows]
        else:
            found.append(block.text)
    return [line for line in found if line]


def test_the_report_says_what_was_reported_and_nothing_else(office: Office) -> None:
    assert _lines(_paper(office, "clerk", "出整改情况报告")) == [
        "秦安县2016年度\n电子商务进农村综合示范整改情况报告",
        "甘肃省商务厅：",
        "一、总体情况",
        "截至2020年5月6日，秦安县2016年度列入清单并已下发的整改事项共3项，其中待签收1项，整改中1项，已销号1项。"
        "未完成事项中，超过现行时限1项，超过原定时限1项。另有待下发1项，未计入总数。",
        "二、已销号事项",
        "1. 两个站点停运（编号Q1，站点，来源：绩效评价，依据：附件1-3.2）。整改标准：恢复正常。整改措施：逐项核对并限期整改。"
        "责任单位：未填报。完成时限：2020年6月30日。现状：已销号，进度100%。"
        "县级填报（2020年5月6日）：一个站点已恢复，进度50%。"
        "核查方式：现场考察，核查发现：两个站点均正常营业。2020年5月6日销号。",
        "三、未完成事项",
        "1. 培训没有回访记录（编号Q2，培训，来源：绩效评价）。整改标准：恢复正常。整改措施：逐项核对并限期整改。"
        "责任单位：未填报。完成时限：2020年4月30日。现状：整改中，进度0%，逾期6天。",
        "2. 资金未设专账（编号Q3，资金，来源：绩效评价）。整改标准：恢复正常。整改措施：未填报。"
        "责任单位：未填报。完成时限：2020年6月30日。现状：待签收，进度0%。",
        "四、资金情况",
        "截至2020年5月6日，中央财政资金下达2000万元，拨付1760.5万元，使用1500万元（来源：县级经办人对话填报）。"
        "拨付率88.02%（拨付÷下达），使用率75%（使用÷下达）。",
        "秦安县电商办（盖章）",
        "2020年5月6日",
    ]


@ON_SQLITE
def test_a_month_is_told_as_it_ended(office: Office) -> None:
    april, may = (_lines(_paper(office, "officer", f"月度进展 秦安县 {month}")) for month in ("4月", "本月"))
    assert april[0] == "秦安县2016年度整改月度进展\n（2020年4月）"
    assert april[3:5] == [
        "截至2020年4月30日，秦安县2016年度列入清单并已下发的整改事项共3项，其中待签收1项，整改中2项；"
        "未完成事项中，超过当时时限0项。",
        "本月下发3项次。",
    ]
    assert april[7] == "Q1|两个站点停运|2020年6月30日|整改中|4月8日下发；4月8日签收：逐项核对并限期整改"
    assert may[3].endswith("其中待签收1项，整改中1项，已销号1项；未完成事项中，超过当时时限1项。")
    assert may[4] == "本月申请销号1项次，销号1项次。"
    assert may[7].startswith(
        "Q1|两个站点停运|2020年6月30日|已销号|5月6日报进展：一个站点已恢复，进度50%；5月6日申请销号"
    )
    assert may[8] == "Q2|培训没有回访记录|2020年4月30日|整改中|无"
    empty = _lines(_paper(office, "clerk", "月度进展 2020年3月"))
    assert "共0项；" in empty[3]
    assert empty[4] == "本月没有下发、申请销号、销号和回头看。"
    assert "资金情况未填报。" in empty
    for month in ("13月", "2020年6月", "0月"):
        assert "不晚于本月" in office.say("clerk", f"月度进展 {month}"), month


def test_an_application_shows_its_evidence_and_who_has_signed(office: Office) -> None:
    lines = _lines(_paper(office, "clerk", f"销号申请书 #{office.item(1).id}"))
    assert "申请人已声明所报情况属实" in lines[2]
    assert "整改完成情况|一个站点已恢复，进度50%" in lines
    assert "站点名单和布局说明（商办建函〔2020〕144号附件1-3.1）|无|照片随纸质材料报送" in lines
    assert "申请人|样例clerk，2020年5月6日" in lines
    assert "省级核查|样例officer，2020年5月6日。现场考察：两个站点均正常营业" in lines
    assert "省级签批|样例approver，2020年5月6日" in lines
    assert "分管负责人|签字：________    日期：________" in lines
    unsigned = _lines(_paper(office, "clerk", "销号申请书 Q2"))
    assert "尚未在系统中提交" in unsigned[2]
    assert "整改完成情况|未填报" in unsigned
    assert [line for line in unsigned if line.startswith(("申请人|", "省级签批|"))] == [
        "申请人|签字：________    日期：________",
        "省级签批|签字：________    日期：________",
    ]


@ON_SQLITE
def test_a_follow_up_check_is_an_empty_form_and_then_a_record(office: Office) -> None:
    at = f"#{office.item(1).id}"
    offered = [one.value for one in office.reply("officer", f"事项 {at}").options if one.label == "出回头看记录"]
    assert "核查发现|________" in _lines(_paper(office, "officer", *offered))
    office.say("officer", f"回头看记录 {at}", "回头看", "现场考察", "5月5日，张某、李某，城关镇站点", "没有照片")
    office.say("officer", "一个站点又停运", "不通过", "7月30日", "确认")
    lines = _lines(_paper(office, "clerk", f"出回头看记录 {at}"))
    assert lines[9:] == [
        "第1次检查", "形式|回头看", "核查方式|现场考察", "核查记录|现场考察：2020年5月5日，张某、李某；查看：城关镇站点", "核查发现|一个站点又停运",
        "结果|不通过，重新整改至2020年7月30日", "检查人|样例officer", "检查日期|2020年5月6日",
        "检查人（签字）：________", "被检查单位（签字）：________", "日期：________",
    ]  # fmt: skip
    again = _lines(_paper(office, "clerk", f"销号申请书 {at}"))
    assert "尚未在系统中提交" in again[2]
    assert "省级签批|签字：________    日期：________" in again
    assert "原定" in next(line for line in again if line.startswith("完成时限"))


def test_papers_are_for_county_and_province_in_scope(office: Office) -> None:
    at = f"#{office.item(1).id}"
    for who in ("neighbour", "contractor"):
        assert "没有找到" in office.say(who, "出整改情况报告 秦安县")
        assert "没有找到" in office.say(who, "出整改情况报告 620522")
        assert "没有找到" in office.say(who, "月度进展 秦安县 5月")
        assert not office.reply(who, f"销号申请书 {at}").links
        assert not office.reply(who, f"出回头看记录 {at}").links
    assert "绑定" in office.say("stranger", "出整改情况报告")
    assert "哪一份" in office.say("neighbour", "出整改情况报告")
    assert "清水县2019年度" in _lines(_paper(office, "neighbour", "2"))[0]
    assert "没有登记" in office.say("neighbour", "出清水县2018年度整改情况报告")
    assert len(office.reply("officer", "出整改情况报告").options) == 3
    assert (
        "秦安县"
        in _lines(_paper(office, "officer", "1"))[0] + _lines(_paper(office, "officer", "出秦安县整改情况报告"))[0]
    )
    with transaction(office.sessions) as db:
        assert db.scalars(select(File)).all() == []  # a session that serves nobody finds none


@ON_SQLITE
def test_a_paper_is_no_evidence_for_the_next_update(office: Office) -> None:
    at = f"#{office.item(2).id}"
    _paper(office, "clerk", f"销号申请书 {at}")
    office.say("clerk", "我的事项", "1号进度80%", "确认")
    assert office.item(2).progress == 80
    assert office.evidence(2) == 0


@ON_SQLITE
def test_signs_that_were_typed_do_not_break_a_paper(office: Office) -> None:
    office.say("clerk", f"报进展 #{office.item(2).id}", "已经\x08动工<b>&amp;\x0b|\ufffe{{7*7}}，进度60%", "确认")
    assert "：已经动工<b>&amp;|{{7*7}}，进度60%。" in "".join(_lines(_paper(office, "clerk", "出整改情况报告")))


@ON_SQLITE
def test_without_a_web_address_no_paper_is_promised(sessions: sessionmaker[Session], office: Office) -> None:
    office.turns._assistant.given["base_url"] = ""  # type: ignore[index]  # the tests' own assistant
    assert "web.base_url" in office.say("clerk", "出整改情况报告")


@ON_SQLITE
def test_each_paper_looks_right_in_a_word_processor(office: Office, shots: Path, tmp_path: Path) -> None:
    office.now += timedelta(days=1)
    asked = {
        "report": "出整改情况报告", "month": "月度进展 4月", "application": f"销号申请书 #{office.item(1).id}",
        "check": f"出回头看记录 #{office.item(1).id}",
    }  # fmt: skip
    made = {name: _paper(office, "clerk", text) for name, text in asked.items()}
    many = papers.Table(titles=("编号", "问题"), rows=[(str(n), "站点停运" * 9) for n in range(60)], widths=(30, 126))
    made["long"] = papers.write(papers.Paper(title="样例", parts=[many], signed=("秦安县电商办（盖章）",)))
    for name, data in made.items():
        (tmp_path / f"{name}.docx").write_bytes(data)
    subprocess.run(
        ["soffice", "--headless", "--convert-to", "pdf", "--outdir", tmp_path, *tmp_path.glob("*.docx")],
        check=True, capture_output=True, timeout=180, env={**os.environ, "HOME": str(tmp_path)},
    )  # fmt: skip
    for name, data in made.items():
        printed = (tmp_path / f"{name}.pdf").read_bytes()
        document = pypdfium2.PdfDocument(printed)
        words = "".join(page.get_textpage().get_text_range() for page in document)
        numbers = re.findall(r"—\s*(\d+)\s*—", words)
        assert numbers == [str(number) for number in range(1, len(document) + 1)]
        if name == "long":
            assert len(document) > 2
            assert words.count("编号") == len(document)  # each page repeats the head
            continue
        fonts = set(re.findall(rb"/FontName/(?:([A-Z]{6})\+)?([\w-]+)", printed))
        assert any(b"CJK" in font for _, font in fonts)
        assert all(subset for subset, _ in fonts), "a font is not embedded"
        told = Counter(re.sub(r"\s", "", re.sub(r"—\s*\d+\s*—", "", words)))
        assert told == Counter(re.sub(r"[\s|]", "", "".join(_lines(data)).replace("；4月", "4月")))
        for number, page in enumerate(document, 1):
            assert round(page.get_width() / 72 * 25.4) == 210
            page.render(scale=1.2).to_pil().save(shots / f"paper-{name}-{number}.png")


@ON_SQLITE
def test_stages_stand_in_the_report_and_the_months_progress(office: Office) -> None:
    at = f"#{office.item(3).id}"
    office.say("clerk", f"签收事项 {at}", "逐项核对并限期整改", "确认")
    office.say("clerk", f"安排阶段 {at}", "5月20日补做回访；6月10日建立台账", "确认")
    office.say("clerk", f"阶段完成 {at}", "补做回访", "已回访全部学员", "确认")
    told = "阶段：2020年5月20日前补做回访（2020年5月6日完成）；2020年6月10日前建立台账（未完成）。"
    assert told in "".join(_lines(_paper(office, "clerk", "出整改情况报告 秦安县 2016年度")))
    assert told in "".join(_lines(_paper(office, "clerk", "出月度进展 秦安县 2016年度 5月")))
    before = "".join(_lines(_paper(office, "clerk", "出月度进展 秦安县 2016年度 4月")))
    assert "补做回访（未完成）" in before


@ON_SQLITE
def test_the_sheet_of_a_draw_is_handed_out_as_a_link(office: Office) -> None:
    assert "没有找到抽查记录" in office.say("officer", "抽查记录表")
    office.say("officer", "抽查", "2016年度", "10%", "确认")
    office.pick("officer", "记录表")
    book = load_workbook(io.BytesIO(_paper(office, "officer", "打印抽查记录表 1")))
    assert [row[0].value for row in book["抽查记录"].iter_rows(min_row=2)] == ["1"]
    assert len(list(book["抽查名单"].iter_rows(min_row=2))) == 1
    assert "没有找到抽查记录" in office.say("clerk", "抽查记录表 1")
