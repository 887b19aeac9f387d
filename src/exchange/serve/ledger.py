"""Group commit for the read ledger (RULES R27): what several requests have to write at one moment is one transaction.

A durable commit costs a write to the disk however many rows it holds. So while one request commits, the rows of those
that come meanwhile gather, and the first of them commits them all. There is no thread of its own that could be lost:
whoever waits is a request, and none of them goes on before its row is committed.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from threading import Condition
from typing import Any

from exchange.errors import StoreError
from exchange.store import Store, ledgers
from exchange.store.ledgers import Chain


@dataclass(slots=True)
class _Batch:
    """Rows that are committed together, and how that went."""

    rows: list[Mapping[str, Any]] = field(default_factory=list)
    done: bool = False
    written: bool = False
    error: StoreError | None = None


class Ledger:
    """The read ledger as the threads of one worker share it."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._changed = Condition()
        self._open = _Batch()
        self._committing = False
        self._chain: Chain | None = None

    def write(self, row: Mapping[str, Any]) -> None:
        """Return when the row is committed. Raises StoreBusy or StoreError: then it is not, nor are its batch's."""
        with self._changed:
            batch = self._open
            batch.rows.append(row)
            while self._committing and not batch.done:
                self._changed.wait()
            leads = not batch.done
            if leads:
                self._committing, self._open = True, _Batch()
        if leads:
            self._commit(batch)
        if not batch.written:
            # Without an error the thread that committed has died of something else. Each request raises its own: an
            # exception that many threads raise at once keeps none of their traces.
            error = batch.error or StoreError("store.failed", detail="read ledger")
            raise type(error)(error.code, **error.fields) from batch.error

    def _commit(self, batch: _Batch) -> None:
        chain, self._chain = self._chain, None  # should the commit fail, nobody knows whether: then a new chain begins
        try:
            if chain is None:
                with self._store.reading() as tx:
                    chain = Chain(ledgers.secret_of(tx))
            rows = chain.linked(batch.rows)
            with self._store.noting() as tx:
                ledgers.note_reads(tx, rows)
            batch.written, self._chain = True, chain
        except StoreError as error:
            batch.error = error
        finally:
            with self._changed:
                batch.done, self._committing = True, False
                self._changed.notify_all()
