"""What stix2-patterns reads in a pattern, as a tree of ours: the parse tree of its grammar, walked by its visitor."""

from __future__ import annotations

import re
from typing import Any

from stix2patterns.v21.grammars.STIXPatternVisitor import STIXPatternVisitor
from stix2patterns.v21.pattern import Pattern as TheirPattern

from exchange.model.pattern import Comparison, Constant, Joined, Observation, Path, Pattern, Qualified, Qualifier

KINDS = {"h": "hex", "b": "binary", "t": "timestamp", "'": "string"}


def tree_of(text: str) -> Pattern:
    """The tree that stix2-patterns finds; raises its ParseException."""
    found: Pattern = TheirPattern(text).visit(_Trees())
    return found


def _string(literal: str) -> str:
    return re.sub(r"\\(.)", r"\1", literal[1:-1], flags=re.DOTALL)


def _number(literal: str) -> str:
    """Digits without a plus, idle zeros and a minus before zero."""
    sign, whole, fraction = re.fullmatch(r"([+-]?)([0-9]*)(\.[0-9]+)?", literal).groups()  # type: ignore[union-attr]
    value = (whole.lstrip("0") or "0") + ("." + (fraction[1:].rstrip("0") or "0") if fraction else "")
    return "-" + value if sign == "-" and re.search("[1-9]", value) else value


def _constant(literal: str) -> Constant:
    kind: Any = KINDS.get(literal[0])
    if literal in ("true", "false"):
        return Constant("boolean", literal)
    if kind is None:
        return Constant("float" if "." in literal else "integer", _number(literal))
    if kind == "string":
        return Constant(kind, _string(literal))
    return Constant(kind, literal[2:-1].lower() if kind == "hex" else literal[2:-1])


class _Trees(STIXPatternVisitor):  # type: ignore[misc]
    """Each method gives the node of ours for a node of theirs."""

    def visitPattern(self, ctx: Any) -> Pattern:  # noqa: N802
        return Pattern(self.visit(ctx.getChild(0)))

    def _joined(self, ctx: Any) -> Any:
        if ctx.getChildCount() == 1:
            return self.visit(ctx.getChild(0))
        return Joined.of(ctx.getChild(1).getText(), (self.visit(ctx.getChild(0)), self.visit(ctx.getChild(2))))

    visitObservationExpressions = visitObservationExpressionOr = visitObservationExpressionAnd = _joined  # noqa: N815
    visitComparisonExpression = visitComparisonExpressionAnd = _joined  # noqa: N815

    def visitObservationExpressionSimple(self, ctx: Any) -> Observation:  # noqa: N802
        return Observation(self.visit(ctx.comparisonExpression()))

    def visitObservationExpressionCompound(self, ctx: Any) -> Any:  # noqa: N802
        return self.visit(ctx.observationExpressions())

    def _qualified(self, ctx: Any) -> Qualified:
        inner, qualifier = self.visit(ctx.getChild(0)), self._qualifier(ctx.getChild(1))
        if isinstance(inner, Qualified):
            return Qualified(inner.observed, (*inner.qualifiers, qualifier))
        return Qualified(inner, (qualifier,))

    visitObservationExpressionRepeated = visitObservationExpressionWithin = _qualified  # noqa: N815
    visitObservationExpressionStartStop = _qualified  # noqa: N815

    def _qualifier(self, ctx: Any) -> Qualifier:
        words = [child.getText() for child in ctx.getChildren()]
        return Qualifier(words[0], tuple(_constant(word) for word in words[1::2] if word not in ("SECONDS", "TIMES")))

    def _test(self, ctx: Any) -> Comparison:
        words = [child.getText() for child in ctx.getChildren()]
        negated = words[1] == "NOT"
        operator = {"==": "=", "<>": "!="}.get(words[-2], words[-2])
        return Comparison(self.visit(ctx.objectPath()), operator, negated, _constant(words[-1]))

    visitPropTestEqual = visitPropTestOrder = visitPropTestLike = visitPropTestRegex = _test  # noqa: N815
    visitPropTestIsSubset = visitPropTestIsSuperset = _test  # noqa: N815

    def visitPropTestSet(self, ctx: Any) -> Comparison:  # noqa: N802
        literals = [child.getText() for child in ctx.setLiteral().getChildren()][1:-1:2]
        operand = tuple(map(_constant, literals))
        return Comparison(self.visit(ctx.objectPath()), "IN", ctx.NOT() is not None, operand)

    def visitPropTestParen(self, ctx: Any) -> Any:  # noqa: N802
        return self.visit(ctx.comparisonExpression())

    def visitPropTestExists(self, ctx: Any) -> Comparison:  # noqa: N802
        return Comparison(self.visit(ctx.objectPath()), "EXISTS", ctx.NOT() is not None, None)

    def visitObjectPath(self, ctx: Any) -> Path:  # noqa: N802
        first = self._key(ctx.firstPathComponent().getText())
        rest = ctx.objectPathComponent()
        return Path(ctx.objectType().getText(), (first, *(self.visit(rest) if rest is not None else ())))

    def visitPathStep(self, ctx: Any) -> tuple[Any, ...]:  # noqa: N802
        return (*self.visit(ctx.getChild(0)), *self.visit(ctx.getChild(1)))

    def visitKeyPathStep(self, ctx: Any) -> tuple[str, ...]:  # noqa: N802
        return (self._key(ctx.getChild(1).getText()),)

    def visitIndexPathStep(self, ctx: Any) -> tuple[int | None, ...]:  # noqa: N802
        index = ctx.getChild(1).getText()
        return (None if index == "*" else int(index),)

    def _key(self, text: str) -> str:
        return _string(text) if text[0] == "'" else text
