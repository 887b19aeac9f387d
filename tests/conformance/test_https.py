"""Section 8.2.2 over a real socket, as far as no other test of the server's own TLS goes."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.serve import test_tls as tls


@pytest.fixture
def listening(tmp_path: Path) -> Iterator[tls.Node]:
    """A server process with TLS."""
    node = tls.Node(tmp_path)
    try:
        node.start()
        yield node
    finally:
        node.process.kill()
        node.process.communicate()


def test_nothing_is_sent_before_the_handshake_is_done(listening: tls.Node) -> None:
    """0-RTT must not be used: no session that a client may take up again allows early data."""
    trusted = str(listening.authority.certificate)
    command = [
        "openssl",
        "s_client",
        "-tls1_3",
        "-ign_eof",
        "-CAfile",
        trusted,
        "-connect",
        f"127.0.0.1:{listening.port}",
    ]
    request = b"GET /health HTTP/1.0\r\n\r\n"
    told = subprocess.run(command, input=request, capture_output=True, timeout=30, check=False).stdout.decode()
    assert "TLSv1.3" in told
    assert "200 OK" in told
    assert set(re.findall(r"Max Early Data: (\d+)", told)) <= {"0"}
