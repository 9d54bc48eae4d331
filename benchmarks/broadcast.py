"""A broadcast to 20,000 people. usage: broadcast.py [PEOPLE] [POSTGRESQL-URL]

Times the snapshot of the audience, the approval that puts a message for each, the account, and the hand-over through
the ledger to a channel that takes everything at once: what is measured is the program, not a platform's limits.
"""

import shutil
import sys
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from sqlalchemy import insert  # noqa: E402
from sqlalchemy.orm import Session, sessionmaker  # noqa: E402

from bot.app import assistant, guarding, reminding  # noqa: E402
from bot.delivery import Dispatcher  # noqa: E402
from bot.messages import Inbound, Media, Reply  # noqa: E402
from bot.migrate import upgrade  # noqa: E402
from bot.settings import Settings  # noqa: E402
from bot.turns import TurnThread  # noqa: E402
from knowledge.base import load  # noqa: E402
from storage import acknowledgements, bindings, bodies, broadcasts, people  # noqa: E402
from storage.audiences import Audience  # noqa: E402
from storage.db import make_engine, make_sessions, transaction  # noqa: E402
from storage.models import Binding, Body, Person, Role  # noqa: E402
from storage.scope import SYSTEM, Viewer, grants, serving  # noqa: E402

NOW = datetime(2020, 5, 6, 2, tzinfo=UTC)
DRAINED_S = 20.0


class Taking:
    """A channel that takes every message at once."""

    name, limit = "bench", 0

    def push(self, address: str, reply: Reply, key: str) -> str:
        return key

    def fetch(self, media: Media) -> bytes:
        return b""  # nobody sends anything here


def timed(what: str, work: Callable[[], Any], most_s: float = 0.0) -> Any:
    """Do something, print how long it took, and what the goal was."""
    started, used = time.perf_counter(), time.process_time()
    found = work()
    took, used = time.perf_counter() - started, time.process_time() - used
    print(f"{what}: {took:.2f} s, of which computing {used:.2f} s" + (f" (goal {most_s:g} s)" if most_s else ""))
    return found


def populate(sessions: sessionmaker[Session], count: int) -> tuple[int, int]:
    """So many clerks in bodies of one province, an officer and an approver; the numbers of those two."""
    with transaction(sessions) as db, serving(db, SYSTEM):
        bodies.division(db, "620000")
        codes = [code for code in bodies.published() if code.startswith("62") and not code.endswith("00")]
        for code in codes:
            bodies.division(db, code)
        db.execute(insert(Body), [{"name": f"{code}县", "division_code": code, "office": ""} for code in codes])
        numbers = [one.id for one in bodies.visible(db, 5000)]
        db.execute(insert(Person), [{"name": f"样例{n}", "title": "", "at": NOW} for n in range(count)])
        ids = range(1, count + 1)
        roles = [
            {"person_id": one, "role": "county_officer", "body_id": numbers[one % len(numbers)], "at": NOW}
            for one in ids
        ]
        db.execute(insert(Role), roles)
        db.execute(insert(Binding), [{"person_id": one, "channel": "bench", "address": f"a{one}", "ended_why": "", "at": NOW} for one in ids])  # fmt: skip
        staff = []
        for name, role in (("经办", "province_officer"), ("审核", "province_approver")):
            person, _ = people.find_or_add(db, name=name, now=NOW)
            people.give_role(db, person, role, division_code="620000", now=NOW)
            person.consent, person.verified_at, person.seen_at = "2026-1", NOW, NOW
            bindings.bind(db, person, "terminal", name, NOW)
            staff.append(person.id)
        return staff[0], staff[1]


def main(count: int, url: str) -> None:
    """Run the stations in order and print the figures."""
    upgrade(url)
    engine = make_engine(url)
    sessions = make_sessions(engine, b"k" * 32, b"a" * 32)
    officer, _ = populate(sessions, count)
    kb = load()
    turns = TurnThread(assistant(kb), sessions)

    def say(who: str, text: str, number: list[int] = [0]) -> str:  # noqa: B006  # counts its calls
        number[0] += 1
        said = Inbound(channel="terminal", message_id=str(number[0]), address=who, text=text, at=NOW)
        return turns.submit(said).result().text

    with transaction(sessions) as db, serving(db, Viewer(person_id=officer, grants=grants(db, officer))):
        values = {
            "title": "样例通知",
            "text": "请于5月15日前报送。",
            "clauses": [],
            "files": [],
            "acknowledgement": "county",
        }
        broadcasts.draft(db, values | {"audience": Audience().as_json(), "acknowledge_why": "样例", "delay_s": 0}, NOW)
    with sessions() as db, serving(db, Viewer(person_id=officer, grants=grants(db, officer))):
        _, lines = timed("snapshot of the audience", lambda: broadcasts.submit(db, 1, 1, NOW), 2.0)
        assert sum(not one.excluded for one in lines) == count
    say("经办", "提交 N1")
    timed("submission in chat", lambda: say("经办", "确认"))
    told = timed("approval in chat", lambda: say("审核", "批准 N1"), 5.0)
    assert f"发给{count}人" in told, told
    timed("card in chat", lambda: say("经办", "下发 N1"))
    with transaction(sessions) as db, serving(db, SYSTEM):
        found = broadcasts.find(db, 1)
        counted = timed("account of every recipient", lambda: broadcasts.states(db, found))
        assert counted == {"queued": count}
        timed("parties", lambda: acknowledgements.parties(db, found))
    turns.stop()
    guards = guarding(reminding(lambda: kb, Settings()), lambda: NOW)
    drain(sessions, count, guards)
    engine.dispose()


def drain(sessions: sessionmaker[Session], count: int, guards: Any) -> None:
    """Hand over for a while; how many a second, and that every one is accounted for."""
    ended = time.perf_counter() + DRAINED_S
    dispatcher = Dispatcher(
        channels={"bench": Taking()}, sessions=sessions, clock=lambda: NOW + timedelta(minutes=1), guards=guards
    )
    started = time.perf_counter()
    dispatcher.start()
    while time.perf_counter() < ended:
        time.sleep(0.5)
    dispatcher.stop()
    took = time.perf_counter() - started
    with transaction(sessions) as db, serving(db, SYSTEM):
        counted = broadcasts.states(db, broadcasts.find(db, 1))
    assert counted.total() == count
    print(
        f"handed over: {counted['accepted']} in {took:.0f} s, {counted['accepted'] / took:.0f} a second; {dict(counted)}"
    )


if __name__ == "__main__":
    folder = tempfile.mkdtemp()
    try:
        main(
            int(sys.argv[1]) if len(sys.argv) > 1 else 20_000,
            sys.argv[2] if len(sys.argv) > 2 else f"sqlite:///{folder}/bench.db",
        )
    finally:
        shutil.rmtree(folder)
