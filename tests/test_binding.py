"""People join by invitation, see and change what is kept of them, and never reach beyond their county."""

import re
import uuid
from datetime import timedelta
from pathlib import Path

import httpx
import pytest
from playwright.sync_api import Page
from sqlalchemy import select
from sqlalchemy.orm import Session
from structlog.testing import capture_logs
from typer.testing import CliRunner

from bot.__main__ import app as command_line
from bot.app import Desk
from bot.installation import open_database, settings
from bot.messages import Reply
from bot.workdays import after, is_known, is_workday
from handlers import inviting
from storage import bindings, bodies, invitations, people, scope, secrets, visits
from storage.db import transaction
from storage.models import Audit, Base, Binding, Body, Credential, Invitation, Person, Role, Visit
from tests.commands import Program
from tests.conftest import JUNE, Talk

QINAN, QINGSHUI, GANSU = "620522", "620521", "620000"
PHONE = "13812345678"


def add(
    running: Desk, name: str, role: str, body: str = "", address: str = "", division: str | None = None, phone: str = ""
) -> int:
    """Somebody with a role, bound to a terminal address; their number."""
    with transaction(running.sessions) as db, scope.serving(db, scope.SYSTEM):
        held = {QINAN: "秦安县", QINGSHUI: "清水县"}.get(body)
        place = bodies.find_or_add(db, name=held, division_code=body, years=[2016])[0].id if held else None
        if division:
            bodies.division(db, division)
        person, _ = people.find_or_add(db, name=name, body_id=place, phone=phone, now=JUNE)
        people.give_role(db, person, role, body_id=place, division_code=division, now=JUNE)
        if address:
            bindings.bind(db, person, "terminal", address, JUNE)
            person.consent, person.consent_at, person.verified_at, person.seen_at = "2026-1", JUNE, JUNE, JUNE
        return person.id


def rows(running: Desk, table: type) -> list:  # type: ignore[type-arg]  # rows of whichever table
    with transaction(running.sessions) as db, scope.serving(db, scope.SYSTEM):
        return list(db.scalars(select(table).order_by(table.id)))


def people_named(running: Desk, name: str) -> list[int]:
    return [one.id for one in rows(running, Person) if one.name == name]


def code_in(reply: Reply) -> str:
    found = re.search(r"绑定 ([0-9A-Z]{4}-[0-9A-Z]{4})", reply.text)
    assert found, reply.text
    return found[1]


def invite(talk: Talk, who: str, name: str = "张三", role: str = "县级经办人", phone: str = "跳过") -> str:
    """A head invites somebody in chat; the code."""
    for text in ("邀请", role, name, "商务局", "跳过"):
        reply = talk(text, who=who)
        assert reply.kind == "flow", reply.text
    return code_in(talk(phone, who=who))


def bind(talk: Talk, code: str, who: str) -> Reply:
    assert "您将以这一身份绑定" in talk(f"绑定 {code}", who=who).text
    return talk("1", who=who)


@pytest.fixture
def head(running: Desk) -> str:
    add(running, "王局", "county_head", QINAN, "head")
    return "head"


def test_a_head_invites_and_hears_who_has_bound(talk: Talk, running: Desk, head: str) -> None:
    code = invite(talk, head)
    shown = talk(f"绑定 {code}", who="zhang")
    for words in ("张三", "秦安县县级经办人", "商务局", "个人信息告知", "/privacy", "注销"):
        assert words in shown.text
    assert [option.label for option in shown.options] == ["同意并绑定", "不是我", "取消"]
    done = talk("1", who="zhang")
    assert "已绑定：张三，秦安县县级经办人" in done.text
    told = talk("你好", who=head).text
    number = rows(running, Invitation)[-1].id
    assert f"张三已绑定为秦安县县级经办人（终端）。不是本单位人员请回复“撤销绑定 {number}”" in told
    zhang = next(one for one in rows(running, Person) if one.name == "张三")
    assert (zhang.consent, zhang.consent_at) == ("2026-1", JUNE)
    assert {one.action for one in rows(running, Audit)} >= {"invite", "bind", "consent"}
    assert "张三" not in str([(one.before, one.after) for one in rows(running, Audit)])


def test_only_a_digest_of_the_code_is_kept(talk: Talk, running: Desk, head: str) -> None:
    code = invite(talk, head).replace("-", "")
    kept = rows(running, Invitation)[-1]
    assert code not in str(vars(kept))
    with running.sessions() as db:
        assert kept.code_digest == secrets.digest(db, code)
    assert set(code) <= set(invitations.ALPHABET) and not set("ILOU") & set(invitations.ALPHABET)


