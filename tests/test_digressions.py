"""A question in the middle of a form, at every step of every form: answered, and the form is exactly where it was."""

import re
from collections import deque
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import date
from typing import Any

import pytest
from sqlalchemy import select

from bot.app import assistant
from bot.flows import Flow
from knowledge.base import KnowledgeBase
from knowledge.facts import KINDS, parse_fact
from storage import bodies, invitations, items, milestones, people
from storage.audiences import Audience
from storage.db import transaction
from storage.models import Body, Broadcast, CallTask, Conversation, File, Item, Person
from storage.scope import SYSTEM, serving
from tests.test_rectification import NOW, Office, office

__all__ = ["office"]
ASIDES = (
    ("专项资金能不能买流量？", "帮助", "我的通知"),
    ("每个站点补多少钱？", "菜单", "我的提醒"),
    ("二次申报要什么条件", "为什么", "我的通知"),
)
TAKEN_FROM_THE_QUESTION = {"done_on"}  # facts that a rule uses when they are said and never asks for
WAY: dict[str, tuple[tuple[str, dict[str, Any]], ...]] = {  # the events that lead to a state, two items each
    "draft": (),
    "issued": (("issue", {"due_on": "2020-06-30"}),),
    "rectifying": (("acknowledge", {"measure": "逐项核对，限期整改"}),),
    "asked": (("ask_extension", {"new_due_on": "2020-07-15", "reason": "汛期道路中断"}),),
    "requested": (("request", {"declared": True}),),
    "submitted": (("agree", {}),),
    "verifying": (("claim", {"holder_id": 0}),),
    "proposed": (("propose", {"method": "现场考察", "finding": "属实"}),),
    "closed": (("close", {}),),
    "confirmed": (("confirm", {"check": "回头看", "method": "现场考察", "finding": "属实"}),),
}
# Each form: who fills it in, and what they type, so that every step is asked. A form of a rule needs no entry.
SCRIPTS: list[tuple[str, tuple[str, ...]]] = [
    ("guest", ("绑定 {code}",)),
    ("officer", ("邀请", "秦安县", "县级经办人", "张某某", "工信局", "股长")),
    ("clerk", ("更正信息", "职务")),
    ("clerk", ("解绑",)),
    ("clerk", ("注销", "继续注销")),
    ("officer", ("本县情况",)),
    ("officer", ("填报资金", "秦安县", "2016年度", "2000万元", "1800万元", "1700万元", "今天")),
    ("officer", ("更新本县信息", "秦安县", "evaluated", "2016年度", "是", "今天")),
    ("clerk", ("签收事项", "1", "逐项核对并限期整改，负责人样例甲")),
    ("clerk", ("报进展", "1", "已经动工一半了")),
    ("clerk", ("申请延期", "1", "7月10日", "汛期道路中断")),
    ("clerk", ("撤回申请", "1")),
    ("head", ("退给经办人", "1", "材料不全")),
    ("clerk", ("申请销号", "1", "纸质材料已报，无电子件")),
    ("clerk", ("3、4改完了", "▣▣▣", "1、1、2", "纸质材料已报，无电子件")),
    ("clerk", ("传材料", "1", "其他材料")),
    ("approver", ("同意 #{proposed}",)),
    ("approver", ("下发事项", "1", "6月30日")),
    ("officer", ("认领事项",)),
    ("officer", ("放弃认领", "1")),
    ("officer", ("退回事项", "1", "1 照片看不清")),
    ("officer", ("提请销号", "1", "物流追溯", "YT1234567890123", "三日内送达")),
    ("approver", ("不同意销号", "1", "未看现场")),
    ("officer", ("提请销号", "1", "现场考察", "5月5日，张某、李某，城关镇站点", "没有照片", "站点正常营业")),
    ("officer", ("回头看记录", "1", "日常监督检查", "现场考察", "5月5日，张某、李某，城关镇站点", "没有照片")),
    ("officer", ("回头看记录", "1", "回头看", "电话回访", "5月5日，城关镇站长", "站长称已停运", "不通过", "7月30日")),
    ("officer", ("批准延期", "1")),
    ("officer", ("不批延期", "1", "时限由通知规定")),
    ("approver", ("移出清单", "1", "与另一项重复", "不在清单上")),
    ("officer", ("再次发生", "1", "一个站点又停运")),
    ("approver", ("转处理", "1", "样例〔2020〕1号", "拒不整改")),
    ("clerk", ("安排阶段", "1", "5月31日完成选址；6月20日完成装修")),
    ("clerk", ("阶段完成 #{rectifying}", "完成选址", "已经选好地址")),
    ("clerk", ("阶段完成",)),
    ("officer", ("抽查", "2016年度", "10%")),
    ("officer", ("填推荐回执", "是", "能", "市场体系建设处", "样例丑", "男", "汉族", "副处长", "打印后手填", "无")),
    ("officer", ("看电话",)),
    ("officer", ("看电话", "#{clerk}")),
    ("officer", ("隔离材料 {file}", "含身份证照片")),
    ("officer", ("解除隔离 {shut}",)),
    ("officer", ("标识自查", "秦安县", "2016年度", *"111")),
    ("officer", ("验收检查", "秦安县", "2016年度", "是", "85%", "物流中心，某某公司，120万元，完整", "填完了")),
    (
        "officer",
        (
            "新建通知",
            "关于报送的通知",
            "144-2020 三(一)",
            "请于6月底前报送。",
            "不带附件",
            "2016年度",
            "就发给这些",
            "每县一人签收",
            "以便确认知晓",
            "5月20日",
        ),
    ),
    *(
        ("officer", ("修改通知 N{bc_draft}", field))
        for field in ("标题", "引用文件", "正文", "附件", "范围", "发送时间")
    ),
    ("officer", ("修改通知 N{bc_draft}", "签收", "每县一人签收", "以便确认知晓")),
    ("officer", ("更正通知 N{bc_sent}", "请于7月底前报送。", "每县一人签收", "以便确认知晓", "5月20日")),
    ("officer", ("提交 N{bc_draft}",)),
    ("officer", ("接任 #{gone}", "样例clerk", "张某某")),
    ("approver", ("退回通知 N{bc_submitted}",)),
    ("officer", ("撤回通知 N{bc_sent}",)),
]


