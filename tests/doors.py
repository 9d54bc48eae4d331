"""Four counties in two provinces with a canary in every text, the people who look, and what they say at every door."""

import itertools
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

from sqlalchemy import JSON, inspect, select
from sqlalchemy.orm import Session, sessionmaker

from bot.messages import Reply
from storage import bindings, bodies, conversations, deliveries, invitations, people, secrets, uploads
from storage.audiences import Audience
from storage.db import UTCDateTime, transaction
from storage.models import (
    Acknowledgement,
    Audit,
    Body,
    BodyYear,
    Broadcast,
    Call,
    CallTask,
    CheckResult,
    Evidence,
    Exchange,
    Fact,
    File,
    Fund,
    Item,
    ItemEvent,
    ItemUnit,
    MaybeOfBody,
    Milestone,
    OfBody,
    Person,
    Question,
    Recipient,
    Role,
    Sample,
    Unit,
)  # fmt: skip
from storage.scope import COUNTY, PROVINCE, ROLES, SCOPED, SYSTEM, serving

NOW = datetime(2020, 6, 1, 4, tzinfo=UTC)
OWN, SIBLING, CITY, ABROAD = (
    "620522",
    "620521",
    "620121",
    "530122",
)  # where the lookers are, and further and further off
COUNTIES = (OWN, SIBLING, CITY, ABROAD)
OFFICES = ("620500", "620000", "530000")  # a city and two provinces, with people and rows of their own
UNBOUND = "unbound"
LOOKERS = (*ROLES, UNBOUND)

# --- canaries --------------------------------------------------------------------------------------------------------

_DIGITS = str.maketrans("0123456789", "零一二三四五六七八九")
_CANARY = re.compile("鹮([零一二三四五六七八九]{6})[零一二三四五六七八九]{4}鹮")
_number = itertools.count(1)


def canary(place: str) -> str:
    """A text that stands once in the database and says whose it is; it can be typed as a Chinese name."""
    return f"鹮{f'{place}{next(_number):04}'.translate(_DIGITS)}鹮"


def places_in(shown: str, typed: str = "") -> set[str]:
    """Whose canaries stand in what was shown, without those that the looker had typed."""
    back = {one.translate(_DIGITS): one for one in (*COUNTIES, *OFFICES)}
    found = {one[0]: back[one[1]] for one in _CANARY.finditer(shown)}
    return {place for text, place in found.items() if text not in typed}


def visible(role: str) -> set[str]:
    """Whose texts somebody with a role, at OWN, its city or its province, may be shown."""
    if role in COUNTY:
        return {OWN}
    if role == "city":
        return {OWN, SIBLING}
    if role == "hotline":
        return {OWN, SIBLING, CITY}
    return {OWN, SIBLING, CITY, "620000", "620500"} if role in PROVINCE else set()


# --- the rows --------------------------------------------------------------------------------------------------------

# Texts that are keys, codes or ciphers, so that no canary can stand in them; whatever else is text gets one.
CODED: Mapping[str, Any] = {
    "body.division_code": None, "fact.key": "evaluated", "fact.value": "yes", "person.phone": None,
    "person.phone_digest": None, "person.consent": "2026-1", "role.role": None, "invitation.code_digest": None,
    "invitation.role": "county_officer", "question.kind": "abstain", "question.status": None, "question.verdict": None,
    "question.edition": "", "item.source": "绩效评价", "item.category": "站点", "item.kind": "立行立改", "item.state": None,
    "item.waiting": None, "item_event.event": None, "item_event.before": None, "item_event.after": None,
    "item_event.role": "county_officer", "item_event.channel": "terminal", "evidence.line": "", "file.channel": "terminal",
    "file.address": None, "file.media_id": None, "file.state": "stored", "file.mime": "image/jpeg", "file.sha256": "0" * 64,
    "audit.role": "county_officer", "audit.channel": "terminal", "audit.action": "fact.set", "audit.subject": "fact:1",
    "audit.mac": "",
}  # fmt: skip
_PLAIN: Mapping[Any, Any] = {
    int: 2016,
    datetime: NOW,
    date: date(2020, 6, 30),
    Decimal: Decimal(900),
    float: 0.5,
    bool: True,
}


