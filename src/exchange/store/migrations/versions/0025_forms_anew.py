"""What was made without its producer, or was taken for that, is decided anew, once.

0020 could not tell what hides nobody from what does, and so had it read at each word on a producer. Earlier builds also
listed a pseudonym twice in an audience, and withdrew only one of the two. What is read by such audiences is shut until
the daemon has looked at it; the others need not wait.
"""

import json
from collections import defaultdict

import sqlalchemy as sa
from alembic import op

revision = "0025"
down_revision = "0024"
branch_labels = None
depends_on = None

# Of one id and version of ours, two rows that stood at the same time, of which one is open still.
_TWICE = """
SELECT DISTINCT d.source, a.audience
FROM derived AS d
JOIN statement AS s ON s.seq = d.seq
JOIN listing AS a ON a.seq = s.seq
JOIN statement AS t ON t.stix_id = s.stix_id AND t.version = s.version
JOIN listing AS b ON b.seq = t.seq AND b.audience = a.audience AND b.added <> a.added
WHERE d.names <> '' AND s.type = 'identity' AND (a.closed IS NULL OR b.closed IS NULL)
  AND (a.closed IS NULL OR a.closed > b.added) AND (b.closed IS NULL OR b.closed > a.added)
"""


def upgrade() -> None:
    twice = defaultdict(set)
    for source, number in op.get_bind().execute(sa.text(_TWICE)):
        twice[source].add(number)
    queue = sa.table("later", *(sa.column(name) for name in ("kind", "source", "about", "after", "upto", "shut")))
    for source, upto in op.get_bind().execute(
        sa.text("SELECT source, max(\"of\") FROM derived WHERE names <> '' GROUP BY source ORDER BY source")
    ):
        shut = sorted(twice[source])
        row = {"kind": "forms", "source": source, "about": "[]", "after": 0, "upto": upto, "shut": json.dumps(shut)}
        op.execute(sa.insert(queue).values(row))
        place = sa.table("audience", sa.column("number"), sa.column("open"))
        op.execute(sa.update(place).where(place.c.number.in_(shut)).values(open=sa.false()))
