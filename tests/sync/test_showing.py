"""What an analyst is told of a fact: who says so, what is near it, what was seen of it, where it stands."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import select, update

from exchange.errors import ContentError
from exchange.model.confidence import Claim
from exchange.model.marking import Tlp
from exchange.model.party import Source
from exchange.store import Store, micros, tables
from exchange.sync import showing
from exchange.sync.beside import FEW
from exchange.sync.showing import FACTS, IDS, show
from exchange.sync.shown import Fact, Said, Shown
from tests.serve.wire import EVENT, Misp, attribute, event, house_of
from tests.sync.partners import with_sources
from tests.world import CCC_IDENTITY, NOW, World, indicator, malware, marked, relationship, report, terms

FILES = Source(peer="circl", id="files", kind="file")
FEED = Source(peer="cert-ee", id="feed", kind="taxii")
OTHER_ID = "indicator--5d2c9e14-33b1-4f0e-9a7b-6c1d2e3f4a5b"
LATER = NOW + timedelta(hours=1)


def world(store: Store) -> World:
    return World(store, with_sources(terms(), FILES, FEED))


def ask(world: World, asked: str, **more: Any) -> Shown:
    return show(world.store, world.rules, asked, world.now, **more)


def fact(world: World, asked: str) -> Fact:
    """The one fact that it comes to."""
    (found,) = ask(world, asked).facts
    return found


def by_source(found: Fact) -> Mapping[str, Said]:
    return {each.source: each for each in found.said}


def about(kind: str, number: int, of: Mapping[str, Any], **more: Any) -> dict[str, Any]:
    """A sighting, an opinion, a note of something."""
    ref = {"sighting_of_ref": of["id"]} if kind == "sighting" else {"object_refs": [of["id"]]}
    made = {
        "type": kind,
        "spec_version": "2.1",
        "id": f"{kind}--5c4e0000-0000-4000-8000-{number:012d}",
        "created": "2026-11-01T00:00:00.000Z",
        "modified": "2026-11-01T00:00:00.000Z",
        **ref,
        **more,
    }
    return marked(made, Tlp.GREEN)


def observed(value: str, number: int = 1) -> dict[str, Any]:
    """A domain name as an observable."""
    made = {"type": "domain-name", "spec_version": "2.1", "id": f"domain-name--5c4e0000-0000-4000-8000-{number:012d}"}
    return marked({**made, "value": value}, Tlp.GREEN)


def file(number: int, **hashes: str) -> dict[str, Any]:
    names = {name.replace("_", "-"): value for name, value in hashes.items()}
    made = {"type": "file", "spec_version": "2.1", "id": f"file--5c4e0000-0000-4000-8000-{number:012d}"}
    return marked({**made, "hashes": names}, Tlp.GREEN)


def test_one_fact_whoever_says_it_however_it_is_spelt(memory: Store) -> None:
    """Two sources, two ids, two spellings: one fact, the oldest word first, each as it was written."""
    here = world(memory)
    here.give("cert-ee/feed", indicator("evil.example"))
    here.now += timedelta(minutes=5)
    here.give("circl/files", indicator("EVIL[.]example", id_=OTHER_ID))
    for asked in (
        "evil.example", "hxxp nothing", "EVIL[.]EXAMPLE", indicator("evil.example")["id"], OTHER_ID,
        OTHER_ID.partition("--")[2], "[ domain-name:value='EVIL.example' ]",
    ):  # fmt: skip
        if asked == "hxxp nothing":
            assert not ask(here, asked).found
            continue
        found = fact(here, asked)
        assert [(each.source, each.stix_id) for each in found.said] == [
            ("cert-ee/feed", indicator("evil.example")["id"]),
            ("circl/files", OTHER_ID),
        ]
        assert (found.polarity, found.statements) == ("bad", 2)
    said = by_source(found)
    assert said["circl/files"].spelling == "[domain-name:value = 'EVIL[.]example']"
    assert said["circl/files"].notes == ("value.defanged",)
    assert (said["cert-ee/feed"].way, said["circl/files"].way) == ("pulled", "imported")
    assert said["circl/files"].since - said["cert-ee/feed"].since == timedelta(minutes=5)


def test_what_a_source_says_since_when_and_what_of_it_is_the_newest(memory: Store) -> None:
    here = world(memory)
    here.give("cert-ee/feed", indicator(confidence=30, valid_until="2027-01-01T00:00:00Z"))
    here.now = LATER
    here.give("cert-ee/feed", indicator(modified=LATER, confidence=85, name="Vigne folle"))
    (said,) = fact(here, "a.example").said
    assert (said.since, said.last, said.versions) == (NOW, LATER, 2)
    assert (said.version, said.name) == ("2026-11-21T13:00:00.000000Z", "Vigne folle")
    assert said.confidence == (Claim("stix", "85", 85),)
    assert (said.valid_until, said.levels, said.basis) == ("", ("TLP:GREEN",), "label.stated")


def test_by_whom_it_came(memory: Store) -> None:
    """The creator by its name, then who gave it; a creator that is the giver itself is told once."""
    here = world(memory)
    who = {"type": "identity", "spec_version": "2.1", "id": "identity--5c4e0000-0000-4000-8000-000000000001",
           "created": "2026-01-01T00:00:00.000Z", "modified": "2026-01-01T00:00:00.000Z",
           "name": "Far away"}  # fmt: skip
    here.give("cert-ee/feed", marked(who, Tlp.CLEAR), indicator(created_by_ref=who["id"]))
    here.give("ccc/x", indicator("b.example", created_by_ref=CCC_IDENTITY))
    assert fact(here, "a.example").said[0].path == ("Far away", "CERT-EE")
    assert fact(here, "b.example").said[0].path == ("CCC",)


def test_an_opinion_and_a_foreign_revocation_say_so(memory: Store) -> None:
    """R5: beside the owner's word, and never loosening it; the conflict of one source with itself is told too."""
    here = world(memory)
    own = indicator(created_by_ref=CCC_IDENTITY)
    here.give("ccc/x", own)
    here.give(
        "circl/files", indicator(created_by_ref=CCC_IDENTITY, modified=LATER - timedelta(minutes=58), revoked=True)
    )
    here.give("ccc/x", {**own, "name": "something else"})
    found = fact(here, own["id"])
    said = by_source(found)
    assert (said["ccc/x"].theirs, said["ccc/x"].opinion, said["ccc/x"].revoked) == (True, False, False)
    assert (said["circl/files"].opinion, said["circl/files"].foreign_revocation) == (True, True)
    assert [row["code"] for row in found.conflicts] == ["version.conflict"]


