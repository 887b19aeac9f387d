"""Help and errors of the command line are in the person's language, those of the framework (Typer) too."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import typer
from typer.core import TyperCommand, TyperGroup

from exchange.cli import app, usage
from exchange.i18n import text

ENGLISH = re.compile(
    r"\b(usage|try|error|for help|show this|exit|commands?|args|default|env var|required|dynamic|deprecated|missing"
    r"|invalid|value|no such|did you mean|possible|input|should|unable|got|unexpected|extra|takes?|must|is not"
    r"|text|integer|int|str|bool|range|path|file|folder|peer|name|object|number|asked)\b",
    re.IGNORECASE,
)
# Words that are French too, or that stand for something typed as it is, with what they belong to.
ALSO_FRENCH = re.compile(r"EXCHANGE_\w+|--?[a-z][a-z-]*|«[^»]*»|objet", re.IGNORECASE)
# A wrong line → what its first line of error must be in French.
WRONG = {
    "bidule": "La commande « bidule » n’existe pas.",
    "shwo": "La commande « shwo » n’existe pas. La plus proche : show.",
    "subscriber bidule": "La commande « bidule » n’existe pas.",
    "--bidule": "L’option --bidule n’existe pas.",
    "check --jsn": "L’option --jsn n’existe pas. La plus proche : --json.",
    "show": "Il manque OBJET.",
    "pause ccc": "Il manque --why.",
    "pause ccc --why": "L’option --why demande une valeur.",
    "check --secrets=1": "L’option --secrets ne prend pas de valeur.",
    "peers a b": "En trop sur la ligne : a b. Mettez entre guillemets ce qui contient des espaces.",
    "quarantine show abc": "NUMÉRO : il faut un nombre entier.",
    "quarantine list --most 0": "--most : il faut au moins 1.",
    "run --only x": "--only : x n’est pas permis. Choisissez parmi : sync, serve.",
}


def exchange(*line: str, language: str = "fr_CA.UTF-8") -> subprocess.CompletedProcess[str]:
    environment = {k: v for k, v in os.environ.items() if k not in {"LC_MESSAGES", "LANG", "EXCHANGE_CONFIG"}}
    # A width that folds nothing, and no colours among the words.
    environment |= {"LC_ALL": language, "PYTHONIOENCODING": "utf-8", "COLUMNS": "200", "NO_COLOR": "1"}
    for name in ("FORCE_COLOR", "PY_COLORS", "GITHUB_ACTIONS"):
        environment.pop(name, None)
    return subprocess.run(
        [sys.executable, "-m", "exchange", *line],
        env=environment, capture_output=True, text=True, encoding="utf-8", timeout=60, check=False,
    )  # fmt: skip


def every_command() -> Iterator[tuple[str, TyperCommand | TyperGroup]]:
    waiting = [("exchange", typer.main.get_command(app))]
    while waiting:
        name, command = waiting.pop()
        assert isinstance(command, TyperCommand | TyperGroup)
        yield name, command
        if isinstance(command, TyperGroup):
            waiting += [(f"{name} {word}", inner) for word, inner in command.commands.items()]


def english_in(shown: str, *typed: str) -> list[str]:
    """The framework's English words in what was shown, but for the names of commands and what was typed."""
    names = {word for name, _ in every_command() for word in name.split()}
    rest = ALSO_FRENCH.sub(" ", shown)
    return [found for found in ENGLISH.findall(rest) if found not in names and found not in typed]


@pytest.mark.parametrize("line", ["--help", "import --help", "subscriber --help", "quarantine list --help"])
def test_help_is_in_french(line: str) -> None:
    done = exchange(*line.split())
    assert (done.returncode, done.stderr) == (0, "")
    assert "Utilisation\N{NO-BREAK SPACE}: exchange" in done.stdout
    assert "Montrer cette aide." in done.stdout
    assert english_in(done.stdout) == []


def test_how_a_day_is_written_is_told_where_only_a_day_will_do() -> None:
    told = exchange("ledger", "--help").stdout
    assert told.count("AAAA-MM-JJ ") == 2 and "MOMENT" not in told and "YYYY" not in told


def test_no_command_is_the_help(tmp_path: Path) -> None:
    """It is a wrong line, and nothing is said twice."""
    done = exchange()
    assert done.returncode == 2
    assert done.stdout.count("Utilisation\N{NO-BREAK SPACE}: exchange") == 1
    assert done.stderr == ""


@pytest.mark.parametrize("line", ["check --jsn", "import --source"])
def test_an_error_is_in_french_and_says_what_to_do(line: str) -> None:
    done = exchange(*line.split())
    assert (done.returncode, done.stdout) == (2, "")
    assert "--help`." in done.stderr.splitlines()[-1]
    assert english_in(done.stderr, *line.split()) == []


def test_english_stays_english() -> None:
    done = exchange("peers", "a", language="en_CA.UTF-8")
    assert done.returncode == 2
    assert done.stderr.splitlines() == [
        "Too much on the line: a. Put in quotes what has spaces in it.",
        "Usage: exchange peers [OPTIONS]",
        "For help: `exchange peers --help`.",
    ]


@pytest.mark.parametrize("line", WRONG)
def test_each_form_of_error_is_known(line: str) -> None:
    """What this release of Typer says of each wrong line is one of the forms for which we have words."""
    with pytest.raises(typer.TyperException) as caught:
        app(line.split(), prog_name="exchange", standalone_mode=False)
    error = usage.in_our_words(caught.value.format_message())
    assert error.code != "cli.usage.other", caught.value.format_message()
    shown = text(error.code, "fr", **error.fields)
    # The names of values come from the language of this process, not from the test's.
    for code in set(usage.VALUES.values()):
        shown = re.sub(rf"\b{re.escape(text(code, 'en'))}\b", text(code, "fr"), shown)
    assert shown.replace("\N{NO-BREAK SPACE}", " ") == WRONG[line]


def test_an_unknown_form_of_error_is_still_shown() -> None:
    error = usage.in_our_words("Something new in Typer.")
    assert "Something new in Typer." in text(error.code, "fr", **error.fields)


def test_every_value_has_a_name() -> None:
    """No help shows the type that a value becomes (`<str>`) where it could name what to type."""
    unnamed = [
        f"{name} {param.name}"
        for name, command in every_command()
        for param in command.params
        if param.metavar is None and not param.type_descriptor.is_choice
    ]
    assert unnamed == []
