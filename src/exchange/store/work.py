"""The tables of the work with peers: when each is due, how each behaves, what was set aside, what they list."""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, Index, Integer, LargeBinary, String, Table, Text, UniqueConstraint

from exchange.store.columns import Ordered, Serial, metadata

NODE = ":node"
"""Who states what we make ourselves: no peer of the configuration can have that name."""
NOTICES = ":recall"
"""The source of our own recall notices (`store.notices`): no source of the configuration can have that name."""

ERASED = "x-exchange-erased"
"""The type of what was erased (RULES R33): a row without name, bytes or meaning."""

source = Table(
    "source",
    metadata,
    Column("key", String, primary_key=True),
    Column("cursor", Text, nullable=False),
    Column("due", BigInteger, nullable=False),
    Column("lease_owner", String, nullable=True),
    Column("lease_until", BigInteger, nullable=False),
    Column("last_start", BigInteger, nullable=True),
    Column("last_end", BigInteger, nullable=True),
    Column("last_complete", BigInteger, nullable=True, comment="when a drain last reached the end"),
    Column("last_outcome", String, nullable=True),
    Column("last_error", Text, nullable=True, comment="JSON: code and fields"),
    Column("failures", Integer, nullable=False, comment="in a row"),
    Column("day", String, nullable=False, comment="the UTC day that `day_count` counts (R32)"),
    Column("day_count", Integer, nullable=False),
    Column("day_bytes", BigInteger, nullable=False, server_default="0"),
    Column("last_failed", BigInteger, nullable=True, comment="when a run last failed; a success does not forget it"),
    Column("last_failure", Text, nullable=True, comment="JSON: code and fields of that"),
    Column("pace", Integer, nullable=True, comment="seconds between two polls, as far as they have moved; null: every"),
    Column("again_from", BigInteger, nullable=True, comment="drained anew from here: what an operator asked for"),
    Column("profile", Text, nullable=True, comment="JSON: how the peer behaves, by the last probe"),
    Column("probed", BigInteger, nullable=True),
    Column("reconciled", BigInteger, nullable=True, comment="when it was last compared with what the peer lists"),
    Column("comparing", BigInteger, nullable=True, comment="when the last comparison was begun"),
    Column("difference", Text, nullable=True, comment="JSON: what that comparison found → number"),
    comment="sources and targets: when due, who works on them, where they stand",
)

run = Table(
    "run",
    metadata,
    Column("id", Serial, primary_key=True, autoincrement=True),
    Column("key", String, nullable=False, comment="source, target, or file import"),
    Column("started", BigInteger, nullable=False),
    Column("ended", BigInteger, nullable=True),
    Column("outcome", String, nullable=False),
    Column("counts", Text, nullable=False, comment="JSON: outcome → number"),
    Index("ix_run_key", "key", "id"),
)

quarantine = Table(
    "quarantine",
    metadata,
    Column("id", Serial, primary_key=True, autoincrement=True),
    Column("source", String, nullable=False),
    Column("stix_id", String, nullable=False),
    Column("code", String, nullable=False),
    Column("fields", Text, nullable=False, comment="JSON"),
    Column("digest", String, nullable=False),
    Column("raw", LargeBinary, nullable=False),
    Column("received", BigInteger, nullable=False),
    Column("seen", Integer, nullable=False, comment="how often these bytes came"),
    Column("tried", String, nullable=False, server_default="", comment="release and terms that last judged it"),
    UniqueConstraint("source", "digest"),
    Index("ix_quarantine_stix_id", "stix_id"),
)

skipped = Table(
    "skipped",
    metadata,
    Column("source", String, primary_key=True),
    Column("remote_id", String, primary_key=True),
    Column("code", String, nullable=False),
    Column("fields", Text, nullable=False, comment="JSON"),
    Column("seen", BigInteger, nullable=False),
    Index("ix_skipped_remote_id", "remote_id"),
    comment="seen at a peer and deliberately not taken: the last reason for each",
)

budget = Table(
    "budget",
    metadata,
    Column("peer", String, primary_key=True),
    Column("full", BigInteger, nullable=False, comment="when its bucket of requests is full again"),
    comment="how many requests a peer may still be asked now; shared by every daemon of the store",
)

handshake = Table(
    "handshake",
    metadata,
    Column("peer", String, primary_key=True),
    Column("side", String, primary_key=True, comment="theirs, or ours"),
    Column("origin", String, primary_key=True),
    Column("subject", Text, nullable=False),
    Column("file", Text, nullable=False, comment="ours: where the certificate stands; theirs: empty"),
    Column("not_after", BigInteger, nullable=False),
    Column("seen", BigInteger, nullable=False),
    comment="certificates of the last TLS handshake with each peer: whose ends when",
)

inventory = Table(
    "inventory",
    metadata,
    Column("key", String, primary_key=True),
    Column("remote_id", String, primary_key=True),
    Column("version", String, primary_key=True),
    Column("added", String, nullable=False),
    sqlite_with_rowid=False,
    comment="what a peer lists, while it is compared with what we hold; empty between two comparisons",
)

vanished = Table(
    "vanished",
    metadata,
    Column("key", String, primary_key=True),
    Column("remote_id", String, primary_key=True),
    Column("noticed", BigInteger, nullable=False),
    Index("ix_vanished_remote_id", "remote_id"),
    sqlite_with_rowid=False,
    comment="what a source once gave and no longer lists; it is kept, and only marked",
)

pushed = Table(
    "pushed",
    metadata,
    Column("channel", String, primary_key=True),
    Column("event", BigInteger, primary_key=True, autoincrement=False),
    Column("uuid", String, nullable=False, comment="under which the peer has it, whatever stands for it later"),
    Column(
        "timestamp", BigInteger, nullable=False, comment="seconds; the last with which it was sent, or was about to"
    ),
    Column("frame", Text, nullable=False, comment="JSON: what its creator and date were then"),
    sqlite_with_rowid=False,
    comment="MISP events that were handed to a target; each time under a greater timestamp",
)

notice = Table(
    "notice",
    metadata,
    Column("stix_id", Ordered, primary_key=True, comment="the object that was withdrawn"),
    Column("seq", BigInteger, primary_key=True, autoincrement=False, comment="the statement of ours that says so"),
    Column(
        "target", BigInteger, nullable=False, comment="number of the push target to which alone it is said; 0: none"
    ),
    Column("action", String, nullable=False, comment="withdrawn, restored; empty: the target has the object again"),
    sqlite_with_rowid=False,
    comment="recall notices (R8); to whom one was said is in the listings",
)
