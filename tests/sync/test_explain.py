"""Why: for whatever became of an object, the answer names the reason, the agreement and the partner."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from exchange.model.envelope import Document, Page, Rejected, Skipped
from exchange.model.marking import TLP2_ID, Tlp
from exchange.model.party import Receive, Send
from exchange.store import Store, micros, moment, tables
from exchange.sync.explain import Answer, Explanation, explain
from tests.sync.partners import ALERTS, MISP, Desk, Giver, Taker
from tests.sync.test_pull import EVENT, event
from tests.world import (
    CCC_IDENTITY,
    FOLDED,
    NOW,
    SHARED,
    agreement,
    indicator,
    malware,
    marked,
    page,
    relationship,
    report,
    terms,
)

LATER = NOW + timedelta(minutes=1)
SHARED_CHANNEL = f"collection:{SHARED}"


def why(desk: Desk, asked: str) -> Explanation:
    """What the operator is told."""
    return explain(desk.store, desk.world.rules, asked, desk.world.now)


def answer(found: Explanation, channel: str = SHARED_CHANNEL, statement: int = 0) -> Answer:
    """The answer for one channel."""
    (one,) = [item for item in found.statements[statement].answers if item.channel == channel]
    return one


def test_released_names_the_agreement_and_since_when(memory: Store) -> None:
    """A released object: the verdict, the agreement that permits it, who reads it and since when."""
    desk = Desk(memory)
    desk.world.give("circl/x", indicator())
    told = answer(why(desk, indicator()["id"]))
    assert (told.verdict, told.reasons, told.agreement) == ("release", ("release.agreement",), "reseau")
    assert told.members == ("ccc", "cert-ee", "circl")
    assert told.listed is not None
    assert told.listed >= NOW
    assert (told.folded, told.closed) == (False, "")


def test_every_audience_has_an_answer(memory: Store) -> None:
    """Nothing is silent: each collection and target of the terms is answered for, in the terms' order."""
    desk = Desk(memory)
    desk.world.give("circl/x", indicator())
    (statement,) = why(desk, indicator()["id"]).statements
    assert [item.channel for item in statement.answers] == [a.channel for a in desk.world.rules.audiences]


@pytest.mark.parametrize(
    ("tlp", "verdict", "reason"),
    [(Tlp.AMBER, "deny", "collection.ceiling"), (Tlp.RED, "hold", "receive.ceiling"), (None, "hold", "label.none")],
)
def test_denied_and_held_say_why(memory: Store, tlp: Tlp | None, verdict: str, reason: str) -> None:
    """What goes nowhere has a verdict and a reason for each, and stands in no listing."""
    desk = Desk(memory)
    desk.world.give("circl/x", indicator(tlp=tlp))
    told = answer(why(desk, indicator()["id"]))
    assert (told.verdict, told.reasons, told.listed) == (verdict, (reason,), None)


def test_never_back_says_so(memory: Store) -> None:
    """R3: the target of the peer that gave it."""
    desk = Desk(memory)
    desk.world.give(ALERTS.key, indicator())
    assert answer(why(desk, indicator()["id"]), "target:ccc/depot").reasons == ("origin.returns",)


def test_an_ended_agreement_is_named(memory: Store) -> None:
    """R19: held because the agreement ended, and which one that was."""
    desk = Desk(memory)
    desk.world.give("circl/x", indicator())
    desk.world.pass_time(timedelta(days=500))
    told = answer(why(desk, indicator()["id"]))
    assert (told.verdict, told.reasons, told.agreement) == ("hold", ("agreement.ended",), "reseau")


def test_of_two_agreements_the_one_that_permits_is_named(memory: Store) -> None:
    """R2: the decision names the agreement under which it goes."""
    receive = agreement("taking", "circl", receive=Receive(ceiling=Tlp.RED))
    strict = agreement("strict", "ccc", "cert-ee", "circl", send=Send(ceiling=Tlp.CLEAR))
    wide = agreement("wide", "ccc", "cert-ee", "circl", send=Send(ceiling=Tlp.GREEN))
    desk = Desk(memory, terms(agreements=[receive, strict, wide]))
    desk.world.give("circl/x", indicator(tlp=Tlp.GREEN))
    assert answer(why(desk, indicator()["id"])).agreement == "wide"


