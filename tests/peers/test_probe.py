"""A probe says what speaks and how, writes nothing, asks little, and ends whatever answers."""

import dataclasses
import json
from datetime import timedelta

import pytest
from doubles import COLLECTION, NOW, PEER, TAXII, Asked, Shelf, Told, access, serving, source, stamp, target
from hypothesis import given, settings
from hypothesis import strategies as st
from shelf20 import Shelf20

from exchange.i18n import LANGUAGES, text
from exchange.model import profile as profiles
from exchange.model.party import Credentials
from exchange.peers.probe import probe
from exchange.peers.probe_taxii import date_form

MOST = 12


class Server:
    """A TAXII server around a shelf; `rights` are those of our account, `others` the collections besides."""

    def __init__(self, shelf, root="/", others=0, **rights):
        self.shelf, self.root = shelf, root
        self.rights = {"can_read": True, "can_write": False, **rights}
        self.others = [{"id": f"other-{n}", "title": "x", "can_read": True, "can_write": False} for n in range(others)]

    def __call__(self, asked: Asked) -> Told:
        mine = {"id": COLLECTION, "title": "Alertes", **self.rights}
        said = {
            "/taxii2/": {"title": "CCC", "api_roots": [self.root]},
            self.root: {"title": "Racine", "versions": [TAXII], "max_content_length": 9_000_000},
            f"{self.root}collections/": {"collections": [mine, *self.others]},
            f"{self.root}collections/{COLLECTION}/": mine,
        }.get(asked.path)
        return Told(body=json.dumps(said).encode()) if said else self.shelf(asked)


def look(url, entry=source, peer=PEER, credentials=None, **more):
    given = dataclasses.replace(access(), peer=peer)
    if credentials:
        given = dataclasses.replace(given, credentials=credentials)
    return probe(given, entry(url, **more), now=NOW)


def codes(found):
    return [remark.code for remark in found.remarks]


def readable(found):
    """Every remark has its text in both languages, and the profile its way through JSON."""
    for remark in found.remarks:
        for language in LANGUAGES:
            said = text(remark.code, language, **remark.fields)
            assert said != remark.code
            assert "s3cret" not in said
    assert profiles.from_text(profiles.to_text(found)) == found
    return found


def test_a_server_by_the_standard_has_no_remark():
    with serving(Server(Shelf(list(range(90))))) as site:
        found = readable(look(site.url))
    assert codes(found) == []
    assert found.complete
    assert (found.speaks, found.title, found.versions, found.roots) == ("TAXII 2.1", "Racine", (TAXII,), (site.url,))
    assert (found.can_read, found.can_write, found.collections, found.max_content_length) == (True, False, 1, 9_000_000)
    assert (found.limit, found.page, found.following, found.dates) == ("cut", 30, "opaque", "six digits")
    assert (found.inclusive, found.ties, found.manifest, found.media_type) == (False, False, "dated", TAXII)
    assert (found.skew, found.latency, found.at, found.key) == (0.0, 0.0, NOW, "ccc/alertes")
    assert {asked.method for asked in site.asked} == {"GET"}
    assert len(site.asked) <= MOST


