"""The Store contract, on every engine: all or nothing, twice is once, order of commit, leases, no leaks."""

from __future__ import annotations

import threading
from contextlib import closing
from dataclasses import replace
from datetime import timedelta

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import select
from sqlalchemy.exc import SQLAlchemyError

from exchange.errors import StoreBusy, StoreError, StoreOutdated
from exchange.store import (
    Store,
    audiences,
    listings,
    micros,
    migrate,
    open_store,
    originals,
    pages,
    sources,
)
from exchange.store.tables import metadata, outbox
from exchange.sync.accept import accept
from tests.world import FOLDED, NOW, SHARED, World, indicator, malware, page, report


class BrokenPipe(Exception):
    """What breaks a transaction in these tests."""


def test_a_transaction_is_all_or_nothing(store: Store) -> None:
    """Objects, listings and cursor of a transaction that breaks leave no trace."""
    world = World(store)
    with store.writing() as tx:
        sources.declare(tx, ["ccc/alertes"], 0)
    with pytest.raises(BrokenPipe), store.writing() as tx:
        sources.save_cursor(tx, "ccc/alertes", {"at": 1})
        originals.keep_document(tx, "ccc/alertes", "misp-event", "e", "1", b"{}", 0)
        raise BrokenPipe
    with store.reading() as tx:
        assert sources.standings(tx)["ccc/alertes"].cursor == "{}"
    assert world.listed("cert-ee") == []


def test_a_document_is_begun_until_its_last_page_is_here(store: Store) -> None:
    """The mark commits with the page, and a later page without bytes sets or ends it."""
    source, whole, begun = "ccc/alertes", originals.WHOLE, originals.BEGUN
    with store.writing() as tx:
        originals.keep_document(tx, source, begun, "e", "1", b"{}", 0)
        originals.keep_document(tx, source, begun, "e", "1", b"", 0)
        originals.keep_document(tx, source, whole, "f", "1", b"{}", 0)
    with pytest.raises(BrokenPipe), store.writing() as tx:
        originals.keep_document(tx, source, whole, "e", "1", b"", 0)
        raise BrokenPipe
    with store.reading() as tx:
        assert originals.begun(tx, source, ["e", "f"]) == {("e", "1")}
        assert originals.begun(tx, "other/source", ["e", "f"]) == set()
    with store.writing() as tx:
        originals.keep_document(tx, source, begun, "f", "2", b"{}", 0)
        originals.complete(tx, source, "f", "2")
        originals.keep_document(tx, source, whole, "e", "1", b"", 0)
    with store.reading() as tx:
        assert originals.begun(tx, source, ["e", "f"]) == set()


def test_the_cursor_commits_with_its_page(store: Store) -> None:
    """What a page brings and the cursor behind it are one transaction."""
    world = World(store)
    with store.writing() as tx:
        sources.declare(tx, ["ccc/alertes"], 0)
    accept(store, world.rules, page(indicator(), cursor={"added_after": "x"}), "ccc/alertes", "ccc", NOW)
    with store.reading() as tx:
        assert sources.standings(tx)["ccc/alertes"].cursor == '{"added_after": "x"}'
    assert len(world.listed("cert-ee")) == 1


def test_twice_is_once(store: Store) -> None:
    """The same page again changes nothing that a reader can see."""
    world = World(store)
    objects = [indicator(f"{n}.example") for n in range(20)]
    first = world.give("ccc/alertes", *objects)
    before = _rows(world)
    second = world.give("ccc/alertes", *objects)
    assert first.counts == {"stored": 20}
    assert second.counts == {"known": 20}
    assert _rows(world) == before


def _rows(world: World) -> list[tuple[int, str, str]]:
    with world.store.reading() as tx:
        row = audiences.of_reader(tx, "cert-ee", f"collection:{SHARED}")
        assert row is not None
        found = pages.index(tx, row.number, pages.Query(now=micros(world.now), limit=10_000)).entries
    return [(item.added, item.stix_id, item.version) for item in found]


