"""What people say about their reminders, and the hotline's calls, on both databases with a driven clock."""

import re
from datetime import date
from pathlib import Path

import httpx
import pytest
from sqlalchemy import select

from bot.jobs import Jobs, troubles
from bot.messages import Undeliverable
from storage import calls, people
from storage.db import transaction
from storage.models import Audit, CallTask, Delivery
from storage.scope import SYSTEM, serving
from tests.fakes.server import running, until
from tests.reminding import Province, local
from tests.test_delivery import refusing

COUNTY = "620522"


def told(province: Province) -> Province:
    """甲 has had a digest with two items this morning."""
    province.person("甲", "county_officer", COUNTY)
    province.item(COUNTY, "1", "2020-05-20")
    province.item(COUNTY, "2", "2020-05-13")
    province.until("2020-05-06 10:00")
    assert province.days("甲") == ["05-06"]
    return province


def test_a_number_after_a_digest_opens_its_item_and_why_explains_it(province: Province) -> None:
    told(province)
    assert "2号事项" in province.last("甲")
    card = province.say("甲", "1")
    assert "编号2" in card and "整改中" in card and "材料清单" in card
    province.until("2020-05-13 10:00")
    reason = province.say("甲", "为什么")
    assert "商办建函〔2020〕144号三（一）" in reason and "5月13日（周三）" in reason and "申请销号后不再提醒" in reason
    assert "这条提醒的依据" not in province.say("甲", "为什么"), "the last word was the explanation"


def test_put_off_until_tomorrow_known_and_done(province: Province) -> None:
    told(province)
    options = [one.value for one in province.reply("甲", "稍后提醒").options]
    assert options == ["推迟到明天", "推迟到3天后", "推迟到到期前1天"]
    assert "5月7日（周四）前不再提醒" in province.say("甲", "1")
    for words in ("推迟到3天后", "推迟到三天后"):
        assert "5月9日（周六）前不再提醒" in province.say("甲", words), "a Saturday made up for May Day"
    assert "5月7日（周四）前不再提醒" in province.say("甲", "推迟到明天")
    province.until("2020-05-07 18:00")
    assert province.days("甲") == ["05-06", "05-07"]
    assert "到期前1个工作日再提醒" in province.say("甲", "已知悉")
    province.until("2020-05-12 18:00")
    assert province.days("甲") == ["05-06", "05-07", "05-12"], "nothing at T-3"
    assert "不能再推迟" in province.say("甲", "推迟到明天"), "the day before the last one"
    assert "申请销号" in province.say("甲", "已办结")
    with transaction(province.sessions) as db, serving(db, SYSTEM):
        actions = [one.action for one in db.scalars(select(Audit)) if one.action.startswith("reminders.")]
    assert sorted(set(actions)) == ["reminders.ack", "reminders.snooze"]


def test_one_s_own_reminder_comes_on_the_working_day_before_a_day_off(province: Province) -> None:
    province.person("甲", "county_officer", COUNTY)
    assert "5月29日（周五）提醒您“报材料”" in province.say("甲", "提醒我5月30日报材料")
    assert "提前到此前最后工作日" in province.say("甲", "提醒我5月31日报表")
    assert "5月13日（周三）" in province.say("甲", "下周三提醒我交台账")
    assert "无法识别" in province.say("甲", "提醒我13月40日报材料")
    assert "交台账" in province.say("甲", "我的提醒")
    assert "已取消" in province.say("甲", "1")
    province.until("2020-05-29 18:00")
    assert province.days("甲") == ["05-29"]
    assert "报材料" in province.last("甲") and "交台账" not in province.last("甲")
    assert "您自己设置的提醒" in province.say("甲", "为什么")


def test_settings_move_pause_and_choose(province: Province) -> None:
    told(province)
    assert "工作日上班后" in province.say("甲", "提醒设置")
    assert "请选09:00-12:00" in province.say("甲", "提醒时间 12:30")
    assert "15:30" in province.say("甲", "提醒时间改为下午3点半")
    assert "没有绑定微信" in province.say("甲", "优先用微信")
    assert "企业微信" in province.say("甲", "优先用企业微信")
    province.until("2020-05-11 15:12")
    assert province.days("甲") == ["05-06"], "T-3 of the 9th: no tick after 15:30 within the hours"
    province.now = local("2020-05-11 15:35")
    province.tick()
    assert province.days("甲") == ["05-06", "05-11"]
    assert "17:29" in province.say("甲", "提醒时间 17:29"), "after which no job comes round within the hours"
    province.until("2020-05-12 17:15")
    province.now = local("2020-05-12 17:24")
    province.tick()
    assert province.days("甲") == ["05-06", "05-11", "05-12"]
    assert "恢复" in province.say("甲", "暂停提醒7天")
    province.until("2020-05-14 18:00")
    assert province.days("甲") == ["05-06", "05-11", "05-12"]


