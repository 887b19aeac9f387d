"""What every server is given: synthetic STIX 2.1 indicators, a pure function of seed and index, mean 1,111 bytes.

Ids are unique and look random, so that indexes see what they see in life; the index can be read back out of an id,
so a reading of a million objects is checked with a bit for each.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import orjson
from lab.samples.markings import GREEN

KINDS = 8
_MASK = (1 << 48) - 1
_MIX = 0x9E3779B97F4B  # odd, so multiplying by it is a permutation of 48 bits
_UNMIX = pow(_MIX, -1, 1 << 48)
_WORDS = (
    "beacon", "loader", "phishing", "dropper", "harvester", "scanner", "proxy", "redirector",
    "staging", "exfiltration", "resolver", "panel", "kit", "relay", "implant", "crawler",
)  # fmt: skip
_PROSE = (
    "Seen by the sensors of the partner network; the infrastructure answered on more than one port and served the "
    "certificate of earlier members of the cluster. Block at the perimeter and look for the value in proxy, resolver "
    "and mail logs. "
)
Object = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Content:
    """The objects that belong to one seed."""

    seed: int = 1

    def body(self, index: int) -> bytes:
        """The object as JSON."""
        return orjson.dumps(self.object(index))

    def object(self, index: int) -> Object:
        """Indicator number `index`."""
        drawn = hashlib.sha256(f"{self.seed}/{index}".encode()).digest()
        word = _WORDS[drawn[0] % len(_WORDS)]
        day, hour, minute = 1 + drawn[1] % 28, drawn[2] % 24, drawn[3] % 60
        when = f"2026-{1 + drawn[4] % 9:02d}-{day:02d}T{hour:02d}:{minute:02d}:{drawn[5] % 60:02d}.{index % 1000:03d}Z"
        return {
            "type": "indicator",
            "spec_version": "2.1",
            "id": self.id(index, drawn),
            "created_by_ref": "identity--8f3c1d52-6a7e-4b19-9c84-2d05e7f1a6b3",
            "created": when,
            "modified": when,
            "name": f"{word} {drawn[6:12].hex()} of cluster {drawn[12] % 40}",
            "description": _PROSE + f"Reference {drawn[13:21].hex()}.",
            "indicator_types": ["malicious-activity", "anomalous-activity"],
            "pattern": _pattern(drawn),
            "pattern_type": "stix",
            "pattern_version": "2.1",
            "valid_from": when,
            "confidence": drawn[22] % 101,
            "labels": [word, f"cluster-{drawn[12] % 40}", f"wave-{drawn[23] % 12}"],
            "kill_chain_phases": [{"kill_chain_name": "lockheed-martin-cyber-kill-chain", "phase_name": "delivery"}],
            "external_references": [
                {"source_name": "case", "external_id": f"C-{drawn[24:28].hex()}"},
            ],
            "object_marking_refs": [GREEN],
        }

    def id(self, index: int, drawn: bytes = b"") -> str:
        """The id of indicator number `index`, in the form of a UUIDv4."""
        hexes = (drawn or hashlib.sha256(f"{self.seed}/{index}".encode()).digest())[-8:].hex()
        return f"indicator--{hexes[:8]}-{hexes[8:12]}-4{hexes[13:16]}-8{hexes[10:13]}-{index * _MIX & _MASK:012x}"

    def envelope(self, indexes: Iterable[int]) -> bytes:
        """An envelope with these objects."""
        return b'{"objects":[' + b",".join(map(self.body, indexes)) + b"]}"


def index_of(stix_id: str) -> int:
    """The index from which this id was made."""
    return int(stix_id[-12:], 16) * _UNMIX & _MASK


def _pattern(drawn: bytes) -> str:
    """One of eight kinds, with a value that no other index has but by chance."""
    host, host6 = ".".join(map(str, drawn[14:18])), ":".join(drawn[at : at + 2].hex() for at in range(8, 16, 2))
    name = f"{drawn[8:14].hex()}.example"
    return (
        f"[ipv4-addr:value = '{host}']",
        f"[ipv6-addr:value = '2001:db8:{host6}::1']",
        f"[domain-name:value = '{name}']",
        f"[url:value = 'https://{name}/gate.php?id={drawn[18:20].hex()}']",
        f"[file:hashes.'SHA-256' = '{drawn.hex()}']",
        f"[file:hashes.MD5 = '{drawn[:16].hex()}' AND file:name = '{drawn[20:22].hex()}.exe']",
        f"[email-message:sender_ref.value = 'billing@{name}' AND email-message:subject LIKE 'Invoice%']",
        f"[network-traffic:dst_ref.value = '{host}'] FOLLOWEDBY [domain-name:value = '{name}'] WITHIN 300 SECONDS",
    )[drawn[7] % KINDS]