@pytest.mark.parametrize(
    "typed",
    ["7K2M-9QX0", "7k2m9qx0", " 7k2m 9qx0", "７Ｋ２Ｍ－９ＱＸ０", "7K2M—9QXO", "7k2m-9qxo"],
)
def test_a_code_is_read_however_it_is_typed(typed: str) -> None:
    assert invitations.read(typed) == "7K2M9QX0"
    assert invitations.read("IL00-0000") == "11000000"
    assert invitations.read("7K2M-9QX") is None
    assert invitations.read("7K2M-9QXU") is None


def test_every_unusable_code_gets_the_same_answer(talk: Talk, running: Desk, head: str) -> None:
    used, revoked, late = invite(talk, head, "张三"), invite(talk, head, "李四"), invite(talk, head, "赵六")
    bind(talk, used, "zhang")
    number = next(one.id for one in rows(running, Invitation) if one.used_at is None)
    assert "已撤销" in talk(f"撤销邀请 {number}", who=head).text
    later = JUNE + timedelta(days=30)
    answers = {
        talk(f"绑定 {used}", who="a").text,
        talk(f"绑定 {revoked}", who="b").text,
        talk(f"绑定 {late}", who="c", at=later).text,
        talk("绑定 0000-0000", who="d").text,
        talk("绑定 XYZ", who="e").text,
    }
    assert len(answers) == 1
    assert "不能使用" in answers.pop()


def test_an_address_has_five_tries_an_hour(talk: Talk, head: str) -> None:
    code = invite(talk, head)
    for _ in range(5):
        assert "不能使用" in talk("绑定 0000-0000", who="guess").text
    assert "不能使用" in talk(f"绑定 {code}", who="guess").text
    assert "张三" in talk(f"绑定 {code}", who="other").text
    assert "张三" in talk(f"绑定 {code}", who="guess", at=JUNE + timedelta(minutes=61)).text


@pytest.mark.expects_error
def test_two_hundred_wrong_codes_a_day_raise_one_alarm_and_stop_the_channel(talk: Talk, head: str) -> None:
    code = invite(talk, head)
    with capture_logs() as logs:
        for number in range(203):
            talk("绑定 0000-0000", who=f"guess{number}")
    errors = [entry for entry in logs if entry["log_level"] == "error"]
    assert [entry["event"] for entry in errors] == ["invitation codes are being guessed"]
    assert "不能使用" in talk(f"绑定 {code}", who="zhang").text
    assert "张三" in talk(f"绑定 {code}", who="zhang", at=JUNE + timedelta(days=1)).text


def test_a_code_lasts_ten_working_days_and_years_not_announced_count_monday_to_friday() -> None:
    end = after(JUNE, 10)  # 2020-06-01 is a Monday
    assert (end.month, end.day, end.hour) == (6, 15, 23)
    assert is_workday(JUNE.date().replace(month=6, day=28))  # a Sunday, made up for the Dragon Boat Festival
    assert not is_workday(JUNE.date().replace(month=6, day=25))
    far = JUNE.date().replace(year=2099, month=1, day=1)
    assert not is_known(far)
    assert is_workday(far)  # a Thursday
    assert not is_workday(far.replace(day=3))


def test_who_is_not_meant_says_so_and_the_code_dies(talk: Talk, head: str) -> None:
    code = invite(talk, head)
    talk(f"绑定 {code}", who="stranger")
    assert "没有绑定" in talk("不是我", who="stranger").text
    assert "到了别人手里" in talk("你好", who=head).text
    assert "不能使用" in talk(f"绑定 {code}", who="zhang").text


def test_a_policy_question_in_between_is_answered_and_the_binding_goes_on(talk: Talk, head: str) -> None:
    talk(f"绑定 {invite(talk, head)}", who="zhang")
    aside = talk("专项资金能不能给站长发工资", who="zhang")
    assert "不可以" in aside.text and "张三" in aside.text
    assert "已绑定" in talk("同意", who="zhang").text


def test_revoking_ends_the_binding_and_the_role(talk: Talk, running: Desk, head: str) -> None:
    bind(talk, invite(talk, head), "zhang")
    assert "张三" in talk("我的信息", who="zhang").text
    number = rows(running, Invitation)[-1].id
    assert "已撤销" in talk(f"撤销绑定 {number}", who=head).text
    assert "须先绑定" in talk("我的信息", who="zhang").text
    assert "没有找到" in talk(f"撤销绑定 {number}", who=head).text


