"""Canonical values and fact keys: spellings of one thing are one, and two things never are."""

from __future__ import annotations

import time
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from stix_samples import UUID, encode, indicator, sco

from exchange.model import facts, stix
from exchange.model.normalise import CANONICAL, hash_name, refang, value_of

PATHS = [*CANONICAL, "file:hashes.MD5", "file:name", "mutex:name"]
SHA256 = "01BA4719C80B6FE911B091A7C05124B64EEECE964E09C058EF8F9805DACA546B"


@pytest.mark.parametrize(
    ("path", "spellings"),
    [
        ("ipv4-addr:value", ["198.51.100.3", "198.51.100.3/32", " 198.51.100.3 "]),
        ("ipv4-addr:value", ["198.51.100.0/24", "198.51.100.77/24", "198.51.100.0/255.255.255.0"]),
        ("domain-name:value", ["example.com", "Example.com", "example.com.", "EXAMPLE.COM ", "example.com. "]),
        ("domain-name:value", ["bücher.example", "BÜCHER.example", "xn--bcher-kva.example", "XN--BCHER-KVA.EXAMPLE"]),
        (
            "ipv6-addr:value",
            ["2001:db8::1", "2001:DB8::1", "2001:0db8:0000:0000:0000:0000:0000:0001", "2001:db8::1/128"],
        ),
        ("ipv6-addr:value", ["2001:db8::/32", "2001:db8::1/32"]),
        ("url:value", ["http://example.com", "HTTP://Example.COM", "http://example.com:80", "http://example.com."]),
        ("url:value", ["https://example.com/A?b=C#d", "https://EXAMPLE.com:443/A?b=C#d"]),
        ("url:value", ["http://bücher.example/", "http://xn--bcher-kva.example/"]),
        ("url:value", ["http://example.com", "http://example.com/"]),
        ("email-addr:value", ["Jane@example.com", "Jane@EXAMPLE.com", " Jane@example.com"]),
        ("mac-addr:value", ["00:1b:44:11:3a:b7", "00:1B:44:11:3A:B7"]),
        ("windows-registry-key:key", ["HKEY_LOCAL_MACHINE\\Run", "hkey_local_machine\\run"]),
        ("file:hashes.MD5", ["d41d8cd98f00b204e9800998ecf8427e", "D41D8CD98F00B204E9800998ECF8427E"]),
        ("file:hashes.SHA-256", [SHA256, SHA256.lower(), f" {SHA256}"]),
    ],
    ids=lambda each: each if isinstance(each, str) else each[-1],
)
def test_spellings_of_one_value_are_equal(path: str, spellings: list[str]) -> None:
    """The equivalences of identity.md section 1 give one value."""
    assert len({value_of(path, spelling) for spelling in spellings}) == 1


@pytest.mark.parametrize(
    ("path", "one", "two"),
    [
        ("ipv4-addr:value", "198.51.100.3", "198.51.100.30"),
        ("ipv4-addr:value", "198.51.100.0", "198.51.100.0/24"),
        ("ipv4-addr:value", "1.2.3.4", "01.2.3.4"),
        ("ipv6-addr:value", "::ffff:1.2.3.4", "1.2.3.4"),
        ("domain-name:value", "example.com", "www.example.com"),
        ("domain-name:value", "straße.example", "strasse.example"),
        ("url:value", "http://example.com/A", "http://example.com/a"),
        ("url:value", "http://example.com/a", "http://example.com/a/"),
        ("url:value", "http://example.com/a?", "http://example.com/a"),
        ("url:value", "http://example.com/%41", "http://example.com/A"),
        ("url:value", "http://example.com:8080/", "http://example.com/"),
        ("url:value", "http://example.com:443/", "http://example.com/"),
        ("url:value", "http://Me@example.com/", "http://me@example.com/"),
        ("email-addr:value", "Jane@example.com", "jane@example.com"),
        ("file:name", "A.exe", "a.exe"),
        ("file:hashes.SSDEEP", "3:AXGBicFlgVNhBGcL6wCrFQEv:AXGHsNhxLsr2C", "3:aXGBicFlgVNhBGcL6wCrFQEv:AXGHsNhxLsr2C"),
    ],
)
def test_two_values_never_become_one(path: str, one: str, two: str) -> None:
    """Values that can name different things stay different."""
    assert value_of(path, one) != value_of(path, two)


