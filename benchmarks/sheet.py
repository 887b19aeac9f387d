"""The figures of a run: kept by size, row and server, and shown as one table for each size."""

from __future__ import annotations

import json
import os
import platform
import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

OURS = "exchange"
_ROW, _VALUE, _RATIO = 52, 14, 9


@dataclass(slots=True)
class Sheet:
    """Every value measured: size → row → server → one value for each round."""

    sizes: dict[int, dict[str, dict[str, list[float]]]] = field(default_factory=dict)
    alone: dict[str, float] = field(default_factory=dict)
    """Figures of ours that belong to no size."""
    notes: list[str] = field(default_factory=list)

    def add(self, size: int, server: str, figures: Mapping[str, float]) -> None:
        """Keep the figures of one round of one task."""
        rows = self.sizes.setdefault(size, {})
        for row, value in figures.items():
            rows.setdefault(row, {}).setdefault(server, []).append(value)

    def table(self, size: int) -> str:
        """The medians at one size; × says how many times ours the other's is."""
        rows = self.sizes.get(size, {})
        servers = list(dict.fromkeys(server for values in rows.values() for server in values))
        others = [server for server in servers if server != OURS]
        head = f"{f'{size:,} objects':{_ROW}}{OURS:>{_VALUE}}"
        lines = [head + "".join(f"{other:>{_VALUE}}{'×':>{_RATIO}}" for other in others)]
        for row, values in rows.items():
            ours = _median(values.get(OURS, ()))
            cells = [f"{row:{_ROW}}{_shown(ours):>{_VALUE}}"]
            for other in others:
                theirs = _median(values.get(other, ()))
                cells.append(f"{_shown(theirs):>{_VALUE}}{_shown(_ratio(theirs, ours)):>{_RATIO}}")
            lines.append("".join(cells))
        return "\n".join(lines)

    def growth(self) -> str:
        """Ours at each size, and how many times the smallest the largest is."""
        sizes = sorted(size for size, rows in self.sizes.items() if any(OURS in values for values in rows.values()))
        rows = dict.fromkeys(row for size in sizes for row in self.sizes[size])
        lines = [f"{'exchange, as the collection grows':{_ROW}}" + "".join(f"{size:>{_VALUE},}" for size in sizes)]
        lines[0] += f"{'×':>{_RATIO}}"
        for row in rows:
            medians = [_median(self.sizes[size].get(row, {}).get(OURS, ())) for size in sizes]
            cells = "".join(f"{_shown(value):>{_VALUE}}" for value in medians)
            lines.append(f"{row:{_ROW}}{cells}{_shown(_ratio(medians[-1], medians[0])):>{_RATIO}}")
        return "\n".join(lines)

    def write(self, file: Path, options: Mapping[str, Any]) -> None:
        """Everything as JSON: the machine, the options, the notes, and each value of each round."""
        figures = [
            {"objects": size, "row": row, "server": server, "values": values}
            for size, rows in self.sizes.items()
            for row, by_server in rows.items()
            for server, values in by_server.items()
        ]
        machine = {"cpus": os.cpu_count(), "kernel": platform.release(), "python": platform.python_version()}
        run = {
            "machine": machine,
            "options": dict(options),
            "notes": self.notes,
            "figures": figures,
            "alone": self.alone,
        }
        file.write_text(json.dumps(run, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


def _median(values: Iterable[float]) -> float | None:
    found: Sequence[float] = list(values)
    return statistics.median(found) if found else None


def _ratio(value: float | None, base: float | None) -> float | None:
    return None if value is None or not base else value / base


def _shown(value: float | None) -> str:
    """Three figures that count."""
    if value is None:
        return "–"
    return f"{value:,.0f}" if abs(value) >= 100 or value == int(value) else f"{value:.3g}"
