"""What goes in another form (RULES R12 to R16), on every engine: its fate is that of the original."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from exchange.model import lineage, stix
from exchange.model.marking import TLP2_ID, Tlp
from exchange.model.party import Expiry, Send, Terms
from exchange.model.recall import EXTENSION
from exchange.store import Store, audiences, micros, pages
from exchange.sync.expiring import expire
from exchange.sync.explain import explain
from exchange.sync.withdrawal import withdraw
from tests.sync.misp_reader import Shown, attribute, event_uuid, frame
from tests.world import (
    CCC_IDENTITY,
    FOLDED,
    NODE,
    NOW,
    OPEN_WRITE,
    SHARED,
    World,
    collection,
    emptied,
    indicator,
    malware,
    marked,
    relationship,
    terms,
)

LATER = timedelta(minutes=1)
FROM = "ccc/alertes"
LABELS = ["ccc", "phishing", 'lanterne:case="7"', 'misp:tool="other"']
"""A name, a word, a tag of the producer's own vocabulary, and one of everybody's."""
AMBER_PART = [{"marking_ref": TLP2_ID[Tlp.AMBER], "selectors": ["description"]}]


class Reading(World):
    """A world whose readers look at what they read."""

    def read(self, peer: str = "circl", channel: str = SHARED) -> list[dict[str, Any]]:
        """What `peer` reads, in order."""
        found: list[dict[str, Any]] = json.loads(b"[" + self.body(peer, channel) + b"]")
        return found

    def body(self, peer: str = "circl", channel: str = SHARED) -> bytes:
        """The bytes of it."""
        with self.store.reading() as tx:
            row = audiences.of_reader(tx, peer, f"collection:{channel}")
            assert row is not None
            leaf = pages.page(tx, row.number, pages.Query(now=micros(self.now), limit=10_000))
            return b",".join(bytes(piece) for piece in leaf.pieces)

    def one(self, peer: str = "circl") -> dict[str, Any]:
        """The only object that it reads, besides notices."""
        (found,) = [each for each in self.read(peer) if EXTENSION not in each.get("extensions", {})]
        return found

    def told(self, peer: str = "circl") -> list[str]:
        """What the notices are about that it reads."""
        extensions = [each.get("extensions", {}) for each in self.read(peer)]
        return [each[EXTENSION]["id"] for each in extensions if EXTENSION in each]

    def reasons(self, stix_id: str, member: str = "circl") -> tuple[str, ...]:
        """Why it is, or is not, in the shared collection for `member`."""
        found = explain(self.store, self.rules, stix_id, self.now).statements
        answers = next((each for each in found if each.held.stix_id == stix_id), found[-1]).answers
        return next(a.reasons for a in answers if member in a.members and a.channel == f"collection:{SHARED}")


def under(**clauses: Any) -> Terms:
    """The usual terms, with these clauses in what is sent."""
    given = terms()
    return replace(
        given, agreements=tuple(replace(a, send=a.send and replace(a.send, **clauses)) for a in given.agreements)
    )


def later(made: Mapping[str, Any], minutes: int, **more: Any) -> dict[str, Any]:
    """`made` in a later version."""
    return {**made, "modified": (NOW + minutes * LATER).strftime("%Y-%m-%dT%H:%M:%S.000Z"), **more}


def identity(name: str = "Canadian Centre") -> dict[str, Any]:
    """That of CCC."""
    made = {
        "type": "identity", "spec_version": "2.1", "id": CCC_IDENTITY, "created": "2026-01-01T00:00:00.000Z",
        "modified": "2026-01-01T00:00:00.000Z", "name": name, "identity_class": "organization",
    }  # fmt: skip
    return marked(made, Tlp.GREEN)


@pytest.fixture
def world(store: Store) -> Reading:
    """An agreement that redacts names."""
    return Reading(store, under(redact=frozenset({"name"})))


def test_a_redacted_object_is_a_new_one(world: Reading) -> None:
    """STIX 2.1 section 3.5: new id, our identity as creator; dates and marks are the original's."""
    made = indicator(name="secret", created_by_ref=CCC_IDENTITY)
    world.give(FROM, made)
    found = world.one()
    assert found["id"] != made["id"]
    assert "name" not in found
    assert found["created_by_ref"] == NODE
    same = ("created", "modified", "object_marking_refs", "pattern", "valid_from")
    assert {name: found[name] for name in same} == {name: made[name] for name in same}
    assert len(lineage.tokens(found)) == 1
    assert stix.parse(json.dumps(found).encode()).id == found["id"]
    assert world.reasons(made["id"]) == world.reasons(found["id"]) == ("release.agreement", "transform.redact")


