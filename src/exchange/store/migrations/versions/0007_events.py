"""To which MISP event a statement belongs; what was taken from an audience is found by when that was."""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None

_OBSERVABLES = (
    "artifact", "autonomous-system", "directory", "domain-name", "email-addr", "email-message", "file", "ipv4-addr",
    "ipv6-addr", "mac-addr", "mutex", "network-traffic", "process", "software", "url", "user-account",
    "windows-registry-key", "x509-certificate",
)  # fmt: skip


def upgrade() -> None:
    op.create_table(
        "event",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=False, nullable=False),
        sa.Column(
            "key", sa.String(), nullable=False, comment="uuid of a MISP event, id of a report or grouping, or a day"
        ),
        sa.Column("creator", sa.String(), nullable=False, comment="empty: nobody is named"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_event")),
        sa.UniqueConstraint("key", "creator", name=op.f("uq_event_key_creator")),
        comment="by what statements belong together where they are shown as MISP events",
    )
    op.add_column(
        "statement",
        sa.Column(
            "event", sa.BigInteger(), server_default="0", nullable=False, comment="fixed when it was first accepted"
        ),
    )
    op.add_column(
        "statement",
        sa.Column(
            "attributes", sa.Integer(), server_default="0", nullable=False, comment="how many MISP attributes it may be"
        ),
    )
    _fill()
    op.create_index("ix_statement_event", "statement", ["event", "seq"], unique=False)
    op.create_index(
        "ix_listing_closed",
        "listing",
        ["audience", "closed"],
        unique=False,
        sqlite_where=sa.text("closed IS NOT NULL"),
        postgresql_where=sa.text("closed IS NOT NULL"),
    )


def _fill() -> None:
    """What is held already belongs to the day of its source's first version of it, or of its receipt."""
    bind = op.get_bind()
    received = (
        "date(received / 1000000, 'unixepoch')"
        if bind.dialect.name == "sqlite"
        else "to_char(to_timestamp(received / 1000000) AT TIME ZONE 'UTC', 'YYYY-MM-DD')"
    )
    days = f"SELECT stix_id, source, min(CASE WHEN version = '' THEN {received} ELSE substr(version, 1, 10) END) AS day FROM statement GROUP BY stix_id, source"  # noqa: S608, E501
    bind.execute(sa.text(f"CREATE TEMPORARY TABLE first_day AS {days}"))
    bind.execute(sa.text("CREATE UNIQUE INDEX ix_first_day ON first_day (stix_id, source)"))
    joined = "statement JOIN first_day ON first_day.stix_id = statement.stix_id AND first_day.source = statement.source"
    bind.execute(
        sa.text(
            f"INSERT INTO event (id, key, creator) SELECT row_number() OVER (ORDER BY day, creator), day, creator FROM (SELECT DISTINCT day, creator FROM {joined}) AS found"  # noqa: S608, E501
        )
    )
    one = "SELECT event.id FROM event JOIN first_day ON event.key = first_day.day WHERE event.creator = statement.creator AND first_day.stix_id = statement.stix_id AND first_day.source = statement.source"  # noqa: E501
    bind.execute(sa.text(f"UPDATE statement SET event = ({one})"))  # noqa: S608
    bind.execute(sa.text("DROP TABLE first_day"))
    kinds = ", ".join(f"'{kind}'" for kind in ("indicator", "observed-data", *_OBSERVABLES))
    bind.execute(sa.text(f"UPDATE statement SET attributes = 1 WHERE type IN ({kinds})"))  # noqa: S608
