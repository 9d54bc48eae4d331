"""The ledger and its dispatcher, with channels that do what a test needs."""

import itertools
import threading
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import select
from sqlalchemy.orm import Session, sessionmaker

from bot import delivery
from bot.delivery import Dispatcher
from bot.messages import ChannelStopped, Media, Reply, TemporaryFailure, Undeliverable
from bot.pacing import Pacer
from storage import bindings, deliveries, reminders
from storage.db import make_engine, make_sessions, transaction
from storage.models import Base, Delivery, Person
from storage.scope import SYSTEM, serving

NOW = datetime(2020, 4, 24, 2, tzinfo=UTC)


@dataclass(kw_only=True)
class Platform:
    """A channel that records what reaches it; `answer` is asked first and may raise what a platform answers."""

    name: str
    limit: int = 0
    answer: Callable[[str], None] = lambda address: None
    got: list[tuple[str, str, str]] = field(default_factory=list)

    def push(self, address: str, reply: Reply, key: str) -> str:
        self.answer(address)
        self.got.append((address, reply.text, key))
        return f"id-{len(self.got)}"

    def fetch(self, media: Media) -> bytes:
        raise Undeliverable("none")


def refusing(error: Exception) -> Callable[[str], None]:
    def answer(address: str) -> None:
        raise error

    return answer


@dataclass
class Clock:
    now: datetime = NOW

    def __call__(self) -> datetime:
        return self.now


@pytest.fixture
def sessions(tmp_path_factory: pytest.TempPathFactory) -> Iterator[sessionmaker[Session]]:
    engine = make_engine(f"sqlite:///{tmp_path_factory.mktemp('ledger') / 'ledger.db'}")
    Base.metadata.create_all(engine)
    yield make_sessions(engine, b"k" * 32)
    engine.dispose()


def put(sessions: sessionmaker[Session], recipient: str, text: str = "请查收", **more: object) -> None:
    with transaction(sessions) as db:
        values: dict[str, object] = {"source": f"ruling:{text}", "lane": "confirmation", "why": "", "now": NOW, **more}
        deliveries.put(db, recipient=recipient, reply=Reply(text=text).to_json(), **values)  # type: ignore[arg-type]  # tests vary


def bound(sessions: sessionmaker[Session], *addresses: tuple[str, str]) -> str:
    with transaction(sessions) as db, serving(db, SYSTEM):
        person = Person(name="样例甲", at=NOW)
        db.add(person)
        db.flush()
        for channel, address in addresses:
            bindings.bind(db, person, channel, address, NOW)
        return deliveries.person(person.id)


def row(sessions: sessionmaker[Session]) -> Delivery:
    with transaction(sessions) as db:
        return db.scalars(select(Delivery)).one()


def dispatcher(sessions: sessionmaker[Session], clock: Clock, *channels: Platform, **more: object) -> Dispatcher:
    named = {channel.name: channel for channel in channels}
    return Dispatcher(channels=named, sessions=sessions, clock=clock, workers=2, **more)  # type: ignore[arg-type]  # tests vary


def test_a_message_goes_out_once_by_the_best_channel(sessions: sessionmaker[Session]) -> None:
    who = bound(sessions, ("wechat", "openid"), ("wecom", "zhang"))
    put(sessions, who)
    put(sessions, who)  # the same source, version and recipient
    wechat, wecom = Platform(name="wechat"), Platform(name="wecom")
    machine = dispatcher(sessions, Clock(), wechat, wecom)
    assert machine.drain() == {"accepted": 1}
    assert machine.drain() == {}
    assert [text for _, text, _ in wecom.got] == ["请查收"]
    assert wechat.got == []
    assert (row(sessions).state, row(sessions).channel, row(sessions).platform_id) == ("accepted", "wecom", "id-1")