def test_what_needs_no_change_goes_as_it_is(world: Reading) -> None:
    made = indicator()
    world.give(FROM, made)
    assert world.one()["id"] == made["id"]


def test_a_later_version_follows_under_the_same_id(world: Reading) -> None:
    made = indicator(name="secret")
    world.give(FROM, made)
    first = world.one()
    world.now += LATER
    world.give(FROM, later(made, 1, name="other", description="more"))
    found = world.one()
    assert (found["id"], found["description"]) == (first["id"], "more")
    assert found["modified"] > first["modified"]
    assert world.told() == []


def test_the_form_of_the_newest_version_is_that_of_all(world: Reading) -> None:
    """Whoever had it under one id is told when it goes on under the other."""
    made = indicator(name="secret")
    world.give(FROM, made)
    altered = world.one()
    world.now += LATER
    world.give(FROM, later({n: v for n, v in made.items() if n != "name"}, 1))
    assert world.one()["id"] == made["id"]
    assert world.told() == [altered["id"]]


def test_r8_under_whichever_agreement_its_versions_go_it_has_one_id(store: Store) -> None:
    """Each agreement makes ids of its own: an older version under another would never learn that it is revoked."""
    given = terms()
    (reseau,) = given.agreements
    wide = replace(reseau, id="large", end=NOW.date() + timedelta(days=30))
    wide = replace(wide, receive=None, send=Send(ceiling=Tlp.AMBER, redact=frozenset({"name", "description"})))
    narrow = replace(reseau, send=Send(ceiling=Tlp.GREEN, redact=frozenset({"name"}), onward=True))
    room = replace(given.collections[SHARED], ceiling=Tlp.AMBER)
    given = replace(given, agreements=(narrow, wide), collections={**given.collections, SHARED: room})
    world = Reading(store, given)
    made = indicator(name="secret", description="long")
    world.give(FROM, {**made, "object_marking_refs": [TLP2_ID[Tlp.AMBER]]})
    first = world.one()
    world.now += LATER
    world.give(FROM, later(made, 1))
    second = world.one()
    assert (second["id"] != first["id"], "description" in second) == (True, True)
    assert world.told() == [first["id"]]
    world.now += LATER
    world.give(FROM, later(made, 2, revoked=True))
    assert (world.one()["id"], world.one()["revoked"]) == (second["id"], True)


@pytest.mark.parametrize("minutes", [-1, 1])
def test_r5_no_opinion_changes_under_which_id_the_owners_words_go(store: Store, minutes: int) -> None:
    """In which form ever it would go itself, and however new it is: nothing is withdrawn by it."""
    world = Reading(store)
    made = indicator(created_by_ref=CCC_IDENTITY)
    world.give(FROM, made)
    before = world.body()
    world.now += LATER
    world.give("circl/feed", later(made, minutes, description="sent to jeanne.tremblay@ville.example"))
    assert world.body() == before


def test_a_stricter_mark_recalls_it(world: Reading) -> None:
    """R8: by the id that they know."""
    made = indicator(name="secret")
    world.give(FROM, made)
    altered = world.one()
    world.now += LATER
    world.give(FROM, later(made, 1, object_marking_refs=[TLP2_ID[Tlp.RED]]))
    assert world.told() == [altered["id"]]
    assert made["id"].encode() not in world.body()


