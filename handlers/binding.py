"""Who may speak for whom: invitations, binding by a code, and what their county's head may undo."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import structlog
from sqlalchemy.orm import Session

from bot.dialogue import Route
from bot.flows import Answers, Flow, Step
from bot.messages import Invalid, Link, Option, Refused, Reply, Turn
from bot.texts import say
from bot.workdays import LOCAL, after
from storage import audit, bindings, bodies, deliveries, invitations, people, scope
from storage.models import Binding, Invitation, Person

PRIVACY = "2026-1"  # the version of the notice at /privacy
VALID_DAYS = 10  # working days
TRIES_AN_HOUR = 5
MISSES_A_DAY = 200  # on one channel; then its codes are not tried until the next day
CHANNELS = {"wechat": "微信", "wecom": "企业微信", "telegram": "Telegram", "web": "网页", "terminal": "终端"}
COUNTY_ROLES = ("county_officer", "contractor", "county_head")
PROVINCE_ROLES = (
    "province_officer", "province_approver", "province_leader", "hotline", "system_admin", "security_admin", "audit_admin",
)  # fmt: skip
_CODE = r"[0-9A-Za-z０-９Ａ-Ｚａ-ｚ][0-9A-Za-z０-９Ａ-Ｚａ-ｚ\s\-－—–_.]{2,24}"
_BARE = r"(?=.*[A-Za-zＡ-Ｚａ-ｚ\-－])[0-9A-Za-z０-９Ａ-Ｚａ-ｚ]{4}\s?[\-－]?\s?[0-9A-Za-z０-９Ａ-Ｚａ-ｚ]{4}"
log = structlog.get_logger()


def on_channel(channel: str) -> str:
    """A channel's name on the screen."""
    return CHANNELS.get(channel, channel)


# --- inviting ------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class Invited:
    """Somebody who has been invited, with the code that only now is known."""

    invitation: Invitation
    person: Person
    place: str
    code: str


def invite(
    db: Session,
    *,
    name: str,
    role: str,
    now: datetime,
    body_id: int | None = None,
    division_code: str | None = None,
    unit: str = "",
    title: str = "",
    phone: str = "",
    succeeds: int | None = None,
) -> Invited:
    """Invite somebody in the viewer's name. Raises Invalid when the phone is unusable."""
    try:
        person, _new = people.find_or_add(
            db, name=name, now=now, body_id=body_id, unit=unit, title=title, phone=phone
        )  # fmt: skip
    except ValueError:
        raise Invalid(say("binding.phone_unusable")) from None
    return invite_person(
        db, person, role=role, now=now, body_id=body_id, division_code=division_code, succeeds=succeeds
    )


def invite_person(
    db: Session,
    person: Person,
    *,
    role: str,
    now: datetime,
    body_id: int | None = None,
    division_code: str | None = None,
    succeeds: int | None = None,
) -> Invited:
    """Make a code for a person who is known, in the viewer's name."""
    viewer = scope.viewer_of(db)
    made, code = invitations.make(
        db, person=person, role=role, body_id=body_id, division_code=division_code, made_by=viewer.person_id,
        succeeds=succeeds, now=now, expires_at=after(now, VALID_DAYS),
    )  # fmt: skip
    audit.record(
        db, "invite", f"invitation:{made.id}", now=now, role=viewer.role_for("invite") or role, body_id=body_id,
        after={"person": person.id, "name": people.masked_name(person.name), "role": role},
    )  # fmt: skip
    place = bodies.place(db, body_id, division_code)
    return Invited(invitation=made, person=person, place=place, code=code)


def _to_forward(turn: Turn, made: Invited) -> Reply:
    base = turn.given.get("base_url", "")
    text = say(
        "binding.invited", name=made.person.name, place=made.place, role=scope.ROLES[made.invitation.role],
        code=made.code, until=made.invitation.expires_at.astimezone(LOCAL), number=made.invitation.id,
        url=bind_url(base, made.code),
    )  # fmt: skip
    links = (Link(label=say("binding.link"), url=bind_url(base, made.code)),) if base else ()
    return Reply(text=text, links=links, route="invite")


