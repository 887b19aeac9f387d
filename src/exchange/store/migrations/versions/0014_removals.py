"""What operators withdraw from everybody, what is erased for good, and what they approve after a look."""

import sqlalchemy as sa
from alembic import op

revision = "0014"
down_revision = "0013"
branch_labels = None
depends_on = None

_ORDERED = sa.String().with_variant(sa.String(collation="C"), "postgresql")
_SERIAL = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    op.create_table(
        "removal",
        sa.Column("id", _SERIAL, autoincrement=True, nullable=False),
        sa.Column("kind", sa.String(), nullable=False, comment="object, value, event, source, peer"),
        sa.Column("asked", sa.Text(), nullable=False, comment="as the operator typed it"),
        sa.Column(
            "targets", sa.Text(), nullable=False, comment="JSON: ids, values, numbers of events, or the source or peer"
        ),
        sa.Column("since", sa.BigInteger(), nullable=True, comment="of a source or peer: received from then on"),
        sa.Column("until", sa.BigInteger(), nullable=True, comment="received before then"),
        sa.Column("who", sa.String(), nullable=False),
        sa.Column("why", sa.Text(), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.Column("state", sa.String(), nullable=False, comment="closing, standing, lifting, lifted"),
        sa.Column(
            "upto",
            sa.BigInteger(),
            nullable=False,
            comment="the last statement that was done, while closing or lifting",
        ),
        sa.Column(
            "shut", sa.Text(), nullable=False, comment="JSON: numbers of the audiences that are shut until it is done"
        ),
        sa.Column("lifted_who", sa.String(), nullable=True),
        sa.Column("lifted_why", sa.Text(), nullable=True),
        sa.Column("lifted_at", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_removal")),
        comment="what operators withdrew from everybody (R31); the marks in withdrawal hold it, until it is lifted",
    )
    op.create_table(
        "erasure",
        sa.Column("id", _SERIAL, autoincrement=True, nullable=False),
        sa.Column("kind", sa.String(), nullable=False, comment="object, value, event"),
        sa.Column("asked", sa.Text(), nullable=False, comment="as the operator typed it; empty once it is erased"),
        sa.Column(
            "targets",
            sa.Text(),
            nullable=False,
            comment="JSON: ids, values or numbers of events; empty once it is erased",
        ),
        sa.Column("digest", sa.LargeBinary(), nullable=False, comment="keyed digest of what was asked"),
        sa.Column("why", sa.Text(), nullable=False),
        sa.Column("basis", sa.Text(), nullable=False, comment="the legal basis"),
        sa.Column("who", sa.String(), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.Column("state", sa.String(), nullable=False, comment="asked, approved, erased, dropped"),
        sa.Column("approver", sa.String(), nullable=True),
        sa.Column("approved", sa.BigInteger(), nullable=True),
        sa.Column("attestation", sa.Text(), nullable=False, comment="JSON; empty until it is erased"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_erasure")),
        comment="erasures for a legal reason (R33): one asks, another approves",
    )
    op.create_table(
        "erased",
        sa.Column("digest", sa.LargeBinary(), nullable=False, comment="keyed digest of an id or of a value"),
        sa.Column("erasure", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("digest", name=op.f("pk_erased")),
        comment="what was erased and is not taken again (R33)",
    )
    op.create_table(
        "approval",
        sa.Column("id", _SERIAL, autoincrement=True, nullable=False),
        sa.Column("stix_id", _ORDERED, nullable=False),
        sa.Column("source", sa.String(), nullable=False),
        sa.Column("version", _ORDERED, nullable=False),
        sa.Column("code", sa.String(), nullable=False, comment="the reason for which it was held"),
        sa.Column(
            "agreement", sa.String(), nullable=False, comment="whose parties it is for; empty: whoever it is held from"
        ),
        sa.Column("verdict", sa.String(), nullable=False, comment="approved, refused, undone"),
        sa.Column("who", sa.String(), nullable=False),
        sa.Column("why", sa.Text(), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_approval")),
        comment="what persons decided of one version that is held; the last word of each holds, none is ever deleted",
    )
    op.create_index("ix_approval_stix_id", "approval", ["stix_id"], unique=False)
