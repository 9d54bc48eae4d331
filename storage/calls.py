"""Calls to counties whose people no channel reaches: one a county and day, on the hotline's list."""

from collections.abc import Collection, Mapping, Sequence
from datetime import date, datetime, timedelta
from typing import Any

from sqlalchemy import or_, select
from sqlalchemy.orm import Session

from storage import audit, scope
from storage.models import Body, CallTask, Delivery

ACKNOWLEDGED = "电话确认签收"  # only where a line is about a broadcast
OUTCOMES = ("已告知", "无人接听", "空号", "已换人", "拒接")
OPEN = ("", "无人接听")  # is called again
KEPT = timedelta(days=7)  # how long a county that nobody answered for stays on the list


def unreached(db: Session, since: datetime) -> Sequence[Delivery]:
    """The reminders that no channel took, or that twice in a row ended in doubt, since a time."""
    wanted = select(Delivery).where(Delivery.source.like("digest:%"), Delivery.at >= since)
    rows = db.scalars(wanted.order_by(Delivery.recipient, Delivery.id)).all()
    found, doubtful = [], ""
    for one in rows:
        if one.state == "failed" or (one.state == "unknown" and doubtful == one.recipient):
            found.append(one)
        doubtful = one.recipient if one.state == "unknown" else ""
    return found


def outcomes(task: CallTask) -> tuple[str, ...]:
    """How this call can end: where it is about a broadcast, also with its acknowledgement."""
    return (ACKNOWLEDGED, *OUTCOMES) if broadcasts_of(task) else OUTCOMES


def broadcasts_of(task: CallTask) -> list[int]:
    """The broadcasts that a call is about because nobody of the county acknowledges them."""
    return sorted({line["broadcast"] for line in task.lines if "broadcast" in line})


def told(db: Session, since: date) -> set[tuple[int, int]]:
    """The counties that were told of a broadcast on the phone since a day, as (body, broadcast)."""
    wanted = select(CallTask).where(CallTask.called_on >= since, CallTask.outcome.in_(("已告知", ACKNOWLEDGED)))
    return {(task.body_id, number) for task in db.scalars(wanted) for number in broadcasts_of(task)}


def settle(db: Session, since: date, silent: Collection[tuple[int, int]]) -> None:
    """Take from the calls still to be made what has been acknowledged meanwhile; a call about nothing else is not made."""
    wanted = select(CallTask).where(CallTask.called_on >= since, CallTask.outcome.in_(OPEN))
    for task in db.scalars(wanted).all():
        left = [one for one in task.lines if "broadcast" not in one or (task.body_id, one["broadcast"]) in silent]
        if not left:
            db.delete(task)
        elif len(left) < len(task.lines):
            task.lines = left
    db.flush()


def put(
    db: Session, body_id: int, on: date, lines: Sequence[Mapping[str, Any]], due_on: date, now: datetime
) -> CallTask:
    """Add to a county's call of a day what is to be said; a line is added once.

    A call that is still to be made from an earlier day becomes that day's: a county is called once for everything.
    """
    wanted = select(CallTask).where(CallTask.body_id == body_id, CallTask.called_on == on)
    task = db.scalars(wanted).one_or_none() or _put_off(db, body_id, on)
    if task is None:
        task = CallTask(body_id=body_id, called_on=on, lines=[], due_on=due_on, outcome="", attempts=0, at=now)
        db.add(task)
    known = [(line["person"], line["delivery"], line["text"]) for line in task.lines]
    new = [dict(line) for line in lines if (line["person"], line["delivery"], line["text"]) not in known]
    if new and task.outcome in OPEN:
        task.lines, task.due_on = [*task.lines, *new], min(task.due_on, due_on)
    db.flush()
    return task


def _put_off(db: Session, body_id: int, on: date) -> CallTask | None:
    """The newest call of the days before that is still to be made, as the call of a day, with what older ones say."""
    wanted = select(CallTask).where(CallTask.body_id == body_id, CallTask.outcome.in_(OPEN), CallTask.called_on < on)
    found = db.scalars(wanted.order_by(CallTask.called_on)).all()
    if not found or found[-1].called_on < on - KEPT:
        return None
    *older, newest = found
    for one in older:
        newest.lines, newest.due_on = [*one.lines, *newest.lines], min(newest.due_on, one.due_on)
        newest.attempts += one.attempts
        db.delete(one)
    newest.called_on = on
    return newest


def said_since(db: Session, since: date) -> set[tuple[int, str]]:
    """What stands on the calls from a day on: body and text."""
    wanted = select(CallTask.body_id, CallTask.lines).where(CallTask.called_on >= since)
    return {(body_id, line["text"]) for body_id, lines in db.execute(wanted) for line in lines}


def waiting(db: Session, today: date) -> list[tuple[CallTask, Body]]:
    """The counties to be called, the nearest legal date first; of each the newest call."""
    wanted = (
        select(CallTask, Body)
        .join(Body, Body.id == CallTask.body_id)
        .where(or_(CallTask.outcome == "", CallTask.outcome == "无人接听"), CallTask.called_on >= today - KEPT)
        .order_by(CallTask.called_on.desc())
    )
    newest: dict[int, tuple[CallTask, Body]] = {}
    for task, body in db.execute(wanted).all():
        newest.setdefault(task.body_id, (task, body))
    return sorted(newest.values(), key=lambda one: (one[0].due_on, one[0].id))


def find(db: Session, number: int) -> CallTask | None:
    """A call that the viewer sees."""
    return db.scalars(select(CallTask).where(CallTask.id == number)).one_or_none()


def close(db: Session, task: CallTask, outcome: str, now: datetime) -> None:
    """Note how a call ended. Who was told needs no message any more. Raises OutOfScope."""
    viewer = scope.viewer_of(db)
    if not scope.reaches(db, viewer, "call", task.body_id):
        raise scope.OutOfScope("call")
    task.outcome, task.attempts, task.person_id = outcome, task.attempts + 1, viewer.person_id
    task.done_at = None if outcome in OPEN else now
    if outcome in ("已告知", ACKNOWLEDGED):
        with scope.serving(db, scope.SYSTEM):
            for line in task.lines:
                sent = db.get(Delivery, line["delivery"]) if line["delivery"] else None
                if sent is not None and sent.state in ("failed", "unknown"):
                    sent.state, sent.acked_at, sent.reason = "acked", now, f"电话告知 #{task.id}"
    audit.record(
        db, "call", f"call:{task.id}", now=now, role=viewer.role_for("call"), body_id=task.body_id,
        after={"outcome": outcome, "attempts": task.attempts},
    )  # fmt: skip
    db.flush()
