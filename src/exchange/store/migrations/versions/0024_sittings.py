"""Each sitting in which listings were decided, and what was overwritten since: decisions can be made again."""

import sqlalchemy as sa
from alembic import op

revision = "0024"
down_revision = "0023"
branch_labels = None
depends_on = None

_ORDERED = sa.String().with_variant(sa.String(collation="C"), "postgresql")
_SERIAL = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    _sittings()
    _overwritten()
    # What stands already was decided before anything of this was written down.
    op.execute(
        "INSERT INTO dated (audience, last, sitting, count) "
        "SELECT number, last_added, 0, 0 FROM audience WHERE last_added > 0"
    )


def _sittings() -> None:
    op.create_table(
        "followed",
        sa.Column("id", _SERIAL, autoincrement=False, nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.Column("epoch", sa.String(), nullable=False),
        sa.Column(
            "terms", sa.Text(), nullable=False, comment="JSON, as in the note of the terms by which all is decided"
        ),
        sa.Column("sitting", sa.BigInteger(), nullable=False, comment="the first that may have decided by them"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_followed")),
        comment="the terms that the store has followed, one after the other",
    )
    op.create_table(
        "sitting",
        sa.Column("id", _SERIAL, autoincrement=False, nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False, comment="the clock; what was closed bears the same time"),
        sa.Column("ruled", sa.BigInteger(), nullable=False, comment="the instant at which its terms were read"),
        sa.Column("terms", sa.BigInteger(), nullable=False, comment="number in followed"),
        sa.Column("upto", sa.BigInteger(), nullable=False, comment="the last statement there was"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_sitting")),
        comment="each time that listings were decided and written: what was known then, by numbers",
    )
    op.create_index("ix_sitting_at", "sitting", ["at"])
    op.create_index("ix_sitting_upto", "sitting", ["upto"])
    op.create_table(
        "dated",
        sa.Column("audience", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("last", sa.BigInteger(), autoincrement=False, nullable=False, comment="the last date it gave there"),
        sa.Column("sitting", sa.BigInteger(), nullable=False, comment="0: all that is older than these records"),
        sa.Column("count", sa.Integer(), nullable=False, comment="how many rows it listed there"),
        sa.PrimaryKeyConstraint("audience", "last", name=op.f("pk_dated")),
        comment="which dates of a listing were given in which sitting",
        sqlite_with_rowid=False,
    )


def _overwritten() -> None:
    op.create_table(
        "former",
        sa.Column("id", _SERIAL, autoincrement=True, nullable=False),
        sa.Column("seq", sa.BigInteger(), nullable=False),
        sa.Column("what", sa.String(), nullable=False, comment="doubt, stated, parts, touch, led"),
        sa.Column("value", sa.Text(), nullable=True, comment="what stood there"),
        sa.Column("until", sa.BigInteger(), nullable=False, comment="the first sitting for which it did not"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_former")),
        comment="what was changed in statements, as it was before",
    )
    op.create_index("ix_former_seq", "former", ["seq"])
    op.create_table(
        "lifted",
        sa.Column("id", _SERIAL, autoincrement=True, nullable=False),
        sa.Column("stix_id", _ORDERED, nullable=False),
        sa.Column("peer", sa.String(), nullable=False),
        sa.Column("channel", sa.String(), nullable=False),
        sa.Column("version", _ORDERED, nullable=False),
        sa.Column("since", sa.BigInteger(), nullable=False, comment="the first sitting for which it held"),
        sa.Column("until", sa.BigInteger(), nullable=False, comment="the first for which it did not"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_lifted")),
        comment="marks of withdrawal that hold no longer",
    )
    op.create_index("ix_lifted_stix_id", "lifted", ["stix_id"])
    for table in ("withdrawal", "approval"):
        op.add_column(table, sa.Column("sitting", sa.BigInteger(), nullable=False, server_default="0"))
