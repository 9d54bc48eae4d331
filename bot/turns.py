"""The threads that run turns. Replies leave after the commit.

On SQLite there is one, and it commits the turns that wait together. When one of them fails, all are undone and each is
answered again in a transaction of its own, so that the failing one changes nothing; savepoints would cost every turn a
tenth of its time. On PostgreSQL there are a few threads; each turn is a transaction that holds its sender's address.

A question in words that nobody has used yet takes longer than many turns together, most of it in the sentence encoder.
A thread beside them works out its answer in a transaction that only reads, and the turn finds it remembered: meanwhile
others are answered, and others write. When more messages come than can be answered soon, the rest is answered after
those that people wait for.
"""

import asyncio
import os
import secrets
import sys
import threading
import time
from collections import deque
from collections.abc import Mapping
from concurrent.futures import Future
from contextlib import nullcontext
from dataclasses import dataclass, field
from enum import Enum
from typing import Any

import structlog
from sqlalchemy.orm import Session, sessionmaker
from sqlalchemy.pool import StaticPool

from bot.dialogue import Assistant, apology
from bot.messages import Inbound, Reply
from knowledge.base import KnowledgeBase
from knowledge.semantic import NotAtHand, hurried, vector
from storage import conversations, scope
from storage.db import hold, reading, transaction

TOGETHER = 32  # turns in one commit on SQLite; more would make the first of them wait
COMPANY_S, COMPANIES = 0.004, 4  # for which a few that wait are joined by others, and how often again
THREADS = 4  # on PostgreSQL
SOON, SOON_S = 200, 1.0  # turns that may be waited for, and how long the first of them may have waited
SOON_NEW_S = 0.15  # how long a new question may have to wait, by what the last ones took
MOST_LATE = 1000  # messages that are answered after the others; more are best sent again
# Steps of Linux's nice. What comes is read before turns go on, lest it wait unread; turns go before new questions.
TURNS_GIVE_WAY, PREPARING_GIVES_WAY = 10, 19
log = structlog.get_logger()


class Outlook(Enum):
    """When a message would be answered: while its sender waits, after those who wait, or with luck."""

    SOON = "soon"
    LATE = "late"
    FULL = "full"


@dataclass(kw_only=True)
class _Waiting:
    inbound: Inbound
    given: Mapping[str, Any]
    late: bool
    new: bool  # until it is prepared
    since: float = field(default_factory=time.monotonic)
    reply: Future[Reply] = field(default_factory=Future)


class _Failed(Exception):
    """A turn raised what it should not have; its cause says what."""


class _Lane:
    """Messages on their way to a thread: those that are answered soon in order, then the late ones in order."""

    def __init__(self) -> None:
        self.soon: deque[_Waiting] = deque()
        self._late: deque[_Waiting] = deque()
        self._changed = threading.Condition()
        self._closed = False

    def put(self, waiting: _Waiting) -> None:
        with self._changed:
            (self._late if waiting.late else self.soon).append(waiting)
            self._changed.notify_all()

    def take(self, most: int) -> list[_Waiting]:
        """Wait for messages and take some, `most` at most; none when the lane is closed and empty."""
        with self._changed:
            self._changed.wait_for(lambda: self.soon or self._late or self._closed)
        self._await_company(most)
        with self._changed:
            first = self.soon or self._late
            taken = [first.popleft() for _ in range(min(most, len(first)))]
            self._changed.notify_all()
            return taken

    def _await_company(self, most: int) -> None:
        """While more and more wait, let those who are on their way share the commit."""
        before = 1
        for _ in range(COMPANIES):
            came = len(self.soon)
            if not before < came < most:
                return
            before = came
            time.sleep(COMPANY_S)

    def crowded(self, most: int, longest_s: float) -> bool:
        """Whether `most` are to be answered soon already, or one of them has waited for `longest_s`."""
        with self._changed:
            return len(self.soon) >= most or bool(self.soon) and time.monotonic() - self.soon[0].since > longest_s

    def settle(self, most: int) -> None:
        """Wait until no more than `most` are to be answered soon."""
        with self._changed:
            self._changed.wait_for(lambda: len(self.soon) <= most)

    def close(self) -> None:
        """Let the thread end once it has taken all."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()


async def told(reply: Future[Reply], within_s: float) -> bool:
    """Wait for a reply on an event loop, so long at most; whether it has come.

    asyncio.wait around asyncio.wrap_future does the same in more than twice the time.
    """
    loop = asyncio.get_running_loop()
    heard = loop.create_future()

    def hear() -> None:
        if not heard.done():
            heard.set_result(None)

    def call(_reply: Future[Reply]) -> None:
        if not loop.is_closed():
            loop.call_soon_threadsafe(hear)

    late = loop.call_later(within_s, hear)
    reply.add_done_callback(call)
    try:
        await heard
    finally:
        late.cancel()
    return reply.done()


def _give_way(steps: int) -> None:
    """Let this thread come after the process's others where they all want the same core."""
    if sys.platform == "linux":  # elsewhere a thread has no priority of its own
        thread = threading.get_native_id()
        os.setpriority(os.PRIO_PROCESS, thread, os.getpriority(os.PRIO_PROCESS, thread) + steps)


