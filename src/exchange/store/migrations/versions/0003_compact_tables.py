"""Compact tables: bytes of objects in compressed blocks, audiences by number, listings without what statements say."""

from collections.abc import Iterator
from typing import Any

import orjson
import sqlalchemy as sa
import zstandard
from alembic import op

from exchange.model import facts

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

_OLD = ("observable", "reference", "outbox", "listing", "statement", "audience")
_BEFORE = "before_0003"
_SIZE = 64 * 1024
_STEP = 500


def upgrade() -> None:
    bind = op.get_bind()
    _set_aside(bind)
    _create()
    _copy(bind)
    for name in _OLD:
        _table(bind, name).drop(bind)
    if bind.dialect.name == "postgresql":
        op.execute(f"DROP SCHEMA {_BEFORE}")


def _set_aside(bind: sa.Connection) -> None:
    """Give the old tables other names: their indexes and constraints must not meet those of the new ones."""
    if bind.dialect.name == "postgresql":
        op.execute(f"CREATE SCHEMA {_BEFORE}")
        for name in _OLD:
            op.execute(f"ALTER TABLE {name} SET SCHEMA {_BEFORE}")
        return
    for name in _OLD:
        for index in sa.inspect(bind).get_indexes(name):
            op.execute(f"DROP INDEX {index['name']}")
        op.execute(f"ALTER TABLE {name} RENAME TO {_BEFORE}_{name}")


def _table(bind: sa.Connection, name: str) -> sa.Table:
    if bind.dialect.name == "postgresql":
        return sa.Table(name, sa.MetaData(), schema=_BEFORE, autoload_with=bind, resolve_fks=False)
    return sa.Table(f"{_BEFORE}_{name}", sa.MetaData(), autoload_with=bind, resolve_fks=False)


def _steps(bind: sa.Connection, query: sa.Select[Any]) -> Iterator[list[dict[str, Any]]]:
    result = bind.execute(query, execution_options={"stream_results": True}).mappings()
    while rows := result.fetchmany(_STEP):
        yield [dict(row) for row in rows]


def _write(bind: sa.Connection, name: str, rows: list[dict[str, Any]]) -> None:
    if rows:
        bind.execute(sa.insert(sa.table(name, *(sa.column(column) for column in rows[0]))), rows)


class _Blocks:
    """Writes blocks as `exchange.store.blocks` does."""

    def __init__(self, bind: sa.Connection) -> None:
        self.bind = bind
        self.number = 0

    def keep(self, bodies: list[bytes]) -> list[tuple[int, int, int]]:
        places: list[tuple[int, int, int]] = []
        gathered: list[bytes] = []
        size = _SIZE
        for body in bodies:
            if size + len(body) > _SIZE:
                self._end(gathered)
                gathered, size = [], 0
                self.number += 1
            places.append((self.number, size, size + len(body)))
            gathered.append(body)
            size += len(body) + 1
        self._end(gathered)
        return places

    def _end(self, gathered: list[bytes]) -> None:
        if gathered:
            packed = zstandard.ZstdCompressor(level=1).compress(b",".join(gathered))
            _write(self.bind, "block", [{"id": self.number, "body": packed}])


def _copy(bind: sa.Connection) -> None:
    audience = _table(bind, "audience")
    for rows in _steps(bind, sa.select(audience).order_by(audience.c.key)):
        _write(bind, "audience", rows)
    numbers = {row.key: row.number for row in bind.execute(sa.text("SELECT key, number FROM audience"))}
    places = _statements(bind)
    for name in ("reference", "observable"):
        for rows in _steps(bind, sa.select(_table(bind, name))):
            _write(bind, name, rows)
    listing = _table(bind, "listing")
    for rows in _steps(bind, sa.select(listing).order_by(listing.c.audience, listing.c.added)):
        for row in rows:
            row["audience"] = numbers[row["audience"]]
            row["block"], row["start"], row["stop"] = places[row["seq"]]
            for name in ("stix_id", "version", "fact"):
                del row[name]
        _write(bind, "listing", rows)
    for rows in _steps(bind, sa.select(_table(bind, "outbox"))):
        _write(bind, "outbox", [{**row, "audience": numbers[row["audience"]]} for row in rows])


def _statements(bind: sa.Connection) -> dict[int, tuple[int, int, int]]:
    """Copy them; gives where the bytes of each stand."""
    blocks, found = _Blocks(bind), {}
    old = _table(bind, "statement")
    for rows in _steps(bind, sa.select(old).order_by(old.c.seq)):
        bodies, raws = [bytes(row.pop("body")) for row in rows], [row.pop("raw") for row in rows]
        # A touch stands alone, because a later one takes its place.
        shared = blocks.keep([body for body, row in zip(bodies, rows, strict=True) if not row["touch"]])
        ordinary = iter(shared)
        received = iter(blocks.keep([bytes(r) for r, row in zip(raws, rows, strict=True) if r and not row["touch"]]))
        for row, body, raw in zip(rows, bodies, raws, strict=True):
            place = blocks.keep([body])[0] if row["touch"] else next(ordinary)
            raw_place: tuple[int | None, ...] = (None, None, None)
            if raw is not None:
                raw_place = blocks.keep([bytes(raw)])[0] if row["touch"] else next(received)
            found[row["seq"]] = place
            row["block"], row["start"], row["stop"] = place
            row["raw_block"], row["raw_start"], row["raw_stop"] = raw_place
            row["digest"] = bytes.fromhex(row.pop("content"))[:20]
            stix = orjson.loads(body)
            row["fact"] = _fact(row, stix)
            row["precision"] = len(str(stix.get("modified") or stix.get("created") or "").partition(".")[2]) - 1
        _write(bind, "statement", rows)
    return found


