"""Broadcasts: drafted, submitted with a snapshot of the audience, approved by another person, sent, accounted for.

    draft → submitted → sent        aside: recalled, dropped

Whether a sent one waits, runs, is paused or done is read from the deliveries, never stored.
"""

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from hashlib import sha256
from typing import Any, Literal

from sqlalchemy import ColumnElement, Select, String, and_, bindparam, cast, exists, func, literal, or_, select
from sqlalchemy.orm import Session, aliased

from storage import audiences, audit, deliveries, scope
from storage.audiences import Line
from storage.models import Broadcast, Delivery, Person, Recipient, Role

State = Literal["draft", "submitted", "sent", "recalled", "dropped"]
STATES: Mapping[State, str] = {
    "draft": "草稿",
    "submitted": "待审批",
    "sent": "已下发",
    "recalled": "已撤回",
    "dropped": "已作废",
}
CONTENT = (
    "title", "text", "notice_id", "clauses", "files", "acknowledgement", "acknowledge_why", "due_on", "delay_s",
    "send_at", "corrects_id", "change", "audience",
)  # fmt: skip
EDITABLE = tuple(key for key in CONTENT if key not in ("corrects_id", "change"))


class NotFound(Exception):
    """There is no such broadcast, or not for this viewer."""


class Overtaken(Exception):
    """The broadcast has changed since it was seen, or its state does not allow this."""

    def __init__(self, broadcast: Broadcast) -> None:
        super().__init__(broadcast.state)
        self.broadcast = broadcast


class SamePerson(Exception):
    """Whoever wrote or submitted it cannot approve it."""


class Nobody(Exception):
    """The audience has nobody to whom anything could be sent."""


class Grown(Exception):
    """People have come into the audience since it was submitted."""

    def __init__(self, names: Sequence[str]) -> None:
        super().__init__(", ".join(names))
        self.names = tuple(names)


def source(broadcast: Broadcast) -> str:
    """What its deliveries are about."""
    return f"broadcast:{broadcast.id}"


def content_digest(broadcast: Broadcast) -> str:
    """The hash of everything that decides what is said, to whom and when."""
    values = {key: getattr(broadcast, key) for key in CONTENT}
    return sha256(json.dumps(values, ensure_ascii=False, sort_keys=True, default=str).encode()).hexdigest()


def find(db: Session, number: int) -> Broadcast:
    """A broadcast of the viewer's province. Raises NotFound."""
    wanted = select(Broadcast).where(Broadcast.id == number).execution_options(populate_existing=True)
    found = db.scalars(wanted).one_or_none()
    if found is None:
        raise NotFound(str(number))
    return found


def listed(db: Session, limit: int) -> list[Broadcast]:
    """The province's broadcasts that were not dropped, the newest first."""
    wanted = select(Broadcast).where(Broadcast.state != "dropped").order_by(Broadcast.id.desc()).limit(limit)
    return list(db.scalars(wanted))


def newest_correction(db: Session, number: int) -> int:
    """The number of the last correction made of a broadcast, sent or not."""
    wanted = select(Broadcast.id).where(Broadcast.corrects_id == number).order_by(Broadcast.id.desc()).limit(1)
    return db.scalars(wanted).one()


def correction(db: Session, broadcast: Broadcast) -> Broadcast | None:
    """The correction of a broadcast that has been sent."""
    with scope.serving(db, scope.SYSTEM):
        wanted = select(Broadcast).where(Broadcast.corrects_id == broadcast.id, Broadcast.state == "sent")
        return db.scalars(wanted.order_by(Broadcast.id.desc()).limit(1)).one_or_none()


# --- changing --------------------------------------------------------------------------------------------------------


def _take(db: Session, number: int, version: int, states: Sequence[State], action: str) -> Broadcast:
    """The broadcast as the viewer saw it, held to the end of the transaction. Raises NotFound, OutOfScope, Overtaken."""
    viewer = scope.viewer_of(db)
    if not viewer.may(action):
        raise scope.OutOfScope(action)
    wanted = select(Broadcast).where(Broadcast.id == number).with_for_update()
    found = db.scalars(wanted.execution_options(populate_existing=True)).one_or_none()
    if found is None:
        raise NotFound(str(number))
    if found.version != version or found.state not in states:
        raise Overtaken(found)
    return found


