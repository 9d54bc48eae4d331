"""What follows an item in chat: numbers, draws, records of calls and waybills, stages, duplicates, recurrences."""

from hashlib import sha256
from pathlib import Path
from typing import Any

import openpyxl
import pytest
from sqlalchemy import select

from bot.app import assistant
from bot.turns import TurnThread
from handlers import samples as sheets
from knowledge.base import KnowledgeBase
from storage import evidence, items, samples
from storage.db import transaction
from storage.models import Body, Item, ItemEvent
from storage.scope import SYSTEM, serving
from tests.test_digressions import make_item
from tests.test_rectification import Office, office

__all__ = ["office"]
VISIT = "5月5日，张某、李某，城关镇站点和县仓储中心"


def put(office: Office, **states: int) -> dict[str, int]:
    """Items of the county in some states; the number of each state's first one."""
    first = {}
    with transaction(office.sessions) as db, serving(db, SYSTEM):
        for state, count in states.items():
            made = [make_item(db, db.get_one(Body, 1), state, n, office.ids["officer"]) for n in range(1, count + 1)]
            first[state] = made[0].id
    return first


def said(office: Office, item_id: int, event: str) -> dict[str, Any]:
    with transaction(office.sessions) as db, serving(db, SYSTEM):
        wanted = select(ItemEvent.said).where(ItemEvent.item_id == item_id, ItemEvent.event == event)
        return db.scalars(wanted).one()


def test_progress_is_shown_to_each_for_their_own(office: Office) -> None:
    put(office, closed=3, confirmed=1)
    office.person("city", "city", division="620500")
    shown = office.say("officer", "进度统计")
    assert "纳入统计4项：在办0，已销号未抽查3，回头看通过1；另有待下发5项不计" in shown
    assert "回头看确认率：25.0%（1/4）" in shown
    assert "见底清零：否" in shown
    assert (
        shown
        == office.say("clerk", "进度统计 秦安县")
        == office.say("city", "进度统计 2016年度").replace("2016年度", "")
    )
    assert "没有整改事项" in office.say("neighbour", "进度统计")
    assert "没有找到秦安县" in office.say("neighbour", "进度统计 秦安县")
    assert "未抽查的不计为通过" in office.say("clerk", "数字口径")
    written = (Path(__file__).parent.parent / "docs" / "数字口径.md").read_text("utf-8")
    assert all(name in written for name in ("销号率", "回头看确认率", "一次通过率", "反弹率", "见底清零", "纳入统计"))


def test_a_draw_is_made_shown_and_printed(office: Office, tmp_path: Path) -> None:
    first = put(office, closed=12)
    assert "由省级经办人或审核人办理" in office.say("clerk", "抽查")
    office.say("officer", "抽查", "2016年度", "20%")
    shown = office.say("officer", "确认")
    assert "名单12项，抽中7项，未抽查5项" in shown
    *shown_items, sheet = office.last["officer"].options
    drawn = [int(one.value.removeprefix("事项 #")) for one in shown_items]
    assert len(drawn) == 7 and sheet.value == "抽查记录表 1"
    office.say(
        "officer", f"回头看记录 #{drawn[0]}", "回头看", "现场考察", VISIT, "没有照片", "站点正常营业", "通过", "确认"
    )
    assert "通过1项，不通过0项，待查6项" in office.say("officer", "抽查结果")
    assert "没有找到抽查记录" in office.say("clerk", "抽查结果 1")
    assert "（未抽查）" in office.say("clerk", f"事项 #{next(n for n in range(first['closed'], 99) if n not in drawn)}")
    with transaction(office.sessions) as db, serving(db, SYSTEM):
        kept = samples.listed(db)[0]
        assert sheets.sheet(db, kept, tmp_path / "s.xlsx") == 7
    book = openpyxl.load_workbook(tmp_path / "s.xlsx")
    rows = [[cell.value for cell in row] for row in book["抽查名单"].iter_rows(min_row=2)]
    assert [key for _, key, _ in rows] == [sha256(f"{kept.seed}:{line}".encode()).hexdigest() for line, _, _ in rows]
    least = sorted(rows, key=lambda row: row[1])[:7]
    assert {row[0] for row in rows if row[2] == "随机"} == {row[0] for row in least}
    assert [row[0].value for row in book["抽查记录"].iter_rows(min_row=2)] == [str(n) for n in range(1, 8)]


def test_a_call_and_waybills_are_kept_and_shown_in_the_trail(office: Office) -> None:
    one = put(office, verifying=2)["verifying"]
    office.say("officer", f"提请销号 #{one}", "电话回访")
    assert "日期不能晚于今天" in office.say("officer", "5月7日与站长李某通话")
    assert "日期和对象" in office.say("officer", "和站长通过话了")
    office.say("officer", "5月5日上午，站长李某13900000009", "站长称每天营业", "确认")
    record = said(office, one, "propose")["record"]
    assert record["called_on"] == "2020-05-05"
    assert "站长李某" in record["called"] and "13900000009" not in record["called"]
    assert "通话：2020年5月5日，上午，站长李某" in office.say("clerk", f"办理过程 #{one}")
    other = one + 1
    office.say("officer", f"提请销号 #{other}", "物流追溯")
    assert "“123”不像运单号" in office.say("officer", "YT1234567890123、123")
    office.say("officer", "运单号：YT1234567890123、7700000000001", "三日内送达", "确认")
    assert said(office, other, "propose")["record"] == {"waybills": ["YT1234567890123", "7700000000001"]}
    assert "按所报，未向快递企业查验" in office.say("officer", f"办理过程 #{other}")