def test_a_head_reaches_no_other_county(talk: Talk, running: Desk, head: str) -> None:
    add(running, "刘局", "county_head", QINGSHUI, "other")
    code = invite(talk, "other", "钱七")
    bind(talk, code, "qian")
    number = rows(running, Invitation)[-1].id
    assert "没有找到" in talk(f"撤销绑定 {number}", who=head).text
    assert "没有找到" in talk("切换县 清水县", who=head).text
    staff = talk("本县人员", who=head).text
    assert "王局" in staff and "钱七" not in staff and "刘局" not in staff
    assert "钱七" in talk("本县人员", who="other").text
    assert talk("我的信息", who="qian").text.count("清水县") == 2


def test_an_invitation_gives_no_hold_on_somebody_of_another_county(talk: Talk, running: Desk, head: str) -> None:
    victim = add(running, "钱七", "county_officer", QINGSHUI, "qian", phone=PHONE)
    code = invite(talk, head, "钱七", phone=PHONE)
    bind(talk, code, "accomplice")
    shown = talk("我的信息", who="accomplice").text
    assert "秦安县" in shown and "清水县" not in shown
    assert [one.address for one in rows(running, Binding) if one.person_id == victim] == ["qian"]


def test_inviting_does_not_tell_whose_number_a_phone_is(talk: Talk, running: Desk, head: str) -> None:
    owner = add(running, "李主任", "county_officer", QINGSHUI, phone=PHONE)
    said = []
    for name, phone in (("张三", PHONE), ("赵六", "13900000000")):
        for text in ("邀请", "县级经办人", name, "商务局", "跳过"):
            talk(text, who=head)
        reply = talk(phone, who=head)
        number = str(rows(running, Invitation)[-1].id)
        said.append(
            reply.text.replace(code_in(reply), "CODE")
            .replace(name, "NAME")
            .replace(f"第{number}号", "第N号")
            .replace(f"邀请 {number}", "邀请 N")
        )
    assert said[0] == said[1]
    [note] = [one for one in rows(running, Audit) if one.action == "person.fill"]
    assert note.after["phone_also_of"] == [owner] and note.after["phone"] == "138****5678"
    assert [
        one.name for one in rows(running, Person) if one.phone_digest == rows(running, Person)[owner - 1].phone_digest
    ] == ["李主任", "张三"]


def test_what_inviting_fills_in_of_a_colleague_is_in_the_trail(talk: Talk, running: Desk, head: str) -> None:
    number = add(running, "张三", "county_officer", QINAN)
    for text in ("邀请", "承办单位联系人", "张三", "商务局", "副主任", PHONE):
        talk(text, who=head)
    [note] = [one for one in rows(running, Audit) if one.action == "person.fill"]
    assert (note.subject, note.role) == (f"person:{number}", "county_head")
    assert note.before == {"title": "", "unit": "", "phone": ""}
    assert note.after == {"title": "副主任", "unit": "商务局", "phone": "138****5678"}
    assert people_named(running, "张三") == [number]


def test_who_takes_another_s_name_does_not_get_their_role(talk: Talk, running: Desk, head: str) -> None:
    taker = add(running, "王五", "contractor", QINAN, "wang")
    for text in ("更正", "姓名", "李四", "更正", "手机号", PHONE):
        talk(text, who="wang")
    code = invite(talk, head, "李四", "县级分管负责人", PHONE)
    bind(talk, code, "li")
    held = {(one.person_id, one.role) for one in rows(running, Role) if one.person_id != rows(running, Person)[0].id}
    other = next(one for one in people_named(running, "李四") if one != taker)
    assert held == {(taker, "contractor"), (other, "county_head")}
    assert "没有找到" in talk("本县人员", who="wang").text

    own = invite(talk, head, "李四", "县级经办人")  # the one who was invited by this name is meant
    bind(talk, own, "li")
    assert (other, "county_officer") in {(one.person_id, one.role) for one in rows(running, Role)}


def test_a_second_county_s_role_goes_to_the_same_person(talk: Talk, running: Desk, head: str) -> None:
    me = add(running, "钱七", "contractor", QINGSHUI, "qian")
    done = bind(talk, invite(talk, head, "钱七", "承办单位联系人"), "qian")
    assert "切换县" in done.text
    assert {one.person_id for one in rows(running, Binding) if one.address == "qian"} == {me}
    listed = talk("切换县", who="qian")
    assert [option.label for option in listed.options] == ["清水县", "秦安县"]
    assert "现在代表秦安县（2016年度示范县）" in talk("2", who="qian").text


