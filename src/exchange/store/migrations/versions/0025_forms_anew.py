"""What was made without its producer, or was taken for that, is decided anew, once.

0020 could not tell what hides nobody from what does, and so had it read at each word on a producer.
"""

from alembic import op

revision = "0025"
down_revision = "0024"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute(
        "INSERT INTO later (kind, source, about, after, upto, shut) "
        "SELECT 'forms', source, '[]', 0, max(\"of\"), '[]' FROM derived WHERE names <> '' GROUP BY source"
    )
