"""Confidence: each scale of STIX 2.1 appendix A both ways; what is absent is unspecified; the original is kept."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.convert.events import attribute, convert, event, of, tag
from tests.world import indicator

from exchange.convert import parts
from exchange.model.confidence import SCALES, Claim, misp_tag, of_tag, stated, value_of, word_of
from exchange.model.marking import UNMARKED
from exchange.model.misp import EXTENSION

TABLE = {
    "low-med-high": {"none": (0, 0, 0), "low": (15, 1, 29), "med": (50, 30, 69), "high": (85, 70, 100)},
    "admiralty": {"5": (10, 0, 19), "4": (30, 20, 39), "3": (50, 40, 59), "2": (70, 60, 79), "1": (90, 80, 100)},
    "wep": {
        "impossible": (0, 0, 0), "highly-unlikely": (10, 1, 19), "unlikely": (30, 20, 39), "even-chance": (50, 40, 59),
        "likely": (70, 60, 79), "highly-likely": (90, 80, 99), "certain": (100, 100, 100),
    },
    "dni": {
        "almost-no-chance": (5, 0, 9), "very-unlikely": (15, 10, 19), "unlikely": (30, 20, 39),
        "roughly-even-chance": (50, 40, 59), "likely": (70, 60, 79), "very-likely": (85, 80, 89),
        "almost-certain": (95, 90, 100),
    },
    "0-10": {str(n): (10 * n, max(0, 10 * n - 5), min(100, 10 * n + 4)) for n in range(11)},
}  # fmt: skip
"""The appendix, as it is printed."""


@pytest.mark.parametrize("scale", TABLE)
def test_each_scale_is_the_standard_s(scale: str) -> None:
    assert {step.word: tuple(step[1:]) for step in SCALES[scale]} == TABLE[scale]


@given(scale=st.sampled_from(sorted(SCALES)), value=st.integers(0, 100))
def test_every_number_comes_back_to_one_word(scale: str, value: int) -> None:
    word = word_of(scale, value)
    assert sum(step.first <= value <= step.last for step in SCALES[scale]) == 1
    number = value_of(scale, word)
    assert number is not None
    assert word_of(scale, number) == word


@pytest.mark.parametrize(
    ("name", "scale", "value"),
    [
        ('misp:confidence-level="fairly-confident"', "misp", 50),
        ('misp:confidence-level="confidence-cannot-be-evaluated"', "misp", None),
        ('admiralty-scale:information-credibility="2"', "admiralty", 70),
        ('admiralty-scale:information-credibility="6"', "admiralty", None),
        ('admiralty-scale:source-reliability="b"', "reliability", None),
        ('estimative-language:likelihood-probability="very-likely"', "dni", 85),
        ('estimative-language:confidence-in-analytic-judgment="moderate"', "low-med-high", 50),
    ],
)
def test_tags_speak_on_their_own_scale(name: str, scale: str, value: int | None) -> None:
    assert of_tag(name) == Claim(scale, name, value)
    assert of_tag("tlp:green") is None


def test_what_is_absent_is_unspecified() -> None:
    assert stated({"type": "indicator"}) == ()
    assert stated({"type": "indicator", "confidence": 0}) == (Claim("stix", "0", 0),)


def test_several_claims_are_told_one_by_one() -> None:
    """Never averaged: the number, and each tag in the words of its scale."""
    tags = ['admiralty-scale:information-credibility="1"', 'misp:confidence-level="unconfident"']
    assert stated({"confidence": 70, "labels": tags}) == (
        Claim("stix", "70", 70), Claim("admiralty", tags[0], 90), Claim("misp", tags[1], 0),
    )  # fmt: skip


def of_event(*names: str) -> dict[str, Any]:
    """The indicator that is made of an attribute with these tags."""
    page = convert(event(attribute(1, Tag=[tag(name) for name in names])))
    (found,) = [item for item in of(page, 1) if item.type == "indicator"]
    return dict(json.loads(found.body))


@pytest.mark.parametrize(("word", "value"), [(step.word, step.value) for step in SCALES["misp"]])
def test_a_tag_is_a_number_in_stix_and_the_same_tag_again_in_misp(word: str, value: int) -> None:
    """The number that was made of it is told as the tag, once; on the way back the tag is as it was."""
    name = f'misp:confidence-level="{word}"'
    made = of_event(name)
    assert made["confidence"] == value
    assert stated(made) == (Claim("misp", name, value),)
    (part,), _ = parts(made, UNMARKED)
    assert [each["name"] for each in part.body["Tag"]] == [name]


def test_the_lowest_of_several_tags_is_the_number_and_all_are_told() -> None:
    high, low = 'misp:confidence-level="completely-confident"', 'misp:confidence-level="rarely-confident"'
    made = of_event(high, low)
    assert made["confidence"] == 25
    assert {claim.value for claim in stated(made)} == {100, 25}
    assert "misp:confidence-level" in json.dumps(made["extensions"][EXTENSION])


@given(value=st.integers(0, 100))
def test_a_number_of_foreign_stix_goes_to_misp_as_the_nearest_tag(value: int) -> None:
    """No number becomes one of the ends (none, certain) on the way that was not said so."""
    claim = of_tag(misp_tag(value))
    assert claim is not None
    assert claim.value is not None
    assert abs(claim.value - value) <= 25
    assert (claim.value == 0) == (value == 0)
    assert (claim.value == 100) == (value == 100)


@pytest.mark.parametrize(("confidence", "names"), [(None, []), (15, ["rarely"]), (70, ["usually"]), (0, ["un"])])
def test_foreign_stix_keeps_its_confidence_over_misp(confidence: int | None, names: list[str]) -> None:
    """Nearest, where the numbers differ; nothing is said of what is unspecified."""
    more = {} if confidence is None else {"confidence": confidence}
    (part,), _ = parts(indicator(tlp=None, **more), UNMARKED)
    wanted = [f'misp:confidence-level="{name}{"" if name == "un" else "-"}confident"' for name in names]
    assert [each["name"] for each in part.body["Tag"]] == wanted