@dataclass
class World:
    """The office with two items in every state, and what its forms have been seen asking."""

    office: Office
    flows: dict[str, Flow]
    at: dict[str, object]
    seen: set[tuple[str, str]] = field(default_factory=set)
    count: int = 0

    def conversation(self, who: str) -> tuple[str | None, list[Any]]:
        channel, address = ("person", str(self.office.ids[who])) if who in self.office.ids else ("terminal", who)
        with transaction(self.office.sessions) as db:
            wanted = select(Conversation).where(Conversation.channel == channel, Conversation.address == address)
            kept = db.scalars(wanted).one()
            return kept.flow, list(kept.answers)

    def fill(self, who: str, said: tuple[str, ...]) -> None:
        """Fill in a form with questions between its steps: each leaves the form, its answers and its choices alone."""
        for number, text in enumerate(said):
            photos = text.count("▣")
            asked = self.office.reply(who, text.format(**self.at) if not photos else "", media=photos)
            assert asked.kind == "flow", (said, text, asked.text)
            before = self.conversation(who)
            assert before[0] is not None, (said, text, asked.text)
            step = self.flows[before[0]].next_step(dict(before[1]))
            assert step is not None
            self.seen.add((before[0], step.key))
            for question in ASIDES[(number + self.count) % len(ASIDES)]:
                aside = self.office.reply(who, question)
                self.count += 1
                assert self.conversation(who) == before, (said, text, question)
                assert aside.options == asked.options, (said, text, question)
                ask = re.sub(r"^(?:.+（第\d+步）|已收到材料.+)\n", "", asked.text)
                assert aside.text.endswith(f"：{ask}（“取消”退出）"), (said, text, question, aside.text)
        for _ in range(len(said) + 1):  # back to where the form began, and no further
            assert self.office.reply(who, "返回").kind == "flow", said
        self.office.say(who, "取消")


