"""Databases for tests: SQLite files and a PostgreSQL server of their own, each test with an empty migrated schema."""

import itertools
import os
import pwd
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

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
    numbers: Iterator[int]

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


QUICK = ["-c", "fsync=off", "-c", "full_page_writes=off", "-c", "synchronous_commit=off"]


@contextmanager
def server(*, durable: bool = False) -> Iterator[Server]:
    """A PostgreSQL server with the migrated database `migrated`; unless `durable`, it outlives clients, not itself."""
    folder = tempfile.mkdtemp(prefix="countydesk-pg-")
    owner = _owner()
    if owner:
        shutil.chown(folder, owner)
    as_owner = {"user": owner, "extra_groups": []} if owner else {}
    data, binaries = f"{folder}/data", _binaries()
    subprocess.run(
        [binaries / "initdb", "-D", data, "-U", "postgres", "--auth=trust", "-E", "UTF8", "--locale=C", "--no-sync"],
        check=True, cwd=folder, stdout=subprocess.DEVNULL, **as_owner,
    )  # fmt: skip
    with open(f"{folder}/log", "w") as log:
        process = subprocess.Popen(
            [binaries / "postgres", "-D", data, "-k", folder, "-c", "listen_addresses=", *([] if durable else QUICK)],
            cwd=folder, stdout=log, stderr=log, **as_owner,
        )  # fmt: skip
    try:
        made = Server(folder=folder, numbers=itertools.count(1))
        _wait_for(made, process)
        made.operate(f"CREATE ROLE {ROLE} LOGIN", f"CREATE DATABASE migrated OWNER {ROLE}")
        upgrade(made.url("migrated"))
        yield made
    finally:
        process.terminate()  # waits for nobody: the last test's connections are closed
        try:
            process.wait(timeout=10)
        except subprocess.TimeoutExpired:
            process.send_signal(3)  # SIGQUIT, immediate shutdown
            process.wait()
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="session")
def postgres() -> Iterator[Server]:
    """The server that all tests share."""
    with server() as made:
        yield made


def _wait_for(made: Server, process: subprocess.Popen[bytes]) -> None:
    for _ in range(600):
        try:
            return made.operate("SELECT 1")
        except psycopg.OperationalError:
            assert process.poll() is None, Path(made.folder, "log").read_text()
            time.sleep(0.05)
    raise AssertionError("PostgreSQL does not answer")


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
