"""The product's own server within the test's process, for tests that look at what it stored or push by hand."""

import socket
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import uvicorn
from fastapi.dependencies import models
from sqlalchemy.orm import Session

from bot.app import web_app
from bot.channels import Channel
from bot.settings import Settings
from storage import secrets
from storage.db import sqlite_driver


@dataclass(frozen=True, kw_only=True)
class Site:
    """A running server, its database and its data key."""

    url: str
    channels: Mapping[str, Channel]
    database: Path
    key: bytes
    state: Any  # of the application: jobs and dispatcher, for tests that drive them

    def query(self, sql: str, *values: Any) -> list[tuple[Any, ...]]:
        # Two SQLite libraries in one process drop each other's locks on a file: read with the one that the server uses.
        with closing(sqlite_driver().connect(self.database)) as connection:
            return list(connection.execute(sql, values).fetchall())

    def said(self, address: str) -> list[str]:
        """What was stored as said from an address, in order."""
        stored = self.query("SELECT said FROM exchange WHERE address = ? ORDER BY id", address)
        opened = Session(info={"data_key": self.key})
        return [secrets.decrypt(opened, str(one)) if one else "" for (one,) in stored]

    def deferred(self, recipient: str) -> int:
        """How many messages to a recipient went through the ledger."""
        return int(self.query("SELECT count(*) FROM delivery WHERE recipient = ?", recipient)[0][0])


def until(ready: Callable[[], Any], seconds: float = 15) -> Any:
    """Look until something is true; what it is."""
    end = time.monotonic() + seconds
    while not (found := ready()):
        assert time.monotonic() < end, "it did not come true"
        time.sleep(0.01)
    return found


@contextmanager
def running(folder: Path, clock: Callable[[], datetime] | None = None, **settings: Any) -> Iterator[Site]:
    """Serve with settings written as in the environment: telegram__token="…"; by a clock of the test's own."""
    listening = socket.create_server(("127.0.0.1", 0))
    url = f"http://127.0.0.1:{listening.getsockname()[1]}"
    sections: dict[str, dict[str, Any]] = {"paths": {"data": folder / "data"}, "web": {"base_url": url}}
    for name, value in settings.items():
        section, _, key = name.partition("__")
        sections.setdefault(section, {})[key] = value
    chosen = Settings(**sections)  # type: ignore[arg-type]  # sections are checked by pydantic
    app = web_app(chosen, clock)
    server = uvicorn.Server(uvicorn.Config(app, log_level="warning", lifespan="on"))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]}, daemon=True)
    thread.start()
    try:
        until(lambda: server.started or not thread.is_alive(), 60)
        assert server.started
        database = folder / "data" / "countydesk.db"
        key = chosen.key_file.read_bytes()
        yield Site(url=url, channels=app.state.channels, database=database, key=key, state=app.state)
    finally:
        server.should_exit = True
        thread.join(timeout=30)
        assert not thread.is_alive(), "the server does not stop"
        _forget()


def _forget() -> None:
    """Let a stopped application go: the framework's caches keep its routes, and these the whole knowledge."""
    for one in vars(models).values():
        if hasattr(one, "cache_clear"):
            one.cache_clear()