def row(mapped: Any, place: str, **given: Any) -> Any:  # Any: a mapped class, its values, its instance
    """A row with a canary in every text that has no value given or in CODED."""
    values = dict(given)
    for column in inspect(mapped).columns:
        name = f"{mapped.__tablename__}.{column.key}"
        kind = {UTCDateTime: datetime, JSON: dict}.get(type(column.type)) or column.type.python_type  # type: ignore[call-overload]  # types that do not say what they hold
        if column.key in values or column.primary_key or column.foreign_keys:
            continue
        if name in CODED:
            values[column.key] = CODED[name]
        elif kind is str:
            values[column.key] = canary(place)
        elif kind is dict:
            values[column.key] = [] if column.key == "evidence" else {"text": canary(place)}
        elif not column.nullable:
            values[column.key] = _PLAIN[kind]
    return mapped(**values)


# Where the items of each county stand: name → state, signature that is waited for, and the event that led there.
STATIONS = {
    "draft": ("draft", "", "draft"),
    "issued": ("issued", "", "issue"),
    "rectifying": ("rectifying", "", "acknowledge"),
    "staged": ("rectifying", "", "acknowledge"),
    "requested": ("rectifying", "head", "request"),
    "extending": ("rectifying", "", "ask_extension"),
    "returned": ("returned", "", "return"),
    "submitted": ("submitted", "", "submit"),
    "verifying": ("verifying", "", "claim"),
    "proposed": ("verifying", "approver", "propose"),
    "closed": ("closed", "", "close"),
    "reopened": ("reopened", "", "reopen"),
    "confirmed": ("confirmed", "", "confirm"),
    "referred": ("referred", "", "refer"),
}


@dataclass(frozen=True, kw_only=True)
class Target:
    """What a message can name of a county."""

    place: str
    body: str
    code: str
    person: int
    name: str
    invitation: int
    link: str
    items: dict[str, int]
    files: dict[str, int]


@dataclass(frozen=True, kw_only=True)
class Country:
    """The seeded database: what can be named of each county, who looks, and what each person may be shown."""

    targets: dict[str, Target] = field(default_factory=dict)
    lookers: dict[str, int] = field(default_factory=dict)
    shown_to: dict[int, set[str]] = field(default_factory=dict)


def seed(sessions: sessionmaker[Session]) -> Country:
    """Fill an empty database."""
    made = Country()
    with transaction(sessions) as db, serving(db, SYSTEM):
        for code in (*COUNTIES, *OFFICES):
            bodies.division(db, code)
        for place in COUNTIES:
            made.targets[place] = _county(db, place)
            made.shown_to[made.targets[place].person] = {place}
        for code in OFFICES:
            prefix = code[:4] if code == "620500" else code[:2]
            made.shown_to[_office(db, code)] = {one for one in (*COUNTIES, *OFFICES) if one.startswith(prefix)}
        _tables_are_full(db)
        for number, role in enumerate(ROLES):
            made.lookers[role] = _looker(db, role, f"看客{'甲乙丙丁戊己庚辛壬癸子'[number]}", made)
            made.shown_to[made.lookers[role]] = visible(role)
    return made


def _county(db: Session, place: str) -> Target:
    body = row(Body, place, division_code=place, name=f"{canary(place)}县")
    db.add(body)
    db.flush()
    person = _person(db, place, {"body_id": body.id}, "county_officer")
    for mapped in (BodyYear, Fact, Fund):
        db.add(row(mapped, place, body_id=body.id, batch_year=2016))
    items = {name: _item(db, place, body.id, person, name) for name in STATIONS}
    sample = row(Sample, place, body_id=body.id, person_id=person.id, share=95, listed=[], drawn=[])
    shut = row(
        File, place, body_id=body.id, person_id=person.id, address=place, media_id=f"{place}x", state="quarantined"
    )
    check = row(
        CheckResult, place, body_id=body.id, batch_year=2016, person_id=person.id, name="label", answers={}, edition=""
    )
    lines = [{"person": person.id, "delivery": 0, "text": canary(place)}]
    task = row(CallTask, place, body_id=body.id, called_on=NOW.date(), lines=lines, attempts=0, outcome="")
    eve = NOW.date() - timedelta(days=1)
    gone = row(CallTask, place, body_id=body.id, called_on=eve, lines=lines, attempts=1, outcome="已换人")
    db.add_all((sample, shut, check, task, gone))
    db.flush()
    proof = select(Evidence.file_id).where(Evidence.item_id == items["rectifying"])
    files = {
        "file": db.scalars(proof).one(),
        "shut": shut.id,
        "check": check.id,
        "task": task.id,
        "gone": gone.id,
        "body_id": body.id,
        "call": _call(db, place, body.id, person),
        "sample": sample.id,
        "import": f"{place}rectifying",
    }
    files |= {
        f"bc_{state}": _broadcast(db, place, body.id, person.id, state) for state in ("draft", "submitted", "sent")
    }
    files["question"] = _told(db, place, {"body_id": body.id}, person)
    invited = row(Person, place, at=NOW)
    db.add(invited)
    db.flush()
    invitation, _ = invitations.make(
        db, person=invited, role="county_officer", body_id=body.id, now=NOW, expires_at=NOW + timedelta(days=10)
    )
    return Target(
        place=place, body=body.name, code=place, person=person.id, name=person.name, invitation=invitation.id, items=items, files=files,
        link=uploads.make(db, "terminal", place, person.id, NOW + timedelta(days=365)),
    )  # fmt: skip


