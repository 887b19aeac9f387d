"""Canonical values: spellings of one thing are one, two things never are, and what is odd is told."""

from __future__ import annotations

import ipaddress
import time
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from exchange.i18n import LANGUAGES, knows
from exchange.model.normalise import CANONICAL, forms, hash_name, host_of, is_opaque, notes, refang, strength, value_of

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
        ("mac-addr:value", ["00:1b:44:11:3a:b7", "00-1B-44-11-3A-B7", "001b.4411.3AB7", "001B44113AB7"]),
        (
            "windows-registry-key:key",
            [
                "HKEY_LOCAL_MACHINE\\Software\\Run",
                "hkey_local_machine\\software\\run",
                "HKLM\\Software\\Run",
                "HKLM:\\Software\\Run",
                "HKLM\\\\Software\\\\Run",
                "HKLM/Software/Run",
                "HKLM\\Software\\Run\\",
                "\\REGISTRY\\MACHINE\\Software\\Run",
                "Computer\\HKEY_LOCAL_MACHINE\\Software\\Run",
            ],
        ),
        ("url:value", ["http://example.com/~a/b", "http://example.com/%7Ea/%62", "http://example.com/x/../~a/./b"]),
        ("url:value", ["http://example.com/%2fa%c3%bc", "http://example.com/%2Fa%C3%BC"]),
        ("url:value", ["http://example.com/?q=%7e%2f", "http://example.com?q=~%2F"]),
        ("url:value", ["http://[2001:db8::1]/", "HTTP://[2001:0DB8:0::1]:80"]),
        ("url:value", ["http://198.51.100.3:080/", "http://198[.]51[.]100[.]3"]),
        ("url:value", ["hxxp://evil[.]example/index[.]php", "http://evil.example/index.php"]),
        ("url:value", ["ftp://example.com", "ftp://example.com:21/"]),
        ("ipv6-addr:value", ["::ffff:198.51.100.3", "::FFFF:c633:6403", "0:0:0:0:0:ffff:c633:6403"]),
        ("ipv4-addr:value", ["198.51.100.3", "198[.]51.100.3", "198.51.100.3/255.255.255.255"]),
        ("email-addr:value", ["me@evil.example", "me[at]evil[.]example", "me[@]EVIL.example."]),
        ("autonomous-system:number", ["64496", "AS64496", "as64496", "ASN64496", "AS 64496", "0.64496"]),
        ("autonomous-system:number", ["65546", "1.10", "AS1.10"]),
        ("vulnerability:name", ["CVE-2021-44228", "cve-2021-44228", " CVE-2021-44228"]),
        ("network-traffic:dst_ref.value", ["198.51.100.3", "198.51.100.3/32", "198[.]51[.]100[.]3"]),
        ("network-traffic:dst_ref.value", ["evil.example", "Evil.Example."]),
        ("domain-name:resolves_to_refs[*].value", ["2001:db8::1", "2001:DB8:0::1"]),
        ("file:hashes.TLSH", ["a" * 70, "A" * 70, "T1" + "A" * 70]),
        ("file:hashes.'SHA-256'", [SHA256, SHA256.lower()]),
        ("process:image_ref.hashes.MD5", ["D41D8CD98F00B204E9800998ECF8427E", "d41d8cd98f00b204e9800998ecf8427e"]),
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
        ("url:value", "http://example.com/%2f", "http://example.com//"),
        ("url:value", "http://example.com:8080/", "http://example.com/"),
        ("url:value", "http://example.com:443/", "http://example.com/"),
        ("url:value", "http://Me@example.com/", "http://me@example.com/"),
        ("email-addr:value", "Jane@example.com", "jane@example.com"),
        ("url:value", "http://example.com/a", "https://example.com/a"),
        ("url:value", "http://example.com/?q=[.]", "http://example.com/?q=."),
        ("url:value", "http://example.com/a?x=../b", "http://example.com/a?b"),
        ("url:value", "http://example.com/%2e%2f", "http://example.com/./"),
        ("url:value", "http://example.com/#A", "http://example.com/#a"),
        ("url:value", "http://example.com/+", "http://example.com/%20"),
        ("url:value", "http://example.com/100%&%41", "http://example.com/100%&A"),
        ("url:value", "http://example.com\\\\@evil.example/", "http://example.com//@evil.example/"),
        ("url:value", "example.com/a", "http://example.com/a"),
        ("url:value", "x-app://host", "x-app://host/"),
        ("domain-name:value", "example.com", "example.com.."),
        ("domain-name:value", "*.example.com", "example.com"),
        ("domain-name:value", "198.51.100.3", "198.51.100.3.example"),
        ("domain-name:value", "a b.example", "a B.example"),
        ("ipv6-addr:value", "fe80::1%eth0", "fe80::1"),
        ("ipv6-addr:value", "::", "::1"),
        ("ipv4-addr:value", "198.51.100.0/23", "198.51.100.0/24"),
        ("mac-addr:value", "00:1b:44:11:3a:b7", "00:1b:44:11:3a:b7:00:00"),
        ("windows-registry-key:key", "HKLM\\a/b", "HKLM\\a\\b"),
        ("windows-registry-key:key", "HKLM\\Software", "HKCU\\Software"),
        ("windows-registry-key:key", "HKLMX\\Software", "HKLM\\Software"),
        ("windows-registry-key:key", "application/pdf", "application\\pdf"),
        ("autonomous-system:number", "65536.1", "1.65536"),
        ("autonomous-system:number", "4294967296", "0"),
        ("vulnerability:name", "CVE-2021-044228", "CVE-2021-44228"),
        ("file:hashes.MD5", "A" * 31, "a" * 31),
        ("directory:path", "C:\\Temp", "C:\\temp"),
        ("process:command_line", "echo me[at]home", "echo me@home"),
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