def test_where_one_channel_cannot_reach_a_person_the_next_one_does(sessions: sessionmaker[Session]) -> None:
    who = bound(sessions, ("wechat", "openid"), ("wecom", "zhang"))
    put(sessions, who)
    wecom = Platform(name="wecom", answer=refusing(Undeliverable("81013", gone=True)))
    wechat = Platform(name="wechat")
    assert dispatcher(sessions, Clock(), wechat, wecom).drain() == {"accepted": 1}
    assert [address for address, _, _ in wechat.got] == ["openid"]
    with transaction(sessions) as db:
        assert bindings.live(db, "wecom", "zhang") is None
        assert bindings.live(db, "wechat", "openid") is not None


def test_whom_no_channel_reaches_gets_it_with_the_next_reply(sessions: sessionmaker[Session]) -> None:
    put(sessions, deliveries.address("wechat", "stranger"))
    wechat = Platform(name="wechat", answer=refusing(Undeliverable("45015")))
    assert dispatcher(sessions, Clock(), wechat).drain() == {"failed": 1}
    assert (row(sessions).code, row(sessions).reason) == ("no-channel", "45015")
    with transaction(sessions) as db:
        [taken] = deliveries.collect(db, [deliveries.address("wechat", "stranger")], "wechat", NOW, {})
        assert taken.state == "accepted"
        assert deliveries.collect(db, [deliveries.address("wechat", "stranger")], "wechat", NOW, {}) == []


def test_a_busy_platform_is_tried_again_later_with_the_same_key(sessions: sessionmaker[Session]) -> None:
    put(sessions, "wechat:openid")
    clock = Clock()
    wechat = Platform(name="wechat", answer=refusing(TemporaryFailure("-1", sure=False)))
    machine = dispatcher(sessions, clock, wechat)
    assert machine.drain() == {"queued": 1}
    assert machine.drain() == {}
    clock.now += timedelta(minutes=1)
    keys: list[str] = []
    wechat.answer = keys.append
    assert machine.drain() == {"accepted": 1}
    [(_, _, key)] = wechat.got
    assert key == f"ruling:请查收:1:{row(sessions).id}"
    assert row(sessions).attempts == 2


def test_what_may_have_gone_out_ends_as_unknown_and_never_as_lost(sessions: sessionmaker[Session]) -> None:
    put(sessions, "wechat:openid")
    clock = Clock()
    machine = dispatcher(
        sessions, clock, Platform(name="wechat", answer=refusing(TemporaryFailure("timeout", sure=False)))
    )
    states = []
    for _ in range(8):
        states += machine.drain().elements()
        clock.now += timedelta(minutes=3)
    assert states[-1] == "unknown"
    assert set(states[:-1]) == {"queued"}
    assert row(sessions).state == "unknown"


@pytest.mark.parametrize(("sure", "ended"), [(False, "unknown"), (True, "accepted")])
def test_what_may_have_come_is_not_sent_again_once_its_key_is_forgotten(
    sessions: sessionmaker[Session], sure: bool, ended: str
) -> None:
    """Sending was off for longer than the platform remembers: whoever had it already got it twice."""
    put(sessions, "wechat:openid")
    clock, wechat = Clock(), Platform(name="wechat", answer=refusing(TemporaryFailure("-1", sure=sure)))
    machine = dispatcher(sessions, clock, wechat)
    assert machine.drain() == {"queued": 1}
    wechat.answer = lambda address: None
    clock.now += delivery.KEY_HOLDS + timedelta(minutes=1)
    assert machine.drain() == {ended: 1}
    assert len(wechat.got) == sure


@pytest.mark.parametrize(("sure", "ended"), [(False, "unknown"), (True, "queued")])
def test_what_a_platform_without_keys_may_have_is_not_sent_again(
    sessions: sessionmaker[Session], sure: bool, ended: str
) -> None:
    """Its channel said so and the ledger sent it up to six times."""
    put(sessions, "telegram:42")
    telegram = Platform(name="telegram", answer=refusing(TemporaryFailure("network", sure=sure)))
    assert dispatcher(sessions, Clock(), telegram).drain() == {ended: 1}


