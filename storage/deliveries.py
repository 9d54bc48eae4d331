"""The delivery ledger: one row per recipient, put in the transaction that caused it, handed over in two steps.

    queued → claimed (lease, fence) → handing (committed before the call) → accepted → acked
    aside: failed, unknown, skipped, expired, cancelled

A crash loses nothing: what was claimed is queued again, what was being handed over becomes `unknown` and is listed.
"""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from datetime import date, datetime, timedelta
from typing import Any, Literal

from sqlalchemy import ColumnElement, Update, and_, bindparam, case, exists, func, or_, select, true, update
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import Session

from storage.db import hold
from storage.models import Delivery, Pace, Switch

State = Literal[
    "queued", "claimed", "handing", "accepted", "acked", "failed", "unknown", "skipped", "expired", "cancelled"
]
Lane = Literal["reply", "confirmation", "reminder", "notice"]

LANES: Mapping[Lane, int] = {"reply": 0, "confirmation": 1, "reminder": 2, "notice": 3}
FINAL: tuple[State, ...] = ("accepted", "acked", "failed", "unknown", "skipped", "expired", "cancelled")
_NOTICE = LANES["notice"]  # the last of the lanes
PUT = "put"  # the key in a session's info that is true when its transaction has queued something
NO_CHANNEL = "no-channel"  # the code of a message that no channel could take: it goes with the person's next message
LEASE = timedelta(seconds=60)
ALL = "sending"  # the switch for every source
WAITS = select(Delivery.id).where(  # made once: every turn asks it
    Delivery.recipient == bindparam("recipient"), or_(Delivery.state == "queued", Delivery.state == "failed")
)

# Asked at the last moment, by what stands before the colon of a source: why a message must not go out any more, or
# when it may go out at the earliest. It may change the message's words (`reword`).
Guard = Callable[[Session, Delivery], str | datetime | None]


def person(number: int) -> str:
    """The recipient that a person is."""
    return f"person:{number}"


def address(channel: str, address: str) -> str:
    """The recipient that an address is, of somebody who is not bound."""
    return f"{channel}:{address}"


def put(
    db: Session,
    *,
    source: str,
    recipient: str,
    lane: Lane,
    reply: Mapping[str, Any],  # Any: a reply as JSON
    why: str,
    now: datetime,
    version: int = 1,
    not_before: datetime | None = None,
    not_after: datetime | None = None,
) -> Delivery | None:
    """Queue a message in the caller's transaction; None when the recipient has this version of it already."""
    values = _values(source, recipient, lane, reply, why, now, version, not_before, not_after)
    return db.scalars(_once(db).values(values).returning(Delivery)).one_or_none()


def put_all(
    db: Session,
    *,
    source: str,
    lane: Lane,
    replies: Mapping[str, tuple[Mapping[str, Any], str]],  # Any: a reply as JSON
    now: datetime,
    version: int = 1,
    not_before: datetime | None = None,
) -> None:
    """Queue a message to each recipient: its reply and the reason for it. Who has this version already gets no other."""
    rows = [
        _values(source, recipient, lane, reply, why, now, version, not_before, None)
        for recipient, (reply, why) in replies.items()
    ]
    if rows:
        db.flush()
        db.connection().execute(_once(db), rows)


def _once(db: Session) -> Any:  # Any: either database's insert
    db.info[PUT] = True
    dialect = sqlite if db.get_bind().dialect.name == "sqlite" else postgresql
    return dialect.insert(Delivery).on_conflict_do_nothing()


def _values(
    source: str,
    recipient: str,
    lane: Lane,
    reply: Mapping[str, Any],  # Any: a reply as JSON
    why: str,
    now: datetime,
    version: int,
    not_before: datetime | None,
    not_after: datetime | None,
) -> dict[str, Any]:
    return {
        "source": source,
        "version": version,
        "recipient": recipient,
        "lane": LANES[lane],
        "reply": dict(reply),
        "why": why,
        "not_before": not_before or now,
        "not_after": not_after,
        "state": "queued",
        "fence": 0,
        "attempts": 0,
        "reason": "",
        "at": now,
    }


def collect(
    db: Session, recipients: Sequence[str], channel: str, now: datetime, guards: Mapping[str, Guard]
) -> list[Delivery]:
    """Take what waits for somebody who is just writing: it goes with the reply and counts as accepted now.

    What its guard gives a reason against is skipped; they are writing, so that no hour is too late for them.
    """
    if not any(db.connection().scalar(WAITS, {"recipient": one}) for one in recipients):
        return []  # as in nearly every turn
    wanted = select(Delivery).where(
        Delivery.recipient.in_(recipients), _waiting(), Delivery.not_before <= now, _timely(now), _going(),
        or_(Delivery.state == "failed", Delivery.handed_at.is_(None)),  # else it may have come already
    )  # fmt: skip
    found = list(db.scalars(wanted.order_by(Delivery.lane, Delivery.id).with_for_update(skip_locked=True)))
    taken = []
    for one in found:
        one.fence += 1
        reason = guarded(db, one, guards)
        if isinstance(reason, str):
            one.state, one.code, one.reason = "skipped", "guard", reason
            continue
        one.state, one.channel, one.handed_at, one.accepted_at = "accepted", channel, now, now
        taken.append(one)
    return taken


