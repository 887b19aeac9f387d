"""The law of recall (R8): whoever follows a listing and obeys its notices ends with what stands in it, and no more.

Whatever is given, tightened, loosened, revoked, deleted and posted again, whatever ceilings and agreements do, and
whenever readers come by; and nobody is ever told about what was never listed to them.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import date, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import select

from exchange.model.marking import TLP2_ID, Tlp
from exchange.model.recall import EXTENSION
from exchange.model.stix import instant
from exchange.store import Store, audiences, listings, micros, notices, open_store, pages, tables
from exchange.store.pages import Versions
from exchange.sync.withdrawal import withdraw
from tests.properties.conftest import Engine
from tests.world import CCC_IDENTITY, FOLDED, NOW, OPEN_WRITE, World, collection, indicator, terms

SOURCES = ("ccc/alertes", "cert-ee/flux", "maison/fichiers")
WRITERS = ("ccc", "cert-ee")
PLACES = (("circl", OPEN_WRITE), ("cert-ee", FOLDED), ("ccc", FOLDED), ("maison", OPEN_WRITE))
TWINS = ("a.example", "a.example", "b.example")
"""Of three objects two say the same."""


@dataclass
class Reader:
    """It keeps what it is given, and drops what it is told to drop."""

    peer: str
    channel: str
    mark: int = -1
    held: dict[str, str] = field(default_factory=dict)
    told: set[str] = field(default_factory=set)

    def read(self, world: World, limit: int) -> bool:
        """One page from its mark; whether there is more. Nothing is read where an agreement has ended."""
        with world.store.reading() as tx:
            row = audiences.of_reader(tx, self.peer, f"collection:{self.channel}")
            assert row is not None
            if not row.open or (row.ends is not None and row.ends <= micros(world.now)):
                return False
            leaf = pages.page(tx, row.number, pages.Query(after=self.mark, now=micros(world.now), limit=limit))
            raw = b",".join(bytes(piece) for piece in leaf.pieces)
        for item in json.loads(b"[" + raw + b"]"):
            said = item.get("extensions", {}).get(EXTENSION)
            if said is None:
                self.held[item["id"]] = instant(item["modified"])
            else:
                assert said["action"] == "withdrawn"
                self.told.add(said["id"])
                self.held.pop(said["id"], None)
        self.mark = leaf.last or self.mark
        return leaf.more


class Play:
    """The steps."""

    def __init__(self, store: Store) -> None:
        room = collection(OPEN_WRITE, "salle", ("circl", "maison"), writers=WRITERS)
        self.usual = terms(salle=room)
        self.world = World(store, self.usual)
        self.readers = [Reader(*place) for place in PLACES]
        self.minute = 0
        self.low = self.ended = False

    def _object(self, number: int, tlp: Tlp, *, revoked: bool = False) -> dict[str, Any]:
        """An object in its next version; the first is its owner's, the others are nobody's."""
        self.minute += 1
        at = (NOW + timedelta(seconds=self.minute)).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
        made = indicator(TWINS[number], id_=f"indicator--0000000{number}-0000-4000-8000-000000000000")
        made |= {"modified": at, "description": str(self.minute), "object_marking_refs": [TLP2_ID[tlp]]}
        if not number:
            made["created_by_ref"] = CCC_IDENTITY
        return made | ({"revoked": True} if revoked else {})

    def give(self, source: int, number: int, tlp: Tlp, revoked: bool) -> None:
        """A pull brings a new version, looser or stricter than before."""
        self._tick()
        self.world.give(SOURCES[source], self._object(number, tlp, revoked=revoked))

    def post(self, writer: int, number: int, tlp: Tlp) -> None:
        """The same over a POST."""
        self._tick()
        peer = WRITERS[writer]
        self.world.give(f"{peer}/post:salle", self._object(number, tlp), posted=f"collection:{OPEN_WRITE}")

    def delete(self, writer: int, number: int) -> None:
        """A writer takes its object out."""
        self._tick()
        peer = WRITERS[writer]
        audience = next(
            a.key for a in self.world.rules.audiences if a.channel == f"collection:{OPEN_WRITE}" and peer in a.members
        )
        stix_id = self._object(number, Tlp.CLEAR)["id"]
        withdraw(
            self.world.store, self.world.rules, peer=peer, audience=audience, stix_id=stix_id,
            versions=Versions(every=True), now=self.world.now,
        )  # fmt: skip

    def ceiling(self) -> None:
        """The agreement lets less go, or as much as before."""
        self.low = not self.low
        self._follow()

    def agreement(self) -> None:
        """It ends, or is renewed."""
        self.ended = not self.ended
        self._follow()

    def _follow(self) -> None:
        self._tick()
        end = date(2026, 11, 20) if self.ended else date(2027, 12, 31)
        ceiling = Tlp.CLEAR if self.low else Tlp.GREEN
        agreements = [
            replace(a, end=end, send=a.send and replace(a.send, ceiling=ceiling)) for a in self.usual.agreements
        ]
        self.world.follow(replace(self.usual, agreements=tuple(agreements)))

    def read(self, reader: int, limit: int) -> None:
        """A reader comes by."""
        self.readers[reader].read(self.world, limit)

    def _tick(self) -> None:
        self.world.now += timedelta(seconds=1)

    def finish(self) -> None:
        """Everybody reads to the end: the laws."""
        self.low = self.ended = False
        self._follow()
        for reader in self.readers:
            while reader.read(self.world, 3):
                pass
            front, stands, ever, recalled = self._stands(reader)
            assert not front.keys() & recalled, "what is listed again is no longer recalled"
            assert front.items() <= reader.held.items() <= stands, reader
            assert reader.told <= ever, "told about what was never listed to it"

    def _stands(self, reader: Reader) -> tuple[dict[str, str], set[tuple[str, str]], set[str], set[str]]:
        """What the reader's audience has in front, in which version, every version that it has at all, all that ever
        stood there, and what is recalled.

        What came in front of a twin and stands behind it now may be kept: it may still be fetched by its id. What was
        withdrawn and comes back behind a twin is not listed again (R23), so its notice stays: it tells of the version
        that went, and who reads late is to end as who read early.
        """
        with self.world.store.reading() as tx:
            row = audiences.of_reader(tx, reader.peer, f"collection:{reader.channel}")
            assert row is not None
            asked = pages.Query(now=micros(self.world.now), limit=1000)
            front = {each.stix_id: each.version for each in pages.index(tx, row.number, asked).entries}
            seqs = list(tx.execute(select(tables.statement.c.seq)).scalars())
            ever = listings.history(tx, seqs)
            found = notices.standing(tx, row.number)
            names = {
                seq: (stix_id, version)
                for seq, stix_id, version in tx.execute(
                    select(tables.statement.c.seq, tables.statement.c.stix_id, tables.statement.c.version)
                )
            }
        mine = [(names[each["seq"]], each["closed"]) for each in ever if each["key"] == row.key]
        stands = {name for name, closed in mine if closed is None and not name[0].startswith("note--")}
        recalled = {json.loads(body)["object_refs"][0] for _, body in found}
        latest = {name: version for name, version in front.items() if not name.startswith("note--")}
        return latest, stands, {name for (name, _), _ in mine}, recalled


LEVELS = st.sampled_from([Tlp.CLEAR, Tlp.GREEN, Tlp.GREEN, Tlp.AMBER, Tlp.RED])
NUMBERS = st.integers(0, len(TWINS) - 1)
STEPS = st.one_of(
    st.tuples(st.just("give"), st.integers(0, len(SOURCES) - 1), NUMBERS, LEVELS, st.just(False)),
    st.tuples(st.just("give"), st.integers(0, len(SOURCES) - 1), NUMBERS, LEVELS, st.booleans()),
    st.tuples(st.just("post"), st.integers(0, 1), NUMBERS, LEVELS),
    st.tuples(st.just("delete"), st.integers(0, 1), NUMBERS),
    st.tuples(st.just("ceiling")),
    st.tuples(st.just("agreement")),
    st.tuples(st.just("read"), st.integers(0, len(PLACES) - 1), st.integers(1, 5)),
    st.tuples(st.just("read"), st.integers(0, len(PLACES) - 1), st.just(100)),
)


def play(url: str, steps: Sequence[tuple[Any, ...]]) -> None:
    """Do them all, on an empty store."""
    store = open_store(url)
    try:
        acted = Play(store)
        for name, *arguments in steps:
            getattr(acted, name)(*arguments)
        acted.finish()
    finally:
        store.close()


def test_r8_who_obeys_the_notices_ends_with_what_stands(engine: Engine) -> None:
    @engine.examples(60)
    @given(st.lists(STEPS, min_size=4, max_size=24))
    def law(steps: list[tuple[Any, ...]]) -> None:
        play(engine.new_url(), steps)

    law()


CLEAR, GREEN, AMBER = Tlp.CLEAR, Tlp.GREEN, Tlp.AMBER
KNOWN = (
    # What comes back behind its twin is not listed again, so the notice of the version that went stays.
    (
        ("give", 0, 0, CLEAR, False), ("give", 0, 0, AMBER, False), ("give", 0, 1, CLEAR, False),
        ("give", 0, 0, CLEAR, False),
    ),
    # What was in front goes, and what another source says of it stands behind a twin: nobody who follows finds that.
    (
        ("give", 1, 1, GREEN, True), ("give", 1, 0, GREEN, False), ("read", 2, 100), ("give", 2, 1, CLEAR, False),
        ("give", 1, 1, AMBER, False),
    ),
)  # fmt: skip


@pytest.mark.parametrize("steps", KNOWN)
def test_r8_behind_a_twin_nothing_is_listed_again(engine: Engine, steps: tuple[tuple[Any, ...], ...]) -> None:
    play(engine.new_url(), steps)
