"""The errors of the house, drawn whole, and what each means to the outside.

    ExchangeError
    ├── ConfigError          the configuration cannot be used; carries every problem at once
    ├── ContentError         what was given to us is not usable STIX, TAXII or MISP
    ├── PeerError            a partner could not be used
    │   ├── PeerUnreachable      no answer in time; try again later
    │   ├── PeerBusy             429 or 503; says when to come back
    │   ├── PeerRefused          401 or 403; a person has to act
    │   └── PeerProtocol         an answer that the standard does not allow
    ├── StoreError           the store could not do it
    │   ├── StoreBusy            another writer holds the lock; come back in a moment
    │   └── StoreOutdated        the schema is not the one this release needs
    ├── RequestError         a subscriber's request is wrong; names the parameter or header
    │   ├── NotAuthenticated, Forbidden, NotFound, NotAcceptable, TooLarge, UnsupportedMedia, Unprocessable
    │   └── TooManyRequests
    └── UsageError           an operator's command names something that is not there

An error carries a *code* (a message id of the catalogues) and named fields, never a sentence: the reader's
language is chosen where it is shown. Fields never hold secrets.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar


class ExchangeError(Exception):
    """Root of every error that we raise on purpose; `code` and `fields` make its text in `exchange.i18n`."""

    def __init__(self, code: str, **fields: Any) -> None:
        super().__init__(code)
        self.code = code
        self.fields: Mapping[str, Any] = fields

    def __str__(self) -> str:
        detail = " ".join(f"{name}={value!r}" for name, value in self.fields.items())
        return f"{self.code} {detail}".rstrip()


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """One mistake in the configuration: which file, which key, what is wrong (`code` + `fields`)."""

    file: str
    key: str
    code: str
    fields: Mapping[str, Any]


class ConfigError(ExchangeError):
    """The configuration cannot be used; `problems` holds every mistake found."""

    def __init__(self, problems: tuple[Problem, ...]) -> None:
        super().__init__("config.invalid", count=len(problems))
        self.problems = problems


class ContentError(ExchangeError):
    """Received content is not usable; the code is the reason under which it is quarantined.

    What it quotes of the content may hold lone surrogates, which no file and no answer can: they are spelled out.
    """

    def __init__(self, code: str, **fields: Any) -> None:
        super().__init__(code, **{name: _writable(value) for name, value in fields.items()})


def _writable(value: Any) -> Any:
    return value.encode("utf-8", "backslashreplace").decode() if isinstance(value, str) else value


class PeerError(ExchangeError):
    """A partner could not be used."""


class PeerUnreachable(PeerError):
    """No answer within the deadline, a broken connection, or a TLS failure."""


class PeerBusy(PeerError):
    """The peer asked us to come back later; `retry_after` is in seconds (None: it did not say)."""

    def __init__(self, code: str, *, retry_after: float | None, **fields: Any) -> None:
        super().__init__(code, retry_after=retry_after, **fields)
        self.retry_after = retry_after


class PeerRefused(PeerError):
    """The peer refused our credentials or our rights."""


class PeerProtocol(PeerError):
    """The peer's answer is outside the standard in a way that cannot be survived."""


class StoreError(ExchangeError):
    """The store could not do what was asked."""


class StoreBusy(StoreError):
    """The writer lock was not free within two seconds (RULES R18)."""


class StoreOutdated(StoreError):
    """The database schema is older or newer than this release; `exchange migrate` mends the former."""


class RequestError(ExchangeError):
    """A request that TAXII 2.1 answers with 400."""


class NotAuthenticated(RequestError):
    """No account, or a wrong secret."""


class Forbidden(RequestError):
    """The account may not do this here."""


class NotFound(RequestError):
    """It does not exist, or the account may not know that it does."""


class NotAcceptable(RequestError):
    """No media type that we can answer with is acceptable."""


class TooLarge(RequestError):
    """The body is larger than `max_content_length`."""


class UnsupportedMedia(RequestError):
    """The body's media type is not TAXII 2.1."""


class Unprocessable(RequestError):
    """The envelope is well-formed JSON but no envelope."""


class TooManyRequests(RequestError):
    """Too many failed logins from this address for this account."""


class UsageError(ExchangeError):
    """A command names a peer, source, object or option that is not there."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Meaning:
    """What an error means outside: HTTP status, process exit code (sysexits.h), whether to try again."""

    http: int
    exit: int
    retry: bool


class _Table:
    """Error class → meaning; a subclass without its own row takes its parent's."""

    rows: ClassVar[dict[type[BaseException], Meaning]] = {
        ExchangeError: Meaning(http=500, exit=70, retry=False),
        ConfigError: Meaning(http=500, exit=78, retry=False),
        ContentError: Meaning(http=422, exit=65, retry=False),
        PeerError: Meaning(http=502, exit=69, retry=True),
        PeerRefused: Meaning(http=502, exit=77, retry=False),
        StoreError: Meaning(http=500, exit=74, retry=False),
        StoreBusy: Meaning(http=503, exit=75, retry=True),
        StoreOutdated: Meaning(http=503, exit=78, retry=False),
        RequestError: Meaning(http=400, exit=64, retry=False),
        NotAuthenticated: Meaning(http=401, exit=77, retry=False),
        Forbidden: Meaning(http=403, exit=77, retry=False),
        NotFound: Meaning(http=404, exit=64, retry=False),
        NotAcceptable: Meaning(http=406, exit=64, retry=False),
        TooLarge: Meaning(http=413, exit=64, retry=False),
        UnsupportedMedia: Meaning(http=415, exit=64, retry=False),
        Unprocessable: Meaning(http=422, exit=64, retry=False),
        TooManyRequests: Meaning(http=429, exit=75, retry=True),
        UsageError: Meaning(http=400, exit=64, retry=False),
    }


def meaning(error: BaseException | type[BaseException]) -> Meaning:
    """What `error` means outside; anything that is not ours is an internal error (500, exit 70, no retry)."""
    kind = error if isinstance(error, type) else type(error)
    for ancestor in kind.__mro__:
        if ancestor in _Table.rows:
            return _Table.rows[ancestor]
    return _Table.rows[ExchangeError]
