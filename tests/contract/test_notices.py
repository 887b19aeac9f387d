"""R8: whoever had an object and may no longer have it is told, on every engine; who never had it is told nothing."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
import stix2

from exchange.model.marking import TLP2_ID, Tlp
from exchange.model.party import Receive, Send
from exchange.model.recall import EXTENSION
from exchange.store import Store, audiences, ledgers, listings, micros, moment, notices, pages
from exchange.store.pages import Versions
from exchange.sync.explain import explain
from exchange.sync.withdrawal import withdraw
from tests.world import (
    FOLDED,
    NODE,
    NOW,
    OPEN_WRITE,
    SHARED,
    World,
    agreement,
    collection,
    emptied,
    indicator,
    malware,
    report,
    terms,
)

LATER = timedelta(minutes=1)


class Told(World):
    """A world whose readers look at the bytes of what they read."""

    def bodies(self, peer: str, channel: str = SHARED) -> list[dict[str, Any]]:
        """What `peer` reads there, in order."""
        with self.store.reading() as tx:
            row = audiences.of_reader(tx, peer, f"collection:{channel}")
            assert row is not None
            leaf = pages.page(tx, row.number, pages.Query(now=micros(self.now), limit=10_000))
            raw = b",".join(bytes(piece) for piece in leaf.pieces)
        found: list[dict[str, Any]] = json.loads(b"[" + raw + b"]")
        return found

    def notices(self, peer: str, channel: str = SHARED) -> list[dict[str, Any]]:
        """The recall notices among it."""
        return [each for each in self.bodies(peer, channel) if EXTENSION in each.get("extensions", {})]

    def told(self, peer: str, channel: str = SHARED) -> list[str]:
        """What they are about."""
        return [each["extensions"][EXTENSION]["id"] for each in self.notices(peer, channel)]

    def after(self, by: timedelta = LATER) -> None:
        """Let time pass, within the day."""
        self.now += by

    def take_out(self, peer: str, made: Mapping[str, Any], channel: str) -> None:
        """`peer` deletes it from a collection."""
        with self.store.reading() as tx:
            row = audiences.of_reader(tx, peer, f"collection:{channel}")
        assert row is not None
        withdraw(
            self.store, self.rules, peer=peer, audience=row.key, stix_id=made["id"], versions=Versions(every=True),
            now=self.now,
        )  # fmt: skip


def tighter(made: Mapping[str, Any], tlp: Tlp = Tlp.RED, after: timedelta = LATER) -> dict[str, Any]:
    """The same object in a later version, which nobody else may have."""
    at = (NOW + after).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
    return {**made, "modified": at, "object_marking_refs": [TLP2_ID[tlp]]}


@pytest.fixture
def world(store: Store) -> Told:
    """Three partners, of whom `cert-ee` gives."""
    return Told(store)


def test_whoever_had_it_is_told_and_whoever_had_not_is_told_nothing(world: Told) -> None:
    """R8: a stricter marking closes the listing; its audience gets one notice, all others none."""
    made, other = indicator("a.example"), indicator("b.example")
    world.give("ccc/alertes", made, other)
    assert world.told("circl") == []
    world.after()
    world.give("ccc/alertes", tighter(made))
    assert world.listed("circl")[0] == other["id"]
    assert world.told("circl") == [made["id"]]
    (note,) = world.notices("circl")
    assert note["extensions"][EXTENSION] == {
        "extension_type": "property-extension", "id": made["id"], "version": made["modified"], "action": "withdrawn",
    }  # fmt: skip
    assert note["created_by_ref"] == NODE
    assert note["object_refs"] == [made["id"]]
    assert note["object_marking_refs"] == [TLP2_ID[Tlp.GREEN]], "as it was listed, not as it is worth now"
    assert set(note["extensions"]) == {EXTENSION}
    assert stix2.parse(note, allow_custom=True)["type"] == "note"
    assert not re.search(r"red|tlp|ceiling|plafond", json.dumps([note["abstract"], note["content"]]), re.I)


def test_the_notice_comes_behind_every_mark(world: Told) -> None:
    """R20: a reader that follows `added_after` finds it."""
    made = indicator()
    world.give("ccc/alertes", made)
    with world.store.reading() as tx:
        row = audiences.of_reader(tx, "circl", f"collection:{SHARED}")
    assert row is not None
    world.after()
    world.give("ccc/alertes", tighter(made))
    assert len(world.listed("circl", recalls=True, after=row.last_added)) == 1


def test_it_is_closed_when_the_object_is_listed_again_and_a_second_one_is_another_note(world: Told) -> None:
    made = indicator()
    world.give("ccc/alertes", made)
    world.after()
    world.give("ccc/alertes", tighter(made))
    (first,) = world.notices("circl")
    world.after()
    world.give("ccc/alertes", tighter(made, Tlp.GREEN, 2 * LATER))
    assert world.notices("circl") == []
    assert made["id"] in world.listed("circl")
    world.after()
    world.give("ccc/alertes", tighter(made, Tlp.RED, 3 * LATER))
    (second,) = world.notices("circl")
    assert second["id"] != first["id"]
    assert second["created"] == second["modified"] > first["modified"]
    assert second["extensions"][EXTENSION]["version"] > first["extensions"][EXTENSION]["version"]


def test_two_withdrawals_within_a_moment_are_two_notes(world: Told) -> None:
    """The clock may stand still: what says of another version is another note."""
    made = indicator()
    world.give("ccc/alertes", made)
    seen = []
    for n in range(1, 4):
        world.give("ccc/alertes", tighter(made, Tlp.RED, (2 * n - 1) * timedelta(seconds=1)))
        seen += [each["id"] for each in world.notices("circl")]
        world.give("ccc/alertes", tighter(made, Tlp.GREEN, 2 * n * timedelta(seconds=1)))
    assert len(seen) == len(set(seen)) == 3


def test_the_same_withdrawal_at_the_same_instant_is_the_same_note_and_comes_again(world: Told) -> None:
    """A ceiling that goes down, up and down while the clock stands still: a re-listing has a new date (R8)."""
    made = indicator()
    world.give("ccc/alertes", made)
    usual, seen = world.terms, []
    for _ in range(3):
        world.follow(_without(world, "reseau"))
        seen.append(world.listed("circl", recalls=True, after=0)[-1:])
        (note,) = world.notices("circl")
        assert seen[-1] == [note["id"]]
        world.follow(usual)
        assert world.notices("circl") == []
    assert seen[0] == seen[1] == seen[2]


def test_all_versions_make_one_notice_of_the_newest_that_was_listed(world: Told) -> None:
    made = indicator()
    newer = {**tighter(made, Tlp.GREEN), "description": "more is known"}
    world.give("ccc/alertes", made)
    world.after()
    world.give("ccc/alertes", newer)
    assert world.notices("circl") == [], "a newer version takes its place"
    world.after()
    world.give("ccc/alertes", tighter(made, Tlp.RED, 2 * LATER))
    (note,) = world.notices("circl")
    assert note["extensions"][EXTENSION]["version"] == newer["modified"]


def test_the_version_of_what_has_none_is_its_date(world: Told) -> None:
    """R14: an unversioned object's version is its `date_added` in that listing."""
    made = {"type": "domain-name", "spec_version": "2.1", "id": "domain-name--bedb4899-d24b-5401-bc86-8f6b4cc18ec7"}
    made |= {"value": "example.com", "object_marking_refs": [TLP2_ID[Tlp.GREEN]]}
    world.give("ccc/alertes", made)
    mine = number(world, "circl")
    with world.store.reading() as tx:
        (row,) = [r for r in listings.standing(tx, [made["id"]]) if r.audience == mine]
    world.follow(_without(world, "reseau"))
    world.after()
    (note,) = world.notices("circl")
    assert note["extensions"][EXTENSION]["version"] == moment(row.added).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def number(world: World, peer: str, channel: str = SHARED) -> int:
    """The number of the audience of `peer` there."""
    with world.store.reading() as tx:
        row = audiences.of_reader(tx, peer, f"collection:{channel}")
    assert row is not None
    return row.number