def test_a_visit_is_kept_with_its_photos_and_shown_in_trail_and_paper(office: Office) -> None:
    one = put(office, verifying=1)["verifying"]
    assert "谁去的" in office.say("officer", f"提请销号 #{one}", "现场考察")
    for unclear in ("昨天", "5月5日，张某", "张某、李某，城关镇站点", "5月8日，张某、李某，城关镇站点"):
        assert "三样之间用逗号" in office.say("officer", unclear)
    assert "现场照片" in office.say("officer", "5月5日张某、李某实地查看了城关镇站点和县仓储中心")
    assert "没有照片回复" in office.say("officer", "发完了")
    assert "已收到2份，发完请回复“发完了”" in office.photos("officer", 2)
    office.say("officer", "发完了", "两处均正常营业", "确认")
    kept = said(office, one, "propose")
    assert kept["record"] == {"visited_on": "2020-05-05", "visitors": "张某、李某", "seen": "城关镇站点和县仓储中心"}
    assert len(kept["files"]) == 2
    past = office.say("clerk", f"办理过程 #{one}") + office.say("clerk", "更多")
    assert "材料2份" in past and "现场考察：2020年5月5日，张某、李某；查看：城关镇站点和县仓储中心" in past
    assert "佐证0份" in office.say("clerk", f"事项 #{one}")  # the county's evidence is its own
    with transaction(office.sessions) as db, serving(db, SYSTEM):
        assert [file.line for file in evidence.standing(db, items.find(db, one))] == [evidence.VISIT] * 2


def test_a_mistyped_answer_gets_the_forms_own_message_and_a_question_its_answer(office: Office) -> None:
    one = put(office, rectifying=1)["rectifying"]
    office.say("clerk", f"申请延期 #{one}")
    for mistyped in ("六月三十一号", "6月31日之前", "再过一个多月的样子"):
        reply = office.say("clerk", mistyped)
        assert reply.startswith("请回复今天以后的日期") and "请以问号结尾" in reply
    assert "不得用于网络交易平台" in office.say("clerk", "专项资金能不能买流量")
    assert "第3步" in office.say("clerk", "七月三十号")


def test_stages_are_planned_reported_and_shown(office: Office) -> None:
    one = put(office, rectifying=1)["rectifying"]
    office.say("clerk", f"安排阶段 #{one}")
    assert "不能晚于这一项的完成时限" in office.say("clerk", "5月31日完成选址；7月20日完成装修")
    office.say("clerk", "6月20日完成装修；5月31日完成选址", "确认")
    assert "阶段：2020年5月31日 完成选址" in office.say("clerk", f"事项 #{one}")
    office.say("clerk", f"阶段完成 #{one}", "1", "已经租好店面", "确认")
    assert "完成选址，已于2020年5月6日完成" in office.say("clerk", f"事项 #{one}")
    assert "完成的阶段：完成选址" in office.say("clerk", f"办理过程 #{one}")


def test_a_duplicate_and_a_recurrence_are_linked(office: Office) -> None:
    first = put(office, rectifying=2, confirmed=1)
    one = first["rectifying"]
    office.say("approver", f"移出清单 #{one}", "与另一项重复", "编号rectifying2")
    assert "重复于编号：rectifying2" in office.last["approver"].text
    office.say("approver", "确认")
    assert "与编号rectifying2重复" in office.say("clerk", f"事项 #{one}")
    office.say("officer", f"再次发生 #{first['confirmed']}", "一个站点又停运")
    assert "已另列编号confirmed1-2（待下发）" in office.say("officer", "确认")
    with transaction(office.sessions) as db, serving(db, SYSTEM):
        made = db.scalars(select(Item).where(Item.recurs_of == first["confirmed"])).one()
        assert (made.state, made.problem, made.number) == ("draft", "一个站点又停运", "confirmed1-2")
        assert items.find(db, first["confirmed"]).state == "confirmed"
    assert "再次发生：原编号confirmed1" in office.say("officer", f"事项 #{made.id}")


def test_pilot_mode_is_said_in_the_trail(office: Office, kb: KnowledgeBase, url: str) -> None:
    if not url.startswith("sqlite"):
        pytest.skip("the database does not matter to the mode")
    one = put(office, closed=1)["closed"]
    with transaction(office.sessions) as db, serving(db, SYSTEM):
        past = items.trail(db, one)
        next(event for event in past if event.event == "close").person_id = office.ids["approver"]
    check = (f"回头看记录 #{one}", "回头看", "现场考察", VISIT, "没有照片", "站点正常营业", "通过", "确认")
    assert "要由另一人办理" in office.say("approver", check[0])
    office.turns.stop()
    office.turns = TurnThread(assistant(kb, pilot_mode=True), office.sessions)
    office.say("approver", *check)
    assert "试点模式：同一人也办过“签批销号”" in office.say("approver", f"办理过程 #{one}")
    office.turns.stop()
