"""Granian under the WSGI application: N worker processes on one socket, stopped as a whole within ten seconds."""

from __future__ import annotations

import ctypes
import gc
import os
import signal
import socket
import ssl
import threading
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from granian import Granian
from granian.constants import HTTPModes, Interfaces, SSLProtocols
from granian.log import LogLevels

from exchange.errors import ConfigError, Problem

THREADS = 4
"""Requests at work in one worker: fewer than the store's pool has connections, so none waits for one."""
CONNECTIONS = 2048
"""Open connections of one worker; idle ones cost nothing, and 800 subscribers may keep theirs."""
GRACE = 8
"""Seconds that a worker has to finish what it answers after SIGTERM."""
_PROBE = 0.05
_PR_SET_PDEATHSIG = 1
_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD, _M_ARENA_MAX = -1, -3, -8
# Granian's own lines go to standard error like ours, errors only (its warnings advise on
# the number of threads); it keeps no access log.
_LOGGERS: dict[str, Any] = {
    "handlers": {"console": {"class": "logging.StreamHandler", "formatter": "generic", "stream": "ext://sys.stderr"}},
    "loggers": {"_granian": {"handlers": ["console"], "level": "ERROR", "propagate": False}},
}


def run(
    factory_path: str,
    *,
    host: str,
    port: int,
    workers: int = 1,
    tls_cert: Path | None = None,
    tls_key: Path | None = None,
    tls_client_ca: Path | None = None,
    started: Callable[[], None] | None = None,
) -> None:
    """Serve until SIGTERM or SIGINT; every worker calls the factory `module:function` once to get its application.

    With `tls_client_ca` only clients with a certificate of these authorities are let in. It is a gate and no login:
    Granian does not tell the application who stands behind it.

    `started` is called, from a thread of its own, when a connection is taken for the first time. Returns after a stop
    in order; raises ConfigError when the TLS files cannot be used, SystemExit when a worker died on its own and did
    not come back.
    """
    _try_tls(tls_cert, tls_key, tls_client_ca)
    server = _Server(
        factory_path,
        address=host,
        port=port,
        interface=Interfaces.WSGI,
        http=HTTPModes.auto,
        websockets=False,
        workers=workers,
        blocking_threads=THREADS,
        backlog=1024,
        backpressure=CONNECTIONS,
        workers_kill_timeout=GRACE,
        respawn_failed_workers=True,
        factory=True,
        log_level=LogLevels.error,
        log_dictconfig=_LOGGERS,
        log_access=False,
        ssl_cert=tls_cert,
        ssl_key=tls_key,
        ssl_protocol_min=SSLProtocols.tls12,
        ssl_ca=tls_client_ca,
        ssl_client_verify=tls_client_ca is not None,
    )
    if started is not None:
        server.announcer = threading.Thread(target=_announce, args=(host, port, started), daemon=True)
    server.serve(target_loader=partial(_load, factory_path, os.getpid()), wrap_loader=False)


class _Server(Granian):  # type: ignore[misc, valid-type]
    """Granian, with a thread that starts when its workers are made.

    They are forked. A thread that ran at that moment might hold a lock (of a module that it imports, say), and in the
    worker nobody would ever release it. Granian's own hook comes too early for that.
    """

    announcer: threading.Thread | None = None

    def startup(self, *arguments: Any) -> None:
        """Make the workers, then start the thread."""
        super().startup(*arguments)
        if self.announcer is not None:
            self.announcer.start()


def _try_tls(cert: Path | None, key: Path | None, client_ca: Path | None) -> None:
    """Read the TLS files as a worker will, so that a mistake in them is told here and in words."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    try:
        setting, path = "serve.tls_cert", cert
        if cert is not None:
            context.load_cert_chain(cert, key)
        setting, path = "serve.tls_client_ca", client_ca
        if client_ca is not None:
            context.load_verify_locations(client_ca)
    except OSError as error:  # ssl.SSLError is one
        fields = {"path": str(path), "reason": error.strerror or str(error)}
        wrong = Problem(file="exchange.toml", key=setting, code="config.tls_unusable", fields=fields)
        raise ConfigError((wrong,)) from error


def _announce(host: str, port: int, started: Callable[[], None]) -> None:
    """Call `started` when the first worker takes connections: each has a socket of its own, and makes it itself."""
    while True:
        try:
            # Connecting to the address that means *any* reaches this machine.
            socket.create_connection((host, port), timeout=1.0).close()
        except OSError:
            threading.Event().wait(_PROBE)
        else:
            started()
            return


def _spare_memory() -> None:
    """Let what a page or an envelope took go back to the system at once (mallopt(3)).

    Left to itself the C library keeps the largest of them for each thread. Where it is another one, nothing happens.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        for option, value in ((_M_ARENA_MAX, 2), (_M_MMAP_THRESHOLD, 8 << 20), (_M_TRIM_THRESHOLD, 16 << 20)):
            mallopt(option, value)


def _load(factory_path: str, parent: int) -> Any:
    """In a worker: die with the parent even when that is killed outright (prctl(2)), then make the application."""
    # Until Granian sets its own, a forked worker has the parent's handlers, which would swallow a signal to stop.
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        raise SystemExit(0)  # it was killed before we asked
    _spare_memory()
    module, _, name = factory_path.partition(":")
    application = getattr(__import__(module, fromlist=[name]), name)()
    _settle_down()
    return application


def _settle_down() -> None:
    """Let the search for cycles pass over what stays for good, and come less often.

    To look through a hundred thousand modules' parts again takes 50 ms, in which every request waits; an envelope of
    a thousand objects is enough to bring it about.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(5_000, 20, 20)
