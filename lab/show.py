"""The show: four partners, our node among them, and intelligence going round, told as it happens."""

from __future__ import annotations

import json
import shutil
import socket
import subprocess
import sys
import time
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

import requests
from rich.console import Console
from rich.markup import escape

from lab import samples
from lab.child import Child, ChildError
from lab.feed import feed
from lab.misp import Misp, Server, misp
from lab.partners import medallion, opentaxii
from lab.real_data import MITRE_MARKING, RealData, copy_feed, real_data
from lab.round_trip import RoundTrip, uuids_of
from lab.scenario import PARTENAIRES, Partners, Terms, write_configuration
from lab.texts import TEXTS
from lab.venvs import is_built

PATIENCE = 120.0  # seconds for the whole round
CLI = [sys.executable, "-m", "exchange"]


class Show:
    """One performance in a fresh folder; `data` adds real intelligence, `port` is where exchange listens."""

    def __init__(self, folder: Path, language: str, *, data: Path | None = None, port: int = 0) -> None:
        self._folder, self._texts = folder, TEXTS[language]
        self._data = real_data(data) if data else RealData()
        self._port = port or _free_port()
        self._console = Console(highlight=False)
        self._start = time.monotonic()
        self._stack = ExitStack()

    def run(self, *, once: bool) -> int:
        """Perform; the exit code. Without `once` a success stays on stage until it is interrupted."""
        shutil.rmtree(self._folder, ignore_errors=True)
        self._folder.mkdir(parents=True)
        self._console.rule(self._texts["title"])
        with self._stack:
            partners = self._partners()
            config = self._configuration(partners)
            exchange = self._exchange(config)
            subscriber = self._subscriber(config)
            second, server = self._second(subscriber["secret"])
            if not self._watch(exchange, self._round_trip(partners, subscriber["secret"], second, server)):
                return 1
            if not once:
                self._invite(config, subscriber["secret"])
                self._console.print(f"\n{self._texts['stop']}")
                code = exchange.wait()
                raise ChildError(f"exchange ended with {code}; see {exchange.log}")
        return 0

    def _partners(self) -> Partners:
        enter, folder, more = self._stack.enter_context, self._folder, self._data
        alertes, hoiatused = [*samples.ccc(), *more.ccc], [*samples.cert_ee(), *more.cert_ee]
        events = [*samples.circl_events(), *more.circl]
        self._announce("medallion")
        ccc = enter(medallion(folder / "ccc", alertes=alertes))
        self._say("up_taxii", name=ccc.name, server="medallion 3.0.0", count=len(alertes))
        self._announce("opentaxii")
        cert_ee = enter(opentaxii(folder / "cert-ee", hoiatused=hoiatused))
        self._say("up_taxii", name=cert_ee.name, server="OpenTAXII 0.10.0b1", count=len(hoiatused))
        circl = enter(misp(events))
        self._say("up_misp", count=len(events))
        if more.feed:
            copy_feed(more.feed, folder / "feed")
        osint = enter(feed(folder / "feed", samples.circl_feed()))
        self._say("up_feed", count=len(list(osint.folder.glob("*-*.json"))))
        return Partners(ccc=ccc, cert_ee=cert_ee, circl=circl, osint=osint)

    def _announce(self, name: str) -> None:
        if not is_built(name):
            self._say("venv", name=name)

    def _configuration(self, partners: Partners) -> Path:
        terms = Terms(to_misp=True)
        if self._data.orgs or self._data.cert_ee:  # published intelligence, which seldom says that it may be shared
            orgs = sorted({samples.CIRCL_ORG, *self._data.orgs})
            terms = replace(terms, orgs=orgs, circl_unmarked="TLP:GREEN", informational=[MITRE_MARKING])
        config = write_configuration(self._folder / "etc", partners, self._port, terms=terms)
        self._say("configured", folder=_near(config))
        return config

    def _exchange(self, config: Path) -> Child:
        self._say("starting")
        command = [*CLI, "run", "--config", str(config)]
        exchange = self._stack.enter_context(Child(command, log=self._folder / "exchange.log"))
        exchange.wait_until(lambda: _answers(self._url("taxii2/")))
        self._say("started", url=self._url())
        return exchange

    def _subscriber(self, config: Path) -> dict[str, Any]:
        add = [*CLI, "subscriber", "add", "--config", str(config), "--peer", "circl", "--name", "circl-demo", "--json"]
        done = subprocess.run(add, check=False, capture_output=True, text=True, timeout=60)
        if done.returncode:
            raise ChildError(f"{' '.join(add)}\n{done.stdout}{done.stderr}")
        subscriber: dict[str, Any] = json.loads(done.stdout)
        self._say("subscribed", name=subscriber["name"])
        return subscriber

    def _second(self, secret: str) -> tuple[Misp, Server]:
        """Another MISP of CIRCL, in which an administrator adds us as a server and tests the connection."""
        second = self._stack.enter_context(misp())
        server = second.connect(self._url("misp/partenaires"), secret, push=False)
        self._say("connected", url=server.url, said=second.test(server).message)
        return second, server

    def _round_trip(self, partners: Partners, secret: str, second: Misp, server: Server) -> RoundTrip:
        events = [*samples.circl_events(), *samples.circl_feed(), *self._data.circl]
        return RoundTrip(
            letterboxes={"depot": partners.ccc, "postkast": partners.cert_ee},
            feed_url=self._url("feeds/partenaires/"),
            secret=secret,
            of_circl=uuids_of(events),
            misp=partners.circl,
            second=second,
            server=server,
        )

    def _watch(self, exchange: Child, trip: RoundTrip) -> bool:
        begun = time.monotonic()
        while time.monotonic() < begun + PATIENCE:
            for news in trip.look():
                style = "bold green" if news.key.startswith("to_") else ""
                self._say(news.key, style=style, **news.fields)
            if trip.complete:
                self._say("done", style="bold", seconds=time.monotonic() - begun)
                return True
            if not exchange.running:
                break
            time.sleep(0.5)
        self._say("failed", style="bold red", seconds=time.monotonic() - begun)
        self._console.print(escape("\n".join(exchange.log.read_text(errors="replace").splitlines()[-20:])))
        return False

    def _invite(self, config: Path, secret: str) -> None:
        objects = self._url(f"api/collections/{PARTENAIRES}/objects/?limit=5")
        bearer = f"-H 'Authorization: Bearer {secret}'"
        red = next(o for o in samples.ccc() if o["type"] == "indicator" and "Nuit blanche" in o["name"])
        tries: list[tuple[str, str]] = [
            (
                self._texts["try_taxii"].format(root=self._url("api/"), collection=PARTENAIRES),
                f"curl -s {bearer} -H 'Accept: application/taxii+json;version=2.1' '{objects}'",
            ),
            (self._texts["try_feed"], f"curl -s {bearer} {self._url('feeds/partenaires/manifest.json')}"),
            (
                self._texts["try_misp"],
                f"curl -s -H 'Authorization: {secret}' {self._url('misp/partenaires/events/index')}",
            ),
            (self._texts["try_why"], f"{_near(CLI[0])} -m exchange why {red['id']} --config {_near(config)}"),
            (self._texts["try_peers"], f"{_near(CLI[0])} -m exchange peers --config {_near(config)}"),
        ]
        self._console.print(f"\n[bold]{self._texts['try']}[/]")
        for what, command in tries:
            self._console.print(f"  [dim]# {escape(what)}[/]", soft_wrap=True)
            self._console.print(f"  {escape(command)}", soft_wrap=True)

    def _say(self, key: str, style: str = "", **fields: object) -> None:
        elapsed = time.monotonic() - self._start
        text = escape(self._texts[key].format(**fields))
        self._console.print(f"[dim]{elapsed:6.1f} s[/]  {f'[{style}]{text}[/]' if style else text}", soft_wrap=True)

    def _url(self, path: str = "") -> str:
        return f"http://127.0.0.1:{self._port}/{path}"


def _answers(url: str) -> bool:
    try:
        return requests.get(url, timeout=5).status_code > 0
    except requests.RequestException:
        return False


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    return port


def _near(path: Path | str) -> str:
    """A path as short as it can be typed from here."""
    try:
        return str(Path(path).relative_to(Path.cwd()))
    except ValueError:
        return str(path)
