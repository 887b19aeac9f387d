"""What may have to be altered for somebody is noted with each statement, and what was made of it.

Statements that came before this are not searched: whatever of them could name a person counts as if it did, until it
comes again, so that `send.personal_information` lets nothing go that nobody has looked at.
"""

import sqlalchemy as sa
from alembic import op

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Two tables, and a trait for each statement that there is."""
    op.create_table(
        "trait",
        sa.Column("seq", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("parts", sa.Text(), nullable=True, comment="the label without granular marks; null: it has none"),
        sa.Column("personal", sa.Boolean(), nullable=False, comment="whether there may be personal information in it"),
        sa.PrimaryKeyConstraint("seq", name=op.f("pk_trait")),
        comment="statements of which some audience may get less than the whole; most have no row here",
    )
    op.create_table(
        "derived",
        sa.Column(
            "of", sa.BigInteger(), autoincrement=False, nullable=False, comment="the statement of which it was made"
        ),
        sa.Column("form", sa.String(), nullable=False, comment="the transform, and the class of its recipients (R15)"),
        sa.Column(
            "stix_id",
            sa.String().with_variant(sa.String(collation="C"), "postgresql"),
            nullable=False,
            comment="of the original",
        ),
        sa.Column("seq", sa.BigInteger(), nullable=True, comment="the statement of ours; null: none was made"),
        sa.Column(
            "code",
            sa.String(),
            nullable=False,
            comment="why none could be made; empty: one was, or it goes as it is",
        ),
        sa.Column("token", sa.String(), nullable=False, comment="by which we know it again when it comes back (R16)"),
        sa.PrimaryKeyConstraint("of", "form", name=op.f("pk_derived")),
        comment="transformed objects: what recipients get in place of a statement",
        sqlite_with_rowid=False,
    )
    for column in ("stix_id", "seq", "token", "code"):
        op.create_index(f"ix_derived_{column}", "derived", [column], unique=False)
    op.execute("INSERT INTO trait (seq, parts, personal) SELECT seq, NULL, true FROM statement")