def _changed(
    db: Session, broadcast: Broadcast, event: str, action: str, now: datetime, **after: Any
) -> None:  # Any: JSON
    viewer = scope.viewer_of(db)
    broadcast.version += 1
    broadcast.changed_at, broadcast.changed_by = now, viewer.person_id
    db.flush()
    deliveries.cancel(db, f"approval:{broadcast.id}", event)
    audit.record(
        db, f"broadcast.{event}", source(broadcast), now=now, role=viewer.role_for(action),
        after={"state": broadcast.state, "version": broadcast.version, **after}, reason=broadcast.reason,
    )  # fmt: skip


def draft(db: Session, values: Mapping[str, Any], now: datetime) -> Broadcast:
    """Begin a broadcast of the viewer's province. `values` are columns of CONTENT. Raises OutOfScope."""
    viewer = scope.viewer_of(db)
    if not viewer.may("broadcast") or viewer.division is None:
        raise scope.OutOfScope("broadcast")
    made = Broadcast(
        state="draft", version=0, division_code=viewer.division, author_id=viewer.person_id, changed_at=now, at=now,
        **values,
    )  # fmt: skip
    db.add(made)
    db.flush()
    _changed(db, made, "draft", "broadcast", now)
    return made


def edit(db: Session, number: int, version: int, values: Mapping[str, Any], now: datetime) -> Broadcast:
    """Change what is not approved yet; what was submitted is a draft again and must be submitted anew."""
    found = _take(db, number, version, ("draft", "submitted"), "broadcast")
    assert set(values) <= set(EDITABLE)
    for key, value in values.items():
        setattr(found, key, value)
    found.state, found.content_digest, found.audience_digest, found.submitted_by = "draft", "", "", None
    _changed(db, found, "edit", "broadcast", now, fields=sorted(values))
    return found


def preview(db: Session, broadcast: Broadcast, now: datetime) -> list[Line]:
    """Whom it would go to now."""
    return audiences.find(db, audiences.from_json(broadcast.audience), str(broadcast.division_code), now)


def submit(db: Session, number: int, version: int, now: datetime) -> tuple[Broadcast, list[Line]]:
    """Fix the content and the audience for approval. Raises Nobody when nothing could be sent."""
    found = _take(db, number, version, ("draft", "submitted"), "broadcast")
    lines = preview(db, found, now)
    if not any(not one.excluded for one in lines):
        raise Nobody
    audiences.keep(db, found, lines)
    found.state, found.submitted_by, found.reason = "submitted", scope.viewer_of(db).person_id, ""
    found.content_digest, found.audience_digest = content_digest(found), audiences.digest(lines)
    _changed(
        db, found, "submit", "broadcast", now, content=found.content_digest, audience=found.audience_digest,
        recipients=sum(not one.excluded for one in lines),
    )  # fmt: skip
    return found, lines


def send_back(db: Session, number: int, version: int, reason: str, now: datetime) -> Broadcast:
    """Return what was submitted to its author."""
    found = _take(db, number, version, ("submitted",), "approve")
    found.state, found.reason, found.content_digest, found.audience_digest = "draft", reason, "", ""
    _changed(db, found, "return", "approve", now)
    return found


def drop(db: Session, number: int, version: int, now: datetime) -> Broadcast:
    """Give up what was not approved."""
    found = _take(db, number, version, ("draft", "submitted"), "broadcast")
    found.state = "dropped"
    _changed(db, found, "drop", "broadcast", now)
    return found


def approve(db: Session, number: int, version: int, begins_at: datetime, now: datetime) -> tuple[Broadcast, list[Line]]:
    """Approve exactly what was submitted, by another person; the lines it now goes to. The caller puts the messages.

    `begins_at` is when sending begins. Raises SamePerson, Grown, or Overtaken when a hash does not fit.
    """
    found = _take(db, number, version, ("submitted",), "approve")
    person_id = scope.viewer_of(db).person_id
    if person_id is None or person_id in (found.author_id, found.submitted_by):
        raise SamePerson
    lines = audiences.kept(db, found)
    if content_digest(found) != found.content_digest or audiences.digest(lines) != found.audience_digest:
        raise Overtaken(found)
    known = {one.person_id for one in lines}
    if new := [one.name for one in preview(db, found, now) if not one.excluded and one.person_id not in known]:
        raise Grown(new)
    found.state, found.approved_by, found.begins_at = "sent", person_id, begins_at
    _changed(db, found, "approve", "approve", now, content=found.content_digest, audience=found.audience_digest)
    if found.corrects_id is not None:
        deliveries.cancel(db, f"broadcast:{found.corrects_id}", source(found))
        deliveries.cancel(db, f"nudge:{found.corrects_id}", source(found))
    return found, [one for one in lines if not one.excluded]