def test_what_goes_along_with_a_reply_is_looked_at_again_too(province: Province) -> None:
    """A digest that no channel took went with the next reply although the item had been submitted since."""
    province.person("甲", "county_officer", COUNTY)
    number = province.item(COUNTY, "1", "2020-05-13")
    province.wecom.answer = refusing(Undeliverable("45015"))
    province.until("2020-05-06 10:00")
    assert [one.state for one in province.deliveries()] == ["failed"]
    province.event("甲", number, "submit", declared="属实")
    assert "提醒，共" not in province.say("甲", "菜单")
    assert [one.state for one in province.deliveries()][0] == "skipped"


def test_whom_no_channel_reaches_becomes_one_call_of_the_day(province: Province) -> None:
    province.person("甲", "county_officer", COUNTY, reachable=False)
    province.person("乙", "county_head", COUNTY)
    province.person("热线", "hotline", "620000")
    province.item(COUNTY, "1", "2020-05-13")
    province.item(COUNTY, "2", "2020-05-13")
    with transaction(province.sessions) as db, serving(db, SYSTEM):
        [person] = people.named(db, "甲")
        people.set_phone(db, person, "13900000001")
    province.until("2020-05-06 20:00")
    assert "待拨电话1个县" in province.say("热线", "待拨电话")
    shown = province.say("热线", "1")
    assert "13900000001" in shown and "1号事项" in shown and "2号事项" in shown
    with transaction(province.sessions) as db, serving(db, SYSTEM):
        [seen] = db.scalars(select(Audit).where(Audit.action == "see_phone"))
        assert "待拨电话#1" in seen.reason
        assert len(db.scalars(select(CallTask)).all()) == 1
    assert "没有这个" not in province.say("乙", "待拨电话") and "热线坐席" in province.say("乙", "待拨电话")
    assert "仍在待拨之列" in province.say("热线", "拨打 #1", "2")
    assert "已拨1次" in province.reply("热线", "待拨电话").options[0].label
    assert "不再发送" in province.say("热线", "电话结果 #1 已告知")
    [sent] = [one for one in province.deliveries() if one.source.startswith("digest:")]
    assert (sent.state, sent.reason) == ("acked", "电话告知 #1")
    assert "没有待拨电话" in province.say("热线", "待拨电话")


def test_somebody_who_has_left_is_handed_over(province: Province) -> None:
    province.person("甲", "county_officer", COUNTY, reachable=False)
    province.person("乙", "county_head", COUNTY)
    province.person("热线", "hotline", "620000")
    province.item(COUNTY, "1", "2020-05-13")
    province.until("2020-05-06 10:30")
    assert "已换人" in province.say("热线", "拨打 #1", "电话结果 #1 已换人")
    province.dispatcher.drain()
    assert [text for who, text, _ in province.wecom.got if who == "乙" and "已换人" in text and "邀请" in text]
    assert "已登记接任人员李四" in province.say("热线", "接任 #1", "李四"), "who may not invite passes the name on"
    province.dispatcher.drain()
    assert "接任人员为李四" in [text for who, text, _ in province.wecom.got if who == "乙"][-1]
    [offer] = [one for one in province.deliveries() if one.version == 2 and one.source == "call:1"]
    code = re.search(r"[0-9A-Z]{4}-[0-9A-Z]{4}", province.say("乙", offer.reply["options"][0]["value"], "跳过"))
    assert code is not None
    province.say("新", f"绑定 {code[0]}", "同意")
    with transaction(province.sessions) as db, serving(db, SYSTEM):
        [left], [new] = people.named(db, "甲"), people.named(db, "李四")
        assert people.roles(db, left.id) == []
        assert [role.role for role in people.roles(db, new.id)] == ["county_officer"]
    assert "不必再办移交" in province.say("乙", "接任 #1")
    assert "没有这条登记" in province.say("乙", "接任 #9")


