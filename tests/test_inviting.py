"""Who may invite whom, by chat, command and sheet; a county's phones; the demo's people."""

import re
import uuid
from pathlib import Path

import httpx
import pytest
from playwright.sync_api import Page
from sqlalchemy import select
from sqlalchemy.orm import Session
from typer.testing import CliRunner

from bot.__main__ import app as command_line
from bot.app import Desk
from bot.installation import open_database, settings
from handlers import inviting
from storage import bodies, people, scope
from storage.db import transaction
from storage.models import Audit, Body, Invitation, Person, Role
from tests.binding import GANSU, PHONE, QINAN, QINGSHUI, add, bind, code_in, head, number_of, rows
from tests.commands import Program
from tests.conftest import JUNE, Talk

__all__ = ["head"]


def serve(db: Session, number: int) -> None:
    with scope.serving(db, scope.SYSTEM):
        person = db.get_one(Person, number)
    scope.enter(db, person, "terminal")


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
