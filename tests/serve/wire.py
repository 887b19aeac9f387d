"""A MISP as it knocks at our door: its headers, its packing, its addresses; and the events that it sends."""

from __future__ import annotations

import gzip
import json
import uuid
from dataclasses import replace
from typing import Any

from falcon.testing import Result

from exchange.model.marking import Tlp
from exchange.model.party import Receive, Send, Terms
from exchange.store import Store
from tests.serve.house import House, house_terms
from tests.world import OPEN_WRITE, agreement

CERT1 = "11111111-aaaa-4aaa-8aaa-aaaaaaaaaaa1"
"""The organisation of circl's MISP, as in the recordings."""
CERT2 = "22222222-aaaa-4aaa-8aaa-aaaaaaaaaaa2"
BASE = "/misp/depot-commun"
EVENT = "5c4e0000-0000-4000-8000-00000000a001"
STAMP = 1795258800
"""An hour before the clock of the World."""


def misp_terms(**more: Any) -> Terms:
    """circl writes to `depot-commun` what CERT1 created, ccc reads it; both may have everything up to AMBER."""
    take, give = (
        Receive(ceiling=Tlp.AMBER, unmarked=Tlp.GREEN),
        Send(ceiling=Tlp.AMBER, onward=True, personal="allowed"),
    )
    given = house_terms(agreements=[agreement("x", "circl", "ccc", "cert-ee", receive=take, send=give)], **more)
    peers = dict(given.peers)
    peers["circl"] = replace(peers["circl"], identities=frozenset({f"identity--{CERT1}"}))
    return replace(given, peers=peers)


class Misp:
    """The MISP of `who`, with our node entered under Sync Actions > Servers as `base`."""

    def __init__(self, house: House, who: str = "circl", base: str = BASE) -> None:
        self.house, self.who, self.base = house, who, base

    def ask(self, method: str, path: str, body: Any = None, *, pack: bool = False, **headers: str) -> Result:
        """One request with MISP's own headers. `pack`: the body by gzip, as MISP does past a kilobyte."""
        sent = {
            "Authorization": self.house.secrets[self.who],
            "Accept": "application/json",
            "Content-Type": "application/json",
            "User-Agent": "MISP 2.5.1",
        }
        data = b"" if body is None else body if isinstance(body, bytes) else json.dumps(body).encode()
        if pack:
            data, sent["Content-Encoding"] = gzip.compress(data), "gzip"
        sent |= {name.replace("_", "-"): value for name, value in headers.items()}
        return self.house.client.simulate_request(method, self.base + path, body=data, headers=sent)

    def get(self, path: str, **headers: str) -> Result:
        return self.ask("GET", path, **headers)

    def head(self, path: str) -> int:
        return self.ask("HEAD", path).status_code

    def post(self, path: str, body: Any, **more: Any) -> Result:
        return self.ask("POST", path, body, **more)

    def push(self, event: dict[str, Any]) -> Result:
        """As MISP pushes: HEAD, then add or edit."""
        known = self.head(f"/events/view/{event['uuid']}") == 200
        path = f"/events/edit/{event['uuid']}/metadata:1" if known else "/events/add/metadata:1"
        return self.post(path, {"Event": event}, pack=True)


def house_of(store: Store, given: Terms | None = None, **values: Any) -> House:
    """A node with MISP's terms."""
    return House(store, given or misp_terms(), **values)


def attribute(value: str, number: int = 1, **more: Any) -> dict[str, Any]:
    """A domain, unless something else is said."""
    return {
        "type": "domain", "category": "Network activity", "to_ids": True,
        "uuid": str(uuid.UUID(int=uuid.UUID(EVENT).int + number)), "distribution": "5", "timestamp": str(STAMP),
        "comment": "", "sharing_group_id": "0", "deleted": False, "disable_correlation": False, "object_relation": None,
        "first_seen": None, "last_seen": None, "value": value, "Galaxy": [], "ShadowAttribute": [], **more,
    }  # fmt: skip


def event(*attributes: dict[str, Any], stamp: int = STAMP, **more: Any) -> dict[str, Any]:
    """An event of CERT1 for all communities, TLP:GREEN."""
    return {
        "id": "4", "date": "2026-11-21", "threat_level_id": "2", "info": "E1", "published": True, "uuid": EVENT,
        "attribute_count": str(len(attributes)), "analysis": "1", "timestamp": str(stamp), "distribution": "3",
        "locked": 1, "publish_timestamp": str(stamp), "sharing_group_id": "0", "extends_uuid": "", "protected": None,
        "Attribute": list(attributes), "Object": [], "Orgc": {"id": "1", "name": "CERT1", "uuid": CERT1},
        "Tag": [{"id": "6", "name": "tlp:green", "colour": "#fa4c22", "exportable": True, "local": False}], **more,
    }  # fmt: skip


def refused(answer: Result, status: int) -> dict[str, Any]:
    """MISP's error body, which every refusal at its addresses is."""
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/json"
    body: dict[str, Any] = answer.json
    assert {"name", "message", "url"} <= body.keys()
    return body


__all__ = ["BASE", "CERT1", "CERT2", "EVENT", "OPEN_WRITE", "STAMP", "Misp", "attribute", "event", "house_of"]