def test_what_may_have_come_is_never_said_to_have_failed(sessions: sessionmaker[Session]) -> None:
    """The first try may have come, and the others surely did not."""
    put(sessions, "wechat:openid")
    clock, wechat = Clock(), Platform(name="wechat", answer=refusing(TemporaryFailure("-1", sure=False)))
    machine = dispatcher(sessions, clock, wechat)
    ended = machine.drain()
    wechat.answer = refusing(TemporaryFailure("unreachable"))
    while ended == {"queued": 1}:
        with transaction(sessions) as db:
            assert deliveries.collect(db, ["wechat:openid"], "wechat", clock.now + timedelta(minutes=5), {}) == []
        clock.now += timedelta(minutes=3)
        ended = machine.drain()
    assert ended == {"unknown": 1}


@pytest.mark.expects_error
def test_what_may_have_come_by_one_channel_is_not_sent_by_another(sessions: sessionmaker[Session]) -> None:
    put(sessions, bound(sessions, ("wechat", "openid"), ("wecom", "zhang")))
    clock, wechat = Clock(), Platform(name="wechat")
    wecom = Platform(name="wecom", answer=refusing(TemporaryFailure("-1", sure=False)))
    machine = dispatcher(sessions, clock, wechat, wecom)
    assert machine.drain() == {"queued": 1}
    wecom.answer = refusing(ChannelStopped("48001", "接口未授权", retry_after_s=60))
    clock.now += timedelta(minutes=1)
    assert machine.drain() == {"queued": 1}
    wecom.answer = lambda address: None
    clock.now += timedelta(minutes=2)
    assert machine.drain() == {"accepted": 1}
    assert (len(wecom.got), wechat.got) == (1, [])


@pytest.mark.expects_error
def test_a_stopped_channel_keeps_its_messages_until_it_works_again(sessions: sessionmaker[Session]) -> None:
    put(sessions, "wechat:one", "甲")
    put(sessions, "wechat:two", "乙")
    clock = Clock()
    wechat = Platform(name="wechat", answer=refusing(ChannelStopped("48001", "接口未授权")))
    machine = dispatcher(sessions, clock, wechat)
    assert machine.drain() == {"queued": 2}
    wechat.answer = lambda address: None
    clock.now += timedelta(minutes=2)
    assert machine.drain() == {"accepted": 2}


def test_nothing_goes_out_too_late_or_after_its_reason_is_gone(sessions: sessionmaker[Session]) -> None:
    put(sessions, "wechat:one", "过期", not_after=NOW - timedelta(seconds=1))
    put(sessions, "wechat:two", "已办", source="item:1")
    wechat = Platform(name="wechat")
    machine = dispatcher(sessions, Clock(), wechat, guards={"item": lambda db, delivery: "事项已申请销号"})
    assert machine.drain() == {"expired": 1, "skipped": 1}
    assert wechat.got == []


def test_with_sending_off_nothing_leaves(sessions: sessionmaker[Session]) -> None:
    put(sessions, "wechat:one")
    with transaction(sessions) as db:
        deliveries.switch_sending(db, False, "从备份恢复", NOW)
    wechat = Platform(name="wechat")
    machine = dispatcher(sessions, Clock(), wechat)
    assert machine.drain() == {}
    with transaction(sessions) as db:
        assert deliveries.sending(db) == (False, "从备份恢复")
        deliveries.switch_sending(db, True, "已核对", NOW)
    assert machine.drain() == {"accepted": 1}


def test_stopping_holds_up_a_broadcast_that_is_under_way(sessions: sessionmaker[Session]) -> None:
    """It went on to the last recipient once: only its beginning asked whether anything is sent."""
    for number in range(12):
        put(sessions, f"wechat:{number}", "通知", source=f"broadcast:{number}", lane="notice")

    def stop(_address: str) -> None:
        with transaction(sessions) as db:
            deliveries.switch_sending(db, False, "发错了", NOW)

    wechat = Platform(name="wechat", answer=stop)
    machine = dispatcher(sessions, Clock(), wechat)
    assert machine.drain() == {"accepted": len(wechat.got)}
    assert len(wechat.got) <= machine.workers