def test_the_creators_revocation_is_passed_on(world: Reading) -> None:
    made = indicator(name="secret")
    world.give(FROM, made)
    altered = world.one()
    world.now += LATER
    world.give(FROM, later(made, 1, revoked=True))
    found = world.one()
    assert (found["id"], found["revoked"]) == (altered["id"], True)


def test_another_clause_makes_another_object(world: Reading) -> None:
    """What they have is recalled, and comes again in the form that the new terms want."""
    made = indicator(name="secret", description="long")
    world.give(FROM, made)
    altered = world.one()
    world.now += LATER
    world.follow(under(redact=frozenset({"name", "description"})))
    found = world.one()
    assert found["id"] not in (altered["id"], made["id"])
    assert "description" not in found
    assert world.told() == [altered["id"]]
    world.now += LATER
    world.follow(terms())
    assert world.one()["id"] == made["id"]


def test_to_adopt_the_same_terms_again_changes_nothing(world: Reading) -> None:
    world.give(FROM, indicator(name="secret"))
    before = world.body()
    world.now += LATER
    given = world.terms
    world.follow(replace(given, agreements=tuple(replace(a, purpose="another") for a in given.agreements)))
    assert world.body() == before


def test_it_expires_with_the_original(store: Store) -> None:
    ageing = Expiry(types=frozenset({"indicator"}))
    world = Reading(store, replace(under(redact=frozenset({"name"})), expiry=(ageing,)))
    made = indicator(name="secret", valid_until="2026-11-21T12:30:00Z")
    world.give(FROM, made)
    altered = world.one()
    world.now += timedelta(hours=1)
    expire(world.store, world.rules, lambda: world.now, lambda: False)
    assert world.told() == [altered["id"]]


def test_what_its_giver_takes_back_is_taken_back(world: Reading) -> None:
    """R22, here of what was posted: the altered object goes with it."""
    made = indicator(name="secret")
    world.give(FROM, made, posted=f"collection:{SHARED}")
    altered = world.one()
    world.now += LATER
    with world.store.reading() as tx:
        row = audiences.of_reader(tx, "ccc", f"collection:{SHARED}")
    assert row is not None
    withdraw(
        world.store, world.rules, peer="ccc", audience=row.key, stix_id=made["id"],
        versions=pages.Versions(every=True), now=world.now,
    )  # fmt: skip
    assert world.told() == [altered["id"]]


def test_the_order_of_arrival_does_not_matter_to_ids(store: Store) -> None:
    """R15: ids are made of the class of recipients and the original."""
    made, other = indicator("a.example", name="one"), indicator("b.example", name="two")
    found = []
    for order in ((made, other), (other, made)):
        emptied(store)
        with store.writing() as tx:
            audiences.set_note(tx, audiences.NODE_SECRET, "5e" * 32)
        world = Reading(store, under(redact=frozenset({"name"})))
        for each in order:
            world.give(FROM, each)
        found.append({each["pattern"]: each["id"] for each in world.read()})
    assert found[0] == found[1]
    assert len(set(found[0].values())) == 2


def test_a_part_that_is_not_for_them_is_removed(store: Store) -> None:
    """R12: granular marks join in unless the transform removes what they mark."""
    made = indicator(description="for few", granular_markings=AMBER_PART)
    world = Reading(store)
    world.give(FROM, made)
    assert world.read() == [], "it joins in"
    world.follow(under(granular="remove"))
    found = world.one()
    assert found["id"] != made["id"]
    assert not {"description", "granular_markings"} & found.keys()
    assert b"for few" not in world.body()
    assert world.reasons(made["id"]) == ("release.agreement", "transform.granular")


def test_what_is_left_without_a_part_is_as_sure_as_the_whole(store: Store) -> None:
    """R12: less of it is no surer, so `send.confidence` asks of it what it asks of the whole."""
    world = Reading(store, under(granular="remove", confidence=50, unrated=True))
    world.give(FROM, indicator(description="for few", granular_markings=AMBER_PART, confidence=10))
    assert world.read() == []


