"""`Rules.decide`: the decision table in decisions.txt, and what must hold for any terms whatever."""

from __future__ import annotations

import ast
import inspect
import re
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from msgspec.structs import asdict
from policy_world import (
    DICE,
    MARKS,
    NOW,
    ORGS,
    PEERS,
    ROOM,
    SITE,
    SPANS,
    TYPES,
    Dice,
    agreement,
    collection,
    level,
    terms,
)

from exchange import policy
from exchange.model.lights import Pap, Pfc
from exchange.model.marking import Label, Reach, Tlp, of_tags, with_confidence
from exchange.model.party import Agreement, Receive, Send, Terms
from exchange.policy import Audience, Decision, Rules, Subject, Verdict
from exchange.policy.audience import collection_channel
from exchange.policy.expiry import AGED, ENDED, End
from exchange.policy.gate import NO_PAP, PFC
from exchange.policy.verdict import end_of, unless_expired

TABLE = Path(__file__).with_name("decisions.txt")
COLUMNS = ("rule", "source", "type", "label", "received", "channel", "audience", "sent", "posted", "verdict", "reasons")
NODE = "00000000-0000-4000-8000-000000000000"
BAR = re.compile(r"\d+%|unrated")
NAMED = {"R1", "R2", "R3", "R4", "R10", "R11", "R12", "R19", "R26", "R30"}


@dataclass(frozen=True)
class Row:
    """One line of the table."""

    line: int
    rule: str
    source: str
    type: str
    label: str
    received: str
    channel: str
    audience: str
    sent: str
    posted: str
    verdict: str
    reasons: str


def table() -> list[Row]:
    rows = []
    for number, line in enumerate(TABLE.read_text(encoding="utf-8").splitlines(), 1):
        if line.strip() and not line.startswith("#"):
            cells = [cell.strip() for cell in line.split("|")]
            assert len(cells) == len(COLUMNS), f"decisions.txt:{number}: {len(cells)} columns"
            rows.append(Row(number, *cells))
    return rows


def meant(colour: Pfc, inside: bool) -> Tlp:
    """policy.md section 4, written out again."""
    return Tlp(int(colour) + (colour is Pfc.AMBRE and not inside))


def all_but(label: Label, *names: str) -> dict[str, object]:
    return {name: value for name, value in asdict(label).items() if name not in names}


def label_of(text: str) -> Label | None:
    first, *rest = text.split()
    if first == "none":
        return None
    reach = [Reach[word[1:].upper()] for word in rest if word[0] == "@"]
    groups = [word.removeprefix("group=") for word in rest if word.startswith("group=")]
    sites = [word.removeprefix("via=") for word in rest if word.startswith("via=")]
    tags = [word for word in rest if word.lower().startswith(("pap:", "pfc:", "iep2-", "ais-", "tlp:ex:"))]
    sure = [int(word.removesuffix("%")) for word in rest if word.endswith("%")]
    kinds = [word.removeprefix("is=") for word in rest if word.startswith("is=")]
    known = len(tags) + len(kinds) + len(reach) + len(groups) + len(sites) + len(sure)
    assert known + sum(word[0] == "?" or word == "draft" for word in rest) == len(rest)
    return Label(
        tlp=None if first == "unmarked" else level(first),
        unknown=frozenset(word[1:] for word in rest if word[0] == "?"),
        reach=reach[0] if reach else Reach.ALL,
        orgs=frozenset(ORGS.get(name, NODE) for name in groups[0].split(",") if name) if groups else None,
        servers=frozenset({SITE if sites[0] == "peer" else "https://other.example"}) if sites else None,
        draft="draft" in rest,
        confidence=sure[0] if sure else None,
        kinds=frozenset(kinds[0].replace("_", " ").split(",")) if kinds else frozenset(),
    ).join(of_tags(tags))


def bar_of(words: list[str]) -> dict[str, Any]:
    """`60%` and `unrated` of a clause: how sure a creator has to be."""
    sure = next((int(word[:-1]) for word in words if word.endswith("%")), None)
    return {} if sure is None else {"confidence": sure, "unrated": "unrated" in words}


