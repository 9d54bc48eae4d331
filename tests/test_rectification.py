"""Rectification items in chat: the life of one item between five people, updates of several, photos, scope."""

import uuid
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta

import pytest
from sqlalchemy import select
from sqlalchemy.orm import Session, sessionmaker

from bot.app import assistant, guarding, reminding
from bot.messages import Inbound, Media, Reply
from bot.settings import Settings
from bot.turns import TurnThread
from handlers import rectification, review, updates
from knowledge.base import KnowledgeBase
from storage import bodies, evidence, items, people
from storage.db import transaction
from storage.models import Conversation, Delivery, File, Item, ItemUnit, Person, Unit
from storage.scope import SYSTEM, serving
from tests.seats import seat

NOW = datetime(2020, 5, 6, 2, tzinfo=UTC)
PROBLEMS = ("两个站点停运", "培训没有回访记录", "资金未设专账", "项目未贴标识", "物流未整合")
CATEGORIES = ("站点", "培训", "资金", "公开标识", "物流")


class Office:
    """People of two counties and a province, each at a terminal of their own, at one clock."""

    def __init__(self, sessions: sessionmaker[Session], turns: TurnThread) -> None:
        self.sessions, self.turns, self.now = sessions, turns, NOW
        self.ids: dict[str, int] = {}
        self.last: dict[str, Reply] = {}

    def person(self, who: str, role: str, body_id: int | None = None, division: str | None = None) -> None:
        self.ids[who] = seat(self.sessions, who, role, NOW, body_id=body_id, division=division)

    def reply(self, who: str, text: str, *, media: int = 0) -> Reply:
        self.now += timedelta(seconds=1)
        inbound = Inbound(
            channel="terminal",
            message_id=uuid.uuid4().hex,
            address=who,
            text=text,
            at=self.now,
            kind="image" if media else "text",
            media=tuple(Media(id=uuid.uuid4().hex, mime="image/jpeg") for _ in range(media)),
        )
        self.last[who] = self.turns.submit(inbound).result(timeout=60)
        return self.last[who]

    def say(self, who: str, *texts: str) -> str:
        return [self.reply(who, text).text for text in texts][-1]

    def photos(self, who: str, count: int = 1) -> str:
        return self.reply(who, "", media=count).text

    def pick(self, who: str, text: str) -> str:
        """Tap the option of the last reply whose label contains the text."""
        options = [one for one in self.last[who].options if text in one.label]
        assert options, text
        return self.say(who, options[0].value)

    def item(self, number: int = 1) -> Item:
        with transaction(self.sessions) as db, serving(db, SYSTEM):
            return db.scalars(select(Item).where(Item.number == f"Q{number}")).one()

    def evidence(self, number: int) -> int:
        with transaction(self.sessions) as db, serving(db, SYSTEM):
            return len(evidence.standing(db, db.scalars(select(Item).where(Item.number == f"Q{number}")).one()))

    def issued(self, *, acknowledged: bool = True) -> None:
        """Every item of the county is issued, and acknowledged."""
        for number in range(1, 6):
            at = f"#{self.item(number).id}"
            self.say("approver", f"下发事项 {at}", "2020-06-30", "确认")
            if acknowledged:
                self.say("clerk", f"签收事项 {at}", "逐项核对并限期整改，负责人样例甲", "确认")


@pytest.fixture
def office(sessions: sessionmaker[Session], kb: KnowledgeBase) -> Iterator[Office]:
    turns = TurnThread(assistant(kb), sessions)
    made = Office(sessions, turns)
    with transaction(sessions) as db, serving(db, SYSTEM):
        body, _ = bodies.find_or_add(db, name="秦安县", division_code="620522", years=[2016])
        other, _ = bodies.find_or_add(db, name="清水县", division_code="620521", years=[2017])
        numbers = body.id, other.id
    made.person("clerk", "county_officer", numbers[0])
    made.person("contractor", "contractor", numbers[0])
    made.person("neighbour", "county_officer", numbers[1])
    for who, role in (
        ("officer", "province_officer"),
        ("approver", "province_approver"),
        ("second", "province_approver"),
    ):
        made.person(who, role, division="620000")
    with transaction(sessions) as db, serving(db, SYSTEM):
        for number, (problem, category) in enumerate(zip(PROBLEMS, CATEGORIES, strict=True), 1):
            items.add(
                db, body, NOW, batch_year=2016, number=f"Q{number}", source="绩效评价", category=category,
                problem=problem, kind="立行立改", due_on=date(2020, 6, 30), standard="恢复正常",
            )  # fmt: skip
    yield made
    turns.stop()


