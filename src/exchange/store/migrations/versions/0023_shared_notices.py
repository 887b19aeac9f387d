"""A recall notice is said once, and listed to all who had the object: who was told is in the listings."""

import sqlalchemy as sa
from alembic import op

revision = "0023"
down_revision = "0022"
branch_labels = None
depends_on = None

_ORDERED = sa.String().with_variant(sa.String(collation="C"), "postgresql")


def upgrade() -> None:
    op.execute("CREATE TABLE notice_before AS SELECT audience, stix_id, seq, action FROM notice")
    op.drop_table("notice")
    op.create_table(
        "notice",
        sa.Column("stix_id", _ORDERED, nullable=False, comment="the object that was withdrawn"),
        sa.Column(
            "seq", sa.BigInteger(), autoincrement=False, nullable=False, comment="the statement of ours that says so"
        ),
        sa.Column(
            "target",
            sa.BigInteger(),
            nullable=False,
            comment="number of the push target to which alone it is said; 0: none",
        ),
        sa.Column(
            "action", sa.String(), nullable=False, comment="withdrawn, restored; empty: the target has the object again"
        ),
        sa.PrimaryKeyConstraint("stix_id", "seq", name=op.f("pk_notice")),
        comment="recall notices (R8); to whom one was said is in the listings",
        sqlite_with_rowid=False,
    )
    # Every version that was said; until now only the newest was named.
    op.execute(
        "INSERT INTO notice (stix_id, seq, target, action) "
        "SELECT n.stix_id, s.seq, n.audience, n.action FROM notice_before AS n "
        "JOIN statement AS last ON last.seq = n.seq "
        "JOIN statement AS s ON s.stix_id = last.stix_id AND s.source = last.source"
    )
    op.drop_table("notice_before")