def received_under(row: Row) -> list[Agreement]:
    """The agreement with the source; its name sorts last, so that it never comes first by chance."""
    if row.received == "-":
        return []
    ceiling, *words = row.received.split()
    onward = "onward" in words
    span = next((word for word in words if word in SPANS), "now")
    ignored = next((word.removeprefix("ignores=") for word in words if word.startswith("ignores=")), "")
    types = next((word.removeprefix("takes=") for word in words if word.startswith("takes=")), "")
    assert len(words) == onward + (span != "now") + bool(ignored) + bool(types) + len(BAR.findall(row.received)), (
        row.received
    )
    return [
        agreement(
            "z-received",
            [row.source],
            span=span,
            receive=Receive(
                ceiling=level(ceiling),
                informational_markings=frozenset(ignored.split(",")) - {""},
                types=frozenset(types.split(",")) if types else None,
                **bar_of(words),
            ),
            send=Send(ceiling=Tlp.CLEAR, onward=True) if onward else None,
        )
    ]


def sent_under(row: Row, members: list[str]) -> list[Agreement]:
    found = []
    for number, clause in enumerate(row.sent.split(";") if row.sent != "-" else ()):
        ceiling, *words = clause.split()
        span = next((word for word in words if word in SPANS), "now")
        own = {*SPANS, "pfc", "unrated", "may-be-read"}
        misp = {word[0]: frozenset(word[5:].replace("_", " ").split(",")) for word in words if word[1:5] == "misp"}
        words = [word for word in words if word[1:5] != "misp"]
        types = [frozenset(word.split(",")) for word in words if word not in own and not word.endswith("%")]
        send = Send(
            ceiling=level(ceiling),
            types=types[0] if types else None,
            pfc="pfc" in words,
            encrypted="may-be-read" not in words,
            misp=misp.get("+", frozenset()),
            no_misp=misp.get("-", frozenset()),
            **bar_of(words),
        )
        found.append(agreement(f"sent-{number}", members, span=span, send=send))
    return found


def world_of(row: Row) -> tuple[Terms, list[str]]:
    members = [name.removesuffix("!") for name in row.audience.split(",")]
    without_pap = [name.removesuffix("!") for name in row.audience.split(",") if name.endswith("!")]
    agreements = [*sent_under(row, members), *received_under(row)]
    if row.channel.startswith("push"):
        in_clear = members if row.channel == "push-in-clear" else []
        return terms(agreements=agreements, pushed=members, without_pap=without_pap, in_clear=in_clear), members
    ceiling, *types = row.channel.split()
    room = collection(
        members,
        writers=[row.source] if row.posted == "here" else [],
        ceiling=level(ceiling),
        types=frozenset(types[0].split(",")) if types else None,
    )
    return terms(agreements=agreements, collections=[room], without_pap=without_pap), members


@pytest.mark.parametrize("row", table(), ids=lambda row: f"{row.rule}:{row.line}")
def test_the_decision_table_holds(row: Row) -> None:
    """Every row of decisions.txt comes out with its verdict and its reason codes."""
    made, members = world_of(row)
    rules = Rules(made, NOW)
    (audience,) = [audience for audience in rules.audiences if audience.members == tuple(sorted(members))]
    posted = {"-": "", "here": audience.channel, "elsewhere": collection_channel("another")}[row.posted]
    subject = Subject(peer=row.source, type=row.type, label=label_of(row.label), posted=posted)
    decision = rules.decide(subject, audience)
    assert (decision.verdict, " ".join(decision.reasons)) == (row.verdict, row.reasons)


def test_the_table_is_complete() -> None:
    """The table has sixty rows or more, every rule it must name has several, and no two rows ask the same."""
    rows = table()
    counted = Counter(row.rule for row in rows)
    assert len(rows) >= 60
    assert set(counted) == NAMED
    assert min(counted.values()) >= 3
    assert len({tuple(getattr(row, name) for name in COLUMNS[1:9]) for row in rows}) == len(rows)


