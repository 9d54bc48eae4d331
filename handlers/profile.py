"""What a person may see and change of themselves: 我的信息, 更正, 切换县, 解绑, 注销, and the question after a long silence."""

import re
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from bot.dialogue import IDLE, Route
from bot.flows import Answers, Flow, Step
from bot.inputs import asks
from bot.messages import Invalid, Option, Refused, Reply, Turn
from bot.texts import say
from bot.workdays import LOCAL
from storage import audit, bindings, bodies, people, scope
from storage.models import Person

SILENT = timedelta(days=180)
SHOWN = 10
FIELDS = {"姓名": "name", "职务": "title", "手机号": "phone"}


def _me(turn: Turn) -> Person:
    """The person speaking. These words are routed for people who are bound only."""
    assert turn.user is not None
    return turn.user


def _record(turn: Turn, action: str, **values: Any) -> None:  # Any: JSON values of the change
    user = _me(turn)
    role = next(iter(sorted(turn.viewer.roles)), "")
    audit.record(turn.db, action, f"person:{user.id}", now=turn.now, role=role, body_id=user.body_id, **values)


def mine(turn: Turn) -> Reply:
    """What a person can do about themselves."""
    user = _me(turn)
    words = ("我的信息", "更正", "切换县", "绑定其他渠道", "解绑", "注销")
    options = tuple(Option(label=word, value=word) for word in words)
    return Reply(
        text=say("profile.mine", name=user.name, speaking_for=_speaking_for(turn)), options=options, route="mine"
    )


def _speaking_for(turn: Turn) -> str:
    user = _me(turn)
    return bodies.place(turn.db, user.body_id, None) if user.body_id is not None else ""


def information(turn: Turn) -> Reply:
    """Every personal value held of the one who asks."""
    user, db = _me(turn), turn.db
    held = [
        (bodies.place(db, one.body_id, one.division_code), scope.ROLES[one.role]) for one in people.roles(db, user.id)
    ]
    channels = [(say("profile.channel", channel=one.channel), _day(one.at)) for one in bindings.addresses(db, user.id)]
    text = say(
        "profile.information", name=user.name, title=user.title, unit=people.unit_name(db, user),
        phone=people.masked_phone(db, user), roles=held, speaking_for=_speaking_for(turn), channels=channels,
        consent=user.consent, consent_on=_day(user.consent_at), verified_on=_day(user.verified_at), number=user.id,
    )  # fmt: skip
    options = tuple(Option(label=word, value=word) for word in ("更正", "解绑", "注销"))
    return Reply(text=text, options=options, route="my-information")


def _day(at: datetime | None) -> str:
    return f"{at.astimezone(LOCAL):%Y-%m-%d}" if at else ""


# --- correcting ----------------------------------------------------------------------------------------------------------


def _read_field(_turn: Turn, text: str) -> str:
    field = {"手机": "手机号", "电话": "手机号"}.get(text, text)
    if field not in FIELDS:
        raise Invalid(say("profile.no_such_field"))
    return field


def _read_value(turn: Turn, text: str) -> str:
    field = dict(turn.conversation.answers)["field"]
    if field == "姓名":
        text = people.read_name(text)
    if field == "姓名" and (asks(text) or not re.fullmatch(r"[一-鿿·•]{2,15}|[A-Za-z][A-Za-z .·'-]{1,40}", text)):
        raise Invalid(say("profile.no_name"))
    if field == "职务" and (len(text) > 60 or asks(text)):
        raise Invalid(say("profile.too_long"))
    if text == "删除" and field != "姓名":
        return ""
    try:
        return people.read_phone(text) if field == "手机号" else text
    except ValueError:
        raise Invalid(say("profile.no_phone")) from None


def _correct(turn: Turn, answers: Answers) -> Reply:
    user, field, value = _me(turn), answers["field"], answers["value"]
    before = _shown(turn, field)
    if field == "手机号":
        people.set_phone(turn.db, user, value)
    else:
        setattr(user, FIELDS[field], value)
        user.renamed_at = turn.now if field == "姓名" else user.renamed_at
    after = _shown(turn, field)
    _record(turn, "correct", before={FIELDS[field]: before}, after={FIELDS[field]: after})
    shown = after if field == "手机号" else value
    return Reply(text=say("profile.corrected", field=field, value=shown), route="corrected")


def _shown(turn: Turn, field: str) -> str:
    user = _me(turn)
    if field == "手机号":
        return people.masked_phone(turn.db, user)
    return people.masked_name(user.name) if field == "姓名" else user.title


_CORRECT = Flow(
    name="更正",
    title="更正我的信息",
    steps=(
        Step(
            key="field",
            ask=say("profile.ask_field"),
            parse=_read_field,
            options=tuple(Option(label=field, value=field) for field in FIELDS),
        ),
        Step(
            key="value",
            ask=lambda turn, answers: say("profile.ask_value", field=answers["field"]),
            parse=_read_value,
            prose=True,
            options=lambda turn, answers: (
                () if answers["field"] == "姓名" else (Option(label="删除原有内容", value="删除"),)
            ),
        ),
    ),
    done=_correct,
)


# --- leaving -------------------------------------------------------------------------------------------------------------


def _yes(*words: str) -> Any:  # Any: a step's parse
    def parse(_turn: Turn, text: str) -> bool:
        if text not in words:
            raise Invalid(say("profile.yes_or_cancel", word=words[0]))
        return True

    return parse