TEXT = st.text(max_size=30) | st.text(" .:/@[]()?#%-_aAéßİ。\t\n\u200d0123456789", max_size=20)


@settings(max_examples=500, deadline=None)
@given(st.sampled_from(PATHS), TEXT | TEXT.map("http://".__add__) | TEXT.map("HTTPS://u@H:443".__add__))
@example("domain-name:value", "example.com .")
@example("domain-name:value", "example。com。")
@example("url:value", "http://a.example./x")
@example("email-addr:value", "a@b .")
def test_a_canonical_value_is_its_own(path: str, value: str) -> None:
    """Making a value canonical twice is making it canonical once, and no text raises."""
    once = value_of(path, value)
    assert value_of(path, once) == once


@settings(max_examples=300, deadline=None)
@given(st.ip_addresses())
def test_every_address_has_one_form(address: Any) -> None:
    """Each of the forms that an address can be written in is its short one."""
    path = f"ipv{address.version}-addr:value"
    for form in (str(address), address.exploded, address.exploded.upper(), f"{address}/{address.max_prefixlen}"):
        assert value_of(path, form) == value_of(path, address.compressed)


def test_a_long_name_costs_no_time() -> None:
    """A name of thousands of letters outside of ASCII takes no more than a moment (DESIGN 6: cost is bounded)."""
    letters = "".join(chr(0x4E00 + number) for number in range(2000))
    for path, value in (
        ("domain-name:value", letters),
        ("url:value", f"http://{letters}/"),
        ("email-addr:value", f"a@{letters}"),
    ):
        started = time.process_time()
        value_of(path, value)
        assert time.process_time() - started < 0.25, path


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("hxxps://evil[.]example/a", "https://evil.example/a"),
        ("hXXp://evil.example", "http://evil.example"),
        ("h**p://evil.example", "http://evil.example"),
        ("hxxp[://]evil[dot]example", "http://evil.example"),
        ("hxxp[:]//evil(.)example", "http://evil.example"),
        ("fxp://evil{.}example", "ftp://evil.example"),
        ("evil[.]example", "evil.example"),
        ("evil(DOT)example", "evil.example"),
        ("198[.]51[.]100[.]3", "198.51.100.3"),
        ("me[@]evil.example", "me@evil.example"),
        ("me[at]evil[.]example", "me@evil.example"),
        (" plain ", "plain"),
        ("http://[2001:db8::1]/", "http://[2001:db8::1]/"),
        ("", ""),
    ],
)
def test_defanged_values_are_read(written: str, meant: str) -> None:
    """The spellings that people defang with mean what their owner wrote."""
    assert refang(written) == meant


@pytest.mark.parametrize(
    ("spelling", "name"),
    [
        ("SHA-256", "SHA-256"), ("sha256", "SHA-256"), ("SHA256", "SHA-256"), ("'SHA-256'", "SHA-256"),
        ("sha_256", "SHA-256"), ("md5", "MD5"), ("MD-5", "MD5"), ("sha1", "SHA-1"), ("SHA3-256", "SHA3-256"),
        ("sha3_256", "SHA3-256"), ("ssdeep", "SSDEEP"), ("x_own", "x_own"),
    ],
)  # fmt: skip
def test_hash_names_have_one_spelling(spelling: str, name: str) -> None:
    """The spellings that data.md counts in thousands are one algorithm."""
    assert hash_name(spelling) == name


# Facts