def bind_url(base: str, code: str) -> str:
    """The page that begins a binding; empty when the service has no address."""
    return f"{base}/?bind={code}" if base else ""


def _may_invite(turn: Turn) -> Answers:
    if not turn.viewer.may("invite"):
        raise Refused(say("binding.may_not_invite"))
    if turn.viewer.roles & {"province_officer", "security_admin"}:
        return {}
    assert turn.user is not None
    if turn.user.body_id is None or not scope.reaches(turn.db, turn.viewer, "invite", turn.user.body_id):
        raise Refused(say("binding.not_head_here"))
    return {"place": {"body_id": turn.user.body_id, "division_code": None}}


def _read_place(turn: Turn, text: str) -> dict[str, Any]:
    """A body by name, 本省, or a city of it."""
    own = next((grant.division_code for grant in turn.viewer.grants if grant.division_code), None)
    if text == "本省" and own:
        return {"body_id": None, "division_code": own}
    if "province_officer" in turn.viewer.roles:
        found = [one for one in bodies.named(turn.db, text) if scope.reaches(turn.db, turn.viewer, "invite", one.id)]
        if len(found) == 1:
            return {"body_id": found[0].id, "division_code": None}
        cities = [code for code in bodies.codes_of(text, (own or "")[:2]) if code.endswith("00")]
        if own and len(cities) == 1:
            return {"body_id": None, "division_code": bodies.division(turn.db, cities[0]).code}
    raise Invalid(say("binding.no_such_place", name=text))


def _roles_for(turn: Turn, answers: Answers) -> tuple[str, ...]:
    place = answers["place"]
    if place["body_id"] is not None:
        return COUNTY_ROLES
    if not place["division_code"].endswith("0000"):
        return ("city",)
    return PROVINCE_ROLES if "security_admin" in turn.viewer.roles else ("hotline",)


def _read_role(turn: Turn, text: str) -> str:
    allowed = _roles_for(turn, dict(turn.conversation.answers))
    found = next((role for role in allowed if text in (role, scope.ROLES[role])), None)
    if found is None:
        raise Invalid(say("binding.no_such_role", roles=[scope.ROLES[role] for role in allowed]))
    return found


def read_name(_turn: Turn, text: str) -> str:
    """A person's name. Raises Invalid on what cannot be one."""
    if not re.fullmatch(r"[一-鿿·•]{2,15}|[A-Za-z][A-Za-z .·'-]{1,40}", text):
        raise Invalid(say("binding.no_name"))
    return text


def read_line(_turn: Turn, text: str) -> str:
    """A title or a unit; 跳过 leaves it out. Raises Invalid when it is too long."""
    if len(text) > 60:
        raise Invalid(say("binding.too_long"))
    return "" if text == "跳过" else text


def read_phone(_turn: Turn, text: str) -> str:
    """A phone's digits; 跳过 leaves it out. Raises Invalid on what is none."""
    try:
        return "" if text == "跳过" else people.read_phone(text)
    except ValueError:
        raise Invalid(say("binding.no_phone")) from None


def _invite(turn: Turn, answers: Answers) -> Reply:
    made = invite(turn.db, now=turn.now, **_place(answers), **{key: answers[key] for key in answers if key != "place"})
    return _to_forward(turn, made)


def _place(answers: Mapping[str, Any]) -> dict[str, Any]:
    return dict(answers["place"])


