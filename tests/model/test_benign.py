"""Benign values: the index beside MISP's own library, beside ipaddress, and within its budget on hostile entries."""

from __future__ import annotations

import ipaddress
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exchange.model import benign
from exchange.model.benign import expressions
from exchange.model.benign.index import Index, host_of
from exchange.model.benign.intervals import Intervals, network, plain, relation
from exchange.model.benign.lists import WarningList, content, parsed
from exchange.model.benign.names import Names, Parts

DOMAIN, IPV4, IPV6 = "domain-name:value", "ipv4-addr:value", "ipv6-addr:value"
URL, EMAIL, MD5 = "url:value", "email-addr:value", "file:hashes.MD5"
EVERYTHING = frozenset({"address", "domain", "url", "email", "hash", "file"})

ranges = st.tuples(st.integers(0, 300), st.integers(0, 40)).map(lambda pair: (pair[0], pair[0] + pair[1]))
names = st.lists(st.sampled_from(["a", "b", "www", "example", "org", "net"]), min_size=1, max_size=4).map(".".join)
networks4 = st.tuples(st.integers(0, 2**32 - 1), st.integers(0, 32)).map(
    lambda p: ipaddress.ip_network(p, strict=False)
)
networks6 = st.tuples(st.integers(0, 2**128 - 1), st.integers(0, 128)).map(
    lambda p: ipaddress.ip_network((p[0].to_bytes(16, "big"), p[1]), strict=False)
)
# Near each other, so that they do meet.
close4 = st.tuples(st.integers(0, 1023), st.integers(22, 32)).map(
    lambda p: ipaddress.ip_network((ipaddress.ip_address("198.51.100.0") + p[0], p[1]), strict=False)
)


def a_list(kind: str, *entries: str, name: str = "one") -> WarningList:
    return WarningList(name=name, title=name, kind=kind, version="1", entries=entries, about=EVERYTHING)


@given(st.lists(ranges), ranges)
def test_intervals_meet_what_any_of_them_meets(held, asked):
    expected = any(first <= asked[1] and asked[0] <= last for first, last in held)
    assert Intervals(held).meets(*asked) is expected


@given(st.lists(close4, max_size=12), close4)
def test_networks_meet_as_ipaddress_says(held, asked):
    index = Index([a_list("cidr", *map(str, held))])
    assert index.has(IPV4, str(asked)) is any(asked.overlaps(each) for each in held)


@given(st.one_of(networks4, networks6), st.one_of(networks4, networks6, close4))
def test_the_relation_of_two_networks_is_that_of_ipaddress(one, other):
    first, second = network(str(one)), network(str(other))
    assert first is not None
    assert second is not None
    if one.version != other.version:
        return
    found = relation(first[1], second[1])
    expected = (
        "equal" if one == other
        else "inside" if one.subnet_of(other)
        else "contains" if one.supernet_of(other)
        else ""
    )  # fmt: skip
    assert found == expected


@given(ranges, ranges)
def test_the_relation_of_two_ranges(one, other):
    shared = set(range(one[0], one[1] + 1)) & set(range(other[0], other[1] + 1))
    found = relation(one, other)
    assert bool(found) is bool(shared)
    if found == "overlaps":
        assert len(shared) < min(one[1] - one[0], other[1] - other[0]) + 1
    opposite = {"inside": "contains", "contains": "inside"}
    assert relation(other, one) == opposite.get(found, found)


@given(st.ip_addresses(v=4))
def test_an_address_is_read_quickly_and_rightly(address):
    assert plain(str(address)) == int(address)
    assert network(str(address)) == (4, (int(address), int(address)))


@pytest.mark.parametrize(
    "text", ["1.2.3", "1.2.3.4.5", "256.1.1.1", "-1.2.3.4", "", "a.b.c.d", "2001:db8::1", "1.2.3.4/8"]
)
def test_what_is_no_plain_address_is_none(text):
    assert plain(text) == -1


