"""The tables of identity: by which other ids a thing is known, what an operator said of two things, or of one."""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, Index, String, Table, Text

from exchange.store.columns import Ordered, Serial, metadata

alias = Table(
    "alias",
    metadata,
    Column("alias", Ordered, primary_key=True),
    Column("seq", BigInteger, primary_key=True, autoincrement=False),
    sqlite_with_rowid=False,
    comment="other ids under which a statement says that its object is known (x_opencti_stix_ids)",
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

review = Table(
    "review",
    metadata,
    Column("id", Serial, primary_key=True, autoincrement=True),
    Column("stix_id", Ordered, nullable=False),
    Column("source", String, nullable=False),
    Column("code", String, nullable=False, comment="the reason for which it was held"),
    Column("matches", Text, nullable=False, comment="JSON: what was found, for whoever reads it later"),
    Column("verdict", String, nullable=False, comment="released, refused"),
    Column("who", String, nullable=False),
    Column("why", Text, nullable=False),
    Column("at", BigInteger, nullable=False),
    Index("ix_review_stix_id", "stix_id"),
    comment="what a person decided of what was held for a look; the last word holds, none is ever deleted",
)
