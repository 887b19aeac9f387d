"""MISP events that were handed to a target, and what is to be recalled from one."""

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "pushed",
        sa.Column("channel", sa.String(), nullable=False),
        sa.Column("event", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column(
            "uuid", sa.String(), nullable=False, comment="under which the peer has it, whatever stands for it later"
        ),
        sa.Column(
            "timestamp",
            sa.BigInteger(),
            nullable=False,
            comment="seconds; the last with which it was sent, or was about to",
        ),
        sa.Column("frame", sa.Text(), nullable=False, comment="JSON: what its creator and date were then"),
        sa.PrimaryKeyConstraint("channel", "event", name=op.f("pk_pushed")),
        comment="MISP events that were handed to a target; each time under a greater timestamp",
        sqlite_with_rowid=False,
    )
    op.create_index(
        "ix_outbox_recall",
        "outbox",
        ["audience", "added"],
        unique=False,
        sqlite_where=sa.text("state = 'recall'"),
        postgresql_where=sa.text("state = 'recall'"),
    )
