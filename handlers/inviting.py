"""Who is asked to join: invitations to a body or the province, hand-over, and what a county's head may undo."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from sqlalchemy.orm import Session

from bot.dialogue import Route
from bot.flows import Answers, Flow, Step
from bot.inputs import asks
from bot.messages import Invalid, Link, Option, Refused, Reply, Turn
from bot.texts import say
from bot.workdays import LOCAL, after
from storage import audit, bindings, bodies, calls, deliveries, invitations, people, scope, visits
from storage.models import Binding, CallTask, Invitation, Person

VALID_DAYS = 10  # working days
COUNTY_ROLES = ("county_officer", "contractor", "county_head")
PROVINCE_ROLES = (
    "province_officer", "province_approver", "province_leader", "hotline", "system_admin", "security_admin", "audit_admin",
)  # fmt: skip
_PROVINCIAL = ("province_officer", "security_admin")  # who invite to divisions

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
        raise Invalid(say("inviting.phone_unusable")) from None
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


def reissue(db: Session, body_id: int, now: datetime) -> list[Invited]:
    """New codes for everybody whose invitation to a body waits, expired ones too; the earlier codes end."""
    made = (renew(db, waiting, now) for waiting in invitations.waiting_in(db, body_id))
    return [one for one in made if one is not None]


def roles_given(db: Session, body_id: int | None, division_code: str | None) -> tuple[str, ...]:
    """The roles of a body or a division that the viewer may give, and so make, renew and undo invitations to."""
    viewer = scope.viewer_of(db)
    if body_id is not None:
        return COUNTY_ROLES if viewer.system or scope.reaches(db, viewer, "invite", body_id) else ()
    code = division_code or ""
    held = {grant.role for grant in viewer.grants if grant.division_code and code.startswith(grant.prefix)}
    if viewer.system or "security_admin" in held:
        return PROVINCE_ROLES if code.endswith("0000") else ("city",)
    if "province_officer" in held:
        return ("hotline",) if code.endswith("0000") else ("city",)
    return ()


def read_role(text: str) -> str:
    """A role by its key or its Chinese name. Raises Invalid on an unknown one."""
    found = next((role for role, label in scope.ROLES.items() if text in (role, label)), None)
    if found is None:
        raise Invalid(say("inviting.no_such_role", roles=scope.ROLES.values()))
    return found


def _to_forward(turn: Turn, made: Invited) -> Reply:
    base = turn.given.get("base_url", "")
    text = say(
        "inviting.invited", name=made.person.name, place=made.place, role=scope.ROLES[made.invitation.role],
        code=made.code, until=made.invitation.expires_at.astimezone(LOCAL), number=made.invitation.id,
        url=bind_url(base, made.code),
    )  # fmt: skip
    links = (Link(label=say("inviting.link"), url=bind_url(base, made.code)),) if base else ()
    return Reply(text=text, links=links, route="invite")


def bind_url(base: str, code: str) -> str:
    """The page that begins a binding; empty when the service has no address."""
    return f"{base}/?bind={code}" if base else ""


def _may_invite(turn: Turn) -> Answers:
    if not turn.viewer.may("invite"):
        raise Refused(say("inviting.may_not_invite"))
    if not turn.viewer.roles.isdisjoint(_PROVINCIAL):
        return {}
    assert turn.user is not None
    if turn.user.body_id is None or not scope.reaches(turn.db, turn.viewer, "invite", turn.user.body_id):
        raise Refused(say("inviting.not_head_here"))
    return {"place": {"body_id": turn.user.body_id, "division_code": None}}


def _read_place(turn: Turn, text: str) -> dict[str, Any]:
    """A body by name, 本省, or a city of it, where the speaker may give roles."""
    own = next((one.division_code for one in turn.viewer.grants if one.division_code and one.role in _PROVINCIAL), None)
    named = [one.id for one in bodies.named(turn.db, text) if roles_given(turn.db, one.id, None)]
    if len(named) == 1:
        return {"body_id": named[0], "division_code": None}
    if text == "本省":
        codes = [own] if own else []
    else:
        codes = [code for code in bodies.codes_of(text, own[:2]) if code.endswith("00")] if own else []
    if len(codes) == 1 and roles_given(turn.db, None, codes[0]):
        return {"body_id": None, "division_code": bodies.division(turn.db, codes[0]).code}
    raise Invalid(say("inviting.no_such_place", name=text))


def _roles_for(turn: Turn, answers: Answers) -> tuple[str, ...]:
    return roles_given(turn.db, **_place(answers))


def _read_role(turn: Turn, text: str) -> str:
    allowed = _roles_for(turn, dict(turn.conversation.answers))
    found = next((role for role in allowed if text in (role, scope.ROLES[role])), None)
    if found is None:
        raise Invalid(say("inviting.no_such_role", roles=[scope.ROLES[role] for role in allowed]))
    return found


def person_name(text: str) -> str:
    """A person's name as it is kept. Raises Invalid on what cannot be one, and on a question."""
    name = people.read_name(text)
    if asks(text) or not re.fullmatch(r"[一-鿿·•]{2,15}|[A-Za-z][A-Za-z .·'-]{1,40}", name):
        raise Invalid(say("inviting.no_name"))
    return name


