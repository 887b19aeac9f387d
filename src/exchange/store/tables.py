"""The tables: what we hold. One text of SQL for SQLite and PostgreSQL; every time is microseconds since 1970, UTC.

Listings belong to (collection, audience) and are closed, never deleted (RULES R1, R8); a statement is one version of
one object as one source said it, and keeps the bytes received (R5); the audience row carries the last `date_added`
(R20). Text that is ordered is ordered by code point on both engines.
"""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    String,
    Table,
    Text,
    UniqueConstraint,
    false,
    text,
)

from exchange.store.altered import derived, later, trait, victim
from exchange.store.columns import Ordered, Serial, metadata
from exchange.store.identity import alias, heard, link, name, refold, renewal, review
from exchange.store.removed import approval, erased, erasure, removal
from exchange.store.work import budget, handshake, inventory, notice, pushed, quarantine, run, skipped, source, vanished
from exchange.store.written import (
    anchor,
    configuration,
    dated,
    followed,
    former,
    ledger,
    lifted,
    member,
    next_sitting,
    read,
    reads,
    sitting,
    widening,
)

__all__ = [
    "account", "alias", "anchor", "approval", "audience", "block", "brake", "budget", "certificate", "configuration",
    "dated", "derived", "document", "erased", "erasure", "event", "followed", "former", "handshake", "heard",
    "inventory", "later", "ledger", "lifted", "link", "listing", "member", "meta", "metadata", "name", "notice",
    "observable", "outbox", "pushed", "quarantine", "read", "reads", "reference", "refold", "removal", "renewal",
    "review", "run", "secret", "segment", "sitting", "skipped", "source", "statement", "status", "trait", "vanished",
    "victim", "widening", "withdrawal",
]  # fmt: skip

meta = Table(
    "meta",
    metadata,
    Column("name", String, primary_key=True),
    Column("value", Text, nullable=False),
    comment="single values: the policy epoch, the node's secret for derived ids",
)

document = Table(
    "document",
    metadata,
    Column("id", Serial, primary_key=True, autoincrement=True),
    Column("source", String, nullable=False),
    Column("kind", String, nullable=False),
    Column("document_id", String, nullable=False),
    Column("version", String, nullable=False),
    Column("raw", LargeBinary, nullable=False),
    Column("received", BigInteger, nullable=False),
    UniqueConstraint("source", "document_id", "version"),
    comment="originals of which statements are projections (MISP events), as received",
)

block = Table(
    "block",
    metadata,
    Column("id", Serial, primary_key=True, autoincrement=False),
    Column("body", LargeBinary, nullable=False, comment="objects joined by commas, compressed (zstd)"),
    comment="bytes of objects; what came together stands together, so that a page is a few slices of a few blocks",
)

event = Table(
    "event",
    metadata,
    Column("id", Serial, primary_key=True, autoincrement=False),
    Column("key", String, nullable=False, comment="uuid of a MISP event, id of a report or grouping, or a day"),
    Column("creator", String, nullable=False, comment="empty: nobody is named"),
    UniqueConstraint("key", "creator"),
    comment="by what statements belong together where they are shown as MISP events",
)

statement = Table(
    "statement",
    metadata,
    Column("seq", Serial, primary_key=True, autoincrement=False),
    Column("source", String, nullable=False),
    Column("peer", String, nullable=False),
    Column("posted", String, nullable=False, comment="the channel it was written to; empty: pulled or imported"),
    Column("stix_id", Ordered, nullable=False),
    Column("type", String, nullable=False),
    Column("version", Ordered, nullable=False, comment="instant without Z; empty: the object has no version"),
    Column("precision", Integer, nullable=False, comment="digits of its fraction as the object writes it"),
    Column("digest", LargeBinary, nullable=False, comment="of the normal form without its dates of change (R9)"),
    Column("creator", String, nullable=False),
    Column("fact", String, nullable=True, comment="null: it states no single fact, or is revoked (R23)"),
    Column("stated", Text, nullable=False, comment="the label that the object itself carries"),
    Column("marked", Boolean, nullable=False, comment="whether it states a mark of its own (R10)"),
    Column("label", Text, nullable=True, comment="the label it is judged under; null: held"),
    Column("basis", String, nullable=False),
    Column("waiting", Boolean, nullable=False, comment="unmarked, and its drain is not complete (R11)"),
    Column("newest", Boolean, nullable=False, comment="of its source's chain of versions"),
    Column("touch", Boolean, nullable=False),
    Column("revoked", Boolean, nullable=False),
    Column("repairs", String, nullable=False),
    Column("document", BigInteger, ForeignKey("document.id"), nullable=True),
    Column("received", BigInteger, nullable=False),
    Column("event", BigInteger, nullable=False, server_default="0", comment="fixed when it was first accepted"),
    Column("attributes", Integer, nullable=False, server_default="0", comment="how many MISP attributes it may be"),
    Column(
        "doubt",
        String,
        nullable=False,
        server_default="",
        comment="the code for which a person looks at it before it leaves; empty: nothing",
    ),
    Column(
        "marks",
        BigInteger,
        nullable=True,
        comment="what the second gate read in its bytes (`gate.stamp`); null: not read yet",
    ),
    Column("block", BigInteger, ForeignKey("block.id"), nullable=False),
    Column("start", Integer, nullable=False, comment="where in the block what is served begins and ends, in bytes"),
    Column("stop", Integer, nullable=False),
    Column("raw_block", BigInteger, ForeignKey("block.id"), nullable=True, comment="null: received as it is served"),
    Column("raw_start", Integer, nullable=True),
    Column("raw_stop", Integer, nullable=True),
    UniqueConstraint("stix_id", "source", "version"),
    Index(
        "ix_statement_fact",
        "fact",
        sqlite_where=text("fact IS NOT NULL"),
        postgresql_where=text("fact IS NOT NULL"),
    ),
    Index("ix_statement_event", "event", "seq"),
    Index("ix_statement_doubt", "doubt", sqlite_where=text("doubt <> ''"), postgresql_where=text("doubt <> ''")),
    Index("ix_statement_waiting", "source", sqlite_where=text("waiting"), postgresql_where=text("waiting")),
)

