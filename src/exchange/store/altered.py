"""The tables of what is altered before it goes: what a statement holds that may have to, and what was made of it."""

from __future__ import annotations

from sqlalchemy import BigInteger, Boolean, Column, Index, String, Table, Text

from exchange.store.columns import Ordered, metadata

trait = Table(
    "trait",
    metadata,
    Column("seq", BigInteger, primary_key=True, autoincrement=False),
    Column("parts", Text, nullable=True, comment="the label without granular marks; null: it has none"),
    Column("personal", Boolean, nullable=False, comment="whether there may be personal information in it"),
    comment="statements of which some audience may get less than the whole; most have no row here",
)

derived = Table(
    "derived",
    metadata,
    Column("of", BigInteger, primary_key=True, autoincrement=False, comment="the statement of which it was made"),
    Column("form", String, primary_key=True, comment="the transform, and the class of its recipients (R15)"),
    Column("stix_id", Ordered, nullable=False, comment="of the original"),
    Column("seq", BigInteger, nullable=True, comment="the statement of ours; null: none was made"),
    Column("code", String, nullable=False, comment="why none could be made; empty: one was, or it goes as it is"),
    Column("token", String, nullable=False, comment="by which we know it again when it comes back (R16)"),
    Index("ix_derived_stix_id", "stix_id"),
    Index("ix_derived_seq", "seq"),
    Index("ix_derived_token", "token"),
    Index("ix_derived_code", "code"),
    sqlite_with_rowid=False,
    comment="transformed objects: what recipients get in place of a statement",
)