_SKIP = (Option(label="跳过", value="跳过"),)
_INVITE = Flow(
    name="邀请",
    title="邀请人员",
    steps=(
        Step(key="place", ask=say("binding.ask_place"), parse=_read_place),
        Step(
            key="role",
            ask=lambda turn, answers: say("binding.ask_role", place=bodies.place(turn.db, **_place(answers))),
            options=lambda turn, answers: tuple(
                Option(label=scope.ROLES[role], value=scope.ROLES[role]) for role in _roles_for(turn, answers)
            ),
            parse=_read_role,
        ),
        Step(key="name", ask=say("binding.ask_name"), parse=read_name),
        Step(key="unit", ask=say("binding.ask_unit"), parse=read_line, options=_SKIP),
        Step(key="title", ask=say("binding.ask_title"), parse=read_line, options=_SKIP),
        Step(key="phone", ask=say("binding.ask_phone"), parse=read_phone, options=_SKIP),
    ),
    start=_may_invite,
    done=_invite,
)


def hand_over(turn: Turn) -> Reply:
    """Invite a successor; when the code is used, the role of the one who hands over ends."""
    assert turn.user is not None
    found = re.fullmatch(_HAND_OVER, turn.text)
    name = read_name(turn, found["name"]) if found and found["name"] else ""
    here = [role for role in people.roles(turn.db, turn.user.id) if role.body_id == turn.user.body_id]
    mine = next((role for role in here if role.role in COUNTY_ROLES), None)
    if mine is None:
        raise Refused(say("binding.nothing_to_hand_over"))
    if not name:
        return Reply(text=say("binding.hand_over_to_whom"), route="hand-over")
    made = invite(
        turn.db, name=name, role=mine.role, body_id=mine.body_id, unit=people.unit_name(turn.db, turn.user),
        succeeds=turn.user.id, now=turn.now,
    )  # fmt: skip
    reply = _to_forward(turn, made)
    return Reply(text=f"{reply.text}\n{say('binding.role_stays_until')}", links=reply.links, route="hand-over")


def another_channel(turn: Turn) -> Reply:
    """A code with which a person binds one more channel to themselves."""
    assert turn.user is not None
    held = people.roles(turn.db, turn.user.id)
    if not held:
        raise Refused(say("binding.no_role_left"))
    role = next((one for one in held if one.body_id == turn.user.body_id), held[0])
    made = invite_person(
        turn.db, turn.user, role=role.role, body_id=role.body_id, division_code=role.division_code, now=turn.now
    )
    until = made.invitation.expires_at.astimezone(LOCAL)
    return Reply(text=say("binding.own_code", code=made.code, until=until), route="another-channel")


# --- binding -------------------------------------------------------------------------------------------------------------


def how_to(turn: Turn) -> Reply:
    """How a binding begins."""
    return Reply(text=say("binding.how"), route="bind.how")


def begin(turn: Turn) -> Reply:
    """Show as whom a code binds, and what is kept; or the one answer that every unusable code gets."""
    found = re.fullmatch(_BIND, turn.text) or re.fullmatch(_BARE, turn.text)
    assert found is not None
    invitation = _try(turn, found.groupdict().get("code") or turn.text)
    if invitation is None:
        return Reply(text=say("binding.unusable", tries=TRIES_AN_HOUR), route="bind.unusable")
    turn.conversation.flow = _BIND_FLOW.name
    turn.conversation.answers = [["invitation", invitation.id]]
    answers = dict(turn.conversation.answers)
    return Reply(text=_as_whom(turn, answers), options=_CONSENT, kind="flow", route="flow:绑定")


def _try(turn: Turn, typed: str) -> Invitation | None:
    channel, address = turn.inbound.channel, turn.inbound.address
    hour, day = turn.now - timedelta(hours=1), _midnight(turn.now)
    if invitations.misses(turn.db, hour, channel, address) >= TRIES_AN_HOUR:
        return None
    if invitations.misses(turn.db, day, channel) >= MISSES_A_DAY:
        return None
    code = invitations.read(typed)
    found = invitations.open_for(turn.db, code, turn.now) if code else None
    if found is None:
        invitations.miss(turn.db, channel, address, turn.now)
        if (count := invitations.misses(turn.db, day)) == MISSES_A_DAY:
            log.error("invitation codes are being guessed", misses=count, channel=channel)
    return found


