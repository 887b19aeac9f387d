"""Two configurations, file by file and key by key: what was added, removed, changed."""

from __future__ import annotations

import tomllib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from exchange.config import node
from exchange.config.problems import WHOLE_FILE, dotted, shown

Kind = Literal["added", "removed", "changed", "rewritten"]

_LATER = ("node", "store", "serve", "sync.probe", "sync.reconcile", "sync.keep_free")


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """One difference. A key inside a list of tables is told by the table's `id` where it has one."""

    file: str
    key: str
    """`*`: the whole file."""
    kind: Kind
    """`rewritten`: what it says is the same; comments, order or spaces are not."""
    before: str = ""
    """As a message may show it: short, and nothing of what stands before an `@`."""
    after: str = ""

    @property
    def after_restart(self) -> bool:
        """Whether a running node takes it up only when it starts again."""
        return self.file == node.FILE and any(f"{self.key}.".startswith(f"{name}.") for name in _LATER)


def difference(before: Mapping[str, str], after: Mapping[str, str]) -> list[Change]:
    """What `after` has otherwise than `before`: two mappings of a file's name in the folder to its text."""
    names = sorted(before.keys() | after.keys(), key=lambda name: (name != node.FILE, name))
    return [change for name in names for change in _of_file(name, before.get(name), after.get(name))]


def _of_file(file: str, before: str | None, after: str | None) -> Iterator[Change]:
    if before == after:
        return
    if before is None or after is None:
        yield Change(file=file, key=WHOLE_FILE, kind="added" if before is None else "removed")
        return
    if not file.endswith(".toml"):
        yield Change(file=file, key=WHOLE_FILE, kind="changed")
        return
    found = list(_of_keys(file, _flat(tomllib.loads(_bare(before))), _flat(tomllib.loads(_bare(after)))))
    yield from found or [Change(file=file, key=WHOLE_FILE, kind="rewritten")]


def _bare(text: str) -> str:
    """Without the mark that some editors put at the beginning."""
    return text.removeprefix("\N{ZERO WIDTH NO-BREAK SPACE}")


def _of_keys(file: str, before: Mapping[str, Any], after: Mapping[str, Any]) -> Iterator[Change]:
    for key in dict.fromkeys((*before, *after)):
        if key not in after:
            yield Change(file=file, key=key, kind="removed", before=_told(before[key]))
        elif key not in before:
            yield Change(file=file, key=key, kind="added", after=_told(after[key]))
        elif before[key] != after[key]:
            yield from _of_value(file, key, before[key], after[key])


def _of_value(file: str, key: str, before: Any, after: Any) -> Iterator[Change]:
    """A list is told by what came and went; in another order it is another list."""
    if isinstance(before, list) and isinstance(after, list):
        gone = [each for each in before if each not in after]
        come = [each for each in after if each not in before]
        if gone or come:
            for each in gone:
                yield Change(file=file, key=key, kind="removed", before=_told(each))
            for each in come:
                yield Change(file=file, key=key, kind="added", after=_told(each))
            return
    yield Change(file=file, key=key, kind="changed", before=_told(before), after=_told(after))


def _told(value: Any) -> str:
    if isinstance(value, list):
        return shown(", ".join(map(shown, value)))
    return ("true" if value else "false") if isinstance(value, bool) else shown(value)


def _flat(table: Mapping[str, Any], above: Sequence[str | int] = ()) -> dict[str, Any]:
    """Every value by its dotted key."""
    found: dict[str, Any] = {}
    for name, value in table.items():
        path = (*above, name)
        if isinstance(value, dict):
            found |= _flat(value, path)
        elif isinstance(value, list) and value and all(isinstance(each, dict) for each in value):
            for number, each in enumerate(value):
                found |= {f"{dotted(path)}[{each.get('id', number)}].{key}": it for key, it in _flat(each).items()}
        else:
            found[dotted(path)] = value
    return found