def test_waiting_for_the_end_of_the_drain_says_so(memory: Store) -> None:
    """R11: an unmarked object of a drain under way is not judged yet."""
    desk = Desk(memory)
    desk.world.give("circl/x", indicator(tlp=None), last=False)
    assert answer(why(desk, indicator()["id"])).reasons == ("label.waiting",)


def test_from_the_future_says_so(memory: Store) -> None:
    """R5: `modified` too far ahead."""
    desk = Desk(memory)
    desk.world.give("circl/x", indicator(modified=NOW + timedelta(hours=1)))
    told = answer(why(desk, indicator()["id"]))
    assert (told.reasons, told.listed) == (("version.future",), None)


def test_folded_behind_a_twin_says_so(memory: Store) -> None:
    """R23: the same fact under another id stands behind the first one."""
    desk = Desk(memory)
    desk.world.give("circl/x", indicator())
    twin = indicator(id_="indicator--5d2c9e14-33b1-4f0e-9a7b-6c1d2e3f4a5b")
    desk.world.give("circl/y", twin)
    told = answer(why(desk, twin["id"]), f"collection:{FOLDED}")
    assert told.folded
    assert told.listed is not None
    assert told.reasons == ("release.agreement", "fold.behind_twin")
    assert not answer(why(desk, twin["id"])).folded


def test_closed_says_what_closed_it(memory: Store) -> None:
    """R8: what was listed and is not any more tells the reason of its closing."""
    desk = Desk(memory)
    desk.world.give("circl/x", indicator())
    desk.world.give("circl/x", indicator(tlp=Tlp.RED, modified=LATER))
    old = answer(why(desk, indicator()["id"]), statement=0)
    assert (old.listed, old.closed) == (None, "receive.ceiling")


def test_the_same_version_of_another_stands(memory: Store) -> None:
    """R21: released, but (id, version) is taken by who came first."""
    desk = Desk(memory)
    desk.world.give("circl/x", indicator())
    desk.world.give("cert-ee/y", indicator(name="said otherwise"))
    found = why(desk, indicator()["id"])
    second = next(n for n, item in enumerate(found.statements) if item.held.source == "cert-ee/y")
    told = answer(found, statement=second)
    assert told.listed is None
    assert "listing.same_version_stands" in told.reasons


def test_the_second_gate_is_told(memory: Store) -> None:
    """R25: the decision released it and the gate did not."""
    desk = Desk(memory)
    hidden = {**indicator(), "x_inner": {"object_marking_refs": [TLP2_ID[Tlp.RED]]}}
    desk.world.give("circl/x", hidden)
    told = answer(why(desk, hidden["id"]))
    assert told.listed is None
    assert "gate.marking" in told.reasons or told.verdict != "release"


def test_a_touch_and_an_opinion_say_so(memory: Store) -> None:
    """R5, R9: why a foreign revocation is not passed on, and who speaks with authority."""
    desk = Desk(memory)
    mine = indicator(created_by_ref=CCC_IDENTITY)
    desk.world.give(ALERTS.key, mine)
    desk.world.give("cert-ee/y", {**mine, "modified": "2026-11-21T12:00:30.000Z", "revoked": True})
    found = why(desk, mine["id"])
    by_source = {item.held.source: (item.rank, n) for n, item in enumerate(found.statements)}
    assert by_source[ALERTS.key][0] == 1
    assert by_source["cert-ee/y"][0] == -1
    assert answer(found, statement=by_source["cert-ee/y"][1]).reasons == ("version.foreign_revocation",)


def test_where_the_label_comes_from(memory: Store) -> None:
    """R10, R11: stated, from its ends, from a referrer, or the agreement's default."""
    desk = Desk(memory, terms(unmarked=Tlp.CLEAR))
    bad, family = indicator("bad.example"), malware("m", tlp=None)
    desk.world.give("circl/x", bad, family, relationship(bad, family), indicator("alone.example", tlp=None))
    desk.world.give("circl/x", report(family, tlp=Tlp.GREEN))

    def basis(stix_id: str) -> str:
        (item,) = why(desk, stix_id).statements
        return str(item.held.basis)

    assert basis(bad["id"]) == "label.stated"
    assert basis(relationship(bad, family)["id"]) == "label.ends"
    assert basis(family["id"]) == "label.referrer"
    assert basis(indicator("alone.example")["id"]) == "label.default"


