"""Cutting parts out of an object: what goes, and where the selectors of granular markings point after it."""

from __future__ import annotations

from typing import Any

import pytest

from exchange.model.marking import TLP2_ID, Label, Tlp
from exchange.policy.cutting import path_of, pruned, without, without_parts

GREEN, AMBER, RED = (TLP2_ID[level] for level in (Tlp.GREEN, Tlp.AMBER, Tlp.RED))


def mark(reference: str, *selectors: str) -> dict[str, Any]:
    return {"marking_ref": reference, "selectors": list(selectors)}


def unless_red(label: Label) -> bool:
    return label.tlp is not Tlp.RED


def cut(document: dict[str, Any]) -> dict[str, Any] | None:
    return without_parts(document, unless_red)


def test_a_selector_is_names_and_numbers() -> None:
    """STIX 2.1 section 7.2.3: list positions stand in brackets; what looks like one and is none is a name."""
    assert path_of("labels.[12]") == ("labels", 12)
    assert path_of("external_references.[0].url") == ("external_references", 0, "url")
    assert path_of("a.[x].[].b.[1]x.[1234567890]") == ("a", "[x]", "[]", "b", "[1]x", "[1234567890]")
    assert path_of("name") == ("name",)


def test_only_what_is_not_allowed_goes() -> None:
    """Of the same part marked twice the stricter decides (R12); marks without a reference are of a language."""
    document = {
        "a": 1, "b": 2, "c": 3,
        "granular_markings": [
            mark(GREEN, "a", "b"), mark(RED, "b"), {"lang": "fr", "selectors": ["c"]}, mark(AMBER, "c"),
        ],
    }  # fmt: skip
    assert cut(document) == {
        "a": 1, "c": 3, "granular_markings": [mark(GREEN, "a"), {"lang": "fr", "selectors": ["c"]}, mark(AMBER, "c")],
    }  # fmt: skip
    assert cut({"a": 1}) == {"a": 1}
    assert cut({"a": 1, "granular_markings": None}) == {"a": 1, "granular_markings": None}


def test_a_mark_of_a_language_takes_no_part() -> None:
    """STIX 2.1 section 7.2.3: it has `lang` in the place of a reference, and restricts nothing."""
    document = {"a": 1, "granular_markings": [{"lang": "fr", "selectors": ["a"]}]}
    assert without_parts(document, lambda label: False) == document


def test_the_document_itself_is_never_changed() -> None:
    document = {"a": ["x", "y"], "granular_markings": [mark(RED, "a.[0]"), mark(GREEN, "a.[1]")]}
    assert cut(document) == {"a": ["y"], "granular_markings": [mark(GREEN, "a.[0]")]}
    assert document == {"a": ["x", "y"], "granular_markings": [mark(RED, "a.[0]"), mark(GREEN, "a.[1]")]}


def test_lists_close_up_at_every_depth() -> None:
    """A selector follows its part; one of a part that went goes, and a mark without any."""
    document = {
        "refs": [{"n": "a"}, {"n": "b", "hashes": ["x", "y", "z"]}, {"n": "c"}],
        "granular_markings": [
            mark(RED, "refs.[0]", "refs.[1].hashes.[1]"),
            mark(GREEN, "refs.[0].n", "refs.[1].hashes.[2]", "refs.[2].n", "refs.[1].n"),
            mark(AMBER, "refs.[0]", "refs.[0].n"),
        ],
    }
    assert cut(document) == {
        "refs": [{"n": "b", "hashes": ["x", "z"]}, {"n": "c"}],
        "granular_markings": [mark(GREEN, "refs.[0].hashes.[1]", "refs.[1].n", "refs.[0].n")],
    }


def test_what_becomes_empty_goes_and_what_was_empty_stays() -> None:
    """STIX 2.1 has no empty lists; what its giver wrote empty or null is its own."""
    document = {
        "only": ["x"], "deep": {"er": {"x": 1}}, "kept": {"a": {"b": 1}, "c": 2}, "list": [["x"], ["y"]],
        "none": None, "nulls": [None, "x"], "empty": {},
        "granular_markings": [mark(RED, "only.[0]", "deep.er.x", "kept.a.b", "list.[0].[0]", "nulls.[1]")],
    }  # fmt: skip
    assert cut(document) == {"kept": {"c": 2}, "list": [["y"]], "none": None, "nulls": [None], "empty": {}}


@pytest.mark.parametrize(
    "selector", ["x", "a.[3]", "a.b", "name.[0]", "name.[0].b", "name.b", "a.[0].b", "a.[0].[0]", "none.a"]
)
def test_a_mark_on_nothing_is_no_mark_that_can_be_followed(selector: str) -> None:
    """What is meant may be next to it, so that nothing is made of the object at all."""
    document = {"a": ["x", "y"], "name": "n", "none": None}
    assert cut({**document, "granular_markings": [mark(RED, selector)]}) is None
    assert cut({**document, "granular_markings": [mark(GREEN, selector)]}) is not None