def test_what_a_crash_left_claimed_is_sent_and_what_was_in_hand_is_unknown(sessions: sessionmaker[Session]) -> None:
    put(sessions, "wechat:one", "甲")
    put(sessions, "wechat:two", "乙")
    with transaction(sessions) as db:
        first, second = deliveries.claim(db, NOW, 10, 0)
        assert deliveries.hand(db, [(second, "wechat")], NOW)
    later = Clock(NOW + timedelta(minutes=5))
    wechat = Platform(name="wechat")
    assert dispatcher(sessions, later, wechat).drain() == {"queued": 1, "unknown": 1, "accepted": 1}
    assert [text for _, text, _ in wechat.got] == ["甲"]
    with transaction(sessions) as db:
        assert not deliveries.accepted(db, [(first, "late")], later.now), "somebody else finished it"
        assert deliveries.accepted(db, [(second, "late")], later.now), "its worker knows after all"


def test_a_broadcast_leaves_room_for_what_people_wait_for(sessions: sessionmaker[Session]) -> None:
    for number in range(30):
        put(sessions, f"wechat:{number}", "通知", source=f"broadcast:{number}", lane="notice")
    held, begun, urgent = threading.Event(), threading.Event(), threading.Event()

    def answer(address: str) -> None:
        if address == "me":
            urgent.set()
        else:
            begun.set()
            held.wait(20)

    machine = dispatcher(sessions, Clock(), Platform(name="wechat", answer=answer))
    machine.start()
    assert begun.wait(20)
    put(sessions, "wechat:me", "答复", lane="reply")
    assert urgent.wait(20)
    held.set()
    machine.stop()