def test_what_is_revoked_is_still_found_under_its_fact(memory: Store) -> None:
    here = world(memory)
    here.give("cert-ee/feed", indicator())
    here.give("circl/files", indicator(id_=OTHER_ID))
    here.now = LATER
    here.give("circl/files", indicator(id_=OTHER_ID, modified=LATER, revoked=True))
    assert {source: each.revoked for source, each in by_source(fact(here, "a.example")).items()} == {
        "cert-ee/feed": False, "circl/files": True,
    }  # fmt: skip


def test_seen_is_near_bad_and_another_fact(memory: Store) -> None:
    here = world(memory)
    several = "[domain-name:value = 'a.example' OR domain-name:value = 'b.example']"
    here.give("cert-ee/feed", indicator(), observed("a.example"), indicator("c", pattern=several))
    first, second, third = ask(here, "a.example").facts
    assert (first.polarity, second.polarity, third.polarity) == ("bad", "seen", "bad")
    assert {each.how for each in first.near} == {"seen", "part"}
    assert {each.how for each in second.near} == {"bad", "part"}
    benign = indicator("d", pattern="[domain-name:value = 'a.example']", indicator_types=["benign"])
    here.give("circl/files", benign)
    assert "benign" in {each.how for each in ask(here, indicator()["id"]).facts[0].near}