@pytest.mark.parametrize("code", ["version.touch", "version.foreign_revocation", "version.after_revocation"])
@pytest.mark.parametrize("member", ["ccc", "home"])
def test_what_is_barred_goes_to_nobody(code: str, member: str) -> None:
    """A statement that is barred is denied with that very code, to our own house as well (R5, R9)."""
    made = terms(agreements=[agreement("a", PEERS, send=Send(ceiling=Tlp.RED))], collections=[collection([member])])
    rules = Rules(made, NOW)
    subject = Subject(peer="home", type="indicator", label=Label(tlp=Tlp.CLEAR), barred=code)
    assert rules.decide(subject, rules.audiences[0]).reasons == (code,)
    assert rules.decide(subject, rules.audiences[0]).verdict is Verdict.DENY


def test_a_release_names_its_agreement_and_its_end() -> None:
    """A release says which agreement permits it and when that ends; of several it is the one that lasts (R2, R19)."""
    made = terms(
        agreements=[
            agreement("a-long", ["ccc"], span="now", send=Send(ceiling=Tlp.GREEN)),
            agreement("b-short", ["ccc"], span="last-day", send=Send(ceiling=Tlp.RED)),
        ],
        collections=[collection(["ccc"])],
    )
    rules = Rules(made, NOW)
    (audience,) = rules.audiences
    subject = Subject(peer="home", type="indicator", label=Label(tlp=Tlp.GREEN))
    decision = rules.decide(subject, audience)
    assert (decision.agreement, decision.not_after) == ("a-long", datetime(2027, 1, 1, tzinfo=NOW.tzinfo))
    stricter = rules.decide(replace(subject, label=Label(tlp=Tlp.AMBER)), audience)
    assert (stricter.agreement, stricter.not_after) == ("b-short", datetime(2026, 6, 16, tzinfo=NOW.tzinfo))


def test_nobody_gets_anything_in_an_empty_audience() -> None:
    """An audience without members is given nothing, even where an agreement names all of its members (DESIGN 1)."""
    made = terms(agreements=[agreement("a", ["ccc"], send=Send(ceiling=Tlp.RED))])
    rules = Rules(made, NOW)
    for home in (False, True):
        empty = Audience(
            key="empty",
            channel=collection_channel(ROOM),
            members=(),
            agreements=frozenset({"a"}),
            home=home,
            ceiling=Tlp.RED,
            types=None,
            fold=False,
        )
        subject = Subject(peer="home", type="indicator", label=Label(tlp=Tlp.CLEAR))
        assert not Rules(made, NOW).decide(subject, empty).released
    assert rules.audiences == ()


@dataclass(frozen=True)
class Question:
    """Any terms, one of their audiences, and a subject that some peer stated."""

    terms: Terms
    rules: Rules
    audience: Audience
    subject: Subject
    more: Label
    """Another label, to be joined."""


def question(dice: Dice) -> Question:
    while True:
        made = dice.terms()
        rules = Rules(made, NOW)
        if rules.audiences:
            break
    audience = dice.random.choice(rules.audiences)
    subject = Subject(
        peer=dice.random.choice([*PEERS, "stranger"]),
        type=dice.random.choice(TYPES),
        label=dice.random.choice([None, *[dice.label()] * 7]),
        posted=dice.random.choice(["", "", audience.channel, "collection:another"]),
    )
    return Question(made, rules, audience, subject, dice.label())


QUESTIONS = DICE.map(question)
ANY = settings(max_examples=500, deadline=None)


def sure_enough(said: int | None, clause: Receive | Send) -> bool:
    """policy.md section 9.3, written out again."""
    assert clause.confidence is not None
    return clause.unrated if said is None else said >= clause.confidence


