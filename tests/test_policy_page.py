"""docs/policy.md is true: every row of its tables is asked of the code, and the French page has the same rows."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

from exchange.convert.labels import Labels
from exchange.model.dialect import render, says
from exchange.model.distribution import of_distribution
from exchange.model.lights import PAP_IDS, PFC_ID, PFC_IDS, Pap, Pfc
from exchange.model.marking import (
    TLP_IDS,
    Label,
    Reach,
    Tlp,
    ids_of,
    of_ids,
    of_tags,
    parse_tlp,
    tags_of,
)
from exchange.model.party import Agreement, Peer, Receive, Send, Target, Terms
from exchange.policy import Rules
from exchange.policy.closure import resolve
from exchange.policy.gate import NO_PAP, PFC, gate, gate_event
from exchange.policy.verdict import Subject

DOCS = Path(__file__).parents[1] / "docs"
PREFIX = "marking-definition--"


def tables(name: str) -> list[tuple[list[str], list[list[list[str]]]]]:
    """Every table of a page: its column titles, and for each row and cell what stands in code."""
    found: list[tuple[list[str], list[list[list[str]]]]] = []
    inside = False
    for line in (DOCS / name).read_text(encoding="utf-8").splitlines():
        cells = [cell[1:-1] for cell in line.split("|")[1:-1]] if line.startswith("|") else []
        if not cells:
            inside = False
        elif not inside:
            found.append((cells, []))
            inside = True
        elif not cells[0].startswith("--") and cells[0] != "-":
            found[-1][1].append([re.findall(r"`([^`]+)`", cell) for cell in cells])
    return found


ENGLISH = tables("policy.md")


def rows(*titles: str) -> list[list[list[str]]]:
    """The rows of the table with these first column titles."""
    (found,) = [body for head, body in ENGLISH if tuple(head[: len(titles)]) == titles]
    assert found
    return found


AXES = ("unknown", "iep", "unnamed", "encrypted", "limited", "since", "until")


def said(label: Label) -> set[str]:
    """The levels of a label as the page writes them, its other axes by name, or `nothing`."""
    words = {tag if tag.startswith("PAP") else tag.upper() for tag in tags_of(label)}
    words |= {name for name in AXES if getattr(label, name)}
    return words or {"nothing"}


def marked(identifier: str) -> bytes:
    return json.dumps({"type": "indicator", "object_marking_refs": [PREFIX + identifier]}).encode()


def least(identifier: str, flags: int = 0) -> int:
    """The lowest clearance that the second gate asks for; 5: nobody has it."""
    return next((level for level in range(5) if gate(marked(identifier), level | flags)), 5)


def test_both_pages_have_the_same_rows() -> None:
    assert [body for _, body in ENGLISH] == [body for _, body in tables("policy.fr.md")]
    assert len(ENGLISH) >= 13


def test_joins() -> None:
    for (one,), (other,), both in rows("One", "Other", "Both"):
        assert said(of_tags([one]).join(of_tags([other]))) == set(both)
        assert of_tags([one]).join(of_tags([other])) == of_tags([other]).join(of_tags([one]))


def test_tlp() -> None:
    """Every id that the model knows, in the model and in the gate; TLP 2.0 is what we write."""
    seen = {}
    for (level,), (identifier,), _, (tag,) in rows("Level", "Marking-definition", "Dialect"):
        assert said(of_ids([PREFIX + identifier])) == {level} == said(of_tags([tag]))
        assert tags_of(of_ids([PREFIX + identifier])) == (tag,)
        assert least(identifier) == parse_tlp(level)
        seen[PREFIX + identifier] = parse_tlp(level)
    assert seen == TLP_IDS
    written = {ids_of(Label(tlp=level))[0] for level in Tlp}
    assert written == set(list(seen)[:5])


def test_dialects() -> None:
    for (level,), *written in rows("Level", "As `tlp1`"):
        known = [each for each, found in TLP_IDS.items() if found is parse_tlp(level)]
        for dialect, beginning in zip(("tlp1", "tlp2", "opencti"), written, strict=True):
            for each in known:
                body = json.dumps({"object_marking_refs": [each]}).encode()
                (there,) = json.loads(render(body, dialect))["object_marking_refs"]
                assert there.removeprefix(PREFIX).startswith(tuple(beginning)) if beginning else there == each
            assert says(dialect, parse_tlp(level)) == bool(beginning)


def test_tags() -> None:
    for (tag,), worth in rows("Tag", "What it says"):
        assert said(of_tags([tag])) == set(worth), tag


def test_policies() -> None:
    for (tag,), worth in rows("Word", "What it says"):
        assert said(of_tags([tag])) == set(worth), tag


def test_inside_an_event() -> None:
    """Converted: what an attribute, or a MISP object with that attribute, is worth."""
    uuid = "5f0c2b7e-8f3a-4c69-9d0e-2b1f8a7c6d51"
    for (around,), (inner,), worth in rows("Event", "Inside"):
        attribute = {"uuid": uuid, "Tag": [{"name": inner, "local": True}]}
        group = {"uuid": "0b9e4a7d-3c52-4f18-8a6b-7d1e5c2f9a04", "Attribute": [attribute]}
        event: dict[str, Any] = {"Tag": [{"name": around}]}
        for content, entity in (({"Attribute": [attribute]}, uuid), ({"Object": [group]}, group["uuid"])):
            found = Labels.of({**event, **content}, internal=False).find(str(entity))
            assert found is not None
            assert said(found) == set(worth)


def test_pfc() -> None:
    seen = {}
    for (level,), (identifier,), (listed,), (elsewhere,) in rows("Level", "Marking-definition", "On the list"):
        label = of_ids([PREFIX + identifier])
        assert said(label) == {level} == said(of_tags([level]))
        assert label.level(listed=True) == parse_tlp(listed) == least(identifier, PFC)
        assert least(identifier) == (5 if elsewhere == "nobody" else parse_tlp(elsewhere))
        assert label.for_the_list == (elsewhere == "nobody")
        if elsewhere != "nobody":
            assert label.level(listed=False) == parse_tlp(elsewhere)
        seen[PREFIX + identifier] = label.pfc
    assert seen == PFC_IDS
    assert set(PFC_ID.values()) == set(seen)


def test_pap() -> None:
    seen = set()
    for (level,), (identifier,), (fate,) in rows("Level", "Marking-definition", "Where PAP is not carried"):
        label = of_ids([PREFIX + identifier])
        assert said(label) == {level}
        assert not label.stated
        assert label.pap is not None
        assert (label.pap >= Pap.AMBER) == (fate == "held")
        assert gate(marked(identifier), 0)
        assert gate(marked(identifier), NO_PAP) == (fate == "goes")
        seen.add(PREFIX + identifier)
    assert seen == set(PAP_IDS)


def test_distribution() -> None:
    for (number,), (foreign,), (home,) in rows("Distribution"):
        assert of_distribution(int(number), internal=False).reach is Reach[foreign.upper()]
        assert of_distribution(int(number), internal=True).reach is Reach[home.upper()]
    assert of_distribution(4, internal=False).orgs == frozenset()


def test_closure() -> None:
    seen = set()
    for own, ends, referrers, default, worth, (reason,) in rows("Own mark", "Ends"):
        label, basis = resolve(
            of_tags(own),
            ends=[of_tags([end]) for end in ends],
            referrers=[of_tags([each]) for each in referrers],
            default=parse_tlp(default[0]) if default else None,
        )
        assert (set() if label is None else said(label)) == set(worth)
        assert basis == reason
        seen.add(reason)
    assert len(seen) == 5


def test_the_widest_distribution() -> None:
    for (tag,), (widest,) in rows("Level", "Widest distribution"):
        level = of_tags([tag]).tlp
        assert level is not None
        for distribution in "0123":
            event = {"Event": {"distribution": distribution, "Tag": [{"name": tag}]}}
            allowed = distribution in "01" or (distribution <= widest)
            assert gate_event(json.dumps(event).encode(), int(level)) == allowed


NOW = datetime(2026, 6, 1, tzinfo=UTC)
SOC = "0b9e4a7d-3c52-4f18-8a6b-7d1e5c2f9a04"
PEERS = {
    "circl": Peer(id="circl", name="CIRCL"),
    "soc": Peer(
        id="soc", name="SOC", identities=frozenset({SOC}),
        targets=(Target(peer="soc", id="depot", kind="misp", url="https://misp.soc.example"),),
    ),
}  # fmt: skip
WRONG: dict[str, str] = {
    "version.foreign_revocation": "barred", "withdrawn.by_peer": "withdrawn", "audience.empty": "members",
    "label.none": "label", "peer.unknown": "peer", "misp.unpublished": "draft", "marking.unknown": "unknown",
    "marking.iep": "iep", "marking.iep_period": "until", "agreement.receive_none": "receive",
    "receive.ceiling": "taken", "receive.type": "taken_types", "receive.confidence": "taken_sure",
    "channel.in_clear": "encrypted", "dialect.no_level": "dialect", "marking.not_carried": "words",
    "attribution.must_not": "unnamed", "agreement.in_clear": "sent_hidden", "agreement.confidence": "sent_sure",
    "origin.returns": "owner",
    "collection.type": "types", "collection.only_posted": "only_posted", "collection.ceiling": "ceiling",
    "sharing_group.orgs": "orgs", "sharing_group.server": "servers", "pap.not_carried": "pap",
    "distribution.reach": "reach", "onward.forbidden": "onward", "agreement.none": "agreements",
    "agreement.not_begun": "start", "agreement.ceiling": "sent", "agreement.type": "sent_types",
    "agreement.misp": "sent_called",
    "personal.review": "personal", "pfc.list": "pfc",
    "agreement.ended": "end", "doubt.warninglist": "doubt",
}  # fmt: skip
"""Reason → what is wrong when it is given."""


def decided(wrong: set[str], approved: frozenset[tuple[str, str, int]] = frozenset()) -> tuple[str, str]:
    """The verdict and first reason on something of CIRCL's for SOC, with all this wrong at once."""

    def unless(name: str, good: Any, bad: Any) -> Any:
        return bad if name in wrong else good

    giver = Agreement(
        id="giver", title="g", parties=("circl",), start=date(2026, 1, 1), end=date(2027, 1, 1), purpose="p",
        receive=unless("receive", Receive(
            ceiling=unless("taken", Tlp.RED, Tlp.GREEN), types=unless("taken_types", None, frozenset({"malware"})),
            confidence=unless("taken_sure", None, 60),
        ), None),
        send=Send(ceiling=Tlp.CLEAR, onward=unless("onward", True, False)),
    )  # fmt: skip
    reader = Agreement(
        id="reader", title="r", parties=("soc",), purpose="p",
        start=unless("start", date(2026, 1, 1), date(2026, 7, 1)),
        end=unless("end", date(2027, 1, 1), date(2026, 3, 1)),
        send=Send(
            ceiling=unless("sent", Tlp.RED, Tlp.GREEN), pfc=unless("pfc", True, False),
            types=unless("sent_types", None, frozenset({"malware"})), encrypted="sent_hidden" in wrong,
            no_misp=unless("sent_called", frozenset(), frozenset({"type:domain"})),
            confidence=unless("sent_sure", 50, 51), personal=unless("personal", "allowed", "hold"),
        ),
    )  # fmt: skip
    node = "identity--5b7f0d1e-2c49-4f6a-9d31-8a0c6e2f4b17"
    terms = Terms(peers=PEERS, collections={}, agreements=(giver, reader), node_identity=node)
    rules = Rules(terms, NOW)
    (audience,) = rules.audiences
    audience = replace(
        audience, members=unless("members", audience.members, ()), ceiling=unless("ceiling", Tlp.RED, Tlp.AMBER),
        types=unless("types", unless("words", None, frozenset({"indicator"})), frozenset({"malware"})),
        only_posted="only_posted" in wrong,
        pap="pap" not in wrong, in_clear=bool(wrong & {"encrypted", "sent_hidden"}), dialect="tlp1",
        agreements=unless("agreements", audience.agreements, frozenset()),
    )  # fmt: skip
    label = Label(
        tlp=unless("dialect", Tlp.AMBER if approved else Tlp.RED, Tlp.AMBER_STRICT), pap=Pap.RED,
        vert=not approved or "pfc" in wrong, pfc=None if approved else Pfc.ROUGE, draft="draft" in wrong,
        unknown=unless("unknown", frozenset(), frozenset({"tlp:unclear"})),
        iep=unless("iep", frozenset(), frozenset({"iep:x"})),
        orgs=unless("orgs", frozenset({SOC}), frozenset()),
        servers=unless("servers", None, frozenset({"https://elsewhere.example"})),
        reach=unless("reach", Reach.ALL, Reach.NODE), unnamed="unnamed" in wrong, limited="words" in wrong,
        encrypted="encrypted" in wrong,
        until=unless("until", None, NOW), confidence=50, kinds=frozenset({"type:domain"}),
    )  # fmt: skip
    subject = Subject(
        peer=unless("peer", "circl", "ghost"), type="indicator", label=unless("label", label, None),
        owner=unless("owner", "circl", "soc"), barred=unless("barred", "", "version.foreign_revocation"),
        withdrawn=unless("withdrawn", frozenset(), frozenset({audience.channel})),
        doubt="doubt.refused" if "refused" in wrong else unless("doubt", "", "doubt.warninglist"), personal=True,
        approved=approved,
    )  # fmt: skip
    decision = rules.decide(subject, audience)
    return decision.reasons[0], str(decision.verdict)


