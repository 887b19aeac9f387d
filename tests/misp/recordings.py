"""The recordings of MISP on the wire: one exchange after the other, and what they show of the two servers' events."""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import pytest

WIRE = Path(__file__).parents[3] / "shared" / "data" / "misp-wire"
present = pytest.mark.skipif(not WIRE.exists(), reason="the recordings are not on this machine")

CERT1 = {"uuid": "11111111-aaaa-4aaa-8aaa-aaaaaaaaaaa1", "name": "CERT1"}
CERT2 = {"uuid": "22222222-aaaa-4aaa-8aaa-aaaaaaaaaaa2", "name": "CERT2"}
MISP1, MISP2 = "11111111-0000-4000-8000-000000000001", "22222222-0000-4000-8000-000000000002"


@dataclass(frozen=True, slots=True)
class Exchange:
    """One request and its answer; `number` is its place in the file."""

    file: str
    number: int
    method: str
    path: str
    request_headers: Mapping[str, str]
    request: bytes
    status: int
    headers: Mapping[str, str]
    body: str

    @property
    def asked(self) -> Any:
        """The JSON of the request; None without one."""
        return json.loads(self.request) if self.request else None

    @property
    def said(self) -> Any:
        """The JSON of the answer; None without one."""
        return json.loads(self.body) if self.body else None

    def wire(self) -> bytes:
        """The body of the request as it travelled."""
        zipped = self.request_headers.get("Content-Encoding") == "gzip"
        return gzip.compress(self.request, 1) if zipped else self.request


@cache
def recording(name: str) -> tuple[Exchange, ...]:
    """All exchanges of `name`.jsonl."""
    return tuple(_exchanges(name))


def _exchanges(name: str) -> Iterator[Exchange]:
    for number, line in enumerate((WIRE / f"{name}.jsonl").read_text().splitlines()):
        row = json.loads(line)
        yield Exchange(
            file=name,
            number=number,
            method=row["method"],
            path=row["path"],
            request_headers=row["request_headers"],
            request=(row.get("request_body") or "").encode(),
            status=row["status"],
            headers=row.get("response_headers") or {},
            body=row.get("response_body") or "",
        )


def viewed(exchange: Exchange) -> dict[str, Any]:
    """The event that an answer (or the body of a push) holds."""
    found: dict[str, Any] = (exchange.said if exchange.method == "GET" else exchange.asked)["Event"]
    return found
