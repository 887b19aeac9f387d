"""Both languages say everything, in the same fields; and every message id that the source uses has its text."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from string import Formatter
from typing import get_args

import pytest
from babel.messages.pofile import read_po

from exchange import errors, i18n
from exchange.cli import COMMANDS
from exchange.cli.inquiry import FACTS
from exchange.policy import Basis, Verdict
from exchange.policy.transform import ANONYMOUS, GRANULAR, PERSONAL, REDACT
from exchange.sync.effects import Turning
from exchange.sync.proof import LAWS

SOURCE = Path(i18n.__file__).parents[1]
CATALOGUES = Path(i18n.__file__).parent
ROOMS = sorted({path.name for path in CATALOGUES.glob("*/*.po")})

# Calls whose first positional argument (or `code=`) is a message id. The classes of exchange.errors and those that
# the source derives from them are added by `error_names`.
CALLS = {"problem", "text", "knows", "wrong", "say", "tell"}
LEVELS = {"debug", "info", "warning", "error", "critical", "exception"}
# Message ids of these catalogues are used by nothing but the source: one without a use is dead text.
ALL_USED = {"cli.po", "config.po", "facts.po", "log.po", "reason.po", "store.po"}
# In these rooms every literal of the form of a message id is one, or names an event or a file.
REASON_ROOMS = ("convert", "peers", "policy", "sync")
FILE_NAMES = {"manifest.json", "manifest.json.gz"}
# Names that `text` and the errors take for themselves.
RESERVED = {"code", "language"}
OF_THE_LOG = {"level", "timestamp", "event"}
"""What every line of the log has besides: a text of ours that needs one of these would be left unsaid."""
MESSAGE_ID = re.compile(r"[a-z][a-z0-9_-]*(\.[a-z0-9_]+)+")
BEGINNING = re.compile(r"[a-z]+\.([a-z_]+\.?)*")


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


def returned(path: str, *functions: str) -> set[str]:
    """The words (no message ids) that these functions of a source file return."""
    tree = ast.parse((SOURCE / path).read_text(encoding="utf-8"))
    return {
        word
        for function in ast.walk(tree)
        if isinstance(function, ast.FunctionDef) and function.name in functions
        for node in ast.walk(function)
        if isinstance(node, ast.Return)
        for word in literals(node.value)
        if word
    }


def literals(node: ast.expr | None) -> Iterator[str]:
    """The strings that an argument may be: a literal, or either side of `a if … else b` or of `a or b`."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        yield node.value
    elif isinstance(node, ast.IfExp):
        yield from literals(node.body)
        yield from literals(node.orelse)
    elif isinstance(node, ast.BoolOp):
        for value in node.values:
            yield from literals(value)


PULLED = returned("sync/pull.py", "barrier", "_drain")
PUSHED = returned("sync/push.py", "_empty") | returned("sync/handing.py", "hand_over")
STATES = returned("sync/overview.py", "state_of") | PULLED | PUSHED | {"paused", "failed", "lease_lost", "broken_off"}
COUNTS = (
    {"stored", "known", "touch", "conflict", "rejected", "skipped"}  # sync.accept
    | {"accepted", "refused", "pending", "stopped", "withdrawn", "delivered"}  # sync.push, the outbox and the ledger
    | {"lost", "recall", "recalled"}  # sync.handing
    | {"taken", "waiting"}  # sync.retrial
    | {"listed", "missing", "fetched", "vanished", "sent_again"}  # sync.reconcile
    # sync.events, of what is not in an event as its creator said it
    | {"convert.joined", "convert.uuid", "convert.uuid_again", "convert.label_not_carried", "convert.no_form"}
    | {"convert.name_only", "convert.untrue_extension"}
)
ALTERATIONS = {ANONYMOUS, GRANULAR, PERSONAL, REDACT}
# Message ids that the source puts together: their beginning → every ending there is.
FORMED = {
    "cli.": {"in", "out", "collection", "target"} | {f"{name}.help" for name, _, _ in COMMANDS},
    "cli.column.": {"where", "state", "lag", "outcome", "succeeded", "moved", "counts", "held", "quarantine", "next"}
    | {"at", "peer", "object", "agreement", "version", "who", "why", "files"},
    "cli.plan.file_": {"added", "removed", "changed", "rewritten"},
    "cli.ledger.": {"offered", "delivered", "accepted", "refused", "recalled", "notice", "told", "taken"},
    "cli.erase.state_": {"asked", "approved", "erased", "dropped"},
    "cli.plan.turn_": set(get_args(Turning)),
    "cli.plan.bared.": ALTERATIONS,
    "cli.plan.altered.": ALTERATIONS,
    "cli.widen.state_": {"asked", "widened", "ended"},
    "cli.ledger.name.": {"handed", "fetched", "anchor", "widened"},
    "register.": {"recipient", "nature", "purpose", "basis", "reason", "period", "how", "widened"},
    "cli.profile.": set(FACTS),
    "cli.prove.law.": set(LAWS),
    "cli.handout.": {"curl", "misp", "opencti", "sentinel"},
    "cli.review.": {"equal", "subdomain", "part", "expression", "inside", "contains", "overlaps"},
    "count.": COUNTS,
    "state.": STATES,
    "verdict.": set(Verdict),
}
OPEN = {
    "request.title_",  # asked for with `knows` first
    "log.",  # the events, below
}
# Events that the source puts together, and the fields that they come with.
FORMED_EVENTS = {
    **{f"{verb}.done": {"peer", "key", "counts"} for verb in ("pull", "push")},
    **{f"{verb}.failed": {"peer", "key", "error"} for verb in ("pull", "push")},
    **{f"pull.{outcome}": {"peer", "key"} for outcome in PULLED - {"complete"}},
    **{f"push.{outcome}": {"peer", "key"} for outcome in PUSHED - {"complete"}},
    **{f"brake.{event}": {"peer", "directions", "who", "why"} for event in ("pulled", "released")},
}
FORMING_FILES = {"log.py", "cli/brake.py", "sync/pull.py"}


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
            for node in nodes(tree)
            if isinstance(node, ast.ClassDef) and any(last_name(base) in own for base in node.bases)
        }
        if derived <= own:
            return own
        own |= derived


