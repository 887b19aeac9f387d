"""A store of an earlier release, brought to this one by `exchange migrate`: nothing is lost and nothing changes."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any

import pytest
from alembic import command
from alembic.script import ScriptDirectory
from sqlalchemy import column, insert, select, table

from exchange.errors import StoreOutdated
from exchange.model import stix
from exchange.store import (
    Store,
    audiences,
    events,
    listings,
    migrate,
    notices,
    open_store,
    originals,
    pages,
    statements,
    tables,
)
from exchange.store.schema import _config, newest
from tests.world import indicator, malware

AUDIENCE = "a" * 32
CHANNEL = "collection:0c6b5f0a-6f2d-4c35-9a57-3a5f0e7d9b11"
FOREVER = 2**62


def _put(tx: Any, name: str, **values: Any) -> None:
    tx.execute(insert(table(name, *(column(c) for c in values))), [values])


def _statement(tx: Any, seq: int, made: Mapping[str, Any], *, raw: bytes | None = None, touch: bool = False) -> None:
    """A statement as the first schema kept it."""
    body = json.dumps(made, separators=(",", ":")).encode()
    content = hashlib.sha256(
        stix.normal_form({name: value for name, value in made.items() if name != "modified"})
    ).hexdigest()
    _put(
        tx, "statement", seq=seq, source="ccc/alertes", peer="ccc", posted="", stix_id=made["id"], type=made["type"],
        version=stix.version_of(made), digest=hashlib.sha256(stix.normal_form(made)).hexdigest(), content=content,
        creator="", fact=f"indicator|domain-name:value|{seq}" if made["type"] == "indicator" else made["id"],
        stated="1|0|", marked=True, label="1|0|", basis="label.stated", waiting=False, newest=True, touch=touch,
        revoked=False, repairs="", document=None, received=7, raw=raw, body=body,
    )  # fmt: skip


def _listing(tx: Any, seq: int, made: Mapping[str, Any], added: int, *, closed: int | None = None) -> None:
    _put(
        tx, "listing", audience=AUDIENCE, added=added, seq=seq, stix_id=made["id"], type=made["type"],
        version=stix.version_of(made), fact=made["id"], rank=1, label="1|0|", latest=closed is None, folded=False,
        agreement="x", not_after=FOREVER, closed=closed, closed_code=None if closed is None else "version.x",
    )  # fmt: skip


@pytest.fixture
def early(store_url: str) -> Store:
    """A store of the first schema, with a little of everything in it."""
    store = Store(store_url)
    config = _config()
    with store.writing() as tx:
        config.attributes["connection"] = tx
        command.upgrade(config, "0001")
        _put(
            tx, "audience", key=AUDIENCE, channel=CHANNEL, members='["circl"]', agreements='["x"]', ends=FOREVER,
            open=True, retired=False, last_added=3_000,
        )  # fmt: skip
        for seq in range(1, 1_200):
            _statement(tx, seq, indicator(f"{seq}.example"), raw=b'{"raw": %d}' % seq if seq % 2 else None)
            _put(tx, "reference", seq=seq, target="identity--x", ends=False)
            _put(tx, "observable", seq=seq, path="domain-name:value", value=f"{seq}.example")
            _listing(tx, seq, indicator(f"{seq}.example"), added=seq)
        _statement(tx, 2_000, malware("m"))
        _statement(tx, 2_001, malware("t"), raw=b"{ }", touch=True)
        _listing(tx, 2_000, malware("m"), added=2_500, closed=2_600)
        _put(tx, "outbox", audience=AUDIENCE, added=1, state="pending", attempts=3, message="")
    return store


def test_r36_nobody_but_migrate_changes_an_earlier_schema(early: Store, store_url: str) -> None:
    """R36: the store of an earlier release is refused until the one explicit step was made."""
    if not early.memory:
        with pytest.raises(StoreOutdated):
            open_store(store_url)
    early.close()


def test_everything_of_the_first_schema_is_there_after_it(early: Store) -> None:
    """Bytes received and served, versions, listings with their dates, references, values and the outbox."""
    assert migrate(early)[0] == "0001"
    with early.reading() as tx:
        (row,) = audiences.everyone(tx).values()
        assert (row.key, row.last_added) == (AUDIENCE, 3_000)
        leaf = pages.page(tx, row.number, pages.Query(now=0, limit=5_000))
        expected = [indicator(f"{seq}.example") for seq in range(1, 1_200)]
        assert json.loads(b"[" + b",".join(leaf.pieces) + b"]") == expected
        assert (leaf.count, leaf.first, leaf.last) == (1_199, 1, 1_199)
        assert originals.raw(tx, 1) == b'{"raw": 1}'
        assert json.loads(originals.raw(tx, 2)) == indicator("2.example")
        assert originals.raw(tx, 2_001) == b"{ }"
        (held,) = statements.find(tx, values=["7.example"])
        again = stix.parse(json.dumps(indicator("7.example"), separators=(",", ":")).encode())
        assert (held.seq, held.digest, held.fact) == (7, again.digest, again.fact)
        (gone,) = listings.history(tx, [2_000])
        assert (gone["closed"], gone["closed_code"], gone["key"]) == (2_600, "version.x", AUDIENCE)
        assert listings.pending(tx) == {AUDIENCE: 1}
        (parcel,) = listings.parcels(tx, AUDIENCE, 0, 10)
        assert (parcel.seq, parcel.attempts, json.loads(parcel.body)) == (1, 3, indicator("1.example"))
        assert len(tx.execute(select(tables.reference)).all()) == 1_199
        # What is held already belongs to the day of its version.
        (number,) = tx.execute(select(tables.statement.c.event).distinct()).scalars()
        assert events.places(tx, [number]) == {number: events.Place("", held.version[:10])}
        assert {held.attributes for held in statements.by_seq(tx, [1, 2_000])} == {0, 1}
    early.close()


def test_what_was_pending_before_there_were_statuses_is_sent_again(store_url: str) -> None:
    """0005 to 0006: a parcel that waits keeps its place, its attempts and the peer's words, and has no status."""
    store = Store(store_url)
    config = _config()
    with store.writing() as tx:
        config.attributes["connection"] = tx
        command.upgrade(config, "0005")
        _put(tx, "outbox", audience=1, added=7, state="pending", attempts=3, message="peer.unsettled")
        _put(tx, "outbox", audience=1, added=8, state="accepted", attempts=1, message="")
    assert migrate(store) == ("0005", newest())
    with store.reading() as tx:
        rows = tx.execute(select(tables.outbox).order_by(tables.outbox.c.added)).all()
    assert [tuple(row) for row in rows] == [
        (1, 7, "pending", 3, "peer.unsettled", ""),
        (1, 8, "accepted", 1, "", ""),
    ]
    store.close()


