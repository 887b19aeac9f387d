"""Markings: the published tables, the spellings of MISP tags, and the algebra of labels (R12)."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from itertools import permutations
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from stix_samples import GREEN, RED, STATEMENT

from exchange.convert.part import said_by_marking
from exchange.model import marking
from exchange.model.distribution import of_distribution
from exchange.model.lights import COLOURS, PAP_IDS, PFC_IDS, Pap, Pfc
from exchange.model.marking import (
    TLP2_ID,
    TLP_IDS,
    UNMARKED,
    Label,
    Reach,
    Tlp,
    ids_of,
    of_ids,
    of_tags,
    parse_tlp,
    tags_of,
    with_confidence,
)

POLICY = Path(__file__).parents[2].parent / "shared" / "reference" / "policy.md"
# The table of policy.md section 2, written out: level, TLP 1 id, TLP 2 id, what OpenCTI writes.
PUBLISHED = [
    ("CLEAR", "613f2e26-407d-48c7-9eca-b8e91df99dc9", "94868c89-83c2-464b-929b-a1a8aa3c8487", ""),
    ("GREEN", "34098fce-860f-48ae-8e50-ebd3cc5e41da", "bab4a63c-aed9-4cf5-a766-dfca5abac2bb", ""),
    ("AMBER", "f88d31f6-486f-44da-b317-01333bde0b82", "55d920b0-5e8b-4f79-9ee9-91f868d9b421", ""),
    (
        "AMBER_STRICT",
        "",
        "939a9414-2ddd-4d32-a0cd-375ea402b003",
        "826578e1-40ad-459f-bc73-ede076f81f37",
    ),
    ("RED", "5e57c739-391a-4eb3-b6be-7d15ca92d5ed", "e828b379-4e03-4974-9ac4-e53a884c97c1", ""),
]

MARKS = st.text(max_size=6) | st.sampled_from(["a,b", "a", "b", "x|y", "pap:red", STATEMENT, "", ",", "a\nb"])
ORGS = [f"{n}0000000-0000-4000-8000-00000000000{n}" for n in range(1, 5)]
SITES = ["https://misp.one.example", "https://misp.two.example"]
TIMES = st.datetimes(timezones=st.just(UTC))
LABELS = st.builds(
    Label,
    tlp=st.none() | st.sampled_from(Tlp),
    unknown=st.frozensets(MARKS, max_size=3),
    texts=st.frozensets(MARKS, max_size=2),
    reach=st.sampled_from(Reach),
    pfc=st.none() | st.sampled_from(Pfc),
    pap=st.none() | st.sampled_from(Pap),
    iep=st.frozensets(MARKS, max_size=2),
    orgs=st.none() | st.frozensets(st.sampled_from(ORGS)),
    servers=st.none() | st.frozensets(st.sampled_from(SITES)),
    draft=st.booleans(),
    unnamed=st.booleans(),
    encrypted=st.booleans(),
    limited=st.booleans(),
    since=st.none() | TIMES,
    until=st.none() | TIMES,
    confidence=st.none() | st.integers(0, 100),
).flatmap(lambda label: st.sampled_from([label, label, label.join(Label(pfc=Pfc.VERT))]))
LEVELS = st.builds(
    Label,
    tlp=st.none() | st.sampled_from(Tlp),
    pfc=st.none() | st.sampled_from(Pfc),
    pap=st.none() | st.sampled_from(Pap),
).flatmap(lambda label: st.sampled_from([label, label.join(Label(pfc=Pfc.VERT))]))


def test_the_tables_are_the_published_ones() -> None:
    """Ten ids, each with its published level, and the TLP 2.0 id of each level."""
    expected = {f"marking-definition--{tail}": Tlp[name] for name, *tails in PUBLISHED for tail in tails if tail}
    assert dict(TLP_IDS) == expected
    assert dict(TLP2_ID) == {Tlp[name]: f"marking-definition--{second}" for name, _, second, _ in PUBLISHED}


@pytest.mark.skipif(not POLICY.exists(), reason="the reference pages are not beside this checkout")
def test_the_tables_equal_the_reference_page() -> None:
    """Every full id in policy.md section 2 stands in our table under the level of its line, and no other does."""
    section = POLICY.read_text(encoding="utf-8").partition("## 2.")[2].partition("## 3.")[0]
    found = {}
    for line in section.splitlines():
        if line.startswith("| "):
            name = line.split("|")[1].strip().rpartition("/ ")[2].replace("+", "_")
            for identifier in re.findall(r"marking-definition--[0-9a-f-]{36}", line):
                found[identifier] = Tlp[name]
    assert found == dict(TLP_IDS)


def test_levels_stand_in_the_order_of_strictness() -> None:
    """CLEAR < GREEN < AMBER < AMBER+STRICT < RED, spelt as FIRST and as MISP's taxonomy do."""
    assert [level.label for level in sorted(Tlp)] == [
        "TLP:CLEAR",
        "TLP:GREEN",
        "TLP:AMBER",
        "TLP:AMBER+STRICT",
        "TLP:RED",
    ]
    assert [level.tag for level in sorted(Tlp)] == [
        "tlp:clear",
        "tlp:green",
        "tlp:amber",
        "tlp:amber+strict",
        "tlp:red",
    ]