@pytest.mark.parametrize("limit", [1, 2, 3, 7, 49, 50, 51])
def test_pages_concatenate_to_the_whole(store: Store, limit: int) -> None:
    """Following `added` gives every object exactly once, in order, at every limit."""
    world = World(store)
    world.give("ccc/alertes", *(indicator(f"{n}.example") for n in range(50)))
    whole, seen, after = _rows(world), [], -1
    with store.reading() as tx:
        row = audiences.of_reader(tx, "cert-ee", f"collection:{SHARED}")
        assert row is not None
        while found := pages.index(tx, row.number, pages.Query(after=after, now=micros(NOW), limit=limit)).entries:
            seen += [(item.added, item.stix_id, item.version) for item in found]
            after = found[-1].added
    assert seen == whole
    assert len(whole) == 50


def test_date_added_rises_in_commit_order_with_two_writers(store_url: str) -> None:
    """R20: whatever two writers do, a reader that follows `date_added` never misses an object."""
    if store_url == "sqlite://":
        store_url = "sqlite://"
    store = open_store(store_url)
    world = World(store)
    failures: list[BaseException] = []

    def write(peer: str) -> None:
        try:
            for n in range(30):
                for _ in range(20):
                    try:
                        world.give(f"{peer}/s", indicator(f"{peer}-{n}.example"))
                        break
                    except StoreBusy:
                        continue
        except (StoreError, SQLAlchemyError) as error:
            failures.append(error)

    writers = [threading.Thread(target=write, args=(peer,)) for peer in ("ccc", "circl")]
    for writer in writers:
        writer.start()
    seen: list[int] = []
    while any(writer.is_alive() for writer in writers):
        with store.reading() as tx:
            row = audiences.of_reader(tx, "cert-ee", f"collection:{SHARED}")
            assert row is not None
            query = pages.Query(after=seen[-1] if seen else -1, now=micros(NOW), limit=1000)
            seen += [entry.added for entry in pages.index(tx, row.number, query).entries]
    for writer in writers:
        writer.join()
    assert failures == []
    whole = [added for added, _, _ in _rows(world)]
    assert len(whole) == 60
    assert len(set(whole)) == 60
    missed = set(whole) - set(seen)
    assert all(added > (seen[-1] if seen else -1) for added in missed)
    store.close()


def test_a_lease_is_exclusive_and_runs_out(store: Store) -> None:
    """One worker at a time; a dead one's work is taken over when its lease is over."""
    with store.writing() as tx:
        sources.declare(tx, ["ccc/alertes"], 0)
        assert sources.lease(tx, "ccc/alertes", "a", now=10, until=20)
        assert not sources.lease(tx, "ccc/alertes", "b", now=19, until=30)
        assert not sources.lease(tx, "ccc/alertes", "b", now=19, until=30, forced=True)
        assert sources.lease(tx, "ccc/alertes", "b", now=20, until=30)
        assert not sources.extend(tx, "ccc/alertes", "a", 99)
        sources.finish(tx, "ccc/alertes", "a", now=21, due=50, outcome="complete", complete=True, error=None)
        assert sources.standings(tx)["ccc/alertes"].lease_owner == "b"


def test_a_page_of_a_lost_lease_is_not_stored(store: Store) -> None:
    """A worker that was too slow stores nothing over the one that took its work."""
    world = World(store)
    with store.writing() as tx:
        sources.declare(tx, ["ccc/alertes"], 0)
        sources.lease(tx, "ccc/alertes", "other", now=0, until=10)
    with pytest.raises(Exception, match="lease_lost"):
        accept(store, world.rules, page(indicator()), "ccc/alertes", "ccc", NOW, lease=("late", 99))
    assert world.listed("cert-ee") == []


def test_the_tables_are_what_the_migrations_make(store_url: str) -> None:
    """The schema that a new store gets is the one that the code describes."""
    store = open_store(store_url)
    with store.reading() as tx:

        def ours(_object: object, name: str | None, kind: str, *_: object) -> bool:
            return not (kind == "table" and name in {"read", "alembic_version"})

        context = MigrationContext.configure(tx, opts={"include_object": ours})
        assert compare_metadata(context, metadata) == []
    assert migrate(store)[0] == migrate(store)[1]
    store.close()


def test_an_unknown_schema_is_refused(store_url: str) -> None:
    """R36: nobody but `migrate` touches a schema; an empty store is not made by those who may not."""
    with pytest.raises(StoreOutdated):
        open_store(store_url, create=False)


