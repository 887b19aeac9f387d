"""Segments of listings; what was read past while an agreement had ended; old statuses found by their age."""

from collections.abc import Iterator
from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

_WIDTH = 1 << 32
_LEAST = 8
_PRIME = 2**61 - 1
_STEP = 10_000
_PLAIN = "closed IS NULL AND latest AND NOT folded"


def upgrade() -> None:
    op.add_column(
        "audience",
        sa.Column(
            "past", sa.Text(), server_default="{}", nullable=False, comment="JSON: end → last date read after it"
        ),
    )
    op.create_index("ix_status_created", "status", ["created"], unique=False)
    op.add_column(
        "listing",
        sa.Column("sealed", sa.Boolean(), server_default=sa.false(), nullable=False, comment="it stands in a segment"),
    )
    op.create_table(
        "segment",
        sa.Column("audience", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("last", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("first", sa.BigInteger(), nullable=False),
        sa.Column("rows", sa.Integer(), nullable=False),
        sa.Column("begin", sa.BigInteger(), nullable=False, comment="the block times 2**32, and the first byte in it"),
        sa.Column("end", sa.BigInteger(), nullable=False, comment="the same block, and the byte behind the last"),
        sa.Column("not_after", sa.BigInteger(), nullable=False, comment="the earliest of its rows"),
        sa.Column("sums", sa.BigInteger(), nullable=False, comment="of its dates, by 2**61 - 1"),
        sa.Column("squares", sa.BigInteger(), nullable=False, comment="of its dates, by 2**61 - 1"),
        sa.ForeignKeyConstraint(["audience"], ["audience.number"], name=op.f("fk_segment_audience")),
        sa.PrimaryKeyConstraint("audience", "last", name=op.f("pk_segment")),
        comment="rows of a listing that stand side by side in a block, all that a plain page shows between two dates"
        " (R24)",
        sqlite_with_rowid=False,
    )
    for number in op.get_bind().execute(sa.text("SELECT number FROM audience")).scalars().all():
        _seal(number)
    op.create_index(
        "ix_listing_loose",
        "listing",
        ["audience", "added", "not_after", "block", "start", "stop", "closed", "latest", "folded", "sealed"],
        unique=False,
        sqlite_where=sa.text(f"{_PLAIN} AND NOT sealed"),
        postgresql_where=sa.text(f"{_PLAIN} AND NOT sealed"),
    )


def _seal(audience: int) -> None:
    """Make the segments of what this audience reads."""
    bind = op.get_bind()
    segment = sa.table("segment", *(sa.column(n) for n in ("audience", *_NAMES)))
    mark = sa.text(
        f"UPDATE listing SET sealed = NOT sealed WHERE audience = :audience AND added >= :first AND added <= :last AND {_PLAIN}"  # noqa: S608, E501
    )
    for run in _runs(audience):
        (first, block, start, _, _), (last, _, _, stop, _) = run[0], run[-1]
        span = (block * _WIDTH + start, block * _WIDTH + stop)
        totals = (sum(row[0] for row in run) % _PRIME, sum(row[0] ** 2 for row in run) % _PRIME)
        values = (first, last, len(run), *span, min(row[4] for row in run), *totals)
        bind.execute(sa.insert(segment), {"audience": audience, **dict(zip(_NAMES, values, strict=True))})
        bind.execute(mark, {"audience": audience, "first": first, "last": last})


_NAMES = ("first", "last", "rows", "begin", "end", "not_after", "sums", "squares")


def _runs(audience: int) -> Iterator[list[Any]]:
    """Rows (added, block, start, stop, not_after) that stand side by side, _LEAST of them or more."""
    query = sa.text(
        f"SELECT added, block, start, stop, not_after FROM listing WHERE audience = :audience AND added > :after AND {_PLAIN} ORDER BY added LIMIT {_STEP}"  # noqa: S608, E501
    )
    run: list[Any] = []
    after = -1
    while rows := op.get_bind().execute(query, {"audience": audience, "after": after}).all():
        for row in rows:
            if run and (row[1], row[2]) != (run[-1][1], run[-1][3] + 1):
                if len(run) >= _LEAST:
                    yield run
                run = []
            run.append(row)
        after = rows[-1][0]
    if len(run) >= _LEAST:
        yield run
