"""How commands are typed: Typer's help pages and errors, in the person's language and our words.

Typer has its panel titles as constants and the rest of its English in its code, so each goes by the door that Typer
leaves open for it: the constants, a class for commands and one for groups, and the errors that it raises when it is
not to print them itself. An error whose form we do not know is shown in Typer's words.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable
from typing import Any

import typer
from rich.markup import escape
from typer import rich_utils
from typer.core import TyperArgument, TyperCommand, TyperGroup, TyperOption

from exchange.cli.terminal import complain, err, say
from exchange.errors import UsageError

VALUES = {
    "after": "cli.usage.place",
    "cases": "cli.usage.count",
    "asked": "cli.usage.object",
    "basis": "cli.usage.text",
    "code": "cli.usage.name",
    "collection": "cli.usage.name",
    "chosen": "cli.usage.template",
    "data": "cli.usage.folder",
    "file": "cli.usage.file",
    "folder": "cli.usage.folder",
    "hours": "cli.usage.count",
    "most": "cli.usage.count",
    "name": "cli.usage.name",
    "named": "cli.usage.name",
    "number": "cli.usage.number",
    "one": "cli.usage.object",
    "other": "cli.usage.object",
    "parties": "cli.usage.peer",
    "peer": "cli.usage.peer",
    "since": "cli.usage.time",
    "seed": "cli.usage.number",
    "source": "cli.usage.source",
    "stix_id": "cli.usage.object",
    "value": "cli.usage.value",
    "who": "cli.usage.name",
    "why": "cli.usage.text",
}
"""Parameter → what to put in its place."""

_FORMS = {
    "YYYY-MM-DD": "cli.usage.day",
    "YYYY-MM-DD[THH:MM]": "cli.usage.day_or_moment",
    "PEER|AGREEMENT": "cli.usage.peer_or_agreement",
    "STIX-ID": "cli.usage.stix_id",
}
"""How a value is written, where that is told in place of what it is."""

_ERRORS = (
    (r"Missing command\.", "cli.usage.no_command"),
    (r"Missing (?:argument|option) '(?P<name>.+?)'\..*", "cli.usage.missing"),
    (r"No such command '(?P<name>.*)'\. Did you mean (?P<near>.+)\?", "cli.usage.near_command"),
    (r"No such command '(?P<name>.*)'\.", "cli.usage.unknown_command"),
    (r"No such option: (?P<name>.+) \(Possible options: (?P<near>.+)\)", "cli.usage.near_option"),
    (r"No such option: (?P<name>.+)", "cli.usage.unknown_option"),
    (r"Option '(?P<name>.+)' requires an argument\.", "cli.usage.no_value"),
    (r"Option '(?P<name>.+)' does not take a value\.", "cli.usage.no_value_wanted"),
    (r"Got unexpected extra argument\(s\) \((?P<name>.*)\)", "cli.usage.too_many"),
    (r"Invalid value for '(?P<name>.+?)': Input should be a valid integer.*", "cli.usage.not_a_number"),
    (
        r"Invalid value for '(?P<name>.+?)': Input should be greater than or equal to (?P<least>\S+)",
        "cli.usage.too_small",
    ),
    (r"Invalid value for '(?P<name>.+?)': Value error, (?P<value>.+) is not one of (?P<near>.+)\.", "cli.usage.choice"),
)
"""What Typer says of a command line that is wrong, and our words for it."""


class Command(TyperCommand):
    """A command whose help is in our words."""

    def __init__(self, name: str | None, **settings: Any) -> None:
        super().__init__(name, **settings)
        _name_values(self.params)

    def format_usage(self, ctx: Any, formatter: Any) -> None:
        """The line that shows how the command is typed."""
        formatter.write_usage(ctx.command_path, " ".join(self.collect_usage_pieces(ctx)), say("cli.usage.usage") + " ")

    def get_help_option(self, ctx: Any) -> TyperOption | None:
        """The option `--help`."""
        return _named(super().get_help_option(ctx))


class Group(TyperGroup):
    """A group of commands whose help is in our words."""

    def __init__(self, **settings: Any) -> None:
        super().__init__(**settings)
        self.subcommand_metavar = say("cli.usage.command")
        _name_values(self.params)

    def format_usage(self, ctx: Any, formatter: Any) -> None:
        """The line that shows how the command is typed."""
        formatter.write_usage(ctx.command_path, " ".join(self.collect_usage_pieces(ctx)), say("cli.usage.usage") + " ")

    def get_help_option(self, ctx: Any) -> TyperOption | None:
        """The option `--help`."""
        return _named(super().get_help_option(ctx))


def speak(app: typer.Typer) -> None:
    """Have every command and group of `app` speak the person's language."""
    rich_utils.ARGUMENTS_PANEL_TITLE = say("cli.usage.arguments")
    rich_utils.OPTIONS_PANEL_TITLE = say("cli.usage.options")
    rich_utils.COMMANDS_PANEL_TITLE = say("cli.usage.commands")
    rich_utils.REQUIRED_LONG_STRING = f"[{say('cli.usage.required')}]"
    rich_utils.DEFAULT_STRING = f"[{say('cli.usage.default', value='{}')}]"
    rich_utils.ENVVAR_STRING = f"[{say('cli.usage.variable', name='{}')}]"
    _dress(app)


def run(app: typer.Typer) -> None:
    """Do what the command line says; one that is wrong is told as every other error is, with Typer's exit code."""
    try:
        code = app(prog_name="exchange", standalone_mode=False)
    except typer.TyperException as error:
        if error.format_message():  # nothing: no command was named, and the help is on the screen already
            complain(in_our_words(error.format_message()))
            _show_way_out(getattr(error, "ctx", None))
        sys.exit(error.exit_code)
    sys.exit(code)


def in_our_words(message: str) -> UsageError:
    """What Typer says of a wrong command line, as an error of ours."""
    for form, code in _ERRORS:
        if found := re.fullmatch(form, message, re.DOTALL):
            return UsageError(code, **{name: value.replace("'", "") for name, value in found.groupdict().items()})
    return UsageError("cli.usage.other", message=message)


def _show_way_out(ctx: Any) -> None:
    if ctx is not None:
        err.print(escape(ctx.get_usage()), soft_wrap=True)
    command = "exchange" if ctx is None else ctx.command_path
    err.print(escape(say("cli.usage.see_help", command=command)), soft_wrap=True)


def _dress(app: typer.Typer) -> None:
    app.info.cls = Group
    for command in app.registered_commands:
        command.cls = Command
    for group in app.registered_groups:
        if group.typer_instance is not None:
            _dress(group.typer_instance)


def _name_values(params: Iterable[Any]) -> None:
    """Have the help name what to type after an option or in an argument's place, not the type that it becomes."""
    for param in params:
        if isinstance(param, TyperOption) and param.is_flag:
            param.metavar = ""
        elif told := _FORMS.get(param.metavar or "", VALUES.get(param.name, "")):
            param.metavar = say(told)
        if isinstance(param, TyperArgument):
            param.display_type_rich = _no_type  # type: ignore[method-assign]


def _no_type(ctx: Any) -> None:
    """Nothing beside an argument's name: the name says what it is."""


def _named(option: TyperOption | None) -> TyperOption | None:
    if option is not None:
        option.help, option.metavar = say("cli.usage.help"), ""
    return option