@ANY
@given(QUESTIONS)
def test_nothing_is_released_above_a_ceiling(asked: Question) -> None:
    """What is released is below the ceilings of the channel, the agreement it names and the one it came under (R2)."""
    made, rules, audience, subject = asked.terms, asked.rules, asked.audience, asked.subject
    decision = rules.decide(subject, audience)
    if not decision.released:
        return
    assert subject.label is not None
    label, flags = subject.label, rules.clearance(audience)
    inside = bool(flags & PFC)
    worth = max(
        level for level in (label.tlp, None if label.pfc is None else meant(label.pfc, inside)) if level is not None
    )
    assert worth <= audience.ceiling
    assert worth <= flags & 7
    assert inside or not label.for_the_list
    assert not (flags & NO_PAP and label.pap in (Pap.AMBER, Pap.RED))
    assert not label.draft
    if label.orgs is not None:
        assert all(label.orgs & {ORGS[member]} for member in audience.members) or (
            audience.home and label.orgs & {ORGS["home"], NODE}
        )
    if label.servers is not None and audience.pushes and not audience.home:
        assert SITE in label.servers
    assert audience.types is None or subject.type in audience.types
    source = made.peers[subject.peer]
    begun = [a for a in made.agreements if a.start <= NOW.date()]
    if not source.home:
        received = [a.receive for a in begun if a.receive and subject.peer in a.parties]
        assert any(
            worth <= clause.ceiling
            and (clause.types is None or subject.type in clause.types)
            and (clause.confidence is None or sure_enough(label.confidence, clause))
            for clause in received
        )
    if audience.home:
        assert decision.not_after == label.until
        return
    (named,) = [a for a in made.agreements if a.id == decision.agreement]
    assert named.active(NOW)
    assert set(audience.members) <= set(named.parties)
    assert named.send is not None
    assert worth <= named.send.ceiling
    assert named.send.pfc or not label.for_the_list
    assert named.send.types is None or subject.type in named.send.types
    assert named.send.confidence is None or sure_enough(label.confidence, named.send)
    assert not (named.send.encrypted or label.encrypted) or not audience.in_clear
    assert not label.unnamed
    assert label.since is None or label.since <= NOW
    assert label.until is None or decision.not_after <= label.until
    assert decision.not_after is not None
    # The giver's leave to let AMBER go onward may end sooner.
    assert NOW < decision.not_after <= end_of(named)
    assert decision.not_after in (end_of(named), label.until) or worth >= Tlp.AMBER
    assert subject.label.reach <= Reach.CONNECTED


@ANY
@given(QUESTIONS)
def test_a_stricter_marking_never_widens_an_audience(asked: Question) -> None:
    """What is released under a stricter label is released under the looser one too (R12)."""
    rules, audience, subject = asked.rules, asked.audience, asked.subject
    # One that holds nothing but what the agreement calls informational says no level: that is unmarked, and no looser.
    assume(subject.label is not None and subject.label.level(listed=True) is not None)
    assert subject.label is not None
    stricter = replace(subject, label=subject.label.join(asked.more))
    if rules.decide(stricter, audience).released:
        assert rules.decide(subject, audience).released


def narrower(types: frozenset[str] | None) -> frozenset[str]:
    return frozenset({"malware"}) if types is None else types & {"malware"}


SURE = st.none() | st.integers(0, 100)
STRICTER: dict[str, Callable[[Any], Any]] = {
    "ceiling": lambda ceiling: Tlp(max(ceiling - 1, 0)),
    "types": narrower,
    "confidence": lambda sure: 50 if sure is None else max(sure, 50),
    "unrated": lambda _: False,
    "encrypted": lambda _: True,
    "onward": lambda _: False,
    "informational_markings": lambda _: frozenset(),
}
"""Ways to make one clause stricter."""


@ANY
@given(
    QUESTIONS, st.sampled_from(sorted(STRICTER)), st.sampled_from(["send", "receive"]), st.integers(0, 100) | st.none()
)
def test_a_stricter_clause_never_widens(asked: Question, clause: str, table: str, sure: int | None) -> None:
    """What is released under the stricter clause is released under the looser one too (R2)."""
    made, audience, subject = asked.terms, asked.audience, asked.subject
    assume(subject.label is not None and made.agreements)
    assert subject.label is not None
    subject = replace(subject, label=with_confidence(subject.label, sure))

    def stricter(agreement: Agreement) -> Agreement:
        side = getattr(agreement, table)
        if not hasattr(side, clause):
            return agreement
        return replace(agreement, **{table: replace(side, **{clause: STRICTER[clause](getattr(side, clause))})})

    agreements = tuple(map(stricter, made.agreements))
    if Rules(replace(made, agreements=agreements), NOW).decide(subject, audience).released:
        assert asked.rules.decide(subject, audience).released