# --- handing over ------------------------------------------------------------------------------------------------


def due(db: Session, now: datetime) -> bool:
    """Whether there is anything to claim or to sweep."""
    lost = and_(Delivery.state.in_(("claimed", "handing")), Delivery.lease_until < now)
    ready = and_(
        Delivery.state == "queued", Delivery.lane.in_(LANES.values()), Delivery.not_before <= now, _going(), _on()
    )
    return any(db.scalar(select(Delivery.id).where(one).limit(1)) for one in (ready, lost))


def claim(db: Session, now: datetime, limit: int, notices: int) -> list[Delivery]:
    """Lease up to `limit` due messages, the most urgent first, and so many notices at most among them.

    Nobody else gets them meanwhile. None while sending is off.
    """
    found: list[int] = []
    for first, last, most in ((0, _NOTICE - 1, limit), (_NOTICE, _NOTICE, notices)):
        room = min(most, limit - len(found))
        if room > 0:
            found += db.connection().scalars(_DUE, {"first": first, "last": last, "now": now, "limit": room})
    if not found:
        return []
    taken = db.scalars(_CLAIM, {"ids": found, "lease": now + LEASE})
    return sorted(taken, key=lambda one: (one.lane, one.not_before, one.id))


def hand(db: Session, handed: Sequence[tuple[Delivery, str]], now: datetime) -> int:
    """Note that messages are about to be handed to channels. How many: fewer when somebody else holds some by now."""
    lease = now + LEASE
    return _moved(db, _HAND, [_held(one, channel=channel, now=now, lease=lease) for one, channel in handed])


def accepted(db: Session, taken: Sequence[tuple[Delivery, str]], now: datetime) -> int:
    """The platform took them, each under its id. How many: a late worker may still lift what was given up as unknown."""
    return _moved(db, _ACCEPT, [_held(one, platform_id=number or None, now=now) for one, number in taken])


def again(db: Session, delivery: Delivery, code: str, at: datetime, *, taken: bool = False) -> bool:
    """Put it back for a later try. `taken`: the platform may have taken it this time; what it did before stays."""
    move, before = (_DOUBTED, {}) if taken else (_AGAIN, {"handed_at": delivery.handed_at})
    return _moved(db, move, [_held(delivery, code=code, at=at, **before)]) == 1


def end(db: Session, delivery: Delivery, state: State, code: str, reason: str = "") -> bool:
    """Give it its last state, with the reason that the reconciliation sheet shows."""
    return _moved(db, _END, [_held(delivery, state=state, code=code, reason=reason)]) == 1


def _held(delivery: Delivery, **values: Any) -> dict[str, Any]:  # Any: what the move's columns hold
    """A row that is still ours, and what is to stand in it."""
    return {"row": delivery.id, "held": delivery.fence, **{f"new_{name}": value for name, value in values.items()}}


def _moved(db: Session, move: Update, rows: Sequence[dict[str, Any]]) -> int:  # Any: what the move's columns hold
    """Change rows that are still ours: same fence, expected state. How many were."""
    return db.connection().execute(move, rows).rowcount


def _move(before: Sequence[State], **values: Any) -> Update:  # Any: constants and expressions
    """A change of one row, made once: each message is changed twice."""
    ours = (
        Delivery.id == bindparam("row"),
        Delivery.fence == bindparam("held"),
        or_(*(Delivery.state == one for one in before)),
    )
    return update(Delivery.__table__).where(*ours).values(values)  # type: ignore[arg-type]  # it is a table


def _new(name: str) -> Any:  # Any: a parameter takes the type of the column that it is put into
    return bindparam(f"new_{name}")


_HAND = _move(
    ("claimed", "handing"),
    state="handing",
    channel=_new("channel"),
    attempts=Delivery.attempts + 1,
    handed_at=func.coalesce(Delivery.handed_at, _new("now")),
    lease_until=_new("lease"),
)
_ACCEPT = _move(
    ("handing", "unknown"),
    state="accepted",
    platform_id=_new("platform_id"),
    accepted_at=_new("now"),
    code=None,
    reason="",
)
_BACK: Mapping[str, Any] = {  # Any: as _move takes it
    "state": "queued",
    "code": _new("code"),
    "not_before": _new("at"),
    "lease_until": None,
}
_DOUBTED = _move(("claimed", "handing"), **_BACK)
_AGAIN = _move(("claimed", "handing"), **_BACK, handed_at=_new("handed_at"))
_END = _move(
    ("claimed", "handing"), state=_new("state"), code=_new("code"), reason=_new("reason"), lease_until=None
)  # fmt: skip


