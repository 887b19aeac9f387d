"""What a MISP event says anew under an old timestamp, deletes, and gives again (misp.md sections 2.3 and 5)."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any
from uuid import NAMESPACE_DNS, uuid5

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from exchange.model import personal, recall, stix
from exchange.model.envelope import Document, Page, Skipped
from exchange.model.marking import Tlp
from exchange.model.misp import EXTENSION, MINTED
from exchange.model.personal import MARK
from exchange.store import Store, classes, later, micros, pages, tables
from exchange.store.audiences import of_reader
from exchange.sync import afterwards, attacked
from exchange.sync.accept import Accepted, accept
from exchange.sync.accounting import Asked
from exchange.sync.replay import replay
from tests.sync.partners import MISP, Desk
from tests.world import NOW, SHARED, World, emptied, indicator, marked, relationship

EVENT = "8a0c2f64-5d0e-4a39-b1b5-0f1d3a7e9c20"
OTHER = "3f9d1b7e-2c40-4a17-9e55-6b8d0c1f2a33"
DAY = timedelta(days=1)
FIRST = NOW - 30 * DAY


def attribute(value: str, *, tlp: Tlp = Tlp.GREEN, at: datetime = FIRST, tags: tuple[str, ...] = ()) -> dict[str, Any]:
    """The indicator that carries an attribute for one domain."""
    carried = {"extension_type": "property-extension", "event": EVENT, "attribute": {"type": "domain", "Tag": [*tags]}}
    return indicator(value, tlp=tlp, modified=at, extensions={EXTENSION: carried})


def domain(value: str, of: str, *, tlp: Tlp = Tlp.GREEN) -> dict[str, Any]:
    """The observable of an attribute."""
    carried = {"extension_type": "property-extension", "event": EVENT}
    made = {
        "type": "domain-name", "spec_version": "2.1", "value": value, "extensions": {EXTENSION: carried},
        "id": f"domain-name--{uuid5(MINTED, f'{uuid(of)}/domain-name')}",
    }  # fmt: skip
    return marked(made, tlp)


def observed(of: str, *, tlp: Tlp = Tlp.GREEN, at: datetime = FIRST) -> dict[str, Any]:
    """The observation that stands beside an attribute's indicator."""
    made = {
        "type": "observed-data", "spec_version": "2.1",
        "id": f"observed-data--{uuid5(MINTED, f'{uuid(of)}/observed-data')}",
        "created": "2026-01-01T00:00:00.000Z", "modified": at.strftime("%Y-%m-%dT%H:%M:%S.%fZ"),
        "first_observed": "2026-01-01T00:00:00Z", "last_observed": "2026-01-01T00:00:00Z", "number_observed": 1,
        "object_refs": [domain(of, of)["id"]],
        "extensions": {EXTENSION: {"extension_type": "property-extension", "event": EVENT}},
    }  # fmt: skip
    return marked(made, tlp)


def uuid(value: str) -> str:
    """The uuid of the attribute for this domain."""
    return str(uuid5(NAMESPACE_DNS, value))


def pull(
    world: World, at: datetime, *objects: Mapping[str, Any], deleted: tuple[str, ...] = (), **more: Any
) -> Accepted:
    """The event as it is `at`, with these objects and without the deleted attributes."""
    version = str(int(at.timestamp()))
    page = Page(
        objects=[stix.parse(json.dumps(item).encode()) for item in objects],
        skipped=[Skipped(id=uuid(value), code="misp.deleted", fields={"event": EVENT}) for value in deleted],
        document=Document(kind="misp-event", id=more.pop("event", EVENT), version=version, raw=b"{}"),
        last=True,
    )
    source = more.pop("source", MISP.key)
    return accept(world.store, world.rules, page, source, source.partition("/")[0], world.now)


def codes(accepted: Accepted) -> list[str]:
    """What became of each object."""
    return [outcome.code for outcome in accepted.outcomes]


def latest(world: World, peer: str = "ccc") -> dict[str, dict[str, Any]]:
    """Id → what the peer reads, without the version's date, and without recalls of what it read before."""
    with world.store.reading() as tx:
        row = of_reader(tx, peer, f"collection:{SHARED}")
        assert row is not None
        leaf = pages.page(tx, row.number, pages.Query(now=micros(world.now), limit=10_000))
        items = json.loads(b"[" + b",".join(bytes(piece) for piece in leaf.pieces) + b"]")
    return {item["id"]: without_date(item) for item in items if recall.EXTENSION not in item.get("extensions", {})}


def without_date(item: Mapping[str, Any]) -> dict[str, Any]:
    """The object as `latest` shows it."""
    return {name: value for name, value in item.items() if name != "modified"}