FAULTS = {
    "probe.no_next": Shelf(list(range(60)), gives_next=False),
    "probe.no_dates": Shelf(list(range(60)), gives_dates=False),
    "probe.date_form": Shelf(list(range(60)), date=lambda text: text.replace("Z", "+00:00")),
    "probe.inclusive": Shelf(list(range(60)), inclusive=True),
    "probe.ties": Shelf([n // 20 for n in range(60)]),
    "probe.no_manifest": Shelf(list(range(60)), gives_manifest=False),
}


@pytest.mark.parametrize("code", FAULTS)
def test_each_fault_has_its_remark(code):
    with serving(Server(FAULTS[code])) as site:
        found = readable(look(site.url))
    assert codes(found) == [code]
    assert found.complete
    assert len(site.asked) <= MOST


def test_limits_and_media_types_that_are_not_kept():
    shelf = Shelf(list(range(60)))

    def greedy(asked):
        told = shelf(dataclasses.replace(asked, query={k: v for k, v in asked.query.items() if k != "limit"}))
        return dataclasses.replace(told, headers={**told.headers, "Content-Type": "application/json"})

    def strict(asked):
        return Told(400) if asked.query.get("limit", "1") != "1" and "manifest" not in asked.path else shelf(asked)

    with serving(Server(greedy)) as site:
        assert codes(readable(look(site.url))) == ["probe.media_type", "probe.limit_ignored"]
    with serving(Server(strict)) as site:
        found = readable(look(site.url))
    assert (codes(found), found.limit) == (["probe.limit_refused"], "refused")


def test_rights_that_are_too_many_or_too_few():
    """Whoever reads should only read, and see what it was given (pains A5)."""
    both = dataclasses.replace(PEER, targets=(target("http://127.0.0.1/"),))
    with serving(Server(Shelf([0]), can_write=True, others=3)) as site:
        assert codes(readable(look(site.url))) == ["probe.may_write", "probe.sees_more"]
        assert "probe.may_write" not in codes(look(site.url, peer=both)), "it is a target of ours too"
        assert "probe.sees_more" not in codes(look(site.url, credentials=Credentials())), "a public server"
    with serving(Server(Shelf([0]), can_read=False)) as site:
        assert codes(readable(look(site.url))) == ["probe.may_not_read"]
        assert codes(readable(look(site.url, target))) == ["peer.read_only"]


def test_clocks_that_differ():
    with serving(Server(Shelf([0]))) as site:
        late = dataclasses.replace(access(), clock=lambda: NOW + timedelta(seconds=90))
        found = readable(probe(late, source(site.url), now=NOW))
    assert (found.skew, codes(found), found.remarks[0].fields["seconds"]) == (-90.0, ["probe.skew"], -90)


def test_a_collection_elsewhere_is_found():
    with serving(Server(Shelf([0, 1]), root="/deep/api/")) as site:
        # the shelf answers below any path
        found = readable(look(site.url + "taxii2/"))
    assert (found.roots, found.can_read) == ((site.url + "deep/api/",), True)
    assert len(site.asked) <= MOST


def test_a_taxii_20_server():
    with serving(Shelf20(list(range(90)), page=50)) as site:
        found = readable(look(site.url, version="2.0"))
    assert (found.speaks, found.limit, found.following, found.dates) == ("TAXII 2.0", "cut", "range", "six digits")
    assert (found.manifest, found.page, found.inclusive) == ("dated", 50, False)
    with serving(lambda _: Told(406)) as site:
        found = readable(look(site.url))
    assert codes(found) == ["peer.speaks_taxii20"]
    assert not found.complete


HOSTILE = [
    Told(body=b"<html>"), Told(body=b"[]"), Told(body=b"null"), Told(body=b"{}"), Told(500), Told(401), Told(403),
    Told(404), Told(503, headers={"Retry-After": "9999"}), Told(302, headers={"Location": "http://192.0.2.1/"}),
    Told(body=b'{"title": 7, "versions": {}, "max_content_length": 1e400, "collections": {"a": 1}, "api_roots": [[]]}'),
    Told(body=b'{"can_read": "yes", "title": "\xed\xa0\x80", "max_content_length": 1e308, "collections": [[], 1]}'),
    Told(body=b'{"collections": [{"id": [], "can_read": true}, {"id": {}, "alias": [], "can_write": true}]}'),
    Told(body=b'{"objects": [1, null, [], {"id": 1}, {"date_added": {}}], "more": 1}'),
    Told(body=b'{"objects": [{"id": 1}, {"date_added": 7}], "more": true, "next": {"a": 1}}'),
    Told(body=b'{"version": 7, "perm_sync": "x", "Role": []}'),
    Told(body=b'{"version": "2.5", "Role": {"perm_admin": 1}}'),
    Told(body=b'{"a": 1, "b": null, "c": {"timestamp": "x"}}', headers={"ETag": "\x7f"}), Told(body=b"[" * 5000),
]  # fmt: skip


@pytest.mark.parametrize("kind", ["taxii", "misp", "misp-feed"])
@pytest.mark.parametrize("told", HOSTILE, ids=lambda told: f"{told.status} {told.body[:30]!r}")
def test_whatever_answers_the_probe_ends_with_a_profile(kind, told):
    with serving(lambda _: told) as site:
        found = readable(look(site.url, kind=kind))
    assert len(site.asked) <= 25
    assert {asked.method for asked in site.asked} <= {"GET"}
    if told.status >= 400:
        assert not found.complete


def test_nobody_there():
    with serving(Shelf([])) as site:
        pass
    found = readable(look(site.url))
    assert codes(found) == ["peer.unreachable"]
    assert not found.complete


def misp(role=None, **more):
    def answer(asked):
        if asked.path.endswith("/servers/getVersion"):
            return Told(body=json.dumps({"version": "2.5.34", "perm_sync": True, **more}).encode())
        return Told(body=json.dumps({"User": {}, "Role": role}).encode()) if role else Told(403)

    return answer


@pytest.mark.parametrize(
    ("answer", "role", "remarks"),
    [
        (misp({"perm_sync": True}), "perm_sync", []),
        (misp(), "perm_sync", []),  # misp-guard lets nothing more through
        (misp({"perm_site_admin": True, "perm_sync": True}), "perm_sync, perm_site_admin", ["probe.over_privileged"]),
        (misp({"perm_admin": True}, perm_sync=False), "perm_admin", ["probe.over_privileged", "probe.no_sync"]),
    ],
)
def test_a_misp_account_with_too_many_rights(answer, role, remarks):
    with serving(answer) as site:
        found = readable(look(site.url, kind="misp", credentials=Credentials(key="s3cret")))
    assert (found.speaks, found.role, codes(found), found.skew) == ("MISP 2.5.34", role, remarks, 0.0)
    assert len(site.asked) == 2


@pytest.mark.parametrize(("etag", "remarks"), [("'x'", []), ("", ["probe.no_etag"])])
def test_a_misp_feed(etag, remarks):
    def answer(asked):
        if etag and asked.headers.get("If-None-Match") == etag:
            return Told(304)
        rows = {f"00000000-0000-4000-8000-{n:012d}": {"timestamp": str(n)} for n in range(1, 5)}
        return Told(body=json.dumps(rows).encode(), headers={"ETag": etag} if etag else {})

    with serving(answer) as site:
        found = readable(look(site.url, kind="misp-feed"))
    assert (found.speaks, found.size, found.manifest, found.etag) == ("MISP feed", 4, "dated", bool(etag))
    assert codes(found) == remarks


@pytest.mark.parametrize(
    ("date", "form"),
    [
        (stamp(1), "six digits"),
        ("2026-02-01T00:00:00.002Z", "other digits"),
        ("2026-02-01T00:00:00Z", "other digits"),
        ("2026-02-01T00:00:00.002000+00:00", "offset"),
        ("Sun, 01 Feb 2026 00:00:00 GMT", "http"),
        ("Sun Feb 01 2026 00:00:00 GMT+0000 (Coordinated Universal Time)", "javascript"),
        ("undefined", "unreadable"),
        ("", "missing"),
    ],
)
def test_forms_of_dates(date, form):
    assert date_form(date) == form


def profile(**more):
    return profiles.Profile(key="ccc/alertes", kind="taxii", at=NOW, **more)


def test_drift_is_what_the_peer_does_otherwise():
    """What passes (clocks, sizes, dates of the probes) and what was not found out is none."""
    old = profile(speaks="TAXII 2.0", page=30, can_write=False, skew=0.1, manifest="dated", roots=("http://a/",))
    new = profile(speaks="TAXII 2.1", page=90, can_write=True, skew=9.0, roots=("http://a/",))
    found = profiles.drift(old, new)
    assert found == [
        ("probe.changed", {"name": "speaks", "old": "TAXII 2.0", "new": "TAXII 2.1"}),
        ("probe.changed", {"name": "can_write", "old": False, "new": True}),
    ]
    for code, fields in found:
        assert (
            all("TAXII 2.0" in text(code, language, **fields) for language in LANGUAGES) or fields["name"] != "speaks"
        )
    passing = profiles.Remark(code="probe.ties", fields={"peer": "ccc", "contact": "x", "key": "k"})
    assert profiles.drift(profile(), profile(remarks=(passing,))) == []  # it depends on what lies there
    remark = profiles.Remark(code="probe.inclusive", fields={"peer": "ccc", "contact": "x", "key": "k"})
    assert profiles.drift(profile(), profile(remarks=(remark,))) == [("probe.inclusive", remark.fields)]
    assert profiles.drift(profile(remarks=(remark,)), profile(remarks=(remark,))) == []


@settings(max_examples=50)
@given(
    words=st.text(max_size=9),
    number=st.one_of(st.none(), st.integers(0, 2**53)),
    flag=st.one_of(st.none(), st.booleans()),
)
def test_a_profile_goes_through_json(words, number, flag):
    made = profile(title=words.encode("utf-8", "replace").decode(), page=number, inclusive=flag, roots=("a", "b"))
    assert profiles.from_text(profiles.to_text(made)) == made
    older = json.loads(profiles.to_text(made)) | {"a_later_fact": 1}
    assert profiles.from_text(json.dumps(older)) == made


@pytest.mark.parametrize("junk", ["", "{}", "[]", "null", '{"key": 1}', '{"key": "a", "kind": "b", "at": "yesterday"}'])
def test_what_is_no_profile_is_a_value_error(junk):
    with pytest.raises(ValueError):
        profiles.from_text(junk)