def test_files_with_the_same_strong_hash_are_one_and_with_the_same_weak_hash_near(memory: Store) -> None:
    here = world(memory)
    md5, strong = "d" * 32, "a" * 64
    here.give("cert-ee/feed", file(1, MD5=md5, SHA_256=strong))
    here.give("circl/files", file(2, SHA_256=strong.upper()), file(3, MD5=md5))
    found = fact(here, file(1)["id"])
    assert {each.stix_id for each in found.said} == {file(1)["id"], file(2)["id"]}
    assert [(each.stix_id, each.how) for each in found.near] == [(file(3)["id"], "weak_hash")]
    assert {each.key for each in ask(here, md5).facts} == {found.key, fact(here, file(3)["id"]).key}


def test_sightings_of_every_twin_are_counted_for_each_source(memory: Store) -> None:
    """Times, not objects; the same sighting told twice by one source is one; false positives are apart."""
    here = world(memory)
    one, two = indicator(), indicator(id_=OTHER_ID)
    seen = about("sighting", 1, one, count=3, first_seen="2026-11-02T00:00:00Z", last_seen="2026-11-05T00:00:00Z")
    again = about("sighting", 2, two, first_seen="2026-11-09T00:00:00Z")
    here.give("cert-ee/feed", one, seen, again)
    here.give("cert-ee/feed", {**seen, "modified": "2026-11-10T00:00:00.000Z", "count": 4})
    here.give("circl/files", two, seen, about("opinion", 3, two, opinion="strongly-disagree"),
              about("opinion", 4, two, opinion="neutral", explanation="who knows", authors=["A. N."]))  # fmt: skip
    found = fact(here, "a.example")
    counted = {each.source: (each.sightings, each.false_positives, each.first, each.last) for each in found.sighted}
    assert counted == {
        "cert-ee/feed": (5, 0, "2026-11-02T00:00:00Z", "2026-11-09T00:00:00Z"),
        "circl/files": (3, 1, "2026-11-01T00:00:00.000Z", "2026-11-05T00:00:00Z"),
    }
    (remark,) = found.remarks
    assert (remark.opinion, remark.text, remark.authors) == ("neutral", "who knows", ("A. N.",))


def test_what_somebody_made_is_not_said_of_them(memory: Store) -> None:
    """A creator is named by everything it makes, and nothing of that is about it."""
    here = world(memory)
    who = {"type": "identity", "spec_version": "2.1", "id": CCC_IDENTITY, "created": "2026-01-01T00:00:00.000Z",
           "modified": "2026-01-01T00:00:00.000Z", "name": "CCC"}  # fmt: skip
    said: dict[str, dict[str, str]] = {"sighting": {}, "opinion": {"opinion": "agree"}, "note": {"content": "x"}}
    made = [about(kind, 1, indicator(), created_by_ref=CCC_IDENTITY, **more) for kind, more in said.items()]
    here.give("ccc/x", marked(who, Tlp.CLEAR), indicator(), report(indicator(), name="r"), *made)
    found = fact(here, CCC_IDENTITY)
    assert (found.sighted, found.remarks, found.relations) == ([], [], [])
    assert len(fact(here, "a.example").remarks) == 2


def test_what_misp_says_of_sightings_is_counted_too(memory: Store) -> None:
    """Types 0, 1 and 2 of MISP: seen, a false positive, an expiration; who saw it by name."""
    house = house_of(memory)
    peer = Misp(house)
    seen = [
        {"uuid": f"d5e16dc3-5308-4bb8-8ab0-7afa1b797fd{kind}", "type": str(kind), "date_sighting": "1700000000",
         "attribute_uuid": attribute("a.example")["uuid"], "source": "ids"}
        for kind in (0, 1, 2)
    ]  # fmt: skip
    assert peer.push(event(attribute("a.example"))).status_code == 200
    assert peer.post(f"/sightings/bulkSaveSightings/{EVENT}", seen).status_code == 200
    found = next(each for each in ask(house.world, "a.example").facts if each.polarity == "bad")
    (said,), (counted,) = found.said, found.sighted
    assert (said.way, said.channel, said.event) == ("pushed", "depot-commun", EVENT)
    assert (counted.sightings, counted.false_positives, counted.expirations) == (1, 1, 1)
    assert counted.by