@given(st.lists(names, max_size=8), names)
def test_a_hostname_list_takes_the_name_and_what_is_under_it(held, asked):
    index = Index([a_list("hostname", *held)])
    expected = any(asked == name or asked.endswith("." + name) for name in held)
    assert index.has(DOMAIN, asked) is expected
    assert index.has(URL, f"https://user@{asked}:8443/path?a=b.c#d") is expected


@given(st.lists(st.text(max_size=6), max_size=10), st.text(max_size=20))
def test_names_and_parts_hold_what_they_were_given(held, asked):
    wanted = {text for text in held if text}
    assert (asked in Names(held)) is (asked in wanted)
    assert Parts(held).inside(asked) is any(text in asked for text in wanted)


def test_every_list_answers_as_the_library_of_misp_does():
    """Of the library's own answers none is lost; what we find beyond it is told in the documentation."""
    import orjson
    from pymispwarninglists import WarningList as TheirList

    samples = [
        (DOMAIN, "www.example.org"), (DOMAIN, "example.com"), (DOMAIN, "captive.apple.com"), (DOMAIN, "bit.ly"),
        (DOMAIN, "app.any.run"), (DOMAIN, "a.b.blogspot.com"), (DOMAIN, "google.com"), (DOMAIN, "com"),
        (DOMAIN, "www.bmw.de"), (DOMAIN, "nobody-has-this-name.example"), (IPV4, "10.1.2.3"), (IPV4, "8.8.8.8"),
        (IPV4, "1.1.1.1"), (IPV4, "104.16.1.1"), (IPV4, "198.51.100.7"), (IPV4, "52.168.52.134"), (IPV4, "45.9.148.1"),
        (IPV6, "2001:db8::1"), (IPV6, "2606:4700::1111"), (IPV6, "fe80::1"), (IPV6, "2a00:1::1"),
        (URL, "https://t.co/abc"), (URL, "http://www.virustotal.com/x"), (URL, "http://evil.invalid/google.com"),
        (EMAIL, "abuse@provider.example"), (EMAIL, "someone@0815.ru"), (EMAIL, "x@company.example"),
        (MD5, "d41d8cd98f00b204e9800998ecf8427e"), (MD5, "0" * 32),
    ]  # fmt: skip
    extra = []
    for name in sorted(benign.available() - {"tranco", "google-chrome-crux-1million", "nioc-filehash"}):
        each = parsed(name, content(name))
        theirs = TheirList(orjson.loads(content(name)), slow_search=True)
        index = Index([each])
        for path, value in samples:
            kinds = {DOMAIN: "domain", IPV4: "address", IPV6: "address", URL: "url", EMAIL: "email", MD5: "hash"}
            if kinds[path] not in each.about or each.kind == "regex":  # the library has no regular expressions
                continue
            if value in theirs:
                assert index.has(path, value), (name, value)
            elif index.has(path, value):
                extra.append((name, value))
    assert {value for _, value in extra} == {"com"}, extra  # `tlds` is in capitals


@given(st.data())
def test_what_the_index_finds_can_be_told(data):
    """Index and explanation are two programs over the same lists: they agree on every value."""
    choice = benign.Choice(lists=("apple", "multicast", "rfc1918", "rfc3849", "rfc5735", "rfc6761", "whats-my-ip",
                                  "common-contact-emails", "automated-malware-analysis", "empty-hashes"))  # fmt: skip
    lists = [parsed(name, content(name)) for name in choice.lists]
    some = data.draw(st.sampled_from([entry for each in lists for entry in each.entries]))
    before = data.draw(st.sampled_from(["", "www.", "https://", "noc@", "https://www."]))
    after = data.draw(st.sampled_from(["", "/", "/path", ".org", "/16"]))
    value = (before + some + after).lower()
    path = data.draw(st.sampled_from([DOMAIN, IPV4, IPV6, URL, EMAIL, MD5, "network-traffic:dst_ref.value"]))
    found = benign.explain(choice, path, value)
    assert benign.index(choice).has(path, value) is bool(found)
    assert benign.index(choice).hits([(path, value)]) == ([(path, value)] if found else [])


