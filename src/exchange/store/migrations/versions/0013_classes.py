"""What the second gate read in the bytes of each statement stands beside it, so that a change of policy reads none.

Statements of an earlier release have no such number until they are decided the long way, which reads their bytes.
"""

import sqlalchemy as sa
from alembic import op

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column(
        "statement",
        sa.Column(
            "marks",
            sa.BigInteger(),
            nullable=True,
            comment="what the second gate read in its bytes (`gate.stamp`); null: not read yet",
        ),
    )
    # A change of terms that an earlier release left half done is made anew, from the beginning.
    op.execute(
        "DELETE FROM meta WHERE name = 'policy_epoch' AND value <> "
        "coalesce((SELECT other.value FROM meta AS other WHERE other.name = 'policy_decided'), '')"
    )
    op.execute("DELETE FROM meta WHERE name = 'policy_decided'")
