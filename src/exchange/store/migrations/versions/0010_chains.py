"""The ledger's rows are chained, and the chains anchored; who belonged to an audience when is kept."""

import json

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "anchor",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=True, nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.Column("reads", sa.BigInteger(), nullable=False, comment="last row of the read ledger that was looked at"),
        sa.Column("handed", sa.BigInteger(), nullable=False, comment="last row of the ledger"),
        sa.Column("heads", sa.Text(), nullable=False, comment="JSON: writer of a chain → its last link"),
        sa.Column("link", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_anchor")),
        comment="where the chains of the ledgers stood, every minute (R27)",
    )
    op.add_column(
        "ledger",
        sa.Column(
            "object",
            sa.LargeBinary(),
            nullable=True,
            comment="keyed digest of id and version, for when they are erased",
        ),
    )
    op.add_column(
        "ledger", sa.Column("link", sa.LargeBinary(), nullable=True, comment="of the chain (R27); null: older than it")
    )
    op.create_index("ix_ledger_at", "ledger", ["at"], unique=False)
    op.create_table(
        "member",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=True, nullable=False),
        sa.Column("audience", sa.BigInteger(), nullable=False),
        sa.Column("peer", sa.String(), nullable=False),
        sa.Column("since", sa.BigInteger(), nullable=False),
        sa.Column("until", sa.BigInteger(), nullable=True, comment="null: it is one now"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_member")),
        comment="who belonged to which audience, when: what a partner could see on a past day",
    )
    op.create_index("ix_member_peer", "member", ["peer"], unique=False)
    _fill()


def _fill() -> None:
    """Who belongs to an audience now has done so since its first listing, as far as anybody can say."""
    bind = op.get_bind()
    first = "SELECT min(added) FROM listing WHERE listing.audience = audience.number"
    found = bind.execute(sa.text(f"SELECT number, members, ({first}) FROM audience WHERE NOT retired"))  # noqa: S608
    rows = [
        {"audience": number, "peer": peer, "since": since or 0}
        for number, members, since in found.all()
        for peer in json.loads(members)
    ]
    if rows:
        bind.execute(sa.text("INSERT INTO member (audience, peer, since) VALUES (:audience, :peer, :since)"), rows)