def test_a_clerk_is_understood_as_meant(office: Office) -> None:
    office.issued(acknowledged=False)
    with transaction(office.sessions) as db, serving(db, SYSTEM):
        for item in db.scalars(select(Item).order_by(Item.id)):
            item.number = str(6 - item.id)  # the list's places are not the items' own numbers
    first, second = PROBLEMS[0], PROBLEMS[1]
    assert first in office.say("clerk", "5号签收", "逐项核对并限期整改", "确认")
    assert second in office.say("clerk", "签收4号", "逐项核对并限期整改", "确认")
    office.say("clerk", "我的事项", "1")
    assert second in office.say("clerk", "4改完了"), "the card's choices are no list of items"
    assert first in office.say("clerk", "取消", "5号改完了"), "its own number"
    assert first in office.say("clerk", "取消", "我的事项", "1改完了"), "its place in the list"
    lacking = office.say("clerk", "取消", "5号还缺什么材料？")
    assert first in lacking and "条，还缺" in lacking and "144号附件1-" in lacking
    assert "哪一项" in office.say("clerk", "缺材料清单")
    assert first in office.say("clerk", "1")

    assert "应晚于现时限2020年6月30日" in office.say("clerk", "5号申请延期", "下周五")
    assert "报进展（第" in office.say("clerk", "7月15日", "4号报进展"), "one form within another"
    went_on = office.say("clerk", "已联系三家经营者", "确认")
    assert second in went_on and went_on.endswith("继续“申请延期”：延期的原因是什么？（“取消”退出）")
    aside = office.say("clerk", "我的事项")
    assert "整改事项5项" in aside and "继续“申请延期”" in aside
    assert "申请延至：2020年7月15日" in office.say("clerk", "厂家停工，货架未到")
    assert office.say("clerk", "5号申请延期").count("申请延期（第") == 1, "the same form once more"
    done = office.say("clerk", "下月底", "年底", "厂家停工，货架未到", "确认")
    assert "申请延期至2020年12月31日，待省级批准；批准前仍按原时限" in done
    office.say("clerk", "5号申请销号", "纸质材料已报，无电子件", "确认")
    assert "→ 撤回申请\n“确认”" in office.say("clerk", "撤回")
    assert "整改中" in office.say("clerk", "确认")


def test_an_item_lives_from_the_list_to_a_passed_follow_up_check(office: Office) -> None:
    office.person("head", "county_head", 1)
    at = f"#{office.item().id}"
    assert "下发" in office.say("approver", f"下发事项 {at}", "2020-06-30")
    office.say("approver", "确认")
    assert office.item().state == "issued"

    told = office.say("clerk", "我的事项")
    assert "请签收并填写整改措施" in told
    assert "剩55天" in office.reply("clerk", "我的事项").options[0].label
    assert "材料清单" in office.say("clerk", "1")
    office.pick("clerk", "签收")
    office.say("clerk", "两个站点6月前恢复营业，负责人样例甲")
    assert "整改中" in office.say("clerk", "确认")

    office.say("clerk", f"报进展 {at}", "一个站点已恢复，进度50%", "确认")
    assert office.item().progress == 50
    assert "附到" in office.photos("clerk", 2)
    assert office.evidence(1) == 2

    assert "附件1-3.2" in office.say("clerk", "1号改完了")
    assert "待样例head确认" in office.say("clerk", "材料已经在县局存档，照片已传")
    assert "待分管负责人确认" in office.say("clerk", "确认")
    assert "请您确认" in office.say("head", "待我确认")
    assert "销号待审" in office.say("head", "1")

    assert "等待省级核查" in office.say("officer", "待审")
    assert "核查中" in office.say("officer", f"认领事项 {at}")
    office.say("officer", f"退回事项 {at}", "2 照片看不清", "确认")
    assert office.item().state == "returned"
    assert "站点现状照片和近期服务记录——照片看不清" in office.say("clerk", "我的事项")

    office.say("clerk", f"申请销号 {at}")
    assert "放入正在填的这一单" in office.photos("clerk")
    office.say("clerk", "材料已齐", "确认")
    office.say("head", f"同意 {at}")
    office.say(
        "officer",
        f"认领事项 {at}",
        f"提请销号 {at}",
        "现场考察",
        "5月5日，张某、李某，城关镇站点",
        "没有照片",
        "实地查看两个站点均正常营业",
    )
    assert "待另一人签批" in office.say("officer", "确认")
    assert "待签批" in office.say("officer", f"同意 {at}")
    assert office.item().state == "verifying"
    assert "不能自行撤回" in office.say("approver", "待签批", f"同意 {at}")
    assert "已销号" in office.say("approver", "确认")

    office.say(
        "officer",
        f"回头看记录 {at}",
        "回头看",
        "现场考察",
        "5月5日，张某、李某，城关镇站点",
        "没有照片",
        "一个站点又停运",
        "不通过",
        "7月30日",
    )
    assert "重新整改" in office.say("officer", "确认")
    assert (office.item().first_due_on, office.item().due_on) == (date(2020, 6, 30), date(2020, 7, 30))

    assert "回头看不通过" in office.say("clerk", "我的事项")
    office.say("clerk", f"申请销号 {at}")
    office.photos("clerk", 2)
    office.say("clerk", "材料已齐", "确认")
    office.say("head", f"同意 {at}")
    office.say("officer", f"认领事项 {at}", f"提请销号 {at}", "电话回访", "5月6日与站长通话", "站长称正常营业", "确认")
    office.say("approver", f"同意 {at}", "确认")
    office.say(
        "officer",
        f"回头看记录 {at}",
        "日常监督检查",
        "现场考察",
        "5月5日，张某、李某，城关镇站点",
        "没有照片",
        "两个站点均正常营业",
        "通过",
    )
    assert "回头看通过" in office.say("officer", "确认")
    assert office.item().state == "confirmed"