def _unbind(turn: Turn, _answers: Answers) -> Reply:
    binding = bindings.live(turn.db, turn.inbound.channel, turn.inbound.address)
    assert binding is not None
    bindings.end(turn.db, binding, "解绑", turn.now)
    _record(turn, "unbind", after={"channel": turn.inbound.channel})
    return Reply(text=say("profile.unbound"), route="unbound")


def _erase(turn: Turn, _answers: Answers) -> Reply:
    _record(turn, "erase", reason="本人申请")
    number = _me(turn).id
    people.erase(turn.db, _me(turn), turn.now)
    return Reply(text=say("profile.erased", number=number), route="erased")


def _choices(*words: str) -> tuple[Option, ...]:
    return tuple(Option(label=word, value=word) for word in words)


_UNBIND = Flow(
    name="解绑",
    title="解绑",
    steps=(
        Step(
            key="sure",
            ask=say("profile.sure_to_unbind"),
            options=_choices("确认解绑", "取消"),
            parse=_yes("确认解绑", "确认"),
        ),
    ),
    done=_unbind,
)
_ERASE = Flow(
    name="注销",
    title="注销",
    steps=(
        Step(
            key="sure",
            ask=say("profile.what_erasing_does"),
            options=_choices("继续注销", "取消"),
            parse=_yes("继续注销"),
        ),
        Step(
            key="surely", ask=say("profile.sure_to_erase"), options=_choices("确认注销", "取消"), parse=_yes("确认注销")
        ),
    ),
    done=_erase,
)


# --- several bodies ------------------------------------------------------------------------------------------------------


def switch(turn: Turn) -> Reply:
    """Choose for which body one speaks."""
    user = _me(turn)
    found = re.fullmatch(_SWITCH, turn.text)
    assert found is not None
    if found["name"]:
        return _speak_for(turn, found["name"])
    with scope.serving(turn.db, scope.SYSTEM):
        own = dict.fromkeys(role.body_id for role in people.roles(turn.db, user.id) if role.body_id is not None)
    names = [bodies.place(turn.db, one, None) for one in own]
    if not names and turn.viewer.grants:
        return Reply(text=say("profile.switch_by_name"), route="switch")
    if len(names) < 2:
        raise Refused(say("profile.only_one", name=names[0] if names else ""))
    options = tuple(Option(label=name, value=f"切换县 {name}") for name in names[:SHOWN])
    return Reply(text=say("profile.switch", now=_speaking_for(turn)), options=options, route="switch")


def _speak_for(turn: Turn, name: str) -> Reply:
    user = _me(turn)
    found = bodies.named(turn.db, name)
    if len(found) != 1:
        raise Invalid(say("profile.no_such_body", name=name))
    before, user.body_id = user.body_id, found[0].id
    _record(turn, "switch", before={"body": before}, after={"body": found[0].id})
    turn.conversation.facts, turn.conversation.before = {}, {}
    years = bodies.batch_years(turn.db, found[0].id)
    return Reply(text=say("profile.switched", name=found[0].name, years=years), route="switched")


# --- after a long silence ------------------------------------------------------------------------------------------------


def seen(turn: Turn, reply: Reply) -> Reply:
    """Note that a person wrote; after 180 silent days ask whether they still do this work, until they say so."""
    user = turn.user
    if user is None or user.erased_at is not None:
        return reply
    if user.seen_at is not None and turn.now - user.seen_at > SILENT:
        user.verified_at = None
    begins = user.seen_at is None or turn.now - user.seen_at > IDLE
    user.seen_at = turn.now
    held = people.roles(turn.db, user.id) if user.verified_at is None and user.consent and begins else []
    if not held or reply.route in ("still-here", "left"):
        return reply
    one = next((role for role in held if role.body_id == user.body_id), held[0])
    place = bodies.place(turn.db, one.body_id, one.division_code)
    return replace(reply, text=f"{reply.text}\n\n{say('profile.still_here', place=place, role=scope.ROLES[one.role])}")


def still_here(turn: Turn) -> Reply:
    """Somebody still does this work."""
    _me(turn).verified_at = turn.now
    _record(turn, "verify")
    return Reply(text=say("profile.verified"), route="still-here")


def left(turn: Turn) -> Reply:
    """Somebody no longer does this work: hand over, or unbind."""
    return Reply(text=say("profile.left"), options=_choices("移交", "解绑", "注销"), route="left")


_SWITCH = r"切换(?:县|单位|到)[\s:：]*(?P<name>[一-鿿]{2,20})?"
FLOWS = (_CORRECT, _UNBIND, _ERASE)
ROUTES = [
    Route(name="mine", pattern=r"我的", run=mine, member=True, examples=("我的",)),
    Route(
        name="my-information",
        pattern=r"我的(?:个人)?信息|个人信息",
        run=information,
        member=True,
        examples=("我的信息",),
    ),
    Route(
        name="correct",
        pattern=r"(?P<flow>更正)(?:我的)?(?:信息)?",
        flow=True,
        member=True,
        examples=("更正", "更正信息"),
    ),
    Route(name="unbind", pattern=r"(?P<flow>解绑)(?:单位|账号)?", flow=True, member=True, examples=("解绑",)),
    Route(name="erase", pattern=r"(?P<flow>注销)(?:账号)?", flow=True, member=True, examples=("注销",)),
    Route(
        name="switch", pattern=_SWITCH, run=switch, member=True, examples=("切换县", "切换县 秦安县", "切换到清水县")
    ),
    Route(name="still-here", pattern=r"仍在岗|还在岗|仍在", run=still_here, member=True, examples=("仍在岗",)),
    Route(name="left", pattern=r"已离岗|不在岗了|已调离", run=left, member=True, sentence=True, examples=("已离岗",)),
]