def reported(db: Session, channel: str, platform_id: str, code: str) -> bool:
    """The platform says later that an accepted message did not arrive; it then goes with the person's next message."""
    changed = (
        update(Delivery)
        .where(Delivery.channel == channel, Delivery.platform_id == platform_id, Delivery.state == "accepted")
        .values(state="failed", code=NO_CHANNEL, reason=code, fence=Delivery.fence + 1)
        .returning(Delivery.id)
        .execution_options(synchronize_session=False)
    )
    return db.scalars(changed).first() is not None


def sent_since(db: Session, recipients: Sequence[str], channel: str, since: datetime) -> int:
    """How many messages a channel took for somebody after a time."""
    wanted = select(func.count()).where(
        Delivery.recipient.in_(recipients),
        Delivery.channel == channel,
        Delivery.state.in_(("accepted", "acked", "unknown")),
        Delivery.handed_at > since,
    )
    return db.scalar(wanted) or 0


def last_told(db: Session, recipients: Sequence[str], since: datetime) -> Delivery | None:
    """The newest message that a channel took for somebody from a time on."""
    wanted = select(Delivery).where(
        Delivery.recipient.in_(recipients), Delivery.state.in_(("accepted", "acked")), Delivery.accepted_at >= since
    )
    return db.scalars(wanted.order_by(Delivery.accepted_at.desc(), Delivery.id.desc()).limit(1)).one_or_none()


def sweep(db: Session, now: datetime) -> Counter[str]:
    """Settle what a crash left behind and what came too late; how many rows went where."""
    moved: Counter[str] = Counter()
    lost = Delivery.lease_until < now
    for condition, state, code, others in (
        (and_(Delivery.state == "claimed", lost), "queued", None, 1),
        (and_(Delivery.state == "handing", lost), "unknown", "lease", 0),  # its worker may yet say that it was taken
        (and_(Delivery.state == "queued", Delivery.not_after < now), "expired", "late", 1),
    ):
        values: dict[str, Any] = {"state": state, "fence": Delivery.fence + others, "lease_until": None, "code": code}
        changed = update(Delivery).where(condition).values(values).returning(Delivery.id)
        moved[state] += len(db.scalars(changed.execution_options(synchronize_session=False)).all())
    return +moved


def reword(db: Session, delivery: Delivery, reply: Mapping[str, Any], why: str) -> None:
    """Change what a message says before it is handed over."""
    delivery.reply, delivery.why = dict(reply), why
    changed = update(Delivery).where(Delivery.id == delivery.id).values(reply=delivery.reply, why=why)
    db.execute(changed.execution_options(synchronize_session=False))


def guarded(db: Session, delivery: Delivery, guards: Mapping[str, Guard]) -> str | datetime | None:
    """What the guard of a message's source says of it; None when it may go out."""
    guard = guards.get(delivery.source.partition(":")[0])
    return guard(db, delivery) if guard else None


def cancel(db: Session, source: str, reason: str, recipients: Sequence[str] | None = None) -> int:
    """Withdraw what still waits for a source, or for some recipients of it; how many."""
    whose = true() if recipients is None else Delivery.recipient.in_(recipients)
    changed = (
        update(Delivery)
        .where(Delivery.source == source, _waiting(), whose)
        .values(state="cancelled", reason=reason)
        .returning(Delivery.id)
        .execution_options(synchronize_session=False)
    )
    return len(db.scalars(changed).all())


def by_state(db: Session) -> dict[str, int]:
    """How many messages are in each state."""
    return {
        state: number for state, number in db.execute(select(Delivery.state, func.count()).group_by(Delivery.state))
    }


def in_doubt(db: Session, limit: int) -> Sequence[Delivery]:
    """The messages of which nobody knows whether they came, the newest first."""
    wanted = select(Delivery).where(Delivery.state == "unknown")
    return db.scalars(wanted.order_by(Delivery.id.desc()).limit(limit)).all()


def acknowledged(db: Session, source: str, recipients: Sequence[str], now: datetime) -> None:
    """Their recipients say that they have the messages, however far these have come. A later report changes nothing."""
    changed = update(Delivery).where(
        Delivery.source == source,
        Delivery.recipient.in_(recipients),
        Delivery.state.in_(("queued", "claimed", "handing", "accepted", "unknown", "failed")),
    )
    moved = changed.values(state="acked", acked_at=now, fence=Delivery.fence + 1, lease_until=None)
    db.execute(moved.execution_options(synchronize_session=False))