def test_a_contradiction_makes_the_parts_count_for_the_whole(store: Store) -> None:
    """The same version came again without its granular mark, but stricter: nobody can say what is meant."""
    world = Reading(store, under(granular="remove"))
    made = indicator(description="for few", granular_markings=AMBER_PART)
    world.give(FROM, made)
    assert world.one()
    world.now += LATER
    plain = {name: value for name, value in made.items() if name != "granular_markings"}
    world.give(FROM, {**plain, "object_marking_refs": [TLP2_ID[Tlp.RED]]})
    assert [each["id"] for each in world.read() if "pattern" in each] == []


def test_an_anonymous_partner_sees_pseudonyms_only(store: Store) -> None:
    """No byte of the producer: neither its id, nor its name, nor its domain, in whatever order they come."""
    world = Reading(store, under(attribution="anonymous"))
    text = "Canadian Centre saw it, see https://alerts.ccc.example/7 or ask ccc@ccc.example. CCC."
    made = indicator(created_by_ref=CCC_IDENTITY, description=text, labels=LABELS)
    family = malware("Bad", created_by_ref=CCC_IDENTITY)
    world.give(
        FROM, made, identity(), family, {**relationship(made, family, tlp=Tlp.GREEN), "created_by_ref": CCC_IDENTITY}
    )
    body = world.body().lower()
    for part in (CCC_IDENTITY[10:], "canadian centre", '"ccc', "ccc.", made["id"], family["id"]):
        assert part.encode() not in body, part
    found = {each["type"]: each for each in world.read()}
    assert found["indicator"]["created_by_ref"] == found["identity"]["id"] == found["malware"]["created_by_ref"]
    assert found["identity"]["name"].endswith(found["identity"]["id"][-12:])
    assert found["indicator"]["labels"] == ["phishing", 'misp:tool="other"']
    assert found["relationship"]["source_ref"] == found["indicator"]["id"]
    assert found["relationship"]["target_ref"] == found["malware"]["id"]
    assert all(found["identity"]["object_marking_refs"] == each["object_marking_refs"] for each in found.values())


def test_a_producer_whom_nobody_knows_waits_for_its_identity(store: Store) -> None:
    """Its name cannot be taken out before somebody tells it."""
    world = Reading(store, under(attribution="anonymous"))
    stranger = "identity--7d1c2f40-9b58-4e0b-8a4e-2f5a6c0d9b37"
    made = indicator(created_by_ref=stranger, description="By Zeta Labs")
    world.give(FROM, made)
    assert world.read() == []
    assert world.reasons(made["id"]) == ("transform.producer_unknown",)
    world.now += LATER
    world.give(FROM, {**identity("Zeta Labs"), "id": stranger})
    assert {each["type"] for each in world.read()} == {"identity", "indicator"}
    assert b"zeta" not in world.body().lower()


def test_our_own_objects_keep_our_name(store: Store) -> None:
    world = Reading(store, under(attribution="anonymous"))
    made = indicator(created_by_ref=NODE)
    world.give("maison/misp", made)
    assert world.one()["id"] == made["id"]


def test_a_misp_target_gets_nothing_of_a_hidden_producer(store: Store) -> None:
    """What names nobody goes to readers as it is; over MISP it would stand in an event, which is somebody's."""
    given = under(attribution="anonymous")
    (target,) = given.peers["ccc"].targets
    peers = {**given.peers, "ccc": replace(given.peers["ccc"], targets=(replace(target, kind="misp"),))}
    world = Reading(store, replace(given, peers=peers))
    made, ours = indicator(), indicator("b.example", created_by_ref=NODE)
    world.give("circl/feed", made)
    world.give("maison/misp", ours)
    assert world.listed("cert-ee") == [made["id"], ours["id"]]
    assert world.waiting() == [ours["id"]]
    (found,) = explain(store, world.rules, made["id"], world.now).statements
    assert [a.reasons for a in found.answers if a.channel == "target:ccc/depot"] == [("transform.misp",)]