def test_quarantined_is_found_by_its_id(memory: Store) -> None:
    """An object that could not be taken: where it came from, the reason, and how often."""
    desk = Desk(memory)
    stix_id = indicator()["id"]
    bad = Rejected(raw=b'{"id": 1}', code="content.json", fields={"detail": "cut"}, id=stix_id)
    desk.pull(Giver(Page(rejected=[bad, bad], last=True)))
    found = why(desk, stix_id)
    assert found.statements == ()
    (row,) = found.quarantine
    assert (row["source"], row["code"], row["fields"], row["seen"]) == (
        ALERTS.key, "content.json", {"detail": "cut"}, 2,
    )  # fmt: skip


def test_a_conflict_is_found_beside_what_stands(memory: Store) -> None:
    """The source contradicted itself: the answer shows the statement and what was set aside."""
    desk = Desk(memory)
    desk.world.give("circl/x", indicator())
    desk.world.give("circl/x", indicator(name="said otherwise"))
    found = why(desk, indicator()["id"])
    assert len(found.statements) == 1
    assert [row["code"] for row in found.quarantine] == ["version.conflict"]


@pytest.mark.parametrize("asked", [EVENT, EVENT.upper(), f"  {EVENT} "])
def test_skipped_is_found_by_its_misp_uuid(memory: Store, asked: str) -> None:
    """An event that was deliberately not taken: by whom and why, however the uuid is written."""
    desk = Desk(memory)
    skipped = Skipped(id=EVENT, code="misp.org_not_allowed", fields={"org": "X"})
    desk.pull(Giver(Page(skipped=[skipped], last=True)), MISP)
    assert [(row["source"], row["code"]) for row in why(desk, asked).passed_over] == [
        (MISP.key, "misp.org_not_allowed")
    ]


@pytest.mark.parametrize("asked", [EVENT, EVENT.upper()])
def test_a_quarantined_event_is_found_by_its_uuid(memory: Store, asked: str) -> None:
    """An event that was set aside whole is found by the uuid under which the peer listed it."""
    desk = Desk(memory)
    document = Document(kind="misp-event", id=EVENT, version="1", raw=b'{"Event": {"info": "cut')
    desk.pull(Giver(Page(document=document, last=True)), MISP)
    assert [row["code"] for row in why(desk, asked).quarantine] == ["content.json"]


@pytest.mark.parametrize("asked", [EVENT, EVENT.upper(), "5c4e0000-0000-4000-8000-000000001001"])
def test_a_misp_uuid_finds_what_was_made_of_it(memory: Store, asked: str) -> None:
    """The uuid of an event finds all of its objects, that of an attribute finds those made of it."""
    desk = Desk(memory)
    raw = event(1, 2)
    document = Document(kind="misp-event", id=EVENT, version="1700000000", raw=raw)
    desk.pull(Giver(Page(document=document, last=True)), MISP)
    found = {item.held.stix_id for item in why(desk, asked).statements}
    wanted = "indicator--5c4e0000-0000-4000-8000-000000001001"
    assert wanted in found
    assert asked.lower() == EVENT or {stix_id.partition("--")[2] for stix_id in found} == {asked}


@pytest.mark.parametrize(
    "asked",
    [
        *("evil.example", "EVIL.example", "evil[.]example", "evil(.)example", "evil[dot]example", " evil.example. "),
    ],
)
def test_a_domain_is_found_however_it_is_written(memory: Store, asked: str) -> None:
    """What an analyst pastes, defanged or not, finds the indicator."""
    desk = Desk(memory)
    desk.world.give("circl/x", indicator("evil.example"))
    assert [item.held.stix_id for item in why(desk, asked).statements] == [indicator("evil.example")["id"]]


