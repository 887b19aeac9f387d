"""Every small mistake that could be made in a module, each compiled by itself.

A mistake is one change to the syntax tree: another comparison, `and` for `or`, a condition turned or left out, another
constant, the smaller for the larger, a step left out. Docstrings, annotations and the texts of errors are left alone.
"""

from __future__ import annotations

import ast
import copy
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from types import CodeType

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
    ast.comprehension, ast.AugAssign, ast.Return, ast.While, ast.Expr, ast.Continue, ast.Break,
)  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Mutant:
    """One mistake: where it stands and the whole module with it."""

    line: int
    place: str
    """The function, `Class.method`, class or name of the module in which it stands."""
    said: str
    """What stood there, and what stands there now; numbered where the same stands in the place again."""
    code: CodeType
    lines: range
    """Of the statement: a test that runs none of them cannot find it. Empty: it is made when the module is loaded."""
    kept: bool = False
    """What the function gives is kept, so that it may have run before the test that finds it."""


def mutants(source: str, file: str) -> Iterator[Mutant]:
    """Each mistake that could be made in the module `source`, which stands in `file`."""
    tree = ast.parse(source)
    still = _untouched(tree)
    around = {id(inner): (node, name, at) for node in ast.walk(tree) for name, at, inner in _inside(node)}
    seen = Counter[tuple[str, str]]()
    for site in [node for node in ast.walk(tree) if isinstance(node, _SITES) and id(node) not in still]:
        for change in range(_ways(site)):
            after = _changed(site, change)
            if after is None:
                continue
            place, lines, kept = _where(site, around)
            said = f"{_said(site)}  ->  {_said(after)}"
            seen[place, said] += 1
            number = f"  #{seen[place, said]}" if seen[place, said] > 1 else ""
            line = (site.iter if isinstance(site, ast.comprehension) else site).lineno
            ast.copy_location(after, site.iter if isinstance(site, ast.comprehension) else site)
            parent, name, at = around[id(site)]
            _put(parent, name, at, ast.fix_missing_locations(after))
            code = compile(tree, file, "exec", dont_inherit=True)
            _put(parent, name, at, site)
            yield Mutant(line=line, place=place, said=said + number, code=code, lines=lines, kept=kept)


def _inside(node: ast.AST) -> Iterator[tuple[str, int | None, ast.AST]]:
    for name, value in ast.iter_fields(node):
        if isinstance(value, ast.AST):
            yield name, None, value
        elif isinstance(value, list):
            yield from ((name, at, inner) for at, inner in enumerate(value) if isinstance(inner, ast.AST))


def _put(parent: ast.AST, name: str, at: int | None, node: ast.AST) -> None:
    if at is None:
        setattr(parent, name, node)
    else:
        getattr(parent, name)[at] = node


def _where(site: ast.AST, around: Mapping[int, tuple[ast.AST, str, int | None]]) -> tuple[str, range, bool]:
    """The place of a node, the lines that run when its statement does, and whether what they give is kept."""
    names: list[str] = []
    inside: ast.AST | None = None
    statement: ast.stmt | None = None
    function: ast.FunctionDef | None = None
    node = site
    while not isinstance(node, ast.Module):
        if statement is None and isinstance(node, ast.stmt):
            statement = node
        parent, name, _ = around[id(node)]
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            names.insert(0, node.name)
            if isinstance(node, ast.FunctionDef) and node is not inside:
                function, inside = node, None
        node = parent
        if isinstance(node, ast.FunctionDef) and name == "args":
            inside = node  # a default: made when the module is loaded
    if function is None or inside is not None or statement is None:
        return ".".join(names) or _target(site, around), range(0), False
    last = statement.end_lineno or statement.lineno
    body = getattr(statement, "body", None)
    if isinstance(body, list) and body:
        last = max(statement.lineno, body[0].lineno - 1)
    kept = any("cache" in ast.unparse(each) for each in function.decorator_list)
    return ".".join(names), range(statement.lineno, last + 1), kept


def _target(site: ast.AST, around: Mapping[int, tuple[ast.AST, str, int | None]]) -> str:
    """The name that a statement of the module gives a value."""
    node = site
    while not isinstance(around[id(node)][0], ast.Module):
        node = around[id(node)][0]
    targets = node.targets if isinstance(node, ast.Assign) else [getattr(node, "target", node)]
    return ast.unparse(targets[0])


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
    return 2 if isinstance(node, ast.If | ast.IfExp) else 1


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
    if isinstance(made, ast.Expr | ast.Continue | ast.Break):
        return _left_out(made)
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
        case ast.If() | ast.While():
            made.test = ast.Constant(value=change == 1)
        case ast.IfExp():
            made.test = ast.Constant(value=change == 1)
        case ast.comprehension():
            del made.ifs[change]
        case ast.Return():
            made.value = ast.Constant(value=None)
        case _:
            return False
    return True


def _left_out(made: ast.stmt) -> ast.stmt | None:
    """Another step, or none: what is yielded is not, what is called is not."""
    if isinstance(made, ast.Expr):
        return None if isinstance(made.value, ast.Constant) else ast.Pass()
    return ast.Break() if isinstance(made, ast.Continue) else ast.Continue()


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
    if isinstance(node, ast.If | ast.While):
        return f"{'if' if isinstance(node, ast.If) else 'while'} {ast.unparse(node.test)}"
    if isinstance(node, ast.comprehension):
        return f"for {ast.unparse(node.target)} in {ast.unparse(node.iter)}" + "".join(
            f" if {ast.unparse(each)}" for each in node.ifs
        )
    return " ".join(ast.unparse(node).split())