def test_the_order_of_reasons() -> None:
    """With everything wrong at once the first reason of the page is given; put right one by one, each of the next."""
    wrong = set(WRONG.values())
    (released,) = [row for row in rows("", "Reason") if row[1] == ["release.agreement"]]
    asked = [(reason, verdict) for _, (reason,), (verdict,), *_ in rows("", "Reason")]
    for reason, verdict in asked[:-1]:
        assert decided(wrong) == (reason, verdict)
        assert decided({WRONG[reason]}) == (reason, verdict)
        wrong.remove(WRONG[reason])
    assert not wrong
    assert decided(wrong) == asked[-1] == (released[1][0], released[2][0])


def test_what_a_person_may_let_go() -> None:
    """Approved for all, the reason is gone or it is not; and TLP:RED stays whatever anybody approves."""
    held = {reason for _, (reason,), (verdict,), *_ in rows("", "Reason") if verdict == "hold"} | {"doubt.refused"}
    fates = {reason: fate for (reason,), (fate,) in rows("Held as")}
    assert fates.keys() == held
    for reason, fate in fates.items():
        wrong = {"refused" if reason == "doubt.refused" else WRONG[reason]}
        approved = frozenset({("", reason, 1)})
        assert decided(wrong, frozenset({("", "nothing", 1)}))[0] == reason
        assert decided(wrong, approved)[0] == ("release.agreement" if fate == "lifted" else reason)
        assert decided(wrong, frozenset({("", reason, 0), ("peer:ccc", reason, 1)}))[0] == reason