@pytest.mark.parametrize(
    ("tag", "level"),
    [
        ("tlp:white", Tlp.CLEAR),
        ("tlp:clear", Tlp.CLEAR),
        ("TLP:WHITE", Tlp.CLEAR),
        (" TLP:WHITE", Tlp.CLEAR),
        ("TLP: white", Tlp.CLEAR),
        ("tlp: white", Tlp.CLEAR),
        ("TLP:Clear\n", Tlp.CLEAR),
        ("TLP:GREEN", Tlp.GREEN),
        ("tlp :\tgreen", Tlp.GREEN),
        ("Tlp:Amber", Tlp.AMBER),
        ("tlp:amber+strict", Tlp.AMBER_STRICT),
        ("TLP:AMBER+STRICT", Tlp.AMBER_STRICT),
        ("tlp:amber + strict", Tlp.AMBER_STRICT),
        ("TLP:RED", Tlp.RED),
        ("\u00a0tlp:red\u2003", Tlp.RED),
    ],
)
def test_tags_are_read_whatever_their_case_and_spaces(tag: str, level: Tlp) -> None:
    """Each spelling found in real data is the level that it means, as a tag and as text."""
    assert of_tags([tag]) == Label(tlp=level)
    assert parse_tlp(tag) is level


@given(st.permutations(["tlp:clear", "TLP:GREEN", "tlp:amber", "tlp:amber+strict"]), st.integers(1, 4))
def test_of_several_tags_the_strictest_wins(tags: list[str], count: int) -> None:
    """Any number of TLP tags in any order is the strictest of them."""
    chosen = tags[:count]
    strictest = sorted(level for tag in chosen if (level := parse_tlp(tag)) is not None)[-1]
    assert of_tags([*chosen, "misp-galaxy:x", "red"]) == Label(tlp=strictest)


@pytest.mark.parametrize(
    "tag",
    [
        "tlp:unclear",
        "TLP:UNCLEAR",
        "tlp:ex:others",
        "tlp:",
        "tlp:purple",
        "tlp:amber+loose",
        "pap:purple",
        "pap-red",
        "PAP:",
        "pfc:jaune",
        "PFC VERTE",
        "pfc:ambre-strict",
        'ais-marking:TLPMarking="PURPLE"',
        'ais-marking:CISA_Proprietary="true"',
        'ais-marking:AISMarking="Is_Proprietary"',
    ],
)
@pytest.mark.parametrize("beside", [[], ["tlp:clear"]])
def test_a_restricting_tag_that_is_no_level_denies(tag: str, beside: list[str]) -> None:
    """A tag that restricts and that we do not understand is an unknown marking, beside a TLP level as well (R12)."""
    label = of_tags([*beside, tag])
    assert label.unknown
    assert label.stated
    assert label.tlp == (Tlp.CLEAR if beside else None)


@pytest.mark.parametrize("hidden", ["\ufeff", "\u200b", "\u2060", "\u00ad"])
def test_invisible_characters_hide_no_restriction(hidden: str) -> None:
    """A zero-width character before or inside a restricting tag does not make it an ordinary tag."""
    for tag in ("tlp:red", "pap:red"):
        for odd in (hidden + tag, tag.replace(":", hidden + ":"), tag + hidden):
            label = of_tags([odd])
            assert label.tlp is Tlp.RED or label.pap is Pap.RED or label.unknown, ascii(odd)


