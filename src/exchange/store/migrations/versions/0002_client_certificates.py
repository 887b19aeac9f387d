"""Accounts that log in by client certificate."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "certificate",
        sa.Column("hash", sa.String(), nullable=False, comment="SHA-256 of a client certificate in DER form"),
        sa.Column("account", sa.String(), nullable=False),
        sa.Column("created", sa.BigInteger(), nullable=False),
        sa.Column(
            "not_after", sa.BigInteger(), nullable=False, comment="its own end, or sooner when another took its place"
        ),
        sa.ForeignKeyConstraint(["account"], ["account.name"], name=op.f("fk_certificate_account")),
        sa.PrimaryKeyConstraint("hash", name=op.f("pk_certificate")),
    )
    op.create_index("ix_certificate_account", "certificate", ["account"], unique=False)