# --- what is odd is told ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("path", "value", "codes"),
    [
        ("domain-name:value", "Example.com", ()),
        ("domain-name:value", " example.com", ("value.trimmed",)),
        ("domain-name:value", "evil[.]example", ("value.defanged",)),
        ("domain-name:value", "198.51.100.3", ("value.not_a_domain",)),
        ("domain-name:value", "evil[.]example/a b", ("value.not_a_domain",)),
        ("ipv4-addr:value", "198.51.100.300", ("value.not_an_ipv4",)),
        ("ipv4-addr:value", "198.51.100.77/24", ("value.host_bits",)),
        ("ipv4-addr:value", "198.51.100.0/24", ()),
        ("ipv6-addr:value", "2001:db8::1/64", ("value.host_bits",)),
        ("ipv6-addr:value", "fe80::1%eth0", ("value.not_an_ipv6",)),
        ("ipv6-addr:value", "::ffff:198.51.100.3", ("value.mapped",)),
        ("url:value", "example.com/a", ("value.not_a_url",)),
        ("url:value", "hxxp://evil.example", ("value.defanged",)),
        ("url:value", "mailto:me@example.com", ()),
        ("email-addr:value", "Jane <jane@example.com>", ("value.not_an_email",)),
        ("mac-addr:value", "00:1b:44:11:3a", ("value.not_a_mac",)),
        ("network-traffic:src_ref.value", "not a host", ("value.not_a_host",)),
        ("file:hashes.SHA-256", "d41d8cd98f00b204e9800998ecf8427e", ("value.not_a_hash",)),
        ("file:hashes.SSDEEP", "d41d8cd98f00b204e9800998ecf8427e", ("value.not_a_hash",)),
        ("autonomous-system:number", "ASX", ("value.not_an_as_number",)),
        ("vulnerability:name", "Log4Shell", ("value.not_a_cve",)),
        ("windows-registry-key:key", "Software\\Run", ("value.no_hive",)),
        ("windows-registry-key:key", "HKLM\\Software", ()),
        ("file:name", "a.exe ", ("value.trimmed",)),
        ("x:y", "anything", ()),
    ],
)
def test_what_is_odd_about_a_value_is_told(path: str, value: str, codes: tuple[str, ...]) -> None:
    """Each oddity has its code and a text in both languages; a value that is not what it says is opaque."""
    assert notes(path, value) == codes
    assert all(knows(code, language) for code in codes for language in LANGUAGES)
    assert is_opaque(path, value) == any(code.startswith("value.not_") for code in codes)


@settings(max_examples=500, deadline=None)
@given(st.sampled_from(PATHS), TEXT)
def test_an_opaque_value_is_no_valid_one(path: str, value: str) -> None:
    """What is not what its property says keeps its own text, which no valid value has for its canonical form."""
    if is_opaque(path, value):
        assert value_of(path, value) == value.strip()
        assert is_opaque(path, value_of(path, value))
    else:
        assert not is_opaque(path, value_of(path, value))


LABEL = st.text("abcdefghijklmnopqrstuvwxyz0123456789-_", min_size=1, max_size=12)
NAME = st.builds("{}.{}.example".format, LABEL, LABEL)