def test_a_bound_address_is_asked_before_it_changes_hands(talk: Talk, head: str) -> None:
    bind(talk, invite(talk, head, "张三"), "phone")
    again = talk(f"绑定 {invite(talk, head, '李四')}", who="phone")
    assert "此处现已绑定为张三，同意后改为李四" in again.text
    talk("取消", who="phone")
    assert "张三" in talk("我的信息", who="phone").text


def test_a_second_channel_is_the_same_person_with_the_same_form(talk: Talk, running: Desk, head: str) -> None:
    bind(talk, invite(talk, head), "zhang")
    code = code_in(talk("绑定其他渠道", who="zhang"))
    bind(talk, code, "zhang2")
    assert talk("更正", who="zhang").kind == "flow"
    assert talk("职务", who="zhang2").kind == "flow"
    assert "副股长" in talk("副股长", who="zhang").text
    assert "副股长" in talk("我的信息", who="zhang2").text
    assert len([one for one in rows(running, Person) if one.name == "张三"]) == 1


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


def number_of(running: Desk) -> int:
    """The number of the newest invitation."""
    return int(rows(running, Invitation)[-1].id)


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


def test_who_may_invite_is_looked_at_again_at_the_end(talk: Talk, running: Desk, head: str) -> None:
    add(running, "王局", "county_officer", QINAN)
    for text in ("邀请", "县级分管负责人", "孙八", "跳过", "跳过"):
        talk(text, who=head)
    with transaction(running.sessions) as db, scope.serving(db, scope.SYSTEM):
        people.end_role(db, next(one for one in db.scalars(select(Role)) if one.role == "county_head"), JUNE)
    assert "由县级分管负责人" in talk("跳过", who=head).text
    assert rows(running, Invitation) == []


def test_a_head_who_also_has_a_city_invites_nobody_to_it(talk: Talk, running: Desk, head: str) -> None:
    add(running, "王局", "county_head", QINAN)
    with transaction(running.sessions) as db, scope.serving(db, scope.SYSTEM):
        bodies.division(db, "620500")
        people.give_role(db, people.named(db, "王局")[0], "city", division_code="620500", now=JUNE)
    talk("邀请", who=head)
    talk("返回", who=head)
    assert "没有找到" in talk("本省", who=head).text
    assert "没有找到" in talk("天水市", who=head).text
    assert "担任什么角色" in talk("秦安县", who=head).text


def test_nobody_gets_a_code_to_roles_that_they_may_not_give(talk: Talk, running: Desk, head: str) -> None:
    """A new code for an invitation of others, or to a person with more roles, would open what its maker may not give."""
    sec = add(running, "安全", "security_admin", address="sec", division=GANSU)
    chen = add(running, "陈处", "province_officer", address="chen", division=GANSU)
    for text in ("邀请", "本省", "省级审核人", "孙八", "跳过", "跳过"):
        talk(text, who="sec")
    talk("跳过", who="sec")
    approver = number_of(running)
    qian = add(running, "钱七", "county_officer", QINGSHUI, "qian")
    with transaction(running.sessions) as db:
        serve(db, chen)
        assert inviting.given(db, approver) is None
        [body] = bodies.named(db, "秦安县")
        made = inviting.invite_person(db, people.named(db, str(qian))[0], role="contractor", body_id=body.id, now=JUNE)
        assert inviting.renew(db, made.invitation, JUNE) is not None
        serve(db, next(one.id for one in people.holding(db, "county_head", body.id)))
        again = inviting.given(db, made.invitation.id + 1)
        assert again is not None and inviting.renew(db, again, JUNE) is None
        serve(db, sec)
        assert inviting.given(db, approver) is not None
    assert "没有找到" in talk(f"撤销邀请 {approver}", who="chen").text
    assert "已撤销" in talk(f"撤销邀请 {approver}", who="sec").text


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


def test_an_officer_may_not_invite(talk: Talk, running: Desk) -> None:
    add(running, "张三", "county_officer", QINAN, "zhang")
    assert "由县级分管负责人" in talk("邀请", who="zhang").text
    assert talk("专项资金能不能给站长发工资", who="zhang").kind == "answer"


