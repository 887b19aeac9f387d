"""Whatever stands in the files, loading gives settings or a ConfigError, and its text can be shown."""

from __future__ import annotations

import json
import tempfile
from datetime import date, datetime
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from exchange.config import load
from exchange.config.agreement import AgreementForm
from exchange.config.collection import CollectionForm
from exchange.config.form import Form, example_of, keys, table_of
from exchange.config.node import NodeForm
from exchange.config.peer import PeerForm
from exchange.errors import ConfigError
from exchange.i18n import LANGUAGES, describe

TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
MOMENTS = st.datetimes(timezones=st.timezones() | st.none())
SCALARS = st.one_of(
    st.booleans(),
    st.integers(),
    st.floats(),
    st.dates(),
    MOMENTS,
    TEXT,
    st.sampled_from(["TLP:RED", "ccc", "https://[", "sqlite://@"]),
)
KEYS = TEXT.filter(bool)
VALUES = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=3), max_leaves=6
)


def toml(value: object) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str):
        return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
    if isinstance(value, datetime):
        offset = value.strftime("%z")[:5]
        return value.strftime("%Y-%m-%dT%H:%M:%S").rjust(19, "0") + (f"{offset[:3]}:{offset[3:]}" if offset else "")
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, list):
        return "[" + ", ".join(map(toml, value)) + "]"
    if isinstance(value, dict):
        return "{" + ", ".join(f"{toml(name)} = {toml(item)}" for name, item in value.items()) + "}"
    return str(value)


def document(data: dict[str, object]) -> str:
    return "".join(f"{toml(name)} = {toml(item)}\n" for name, item in data.items())


def nearly(form: type[Form]) -> st.SearchStrategy[dict[str, object]]:
    """Tables with the right keys, some of them missing, strange or holding anything."""
    known = {}
    for name, info in keys(form).items():
        table = table_of(info)
        inner = nearly(table) if table else st.just(example_of(info))
        known[name] = st.one_of(inner, st.lists(inner, max_size=2), VALUES)
    strange = st.dictionaries(KEYS, VALUES, max_size=1)
    return st.builds(dict.__or__, strange, st.fixed_dictionaries({}, optional=known))


@settings(max_examples=150, deadline=None)
@given(nearly(NodeForm), nearly(PeerForm), nearly(AgreementForm), nearly(CollectionForm), st.binary(max_size=40))
def test_loading_never_raises_anything_else(node, peer, agreement, collection, noise):
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for room in ("peers", "agreements", "collections"):
            (folder / room).mkdir()
        (folder / "exchange.toml").write_text(document(node))
        (folder / "peers/ccc.toml").write_text(document(peer))
        (folder / "peers/noise.toml").write_bytes(noise)
        (folder / "agreements/cst.toml").write_text(document(agreement))
        (folder / "collections/partners.toml").write_text(document(collection))
        try:
            load(folder)
        except ConfigError as error:
            assert error.problems
            for language in LANGUAGES:
                shown = describe(error, language)
                assert len(shown.splitlines()) == 1 + len(error.problems)