def test_relationships_are_bounded_and_the_rest_is_counted(memory: Store) -> None:
    here = world(memory)
    families = [malware(f"m{n:03d}") for n in range(FEW + 7)]
    here.give("cert-ee/feed", indicator(), *families, *(relationship(indicator(), each) for each in families))
    here.give("cert-ee/feed", report(indicator(), name="weekly"))
    found = fact(here, "a.example")
    assert len(found.relations) == FEW
    assert found.relations_more == 8
    (held,) = [each for each in found.relations if each.word == "holds"]
    assert (held.title, held.outward) == ("weekly", False)
    assert {(each.word, each.outward, each.title[:1]) for each in found.relations if each is not held} == {
        ("indicates", True, "m")
    }


def test_where_it_stands(memory: Store) -> None:
    """Listed before folded."""
    here = world(memory)
    here.give("cert-ee/feed", indicator())
    here.give("circl/files", indicator(id_=OTHER_ID))
    places = fact(here, "a.example").places
    folded = {
        each.stix_id: each.folded for each in places if each.channel.endswith("faits") or "d94e2b71" in each.channel
    }
    assert folded == {indicator()["id"]: False, OTHER_ID: True}
    assert all(each.members and each.until is None for each in places)


def test_where_it_no_longer_stands(memory: Store) -> None:
    """Who had it is told, until when and why, for as long as it does not stand there again."""
    here = world(memory)
    here.give("cert-ee/feed", indicator())
    before = {(each.channel, each.members) for each in fact(here, "a.example").places}
    here.give("cert-ee/feed", marked({**indicator(), "modified": "2026-11-21T12:01:00.000Z"}, Tlp.RED))
    places = fact(here, "a.example").places
    left = {(each.channel, each.members) for each in places if each.until is not None}
    assert left
    assert left | {(each.channel, each.members) for each in places if each.until is None} == before
    assert {each.code for each in places if each.until is not None} == {"receive.ceiling"}


def test_an_event_is_counted_and_not_listed(memory: Store) -> None:
    house = house_of(memory)
    made = event(*(attribute(f"h{n}.example", n) for n in range(1, 40)))
    assert Misp(house).push(made).status_code == 200
    found = ask(house.world, EVENT)
    (counted,) = found.events
    (share,) = counted.shares
    assert share.creators == ("CERT1",)
    assert (share.types["indicator"], share.attributes, share.levels) == (39, 39, {"TLP:GREEN": counted.total})
    assert len(counted.members) == 10
    assert counted.stands
    assert [each.type for each in found.facts] in (["report"], ["grouping"])
    (asked,) = ask(house.world, attribute("x", 7)["uuid"]).facts[:1]
    assert asked.said[0].event == EVENT


