"""Questions belong to bodies or divisions; what was said and replied is encrypted"""

import sqlalchemy as sa
from alembic import context, op
from sqlalchemy.orm import Session

from storage.secrets import encrypt

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None
AT_ONCE = 1000


def upgrade() -> None:
    with op.batch_alter_table("question") as table:
        table.add_column(sa.Column("body_id", sa.Integer(), nullable=True))
        table.add_column(sa.Column("division_code", sa.String(length=6), nullable=True))
        table.create_index("ix_question_body_id", ["body_id"])
        table.create_foreign_key("fk_question_body_id", "body", ["body_id"], ["id"])
        table.create_foreign_key("fk_question_division_code", "division", ["division_code"], ["code"])
    asker = "FROM exchange JOIN {} WHERE exchange.id = question.exchange_id"
    op.execute(
        f"UPDATE question SET body_id = (SELECT person.body_id {asker.format('person ON person.id = exchange.person_id')})"
    )
    role = asker.format("role ON role.person_id = exchange.person_id AND role.ended_at IS NULL")
    op.execute(f"UPDATE question SET division_code = (SELECT max(role.division_code) {role}) WHERE body_id IS NULL")
    # no batch: it makes the table anew, and SQLite does not drop one that others refer to
    op.add_column("exchange", sa.Column("stored", sa.Text(), nullable=False, server_default=""))
    _encrypt("exchange", said="said", reply="stored")
    op.drop_column("exchange", "reply")
    op.execute("ALTER TABLE exchange RENAME COLUMN stored TO reply")
    _encrypt("conversation", rest="rest")


def _encrypt(name: str, **columns: str) -> None:
    """Encrypt what stands readable in columns of a table, each into the column that its name is given."""
    named = {one: sa.column(one, sa.Text) for one in (*columns, *columns.values())}
    table = sa.table(name, sa.column("id", sa.Integer), *named.values())
    db = Session(op.get_bind(), info={"data_key": context.config.attributes["data_key"]})
    readable = (sa.cast(named[one], sa.Text) for one in columns)
    some = sa.select(table.c.id, *readable).order_by(table.c.id).limit(AT_ONCE)
    rows = db.execute(some).all()
    while rows:
        for number, *values in rows:
            found = {into: value for into, value in zip(columns.values(), values, strict=True) if value}
            if found and not db.info["data_key"]:
                raise ValueError("no data key to encrypt what was said")
            if found:
                stored = {into: encrypt(db, value) for into, value in found.items()}
                db.execute(sa.update(table).where(table.c.id == number).values(stored))
        rows = db.execute(some.where(table.c.id > rows[-1][0])).all()