def _without(world: World, name: str, ceiling: Tlp = Tlp.CLEAR) -> Any:
    """The same terms, but the agreement lets nothing stricter than `ceiling` go."""
    changed = [
        replace(a, send=replace(a.send, ceiling=ceiling)) if a.id == name and a.send else a
        for a in world.terms.agreements
    ]
    return replace(world.terms, agreements=tuple(changed))


def test_a_lower_ceiling_is_told_too_under_the_label_that_it_had(world: Told) -> None:
    """Who had it learns it though nothing under that label may go there any more; a member who comes later does not."""
    made = indicator()
    world.give("ccc/alertes", made)
    world.follow(_without(world, "reseau"))
    assert world.told("circl") == [made["id"]]
    (note,) = world.notices("circl")
    assert note["object_marking_refs"] == [TLP2_ID[Tlp.GREEN]]
    late = replace(world.terms.peers["circl"], id="tard", name="Tard")
    widened = replace(
        world.terms,
        peers={**world.terms.peers, "tard": late},
        agreements=tuple(replace(a, parties=(*a.parties, "tard")) for a in world.terms.agreements),
        collections={
            **world.terms.collections,
            SHARED: replace(world.terms.collections[SHARED], readers=("ccc", "cert-ee", "circl", "tard")),
        },
    )
    world.follow(widened)
    assert world.told("tard") == []
    assert world.told("circl") == []


