"""Every configuration that was applied is kept; the newest is the one that runs."""

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "configuration",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=True, nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.Column("who", sa.String(), nullable=False),
        sa.Column("why", sa.Text(), nullable=False),
        sa.Column(
            "restored",
            sa.BigInteger(),
            nullable=True,
            comment="the version that was applied again; null: the folder",
        ),
        sa.Column("digest", sa.String(), nullable=False, comment="SHA-256 of the files"),
        sa.Column("files", sa.Text(), nullable=False, comment="JSON: name in the folder → text; secrets only by name"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_configuration")),
        comment="every configuration that was applied; the newest is the one that runs",
    )
