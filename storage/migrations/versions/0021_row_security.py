"""Row-level security on PostgreSQL"""

revision = "0021"
down_revision = "0020"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make older databases ask for an upgrade: storage.policies makes the policies after every one, see env.py."""