def test_a_member_who_comes_later_reads_what_it_could_have_had(world: Told) -> None:
    made = indicator()
    world.give("ccc/alertes", made)
    world.after()
    world.give("ccc/alertes", tighter(made))
    late = replace(world.terms.peers["circl"], id="tard", name="Tard")
    world.follow(
        replace(
            world.terms,
            peers={**world.terms.peers, "tard": late},
            agreements=tuple(replace(a, parties=(*a.parties, "tard")) for a in world.terms.agreements),
            collections={
                **world.terms.collections,
                SHARED: replace(world.terms.collections[SHARED], readers=("ccc", "cert-ee", "circl", "tard")),
            },
        )
    )
    assert world.told("circl") == [made["id"]]


def test_the_creators_revocation_is_passed_on_and_nothing_else_is_said(world: Told) -> None:
    made = indicator(created_by_ref="identity--0f1c9c1e-7a53-4c39-9d0f-2f8d5f6f8f11")
    world.give("ccc/alertes", made)
    world.after()
    world.give("ccc/alertes", {**tighter(made, Tlp.GREEN), "revoked": True})
    assert world.notices("circl") == []
    assert any(each.get("revoked") for each in world.bodies("circl"))


def test_fold_and_promotion_say_nothing_and_the_end_of_the_last_twin_does(world: Told) -> None:
    """R23: whoever stands in front changes, the fact stays; when it goes, what was listed of it is recalled."""
    first, second = indicator("a.example"), {**indicator("a.example"), "id": indicator("x.example")["id"]}
    world.give("ccc/alertes", first)
    world.give("maison/fichiers", second)
    assert world.listed("cert-ee", FOLDED) == [first["id"]]
    world.after()
    world.give("ccc/alertes", tighter(first))
    assert world.told("cert-ee", FOLDED) == [first["id"]]
    assert second["id"] in world.listed("cert-ee", FOLDED)
    world.after()
    world.give("maison/fichiers", tighter(second))
    assert set(world.told("cert-ee", FOLDED)) == {first["id"], second["id"]}


def test_the_end_of_an_agreement_suspends_and_recalls_nothing(world: Told) -> None:
    """R19: renewal resumes the same listing."""
    world.give("ccc/alertes", indicator())
    world.pass_time(timedelta(days=500))
    assert world.notices("circl") == []