def counts(db: Session, source: str) -> dict[str, int]:
    """How many recipients of a source are in each state."""
    wanted = select(Delivery.state, func.count()).where(Delivery.source == source).group_by(Delivery.state)
    return {state: number for state, number in db.execute(wanted).all()}


def _timely(now: datetime) -> ColumnElement[bool]:
    return or_(Delivery.not_after.is_(None), Delivery.not_after >= now)


def _waiting() -> ColumnElement[bool]:
    return or_(Delivery.state == "queued", and_(Delivery.state == "failed", Delivery.code == NO_CHANNEL))


def _going() -> ColumnElement[bool]:
    """Whether the source of a message is not paused."""
    return Delivery.source.not_in(select(Switch.key).where(Switch.value == "off"))


def _on() -> ColumnElement[bool]:
    """Whether messages are sent at all."""
    return ~exists().where(Switch.key == ALL, Switch.value == "off")


_DUE = (  # made once, as the moves above
    select(Delivery.id)
    .where(
        Delivery.state == "queued",
        Delivery.lane.between(bindparam("first"), bindparam("last")),
        Delivery.not_before <= bindparam("now"),
        _going(),
        _on(),
    )
    .order_by(Delivery.lane, Delivery.not_before, Delivery.id)
    .limit(bindparam("limit"))
    .with_for_update(skip_locked=True)
)
_CLAIM = select(Delivery).from_statement(
    update(Delivery)
    .where(Delivery.id.in_(bindparam("ids", expanding=True)))
    .values(state="claimed", fence=Delivery.fence + 1, lease_until=bindparam("lease"))
    .returning(Delivery)
)


# --- the switch --------------------------------------------------------------------------------------------------


def sending(db: Session, of: str = ALL) -> tuple[bool, str]:
    """Whether messages are sent, all of them or those of a source, and the reason when not."""
    switch = db.get(Switch, of)
    return (True, "") if switch is None or switch.value == "on" else (False, switch.reason)


def switch_sending(db: Session, on: bool, reason: str, now: datetime, of: str = ALL) -> None:
    """Start or stop all sending, or that of a source."""
    switch = db.get(Switch, of) or Switch(key=of)
    switch.value, switch.reason, switch.at = "on" if on else "off", reason, now
    db.add(switch)


# --- what a channel and a person are spared -----------------------------------------------------------------------

_FREE = case(  # a place beyond a minute from now was taken by a clock that was wrong
    (or_(Pace.free_s < _new("now_s"), Pace.free_s > _new("now_s") + 60.0), _new("now_s")), else_=Pace.free_s
)
_TAKE = (
    update(Pace.__table__)  # type: ignore[arg-type]  # it is a table
    .where(
        Pace.channel == bindparam("of"),
        or_(Pace.on != _new("on"), Pace.used + bindparam("count") <= bindparam("most")),
    )
    .values(
        free_s=_FREE + bindparam("taken_s"),
        used=case((Pace.on == _new("on"), Pace.used), else_=0) + bindparam("count"),
        on=_new("on"),
    )
    .returning(Pace.free_s)
)


def take_places(
    db: Session, channel: str, on: date, count: int, *, rate: int, most: int, now: datetime
) -> float | None:
    """Take the next places of a channel that may be called `rate` times a second, 0 for any number.

    How many seconds until the first comes; None when there are not so many left of the day's `most`.
    """
    taken_s, now_s = count / rate if rate else 0.0, now.timestamp()
    values = {"of": channel, "count": count, "most": most, "taken_s": taken_s, "new_on": on, "new_now_s": now_s}
    if count > most:
        return None
    free_s = db.connection().scalar(_TAKE, values)
    if free_s is None and db.get(Pace, channel) is None:
        dialect = sqlite if db.get_bind().dialect.name == "sqlite" else postgresql
        first = {"channel": channel, "free_s": now_s, "on": on, "used": 0}
        db.connection().execute(dialect.insert(Pace).values(first).on_conflict_do_nothing())
        free_s = db.connection().scalar(_TAKE, values)
    return None if free_s is None else max(free_s - taken_s - now_s, 0.0)


def reached(db: Session, recipient: str, channel: str, most: int, since: datetime) -> bool:
    """Whether a channel was handed so many messages for somebody after a time. Asked and used by one at a time."""
    hold(db, f"{channel}:{recipient}")
    wanted = {"recipient": recipient, "channel": channel, "since": since}
    return (db.connection().scalar(_HANDED, wanted) or 0) >= most


_HANDED = select(func.count()).where(
    Delivery.recipient == bindparam("recipient"),
    Delivery.channel == bindparam("channel"),
    Delivery.state.in_(("accepted", "acked", "unknown", "handing")),
    Delivery.handed_at > bindparam("since"),
)
