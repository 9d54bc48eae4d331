"""Databases for tests: SQLite files and a PostgreSQL server of their own, each test with an empty migrated schema."""

import itertools
import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psycopg
import pytest
from sqlalchemy.orm import Session, sessionmaker

from bot.migrate import upgrade
from storage.db import make_engine, make_sessions

KINDS = ("sqlite", "postgres")
ROLE = "countydesk"  # the application's role: it owns its databases and is no superuser
KEY = b"a data key for tests, 32 bytes.."

MakeUrl = Callable[[str], str]


@dataclass(frozen=True, kw_only=True)
class Server:
    """A running PostgreSQL that only this process's user can reach, by its socket in `folder`."""

    folder: str
    owner: str | None
    numbers: Iterator[int] = field(default_factory=lambda: itertools.count(1))
    running: list[subprocess.Popen[bytes]] = field(default_factory=list)

    @property
    def data(self) -> str:
        return f"{self.folder}/data"

    @property
    def as_owner(self) -> dict[str, Any]:
        """How a process of the server's own user is started."""
        return {"user": self.owner, "extra_groups": []} if self.owner else {}

    def start(self) -> None:
        """Start, and wait until it answers."""
        with open(f"{self.folder}/log", "a") as log:
            process = subprocess.Popen(
                [_binaries() / "postgres", "-D", self.data, "-k", self.folder, "-c", "listen_addresses="],
                cwd=self.folder, stdout=log, stderr=log, **self.as_owner,
            )  # fmt: skip
        self.running.append(process)
        for _ in range(600):
            try:
                return self.operate("SELECT 1")
            except psycopg.OperationalError:
                assert process.poll() is None, Path(self.folder, "log").read_text()
                time.sleep(0.05)
        raise AssertionError("PostgreSQL does not answer")

    def stop(self) -> None:
        """Stop; it waits for nobody: the last test's connections are closed."""
        process = self.running.pop()
        process.terminate()
        try:
            process.wait(timeout=10)
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGQUIT)
            process.wait()

    def crash(self) -> None:
        """Fall down at once, as by an immediate shutdown, and start again."""
        process = self.running.pop()
        process.send_signal(signal.SIGQUIT)
        process.wait()
        self.start()

    def url(self, database: str) -> str:
        return f"postgresql://{ROLE}@/{database}?host={self.folder}"

    def operate(self, *statements: str) -> None:
        """Run statements as the server's superuser."""
        with psycopg.connect(host=self.folder, user="postgres", dbname="postgres", autocommit=True) as connection:
            for statement in statements:
                connection.execute(statement)  # type: ignore[call-overload]  # the tests' own text

    @contextmanager
    def database(self, *, like: str = "template1") -> Iterator[str]:
        """A database with the schema of another one; yields its URL and drops it."""
        name = f"test_{next(self.numbers)}"
        self.operate(f"CREATE DATABASE {name} OWNER {ROLE} TEMPLATE {like} STRATEGY FILE_COPY")
        try:
            yield self.url(name)
        finally:
            self.operate(f"DROP DATABASE {name} WITH (FORCE)")


def _binaries() -> Path:
    """Where initdb and postgres are; Debian keeps them off the path."""
    if found := shutil.which("initdb"):
        return Path(found).resolve().parent
    kept = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
    assert kept, "PostgreSQL is missing: run `make system`"
    return kept[-1].parent


def _owner() -> str | None:
    """The user that the server runs as: it refuses to be root."""
    if os.geteuid() != 0:
        return None
    names = {entry.pw_name for entry in pwd.getpwall()}
    return "postgres" if "postgres" in names else "nobody"


@contextmanager
def server() -> Iterator[Server]:
    """A PostgreSQL server with the migrated database `migrated`."""
    folder = tempfile.mkdtemp(prefix="countydesk-pg-")
    owner = _owner()
    if owner:
        shutil.chown(folder, owner)
    made = Server(folder=folder, owner=owner)
    subprocess.run(
        [_binaries() / "initdb", "-D", made.data, "-U", "postgres", "--auth=trust", "-E", "UTF8", "--locale=C", "--no-sync"],
        check=True, cwd=folder, stdout=subprocess.DEVNULL, **made.as_owner,
    )  # fmt: skip
    try:
        made.start()
        made.operate(f"CREATE ROLE {ROLE} LOGIN", f"CREATE DATABASE migrated OWNER {ROLE}")
        upgrade(made.url("migrated"))
        yield made
    finally:
        made.stop()
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="session")
def postgres() -> Iterator[Server]:
    """The server that all tests share."""
    with server() as made:
        yield made


@pytest.fixture(scope="session")
def sqlite_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A migrated SQLite file, to be copied."""
    path = tmp_path_factory.mktemp("sqlite") / "migrated.db"
    upgrade(f"sqlite:///{path}")
    return path


@pytest.fixture(params=KINDS)
def url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """The URL of an empty, migrated database of each kind."""
    if request.param == "sqlite":
        path = tmp_path / "test.db"
        shutil.copy(request.getfixturevalue("sqlite_file"), path)
        yield f"sqlite:///{path}"
    else:
        with request.getfixturevalue("postgres").database(like="migrated") as made:
            yield made


@pytest.fixture
def sessions(url: str) -> Iterator[sessionmaker[Session]]:
    """Sessions on an empty, migrated database of each kind."""
    engine = make_engine(url)
    yield make_sessions(engine, KEY)
    engine.dispose()
