"""Alembic's entry: runs the migrations on the URL it is given."""

from typing import Literal

from alembic import context
from sqlalchemy import inspect

from storage.audit import guard
from storage.db import UTCDateTime, make_engine
from storage.models import Base
from storage.policies import protect
from storage.scope import SETTING


def _render(kind: str, item: object, _context: object) -> str | Literal[False]:
    """Write our own column type by its name in a new migration."""
    return "UTCDateTime()" if kind == "type" and isinstance(item, UTCDateTime) else False


url = context.config.get_main_option("sqlalchemy.url") or "sqlite://"
engine = make_engine(url)

try:
    with engine.connect() as connection:
        if connection.dialect.name == "postgresql":
            connection.exec_driver_sql("SET statement_timeout = 0")  # a large table takes its time
            connection.exec_driver_sql(f"SET {SETTING} = 'system'")
        context.configure(
            connection=connection,
            target_metadata=Base.metadata,
            render_as_batch=True,
            compare_type=True,
            render_item=_render,
        )
        with context.begin_transaction():
            context.run_migrations()
            if inspect(connection).has_table("anchor"):
                guard(connection)  # again each time: a migration that makes a table anew on SQLite drops its triggers
            if context.get_context().get_current_revision() == context.get_head_revision():
                protect(connection)  # likewise, for the tables that a migration has added
        connection.commit()
finally:
    engine.dispose()