def test_notices_that_stand_go_on_standing(store_url: str) -> None:
    """0022 to 0023: a note of one audience's own, in two versions, of which only the newest was named."""
    store = Store(store_url)
    config = _config()
    about, note = indicator()["id"], "note--00000009-0000-4000-8000-000000000001"
    with store.writing() as tx:
        config.attributes["connection"] = tx
        command.upgrade(config, "0022")
        _put(tx, "block", id=1, body=b"")
        _put(tx, "audience", number=3, key=AUDIENCE, channel=CHANNEL, members='["circl"]', agreements='["x"]',
             ends=FOREVER, open=True, retired=False, last_added=9, past="{}")  # fmt: skip
        for seq, version in ((7, "2026-11-21T12:00:00.000000"), (9, "2026-11-21T12:01:00.000000")):
            _put(
                tx, "statement", seq=seq, source=":recall", peer=":node", posted="", stix_id=note, type="note",
                version=version, precision=3, digest=b"", creator="", stated="1|0|", marked=True, label="1|0|",
                basis="label.stated", waiting=False, newest=seq == 9, touch=False, revoked=False, repairs="",
                received=1, block=1, start=0, stop=0,
            )  # fmt: skip
            _put(
                tx, "listing", audience=3, added=seq, seq=seq, type="note", rank=1, label="1|0|", latest=seq == 9,
                folded=False, agreement="x", not_after=FOREVER, block=1, start=0, stop=0,
                closed=None if seq == 9 else 8, closed_code=None,
            )  # fmt: skip
        _put(tx, "notice", audience=3, stix_id=about, seq=9, action="withdrawn")
    migrate(store)
    with store.reading() as tx:
        said = notices.about(tx, [about])
        assert sorted(each.seq for each in said) == [7, 9]
        assert notices.last_of(said)[3, about].seq == 9
        (row,) = notices.open_rows(tx, {each.seq for each in said}, {3})
        assert (row.added, row.stix_id) == (9, note)
        assert [(each["added"], each["closed"]) for each in notices.history(tx, [about])] == [(7, 8), (9, None)]
    store.close()


def test_the_newest_revision_is_that_of_the_last_migration() -> None:
    """It is read from the names of the files, so that an HTTP process need not load Alembic."""
    assert newest() == ScriptDirectory.from_config(_config()).get_current_head()


@pytest.mark.parametrize("decided", ["", "e1"])
def test_terms_that_were_adopted_half_way_are_adopted_anew(store_url: str, decided: str) -> None:
    """0012 to 0013: what an earlier release left shut in the middle of a change does not stay so."""
    store = Store(store_url)
    config = _config()
    with store.writing() as tx:
        config.attributes["connection"] = tx
        command.upgrade(config, "0012")
        audiences.set_note(tx, "policy_epoch", "e1")
        audiences.set_note(tx, "policy_decided", decided)
    migrate(store)
    with store.reading() as tx:
        assert audiences.note(tx, "policy_epoch") == decided
        assert tx.execute(select(tables.meta).where(tables.meta.c.name == "policy_decided")).all() == []
    store.close()
