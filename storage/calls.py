"""Calls to counties whose people no channel reaches: one a county and day, on the hotline's list."""

from collections.abc import Mapping, Sequence
from datetime import date, datetime, timedelta
from typing import Any

from sqlalchemy import or_, select
from sqlalchemy.orm import Session

from storage import audit, scope
from storage.models import Body, CallTask, Delivery

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


def put(
    db: Session, body_id: int, on: date, lines: Sequence[Mapping[str, Any]], due_on: date, now: datetime
) -> CallTask:
    """Add to a county's call of a day what is to be said; a line is added once."""
    wanted = select(CallTask).where(CallTask.body_id == body_id, CallTask.called_on == on)
    task = db.scalars(wanted).one_or_none()
    if task is None:
        task = CallTask(body_id=body_id, called_on=on, lines=[], due_on=due_on, outcome="", attempts=0, at=now)
        db.add(task)
    known = [(line["person"], line["delivery"], line["text"]) for line in task.lines]
    new = [dict(line) for line in lines if (line["person"], line["delivery"], line["text"]) not in known]
    if new and task.outcome in OPEN:
        task.lines, task.due_on = [*task.lines, *new], min(task.due_on, due_on)
    db.flush()
    return task


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
    if outcome == "已告知":
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