def test_three_items_with_photos_take_four_messages(office: Office) -> None:
    office.issued()
    office.say("clerk", "我的事项")
    office.say("clerk", "1、3、5改完了")
    office.photos("clerk", 3)
    shown = office.say("clerk", "材料已齐")
    assert shown.count("附材料1份") == 3
    assert office.say("clerk", "确认").count("已申请销号，现为销号待审") == 3
    assert [office.item(n).state for n in range(1, 6)] == [
        "submitted",
        "rectifying",
        "submitted",
        "rectifying",
        "submitted",
    ]
    assert [office.evidence(n) for n in range(1, 6)] == [1, 0, 1, 0, 1]
    again = office.say("clerk", f"#{office.item(1).id}改完了", f"申请销号 #{office.item(1).id}")
    assert "当前销号待审" in again
    assert "没有改变它" in again


def test_a_draft_says_what_cannot_be_done_and_takes_a_correction(office: Office) -> None:
    office.issued()
    office.say("clerk", "我的事项")
    shown = office.say("clerk", "3号事项进度80%，月底前完工")
    assert "资金未设专账" in shown
    assert "进度80%" in shown
    assert "月底前完工" in shown
    assert "项目未贴标识" in office.say("clerk", "不对，是4号")
    office.say("clerk", "确认")
    assert [office.item(n).progress for n in range(1, 6)] == [0, 0, 0, 80, 0]
    office.say("clerk", "我的事项")
    shown = office.say("clerk", "2、9进度30%")
    assert "9：没有找到这个事项" in shown
    assert "确认" in shown
    office.say("clerk", "取消")
    assert office.item(2).progress == 0


def test_photos_later_go_to_the_one_item_and_else_are_asked_for(office: Office) -> None:
    office.issued()
    office.now += timedelta(hours=1)
    assert "属于哪一项" in office.photos("clerk")
    office.now += timedelta(hours=1)
    office.say("clerk", "我的事项", "2号改完了，照片随后发")
    assert "30分钟内" in office.say("clerk", "确认")
    assert office.item(2).state == "rectifying"
    assert "培训没有回访记录" in office.photos("clerk")
    assert office.evidence(2) == 1


def test_a_contractor_sees_and_reports_only_the_items_of_their_unit(office: Office) -> None:
    office.issued()
    with transaction(office.sessions) as db, serving(db, SYSTEM):
        unit = Unit(name="样例电商公司", body_id=1)
        db.add(unit)
        db.flush()
        item = db.scalars(select(Item).where(Item.number == "Q2")).one()
        db.add(ItemUnit(item_id=item.id, unit_id=unit.id, body_id=1))
        db.get_one(Person, office.ids["contractor"]).unit_id = unit.id
    assert len(office.reply("contractor", "我的事项").options) == 1
    assert "没有找到" in office.say("contractor", f"事项 #{office.item(1).id}")
    assert "没有找到" in office.say("contractor", f"报进展 #{office.item(1).id}")
    office.say("contractor", "我的事项")
    assert "由经办人申请销号" in office.say("contractor", "1号改完了")
    office.say("contractor", "确认")
    assert office.item(2).progress == 100
    assert office.item(2).state == "rectifying"
    assert "承办单位样例contractor报告已完成" in office.say("clerk", "我的事项")


