"""`trace`: its last row is what `decide` gives, for every row of the decision table and for any terms whatever."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from policy_world import DICE, NOW, PEERS, agreement, collection, terms
from test_decide import ORGS, Dice, Row, label_of, question, table, world_of

from exchange.model.marking import Label, Tlp
from exchange.model.party import Receive, Send
from exchange.policy import Rules, Subject, Verdict, trace
from exchange.policy.audience import Audience, collection_channel


def told_as_decided(rules: Rules, subject: Subject, audience: Audience) -> None:
    """The law that keeps what is told and what is done one."""
    rows, decision = trace(rules, subject, audience), rules.decide(subject, audience)
    assert [row.step for row in rows[:-1] if row.verdict is not None] == []
    last = rows[-1]
    assert (last.verdict, last.reasons, last.agreement) == (decision.verdict, decision.reasons, decision.agreement)
    names = [row.step for row in rows]
    assert len(set(names)) == len(names)
    clauses = [clause for row in rows for clause in row.clauses]
    if decision.verdict is Verdict.RELEASE and not audience.home:
        assert decision.agreement in {clause.agreement for clause in clauses if not clause.reason}
    if last.step == "sent" and clauses and decision.reasons not in (("agreement.ended",), ("onward.forbidden",)):
        assert {clause.reason for clause in clauses} == set(decision.reasons)
    assert {clause.agreement for clause in clauses} in ({*audience.agreements}, set())


@pytest.mark.parametrize("row", table(), ids=lambda row: f"{row.rule}:{row.line}")
def test_the_decision_table_is_told_as_it_is_decided(row: Row) -> None:
    made, members = world_of(row)
    rules = Rules(made, NOW)
    (audience,) = [audience for audience in rules.audiences if audience.members == tuple(sorted(members))]
    posted = {"-": "", "here": audience.channel, "elsewhere": collection_channel("another")}[row.posted]
    told_as_decided(rules, Subject(peer=row.source, type=row.type, label=label_of(row.label), posted=posted), audience)


@settings(max_examples=300)
@given(DICE, st.booleans(), st.sampled_from(["", "", "version.touch"]), st.booleans(), st.sampled_from(["", *PEERS]))
def test_anything_is_told_as_it_is_decided(
    dice: Dice, doubtful: bool, barred: str, withdrawn: bool, owner: str
) -> None:
    """With all that may stop it besides: a doubt, a bar, a withdrawal, an owner."""
    asked = question(dice)
    subject = replace(
        asked.subject,
        doubt="doubt.warninglist" if doubtful else "",
        barred=barred,
        withdrawn=frozenset({asked.audience.channel}) if withdrawn else frozenset(),
        owner=owner,
    )
    told_as_decided(asked.rules, asked.subject, asked.audience)
    told_as_decided(asked.rules, subject, asked.audience)


def test_each_agreement_is_named_with_the_clause_that_stopped_it() -> None:
    made = terms(
        agreements=[
            agreement("giver", ["circl"], receive=Receive(ceiling=Tlp.AMBER)),
            agreement("narrow", ["ccc"], send=Send(ceiling=Tlp.CLEAR)),
            agreement("others", ["ccc"], send=Send(ceiling=Tlp.RED, types=frozenset({"malware"}))),
            agreement("wide", ["ccc"], send=Send(ceiling=Tlp.GREEN)),
        ],
        collections=[collection(["ccc"])],
    )
    rules = Rules(made, NOW)
    (audience,) = rules.audiences
    subject = Subject(peer="circl", type="indicator", label=Label(tlp=Tlp.GREEN, orgs=frozenset({ORGS["ccc"]})))
    rows = {row.step: row for row in trace(rules, subject, audience)}
    assert list(rows) == [
        *(
            "barred",
            "label",
            "received",
            "returns",
            "channel",
            "group",
            "pap",
            "wire",
            "dialect",
            "reach",
            "names",
            "sent",
            "doubt",
            "released",
        ),
    ]
    assert [(each.agreement, each.reason, each.ceiling) for each in rows["sent"].clauses] == [
        ("narrow", "agreement.ceiling", "TLP:CLEAR"),
        ("others", "agreement.type", "TLP:RED"),
        ("wide", "", "TLP:GREEN"),
    ]
    assert rows["received"].fields == {"giver": "circl", "agreements": "giver", "ceiling": "TLP:AMBER"}
    assert rows["label"].fields == {"label": "TLP:GREEN"}
    assert rows["group"].fields == {"organisations": "1"}
    assert rows["released"].agreement == "wide"
