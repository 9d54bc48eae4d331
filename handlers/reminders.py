"""A person's own say in reminders: 提醒设置, 提醒我…, 稍后提醒, 已知悉, 已办结, 为什么; and the province's on dates of notices."""

import re
from collections.abc import Sequence
from datetime import date, datetime, time, timedelta

from bot import planner
from bot.dialogue import Route
from bot.inputs import coming_day
from bot.ladder import last_quiet_day
from bot.messages import Invalid, Option, Refused, Reply, Turn
from bot.texts import say
from bot.workdays import LOCAL, QUIET_HOURS, Workdays, read_hours
from storage import audit, bindings, deliveries, reminders, scope
from storage.models import Delivery, Occurrence, OwnReminder, Person

DATED = ("item:", "stage:", "deadline:")  # subjects with a date by which something must be done
LOOKS_BACK = timedelta(days=7)  # how old the digest may be that 已知悉 and 稍后提醒 speak of
MOST_OWN = 50
PAUSE_DAYS = 30
CHANNELS = {"企业微信": "wecom", "微信": "wechat", "电报": "telegram", "网页": "web"}
DONE = date(9999, 1, 1)
_DAY = (
    r"(?:今天|明天|后天|大后天|(?:这|本|下)?(?:周|星期)[一二三四五六日天]|本?月底|下个?月底|年底"
    r"|(?:20\d\d[-./年])?\d{1,2}[-./月]\d{1,2}[日号]?|20\d{6}|\d{1,2}月底)"
)
_OWN = rf"(?:请|麻烦)?(?:在|到)?(?:(?P<first>{_DAY})[，,\s]*提醒我|提醒我[，,:：\s]*(?P<then>{_DAY}))[，,:：\s]*(?P<what>\S.{{0,120}})"
_NEAR = {"今天": 0, "明天": 1, "后天": 2, "大后天": 3}


def _me(turn: Turn) -> Person:
    assert turn.user is not None  # these words are routed for people who are bound only
    return turn.user


def _today(turn: Turn) -> date:
    return turn.now.astimezone(LOCAL).date()


def _record(turn: Turn, action: str, subject: str, **after: object) -> None:
    role = next(iter(sorted(turn.viewer.roles)), "")
    audit.record(turn.db, action, subject, now=turn.now, role=role, body_id=_me(turn).body_id, after=after)


# --- settings ------------------------------------------------------------------------------------------------------


def settings(turn: Turn) -> Reply:
    """How somebody is reminded, and what of it they may change."""
    wish = reminders.preferences(turn.db).get(_me(turn).id)
    paused = wish.paused_until if wish and wish.paused_until and wish.paused_until > _today(turn) else None
    names = {code: name for name, code in CHANNELS.items()}
    text = say(
        "reminders.settings", slot=wish.slot if wish else "", paused=paused, own=len(reminders.own(turn.db, _me(turn).id)),
        channels=[names[one] for one in wish.channels] if wish else [],
    )  # fmt: skip
    words = ["提醒时间 14:30", "恢复提醒" if paused else "暂停提醒7天", "我的提醒"]
    words += [f"优先用{name}" for name, code in CHANNELS.items() if code in _bound(turn)]
    return Reply(text=text, options=tuple(Option(label=word, value=word) for word in words), route="reminders.settings")


def _bound(turn: Turn) -> list[str]:
    return [one.channel for one in bindings.addresses(turn.db, _me(turn).id)]


def set_time(turn: Turn) -> Reply:
    """提醒时间 10:15: when in a working day the digest comes."""
    match = re.fullmatch(_TIME, turn.text)
    assert match is not None
    hour, minute = int(match["hour"]), 30 if match["half"] else int(match["minute"] or 0)
    hour += 12 if match["part"] == "下午" and hour < 12 else 0
    hours = read_hours(turn.given.get("quiet_hours", QUIET_HOURS))
    if hour > 23 or minute > 59 or not any(first <= time(hour, minute) < last for first, last in hours.spans):
        spans = [f"{first:%H:%M}-{last:%H:%M}" for first, last in hours.spans]
        raise Invalid(say("reminders.no_such_time", spans=spans))
    slot = f"{hour:02}:{minute:02}"
    reminders.prefer(turn.db, _me(turn).id, turn.now, slot=slot)
    _record(turn, "reminders.prefer", f"person:{_me(turn).id}", slot=slot)
    return Reply(text=say("reminders.time_set", slot=slot), route="reminders.time")