def rows(store: Store) -> int:
    """How many statements and listings there are."""
    desk = [tables.statement, tables.listing, tables.quarantine]
    with store.reading() as tx:
        return sum(len(tx.execute(table.select()).all()) for table in desk)


def test_a_tag_that_changes_under_an_old_timestamp_arrives(memory: Store) -> None:
    """The attribute's timestamp stays, the event's does not: it is a new version as of the event's."""
    world = Desk(memory).world
    pull(world, FIRST, attribute("a.example"))
    tagged = attribute("a.example", tags=("estimative:likelihood",))
    assert codes(pull(world, FIRST + DAY, tagged)) == ["stored"]
    assert latest(world)[tagged["id"]] == without_date(tagged)
    with memory.reading() as tx:
        versions = [row.version for row in tx.execute(tables.statement.select())]
    assert versions[-1] == (FIRST + DAY).strftime("%Y-%m-%dT%H:%M:%S.%f")


def test_what_names_a_victim_does_so_under_its_new_date(memory: Store) -> None:
    """What is known of an object as it came holds for it as it is stored, whatever version it got."""
    world = Desk(memory).world
    given: list[tuple[datetime, tuple[str, ...]]] = [(FIRST, ()), (FIRST + DAY, ("x",))]
    for at, tags in given:
        said = attribute("a.example", tags=tags) | {"description": "write to jean@ville.example"}
        assert codes(pull(world, at, said)) == ["stored"]
        (read,) = latest(world).values()
        assert read["description"] == f"write to {MARK}"


@pytest.mark.parametrize("looked_at", [1, 50_000])
def test_what_an_earlier_release_did_not_know_of_it_is_read_again(
    memory: Store, monkeypatch: pytest.MonkeyPatch, looked_at: int
) -> None:
    """It stands whole; then who had it is told that it is withdrawn, and gets it without the name."""
    monkeypatch.setattr(attacked, "LOOKED_AT", looked_at)
    monkeypatch.setattr(attacked, "READ", 2)
    world = Desk(memory).world
    said = attribute("a.example") | {"description": "write to jean@ville.example"}
    with monkeypatch.context() as before:
        before.setattr(personal, "suspect", lambda *_: False)
        pull(world, FIRST, said, attribute("b.example"), attribute("c.example"))
    assert latest(world)[said["id"]]["description"] == said["description"]
    with memory.writing() as tx:
        later.put(tx, "persons", MISP.key, (), upto=classes.last(tx), shut=())
    world.now += timedelta(seconds=1)
    afterwards.resume(memory, world.rules, lambda: world.now, lambda: False)
    read = latest(world)
    assert said["id"] not in read and len(read) == 3
    assert sorted(each["description"] for each in read.values() if "description" in each) == [f"write to {MARK}"]
    with memory.reading() as tx:
        assert not later.any_left(tx)
    assert replay(memory, Asked(), world.now).counts == {}


def test_nothing_flaps_when_it_is_pulled_again(memory: Store) -> None:
    """The same event, and a later state of it in which this attribute says the same, change nothing."""
    world = Desk(memory).world
    pull(world, FIRST, attribute("a.example"))
    tagged = attribute("a.example", tags=("x",))
    pull(world, FIRST + DAY, tagged)
    before = rows(memory)
    for at in (FIRST + DAY, FIRST + 2 * DAY, FIRST + 3 * DAY):
        assert codes(pull(world, at, tagged)) == ["known"]
    assert rows(memory) == before


def test_a_change_that_is_taken_back_arrives_too(memory: Store) -> None:
    """What it said first is what it says now, though its timestamp never moved."""
    world = Desk(memory).world
    plain, tagged = attribute("a.example"), attribute("a.example", tags=("x",))
    pull(world, FIRST, plain)
    pull(world, FIRST + DAY, tagged)
    assert codes(pull(world, FIRST + 2 * DAY, plain)) == ["stored"]
    assert latest(world)[plain["id"]] == without_date(plain)


def test_an_older_state_of_the_event_changes_nothing(memory: Store) -> None:
    """A document from before the newest version is a contradiction, as it always was."""
    world = Desk(memory).world
    pull(world, FIRST, attribute("a.example"))
    pull(world, FIRST + 2 * DAY, attribute("a.example", tags=("x",)))
    assert codes(pull(world, FIRST + DAY, attribute("a.example", tags=("y",)))) == ["conflict"]
    assert latest(world)[attribute("a.example")["id"]] == without_date(attribute("a.example", tags=("x",)))


def test_another_events_document_restamps_nothing(memory: Store) -> None:
    """Only the event to which an entity belongs speaks for it."""
    world = Desk(memory).world
    pull(world, FIRST, attribute("a.example"))
    assert codes(pull(world, FIRST + DAY, attribute("a.example", tags=("x",)), event=OTHER)) == ["conflict"]