def test_another_county_finds_nothing(office: Office) -> None:
    office.issued()
    for number in range(1, 6):
        at = f"#{office.item(number).id}"
        for words in (
            "事项",
            "报进展",
            "传材料",
            "申请销号",
            "申请延期",
            "撤回申请",
            "同意",
            "签收事项",
            "认领事项",
            "下发事项",
        ):
            assert "没有找到" in office.say("neighbour", f"{words} {at}"), words
    assert "没有要办的整改事项" in office.say("neighbour", "我的事项")
    assert "绑定" in office.say("stranger", "1、3、5改完了")


def test_a_late_tap_is_told_what_has_happened_and_changes_nothing(office: Office) -> None:
    office.issued()
    item = office.item(1)
    before = f"#{item.id}v{item.version}"
    office.say("clerk", f"报进展 #{item.id}", "已经动工", "确认")
    reply = office.say("clerk", f"申请延期 {before}", "7月10日", "汛期道路中断", "确认")
    assert "刚由样例clerk报进展" in reply
    assert office.item(1).asked_due_on is None


def test_an_extension_is_asked_for_granted_and_the_first_date_kept(office: Office) -> None:
    office.issued()
    at = f"#{office.item(1).id}"
    office.say("clerk", f"申请延期 {at}", "7月10日", "汛期道路中断", "确认")
    assert "7月10日" in office.say("officer", f"批准延期 {at}")
    office.say("officer", "确认")
    assert (office.item(1).first_due_on, office.item(1).due_on) == (date(2020, 6, 30), date(2020, 7, 10))
    assert "批准延期" in office.say("clerk", "我的事项")


def test_the_proposer_cannot_sign_and_several_are_signed_at_once(office: Office) -> None:
    office.issued()
    for number in (1, 2):
        at = f"#{office.item(number).id}"
        office.say("clerk", f"申请销号 {at}", "纸质材料已报，无电子件", "确认")
        office.say("approver", f"认领事项 {at}", f"提请销号 {at}", "材料审核", "台账与现场一致", "确认")
    assert "没有等待您办理的事项" in office.say("approver", "待签批")  # what one cannot sign is not offered
    assert "要由另一人办理" in office.say("approver", f"同意 #{office.item(1).id}")
    assert [office.item(n).state for n in (1, 2)] == ["verifying", "verifying"]
    assert office.say("second", "待签批", "1-2同意").count("台账与现场一致") == 2
    assert office.say("second", "确认").count("已销号") == 2


def test_messages_that_an_event_has_overtaken_are_withdrawn(office: Office) -> None:
    office.person("head", "county_head", 1)
    office.issued()
    at = f"#{office.item(1).id}"
    office.say("clerk", f"申请销号 {at}", "纸质材料已报，无电子件", "确认")
    office.say("clerk", f"撤回申请 {at}", "确认")
    with transaction(office.sessions) as db:
        sent = db.scalars(select(Delivery).where(Delivery.source == f"item:{office.item(1).id}")).all()
        states = {one.state for one in sent if "请您确认" in one.reply["text"]}
    assert states == {"cancelled"}
    assert all("依据：商办建函〔2020〕144号三" in one.why for one in sent)


def test_who_has_left_is_told_no_more_of_an_item(office: Office) -> None:
    office.say("approver", f"下发事项 #{office.item(1).id}", "2020-06-30", "确认")
    clerk = office.ids["clerk"]
    with transaction(office.sessions) as db:
        told = db.scalars(select(Delivery).where(Delivery.recipient == f"person:{clerk}")).one()
        gone = guarding(reminding(lambda: office.turns.kb, Settings()), lambda: NOW)["item"]
        assert gone(db, told) is None
        with serving(db, SYSTEM):
            people.end_role(db, people.roles(db, clerk)[0], NOW)
        assert gone(db, told) == "left"


