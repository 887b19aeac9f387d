"""What an audience could read before its terms changed; old statuses are found without a walk through all of them."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column(
        "audience", sa.Column("ended", sa.BigInteger(), nullable=True, comment="the same under the terms before these")
    )
    op.create_index("ix_status_created", "status", ["created"], unique=False)