def test_folding_lists_one_statement_per_fact(store: Store) -> None:
    """R23: twins stand behind the oldest and stay reachable by id; when it goes, the next comes forward."""
    world = World(store)
    first = indicator("twin.example", id_="indicator--11111111-1111-4111-8111-111111111111")
    second = indicator("twin.example", id_="indicator--22222222-2222-4222-8222-222222222222")
    world.give("circl/a", first)
    world.give("circl/b", second)
    assert world.listed("cert-ee", FOLDED) == [first["id"]]
    assert world.listed("cert-ee", FOLDED, ids=frozenset({second["id"]})) == [second["id"]]
    assert set(world.listed("cert-ee", SHARED)) == {first["id"], second["id"]}
    revoked = {**first, "revoked": True, "modified": "2026-11-21T11:59:00.000Z"}
    older = {**first, "modified": "2026-11-20T00:00:00.000Z"}
    world.give("circl/a", older)
    assert world.listed("cert-ee", FOLDED) == [first["id"]]
    world.give("circl/a", {**revoked, "modified": "2026-11-21T12:00:01.000Z"})
    assert world.listed("cert-ee", FOLDED) == [first["id"], second["id"]] or world.listed("cert-ee", FOLDED) == [
        second["id"],
        first["id"],
    ]


def test_a_watch_sees_what_others_commit(store: Store) -> None:
    """R34: a commit shows within a few looks, and nothing shows when nothing was committed."""
    with closing(store.watch()) as watch:
        watch.changed()
        assert not watch.changed()
        with store.writing() as tx:
            audiences.set_note(tx, "x", "1")
        assert any(watch.wait(0.05) for _ in range(100))
        assert not watch.changed()


def test_a_writer_waits_two_seconds_at_most(tmp_path: object) -> None:
    """R18: a writer that does not get the lock says so instead of hanging."""
    url = f"sqlite:///{tmp_path}/busy.db"
    one, other = open_store(url), open_store(url)
    with one.writing(), pytest.raises(StoreBusy), other.writing():
        pass
    one.close()
    other.close()


def test_a_report_of_many_does_not_break_the_statement_limits(store: Store) -> None:
    """Thousands of references in one object are split into lists that both engines take."""
    world = World(store)
    members = [malware(f"m{n}", tlp=None) for n in range(1500)]
    for start in range(0, 1500, 500):
        world.give("ccc/alertes", *members[start : start + 500], last=False)
    world.give("ccc/alertes", report(*members))
    assert len(world.listed("cert-ee")) == 1501


def test_a_parcel_keeps_its_status_while_it_is_pending(store: Store) -> None:
    """Written with what became of it, given back with it, counted, and gone once it is settled."""
    world = World(store)
    world.give("circl/misp", indicator(), indicator("b.example"))

    def settle(*told: tuple[str, str]) -> list[str]:
        with store.writing() as tx:
            row = audiences.of_reader(tx, "ccc", "target:ccc/depot")
            assert row is not None
            parcels = listings.parcels(tx, row.key, micros(NOW), 10)
            outcomes = [
                (replace(parcel, status=status), state, "")
                for parcel, (state, status) in zip(parcels, told, strict=True)
            ]
            listings.settle(tx, outcomes, peer="ccc", channel="target:ccc/depot", now=micros(NOW))
            waiting = listings.parcels(tx, row.key, micros(NOW), 10)
            assert sum(listings.followed(tx).values()) == sum(parcel.status != "" for parcel in waiting)
            return [parcel.status for parcel in waiting]

    assert settle(("pending", "7"), ("pending", "7")) == ["7", "7"]
    assert settle(("pending", "8"), ("pending", "")) == ["8", ""]
    assert settle(("accepted", "8"), ("pending", "9")) == ["9"]
    assert settle(("refused", "9")) == []
    with store.reading() as tx:
        assert {row.status for row in tx.execute(select(outbox)).all()} == {""}


def test_time_passes_and_agreements_end(store: Store) -> None:
    """R19: after the last day of the agreement nothing is read, and nothing was closed."""
    world = World(store)
    world.give("ccc/alertes", indicator())
    assert len(world.listed("cert-ee")) == 1
    world.pass_time(timedelta(days=500))
    assert world.listed("cert-ee") == []
    with store.reading() as tx:
        assert listings.standing(tx, [indicator()["id"]]) != []
