"""Both languages say everything, in the same fields; and every message id that the source uses has its text."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from string import Formatter

import pytest
from babel.messages.pofile import read_po

from exchange import errors, i18n

SOURCE = Path(i18n.__file__).parents[1]
CATALOGUES = Path(i18n.__file__).parent
ROOMS = sorted({path.name for path in CATALOGUES.glob("*/*.po")})

# Calls whose first positional argument (or `code=`) is a message id. The classes of exchange.errors and those that
# the source derives from them are added by `error_names`.
CALLS = {"problem", "text", "knows", "wrong"}
# Message ids of these rooms are used by nothing but the source: one without a use is dead text.
ALL_USED = {"config"}
# Names that `text` and the errors take for themselves.
RESERVED = {"code", "language"}
MESSAGE_ID = re.compile(r"[a-z][a-z0-9_-]*(\.[a-z0-9_]+)+")


def messages(language: str, room: str) -> dict[str, str]:
    path = CATALOGUES / language / room
    if not path.exists():
        return {}
    with path.open("rb") as stream:
        catalogue = read_po(stream, locale=language, abort_invalid=True)
    return {str(message.id): str(message.string) for message in catalogue if message.id}


def fields(text: str) -> set[str]:
    return {name for _, name, _, _ in Formatter().parse(text) if name is not None}


EVERY = {room: {language: messages(language, room) for language in i18n.LANGUAGES} for room in ROOMS}
KNOWN = {code: text for room in ROOMS for code, text in EVERY[room]["en"].items()}


@dataclass(frozen=True)
class Use:
    """One place in the source where a message id stands."""

    place: str
    code: str
    given: frozenset[str] | None
    """The fields that are given with it; None: not to be told from the source."""


def error_names(trees: dict[Path, ast.Module]) -> set[str]:
    """The error classes of the house whose first argument is a message id, by name."""
    own = {
        name for name, kind in vars(errors).items() if isinstance(kind, type) and issubclass(kind, errors.ExchangeError)
    }
    own.discard("ConfigError")  # it is given problems
    while True:
        derived = {
            node.name
            for tree in trees.values()
            for node in ast.walk(tree)
            if isinstance(node, ast.ClassDef) and any(last_name(base) in own for base in node.bases)
        }
        if derived <= own:
            return own
        own |= derived


def last_name(node: ast.expr) -> str:
    return node.id if isinstance(node, ast.Name) else node.attr if isinstance(node, ast.Attribute) else ""


def literals(node: ast.expr | None) -> Iterator[str]:
    """The strings that an argument may be: a literal, or either side of `a if … else b`."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        yield node.value
    elif isinstance(node, ast.IfExp):
        yield from literals(node.body)
        yield from literals(node.orelse)


def calls(tree: ast.Module, names: set[str]) -> Iterator[tuple[ast.Call, str]]:
    """Calls that take a message id, each with every literal id that it is given."""
    for node in ast.walk(tree):
        if not isinstance(node, ast.Call):
            continue
        keyword = next((each.value for each in node.keywords if each.arg == "code"), None)
        if last_name(node.func) in names and (node.args or keyword):
            argument = node.args[0] if node.args else keyword
        elif last_name(node.func) == "super" or keyword is None:
            continue
        else:
            argument = keyword
        for code in literals(argument):
            if MESSAGE_ID.fullmatch(code):
                yield node, code


def uses() -> list[Use]:
    trees = {path: ast.parse(path.read_text(encoding="utf-8")) for path in sorted(SOURCE.rglob("*.py"))}
    names = CALLS | error_names(trees)
    found = []
    for path, tree in trees.items():
        for call, code in calls(tree, names):
            open_ended = any(each.arg is None for each in call.keywords) or last_name(call.func) in {"knows", "Problem"}
            given = None if open_ended else frozenset(each.arg for each in call.keywords if each.arg)
            found.append(Use(f"{path.relative_to(SOURCE)}:{call.lineno}", code, given))
    return found