def test_an_allowed_mark_on_nothing_widens_to_what_is_around_it() -> None:
    """It is about something there: the nearest that stands; of nothing that stands it is dropped."""
    document = {
        "a": {"b": ["x", "y"]}, "gone": "z",
        "granular_markings": [
            mark(RED, "gone"), mark(GREEN, "a.b.[7]"), mark(AMBER, "a.c.d"), mark(GREEN, "nowhere.b"), mark(GREEN, "x"),
        ],
    }  # fmt: skip
    assert cut(document) == {
        "a": {"b": ["x", "y"]}, "granular_markings": [mark(GREEN, "a.b"), mark(AMBER, "a")],
    }  # fmt: skip


def test_properties_go_by_name() -> None:
    """Only those of the object itself, with the marks on them."""
    document = {
        "a": 1, "b": {"a": 2}, "c": 3, "granular_markings": [mark(RED, "a"), mark(GREEN, "b.a", "a"), mark(RED, "c")],
    }  # fmt: skip
    assert without(document, {"a", "nothing"}) == {
        "b": {"a": 2}, "c": 3, "granular_markings": [mark(GREEN, "b.a"), mark(RED, "c")],
    }  # fmt: skip
    assert without(document, {"nothing"}) == document
    odd = {"a": 1, "granular_markings": [mark(GREEN, "zzz")]}
    assert without(odd, {"nothing"}) == odd
    assert without({"b": 1}, {"b"}) == {}
    assert without({"granular_markings": [mark(RED, "b")], "b": 1}, {"b"}) == {}


# --- after something else altered it ---------------------------------------------------------------------------------


def test_without_marks_nothing_is_pruned() -> None:
    after = {"a": 1}
    assert pruned({"a": 1, "b": 2}, after) is after
    assert pruned({"a": 1}, {"a": 1, "granular_markings": []}) == {"a": 1, "granular_markings": []}


def test_selectors_of_what_stands_stay() -> None:
    marks = [mark(GREEN, "a", "b.[1]"), mark(RED, "c.d")]
    before = {"a": 1, "b": [1, 2], "c": {"d": 1}, "x": 0}
    after = {"a": 1, "b": [1, 3], "c": {"d": 2}, "granular_markings": marks}
    assert pruned(before, after) == after


def test_selectors_of_what_went_go() -> None:
    """And a mark without any; marks without a part are no marks."""
    before = {"a": 1, "b": {"c": 1, "d": 2}}
    marks = [mark(RED, "a"), mark(GREEN, "a", "b.c", "b.d")]
    assert pruned(before, {"b": {"d": 2}, "granular_markings": marks}) == {
        "b": {"d": 2}, "granular_markings": [mark(GREEN, "b.d")],
    }  # fmt: skip
    assert pruned(before, {"b": {"c": 1}, "granular_markings": [mark(RED, "a")]}) == {"b": {"c": 1}}


def test_what_was_said_of_a_member_is_said_of_the_whole_list_that_lost_one() -> None:
    """Its members have other numbers now: a mark may widen, and never goes while a part of what it marked stands."""
    before = {"a": ["x", "y", "z"], "r": [{"h": ["p", "q"]}, {"h": ["s"]}]}
    marks = [mark(RED, "a.[1]", "a.[2]"), mark(GREEN, "r.[0].h.[1]", "r.[1].h.[0]")]
    assert pruned(before, {**before, "a": ["x", "z"], "granular_markings": marks}) == {
        **before, "a": ["x", "z"], "granular_markings": [mark(RED, "a"), mark(GREEN, "r.[0].h.[1]", "r.[1].h.[0]")],
    }  # fmt: skip
    inner = {"a": before["a"], "r": [{"h": ["q"]}, {"h": ["s"]}], "granular_markings": marks}
    assert pruned(before, inner)["granular_markings"] == [marks[0], mark(GREEN, "r.[0].h", "r.[1].h.[0]")]
    outer = {"a": before["a"], "r": [{"h": ["p", "q"]}], "granular_markings": marks}
    assert pruned(before, outer)["granular_markings"] == [marks[0], mark(GREEN, "r")]
    first = pruned({"l": [1, 2]}, {"l": [2], "granular_markings": [mark(RED, "l.[0]")]})
    assert first["granular_markings"] == [mark(RED, "l")]


def test_a_selector_that_marked_nothing_is_kept_at_what_is_around_it() -> None:
    """What is meant may be next to it; where nothing of it is left it goes."""
    before = {"a": {"b": 1}, "l": [1]}
    marks = [mark(RED, "a.x.y"), mark(GREEN, "l.[4].z"), mark(AMBER, "nowhere"), mark(GREEN, "no.where.else")]
    assert pruned(before, {**before, "granular_markings": marks})["granular_markings"] == [
        mark(RED, "a"), mark(GREEN, "l"),
    ]  # fmt: skip
    near = [mark(RED, "a.x"), mark(GREEN, "l.[3]")]
    assert pruned(before, {**before, "granular_markings": near})["granular_markings"] == [
        mark(RED, "a"),
        mark(GREEN, "l"),
    ]
    assert "granular_markings" not in pruned(before, {"l": [1], "granular_markings": [mark(RED, "a.x.y")]})