def fact(pattern: str, **more: Any) -> str:
    """The key of an indicator with this pattern, whether the pattern is valid or not."""
    made = indicator(pattern=pattern, **more)
    return facts.fact_key(made, facts.observables(made))


OWN = f"indicator--{UUID}"


@pytest.mark.parametrize(
    "spellings",
    [
        [
            "[domain-name:value='x.example']",
            "[domain-name:value = 'x.example']",
            "  [ domain-name:value\t=\n'x.example' ] ",
            "[domain-name:value = 'X.Example']",
            "[domain-name:value = 'x[.]example']",
        ],
        [
            f"[file:hashes.'SHA-256' = '{SHA256}']",
            f"[file:hashes.SHA256 = '{SHA256}']",
            f"[file:hashes.sha256='{SHA256.lower()}']",
            f"[file:hashes.'SHA256' = '{SHA256}']",
        ],
        ["[ipv4-addr:value = '198.51.100.3']", "[ipv4-addr:value = '198.51.100.3/32']"],
        ["[url:value = 'hxxp://evil[.]example/a']", "[url:value = 'http://EVIL.example/a']"],
        ["[app:id = 'com.evil.app']", "[app:id='com.evil.app']"],
    ],
    ids=lambda each: each[0],
)
def test_spellings_of_one_comparison_are_one_fact(spellings: list[str]) -> None:
    """A pattern of one comparison has one key in all the spellings of data.md."""
    keys = {fact(spelling) for spelling in spellings}
    assert len(keys) == 1
    assert keys != {OWN}


@pytest.mark.parametrize(
    "pattern",
    [
        "[domain-name:value != 'x.example']",
        "[domain-name:value NOT = 'x.example']",
        "[NOT domain-name:value = 'x.example']",
        "[domain-name:value LIKE 'x.example']",
        "[domain-name:value MATCHES 'x.example']",
        "[domain-name:value IN ('x.example')]",
        "[domain-name:value = 'x.example' OR domain-name:value = 'y.example']",
        "[domain-name:value = 'x.example' AND domain-name:value = 'y.example']",
        "[domain-name:value = 'x.example'] OR [domain-name:value = 'y.example']",
        "[domain-name:value = 'x.example'] FOLLOWEDBY [domain-name:value = 'y.example']",
        "[domain-name:value = 'x.example'] REPEATS 2 TIMES",
        "[domain-name:value = 'x.example'] START t'2020-01-01T00:00:00Z' STOP t'2021-01-01T00:00:00Z'",
        "[file:size = 3]",
        "[file:name = 'a' ] AND [file:name = 'b']",
        "[network-traffic:dst_ref.type = 'ipv4-addr' AND network-traffic:dst_ref.value = '1.2.3.4']",
        "[file:name = h'00']",
        "[domain-name:value = 'x.example",
        "nonsense",
    ],
)
def test_anything_but_one_equality_is_its_own_key(pattern: str) -> None:
    """A pattern that says more, or less, than one equality is joined with nothing."""
    assert fact(pattern) == OWN


@pytest.mark.parametrize(
    ("one", "two"),
    [
        ("[ipv4-addr:value = '198.51.100.3']", "[network-traffic:dst_ref.value = '198.51.100.3']"),
        ("[network-traffic:src_ref.value = '1.2.3.4']", "[network-traffic:dst_ref.value = '1.2.3.4']"),
        ("[file:name = 'a']", "[file:name = 'A']"),
        ("[file:hashes.MD5 = 'd41d8cd98f00']", "[artifact:hashes.MD5 = 'd41d8cd98f00']"),
        (r"[file:name = 'a\'b']", "[file:name = 'ab']"),
        (r"[file:name = 'a\\b']", "[file:name = 'ab']"),
        (r"[file:name = 'a\\\'b']", r"[file:name = 'a\'b']"),
        (r"[directory:path = 'C:\temp']", "[directory:path = 'C:temp']"),
        ("[file:name = 'a[.]b']", "[file:name = 'a.b']"),
        ("[process:command_line = 'echo me(at)home']", "[process:command_line = 'echo me@home']"),
        (
            "[file:hashes.SSDEEP = '3:AXGBicFlgVNhBGcL6wCrFQEv:AXGHsNhxLsr2C']",
            "[file:hashes.SSDEEP = '3:aXGBicFlgVNhBGcL6wCrFQEv:AXGHsNhxLsr2C']",
        ),
    ],
)  # fmt: skip
def test_two_comparisons_never_become_one(one: str, two: str) -> None:
    """Comparisons that match different things are different facts, so that folding one never hides the other (R23)."""
    assert fact(one) != fact(two)


