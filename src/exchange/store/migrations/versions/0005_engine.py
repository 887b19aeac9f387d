"""The sync engine: pace, probes, comparisons, budgets, handshakes; which release judged what was set aside."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    for column in (
        sa.Column("day_bytes", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column(
            "last_failed",
            sa.BigInteger(),
            nullable=True,
            comment="when a run last failed; a success does not forget it",
        ),
        sa.Column("last_failure", sa.Text(), nullable=True, comment="JSON: code and fields of that"),
        sa.Column(
            "pace",
            sa.Integer(),
            nullable=True,
            comment="seconds between two polls, as far as they have moved; null: every",
        ),
        sa.Column(
            "again_from", sa.BigInteger(), nullable=True, comment="drained anew from here: what an operator asked for"
        ),
        sa.Column("profile", sa.Text(), nullable=True, comment="JSON: how the peer behaves, by the last probe"),
        sa.Column("probed", sa.BigInteger(), nullable=True),
        sa.Column(
            "reconciled", sa.BigInteger(), nullable=True, comment="when it was last compared with what the peer lists"
        ),
        sa.Column("comparing", sa.BigInteger(), nullable=True, comment="when the last comparison was begun"),
        sa.Column("difference", sa.Text(), nullable=True, comment="JSON: what that comparison found → number"),
    ):
        op.add_column("source", column)
    # An upgrade is no reason to compare everything with everybody at once, nor to look at everybody.
    op.execute("UPDATE source SET reconciled = last_end, probed = last_end")
    op.add_column(
        "quarantine",
        sa.Column(
            "tried", sa.String(), server_default="", nullable=False, comment="release and terms that last judged it"
        ),
    )
    op.create_table(
        "budget",
        sa.Column("peer", sa.String(), nullable=False),
        sa.Column("full", sa.BigInteger(), nullable=False, comment="when its bucket of requests is full again"),
        sa.PrimaryKeyConstraint("peer", name=op.f("pk_budget")),
        comment="how many requests a peer may still be asked now; shared by every daemon of the store",
    )
    op.create_table(
        "handshake",
        sa.Column("peer", sa.String(), nullable=False),
        sa.Column("side", sa.String(), nullable=False, comment="theirs, or ours"),
        sa.Column("origin", sa.String(), nullable=False),
        sa.Column("subject", sa.Text(), nullable=False),
        sa.Column("file", sa.Text(), nullable=False, comment="ours: where the certificate stands; theirs: empty"),
        sa.Column("not_after", sa.BigInteger(), nullable=False),
        sa.Column("seen", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("peer", "side", "origin", name=op.f("pk_handshake")),
        comment="certificates of the last TLS handshake with each peer: whose ends when",
    )
    op.create_table(
        "inventory",
        sa.Column("key", sa.String(), nullable=False),
        sa.Column("remote_id", sa.String(), nullable=False),
        sa.Column("version", sa.String(), nullable=False),
        sa.Column("added", sa.String(), nullable=False),
        sa.PrimaryKeyConstraint("key", "remote_id", "version", name=op.f("pk_inventory")),
        comment="what a peer lists, while it is compared with what we hold; empty between two comparisons",
        sqlite_with_rowid=False,
    )
    op.create_table(
        "vanished",
        sa.Column("key", sa.String(), nullable=False),
        sa.Column("remote_id", sa.String(), nullable=False),
        sa.Column("noticed", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("key", "remote_id", name=op.f("pk_vanished")),
        comment="what a source once gave and no longer lists; it is kept, and only marked",
        sqlite_with_rowid=False,
    )
    op.create_index("ix_vanished_remote_id", "vanished", ["remote_id"], unique=False)
