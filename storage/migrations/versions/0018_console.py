"""The console: what people sign in with, and their visits."""

import sqlalchemy as sa
from alembic import op

from storage.db import UTCDateTime

revision = "0018"
down_revision = "0017"


def upgrade() -> None:
    op.create_table(
        "credential",
        sa.Column(
            "person_id", sa.Integer(), sa.ForeignKey("person.id", name="fk_credential_person_id"), nullable=False
        ),
        sa.Column("name", sa.String(64), nullable=False),
        sa.Column("password", sa.String(256), nullable=False),
        sa.Column("totp", sa.Text()),
        sa.Column("step", sa.Integer(), nullable=False),
        sa.Column("failures", sa.Integer(), nullable=False),
        sa.Column("locked_until", UTCDateTime()),
        sa.Column("changed_at", UTCDateTime(), nullable=False),
        sa.PrimaryKeyConstraint("person_id", name="pk_credential"),
        sa.UniqueConstraint("name", name="uq_credential_name"),
    )
    op.create_table(
        "visit",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("token_digest", sa.String(64), nullable=False),
        sa.Column("ticket_digest", sa.String(64)),
        sa.Column("person_id", sa.Integer(), sa.ForeignKey("person.id", name="fk_visit_person_id"), nullable=False),
        sa.Column("said", sa.Text(), nullable=False),
        sa.Column("at", UTCDateTime(), nullable=False),
        sa.Column("seen_at", UTCDateTime(), nullable=False),
        sa.Column("ended_at", UTCDateTime()),
        sa.PrimaryKeyConstraint("id", name="pk_visit"),
        sa.UniqueConstraint("token_digest", name="uq_visit_token_digest"),
        sa.UniqueConstraint("ticket_digest", name="uq_visit_ticket_digest"),
    )
    op.create_index("ix_visit_person_id", "visit", ["person_id"])
    op.create_table(
        "call",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("person_id", sa.Integer(), sa.ForeignKey("person.id", name="fk_call_person_id"), nullable=False),
        sa.Column("caller_id", sa.Integer(), sa.ForeignKey("person.id", name="fk_call_caller_id")),
        sa.Column("county_id", sa.Integer(), sa.ForeignKey("body.id", name="fk_call_county_id")),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("phone", sa.Text()),
        sa.Column("phone_digest", sa.String(64)),
        sa.Column("question", sa.Text(), nullable=False),
        sa.Column("used", sa.Text(), nullable=False),
        sa.Column("outcome", sa.String(16), nullable=False),
        sa.Column("note", sa.Text(), nullable=False),
        sa.Column("question_id", sa.Integer(), sa.ForeignKey("question.id", name="fk_call_question_id")),
        sa.Column("at", UTCDateTime(), nullable=False),
        sa.Column("ended_at", UTCDateTime()),
        sa.Column("body_id", sa.Integer(), sa.ForeignKey("body.id", name="fk_call_body_id")),
        sa.Column("division_code", sa.String(6), sa.ForeignKey("division.code", name="fk_call_division_code")),
        sa.PrimaryKeyConstraint("id", name="pk_call"),
    )
    for column in ("person_id", "phone_digest", "question_id", "at", "body_id"):
        op.create_index(f"ix_call_{column}", "call", [column])
