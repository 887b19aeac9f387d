"""Links: what may be one is suggested with a reason; a person's word can be taken back, and changes nothing served."""

from __future__ import annotations

import json
import uuid
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from exchange.errors import UsageError
from exchange.model.marking import Tlp
from exchange.store import Store, audiences, open_store, tables
from exchange.store import links as said
from exchange.sync import links
from exchange.sync.links import Suggestion
from exchange.sync.rekeying import rekey
from exchange.sync.showing import show, suggested
from tests.serve.house import MANIFEST, OBJECTS
from tests.serve.wire import EVENT, Misp, attribute, event, house_of
from tests.sync.test_showing import file
from tests.world import CCC_IDENTITY, FOLDED, NOW, World, emptied, malware, marked

APT, OTHER = malware("Vigne Folle"), malware("vigne  folle")
WHO = ("A. N.", "we compared them", NOW)


def known_as(name: str, number: int, **more: Any) -> dict[str, Any]:
    """A malware of this name, under an id of its own."""
    return {**malware(name), "id": f"malware--5c4e0000-0000-4000-8000-{number:012d}", **more}


def own(number: str, source: str = "acme") -> dict[str, Any]:
    return {"external_references": [{"source_name": source, "external_id": number}]}


def page(world: World, after: str = "", most: int = 50) -> links.Page:
    with world.store.reading() as tx:
        return links.suggest(tx, world.rules, after=after, most=most)


def told(world: World, *asked: str) -> set[tuple[str, str, bool]]:
    """(other, code, certain) of what is suggested of these."""
    with world.store.reading() as tx:
        found = [*links.certain(tx, world.rules, asked), *links.suggest_of(tx, world.rules, asked)]
    return {(each.other if each.one in asked else each.one, each.code, each.certain) for each in found}


def pairs(found: links.Page) -> set[frozenset[str]]:
    return {frozenset((each.one, each.other)) for each in found.suggestions}


def test_a_name_is_a_suggestion_and_never_more(store: Store) -> None:
    """Without regard to case and white space, of one type; the one that we have known longer first."""
    world = World(store)
    world.give("cert-ee/feed", APT, malware("another"))
    world.give("circl/files", OTHER, {**malware("x"), "type": "tool", "id": "tool--" + str(uuid.UUID(int=1, version=4)),
                                      "name": "Vigne folle"})  # fmt: skip
    (found,) = page(world).suggestions
    assert found == Suggestion(one=APT["id"], other=OTHER["id"], code="link.same_name", fields={"name": "vigne folle"})
    assert told(world, APT["id"]) == {(OTHER["id"], "link.same_name", False)}
    assert told(world, OTHER["id"]) == {(APT["id"], "link.same_name", False)}


def test_the_creator_s_own_external_id_is_certain_and_another_s_is_not(memory: Store) -> None:
    """The same creator by its id, or by its owner; nobody named is nobody's own."""
    world = World(memory)
    world.give("ccc/x", known_as("a", 1, created_by_ref=CCC_IDENTITY, **own("M-1")))
    world.give("ccc/x", known_as("b", 2, created_by_ref=CCC_IDENTITY, **own("m-1")))
    world.give(
        "circl/x", known_as("c", 3, created_by_ref="identity--" + str(uuid.UUID(int=3, version=4)), **own("M-1"))
    )
    world.give("circl/x", known_as("d", 4, **own("M-1")), known_as("e", 5, **own("M-1", "elsewhere")))
    first, second, third, fourth = (known_as("", n)["id"] for n in (1, 2, 3, 4))
    assert told(world, first) == {
        (second, "link.own_id", True), (third, "link.external_id", False), (fourth, "link.external_id", False),
    }  # fmt: skip
    assert not any(each.certain for each in page(world).suggestions), "what is certain needs no suggestion"


def test_a_foreign_id_is_certain_until_somebody_refuses_it(memory: Store) -> None:
    world = World(memory)
    foreign = known_as("a", 1)
    world.give("cert-ee/feed", foreign)
    world.give("circl/x", known_as("b", 2, x_opencti_stix_ids=[foreign["id"]]))
    other = known_as("", 2)["id"]
    assert told(world, foreign["id"]) == {(other, "link.alias", True)}
    assert told(world, other) == {(foreign["id"], "link.alias", True)}
    (fact,) = show(memory, world.rules, other, NOW).facts
    assert [(each.stix_id, each.reason and each.reason.code) for each in fact.tied] == [(foreign["id"], "link.alias")]
    links.refuse(memory, foreign["id"], other, *WHO)
    assert told(world, other) == told(world, foreign["id"]) == set()


