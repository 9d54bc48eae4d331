"""The threads that run turns. Replies leave after the commit.

On SQLite there is one, and it commits the turns that wait together. When one of them fails, all are undone and each is
answered again in a transaction of its own, so that the failing one changes nothing; savepoints would cost every turn a
tenth of its time. On PostgreSQL there are a few threads; each turn is a transaction that holds its sender's address.
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
from knowledge.base import KnowledgeBase
from storage import conversations, scope
from storage.db import hold, transaction

TOGETHER = 32  # turns in one commit on SQLite; more would make the first of them wait
THREADS = 4  # on PostgreSQL
log = structlog.get_logger()


@dataclass(frozen=True, kw_only=True)
class _Waiting:
    inbound: Inbound
    given: Mapping[str, Any]
    reply: Future[Reply] = field(default_factory=Future)


class _Failed(Exception):
    """A turn raised what it should not have; its cause says what."""


_Lane = queue.SimpleQueue[_Waiting | None]


class TurnThread:
    """Takes messages from any thread and answers those of one address in order."""

    def __init__(self, assistant: Assistant, sessions: sessionmaker[Session]) -> None:
        several = sessions.kw["bind"].dialect.name == "postgresql"
        self._assistant = assistant
        self._sessions = sessions
        self._together = 1 if several else TOGETHER
        self._lanes: list[_Lane] = [queue.SimpleQueue() for _ in range(THREADS if several else 1)]
        self._threads = [threading.Thread(target=self._run, args=(lane,), daemon=True) for lane in self._lanes]
        for thread in self._threads:
            thread.start()

    @property
    def kb(self) -> KnowledgeBase:
        """The knowledge that answers now."""
        return self._assistant.kb

    def use(self, assistant: Assistant) -> None:
        """Answer with this assistant from the next turn on."""
        self._assistant = assistant

    def submit(self, inbound: Inbound, given: Mapping[str, Any] | None = None) -> Future[Reply]:
        """Queue a message; the future holds its reply once it is stored."""
        waiting = _Waiting(inbound=inbound, given=given or {})
        self._lanes[hash((inbound.channel, inbound.address)) % len(self._lanes)].put(waiting)
        return waiting.reply

    def stop(self) -> None:
        """Finish what is queued and end the threads."""
        for lane in self._lanes:
            lane.put(None)
        for thread in self._threads:
            thread.join()

    def _run(self, lane: _Lane) -> None:
        while (first := lane.get()) is not None:
            batch = [first]
            ending = False
            while len(batch) < self._together and not lane.empty():
                following = lane.get()
                if following is None:
                    ending = True
                    break
                batch.append(following)
            self._answer(batch)
            if ending:
                return

    def _answer(self, batch: list[_Waiting]) -> None:
        """Answer turns in one transaction. One that fails alone gets an apology, one of several another try alone."""
        try:
            with transaction(self._sessions) as db:
                replies = self._turns(db, batch)
        except _Failed as failed:
            if len(batch) > 1:
                for waiting in batch:
                    self._answer([waiting])
                return
            reference = secrets.token_hex(4)
            channel = batch[0].inbound.channel
            log.error("turn failed", reference=reference, channel=channel, exc_info=failed.__cause__)
            replies = [apology(batch[0].inbound, reference)]
        except Exception as error:  # the turn boundary: nothing of this commit is stored, everybody is told
            log.exception("commit failed", turns=len(batch))
            for waiting in batch:
                waiting.reply.set_exception(error)
            return
        for waiting, reply in zip(batch, replies, strict=True):
            waiting.reply.set_result(reply)

    def _turns(self, db: Session, batch: list[_Waiting]) -> list[Reply]:
        try:
            replies = [self._turn(db, waiting) for waiting in batch]
            conversations.settle(db)
        except Exception as error:  # the turn boundary: what was begun is rolled back
            raise _Failed from error
        return replies

    def _turn(self, db: Session, waiting: _Waiting) -> Reply:
        hold(db, f"{waiting.inbound.channel}:{waiting.inbound.address}")
        reply = self._assistant.handle(db, waiting.inbound, waiting.given)
        db.flush()
        db.expunge_all()  # what one person's turn has loaded must not be at hand in the next one's
        scope.enter(db, None, "")
        return reply