def test_a_province_officer_invites_into_any_county_and_the_hotline(talk: Talk, running: Desk, head: str) -> None:
    add(running, "陈处", "province_officer", address="chen", division=GANSU)
    talk("邀请", who="chen")
    assert "没有找到" in talk("通县", who="chen").text
    assert "秦安县" in talk("秦安县", who="chen").text
    for text in ("县级分管负责人", "孙八", "跳过", "跳过"):
        talk(text, who="chen")
    bind(talk, code_in(talk("跳过", who="chen")), "sun")
    assert "孙八已绑定为秦安县县级分管负责人" in talk("你好", who="chen").text
    talk("邀请", who="chen")
    assert [option.label for option in talk("本省", who="chen").options] == ["热线坐席"]
    talk("取消", who="chen")
    talk("邀请", who="chen")
    assert [option.label for option in talk("天水市", who="chen").options] == ["市级联系人"]


def serve(db: Session, number: int) -> None:
    with scope.serving(db, scope.SYSTEM):
        person = db.get_one(Person, number)
    scope.enter(db, person, "terminal")


def test_a_full_phone_needs_a_role_and_a_reason_and_is_audited(running: Desk) -> None:
    zhang = add(running, "张三", "county_officer", QINAN, phone=PHONE)
    hotline = add(running, "热线", "hotline", division=GANSU)
    other = add(running, "刘局", "county_head", QINGSHUI)
    with transaction(running.sessions) as db:
        with scope.serving(db, scope.SYSTEM):
            person = db.get_one(Person, zhang)
            assert person.phone is not None and PHONE not in person.phone
        serve(db, other)
        with pytest.raises(scope.OutOfScope):
            people.see_phone(db, person, "核实", JUNE)
        serve(db, hotline)
        with pytest.raises(ValueError):
            people.see_phone(db, person, " ", JUNE)
        assert people.see_phone(db, person, "回拨来电", JUNE) == PHONE
        assert [one.id for one in people.named(db, PHONE)] == [zhang]
    [seen] = [one for one in rows(running, Audit) if one.action == "see_phone"]
    assert (seen.person_id, seen.role, seen.reason, seen.subject) == (hotline, "hotline", "回拨来电", f"person:{zhang}")


def test_bodies_are_added_with_the_divisions_above_them(running: Desk) -> None:
    with transaction(running.sessions) as db, scope.serving(db, scope.SYSTEM):
        body, new = bodies.find_or_add(db, name="秦安县", division_code=QINAN, years=[2016, 2019])
        again, renewed = bodies.find_or_add(db, name="秦安县", division_code=QINAN, years=[2016, 2020])
        assert (new, renewed, again.id) == (True, False, body.id)
        assert bodies.batch_years(db, body.id) == [2016, 2019, 2020]
        assert bodies.place(db, None, "620500") == "天水市"
        assert bodies.codes_of("秦安县") == [QINAN]
        regiment, _ = bodies.find_or_add(db, name="第一师一团", division_code=bodies.MILITARY)
        assert regiment.division_code == "660000"
        for wrong in ("62052", "990101", "６２０５２２", "abcdef"):
            with pytest.raises(ValueError):
                bodies.find_or_add(db, name="某县", division_code=wrong)
        assert len(db.scalars(select(Body)).all()) == 2


def test_invite_is_what_a_script_calls(running: Desk) -> None:
    add(running, "王局", "county_head", QINAN)
    with transaction(running.sessions) as db, scope.serving(db, scope.SYSTEM):
        made = inviting.invite(db, name="张三", role="county_officer", body_id=1, phone=PHONE, now=JUNE)
        assert made.place == "秦安县"
        again = inviting.invite(db, name="张三", role="county_officer", body_id=1, now=JUNE)
        assert again.person.id == made.person.id
        assert made.invitation.revoked_at == JUNE


# --- from the command line, the browser's address and the demo -----------------------------------------------------------


