"""Hands what the ledger holds to the channels: claimed, noted, called, noted again.

The note before the call is committed, so that a crash shows which messages may have gone out. Several threads and,
on PostgreSQL, several processes may drain at once; the fence of each row decides who may finish it.
"""

import random
import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import partial

import structlog
from sqlalchemy import event
from sqlalchemy.exc import OperationalError
from sqlalchemy.orm import Session, sessionmaker

from bot.channels import Channel
from bot.commits import Commits, Work
from bot.messages import ChannelStopped, Reply, TemporaryFailure, Undeliverable
from bot.pacing import Later, Pacer
from storage import audit, bindings, deliveries, reminders
from storage.db import reading, transaction
from storage.models import Delivery

BATCH = 20
POLL_S = 1.0
TRIES = 6
KEY_HOLDS = timedelta(minutes=10)  # the shortest time for which a platform remembers a key (WeChat client_msg_id)
ORDER = ("wecom", "wechat", "telegram", "web")
STOP_AFTER = 10  # failures in a row that stop a channel
PAUSE = timedelta(minutes=1)
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
class _Opened:
    """A message that is noted as being handed to a channel, to be called after a while."""

    channel: Channel
    address: str
    wait_s: float


@dataclass(kw_only=True)
class Dispatcher:
    """Drains the ledger through the channels. `guards` are keyed by what stands before the colon of a source."""

    channels: Mapping[str, Channel]
    sessions: sessionmaker[Session]
    clock: Callable[[], datetime]
    guards: Mapping[str, deliveries.Guard] = field(default_factory=dict)
    workers: int = 16
    pacer: Pacer = field(default_factory=Pacer)
    _commits: Commits = field(init=False)
    _breakers: dict[str, _Breaker] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _stopped: threading.Event = field(default_factory=threading.Event)
    _woken: threading.Event = field(default_factory=threading.Event)
    _called: list[threading.Event] = field(default_factory=list)
    _threads: list[threading.Thread] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._commits = Commits(sessions=self.sessions)

    def start(self) -> None:
        """Send what falls due from now on, in threads of its own: one looks, and calls the workers."""
        event.listen(self.sessions, "after_commit", self._committed)
        self._called = [threading.Event() for _ in range(self.workers)]
        runs: list[Callable[[], None]] = [self._look, *(partial(self._keep_on, n) for n in range(self.workers))]
        for number, run in enumerate(runs):
            thread = threading.Thread(target=run, name=f"delivery-{number}", daemon=True)
            thread.start()
            self._threads.append(thread)

    def stop(self) -> None:
        """Finish the messages in hand and end the threads."""
        self._stopped.set()
        for waiting in (self._woken, *self._called):
            waiting.set()
        for thread in self._threads:
            thread.join()
        if self._threads:
            event.remove(self.sessions, "after_commit", self._committed)

    def drain(self) -> Counter[str]:
        """Send everything that is due; how many messages ended in which state."""
        with transaction(self.sessions) as db:
            on, _ = deliveries.sending(db)
            swept = deliveries.sweep(db, self.clock())
        if not on:
            return swept
        with ThreadPoolExecutor(self.workers, thread_name_prefix="delivery") as pool:
            runs = [pool.submit(self._work, number) for number in range(self.workers)]
            return sum((run.result() for run in runs), swept)

    def _committed(self, db: Session) -> None:
        """What this process has queued is sent at once; the rest, and what other processes queue, by looking."""
        if db.info.pop(deliveries.PUT, False):
            self._woken.set()

    def _look(self) -> None:
        while not self._stopped.is_set():
            self._woken.wait(POLL_S)
            self._woken.clear()
            try:
                with reading(self.sessions) as db:  # a writer would queue for the turns' lock every second, for nothing
                    due, (on, _) = deliveries.due(db, self.clock()), deliveries.sending(db)
                if due:
                    with transaction(self.sessions) as db:
                        deliveries.sweep(db, self.clock())
                for called in self._called if due and on else ():
                    called.set()
            except Exception:  # the delivery boundary: it is looked again the next time
                log.exception("delivery failed")

    def _keep_on(self, number: int) -> None:
        called = self._called[number]
        while not self._stopped.is_set():
            called.wait()
            called.clear()
            try:
                self._work(number)
            except Exception:  # the delivery boundary: the rows in hand are settled by the next sweep
                log.exception("delivery failed")

    def _work(self, number: int) -> Counter[str]:
        """Deliver what is due. Every other worker leaves notices alone, so that a broadcast holds up nobody's reply."""
        lanes = [lane for name, lane in deliveries.LANES.items() if number % 2 == 0 or name != "notice"]
        ended: list[Work] = []
        done: Counter[str] = Counter()
        while not self._stopped.is_set():
            *states, batch = self._commits.run(*ended, lambda db: deliveries.claim(db, self.clock(), BATCH, lanes))
            done.update(states)
            ended = []
            for delivery in batch:
                states, ended = self._deliver(delivery, ended)
                done.update(states)
            if not batch:
                break
        done.update(self._commits.run(*ended))  # when told to stop
        return done

    def _deliver(self, delivery: Delivery, ended: list[Work]) -> tuple[list[str], list[Work]]:
        """Try the recipient's channels in order until one takes the message.

        `ended` is what must be noted of the message before; it is committed with the note on this one. Returns the
        states that were committed, and what must be noted of this one.
        """
        tried: dict[tuple[str, str], str] = {}
        states: list[str] = []
        while True:
            *before, opened = self._commits.run(*ended, partial(self._open, delivery, tried))
            states, ended = [*states, *before], []
            if isinstance(opened, str):
                return [*states, opened], []
            channel, address = opened.channel, opened.address
            try:
                return states, [self._push(delivery, opened)]
            except Undeliverable as trouble:
                tried[channel.name, address] = trouble.code
                self._unreachable(channel, address, trouble)
            except ChannelStopped as trouble:
                self._breaker(channel).stop(self.clock(), timedelta(seconds=trouble.retry_after_s))
                log.error("channel stopped", channel=channel.name, code=trouble.code, reason=trouble.reason)

    def _open(self, delivery: Delivery, tried: Mapping[tuple[str, str], str], db: Session) -> str | _Opened:
        """Note which channel the message is about to be handed to; its state when it is to be handed to none."""
        now, paused = self.clock(), False
        if ended := self._ended(db, delivery, now):
            return ended
        for channel, address in self._routes(db, delivery):
            if (channel.name, address) in tried:
                continue
            if not self._breaker(channel).open(now):
                paused = True
                continue
            place = self.pacer.place(db, channel.name, delivery, now)
            if isinstance(place, Later):
                deliveries.again(db, delivery, place.code, place.at)
                return "queued"
            if not deliveries.hand(db, delivery, channel.name, now):
                return "lost"
            return _Opened(channel=channel, address=address, wait_s=place)
        if paused:
            deliveries.again(db, delivery, "channel-stopped", now + PAUSE)
            return "queued"
        code = list(tried.values())[-1] if tried else deliveries.NO_CHANNEL
        deliveries.end(db, delivery, "failed", deliveries.NO_CHANNEL, code)
        return "failed"

    def _push(self, delivery: Delivery, opened: _Opened) -> Work:
        """Call the channel; what is to be noted then."""
        key = f"{delivery.source}:{delivery.version}:{delivery.id}"
        if opened.wait_s:
            time.sleep(opened.wait_s)
        try:
            platform_id = opened.channel.push(opened.address, Reply.from_json(delivery.reply), key)
        except TemporaryFailure as trouble:
            return self._later(delivery, opened.channel, trouble)
        except OperationalError:  # the channel looks things up before it calls, and some note things after
            return self._later(delivery, opened.channel, TemporaryFailure("database", sure=False))
        self._breaker(opened.channel).worked()
        return lambda db: "accepted" if deliveries.accepted(db, delivery, platform_id, self.clock()) else "lost"

    def _later(self, delivery: Delivery, channel: Channel, trouble: TemporaryFailure) -> Work:
        """Back off and try again while the platform still knows the key; else it stays unknown, or failed."""
        now = self.clock()
        if self._breaker(channel).failed(now):
            log.error("channel paused", channel=channel.name, code=trouble.code)
        tried = delivery.attempts + 1
        next_at = now + timedelta(seconds=max(trouble.retry_after_s, 2 * 2**tried * random.uniform(0.7, 1.3)))
        forgotten = not trouble.sure and next_at - (delivery.handed_at or now) > KEY_HOLDS

        def note(db: Session) -> deliveries.State:
            if tried < TRIES and not forgotten:
                deliveries.again(db, delivery, trouble.code, next_at)
                return "queued"
            state: deliveries.State = "failed" if trouble.sure else "unknown"
            deliveries.end(db, delivery, state, trouble.code)
            return state

        return note

    def _ended(self, db: Session, delivery: Delivery, now: datetime) -> str:
        """Settle what must not be sent now: too late, no longer called for, or only later."""
        if delivery.not_after is not None and delivery.not_after < now:
            deliveries.end(db, delivery, "expired", "late")
            return "expired"
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

    def _unreachable(self, channel: Channel, address: str, trouble: Undeliverable) -> None:
        """An address that is of no more use speaks for nobody from now on."""
        if not trouble.gone:
            return

        def note(db: Session) -> None:
            binding = bindings.live(db, channel.name, address)
            if binding is not None:
                why = f"平台返回{trouble.code}"
                bindings.end(db, binding, why, self.clock())
                audit.record(
                    db, "unbind", f"person:{binding.person_id}", now=self.clock(), role="system",
                    after={"channel": channel.name}, reason=why,
                )  # fmt: skip

        self._commits.run(note)

    def _breaker(self, channel: Channel) -> _Breaker:
        with self._lock:
            return self._breakers.setdefault(channel.name, _Breaker())
