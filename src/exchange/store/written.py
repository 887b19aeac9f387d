"""What is only ever written down: the ledgers (RULES R27), their chains, and the configurations that were applied."""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Column,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    ScalarSelect,
    String,
    Table,
    Text,
    func,
    select,
)

from exchange.store.columns import Ordered, Serial, metadata

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

widening = Table(
    "widening",
    metadata,
    Column("id", Serial, primary_key=True, autoincrement=True),
    Column("act", BigInteger, nullable=False, comment="what belongs to one act has one number"),
    Column("word", String, nullable=False, comment="asked, widened, ended"),
    Column("at", BigInteger, nullable=False),
    Column("who", String, nullable=False, comment="empty: the node itself, since its ground is gone"),
    Column("why", Text, nullable=False),
    Column("right", String, nullable=False, comment="creator, pfc"),
    Column("before", Text, nullable=False, comment="the label of the original when it was judged"),
    Column("level", Text, nullable=False, comment="the label that holds the new level"),
    Column("source", String, nullable=False),
    Column("seq", BigInteger, nullable=False, comment="the statement that was widened"),
    Column("stix_id", Ordered, nullable=False, comment="of the original; empty: it was erased"),
    Column("version", String, nullable=False),
    Column("made", Ordered, nullable=False, comment="the id of the new object"),
    Column("code", String, nullable=False, comment="why it ended"),
    Column("token", String, nullable=False, comment="by which we know it again when it comes back (R16)"),
    Column("object", LargeBinary, nullable=False, comment="keyed digest of the ids, the version and why"),
    Column("link", LargeBinary, nullable=False),
    Index("ix_widening_stix_id", "stix_id"),
    Index("ix_widening_made", "made"),
    Index("ix_widening_token", "token"),
    comment="who widened what, by which right, until when; only added to, and chained (R27)",
)

# What decisions are made again from (docs/decisions/0033): when each was made, and what has been overwritten since.
followed = Table(
    "followed",
    metadata,
    Column("id", Serial, primary_key=True, autoincrement=False),
    Column("at", BigInteger, nullable=False),
    Column("epoch", String, nullable=False),
    Column("terms", Text, nullable=False, comment="JSON, as in the note of the terms by which all is decided"),
    Column("sitting", BigInteger, nullable=False, comment="the first that may have decided by them"),
    comment="the terms that the store has followed, one after the other",
)

sitting = Table(
    "sitting",
    metadata,
    Column("id", Serial, primary_key=True, autoincrement=False),
    Column("at", BigInteger, nullable=False, comment="the clock; what was closed bears the same time"),
    Column("ruled", BigInteger, nullable=False, comment="the instant at which its terms were read"),
    Column("terms", BigInteger, nullable=False, comment="number in followed"),
    Column("upto", BigInteger, nullable=False, comment="the last statement there was"),
    Index("ix_sitting_at", "at"),
    Index("ix_sitting_upto", "upto"),
    comment="each time that listings were decided and written: what was known then, by numbers",
)

dated = Table(
    "dated",
    metadata,
    Column("audience", BigInteger, primary_key=True, autoincrement=False),
    Column("last", BigInteger, primary_key=True, autoincrement=False, comment="the last date it gave there"),
    Column("sitting", BigInteger, nullable=False, comment="0: all that is older than these records"),
    Column("count", Integer, nullable=False, comment="how many rows it listed there"),
    sqlite_with_rowid=False,
    comment="which dates of a listing were given in which sitting",
)


def next_sitting() -> ScalarSelect[int]:
    """The number of the next sitting: the first for which what is written now holds."""
    return select(func.coalesce(func.max(sitting.c.id), 0) + 1).scalar_subquery()


former = Table(
    "former",
    metadata,
    Column("id", Serial, primary_key=True, autoincrement=True),
    Column("seq", BigInteger, nullable=False),
    Column("what", String, nullable=False, comment="doubt, stated, parts, touch, led, traits"),
    Column("value", Text, nullable=True, comment="what stood there"),
    Column(
        "until", BigInteger, nullable=False, default=next_sitting(), comment="the first sitting for which it did not"
    ),
    Index("ix_former_seq", "seq"),
    comment="what was changed in statements, as it was before",
)

lifted = Table(
    "lifted",
    metadata,
    Column("id", Serial, primary_key=True, autoincrement=True),
    Column("stix_id", Ordered, nullable=False),
    Column("peer", String, nullable=False),
    Column("channel", String, nullable=False),
    Column("version", Ordered, nullable=False),
    Column("since", BigInteger, nullable=False, comment="the first sitting for which it held"),
    Column("until", BigInteger, nullable=False, default=next_sitting(), comment="the first for which it did not"),
    Index("ix_lifted_stix_id", "stix_id"),
    comment="marks of withdrawal that hold no longer",
)