def _midnight(now: datetime) -> datetime:
    return now.astimezone(LOCAL).replace(hour=0, minute=0, second=0, microsecond=0)


def _load(turn: Turn, number: int) -> tuple[Invitation, Person]:
    """The invitation of an open form. Raises Refused when it has been used or has run out since."""
    with scope.serving(turn.db, scope.SYSTEM):
        found = turn.db.get_one(Invitation, number)
        if found.used_at or found.revoked_at or found.expires_at <= turn.now:
            raise Refused(say("binding.unusable", tries=TRIES_AN_HOUR))
        return found, turn.db.get_one(Person, found.person_id)


def _as_whom(turn: Turn, answers: Answers) -> str:
    invitation, person = _load(turn, answers["invitation"])
    return say(
        "binding.as_whom", name=person.name, unit=people.unit_name(turn.db, person), role=scope.ROLES[invitation.role],
        place=bodies.place(turn.db, invitation.body_id, invitation.division_code), province=turn.given.get("province", ""),
        base=turn.given.get("base_url", ""), now_bound=turn.user.name if turn.user and turn.user.id != person.id else "",
        channel=on_channel(turn.inbound.channel),
    )  # fmt: skip


def _read_consent(_turn: Turn, text: str) -> bool:
    if text in ("同意并绑定", "同意", "同意绑定", "确认", "确认绑定"):
        return True
    if text in ("不是我", "不是本人"):
        return False
    raise Invalid(say("binding.ask_consent"))


def _decide(turn: Turn, answers: Answers) -> Reply:
    invitation, person = _load(turn, answers["invitation"])
    if not answers["consent"]:
        return _not_me(turn, invitation, person)
    person = _same_person(turn, person)
    with scope.serving(turn.db, scope.SYSTEM):
        _accept(turn, invitation, person)
    scope.enter(turn.db, person, turn.inbound.channel)
    _write_down(turn, invitation, person)
    _tell(turn, invitation, person)
    place = bodies.place(turn.db, invitation.body_id, invitation.division_code)
    several = len({role.body_id for role in people.roles(turn.db, person.id) if role.body_id}) > 1
    text = say("binding.bound", name=person.name, place=place, role=scope.ROLES[invitation.role], several=several)
    return Reply(text=text, options=(Option(label="我的信息", value="我的信息"),), route="bind.done")


def _same_person(turn: Turn, invited: Person) -> Person:
    """Whom the address speaks for, when that is who was invited under a number of its own in another county."""
    known = turn.user
    if known is None or known.id == invited.id or known.name != invited.name or invited.consent is not None:
        return invited
    with scope.serving(turn.db, scope.SYSTEM):
        invited.erased_at, invited.name = turn.now, f"用户#{invited.id}"
        known.title, known.unit_id = known.title or invited.title, known.unit_id or invited.unit_id
        people.set_phone(turn.db, invited, "")
    return known


def _accept(turn: Turn, invitation: Invitation, person: Person) -> None:
    """Bind, give the role, keep the consent, and end the role that is handed over."""
    db, now = turn.db, turn.now
    known = bindings.live(db, turn.inbound.channel, turn.inbound.address)
    binding = bindings.bind(db, person, turn.inbound.channel, turn.inbound.address, now)
    invitation.used_at, invitation.person_id = now, person.id
    if known is None or known.id != binding.id:
        invitation.binding_id = binding.id
    people.give_role(
        db, person, invitation.role, body_id=invitation.body_id, division_code=invitation.division_code, now=now
    )
    person.consent, person.consent_at, person.verified_at, person.seen_at = PRIVACY, now, now, now
    if invitation.succeeds is not None and invitation.succeeds != person.id:
        for role in people.roles(db, invitation.succeeds):
            if (role.role, role.body_id) == (invitation.role, invitation.body_id):
                people.end_role(db, role, now)


