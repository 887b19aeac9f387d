"""The only wiring: builds the rooms from the settings, starts them, stops them, tells systemd, minds the signals.

`exchange run` is a supervisor of two processes that share nothing but the store: `--only sync` (scheduler, clients,
peers' secrets, listens on nothing) and `--only serve` (HTTP, knows no peer's secret).
"""

from __future__ import annotations

import ctypes
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import structlog

from exchange import config, i18n, log
from exchange.config import Settings, applied
from exchange.errors import ConfigError, ExchangeError, StoreError, meaning
from exchange.following import Following, tell
from exchange.model.envelope import PeerClient
from exchange.model.party import Peer, SourceKind
from exchange.policy import Rules
from exchange.reminder import Reminder
from exchange.store import PATIENCE, Store, open_store, ready

if TYPE_CHECKING:
    from exchange.serve import Site
    from exchange.sync.line import Line

logger = structlog.get_logger()

Part = Literal["sync", "serve"]
FOLDER = "EXCHANGE_CONFIG"
LOG_FORM = "EXCHANGE_LOG"
GRACE = 8.0
"""Seconds that a part has to finish after SIGTERM; the whole exits within ten."""
_FASTEST, _SLOWEST = 0.5, 30.0
_SIGN = 5.0
"""Seconds between two signs of life to systemd."""
_PR_SET_PDEATHSIG = 1


def clock() -> datetime:
    """The time of day, UTC; everything below is given it."""
    return datetime.now(UTC)


def notify(state: str) -> None:
    """Tell systemd (sd_notify(3)); nothing happens outside of it."""
    address = os.environ.get("NOTIFY_SOCKET", "")
    if address:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as channel:
            channel.sendto(state.encode(), "\0" + address[1:] if address.startswith("@") else address)


def clients(peer: Peer, kind: SourceKind, line: Line) -> PeerClient:
    """A client for `peer`; its secrets are read now, by this process alone."""
    from exchange.peers import client_for

    return client_for(
        peer, kind, config.credentials(peer), clock=clock, wait=line.wait, spend=line.spend, handshake=line.handshake
    )


def _until_signalled() -> threading.Event:
    """An event that SIGTERM and SIGINT set."""
    done = threading.Event()
    for name in (signal.SIGTERM, signal.SIGINT):
        signal.signal(name, lambda *_: done.set())
    return done


def run_sync(settings: Settings) -> int:
    """The scheduler's process, until it is told to stop; exit code."""
    # What talks to peers, and when, is loaded here alone: an HTTP worker holds nothing that it does not use.
    from exchange.sync.schedule import Schedule

    done = _until_signalled()
    store = open_store(settings.store.url, wait=PATIENCE)
    standing = applied.begin(store, settings.folder, clock())
    settings, following = standing.settings, Following(store, settings.folder, standing)
    tell(standing)
    schedule = Schedule(
        store, settings.terms, clients, clock=clock,
        outbound=settings.sync.outbound, keep_free=settings.store.keep_free,
        probe=settings.sync.probe, reconcile=settings.sync.reconcile, node=settings.node.name,
    )  # fmt: skip
    schedule.start()
    reminder = Reminder(store, settings.terms.agreements, clock)
    notify("READY=1")
    logger.info("sync.ready", sources=len(schedule.sources()), targets=len(schedule.targets()))
    reminder.look()
    told = time.monotonic()
    while not done.wait(0.5):
        renewed = following.look()
        if renewed is not None:
            schedule.follow(renewed.terms, outbound=renewed.sync.outbound)
            reminder = Reminder(store, renewed.terms.agreements, clock)
        if time.monotonic() - told >= _SIGN:
            told = time.monotonic()
            if schedule.alive():
                notify("WATCHDOG=1")
            reminder.look()
    notify("STOPPING=1")
    following.close()
    drained = schedule.stop(GRACE)
    logger.info("sync.stopped")
    if not drained:
        # A peer still holds a request open. Nothing is lost: what is not committed is fetched again.
        sys.stderr.flush()
        os._exit(0)
    store.close()
    return 0


def serve_application() -> Any:
    """What each HTTP worker runs: the WSGI application over the store, from the folder named by the environment."""
    from exchange.serve import application

    folder = Path(os.environ[FOLDER])
    store = open_store(applied.where(folder), create=False)
    standing = applied.running(store, folder)
    log.configure(standing.settings.node.language, log_form())
    now = Current(standing.settings)
    Following(store, folder, standing).in_background(now.take)
    return application(site(standing.settings, store, now))


def site(settings: Settings, store: Store, current: Current | None = None) -> Site:
    """What the serve room is given: values, no settings and no peer's secret. `current`: follows what is applied."""
    from exchange.serve import Site  # only who serves needs the HTTP side, which takes half a second to read

    now = current or Current(settings)
    return Site(
        store=store,
        rules=now.rules,
        public_url=settings.serve.public_url,
        title=settings.node.name,
        language=settings.node.language,
        proxies=settings.serve.proxies,
        max_content_length=settings.serve.max_content_length,
        requests_per_minute=settings.serve.requests_per_minute,
        clock=clock,
        outbound=now.outbound,
    )


