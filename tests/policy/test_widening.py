"""The pure part of widening: which right reaches how far, what stays of a label, and what the new object says."""

from __future__ import annotations

from itertools import product
from typing import Any

import pytest
from tests.world import CCC_IDENTITY, NODE, indicator, report

from exchange.model import lineage, misp, stix
from exchange.model.lights import PAP_ID, PFC_ID, Pap, Pfc, Reach
from exchange.model.marking import MARKING_PREFIX, TLP2_ID, UNMARKED, Label, Tlp, of_object
from exchange.policy import Making, Names, Refused
from exchange.policy.widening import RIGHTS, Ground, lacking, make, refused, stricter, wanted, widened, wider

NEW = "00000000-0000-4000-8000-0000000000ff"
UNKNOWN = MARKING_PREFIX + "11111111-2222-4333-8444-555555555555"
RED, STRICT, AMBER, GREEN, CLEAR = (Label(tlp=level) for level in sorted(Tlp, reverse=True))
AMBRE, VERT = Label(pfc=Pfc.AMBRE), Label(pfc=Pfc.VERT)
LEVELS = [*(Label(tlp=each) for each in Tlp), *(Label(pfc=each) for each in Pfc)]


def ground(label: Label | None, **more: Any) -> Ground:
    values: dict[str, Any] = {"type": "indicator", "ours": True, "created": True, **more}
    return Ground(label=label, **values)


@pytest.mark.parametrize(
    ("text", "label"),
    [
        ("TLP:GREEN", GREEN), ("tlp:amber+strict", STRICT), ("pfc:vert", VERT), ("PFC:AMBRE", AMBRE),
        ("green", None), ("", None), ("tlp:orange", None), ("PAP:GREEN", None), ("tlp:ex:chr", None),
        ('iep2-policy:attribution="must-not"', None), ("osint", None),
    ],
)  # fmt: skip
def test_a_level_is_one_of_tlp_or_pfc(text: str, label: Label | None) -> None:
    assert wanted(text) == label


def test_wider_is_for_somebody_who_might_not_have_it() -> None:
    """Exhaustively over pairs of single levels: who is newly allowed, on PFC's list or elsewhere."""
    for before, after in product(LEVELS, LEVELS):
        newly = []
        for listed in (True, False):
            for clearance in Tlp:
                old, new = (_may(each, clearance, listed=listed) for each in (before, after))
                newly.append(new and not old)
        assert wider(before, after) == any(newly), (before, after)


def _may(label: Label, clearance: Tlp, *, listed: bool) -> bool:
    level = label.level(listed=listed)
    return level is not None and level <= clearance and (listed or not label.for_the_list)


@pytest.mark.parametrize(
    ("given", "right", "code"),
    [
        (ground(AMBER), "creator", ""),
        (ground(AMBER, ours=False), "creator", "widening.not_creator"),
        (ground(AMBER, created=False), "creator", "widening.no_creator"),
        (ground(AMBER, ours=False, created=False), "creator", "widening.no_creator"),
        (ground(AMBRE, ours=False), "pfc", ""),
        (ground(Label(pfc=Pfc.AMBRE_STRICT), ours=False, created=False), "pfc", ""),
        (ground(Label(pfc=Pfc.ROUGE)), "pfc", "widening.not_pfc"),
        (ground(VERT), "pfc", "widening.not_pfc"),
        (ground(AMBER), "pfc", "widening.not_pfc"),
        (ground(Label(pfc=Pfc.AMBRE, tlp=Tlp.AMBER)), "pfc", ""),
        (ground(Label(pfc=Pfc.AMBRE, tlp=Tlp.AMBER_STRICT)), "pfc", "widening.else_stricter"),
        (ground(Label(pfc=Pfc.AMBRE_STRICT, tlp=Tlp.AMBER_STRICT)), "pfc", ""),
        (ground(Label(pfc=Pfc.AMBRE_STRICT, tlp=Tlp.RED)), "pfc", "widening.else_stricter"),
        (ground(Label(pfc=Pfc.AMBRE, vert=True)), "pfc", "widening.else_stricter"),
        (ground(None), "creator", "widening.unmarked"),
        (ground(Label(pap=Pap.RED)), "creator", "widening.unmarked"),
        (ground(GREEN), "creator", "widening.not_wider"),
        (ground(CLEAR), "creator", "widening.not_wider"),
        (ground(AMBER, type="identity"), "creator", "widening.type"),
        (ground(AMBER, type="marking-definition"), "creator", "widening.type"),
        (ground(AMBER, type="extension-definition"), "creator", "widening.type"),
        (ground(AMBER, type="language-content"), "creator", "widening.type"),
    ],
)
def test_who_may_widen_what(given: Ground, right: Any, code: str) -> None:
    assert refused(given, GREEN, right, ministry=True) == code