def test_who_has_left_or_is_late_hears_nothing_of_a_successor(province: Province) -> None:
    province.person("甲", "county_officer", COUNTY, reachable=False)
    province.person("乙", "county_head", COUNTY)
    province.person("丙", "county_head", COUNTY)
    province.person("丁", "province_officer", "620000")
    province.person("热线", "hotline", "620000")
    province.item(COUNTY, "1", "2020-05-13")
    province.until("2020-05-06 10:30")
    province.say("热线", "拨打 #1", "电话结果 #1 已换人")
    with transaction(province.sessions) as db, serving(db, SYSTEM):
        [left] = people.named(db, "丙")
        for role in people.roles(db, left.id):
            people.end_role(db, role, province.now)
    province.dispatcher.drain()
    assert {who for who, text, _ in province.wecom.got if "已换人" in text} == {"乙", "丁"}
    province.say("热线", "接任 #1", "李四")
    made = re.search(r"第(\d+)号.*([0-9A-Z]{4}-[0-9A-Z]{4})", province.say("乙", "接任 #1", "李四", "跳过"), re.S)
    assert made is not None
    province.say("新", f"绑定 {made[2]}", "同意")
    assert "接任人员为李四" not in province.say("丁", f"撤销绑定 {made[1]}")
    province.dispatcher.drain()
    assert {one.reason for one in province.deliveries() if one.state == "skipped"} == {"left", "succeeded", "revoked"}


def test_an_item_that_nobody_touches_is_called_about_ten_working_days_late(province: Province) -> None:
    province.person("甲", "county_officer", COUNTY)
    province.person("热线", "hotline", "620000")
    province.item(COUNTY, "1", "2020-05-13")
    other = province.item(COUNTY, "2", "2020-05-13")
    province.event("甲", other, "submit", declared="属实")
    province.until("2020-05-26 20:00")
    assert "没有待拨电话" in province.say("热线", "待拨电话")
    with transaction(province.sessions) as db, serving(db, SYSTEM):  # what nobody has told the county the day before
        [person] = people.named(db, "甲")
        line = {"person": person.id, "delivery": None, "text": "昨日未告知的事"}
        calls.put(db, person.body_id or 0, local("2020-05-26 20:00").date(), [line], date(2020, 5, 26), province.now)
    province.until("2020-05-27 20:00")
    shown = province.say("热线", "待拨电话", "1")
    assert "昨日未告知的事" in shown, "a county is called once for everything"
    assert "1号事项：站点停运（时限5月13日，已逾期10个工作日，仍未申请销号）" in shown and "2号事项" not in shown
    assert "已告知" in province.say("热线", "电话结果 #1 已告知")
    province.until("2020-06-12 20:00")
    assert "没有待拨电话" in province.say("热线", "待拨电话"), "it is said once"


def test_the_province_confirms_a_date_of_an_unverified_text(province: Province) -> None:
    province.now = local("2020-06-08 08:00")
    province.person("丙", "province_officer", "620000")
    province.person("甲", "county_officer", COUNTY)
    shown = province.say("丙", "待确认时限")
    assert "6月25日（周四） 报送最终示范县名单" in shown and "文本尚未与印发件核对" in shown and "时限已过" in shown
    assert "由省级人员确认" in province.say("甲", "待确认时限")
    assert "将提醒1人" in province.say("丙", "确认时限 final-list")
    assert "已过" in province.say("丙", "确认时限 application")
    province.until("2020-06-09 18:00")
    assert "报送最终示范县名单" in province.last("丙")
    assert "不再提醒您" in province.say("丙", "已报送")
    province.until("2020-06-26 18:00")
    assert province.days("丙", "最终示范县名单") == ["06-09"]


def test_a_served_site_plans_by_itself_and_tells_its_figures(tmp_path: Path) -> None:
    with running(tmp_path) as site:
        until(lambda: (tmp_path / "data" / "alive").exists() and site.query("SELECT * FROM pulse WHERE job = 'plan'"))
        found = httpx.get(f"{site.url}/metrics").text
        assert "countydesk_oldest_due_seconds 0.0" in found and 'countydesk_job_age_seconds{job="plan"}' in found
        assert httpx.get(f"{site.url}/metrics", headers={"X-Forwarded-For": "1.2.3.4"}).status_code == 404


@pytest.mark.expects_error
def test_the_self_audit_writes_an_alarm_and_takes_it_back(province: Province, tmp_path: Path) -> None:
    jobs = Jobs(sessions=province.sessions, desk=province.desk, clock=lambda: province.now, folder=tmp_path)
    jobs.plan()
    jobs.audit()
    assert (tmp_path / "alive").exists() and not (tmp_path / "alarm").exists()
    province.now = local("2020-05-07 18:00")
    jobs.audit()
    assert "没有安排过提醒" in (tmp_path / "alarm").read_text("utf-8")
    jobs.plan()
    jobs.audit()
    assert not (tmp_path / "alarm").exists()
    with transaction(province.sessions) as db:
        db.add(
            Delivery(
                source="item:1", recipient="person:1", lane=2, reply={}, why="", not_before=province.now, state="handing",
                fence=1, attempts=1, reason="", at=province.now, lease_until=local("2020-05-07 17:00"),
            )
        )  # fmt: skip
    with transaction(province.sessions) as db:
        assert [one for one in troubles(db, province.now) if "停在发送途中" in one]
