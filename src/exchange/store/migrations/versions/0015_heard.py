"""What was told of an object that many have seen is kept, so that one more sighting costs no more than the first."""

import sqlalchemy as sa
from alembic import op

revision = "0015"
down_revision = "0014"
branch_labels = None
depends_on = None

_ORDERED = sa.String().with_variant(sa.String(collation="C"), "postgresql")


def upgrade() -> None:
    op.create_table(
        "heard",
        sa.Column("target", _ORDERED, nullable=False),
        sa.Column("upto", sa.BigInteger(), nullable=False, comment="the last statement that was read for it"),
        sa.Column("told", sa.Text(), nullable=False, comment="JSON: audience → [last seen, {peer: last denied}]"),
        sa.PrimaryKeyConstraint("target", name=op.f("pk_heard")),
        comment="what the sightings and opinions of an object say together, where they are many; made anew when lost",
        sqlite_with_rowid=False,
    )
