"""How old is too old: the curve, its end, and the rule that fits; laws for any rule, date and sighting."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exchange.model.party import Expiry
from exchange.policy.expiry import AGED, ENDED, End, Life, base, end, kinds, lifetime, rule_for, score

DAY = 86_400_000_000
TIMES = st.integers(0, 4_000_000_000_000_000)
SCORES = st.floats(0, 100)
HALVES = st.floats(1, 366 * 86_400)
RULES = st.builds(
    Expiry,
    types=st.just(frozenset({"indicator"})),
    half_life=HALVES,
    threshold=st.integers(1, 100),
    sightings=st.booleans(),
    false_positive=st.none() | HALVES,
)
LIVES = st.builds(Life, rule=RULES, begun=TIMES, until=st.none() | TIMES, base=SCORES)
SEEN = st.lists(TIMES, max_size=5)


def at(found: End | None) -> float:
    """As a number; never is later than everything."""
    return float("inf") if found is None else found.at


def test_what_began_before_1970_and_was_not_seen_ages_from_its_beginning() -> None:
    life = Life(Expiry(types=frozenset({"indicator"}), half_life=86_400.0, threshold=50), -10 * DAY, None, 100.0)
    assert end(life) == End(-9 * DAY, AGED)


def test_the_codes_are_those_that_are_kept_and_documented() -> None:
    assert (AGED, ENDED) == ("expiry.age", "expiry.valid_until")


@given(SCORES, st.floats(0, 1e9), st.floats(0, 1e9), HALVES)
def test_older_never_scores_higher(new, age, more, half_life):
    assert 0 <= score(new, age + more, half_life) <= score(new, age, half_life) <= new


@given(SCORES, st.integers(1, 100), HALVES)
def test_the_end_is_where_the_score_meets_the_threshold(new, threshold, half_life):
    """The closed form and the curve say the same."""
    lasts = lifetime(new, threshold, half_life)
    assert score(new, lasts * 1.001 + 1, half_life) < threshold
    if lasts:
        assert score(new, lasts * 0.999, half_life) >= threshold


@given(LIVES, SEEN, TIMES)
def test_more_sightings_never_expire_earlier(life, seen, more):
    before = end(life, max(seen, default=None))
    assert at(end(life, max([*seen, more]))) >= at(before)


@given(LIVES, st.none() | TIMES, SEEN, TIMES)
def test_more_false_positives_never_expire_later(life, seen, against, more):
    assert at(end(life, seen, [*against, more])) <= at(end(life, seen, against))


@given(LIVES, st.integers(0, 10**12), st.none() | TIMES, SEEN)
def test_a_better_source_a_later_date_and_a_longer_half_life_never_expire_earlier(life, more, seen, against):
    ends = at(end(life, seen, against))
    assert at(end(life._replace(begun=life.begun + more), seen, against)) >= ends
    assert at(end(life._replace(base=100.0), seen, against)) >= ends
    longer = Expiry(types=life.rule.types, half_life=2 * (life.rule.half_life or 1), threshold=life.rule.threshold)
    assert at(end(life._replace(rule=longer))) >= at(end(life))


@given(LIVES, st.none() | TIMES, SEEN)
def test_nothing_outlives_what_its_creator_said(life, seen, against):
    found = end(life, seen, against)
    assert found is not None
    if life.until is not None:
        assert found.at <= life.until
        assert (found.code == ENDED) == (found.at == life.until)
    else:
        assert found.code == AGED


def test_without_a_half_life_only_the_creator_ends_it():
    life = Life(rule=Expiry(types=frozenset({"indicator"})), begun=0, until=None, base=0.0)
    assert end(life, 7, [8]) is None
    assert end(life._replace(until=5), 7, [8]) == End(5, ENDED)


def test_a_worked_example():
    """From 100 to 25 are two half-lives; a false positive takes a week, unless it was seen after that."""
    rule = Expiry(types=frozenset({"indicator"}), half_life=30 * 86_400.0, threshold=25, false_positive=7 * 86_400.0)
    life = Life(rule=rule, begun=10 * DAY, until=None, base=100.0)
    assert end(life) == End(70 * DAY, AGED)
    assert end(life, 20 * DAY) == End(80 * DAY, AGED)
    assert end(life, 20 * DAY, [15 * DAY, 30 * DAY]) == End(73 * DAY, AGED)
    assert end(life._replace(base=50.0)) == End(40 * DAY, AGED)
    assert end(life._replace(base=25.0)) == End(10 * DAY, AGED)
    assert end(life._replace(base=0.0)) == End(10 * DAY, AGED)


@pytest.mark.parametrize(
    ("quality", "confidence", "expected"),
    [(None, None, 100), (50, None, 50), (None, 85, 85), (50, 100, 75), (0, None, 0), (None, 0, 0)],
)
def test_what_is_not_stated_does_not_count(quality, confidence, expected):
    assert base(quality, confidence) == expected


@pytest.mark.parametrize(
    ("pattern", "language", "expected"),
    [
        ("[ipv4-addr:value = '198.51.100.3']", "stix", {"ipv4-addr"}),
        ("[ipv4-addr:value = '198.51.100.3' OR domain-name:value = 'a.example']", None, {"ipv4-addr", "domain-name"}),
        ("[file:hashes.'SHA-256' = 'ab'] FOLLOWEDBY [url:value LIKE 'https://%']", "stix", {"file", "url"}),
        (r"[file:name = 'a \' url:value \\'] AND [mutex:name = 'x:y']", "stix", {"file", "mutex"}),
        ("[x-acme-thing:value = '[url:value]']", "stix", {"x-acme-thing"}),
        ("rule x { condition: true }", "yara", {"yara"}),
        (None, "stix", set()),
        ("'" * 9999, "stix", set()),
    ],
)
def test_what_a_pattern_is_about(pattern, language, expected):
    assert kinds(pattern, language) == expected


def test_the_first_rule_that_fits_holds():
    """A rule for some kinds fits only what is about nothing else."""
    addresses = Expiry(types=frozenset({"indicator"}), kinds=frozenset({"ipv4-addr", "ipv6-addr"}))
    giver = Expiry(types=frozenset({"indicator"}), peers=frozenset({"ccc"}))
    rest = Expiry(types=frozenset({"indicator", "url"}))
    rules = (addresses, giver, rest)
    assert rule_for(rules, "indicator", "ccc", {"ipv4-addr"}) is addresses
    assert rule_for(rules, "indicator", "ccc", {"ipv4-addr", "url"}) is giver
    assert rule_for(rules, "indicator", "circl", {"url"}) is rest
    assert rule_for(rules, "indicator", "circl", ()) is rest
    assert rule_for(rules, "url", "ccc", ()) is rest
    assert rule_for(rules, "malware", "ccc", ()) is None


def test_of_two_ends_the_first_counts_and_its_creators_where_they_meet() -> None:
    """What has grown old may be seen again; what its creator has ended may not."""
    rule = Expiry(types=frozenset({"indicator"}), half_life=86_400.0, threshold=50)
    life = Life(rule=rule, begun=0, until=DAY, base=100.0)
    assert end(life) == End(DAY, ENDED)
    assert end(life._replace(until=DAY + 1)) == End(DAY, AGED)
    assert end(life._replace(until=DAY - 1)) == End(DAY - 1, ENDED)


def test_a_rule_without_sightings_is_prolonged_by_none() -> None:
    rule = Expiry(types=frozenset({"indicator"}), half_life=86_400.0, threshold=50, sightings=False)
    life = Life(rule=rule, begun=0, until=None, base=100.0)
    assert end(life, 5 * DAY) == End(DAY, AGED)
    seen = life._replace(rule=Expiry(types=rule.types, half_life=86_400.0, threshold=50, sightings=True))
    assert end(seen, 5 * DAY) == End(6 * DAY, AGED)
    assert end(seen._replace(begun=7 * DAY), 5 * DAY) == End(8 * DAY, AGED)


def test_a_false_positive_at_the_instant_of_a_sighting_is_outweighed_by_it() -> None:
    rule = Expiry(types=frozenset({"indicator"}), half_life=86_400.0, threshold=50, false_positive=3_600.0)
    life = Life(rule=rule, begun=0, until=None, base=100.0)
    assert end(life, DAY, [DAY]) == End(2 * DAY, AGED)
    assert end(life, DAY, [DAY + 1, DAY + 2]) == End(2 * DAY - 2 * 3_600_000_000, AGED)


def test_what_is_new_has_its_whole_score() -> None:
    assert score(100.0, 0.0, 1.0) == 100.0
    assert score(100.0, -5.0, 1.0) == 100.0
    assert score(100.0, 0.5, 1.0) == pytest.approx(70.71, abs=0.01)
    assert score(100.0, 1.0, 1.0) == 50.0