def test_a_stricter_tag_withdraws_and_a_removed_one_lists_again(memory: Store) -> None:
    """TLP:RED by a tag alone: gone at once; the tag removed: there again."""
    world = Desk(memory).world
    pull(world, FIRST, attribute("a.example"))
    pull(world, FIRST + DAY, attribute("a.example", tlp=Tlp.RED))
    assert latest(world) == {}
    pull(world, FIRST + 2 * DAY, attribute("a.example"))
    assert list(latest(world).values()) == [without_date(attribute("a.example"))]


def test_an_observable_that_says_something_else_arrives(memory: Store) -> None:
    """It has no version of its own, and the event's is as good."""
    world = Desk(memory).world
    pull(world, FIRST, domain("a.example", "a.example"))
    pull(world, FIRST + DAY, domain("b.example", "a.example"))
    assert [item["value"] for item in latest(world).values()] == ["b.example"]
    before = rows(memory)
    assert codes(pull(world, FIRST + 2 * DAY, domain("b.example", "a.example"))) == ["known"]
    assert rows(memory) == before


def test_what_the_source_deletes_is_withdrawn_with_all_that_was_made_of_it(memory: Store) -> None:
    """Carrier, observation, observable and what links them go, with the reason; the neighbour stays."""
    world = Desk(memory).world
    mine = (attribute("a.example"), observed("a.example"), domain("a.example", "a.example"))
    link = relationship(mine[0], mine[1], tlp=Tlp.GREEN)
    pull(world, FIRST, *mine, link, attribute("b.example"))
    pull(world, FIRST + DAY, attribute("b.example"), deleted=("a.example",))
    assert list(latest(world)) == [attribute("b.example")["id"]]
    with memory.reading() as tx:
        closed = {row.closed_code for row in tx.execute(tables.listing.select()) if row.closed is not None}
    assert closed == {"withdrawn.at_source"}


def test_what_is_undeleted_comes_again(memory: Store) -> None:
    """With its old timestamp or with a new one."""
    world = Desk(memory).world
    pull(world, FIRST, attribute("a.example"), attribute("b.example"))
    pull(world, FIRST + DAY, deleted=("a.example", "b.example"))
    assert latest(world) == {}
    pull(world, FIRST + 2 * DAY, attribute("a.example"), attribute("b.example", at=FIRST + 2 * DAY))
    assert set(latest(world)) == {attribute("a.example")["id"], attribute("b.example")["id"]}
    pull(world, FIRST + 3 * DAY, deleted=("a.example", "b.example"))
    assert latest(world) == {}


def test_r5_anothers_word_stays_when_nobody_owns_it(memory: Store) -> None:
    """R5: a source withdraws what it said itself, and nobody else's."""
    world = Desk(memory).world
    pull(world, FIRST, attribute("a.example"))
    pull(world, FIRST, attribute("a.example"), source="cert-ee/misp")
    pull(world, FIRST + DAY, deleted=("a.example",), source="cert-ee/misp")
    assert list(latest(world)) == [attribute("a.example")["id"]]


STATE = st.fixed_dictionaries(
    {
        "tags": st.lists(st.sampled_from("xyz"), max_size=2, unique=True).map(tuple),
        "tlp": st.sampled_from([Tlp.CLEAR, Tlp.GREEN, Tlp.AMBER]),
        "edited": st.booleans(),
        "deleted": st.booleans(),
    }
)


def test_what_is_read_is_always_what_the_event_last_said(memory: Store) -> None:
    """Any walk of edits, tags, deletions and restorations: the last state is read, and a second pull writes nothing."""

    @settings(max_examples=60, deadline=None)
    @given(st.lists(STATE, min_size=1, max_size=7))
    def walk(states: list[dict[str, Any]]) -> None:
        world = Desk(emptied(memory)).world
        edited = FIRST
        for day, state in enumerate(states):
            at = FIRST + day * DAY
            edited = at if state["edited"] else edited
            item = attribute("a.example", tlp=state["tlp"], at=edited, tags=state["tags"])
            brought: dict[str, Any] = {"deleted": ("a.example",)} if state["deleted"] else {}
            items = () if state["deleted"] else (item,)
            pull(world, at, *items, **brought)
            visible = not state["deleted"] and state["tlp"] <= Tlp.GREEN
            assert latest(world) == ({item["id"]: without_date(item)} if visible else {})
            before = rows(memory)
            assert set(codes(pull(world, at, *items, **brought))) <= {"known"}
            assert rows(memory) == before

    walk()
