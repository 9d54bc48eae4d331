"""Who has given themselves their name"""

import sqlalchemy as sa
from alembic import op

from storage.db import UTCDateTime

revision = "0025"
down_revision = "0024"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Whoever corrected their name before is known from the trail, as far back as it is kept."""
    op.add_column("person", sa.Column("renamed_at", UTCDateTime(timezone=True), nullable=True))
    op.execute(
        """UPDATE person SET renamed_at = (
        SELECT max(audit.at) FROM audit
        WHERE audit.action = 'correct' AND audit.subject = 'person:' || CAST(person.id AS VARCHAR)
        AND CAST(audit."after" AS VARCHAR) LIKE '%"name"%') WHERE erased_at IS NULL"""
    )
