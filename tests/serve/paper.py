"""Certificates for tests: made of the few DER elements that a reader looks at, or real ones by the openssl command."""

from __future__ import annotations

import base64
import hashlib
import shutil
import ssl
import subprocess
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import quote

import pytest


def element(tag: int, content: bytes) -> bytes:
    """One DER element."""
    size = len(content)
    if size < 128:
        return bytes([tag, size]) + content
    length = size.to_bytes((size.bit_length() + 7) // 8, "big")
    return bytes([tag, 0x80 | len(length)]) + length + content


def time(moment: datetime) -> bytes:
    """A Time as RFC 5280 section 4.1.2.5 writes it: UTCTime until 2049, GeneralizedTime after."""
    text = moment.astimezone(UTC).strftime("%Y%m%d%H%M%SZ").zfill(15).encode()
    return element(0x17, text[2:]) if 1950 <= moment.year < 2050 else element(0x18, text)


@dataclass(frozen=True, kw_only=True)
class Paper:
    """A certificate in the forms in which it travels."""

    der: bytes

    @property
    def fingerprint(self) -> str:
        """SHA-256 of the DER form, in hexadecimal."""
        return hashlib.sha256(self.der).hexdigest()

    @property
    def pem(self) -> str:
        """As a partner sends it."""
        return ssl.DER_cert_to_PEM_cert(self.der)

    @property
    def header(self) -> str:
        """As a proxy passes it on (RFC 9440)."""
        return f":{base64.b64encode(self.der).decode()}:"

    @property
    def escaped(self) -> str:
        """As nginx writes `$ssl_client_escaped_cert`."""
        return quote(self.pem, safe="")


def paper(name: str, until: datetime, *, version: bool = True) -> Paper:
    """A certificate that ends at `until`; its keys and signature are no real ones, for nobody here looks at them."""
    algorithm = element(0x30, element(0x06, b"\x2a\x86\x48\xce\x3d\x04\x03\x02"))
    named = element(0x30, element(0x0C, name.encode()))
    tbs = (
        (element(0xA0, element(0x02, b"\x02")) if version else b"")
        + element(0x02, b"\x01" * 16)
        + algorithm
        + named
        + element(0x30, time(datetime(2020, 1, 1, tzinfo=UTC)) + time(until))
        + named
        + element(0x30, b"\x00" * 91)
    )
    return Paper(der=element(0x30, element(0x30, tbs) + algorithm + element(0x03, b"\x00" * 72)))


class Authority:
    """A certificate authority in a folder, by the openssl command; the test is skipped where there is none."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._command = shutil.which("openssl")
        if self._command is None:
            pytest.skip("the openssl command is not installed: no real certificate can be made")
        self.certificate = folder / "ca.crt"
        self._openssl(*f"req -x509 {_NEW} -keyout ca.key -out ca.crt -days 30 -subj /CN=authority".split())

    def issue(self, name: str, *, days: int = 30, names: str = "DNS:localhost,IP:127.0.0.1") -> tuple[Path, Path]:
        """A certificate for this machine's loopback (or other `names`), as server and as client, and its key."""
        extensions = self.folder / f"{name}.ext"
        extensions.write_text(f"basicConstraints=CA:FALSE\nsubjectAltName={names}\n")
        self._openssl(*f"req {_NEW} -keyout {name}.key -out {name}.csr -subj /CN={name}".split())
        self._openssl(
            *f"x509 -req -in {name}.csr -CA ca.crt -CAkey ca.key -CAcreateserial".split(),
            *f"-out {name}.crt -days {days} -extfile {name}.ext".split(),
        )
        return self.folder / f"{name}.crt", self.folder / f"{name}.key"

    def end_of(self, certificate: Path) -> datetime:
        """`notAfter` as openssl reads it."""
        told = self._openssl("x509", "-in", str(certificate), "-noout", "-enddate")
        return datetime.strptime(told.strip(), "notAfter=%b %d %H:%M:%S %Y GMT").replace(tzinfo=UTC)

    def _openssl(self, *words: str) -> str:
        done = subprocess.run(
            [str(self._command), *words], cwd=self.folder, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr
        return done.stdout


_NEW = "-newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes"