def _call(db: Session, place: str, body_id: int, person: Person) -> int:
    """A call that the hotline of the county's province took from there."""
    name, phone = secrets.encrypt(db, canary(place)), secrets.encrypt(db, f"1380{place}0")
    call = row(
        Call, place, division_code=f"{place[:2]}0000", person_id=person.id, caller_id=person.id, county_id=body_id, name=name,
        phone=phone, phone_digest=None, outcome="",
    )  # fmt: skip
    db.add(call)
    db.flush()
    return int(call.id)


def _person(db: Session, place: str, where: dict[str, Any], role: str) -> Person:
    unit = row(Unit, place, **where)
    db.add(unit)
    db.flush()
    person: Person = row(Person, place, unit_id=unit.id, body_id=where.get("body_id"), erased_at=None)
    db.add(person)
    db.flush()
    people.set_phone(db, person, f"1390{place}{person.id % 10}")
    db.add(row(Role, place, person_id=person.id, role=role, ended_at=None, **where))
    bindings.bind(db, person, "terminal", place, NOW)
    db.flush()
    return person


def _item(db: Session, place: str, body_id: int, person: Person, name: str) -> int:
    state, waiting, event = STATIONS[name]
    asked = date(2020, 7, 30) if name == "extending" else None
    plain = {"progress": 50, "round": 1, "returns": 0, "extensions": 0, "amount": None, "asked_due_on": asked}
    item = row(Item, place, body_id=body_id, batch_year=2016, state=state, waiting=waiting, version=2, **plain)
    db.add(item)
    db.flush()
    item.kind = "分阶段" if name == "staged" else item.kind
    for version, one in ((1, "draft"), (2, event)):
        said = {key: canary(place) for key in ("text", "finding", "record", "reason", "measure", "document", "problem")}
        said |= {
            "method": "现场考察",
            "check": "回头看",
            "lines": {"整体": canary(place)},
            "declared": True,
            "due_on": "2020-07-30",
            "new_due_on": "2020-07-30",
            "progress": 50,
            "imported": f"{place}{name}",
        }  # type: ignore[dict-item]  # JSON
        db.add(
            row(
                ItemEvent,
                place,
                item_id=item.id,
                body_id=body_id,
                version=version,
                event=one,
                before="draft",
                after=state,
                person_id=person.id,
                said=said,
            )  # fmt: skip
        )
    file = row(File, place, body_id=body_id, person_id=person.id, address=place, media_id=f"{place}{name}")
    db.add(file)
    db.flush()
    own = {"body_id": body_id, "item_id": item.id}
    db.add(row(ItemUnit, place, unit_id=person.unit_id, leads=True, **own))
    db.add(row(Milestone, place, **own))
    db.add(row(Evidence, place, file_id=file.id, round=1, person_id=person.id, withdrawn_at=None, **own))
    db.flush()
    return int(item.id)


