"""Indexes by which a broadcast's audience and messages are counted without reading the rows"""

from alembic import op

revision = "0026"
down_revision = "0025"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_index("ix_delivery_source", "delivery", ["source", "state"])
    op.drop_index("ix_recipient_broadcast", "recipient")
    columns = ["broadcast_id", "excluded", "body_id", "division_code", "person_id"]
    op.create_index("ix_recipient_broadcast", "recipient", columns)