reference = Table(
    "reference",
    metadata,
    Column("seq", BigInteger, ForeignKey("statement.seq"), primary_key=True, autoincrement=False),
    Column("target", Ordered, primary_key=True),
    Column("ends", Boolean, nullable=False, comment="the target is an end of a relationship, sighting, note, opinion"),
    Index("ix_reference_target", "target"),
    sqlite_with_rowid=False,
)

observable = Table(
    "observable",
    metadata,
    Column("value", Ordered, primary_key=True),
    Column("path", String, primary_key=True),
    Column("seq", BigInteger, ForeignKey("statement.seq"), primary_key=True, autoincrement=False),
    sqlite_with_rowid=False,
)

withdrawal = Table(
    "withdrawal",
    metadata,
    Column("stix_id", Ordered, primary_key=True),
    Column("peer", String, primary_key=True),
    Column("channel", String, primary_key=True),
    Column("version", Ordered, primary_key=True, comment="empty: every version, later ones too"),
    Column("at", BigInteger, nullable=False),
    Column("sitting", BigInteger, nullable=False, server_default="0", default=next_sitting()),
    comment="what a peer took out of a collection; re-decision and re-pull obey, a later POST undoes it (R22)",
)

audience = Table(
    "audience",
    metadata,
    Column("number", Serial, primary_key=True, autoincrement=True),
    Column("key", String, nullable=False, unique=True),
    Column("channel", String, nullable=False),
    Column("members", Text, nullable=False, comment="JSON list of peers"),
    Column("agreements", Text, nullable=False, comment="JSON list"),
    Column("ends", BigInteger, nullable=True, comment="when the last of its agreements ends; null: never"),
    Column("past", Text, nullable=False, server_default="{}", comment="JSON: end → last date read after it"),
    Column("open", Boolean, nullable=False, comment="false: no longer made by the terms, or being decided again"),
    Column("retired", Boolean, nullable=False, comment="no longer made by the terms"),
    Column("last_added", BigInteger, nullable=False),
    Index("ix_audience_channel", "channel"),
)

listing = Table(
    "listing",
    metadata,
    Column("audience", BigInteger, ForeignKey("audience.number"), primary_key=True, autoincrement=False),
    Column("added", BigInteger, primary_key=True, autoincrement=False),
    Column("seq", BigInteger, ForeignKey("statement.seq"), nullable=False),
    Column("type", String, nullable=False),
    Column("rank", Integer, nullable=False, comment="1: the authoritative chain; 0: beside it; -1: beside its owner's"),
    Column("label", Text, nullable=False, comment="what it is judged under, at this listing"),
    Column("latest", Boolean, nullable=False, comment="what a request without match[version] gets"),
    Column("folded", Boolean, nullable=False, comment="behind the one that represents the fact (R23)"),
    Column("agreement", String, nullable=False),
    Column("not_after", BigInteger, nullable=False, comment="end of that agreement (R19)"),
    Column("block", BigInteger, nullable=False, comment="where its bytes stand, as in the statement"),
    Column("start", Integer, nullable=False),
    Column("stop", Integer, nullable=False),
    Column("closed", BigInteger, nullable=True),
    Column("closed_code", String, nullable=True),
    Column("sealed", Boolean, nullable=False, server_default=false(), comment="it stands in a segment"),
    Column("fact", String, nullable=True, comment="under which it folds in this audience (R23); null: never"),
    Column("expires", BigInteger, nullable=True, comment="when it is too old for this audience; null: never"),
    # It holds all that a page needs, so a page is read from the index alone.
    Index(
        "ix_listing_page",
        "audience",
        "added",
        "not_after",
        "type",
        "seq",
        "block",
        "start",
        "stop",
        "closed",  # these three say nothing here, but SQLite looks at them all the same
        "latest",
        "folded",
        sqlite_where=text("closed IS NULL AND latest AND NOT folded"),
        postgresql_where=text("closed IS NULL AND latest AND NOT folded"),
    ),
    # The same for what stands in no segment.
    Index(
        "ix_listing_loose",
        "audience",
        "added",
        "not_after",
        "block",
        "start",
        "stop",
        "closed",
        "latest",
        "folded",
        "sealed",
        sqlite_where=text("closed IS NULL AND latest AND NOT folded AND NOT sealed"),
        postgresql_where=text("closed IS NULL AND latest AND NOT folded AND NOT sealed"),
    ),
    Index("ix_listing_seq", "seq"),
    Index(
        "ix_listing_fact",
        "audience",
        "fact",
        "folded",
        sqlite_where=text("closed IS NULL AND fact IS NOT NULL"),
        postgresql_where=text("closed IS NULL AND fact IS NOT NULL"),
    ),
    Index(
        "ix_listing_expires",
        "expires",
        sqlite_where=text("closed IS NULL AND expires IS NOT NULL"),
        postgresql_where=text("closed IS NULL AND expires IS NOT NULL"),
    ),
    # What was taken from an audience lately is told to MISP readers.
    Index(
        "ix_listing_closed",
        "audience",
        "closed",
        sqlite_where=text("closed IS NOT NULL"),
        postgresql_where=text("closed IS NOT NULL"),
    ),
    sqlite_with_rowid=False,
)

