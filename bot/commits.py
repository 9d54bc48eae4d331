"""Commits together what many threads have to note: a commit that waits for the disk is shared by all who wait for it."""

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import text
from sqlalchemy.exc import OperationalError
from sqlalchemy.orm import Session, sessionmaker

from storage import scope
from storage.db import transaction

# On PostgreSQL several notes of one transaction lock rows in no order that others know. Who waits longer than this gives
# up before anybody is taken for part of a deadlock (deadlock_timeout, 1 s), and then takes the notes one by one.
_LITTLE_PATIENCE = text("SET LOCAL lock_timeout = '200ms'")
PATIENCE_S, AGAIN_S = 30.0, 0.2  # for how long, and how often, a database that cannot be reached is tried
Work = Callable[[Session], Any]  # Any: each note answers what its caller asks for


@dataclass(kw_only=True)
class _Note:
    work: Work
    result: Any = None
    error: BaseException | None = None


@dataclass(kw_only=True)
class _Thread:
    """A thread that waits for its notes."""

    notes: list[_Note]
    done: bool = False
    called: threading.Event = field(default_factory=threading.Event)


@dataclass(kw_only=True)
class Commits:
    """Runs small pieces of work of any thread. They may be run twice: what they change outside the database is nothing."""

    sessions: sessionmaker[Session]
    _waiting: list[_Thread] = field(default_factory=list)
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _led: bool = False  # whether some thread commits for all

    def run(self, *works: Work) -> list[Any]:
        """Do each, in order, and return what they answer once it is committed. One that fails undoes no other."""
        mine = _Thread(notes=[_Note(work=work) for work in works])
        with self._lock:
            self._waiting.append(mine)
            leads, self._led = not self._led, True
        if not leads:
            mine.called.wait()
        if not mine.done:
            self._lead()
        for note in mine.notes:
            if note.error is not None:
                raise note.error
        return [note.result for note in mine.notes]

    def _lead(self) -> None:
        """Commit for all who wait by now; who has come meanwhile leads next."""
        with self._lock:
            together, self._waiting = self._waiting, []
        self._commit([note for one in together for note in one.notes])
        for one in together:
            one.done = True
            one.called.set()
        with self._lock:
            if self._waiting:
                self._waiting[0].called.set()
            else:
                self._led = False

    def _commit(self, notes: list[_Note], until: float = 0.0) -> None:
        if not notes:
            return
        try:
            with transaction(self.sessions) as db:
                if len(notes) > 1 and db.get_bind().dialect.name == "postgresql":
                    db.connection().execute(_LITTLE_PATIENCE)
                for note in notes:
                    note.result = note.work(db)
                    db.flush()
                    db.expunge_all()  # what one note has loaded must not be at hand in the next one
                    scope.enter(db, None, "")
        except Exception as error:
            if len(notes) > 1:
                for note in notes:
                    self._commit([note])
                return
            until = until or time.monotonic() + PATIENCE_S
            if isinstance(error, OperationalError) and time.monotonic() < until:  # the database cannot be reached
                time.sleep(AGAIN_S)
                return self._commit(notes, until)
            notes[0].error = error