def test_a_retired_audience_is_told_nothing(world: Told) -> None:
    world.give("ccc/alertes", indicator())
    before = world.rules.audiences
    world.follow(replace(world.terms, collections={FOLDED: world.terms.collections[FOLDED]}))
    with world.store.reading() as tx:
        known = audiences.everyone(tx)
        gone = [known[a.key].number for a in before if a.channel == f"collection:{SHARED}"]
        assert all(blocks_left(tx, each) == 0 for each in gone)


def blocks_left(tx: Any, audience: int) -> int:
    """How many rows stand open there."""
    return len(pages.index(tx, audience, pages.Query(now=micros(NOW), limit=10)).entries)


def test_what_began_and_ended_at_once_was_never_to_be_fetched(world: Told) -> None:
    """A container whose content turns out stricter in the same envelope is judged twice in one transaction."""
    made = malware("m", tlp=Tlp.RED)
    world.give("ccc/alertes", report(made), made)
    assert world.notices("circl") == []


def test_it_goes_where_its_object_went_whatever_types_or_posts_are_listed_there(store: Store) -> None:
    """The channel's own filters are about objects; the notice is about one that was there."""
    narrow = collection(OPEN_WRITE, "salle", ("ccc", "circl"), writers=("ccc",), only_posted=True)
    typed = collection("b94e2b71-8a06-4f5d-b3c8-1e70f6a2c549", "typee", ("circl",), types=frozenset({"indicator"}))
    world = Told(store, terms(salle=narrow, typee=typed))
    posted, pulled = indicator("a.example"), indicator("b.example")
    world.give("ccc/post:salle", posted, posted=f"collection:{OPEN_WRITE}")
    world.give("ccc/alertes", pulled)
    world.after()
    world.give("ccc/post:salle", tighter(posted), posted=f"collection:{OPEN_WRITE}")
    world.give("ccc/alertes", tighter(pulled))
    assert world.told("circl", OPEN_WRITE) == [posted["id"]]
    assert pulled["id"] in world.told("circl", typed.id)


def test_a_delete_is_told_to_all_who_had_it_but_not_to_the_one_alone_who_said_so(store: Store) -> None:
    """R22 and R8: other readers had it too, and so the notice stands where the deleter reads as well."""
    room = collection(OPEN_WRITE, "salle", ("ccc", "circl", "maison"), writers=("ccc", "maison"))
    world = Told(store, terms(salle=room))
    theirs, ours = indicator("a.example"), indicator("b.example")
    world.give("ccc/post:salle", theirs, posted=f"collection:{OPEN_WRITE}")
    world.give("maison/post:salle", ours, posted=f"collection:{OPEN_WRITE}")
    world.after()
    world.take_out("ccc", theirs, OPEN_WRITE)
    world.take_out("maison", ours, OPEN_WRITE)
    assert set(world.told("circl", OPEN_WRITE)) == {theirs["id"], ours["id"]}
    assert world.bodies("circl", OPEN_WRITE) == world.bodies("ccc", OPEN_WRITE), "one audience, one listing"
    assert world.told("maison", OPEN_WRITE) == [theirs["id"]], "it is alone there, and said so itself"


def test_r22_what_others_said_of_it_is_listed_and_nothing_is_recalled(store: Store) -> None:
    room = collection(OPEN_WRITE, "salle", ("ccc", "circl"), writers=("ccc", "circl"))
    world = Told(store, terms(salle=room))
    made = indicator()
    world.give("ccc/post:salle", made, posted=f"collection:{OPEN_WRITE}")
    world.give("circl/post:salle", made, posted=f"collection:{OPEN_WRITE}")
    world.after()
    world.take_out("ccc", made, OPEN_WRITE)
    assert world.listed("circl", OPEN_WRITE) == [made["id"]]
    assert world.notices("circl", OPEN_WRITE) == []


