"""kill -9, hundreds of times: at every commit and at random, while a node pulls, pushes and takes POSTs.

    python -m tests.acceptance.campaign --kills 500 --seed 1        # make soak

CCC (medallion) and CERT-EE (OpenTAXII) give something new for every life of the sync part, and each is handed what may
go there. A client posts and repeats every POST until it is answered; a reader follows a collection by its last date.
Both parts of the daemon are killed and begin again until there have been so many kills. Then the whole daemon runs,
loses both parts once more, and goes on until nothing is left to do; `judgement` compares stores, ledgers, peers and
what everybody remembers.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import requests
from lab import proc
from lab.node_files import Flow, Neighbour, NodeFiles, Shelf, give_login
from lab.partners import TAXII, Partner, medallion, opentaxii
from lab.round import account, free_port, run_exchange

from tests.acceptance import judgement
from tests.acceptance.gifts import Giver, Object
from tests.acceptance.judgement import Answered, PageRead, Witness, snapshot

COLLECTION = "7d1c5a60-3f0e-4b8d-9a42-6e1b0c9d8f27"
IDENTITY = "identity--5b7f0d1e-2c49-4f6a-9d31-8a0c6e2f4b17"
ROOT = Path(__file__).parents[2]
LONGEST = {"sync": 1.2, "serve": 0.9}
"""Seconds that a life lasts at most when it is to die at random; three times as long when it is to die at a commit."""
BOUNDARIES = {"sync": 24, "serve": 8}
"""The commits of a life at which it dies, one after the other."""
_QUIET = 120.0


@dataclass(slots=True)
class Tally:
    """How often which part died how, counted over both of them."""

    wanted: int
    counts: Counter[str] = field(default_factory=Counter)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def begin(self) -> bool:
        """Whether another life is to be led."""
        with self._lock:
            self.counts["begun"] += 1
            return self.counts["begun"] <= self.wanted

    def died(self, part: str, how: str) -> None:
        """Somebody died."""
        with self._lock:
            self.counts[f"{part} {how}"] += 1
            self.counts["kills"] += how in ("before", "after", "time")


class Killer(threading.Thread):
    """Leads one part of the daemon from life to life."""

    def __init__(self, field_: Field, part: str, seed: int) -> None:
        super().__init__(name=f"killer of {part}", daemon=True)
        self.field, self.part, self.random = field_, part, random.Random(f"{seed}/{part}")  # noqa: S311 - the same again
        self.error: BaseException | None = None

    def run(self) -> None:
        """Until there have been enough kills."""
        try:
            number = 0
            while self.field.tally.begin():
                self.field.before_life(self.part)
                self.field.tally.died(self.part, self._life(number))
                self.field.after_life(self.part)
                number += 1
        except BaseException as error:  # noqa: BLE001 - told by the one who waits for us
            self.error = error

    def _life(self, number: int) -> str:
        longest, commits = LONGEST[self.part], BOUNDARIES[self.part]
        if number % 3 == 0:
            wish = f"{self.random.uniform(0.02, longest):.3f} 0 before"
        else:
            wish = f"{3 * longest} {1 + number // 3 % commits} {'before' if number % 3 == 1 else 'after'}"
        mortal = self.field.mortals[self.part]
        assert mortal.stdin is not None and mortal.stdout is not None
        mortal.stdin.write(wish + "\n")
        mortal.stdin.flush()
        answer = mortal.stdout.readline().strip()
        assert answer in ("before", "after", "time"), f"{self.part}: {answer or 'no answer'}"
        return answer


@dataclass(slots=True, kw_only=True)
class Field:
    """Everybody who takes part."""

    folder: Path
    config: Path
    port: int
    partners: dict[str, Partner]
    givers: dict[str, Giver]
    accounts: dict[str, tuple[str, str]]
    mortals: dict[str, subprocess.Popen[str]]
    tally: Tally
    witness: Witness
    asked: int = 0
    tokens: threading.Semaphore = field(default_factory=lambda: threading.Semaphore(0))
    ending: threading.Event = field(default_factory=threading.Event)

    def before_life(self, part: str) -> None:
        """News at both sources for the sync part, and POSTs for the other."""
        if part == "serve":
            self.asked += 2
            self.tokens.release(2)
            return
        for name, collection in (("ccc", "alertes"), ("ee", "hoiatused")):
            self.partners[name].post(collection, self.givers[name].some(2))

    def after_life(self, part: str) -> None:
        """Where the cursors stand, and what is there."""
        if part == "sync":
            self.witness.snapshots.append(snapshot(self.store))

    @property
    def store(self) -> Path:
        """The node's store."""
        return self.folder / "exchange.db"

    @property
    def base(self) -> str:
        """The collection that is written and read."""
        return f"http://127.0.0.1:{self.port}/api/collections/{COLLECTION}/"

    def post(self) -> None:
        """The client: each envelope is repeated until it is answered with 202."""
        while not self.ending.is_set():
            if self.tokens.acquire(timeout=0.05):
                objects = self.givers["csirt"].some(2)
                again = self.givers["csirt"].given[:1] if self.givers["csirt"].random.random() < 0.1 else []
                while not self._posted(
                    [*objects, *(o for o in again if o["id"] not in {new["id"] for new in objects})]
                ):
                    threading.Event().wait(0.03)

    def _posted(self, objects: list[Object]) -> bool:
        headers = {"Accept": TAXII, "Content-Type": TAXII}
        try:
            answer = requests.post(
                self.base + "objects/", data=json.dumps({"objects": objects}), headers=headers,
                auth=self.accounts["csirt"], timeout=10,
            )  # fmt: skip
            told = answer.json()
        except (requests.RequestException, ValueError):
            self.witness.repeated += 1
            return False
        if answer.status_code == 503:
            self.witness.repeated += 1
            return False
        assert answer.status_code == 202, answer.text
        self.witness.answered.append(Answered(id=told["id"], ids=tuple(o["id"] for o in objects)))
        return True

    def read(self) -> None:
        """The reader: every page behind the last date that it was told."""
        after = ""
        while not self.ending.is_set():
            after = self._page(after)
            self.ending.wait(0.03)
        while (last := self._page(after)) != after:
            after = last

    def _page(self, after: str) -> str:
        wishes = {"limit": "20"} | ({"added_after": after} if after else {})
        try:
            answer = requests.get(
                self.base + "objects/", params=wishes, headers={"Accept": TAXII}, auth=self.accounts["soc"], timeout=10
            )
            page = answer.json()
        except (requests.RequestException, ValueError):
            return after
        if answer.status_code == 503 or not page.get("objects"):
            return after
        assert answer.status_code == 200, answer.text
        last = answer.headers["X-TAXII-Date-Added-Last"]
        self.witness.read.append(PageRead(last=last, objects=page["objects"]))
        return last

    def answers(self) -> bool:
        """Whether the collection can be read."""
        try:
            return requests.get(self.base, headers={"Accept": TAXII}, auth=self.accounts["soc"], timeout=10).ok
        except requests.RequestException:
            return False

    def unfinished(self) -> str:
        """What is still to be done; empty: nothing."""
        if len(self.witness.answered) < self.asked:
            return "the client still posts"
        return judgement.unfinished(self.store, self.witness.quiet_since)


