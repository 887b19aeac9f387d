"""`python -m benchmarks`: this server beside those of others, alternately in one run; figures, and no judgement."""

from __future__ import annotations

import argparse
import signal
import sys
import tempfile
import time
from collections.abc import Iterable, Mapping
from contextlib import ExitStack
from pathlib import Path

from lab.child import ChildError

from benchmarks import cost, static
from benchmarks.accepting import microseconds
from benchmarks.content import Content
from benchmarks.peers import medallion, opentaxii, opentaxii_on_postgresql
from benchmarks.reading import WrongAnswer
from benchmarks.servers import Kind, exchange, exchange_on_postgresql
from benchmarks.sheet import OURS, Sheet
from benchmarks.tasks import TASKS, Guest, Measure, Task, fill

SIZES = (100, 10_000, 100_000)
ALONE = 5_000
KINDS: Mapping[str, Kind] = {
    OURS: Kind(start=exchange),
    "exchange-pg": Kind(start=exchange_on_postgresql, usual=False),
    "opentaxii": Kind(start=opentaxii, least=1_000),
    "opentaxii-pg": Kind(start=opentaxii_on_postgresql, least=1_000, usual=False),
    "medallion": Kind(start=medallion, most=1_000),
    "nginx": Kind(start=static.nginx),
}
PROGRAMME = (
    (("first",), 1),
    (("read", "compressed", "manifest", "poll"), 1_000),
    (("subscribers",), 2),
    (("ingest",), 1_000),
    (("memory",), 1),
)
"""Tasks that are done by turns, and how many rounds of them at most; what adds objects comes after what counts them."""
_EPILOG = """\
CPU is the processor time (user and system) of all the server's processes, its database's among them; wall is the time
that the client waited. A row holds the median of the rounds, × how many times ours the other's is. Each server that
does not end a task in time is stopped, and the table says so. OpenTAXII is filled by SQL, everyone else by POST.
"""


def main() -> int:
    """Everything that was asked for, one size after the other; 1 when our own server answered wrongly."""
    given = _arguments()
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # then too everything is stopped and erased
    begun, sheet, content = time.perf_counter(), Sheet(), Content(given.seed)
    names = given.server or [name for name, kind in KINDS.items() if kind.usual]
    if "nginx" in names and static.PROGRAM is None:
        sheet.notes.append("nginx is not on this machine: skipped")
        names.remove("nginx")
    measure = Measure(spell=given.spell, patience=given.patience)
    tasks = {name: task for name, task in TASKS.items() if not given.task or name in given.task}
    faults = 0
    for size in sorted(given.size or SIZES):
        chosen = {name: KINDS[name] for name in names if given.server or KINDS[name].least <= size}
        chosen = {name: kind for name, kind in chosen.items() if size <= kind.most}
        run = Run(sheet, content, size, measure, given.rounds)
        run.perform(chosen, tasks)
        faults += run.faults
        print(f"\n{sheet.table(size)}", flush=True)
    if not given.task or "accept" in given.task:
        _accepting(content, sheet)
    if len(sheet.sizes) > 1:
        print(f"\n{sheet.growth()}")
    print("", *sheet.notes, f"{time.perf_counter() - begun:.0f} s", sep="\n")
    if given.json:
        sheet.write(given.json, {name: value for name, value in vars(given).items() if name != "json"})
    return 1 if faults else 0


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks", description=__doc__, epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )  # fmt: skip
    repeated = "; may be repeated"
    parser.add_argument("--size", type=int, action="append", metavar="N", help=f"objects; usually {SIZES}{repeated}")
    parser.add_argument("--server", action="append", choices=KINDS, help=f"only this one{repeated}")
    parser.add_argument("--task", action="append", choices=[*TASKS, "accept"], help=f"only this one{repeated}")
    parser.add_argument("--rounds", type=int, default=3, help="how often each task is done (3)")
    parser.add_argument("--spell", type=float, default=0.6, metavar="S", help="seconds of polling or posting (0.6)")
    parser.add_argument("--patience", type=float, default=20.0, metavar="S", help="seconds for a full read (20)")
    parser.add_argument("--seed", type=int, default=1, help="of the objects (1)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write every value of every round here")
    return parser.parse_args()


class Run:
    """All servers at one size."""

    def __init__(self, sheet: Sheet, content: Content, size: int, measure: Measure, rounds: int) -> None:
        self.sheet, self.content, self.size, self.measure, self.rounds = sheet, content, size, measure, rounds
        self.guests: dict[str, Guest] = {}
        self.faults = 0

    def perform(self, kinds: Mapping[str, Kind], tasks: Mapping[str, Task]) -> None:
        """Start and fill every server, do the tasks by turns, and note what a reader of the table should know."""
        with tempfile.TemporaryDirectory(prefix="exchange-bench-") as temporary, ExitStack() as stack:
            for name, kind in kinds.items():
                self._say(f"{name}: starting and filling")
                folder = Path(temporary) / name
                folder.mkdir()
                self._invite(name, kind, folder, stack)
            for words, rounds in PROGRAMME:
                for number in range(min(rounds, self.rounds)):
                    self._turn(number, {word: tasks[word] for word in words if word in tasks})
            for name, guest in self.guests.items():
                self.sheet.notes += [f"{name} at {self.size:,}: {note}" for note in guest.notes]

    def _invite(self, name: str, kind: Kind, folder: Path, stack: ExitStack) -> None:
        try:
            server = stack.enter_context(kind.start(folder, self.content, self.size))
            self.guests[name], figures = fill(server, self.content, self.size)
        except (WrongAnswer, OSError, ChildError) as error:
            self._fault(name, "filling", error)
        else:
            self.sheet.add(self.size, name, figures)

    def _turn(self, number: int, tasks: Mapping[str, Task]) -> None:
        """Each task on each server, in an order that changes from round to round."""
        for word, task in tasks.items():
            for name in _rotated(self.guests, number):
                guest = self.guests[name]
                self._say(f"round {number + 1}: {word}: {name}")
                try:
                    self.sheet.add(self.size, name, task(guest, self.measure))
                except (WrongAnswer, OSError) as error:
                    self._fault(name, word, error)
                    cost.settle(guest.server.pids)

    def _fault(self, name: str, word: str, error: Exception) -> None:
        self.sheet.notes.append(f"{name} at {self.size:,}: {word}: {type(error).__name__}: {error}")
        self.faults += name.startswith(OURS)

    def _say(self, text: str) -> None:
        if sys.stderr.isatty():
            print(f"\r\033[K{self.size:,}: {text}", end="\r", file=sys.stderr, flush=True)


def _rotated(names: Iterable[str], by: int) -> list[str]:
    every = list(names)
    return every[by % len(every) :] + every[: by % len(every)] if every else []


def _accepting(content: Content, sheet: Sheet) -> None:
    """The intake alone, in this process: what a further audience costs."""
    bodies = [content.body(index) for index in range(ALONE)]
    print(f"\n{f'accept() alone, {ALONE:,} objects, CPU µs/object':52}{'accept':>14}{'decode, check':>14}")
    with tempfile.TemporaryDirectory(prefix="exchange-bench-") as temporary:
        for audiences in (1, 7):
            writing, reading = microseconds(Path(temporary), bodies, audiences)
            sheet.alone |= {f"accept, {audiences} audiences": writing, "decode and check": reading}
            print(f"{f'{audiences} audiences':52}{writing:14.0f}{reading:14.0f}", flush=True)


if __name__ == "__main__":
    raise SystemExit(main())