@pytest.mark.parametrize(
    ("path", "value", "entry", "how"),
    [
        (IPV4, "10.0.0.0/8", "10.0.0.0/8", "equal"),
        (IPV4, "10.20.0.0/16", "10.0.0.0/8", "inside"),
        (IPV4, "10.0.0.0/7", "10.0.0.0/8", "contains"),
        (DOMAIN, "example.com", "example.com", "equal"),
        (URL, "http://10.1.1.1/", "10.0.0.0/8", "inside"),
        (URL, "http://example.com/", "example.com", "equal"),
        (EMAIL, "abuse@provider.example", r"/^(security|noc|soc|abuse)\@.*\..*$/i", "expression"),
    ],
)
def test_pain_23_a_network_is_found_as_well_as_an_address(path, value, entry, how):
    choice = benign.Choice(lists=("rfc1918", "rfc6761", "common-contact-emails"))
    assert [(match.entry, match.relation) for match in benign.explain(choice, path, value)] == [(entry, how)]
    assert benign.index(choice).has(path, value)


def test_what_no_list_speaks_of_is_on_none():
    index = Index([a_list("string", "10.0.0.1", "x")])
    assert not index.has("mutex:name", "x")
    assert not index.has("file:size", "10.0.0.1")


def test_the_host_of_a_url():
    assert host_of("https://User@WWW.Example.org.:8443/a@b") == ("www.example.org", False)
    assert host_of("http://[2001:db8::1]/") == ("2001:db8::1", True)
    assert host_of("ftp://example.org") == ("example.org", True)
    assert host_of("example.org/path") == ("", False)


@pytest.mark.parametrize(
    "entry",
    [
        "/(a+)+$/",
        "(a|aa)+b",
        "(a*)*",
        "(?:a?){40}b",
        "^(a+){20}$",
        r"(.*)\1",
        "(?=a)b",
        "a.*b.*c.*d",
        "x" * 2_000,
        "(",
        "a)",
    ],
)
def test_an_expression_that_may_cost_too_much_is_refused(entry):
    assert expressions.compiled(entry) is None
    assert Index([a_list("regex", entry)]).refused == (("one", entry),)


@pytest.mark.parametrize(
    "entry", [r"/^(security|noc)\@.*\..*$/i", "/a.*b/", "[a-z]{3,9}x*", r"((?:\+|00)1)?55501([0-9]{2})"]
)
def test_an_expression_costs_no_more_than_its_budget(entry):
    """The worst values that we know for what is let in, at the greatest length: milliseconds."""
    assert expressions.compiled(entry) is not None
    index = Index([a_list("regex", entry)])
    longest = expressions.LONGEST
    for worst in ("a" * longest, "security@" + "." * (longest - 10) + "\n", "abcx" * (longest // 4), "5" * longest):
        before = time.process_time()
        index.has(EMAIL, worst[:longest])
        assert time.process_time() - before < 0.25


def test_every_expression_that_misp_publishes_can_be_used():
    for name in ("common-contact-emails", "phone_numbers"):
        assert Index([parsed(name, content(name))]).refused == ()


def test_the_default_lists_are_there():
    assert not set(benign.DEFAULT) - benign.available()
    assert len(set(benign.DEFAULT)) == len(benign.DEFAULT)
    assert benign.index(benign.Choice(lists=benign.DEFAULT)).refused == ()


def test_the_digest_names_the_choice():
    one, two = benign.Choice(lists=("rfc1918",)), benign.Choice(lists=("rfc1918", "rfc6598"))
    assert benign.index(one).digest == benign.index(benign.Choice(lists=("rfc1918",))).digest
    assert benign.index(one).digest != benign.index(two).digest
