"""Client certificates: how a proxy passes one on, and what we keep of it.

An account is tied to a certificate by the SHA-256 of its DER form; the one who presents it has shown in the TLS
handshake that they hold its key. The chain is the proxy's to check, so a certificate that signs itself does.
"""

from __future__ import annotations

import base64
import re
import ssl
from urllib.parse import unquote

from exchange.model.certificate import Certificate, fingerprint, read

__all__ = ["UNREADABLE", "Certificate", "passed_on", "read"]

UNREADABLE = ""
"""Something was passed on, and it is no certificate."""
_LONGEST = 24 * 1024
_BYTES = re.compile(r":([A-Za-z0-9+/]+)={0,2}:")


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
            return fingerprint(ssl.PEM_cert_to_DER_cert(unquote(text)))
        found = _BYTES.fullmatch(text)
        if found is None:
            return UNREADABLE
        # A reader of byte sequences does not insist on padding (RFC 8941 section 4.2.7).
        return fingerprint(base64.b64decode(found[1] + "=" * (-len(found[1]) % 4), validate=True))
    except ValueError:  # no base64 (binascii.Error is one), no PEM
        return UNREADABLE