def test_other_tags_say_nothing() -> None:
    """Tags that restrict nothing leave an entity unmarked."""
    assert (
        of_tags(['misp-galaxy:threat-actor="TLP"', "type:OSINT", "circl:incident", "", "red", "workflow:tlp:red"])
        == UNMARKED
    )
    assert not UNMARKED.stated


def test_an_id_outside_the_table_is_unknown() -> None:
    """A marking id that we do not know is never no marking, whatever stands beside it (R12)."""
    assert marking.of_ids([GREEN, STATEMENT]) == Label(tlp=Tlp.GREEN, unknown=frozenset({STATEMENT}))
    assert marking.of_ids([STATEMENT]) == Label(unknown=frozenset({STATEMENT}))
    assert marking.of_ids([RED.upper()]).unknown
    assert marking.of_ids([]) == UNMARKED


@pytest.mark.parametrize("order", list(permutations([GREEN, RED, STATEMENT])))
def test_granular_marks_join_in(order: tuple[str, ...]) -> None:
    """Object marks and granular marks in any place join to the strictest; a language mark is none (R12)."""
    stix = {
        "object_marking_refs": [order[0]],
        "granular_markings": [
            {"selectors": ["name"], "marking_ref": order[1]},
            {"selectors": ["name"], "lang": "fr"},
            {"selectors": ["description"], "marking_ref": order[2]},
        ],
    }
    assert marking.of_object(stix) == Label(tlp=Tlp.RED, unknown=frozenset({STATEMENT}))


@given(LABELS)
@example(Label(unknown=frozenset({'iep2-policy:external_reference="a,b"'})))
@example(Label(unknown=frozenset({""})))
def test_a_label_comes_back_from_its_text(label: Label) -> None:
    """What the store writes is what it reads back, commas, bars and line ends inside of unknown marks included."""
    assert Label.from_text(label.to_text()) == label


def test_a_kept_label_never_gets_looser() -> None:
    """One unknown mark with a comma in it does not become two that an agreement lists, nor does an empty one vanish."""
    for mark in ("pap:red,pap:green", "", ","):
        back = Label.from_text(Label(tlp=Tlp.CLEAR, unknown=frozenset({mark})).to_text())
        assert back.unknown - {"pap:red", "pap:green"}, repr(mark)


@given(LABELS, LABELS, LABELS)
def test_join_is_a_join(one: Label, two: Label, three: Label) -> None:
    """Joining is commutative, associative and idempotent, and nothing stated is its neutral element (R12)."""
    assert one.join(two) == two.join(one)
    assert one.join(two).join(three) == one.join(two.join(three))
    assert one.join(one) == one
    assert one.join(UNMARKED) == one == UNMARKED.join(one)


@given(LABELS, LABELS)
def test_join_is_the_strictest_on_every_axis(one: Label, two: Label) -> None:
    """A join is at least as strict as both of its parts, and no stricter than the stricter of them on each axis."""
    both = one.join(two)
    assert both.tlp in {one.tlp, two.tlp}
    assert all(both.tlp is not None and both.tlp >= part.tlp for part in (one, two) if part.tlp is not None)
    assert both.unknown == one.unknown | two.unknown
    assert both.reach == max(one.reach, two.reach)
    for name in ("pfc", "pap"):
        assert getattr(both, name) == max(
            (level for part in (one, two) if (level := getattr(part, name)) is not None), default=None
        )
    assert both.iep == one.iep | two.iep
    for name in ("orgs", "servers"):
        for someone in (*ORGS, *SITES):
            allowed = [named is None or someone in named for part in (one, two) for named in [getattr(part, name)]]
            left = getattr(both, name)
            assert (left is None or someone in left) == all(allowed)
    assert both.draft == (one.draft or two.draft)
    assert both.for_the_list == (one.for_the_list or two.for_the_list)