def read_line(_turn: Turn, text: str) -> str:
    """A title or a unit; 跳过 leaves it out. Raises Invalid when it is too long, or a question."""
    if len(text) > 60 or asks(text):
        raise Invalid(say("inviting.too_long"))
    return "" if text == "跳过" else text


def read_phone(_turn: Turn, text: str) -> str:
    """A phone's digits; 跳过 leaves it out. Raises Invalid on what is none."""
    try:
        return "" if text == "跳过" else people.read_phone(text)
    except ValueError:
        raise Invalid(say("inviting.no_phone")) from None


def _invite(turn: Turn, answers: Answers) -> Reply:
    if answers["role"] not in _roles_for(turn, answers):  # a role may have ended while the form was open
        raise Refused(say("inviting.may_not_invite"))
    made = invite(turn.db, now=turn.now, **_place(answers), **{key: answers[key] for key in answers if key != "place"})
    return _to_forward(turn, made)


def _place(answers: Mapping[str, Any]) -> dict[str, Any]:
    return dict(answers["place"])


_SKIP = (Option(label="跳过", value="跳过"),)
_NAME = Step(key="name", ask=say("inviting.ask_name"), parse=lambda _turn, text: person_name(text), prose=True)
_PHONE = Step(key="phone", ask=say("inviting.ask_phone"), parse=read_phone, options=_SKIP)
_INVITE = Flow(
    name="邀请",
    title="邀请人员",
    steps=(
        Step(key="place", ask=say("inviting.ask_place"), parse=_read_place),
        Step(
            key="role",
            ask=lambda turn, answers: say("inviting.ask_role", place=bodies.place(turn.db, **_place(answers))),
            options=lambda turn, answers: tuple(
                Option(label=scope.ROLES[role], value=scope.ROLES[role]) for role in _roles_for(turn, answers)
            ),
            parse=_read_role,
        ),
        _NAME,
        Step(key="unit", ask=say("inviting.ask_unit"), parse=read_line, options=_SKIP, prose=True),
        Step(key="title", ask=say("inviting.ask_title"), parse=read_line, options=_SKIP, prose=True),
        _PHONE,
    ),
    start=_may_invite,
    done=_invite,
)


def hand_over(turn: Turn) -> Reply:
    """Invite a successor; when the code is used, the role of the one who hands over ends."""
    assert turn.user is not None
    found = re.fullmatch(_HAND_OVER, turn.text)
    name = person_name(found["name"]) if found and found["name"] else ""
    here = [role for role in people.roles(turn.db, turn.user.id) if role.body_id == turn.user.body_id]
    mine = next((role for role in here if role.role in COUNTY_ROLES), None)
    if mine is None:
        raise Refused(say("inviting.nothing_to_hand_over"))
    if not name:
        return Reply(text=say("inviting.hand_over_to_whom"), route="hand-over")
    if not (found and found["sure"]):
        place, role = bodies.place(turn.db, mine.body_id, None), scope.ROLES[mine.role]
        sure = Option(label=f"确认移交给 {name}", value=f"确认移交给 {name}")
        text = say("inviting.sure_to_hand_over", name=name, place=place, role=role)
        return Reply(text=text, options=(sure, Option(label="取消", value="取消")), route="hand-over")
    made = invite(
        turn.db, name=name, role=mine.role, body_id=mine.body_id, unit=people.unit_name(turn.db, turn.user),
        succeeds=turn.user.id, now=turn.now,
    )  # fmt: skip
    reply = _to_forward(turn, made)
    return Reply(text=f"{reply.text}\n{say('inviting.role_stays_until')}", links=reply.links, route="hand-over")


# --- who follows somebody that the hotline found gone --------------------------------------------------------------------


def _found_gone(turn: Turn) -> Answers:
    """The call, and what is said already of who is gone and who follows. Raises Refused."""
    found = re.fullmatch(_SUCCEEDS, turn.text)
    task = calls.find(turn.db, int(found["number"])) if found else None
    may_invite = task is not None and scope.reaches(turn.db, turn.viewer, "invite", task.body_id)
    if found is None or task is None or task.outcome != "已换人" or not (may_invite or turn.viewer.may("call")):
        raise Refused(say("inviting.no_such_call"))
    gone = {person.name: person.id for person, _ in _gone(turn, task)}
    if not gone:
        raise Refused(say("inviting.nobody_gone"))
    named = found["gone"] if found["gone"] in gone else None if len(gone) > 1 else next(iter(gone))
    known: dict[str, Any] = {"call": task.id, "invites": may_invite}
    return (
        known
        | ({"gone": gone[named]} if named else {})
        | ({"name": person_name(found["name"])} if found["name"] else {})
    )


