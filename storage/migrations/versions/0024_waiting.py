"""Policies on PostgreSQL that hold for the program itself when it has waited for a row"""

revision = "0024"
down_revision = "0023"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make older databases ask for an upgrade: storage.policies makes the policies after every one, see env.py."""
