"""Under which key a row folds, when it expires, what a person looks at first; aliases, links and reviews."""

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None

_ORDERED = sa.String().with_variant(sa.String(collation="C"), "postgresql")
_SERIAL = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    op.create_table(
        "alias",
        sa.Column("alias", _ORDERED, nullable=False),
        sa.Column("seq", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.PrimaryKeyConstraint("alias", "seq", name=op.f("pk_alias")),
        comment="other ids under which a statement says that its object is known (x_opencti_stix_ids)",
        sqlite_with_rowid=False,
    )
    op.create_index("ix_alias_seq", "alias", ["seq"], unique=False)
    op.create_table(
        "name",
        sa.Column("value", _ORDERED, nullable=False, comment="without regard to case and white space"),
        sa.Column(
            "kind", sa.String(), nullable=False, comment="name, or id:SOURCE_NAME for its creator's own external id"
        ),
        sa.Column("seq", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.PrimaryKeyConstraint("value", "kind", "seq", name=op.f("pk_name")),
        comment="names of domain objects: what suggests that two may be one; nothing is ever joined by it",
        sqlite_with_rowid=False,
    )
    op.create_table(
        "refold",
        sa.Column("audience", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("target", _ORDERED, nullable=False),
        sa.Column("after", sa.BigInteger(), nullable=False, comment="the last statement on it that was done"),
        sa.PrimaryKeyConstraint("audience", "target", name=op.f("pk_refold")),
        comment="ends whose fact changed for an audience, with more composites on them than one transaction keys (R18)",
        sqlite_with_rowid=False,
    )
    op.create_table(
        "link",
        sa.Column("id", _SERIAL, autoincrement=True, nullable=False),
        sa.Column("one", _ORDERED, nullable=False, comment="STIX id; the smaller of the two"),
        sa.Column("other", _ORDERED, nullable=False),
        sa.Column("state", sa.String(), nullable=False, comment="accepted, refused, undone"),
        sa.Column("who", sa.String(), nullable=False),
        sa.Column("why", sa.Text(), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_link")),
        comment="what operators said of two objects that may be one; the last word holds, none is ever deleted",
    )
    op.create_index("ix_link_one", "link", ["one"], unique=False)
    op.create_index("ix_link_other", "link", ["other"], unique=False)
    op.create_table(
        "renewal",
        sa.Column("seq", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.PrimaryKeyConstraint("seq", name=op.f("pk_renewal")),
        comment="statements whose end is to be told again: they, or twins of theirs, were seen, or no longer were",
    )
    op.create_table(
        "notice",
        sa.Column("audience", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("stix_id", _ORDERED, nullable=False, comment="the object that was withdrawn"),
        sa.Column(
            "seq", sa.BigInteger(), nullable=False, comment="the statement of ours that says so, in its newest version"
        ),
        sa.Column(
            "action",
            sa.String(),
            nullable=False,
            comment="withdrawn, restored; empty: the object is listed there again",
        ),
        sa.PrimaryKeyConstraint("audience", "stix_id", name=op.f("pk_notice")),
        comment="recall notices: who was told of which object that it may no longer have it (R8)",
        sqlite_with_rowid=False,
    )
    op.create_table(
        "review",
        sa.Column("id", _SERIAL, autoincrement=True, nullable=False),
        sa.Column("stix_id", _ORDERED, nullable=False),
        sa.Column("source", sa.String(), nullable=False),
        sa.Column("code", sa.String(), nullable=False, comment="the reason for which it was held"),
        sa.Column(
            "value", _ORDERED, nullable=False, comment="what it was held for, as it is indexed; empty: no one value"
        ),
        sa.Column("matches", sa.Text(), nullable=False, comment="JSON: what was found, for whoever reads it later"),
        sa.Column("verdict", sa.String(), nullable=False, comment="released, refused"),
        sa.Column("who", sa.String(), nullable=False),
        sa.Column("why", sa.Text(), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_review")),
        comment="what a person decided of what was held for a look; the last word holds, none is ever deleted",
    )
    op.create_index("ix_review_stix_id", "review", ["stix_id"], unique=False)
    op.create_index("ix_review_value", "review", ["value", "source"], unique=False)
    op.add_column(
        "statement",
        sa.Column(
            "doubt",
            sa.String(),
            server_default="",
            nullable=False,
            comment="the code for which a person looks at it before it leaves; empty: nothing",
        ),
    )
    op.create_index(
        "ix_statement_doubt",
        "statement",
        ["doubt"],
        unique=False,
        sqlite_where=sa.text("doubt <> ''"),
        postgresql_where=sa.text("doubt <> ''"),
    )
    op.add_column(
        "listing",
        sa.Column(
            "fact", sa.String(), nullable=True, comment="under which it folds in this audience (R23); null: never"
        ),
    )
    op.add_column(
        "listing",
        sa.Column(
            "expires", sa.BigInteger(), nullable=True, comment="when it is too old for this audience; null: never"
        ),
    )
    op.create_index(
        "ix_listing_fact",
        "listing",
        ["audience", "fact", "folded"],
        unique=False,
        sqlite_where=sa.text("closed IS NULL AND fact IS NOT NULL"),
        postgresql_where=sa.text("closed IS NULL AND fact IS NOT NULL"),
    )
    op.create_index(
        "ix_listing_expires",
        "listing",
        ["expires"],
        unique=False,
        sqlite_where=sa.text("closed IS NULL AND expires IS NOT NULL"),
        postgresql_where=sa.text("closed IS NULL AND expires IS NOT NULL"),
    )
