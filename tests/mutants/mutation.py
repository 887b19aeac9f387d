"""Every small mistake that could be made in a module, each as a source text of its own.

A mistake is one change to the syntax tree: another comparison, `and` for `or`, a condition turned or left out, another
constant, the smaller for the larger. Docstrings, annotations and the texts of errors are left alone.
"""

from __future__ import annotations

import ast
import copy
from collections.abc import Iterator
from dataclasses import dataclass

_COMPARED: dict[type[ast.cmpop], tuple[type[ast.cmpop], ...]] = {
    ast.Lt: (ast.LtE, ast.GtE),
    ast.LtE: (ast.Lt, ast.Gt),
    ast.Gt: (ast.GtE, ast.LtE),
    ast.GtE: (ast.Gt, ast.Lt),
    ast.Eq: (ast.NotEq,),
    ast.NotEq: (ast.Eq,),
    ast.Is: (ast.IsNot,),
    ast.IsNot: (ast.Is,),
    ast.In: (ast.NotIn,),
    ast.NotIn: (ast.In,),
}
_COUNTED: dict[type[ast.operator], type[ast.operator]] = {
    ast.Add: ast.Sub,
    ast.Sub: ast.Add,
    ast.BitOr: ast.BitAnd,
    ast.BitAnd: ast.BitOr,
    ast.Mult: ast.Div,
    ast.Div: ast.Mult,
    ast.Mod: ast.Mult,
    ast.LShift: ast.RShift,
    ast.RShift: ast.LShift,
}
_NAMED = {
    "max": "min", "min": "max", "any": "all", "all": "any", "isdisjoint": "issuperset", "issuperset": "isdisjoint",
    "union": "intersection", "_hold": "_deny", "_deny": "_hold", "startswith": "endswith", "fullmatch": "match",
}  # fmt: skip
_SITES = (
    ast.Compare, ast.BoolOp, ast.UnaryOp, ast.Constant, ast.BinOp, ast.Name, ast.Attribute, ast.If, ast.IfExp,
    ast.comprehension, ast.AugAssign, ast.Return,
)  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Mutant:
    """One mistake: where it stands and the whole text with it."""

    line: int
    said: str
    """What stood there, and what stands there now."""
    source: str


def mutants(source: str) -> Iterator[Mutant]:
    """Each mistake that could be made in the module `source`."""
    tree = ast.parse(source)
    still = _untouched(tree)
    sites = [node for node in ast.walk(tree) if isinstance(node, _SITES) and id(node) not in still]
    places = {id(node): number for number, node in enumerate(ast.walk(tree))}
    for site in sites:
        for change in range(_ways(site)):
            made = copy.deepcopy(tree)
            node = next(each for number, each in enumerate(ast.walk(made)) if number == places[id(site)])
            before = _said(node)
            after = _changed(node, change)
            if after is None:
                continue
            _Swap(node, after).visit(made)
            text = ast.unparse(ast.fix_missing_locations(made))
            line = (site.iter if isinstance(site, ast.comprehension) else site).lineno
            yield Mutant(line=line, said=f"{before}  ->  {_said(after)}", source=text)


def _untouched(tree: ast.Module) -> set[int]:
    """Docstrings, annotations, type aliases, imports and how a class is declared."""
    still: set[int] = set()
    for node in ast.walk(tree):
        leave: list[ast.AST | None] = []
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
            leave = [node.value]
        elif isinstance(node, ast.FunctionDef):
            arguments = [each.annotation for each in ast.walk(node.args) if isinstance(each, ast.arg)]
            leave = [node.returns, *node.decorator_list, *arguments]
        elif isinstance(node, ast.AnnAssign):
            leave = [node.annotation]
        elif isinstance(node, ast.ClassDef):
            leave = [*node.decorator_list, *node.bases]
        for each in leave:
            if each is not None:
                still |= {id(inner) for inner in ast.walk(each)}
    return still


def _ways(node: ast.AST) -> int:
    """How many mistakes there are at this place."""
    if isinstance(node, ast.Compare):
        return sum(len(_COMPARED[type(each)]) for each in node.ops)
    if isinstance(node, ast.BoolOp):
        return 1 + len(node.values)
    if isinstance(node, ast.comprehension):
        return len(node.ifs)
    if isinstance(node, ast.Return):
        return 1 if isinstance(node.value, ast.Call) else 0
    return 1


def _changed(node: ast.AST, change: int) -> ast.AST | None:
    """The node with mistake number `change` in it; None: there is none of its kind."""
    made = copy.deepcopy(node)
    if isinstance(made, ast.BoolOp) and change > 0:
        del made.values[change - 1]
        return made.values[0] if len(made.values) == 1 else made
    if isinstance(made, ast.UnaryOp):
        return made.operand
    if isinstance(made, ast.Constant):
        return _constant(made)
    if isinstance(made, ast.Name | ast.Attribute):
        return _renamed(made)
    return made if _altered(made, change) else None


def _renamed(made: ast.Name | ast.Attribute) -> ast.AST | None:
    name = made.id if isinstance(made, ast.Name) else made.attr
    if name not in _NAMED or not isinstance(made.ctx, ast.Load):
        return None
    if isinstance(made, ast.Name):
        made.id = _NAMED[name]
    else:
        made.attr = _NAMED[name]
    return made


def _altered(made: ast.AST, change: int) -> bool:
    """Whether mistake number `change` could be made in the node itself."""
    match made:
        case ast.Compare():
            ways = [(at, kind) for at, each in enumerate(made.ops) for kind in _COMPARED[type(each)]]
            at, kind = ways[change]
            made.ops[at] = kind()
        case ast.BoolOp():
            made.op = ast.And() if isinstance(made.op, ast.Or) else ast.Or()
        case ast.BinOp() | ast.AugAssign() if type(made.op) in _COUNTED:
            made.op = _COUNTED[type(made.op)]()
        case ast.If():
            made.test = ast.Constant(value=False)
        case ast.IfExp():
            made.body, made.orelse = made.orelse, made.body
        case ast.comprehension():
            del made.ifs[change]
        case ast.Return():
            made.value = ast.Constant(value=None)
        case _:
            return False
    return True


def _constant(node: ast.Constant) -> ast.Constant | None:
    value = node.value
    if isinstance(value, bool):
        return ast.Constant(value=not value)
    if isinstance(value, int):
        return ast.Constant(value=value + 1)
    if isinstance(value, float):
        return ast.Constant(value=value + 1)
    if isinstance(value, str):
        return ast.Constant(value="mutant." + value if "." in value else value + "x")
    if isinstance(value, bytes):
        return ast.Constant(value=value + b"x")
    return ast.Constant(value=False) if value is None else None


def _said(node: ast.AST) -> str:
    """The place in one short line; of a condition only the condition."""
    if isinstance(node, ast.If):
        return f"if {ast.unparse(node.test)}"
    if isinstance(node, ast.comprehension):
        return f"for {ast.unparse(node.target)} in {ast.unparse(node.iter)}" + "".join(
            f" if {ast.unparse(each)}" for each in node.ifs
        )
    return " ".join(ast.unparse(node).split())


class _Swap(ast.NodeTransformer):
    """Puts one node in the place of another."""

    def __init__(self, old: ast.AST, new: ast.AST) -> None:
        self.old, self.new = old, new

    def visit(self, node: ast.AST) -> ast.AST:
        """The tree with the one replaced."""
        return self.new if node is self.old else self.generic_visit(node)