@ANY
@given(QUESTIONS)
def test_without_an_agreement_nothing_leaves_the_house(asked: Question) -> None:
    """An audience outside of our house gets nothing unless an agreement names all of its members (R2)."""
    made, audience, subject = asked.terms, asked.audience, asked.subject
    assume(not audience.home)
    others = tuple(a for a in made.agreements if a.send is None or not set(audience.members) & set(a.parties))
    bare = Rules(replace(made, agreements=others), NOW)
    for found in bare.audiences:
        if not found.home and set(found.members) & set(audience.members):
            assert not bare.decide(subject, found).released


@ANY
@given(QUESTIONS)
def test_what_nobody_understands_is_never_released(asked: Question) -> None:
    """An unlisted unknown marking, an unmarked label and no label at all release to nobody (R11, R12)."""
    rules, audience, subject = asked.rules, asked.audience, asked.subject
    odd = Label(tlp=Tlp.CLEAR, unknown=frozenset({"marking-definition--nobody-ever-heard-of-it"}))
    listed = any(a.receive and "*" in a.receive.informational_markings for a in rules.terms.agreements)
    assert not rules.decide(replace(subject, label=None), audience).released
    assert not rules.decide(replace(subject, label=Label()), audience).released
    assert listed or not rules.decide(replace(subject, label=odd), audience).released


@ANY
@given(QUESTIONS)
def test_a_peer_alone_never_gets_back_what_it_gave(asked: Question) -> None:
    """An audience of one peer is not given that peer's own statements, except what it wrote to that channel (R3)."""
    rules, audience, subject = asked.rules, asked.audience, asked.subject
    assume(audience.single is not None and (audience.pushes or not audience.home))  # our own house reads its own (R4)
    own = replace(subject, peer=audience.single or "")
    if rules.decide(own, audience).released:
        assert own.posted == audience.channel
    assert not rules.decide(replace(own, posted=""), audience).released


@ANY
@given(QUESTIONS)
def test_amber_goes_no_further_than_its_giver_agreed(asked: Question) -> None:
    """AMBER and stricter from a partner leave for another one only by an agreement of the giver's that says onward."""
    made, rules, audience, subject = asked.terms, asked.rules, asked.audience, asked.subject
    assume(not audience.home and set(audience.members) != {subject.peer})
    decision = rules.decide(subject, audience)
    if decision.released and subject.label and (subject.label.tlp or 0) >= Tlp.AMBER and subject.peer != "home":
        assert any(a.send and a.send.onward and subject.peer in a.parties and a.active(NOW) for a in made.agreements)


@ANY
@given(QUESTIONS)
def test_the_cache_answers_as_the_rules_do(asked: Question) -> None:
    """A cached decision is the one that fresh rules give, for every audience of the terms (R35)."""
    made, rules, subject = asked.terms, asked.rules, asked.subject
    for _ in range(2):
        for audience in rules.audiences:
            assert rules.decide(subject, audience) == Rules(made, NOW).decide(subject, audience)


@ANY
@given(QUESTIONS)
def test_every_verdict_has_a_reason(asked: Question) -> None:
    """No decision is silent: it carries a reason code, each of them once (DESIGN 2)."""
    rules, audience, subject = asked.rules, asked.audience, asked.subject
    reasons = rules.decide(subject, audience).reasons
    assert reasons
    assert len(set(reasons)) == len(reasons)
    assert all(reason.count(".") == 1 for reason in reasons)


@ANY
@given(QUESTIONS, st.integers(0, 900))
def test_between_epochs_only_the_named_end_changes_a_release(asked: Question, days: int) -> None:
    """While the epoch stands, what was released stays allowed until the `not_after` that it was released with (R19)."""
    made, rules, audience, subject = asked.terms, asked.rules, asked.audience, asked.subject
    later = Rules(made, NOW + timedelta(days=days))
    assume(later.epoch == rules.epoch)
    before, after = rules.decide(subject, audience), later.decide(subject, audience)
    if before.released and (before.not_after is None or later.now < before.not_after):
        assert after.released