segment = Table(
    "segment",
    metadata,
    Column("audience", BigInteger, ForeignKey("audience.number"), primary_key=True, autoincrement=False),
    Column("last", BigInteger, primary_key=True, autoincrement=False),
    Column("first", BigInteger, nullable=False),
    Column("rows", Integer, nullable=False),
    Column("begin", BigInteger, nullable=False, comment="the block times 2**32, and the first byte in it"),
    Column("end", BigInteger, nullable=False, comment="the same block, and the byte behind the last"),
    Column("not_after", BigInteger, nullable=False, comment="the earliest of its rows"),
    Column("sums", BigInteger, nullable=False, comment="of its dates, by 2**61 - 1"),
    Column("squares", BigInteger, nullable=False, comment="of its dates, by 2**61 - 1"),
    sqlite_with_rowid=False,
    comment="rows of a listing that stand side by side in a block, all that a plain page shows between two dates (R24)",
)

account = Table(
    "account",
    metadata,
    Column("name", String, primary_key=True),
    Column("peer", String, nullable=False),
    Column("created", BigInteger, nullable=False),
    Column("revoked", BigInteger, nullable=True),
    comment="subscribers",
)

secret = Table(
    "secret",
    metadata,
    Column("hash", String, primary_key=True, comment="SHA-256 of a generated secret (R28)"),
    Column("account", String, ForeignKey("account.name"), nullable=False),
    Column("created", BigInteger, nullable=False),
    Column("not_after", BigInteger, nullable=True, comment="rotated away: valid until then"),
    Index("ix_secret_account", "account"),
)

certificate = Table(
    "certificate",
    metadata,
    Column("hash", String, primary_key=True, comment="SHA-256 of a client certificate in DER form"),
    Column("account", String, ForeignKey("account.name"), nullable=False),
    Column("created", BigInteger, nullable=False),
    Column("not_after", BigInteger, nullable=False, comment="its own end, or sooner when another took its place"),
    Index("ix_certificate_account", "account"),
)

status = Table(
    "status",
    metadata,
    Column("id", String, primary_key=True),
    Column("account", String, nullable=False),
    Column("root", String, nullable=False),
    Column("body", Text, nullable=False),
    Column("created", BigInteger, nullable=False),
    Index("ix_status_created", "created"),
)

outbox = Table(
    "outbox",
    metadata,
    Column("audience", BigInteger, primary_key=True, autoincrement=False),
    Column("added", BigInteger, primary_key=True, autoincrement=False),
    Column("state", String, nullable=False, comment="pending, accepted, refused, known, withdrawn"),
    Column("attempts", Integer, nullable=False),
    Column("message", Text, nullable=False, comment="what the peer said"),
    Column("status", String, nullable=False, server_default="", comment="the peer's status resource, while pending"),
    Index(
        "ix_outbox_pending",
        "audience",
        "added",
        sqlite_where=text("state = 'pending'"),
        postgresql_where=text("state = 'pending'"),
    ),
    Index(
        "ix_outbox_status",
        "audience",
        sqlite_where=text("status <> ''"),
        postgresql_where=text("status <> ''"),
    ),
    Index(
        "ix_outbox_recall",
        "audience",
        "added",
        sqlite_where=text("state = 'recall'"),
        postgresql_where=text("state = 'recall'"),
    ),
)

brake = Table(
    "brake",
    metadata,
    Column("peer", String, primary_key=True, comment="a peer, or * for all"),
    Column("direction", String, primary_key=True, comment="in or out"),
    Column("who", String, nullable=False),
    Column("why", Text, nullable=False),
    Column("at", BigInteger, nullable=False),
)
