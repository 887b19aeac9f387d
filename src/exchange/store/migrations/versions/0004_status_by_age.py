"""Old statuses are found without a walk through the bodies of all of them."""

from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_index("ix_status_created", "status", ["created"], unique=False)
