"""kill -9 in the middle of a turn: all of it is there afterwards or nothing, and a retry gets the one reply."""

import os

from sqlalchemy.orm import Session, sessionmaker

from bot.turns import TurnThread
from knowledge.base import KnowledgeBase
from tests.faults import counter
from tests.faults.driver import COMMITTED, POINTS
from tests.faults.support import driver

ROUNDS = int(os.environ.get("KILLS", "10"))  # kills at each point; `make bench` asks for more


def test_a_killed_turn_leaves_no_half_state(url: str, sessions: sessionmaker[Session], kb: KnowledgeBase) -> None:
    counter.add_person(sessions, addresses=1)
    turns = TurnThread(counter.assistant(kb), sessions)
    with driver(url) as dying:
        for round_number in range(ROUNDS):
            for point in POINTS:
                message_id = f"{point} {round_number}"
                before = counter.written(sessions)
                one_more = {name: number + 1 for name, number in before.items()}
                dying.tell(die=point, message_id=message_id)
                assert dying.answer() == 9, point
                assert counter.written(sessions) == (one_more if point in COMMITTED else before), point
                for _ in range(2):
                    retried = turns.submit(counter.said(0, message_id)).result(timeout=30)
                    assert retried.text == str(one_more["number"]), point
                    assert counter.written(sessions) == one_more, point
    turns.stop()
    if url.startswith("sqlite"):
        with sessions.kw["bind"].connect() as connection:
            assert connection.exec_driver_sql("PRAGMA integrity_check").scalar_one() == "ok"