def test_the_rights_have_the_names_that_are_kept_and_documented() -> None:
    """Acts stand in stores under them, and persons type them."""
    assert RIGHTS == ("creator", "pfc")


def test_the_ministrys_right_is_nobodys_without_the_setting() -> None:
    for label in LEVELS:
        assert refused(ground(label), CLEAR, "pfc", ministry=False) == "widening.not_ministry"
    assert lacking(ground(None), "pfc", ministry=True) == ""
    assert lacking(ground(None, taken=False), "pfc", ministry=True) == "widening.not_taken"
    assert lacking(ground(None, taken=False), "creator", ministry=True) == ""
    assert lacking(ground(None, ours=False), "creator", ministry=True) == "widening.not_creator"


def test_what_is_for_the_list_too_may_become_that_alone() -> None:
    assert refused(ground(Label(pfc=Pfc.AMBRE, vert=True)), VERT, "pfc", ministry=True) == ""


def test_only_tlp_and_pfc_give_way() -> None:
    """Every other axis is as it was; nothing is lost of what restricts otherwise."""
    full = Label(
        tlp=Tlp.RED, pfc=Pfc.AMBRE, vert=True, pap=Pap.RED, reach=Reach.NODE, unknown=frozenset({"x"}),
        iep=frozenset({"y"}), orgs=frozenset({"o"}), servers=frozenset({"s"}), draft=True, unnamed=True,
        encrypted=True, limited=True, confidence=7,
    )  # fmt: skip
    after = widened(full, GREEN)
    assert (after.tlp, after.pfc, after.vert) == (Tlp.GREEN, None, False)
    names = [name for name in Label.__struct_fields__ if name not in ("tlp", "pfc", "vert")]
    assert [getattr(after, name) for name in names] == [getattr(full, name) for name in names]
    assert widened(full, VERT).pfc is Pfc.VERT


def test_stricter_than_then() -> None:
    assert stricter(AMBER, RED) and stricter(AMBER, None) and stricter(AMBER, AMBER.join(Label(pap=Pap.RED)))
    assert not stricter(AMBER, AMBER) and not stricter(AMBER, GREEN)
    sure = Label(tlp=Tlp.AMBER, confidence=1)
    assert not stricter(sure, Label(tlp=Tlp.AMBER, confidence=90))


# --- the new object -------------------------------------------------------------------------------------------------


def making(**more: Any) -> Making:
    values: dict[str, Any] = {"node": NODE, "token": "ab" * 32, **more}
    return Making(mint=lambda stix_id: f"{stix_id.partition('--')[0]}--{NEW}", **values)


def made(document: dict[str, Any], to: Label = GREEN, right: Any = "creator", **more: Any) -> dict[str, Any]:
    new = make(document, to, right, making(**more))
    assert isinstance(new, dict), new
    stix.parse(stix.normal_form(new), stix20=False)
    return new


def test_it_says_the_new_level_and_everything_else_as_before() -> None:
    given = indicator(
        tlp=None, created_by_ref=NODE, confidence=40, labels=["tlp:amber", "TLP:RED", "c2"], x_ours="kept",
        object_marking_refs=[TLP2_ID[Tlp.RED], PFC_ID[Pfc.AMBRE], PAP_ID[Pap.AMBER], UNKNOWN],
    )  # fmt: skip
    new = made(given)
    assert new["object_marking_refs"] == [PAP_ID[Pap.AMBER], UNKNOWN, TLP2_ID[Tlp.GREEN]]
    assert (new["id"], new["created_by_ref"], new["labels"]) == (f"indicator--{NEW}", NODE, ["c2"])
    kept = given.keys() - {"id", "object_marking_refs", "labels"}
    assert {name: new[name] for name in kept} == {name: given[name] for name in kept}
    assert lineage.tokens(new) == ("ab" * 32,)
    assert of_object(new).tlp is Tlp.GREEN
    assert made({**given, "labels": ["tlp:amber"]}).get("labels") is None


