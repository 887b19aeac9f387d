"""`python -m benchmarks.identity`: canonical patterns beside stix2's equivalence in one run; figures, and no judgement.

CPU µs per pattern. Ours is the key under which duplicates meet: made once for each pattern. stix2 has no key: what it
can do is to normalise one pattern (the work of `find_equivalent_patterns` for each) and to compare a pair
(`equivalent_patterns`, which parses and normalises both). Then the patterns that are made to hurt: ours at any size,
stix2's at a few clauses, in a process that is ended when it takes too long.
"""

from __future__ import annotations

import argparse
import gzip
import multiprocessing
import time
from collections import Counter
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import orjson
from tests.model.pattern_bombs import BOMBS

from exchange.model import pattern
from exchange.model.pattern.writing import LONGEST

ROUNDS = 7
SHA256 = "AEC070645FE53EE3B3763059376134F058CC337247C978ADD178B6CCDFB0019F"
SINGLE = {
    "domain": "[domain-name:value = 'Host.Example.com']",
    "IPv4": "[ipv4-addr:value = '198.51.100.3/32']",
    "IPv6": "[ipv6-addr:value = '2001:DB8::1']",
    "URL": "[url:value = 'http://host.example:80/a?b=c']",
    "SHA-256": f"[file:hashes.SHA256 = '{SHA256}']",
    "registry key": "[windows-registry-key:key = 'HKEY_LOCAL_MACHINE\\\\Software\\\\Example']",
    "destination": "[network-traffic:dst_ref.value = '198.51.100.3']",
}
CLAUSES = (4, 6, 7, 8)


def clauses(count: int) -> str:
    """What a disjunctive normal form makes 2 to the power of `count` terms of."""
    return "[" + " AND ".join(f"(a:b = '{n}' OR a:c = '{n}')" for n in range(count)) + "]"


COMPLEX = {
    "traffic: type and value": "[network-traffic:dst_ref.type = 'ipv4-addr' AND "
    "network-traffic:dst_ref.value = '198.51.100.3/32']",
    "8 domains, OR": "[" + " OR ".join(f"domain-name:value = 'h{n}.example'" for n in range(8)) + "]",
    "8 hashes and a name": "[(" + " OR ".join(f"file:hashes.sha256 = '{n:064X}'" for n in range(8)) + ") AND "
    "file:name = 'x.exe']",
    "12 observations, AND": " AND ".join(f"[domain-name:value = 'h{n}.example']" for n in range(12)),
    "20 names, IN": "[file:name IN (" + ", ".join(f"'{n}.exe'" for n in range(20)) + ")]",
    "20 comparisons, OR": "[" + " OR ".join(f"url:value = 'http://h{n}.example/'" for n in range(20)) + "]",
}


def main() -> int:
    """Print the tables."""
    given = _arguments()
    print(f"{'CPU µs per pattern':42}{'exchange':>12}{'stix2, one':>12}{'stix2, pair':>12}{'×':>8}{'×':>8}")
    for title, group in (("one comparison", SINGLE), ("several", COMPLEX)):
        print(title)
        for name, text in group.items():
            _row(f"  {name}", text)
    if given.patterns:
        _real(given.patterns, given.sample)
    _bombs(given.patience)
    return 0


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.identity", description=__doc__)
    parser.add_argument("--patterns", type=Path, metavar="FOLDER", help="STIX documents whose patterns are keyed too")
    parser.add_argument("--sample", type=int, default=200, metavar="N", help="of them that stix2 reads too (200)")
    parser.add_argument("--patience", type=float, default=20.0, metavar="S", help="seconds for one pair in stix2 (20)")
    return parser.parse_args()


def _fastest(work: Callable[[], Any], times: int, rounds: int = ROUNDS) -> float:
    """Processor time of one call in µs: the fastest of the rounds, for what else the machine does only adds to it."""
    best = float("inf")
    for _ in range(rounds):
        begun = time.process_time()
        for _ in range(times):
            work()
        best = min(best, (time.process_time() - begun) / times * 1e6)
    return best


def _key(text: str, times: int, rounds: int = ROUNDS) -> float:
    return _fastest(partial(pattern.canonical, text), times, rounds)


# --- stix2 -------------------------------------------------------------------------------------------------------


def _one(text: str) -> object:
    """A pattern parsed and normalised by stix2, as its `find_equivalent_patterns` does for each."""
    from stix2.equivalence import pattern as theirs
    from stix2.pattern_visitor import create_pattern_object

    normal, _ = theirs._get_pattern_normalizer().transform(create_pattern_object(text, version="2.1"))
    return normal