def pause(turn: Turn) -> Reply:
    """暂停提醒7天, 恢复提醒."""
    match = re.fullmatch(_PAUSE, turn.text)
    days = int(match["days"] or 7) if match else 0
    if days > PAUSE_DAYS:
        raise Invalid(say("reminders.too_long", days=PAUSE_DAYS))
    until = _today(turn) + timedelta(days=days) if days else None
    reminders.prefer(turn.db, _me(turn).id, turn.now, paused_until=until)
    _record(turn, "reminders.prefer", f"person:{_me(turn).id}", paused_until=until.isoformat() if until else "")
    return Reply(text=say("reminders.paused", until=until), route="reminders.pause")


def set_channel(turn: Turn) -> Reply:
    """优先用微信: the channel that is tried first."""
    match = re.fullmatch(_CHANNEL, turn.text)
    assert match is not None
    code = CHANNELS[match["name"]]
    if code not in _bound(turn):
        raise Refused(say("reminders.not_bound", name=match["name"]))
    reminders.prefer(turn.db, _me(turn).id, turn.now, channels=[code])
    _record(turn, "reminders.prefer", f"person:{_me(turn).id}", channels=[code])
    return Reply(text=say("reminders.channel_set", name=match["name"]), route="reminders.channel")


# --- one's own -----------------------------------------------------------------------------------------------------


def remind_me(turn: Turn) -> Reply:
    """提醒我6月20日报材料."""
    match = re.fullmatch(_OWN, turn.text)
    assert match is not None
    typed = match["first"] or match["then"]
    try:
        on = _named_day(typed, _today(turn))
    except ValueError:
        raise Invalid(say("reminders.no_such_day", typed=typed)) from None
    if len(reminders.own(turn.db, _me(turn).id)) >= MOST_OWN:
        raise Refused(say("reminders.too_many", most=MOST_OWN))
    days = planner.workdays(turn.db)
    told_on = days.on_or_before(on)
    if told_on < _today(turn):
        raise Invalid(say("reminders.no_workday_left", on=on))
    one = OwnReminder(person_id=_me(turn).id, text=match["what"].strip("。！! "), due_on=on, at=turn.now)
    turn.db.add(one)
    turn.db.flush()
    text = say("reminders.own_set", one=one, told_on=told_on, known=days.is_known(told_on))
    return Reply(text=text, options=(Option(label="取消这条提醒", value=f"取消提醒 #{one.id}"),), route="reminders.own")


def _named_day(typed: str, today: date) -> date:
    if typed in _NEAR:
        return today + timedelta(days=_NEAR[typed])
    if match := re.fullmatch(r"(这|本|下)?(?:周|星期)([一二三四五六日天])", typed):
        weekday = "一二三四五六日".index(match[2].replace("天", "日"))
        monday = today - timedelta(days=today.weekday())
        found = monday + timedelta(days=weekday + (7 if match[1] == "下" else 0))
        if found < today:
            raise ValueError("past")
        return found
    return coming_day(typed, today)


def mine(turn: Turn) -> Reply:
    """What somebody asked to be reminded of."""
    own = reminders.own(turn.db, _me(turn).id)
    options = tuple(Option(label=f"取消：{one.text[:20]}", value=f"取消提醒 #{one.id}") for one in own[:10])
    return Reply(text=say("reminders.mine", own=own), options=options, route="reminders.mine")


def cancel(turn: Turn) -> Reply:
    """取消提醒 #7, or the only one."""
    match = re.fullmatch(_CANCEL, turn.text)
    assert match is not None
    own = reminders.own(turn.db, _me(turn).id)
    found = [one for one in own if match["number"] is None or one.id == int(match["number"])]
    if len(found) != 1:
        return mine(turn)
    found[0].ended_at = turn.now
    return Reply(text=say("reminders.cancelled", one=found[0]), route="reminders.cancel")


# --- after a digest --------------------------------------------------------------------------------------------------


def _told(turn: Turn, since: datetime) -> Delivery | None:
    known = [deliveries.person(_me(turn).id)] if turn.user else []
    return deliveries.last_told(
        turn.db, [*known, deliveries.address(turn.inbound.channel, turn.inbound.address)], since
    )