def test_levels_that_only_tags_said_are_gone_with_them_and_pap_stays() -> None:
    """The MISP entity in it says the old level, so it goes; what it said of PAP becomes a mark."""
    tags = [{"name": "tlp:amber"}, {"name": "PAP:RED"}]
    entity = {"extension_type": "property-extension", "event": "e", "attribute": {"type": "domain", "Tag": tags}}
    new = made(indicator(tlp=Tlp.AMBER, extensions={misp.EXTENSION: entity}))
    assert misp.EXTENSION not in new["extensions"]
    assert new["object_marking_refs"] == [TLP2_ID[Tlp.GREEN], PAP_ID[Pap.RED]]
    marks = [TLP2_ID[Tlp.AMBER], PAP_ID[Pap.RED]]  # said twice, and once is enough
    both = made({**indicator(tlp=None, extensions={misp.EXTENSION: entity}), "object_marking_refs": marks})
    assert both["object_marking_refs"] == [PAP_ID[Pap.RED], TLP2_ID[Tlp.GREEN]]


def test_what_misp_calls_it_is_still_said() -> None:
    """Agreements ask for it: of a MISP object for its template and the types inside, of what stands beside it too."""
    inside = [{"type": "ip-dst", "category": "Network activity"}, {"type": "text", "category": "Other"}]
    entity = {"extension_type": "property-extension", "event": "e", "objects": [{"name": "email", "Attribute": inside}]}
    beside = {"extension_type": "property-extension", "event": "e", "kinds": ["type:ip-dst", "template:email"]}
    for extension in (entity, beside):
        given = indicator(tlp=Tlp.AMBER, labels=["mine", 'misp:name="email"'], extensions={misp.EXTENSION: extension})
        new = made(given)
        assert new["labels"][:2] == ["mine", 'misp:name="email"']
        assert len(set(new["labels"])) == len(new["labels"])
        assert (
            misp.kinds_in(new, None) == misp.kinds_in(given, misp.carried(given)) >= {"type:ip-dst", "template:email"}
        )
    unsayable = {**beside, "kinds": ['type:a"b']}
    given = indicator(extensions={misp.EXTENSION: unsayable})
    assert make(given, GREEN, "creator", making()) == Refused("widening.words")


def test_what_misp_does_not_say_is_not_made_up_and_an_observable_has_no_labels() -> None:
    """STIX 2.1 section 3.2: observables have none."""
    unsaid = {"extension_type": "property-extension", "event": "e"}
    assert "labels" not in made(indicator(extensions={misp.EXTENSION: unsaid}))
    given = {"type": "domain-name", "spec_version": "2.1", "id": f"domain-name--{NEW[:-1]}0", "value": "a.example"}
    beside = {**unsaid, "kinds": ["type:domain"]}
    assert "labels" not in made({**given, "extensions": {misp.EXTENSION: beside}})


def test_extensions_of_others_stay() -> None:
    other = {"extension-definition--11111111-2222-4333-8444-555555555555": {"extension_type": "property-extension"}}
    assert other.items() < made(indicator(extensions=other))["extensions"].items()


def test_what_is_no_valid_object_is_not_made() -> None:
    """The last look is at what came out, whoever asked for it."""
    assert make(indicator(), GREEN, "creator", making(node="nobody")) == Refused("transform.required")


@pytest.mark.parametrize(
    "tag", ['iep2-policy:encrypt_in_transit="must"', 'iep2-policy:id="x"', "tlp-red", "tlp:ex:chr"]
)
def test_words_that_nothing_would_carry_on(tag: str) -> None:
    entity = {"extension_type": "property-extension", "event": "e", "attribute": {"Tag": [{"name": tag}]}}
    given = indicator(extensions={misp.EXTENSION: entity})
    assert make(given, GREEN, "creator", making()) == Refused("widening.words")


def test_parts_with_marks_of_their_own_are_not_widened_and_languages_are_no_marks() -> None:
    mark = {"selectors": ["pattern"], "marking_ref": TLP2_ID[Tlp.RED]}
    assert make(indicator(granular_markings=[mark]), GREEN, "creator", making()) == Refused("widening.granular")
    assert made(indicator(granular_markings=[{"selectors": ["pattern"], "lang": "fr"}]))


def test_references_to_what_is_widened_too_are_written_anew() -> None:
    one, two = indicator("one.example"), indicator("two.example")
    given = report(one, two)
    new = made(given, minted=frozenset({one["id"]}))
    assert new["object_refs"] == [f"indicator--{NEW}", two["id"]]
    left = make(given, GREEN, "creator", making(), frozenset({one["id"]}))
    assert isinstance(left, dict) and left["object_refs"] == [two["id"]]
    both = frozenset({one["id"], two["id"]})
    assert make(given, GREEN, "creator", making(), both) == Refused("widening.content")