def test_what_goes_from_several_at_one_instant_is_said_once(store: Store) -> None:
    """R35: one note, listed to each of them; what goes at another instant is another note."""
    own = collection("b94e2b71-8a06-4f5d-b3c8-1e70f6a2c549", "propre", ("circl",))
    world = Told(store, terms(propre=own))
    first, second = indicator("a.example"), indicator("b.example")
    world.give("ccc/alertes", first, second)
    for made in (first, second):
        world.after()
        world.give("ccc/alertes", tighter(made))
    assert world.notices("circl") == world.notices("circl", own.id)
    assert len({note["id"] for note in world.notices("circl")}) == 2
    assert all(note["id"].partition("--")[2][14] == "4" for note in world.notices("circl"))
    with store.reading() as tx:
        assert len(notices.about(tx, [first["id"], second["id"]])) == 2


@pytest.mark.parametrize("when", ["never", "before", "at_once", "behind"])
def test_r14_who_else_is_told_changes_no_byte(store: Store, when: str) -> None:
    """Another audience that had the same, and loses it earlier, at the same instant, later or never: circl reads the
    same bytes under the same dates as where there is no other.
    """
    other = "b94e2b71-8a06-4f5d-b3c8-1e70f6a2c549"
    found = []
    for there in (True, False):
        world = Told(emptied(store), _two_rooms(other if there else ""))
        with store.writing() as tx:
            audiences.set_note(tx, audiences.NODE_SECRET, "5e" * 32)
        items = [indicator(f"{n}.example") for n in range(5)]
        world.give("ccc/alertes", *items)
        # Each of the four moments is there in both worlds; in one of them the other room loses what it has.
        for moment_ in ("before", "at_once", "behind"):
            world.after()
            if moment_ == "at_once":
                world.give("ccc/alertes", tighter(items[0], after=LATER))
            low = there and moment_ == when
            world.follow(_two_rooms(other if there else "", low=low, tight=moment_ != "before"))
        found.append(_dated(world))
    assert found[0] == found[1]
    assert found[0][1].count(b'"id":"note--') == len(found[0][0]) == 5


def _two_rooms(other: str, *, low: bool = False, tight: bool = False) -> Any:
    """The usual terms, with another room for the same reader's neighbour; `tight`: nothing may go to the usual one."""
    made = terms()
    shelf = made.collections[SHARED]
    shelves = {SHARED: replace(shelf, ceiling=Tlp.CLEAR) if tight else shelf}
    if other:
        shelves[other] = replace(shelf, id=other, alias="autre", ceiling=Tlp.CLEAR if low else shelf.ceiling)
    return replace(made, collections=shelves)


def _dated(world: Told) -> tuple[list[int], bytes]:
    """All that circl reads in the usual room: the dates, and the bytes."""
    with world.store.reading() as tx:
        row = audiences.of_reader(tx, "circl", f"collection:{SHARED}")
        assert row is not None
        asked = pages.Query(now=micros(world.now), limit=1000)
        leaf = pages.page(tx, row.number, asked)
        return [each.added for each in pages.index(tx, row.number, asked).entries], b",".join(map(bytes, leaf.pieces))


def test_r14_the_reason_does_not_show(store: Store) -> None:
    """Whether its giver or the hidden word of its owner withdrew it: the notice says the same."""
    made = indicator(created_by_ref="identity--0f1c9c1e-7a53-4c39-9d0f-2f8d5f6f8f11")
    said = []
    for source in ("cert-ee/flux", "ccc/alertes"):
        world = Told(store, terms())
        world.give("cert-ee/flux", made)
        world.after()
        world.give(source, tighter(made))
        (note,) = world.notices("circl")
        said.append({name: value for name, value in note.items() if name != "id"})
        emptied(store)
    assert said[0] == said[1]


def test_what_others_hand_back_under_its_id_is_listed_to_nobody(world: Told) -> None:
    """Its id is known to those who were told; what they post under it is kept, and changes nothing."""
    made = indicator()
    world.give("ccc/alertes", made)
    world.after()
    world.give("ccc/alertes", tighter(made))
    (note,) = world.notices("circl")
    forged = {**note, "modified": "2026-11-21T12:03:00.000Z", "content": "forged"}
    world.after()
    world.give("circl/flux", forged)
    world.give("circl/flux", note)
    assert world.notices("circl") == [note]
    world.follow(replace(world.terms, agreements=(*world.terms.agreements, _more())))
    assert [each["id"] for each in world.notices("cert-ee")] == [note["id"]]


