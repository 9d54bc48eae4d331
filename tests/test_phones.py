"""看电话: the full phone of a colleague, in scope, for a reason that stays in the audit."""

from sqlalchemy import select

from bot.app import Desk
from storage import people, scope
from storage.db import transaction
from storage.models import Audit, Person, Role
from tests.binding import GANSU, PHONE, QINAN, QINGSHUI, add, rows
from tests.conftest import JUNE, Talk


def test_the_hotline_sees_a_phone_for_a_reason_that_is_written_down(running: Desk, talk: Talk) -> None:
    zhang = add(running, "张三", "county_officer", QINAN, phone=PHONE)
    hotline = add(running, "热线", "hotline", address="hotline", division=GANSU)
    assert "为什么要看" in talk("看电话 张三", who="hotline").text
    assert PHONE not in talk("看", who="hotline").text
    reply = talk(f"来电 {PHONE} 要求回拨", who="hotline")
    assert f"秦安县县级经办人：{PHONE}" in reply.text
    [seen] = [one for one in rows(running, Audit) if one.action == "see_phone"]
    assert (seen.person_id, seen.subject, seen.reason) == (hotline, f"person:{zhang}", "来电 138****5678 要求回拨")
    assert seen.body_id is not None


def test_of_two_people_of_one_name_one_is_chosen(running: Desk, talk: Talk) -> None:
    add(running, "张三", "county_officer", QINAN, phone=PHONE)
    add(running, "张三", "county_officer", QINGSHUI, phone="13911112222")
    add(running, "省厅", "province_officer", address="officer", division=GANSU)
    asked = talk("看电话 张三", who="officer")
    assert "有几位" in asked.text
    assert ["秦安县" in one.label for one in asked.options] == [True, False]
    talk("2", who="officer")
    assert "13911112222" in talk("1", who="officer").text
    assert "没有找到" in talk("看电话 李四", who="officer").text


def test_others_and_other_places_are_refused_and_nothing_is_written(running: Desk, talk: Talk) -> None:
    zhang = add(running, "张三", "county_officer", QINAN, phone=PHONE)
    add(running, "县里", "county_head", QINAN, address="head")
    add(running, "外省", "province_officer", address="foreign", division="530000")
    assert "只向省级经办人和热线坐席" in talk("看电话 张三", who="head").text
    assert "没有找到" in talk(f"看电话 #{zhang}", who="foreign").text
    assert "绑定" in talk("看电话 张三", who="nobody").text
    assert [one for one in rows(running, Audit) if one.action == "see_phone"] == []


def test_who_only_reads_a_place_sees_no_phones_there(running: Desk, talk: Talk) -> None:
    """A hotline of another province who also works for the county."""
    zhang = add(running, "张三", "county_officer", QINAN, phone=PHONE)
    both = add(running, "两处", "hotline", address="both", division="530000")
    with transaction(running.sessions) as db, scope.serving(db, scope.SYSTEM):
        body = db.scalars(select(Role.body_id).where(Role.person_id == zhang)).one()
        people.give_role(db, db.get_one(Person, both), "county_officer", body_id=body, now=JUNE)
    assert "为什么要看" in talk("看电话 张三", who="both").text
    refused = talk("核实材料", who="both").text
    assert PHONE not in refused and "不在您负责的范围内" in refused
    assert [one for one in rows(running, Audit) if one.action == "see_phone"] == []
