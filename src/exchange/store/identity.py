"""The tables of identity: by which other ids a thing is known, what an operator said of two things, or of one."""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, Index, String, Table, Text

from exchange.store.columns import Ordered, Serial, metadata

alias = Table(
    "alias",
    metadata,
    Column("alias", Ordered, primary_key=True),
    Column("seq", BigInteger, primary_key=True, autoincrement=False),
    Index("ix_alias_seq", "seq"),
    sqlite_with_rowid=False,
    comment="other ids under which a statement says that its object is known (x_opencti_stix_ids)",
)

name = Table(
    "name",
    metadata,
    Column("value", Ordered, primary_key=True, comment="without regard to case and white space"),
    Column("kind", String, primary_key=True, comment="name, or id:SOURCE_NAME for its creator's own external id"),
    Column("seq", BigInteger, primary_key=True, autoincrement=False),
    sqlite_with_rowid=False,
    comment="names of domain objects: what suggests that two may be one; nothing is ever joined by it",
)

refold = Table(
    "refold",
    metadata,
    Column("audience", BigInteger, primary_key=True, autoincrement=False),
    Column("target", Ordered, primary_key=True),
    Column("after", BigInteger, nullable=False, comment="the last statement on it that was done"),
    sqlite_with_rowid=False,
    comment="ends whose fact changed for an audience, with more composites on them than one transaction keys (R18)",
)

link = Table(
    "link",
    metadata,
    Column("id", Serial, primary_key=True, autoincrement=True),
    Column("one", Ordered, nullable=False, comment="STIX id; the smaller of the two"),
    Column("other", Ordered, nullable=False),
    Column("state", String, nullable=False, comment="accepted, refused, undone"),
    Column("who", String, nullable=False),
    Column("why", Text, nullable=False),
    Column("at", BigInteger, nullable=False),
    Index("ix_link_one", "one"),
    Index("ix_link_other", "other"),
    comment="what operators said of two objects that may be one; the last word holds, none is ever deleted",
)

heard = Table(
    "heard",
    metadata,
    Column("target", Ordered, primary_key=True),
    Column("upto", BigInteger, nullable=False, comment="the last statement that was read for it"),
    Column("told", Text, nullable=False, comment="JSON: audience → [last seen, {peer: last denied}]"),
    comment="what the sightings and opinions of an object say together, where they are many; made anew when lost",
    sqlite_with_rowid=False,
)

renewal = Table(
    "renewal",
    metadata,
    Column("seq", BigInteger, primary_key=True, autoincrement=False),
    comment="statements whose end is to be told again: they, or twins of theirs, were seen, or no longer were",
)

review = Table(
    "review",
    metadata,
    Column("id", Serial, primary_key=True, autoincrement=True),
    Column("stix_id", Ordered, nullable=False),
    Column("source", String, nullable=False),
    Column("code", String, nullable=False, comment="the reason for which it was held"),
    Column("value", Ordered, nullable=False, comment="what it was held for, as it is indexed; empty: no one value"),
    Column("matches", Text, nullable=False, comment="JSON: what was found, for whoever reads it later"),
    Column("verdict", String, nullable=False, comment="released, refused"),
    Column("who", String, nullable=False),
    Column("why", Text, nullable=False),
    Column("at", BigInteger, nullable=False),
    Index("ix_review_stix_id", "stix_id"),
    Index("ix_review_value", "value", "source"),
    comment="what a person decided of what was held for a look; the last word holds, none is ever deleted",
)