def test_names_of_a_store_that_another_release_filled(store: Store) -> None:
    """They are written with the other keys, once, beside those that have come meanwhile."""
    world = World(store)
    world.give("cert-ee/feed", APT)
    with store.writing() as tx:
        tx.execute(tables.name.delete())
        for note in ("fact_keys", "fact_keys_listed"):
            audiences.set_note(tx, note, "1")
    world.give("circl/files", OTHER)
    assert page(world).suggestions == []
    rekey(store)
    assert pairs(page(world)) == {frozenset((APT["id"], OTHER["id"]))}


def test_a_weak_hash_is_a_suggestion_unless_a_strong_one_differs(memory: Store) -> None:
    world = World(memory)
    md5 = "d" * 32
    world.give("cert-ee/feed", file(1, MD5=md5), file(2, MD5=md5, SHA_256="a" * 64), file(3, MD5=md5, SHA_256="b" * 64))
    ids = [file(number)["id"] for number in (1, 2, 3)]
    assert told(world, ids[0]) == {(each, "link.weak_hash", False) for each in ids[1:]}
    assert pairs(page(world)) == {frozenset((ids[0], each)) for each in ids[1:]}
    assert told(world, ids[1]) == {(ids[0], "link.weak_hash", False)}, "two strong hashes that differ are two files"


def test_many_with_one_name_are_suggested_once_each(memory: Store) -> None:
    """Of 49 ids of one organisation, 48 pairs and not 1,176."""
    world = World(memory)
    world.give("cert-ee/feed", *(known_as("CERT", n) for n in range(49)))
    found = page(world).suggestions
    assert len(found) == 48
    assert len({end for each in found for end in (each.one, each.other)}) == 49


def test_pages_follow_each_other_to_the_end(memory: Store) -> None:
    world = World(memory)
    world.give("cert-ee/feed", *(known_as(f"m{n // 2:03d}", n) for n in range(80)),
               file(1, MD5="e" * 32), file(2, MD5="e" * 32, SHA_256="a" * 64))  # fmt: skip
    found, after = set[frozenset[str]](), ""
    for _ in range(100):
        each = page(world, after, 7)
        assert not found & pairs(each)
        found |= pairs(each)
        after = each.after
        if not after:
            break
    assert found == pairs(page(world, most=1000))
    assert len(found) == 41
    with pytest.raises(UsageError):
        page(world, "nowhere")


def test_accepted_refused_taken_back(store: Store) -> None:
    """What was decided is not suggested again, until it is taken back; every word is kept with who and why."""
    world = World(store)
    world.give("cert-ee/feed", APT, OTHER)
    both = said.pair(APT["id"], OTHER["id"])
    links.accept(store, APT["id"], OTHER["id"], *WHO)
    assert page(world).suggestions == []
    tied = show(store, world.rules, APT["id"], NOW).facts[0].tied
    assert [(each.stix_id, each.word and each.word.why) for each in tied] == [(OTHER["id"], "we compared them")]
    links.undo(store, OTHER["id"], APT["id"], "B. N.", "too soon", NOW)
    assert len(page(world).suggestions) == 1
    links.refuse(store, OTHER["id"], APT["id"], *WHO)
    assert page(world).suggestions == []
    assert show(store, world.rules, APT["id"], NOW).facts[0].tied == []
    with store.reading() as tx:
        words = said.words(tx)
    assert [(word.state, word.who, (word.one, word.other)) for word in words] == [
        ("refused", "A. N.", both), ("undone", "B. N.", both), ("accepted", "A. N.", both),
    ]  # fmt: skip


def test_links_lead_from_one_to_the_next(memory: Store) -> None:
    """A is B and B is C: A is told with both, and with neither when the first is taken back."""
    world = World(memory)
    a, b, c = (known_as(name, n) for n, name in enumerate("abc"))
    world.give("cert-ee/feed", a, b, c)
    links.accept(memory, a["id"], b["id"], *WHO)
    links.accept(memory, c["id"], b["id"], *WHO)

    def tied() -> set[str]:
        return {each.stix_id for each in show(memory, world.rules, a["id"], NOW).facts[0].tied}

    assert tied() == {b["id"], c["id"]}
    links.undo(memory, a["id"], b["id"], *WHO)
    assert tied() == set()