def _broadcast(db: Session, place: str, body_id: int, person_id: int, state: str) -> int:
    where = {"body_id": body_id, "division_code": f"{place[:2]}0000"}
    regions = () if state == "draft" else (place,)
    plain = {"clauses": [], "files": [], "audience": Audience(regions=regions).as_json(), "acknowledgement": "county"}
    plain |= {
        "notice_id": None,
        "content_digest": "",
        "audience_digest": "x",
        "nudges": 0,
        "delay_s": 0,
        "send_at": None,
    }
    plain["begins_at"] = NOW - timedelta(days=5) if state == "sent" else None
    made = row(Broadcast, place, state=state, nudged_at=None, **where, **plain)
    db.add(made)
    db.flush()
    of = {"broadcast_id": made.id, "body_id": body_id}
    db.add(row(Recipient, place, person_id=person_id, role="county_officer", excluded="", **of))
    other = {"way": "text", "party": f"body:{body_id + 1000}"}  # another's word: this county is still asked
    db.add(row(Acknowledgement, place, person_id=person_id, **of, **other))
    db.flush()
    return int(made.id)


def _told(db: Session, place: str, where: dict[str, Any], person: Person) -> int:
    """What was asked, answered, changed and is to be sent there; the question's number."""
    exchange = Exchange(
        channel="terminal",
        message_id=place,
        address=place,
        person_id=person.id,
        route="ask",
        edition="",
        at=NOW,
        took_ms=1,
    )
    conversations.write(db, exchange, canary(place), Reply(text=canary(place)).to_json())
    db.add(exchange)
    db.flush()
    question = row(Question, place, exchange_id=exchange.id, **where)
    db.add(question)
    db.add(row(Audit, place, person_id=person.id, **where))
    deliveries.put(
        db, source=f"item:{place}", recipient=deliveries.person(person.id), lane="notice", now=NOW,
        reply=Reply(text=canary(place)).to_json(), why=canary(place),
    )  # fmt: skip
    db.flush()
    return int(question.id)


def _office(db: Session, code: str) -> int:
    where = {"division_code": code}
    person = _person(db, code, where, "city" if code == "620500" else "province_officer")
    _told(db, code, where, person)
    return person.id


def _tables_are_full(db: Session) -> None:
    """Every table whose rows belong to somebody has rows in each county, or the matrix would prove nothing of it."""
    scoped = [one for one in SCOPED if issubclass(one, OfBody | MaybeOfBody)]
    empty = [(one.__tablename__, place) for one in scoped for place in COUNTIES if not _has_rows(db, one, place)]
    assert not empty, f"tests/doors.py: put a row of each of these tables into _county(): {empty}"


def _has_rows(db: Session, mapped: Any, place: str) -> bool:  # Any: a mapped class
    """Whether rows belong to a county, or to its province where no county has any."""
    own = select(mapped).join(Body, mapped.body_id == Body.id).where(Body.division_code == place)
    if issubclass(mapped, MaybeOfBody) and db.scalars(own).first() is None:
        own = select(mapped).where(mapped.division_code == f"{place[:2]}0000")
    return db.scalars(own).first() is not None


def _looker(db: Session, role: str, name: str, made: Country) -> int:
    body = db.scalars(select(Body).where(Body.division_code == OWN)).one()
    county = role in COUNTY
    person = Person(name=name, body_id=body.id if county else None, at=NOW)
    person.consent, person.consent_at, person.verified_at, person.seen_at = "2026-1", NOW, NOW, NOW
    if county:
        person.unit_id = db.get_one(Person, made.targets[OWN].person).unit_id  # a contractor's items are their unit's
    db.add(person)
    db.flush()
    division = None if county else "620500" if role == "city" else "620000"
    people.give_role(db, person, role, body_id=body.id if county else None, division_code=division, now=NOW)
    for channel in ("terminal", "web"):
        bindings.bind(db, person, channel, role, NOW)
    return person.id


def phones(db: Session) -> dict[str, str]:
    """The phone of each place's colleague: phone → place."""
    return {
        secrets.decrypt(db, person.phone): role.division_code or db.get_one(Body, role.body_id).division_code
        for role, person in db.execute(select(Role, Person).join(Person, Person.id == Role.person_id)).all()
        if person.phone
    }


# --- the words -------------------------------------------------------------------------------------------------------

