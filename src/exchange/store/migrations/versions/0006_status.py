"""The status resource at a peer that a parcel waits for."""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column(
        "outbox",
        sa.Column(
            "status",
            sa.String(),
            server_default="",
            nullable=False,
            comment="the peer's status resource, while pending",
        ),
    )
    op.create_index(
        "ix_outbox_status",
        "outbox",
        ["audience"],
        unique=False,
        sqlite_where=sa.text("status <> ''"),
        postgresql_where=sa.text("status <> ''"),
    )
