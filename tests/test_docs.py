"""The documentation says everything, in both languages (settings, commands, options, reason codes); the twins agree."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
import typer

from exchange.cli import app
from exchange.config.agreement import AgreementForm
from exchange.config.collection import CollectionForm
from exchange.config.form import Form, keys, table_of
from exchange.config.node import NodeForm
from exchange.config.peer import PeerForm

ROOT = Path(__file__).parents[1]
SOURCE = ROOT / "src" / "exchange"
GUIDES = {"fr": ROOT / "docs" / "operator-guide.fr.md", "en": ROOT / "docs" / "operator-guide.md"}
FORMS: dict[str, type[Form]] = {
    "exchange.toml": NodeForm,
    "peers/ID.toml": PeerForm,
    "agreements/ID.toml": AgreementForm,
    "collections/ALIAS.toml": CollectionForm,
}
EVERYWHERE = {"--config", "--json"}
TWINS = [
    ("README.md", "README.fr.md"),
    ("CHANGELOG.md", "CHANGELOG.fr.md"),
    ("docs/operator-guide.md", "docs/operator-guide.fr.md"),
    ("docs/peer-guide.md", "docs/peer-guide.fr.md"),
    ("docs/identity.md", "docs/identity.fr.md"),
    ("docs/policy.md", "docs/policy.fr.md"),
    ("docs/architecture.md", "docs/architecture.fr.md"),
    ("docs/taxii-conformance.md", "docs/taxii-conformance.fr.md"),
    ("docs/identity.md", "docs/identity.fr.md"),
]
PAGES = [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")]
# Rooms whose dotted words are codes that an operator may meet; others (the daemon, the commands) only pass them on.
CODED = ("policy", "sync", "model", "convert", "peers", "store")
CODE = re.compile(r"[a-z][a-z0-9_]*\.[a-z][a-z0-9_]*")
# Dotted words that are no codes: a message of a command, a file's name, a column.
NO_CODES = {"cli", "manifest", "list", "exchange", "account", "document", "statement", "json"}
COLUMNS = {"audience.number", "block.id", "listing.latest"}
LOGS = {"debug", "info", "warning", "error", "critical", "level"}
FORBIDDEN = {"utils", "helpers", "common", "manager", "handler", "service"}
CONFORMANCE = {"en": ROOT / "docs" / "taxii-conformance.md", "fr": ROOT / "docs" / "taxii-conformance.fr.md"}
REQUIREMENT = re.compile(r"^\| (\d+) \| (.+) \| (B|\d[\d.]*) \| ([\w ]+) \| (`.+`) \|$", re.MULTILINE)
IN_ENGLISH = {
    "DOIT": "MUST", "NE DOIT PAS": "MUST NOT", "DEVRAIT": "SHOULD", "NE DEVRAIT PAS": "SHOULD NOT", "PEUT": "MAY",
    "conseil": "advice", "Écart": "Differs", "Lecture": "Reading", "Précisé": "Refined",
}  # fmt: skip
OF_THE_STANDARD = (
    "3.1 3.2 3.3 3.4 3.4.1 3.5 3.6 3.6.1 3.7 3.8 3.9 4.1 4.1.1 4.2 4.2.1 4.3 4.3.1 "
    "5.1 5.1.1 5.2 5.2.1 5.3 5.3.1 5.4 5.5 5.6 5.7 5.8 5.8.1"
)
"""Sections of TAXII 2.1 in which something is required of a server."""


def guide(language: str) -> str:
    return GUIDES[language].read_text(encoding="utf-8")


def sections(text: str) -> dict[str, str]:
    """Heading → what stands below it, up to the next heading of any level."""
    parts = re.split(r"^#+ (.+)$", text, flags=re.MULTILINE)
    return dict(zip(parts[1::2], parts[2::2], strict=True))


def settings_of(form: type[Form], prefix: str = "") -> Iterator[str]:
    for name, info in keys(form).items():
        table = table_of(info)
        if table is None:
            yield prefix + name
        else:
            yield from settings_of(table, f"{prefix}{name}.")


def commands() -> Iterator[tuple[str, list[str]]]:
    """Every command as it is typed, with its options."""
    waiting = [("exchange", typer.main.get_command(app))]
    while waiting:
        name, command = waiting.pop()
        below = getattr(command, "commands", None)
        if below:
            waiting += [(f"{name} {word}", inner) for word, inner in below.items()]
        if not below or command.invoke_without_command:
            yield name, [option for each in command.params for option in each.opts if option.startswith("-")]


def codes() -> dict[str, str]:
    """Reason code → a place where it stands: every dotted word of the coded rooms that is no log event."""
    found: dict[str, str] = {}
    for room in CODED:
        for path in sorted((SOURCE / room).rglob("*.py")):
            if "migrations" in path.parts:
                continue
            tree = ast.parse(path.read_text(encoding="utf-8"))
            for node in ast.walk(tree):
                if isinstance(node, ast.Constant) and isinstance(node.value, str) and CODE.fullmatch(node.value):
                    found.setdefault(node.value, f"{path.relative_to(SOURCE)}:{node.lineno}")
            for call in (node for node in ast.walk(tree) if isinstance(node, ast.Call)):
                if isinstance(call.func, ast.Attribute) and call.func.attr in LOGS and call.args:
                    found.pop(getattr(call.args[0], "value", ""), None)
    return {c: place for c, place in found.items() if c.split(".")[0] not in NO_CODES and c not in COLUMNS}


@pytest.mark.parametrize("language", GUIDES)
@pytest.mark.parametrize("file", FORMS)
def test_every_setting_is_documented(language, file):
    below = sections(guide(language))[file]
    documented = set(re.findall(r"^\| `([a-z_.]+)` \|", below, flags=re.MULTILINE))
    assert documented == set(settings_of(FORMS[file]))


@pytest.mark.parametrize("language", GUIDES)
def test_every_command_and_option_is_documented(language):
    by_heading = sections(guide(language))
    documented = {name for name in by_heading if name.startswith("exchange ") and "toml" not in name}
    assert documented == {name for name, _ in commands()}
    for name, options in commands():
        below = by_heading[name]
        assert re.search(rf"^{name}\b", below, flags=re.MULTILINE), f"no example of {name}"
        for option in set(options) - EVERYWHERE:
            assert re.search(rf"`{option}[ `|]", below), f"{name} {option}"


@pytest.mark.parametrize("language", GUIDES)
def test_every_reason_code_is_documented(language):
    chapter = re.search(
        r"^## (?:Reason codes|Codes de raison)$(.*?)^## ", guide(language), flags=re.DOTALL | re.MULTILINE
    )
    assert chapter
    rows = re.findall(r"^\| `([a-z_]+\.[a-z0-9_]+)` \| .+ \| .+ \|$", chapter[1], flags=re.MULTILINE)
    documented = set(rows)
    assert len(documented) == len(rows), "documented twice"
    known = codes()
    assert not sorted(f"{place}: {code}" for code, place in known.items() if code not in documented)
    assert not sorted(documented - known.keys()), "documented, but no longer in the source"


def test_the_search_for_codes_finds_what_it_should():
    """The test above is worth nothing if the search comes back empty."""
    assert {"label.none", "release.agreement", "version.conflict", "gate.marking", "store.busy"} <= codes().keys()
    assert "policy.adopted" not in codes(), "a log event is no reason code"


@pytest.mark.parametrize(("english", "french"), TWINS)
def test_twins_have_the_same_shape(english, french):
    def shape(name: str) -> list[tuple[str, int]]:
        text = (ROOT / name).read_text(encoding="utf-8")
        outline, fenced = [], False
        for line in text.splitlines():
            fenced ^= line.startswith("```")
            heading = re.match(r"#+ ", line)
            if heading and not fenced:
                outline.append((heading.group(), 0))
            elif line.startswith(("| ", "- ")):
                outline.append((line[:2], line.count(" | ")))
        return outline

    assert shape(english) == shape(french)


def test_the_readmes_name_the_same_commands():
    def blocks(name: str) -> list[str]:
        return re.findall(r"```sh\n(.*?)```", (ROOT / name).read_text(encoding="utf-8"), flags=re.DOTALL)

    assert blocks("README.md") == blocks("README.fr.md")
    two, ten = blocks("README.md")
    assert two.split() == ["make", "run", "make", "test"]
    assert len(ten.splitlines()) == 10


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere(page):
    for target in re.findall(r"\]\(([^)#]+)(?:#[^)]*)?\)", page.read_text(encoding="utf-8")):
        if "://" not in target:
            assert (page.parent / target).exists(), target


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_tlp_labels_are_never_translated(page):
    for label in re.findall(r"\bTLP:[\w+]+", page.read_text(encoding="utf-8")):
        assert label.rstrip("+") in {"TLP:CLEAR", "TLP:GREEN", "TLP:AMBER", "TLP:AMBER+STRICT", "TLP:RED"}, label


def test_the_files_that_the_pages_name_are_there():
    for page in PAGES:
        for name in re.findall(
            r"`((?:src/exchange|lab|systemd|tests|docs)/[\w/.-]+)`", page.read_text(encoding="utf-8")
        ):
            assert (ROOT / name).exists(), f"{page.name}: {name}"
    for page in (ROOT / "docs" / "architecture.md", ROOT / "docs" / "architecture.fr.md"):
        for name in re.findall(r"`((?:\w+/)*\w+\.py)`", page.read_text(encoding="utf-8")):
            found = [*SOURCE.rglob(name), *ROOT.glob(name)]
            assert found, f"{page.name}: {name}"


def requirements(language: str) -> list[tuple[str, list[str], str, str, list[str]]]:
    """Each row of the conformance table: number, marks, section, level, tests; in English, but for its sentence."""
    return [
        (
            number,
            [IN_ENGLISH.get(mark, mark) for mark in re.findall(r"\*\*(.+?)\*\*", text)],
            section,
            IN_ENGLISH.get(level, level),
            re.findall(r"`(.+?)`", named),
        )
        for number, text, section, level, named in REQUIREMENT.findall(CONFORMANCE[language].read_text("utf-8"))
    ]


def collected(path: Path) -> set[str]:
    """Every test of a file, as pytest names it behind the file."""
    found = set()
    for node in ast.parse(path.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.FunctionDef):
            found.add(node.name)
        elif isinstance(node, ast.ClassDef):
            found |= {f"{node.name}::{inner.name}" for inner in node.body if isinstance(inner, ast.FunctionDef)}
    return {name for name in found if name.rpartition("::")[2].startswith("test_")}


def test_every_requirement_of_the_standard_has_its_tests():
    """The twins hold the same rows, no section that binds a server is left out, and every test named is there."""
    rows = requirements("en")
    assert rows == requirements("fr")
    assert [row[0] for row in rows] == [str(number) for number in range(1, len(rows) + 1)]
    assert not set(OF_THE_STANDARD.split()) - {row[2] for row in rows}
    assert {row[3] for row in rows} <= set(IN_ENGLISH.values())
    named = {test for row in rows for test in row[4]}
    known = {file: collected(ROOT / file) for file in {test.partition("::")[0] for test in named}}
    assert not sorted(test for test in named if test.partition("::")[2] not in known[test.partition("::")[0]])
    for language, words in (("en", ("Differs", "Reading")), ("fr", ("Écart", "Lecture"))):
        for word in words:
            told = re.search(
                rf"^- \*\*{word}\*\*.+?([\d, ]+)\.$", CONFORMANCE[language].read_text("utf-8"), re.MULTILINE
            )
            marked = [row[0] for row in rows if IN_ENGLISH.get(word, word) in row[1]]
            assert told
            assert told[1].strip().split(", ") == marked


def test_no_module_has_a_name_that_says_nothing():
    assert not [path for path in SOURCE.rglob("*.py") if path.stem in FORBIDDEN]
