"""Invitations know whom they succeed and the binding they made."""

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None


def upgrade() -> None:
    with op.batch_alter_table("invitation") as table:
        table.add_column(sa.Column("succeeds", sa.Integer(), nullable=True))
        table.add_column(sa.Column("binding_id", sa.Integer(), nullable=True))
        table.create_foreign_key("fk_invitation_succeeds", "person", ["succeeds"], ["id"])
        table.create_foreign_key("fk_invitation_binding_id", "binding", ["binding_id"], ["id"])
