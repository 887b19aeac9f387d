"""Client certificates: how a proxy passes one on, and what we keep of it.

An account is tied to a certificate by the SHA-256 of its DER form; the one who presents it has shown in the TLS
handshake that they hold its key. The chain is the proxy's to check, so a certificate that signs itself does.
"""

from __future__ import annotations

import base64
import hashlib
import re
import ssl
from dataclasses import dataclass
from datetime import UTC, datetime
from urllib.parse import unquote

UNREADABLE = ""
"""Something was passed on, and it is no certificate."""
_LONGEST = 24 * 1024
_BYTES = re.compile(r":([A-Za-z0-9+/]+)={0,2}:")
_PEM = re.compile("-----BEGIN CERTIFICATE-----.+?-----END CERTIFICATE-----", re.DOTALL)
_SEQUENCE, _VERSION, _UTC_TIME, _GENERALIZED_TIME = 0x30, 0xA0, 0x17, 0x18
_TIME = re.compile(r"[0-9]{14}Z")
_LONG_LENGTHS = range(0x81, 0x84)


@dataclass(frozen=True, slots=True, kw_only=True)
class Certificate:
    """What is kept of a client certificate."""

    fingerprint: str
    """SHA-256 of the DER form, in hexadecimal."""
    not_after: datetime


def passed_on(header: str) -> str | None:
    """The fingerprint of the certificate in a `Client-Cert` header; None: it holds none, UNREADABLE: it is broken.

    RFC 9440 section 2.2 writes a byte sequence, `:base64:`. nginx has no base64 and passes the PEM form on,
    percent-encoded (`$ssl_client_escaped_cert`).
    """
    text = header.strip()
    if text in ("", "::"):
        return None
    try:
        if len(text) > _LONGEST:
            return UNREADABLE
        if text.startswith("-----BEGIN"):
            return _fingerprint(ssl.PEM_cert_to_DER_cert(unquote(text)))
        found = _BYTES.fullmatch(text)
        if found is None:
            return UNREADABLE
        # A reader of byte sequences does not insist on padding (RFC 8941 section 4.2.7).
        return _fingerprint(base64.b64decode(found[1] + "=" * (-len(found[1]) % 4), validate=True))
    except ValueError:  # no base64 (binascii.Error is one), no PEM
        return UNREADABLE


def read(pem: str) -> Certificate:
    """The first certificate of a file in PEM form, such as a chain. Raises ValueError: there is none, or it is broken.

    A private key in the same file is not looked at.
    """
    found = _PEM.search(pem)
    if found is None:
        raise ValueError("no certificate in PEM form")
    der = ssl.PEM_cert_to_DER_cert(found[0])
    return Certificate(fingerprint=_fingerprint(der), not_after=_not_after(der))


def _fingerprint(der: bytes) -> str:
    return hashlib.sha256(der).hexdigest()


def _not_after(der: bytes) -> datetime:
    """`notAfter` (RFC 5280 section 4.1): Certificate > TBSCertificate > Validity, the second of its two times."""
    _, at, end = _element(der, 0, _SEQUENCE)
    if end != len(der):
        raise ValueError("bytes behind the certificate")
    _, at, _ = _element(der, at, _SEQUENCE)
    tag, _, end = _element(der, at)
    for _field in range(4 if tag == _VERSION else 3):  # version (absent in version 1), serial, algorithm, issuer
        _, _, end = _element(der, at)
        at = end
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