@pytest.fixture
def world(office: Office, kb: KnowledgeBase, url: str) -> Iterator[World]:
    if not url.startswith("sqlite"):
        pytest.skip("the database does not matter to forms")
    office.person("head", "county_head", 1)
    at: dict[str, object] = {}
    with transaction(office.sessions) as db, serving(db, SYSTEM):
        body = db.get_one(Body, 1)
        bodies.find_or_add(db, name=body.name, division_code=body.division_code, years=[2016, 2019])
        for state in WAY:
            for place in (1, 2):
                at[state] = make_item(db, body, state, place, office.ids["officer"]).id
        at["clerk"] = office.ids["clerk"]
        people.set_phone(db, db.get_one(Person, office.ids["clerk"]), "13900000001")
        for name, state in (("file", "stored"), ("shut", "quarantined")):
            sent = File(
                channel="terminal", address="head", person_id=office.ids["head"], body_id=1, state=state, sha256=name * 16,
                mime="image/png", at=NOW,
            )  # fmt: skip
            db.add(sent)
            db.flush()
            at[name] = sent.id
        lines = [{"person": office.ids[who], "delivery": None, "text": "1号事项"} for who in ("clerk", "head")]
        gone = CallTask(
            body_id=1, called_on=NOW.date(), lines=lines, due_on=NOW.date(), outcome="已换人", attempts=1, at=NOW
        )
        db.add(gone)
        db.flush()
        at["gone"] = gone.id
        for state in ("draft", "submitted", "sent"):
            made = Broadcast(
                division_code="620000", state=state, title="样例通知", text="请报送。", audience=Audience().as_json(),
                acknowledgement="none", audience_digest="x", begins_at=NOW if state == "sent" else None, changed_at=NOW, at=NOW,
            )  # fmt: skip
            db.add(made)
            db.flush()
            at[f"bc_{state}"] = made.id
        guest, _ = people.find_or_add(db, name="样例guest", body_id=1, now=NOW)
        _, at["code"] = invitations.make(
            db, person=guest, role="county_officer", now=NOW, expires_at=NOW.replace(year=2021), body_id=1
        )
    yield World(office, dict(assistant(kb).handlers.flows), at)


def make_item(db: Any, body: Body, state: str, place: int, holder: int) -> Item:
    item = items.add(
        db, body, NOW, batch_year=2016, number=f"{state}{place}", source="绩效评价", category="站点", problem="站点停运",
        kind="分阶段", due_on=date(2020, 6, 30), standard="恢复正常",
    )  # fmt: skip
    for station, events in WAY.items():
        if station == "asked" and state != "asked":
            continue
        for event, said in events:
            said = {**said, "holder_id": holder} if event == "claim" else said
            item = items.apply(db, item.id, item.version, event, said, NOW)
        if station == state:
            break
    milestones.plan(db, item, [(date(2020, 5, 31), "完成选址")])
    return item


def _rules(kb: KnowledgeBase, flows: dict[str, Flow]) -> dict[tuple[str, str], tuple[str, ...]]:
    """For each fact that a rule's form asks, the shortest answers that lead to the question."""
    found: dict[tuple[str, str], tuple[str, ...]] = {}
    for rule in kb.rules.values():
        waiting: deque[tuple[tuple[str, str], ...]] = deque([()])
        while waiting:
            path = waiting.popleft()
            step = flows[rule.id].next_step(dict(path))
            if step is None:
                continue
            found.setdefault((rule.id, step.key), (f"判断 {rule.id}", *(value for _, value in path)))
            for value in KINDS[step.key].options or ("95%", "2016", "2019", "10", "2020-06-01"):
                with suppress(ValueError):
                    parse_fact(step.key, value, year=NOW.year)
                    waiting.append((*path, (step.key, value)))
    return found