def last_name(node: ast.expr) -> str:
    return node.id if isinstance(node, ast.Name) else node.attr if isinstance(node, ast.Attribute) else ""


def calls(tree: ast.Module, names: set[str]) -> Iterator[tuple[ast.Call, str]]:
    """Calls that take a message id, each with every literal id that it is given."""
    for node in nodes(tree):
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


def given_fields(call: ast.Call) -> frozenset[str] | None:
    """The fields that a call gives beside the message id; None: not to be told from the source."""
    names = {each.arg for each in call.keywords}
    held = next((each.value for each in call.keywords if each.arg == "fields"), None)
    if isinstance(held, ast.Dict) and all(isinstance(key, ast.Constant) for key in held.keys):
        return frozenset(str(key.value) for key in held.keys if isinstance(key, ast.Constant))
    if held is not None or None in names or last_name(call.func) in {"knows", "Problem"}:
        return None
    return frozenset(name for name in names if name)


@cache
def trees() -> dict[Path, ast.Module]:
    """The whole source: only whoever runs these tests reads it, not everyone who collects them."""
    return {path: ast.parse(path.read_text(encoding="utf-8")) for path in sorted(SOURCE.rglob("*.py"))}


@cache
def nodes(tree: ast.AST) -> list[ast.AST]:
    """All that is in it; it is searched for many things."""
    return list(ast.walk(tree))


def foreign(tree: ast.Module) -> set[str]:
    """Names of ours that a module takes from SQLAlchemy instead, whose `text` is no message."""
    return {
        alias.asname or alias.name
        for node in nodes(tree)
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("sqlalchemy")
        for alias in node.names
    }


def uses() -> list[Use]:
    names = CALLS | error_names(trees())
    found = []
    for path, tree in trees().items():
        # A function of that name that a module makes for itself may give more fields than its callers do.
        own = {node.name for node in nodes(tree) if isinstance(node, ast.FunctionDef)}
        for call, code in calls(tree, names - foreign(tree)):
            given = None if last_name(call.func) in own else given_fields(call)
            found.append(Use(f"{path.relative_to(SOURCE)}:{call.lineno}", code, given))
    return found


def columns() -> list[Use]:
    """The message ids that stand as titles of a table's columns."""
    return [
        Use(f"{path.relative_to(SOURCE)}:{call.lineno}", code, frozenset())
        for path, tree in trees().items()
        for call in nodes(tree)
        if isinstance(call, ast.Call) and last_name(call.func) == "show_table" and isinstance(call.args[0], ast.Tuple)
        for title in call.args[0].elts
        for code in literals(title)
    ]


def events(tree: ast.Module) -> Iterator[tuple[ast.Call, str | None]]:
    """Calls that log an event, each with its name; None: it is put together."""
    for node in nodes(tree):
        if not isinstance(node, ast.Call) or not node.args:
            continue
        functions = [node.func.body, node.func.orelse] if isinstance(node.func, ast.IfExp) else [node.func]
        if any(isinstance(function, ast.Attribute) and _logs(function) for function in functions):
            first = node.args[0]
            yield node, first.value if isinstance(first, ast.Constant) else None


def _logs(function: ast.Attribute) -> bool:
    owner = function.value
    if isinstance(owner, ast.Call):
        return last_name(owner.func) == "get_logger" and function.attr in LEVELS
    return last_name(owner) in {"log", "logger"} and function.attr in LEVELS | {"record"}


@cache
def logged() -> list[Use]:
    """Every event that is logged, under the message id of its sentence."""
    found = [Use("put together", f"log.{event}", frozenset(given)) for event, given in FORMED_EVENTS.items()]
    for path, tree in trees().items():
        for call, event in events(tree):
            if event is not None:
                found.append(Use(f"{path.relative_to(SOURCE)}:{call.lineno}", f"log.{event}", given_fields(call)))
    return found


