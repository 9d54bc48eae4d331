"""Broadcasts in chat, on both databases: written, approved by another, sent, acknowledged, nudged, corrected, recalled."""

from collections.abc import Iterator
from datetime import timedelta

import pytest
from sqlalchemy.orm import Session, sessionmaker

from bot.audiences import Unclear, canonical, read
from knowledge.base import KnowledgeBase
from storage import acknowledgements, audiences, broadcasts
from storage.audiences import Audience, from_json
from storage.db import transaction
from storage.scope import SYSTEM, serving
from tests.province import Province, province


@pytest.fixture
def office(sessions: sessionmaker[Session], kb: KnowledgeBase) -> Iterator[Province]:
    with province(sessions, kb) as made:
        yield made


def test_a_broadcast_is_written_approved_by_another_sent_and_acknowledged_once_for_each_county(
    office: Province,
) -> None:
    at = office.composed()
    shown = office.pick("officer", "范围")
    assert "范围：角色为县级经办人、县级分管负责人；年度为2016、2017" in shown
    assert "发给3人，涉及2个县（单位）：天水市3人" in shown
    assert "请于5月15日前报送整改进展" in shown
    assert "秦安县县级分管负责人样例秦安县长" in shown

    assert "请样例approver中任一人批准" in office.say("officer", f"提交 {at}")
    office.send()
    [asked] = office.got("approver")
    assert "发给3人" in asked.text
    assert [option.label for option in asked.options] == ["批准", "退回", "看范围"]
    assert "不由您办理" in office.say("officer", asked.options[0].value)
    assert "10:1" in office.say("approver", asked.options[0].value)

    assert office.send(minutes=5) == {"accepted": 1}  # the author is told; the counties not yet
    assert office.got("秦安") == []
    assert office.send(minutes=6) == {"accepted": 3}
    [told] = office.got("秦安")
    assert told.text.startswith("【通知N1】关于报送整改进展的通知\n请于5月15日前")
    assert "请每县（单位）一人签收，5月12日（周二）前：以便确认各县已知道报送时限。回复“收到 N1”即可" in told.text
    assert [option.value for option in told.options] == ["收到 N1"]
    assert office.got("永登") == office.got("外省") == office.got("承办") == []

    assert "其中1个等待签收" in office.say("秦安", "我的通知")
    assert "已签收N1：秦安县，样例秦安，5月6日" in office.say("秦安", "收到")
    assert "不用再签" in office.say("秦安县长", "收到 N1")
    assert "样例秦安" in office.say("秦安县长", "收到 N1")
    assert "没有等待签收" in office.say("秦安县长", "我的通知")
    assert "N1没有请您签收" in office.say("永登", "收到 N1")
    assert "签收：1/2；还没有签收：清水县" in office.say("officer", "进度 N1")
    assert "本人已签收2" in office.say("officer", "进度 N1")


def test_an_edit_voids_the_submission_and_of_two_officers_one_is_told(office: Province) -> None:
    at = office.composed()
    office.say("officer", f"提交 {at}")
    submitted = f"N1v{office.broadcast().version}"
    assert "已存为草稿" in office.say("second", "修改通知 N1", "正文", "请于5月20日前报送整改进展，报省商务厅。")
    assert "已由样例second" in office.say("approver", f"批准 {submitted}")
    assert "现为草稿" in office.say("approver", f"批准 {submitted}")
    assert "已由样例second" in office.say("officer", f"提交 {submitted}")
    assert office.send() == {}  # the approver is not asked for what was withdrawn
    assert office.got("approver") == []
    office.say("second", f"提交 N1v{office.broadcast().version}")
    assert "已批准" in office.say("approver", "批准 N1")
    assert "内容不能再改" in office.say("officer", "修改通知 N1")


def test_what_was_changed_behind_the_approval_is_not_sent(office: Province) -> None:
    at = office.composed()
    office.say("officer", f"提交 {at}")
    with transaction(office.sessions) as db, serving(db, SYSTEM):
        broadcasts.find(db, 1).text = "请于5月1日前报送。"
    assert "没有办成" in office.say("approver", "批准 N1")
    assert office.broadcast().state == "submitted"