# Each chat route with what is said to it. {body} {code} {person} {name} {invitation} and {rectifying} … stand for a
# county's own; with one of them in it, the words are said of every county in turn.
SAID: Mapping[str, tuple[str, ...]] = {
    "menu": ("菜单",),
    "help": ("帮助",),
    "human": ("人工",),
    "notices": ("全部文件",),
    "spend": ("能不能花",),
    "result": ("结果",),
    "upload": ("上传文件",),
    "bind": ("绑定 7K2M-9QXA",),
    "bind.how": ("绑定",),
    "invite": ("邀请",),
    "staff": ("本县人员",),
    "revoke": ("撤销邀请 {invitation}",),
    "hand-over": ("移交给 新来者", "确认移交给 新来者"),
    "another-channel": ("绑定其他渠道",),
    "mine": ("我的",),
    "my-information": ("我的信息",),
    "correct": ("更正",),
    "unbind": ("解绑",),
    "erase": ("注销",),
    "switch": ("切换县", "切换县 {body}", "切换县 {body}\n本县情况"),
    "still-here": ("仍在岗",),
    "left": ("已离岗",),
    "看电话": ("看电话 #{person}", "看电话 {name}"),
    "county.card": ("本县情况",),
    "county.funds": ("填报资金",),
    "county.fact": ("更新本县信息",),
    "county.take_back": ("撤回填报",),
    "items.mine": ("我的事项",),
    "items.show": ("事项 #{rectifying}", "事项 #{proposed}", "事项 #{returned}"),
    "items.to-confirm": ("待我确认",),
    "签收事项": ("签收事项 #{issued}",),
    "报进展": ("报进展 #{rectifying}",),
    "申请延期": ("申请延期 #{rectifying}",),
    "撤回申请": ("撤回申请 #{submitted}",),
    "退给经办人": ("退给经办人 #{requested}",),
    "更新事项": ("1、2改完了",),
    "申请销号": ("申请销号 #{returned}",),
    "传材料": ("传材料 #{rectifying}",),
    "review.queue": ("待审",),
    "review.to-sign": ("待签批",),
    "review.to-check": ("待回头看",),
    "review.drafts": ("待下发",),
    "同意": ("同意 #{requested}", "同意 #{proposed}", "全部同意"),
    "下发事项": ("下发事项 #{draft}",),
    "认领事项": ("认领事项 #{submitted}",),
    "放弃认领": ("放弃认领 #{verifying}",),
    "退回事项": ("退回事项 #{verifying}",),
    "提请销号": ("提请销号 #{verifying}",),
    "不同意销号": ("不同意销号 #{proposed}",),
    "回头看记录": ("回头看记录 #{closed}",),
    "批准延期": ("批准延期 #{extending}",),
    "不批延期": ("不批延期 #{extending}",),
    "移出清单": ("移出清单 #{rectifying}",),
    "转处理": ("转处理 #{rectifying}",),
    "items.trail": ("办理过程 #{proposed}",),
    "materials.look": ("看材料 #{rectifying}",),
    "materials.missing": ("缺材料清单 #{rectifying}",),
    "materials.open": ("打开材料 {file}",),
    "隔离材料": ("隔离材料 {file}",),
    "解除隔离": ("解除隔离 {shut}",),
    "再次发生": ("再次发生 #{confirmed}",),
    "安排阶段": ("安排阶段 #{staged}",),
    "阶段完成": ("阶段完成 #{staged}",),
    "抽查": ("抽查",),
    "samples.drawn": ("抽查结果", "抽查结果 {sample}"),
    "samples.printed": ("抽查记录表", "抽查记录表 {sample}"),
    "progress": ("进度统计", "进度统计 {body}"),
    "progress.definitions": ("数字口径",),
    "papers.report": ("出整改情况报告 {code} 2016年度",),
    "papers.monthly": ("月度进展 {code} 2016年度",),
    "papers.application": ("销号申请书 #{submitted}",),
    "papers.follow-up": ("出回头看记录 #{confirmed}",),
    "check:review": ("复核要点自查",),
    "check:acceptance-check": ("验收检查",),
    "check:reapplication-check": ("二次申报自查",),
    "check:publicity": ("政务公开自查",),
    "check:label": ("标识自查",),
    "checks.menu": ("自查",),
    "checks.mine": ("我的自查",),
    "checks.show": ("看自查 #{check}",),
    "checks.export": ("导出自查 #{check}",),
    "checks.record": ("记入本县情况 #{check}",),
    "checks.template": ("对应表模板",),
    "checks.label": ("标识打印页",),
    "submissions.receipt": ("填推荐回执",),
    "submissions.checklist": ("报送材料核对单",),
    "submissions.export": ("导出核对单",),
    "新建通知": ("新建通知",),
    "修改通知": ("修改通知 N{bc_draft}",),
    "更正通知": ("更正通知 N{bc_sent}",),
    "broadcast.list": ("通知下发",),
    "broadcast.card": ("下发 N{bc_draft}", "下发 N{bc_sent}"),
    "broadcast.trial": ("试发 N{bc_draft}",),
    "提交": ("提交 N{bc_draft}",),
    "broadcast.approve": ("批准 N{bc_submitted}",),
    "退回通知": ("退回通知 N{bc_submitted}",),
    "broadcast.drop": ("作废 N{bc_draft}",),
    "撤回通知": ("撤回通知 N{bc_sent}",),
    "broadcast.pause": ("暂停 N{bc_sent}",),
    "broadcast.resume": ("继续 N{bc_sent}",),
    "broadcast.nudge": ("催办 N{bc_sent}",),
    "broadcast.calls": ("电话名单 N{bc_sent}",),
    "receipts.mine": ("我的通知",),
    "receipts.show": ("通知 N{bc_sent}",),
    "receipts.acknowledge": ("收到", "收到 N{bc_sent}"),
    "receipts.on-behalf": ("代签收 N{bc_sent} {code} 新来者",),
    "console": ("工作台",),
    "reminders.settings": ("提醒设置",),
    "reminders.time": ("提醒时间 14:30",),
    "reminders.pause": ("暂停提醒7天",),
    "reminders.channel": ("优先用企业微信",),
    "reminders.own": ("提醒我6月20日报材料",),
    "reminders.mine": ("我的提醒",),
    "reminders.cancel": ("取消提醒 #7",),
    "reminders.later": ("稍后提醒",),
    "reminders.snooze": ("推迟到明天",),
    "reminders.known": ("已知悉",),
    "reminders.done": ("已办结",),
    "reminders.undecided": ("待确认时限",),
    "reminders.decide": ("确认时限 final-list",),
    "calls.listed": ("待拨电话",),
    "calls.shown": ("拨打 #{task}",),
    "calls.ended": ("电话结果 #{task} 已换人",),
    "succession": ("接任 #{gone}", "接任 #{gone} 新来者\n跳过"),
    "ask.fact": ("batch_year=2016年度",),
    "ask.judge": ("判断 acceptance", "判断 reapplication"),
    "ask.forward": ("能不能给站长发工资\n转发领导",),
    "ask.wrong": ("每个站点补多少钱\n答得不对",),
    "ask.report": ("我要举报",),
    "demo.county": ("我是秦安县",),
    "demo.person": ("我是样例乙",),
}