def recall(db: Session, number: int, version: int, reason: str, now: datetime) -> tuple[Broadcast, int]:
    """Withdraw what has not been handed over yet; how many messages that were."""
    action = "approve" if scope.viewer_of(db).may("approve") else "broadcast"
    found = _take(db, number, version, ("sent",), action)
    found.state, found.reason = "recalled", reason
    stopped = deliveries.cancel(db, source(found), reason)
    deliveries.cancel(db, f"nudge:{found.id}", reason)
    _changed(db, found, "recall", action, now, cancelled=stopped)
    return found, stopped


def pause(db: Session, number: int, version: int, on: bool, reason: str, now: datetime) -> Broadcast:
    """Hold back what has not been handed over, or let it go on."""
    found = _take(db, number, version, ("sent",), "broadcast")
    deliveries.switch_sending(db, not on, reason, now, of=source(found))
    _changed(db, found, "pause" if on else "resume", "broadcast", now)
    return found


NUDGES = 2  # at most; then people are called


def nudged(db: Session, number: int, version: int, now: datetime) -> Broadcast:
    """Count a nudge that the caller puts."""
    found = _take(db, number, version, ("sent",), "broadcast")
    found.nudges, found.nudged_at = found.nudges + 1, now
    _changed(db, found, "nudge", "broadcast", now, nudges=found.nudges)
    return found


# --- people ----------------------------------------------------------------------------------------------------------


def approvers(db: Session, broadcast: Broadcast) -> list[int]:
    """Who may approve it: the province's approvers but for its author and whoever submitted it."""
    own = (broadcast.author_id, broadcast.submitted_by)
    with scope.serving(db, scope.SYSTEM):
        wanted = select(Role.person_id).where(
            Role.role.in_(scope.MAY["approve"]),
            Role.division_code == broadcast.division_code,
            Role.ended_at.is_(None),
        )
        return sorted({one for one in db.scalars(wanted) if one not in own})


def name_of(db: Session, person_id: int | None) -> str:
    """A person's name, whoever asks; empty for nobody."""
    with scope.serving(db, scope.SYSTEM):
        person = db.get(Person, person_id) if person_id else None
        return person.name if person else ""


def nudged_out(db: Session, since: datetime, before: datetime) -> list[Broadcast]:
    """The broadcasts whose last nudge went out in a span of time and whose silent counties are to be called."""
    newer = aliased(Broadcast)
    corrected = exists().where(newer.corrects_id == Broadcast.id, newer.state == "sent")
    wanted = select(Broadcast).where(
        Broadcast.state == "sent", Broadcast.acknowledgement == "county", Broadcast.nudges >= NUDGES,
        Broadcast.nudged_at >= since, Broadcast.nudged_at < before, ~corrected,
    )  # fmt: skip
    return list(db.scalars(wanted.order_by(Broadcast.id)))


def messages(db: Session, broadcast: Broadcast) -> dict[str, int]:
    """The number of each recipient's message."""
    wanted = select(Delivery.recipient, Delivery.id).where(Delivery.source == source(broadcast))
    return {recipient: number for recipient, number in db.execute(wanted).all()}


def gone(db: Session, delivery: Delivery) -> str | None:
    """Why a message of a broadcast must not go out any more: recalled, corrected, or its recipient has left."""
    values = {"broadcast": int(delivery.source.partition(":")[2]), "person": int(delivery.recipient.partition(":")[2])}
    with scope.serving(db, scope.SYSTEM):
        state, has_newer, is_held = db.execute(_STANDS, values).one()
    return "recalled" if state == "recalled" else "corrected" if has_newer else None if is_held else "left"