def _gone(turn: Turn, task: CallTask) -> list[tuple[Person, str]]:
    """Whom a call was for and who still holds a role there, with the role."""
    called = {line["person"] for line in task.lines}
    with scope.serving(turn.db, scope.SYSTEM):
        held = [(one, role) for role in COUNTY_ROLES for one in people.holding(turn.db, role, task.body_id)]
    return [(one, role) for one, role in held if one.id in called]


def _called(turn: Turn, answers: Answers) -> CallTask:
    task = calls.find(turn.db, answers["call"])
    if task is None:
        raise Refused(say("inviting.no_such_call"))
    return task


def _read_gone(turn: Turn, text: str) -> int:
    gone = _gone(turn, _called(turn, dict(turn.conversation.answers)))
    found = next((one.id for one, _ in gone if one.name == text), None)
    if found is None:
        raise Invalid(say("inviting.ask_gone"))
    return found


def _gone_options(turn: Turn, answers: Answers) -> tuple[Option, ...]:
    return tuple(Option(label=one.name, value=one.name) for one, _ in _gone(turn, _called(turn, answers)))


def _succeed(turn: Turn, answers: Answers) -> Reply:
    """Invite the successor; whoever may not invite passes the name on to those who may."""
    task = _called(turn, answers)
    found = next(((one, role) for one, role in _gone(turn, task) if one.id == answers["gone"]), None)
    if found is None:
        raise Refused(say("inviting.nobody_gone"))
    gone, role = found
    if not scope.reaches(turn.db, turn.viewer, "invite", task.body_id):
        return _pass_on(turn, task, gone, answers["name"])
    made = invite(
        turn.db, name=answers["name"], phone=answers.get("phone", ""), role=role, body_id=task.body_id, succeeds=gone.id,
        now=turn.now,
    )  # fmt: skip
    reply = _to_forward(turn, made)
    text = f"{reply.text}\n{say('inviting.their_role_stays', name=gone.name)}"
    return Reply(text=text, links=reply.links, route="succession")


def _pass_on(turn: Turn, task: CallTask, gone: Person, name: str) -> Reply:
    """Tell the county's heads and the province who follows whom; one tap of theirs begins the invitation."""
    place = bodies.place(turn.db, task.body_id, None)
    with scope.serving(turn.db, scope.SYSTEM):
        heads = [one.id for one in people.holding(turn.db, "county_head", task.body_id) if one.id != gone.id]
    text = say("inviting.follows", place=place, gone=gone.name, name=name)
    option = Option(label=say("inviting.invite_them", name=name), value=f"接任 #{task.id} {name} 接替 {gone.name}")
    for person_id in dict.fromkeys((*heads, *people.over(turn.db, "province_officer", task.body_id))):
        deliveries.put(
            turn.db, source=f"call:{task.id}", version=2, recipient=deliveries.person(person_id), lane="confirmation",
            reply=Reply(text=text, options=(option,), route="calls.told").to_json(),
            why=say("inviting.why_follows", place=place), now=turn.now,
        )  # fmt: skip
    return Reply(text=say("inviting.passed_on", place=place, name=name), route="succession")


def another_channel(turn: Turn) -> Reply:
    """A code with which a person binds one more channel to themselves."""
    assert turn.user is not None
    held = people.roles(turn.db, turn.user.id)
    if not held:
        raise Refused(say("inviting.no_role_left"))
    role = next((one for one in held if one.body_id == turn.user.body_id), held[0])
    made = invite_person(
        turn.db, turn.user, role=role.role, body_id=role.body_id, division_code=role.division_code, now=turn.now
    )
    until = made.invitation.expires_at.astimezone(LOCAL)
    return Reply(text=say("inviting.own_code", code=made.code, until=until), route="another-channel")


# --- a county's people ---------------------------------------------------------------------------------------------------


def staff(turn: Turn) -> Reply:
    """Who is bound or invited in the body spoken for, with the numbers to undo it by."""
    user = turn.user
    if user is None or user.body_id is None or not scope.reaches(turn.db, turn.viewer, "invite", user.body_id):
        raise Refused(say("inviting.not_head_here"))
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
        "inviting.staff", place=place, held=held,
        used=[(number, named[number]) for number in used],
        waiting=[(one.id, named[one.id], one.expires_at.astimezone(LOCAL), one.expires_at <= turn.now) for one in waiting],
    )  # fmt: skip
    return Reply(text=text, route="staff")


