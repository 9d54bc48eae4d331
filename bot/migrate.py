"""Schema migrations, run from the program itself."""

import sys
import tempfile
from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.util import CommandError

MIGRATIONS = Path(__file__).parent.parent / "storage" / "migrations"


def _config(url: str) -> Config:
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    config.set_main_option("sqlalchemy.url", url.replace("%", "%%"))
    return config


def upgrade(url: str) -> None:
    """Bring a database to the newest schema."""
    command.upgrade(_config(url), "head")


def check() -> None:
    """Raise CommandError when the models and the migrations differ, tried on an empty SQLite database."""
    with tempfile.TemporaryDirectory() as folder:
        url = f"sqlite:///{folder}/check.db"
        upgrade(url)
        command.check(_config(url))


if __name__ == "__main__":
    try:
        check()
    except CommandError as error:
        sys.exit(str(error))
