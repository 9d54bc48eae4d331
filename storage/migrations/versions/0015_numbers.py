"""How long each side holds an item; draws for follow-up checks"""

from itertools import groupby

import sqlalchemy as sa
from alembic import op

from storage.db import UTCDateTime

revision = "0015"
down_revision = "0011"
branch_labels = None
depends_on = None

_SIDES = {
    **dict.fromkeys(("issued", "rectifying", "returned", "reopened"), "county_s"),
    **dict.fromkeys(("submitted", "verifying"), "province_s"),
}


def upgrade() -> None:
    for name in ("county_s", "province_s"):
        op.add_column("item", sa.Column(name, sa.Integer(), nullable=False, server_default="0"))
    _count()
    op.create_index(
        "ix_item_numbers",
        "item",
        [
            "body_id", "batch_year", "state", "due_on", "first_due_on", "returns", "round", "recurs_of", "county_s",
            "province_s", "changed_at",
        ],
    )  # fmt: skip
    op.create_table(
        "sample",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("batch_year", sa.Integer(), nullable=True),
        sa.Column("share", sa.Integer(), nullable=False),
        sa.Column("seed", sa.String(length=128), nullable=False),
        sa.Column("listed", sa.JSON(), nullable=False),
        sa.Column("drawn", sa.JSON(), nullable=False),
        sa.Column("person_id", sa.Integer(), nullable=True),
        sa.Column("at", UTCDateTime(), nullable=False),
        sa.Column("body_id", sa.Integer(), nullable=True),
        sa.Column("division_code", sa.String(length=6), nullable=True),
        sa.ForeignKeyConstraint(["body_id"], ["body.id"], name=op.f("fk_sample_body_id")),
        sa.ForeignKeyConstraint(["division_code"], ["division.code"], name=op.f("fk_sample_division_code")),
        sa.ForeignKeyConstraint(["person_id"], ["person.id"], name=op.f("fk_sample_person_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_sample")),
    )
    op.create_index(op.f("ix_sample_body_id"), "sample", ["body_id"])


def _count() -> None:
    """Count what the events of earlier days say."""
    connection = op.get_bind()
    item = sa.table("item", sa.column("id"), sa.column("county_s"), sa.column("province_s"))
    event = sa.table(
        "item_event", sa.column("item_id"), sa.column("version"), sa.column("after"), sa.column("at", UTCDateTime())
    )
    past = connection.execute(
        sa.select(event.c.item_id, event.c.after, event.c.at).order_by(event.c.item_id, event.c.version)
    ).all()
    for item_id, events in groupby(past, key=lambda one: one.item_id):
        held = {"county_s": 0, "province_s": 0}
        known = list(events)
        for before, after in zip(known, known[1:], strict=False):
            if side := _SIDES.get(before.after):
                held[side] += max(0, int(after.at.timestamp()) - int(before.at.timestamp()))
        connection.execute(sa.update(item).where(item.c.id == item_id).values(held))
