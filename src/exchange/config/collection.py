"""`collections/ALIAS.toml`: what subscribers read and write."""

from __future__ import annotations

from collections.abc import Iterator

from pydantic import Field

from exchange.config.form import Form
from exchange.config.problems import listed, problem
from exchange.config.values import Languages, StixType, TlpLevel, Uuid
from exchange.errors import Problem
from exchange.model.marking import Tlp
from exchange.model.party import Collection, Duplicates

FOLDER = "collections"


class CollectionForm(Form):
    """The whole of `collections/ALIAS.toml`; an absent ceiling is the safe choice, TLP:CLEAR."""

    id: Uuid = Field(examples=["0c6b5f0a-6f2d-4c35-9a57-3a5f0e7d9b11"])
    title: Languages = Field(examples=[{"fr": "Partenaires", "en": "Partners"}])
    description: Languages | None = Field(
        default=None, examples=[{"fr": "Pour nos partenaires", "en": "For our partners"}]
    )
    readers: list[str] = Field(default=[], examples=[["ccc"]])
    writers: list[str] = Field(default=[], examples=[["ccc"]])
    ceiling: TlpLevel = Field(default=Tlp.CLEAR, examples=["TLP:GREEN"])
    types: list[StixType] | None = Field(default=None, min_length=1, examples=[["indicator", "sighting"]])
    duplicates: Duplicates = Field(default="list", examples=["list"])
    read_back: bool = Field(default=True, examples=[False])
    only_posted: bool = Field(default=False, examples=[True])


def mistakes(form: CollectionForm, file: str) -> Iterator[Problem]:
    """What is wrong between the keys of the file."""
    if form.duplicates == "fold" and form.writers:
        yield problem("config.fold_with_writers", file, "duplicates", writers=listed(form.writers))
    if form.only_posted and not form.writers:
        yield problem("config.only_posted_by_nobody", file, "only_posted")


def build(alias: str, form: CollectionForm) -> Collection:
    """The collection."""
    return Collection(
        id=form.id,
        alias=alias,
        title=form.title,
        description=form.description or {},
        readers=tuple(form.readers),
        writers=tuple(form.writers),
        ceiling=form.ceiling,
        types=frozenset(form.types) if form.types else None,
        duplicates=form.duplicates,
        read_back=form.read_back,
        only_posted=form.only_posted,
    )
