"""No known way to leak is forgotten: each row of leaks.txt names tests that are there."""

from __future__ import annotations

import ast
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAINS = {4, 5, 13, 14, 24, 25, 30, 42, 43, 44, 45, 46, 65, 66, 67}
"""Rows about who gets what; others may stand in the table besides."""
GUARDED = {
    "compartments", "required tags", "allowed tags", "blocked tags", "distribution", "sharing group", "attribute type",
    "category", "object template", "notes, opinions", "clusters", "proposals", "endpoints", "URLs and domains",
}  # fmt: skip
WITHOUT: set[str] = set()
"""Rows for which there is no test, and why stands in the table."""


def rows() -> list[list[str]]:
    lines = (Path(__file__).with_name("leaks.txt")).read_text(encoding="utf-8").splitlines()
    return [[cell.strip() for cell in line.split("|")] for line in lines if line and not line.startswith("#")]


def names_in(file: Path) -> set[str]:
    tree = ast.parse(file.read_text(encoding="utf-8"))
    return {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)}


def test_every_known_leak_stands_in_the_table_once() -> None:
    """The pains about leaks, and every kind of rule that others put between two MISP."""
    found = rows()
    assert all(len(row) == 4 and all(row) for row in found)
    assert len({(row[0], row[1]) for row in found}) == len(found)
    assert {int(row[1]) for row in found if row[0] == "pain"} >= PAINS
    assert {row[1] for row in found if row[0] == "guard"} == GUARDED


def test_every_test_that_the_table_names_is_there() -> None:
    """A row without a test says why, and is one of those that are known to have none."""
    missing, bare = [], set()
    for _, which, _, said in rows():
        if said.startswith("- "):
            bare.add(which)
            continue
        for name in said.split():
            file, _, test = name.partition("::")
            if not (ROOT / file).exists() or test not in names_in(ROOT / file):
                missing.append(name)
    assert missing == []
    assert bare == WITHOUT