def _fact(row: dict[str, Any], stix: dict[str, Any]) -> str | None:
    if row["revoked"] or row["fact"] == row["stix_id"]:
        return None
    return facts.fact_key(stix)


def _create() -> None:
    op.create_table(
        "audience",
        sa.Column("number", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=True, nullable=False),
        sa.Column("key", sa.String(), nullable=False),
        sa.Column("channel", sa.String(), nullable=False),
        sa.Column("members", sa.Text(), nullable=False, comment="JSON list of peers"),
        sa.Column("agreements", sa.Text(), nullable=False, comment="JSON list"),
        sa.Column("ends", sa.BigInteger(), nullable=True, comment="when the last of its agreements ends; null: never"),
        sa.Column(
            "open", sa.Boolean(), nullable=False, comment="false: no longer made by the terms, or being decided again"
        ),
        sa.Column("retired", sa.Boolean(), nullable=False, comment="no longer made by the terms"),
        sa.Column("last_added", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("number", name=op.f("pk_audience")),
        sa.UniqueConstraint("key", name=op.f("uq_audience_key")),
    )
    op.create_index("ix_audience_channel", "audience", ["channel"], unique=False)
    op.create_table(
        "block",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=False, nullable=False),
        sa.Column("body", sa.LargeBinary(), nullable=False, comment="objects joined by commas, compressed (zstd)"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_block")),
        comment="bytes of objects; what came together stands together, so that a page is a few slices of a few blocks",
    )
    op.create_table(
        "outbox",
        sa.Column("audience", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("added", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("state", sa.String(), nullable=False, comment="pending, accepted, refused, known, withdrawn"),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("message", sa.Text(), nullable=False, comment="what the peer said"),
        sa.PrimaryKeyConstraint("audience", "added", name=op.f("pk_outbox")),
    )
    op.create_index(
        "ix_outbox_pending",
        "outbox",
        ["audience", "added"],
        unique=False,
        sqlite_where=sa.text("state = 'pending'"),
        postgresql_where=sa.text("state = 'pending'"),
    )
    op.create_table(
        "withdrawal",
        sa.Column("stix_id", sa.String().with_variant(sa.String(collation="C"), "postgresql"), nullable=False),
        sa.Column("peer", sa.String(), nullable=False),
        sa.Column("channel", sa.String(), nullable=False),
        sa.Column(
            "version",
            sa.String().with_variant(sa.String(collation="C"), "postgresql"),
            nullable=False,
            comment="empty: every version, later ones too",
        ),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("stix_id", "peer", "channel", "version", name=op.f("pk_withdrawal")),
        comment="what a peer took out of a collection; re-decision and re-pull obey, a later POST undoes it (R22)",
    )
    op.create_table(
        "statement",
        sa.Column("seq", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=False, nullable=False),
        sa.Column("source", sa.String(), nullable=False),
        sa.Column("peer", sa.String(), nullable=False),
        sa.Column(
            "posted", sa.String(), nullable=False, comment="the channel it was written to; empty: pulled or imported"
        ),
        sa.Column("stix_id", sa.String().with_variant(sa.String(collation="C"), "postgresql"), nullable=False),
        sa.Column("type", sa.String(), nullable=False),
        sa.Column(
            "version",
            sa.String().with_variant(sa.String(collation="C"), "postgresql"),
            nullable=False,
            comment="instant without Z; empty: the object has no version",
        ),
        sa.Column("precision", sa.Integer(), nullable=False, comment="digits of its fraction as the object writes it"),
        sa.Column(
            "digest", sa.LargeBinary(), nullable=False, comment="of the normal form without its dates of change (R9)"
        ),
        sa.Column("creator", sa.String(), nullable=False),
        sa.Column("fact", sa.String(), nullable=True, comment="null: it states no single fact, or is revoked (R23)"),
        sa.Column("stated", sa.Text(), nullable=False, comment="the label that the object itself carries"),
        sa.Column("marked", sa.Boolean(), nullable=False, comment="whether it states a mark of its own (R10)"),
        sa.Column("label", sa.Text(), nullable=True, comment="the label it is judged under; null: held"),
        sa.Column("basis", sa.String(), nullable=False),
        sa.Column("waiting", sa.Boolean(), nullable=False, comment="unmarked, and its drain is not complete (R11)"),
        sa.Column("newest", sa.Boolean(), nullable=False, comment="of its source's chain of versions"),
        sa.Column("touch", sa.Boolean(), nullable=False),
        sa.Column("revoked", sa.Boolean(), nullable=False),
        sa.Column("repairs", sa.String(), nullable=False),
        sa.Column("document", sa.BigInteger(), nullable=True),
        sa.Column("received", sa.BigInteger(), nullable=False),
        sa.Column("block", sa.BigInteger(), nullable=False),
        sa.Column(
            "start", sa.Integer(), nullable=False, comment="where in the block what is served begins and ends, in bytes"
        ),
        sa.Column("stop", sa.Integer(), nullable=False),
        sa.Column("raw_block", sa.BigInteger(), nullable=True, comment="null: received as it is served"),
        sa.Column("raw_start", sa.Integer(), nullable=True),
        sa.Column("raw_stop", sa.Integer(), nullable=True),
        sa.ForeignKeyConstraint(["block"], ["block.id"], name=op.f("fk_statement_block")),
        sa.ForeignKeyConstraint(["document"], ["document.id"], name=op.f("fk_statement_document")),
        sa.ForeignKeyConstraint(["raw_block"], ["block.id"], name=op.f("fk_statement_raw_block")),
        sa.PrimaryKeyConstraint("seq", name=op.f("pk_statement")),
        sa.UniqueConstraint("stix_id", "source", "version", name=op.f("uq_statement_stix_id_source_version")),
    )
    op.create_index(
        "ix_statement_fact",
        "statement",
        ["fact"],
        unique=False,
        sqlite_where=sa.text("fact IS NOT NULL"),
        postgresql_where=sa.text("fact IS NOT NULL"),
    )
    op.create_index(
        "ix_statement_waiting",
        "statement",
        ["source"],
        unique=False,
        sqlite_where=sa.text("waiting"),
        postgresql_where=sa.text("waiting"),
    )
    op.create_table(
        "listing",
        sa.Column("audience", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("added", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("seq", sa.BigInteger(), nullable=False),
        sa.Column("type", sa.String(), nullable=False),
        sa.Column(
            "rank",
            sa.Integer(),
            nullable=False,
            comment="1: the authoritative chain; 0: beside it; -1: beside its owner's",
        ),
        sa.Column("label", sa.Text(), nullable=False, comment="what it is judged under, at this listing"),
        sa.Column("latest", sa.Boolean(), nullable=False, comment="what a request without match[version] gets"),
        sa.Column("folded", sa.Boolean(), nullable=False, comment="behind the one that represents the fact (R23)"),
        sa.Column("agreement", sa.String(), nullable=False),
        sa.Column("not_after", sa.BigInteger(), nullable=False, comment="end of that agreement (R19)"),
        sa.Column("block", sa.BigInteger(), nullable=False, comment="where its bytes stand, as in the statement"),
        sa.Column("start", sa.Integer(), nullable=False),
        sa.Column("stop", sa.Integer(), nullable=False),
        sa.Column("closed", sa.BigInteger(), nullable=True),
        sa.Column("closed_code", sa.String(), nullable=True),
        sa.ForeignKeyConstraint(["audience"], ["audience.number"], name=op.f("fk_listing_audience")),
        sa.ForeignKeyConstraint(["seq"], ["statement.seq"], name=op.f("fk_listing_seq")),
        sa.PrimaryKeyConstraint("audience", "added", name=op.f("pk_listing")),
        sqlite_with_rowid=False,
    )
    op.create_index(
        "ix_listing_page",
        "listing",
        ["audience", "added", "not_after", "type", "seq", "block", "start", "stop", "closed", "latest", "folded"],
        unique=False,
        sqlite_where=sa.text("closed IS NULL AND latest AND NOT folded"),
        postgresql_where=sa.text("closed IS NULL AND latest AND NOT folded"),
    )
    op.create_index("ix_listing_seq", "listing", ["seq"], unique=False)
    op.create_table(
        "observable",
        sa.Column("value", sa.String().with_variant(sa.String(collation="C"), "postgresql"), nullable=False),
        sa.Column("path", sa.String(), nullable=False),
        sa.Column("seq", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.ForeignKeyConstraint(["seq"], ["statement.seq"], name=op.f("fk_observable_seq")),
        sa.PrimaryKeyConstraint("value", "path", "seq", name=op.f("pk_observable")),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "reference",
        sa.Column("seq", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("target", sa.String().with_variant(sa.String(collation="C"), "postgresql"), nullable=False),
        sa.Column(
            "ends",
            sa.Boolean(),
            nullable=False,
            comment="the target is an end of a relationship, sighting, note, opinion",
        ),
        sa.ForeignKeyConstraint(["seq"], ["statement.seq"], name=op.f("fk_reference_seq")),
        sa.PrimaryKeyConstraint("seq", "target", name=op.f("pk_reference")),
        sqlite_with_rowid=False,
    )
    op.create_index("ix_reference_target", "reference", ["target"], unique=False)