def test_nobody_approves_their_own_even_with_both_roles(office: Province) -> None:
    office.person("officer", "province_approver", "620000")
    at = office.composed()
    office.say("officer", f"提交 {at}")
    assert "不能自己批准" in office.say("officer", "批准 N1")
    assert "不由您办理" in office.say("秦安", "批准 N1") or "没有找到" in office.last["秦安"].text
    assert office.broadcast().state == "submitted"


def test_nobody_is_refused_and_everybody_is_asked(office: Province) -> None:
    at = office.composed(audience=("2014年度", "就发给这些"))
    assert "没有可以发送的人" in office.say("officer", f"提交 {at}")
    everybody = office.composed(audience=("全省",))
    asked = office.say("officer", f"提交 {everybody}")
    assert "将发给全省4个县（单位）的5人" in asked
    office.say("officer", "取消")
    assert office.broadcast(2).state == "draft"
    assert "已提交审批" in office.say("officer", f"提交 {everybody}", "确认")


def test_who_joins_after_the_submission_is_not_sent_to_unseen_and_who_leaves_is_passed_over(office: Province) -> None:
    at = office.composed()
    office.say("officer", f"提交 {at}")
    office.person("新人", "county_officer", "清水县")
    assert "新增1人（样例新人）" in office.say("approver", "批准 N1")
    office.say("officer", f"提交 N1v{office.broadcast().version}")
    assert "发给4人" in office.say("approver", "批准 N1")
    office.leaves("清水")
    assert office.send(minutes=11) == {"accepted": 4, "skipped": 1}
    assert office.got("清水") == []
    assert len(office.got("新人")) == 1
    assert "不再发送1" in office.say("officer", "进度 N1")


def test_every_exclusion_is_named(office: Province) -> None:
    office.person("未绑", "county_officer", "清水县", bound=False)
    office.person("调走", "county_officer", "清水县")
    office.leaves("调走")
    office.person("秦安", "county_officer", "清水县")
    office.body("甘谷县", "620523", 2016)
    shown = office.say("officer", f"下发 {office.composed()}")
    assert "不发（没有绑定渠道）1：清水县县级经办人样例未绑" in shown
    assert "不发（已离岗）1：清水县县级经办人样例调走" in shown
    assert "不发（另有身份，只发一次）1：清水县县级经办人样例秦安" in shown
    assert "不发（没有登记人员）1：甘谷县" in shown
    assert "发给3人，涉及3个县（单位）" in shown
    office.say("officer", f"提交 N1v{office.broadcast().version}")
    office.say("approver", "批准 N1")
    office.send(minutes=11)
    assert "1. 甘谷县（消息发不到）" in office.say("officer", "电话名单 N1")
    told = office.say("秦安", "收到 N1")  # speaks for both counties
    assert "秦安县" in told
    assert "清水县" in told


def test_it_is_recalled_while_it_waits_and_partly_afterwards(office: Province) -> None:
    at = office.composed()
    office.say("officer", f"提交 {at}")
    office.say("approver", "批准 N1")
    assert "停发3人，没有人收到" in office.say("officer", "撤回通知 N1", "时限写错了")
    assert office.send(minutes=11) == {}
    assert office.got("秦安") == []
    number = office.sent(when="批准后立即发出")
    assert "没有可以暂停的" in office.say("officer", f"暂停 {number}")
    assert "没有可以暂停的" not in office.say("秦安", f"暂停 {number}")
    assert "3人的已交给通道，收不回来" in office.say("approver", f"撤回通知 {number}", "时限写错了")
    assert "【已撤回】时限写错了" in office.say("秦安", f"通知 {number}")
    assert "没有请您签收" in office.say("秦安", f"收到 {number}")


def test_a_paused_one_waits_and_goes_on(office: Province) -> None:
    at = office.composed()
    office.say("officer", f"提交 {at}")
    office.say("approver", "批准 N1")
    office.send()
    assert "已暂停" in office.say("officer", "暂停 N1")
    assert office.send(minutes=30) == {}
    assert "【通知N1】" not in office.say("秦安", "菜单")  # nor does it come with a reply
    assert "发送中" in office.say("officer", "继续 N1")
    assert office.send() == {"accepted": 3}


