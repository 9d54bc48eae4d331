"""The one thread that runs turns on SQLite, committing those that wait together.

Each turn has a savepoint of its own, so that a failing one changes nothing; replies leave after the commit.
"""

import queue
import secrets
import threading
from collections.abc import Mapping
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Any

import structlog
from sqlalchemy.orm import Session, sessionmaker

from bot.dialogue import Assistant, apology
from bot.messages import Inbound, Reply
from storage.db import transaction

TOGETHER = 32  # turns in one commit; more would make the first of them wait
log = structlog.get_logger()


@dataclass(frozen=True, kw_only=True)
class _Waiting:
    inbound: Inbound
    given: Mapping[str, Any]
    reply: Future[Reply] = field(default_factory=Future)


class TurnThread:
    """Takes messages from any thread and answers them in order."""

    def __init__(self, assistant: Assistant, sessions: sessionmaker[Session]) -> None:
        self._assistant = assistant
        self._sessions = sessions
        self._waiting: queue.SimpleQueue[_Waiting | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._run, name="turns", daemon=True)
        self._thread.start()

    def submit(self, inbound: Inbound, given: Mapping[str, Any] | None = None) -> Future[Reply]:
        """Queue a message; the future holds its reply once it is stored."""
        waiting = _Waiting(inbound=inbound, given=given or {})
        self._waiting.put(waiting)
        return waiting.reply

    def stop(self) -> None:
        """Finish what is queued and end the thread."""
        self._waiting.put(None)
        self._thread.join()

    def _run(self) -> None:
        while (first := self._waiting.get()) is not None:
            batch = [first]
            ending = False
            while len(batch) < TOGETHER and not self._waiting.empty():
                following = self._waiting.get()
                if following is None:
                    ending = True
                    break
                batch.append(following)
            self._answer(batch)
            if ending:
                return

    def _answer(self, batch: list[_Waiting]) -> None:
        try:
            with transaction(self._sessions) as db:
                replies = [self._turn(db, waiting) for waiting in batch]
        except Exception as error:  # the turn boundary: nothing of this commit is stored, everybody is told
            log.exception("commit failed", turns=len(batch))
            for waiting in batch:
                waiting.reply.set_exception(error)
            return
        for waiting, reply in zip(batch, replies, strict=True):
            waiting.reply.set_result(reply)

    def _turn(self, db: Session, waiting: _Waiting) -> Reply:
        try:
            with db.begin_nested():
                reply = self._assistant.handle(db, waiting.inbound, waiting.given)
                db.flush()
            return reply
        except Exception:  # the turn boundary: the savepoint is rolled back and the person gets a reference
            reference = secrets.token_hex(4)
            log.exception("turn failed", reference=reference, channel=waiting.inbound.channel)
            return apology(waiting.inbound, reference)
        finally:
            db.expunge_all()  # what one person's turn has loaded must not be at hand in the next one's
