"""Binding an address to a person by a code: as whom, what is kept, and who is told."""

import re
from datetime import datetime, timedelta
from typing import Any

import structlog
from sqlalchemy.orm import Session

from bot.dialogue import Route
from bot.flows import Answers, Flow, Step
from bot.messages import Invalid, Option, Refused, Reply, Turn
from bot.texts import say
from bot.workdays import LOCAL
from storage import audit, bindings, bodies, deliveries, invitations, people, scope
from storage.models import Delivery, Invitation, Person

PRIVACY = "2026-1"  # the version of the notice at /privacy
TRIES_AN_HOUR = 5
MISSES_A_DAY = 200  # on one channel; then its codes are not tried until the next day
CHANNELS = {"wechat": "微信", "wecom": "企业微信", "telegram": "Telegram", "web": "网页", "terminal": "终端"}
_CODE = r"[0-9A-Za-z０-９Ａ-Ｚａ-ｚ][0-9A-Za-z０-９Ａ-Ｚａ-ｚ\s\-－—–_.]{2,24}"
_BARE = r"(?=.*[0-9０-９\-－])(?=.*[A-Za-zＡ-Ｚａ-ｚ\-－])[0-9A-Za-z０-９Ａ-Ｚａ-ｚ]{4}\s?[\-－]?\s?[0-9A-Za-z０-９Ａ-Ｚａ-ｚ]{4}"
log = structlog.get_logger()


def on_channel(channel: str) -> str:
    """A channel's name on the screen."""
    return CHANNELS.get(channel, channel)


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
        if (count := invitations.misses(turn.db, day, channel)) == MISSES_A_DAY:
            log.error("invitation codes are being guessed", misses=count, channel=channel)
    return found


def _midnight(now: datetime) -> datetime:
    return now.astimezone(LOCAL).replace(hour=0, minute=0, second=0, microsecond=0)


def _load(turn: Turn, number: int, *, decides: bool = False) -> tuple[Invitation, Person]:
    """The invitation of an open form. Raises Refused when it has been used or has run out since.

    Of two who decide about one at the same time, the second waits and is refused.
    """
    with scope.serving(turn.db, scope.SYSTEM):
        found = turn.db.get_one(Invitation, number, populate_existing=decides, with_for_update=decides or None)
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
    invitation, person = _load(turn, answers["invitation"], decides=True)
    if not answers["consent"]:
        return _not_me(turn, invitation, person)
    person = _same_person(turn, person)
    _leave(turn, person)
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
    people.merge(turn.db, invited, known, turn.now)
    return known


def _leave(turn: Turn, person: Person) -> None:
    """Write down that the address no longer speaks for whom it did."""
    before = turn.user
    if before is not None and before.id != person.id:
        audit.record(
            turn.db, "unbind", f"person:{before.id}", now=turn.now, role=next(iter(sorted(turn.viewer.roles)), ""),
            body_id=before.body_id, after={"channel": turn.inbound.channel}, reason="改绑",
        )  # fmt: skip


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


def settled(db: Session, delivery: Delivery) -> str | None:
    """Why a message about a binding must not go out any more: it was undone, or its recipient has left the place.

    Whose role has passed on hears of it all the same.
    """
    number, person_id = (int(one.partition(":")[2]) for one in (delivery.source, delivery.recipient))
    with scope.serving(db, scope.SYSTEM):
        invitation = db.get_one(Invitation, number)
        if person_id == invitation.succeeds:
            return None
        if invitation.used_at and invitation.revoked_at:
            return "revoked"
        viewer = scope.standing(db, person_id)
        return None if scope.covers(db, viewer, invitation.body_id, invitation.division_code) else "left"


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


_BIND = rf"(?:绑定|邀请码)(?:单位)?[\s:：]*(?P<code>{_CODE})"
FLOWS = (_BIND_FLOW,)
ROUTES = [
    Route(
        name="bind",
        pattern=rf"{_BIND}|{_BARE}",
        run=begin,
        examples=("绑定 7K2M-9QXA", "7k2m 9qxa", "绑定７Ｋ２Ｍ９ＱＸＡ"),
    ),
    Route(
        name="bind.how", pattern=r"绑定(?:单位)?|怎么绑定(?:单位)?|如何绑定", run=how_to, examples=("绑定", "怎么绑定")
    ),
]