def test_onward_release_ends_with_the_agreement_that_allows_it() -> None:
    """AMBER passed on by the giver's leave is not served longer than that leave without a new epoch."""
    made = terms(
        agreements=[
            agreement(
                "giver",
                ["circl"],
                span="last-day",
                receive=Receive(ceiling=Tlp.RED),
                send=Send(ceiling=Tlp.RED, onward=True),
            ),
            agreement("taker", ["ccc"], span="now", send=Send(ceiling=Tlp.RED)),
        ],
        collections=[collection(["ccc"])],
    )
    today, tomorrow = Rules(made, NOW), Rules(made, NOW + timedelta(days=1))
    subject = Subject(peer="circl", type="indicator", label=Label(tlp=Tlp.AMBER))
    decision = today.decide(subject, today.audiences[0])
    assert decision.released
    assert not tomorrow.decide(subject, tomorrow.audiences[0]).released
    assert decision.not_after is not None
    assert decision.not_after <= tomorrow.now or today.epoch != tomorrow.epoch


@ANY
@given(QUESTIONS)
def test_informational_markings_never_loosen_the_rest(asked: Question) -> None:
    """Leaving out listed markings touches neither level nor reach, and no marking that is not listed (R12)."""
    made, rules, label = asked.terms, asked.rules, asked.more
    for peer in PEERS:
        kept = rules.understood(peer, label)
        assert all_but(kept, "unknown", "iep") == all_but(label, "unknown", "iep")
        listed = [
            a.receive.informational_markings
            for a in made.agreements
            if a.receive and peer in a.parties and a.start <= NOW.date()
        ]
        assert kept.unknown >= label.unknown - frozenset[str]().union(*listed) or any("*" in each for each in listed)
    assert rules.understood("stranger", label) == label


def test_policy_knows_no_switch() -> None:
    """No environment variable, file, clock or flag reaches the decision or the gate (R30)."""
    allowed = {
        "__future__",
        "collections",
        "copy",
        "dataclasses",
        "bisect",
        "datetime",
        "enum",
        "functools",
        "hashlib",
        "html",
        "itertools",
        "math",
        "msgspec",
        "orjson",
        "re",
        "typing",
        "unicodedata",
        "urllib",
        "zlib",
        "exchange",
    }
    for file in Path(policy.__file__).parent.glob("*.py"):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            names = [a.name for a in node.names] if isinstance(node, ast.Import) else []
            names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            assert {name.partition(".")[0] for name in names} <= allowed, file
            if isinstance(node, ast.Attribute):
                assert node.attr not in {"now", "utcnow", "today"} or ast.unparse(node) in {"self.now", "rules.now"}
    assert list(inspect.signature(Rules).parameters) == ["terms", "now"]
    assert list(inspect.signature(Rules.decide).parameters) == ["self", "subject", "audience"]
    assert list(inspect.signature(policy.gate).parameters) == ["body", "clearance"]


def test_marks_are_free_of_the_wildcard() -> None:
    """The markings that the strategies draw are never the wildcard, or the properties above would prove nothing."""
    assert "*" not in MARKS


def test_a_room_holds_only_what_is_posted_to_it() -> None:
    """R22, `only_posted`: what came by another way is denied there, whatever the agreement permits."""
    room = replace(collection(["ccc", "cert-ee"], writers=["circl"]), only_posted=True)
    terms_of = [
        agreement("in", ["circl"], receive=Receive(ceiling=Tlp.RED)),
        agreement("out", ["ccc", "cert-ee"], send=Send(ceiling=Tlp.GREEN)),
    ]
    rules = Rules(terms(agreements=terms_of, collections=[room]), NOW)
    audience = next(a for a in rules.audiences if "ccc" in a.members)
    subject = Subject(peer="circl", type="indicator", label=Label(tlp=Tlp.GREEN))
    assert rules.decide(subject, audience).reasons == ("collection.only_posted",)
    assert rules.decide(replace(subject, posted="collection:another"), audience).reasons == ("collection.only_posted",)
    assert rules.decide(replace(subject, posted=audience.channel), audience).released


