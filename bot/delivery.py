"""Hands what the ledger holds to the channels: claimed, noted, called, noted again.

One thread keeps the ledger and many call the channels. What their calls came to, and which messages are handed over
next, is noted in one commit for all of them. A call is made only after its note is committed, so that a crash shows
which messages may have gone out. On PostgreSQL several processes may drain at once; the fence of each row decides who
may finish it.
"""

import queue
import random
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from functools import partial
from itertools import groupby
from typing import TypeVar

import structlog
from sqlalchemy import event, text
from sqlalchemy.exc import OperationalError
from sqlalchemy.orm import Session, sessionmaker

from bot.channels import Channel
from bot.messages import ChannelStopped, Reply, TemporaryFailure, Undeliverable
from bot.pacing import Later, Pacer
from storage import audit, bindings, deliveries, reminders, scope
from storage.db import reading, transaction
from storage.models import Delivery

POLL_S, SWEEP_S = 1.0, 10.0
COMPANY_S = 0.006  # for which a call that has ended waits for others, to be noted in the same commit
TOGETHER = 12  # messages in one commit: a digest is looked at for 10 ms before it leaves, and turns wait meanwhile
FOR_NOTICES = 0.75  # the share of the senders that notices may keep busy: a broadcast holds up nobody's reply
TRIES = 6
KEY_HOLDS = timedelta(minutes=10)  # the shortest time for which a platform remembers a key (WeChat client_msg_id)
KEYLESS = ("telegram",)  # platforms without keys: what they may have taken is not sent again
ORDER = ("wecom", "wechat", "telegram", "web")
STOP_AFTER = 10  # failures in a row that stop a channel
PAUSE = timedelta(minutes=1)
PATIENCE_S, AGAIN_S = 30.0, 0.2  # for how long, and how often, a database that cannot be reached is tried
# On PostgreSQL a commit for many locks rows in no order that others know. Who waits longer than this gives up before
# anybody is taken for part of a deadlock (deadlock_timeout, 1 s), and then takes the messages one by one.
_LITTLE_PATIENCE = text("SET LOCAL lock_timeout = '200ms'")
_NOTICE = deliveries.LANES["notice"]
log = structlog.get_logger()


@dataclass(kw_only=True)
class _Breaker:
    """Keeps a channel from being called while it only fails."""

    failures: int = 0
    closed_until: datetime | None = None

    def open(self, now: datetime) -> bool:
        return self.closed_until is None or now >= self.closed_until

    def failed(self, now: datetime) -> bool:
        """Count a failure; True when it stops the channel."""
        self.failures += 1
        if self.failures >= STOP_AFTER:
            self.stop(now, PAUSE)
        return self.failures == 0

    def stop(self, now: datetime, pause: timedelta) -> None:
        self.failures, self.closed_until = 0, now + pause

    def worked(self) -> None:
        self.failures, self.closed_until = 0, None


@dataclass(frozen=True, kw_only=True)
class _Opening:
    """A message that is to be handed over. `tried` are the addresses that did not take it, and why."""

    delivery: Delivery
    tried: Mapping[tuple[str, str], str] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class _Call:
    """A message that is noted as being handed to a channel, to be called after a while."""

    opening: _Opening
    channel: Channel
    address: str
    wait_s: float = 0.0

    @property
    def delivery(self) -> Delivery:
        return self.opening.delivery


T = TypeVar("T")
Found = list[str | _Call]  # states that messages have come to, and calls to be made
Work = Callable[[Session], Found]
Ended = tuple[_Call, Future[str]]  # with the platform's number of the message, or why it did not take it
Events = queue.SimpleQueue[Ended | None]  # None: there may be something to send


@dataclass(kw_only=True)
class _Notes:
    """What is to be noted in one commit."""

    accepted: list[tuple[Delivery, str]] = field(default_factory=list)  # with the platform's number
    works: list[Work] = field(default_factory=list)
    openings: list[_Opening] = field(default_factory=list)  # for which the next channel is to be tried