# What else comes to the assistant: events, things that are no words, and words that no route takes.
OTHER: Mapping[str, tuple[str, str]] = {
    "event:subscribe": ("event", "subscribe"),
    "event:unsubscribe": ("event", "unsubscribe"),
    "event:sent": ("event", "sent 1 success"),
    "received:image": ("image", ""),
    "received:voice": ("voice", ""),
    "ask": ("text", "{body}二次申报要什么条件"),
    "why": ("text", "为什么"),
    "more": ("text", "更多"),
}

# What is answered to a form's step, by its key; a step that is not here gets its first option.
ANSWERS: Mapping[str, str] = {
    "title": "关于报送整改进展的通知", "why": "以便确认已经知晓",
    "stages": "6月20日选址；7月20日恢复营业", "problem": "站点又停运了", "search": "{body}", "unit": "某某单位", "post": "科长职务", "table": "没有",
    "place": "{body}", "name": "新来者", "item": "#{rectifying}", "measure": "逐项核对，明确责任人",
    "text": "一个站点已恢复营业", "new_due_on": "2020-07-30", "due_on": "2020-07-30", "reason": "材料已经核实过",
    "lines": "2 照片看不清", "record": "电话回访三人均属实", "finding": "现场看过，整改属实", "document": "商建函〔2020〕1号",
    "allocated": "1000万元", "disbursed": "800万元", "used": "700万元", "as_of": "今天", "gaps": "材料在县局存档",
    "field": "职务", "value": "是", "fact": "evaluated", "person": "#{person}", "sent": "取消", "batch_year": "2016年度",
    "disbursement_rate": "95%", "use_rate": "95%", "delivery_days": "3", "fund_year": "2019", "pre_allocated": "5",
    "applied": "12", "poverty_applied": "8", "submitted_on": "2020-05-01", "done_on": "2020-05-01", "evaluation_year": "2019",
}  # fmt: skip