def beginnings() -> Iterator[tuple[str, str]]:
    """Where the source puts a message id together, and the beginning that stands there."""
    for path, tree in trees().items():
        if path.relative_to(SOURCE).parts[0] == "config":
            continue  # keys of the configuration are put together there, and no message ids
        for node in nodes(tree):
            first = None
            if isinstance(node, ast.JoinedStr) and len(node.values) > 1:
                first = node.values[0]
            elif isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add):
                first = node.left
            if isinstance(first, ast.Constant) and BEGINNING.fullmatch(str(first.value)):
                yield f"{path.relative_to(SOURCE)}:{node.lineno}", str(first.value)


@cache
def all_uses() -> list[Use]:
    return uses() + columns() + logged()


def all_literals(*rooms: str) -> dict[str, str]:
    """Every string of the source, or of some of its rooms, and one place where it stands."""
    return {
        node.value: f"{path.relative_to(SOURCE)}:{node.lineno}"
        for path, tree in trees().items()
        if not rooms or path.relative_to(SOURCE).parts[0] in rooms
        for node in nodes(tree)
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


@pytest.mark.parametrize("language", i18n.LANGUAGES)
def test_no_line_of_the_log_needs_what_the_log_itself_fills(language):
    assert {code for code, text in EVERY["log.po"][language].items() if fields(text) & OF_THE_LOG} == set()


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
    missing = sorted(f"{use.place}: {use.code}" for use in all_uses() if use.code not in KNOWN)
    assert not missing, "no text for\n" + "\n".join(missing)


def test_every_use_gives_the_fields_that_its_text_shows():
    lacking = sorted(
        f"{use.place}: {use.code} lacks {sorted(absent)}"
        for use in all_uses()
        if use.given is not None and use.code in KNOWN and (absent := fields(KNOWN[use.code]) - use.given)
    )
    assert not lacking, "\n".join(lacking)


def test_every_reason_has_its_text():
    names = {use.code.removeprefix("log.") for use in logged()} | FILE_NAMES
    missing = sorted(
        f"{place}: {code}"
        for code, place in all_literals(*REASON_ROOMS).items()
        if MESSAGE_ID.fullmatch(code) and code not in KNOWN and code not in names
    )
    assert not missing, "no text for\n" + "\n".join(missing)
    assert {str(basis) for basis in Basis} <= set(KNOWN)


def test_a_reason_needs_no_field_that_is_not_always_there():
    """Posters and closings show reasons without fields; only a release is always shown with its agreement."""
    allowed = {"release.agreement": {"agreement"}, "version.conflict": {"id", "version"}, "content.file": {"detail"}}
    for code, text in EVERY["reason.po"]["en"].items():
        assert fields(text) <= allowed.get(code, set()), code


def test_every_message_id_that_is_put_together_has_its_text():
    missing = sorted(f"{begin}{end}" for begin, ends in FORMED.items() for end in ends if f"{begin}{end}" not in KNOWN)
    assert not missing, f"no text for {missing}"
    strangers = sorted(f"{place}: {begin}" for place, begin in beginnings() if begin not in FORMED.keys() | OPEN)
    assert not strangers, "say in FORMED what may follow\n" + "\n".join(strangers)


def test_events_are_put_together_in_few_places():
    forming = {
        path.relative_to(SOURCE).as_posix()
        for path, tree in trees().items()
        for _, event in events(tree)
        if event is None
    }
    assert forming <= FORMING_FILES, "say in FORMED_EVENTS what they log"


def test_no_text_is_dead():
    used = all_literals().keys() | {use.code for use in all_uses()}
    used |= {f"{begin}{end}" for begin, ends in FORMED.items() for end in ends}
    dead = sorted(code for room in ALL_USED for code in EVERY[room]["fr"] if code not in used)
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
    assert len({use.code for use in all_uses() if use.code.startswith("config.")}) > 70
    assert len({use.code for use in all_uses() if use.code.startswith("cli.")}) > 70
    assert {"log.sync.ready", "log.gate.stopped", "log.pull.day_full", "log.push.waiting"} <= {e.code for e in logged()}
    tree = ast.parse(
        """log.info("a.b", x=1); structlog.get_logger().error("c.d"); (log.info if x else log.debug)(f"{v}.e")"""
    )
    assert [event for _, event in events(tree)] == ["a.b", "c.d", None]
    assert {"complete", "paused", "day_full", "no_agreement", "stopping", "closed", "quarantine_full"} == PULLED
    assert {"complete", "paused", "waiting", "stopping", "lease_lost", "closed"} == PUSHED
    assert {"state.", "count.", "verdict.", "cli.", "cli.handout."} <= {begin for _, begin in beginnings()}


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


def test_what_a_receipt_says_is_told_in_the_reader_s_language() -> None:
    """Codes with their fields become sentences; the peer's own words stay its own."""
    said = "peer.already_there; peer.attributes_missing count=3"
    for language in i18n.LANGUAGES:
        assert i18n.spoken(said, language).startswith(i18n.text("peer.already_there", language) + " ")
        assert " 3 " in i18n.spoken(said, language)
    for words in ("", "no such thing", "peer.unheard_of", "peer.already_there; and more", "TLP:RED count=3"):
        assert i18n.spoken(words, "fr") == words
