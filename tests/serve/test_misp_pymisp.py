"""PyMISP's own calls over real HTTP, as far as a sync user needs them (reference misp.md section 8)."""

from __future__ import annotations

import threading
import uuid
from collections.abc import Iterator
from socketserver import ThreadingMixIn
from typing import Any
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

import pytest
from pymisp import MISPAttribute, MISPEvent, MISPEventReport, MISPObject, MISPSighting, PyMISP
from pymisp.exceptions import PyMISPError

from exchange.store import Store, open_store
from tests.serve.house import House
from tests.serve.wire import CERT1, Misp, event, house_of
from tests.serve.wire import attribute as plain


class _Quiet(WSGIRequestHandler):
    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""


class _Server(ThreadingMixIn, WSGIServer):
    daemon_threads = True


@pytest.fixture
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    opened = open_store(f"sqlite:///{tmp_path_factory.mktemp('node')}/exchange.db")
    yield opened
    opened.close()


@pytest.fixture
def node(store: Store) -> Iterator[tuple[House, str]]:
    """A node that listens, and the base URL of its collection."""
    house = house_of(store, public_url="")
    server = make_server("127.0.0.1", 0, house.app, server_class=_Server, handler_class=_Quiet)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    yield house, f"http://127.0.0.1:{server.server_port}/misp/depot-commun/"
    server.shutdown()
    server.server_close()


def client(node: tuple[House, str], who: str) -> Any:
    """PyMISP gives one of many types for each call; the tests say which."""
    house, url = node
    return PyMISP(url, house.secrets[who], ssl=False, timeout=10)


def made(value: str = "a.example") -> MISPEvent:
    event = MISPEvent()
    event.info, event.distribution, event.published = "E1", 3, True
    event.add_tag("tlp:green")
    event.add_attribute("domain", value, to_ids=True)
    return event


def test_it_connects_and_knows_who_it_is(node: tuple[House, str]) -> None:
    pymisp = client(node, "circl")
    assert pymisp.misp_instance_version["version"].startswith("2.5.")
    user, role, settings = pymisp.get_user(expanded=True, pythonify=True)
    assert (user.email.partition("@")[0], role.perm_sync, settings) == ("circl", True, [])
    with pytest.raises(PyMISPError):
        PyMISP(node[1], "x" * 40, ssl=False, timeout=10)


def test_events(node: tuple[House, str]) -> None:
    pymisp = client(node, "circl")
    given = made()
    stored = pymisp.add_event(given, pythonify=True)
    assert isinstance(stored, MISPEvent), stored
    assert (stored.uuid, stored.info, stored.orgc.uuid) == (given.uuid, "E1", CERT1)
    assert pymisp.event_exists(given.uuid) is True
    assert pymisp.event_exists(str(uuid.uuid4())) is False
    again = pymisp.add_event(given)
    assert again["errors"][0] == 404
    stored.info = "E1 bis"
    stored.add_attribute("ip-dst", "192.0.2.9")
    node[0].tick()
    changed = pymisp.update_event(stored, pythonify=True)
    assert isinstance(changed, MISPEvent), changed
    assert changed.info == "E1 bis"
    got = pymisp.get_event(given.uuid, pythonify=True)
    assert isinstance(got, MISPEvent), got
    assert {each.value for each in got.attributes} == {"a.example", "192.0.2.9"}
    assert pymisp.get_event(str(uuid.uuid4()))["errors"][0] == 404
    deleted = pymisp.delete_event(given.uuid)
    assert "errors" not in deleted
    assert pymisp.event_exists(given.uuid) is False


def test_search(node: tuple[House, str]) -> None:
    pymisp, reader = client(node, "circl"), client(node, "ccc")
    first, second = made("a.example"), made("b.example")
    second.info = "second"
    for each in (first, second):
        assert isinstance(pymisp.add_event(each, pythonify=True), MISPEvent)
    node[0].tick()
    (found,) = reader.search(controller="events", value="b.example", pythonify=True)
    assert (found.uuid, found.info) == (second.uuid, "second")
    assert {each.uuid for each in reader.search(controller="events", tags="tlp:green", pythonify=True)} == {
        first.uuid, second.uuid
    }  # fmt: skip
    (attribute,) = reader.search(controller="attributes", value="a.example", pythonify=True)
    assert (attribute.value, attribute.Event.uuid) == ("a.example", first.uuid)
    rows = reader.search_index(eventinfo="second", pythonify=True)
    assert [row.uuid for row in rows] == [second.uuid]
    assert len(reader.search_index(minimal=True)) == 2
    assert len(reader.events(pythonify=True)) == 2
    assert reader.search(controller="events", eventid=first.uuid, metadata=True, pythonify=True)[0].info == "E1"