class TurnThread:
    """Takes messages from any thread and answers those of one address in order."""

    def __init__(self, assistant: Assistant, sessions: sessionmaker[Session]) -> None:
        engine = sessions.kw["bind"]
        several = engine.dialect.name == "postgresql"
        self._assistant = assistant
        self._sessions = sessions
        self._together = 1 if several else TOGETHER
        self._lanes = [_Lane() for _ in range(THREADS if several else 1)]
        self._new = _Lane()
        self._prepares = not isinstance(engine.pool, StaticPool)  # a database in memory has one connection for all
        self._lock = threading.Lock()
        self._last: dict[tuple[str, str], _Waiting] = {}  # of each address, the last message that is not answered yet
        self._late = 0
        self._unprepared, self._pace_s = 0, 0.0  # new questions that wait, and what one takes of late
        self._threads = [threading.Thread(target=self._run, args=(lane,), daemon=True) for lane in self._lanes]
        self._preparing = threading.Thread(target=self._prepare, daemon=True)
        for thread in (*self._threads, self._preparing):
            thread.start()

    @property
    def kb(self) -> KnowledgeBase:
        """The knowledge that answers now."""
        return self._assistant.kb

    def use(self, assistant: Assistant) -> None:
        """Answer with this assistant from the next turn on."""
        self._assistant = assistant

    def offer(self, inbound: Inbound) -> tuple[Outlook, Future[Reply] | None]:
        """Queue a message, unless so many wait that it is better sent again; an event never is."""
        with self._lock:
            waiting = self._waits(inbound)
            if waiting.late and self._late >= MOST_LATE and inbound.kind != "event":
                return Outlook.FULL, None
            return Outlook.LATE if waiting.late else Outlook.SOON, self._queue(waiting)

    def submit(self, inbound: Inbound, given: Mapping[str, Any] | None = None) -> Future[Reply]:
        """Queue a message; the future holds its reply once it is stored."""
        with self._lock:
            return self._queue(self._waits(inbound, given))

    def _queue(self, waiting: _Waiting) -> Future[Reply]:
        self._last[waiting.inbound.channel, waiting.inbound.address] = waiting
        self._late += waiting.late
        self._unprepared += waiting.new
        waiting.reply.set_running_or_notify_cancel()  # whoever stops waiting for it: the turn goes on, and so must this
        waiting.reply.add_done_callback(lambda _: self._done(waiting))
        (self._new if waiting.new else self._lane(waiting.inbound)).put(waiting)
        return waiting.reply

    def stop(self) -> None:
        """Finish what is queued and end the threads."""
        self._new.close()
        self._preparing.join()
        for lane in self._lanes:
            lane.close()
        for thread in self._threads:
            thread.join()

    def _waits(self, inbound: Inbound, given: Mapping[str, Any] | None = None) -> _Waiting:
        """How a message waits: it overtakes none of its own address."""
        before = self._last.get((inbound.channel, inbound.address))
        new = self._prepares and not self._assistant.knows(inbound) or before is not None and before.new
        crowded = self._new_wait_long() if new else self._lane(inbound).crowded(SOON, SOON_S)
        late = crowded or before is not None and before.late
        return _Waiting(inbound=inbound, given=given or {}, late=late, new=new)

    def _new_wait_long(self) -> bool:
        """Whether a new question would: those before it, the one that is under way, and itself."""
        return self._unprepared > 0 and (len(self._new.soon) + 2) * self._pace_s > SOON_NEW_S

    def _lane(self, inbound: Inbound) -> _Lane:
        return self._lanes[hash((inbound.channel, inbound.address)) % len(self._lanes)]

    def _done(self, waiting: _Waiting) -> None:
        address = waiting.inbound.channel, waiting.inbound.address
        with self._lock:
            self._late -= waiting.late
            if self._last.get(address) is waiting:
                del self._last[address]

    def _prepare(self) -> None:
        _give_way(PREPARING_GIVES_WAY)
        while taken := self._new.take(1):
            [waiting], started = taken, time.monotonic()
            lane = self._lane(waiting.inbound)
            lane.settle(TOGETHER)  # what is known goes first: the encoder would take half of one core from it
            try:
                with reading(self._sessions) as db:
                    self._assistant.prepare(db, waiting.inbound, waiting.given)
            except Exception:  # the turn boundary: what fails here fails again in the turn, which tells of it
                log.warning("turn not prepared", channel=waiting.inbound.channel, exc_info=True)
            with self._lock:
                self._pace_s += (time.monotonic() - started - self._pace_s) / 4
                waiting.new = False
                self._unprepared -= 1
                lane.put(waiting)

    def _run(self, lane: _Lane) -> None:
        _give_way(TURNS_GIVE_WAY)
        while batch := lane.take(self._together):
            self._answer(batch)

    def _answer(self, batch: list[_Waiting]) -> None:
        """Answer turns in one transaction. One that fails alone gets an apology, one of several another try alone."""
        try:
            with transaction(self._sessions) as db:
                replies = self._turns(db, batch)
        except NotAtHand as wanted:  # preparing did not foresee it: a choice, a follow-up to a turn under way
            try:
                vector(wanted.text)
            except Exception as error:  # the turn boundary: who needs it is told
                return self._failed(batch, error)
            return self._answer(batch)
        except _Failed as failed:
            return self._failed(batch, failed.__cause__)
        except Exception as error:  # the turn boundary: nothing of this commit is stored, everybody is told
            log.exception("commit failed", turns=len(batch))
            for waiting in batch:
                waiting.reply.set_exception(error)
            return
        for waiting, reply in zip(batch, replies, strict=True):
            waiting.reply.set_result(reply)

    def _failed(self, batch: list[_Waiting], cause: BaseException | None) -> None:
        """Let each of several try alone; apologise to one."""
        if len(batch) > 1:
            for waiting in batch:
                self._answer([waiting])
            return
        [waiting], reference = batch, secrets.token_hex(4)
        log.error("turn failed", reference=reference, channel=waiting.inbound.channel, exc_info=cause)
        waiting.reply.set_result(apology(waiting.inbound, reference))

    def _turns(self, db: Session, batch: list[_Waiting]) -> list[Reply]:
        try:
            if len(batch) > 1:
                asked = [(one.inbound.channel, one.inbound.address, one.inbound.message_id) for one in batch]
                conversations.foresee(db, asked)
            with hurried() if self._prepares else nullcontext():
                replies = [self._turn(db, waiting) for waiting in batch]
            conversations.settle(db)
        except NotAtHand:
            raise
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
