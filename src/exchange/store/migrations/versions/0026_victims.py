"""Whom an object says was attacked: messages name those who got them, so the mailbox itself need not.

What a source said before this is read again in the background; until then it stands as it stood.
"""

import sqlalchemy as sa
from alembic import op

revision = "0026"
down_revision = "0025"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column(
        "trait",
        sa.Column(
            "victim",
            sa.Boolean(),
            nullable=False,
            server_default=sa.false(),
            comment="whether its source says elsewhere that it is a victim's",
        ),
    )
    op.create_table(
        "victim",
        sa.Column(
            "target",
            sa.String().with_variant(sa.String(collation="C"), "postgresql"),
            nullable=False,
            comment="the id of what is a victim's",
        ),
        sa.Column("source", sa.String(), nullable=False, comment="who says so, and of whose statements"),
        sa.Column(
            "seq",
            sa.BigInteger(),
            autoincrement=False,
            nullable=False,
            comment="the statement that says so; 0: something that was not taken",
        ),
        sa.PrimaryKeyConstraint("target", "source", "seq", name=op.f("pk_victim")),
        comment="mailboxes of recipients, and what else was attacked, by the word of another object",
        sqlite_with_rowid=False,
    )
    _say(
        ("later", "kind", "names, marks, forms, victims, messages, or persons"),
        ("later", "about", "JSON: creators (none: all), marks and meanings, or ids of victims"),
        ("former", "what", "doubt, stated, parts, touch, led, traits"),
    )
    op.create_index("ix_victim_seq", "victim", ["seq"], unique=False)
    op.execute(
        "INSERT INTO later (kind, source, about, after, upto, shut) "
        "SELECT 'messages', source, '[]', 0, max(seq), '[]' FROM statement "
        "WHERE type IN ('email-message', 'relationship') GROUP BY source"
    )
    # Nothing was known of persons in what a MISP event said anew under an old timestamp.
    op.execute(
        "INSERT INTO later (kind, source, about, after, upto, shut) "
        "SELECT 'persons', source, '[]', 0, max(seq), '[]' FROM statement "
        "WHERE document IS NOT NULL GROUP BY source"
    )


def _say(*comments: tuple[str, str, str]) -> None:
    """What stands in these columns now; SQLite keeps no comments."""
    if op.get_bind().dialect.name == "postgresql":
        for table, column, comment in comments:
            op.alter_column(table, column, comment=comment)
