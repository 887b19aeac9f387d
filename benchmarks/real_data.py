"""`python -m benchmarks.real_data [--data DIR] [--small]`: what real intelligence costs, and how that grows."""

from __future__ import annotations

import argparse
import gzip
import tempfile
from pathlib import Path

from lab.proc import Cost
from tests.acceptance.real_data import DATA, Found, grow, importing, offer, perform


def main() -> None:
    """Both rounds, without and with a default label; how cost grows; the largest events by themselves."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.real_data")
    parser.add_argument("--data", type=Path, default=DATA)
    parser.add_argument("--small", action="store_true")
    given = parser.parse_args()
    offered = offer(given.data, small=given.small)
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        for unmarked in (None, "TLP:GREEN"):
            print(f"default label: {unmarked}")
            show(perform(folder / str(unmarked)[:4], offered, unmarked))
        for times in (1, 4):
            print(f"import ×{times}: {words(grow(folder / f'grow{times}', offered, times))}", flush=True)
        for path in largest(given.data):
            (folder / path.stem).mkdir()
            raw = path.read_bytes()
            size = len(gzip.decompress(raw) if path.suffix == ".gz" else raw) / 2**20
            print(f"one event of {size:.1f} MiB, {path.name}: {words(importing(folder / path.stem, path))}", flush=True)


def show(found: Found) -> None:
    """The account of one round, and what it cost."""
    for source, counts in found.counts.items():
        print(f"  {source:20} {counts}")
    print(f"  held {found.held}, by the rules {found.held_wanted}; readable {found.readable}")
    spent, each = found.figures, found.figures["objects"]
    rates = f"{each / spent['wall']:.0f} objects/s, {spent['cpu'] / each * 1e6:.0f} µs CPU per object"
    print(f"  {rates}, peak {spent['peak']:.0f} MiB (own {spent['own']:.0f}), {spent['wall']:.1f} s")
    print(f"  faults: {len(found.faults)}", *found.faults[:20], sep="\n    ", flush=True)


def words(cost: Cost) -> str:
    """A cost, in words."""
    return f"{cost.wall:.1f} s, {cost.cpu:.1f} s CPU, peak {cost.peak:.0f} MiB (own {cost.own:.0f})"


def largest(data: Path) -> list[Path]:
    """The largest event of the stalkerware project, and the largest of the feed."""
    feed = (data / "misp-feed" / "infoblox").glob("*-*-*-*-*.json")
    return [
        sorted((data / "misp-events" / "stalkerware").glob("*.gz"))[0],
        max(feed, key=lambda path: path.stat().st_size),
    ]


if __name__ == "__main__":
    main()