def test_what_is_queued_goes_out_at_once(sessions: sessionmaker[Session], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(delivery, "POLL_S", 3600)
    sent = threading.Event()
    machine = dispatcher(sessions, Clock(), Platform(name="wechat", answer=lambda _: sent.set()))
    machine.start()
    put(sessions, "wechat:a")
    assert sent.wait(30)
    machine.stop()


def test_a_full_commit_leaves_no_sender_idle(sessions: sessionmaker[Session], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(delivery, "POLL_S", 3600)
    senders = delivery.TOGETHER + 4
    for number in range(senders):
        put(sessions, f"wechat:{number}", "答复", lane="reply")
    everyone = threading.Barrier(senders, timeout=60)

    def answer(_address: str) -> None:
        everyone.wait()

    machine = dispatcher(sessions, Clock(), Platform(name="wechat", answer=answer))
    machine.workers = senders
    assert machine.drain() == {"accepted": senders}


def test_looking_waits_for_no_writer(sessions: sessionmaker[Session], monkeypatch: pytest.MonkeyPatch) -> None:
    """Each look was a writer once: beside a busy turn thread it met "database is locked"."""
    monkeypatch.setattr(delivery, "POLL_S", 0.01)
    looks, enough, sent = itertools.count(1), threading.Event(), threading.Event()

    def clock() -> datetime:
        if next(looks) == 5:
            enough.set()
        return NOW

    channel = Platform(name="wechat", answer=lambda _: sent.set())
    machine = Dispatcher(channels={"wechat": channel}, sessions=sessions, clock=clock, workers=2)
    with transaction(sessions) as db:
        deliveries.switch_sending(db, True, "", NOW)  # the one writer there can be
        machine.start()
        assert enough.wait(30)
    put(sessions, "wechat:a")
    assert sent.wait(30)
    machine.stop()


def test_notices_leave_a_fifth_of_the_day_to_what_people_wait_for(sessions: sessionmaker[Session]) -> None:
    for number in range(12):
        put(sessions, f"wechat:{number}", f"通知{number}", lane="notice")
    put(sessions, "wechat:me", "提醒", lane="reminder")
    wechat, clock = Platform(name="wechat"), Clock()
    machine = dispatcher(sessions, clock, wechat, pacer=Pacer(days={"wechat": 10}))
    machine.workers = 1  # the reminder first, then notices up to the share
    assert machine.drain() == {"accepted": 8, "queued": 5}
    assert "提醒" in [text for _, text, _ in wechat.got]
    with transaction(sessions) as db:
        codes = set(db.scalars(select(Delivery.code).where(Delivery.state == "queued")))
    assert codes == {"reserve"}
    clock.now = datetime(2020, 4, 24, 16, 11, tzinfo=UTC)  # ten past midnight in China
    machine.drain()
    assert len(wechat.got) == 13


def test_a_channel_is_called_no_faster_than_it_allows(sessions: sessionmaker[Session]) -> None:
    pacers = Pacer(rates={"telegram": 20}), Pacer(rates={"telegram": 20})  # of two processes

    def waits(channel: str, at: datetime) -> list[float]:
        with transaction(sessions) as db:
            places = [one for pacer in pacers for one in pacer.places(db, channel, 0, ["a", "b"], at)]
        return [round(one, 3) for one in places if isinstance(one, float)]

    assert waits("telegram", NOW) + waits("telegram", NOW) == [0.0, 0.05, 0.1, 0.15, 0.2, 0.25, 0.3, 0.35]
    assert waits("wechat", NOW) == [0.0] * 4
    assert waits("telegram", NOW + timedelta(seconds=10)) == [0.0, 0.05, 0.1, 0.15]
    assert waits("telegram", NOW - timedelta(hours=25)) == [0.0, 0.05, 0.1, 0.15], (
        "a clock that was wrong holds nobody up"
    )


def test_a_person_is_sent_no_more_than_a_platform_takes_however_many_send(sessions: sessionmaker[Session]) -> None:
    who = bound(sessions, ("wecom", "zhang"))
    for number in range(8):
        put(sessions, who, f"通知{number}")
    wecom, clock = Platform(name="wecom"), Clock()
    pacer = Pacer(persons={"wecom": ((5, timedelta(minutes=1)),)})
    machines = [dispatcher(sessions, clock, wecom, pacer=pacer) for _ in range(2)]  # of two processes
    with ThreadPoolExecutor(2) as pool:
        assert sum(pool.map(Dispatcher.drain, machines), Counter()) == {"accepted": 5, "queued": 3}
    clock.now += timedelta(seconds=61)
    assert machines[0].drain() == {"accepted": 3}
    assert len({text for _, text, _ in wecom.got}) == 8


@pytest.mark.expects_error
@pytest.mark.parametrize("at", ["the guard", "the result"])
def test_a_message_that_fails_undoes_no_other(
    sessions: sessionmaker[Session], monkeypatch: pytest.MonkeyPatch, at: str
) -> None:
    """Messages that are noted together: one that fails is left to the next sweep, and the others go on."""
    for number in range(6):
        put(sessions, f"wechat:{number}", f"答复{number}", source=f"item:{number}")

    def guard(db: Session, delivery: Delivery) -> None:
        if at == "the guard" and delivery.recipient == "wechat:3":
            raise ValueError(at)

    accepted = deliveries.accepted

    def note(db: Session, taken: Sequence[tuple[Delivery, str]], now: datetime) -> int:
        if at == "the result" and "wechat:3" in [one.recipient for one, _ in taken]:
            raise ValueError(at)
        return accepted(db, taken, now)

    monkeypatch.setattr(deliveries, "accepted", note)
    wechat, clock = Platform(name="wechat"), Clock()
    machine = dispatcher(sessions, clock, wechat, guards={"item": guard})
    machine.workers = 4
    assert machine.drain() == {"accepted": 5}
    clock.now += timedelta(minutes=2)
    left = {"the guard": ("claimed", {"queued": 1}, 5), "the result": ("handing", {"unknown": 1}, 6)}
    state, swept, got = left[at]
    with transaction(sessions) as db:
        assert db.scalars(select(Delivery.state).where(Delivery.recipient == "wechat:3")).one() == state
        assert deliveries.sweep(db, clock.now) == swept
    assert len({address for address, _, _ in wechat.got}) == len(wechat.got) == got


def test_a_preferred_channel_is_tried_first(sessions: sessionmaker[Session]) -> None:
    who = bound(sessions, ("wechat", "openid"), ("wecom", "zhang"))
    with transaction(sessions) as db:
        reminders.prefer(db, int(who[7:]), NOW, channels=["wechat"])
    put(sessions, who)
    wechat = Platform(name="wechat")
    assert dispatcher(sessions, Clock(), wechat, Platform(name="wecom")).drain() == {"accepted": 1}
    assert len(wechat.got) == 1