def _write_down(turn: Turn, invitation: Invitation, person: Person) -> None:
    def write(action: str, subject: str, **values: Any) -> None:  # Any: JSON values of the change
        audit.record(
            turn.db, action, subject, now=turn.now, role=invitation.role, body_id=invitation.body_id, after=values
        )

    write("bind", f"person:{person.id}", invitation=invitation.id, channel=turn.inbound.channel, role=invitation.role)
    write("consent", f"person:{person.id}", version=PRIVACY)
    if invitation.succeeds is not None and invitation.succeeds != person.id:
        write("end_role", f"person:{invitation.succeeds}", role=invitation.role, successor=person.id)


def _tell(turn: Turn, invitation: Invitation, person: Person) -> None:
    """Tell the county's heads and the inviter who has bound, and the predecessor that the role has passed on."""
    place = bodies.place(turn.db, invitation.body_id, invitation.division_code)
    told = {} if invitation.body_id is None else {one.id: one for one in _heads(turn.db, invitation.body_id)}
    numbers = {*told, *([invitation.made_by] if invitation.made_by else [])} - {person.id, invitation.succeeds}
    text = say(
        "binding.told_head", name=person.name, place=place, role=scope.ROLES[invitation.role], number=invitation.id,
        channel=on_channel(turn.inbound.channel),
    )  # fmt: skip
    for number in sorted(numbers):
        _send(turn, invitation, number, text, say("binding.why_told"))
    if invitation.succeeds is not None and invitation.succeeds != person.id:
        text = say("binding.succeeded", name=person.name, place=place, role=scope.ROLES[invitation.role])
        _send(turn, invitation, invitation.succeeds, text, say("binding.why_succeeded"))


def _heads(db: Session, body_id: int) -> list[Person]:
    return people.holding(db, "county_head", body_id)


def _send(turn: Turn, invitation: Invitation, number: int, text: str, why: str) -> None:
    deliveries.put(
        turn.db, source=f"invitation:{invitation.id}", recipient=deliveries.person(number), lane="confirmation",
        reply=Reply(text=text, route="told").to_json(), why=why, now=turn.now,
    )  # fmt: skip


def _not_me(turn: Turn, invitation: Invitation, person: Person) -> Reply:
    """Revoke a code that reached somebody else, and say so to whoever made it."""
    with scope.serving(turn.db, scope.SYSTEM):
        invitation.revoked_at = turn.now
    audit.record(
        turn.db, "revoke", f"invitation:{invitation.id}", now=turn.now, role=invitation.role, reason="不是本人",
        body_id=invitation.body_id,
    )  # fmt: skip
    if invitation.made_by is not None:
        text = say("binding.went_astray", name=person.name, number=invitation.id)
        _send(turn, invitation, invitation.made_by, text, say("binding.why_told"))
    return Reply(text=say("binding.not_bound"), route="bind.not-me")


_CONSENT = tuple(Option(label=label, value=label) for label in ("同意并绑定", "不是我", "取消"))
_BIND_FLOW = Flow(
    name="绑定",
    title="绑定单位",
    steps=(Step(key="consent", ask=_as_whom, options=_CONSENT, parse=_read_consent),),
    done=_decide,
)


# --- a county's people ---------------------------------------------------------------------------------------------------


def staff(turn: Turn) -> Reply:
    """Who is bound or invited in the body spoken for, with the numbers to undo it by."""
    user = turn.user
    if user is None or user.body_id is None or not scope.reaches(turn.db, turn.viewer, "invite", user.body_id):
        raise Refused(say("binding.not_head_here"))
    place = bodies.place(turn.db, user.body_id, None)
    held = [
        (person.name, scope.ROLES[role])
        for role in COUNTY_ROLES
        for person in people.holding(turn.db, role, user.body_id)
    ]
    used = {one.id: one for one in invitations.used_in(turn.db, user.body_id)}
    waiting = invitations.waiting_in(turn.db, user.body_id)
    with scope.serving(turn.db, scope.SYSTEM):
        named = {one.id: turn.db.get_one(Person, one.person_id).name for one in (*used.values(), *waiting)}
    text = say(
        "binding.staff", place=place, held=held,
        used=[(number, named[number]) for number in used],
        waiting=[(one.id, named[one.id], one.expires_at.astimezone(LOCAL), one.expires_at <= turn.now) for one in waiting],
    )  # fmt: skip
    return Reply(text=text, route="staff")