def test_an_observable_has_no_creator() -> None:
    given = {"type": "domain-name", "spec_version": "2.1", "id": f"domain-name--{NEW[:-1]}0", "value": "a.example"}
    new = made(given, right="pfc")
    assert "created_by_ref" not in new and new["object_marking_refs"] == [TLP2_ID[Tlp.GREEN]]


def test_by_the_ministrys_right_nobody_is_named() -> None:
    names = Names.of([CCC_IDENTITY], ["Centre Exemple"], ["https://centre.example"])
    given = indicator(created_by_ref=CCC_IDENTITY, description="by Centre Exemple", name="x", x_centre="y")
    new = made(given, right="pfc", names=names)
    assert new["created_by_ref"] == NODE and "x_centre" not in new
    assert not names.found_in(new)
    pattern = {**given, "pattern": "[domain-name:value = 'centre.example']"}
    assert isinstance(make(pattern, GREEN, "pfc", making(names=names)), Refused)
    victim = {**given, "pattern": "[email-message:to_refs[*].value = 'bob@victim.example']"}
    assert make(victim, GREEN, "pfc", making(names=names)) == Refused("transform.personal_stays")


def test_nobody_widens_a_victim() -> None:
    """Whose it is another object says, and it says so of the id that the original has."""
    given = {"type": "ipv4-addr", "id": "ipv4-addr--ff26c055-6336-5bc5-b98d-13d6226742dd", "value": "198.51.100.3"}
    assert isinstance(make(given, GREEN, "pfc", making()), dict)
    for right in RIGHTS:
        assert make(given, GREEN, right, making(), victim=True) == Refused("transform.personal_stays")


def test_by_the_creators_word_names_stay_unless_they_must_not_be_there() -> None:
    given = indicator(created_by_ref=NODE, description="by Centre Exemple")
    assert made(given)["description"] == "by Centre Exemple"
    names = Names.of([], ["Centre Exemple"], [])
    assert make(given, GREEN, "creator", making(names=names)) == Refused("transform.named")


def test_what_went_through_too_many_nodes() -> None:
    said = {"extension_type": "property-extension", "tokens": [each * 64 for each in "0123"]}
    given = indicator(extensions={lineage.EXTENSION: said})
    assert make(given, GREEN, "creator", making()) == Refused("transform.lineage")


def test_nothing_widens_by_itself() -> None:
    """Of every level to every level, what comes out states that level and no other, and never more than was asked."""
    for before, to in product(LEVELS, LEVELS):
        marks = [TLP2_ID[before.tlp]] if before.tlp is not None else [PFC_ID[before.pfc]]  # type: ignore[index]
        new = made({**indicator(tlp=None), "object_marking_refs": marks}, to)
        assert of_object(new) == to
        assert widened(before, to) == to
    assert UNMARKED not in LEVELS


@pytest.mark.parametrize("kind", ["identity", "marking-definition", "extension-definition", "language-content"])
def test_what_names_or_defines_is_never_widened(kind: str) -> None:
    for right in ("creator", "pfc"):
        assert refused(ground(AMBRE, type=kind), GREEN, right, ministry=True) == "widening.type"


def test_what_would_not_be_valid_is_refused() -> None:
    """Something that the standard asks for is not there; what it says of itself is read as STIX 2.1."""
    broken = {name: value for name, value in indicator().items() if name != "pattern"}
    assert make(broken, GREEN, "creator", making()) == Refused("transform.required")
    assert made({**indicator(), "spec_version": "2.0"})["spec_version"] == "2.1"


def test_what_has_no_members_leaves_none_out() -> None:
    assert make(indicator(), GREEN, "creator", making(), frozenset({"x"})) == Refused("widening.content")


def test_a_mark_that_mark_and_tag_say_stands_once() -> None:
    entity = {"extension_type": "property-extension", "event": "e", "attribute": {"Tag": [{"name": "PAP:RED"}]}}
    tool = {
        "extension-definition--11111111-1111-4111-8111-111111111111": {
            "extension_type": "property-extension",
            "score": 1,
        }
    }
    marks = [PAP_ID[Pap.RED], TLP2_ID[Tlp.RED]]
    new = made(indicator(tlp=None, object_marking_refs=marks, extensions={misp.EXTENSION: entity, **tool}))
    assert new["object_marking_refs"] == [PAP_ID[Pap.RED], TLP2_ID[Tlp.GREEN]]
    assert new["extensions"].keys() == {*tool, lineage.EXTENSION}
