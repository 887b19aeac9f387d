"""X.509 certificates: what of them is looked at, read from their DER form (RFC 5280 section 4.1)."""

from __future__ import annotations

import base64
import hashlib
import re
from dataclasses import dataclass
from datetime import UTC, datetime

_PEM = re.compile("-----BEGIN CERTIFICATE-----(.+?)-----END CERTIFICATE-----", re.DOTALL)
_SEQUENCE, _SET, _VERSION, _UTC_TIME, _GENERALIZED_TIME = 0x30, 0x31, 0xA0, 0x17, 0x18
_TIME = re.compile(r"[0-9]{14}Z")
_LONG_LENGTHS = range(0x81, 0x84)
_LONGEST_NAME = 400
# Object identifiers in DER form → their names in text (RFC 4514 section 3).
_ATTRIBUTES = {
    b"\x55\x04\x03": "CN",
    b"\x55\x04\x06": "C",
    b"\x55\x04\x07": "L",
    b"\x55\x04\x08": "ST",
    b"\x55\x04\x0a": "O",
    b"\x55\x04\x0b": "OU",
}
_WIDE = {0x1E: "utf-16-be", 0x1C: "utf-32-be"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Certificate:
    """What is kept of a certificate."""

    fingerprint: str
    """SHA-256 of the DER form, in hexadecimal."""
    subject: str
    """`CN=…, O=…`; attributes without a short name are left out."""
    issuer: str
    not_after: datetime


def read(pem: str) -> Certificate:
    """The first certificate of a file in PEM form, such as a chain. Raises ValueError: there is none, or it is broken.

    A private key in the same file is not looked at.
    """
    found = _PEM.search(pem)
    if found is None:
        raise ValueError("no certificate in PEM form")
    return of_der(base64.b64decode("".join(found[1].split()), validate=True))


def fingerprint(der: bytes) -> str:
    """SHA-256 of a certificate, in hexadecimal."""
    return hashlib.sha256(der).hexdigest()


def of_der(der: bytes) -> Certificate:
    """The certificate in DER form; raises ValueError when it is broken.

    Certificate > TBSCertificate > version, serial, algorithm, issuer, validity, subject.
    """
    _, at, end = _element(der, 0, _SEQUENCE)
    if end != len(der):
        raise ValueError("bytes behind the certificate")
    _, at, _ = _element(der, at, _SEQUENCE)
    tag, _, end = _element(der, at)
    for _field in range(3 if tag == _VERSION else 2):  # version (absent in version 1), serial, algorithm
        _, _, end = _element(der, at)
        at = end
    _, _, validity = _element(der, at, _SEQUENCE)
    issuer = _name(der, at)
    _, _, subject = _element(der, validity, _SEQUENCE)
    return Certificate(
        fingerprint=fingerprint(der), subject=_name(der, subject), issuer=issuer, not_after=_not_after(der, validity)
    )


def _not_after(der: bytes, at: int) -> datetime:
    """`notAfter`: the second time of the Validity at `at`."""
    _, at, _ = _element(der, at, _SEQUENCE)
    _, _, at = _element(der, at)
    tag, start, end = _element(der, at)
    text = der[start:end].decode("ascii")
    if tag == _UTC_TIME:
        # Two digits of a year: 50 to 99 are in the twentieth century (RFC 5280 section 4.1.2.5.1).
        text = ("19" if text >= "50" else "20") + text
    if tag not in (_UTC_TIME, _GENERALIZED_TIME) or not _TIME.fullmatch(text):
        raise ValueError("no date of its end")
    return datetime.strptime(text, "%Y%m%d%H%M%SZ").replace(tzinfo=UTC)


def _name(der: bytes, at: int) -> str:
    """A Name as text, in the order in which it stands: a sequence of sets of (attribute, value).

    It is for people only, so what is no such thing is left out.
    """
    _, at, stop = _element(der, at, _SEQUENCE)
    said = []
    while at < stop:
        try:
            _, pair, at = _element(der, at, _SET)
            _, kind, _ = _element(der, pair, _SEQUENCE)
            _, start, end = _element(der, kind)
            attribute = _ATTRIBUTES.get(der[start:end])
            tag, start, end = _element(der, end)
        except ValueError:
            break
        text = der[start:end].decode(_WIDE.get(tag, "utf-8"), "replace")
        if attribute:
            said.append(f"{attribute}={''.join(sign if sign.isprintable() else '�' for sign in text)}")
    return ", ".join(said)[:_LONGEST_NAME]


def _element(der: bytes, at: int, wanted: int | None = None) -> tuple[int, int, int]:
    """The DER element at `at`: its tag, and where its content starts and ends. Raises ValueError past the end."""
    head = der[at : at + 5]
    if len(head) < 2 or (wanted is not None and head[0] != wanted):
        raise ValueError("no DER form of a certificate")
    size, start = head[1], at + 2
    if size in _LONG_LENGTHS:
        start += size - 0x80
        size = int.from_bytes(head[2 : start - at], "big")
    elif size >= 0x80:
        raise ValueError("no length that DER allows here")
    if start + size > len(der):
        raise ValueError("the certificate is cut off")
    return head[0], start, start + size
