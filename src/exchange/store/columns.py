"""What every table shares: the names of constraints, and the two kinds of column that the engines spell differently."""

from __future__ import annotations

from sqlalchemy import BigInteger, Integer, MetaData, String

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "fk": "fk_%(table_name)s_%(column_0_name)s",
        "pk": "pk_%(table_name)s",
    }
)

# Ordered as bytes everywhere: PostgreSQL would otherwise follow the locale of the database.
Ordered = String().with_variant(String(collation="C"), "postgresql")
Serial = BigInteger().with_variant(Integer(), "sqlite")
