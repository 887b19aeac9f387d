"""Secrets by name → their values, in the process that uses them and nowhere else (RULES R29).

No message of this room ever holds a secret or anything that stands in the place of one.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Mapping
from pathlib import Path

from exchange.config.peer import FOLDER
from exchange.config.problems import problem
from exchange.config.values import is_reference
from exchange.errors import ConfigError, ExchangeError, Problem
from exchange.model.party import Credentials, Peer

_DIRECTORY = "CREDENTIALS_DIRECTORY"
_LARGEST = 64 << 10
_OTHERS = stat.S_IRWXO


class _UnresolvedError(ExchangeError):
    """A secret could not be had; becomes a problem that says where it was named."""

    def problem(self, file: str, key: str) -> Problem:
        return problem(self.code, file, key, **self.fields)


def resolve(reference: str, environment: Mapping[str, str] | None = None) -> str:
    """The secret that `credential:NAME`, `file:/PATH` or `env:NAME` names; raises ConfigError when it cannot be had."""
    try:
        return _value(reference, _given(environment))
    except _UnresolvedError as error:
        named = reference if is_reference(reference) else "…"
        raise ConfigError((error.problem(named, "*"),)) from None


def credentials(peer: Peer, environment: Mapping[str, str] | None = None) -> Credentials:
    """Every secret of a peer; raises ConfigError with all those that cannot be had."""
    given, auth = _given(environment), peer.auth
    file = f"{FOLDER}/{peer.id}.toml"
    problems: list[Problem] = []

    def had(key: str, reference: str, read: Callable[[str, Mapping[str, str]], str], table: str = "auth") -> str:
        try:
            return read(reference, given) if reference else ""
        except _UnresolvedError as error:
            problems.append(error.problem(file, f"{table}.{key}"))
            return ""

    result = Credentials(
        user=auth.user,
        password=had("password", auth.password, _value),
        token=had("token", auth.token, _value),
        key=had("key", auth.key, _value),
        client_cert=had("client_cert", auth.client_cert, _certificate_path),
        client_key=had("client_key", auth.client_key, _key_path),
        ca=peer.ca,
        proxy_user=auth.proxy_user,
        proxy_password=had("password", auth.proxy_password, _value, "proxy"),
    )
    if problems:
        raise ConfigError(tuple(problems))
    return result


def _given(environment: Mapping[str, str] | None) -> Mapping[str, str]:
    return os.environ if environment is None else environment


def _value(reference: str, environment: Mapping[str, str]) -> str:
    kind, name = _split(reference)
    if kind == "env":
        if name not in environment:
            raise _UnresolvedError("config.secret_not_set", name=name)
        return _single_line(environment[name], reference)
    path = _path(kind, name, environment)
    return _single_line(_content(path, private=kind == "file"), reference)


def _key_path(reference: str, environment: Mapping[str, str]) -> str:
    kind, name = _split(reference)
    path = _path(kind, name, environment)
    _content(path, private=kind == "file")
    return str(path)


def _certificate_path(reference: str, environment: Mapping[str, str]) -> str:
    kind, name = _split(reference)
    path = _path(kind, name, environment)
    _content(path, private=False)
    return str(path)


def _split(reference: str) -> tuple[str, str]:
    if not is_reference(reference):
        raise _UnresolvedError("config.not_a_reference")
    kind, _, name = reference.partition(":")
    return kind, name


def _path(kind: str, name: str, environment: Mapping[str, str]) -> Path:
    if kind == "file":
        return Path(name)
    if kind == "env":
        raise _UnresolvedError("config.reference_not_a_file")
    directory = environment.get(_DIRECTORY)
    if not directory:
        raise _UnresolvedError("config.credentials_not_given", name=name)
    return Path(directory) / name


def _content(path: Path, *, private: bool) -> str:
    """The text of a small file; a private one must be closed to other users."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)  # never waits on a pipe
        with os.fdopen(descriptor, "rb") as stream:
            about = os.fstat(descriptor)
            if not stat.S_ISREG(about.st_mode):
                raise _UnresolvedError("config.secret_not_a_file", path=str(path))
            if private and about.st_mode & _OTHERS:
                raise _UnresolvedError(
                    "config.secret_open_to_others", path=str(path), mode=f"{about.st_mode & 0o777:04o}"
                )
            content = stream.read(_LARGEST + 1)
    except OSError as error:
        if path.is_dir():
            raise _UnresolvedError("config.secret_not_a_file", path=str(path)) from None
        code = "config.secret_missing" if isinstance(error, FileNotFoundError) else "config.secret_unreadable"
        raise _UnresolvedError(code, path=str(path), reason=error.strerror or "") from None
    try:
        text = content.decode()
    except UnicodeDecodeError:
        raise _UnresolvedError("config.secret_not_text", path=str(path)) from None
    if len(content) > _LARGEST:
        raise _UnresolvedError("config.secret_not_text", path=str(path))
    return text


def _single_line(text: str, reference: str) -> str:
    """The secret without its final newline; one of several lines would break out of an HTTP header."""
    secret = text.removesuffix("\n").removesuffix("\r")
    if not secret:
        raise _UnresolvedError("config.secret_empty", reference=reference)
    if not secret.isprintable():
        raise _UnresolvedError("config.secret_not_one_line", reference=reference)
    return secret
