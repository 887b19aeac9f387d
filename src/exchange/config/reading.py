"""One TOML file → one form, with every mistake in it as a problem."""

from __future__ import annotations

import copy
import re
import tomllib
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any, Generic, TypeVar

from pydantic import ValidationError

from exchange.config.form import Form, choices, example_of, homes, is_repeated, key_at, keys, table_at, table_of
from exchange.config.problems import WHOLE_FILE, dotted, listed, near, problem, shown, toml
from exchange.errors import Problem

F = TypeVar("F", bound=Form)

_LARGEST = 1 << 20
_MENDINGS = 4
_PLACE = re.compile(r"\(at line (\d+), column (\d+)\)")
_TWICE = re.compile(r"twice|overwrite|mutate|duplicate", re.IGNORECASE)

# pydantic's own complaints that need no more than another code; the rest are in `_complaint`.
_TYPES = {
    "string_type": "config.not_text",
    "int_type": "config.not_whole_number",
    "bool_type": "config.not_true_or_false",
    "list_type": "config.not_list",
    "model_type": "config.not_table",
    "too_short": "config.empty_list",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Document(Generic[F]):
    """A file as read. Where it was mistaken, `form` holds examples in the place of what is wrong."""

    file: str
    id: str
    """The file's name without its ending."""
    form: F | None
    """None: nothing of it could be read."""
    problems: tuple[Problem, ...]
    content: bytes = b""
    """The bytes that were read."""

    def doubts(self, *names: str) -> bool:
        """Whether one of these top-level keys, or the whole file, is not what the operator meant."""
        return self.form is None or any(rests_on(wrong, "", names) for wrong in self.problems)


def rests_on(wrong: Problem, table: str, names: Collection[str]) -> bool:
    """Whether the mistake `wrong` is at, or meant, one of the keys `names` of `table`, or something inside them."""
    inside = wrong.key.removeprefix(f"{table}.") if wrong.key.startswith(f"{table}.") else wrong.key
    return re.split(r"[.\[]", inside, maxsplit=1)[0] in names or wrong.fields.get("near") in names


def read(given: bytes | Problem, file: str, form: type[F]) -> Document[F]:
    """What a file holds (or why that cannot be had) in the form `form`; `file` is its name in the folder."""
    name = PurePosixPath(file).stem
    if isinstance(given, Problem):
        return Document(file=file, id=name, form=None, problems=(given,))
    data = _parse(given, file)
    if isinstance(data, Problem):
        return Document(file=file, id=name, form=None, problems=(data,), content=given)
    errors, filled = _validate(form, data)
    found = [_complaint(form, file, error) for error in errors]
    return Document(file=file, id=name, form=filled, problems=tuple(_without_echoes(found)), content=given)


def _without_echoes(problems: list[Problem]) -> Iterator[Problem]:
    """Without the keys that are missing only because they are misspelt."""
    meant = {
        wrong.key[: -len(wrong.fields["name"])] + wrong.fields["near"]
        for wrong in problems
        if wrong.code == "config.unknown_key_near"
    }
    for wrong in problems:
        if wrong.code not in ("config.missing_key", "config.missing_table") or wrong.key not in meant:
            yield wrong


def content(path: Path, file: str) -> bytes | Problem:
    """What stands in the file at `path`, or why it cannot be had; `file` is its name in the folder."""
    try:
        with path.open("rb") as stream:
            found = stream.read(_LARGEST + 1)
    except FileNotFoundError:
        return problem("config.file_missing", file, WHOLE_FILE, path=str(path))
    except OSError as error:
        return problem("config.file_unreadable", file, WHOLE_FILE, path=str(path), reason=error.strerror or "")
    if len(found) > _LARGEST:
        return problem("config.file_too_large", file, WHOLE_FILE, size=_LARGEST)
    return found


def _parse(content: bytes, file: str) -> dict[str, Any] | Problem:
    try:
        return tomllib.loads(content.decode("utf-8-sig"))
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        return problem("config.not_utf8", file, WHOLE_FILE, line=line)
    except (ValueError, RecursionError) as error:  # tomllib's own error is a ValueError; huge numbers give another
        place = _PLACE.search(str(error))
        line, column = (int(place[1]), int(place[2])) if place else (content.count(b"\n") + 1, 1)
        code = "config.toml_twice" if _TWICE.search(str(error)) else "config.toml_syntax"
        return Problem(file=file, key=f"{line}:{column}", code=code, fields={"line": line, "column": column})


def _validate(form: type[F], data: dict[str, Any]) -> tuple[list[Mapping[str, Any]], F | None]:
    """The complaints about `data`, and the form that it makes when each mistaken key gets its example."""
    complaints: list[Mapping[str, Any]] | None = None
    mended = data
    for _ in range(_MENDINGS):
        try:
            return complaints or [], form.model_validate(mended)
        except ValidationError as error:
            errors: list[Mapping[str, Any]] = [dict(each) for each in error.errors(include_url=False)]
        complaints = errors if complaints is None else complaints
        mended = copy.deepcopy(mended)
        for each in reversed(errors):  # backwards, so that positions in lists stay true
            _mend(form, mended, each)
    return complaints or [], None


def _mend(form: type[Form], data: dict[str, Any], error: Mapping[str, Any]) -> None:
    *path, last = error["loc"]
    place: Any = data
    try:
        for part in path:
            place = place[part]
    except LookupError:  # an earlier mending took it away
        return
    info = key_at(form, error["loc"])
    if isinstance(last, int) or info is None or (error["type"] != "missing" and not info.is_required()):
        del place[last]
    else:
        place[last] = copy.deepcopy(example_of(info))


def _complaint(form: type[Form], file: str, error: Mapping[str, Any]) -> Problem:
    """One of pydantic's errors as a problem of ours; what was typed is shown only where the value's reader says so."""
    path, kind, context = error["loc"], error["type"], error.get("ctx", {})
    key = dotted(path)
    if kind.startswith("config."):
        fields = dict(context)
        if "example" in fields:
            fields["example"] = _example(form, path)
        return problem(kind, file, key, **fields)
    if kind == "extra_forbidden":
        return _unknown(form, file, path)
    if kind == "missing":
        return _missing(form, file, path)
    if kind == "literal_error":
        info = key_at(form, path)
        allowed = listed(choices(info)) if info else ""
        return problem("config.not_one_of", file, key, value=shown(error["input"]), allowed=allowed)
    if kind == "greater_than_equal":
        return problem("config.below_limit", file, key, limit=context["ge"])
    if kind == "less_than_equal":
        return problem("config.above_limit", file, key, limit=context["le"])
    code = "config.not_table" if table_at(form, path) else _TYPES.get(kind, "config.unusable")
    return problem(code, file, key, example=_example(form, path))


def _example(form: type[Form], path: tuple[str | int, ...]) -> str:
    info = key_at(form, path)
    if info is None:
        return "…"
    example = example_of(info)
    if isinstance(path[-1], int) and isinstance(example, list):
        return toml(example[0])
    name = next(part for part in reversed(path) if isinstance(part, str))
    if table_of(info):
        return f"[[{name}]]" if is_repeated(info) else f"[{name}]"
    return f"{name} = {toml(example)}"


def _missing(form: type[Form], file: str, path: tuple[str | int, ...]) -> Problem:
    code = "config.missing_table" if table_at(form, path) else "config.missing_key"
    return problem(code, file, dotted(path), name=path[-1], example=_example(form, path))


def _unknown(form: type[Form], file: str, path: tuple[str | int, ...]) -> Problem:
    name, key = str(path[-1]), dotted(path)
    table = table_at(form, path[:-1])
    known = keys(table) if table else {}
    elsewhere: Iterator[str] = homes(form, name)
    home = next(elsewhere, "")
    if len(path) > 1 and name in keys(form):
        return problem("config.key_belongs_above", file, key, name=name)
    if home and home != path[0]:
        return problem("config.key_belongs_in", file, key, name=name, table=home)
    meant = near(name, known)
    if meant:
        return problem("config.unknown_key_near", file, key, name=shown(name), near=meant)
    return problem("config.unknown_key", file, key, name=shown(name), known=listed(known))