@pytest.fixture
def office(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A data folder with one county."""
    monkeypatch.setenv("COUNTYDESK_PATHS__DATA", str(tmp_path / "data"))
    with transaction(open_database(settings())) as db, scope.serving(db, scope.SYSTEM):
        bodies.find_or_add(db, name="秦安县", division_code=QINAN, years=[2016])
    return tmp_path


def test_an_operator_invites_and_a_script_speaks_as_the_person(program: Program, office: Path) -> None:
    done = program("invite", "--name", "王局", "--role", "县级分管负责人", "--body", "秦安县", "--phone", PHONE)
    assert done.returncode == 0, done.stderr
    code, name, place, _until, number = done.stdout.strip().split("\t")
    assert re.fullmatch(r"[0-9A-HJKMNP-TV-Z]{4}-[0-9A-HJKMNP-TV-Z]{4}", code)
    assert (name, place, number) == ("王局", "秦安县", "第1号")
    spoken = program("chat", "--as", PHONE, typed=f"绑定 {code}\n1\n我的信息\n")
    assert "已绑定：王局" in spoken.stdout and "138****5678" in spoken.stdout
    assert PHONE not in spoken.stderr + spoken.stdout
    script = "邀请\n县级经办人\n张三\n跳过\n跳过\n跳过\n本县人员\n"
    assert "待绑定：张三" in program("chat", "--as", "王局", typed=script).stdout
    assert program("invite", "--revoke", "1").returncode == 0
    assert "角色：无" in program("chat", "--as", "1", typed="我的信息\n").stdout
    nobody = program("chat", "--as", "无名氏")
    assert (nobody.returncode, "没有找到" in nobody.stderr) == (1, True)


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (("invite",), 2, "--name"),
        (("invite", "--name", "张三", "--role", "县长", "--body", "秦安县"), 1, "县级经办人"),
        (("invite", "--name", "张三", "--role", "county_officer", "--body", "通县"), 1, "示范县"),
        (("invite", "--name", "张三", "--role", "hotline", "--division", "999999"), 1, "区划代码"),
        (("invite", "--name", "1", "--role", "hotline", "--division", GANSU), 1, "姓名"),
        (("invite", "--name", "张三", "--role", "hotline", "--division", GANSU, "--phone", "12"), 1, "手机号"),
        (("invite", "--sheet", "x.html", "--body", "秦安县"), 1, "没有待绑定"),
        (("invite", "--revoke", "7"), 1, "没有找到"),
    ],
)
def test_a_wrong_invitation_says_what_to_write(office: Path, words: tuple[str, ...], code: int, said: str) -> None:
    done = CliRunner().invoke(command_line, words)
    assert done.exit_code == code
    assert said in done.stderr and done.stdout == ""


def test_the_sheet_has_a_block_for_each_person_with_a_code_that_works(program: Program, office: Path) -> None:
    for name in ("张三", "李四"):
        CliRunner().invoke(command_line, ("invite", "--name", name, "--role", "county_officer", "--body", QINAN))
    file = office / "sheet.html"
    assert CliRunner().invoke(command_line, ("invite", "--sheet", str(file), "--body", "秦安县")).exit_code == 0
    page = file.read_text("utf-8")
    assert page.count("<section>") == page.count("<svg") == 2
    codes = re.findall(r'class="code">([^<]+)<', page)
    assert len(set(codes)) == 2
    CliRunner().invoke(command_line, ("invite", "--name", "王局", "--role", "county_head", "--body", QINAN))
    spoken = program("chat", "--as", "王局", typed=f"绑定 {codes[0]}\n")
    assert "张三，秦安县县级经办人" in spoken.stdout


def test_a_scanned_code_opens_the_binding_in_the_browser(demo_site: str, page: Page) -> None:
    page.goto(f"{demo_site}/?bind=0000-0000")
    page.get_by_text("这个邀请码不能使用").wait_for()
    assert page.url == f"{demo_site}/"
    page.goto(f"{demo_site}/privacy")
    assert "甘肃省商务厅（样例）" in page.inner_text("main")


def test_the_demo_has_people_and_a_visitor_can_be_one(demo_site: str) -> None:
    with httpx.Client(base_url=demo_site) as visitor:

        def say(text: str) -> str:
            said = {"message_id": uuid.uuid4().hex, "text": text}
            return str(visitor.post("/chat", json=said).json()["reply"]["text"])

        assert "秦安县" in say("我是秦安县")
        assert "88" in say("我们县能二次申报吗")
        assert "须先绑定" in say("我的信息")
        assert "秦安县县级分管负责人" in say("我是样例庚")
        staff = say("本县人员")
        assert "样例乙" in staff and "样例壬" in staff and "样例丙" not in staff
        assert "可以用" in say("我是样例亥")


def test_outside_the_demo_nobody_can_be_made_a_sample(talk: Talk, running: Desk) -> None:
    add(running, "样例乙", "county_officer", QINAN)
    talk("我是样例乙")
    assert "须先绑定" in talk("我的信息").text