@pytest.mark.parametrize(
    ("distribution", "foreign", "home"),
    [
        (0, Reach.NODE, Reach.NODE),
        (1, Reach.NODE, Reach.COMMUNITY),
        (2, Reach.COMMUNITY, Reach.CONNECTED),
        (3, Reach.ALL, Reach.ALL),
        (5, Reach.ALL, Reach.ALL),
        (6, Reach.NODE, Reach.NODE),
        (-1, Reach.NODE, Reach.NODE),
        (None, Reach.ALL, Reach.ALL),
    ],
)
def test_distribution_goes_down_one_hop_unless_it_is_ours(
    distribution: int | None, foreign: Reach, home: Reach
) -> None:
    """MISP's levels reach as far as MISP itself lets them; a number we do not know reaches nobody (R4, R26)."""
    assert of_distribution(distribution, internal=False) == Label(reach=foreign)
    assert of_distribution(distribution, internal=True) == Label(reach=home)
    assert not of_distribution(distribution, internal=False).stated


@pytest.mark.skipif(not POLICY.exists(), reason="the reference pages are not beside this checkout")
def test_the_pap_ids_equal_the_reference_page() -> None:
    """The five ids of policy.md section 5, each with its level; what was WHITE is CLEAR."""
    section = POLICY.read_text(encoding="utf-8").partition("## 5.")[2].partition("## 6.")[0]
    found = re.findall(r"(CLEAR|GREEN|AMBER|RED|WHITE) ([0-9a-f]{8}-[0-9a-f-]{27})", section)
    assert len(found) == 5
    assert dict(PAP_IDS) == {
        f"marking-definition--{tail}": Pap["CLEAR" if name == "WHITE" else name] for name, tail in found
    }


def test_pfc_levels_stand_in_the_order_of_strictness() -> None:
    """LIBRE < VERT < AMBRE < AMBRE+STRICT < ROUGE, as the ministry and as MISP's taxonomy write them."""
    assert [level.label for level in sorted(Pfc)] == [
        "PFC:LIBRE",
        "PFC:VERT",
        "PFC:AMBRE",
        "PFC:AMBRE+STRICT",
        "PFC:ROUGE",
    ]
    assert [level.tag for level in sorted(Pfc)] == [
        "pfc:libre",
        "pfc:vert",
        "pfc:ambre",
        "pfc:ambre+strict",
        "pfc:rouge",
    ]
    assert len(PFC_IDS) == len(Pfc)


@pytest.mark.parametrize(
    ("tag", "label"),
    [
        ("PAP:RED", Label(pap=Pap.RED)),
        ("pap:amber", Label(pap=Pap.AMBER)),
        (" PAP: Green", Label(pap=Pap.GREEN)),
        ("PAP:WHITE", Label(pap=Pap.CLEAR)),
        ("PAP:CLEAR", Label(pap=Pap.CLEAR)),
        ("pfc:vert", Label(pfc=Pfc.VERT)),
        ("PFC:VERT", Label(pfc=Pfc.VERT)),
        ("PFC:Ambre + Strict", Label(pfc=Pfc.AMBRE_STRICT)),
        ("PFC:AMBRE", Label(pfc=Pfc.AMBRE)),
        ("pfc : rouge", Label(pfc=Pfc.ROUGE)),
        ("PFC:LIBRE", Label(pfc=Pfc.LIBRE)),
        ('iep2-policy:ID="A b"', Label(iep=frozenset({'iep2-policy:id="ab"'}))),
        ('iep2-reference:url="x"', Label(iep=frozenset({'iep2-reference:url="x"'}))),
        ('iep:traffic-light-protocol="RED"', Label(iep=frozenset({'iep:traffic-light-protocol="red"'}))),
    ],
)
def test_pap_pfc_and_iep_tags_are_read_whatever_their_case_and_spaces(tag: str, label: Label) -> None:
    """Each taxonomy speaks on an axis of its own."""
    assert of_tags([tag]) == label


def test_pap_says_nothing_about_who_may_have_it() -> None:
    """PAP limits use: beside no TLP the object is as unmarked as without it (R11). PFC and IEP do say who."""
    assert not of_tags(["PAP:RED"]).stated
    assert of_tags(["pfc:libre"]).stated
    assert of_tags(['iep2-policy:id="1"']).stated


