"""The tables of what is altered before it goes: what a statement holds that may have to, and what was made of it."""

from __future__ import annotations

from sqlalchemy import BigInteger, Boolean, Column, Index, String, Table, Text, false

from exchange.store.columns import Ordered, Serial, metadata

trait = Table(
    "trait",
    metadata,
    Column("seq", BigInteger, primary_key=True, autoincrement=False),
    Column("parts", Text, nullable=True, comment="the label without granular marks; null: it has none"),
    Column("personal", Boolean, nullable=False, comment="whether there may be personal information in it"),
    Column(
        "victim",
        Boolean,
        nullable=False,
        server_default=false(),
        comment="whether its source says elsewhere that it is a victim's",
    ),
    comment="statements of which some audience may get less than the whole; most have no row here",
)

victim = Table(
    "victim",
    metadata,
    Column("target", Ordered, primary_key=True, comment="the id of what is a victim's"),
    Column("source", String, primary_key=True, comment="who says so, and of whose statements"),
    Column(
        "seq",
        BigInteger,
        primary_key=True,
        autoincrement=False,
        comment="the statement that says so; 0: something that was not taken",
    ),
    Index("ix_victim_seq", "seq"),
    sqlite_with_rowid=False,
    comment="mailboxes of recipients, and what else was attacked, by the word of another object",
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
    Column("source", String, nullable=False, server_default="", comment="who stated the original"),
    Column("creator", String, nullable=False, server_default="", comment="of the original"),
    Column(
        "names",
        String,
        nullable=False,
        server_default="",
        comment="digest of the names that were looked for in what goes (`Names.digest`); empty: nobody is hidden",
    ),
    Index("ix_derived_stix_id", "stix_id"),
    Index("ix_derived_seq", "seq"),
    Index("ix_derived_token", "token"),
    Index("ix_derived_whose", "source", "creator", "of"),
    sqlite_with_rowid=False,
    comment="transformed objects: what recipients get in place of a statement",
)

later = Table(
    "later",
    metadata,
    Column("id", Serial, primary_key=True, autoincrement=True),
    Column("kind", String, nullable=False, comment="names, marks, forms, victims, messages, or persons"),
    Column("source", String, nullable=False, comment="who told it, and of whose statements it tells"),
    Column("about", Text, nullable=False, comment="JSON: creators (none: all), marks and meanings, or ids of victims"),
    Column("after", BigInteger, nullable=False, comment="the last statement that was looked at"),
    Column("upto", BigInteger, nullable=False, comment="the last that is to be"),
    Column("shut", Text, nullable=False, comment="JSON: audiences that are shut until it is done (R18)"),
    comment="what became known after statements that rest on it were listed, and is still to be applied to them",
)