def test_going_back_in_a_draft_asks_the_step_before(office: Office) -> None:
    office.issued()
    office.say("clerk", "我的事项", "1、2改完了")
    office.photos("clerk", 3)
    shown = office.say("clerk", "1、1、2")
    assert "附件1-5.3" in shown
    office.say("clerk", "纸质材料已报，照片已传")
    assert office.say("clerk", "返回") == shown
    assert "收到材料3份，各属哪一项" in office.say("clerk", "返回")
    office.say("clerk", "2、2、1", "先报进展", "确认")
    assert [office.evidence(n) for n in (1, 2)] == [1, 2]
    assert [(office.item(n).state, office.item(n).progress) for n in (1, 2)] == [("rectifying", 100)] * 2


def test_an_item_says_which_photos_were_lost_and_which_stand_elsewhere_too(office: Office) -> None:
    office.issued()
    for number in (1, 2):
        office.say("clerk", f"传材料 #{office.item(number).id}", "1")
        office.photos("clerk", 2)
        assert "已附材料2份" in office.say("clerk", "发完了")
    with transaction(office.sessions) as db, serving(db, SYSTEM):
        files = list(db.scalars(select(File).order_by(File.id)))
        for file in (files[0], files[2]):
            file.state, file.sha256 = "stored", "0" * 64
        files[1].state = "lost"
    card = office.say("clerk", f"事项 #{office.item(1).id}")
    assert "佐证1份，另有1份没有保存成功，请重新发来" in card
    assert "同一份材料也用于秦安县编号Q2" in card
    assert "有 站点名单和布局说明（商办建函〔2020〕144号附件1-3.1）" in card


def test_a_paper_signature_needs_its_scan(office: Office) -> None:
    office.person("head", "county_head", 1)
    office.issued()
    at = f"#{office.item(1).id}"
    office.say("clerk", f"申请销号 {at}", "纸质材料已报，无电子件")
    assert "扫描件" in office.say("clerk", "线下已签批")
    office.photos("clerk")
    assert office.item(1).state == "rectifying"
    assert "销号待审" in office.say("clerk", "线下已签批")
    with transaction(office.sessions) as db, serving(db, SYSTEM):
        last = items.trail(db, office.item(1).id)[-1]
        assert (last.event, len(last.said["signed_offline"])) == ("submit", 1)


def test_every_category_has_a_checklist(kb: KnowledgeBase) -> None:
    assert set(kb.checklists) == set(items.CATEGORIES)


def test_each_route_of_items_claims_its_own_examples() -> None:
    routes = [*rectification.ROUTES, *updates.ROUTES, *review.ROUTES]
    for route in routes:
        for example in route.examples:
            assert [other.name for other in routes if other.match(example)] == [route.name], example


SAYINGS = {  # how people say it → the items that are meant, each with its share
    "三号和五号都弄好了": {3: 100, 5: 100},
    "第2项改好了但是照片明天补": {2: 100},
    "除了3号都完成了": {1: 100, 2: 100, 4: 100, 5: 100},
    "除3号以外，其他都改完了": {1: 100, 2: 100, 4: 100, 5: 100},
    "1到4完成": {1: 100, 2: 100, 3: 100, 4: 100},
    "1号到3号都改好了": {1: 100, 2: 100, 3: 100},
    "4号做了一半": {4: 50},
    "五号整改完成了八成": {5: 80},
    "您好，3号搞定了": {3: 100},
    "第一项、第三项都整改到位，材料晚上传": {1: 100, 3: 100},
    "1号改完了，3号进度80%": {1: 100, 3: 80},
}


def test_updates_are_understood_as_people_say_them(office: Office) -> None:
    office.issued()
    for text, meant in SAYINGS.items():
        office.say("clerk", "取消", "我的事项")
        shown = {f"Q{n}": share for n, share in meant.items()}
        office.say("clerk", text)
        with transaction(office.sessions) as db, serving(db, SYSTEM):
            kept = db.scalars(select(Conversation).where(Conversation.flow == updates.UPDATE)).one()
            draft = dict(kept.answers)["draft"]
            found = {items.find(db, one["id"]).number: one["share"] for one in draft["items"]}
        assert found == shown, text
        assert draft["later"] == ("补" in text or "晚上传" in text), text
    office.say("clerk", "取消")
    assert "两种进度" in office.say("clerk", "1号改完了，1号进度50%")
    assert "没有找到这个事项" in office.say("clerk", "12号做了一半")
    for aside in ("3号改完了吗？", "3号完成后怎么办"):
        assert "请核对" not in office.say("clerk", aside)
    assert all(office.item(n).progress == 0 for n in range(1, 6))