def test_it_goes_out_in_office_hours_only(office: Province) -> None:
    office.now += timedelta(hours=9)  # 19:00
    at = office.composed()
    office.say("officer", f"提交 {at}")
    assert "5月7日（周四）09:00开始发" in office.say("approver", "批准 N1")
    assert office.send(hours=1) == {"accepted": 1}
    assert office.send(hours=13) == {"accepted": 3}
    office.say("officer", "新建通知", "关于报送的通知", "不引用文件", "请报送。", "不带附件", "全省", "不用签收")
    assert "最近的时间是5月9日09:00" in office.say("officer", "5月8日20点")  # a Saturday that is worked
    assert "已存为草稿" in office.say("officer", "5月9日9点")


def test_only_the_silent_are_nudged_twice_at_most_then_called(office: Province) -> None:
    number = office.sent()
    assert "没有等待签收" in office.say("秦安", "收到", "我的通知")
    assert "5月8日（周五）起可以催办" in office.say("officer", f"催办 {number}")
    office.now += timedelta(days=2)
    assert "还没有签收的1个单位，共1人" in office.say("officer", f"催办 {number}")
    office.got("清水")
    assert office.send() == {"accepted": 1}
    [nudge] = office.got("清水")
    assert "贵单位还没有签收，请在5月12日（周二）前签收" in nudge.text
    assert office.got("秦安") != nudge
    assert "没有需要打电话" in office.say("officer", f"电话名单 {number}")
    office.now += timedelta(days=5)
    assert "已第2次催办" in office.say("officer", f"催办 {number}")
    office.send()
    office.now += timedelta(days=5)
    listed = office.say("officer", f"催办 {number}")  # a third time there is the telephone only
    assert "1. 清水县（已催办仍未签收）：县级经办人样例清水" in listed
    assert "请写成" in office.say("hotline", "代签收")
    told = office.say("hotline", f"代签收 {number} 清水县 张三")
    assert "清水县，张三" in told
    assert "电话告知（样例hotline代为登记）" in told
    assert "不用再签" in office.say("清水", f"收到 {number}")
    assert "已全部签收" in office.say("officer", f"催办 {number}")


def test_a_nudge_that_waits_is_withdrawn_by_a_colleagues_acknowledgement(office: Province) -> None:
    number = office.sent()
    office.now += timedelta(days=2)
    office.say("officer", f"催办 {number}")
    office.say("清水", f"收到 {number}")
    office.say("秦安县长", f"收到 {number}")
    office.send()
    assert not [one for who in ("清水", "秦安") for one in office.got(who) if "催办" in one.text]


def test_a_correction_reaches_whoever_had_the_first_and_quotes_the_change(office: Province) -> None:
    number = office.sent()
    office.say("秦安", "收到")
    office.person("接任", "county_officer", "清水县")
    office.leaves("清水")
    text = "请于5月20日前报送整改进展，报省商务厅市场体系建设处。"
    office.say("officer", f"更正通知 {number}", text, "每县一人签收", "时限有改动", "5月14日", "批准后立即发出")
    office.say("officer", "提交 N2")
    office.say("approver", "批准 N2")
    office.got("秦安")
    office.send()
    [told] = [one.text for one in office.got("秦安") if "更正" in one.text]
    assert "【更正通知N2】关于报送整改进展的通知\n更正N1，以本通知为准。" in told
    assert "原文“请于5月15日前报送整改进展，报省商务厅市场体系建设处。”改为“请于5月20日前" in told
    assert len(office.got("接任")) == 1
    assert office.got("永登") == []
    assert "N1已由更正通知N2代替，没有登记签收" in office.say("秦安县长", "收到 N1")
    assert "请以N2为准" in office.say("秦安", "通知 N1")
    assert "已签收N2：清水县" in office.say("接任", "收到")
    assert "请催办N2" in office.say("officer", "催办 N1")