@pytest.mark.parametrize(
    ("pattern", "asked"),
    [
        ("[url:value = 'http://evil.example/A?b=C']", "hxxp://evil[.]example/A?b=C"),
        ("[url:value = 'https://evil.example/']", "hXXps://EVIL[.]example:443"),
        ("[ipv4-addr:value = '198.51.100.3']", "198[.]51[.]100[.]3"),
        ("[ipv4-addr:value = '198.51.100.3']", "198.51.100.3/32"),
        ("[ipv6-addr:value = '2001:db8::1']", "2001:0DB8:0000::0001"),
        ("[email-addr:value = 'Jo@evil.example']", "Jo[@]EVIL.example"),
        ("[file:hashes.MD5 = 'd41d8cd98f00b204e9800998ecf8427e']", "D41D8CD98F00B204E9800998ECF8427E"),
        ("[domain-name:value = 'xn--caf-dma.example']", "café.example"),
    ],
)
def test_a_value_is_found_however_it_is_written(memory: Store, pattern: str, asked: str) -> None:
    """URLs, addresses, mail, hashes and names with accents, in the spellings that people use."""
    desk = Desk(memory)
    stix = marked({**indicator(tlp=None), "pattern": pattern}, Tlp.GREEN)
    desk.world.give("circl/x", stix)
    assert len(why(desk, asked).statements) == 1


def test_never_seen_tells_where_we_looked(memory: Store) -> None:
    """What nobody gave: no statement, and for each source the end of its last complete drain."""
    desk = Desk(memory)
    desk.pull(Giver(page(indicator())))
    found = why(desk, "nobody.example")
    assert (found.statements, found.quarantine, found.passed_over, found.deliveries) == ((), [], [], [])
    assert found.drains[ALERTS.key] == moment(micros(NOW))
    assert found.drains[MISP.key] is None


def test_what_was_handed_over_is_told(memory: Store) -> None:
    """The ledger and the outbox: to whom, when, with which outcome, and what waits."""
    desk = Desk(memory)
    desk.world.give("circl/x", indicator("gone.example"), indicator("refused.example"))
    desk.push(Taker(lambda item: "accepted" if item.id == indicator("gone.example")["id"] else "refused"))
    desk.world.give("circl/x", indicator("waits.example"))
    (gone,) = why(desk, "gone.example").deliveries
    assert (gone["peer"], gone["outcome"], gone["at"]) == ("ccc", "accepted", micros(NOW))
    refused: list[Any] = [row for row in why(desk, "refused.example").deliveries if row.get("state")]
    assert [(row["state"], row["message"]) for row in refused] == [("refused", "said")]
    (waits,) = why(desk, "waits.example").deliveries
    assert waits["state"] == "pending"


def test_asking_changes_nothing(memory: Store) -> None:
    """An explanation writes nothing."""
    desk = Desk(memory)
    desk.world.give("circl/x", indicator())
    commits = memory.commits
    why(desk, indicator()["id"])
    assert memory.commits == commits


def test_the_verdict_is_that_of_the_rules_given(memory: Store) -> None:
    """Asked under terms that are not adopted yet, it tells what they would decide."""
    desk = Desk(memory)
    desk.world.give("circl/x", indicator())
    stricter = replace(
        desk.world.terms,
        agreements=(replace(desk.world.terms.agreements[0], send=Send(ceiling=Tlp.CLEAR)),),
    )
    rules = type(desk.world.rules)(stricter, NOW)
    found = explain(memory, rules, indicator()["id"], NOW)
    assert answer(found).reasons == ("agreement.ceiling",)


@pytest.mark.parametrize("asked", ["", "   ", "%", "'", "indicator--", "a" * 10_000, "\x00", "[.]"])
def test_anything_may_be_asked(memory: Store, asked: str) -> None:
    """No question is an error; what is nothing finds nothing."""
    desk = Desk(memory)
    desk.world.give("circl/x", indicator())
    assert why(desk, asked).statements == ()


def test_many_versions_are_all_told(memory: Store) -> None:
    """Each version of each source is explained by itself, oldest first."""
    desk = Desk(memory)
    for n in range(5):
        desk.world.give("circl/x", indicator(name=str(n), modified=NOW + timedelta(seconds=n)))
    found = why(desk, indicator()["id"])
    versions = [item.held.version for item in found.statements]
    assert versions == sorted(versions)
    assert len(versions) == 5
    rows = {row["version"] for row in desk.rows(tables.statement)}
    assert json.dumps(versions) == json.dumps(sorted(rows))