@contextmanager
def battlefield(folder: Path, kills: int, seed: int) -> Iterator[Field]:
    """The partners running, the node configured, both mortals loaded."""
    with ExitStack() as stack:
        ccc = stack.enter_context(medallion(folder / "ccc", writable=("alertes", "depot")))
        ee = stack.enter_context(opentaxii(folder / "ee", writable=("hoiatused", "postkast")))
        port = free_port()
        config = _configure(folder, port, ccc, ee)
        accounts = {peer: account(config, peer) for peer in ("csirt", "soc")}
        givers = {name: Giver(random.Random(f"{seed}/{name}")) for name in ("ccc", "ee", "csirt")}  # noqa: S311
        witness = Witness(givers=givers, partners={"ccc": ccc, "ee": ee})
        mortals = {part: stack.enter_context(_mortal(part, config, folder)) for part in BOUNDARIES}
        yield Field(
            folder=folder, config=config, port=port, partners={"ccc": ccc, "ee": ee}, givers=givers,
            accounts=accounts, mortals=mortals, tally=Tally(kills), witness=witness,
        )  # fmt: skip


def _configure(folder: Path, port: int, ccc: Partner, ee: Partner) -> Path:
    neighbours = [
        _neighbour("ccc", ccc, "alertes", "depot"),
        _neighbour("ee", ee, "hoiatused", "postkast"),
        Neighbour(id="csirt"),
        Neighbour(id="soc"),
    ]
    shelf = Shelf(alias="partage", id=COLLECTION, readers=["soc"], writers=["csirt"])
    files = NodeFiles(
        name="CERT-QC", identity=IDENTITY, port=port, neighbours=neighbours, shelves=[shelf],
        store=str(folder / "exchange.db"),
    )  # fmt: skip
    config = files.write(folder / "etc")
    for name, partner in (("ccc", ccc), ("ee", ee)):
        give_login(config, name, (partner.user, partner.password))
    return config