def test_states_and_parties_add_up_at_every_moment(office: Province) -> None:
    def check() -> None:
        with transaction(office.sessions) as db, serving(db, SYSTEM):
            found = broadcasts.find(db, 1)
            counted = broadcasts.states(db, found)
            assert counted.total() == (3 if found.audience_digest else 0)
            lines = audiences.kept(db, found)
            assert audiences.tally_kept(db, found, 2) == audiences.tally(lines, 2)
            parties = acknowledgements.parties(db, found)
            silent = acknowledgements.silent(db, found)
            if found.begins_at:
                listed = acknowledgements.listed(db, found, 9)
                assert [one.place for one in listed if one.said is None] == [one.place for one in silent]
                assert acknowledgements.counted(db, found) == (len(parties) - len(silent), len(parties))
                calls = [(party.place, reason) for party, reason in acknowledgements.to_call(db, found)]
                assert [(one.place, one.call) for one in listed if one.call] == calls

    at = office.composed()
    check()
    for step in (
        lambda: office.say("officer", f"提交 {at}"),
        lambda: office.say("approver", "批准 N1"),
        lambda: office.say("officer", "暂停 N1"),
        lambda: office.send(minutes=20),
        lambda: office.say("officer", "继续 N1"),
        lambda: office.say("清水", "收到 N1"),
        lambda: office.leaves("秦安"),
        lambda: office.send(minutes=1),
        lambda: office.say("officer", "撤回通知 N1", "不再需要"),
    ):
        step()
        check()


def test_a_trial_is_seen_by_oneself_alone(office: Province) -> None:
    at = office.composed()
    assert office.say("officer", f"试发 {at}").startswith("【试发，只有您看到，签收不起作用】\n【通知N1】")
    assert [one.label for one in office.last["officer"].options] == ["签收", "提交审批", "修改", "作废"]
    assert office.send() == {}


def test_a_successor_finds_the_countys_broadcasts_and_acknowledges(office: Province) -> None:
    number = office.sent()
    office.person("接任", "county_officer", "清水县")
    office.leaves("清水")
    assert "其中1个等待签收" in office.say("接任", "我的通知")
    assert "样例接任" in office.say("接任", "收到")
    assert "已离岗的人员不用签收" in office.say("清水", f"收到 {number}")


def test_what_a_form_cannot_use_is_refused_and_a_question_in_between_is_answered(office: Province) -> None:
    office.say("officer", "新建通知")
    assert "4至60个字" in office.say("officer", "短")
    assert "4至60个字" in office.say("officer", "关于报送的通知" * 10)
    assert "继续“新建通知”" in office.say("officer", "专项资金能不能给站长发工资")
    office.say("officer", "关于报送的通知")
    assert "没有条款“九(九)”" in office.say("officer", "144-2020 九(九)")
    office.say("officer", "144-2020 三(一)", "无", "不带附件")
    assert "“年度为2009”" in office.say("officer", "年度为2009") or "“2009”" in office.last["officer"].text
    office.say("officer", "清水县", "就发给这些", "每县一人签收", "便于统计报送")
    assert "最早为5月7日" in office.say("officer", "5月6日")
    office.say("officer", "5月11日")
    assert "已经过了" in office.say("officer", "今天9点")
    office.say("officer", "批准后立即发出")
    shown = office.say("officer", "下发 N1")
    assert "商办建函〔2020〕144号三（一）" in shown
    assert "涉及1个县" in shown


def test_a_county_that_is_another_provinces_finds_nothing(office: Province) -> None:
    office.person("外省厅", "province_officer", "530000")
    office.sent()
    assert "没有找到这个通知" in office.say("外省厅", "下发 N1")
    assert "还没有下发过通知" in office.say("外省厅", "通知下发")
    assert "由省级经办人和审核人办理" in office.say("秦安", "下发 N1")
    assert "没有发给您的通知N1" in office.say("外省", "通知 N1")
    assert "由省级经办人拟稿" in office.say("秦安", "新建通知")


@pytest.mark.parametrize(
    "text",
    [
        "全省",
        "年度为2016、2017",
        "2016-2018年度；天水市；贫困县",
        "秦安县、清水县",
        "市级联系人；没有未完成事项；使用率低于90%；拨付率不低于95.5%；未签收N12",
        "非贫困县；有未完成整改事项",
        "620500；承办单位联系人",
        "已发N3的单位",
    ],
)
def test_a_canonical_sentence_means_the_same(text: str) -> None:
    found = read(text, "620000")
    assert read(canonical(found), "620000") == found
    assert from_json(found.as_json()) == found


@pytest.mark.parametrize(
    "text", ["火星县", "2009年度", "弥勒市", "1=1", "贫困县; drop table person", "未签收", "使用率低于", "530000"]
)
def test_what_is_no_condition_is_refused_by_name(text: str) -> None:
    with pytest.raises(Unclear):
        read(text, "620000")


def test_the_default_audience_is_the_counties_own_people() -> None:
    assert read("", "620000") == Audience()