def undo(turn: Turn) -> Reply:
    """Revoke an invitation; when it was used, end the binding and the role that came of it."""
    found = re.fullmatch(_UNDO, turn.text)
    assert found is not None
    invitation = given(turn.db, int(found["number"]))
    if invitation is None or invitation.revoked_at:
        raise Invalid(say("inviting.not_found"))
    revoke(turn.db, invitation, turn.now)
    return Reply(text=say("inviting.revoked", number=invitation.id), route="revoke")


def given(db: Session, number: int) -> Invitation | None:
    """An invitation to a role that the viewer may give, also where they read nothing; None for any other."""
    with scope.serving(db, scope.SYSTEM):
        found = invitations.numbered(db, number)
    return found if found and found.role in roles_given(db, found.body_id, found.division_code) else None


def renew(db: Session, invitation: Invitation, now: datetime) -> Invited | None:
    """A new code for an invitation that waits; None when it does not wait.

    None also when the person holds a role that the viewer may not give: the code would open that one as well.
    """
    with scope.serving(db, scope.SYSTEM):
        person = db.get_one(Person, invitation.person_id)
    held = people.roles(db, person.id)
    may = all(one.role in roles_given(db, one.body_id, one.division_code) for one in held)
    if invitation.used_at or invitation.revoked_at or not may:
        return None
    return invite_person(
        db, person, role=invitation.role, body_id=invitation.body_id, division_code=invitation.division_code,
        succeeds=invitation.succeeds, now=now,
    )  # fmt: skip


def revoke(db: Session, invitation: Invitation, now: datetime) -> None:
    """Undo an invitation in the viewer's name; with a binding that came of it goes what was done by it to stay."""
    viewer = scope.viewer_of(db)
    with scope.serving(db, scope.SYSTEM):
        db.refresh(invitation, with_for_update=True)  # whoever is using it at this moment has used it by now
        used = invitation.used_at is not None
        invitation.revoked_at = now
        if used:
            for role in people.roles(db, invitation.person_id):
                if (role.role, role.body_id, role.division_code) == invitations.gives(invitation):
                    people.end_role(db, role, now)
            for made in invitations.made_by(db, invitation.person_id, invitation.body_id, invitation.division_code):
                made.revoked_at = now
            visits.forget(db, invitation.person_id, now)
            binding = db.get(Binding, invitation.binding_id) if invitation.binding_id else None
            if binding is not None and binding.ended_at is None:
                bindings.end(db, binding, "撤销", now)
    audit.record(
        db, "revoke", f"invitation:{invitation.id}", now=now, role=viewer.role_for("invite"), body_id=invitation.body_id,
        before={"person": invitation.person_id, "role": invitation.role, "used": used},
    )  # fmt: skip


_HAND_OVER = r"移交(?:工作)?|(?P<sure>确认)?移交给[\s:：]*(?P<name>[一-鿿·]{2,6})"
_UNDO = r"撤销(?:绑定|邀请)\s*#?(?P<number>\d{1,9})"
_SUCCEEDS = (
    r"(?P<flow>接任)\s*#?(?P<number>\d{1,9})(?:\s+(?P<name>[^\s\d]{2,30})(?:\s+接替\s*(?P<gone>[^\s\d]{1,30}))?)?"
)
_SUCCESSION = Flow(
    name="接任",
    title="登记接任人员",
    steps=(
        Step(key="gone", ask=say("inviting.ask_gone"), parse=_read_gone, options=_gone_options),
        _NAME,
        replace(_PHONE, when=lambda answers: answers["invites"]),  # who only passes the name on leaves no phone
    ),
    start=_found_gone,
    done=_succeed,
)
FLOWS = (_INVITE, _SUCCESSION)
ROUTES = [
    Route(
        name="invite", pattern=r"(?P<flow>邀请)(?:人员|同事)?", flow=True, member=True, examples=("邀请", "邀请人员")
    ),
    Route(name="staff", pattern=r"(?:本县|我县)人员(?:名单|清单)?", run=staff, member=True, examples=("本县人员",)),
    Route(name="revoke", pattern=_UNDO, run=undo, member=True, examples=("撤销绑定 12", "撤销邀请12")),
    Route(
        name="hand-over",
        pattern=_HAND_OVER,
        run=hand_over,
        member=True,
        examples=("移交给 李四", "移交", "确认移交给 李四"),
    ),
    Route(
        name="succession",
        pattern=_SUCCEEDS,
        flow=True,
        member=True,
        examples=("接任 #3", "接任 #3 李四", "接任 #3 李四 接替 王五"),
    ),
    Route(
        name="another-channel",
        pattern=r"(?:再)?绑定(?:其他|另一个|新)渠道|换微信",
        run=another_channel,
        member=True,
        examples=("绑定其他渠道",),
    ),
]
