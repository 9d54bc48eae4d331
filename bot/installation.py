"""What every command needs of an installation: its settings, its clock and its database. It loads nothing else."""

import os
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

from sqlalchemy.orm import Session, sessionmaker

from bot.migrate import is_current, upgrade
from bot.settings import ConfigError, Settings, ensure_key, load_settings
from bot.workdays import LOCAL
from storage.db import Unfit, check_durable, make_engine, make_sessions

Clock = Callable[[], datetime]


def settings() -> Settings:
    """The settings of the working directory and the environment."""
    return load_settings(dict(os.environ), Path.cwd())


def clock_of(chosen: Settings) -> Clock:
    """The clock: real, or standing still for the demo and tests."""
    fixed = chosen.clock.now
    if fixed is None:
        return lambda: datetime.now(UTC)
    at = fixed if fixed.tzinfo else fixed.replace(tzinfo=LOCAL)
    return lambda: at


def migrate(chosen: Settings) -> None:
    """Bring the database to the newest schema, making the folder of an SQLite file first."""
    url = chosen.database_url
    if url.startswith("sqlite:///"):
        Path(url.removeprefix("sqlite:///")).parent.mkdir(parents=True, exist_ok=True)
    upgrade(url, ensure_key(chosen.key_file))


def open_database(chosen: Settings) -> sessionmaker[Session]:
    """Connect. SQLite is brought up to date; PostgreSQL must be already, and must keep what it confirms.

    Raises ConfigError.
    """
    try:
        if chosen.database_url.startswith("sqlite"):
            migrate(chosen)
        engine = make_engine(chosen.database_url)
        try:
            if engine.dialect.name == "postgresql":
                check_durable(engine)
                if not is_current(engine):
                    raise Unfit("数据库结构与程序不一致，请先运行 countydesk db upgrade。")
        except Unfit:
            engine.dispose()
            raise
    except Unfit as error:
        raise ConfigError(f"database.url：{error}") from error
    return make_sessions(engine, ensure_key(chosen.key_file), ensure_key(chosen.audit_key_file))