def _stands() -> Select[str, bool, bool]:
    """A broadcast's state, whether it is corrected, and whether a person still holds the place that it was sent to."""
    newer = aliased(Broadcast)
    there = or_(
        Role.body_id == Recipient.body_id,
        and_(Recipient.body_id.is_(None), Role.division_code == Recipient.division_code),
    )
    held = exists().where(
        Recipient.broadcast_id == Broadcast.id,
        Recipient.person_id == bindparam("person"),
        Role.person_id == bindparam("person"),
        Role.ended_at.is_(None),
        there,
    )
    corrected = exists().where(newer.corrects_id == Broadcast.id, newer.state == "sent")
    return select(Broadcast.state, corrected, held).where(Broadcast.id == bindparam("broadcast"))


_STANDS = _stands()  # made once: it is asked of every message that is handed over


# --- accounting ------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class Standing:
    """Where the message of one recipient is: `planned` before the approval, else its delivery's state."""

    recipient: Recipient
    name: str
    state: str
    code: str | None
    reason: str
    channel: str | None
    accepted_at: datetime | None


NOT_REACHED = ("failed", "expired", "skipped")  # states of a message that did not go out and will not by itself


def joined(broadcast: Broadcast) -> ColumnElement[bool]:
    """What joins a recipient with their delivery."""
    return and_(
        Delivery.source == source(broadcast),
        Delivery.recipient == literal("person:").concat(cast(Recipient.person_id, String)),
    )


def standings(
    db: Session, broadcast: Broadcast, states: Sequence[str] = (), limit: int | None = None
) -> list[Standing]:
    """Every recipient with where the message is; together they are the audience at every moment.

    With `states`, the first ones whose message is in one of these.
    """
    wanted = (
        select(Recipient, Person.name, Delivery)
        .outerjoin(Person, Person.id == Recipient.person_id)
        .outerjoin(Delivery, joined(broadcast))
        .where(Recipient.broadcast_id == broadcast.id, Recipient.excluded == "")
        .order_by(Recipient.id)
        .limit(limit)
    )
    if states:
        wanted = wanted.where(Delivery.state.in_(states))
    with scope.serving(db, scope.SYSTEM):
        return [
            Standing(
                recipient=recipient, name=name or "", state=sent.state if sent else "planned",
                code=sent.code if sent else None, reason=sent.reason if sent else "",
                channel=sent.channel if sent else None, accepted_at=sent.accepted_at if sent else None,
            )
            for recipient, name, sent in db.execute(wanted)
        ]  # fmt: skip


def states(db: Session, broadcast: Broadcast) -> Counter[str]:
    """How many recipients are where: `planned` before the approval, else in their delivery's state."""
    state = func.coalesce(Delivery.state, "planned")
    wanted = (
        select(state, func.count())
        .select_from(Recipient)
        .outerjoin(Delivery, joined(broadcast))
        .where(Recipient.broadcast_id == broadcast.id, Recipient.excluded == "")
        .group_by(state)
    )
    with scope.serving(db, scope.SYSTEM):
        return Counter({name: count for name, count in db.execute(wanted).all()})


def not_reached(db: Session, broadcast: Broadcast) -> set[int | None]:
    """The people whose message did not go out and will not by itself."""
    wanted = select(Recipient.person_id).join(Delivery, joined(broadcast))
    failed = wanted.where(Recipient.broadcast_id == broadcast.id, Delivery.state.in_(NOT_REACHED))
    with scope.serving(db, scope.SYSTEM):
        return set(db.scalars(failed))


def pages(db: Session, broadcast: Broadcast) -> dict[int | None, int]:
    """The number of each recipient's line, which their page goes by."""
    wanted = select(Recipient.person_id, Recipient.id)
    sent = wanted.where(Recipient.broadcast_id == broadcast.id, Recipient.excluded == "")
    with scope.serving(db, scope.SYSTEM):
        return {person_id: number for person_id, number in db.execute(sent).all()}


def phase(db: Session, broadcast: Broadcast, counted: Mapping[str, int], now: datetime) -> str:
    """What a broadcast is doing: its state, or for a sent one waiting, paused, sending or done."""
    if broadcast.state != "sent":
        return broadcast.state
    if not counted.keys() & {"queued", "claimed", "handing"}:
        return "done"
    if not deliveries.sending(db, source(broadcast))[0]:
        return "paused"
    assert broadcast.begins_at is not None
    return "waiting" if now < broadcast.begins_at else "sending"
