"""The client against the servers that partners run: medallion 3.0.0 and OpenTAXII 0.10, and a faithful MISP."""

import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from itertools import islice

import pytest
from doubles import NOW, Waits, access, client, indicator

from exchange.errors import PeerProtocol, PeerRefused
from exchange.model.envelope import Outgoing
from exchange.model.party import Credentials, Source, Target
from exchange.model.stix import parse
from exchange.peers.probe import probe

partners = pytest.importorskip("lab.partners")
SIZE = 430
HELD = [indicator(number) for number in range(SIZE)]
SCO = {
    "type": "domain-name",
    "spec_version": "2.1",
    "id": f"domain-name--{'0' * 8}-0000-4000-8000-{'1' * 12}",
    "value": "a.example",
}


@pytest.fixture(scope="module", params=["medallion", "opentaxii"])
def partner(request, tmp_path_factory) -> Iterator:
    folder = tmp_path_factory.mktemp(request.param)
    if request.param == "medallion":
        with partners.medallion(folder, alertes=HELD) as running:
            yield running, "alertes", "depot"
    else:
        with partners.opentaxii(folder, hoiatused=HELD) as running:
            yield running, "hoiatused", "postkast"


def reader(running, password=None):
    """With the time of day, by which these servers date what they are given."""
    account = Credentials(user=running.user, password=password or running.password)
    return client("taxii", credentials=account, clock=lambda: datetime.now(UTC))


def source(running, name):
    return Source(peer="ccc", id=name, kind="taxii", url=running.url, collection=running.collections.get(name, name))


def ids(pages):
    return [made.id for page in pages for made in page.objects]


@pytest.mark.peers
def test_a_drain_brings_everything_once(partner):
    running, readable, _ = partner
    pages = list(reader(running).pull(source(running, readable), {}))
    assert Counter(ids(pages)) == Counter(o["id"] for o in HELD)
    assert pages[-1].last
    again = list(reader(running).pull(source(running, readable), pages[-1].cursor))
    assert ids(again) == []


@pytest.mark.peers
@pytest.mark.parametrize("count", [1, 2])
def test_a_restart_in_the_middle_loses_nothing(partner, count):
    running, readable, _ = partner
    drain = reader(running).pull(source(running, readable), {})
    before = list(islice(drain, count))
    drain.close()
    cursor = json.loads(json.dumps(before[-1].cursor))
    after = list(reader(running).pull(source(running, readable), cursor))
    assert set(ids(before)) | set(ids(after)) == {o["id"] for o in HELD}


@pytest.mark.peers
def test_what_is_pushed_twice_is_accepted_twice_and_there_once(partner):
    running, _, writable = partner
    letterbox = Target(peer="ccc", id="depot", kind="taxii", url=running.url, collection=running.collections[writable])
    sent = [json.dumps(o).encode() for o in [*HELD[:130], SCO]]
    objects = [Outgoing(id=(made := parse(body)).id, version=made.version, body=body) for body in sent]
    for _ in range(2):
        receipts = reader(running).push(letterbox, objects)
        assert [r.id for r in receipts] == [o.id for o in objects]
        assert {r.outcome for r in receipts} == {"accepted"}
    pages = list(reader(running).pull(source(running, writable), {}))
    assert Counter(ids(pages)) == Counter(o.id for o in objects)


@pytest.mark.peers
def test_what_is_deleted_is_there_in_no_version_and_twice_does_no_harm(partner):
    """Section 5.7: they differ about a DELETE that names no version, so ours names all."""
    running, _, writable = partner
    letterbox = Target(peer="ccc", id="depot", kind="taxii", url=running.url, collection=running.collections[writable])
    made = [indicator(1000), {**indicator(1000), "modified": "2026-11-22T12:00:00.000Z"}, indicator(1001)]
    objects = [Outgoing(id=o["id"], version=o["modified"], body=json.dumps(o).encode()) for o in made]
    reader(running).push(letterbox, objects)
    gone = [Outgoing(id=made[0]["id"], version="", body=b"", gone=True)]
    for _ in range(2):
        assert [r.outcome for r in reader(running).push(letterbox, gone)] == ["accepted"]
    there = ids(reader(running).fetch(source(running, writable), [o["id"] for o in made]))
    assert there == [made[2]["id"]]


@pytest.mark.peers
def test_refusals_have_their_names(partner):
    running, readable, _ = partner
    with pytest.raises(PeerRefused):
        list(reader(running, "wrong").pull(source(running, readable), {}))
    with pytest.raises(PeerProtocol) as failed:
        list(reader(running).pull(source(running, "5c4e0000-0000-4000-8000-000000000001"), {}))
    assert failed.value.code == "peer.no_collection"
    closed = Target(peer="ccc", id="x", kind="taxii", url=running.url, collection=running.collections[readable])
    with pytest.raises(PeerRefused):
        reader(running).push(closed, [Outgoing(id=HELD[0]["id"], version="", body=json.dumps(HELD[0]).encode())])


@pytest.mark.peers
def test_the_whole_is_listed_and_some_of_it_brought(partner):
    running, readable, _ = partner
    place, reading = source(running, readable), reader(running)
    entries = [entry for page in reading.index(place) for entry in page]
    assert Counter(entry.id for entry in entries) == Counter(o["id"] for o in HELD)
    assert all(entry.version and entry.added for entry in entries)
    chosen = [HELD[n]["id"] for n in range(0, SIZE, 5)]
    assert Counter(ids(reading.fetch(place, chosen))) == Counter(chosen)


@pytest.mark.peers
def test_a_real_server_is_probed(partner):
    """From its discovery resource, without writing and without an error."""
    running, readable, _ = partner
    place = replace(source(running, readable), url=running.discovery)
    given = replace(access(), credentials=Credentials(user=running.user, password=running.password))
    found = probe(replace(given, clock=lambda: datetime.now(UTC)), place, now=NOW)
    assert found.complete, found.remarks
    assert (found.speaks, found.can_read, found.manifest) == ("TAXII 2.1", True, "dated")
    assert found.roots == (running.url,)
    assert abs(found.skew) < 5
    expected = {"medallion": {"probe.ties", "probe.sees_more"}, "opentaxii": {"probe.sees_more"}}
    assert {remark.code for remark in found.remarks} >= expected["medallion" if running.name == "CCC" else "opentaxii"]


def test_a_faithful_misp_is_drained():
    misp, samples = pytest.importorskip("lab.misp"), pytest.importorskip("lab.samples")
    with misp.misp(samples.circl_events()) as circl:
        instance = Source(peer="circl", id="misp", kind="misp", url=circl.url)
        asking = client("misp", Waits(), credentials=Credentials(key=circl.key))
        pages = list(asking.pull(instance, {}))
        found = [page.document.id for page in pages if page.document]
        assert len(found) == len(set(found)) > 5
        assert [p.document for p in asking.pull(instance, pages[-1].cursor) if p.document] == []


def test_a_faithful_feed_is_drained(tmp_path):
    feed, samples = pytest.importorskip("lab.feed"), pytest.importorskip("lab.samples")
    with feed.feed(tmp_path, samples.circl_feed()) as osint:
        place = Source(peer="circl", id="osint", kind="misp-feed", url=osint.url)
        pages = list(client("misp-feed").pull(place, {}))
        assert len([page for page in pages if page.document]) == len(samples.circl_feed())
        assert osint.site.count("/manifest.json", 304) == 0
        list(client("misp-feed").pull(place, pages[-1].cursor))
        assert osint.site.count("/manifest.json", 304) == 1