def test_personal_information_stays_in_quebec(store: Store) -> None:
    """Where an agreement says nothing it is stripped, unless all parties are our own house or in Québec."""
    made = indicator(description="sent to jeanne.tremblay@ville.example")
    world = Reading(store)
    world.give(FROM, made)
    found = world.one()
    assert found["id"] != made["id"]
    assert b"tremblay" not in world.body()
    given = terms()
    near = {name: replace(peer, jurisdiction="CA-QC") for name, peer in given.peers.items()}
    world.now += LATER
    world.follow(replace(given, peers=near))
    assert world.one()["description"] == made["description"]
    world.now += LATER
    world.follow(under(personal="hold"))
    assert [each for each in world.read() if "pattern" in each] == []
    assert world.reasons(made["id"]) == ("personal.review",)


def test_it_comes_back_and_goes_nowhere(world: Reading) -> None:
    """R16: what carries our token is filed under its original, and who gave it does not get that again."""
    made = indicator(name="secret")
    world.give(FROM, made)
    altered = world.one()
    world.now += LATER
    world.give("circl/feed", {**altered, "id": "indicator--3f0c6d8e-52b1-4c7a-9e44-0d9a1b7c5e62", "labels": ["theirs"]})
    world.give("circl/feed", altered)
    assert [each["id"] for each in world.read("cert-ee")] == [altered["id"]]
    assert world.reasons("indicator--3f0c6d8e-52b1-4c7a-9e44-0d9a1b7c5e62") == ("lineage.returned",)


def test_another_nodes_token_is_kept(world: Reading) -> None:
    token = "ab" * 32
    extension = {lineage.EXTENSION: {"extension_type": "property-extension", "tokens": [token]}}
    world.give(FROM, indicator(name="secret", extensions=extension))
    assert lineage.tokens(world.one())[0] == token
    assert len(lineage.tokens(world.one())) == 2


def test_past_four_nodes_it_is_refused(world: Reading) -> None:
    tokens = [f"{number:064x}" for number in range(4)]
    made = indicator(
        name="secret", extensions={lineage.EXTENSION: {"extension_type": "property-extension", "tokens": tokens}}
    )
    world.give(FROM, made)
    assert world.read() == []
    assert world.reasons(made["id"]) == ("transform.lineage",)


def test_whoever_posts_it_alone_reads_back_what_they_wrote(store: Store) -> None:
    """R3: nothing is altered for them; and where others read too, the answer names their own id."""
    given = under(redact=frozenset({"name"}))
    letterbox = collection(OPEN_WRITE, "boite", ("circl",), writers=("circl",))
    world = Reading(store, replace(given, collections={**given.collections, OPEN_WRITE: letterbox}))
    made, other = indicator(name="secret"), indicator("b.example", name="secret")
    world.give("circl/post", made, posted=f"collection:{OPEN_WRITE}")
    assert [each["id"] for each in world.read("circl", OPEN_WRITE)] == [made["id"]]
    accepted = world.give("circl/post", other, posted=f"collection:{SHARED}")
    assert [stix_id for stix_id, _ in accepted.listed] == [other["id"]]


def test_a_target_gets_the_altered_object(store: Store) -> None:
    """What waits in an outbox is what was made."""
    world = Reading(store, under(redact=frozenset({"name"})))
    made = indicator(name="secret")
    world.give("circl/feed", made)
    (waits,) = world.waiting()
    assert waits == world.one("cert-ee")["id"] != made["id"]


