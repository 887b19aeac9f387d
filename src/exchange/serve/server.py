"""Granian under the WSGI application: N worker processes on one socket, stopped as a whole within ten seconds."""

from __future__ import annotations

import ctypes
import os
import signal
import socket
import threading
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from granian import Granian
from granian.constants import HTTPModes, Interfaces
from granian.log import LogLevels

THREADS = 8
"""Requests at work in one worker: fewer than the store's pool has connections, so none waits for one."""
CONNECTIONS = 2048
"""Open connections of one worker; idle ones cost nothing, and 800 subscribers may keep theirs."""
GRACE = 8
"""Seconds that a worker has to finish what it answers after SIGTERM."""
_PROBE = 0.05
_PR_SET_PDEATHSIG = 1
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
    started: Callable[[], None] | None = None,
) -> None:
    """Serve until SIGTERM or SIGINT; every worker calls the factory `module:function` once to get its application.

    `started` is called, from a thread of its own, when a connection is taken for the first time. Returns after a stop
    in order; raises SystemExit when a worker died on its own and did not come back.
    """
    server = Granian(
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
    )
    if started is not None:
        announcer = threading.Thread(target=_announce, args=(host, port, started), daemon=True)
        server.on_startup(announcer.start)
    server.serve(target_loader=partial(_load, factory_path, os.getpid()), wrap_loader=False)


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


def _load(factory_path: str, parent: int) -> Any:
    """In a worker: die with the parent even when that is killed outright (prctl(2)), then make the application."""
    # Until Granian sets its own, a forked worker has the parent's handlers, which would swallow a signal to stop.
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        raise SystemExit(0)  # it was killed before we asked
    module, _, name = factory_path.partition(":")
    return getattr(__import__(module, fromlist=[name]), name)()