@dataclass(kw_only=True)
class Dispatcher:
    """Drains the ledger through the channels. `guards` are keyed by what stands before the colon of a source."""

    channels: Mapping[str, Channel]
    sessions: sessionmaker[Session]
    clock: Callable[[], datetime]
    guards: Mapping[str, deliveries.Guard] = field(default_factory=dict)
    workers: int = 24
    pacer: Pacer = field(default_factory=Pacer)
    _breakers: dict[str, _Breaker] = field(default_factory=dict)
    _stopped: threading.Event = field(default_factory=threading.Event)
    _events: Events = field(default_factory=queue.SimpleQueue)
    _thread: threading.Thread | None = None

    def start(self) -> None:
        """Send what falls due from now on, in a thread of its own."""
        event.listen(self.sessions, "after_commit", self._committed)
        self._thread = threading.Thread(target=self._keep_on, name="delivery", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Finish the messages in hand and end the thread."""
        self._stopped.set()
        if self._thread is not None:
            self._events.put(None)
            self._thread.join()
            event.remove(self.sessions, "after_commit", self._committed)

    def drain(self) -> Counter[str]:
        """Send everything that is due; how many messages ended in which state."""
        with self._senders() as senders:
            return self._drain(senders, queue.SimpleQueue())

    def _senders(self) -> ThreadPoolExecutor:
        return ThreadPoolExecutor(self.workers, thread_name_prefix="delivery")

    def _committed(self, db: Session) -> None:
        """What this process has queued is sent at once; the rest, and what other processes queue, by looking."""
        if db.info.pop(deliveries.PUT, False):
            self._events.put(None)

    def _keep_on(self) -> None:
        with self._senders() as senders:
            while not self._stopped.is_set():
                try:
                    with reading(self.sessions) as db:  # a writer would queue for the turns' lock, for nothing
                        due = deliveries.due(db, self.clock())
                    if due:
                        self._drain(senders, self._events)
                except Exception:  # the delivery boundary: it is looked again the next time
                    log.exception("delivery failed")
                if not self._stopped.is_set():  # _drain may have taken the event that tells of it
                    _next(self._events, 0)

    def _drain(self, senders: ThreadPoolExecutor, events: Events) -> Counter[str]:
        """Go on until nothing is due and no call is under way."""
        done: Counter[str] = Counter()
        calls: dict[int, _Call] = {}  # under way, by the number of their message
        ended: list[Ended] = []
        sweep_at = 0.0
        while True:
            if time.monotonic() >= sweep_at:
                sweep_at = time.monotonic() + SWEEP_S
                done.update(self._alone(lambda db: [*deliveries.sweep(db, self.clock()).elements()]))
            found = self._note(ended, calls.values())
            for one in found:
                if isinstance(one, str):
                    done[one] += 1
                else:
                    calls[one.delivery.id] = one
                    senders.submit(_push, one).add_done_callback(partial(_tell, events, one))
            if not calls and not found:
                return done
            if len(found) >= TOGETHER:
                events.put(None)  # there may be more, for senders that are free
            ended = _next(events, len(calls)) if calls else []
            for call, _ in ended:
                del calls[call.delivery.id]

    # --- noting ------------------------------------------------------------------------------------------------------

    def _note(self, ended: Iterable[Ended], calls: Iterable[_Call]) -> Found:
        """Note what calls came to, and which are made next, in one commit; one by one when that fails."""
        notes = _Notes()
        for call, sent in ended:
            self._judge(call, sent, notes)
        busy = [*notes.openings, *(call.opening for call in calls)]
        room = min(self.workers - len(busy), TOGETHER)
        for_notices = max(1, int(self.workers * FOR_NOTICES)) - sum(one.delivery.lane == _NOTICE for one in busy)
        claim = partial(self._claim, room, for_notices)
        try:
            with transaction(self.sessions) as db:
                if db.get_bind().dialect.name == "postgresql":
                    db.connection().execute(_LITTLE_PATIENCE)
                found = self._accepted(notes.accepted, db)
                for work in notes.works:
                    found += _apart(work, db)
                return found + self._open([*notes.openings, *claim(db)], db)
        except Exception as error:  # the delivery boundary: what is at fault is told of below
            log.info("delivery one by one", error=type(error).__name__)
        found = self._alone(*(partial(self._accepted, [one]) for one in notes.accepted), *notes.works)
        openings = [*notes.openings, *self._alone(claim)]
        return found + self._alone(*(partial(self._open, [one]) for one in openings))

    def _alone(self, *works: Callable[[Session], list[T]]) -> list[T]:
        """Do each in a transaction of its own; all that they found. One that fails undoes no other.

        A database that cannot be reached is tried again for a while.
        """
        until, found = time.monotonic() + PATIENCE_S, list[T]()
        waiting = list(works)
        while waiting:
            try:
                with transaction(self.sessions) as db:
                    some = waiting[0](db)
                found += some
            except Exception as error:  # the delivery boundary: the next sweep settles the message
                if isinstance(error, OperationalError) and time.monotonic() < until:
                    time.sleep(AGAIN_S)
                    continue
                log.exception("delivery failed")
            waiting.pop(0)
        return found

    def _accepted(self, rows: Sequence[tuple[Delivery, str]], db: Session) -> Found:
        noted = deliveries.accepted(db, rows, self.clock()) if rows else 0
        return [*["accepted"] * noted, *["lost"] * (len(rows) - noted)]

    # --- what a call came to -----------------------------------------------------------------------------------------

    def _judge(self, call: _Call, sent: Future[str], notes: _Notes) -> None:
        """Decide what is to be noted of a call. Raises only what is to end the process."""
        breaker = self._breaker(call.channel)
        try:
            notes.accepted.append((call.delivery, sent.result()))
            breaker.worked()
        except TemporaryFailure as trouble:
            notes.works.append(self._later(call, trouble))
        except OperationalError:  # the channel looks things up before it calls, and some note things after
            notes.works.append(self._later(call, TemporaryFailure("database", sure=False)))
        except Undeliverable as trouble:
            tried = {**call.opening.tried, (call.channel.name, call.address): trouble.code}
            notes.openings.append(_Opening(delivery=call.delivery, tried=tried))
            if trouble.gone:
                notes.works.append(partial(self._gone, call, f"平台返回{trouble.code}"))
        except ChannelStopped as trouble:
            breaker.stop(self.clock(), timedelta(seconds=trouble.retry_after_s))
            log.error("channel stopped", channel=call.channel.name, code=trouble.code, reason=trouble.reason)
            notes.openings.append(call.opening)
        except Exception:  # the delivery boundary: it may have gone out, and the next sweep says so
            log.exception("delivery failed")

    def _gone(self, call: _Call, why: str, db: Session) -> Found:
        """An address that is of no more use speaks for nobody from now on."""
        binding = bindings.live(db, call.channel.name, call.address)
        if binding is not None:
            bindings.end(db, binding, why, self.clock())
            audit.record(
                db, "unbind", f"person:{binding.person_id}", now=self.clock(), role="system",
                after={"channel": call.channel.name}, reason=why,
            )  # fmt: skip
        return []

    def _later(self, call: _Call, trouble: TemporaryFailure) -> Work:
        """Back off and try again while the platform still knows the key; else it stays unknown, or failed."""
        now, delivery = self.clock(), call.delivery
        if self._breaker(call.channel).failed(now):
            log.error("channel paused", channel=call.channel.name, code=trouble.code)
        tried = delivery.attempts + 1
        next_at = now + timedelta(seconds=max(trouble.retry_after_s, 2 * 2**tried * random.uniform(0.7, 1.3)))
        doubtful = not trouble.sure or delivery.handed_at is not None
        keyless = call.channel.name in KEYLESS
        forgotten = doubtful and (keyless or next_at - (delivery.handed_at or now) > KEY_HOLDS)

        def note(db: Session) -> Found:
            if tried < TRIES and not forgotten:
                deliveries.again(db, delivery, trouble.code, next_at, taken=not trouble.sure)
                return ["queued"]
            state: deliveries.State = "unknown" if doubtful else "failed"
            deliveries.end(db, delivery, state, trouble.code)
            return [state]

        return note

    def _breaker(self, channel: Channel) -> _Breaker:
        return self._breakers.setdefault(channel.name, _Breaker())

    # --- what is handed over next ------------------------------------------------------------------------------------

    def _claim(self, room: int, for_notices: int, db: Session) -> list[_Opening]:
        """Take what is due, as much as there is room for in all and for notices."""
        if self._stopped.is_set():
            return []
        taken = deliveries.claim(db, self.clock(), room, for_notices)
        db.expunge_all()
        return [_Opening(delivery=one) for one in taken]

    def _open(self, openings: Sequence[_Opening], db: Session) -> Found:
        """Note which channels messages are about to be handed to; their states where they are to be handed to none."""
        now = self.clock()
        found, calls = self._paced([_apart(partial(self._opened, one, now), db) for one in openings], now, db)
        handed = [(call.delivery, call.channel.name) for call in calls]
        if calls and deliveries.hand(db, handed, now) < len(calls):
            if len(openings) > 1:
                raise _Lost
            return ["lost"]
        return [*found, *calls]

    def _paced(self, found: Found, now: datetime, db: Session) -> tuple[list[str], list[_Call]]:
        """Give calls their places on their channels, and put off what has none yet."""
        states, calls = [one for one in found if isinstance(one, str)], []
        routed = sorted((one for one in found if isinstance(one, _Call)), key=_line)
        for (channel, lane), line in groupby(routed, _line):
            waiting = list(line)
            places = self.pacer.places(db, channel, lane, [call.delivery.recipient for call in waiting], now)
            for call, place in zip(waiting, places, strict=True):
                if isinstance(place, Later):
                    deliveries.again(db, call.delivery, place.code, place.at)
                    states.append("queued")
                else:
                    calls.append(replace(call, wait_s=place))
        return states, calls

    def _opened(self, opening: _Opening, now: datetime, db: Session) -> str | _Call:
        """Find the channel for a message, or settle it."""
        delivery, paused = opening.delivery, False
        doubted = delivery.handed_at is not None and not opening.tried
        if ended := self._ended(db, delivery, now):
            return ended
        for channel, address in self._routes(db, delivery):
            if (channel.name, address) in opening.tried:
                continue
            if doubted and channel.name != delivery.channel:
                continue  # what may have come by one channel is not sent by another, which knows nothing of its key
            if not self._breaker(channel).open(now):
                paused = True
                continue
            return _Call(opening=opening, channel=channel, address=address)
        if paused:
            deliveries.again(db, delivery, "channel-stopped", now + PAUSE)
            return "queued"
        if doubted:
            deliveries.end(db, delivery, "unknown", delivery.code or "no-answer")
            return "unknown"
        code = list(opening.tried.values())[-1] if opening.tried else deliveries.NO_CHANNEL
        deliveries.end(db, delivery, "failed", deliveries.NO_CHANNEL, code)
        return "failed"

    def _ended(self, db: Session, delivery: Delivery, now: datetime) -> str:
        """Settle what must not be sent now: too late, twice for all one knows, no longer called for, or only later."""
        if delivery.not_after is not None and delivery.not_after < now:
            deliveries.end(db, delivery, "expired", "late")
            return "expired"
        if delivery.handed_at is not None and now - delivery.handed_at > KEY_HOLDS:
            deliveries.end(db, delivery, "unknown", delivery.code or "no-answer")
            return "unknown"
        reason = deliveries.guarded(db, delivery, self.guards)
        if isinstance(reason, datetime):
            deliveries.again(db, delivery, "quiet", reason)
            return "queued"
        if reason:
            deliveries.end(db, delivery, "skipped", "guard", reason)
            return "skipped"
        return ""

    def _routes(self, db: Session, delivery: Delivery) -> list[tuple[Channel, str]]:
        """The channels and addresses to try, the best first."""
        kind, _, rest = delivery.recipient.partition(":")
        order: tuple[str, ...] = ORDER
        if kind == "person":
            order = (*reminders.preferred_channels(db, int(rest)), *ORDER)
            found = [(one.channel, one.address) for one in bindings.addresses(db, int(rest))]
        else:
            found = [(kind, rest)]
        known = [(self.channels[name], address) for name, address in found if name in self.channels]
        return sorted(known, key=lambda one: order.index(one[0].name) if one[0].name in order else len(order))


class _Lost(Exception):
    """One of several messages is no longer ours."""


def _line(call: _Call) -> tuple[str, int]:
    """Which line for a channel a call stands in."""
    return call.channel.name, call.delivery.lane


def _push(call: _Call) -> str:
    """Call the channel; the platform's number of the message. Raises what Channel.push raises."""
    delivery = call.delivery
    time.sleep(call.wait_s)
    key = f"{delivery.source}:{delivery.version}:{delivery.id}"
    return call.channel.push(call.address, Reply.from_json(delivery.reply), key)


def _tell(events: Events, call: _Call, sent: Future[str]) -> None:
    """Tell the thread that keeps the ledger that a call has ended."""
    events.put((call, sent))


def _next(events: Events, under_way: int) -> list[Ended]:
    """What has ended, after waiting for something to end or to send; and for company while more is under way."""
    found: list[Ended | None] = []
    with suppress(queue.Empty):
        found.append(events.get(timeout=POLL_S))
        if events.qsize() + 1 < under_way:
            time.sleep(COMPANY_S)
        while True:
            found.append(events.get_nowait())
    return [one for one in found if one is not None]


def _apart(work: Callable[[Session], T], db: Session) -> T:
    """Do something for one message; what it has loaded and whom it has served must not be at hand for the next one."""
    found = work(db)
    db.flush()
    db.expunge_all()
    scope.enter(db, None, "")
    return found