def undo(turn: Turn) -> Reply:
    """Revoke an invitation; when it was used, end the binding and the role that came of it."""
    found = re.fullmatch(_UNDO, turn.text)
    assert found is not None
    invitation = invitations.numbered(turn.db, int(found["number"]))
    if invitation is None or invitation.revoked_at or not _may_undo(turn, invitation):
        raise Invalid(say("binding.not_found"))
    revoke(turn.db, invitation, turn.now)
    return Reply(text=say("binding.revoked", number=invitation.id), route="revoke")


def _may_undo(turn: Turn, invitation: Invitation) -> bool:
    if invitation.body_id is None:
        return turn.viewer.may("invite") and (
            "security_admin" in turn.viewer.roles or invitation.made_by == turn.viewer.person_id
        )
    return scope.reaches(turn.db, turn.viewer, "invite", invitation.body_id)


def revoke(db: Session, invitation: Invitation, now: datetime) -> None:
    """Undo an invitation in the viewer's name."""
    viewer = scope.viewer_of(db)
    with scope.serving(db, scope.SYSTEM):
        used = invitation.used_at is not None
        invitation.revoked_at = now
        if used:
            for role in people.roles(db, invitation.person_id):
                if (role.role, role.body_id, role.division_code) == (
                    invitation.role, invitation.body_id, invitation.division_code,
                ):  # fmt: skip
                    people.end_role(db, role, now)
            binding = db.get(Binding, invitation.binding_id) if invitation.binding_id else None
            if binding is not None and binding.ended_at is None:
                bindings.end(db, binding, "撤销", now)
    audit.record(
        db, "revoke", f"invitation:{invitation.id}", now=now, role=viewer.role_for("invite"), body_id=invitation.body_id,
        before={"person": invitation.person_id, "role": invitation.role, "used": used},
    )  # fmt: skip


_BIND = rf"(?:绑定|邀请码)(?:单位)?[\s:：]*(?P<code>{_CODE})"
_HAND_OVER = r"移交(?:工作)?(?:给)?[\s:：]*(?P<name>[一-鿿·]{2,15})?"
_UNDO = r"撤销(?:绑定|邀请)\s*#?(?P<number>\d{1,9})"
FLOWS = (_BIND_FLOW, _INVITE)
ROUTES = [
    Route(name="bind", pattern=rf"{_BIND}|{_BARE}", run=begin, examples=("绑定 7K2M-9QXA", "7k2m 9qxa", "绑定７Ｋ２Ｍ９ＱＸＡ")),
    Route(name="bind.how", pattern=r"绑定(?:单位)?|怎么绑定(?:单位)?|如何绑定", run=how_to, examples=("绑定", "怎么绑定")),
    Route(name="invite", pattern=r"(?P<flow>邀请)(?:人员|同事)?", flow=True, member=True, examples=("邀请", "邀请人员")),
    Route(name="staff", pattern=r"(?:本县|我县)?人员(?:名单|清单)?", run=staff, member=True, examples=("本县人员",)),
    Route(name="revoke", pattern=_UNDO, run=undo, member=True, examples=("撤销绑定 12", "撤销邀请12")),
    Route(name="hand-over", pattern=_HAND_OVER, run=hand_over, member=True, examples=("移交给 李四", "移交")),
    Route(
        name="another-channel", pattern=r"(?:再)?绑定(?:其他|另一个|新)渠道|换微信", run=another_channel, member=True,
        examples=("绑定其他渠道",),
    ),
]  # fmt: skip
