"""Who widened what, by which right, until when."""

import sqlalchemy as sa
from alembic import op

revision = "0022"
down_revision = "0020"
branch_labels = None
depends_on = None

_ORDERED = sa.String().with_variant(sa.String(collation="C"), "postgresql")
_SERIAL = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    op.create_table(
        "widening",
        sa.Column("id", _SERIAL, autoincrement=True, nullable=False),
        sa.Column("act", sa.BigInteger(), nullable=False, comment="what belongs to one act has one number"),
        sa.Column("word", sa.String(), nullable=False, comment="asked, widened, ended"),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.Column("who", sa.String(), nullable=False, comment="empty: the node itself, since its ground is gone"),
        sa.Column("why", sa.Text(), nullable=False),
        sa.Column("right", sa.String(), nullable=False, comment="creator, pfc"),
        sa.Column("before", sa.Text(), nullable=False, comment="the label of the original when it was judged"),
        sa.Column("level", sa.Text(), nullable=False, comment="the label that holds the new level"),
        sa.Column("source", sa.String(), nullable=False),
        sa.Column("seq", sa.BigInteger(), nullable=False, comment="the statement that was widened"),
        sa.Column("stix_id", _ORDERED, nullable=False, comment="of the original; empty: it was erased"),
        sa.Column("version", sa.String(), nullable=False),
        sa.Column("made", _ORDERED, nullable=False, comment="the id of the new object"),
        sa.Column("code", sa.String(), nullable=False, comment="why it ended"),
        sa.Column("token", sa.String(), nullable=False, comment="by which we know it again when it comes back (R16)"),
        sa.Column("object", sa.LargeBinary(), nullable=False, comment="keyed digest of the ids, the version and why"),
        sa.Column("link", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_widening")),
        comment="who widened what, by which right, until when; only added to, and chained (R27)",
    )
    for column in ("stix_id", "made", "token"):
        op.create_index(f"ix_widening_{column}", "widening", [column], unique=False)