@given(LEVELS)
def test_tags_to_ids_to_tags_is_the_identity(label: Label) -> None:
    """What a label says in tags is what it says in ids, both ways, and nothing else is said."""
    tags = tags_of(label)
    assert of_tags(tags) == label == of_ids(ids_of(label))
    assert tags_of(of_ids(ids_of(of_tags(tags)))) == tags
    assert all(tag in COLOURS for tag in tags)


@given(LABELS)
def test_what_is_no_level_is_written_nowhere(label: Label) -> None:
    """Reach, organisations and unknown markings are never said in tags or ids that we make."""
    levels = Label(tlp=label.tlp, pfc=label.pfc, pap=label.pap, vert=label.vert)
    assert tags_of(label) == tags_of(levels)
    assert of_ids(ids_of(label)) == levels


@pytest.mark.parametrize(
    "name", ["tlp:unclear", "tlp:ex:chr", 'iep2-policy:id="1"', "type:OSINT", "", "red", "pap-red"]
)
def test_what_says_no_level_stays_with_the_entity(name: str) -> None:
    """Only tags that are written from the label are taken off an entity."""
    assert not tags_of(of_tags([name]))


@pytest.mark.parametrize("internal", [True, False])
@pytest.mark.parametrize(
    ("group", "orgs", "servers"),
    [
        (None, [], []),
        ({}, [], None),
        ("4", [], []),
        ({"SharingGroupOrg": []}, [], None),
        ({"SharingGroupOrg": [{"Organisation": {"uuid": ORGS[0].upper()}}]}, [ORGS[0]], None),
        ({"SharingGroupOrg": {"Organisation": [{"uuid": ORGS[0]}]}}, [ORGS[0]], None),
        ({"SharingGroupOrg": [{"uuid": ORGS[0]}, {"Organisation": {"uuid": "x"}}, 7]}, [ORGS[0]], None),
        ({"active": True, "SharingGroupOrg": [{"uuid": ORGS[0]}]}, [ORGS[0]], None),
        ({"active": "0", "SharingGroupOrg": [{"uuid": ORGS[0]}]}, [], None),
        ({"active": False, "SharingGroupOrg": [{"uuid": ORGS[0]}]}, [], None),
        (
            {
                "roaming": False,
                "SharingGroupOrg": [{"uuid": ORGS[0]}, {"uuid": ORGS[1]}],
                "SharingGroupServer": [{"all_orgs": True, "Server": {"url": SITES[0].upper() + "/"}}],
            },
            ORGS[:2],
            SITES[:1],
        ),
        (
            {"roaming": "1", "SharingGroupOrg": [{"uuid": ORGS[0]}], "SharingGroupServer": [{"Server": {}}]},
            ORGS[:1],
            None,
        ),
        ({"SharingGroupOrg": [{"uuid": ORGS[0]}], "SharingGroupServer": [{"Server": []}]}, ORGS[:1], []),
    ],
)
def test_a_sharing_group_names_its_organisations(
    group: object, orgs: list[str], servers: list[str] | None, internal: bool
) -> None:
    """misp.md 2.1: parties by uuid; servers only for a push and only in a group that does not roam; else nobody."""
    found = of_distribution(4, internal=internal, sharing_group=group)
    assert found == Label(orgs=frozenset(orgs), servers=None if servers is None else frozenset(servers))
    assert not found.stated


@pytest.mark.parametrize(
    ("text", "label"),
    [
        ("|0|", UNMARKED),
        ("1|3|", Label(tlp=Tlp.GREEN, reach=Reach.NODE)),
        ('2|1|["pap:red", "x|y"]', Label(tlp=Tlp.AMBER, reach=Reach.CONNECTED, unknown=frozenset({"pap:red", "x|y"}))),
    ],
)
def test_texts_of_before_are_read(text: str, label: Label) -> None:
    """The store holds labels written before PAP, PFC and sharing groups were read; they restrict as they did."""
    assert Label.from_text(text) == label


def test_a_group_of_a_hundred_stays_short() -> None:
    """It stands in the row of every attribute of its event."""
    many = frozenset(f"{n:08x}-0000-4000-8000-{n:012x}" for n in range(100))
    text = Label(tlp=Tlp.GREEN, orgs=many).to_text()
    assert len(text) < 2200
    assert Label.from_text(text).orgs == many