def test_a_command_within_a_form_is_done_and_the_form_goes_on(world: World) -> None:
    say, goes_on = world.office.say, "继续“申请延期”：延期的原因是什么？（“取消”退出）"
    working, issued = (f"#{world.at[state]}" for state in ("rectifying", "issued"))
    assert "撤回申请（第1步）" in say("clerk", "申请延期", "撤回"), "two characters are a command too"
    say("clerk", "取消")
    say("clerk", f"申请延期 {working}", "7月10日")
    before = world.conversation("clerk")
    listed = say("clerk", "我的事项")
    assert "· [issued1]站点停运" in listed and listed.endswith(goes_on), "a list within a form is whole"
    refused = say("clerk", "撤回申请 #999999")
    assert "没有找到事项" in refused and refused.endswith(goes_on), "what is refused is no end of the form"
    assert world.conversation("clerk") == before
    judged = world.office.reply("clerk", "判断 final-list-late")
    assert judged.kind == "flow" and say("clerk", "2020-06-01").endswith(goes_on), "a rule's form knows its facts alone"
    done = say("clerk", f"签收事项 {issued}", "逐项核对并限期整改，负责人样例甲", "确认")
    assert "整改中" in done and done.endswith(goes_on)
    assert world.conversation("clerk") == before
    say("clerk", f"申请销号 {working}")
    assert "以上供查看" in say("clerk", "我的事项")
    assert say("clerk", "取消", f"报进展 {working}", "已经动工", "我的事项").endswith("不办。（“取消”退出）"), (
        "the last look too"
    )
    say("clerk", "取消", f"申请销号 {working}")
    assert "[issued1] 此事项刚由" in say("clerk", "材料另报，无电子件", "不对，是1号"), "which of them cannot be"
    assert "也没有填完" not in say("clerk", "返回")
    assert "“更新事项”也没有填完" in say("clerk", "4号申请延期"), "one form waits, not two"
    assert say("clerk", "取消").endswith(goes_on)
    assert world.conversation("clerk") == before


def test_what_may_be_an_answer_or_a_command_is_asked(world: World) -> None:
    say, said = world.office.say, "3、4改完了"
    say("clerk", f"申请延期 #{world.at['rectifying']}", "7月10日")
    before = world.conversation("clerk")
    assert [one.label for one in world.office.reply("clerk", said).options] == [
        "作为“申请延期”的内容",
        "另外办理，办完再继续",
    ]
    assert world.conversation("clerk") == before
    assert say("clerk", "已办结", "1").startswith("请写明情况"), "what is said to be the answer is no command"
    assert f"原因：{said}" in say("clerk", said, "1")
    assert say("clerk", "返回", said) and "更新事项" in say("clerk", "2")
    assert "继续“申请延期”" in say("clerk", "取消")
    assert world.conversation("clerk") == before
    long = "1、2改完了，其余两个站点因汛期道路中断，货架和设备无法按期运到"
    assert f"原因：{long}" in say("clerk", long), "a sentence that merely says so too"
    assert "[requested1] 此事项刚由" in say("clerk", "取消", "7号改完了"), "it waits for the head already"


def test_every_form_is_resumed_exactly_at_every_step(world: World, kb: KnowledgeBase) -> None:
    rules = _rules(kb, world.flows)
    for who, said in (*SCRIPTS, *((f"{rule}-{key}", said) for (rule, key), said in rules.items())):
        world.fill(who, said)
    every = {(flow.name, step.key) for flow in world.flows.values() for step in flow.steps}
    never = {(rule.id, key) for rule in kb.rules.values() for key in rule.facts if (rule.id, key) not in rules}
    assert {key for _, key in never} <= TAKEN_FROM_THE_QUESTION
    # the guided checks differ in their points alone: one is gone through whole, and one up to its table
    alike = {one for one in every if one[0].startswith("check:") and one[0] != "check:label"}
    missing = every - never - alike - world.seen
    assert not missing, f"add to SCRIPTS what leads to these steps: {sorted(missing)}"
    assert world.count >= 200
