"""The server's own TLS, over real sockets with certificates made here: its versions, and the gate for clients."""

from __future__ import annotations

import os
import signal
import socket
import ssl
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests

from exchange.errors import ConfigError
from exchange.i18n import LANGUAGES, text
from exchange.serve import server
from exchange.store import open_store
from tests.serve.house import TAXII, House
from tests.serve.paper import Authority
from tests.serve.test_server import FACTORY, ROOT

OBJECTS = "/api/collections/partenaires/objects/"


class Node:
    """A server process with TLS, and the authority that its certificate comes from."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.authority = folder, Authority(folder)
        self.cert, self.key = self.authority.issue("server")
        url = f"sqlite:///{folder}/exchange.db"
        store = open_store(url)
        self.secret = House(store).secrets["circl"]
        store.close()
        (folder / "made.py").write_text(FACTORY)
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        self._environment = os.environ | {"TEST_STORE": url, "PYTHONPATH": f"{folder}:{ROOT}"}
        self.process: Any = None

    def start(self, **more: Path) -> None:
        """Run it, and return when it takes connections."""
        files = {"tls_cert": self.cert, "tls_key": self.key} | more
        given = ", ".join(f"{name}=Path({str(path)!r})" for name, path in files.items())
        code = (
            "from pathlib import Path; from exchange.serve import server; "
            f"server.run('made:factory', host='127.0.0.1', port={self.port}, {given}, "
            "started=lambda: print('up', flush=True))"
        )
        self.process = subprocess.Popen(
            [sys.executable, "-c", code], env=self._environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE
        )
        assert self.process.stdout.readline() == b"up\n"

    def get(self, path: str, **more: Any) -> requests.Response:
        """A GET with this node's authority trusted and no other."""
        with requests.Session() as session:
            session.trust_env = False
            headers = more.pop("headers", {})
            url = f"https://127.0.0.1:{self.port}{path}"
            return session.get(url, headers=headers, verify=str(self.authority.certificate), timeout=10, **more)

    def version(self, minimum: ssl.TLSVersion, maximum: ssl.TLSVersion, ciphers: str = "DEFAULT") -> str | None:
        """The TLS version that is agreed on between these. Raises OSError when there is none."""
        context = ssl.create_default_context(cafile=self.authority.certificate)
        context.set_ciphers(ciphers)
        context.minimum_version, context.maximum_version = minimum, maximum
        with (
            socket.create_connection(("127.0.0.1", self.port), timeout=10) as plain,
            context.wrap_socket(plain, server_hostname="localhost") as wrapped,
        ):
            return wrapped.version()

    def stop(self) -> bytes:
        """End it as systemd does; what it wrote to standard error."""
        self.process.send_signal(signal.SIGTERM)
        noise: bytes = self.process.communicate(timeout=15)[1]
        assert self.process.returncode == 0
        return noise


@pytest.fixture
def node(tmp_path: Path) -> Iterator[Node]:
    made = Node(tmp_path)
    yield made
    if made.process is not None:
        made.process.kill()
        made.process.communicate()


def test_tls_1_2_and_1_3_and_nothing_older(node: Node) -> None:
    """It answers, says that it is https, and speaks TLS 1.2 and 1.3."""
    node.start()
    answer = node.get("/taxii2/", headers={"Authorization": f"Bearer {node.secret}"})
    assert answer.headers["Content-Type"] == TAXII
    assert answer.json()["default"] == f"https://127.0.0.1:{node.port}/api/"
    assert node.version(ssl.TLSVersion.TLSv1_3, ssl.TLSVersion.TLSv1_3) == "TLSv1.3"
    assert node.version(ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_2) == "TLSv1.2"
    for weak in ("ECDHE-ECDSA-AES128-SHA256", "AES128-GCM-SHA256", "ECDHE-ECDSA-AES128-SHA"):
        with pytest.raises(OSError):  # no CBC, no exchange without forward secrecy
            node.version(ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_2, weak)
    with pytest.warns(DeprecationWarning), pytest.raises(OSError):
        node.version(ssl.TLSVersion.TLSv1, ssl.TLSVersion.TLSv1_1)
    assert node.stop() == b""


def test_the_gate_for_clients(node: Node) -> None:
    """Without a certificate of the authority named nobody gets in; with one, the account's secret is still asked for.

    Granian does not name the certificate to the application, so what a client itself says in `Client-Cert` is nothing.
    """
    cert, key = node.authority.issue("client")
    (node.folder / "elsewhere").mkdir()
    strangers = Authority(node.folder / "elsewhere").issue("stranger")
    node.start(tls_client_ca=node.authority.certificate)
    for shown in (None, tuple(map(str, strangers))):
        with pytest.raises(requests.ConnectionError):
            node.get("/health", cert=shown)
    mine = (str(cert), str(key))
    assert node.get("/health", cert=mine).json() == {"status": "ok"}
    assert node.get(OBJECTS, cert=mine).status_code == 401
    assert node.get(OBJECTS, cert=mine, headers={"Client-Cert": ":AAAA:"}).json()["error_code"] == "request.no_account"
    assert node.get(OBJECTS, cert=mine, headers={"Authorization": f"Bearer {node.secret}"}).status_code == 200


@pytest.mark.parametrize(
    ("given", "key"),
    [
        ({"tls_cert": "none.crt", "tls_key": "server.key"}, "serve.tls_cert"),
        ({"tls_cert": "server.crt", "tls_key": "ca.key"}, "serve.tls_cert"),
        ({"tls_cert": "server.crt", "tls_key": "server.key", "tls_client_ca": "none.crt"}, "serve.tls_client_ca"),
        ({"tls_cert": "server.crt", "tls_key": "server.key", "tls_client_ca": "server.key"}, "serve.tls_client_ca"),
    ],
)
def test_files_that_cannot_be_used(tmp_path: Path, given: dict[str, str], key: str) -> None:
    """Told before anything listens, by file, key and fix."""
    Authority(tmp_path).issue("server")
    files: dict[str, Any] = {name: tmp_path / file for name, file in given.items()}
    with pytest.raises(ConfigError) as caught:
        server.run("made:factory", host="127.0.0.1", port=1, **files)
    (problem,) = caught.value.problems
    assert (problem.file, problem.key) == ("exchange.toml", key)
    for language in LANGUAGES:
        assert str(files[key.removeprefix("serve.")]) in text(problem.code, language, **problem.fields)
