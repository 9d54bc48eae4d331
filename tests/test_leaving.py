"""What was given ends: by hand-over, unbinding, erasing and silence; the register can be corrected."""

import re
from datetime import timedelta

import pytest

from bot.app import Desk
from storage import people, scope, visits
from storage.db import transaction
from storage.models import Audit, Base, Credential, Invitation, Person, Role, Visit
from tests.binding import PHONE, QINGSHUI, add, bind, code_in, head, invite, number_of, rows
from tests.conftest import JUNE, Talk

__all__ = ["head"]


def test_a_successor_takes_over_and_the_role_ends_only_then(talk: Talk, running: Desk, head: str) -> None:
    bind(talk, invite(talk, head, "张三"), "zhang")
    assert "移交给李四吗" in talk("移交给 李四", who="zhang").text
    assert [one.id for one in rows(running, Invitation) if one.used_at is None] == []
    code = code_in(talk("1", who="zhang"))
    assert "县级经办人" in talk("我的信息", who="zhang").text
    bind(talk, code, "li")
    assert "县级经办人" in talk("我的信息", who="li").text
    after_it = talk("我的信息", who="zhang").text
    assert "李四已接任秦安县县级经办人" in after_it and "角色：无" in after_it
    assert "李四已绑定" in talk("你好", who=head).text


def test_what_a_role_gave_ends_with_it(talk: Talk, running: Desk, head: str) -> None:
    """No code that was made before brings the role back: not one's own, not that of a friend, not a password."""
    bind(talk, invite(talk, head), "zhang")
    number = number_of(running)
    own = code_in(talk("绑定其他渠道", who="zhang"))
    talk("移交给 李四", who="zhang")
    friend = code_in(talk("1", who="zhang"))
    with transaction(running.sessions) as db, scope.serving(db, scope.SYSTEM):
        [zhang] = people.named(db, "张三")
        db.add(Credential(person_id=zhang.id, name="zhangsan", password="x", changed_at=JUNE))
        visits.begin_by_ticket(db, visits.ticket(db, zhang.id, JUNE), JUNE)
    talk(f"撤销绑定 {number}", who=head)
    assert "不能使用" in talk(f"绑定 {own}", who="zhang").text
    assert "不能使用" in talk(f"绑定 {friend}", who="li").text
    assert rows(running, Visit)[-1].ended_at == JUNE
    with running.sessions() as db:
        assert visits.login_name(db, zhang.id) == ""


def test_who_has_handed_over_cannot_come_back_by_an_own_code(talk: Talk, head: str) -> None:
    bind(talk, invite(talk, head), "zhang")
    own = code_in(talk("绑定其他渠道", who="zhang"))
    talk("移交给 李四", who="zhang")
    bind(talk, code_in(talk("1", who="zhang")), "li")
    assert "不能使用" in talk(f"绑定 {own}", who="zhang").text


def test_who_was_invited_twice_under_another_number_stays_one_person(talk: Talk, running: Desk, head: str) -> None:
    me = add(running, "钱七", "contractor", QINGSHUI, "qian")
    first = invite(talk, head, "钱七", "承办单位联系人", phone=PHONE)
    second = invite(talk, head, "钱七", phone=PHONE)
    bind(talk, first, "qian")
    bind(talk, second, "qian")
    shown = talk("我的信息", who="qian").text
    for words in (f"钱七（编号{me}）", "秦安县县级经办人", "秦安县承办单位联系人", "138****5678"):
        assert words in shown
    [merged] = [one for one in rows(running, Audit) if one.action == "merge"]
    assert (merged.person_id, merged.after) == (me, {"person": me})


def test_an_address_that_changes_hands_leaves_a_line(talk: Talk, running: Desk, head: str) -> None:
    bind(talk, invite(talk, head, "张三"), "phone")
    bind(talk, invite(talk, head, "李四"), "phone")
    [gone] = [one for one in rows(running, Audit) if one.action == "unbind"]
    zhang = next(one.id for one in rows(running, Person) if one.name == "张三")
    assert (gone.person_id, gone.subject, gone.reason) == (zhang, f"person:{zhang}", "改绑")