class Current:
    """What an HTTP worker serves by: the terms last applied, on this day."""

    def __init__(self, settings: Settings) -> None:
        self._held = (settings, Rules(settings.terms, clock()))
        self._turn = threading.Lock()

    def take(self, settings: Settings) -> None:
        """Serve by `settings` from the next request on."""
        with self._turn:
            self._held = (settings, Rules(settings.terms, clock()))

    def rules(self) -> Rules:
        """The rules of the day: agreements begin and end at midnight, UTC."""
        now = clock()
        if self._held[1].now.date() != now.date():
            with self._turn:  # so that what is applied at this moment is not lost
                self._held = (self._held[0], Rules(self._held[0].terms, now))
        return self._held[1]

    def outbound(self) -> bool:
        """Whether anything may leave."""
        return self._held[0].sync.outbound


def run_serve(settings: Settings) -> int:
    """The HTTP process, until it is told to stop; exit code. It waits for the schema, which is not its to make."""
    done = _until_signalled()
    waited = False
    while not done.is_set():
        try:
            store = open_store(settings.store.url, create=False)
            store.close()
            break
        except StoreError as error:
            if not waited:
                logger.warning("serve.waiting", error=error)
            waited = True
            done.wait(0.5)
    if done.is_set():
        return 0
    from exchange.serve import server

    os.environ[FOLDER] = str(settings.folder)
    logger.info("serve.ready", listen=f"{settings.serve.host}:{settings.serve.port}", url=settings.serve.public_url)
    server.run(
        "exchange.daemon:serve_application",
        host=settings.serve.host,
        port=settings.serve.port,
        workers=settings.serve.workers,
        tls_cert=settings.serve.tls_cert,
        tls_key=settings.serve.tls_key,
        tls_client_ca=settings.serve.tls_client_ca,
        started=lambda: notify("READY=1"),
    )
    return 0


def log_form() -> log.Format:
    """How this process logs, as its command or its supervisor said."""
    form = os.environ.get(LOG_FORM, "auto")
    return form if form in ("console", "json", "journal") else "auto"  # type: ignore[return-value]


def _tied() -> None:
    """In a new child: die with the supervisor, even when that is killed outright (prctl(2))."""
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)


class _Child:
    """One supervised part; started again when it dies, later and later while it keeps dying."""

    def __init__(self, part: Part, folder: Path) -> None:
        self.part = part
        self._command = [sys.executable, "-m", "exchange", "run", "--only", part, "--config", str(folder)]
        self._pause = _FASTEST
        self._next = 0.0
        self.process: subprocess.Popen[bytes] | None = None

    def look(self, now: float) -> int | None:
        """Start it if it is not running and it is time; gives the exit code of a configuration error."""
        if self.process is not None:
            code = self.process.poll()
            if code is None:
                return None
            self.process = None
            if code == meaning(ConfigError).exit:
                return code
            logger.error("daemon.child_died", part=self.part, code=code, seconds=self._pause)
            self._next, self._pause = now + self._pause, min(self._pause * 2, _SLOWEST)
        if now >= self._next:
            self.process = subprocess.Popen(self._command, preexec_fn=_tied)  # noqa: S603, PLW1509 (own command; the child must die with us)
        return None

    def settled(self) -> None:
        """It has lived for a while: the next death is a first one."""
        self._pause = _FASTEST

    def end(self, deadline: float) -> None:
        """SIGTERM, and SIGKILL at `deadline`."""
        if self.process is None:
            return
        self.process.terminate()
        try:
            self.process.wait(max(0.1, deadline - time.monotonic()))
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


def supervise(settings: Settings) -> int:
    """Both processes on one machine, by one command; exit code."""
    done = _until_signalled()
    ready_store = open_store(settings.store.url)
    ready(ready_store, create=True)
    standing = applied.begin(ready_store, settings.folder, clock())
    if standing.first:  # the rest is told by the part that works by it
        tell(standing)
    ready_store.close()
    children = [_Child("sync", settings.folder), _Child("serve", settings.folder)]
    started = time.monotonic()
    notify("READY=1")
    code = 0
    while not done.wait(0.2):
        now = time.monotonic()
        failed = [found for child in children if (found := child.look(now)) is not None]
        if failed:
            code = failed[0]
            break
        if now - started > _SLOWEST:
            started = now
            for child in children:
                child.settled()
    notify("STOPPING=1")
    deadline = time.monotonic() + GRACE + 1.0
    for child in children:
        if child.process is not None:
            child.process.terminate()
    for child in children:
        child.end(deadline)
    return code


def run(settings: Settings, only: Part | None, *, verbose: bool = False) -> int:
    """Run the daemon, whole or one part of it; exit code."""
    if only == "sync":
        return run_sync(settings)
    if only == "serve":
        # In the place of this process, with this number: the command line has loaded what no HTTP worker needs.
        command = [sys.executable, "-P", "-m", "exchange.daemon", "--only", "serve", "--config", str(settings.folder)]
        os.execv(sys.executable, command + ["--verbose"] * verbose)  # noqa: S606 (our own)
    return supervise(settings)


def main(folder: Path, *, verbose: bool = False) -> int:
    """The HTTP process and nothing else, as `run` starts it; exit code."""
    try:
        settings = applied.current(folder)
        log.configure(settings.node.language, log_form(), verbose=verbose)
        return run_serve(settings)
    except ExchangeError as error:
        sys.stderr.write(i18n.describe(error, i18n.of_terminal()) + "\n")
        return meaning(error).exit


if __name__ == "__main__":
    raise SystemExit(main(Path(sys.argv[sys.argv.index("--config") + 1]), verbose="--verbose" in sys.argv))