@given(LEVELS)
def test_who_does_not_read_pfc_is_told_in_tlp(label: Label) -> None:
    """PFC stays, and what it comes to outside of its list stands beside it in TLP (policy.md section 4)."""
    told = of_tags(tags_of(label, reads_pfc=False))
    assert told.join(label) == told
    assert (told.pfc, told.pap, told.vert) == (label.pfc, label.pap, label.vert)
    meant = [] if label.pfc is None else [Tlp(int(label.pfc) + (label.pfc is Pfc.AMBRE))]
    assert told.tlp == max([level for level in (label.tlp, *meant) if level is not None], default=None)


@pytest.mark.parametrize(
    ("tag", "label"),
    [
        ("tlp:ex:chr", Label(unnamed=True)),
        ("TLP : EX : CHR", Label(unnamed=True)),
        ('iep2-policy:tlp="amber"', Label(tlp=Tlp.AMBER)),
        ('IEP2-Policy:TLP = "White"', Label(tlp=Tlp.CLEAR)),
        ('iep2-policy:attribution="must-not"', Label(unnamed=True)),
        ('iep2-policy:attribution="may"', UNMARKED),
        ('iep2-policy:encrypt_in_transit="must"', Label(encrypted=True)),
        ('iep2-policy:encrypt_in_transit="may"', UNMARKED),
        ('iep2-policy:permitted_actions="none"', Label(pap=Pap.RED)),
        ('iep2-policy:permitted_actions="externally-visible-indirect-actions"', Label(pap=Pap.AMBER)),
        ('iep2-policy:permitted_actions="externally-visible-direct-actions"', UNMARKED),
        ('iep2-policy:unmodified_resale="must-not"', Label(limited=True)),
        ('iep2-policy:description="anything at all"', UNMARKED),
        ('iep2-policy:start_date="2026-01-01T00:00:00Z"', Label(since=datetime(2026, 1, 1, tzinfo=UTC))),
        ('iep2-policy:end_date="2026-12-31"', Label(until=datetime(2026, 12, 31, tzinfo=UTC))),
        ('iep2-policy:end_date="2026-12-31T19:00:00-05:00"', Label(until=datetime(2027, 1, 1, tzinfo=UTC))),
        ('iep2-policy:end_date="null"', UNMARKED),
        ('ais-marking:TLPMarking="WHITE"', Label(tlp=Tlp.CLEAR)),
        ('ais-marking:AISConsent="EVERYONE"', UNMARKED),
        ('ais-marking:AISConsent="USG"', Label(unnamed=True)),
        ('ais-marking:AISConsent="NONE"', Label(unnamed=True)),
        ('ais-marking:AISMarking="Not_Proprietary"', UNMARKED),
    ],
)
def test_words_of_iep_and_ais_that_we_know(tag: str, label: Label) -> None:
    """policy.md sections 6 and 10: each known word comes to its axes, and no tag of ours takes its place."""
    assert of_tags([tag]) == label
    assert not said_by_marking(tag)


@pytest.mark.parametrize(
    "tag",
    [
        'iep2-policy:id="1"',
        'iep2-policy:name="for members"',
        'iep2-policy:tlp="amber+strict"',
        'iep2-policy:tlp=""',
        "iep2-policy:tlp",
        'iep2-policy:attribution="perhaps"',
        'iep2-policy:start_date="soon"',
        'iep2-policy:end_date="99999-01-01"',
        'iep2-policy:iep_version="3.0"',
        'iep2-policy:colour="blue"',
        'iep2-reference:id_ref="x"',
        "iep:traffic",
    ],
)
def test_words_of_iep_that_we_do_not_know_deny(tag: str) -> None:
    """What is no word of IEP 2.0, or may say more than the words do, is kept for the agreement to judge (R12)."""
    label = of_tags([tag])
    assert label.iep
    assert label.stated


@given(LABELS, st.integers(0, 100))
def test_how_sure_somebody_is_does_not_flow(label: Label, confidence: int) -> None:
    """R10: marks flow to what is unmarked, confidence is of one statement only."""
    assert with_confidence(label, confidence).spread == label.spread
    assert label.spread.confidence is None
    assert with_confidence(label, None) == label