def _pair(text: str) -> object:
    from stix2.equivalence.pattern import equivalent_patterns

    return equivalent_patterns(text, text)


def _row(name: str, text: str) -> None:
    ours = _key(text, 1000)
    one, pair = _fastest(partial(_one, text), 10, 3), _fastest(partial(_pair, text), 10, 3)
    print(f"{name:42}{ours:12.1f}{one:12.0f}{pair:12.0f}{one / ours:8.0f}{pair / ours:8.0f}", flush=True)


# --- real patterns -----------------------------------------------------------------------------------------------


def _patterns(folder: Path) -> Iterator[str]:
    for path in sorted(filter(Path.is_file, folder.rglob("*"))):
        raw = path.read_bytes()
        try:
            waiting = [orjson.loads(gzip.decompress(raw) if path.suffix == ".gz" else raw)]
        except orjson.JSONDecodeError:
            continue
        while waiting:
            value = waiting.pop()
            if isinstance(value, dict):
                if isinstance(value.get("pattern"), str) and value.get("pattern_type", "stix") == "stix":
                    yield value["pattern"]
                waiting.extend(value.values())
            elif isinstance(value, list):
                waiting.extend(value)


def _real(folder: Path, sample: int) -> None:
    texts = sorted(set(_patterns(folder)))
    if not texts:
        print(f"{folder}: no patterns")
        return
    ours = _fastest(lambda: [pattern.canonical(text) for text in texts], 1) / len(texts)
    readable = [text for text in texts if not pattern.canonical(text).opaque]
    some = readable[:: max(1, len(readable) // sample)]
    theirs: list[float] = []
    refused = 0
    for text in some:
        try:
            theirs.append(_fastest(partial(_one, text), 1, 2))
        except Exception:  # noqa: BLE001 (whatever it raises on a valid pattern)
            refused += 1
    mean = sum(theirs) / max(1, len(theirs))
    print(f"real patterns\n{f'  {len(texts):,} distinct':42}{ours:12.1f}{mean:12.0f}{'':12}{mean / ours:8.0f}")
    found = Counter(pattern.canonical(text).opaque for text in texts)
    keys = len({pattern.canonical(text).text for text in texts})
    slowest = max(_key(text, 1, 3) for text in texts)
    print(f"  {len(texts):,} texts under {keys:,} keys; opaque { ({k: n for k, n in found.items() if k}) }")
    print(f"  slowest {slowest / 1000:.2f} ms; stix2 on {len(some)} of them, {refused} of which it refused")


# --- patterns that are made to hurt ------------------------------------------------------------------------------


def _bombs(patience: float) -> None:
    rows = []
    for name, bomb in BOMBS.items():
        texts = [bomb(4 * LONGEST // 2**n) for n in range(10)]
        rows.append((*max((_key(text, 1, 5), len(text)) for text in texts), name))
    rows.sort(reverse=True)
    print(f"\n{f'{len(BOMBS)} shapes of bomb, ten sizes of each':42}{'exchange':>12}")
    for cost, size, name in rows[:6]:
        print(f"{f'  {name}, {size:,} characters':42}{cost / 1000:9.2f} ms")
    print(f"\n{'clauses of two, joined by AND':42}{'exchange':>12}{'stix2, one':>12}{'':12}{'×':>8}")
    for count in CLAUSES:
        text = clauses(count)
        ours, theirs = _key(text, 20), _limited(text, patience)
        shown = f"{theirs:12,.0f}{'':12}{theirs / ours:8,.0f}" if theirs else f"{f'> {patience:g} s':>12}"
        print(f"{f'  {count} ({len(text)} characters)':42}{ours:12.1f}{shown}", flush=True)
        if not theirs:
            break


def _limited(text: str, patience: float) -> float:
    """CPU µs of stix2 for one pattern, in a process of its own; 0 where it was ended."""
    context = multiprocessing.get_context("spawn")
    answers: Any = context.SimpleQueue()
    process = context.Process(target=_timed, args=(text, answers), daemon=True)
    process.start()
    process.join(patience)
    if process.is_alive():
        process.terminate()
        process.join()
        return 0.0
    return float(answers.get())


def _timed(text: str, answers: Any) -> None:
    _one("[a:b = 1]")
    begun = time.process_time()
    _one(text)
    answers.put((time.process_time() - begun) * 1e6)


if __name__ == "__main__":
    raise SystemExit(main())