def test_what_folds_folds_in_another_form(store: Store) -> None:
    """R23: the fact of an altered object is its original's."""
    world = Reading(store, under(redact=frozenset({"name"})))
    one = indicator(name="one")
    two = indicator(name="two", id_="indicator--7e9f6a3c-4b1d-4f8e-9c2a-5d0b8e7f6a11")
    world.give("circl/feed", one)
    world.give("circl/other", two)
    (front,) = world.read("cert-ee", FOLDED)
    assert front["id"] == world.read("cert-ee")[0]["id"]
    assert len(world.read("cert-ee")) == 2


def test_what_is_unmarked_without_its_parts_borrows_no_mark_of_a_later_version(store: Store) -> None:
    """R11, R12: what is left of it is unmarked, and held, whatever its next version says of itself."""
    world = Reading(store, under(granular="remove"))
    part = {"description": "for few", "granular_markings": AMBER_PART}
    world.give(FROM, indicator(tlp=None, **part))
    world.give(FROM, later(indicator(tlp=Tlp.GREEN, **part), 1, name="later"))
    assert len(world.listed("circl", versions=pages.Versions(every=True))) == 1


def test_a_later_version_that_is_unmarked_without_its_parts_takes_the_older_ones_along(store: Store) -> None:
    """R8: the newest version governs those before it, without its parts too."""
    world = Reading(store, under(granular="remove"))
    part = {"description": "for few", "granular_markings": AMBER_PART}
    world.give(FROM, indicator(**part))
    assert len(world.read()) == 1
    world.now += LATER
    world.give(FROM, later(indicator(tlp=None, **part), 1, description="for fewer"))
    assert [item for item in world.read() if EXTENSION not in item.get("extensions", {})] == []


def test_over_misp_it_stands_in_the_event_of_the_original(store: Store) -> None:
    """R26: beside what goes as it is, led by whoever gave it; an altered frame gives the event another uuid."""
    world = Reading(store)
    first, second = attribute("a.example", comment="sent to jeanne.tremblay@ville.example"), attribute("b.example")
    world.give(FROM, frame(0, first, second, info="Seen at jeanne.tremblay@ville.example"), first, second)
    shown = Shown(world, "circl")
    (event,) = shown.events().values()
    assert event["uuid"] != event_uuid(0)
    assert event["info"].startswith("Seen at ") and "tremblay" not in json.dumps(event)
    found = {each["value"]: each["uuid"] for each in event["Attribute"]}
    assert found["b.example"] == second["id"].partition("--")[2]
    assert found["a.example"] not in ("", first["id"].partition("--")[2])
    world.give("circl/feed", seen(first))
    (sighting,) = shown.sightings()
    assert sighting["attribute_uuid"] == found["a.example"]
    assert shown.index(fresh=True).etag == shown.index().etag


def test_r5_nobody_keeps_anothers_words_from_a_partner_by_a_token(world: Reading) -> None:
    """Whoever reads an altered object has its token. On something of a third one it says nothing of that one."""
    made, other = indicator(name="secret"), indicator("b.example")
    world.give("circl/feed", made)
    world.give(FROM, other)
    waiting = world.waiting()
    assert waiting != []
    world.now += LATER
    (copy,) = [each for each in world.read("cert-ee") if each["pattern"] == made["pattern"]]
    token = {lineage.EXTENSION: copy["extensions"][lineage.EXTENSION]}
    world.give("cert-ee/x", later(other, 1, name="mine", extensions=token))
    assert world.waiting() == waiting
    world.give(FROM, {**copy, "id": "indicator--7e9f6a3c-4b1d-4f8e-9c2a-5d0b8e7f6a11"})
    assert world.waiting() == [], "who gives it back itself has it (R3)"


def seen(of: Mapping[str, Any]) -> dict[str, Any]:
    """A sighting of it."""
    made = {
        "type": "sighting", "spec_version": "2.1", "id": "sighting--00000001-0000-4000-8000-000000000000",
        "created": "2026-11-01T00:00:00.000Z", "modified": "2026-11-01T00:00:00.000Z", "sighting_of_ref": of["id"],
    }  # fmt: skip
    return marked(made, Tlp.GREEN)
