"""The tables of what operators take out, have destroyed, or let go after a look: each with who and why."""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, Index, LargeBinary, String, Table, Text

from exchange.store.columns import Ordered, Serial, metadata
from exchange.store.written import next_sitting

removal = Table(
    "removal",
    metadata,
    Column("id", Serial, primary_key=True, autoincrement=True),
    Column("kind", String, nullable=False, comment="object, value, event, source, peer"),
    Column("asked", Text, nullable=False, comment="as the operator typed it"),
    Column("targets", Text, nullable=False, comment="JSON: ids, values, numbers of events, or the source or peer"),
    Column("since", BigInteger, nullable=True, comment="of a source or peer: received from then on"),
    Column("until", BigInteger, nullable=True, comment="received before then"),
    Column("who", String, nullable=False),
    Column("why", Text, nullable=False),
    Column("at", BigInteger, nullable=False),
    Column("state", String, nullable=False, comment="closing, standing, lifting, lifted"),
    Column("upto", BigInteger, nullable=False, comment="the last statement that was done, while closing or lifting"),
    Column("shut", Text, nullable=False, comment="JSON: numbers of the audiences that are shut until it is done"),
    Column("lifted_who", String, nullable=True),
    Column("lifted_why", Text, nullable=True),
    Column("lifted_at", BigInteger, nullable=True),
    comment="what operators withdrew from everybody (R31); the marks in withdrawal hold it, until it is lifted",
)

erasure = Table(
    "erasure",
    metadata,
    Column("id", Serial, primary_key=True, autoincrement=True),
    Column("kind", String, nullable=False, comment="object, value, event"),
    Column("asked", Text, nullable=False, comment="as the operator typed it; empty once it is erased"),
    Column("targets", Text, nullable=False, comment="JSON: ids, values or numbers of events; empty once it is erased"),
    Column("digest", LargeBinary, nullable=False, comment="keyed digest of what was asked"),
    Column("why", Text, nullable=False),
    Column("basis", Text, nullable=False, comment="the legal basis"),
    Column("who", String, nullable=False),
    Column("at", BigInteger, nullable=False),
    Column("state", String, nullable=False, comment="asked, approved, erased, dropped"),
    Column("approver", String, nullable=True),
    Column("approved", BigInteger, nullable=True),
    Column("attestation", Text, nullable=False, comment="JSON; empty until it is erased"),
    comment="erasures for a legal reason (R33): one asks, another approves",
)

erased = Table(
    "erased",
    metadata,
    Column("digest", LargeBinary, primary_key=True, comment="keyed digest of an id or of a value"),
    Column("erasure", BigInteger, nullable=False),
    comment="what was erased and is not taken again (R33)",
)

approval = Table(
    "approval",
    metadata,
    Column("id", Serial, primary_key=True, autoincrement=True),
    Column("stix_id", Ordered, nullable=False),
    Column("source", String, nullable=False),
    Column("version", Ordered, nullable=False),
    Column("code", String, nullable=False, comment="the reason for which it was held"),
    Column("agreement", String, nullable=False, comment="whose parties it is for; empty: whoever it is held from"),
    Column("verdict", String, nullable=False, comment="approved, refused, undone"),
    Column("who", String, nullable=False),
    Column("why", Text, nullable=False),
    Column("at", BigInteger, nullable=False),
    Column("sitting", BigInteger, nullable=False, server_default="0", default=next_sitting()),
    Index("ix_approval_stix_id", "stix_id"),
    comment="what persons decided of one version that is held; the last word of each holds, none is ever deleted",
)
