"""Alembic's hook: migrations run on the connection, and in the transaction, that `store.schema.migrate` gives."""

from alembic import context

context.configure(connection=context.config.attributes["connection"])
context.run_migrations()
