"""The alarm clock: it wakes the planner and the self-audit, and decides nothing. Unique keys in the database decide.

Source: docs/decisions/0003-dependencies.md, apscheduler; its job store is the memory, so that no two share one.
"""

import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

import structlog
from apscheduler.schedulers.background import BackgroundScheduler
from sqlalchemy import func, select
from sqlalchemy.orm import Session, sessionmaker

from bot import calling, digests, planner
from bot.digests import Desk
from bot.texts import say
from bot.workdays import LOCAL
from storage import deliveries, reminders
from storage.db import transaction
from storage.models import Delivery, Occurrence
from storage.scope import SYSTEM, serving

EVERY_S = 300
STUCK = timedelta(minutes=15)
SILENT = timedelta(hours=26)  # after this, whoever watches `alive` is to be alarmed
log = structlog.get_logger()


@dataclass(kw_only=True)
class Jobs:
    """The program's own regular work. `folder` holds the files that say whether it is done: alive, or alarm."""

    sessions: sessionmaker[Session]
    desk: Desk
    clock: Callable[[], datetime]
    folder: Path
    _scheduler: BackgroundScheduler | None = None
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def start(self) -> None:
        """Wake the planner and the self-audit now and every five minutes."""
        defaults = {"coalesce": True, "max_instances": 1, "misfire_grace_time": None}
        self._scheduler = BackgroundScheduler(timezone=UTC, job_defaults=defaults)
        for name, work in (("plan", self.plan), ("audit", self.audit)):
            begins = datetime.now(UTC)  # the alarm clock's own time; what is due goes by `clock`
            self._scheduler.add_job(self._guarded, "interval", (name, work), seconds=EVERY_S, next_run_time=begins)
        self._scheduler.start()

    def stop(self) -> None:
        """Finish what runs and wake nothing more."""
        if self._scheduler is not None:
            self._scheduler.shutdown(wait=True)

    def plan(self) -> None:
        """Bring the reminders in line, queue the digests that are due, and list whom no channel reached."""
        now = self.clock()
        with transaction(self.sessions) as db, serving(db, SYSTEM):
            done = planner.plan(db, self.desk.kb, now) + digests.run(db, self.desk, now)
            done += calling.collect(db, self.desk.kb, now)
            reminders.beat(db, "plan", now)
        if done["queued"] or done["held"]:
            log.info("reminders planned", **{name: count for name, count in done.items() if count})

    def audit(self) -> None:
        """Look for what should have happened and did not; write down that all is well, or what is wrong."""
        now = self.clock()
        with transaction(self.sessions) as db, serving(db, SYSTEM):
            wrong = troubles(db, now)
        alarm, alive = self.folder / "alarm", self.folder / "alive"
        if wrong:
            if not alarm.exists():
                log.error("the self-audit found something wrong", count=len(wrong))
            alarm.write_text("\n".join([now.isoformat(timespec="seconds"), *wrong]) + "\n", encoding="utf-8")
            return
        alarm.unlink(missing_ok=True)
        alive.write_text(now.isoformat(timespec="seconds") + "\n", encoding="utf-8")

    def _guarded(self, name: str, work: Callable[[], None]) -> None:
        with self._lock:
            try:
                work()
            except Exception:  # the job boundary: it is woken again in five minutes
                log.exception("job failed", job=name)


def troubles(db: Session, now: datetime) -> list[str]:
    """What is wrong with the reminders and deliveries at this moment, in words for an operator."""
    today = now.astimezone(LOCAL).date()
    found = []
    state, reason = reminders.switch(db, digests.HELD)
    if state == "held":
        found.append(say("jobs.held", reason=reason))
    passed = select(func.count()).where(Occurrence.state == "planned", Occurrence.last_on < today)
    if count := db.scalar(passed):
        found.append(say("jobs.not_planned", count=count))
    stuck = select(func.count()).where(
        Delivery.state.in_(("claimed", "handing")), Delivery.lease_until < now - STUCK
    )  # fmt: skip
    if count := db.scalar(stuck):
        found.append(say("jobs.stuck", count=count))
    waiting = select(func.count()).where(Delivery.state == "queued", Delivery.not_before < now - timedelta(hours=1))
    if deliveries.sending(db)[0] and (count := db.scalar(waiting)):
        found.append(say("jobs.waiting", count=count))
    beat = reminders.beats(db).get("plan")
    if beat is not None and now - beat > SILENT:
        found.append(say("jobs.silent", since=beat.astimezone(LOCAL)))
    return found
