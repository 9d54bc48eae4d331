"""Schema migrations, run from the program itself."""

import sys
import tempfile
from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from alembic.util import CommandError
from sqlalchemy import Connection, Engine

MIGRATIONS = Path(__file__).parent.parent / "storage" / "migrations"


def _config(url: str) -> Config:
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    config.set_main_option("sqlalchemy.url", url.replace("%", "%%"))
    return config


def upgrade(url: str, data_key: bytes = b"") -> None:
    """Bring a database to the newest schema. `data_key` encrypts what earlier versions stored readable."""
    config = _config(url)
    config.attributes["data_key"] = data_key
    command.upgrade(config, "head")


def revisions() -> list[str]:
    """The revisions that this program knows, the newest first."""
    return [one.revision for one in ScriptDirectory(str(MIGRATIONS)).walk_revisions()]


def revision(connection: Connection) -> str | None:
    """The revision that a database has; None when it has no schema yet."""
    return MigrationContext.configure(connection).get_current_revision()


def is_current(engine: Engine) -> bool:
    """Whether a database has exactly this program's schema."""
    with engine.connect() as connection:
        return revision(connection) == revisions()[0]


def check(url: str) -> None:
    """Raise CommandError when the models and the migrations differ, tried on an empty database."""
    upgrade(url)
    command.check(_config(url))


if __name__ == "__main__":
    try:
        with tempfile.TemporaryDirectory() as folder:
            check(f"sqlite:///{folder}/check.db")
    except CommandError as error:
        sys.exit(str(error))
