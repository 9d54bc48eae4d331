"""Rows of no body say whose they are: a division's own, or the program's"""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    for table in ("audit", "file", "unit"):
        with op.batch_alter_table(table, schema=None) as batch_op:
            batch_op.add_column(sa.Column("division_code", sa.String(length=6), nullable=True))
            batch_op.create_foreign_key(
                batch_op.f(f"fk_{table}_division_code"), "division", ["division_code"], ["code"]
            )
