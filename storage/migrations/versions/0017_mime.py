"""Room for the MIME types of Word and Excel, which have 71 and 65 characters"""

import sqlalchemy as sa
from alembic import op

revision = "0017"
down_revision = "0016"
branch_labels = None
depends_on = None

OFFICE = "application/vnd.openxmlformats-officedocument."
CUT_AT = 64


def upgrade() -> None:
    if op.get_bind().dialect.name == "postgresql":
        op.alter_column("file", "mime", type_=sa.String(length=128))
    else:  # SQLite would have to make the table anew, and evidence refers to its rows
        op.add_column("file", sa.Column("wide", sa.String(length=128), nullable=False, server_default=""))
        op.execute("UPDATE file SET wide = mime")
        op.drop_column("file", "mime")
        op.execute("ALTER TABLE file RENAME COLUMN wide TO mime")
    file = sa.table("file", sa.column("mime"))
    for kind in ("wordprocessingml.document", "spreadsheetml.sheet"):
        whole = f"{OFFICE}{kind}"
        op.execute(file.update().where(file.c.mime == whole[:CUT_AT]).values(mime=whole))