def test_what_cannot_be_linked(memory: Store) -> None:
    world = World(memory)
    world.give("cert-ee/feed", APT)
    for one, other, code in (
        (APT["id"], APT["id"], "cli.links.same"),
        (APT["id"], OTHER["id"], "cli.links.unknown"),
        ("nothing", APT["id"], "cli.links.unknown"),
    ):
        with pytest.raises(UsageError) as caught:
            links.accept(memory, one, other, *WHO)
        assert caught.value.code == code
    with pytest.raises(UsageError) as caught:
        links.undo(memory, APT["id"], OTHER["id"], *WHO)
    assert caught.value.code == "cli.links.nothing"


IDS = [known_as("x", n)["id"] for n in range(4)]
MOVES = st.lists(
    st.tuples(st.sampled_from([links.accept, links.refuse, links.undo]), st.permutations(IDS).map(lambda ids: ids[:2])),
    max_size=12,
)
_STORE = open_store("sqlite://")


@settings(max_examples=60)
@given(before=MOVES, word=st.sampled_from([links.accept, links.refuse]), both=st.permutations(IDS).map(lambda i: i[:2]))
def test_undo_is_the_inverse_of_every_word(before: Any, word: Any, both: Any) -> None:
    """Whatever was said before: after a word and its undoing all is as it was, in the links and in what is told."""
    world = World(emptied(_STORE))
    world.give("cert-ee/feed", *(known_as("x", n) for n in range(4)))
    for move, ends in before:
        try:
            move(_STORE, *ends, *WHO)
        except UsageError as error:
            assert error.code == "cli.links.nothing"

    def now() -> Any:
        with _STORE.reading() as tx:
            standing = {pair: word.state for pair, word in said.standing(tx, IDS).items()}
        shown = [show(_STORE, world.rules, stix_id, NOW).facts[0] for stix_id in IDS]
        return standing, [({t.stix_id for t in each.tied}, each.suggestions) for each in shown]

    as_it_was = now()
    word(_STORE, *both, *WHO)
    links.undo(_STORE, *reversed(both), *WHO)
    assert now() == as_it_was


def test_links_change_no_byte_that_anybody_receives(memory: Store) -> None:
    """Over TAXII and over MISP, listed and folded: the same answer, the same date, the same tag (R14)."""
    house = house_of(memory)
    assert Misp(house).push(event(attribute("a.example"))).status_code == 200
    one, other = known_as("Vigne", 1), known_as("vigne", 2)
    house.give(one, marked({**other, "x_opencti_stix_ids": [one["id"]]}, Tlp.GREEN))
    house.tick(seconds=5)
    paths = [OBJECTS, MANIFEST, f"/api/collections/{FOLDED}/objects/", f"{OBJECTS}{one['id']}/"]

    def everything() -> list[tuple[bytes, dict[str, str]]]:
        answers = [house.get(path, who) for path in paths for who in ("ccc", "cert-ee")]
        misp = Misp(house, "ccc")
        answers += [misp.post("/events/index", {"minimal": 1, "published": 1}), misp.get(f"/events/view/{EVENT}")]
        return [(each.content, dict(each.headers)) for each in answers]

    before = everything()
    assert any(one["id"].encode() in body for body, _ in before)
    links.accept(memory, one["id"], other["id"], *WHO)
    assert everything() == before
    links.undo(memory, one["id"], other["id"], *WHO)
    links.refuse(memory, one["id"], other["id"], *WHO)
    house.world.follow(house.world.terms)
    assert everything() == before


def test_suggestions_tell_by_what_a_person_knows_each(memory: Store) -> None:
    world = World(memory)
    world.give("cert-ee/feed", APT, OTHER)
    for asked in ("", "VIGNE folle", APT["id"]):
        found = suggested(memory, world.rules, asked)
        assert found.titles == {APT["id"]: "Vigne Folle", OTHER["id"]: "vigne folle"}
    assert json.dumps(found.titles)