def _more() -> Any:
    return agreement("autre", "ccc", receive=Receive(ceiling=Tlp.GREEN), send=Send(ceiling=Tlp.GREEN))


def test_new_terms_leave_it_where_it_is(world: Told) -> None:
    """Nothing is decided about it: neither a ceiling nor a new default touches it."""
    made = indicator()
    world.give("ccc/alertes", made)
    world.after()
    world.give("ccc/alertes", tighter(made))
    before = world.notices("circl")
    world.follow(_without(world, "reseau", Tlp.AMBER))
    assert world.notices("circl") == before


def test_why_says_who_was_told_and_when(world: Told) -> None:
    made = indicator()
    world.give("ccc/alertes", made)
    world.after()
    world.give("ccc/alertes", tighter(made))
    (note,) = world.notices("circl")
    with world.store.noting() as tx:
        key = next(a.key for a in world.rules.audiences if a.channel == f"collection:{SHARED}" and "circl" in a.members)
        row = {"at": micros(world.now), "account": "circl-lecteur", "peer": "circl", "audience": key}
        row |= {"channel": f"collection:{SHARED}", "query": "", "first": 0, "last": micros(world.now) + 10**9}
        ledgers.note_reads(tx, [{**row, "count": 1}])
    found = explain(world.store, world.rules, made["id"], world.now)
    mine = [each for each in found.recalls if each.note == note["id"] and "circl" in each.members]
    assert [(each.channel, each.until, each.fetched[0][0]) for each in mine] == [
        (f"collection:{SHARED}", None, "circl-lecteur")
    ]
    of_note = explain(world.store, world.rules, note["id"], world.now)
    answers = of_note.statements[0].answers
    assert {(answer.verdict, answer.reasons) for answer in answers} == {("release", ("recall.notice",))}
    assert all(answer.listed is not None for answer in answers)
    assert {answer.channel for answer in answers} == {each.channel for each in found.recalls}


def test_what_says_another_fact_now_and_stands_behind_a_twin_is_recalled(world: Told) -> None:
    """In a fold collection its readers have the version before; the fact that it says now they have from another."""
    moved, front = indicator("a.example"), indicator("b.example")
    world.give("ccc/alertes", moved)
    world.give("circl/osint", front)
    assert set(world.listed("cert-ee", FOLDED)) == {moved["id"], front["id"]}
    world.after()
    at = (NOW + LATER).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
    world.give("ccc/alertes", {**moved, "modified": at, "pattern": front["pattern"]})
    assert world.listed("cert-ee", FOLDED) == [front["id"]]
    assert world.told("cert-ee", FOLDED) == [moved["id"]]
    assert world.told("cert-ee") == []  # where nothing folds, the new version is listed
    world.after()
    world.give("circl/osint", tighter(front, after=2 * LATER))
    assert moved["id"] in world.listed("cert-ee", FOLDED)
    assert world.told("cert-ee", FOLDED) == [front["id"]]


def test_what_only_looks_like_a_notice_goes_no_further(world: Told) -> None:
    """A version that cannot be read, an object that it does not refer to: a reader less strict than we might obey."""
    mine = indicator()
    world.give("ccc/alertes", mine)
    note = {
        "type": "note", "spec_version": "2.1", "id": "note--00000009-0000-4000-8000-000000000001",
        "created": "2026-11-01T00:00:00.000Z", "modified": "2026-11-01T00:00:00.000Z", "content": "c",
        "object_refs": [mine["id"]], "object_marking_refs": mine["object_marking_refs"],
        "extensions": {
            EXTENSION: {
                "extension_type": "property-extension", "id": mine["id"], "version": "always", "action": "withdrawn",
            }
        },
    }  # fmt: skip
    world.give("circl/flux", note)
    assert world.listed("cert-ee", recalls=True) == [mine["id"]]