USES = uses()


def all_literals() -> set[str]:
    return {
        node.value
        for path in SOURCE.rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
    }


@pytest.mark.parametrize("room", ROOMS)
def test_both_languages_say_the_same_things(room):
    french, english = EVERY[room]["fr"], EVERY[room]["en"]
    assert set(french) == set(english)
    assert {code: fields(text) for code, text in french.items()} == {
        code: fields(text) for code, text in english.items()
    }


@pytest.mark.parametrize("room", ROOMS)
@pytest.mark.parametrize("language", i18n.LANGUAGES)
def test_every_text_can_be_shown(language, room):
    with (CATALOGUES / language / room).open("rb") as stream:
        for message in read_po(stream, locale=language, abort_invalid=True):
            if message.id:
                assert message.string.strip(), f"{language}: {message.id} has no text"
                assert not message.fuzzy, f"{language}: {message.id} is marked as unsure"
                assert not fields(message.string) & RESERVED, f"{language}: {message.id} uses a reserved field"
                assert MESSAGE_ID.fullmatch(message.id), f"{language}: {message.id} is no stable message id"


def test_a_message_id_stands_in_one_catalogue_only():
    owner: dict[str, str] = {}
    for room in ROOMS:
        for code in EVERY[room]["fr"]:
            assert owner.setdefault(code, room) == room, f"{code} is in {owner[code]} and in {room}"


def test_tlp_labels_are_the_same_in_every_language():
    label = re.compile(r"TLP:[A-Z+]+")
    for room in ROOMS:
        for code, text in EVERY[room]["fr"].items():
            assert sorted(label.findall(text)) == sorted(label.findall(EVERY[room]["en"][code])), code


def test_every_message_id_in_the_source_has_its_text():
    missing = sorted(f"{use.place}: {use.code}" for use in USES if use.code not in KNOWN)
    assert not missing, "no text for\n" + "\n".join(missing)


def test_every_use_gives_the_fields_that_its_text_shows():
    lacking = sorted(
        f"{use.place}: {use.code} lacks {sorted(absent)}"
        for use in USES
        if use.given is not None and use.code in KNOWN and (absent := fields(KNOWN[use.code]) - use.given)
    )
    assert not lacking, "\n".join(lacking)


def test_no_text_is_dead():
    written = all_literals()
    dead = sorted(code for code in KNOWN if code.split(".")[0] in ALL_USED and code not in written)
    assert not dead, f"no use for {dead}"


def test_the_search_finds_what_it_should():
    """The tests above are worth nothing if the search comes back empty."""
    tree = ast.parse("""
class Own(PeerError): ...
Own("peer.own", peer=1); errors.NotFound(code="request.gone"); ValueError("not.ours")
problem("a.b" if x else "a.c", file, key, **fields); log.info("sync.started"); Row(code="store.row")
""")
    names = CALLS | error_names({Path("x.py"): tree})
    assert "Own" in names
    assert {code for _, code in calls(tree, names)} == {"peer.own", "request.gone", "a.b", "a.c", "store.row"}
    assert len({use.code for use in USES if use.code.startswith("config.")}) > 70


@pytest.mark.parametrize("language", i18n.LANGUAGES)
def test_texts_and_fields(language):
    assert i18n.knows("config.bad_size", language)
    assert "5 gigs" in i18n.text("config.bad_size", language, value="5 gigs")
    assert i18n.text("config.bad_size", language).count("{value}") == 1
    assert i18n.text("no.such.message", language) == "no.such.message"


@pytest.mark.parametrize(
    ("environment", "language"),
    [({"LANG": "fr_CA.UTF-8"}, "fr"), ({"LC_ALL": "en_CA.UTF-8", "LANG": "fr_CA"}, "en"), ({}, "en")],
)
def test_the_language_of_the_terminal(environment, language):
    assert i18n.of_terminal(environment) == language
