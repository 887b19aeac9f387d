"""What MISP calls things, as an operator writes it in an agreement: attribute types, categories, object templates."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated, Any

from pydantic import PlainValidator

from exchange.config.problems import near, shown
from exchange.config.values import wrong
from exchange.convert.attributes import known
from exchange.model.misp import CATEGORY, TEMPLATE, TYPE


def _among(value: object, names: Iterable[str]) -> str:
    text = value if isinstance(value, str) else ""
    if text in names:
        return text
    meant = near(text, names, likeness=0.7)
    if meant:
        raise wrong("config.bad_misp_near", value=shown(value), near=meant)
    raise wrong("config.bad_misp", value=shown(value))


def _type(value: object) -> str:
    return _among(value, known()[0])


def _category(value: object) -> str:
    return _among(value, known()[1])


def _template(value: object) -> str:
    """Any name: communities have templates of their own."""
    if not isinstance(value, str) or not value.strip() or not value.isprintable():
        raise wrong("config.bad_template", value=shown(value))
    return value


MispType = Annotated[str, PlainValidator(_type)]
MispCategory = Annotated[str, PlainValidator(_category)]
MispTemplate = Annotated[str, PlainValidator(_template)]


def words(send: Any, prefix: str) -> frozenset[str]:
    """What `misp_types` and its like, or those behind `prefix`, come to in the words of `Label.kinds`."""
    named = {"types": TYPE, "categories": CATEGORY, "templates": TEMPLATE}
    return frozenset(
        word + said for name, word in named.items() for said in getattr(send, f"{prefix}misp_{name}") or ()
    )
