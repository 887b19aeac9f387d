"""Names and meanings that become known after what rests on them was listed: what was altered says whose it is and under
which names, and what is still to be looked at again has a queue.

What an earlier release altered was checked by names that nobody wrote down: all of it is looked at again.
"""

import sqlalchemy as sa
from alembic import op

revision = "0020"
down_revision = "0015"
branch_labels = None
depends_on = None


def upgrade() -> None:
    for name, comment in (
        ("source", "who stated the original"),
        ("creator", "of the original"),
        ("names", "digest of the names that were looked for in what goes (`Names.digest`); empty: nobody is hidden"),
    ):
        column = sa.Column(name, sa.String(), nullable=False, server_default="", comment=comment)
        op.add_column("derived", column)
    op.drop_index("ix_derived_code", table_name="derived")
    op.create_index("ix_derived_whose", "derived", ["source", "creator", "of"], unique=False)
    op.create_table(
        "later",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=True, nullable=False),
        sa.Column("kind", sa.String(), nullable=False, comment="names, or marks"),
        sa.Column("source", sa.String(), nullable=False, comment="who told it, and of whose statements it tells"),
        sa.Column(
            "about",
            sa.Text(),
            nullable=False,
            comment="JSON: creators (none: all), or marks and meanings",
        ),
        sa.Column("after", sa.BigInteger(), nullable=False, comment="the last statement that was looked at"),
        sa.Column("upto", sa.BigInteger(), nullable=False, comment="the last that is to be"),
        sa.Column("shut", sa.Text(), nullable=False, comment="JSON: audiences that are shut until it is done (R18)"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_later")),
        comment="what became known after statements that rest on it were listed, and is still to be applied to them",
    )
    creator = "CASE WHEN s.type = 'identity' THEN s.stix_id ELSE s.creator END"
    for name, value in (("source", "s.source"), ("creator", creator)):
        op.execute(
            f"UPDATE derived SET {name} = coalesce("  # noqa: S608 (nothing in it comes from outside)
            f"(SELECT {value} FROM statement AS s WHERE s.seq = derived.\"of\"), '')"
        )
    op.execute("UPDATE derived SET names = '?'")
    op.execute(
        "INSERT INTO later (kind, source, about, after, upto, shut) "
        "SELECT 'names', source, '[]', 0, max(\"of\"), '[]' FROM derived GROUP BY source"
    )