def test_attributes(node: tuple[House, str]) -> None:
    pymisp = client(node, "circl")
    given = made()
    pymisp.add_event(given)
    node[0].tick()
    new = MISPAttribute()
    new.from_dict(type="domain", value="b.example", to_ids=True, category="Network activity")
    added = pymisp.add_attribute(given.uuid, new, pythonify=True)
    assert isinstance(added, MISPAttribute), added
    assert added.value == "b.example"
    assert pymisp.attribute_exists(added.uuid) is True
    node[0].tick()
    added.comment = "seen on Monday"
    changed = pymisp.update_attribute(added, pythonify=True)
    assert isinstance(changed, MISPAttribute), changed
    assert changed.comment == "seen on Monday"
    assert pymisp.get_attribute(added.uuid, pythonify=True).value == "b.example"
    node[0].tick()
    assert "errors" not in pymisp.delete_attribute(added.uuid)
    got = pymisp.get_event(given.uuid, pythonify=True)
    assert [each.value for each in got.attributes] == ["a.example"]


def test_objects_and_reports(node: tuple[House, str]) -> None:
    pymisp = client(node, "circl")
    given = made()
    pymisp.add_event(given)
    node[0].tick()
    new = MISPObject("domain-ip")
    new.add_attribute("domain", "c.example")
    new.add_attribute("ip", "192.0.2.7")
    added = pymisp.add_object(given.uuid, new, pythonify=True)
    assert isinstance(added, MISPObject), added
    assert {each.value for each in added.attributes} == {"c.example", "192.0.2.7"}
    node[0].tick()
    report = MISPEventReport()
    report.from_dict(name="What happened", content="text", distribution=5)
    told = pymisp.add_event_report(given.uuid, report, pythonify=True)
    assert isinstance(told, MISPEventReport), told
    got = pymisp.get_event(given.uuid, pythonify=True)
    assert [each.name for each in got.objects] == ["domain-ip"]
    assert [each.name for each in got.event_reports] == ["What happened"]
    node[0].tick()
    assert "errors" not in pymisp.delete_object(added.uuid)
    assert pymisp.get_event(given.uuid, pythonify=True).objects == []


def test_tags(node: tuple[House, str]) -> None:
    pymisp = client(node, "circl")
    given = made()
    pymisp.add_event(given)
    node[0].tick()
    assert "errors" not in pymisp.tag(given.uuid, "workflow:state")
    node[0].tick()
    assert "errors" not in pymisp.tag(given.attributes[0].uuid, "estimative:likely")
    got = pymisp.get_event(given.uuid, pythonify=True)
    assert {tag.name for tag in got.tags} == {"tlp:green", "workflow:state"}
    assert "estimative:likely" in {tag.name for tag in got.attributes[0].tags}
    assert {tag.name for tag in pymisp.tags(pythonify=True)} == {"tlp:green", "workflow:state"}
    assert [tag.name for tag in pymisp.search_tags("workflow:%", pythonify=True)] == ["workflow:state"]
    node[0].tick()
    assert "errors" not in pymisp.untag(given.uuid, "workflow:state")
    assert {tag.name for tag in pymisp.get_event(given.uuid, pythonify=True).tags} == {"tlp:green"}


def test_sightings(node: tuple[House, str]) -> None:
    house, _ = node
    pymisp, given = client(node, "circl"), event(plain("a.example"))
    assert Misp(house).push(given).status_code == 200
    seen = MISPSighting()
    seen.from_dict(type="0", source="sensor", timestamp=1795258860)
    added = pymisp.add_sighting(seen, given["Attribute"][0]["uuid"], pythonify=True)
    assert isinstance(added, MISPSighting), added
    house.tick()
    reader = client(node, "ccc")
    (found,) = reader.sightings(reader.get_event(given["uuid"], pythonify=True), pythonify=True)
    assert (found.source, found.attribute_uuid) == ("sensor", given["Attribute"][0]["uuid"])


def test_who_may_only_read(node: tuple[House, str]) -> None:
    answer = client(node, "ccc").add_event(made())
    assert answer["errors"][0] == 403
    assert "depot-commun" in answer["errors"][1]["message"]