def test_escapes_are_read() -> None:
    r"""`\'` is a quote and `\\` a backslash, in the value that people search by."""
    assert facts.comparison(r"[file:name = 'it\'s']") == ("file:name", "it's")
    assert facts.comparison(r"[directory:path = 'C:\\temp']") == ("directory:path", r"C:\temp")
    assert facts.comparison(r"[file:name = 'a\\']") == ("file:name", "a\\")
    assert facts.comparison(r"[file:name = 'a\']") is None


def test_saying_bad_is_not_saying_seen() -> None:
    """An indicator and an observable of one value share what people search by, but not the fact."""
    seen = stix.parse(encode(sco("domain-name", value="X.example")))
    bad = stix.parse(encode(indicator(pattern="[domain-name:value='x.example']")))
    assert seen.values == bad.values == (("domain-name:value", "x.example"),)
    assert seen.fact != bad.fact


def test_other_pattern_languages_are_their_own_key() -> None:
    """A pattern that is not in STIX's language is never read as one."""
    assert fact("[domain-name:value = 'x.example']", pattern_type="sigma") == OWN


@pytest.mark.parametrize(
    ("one", "two"),
    [
        (
            sco("windows-registry-key", key="HKEY_LOCAL_MACHINE\\Run", values=[{"name": "a", "data": "evil.exe"}]),
            sco("windows-registry-key", key="HKEY_LOCAL_MACHINE\\Run", values=[{"name": "a", "data": "good.exe"}]),
        ),
        (sco("url", value="http://x.example/a"), sco("url", value="http://x.example/A")),
        (sco("file", hashes={"MD5": "a" * 32}), sco("file", hashes={"SHA-1": "a" * 40})),
        (sco("autonomous-system", number=1), sco("autonomous-system", number=11)),
    ],
    ids=["registry values", "url", "hash", "as"],
)  # fmt: skip
def test_two_observables_never_become_one(one: dict[str, Any], two: dict[str, Any]) -> None:
    """Observables that state different things are different facts, so that folding one never hides the other (R23)."""
    two = {**two, "id": two["id"].replace("1111", "3333")}
    assert stix.parse(encode(one)).fact != stix.parse(encode(two)).fact


def test_a_file_with_several_hashes_is_its_own_key() -> None:
    """An object that states several values is found by each of them and joined by none."""
    both = sco("file", hashes={"SHA-256": SHA256, "MD5": "D41D8CD98F00B204E9800998ECF8427E"})
    found = stix.parse(encode(both))
    assert dict(found.values) == {
        "file:hashes.MD5": "d41d8cd98f00b204e9800998ecf8427e",
        "file:hashes.SHA-256": SHA256.lower(),
    }
    assert found.fact == f"file--{UUID}"


@settings(max_examples=300, deadline=None)
@given(st.text(max_size=40) | st.text("[]:='\\. ABChashes-file0", max_size=60))
@example("[a:" + ".a" * 2000 + "= 'x']")
@example("[a:a" + ".'a" * 1300)
def test_any_pattern_has_a_key(pattern: str) -> None:
    """No text in the place of a pattern raises or takes long; it is one comparison or nothing."""
    found = facts.comparison(pattern)
    assert found is None or (":" in found[0] and isinstance(found[1], str))