def test_a_big_event_costs_what_a_small_one_does(memory: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """However much belongs to it, the same few bodies are read."""
    read: list[int] = []
    bodies = showing.statements.bodies

    def counting(tx: Any, seqs: Any) -> Any:
        wanted = list(seqs)
        read.append(len(wanted))
        return bodies(tx, wanted)

    house = house_of(memory)
    sums = []
    for number, size in enumerate((30, 900)):
        uuid = EVENT[:-1] + str(number)
        made = event(*(attribute(f"h{number}-{n}.example", 0x10000 * (number + 1) + n) for n in range(size)), uuid=uuid)
        assert Misp(house).push(made).status_code == 200
        read.clear()
        monkeypatch.setattr(showing.statements, "bodies", counting)
        assert ask(house.world, uuid).events[0].total >= size
        monkeypatch.setattr(showing.statements, "bodies", bodies)
        sums.append(sum(read))
    assert sums[0] == sums[1]


def test_many_facts_and_many_ids_are_bounded(memory: Store) -> None:
    here = world(memory)
    twins = [indicator(id_=f"indicator--5c4e0000-0000-4000-8000-{n:012d}") for n in range(IDS + 20)]
    here.give("cert-ee/feed", *twins)
    found = fact(here, "a.example")
    assert (len(found.said), found.statements) == (IDS, IDS + 20)
    others = [f"[domain-name:value = 'z.example' OR domain-name:value = 'z{n}.example']" for n in range(FACTS + 3)]
    here.give("cert-ee/feed", *(indicator(f"z{n}", pattern=each) for n, each in enumerate(others)))
    found_too = ask(here, "z.example")
    assert (len(found_too.facts), len(found_too.others)) == (FACTS, 3)


def test_by_name_external_id_and_foreign_id(memory: Store) -> None:
    here = world(memory)
    foreign = "malware--5c4e0000-0000-4000-8000-0000000000ff"
    made = malware("Vigne Folle", external_references=[{"source_name": "acme", "external_id": "M-7"}],
                   x_opencti_stix_ids=[foreign])  # fmt: skip
    here.give("cert-ee/feed", made)
    for asked in ("vigne  folle", "m-7", foreign, foreign.partition("--")[2]):
        found = fact(here, asked)
        assert (found.text, found.polarity, found.key) == ("Vigne Folle", "told", made["id"])


def test_a_pattern_that_is_none_is_told_with_its_column(memory: Store) -> None:
    with pytest.raises(ContentError) as caught:
        ask(world(memory), "[domain-name:value = ]")
    assert caught.value.code == "content.pattern"
    assert caught.value.fields["at"] == 21


def test_what_came_back_over_misp_changes_nothing_of_what_was_said(memory: Store) -> None:
    """A number that MISP's words cannot say comes back as another source's; the one in front stays as it was."""
    here = world(memory)
    here.give("cert-ee/feed", indicator(confidence=70))
    here.give("circl/misp", indicator(confidence=75, labels=['misp:confidence-level="usually-confident"']))
    said = by_source(fact(here, "a.example"))
    assert said["cert-ee/feed"].confidence == (Claim("stix", "70", 70),)
    assert said["circl/misp"].confidence == (Claim("misp", 'misp:confidence-level="usually-confident"', 75),)
    assert not fact(here, "a.example").conflicts
    assert here.listed("ccc").count(indicator()["id"]) == 1


def test_raw_is_what_was_received(memory: Store) -> None:
    here = world(memory)
    here.give("cert-ee/feed", indicator(name="é"))
    (said,) = ask(here, "a.example", raw=True).facts[0].said
    assert said.raw is not None
    assert json.loads(said.raw) == json.loads(said.object) == indicator(name="é")
    assert fact(here, "a.example").said[0].raw is None


def test_a_source_that_is_no_longer_configured_is_still_told(memory: Store) -> None:
    here = world(memory)
    here.give("cert-ee/feed", indicator())
    peers = {name: peer for name, peer in here.terms.peers.items() if name != "cert-ee"}
    given = replace(here.terms, peers=peers, agreements=())
    here.follow(replace(given, collections={}))
    (said,) = fact(here, "a.example").said
    assert (said.source, said.path, said.kind) == ("cert-ee/feed", ("cert-ee",), "")


def test_age_and_doubt_are_told(memory: Store) -> None:
    """When it is too old for the first of its audiences, and for which reason a person looks at it."""
    here = world(memory)
    here.give("cert-ee/feed", indicator())
    ends = [micros(LATER) + n for n in (5_000_000, 1_000_000)]
    with memory.writing() as tx:
        rows = tx.execute(select(tables.listing.c.audience).order_by(tables.listing.c.audience)).scalars().all()
        for audience, end in zip(rows, ends, strict=False):
            tx.execute(update(tables.listing).where(tables.listing.c.audience == audience).values(expires=end))
        tx.execute(update(tables.statement).values(doubt="doubt.warninglist"))
    (said,) = fact(here, "a.example").said
    assert said.expires == LATER + timedelta(seconds=1)
    assert said.doubt == "doubt.warninglist"
    assert {place.expires for place in fact(here, "a.example").places} > {said.expires}


def test_a_pattern_past_the_budget_is_opaque_and_says_why(memory: Store) -> None:
    here = world(memory)
    long = " OR ".join(f"domain-name:value = 'x{n}.example'" for n in range(3_000))
    here.give("cert-ee/feed", indicator("x", pattern=f"[{long}]"))
    assert fact(here, indicator("x")["id"]).opaque == "opaque.length"
