"""What is only ever written down: the ledgers (RULES R27), their chains, and the configurations that were applied."""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, Index, Integer, LargeBinary, MetaData, String, Table, Text

from exchange.store.columns import Serial, metadata

ledger = Table(
    "ledger",
    metadata,
    Column("id", Serial, primary_key=True, autoincrement=True),
    Column("at", BigInteger, nullable=False),
    Column("peer", String, nullable=False),
    Column("channel", String, nullable=False),
    Column("seq", BigInteger, nullable=False),
    Column("stix_id", String, nullable=False),
    Column("version", String, nullable=False),
    Column("agreement", String, nullable=False),
    Column("outcome", String, nullable=False, comment="delivered, accepted, refused"),
    Column("object", LargeBinary, nullable=True, comment="keyed digest of id and version, for when they are erased"),
    Column("link", LargeBinary, nullable=True, comment="of the chain (R27); null: older than it"),
    Index("ix_ledger_stix_id", "stix_id"),
    Index("ix_ledger_at", "at"),
    comment="who was handed which version, when (what was fetched stands in the read ledger)",
)

anchor = Table(
    "anchor",
    metadata,
    Column("id", Serial, primary_key=True, autoincrement=True),
    Column("at", BigInteger, nullable=False),
    Column("reads", BigInteger, nullable=False, comment="last row of the read ledger that was looked at"),
    Column("handed", BigInteger, nullable=False, comment="last row of the ledger"),
    Column("heads", Text, nullable=False, comment="JSON: writer of a chain → its last link"),
    Column("link", LargeBinary, nullable=False),
    comment="where the chains of the ledgers stood, every minute (R27)",
)

member = Table(
    "member",
    metadata,
    Column("id", Serial, primary_key=True, autoincrement=True),
    Column("audience", BigInteger, nullable=False),
    Column("peer", String, nullable=False),
    Column("since", BigInteger, nullable=False),
    Column("until", BigInteger, nullable=True, comment="null: it is one now"),
    Index("ix_member_peer", "peer"),
    comment="who belonged to which audience, when: what a partner could see on a past day",
)

# The read ledger has a file of its own on SQLite, so that readers never wait for the store's writer (RULES R27).
reads = MetaData()
read = Table(
    "read",
    reads,
    Column("id", Serial, primary_key=True, autoincrement=True),
    Column("at", BigInteger, nullable=False),
    Column("account", String, nullable=False),
    Column("peer", String, nullable=False),
    Column("audience", String, nullable=False),
    Column("channel", String, nullable=False),
    Column("query", Text, nullable=False),
    Column("first", BigInteger, nullable=False),
    Column("last", BigInteger, nullable=False),
    Column("count", Integer, nullable=False),
    Column("writer", String, nullable=True, comment="whose chain it stands in"),
    Column("asked", LargeBinary, nullable=True, comment="keyed digest of the query, for when it is erased"),
    Column("link", LargeBinary, nullable=True, comment="null: older than the chains"),
    Index("ix_read_audience", "audience", "first"),
    Index("ix_read_at", "at"),
)

configuration = Table(
    "configuration",
    metadata,
    Column("id", Serial, primary_key=True, autoincrement=True),
    Column("at", BigInteger, nullable=False),
    Column("who", String, nullable=False),
    Column("why", Text, nullable=False),
    Column("restored", BigInteger, nullable=True, comment="the version that was applied again; null: the folder"),
    Column("digest", String, nullable=False, comment="SHA-256 of the files"),
    Column("files", Text, nullable=False, comment="JSON: name in the folder → text; secrets only by name"),
    comment="every configuration that was applied; the newest is the one that runs",
)