def test_what_its_giver_withdrew_is_denied_there_only() -> None:
    """R22: the mark bars one channel and no other."""
    room = collection(["ccc", "cert-ee"], ceiling=Tlp.RED)
    terms_of = [
        agreement("in", ["circl"], receive=Receive(ceiling=Tlp.RED)),
        agreement("out", ["ccc", "cert-ee"], send=Send(ceiling=Tlp.GREEN)),
    ]
    rules = Rules(terms(agreements=terms_of, collections=[room]), NOW)
    (audience,) = rules.audiences
    subject = Subject(peer="circl", type="indicator", label=Label(tlp=Tlp.GREEN))
    there = replace(subject, withdrawn=frozenset({audience.channel}))
    assert rules.decide(there, audience).reasons == ("withdrawn.by_peer",)
    assert rules.decide(replace(subject, withdrawn=frozenset({"collection:another"})), audience).released


def test_a_doubt_holds_what_may_go_and_hides_no_other_reason() -> None:
    """R3, R4: for our own house, and for a giver who alone reads what it wrote, nobody has to look first."""
    terms_of = [
        agreement("in", ["circl"], receive=Receive(ceiling=Tlp.RED)),
        agreement("out", ["ccc"], send=Send(ceiling=Tlp.GREEN)),
        agreement("back", ["circl"], send=Send(ceiling=Tlp.GREEN)),
    ]
    rooms = [collection(["ccc"]), collection(["home"], ceiling=Tlp.RED), collection(["circl"], writers=["circl"])]
    rooms = [replace(room, id=f"{room.id[:-1]}{number}") for number, room in enumerate(rooms)]
    rules = Rules(terms(agreements=terms_of, collections=rooms), NOW)
    theirs, ours, own = (next(a for a in rules.audiences if a.members == (who,)) for who in ("ccc", "home", "circl"))
    subject = Subject(peer="circl", type="indicator", label=Label(tlp=Tlp.GREEN), doubt="doubt.warninglist")
    assert rules.decide(subject, theirs) == Decision(verdict=Verdict.HOLD, reasons=("doubt.warninglist",))
    assert rules.decide(replace(subject, doubt=""), theirs).released
    assert rules.decide(subject, ours).released
    assert rules.decide(replace(subject, posted=own.channel), own).released
    assert rules.decide(replace(subject, label=Label(tlp=Tlp.RED)), theirs).reasons != ("doubt.warninglist",)


@pytest.mark.parametrize("code", [ENDED, AGED])
def test_what_is_too_old_is_not_let_go(code: str) -> None:
    """Its creator's own end denies, age holds; both also where a renewed agreement would let it go. No other verdict
    is touched, and nothing before the instant itself.
    """
    end, at = End(100, code), 100
    free = Decision(verdict=Verdict.RELEASE, reasons=("release.agreement",))
    lapsed = Decision(verdict=Verdict.HOLD, reasons=("agreement.ended",))
    refused = Decision(verdict=Verdict.DENY, reasons=("agreement.ceiling",))
    verdict = Verdict.DENY if code == ENDED else Verdict.HOLD
    for decision in (free, lapsed):
        assert unless_expired(decision, end, at) == Decision(verdict=verdict, reasons=(code,))
        assert unless_expired(decision, end, at - 1) is decision
        assert unless_expired(decision, None, at) is decision
    assert unless_expired(refused, end, at) is refused
    assert unless_expired(lapsed, None, at) is lapsed


def test_nothing_is_assumed_of_a_subject() -> None:
    """What is not said of a subject bars, doubts and owns nothing; a decision without agreement names none."""
    subject = Subject(peer="circl", type="indicator", label=None)
    assert (subject.owner, subject.posted, subject.barred, subject.doubt) == ("", "", "", "")
    assert (subject.withdrawn, subject.copied) == (frozenset(), frozenset())
    assert Decision(verdict=Verdict.HOLD, reasons=("label.none",)).agreement == ""


def test_a_label_without_odd_marks_is_understood_as_it_stands() -> None:
    """The same label, not one like it: most have none, and are not made anew (R35)."""
    rules = Rules(terms(agreements=[agreement("in", ["circl"], receive=Receive(ceiling=Tlp.RED))]), NOW)
    plain = Label(tlp=Tlp.GREEN, reach=Reach.NODE)
    assert rules.understood("circl", plain) is plain
