"""People join by invitation, and one address speaks for one person."""

from datetime import timedelta

import pytest
from structlog.testing import capture_logs

from bot.app import Desk
from bot.workdays import after, is_known, is_workday
from storage import invitations, secrets
from storage.models import Audit, Binding, Invitation, Person, Role
from tests.binding import PHONE, QINAN, QINGSHUI, add, bind, code_in, head, invite, people_named, rows
from tests.conftest import JUNE, Talk

__all__ = ["head"]


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