def _last(turn: Turn) -> list[Occurrence]:
    """What the newest digest held. Raises Refused when there is none."""
    digest = reminders.last_digest(turn.db, _me(turn).id, turn.now - LOOKS_BACK)
    rows = reminders.lines(turn.db, digest.id) if digest is not None else []
    if not rows:
        raise Refused(say("reminders.no_digest"))
    return rows


def later(turn: Turn) -> Reply:
    """稍后提醒: until when."""
    rows = _last(turn)
    choices = ("明天", "3天后", "到期前1天")
    options = tuple(Option(label=word, value=f"推迟到{word}") for word in choices)
    return Reply(text=say("reminders.until_when", count=len(rows)), options=options, route="reminders.later")


def snooze(turn: Turn) -> Reply:
    """推迟到明天: what can still be put off is; the rest is named."""
    match = re.fullmatch(_SNOOZE, turn.text)
    assert match is not None
    today, days = _today(turn), planner.workdays(turn.db)
    done, kept, until = 0, 0, today
    for row in _last(turn):
        most = last_quiet_day(row.due_on, days) if row.subject.startswith(DATED) else date.max
        three = days.shifted(today, 3)
        wished = {"明天": days.shifted(today, 1), "3天后": three, "三天后": three}.get(match["until"], most)
        wished = three if wished == date.max else wished
        overdue = days.between(days.on_or_before(row.due_on), today) if most != date.max else 0
        if overdue >= 3 or (most <= today and not overdue):
            kept += 1
            continue
        until = days.shifted(today, 1) if overdue else min(wished, most)
        reminders.mute(turn.db, _me(turn).id, row.subject, until, True, turn.now)
        _record(turn, "reminders.snooze", row.subject, until=until.isoformat())
        done += 1
    return Reply(text=say("reminders.snoozed", done=done, kept=kept, until=until), route="reminders.snooze")


def known(turn: Turn) -> Reply:
    """已知悉: nothing more before the last working day but one."""
    today, days = _today(turn), planner.workdays(turn.db)
    rows = _last(turn)
    for row in rows:
        quiet = _quiet_until(row, days, today)
        reminders.mute(turn.db, _me(turn).id, row.subject, quiet, False, turn.now)
        _record(turn, "reminders.ack", row.subject, until=quiet.isoformat())
    return Reply(text=say("reminders.known", count=len(rows)), route="reminders.known")


def _quiet_until(row: Occurrence, days: Workdays, today: date) -> date:
    if row.subject.startswith((*DATED, "own:")):
        return max(last_quiet_day(row.due_on, days), days.shifted(today, 1))
    return days.shifted(today, 5)


def settled(turn: Turn) -> Reply:
    """已办结: a notice's deadline is met; an item ends by its own way."""
    rows = [row for row in _last(turn) if row.subject.startswith(("deadline:", "own:"))]
    if not rows:
        raise Refused(say("reminders.items_end_otherwise"))
    for row in rows:
        reminders.mute(turn.db, _me(turn).id, row.subject, DONE, False, turn.now)
        _record(turn, "reminders.done", row.subject)
    return Reply(text=say("reminders.settled", count=len(rows)), route="reminders.done")


def why(turn: Turn) -> Reply | None:
    """为什么 after a message that nobody asked for: its reason; None when the last word was a reply."""
    told = _told(turn, turn.last_at or turn.now - LOOKS_BACK)
    if told is None:
        return None
    return Reply(text=told.why or say("reminders.no_reason"), route="reminders.why")


# --- dates of notices --------------------------------------------------------------------------------------------------


def undecided(turn: Turn) -> Reply:
    """The dates that start nothing until the province says so, and those that have passed."""
    _may_decide(turn)
    found, today = planner.undecided(turn.db, turn.kb), _today(turn)
    coming = [one for one in found if one.due_on >= today]
    past = [one for one in turn.kb.deadlines if one.due_on < today]
    options: list[Option] = []
    for one in coming[:5]:
        options.append(Option(label=say("reminders.confirm_label", one=one), value=f"确认时限 {one.id}"))
        options.append(Option(label=say("reminders.dismiss_label", one=one), value=f"不提醒时限 {one.id}"))
    sources = {one.id: turn.kb.citation(one.cite, today) for one in (*coming, *past)}
    text = say("reminders.undecided", coming=coming, past=past, sources=sources)
    return Reply(text=text, options=tuple(options), route="reminders.undecided")