def _neighbour(name: str, partner: Partner, source: str, target: str) -> Neighbour:
    flows = {word: Flow(id=word, url=partner.url, collection=partner.collections[word]) for word in (source, target)}
    return Neighbour(id=name, sources=[flows[source]], targets=[flows[target]], login=True)


@contextmanager
def _mortal(part: str, config: Path, folder: Path) -> Iterator[subprocess.Popen[str]]:
    with (folder / f"{part}.log").open("ab") as output:
        mortal = subprocess.Popen(
            [sys.executable, "-m", "tests.acceptance.mortal", part, str(config)],
            cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=output, text=True,
        )  # fmt: skip
        with mortal:
            try:
                yield mortal
            finally:
                mortal.kill()  # the life that it leads goes with it


def perform(folder: Path, kills: int, seed: int) -> tuple[Field, list[str]]:
    """The whole campaign; who took part, and what is wrong at its end (empty: nothing)."""
    with battlefield(folder, kills, seed) as field_:
        people = [threading.Thread(target=work, daemon=True) for work in (field_.post, field_.read)]
        killers = [Killer(field_, part, seed) for part in field_.mortals]
        for thread in (*people, *killers):
            thread.start()
        for killer in killers:
            killer.join()
            if killer.error is not None:
                raise killer.error
        field_.witness.quiet_since = int(time.time() * 1e6)
        with run_exchange(field_.config, field_.port, folder / "exchange.log") as daemon:
            for part in BOUNDARIES:  # and the supervisor brings back what dies under it
                _kill_again(field_, daemon.pid, part)
            _until(lambda: not field_.unfinished(), field_.unfinished)
            _until(field_.answers, lambda: "the collection does not answer")
            faults = judgement.by_http(field_.witness, f"http://127.0.0.1:{field_.port}/", field_.accounts["csirt"])
            field_.ending.set()
            for thread in people:
                thread.join(15)
        return field_, faults + judgement.by_hand(field_.witness, field_.store)


def _kill_again(field_: Field, daemon: int, part: str) -> None:
    """kill -9 of one part of the whole daemon, which begins it anew."""
    old = proc.parts(daemon)[part]
    os.kill(old, signal.SIGKILL)
    field_.tally.died("supervised", part)
    _until(lambda: proc.parts(daemon).get(part, old) != old, lambda: f"{part} does not come back")


def _until(holds: Callable[[], bool], waits: Callable[[], str]) -> None:
    until = time.monotonic() + _QUIET
    while not holds():
        assert time.monotonic() < until, f"never quiet: {waits()}"
        threading.Event().wait(0.2)


def main() -> int:
    """Campaigns with one seed after the other; 1 when anything is wrong at the end of one."""
    parser = argparse.ArgumentParser(prog="python -m tests.acceptance.campaign", description=__doc__.partition("\n")[0])
    parser.add_argument("--kills", type=int, default=500, help="of each campaign (500)")
    parser.add_argument("--seed", type=int, action="append", help="1, if none is given; may be repeated")
    parser.add_argument("--keep", type=Path, help="leave everything in this folder")
    given = parser.parse_args()
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # then too everything is stopped and erased
    wrong = 0
    for seed in given.seed or [1]:
        begun = time.monotonic()
        with tempfile.TemporaryDirectory(prefix="exchange-campaign-") as temporary:
            folder = Path(given.keep or temporary) / f"seed-{seed}"
            folder.mkdir(parents=True)
            field_, faults = perform(folder, given.kills, seed)
        wrong += bool(faults)
        told = {"seed": seed, **field_.tally.counts, **field_.witness.figures()}
        print(f"{json.dumps(told)}\n{time.monotonic() - begun:.0f} s", *faults[:50], sep="\n")  # noqa: T201
        print("WRONG" if faults else "nothing lost, nothing doubled, no cursor ahead", flush=True)  # noqa: T201
    return 1 if wrong else 0


if __name__ == "__main__":
    raise SystemExit(main())
