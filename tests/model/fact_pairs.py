"""Pairs of objects with documentation values that say one fact (ONE), or two (TWO): the shapes that real data has.

Each has a few words on what the pair is. The two objects of a pair have different ids.
"""

from __future__ import annotations

from typing import Any

from stix_samples import OTHER, WHEN, indicator, sco, sdo

A, B, C = "a" * 64, "b" * 64, "c" * 64
MD5, SHA1 = "d" * 32, "e" * 40
Pair = tuple[str, dict[str, Any], dict[str, Any]]


def _other(stix: dict[str, Any]) -> dict[str, Any]:
    return {**stix, "id": f"{stix['type']}--{OTHER}"}


def _bad(what: str, one: str, other: str, **more: Any) -> Pair:
    return what, indicator(pattern=one, **more), _other(indicator(pattern=other, **more))


def _seen(what: str, kind: str, one: dict[str, Any], other: dict[str, Any]) -> Pair:
    return what, sco(kind, **one), _other(sco(kind, **other))


DST = "network-traffic:dst_ref"
PORT = "network-traffic:dst_port"
REGKEY = "HKEY_LOCAL_MACHINE\\Software\\Example\\Run"
ONE: list[Pair] = [
    _bad("white space", "[domain-name:value='x.example']", "[ domain-name:value  = 'x.example' ]"),
    _bad("case of a name", "[domain-name:value = 'x.example']", "[domain-name:value = 'X.Example']"),
    _bad("final dot", "[domain-name:value = 'x.example']", "[domain-name:value = 'x.example.']"),
    _bad("letters of IDNA", "[domain-name:value = 'bücher.example']", "[domain-name:value = 'xn--bcher-kva.example']"),
    _bad("defanged name", "[domain-name:value = 'x.example']", "[domain-name:value = 'x[.]example']"),
    _bad("defanged URL", "[url:value = 'http://x.example/a.php']", "[url:value = 'hxxp://x[.]example/a[.]php']"),
    _bad("URL host", "[url:value = 'http://x.example/A']", "[url:value = 'HTTP://X.example:80/A']"),
    _bad("URL without path", "[url:value = 'http://x.example']", "[url:value = 'http://x.example/']"),
    _bad("dot segments", "[url:value = 'http://x.example/a/b']", "[url:value = 'http://x.example/./c/../a/b']"),
    _bad("needless encoding", "[url:value = 'http://x.example/ab']", "[url:value = 'http://x.example/%61b']"),
    _bad("hash name", f"[file:hashes.'SHA-256' = '{A}']", f"[file:hashes.sha256='{A}']"),
    _bad("hash case", f"[file:hashes.'SHA-256' = '{A}']", f"[file:hashes.'SHA-256' = '{A.upper()}']"),
    _bad("whole prefix", "[ipv4-addr:value = '198.51.100.3']", "[ipv4-addr:value = '198.51.100.3/32']"),
    _bad("host bits", "[ipv4-addr:value = '198.51.100.0/24']", "[ipv4-addr:value = '198.51.100.9/24']"),
    _bad("IPv6 zeros", "[ipv6-addr:value = '2001:db8::1']", "[ipv6-addr:value = '2001:0DB8:0:0:0:0:0:1']"),
    _bad("hive", "[windows-registry-key:key = 'HKLM\\\\A']", f"[windows-registry-key:key = '{REGKEY[:18]}\\\\a']"),
    _bad("order of OR", "[file:name = 'a' OR file:name = 'b']", "[file:name = 'b' OR file:name = 'a']"),
    _bad("order of AND", f"[file:name = 'a' AND file:hashes.MD5 = '{MD5}']",
         f"[file:hashes.md5='{MD5}' AND file:name='a']"),
    _bad("IN is OR", "[file:name IN ('a', 'b')]", "[file:name = 'a' OR file:name = 'b']"),
    _bad("proven type", f"[{DST}.type = 'ipv4-addr' AND {DST}.value = '198.51.100.3']",
         f"[{DST}.value = '198.51.100.3']"),
    _bad("parentheses", f"[({DST}.type = 'ipv4-addr' AND {DST}.value = '198.51.100.3') AND {PORT} = 80]",
         f"[{PORT} = 80 AND {DST}.value = '198.51.100.3']"),
    _bad("line endings", "rule a {\r\n condition: true\r\n}\r\n", "rule a {\n condition: true\n}", pattern_type="yara"),
    ("name, times and confidence", indicator(name="a", confidence=10),
     _other(indicator(name="b", confidence=90, valid_from="2025-01-02T03:04:05.678Z", valid_until=WHEN))),
    ("kinds of bad", indicator(indicator_types=["malicious-activity"]),
     _other(indicator(indicator_types=["anomalous-activity", "benign"]))),
    ("custom kind", indicator(), _other(indicator(indicator_types=["whatever"]))),
    _seen("name", "domain-name", {"value": "X.example"}, {"value": "x.example."}),
    _seen("what a name resolves to is told beside", "domain-name", {"value": "x.example"},
          {"value": "x.example", "resolves_to_refs": [f"ipv4-addr--{OTHER}"]}),
    _seen("address", "ipv4-addr", {"value": "198.51.100.3"}, {"value": "198.51.100.3/32"}),
    _seen("mail address", "email-addr", {"value": "Me@x.example"}, {"value": "Me@X.example", "display_name": "Me"}),
    _seen("AS", "autonomous-system", {"number": 64496}, {"number": 64496, "name": "Example"}),
    _seen("strongest hash", "file", {"hashes": {"SHA-256": A}},
          {"hashes": {"SHA-256": A.upper(), "MD5": MD5}, "name": "a.exe", "size": 3}),
    _seen("SHA-256 before all others", "file", {"hashes": {"SHA-256": A, "SHA-512": A * 2}},
          {"hashes": {"SHA-256": A, "SHA-1": SHA1}}),
    _seen("MD5, when nobody says more", "file", {"hashes": {"MD5": MD5}}, {"hashes": {"MD5": MD5.upper()},
         "name": "a"}),
    _seen("name and size alone", "file", {"name": "a.exe", "size": 3}, {"size": 3, "name": "a.exe"}),
    _seen("content", "artifact", {"payload_bin": "YQ=="},
          {"hashes": {"SHA-256": "ca978112ca1bbdcafac231b39a23dc4da786eff8147c4e72b9807785afee48bb"},
           "url": "http://x.example/"}),
    _seen("certificate", "x509-certificate", {"hashes": {"SHA-1": SHA1}}, {"hashes": {"SHA-1": SHA1},
         "issuer": "CN=x"}),
    _seen("registry values in any order", "windows-registry-key",
          {"key": REGKEY, "values": [{"name": "a", "data": "1"}, {"name": "b", "data": "2"}]},
          {"key": REGKEY.lower(), "values": [{"name": "B", "data": "2"}, {"name": "a", "data": "1"}]}),
    _seen("mutex", "mutex", {"name": "m"}, {"name": " m"}),
    _seen("directory", "directory", {"path": "C:\\Temp"}, {"path": "C:\\Temp", "ctime": WHEN}),
    _seen("account of a service", "user-account", {"account_type": "github", "account_login": "example"},
          {"account_type": "github", "account_login": "example", "display_name": "Example"}),
    _seen("software by its CPE", "software", {"name": "Example", "cpe": "cpe:2.3:a:example:x:1:*:*:*:*:*:*:*"},
          {"name": "Example", "cpe": "cpe:2.3:a:example:x:1:*:*:*:*:*:*:*"}),
    _seen("message", "email-message", {"is_multipart": False, "subject": "Invoice"},
          {"is_multipart": False, "subject": "Invoice", "x_note": "seen"}),
]  # fmt: skip
TWO: list[Pair] = [
    _bad("a name and one under it", "[domain-name:value = 'x.example']", "[domain-name:value = 'a.x.example']"),
    _bad("names that look alike", "[domain-name:value = 'x-1.example']", "[domain-name:value = 'x-l.example']"),
    _bad("path case", "[url:value = 'http://x.example/A']", "[url:value = 'http://x.example/a']"),
    _bad("scheme", "[url:value = 'http://x.example/']", "[url:value = 'https://x.example/']"),
    _bad("query", "[url:value = 'http://x.example/']", "[url:value = 'http://x.example/?a']"),
    _bad("a name and its URL", "[domain-name:value = 'x.example']", "[url:value = 'http://x.example/']"),
    _bad("brackets of a query", "[url:value = 'http://x.example/?[.]']", "[url:value = 'http://x.example/?.']"),
    _bad("neighbours", "[ipv4-addr:value = '198.51.100.3']", "[ipv4-addr:value = '198.51.100.4']"),
    _bad("a host and its network", "[ipv4-addr:value = '198.51.100.0']", "[ipv4-addr:value = '198.51.100.0/24']"),
    _bad("mapped", "[ipv6-addr:value = '::ffff:198.51.100.3']", "[ipv4-addr:value = '198.51.100.3']"),
    _bad("no address", "[ipv4-addr:value = '198.51.100.03']", "[ipv4-addr:value = '198.51.100.3']"),
    _bad("source and destination", f"[{DST}.value = '198.51.100.3']",
         "[network-traffic:src_ref.value = '198.51.100.3']"),
    _bad("an address and traffic to it", f"[{DST}.value = '198.51.100.3']", "[ipv4-addr:value = '198.51.100.3']"),
    _bad("with a port", f"[{DST}.value = '198.51.100.3']",
         f"[{DST}.value = '198.51.100.3' AND network-traffic:dst_port = 80]"),
    _bad("hash and name", f"[file:hashes.MD5 = '{MD5}']", f"[file:hashes.MD5 = '{MD5}' AND file:name = 'a']"),
    _bad("OR and AND", "[file:name = 'a' OR file:name = 'b']", "[file:name = 'a' AND file:name = 'b']"),
    _bad("not", "[file:name = 'a']", "[file:name != 'a']"),
    _bad("file name case", "[file:name = 'A.exe']", "[file:name = 'a.exe']"),
    _bad("file and artifact", f"[file:hashes.MD5 = '{MD5}']", f"[artifact:hashes.MD5 = '{MD5}']"),
    _bad("SSDEEP case", "[file:hashes.SSDEEP = '3:AbC:DeF']", "[file:hashes.SSDEEP = '3:aBc:dEf']"),
    _bad("LIKE and equal", "[file:name LIKE 'a']", "[file:name = 'a']"),
    _bad("one after the other", "[file:name = 'a'] FOLLOWEDBY [file:name = 'b']",
         "[file:name = 'a'] AND [file:name = 'b']"),
    _bad("how often", "[file:name = 'a'] REPEATS 2 TIMES", "[file:name = 'a'] REPEATS 3 TIMES"),
    _bad("rules", "rule a { condition: true }", "rule b { condition: true }", pattern_type="yara"),
    ("language", indicator(pattern="a", pattern_type="yara"), _other(indicator(pattern="a", pattern_type="sigma"))),
    ("bad and benign", indicator(indicator_types=["malicious-activity"]),
         _other(indicator(indicator_types=["benign"]))),
    ("bad and seen", indicator(pattern="[domain-name:value = 'x.example']"), sco("domain-name", value="x.example")),
    ("types of one text", sco("domain-name", value="x.example"), sco("url", value="x.example")),
    _seen("URL without scheme", "url", {"value": "x.example/a"}, {"value": "http://x.example/a"}),
    _seen("weaker hash", "file", {"hashes": {"MD5": MD5}}, {"hashes": {"MD5": MD5, "SHA-256": A}}),
    _seen("SHA-1 in common", "file", {"hashes": {"SHA-1": SHA1, "SHA-256": A}}, {"hashes": {"SHA-1": SHA1,
         "SHA-256": B}}),
    _seen("files of one name", "file", {"name": "a", "hashes": {"SHA-256": A}}, {"name": "a",
         "hashes": {"SHA-256": B}}),
    _seen("a name, and a file of it", "file", {"name": "a"}, {"name": "a", "hashes": {"SHA-256": B}}),
    _seen("size", "file", {"name": "a", "size": 3}, {"name": "a", "size": 4}),
    _seen("fuzzy hash", "file", {"hashes": {"SSDEEP": "3:AbC:DeF"}}, {"hashes": {"SSDEEP": "3:AbC:DeF"}}),
    _seen("folder by its id", "file", {"name": "a", "parent_directory_ref": f"directory--{OTHER}"},
          {"name": "a", "parent_directory_ref": f"directory--{OTHER}"}),
    _seen("registry data", "windows-registry-key", {"key": REGKEY, "values": [{"name": "a", "data": "x"}]},
          {"key": REGKEY, "values": [{"name": "a", "data": "X"}]}),
    _seen("a key and its values", "windows-registry-key", {"key": REGKEY},
          {"key": REGKEY, "values": [{"name": "a", "data": "x"}]}),
    _seen("mutex case", "mutex", {"name": "m"}, {"name": "M"}),
    _seen("process", "process", {"pid": 7, "command_line": "a"}, {"pid": 7, "command_line": "a"}),
    _seen("account of a host", "user-account", {"account_type": "unix", "account_login": "root"},
          {"account_type": "unix", "account_login": "root"}),
    _seen("account of nobody knows what", "user-account", {"user_id": "1001"}, {"user_id": "1001"}),
    _seen("services", "user-account", {"account_type": "github", "account_login": "example"},
          {"account_type": "twitter", "account_login": "example"}),
    _seen("software by its name", "software", {"name": "Example"}, {"name": "Example"}),
    _seen("certificate by its serial number", "x509-certificate", {"serial_number": "01", "issuer": "CN=x"},
          {"serial_number": "01", "issuer": "CN=x"}),
    _seen("messages", "email-message", {"is_multipart": False, "subject": "Invoice"},
          {"is_multipart": False, "subject": "Invoice", "body": "a"}),
    _seen("two messages of which nothing is told", "email-message", {"is_multipart": False}, {"is_multipart": False}),
    _seen("connections by ids", "network-traffic", {"protocols": ["tcp"], "dst_ref": f"ipv4-addr--{OTHER}"},
          {"protocols": ["tcp"], "dst_ref": f"ipv4-addr--{OTHER}"}),
    ("objects of one name", sdo("malware", name="Example", is_family=True),
     _other(sdo("malware", name="Example", is_family=True))),
    ("one CVE", sdo("vulnerability", name="CVE-2021-44228"), _other(sdo("vulnerability", name="CVE-2021-44228"))),
]  # fmt: skip