def test_the_register_is_shown_whole_and_can_be_corrected(talk: Talk, running: Desk, head: str) -> None:
    bind(talk, invite(talk, head, phone=PHONE), "zhang")
    shown = talk("我的信息", who="zhang").text
    for words in (
        "张三",
        "商务局",
        "138****5678",
        "秦安县县级经办人",
        "终端（2020-06-01绑定）",
        "2020-06-01（2026-1版）",
    ):
        assert words in shown
    for text in ("更正", "手机号"):
        talk(text, who="zhang")
    assert "像电话号码" in talk("1381234", who="zhang").text
    assert "139****0000" in talk("139 0000 0000", who="zhang").text
    assert PHONE not in str([vars(one) for one in rows(running, Person)])
    [correct] = [one for one in rows(running, Audit) if one.action == "correct"]
    assert (correct.before, correct.after) == ({"phone": "138****5678"}, {"phone": "139****0000"})


def test_unbinding_asks_first_and_leaves_the_other_channel(talk: Talk, head: str) -> None:
    bind(talk, invite(talk, head), "zhang")
    bind(talk, code_in(talk("绑定其他渠道", who="zhang")), "zhang2")
    talk("解绑", who="zhang")
    assert "张三" in talk("取消", who="zhang").text or "张三" in talk("我的信息", who="zhang").text
    talk("解绑", who="zhang")
    assert "已解绑" in talk("1", who="zhang").text
    assert "须先绑定" in talk("我的", who="zhang").text
    assert "张三" in talk("我的信息", who="zhang2").text


def test_erasing_takes_two_steps_and_leaves_nothing_but_the_number(talk: Talk, running: Desk, head: str) -> None:
    bind(talk, invite(talk, head, "欧阳样例", phone=PHONE), "zhang")
    talk("我的信息", who="zhang")
    talk("你好", who=head)
    talk("本县人员", who=head)
    talk("注销", who="zhang")
    talk("继续注销", who="zhang")
    assert "已注销" in talk("确认注销", who="zhang").text
    with running.sessions() as db:
        rows_of = [db.connection().execute(table.select()) for table in Base.metadata.sorted_tables]
        dump = "\n".join(str(row) for found in rows_of for row in found)
    for planted in ("欧阳样例", PHONE, "\\u6b27\\u9633"):
        assert planted not in dump
    assert "须先绑定" in talk("我的", who="zhang").text
    assert "欧阳样例" not in talk("本县人员", who=head).text
    assert all(one.ended_at for one in rows(running, Role) if one.role == "county_officer")


def test_after_half_a_year_of_silence_the_person_is_asked_until_they_say(talk: Talk, running: Desk, head: str) -> None:
    bind(talk, invite(talk, head), "zhang")
    assert "仍在" not in talk("你好", who="zhang", at=JUNE + timedelta(days=179)).text
    late = JUNE + timedelta(days=179 + 181)
    assert "您仍在秦安县担任县级经办人吗" in talk("你好", who="zhang", at=late).text
    assert "您仍在" not in talk("你好", who="zhang", at=late + timedelta(minutes=1)).text
    assert "您仍在" in talk("你好", who="zhang", at=late + timedelta(days=2)).text
    assert "已记下" in talk("仍在岗", who="zhang", at=late + timedelta(days=2)).text
    assert "您仍在" not in talk("你好", who="zhang", at=late + timedelta(days=4)).text
    left = talk("已离岗", who="zhang", at=late + timedelta(days=4))
    assert [option.label for option in left.options] == ["移交", "解绑", "注销"]


@pytest.mark.parametrize(
    "text", ["移交资产归谁", "绑定销售可以吗", "20200425", "人员经费能列支吗", "注销的企业还能验收吗"]
)
def test_a_question_is_not_taken_for_a_member_s_word(talk: Talk, text: str) -> None:
    assert not re.search("须先绑定|邀请码", talk(text).text)


@pytest.mark.parametrize("word", ["我的", "我的信息", "邀请", "切换县", "解绑", "注销", "本县人员", "移交给 李四"])
def test_members_words_tell_others_how_to_bind(talk: Talk, word: str) -> None:
    reply = talk(word)
    assert "须先绑定单位" in reply.text and "邀请码" in reply.text