def _may_decide(turn: Turn) -> None:
    if not turn.viewer.may("settle_deadlines"):
        raise Refused(say("reminders.province_only"))


def decide(turn: Turn) -> Reply:
    """确认时限 final-list, 不提醒时限 final-list."""
    _may_decide(turn)
    match = re.fullmatch(_DECIDE, turn.text)
    assert match is not None
    one = next((one for one in turn.kb.deadlines if one.id == match["id"]), None)
    if one is None:
        raise Refused(say("reminders.no_such_deadline", typed=match["id"]))
    if one.due_on < _today(turn):
        raise Refused(say("reminders.deadline_past", one=one))
    confirmed = match["no"] is None
    reminders.mark(turn.db, one.id, one.due_on, confirmed, _me(turn).id, turn.now)
    _record(turn, "deadline.mark", f"deadline:{one.id}", confirmed=confirmed, due_on=one.due_on.isoformat())
    with scope.serving(turn.db, scope.SYSTEM):
        found = [
            subject for subject in planner.subjects(turn.db, turn.kb) if subject.key.startswith(f"deadline:{one.id}:")
        ]
    reached: Sequence[int] = sorted({person for subject in found for person in subject.people["holder"]})
    text = say("reminders.decided", one=one, confirmed=confirmed, people=len(reached))
    return Reply(text=text, route="reminders.decided")


_TIME = r"提醒时间(?:改为|改成|设为|改到)?[\s:：]*(?P<part>上午|下午)?(?P<hour>\d{1,2})(?:[:：点时](?:(?P<half>半)|(?P<minute>\d{1,2})分?)?)?"
_PAUSE = r"暂停提醒(?P<days>\d{1,3})?天?"
_CHANNEL = rf"优先用(?P<name>{'|'.join(CHANNELS)})"
_CANCEL = r"(?:取消|删除)提醒(?:\s*#(?P<number>\d{1,9}))?"
_SNOOZE = r"(?:推迟到|推迟提醒\s*)(?P<until>明天|3天后|三天后|到期前1天)"
_DECIDE = r"(?:(?P<no>不提醒)|确认)时限\s*(?P<id>[a-z0-9-]{1,64})"
ROUTES = [
    Route(name="reminders.settings", pattern=r"提醒设置", run=settings, member=True, examples=("提醒设置",)),
    Route(name="reminders.time", pattern=_TIME, run=set_time, member=True, examples=("提醒时间 14:30", "提醒时间改为下午3点半")),
    Route(name="reminders.pause", pattern=rf"{_PAUSE}|恢复提醒", run=pause, member=True, examples=("暂停提醒7天", "恢复提醒")),
    Route(name="reminders.channel", pattern=_CHANNEL, run=set_channel, member=True, examples=("优先用企业微信",)),
    Route(
        name="reminders.own", pattern=_OWN, run=remind_me, member=True,
        examples=("提醒我6月20日报材料", "下周三提醒我交台账", "提醒我明天给县局打电话"),
    ),
    Route(name="reminders.mine", pattern=r"我的提醒", run=mine, member=True, examples=("我的提醒",)),
    Route(name="reminders.cancel", pattern=_CANCEL, run=cancel, member=True, examples=("取消提醒", "取消提醒 #7")),
    Route(name="reminders.later", pattern=r"稍后提醒(?:我)?|推迟提醒", run=later, member=True, examples=("稍后提醒",)),
    Route(name="reminders.snooze", pattern=_SNOOZE, run=snooze, member=True, examples=("推迟到明天", "推迟到到期前1天")),
    Route(name="reminders.known", pattern=r"已知悉|知道了，?不用再提醒", run=known, member=True, sentence=True, examples=("已知悉",)),
    Route(name="reminders.done", pattern=r"已办结|已报送", run=settled, member=True, sentence=True, examples=("已办结", "已报送")),
    Route(name="reminders.undecided", pattern=r"待确认时限", run=undecided, member=True, examples=("待确认时限",)),
    Route(name="reminders.decide", pattern=_DECIDE, run=decide, member=True, examples=("确认时限 final-list",)),
]  # fmt: skip
