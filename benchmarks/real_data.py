"""`python -m benchmarks.real_data [--data DIR] [--small]`: what real intelligence costs, and how that grows."""

from __future__ import annotations

import argparse
import gzip
import tempfile
from pathlib import Path

from tests.acceptance.real_data import DATA, grow, importing, offer, perform


def main() -> None:
    """Both rounds, and how cost grows."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--data", type=Path, default=DATA)
    parser.add_argument("--small", action="store_true")
    given = parser.parse_args()
    offered = offer(given.data, small=given.small)
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        for unmarked in (None, "TLP:GREEN"):
            found = perform(folder / str(unmarked)[:4], offered, unmarked)
            figures, each = found.figures, found.figures["objects"]
            print(f"default label: {unmarked}")
            for source, counts in found.counts.items():
                print(f"  {source:20} {counts}")
            print(f"  held {found.held}, by the rules {found.held_wanted}; readable {found.readable}")
            print(f"  {each / figures['wall']:.0f} objects/s, {figures['cpu'] / each * 1e6:.0f} µs CPU per object,"
                  f" peak {figures['peak']:.0f} MiB (own {figures['own']:.0f}), {figures['wall']:.1f} s; faults: {len(found.faults)}")  # fmt: skip
            print("".join(f"    {fault}\n" for fault in found.faults[:20]), end="", flush=True)
        for times in (1, 4):
            cost = grow(folder / f"grow{times}", offered, times)
            print(
                f"import ×{times}: {cost.wall:.1f} s, {cost.cpu:.1f} s CPU, peak {cost.peak:.0f} MiB, own {cost.own:.0f} MiB",
                flush=True,
            )
        for path in _largest(given.data):
            (folder / path.stem).mkdir()
            cost = importing(folder / path.stem, path)
            size = len(gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()) / 2**20
            print(
                f"event {path.name}: {size:.1f} MiB, {cost.wall:.1f} s, {cost.cpu:.1f} s CPU, {cost.peak:.0f} MiB, own {cost.own:.0f}"
            )


def _largest(data: Path) -> list[Path]:
    return [sorted((data / "misp-events" / "stalkerware").glob("*.gz"))[0],
            max((data / "misp-feed" / "infoblox").glob("*.json"), key=lambda path: path.stat().st_size)]  # fmt: skip


if __name__ == "__main__":
    main()