@settings(max_examples=200, deadline=None)
@given(NAME, NAME, st.sampled_from(["http", "https"]), st.text("abcABC/._~", max_size=12))
def test_only_equal_names_are_equal(one: str, two: str, scheme: str, path: str) -> None:
    """Distinct names stay distinct, alone, in URLs and in addresses; each in its other spellings is itself."""
    for kind, made in (
        ("domain-name:value", str),
        ("email-addr:value", "me@{}".format),
        ("url:value", lambda name: f"{scheme}://{name}/{path}"),
    ):
        first, second = made(one), made(two)
        assert (value_of(kind, first) == value_of(kind, second)) == (one == two)
        defanged = made(one.replace(".", "[.]"))
        assert value_of(kind, defanged) == value_of(kind, made(one.upper())) == value_of(kind, first)


@settings(max_examples=300, deadline=None)
@given(st.integers(0, 2**128 - 1), st.integers(0, 128))
def test_every_ipv6_network_has_one_form(number: int, prefix: int) -> None:
    """The short form is that of RFC 5952, whatever the version of Python; host bits say nothing."""
    address = ipaddress.IPv6Address(number)
    network = ipaddress.IPv6Network((number, prefix), strict=False)
    found = value_of("ipv6-addr:value", f"{address.exploded}/{prefix}")
    assert ipaddress.IPv6Network(found) == network
    assert found == value_of("ipv6-addr:value", f"{network.network_address}/{prefix}") == found.lower()


@pytest.mark.parametrize(
    ("asked", "canonical"),
    [
        ("EVIL[.]example", "evil.example"),
        ("hxxps://EVIL[.]example:443", "https://evil.example/"),
        ("198[.]51[.]100[.]3", "198.51.100.3"),
        ("2001:DB8:0:0::1", "2001:db8::1"),
        ("00-1B-44-11-3A-B7", "00:1b:44:11:3a:b7"),
        ("D41D8CD98F00B204E9800998ECF8427E", "d41d8cd98f00b204e9800998ecf8427e"),
        (SHA256, SHA256.lower()),
        ("HKLM\\Software\\Run", "hkey_local_machine\\software\\run"),
        ("cve-2021-44228", "CVE-2021-44228"),
        ("AS64496", "64496"),
        ("Jane@EXAMPLE.com", "Jane@example.com"),
        ("T1" + "A" * 70, "a" * 70),
        ("A File.exe ", "A File.exe"),
        ("app.EasyExample", "app.EasyExample"),
    ],
)
def test_what_people_paste_is_found(asked: str, canonical: str) -> None:
    """Every canonical form of what is asked for is looked up (`exchange show`)."""
    assert canonical in forms(asked)


@settings(max_examples=300, deadline=None)
@given(st.sampled_from(PATHS), TEXT)
def test_whatever_was_kept_is_found_by_its_text(path: str, value: str) -> None:
    """The canonical value of a text is among the forms of that text, whatever it was the value of."""
    assert value_of(path, value) in forms(value)


@pytest.mark.parametrize(
    ("path", "proves"),
    [
        ("file:hashes.SHA-256", 2), ("file:hashes.'SHA3-256'", 2), ("artifact:hashes.sha512", 2),
        ("file:hashes.MD5", 1),
        ("file:hashes.SHA-1", 1), ("file:hashes.SSDEEP", 0), ("file:hashes.IMPHASH", 0), ("file:name", 0), ("", 0),
    ],
)  # fmt: skip
def test_hashes_prove_what_they_prove(path: str, proves: int) -> None:
    """Nobody makes two files with one SHA-256; with one MD5 or SHA-1 somebody may; fuzzy hashes only say alike."""
    assert strength(path) == proves


@pytest.mark.parametrize(
    ("value", "host"),
    [
        ("hxxps://EVIL[.]example:443/a?b", "evil.example"),
        ("https://user@evil.example/", "evil.example"),
        ("Evil.example:8443", "evil.example"),
        ("evil[.]example/login.php", "evil.example"),
        ("198.51.100.3:8080", "198.51.100.3"),
        ("http://[2001:DB8::1]:80/", "2001:db8::1"),
        ("evil.example", None),
        ("198.51.100.0/24", None),
        ("2001:db8::1", None),
        ("anna@evil.example", None),
        ("T1059", None),
        ("Vigne Folle", None),
        ("[domain-name:value = 'evil.example']", None),
    ],
)
def test_the_host_of_what_carries_more(value: str, host: str | None) -> None:
    assert host_of(value) == host
