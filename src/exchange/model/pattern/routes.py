"""What an object path of a pattern leads to: one spelling for its names, and the canonical values of that property.

The names of one thing: `hashes.sha256`, `hashes.SHA256` and `hashes.'SHA-256'`; a key with and without quotes; and what
STIX 2.1 renamed of the observables of STIX 2.0, for patterns are not rewritten when an object is.
"""

from __future__ import annotations

import ipaddress
import re
from functools import lru_cache

import msgspec

from exchange.model.normalise import hash_name, refang, value_of
from exchange.model.pattern.parser import hash_form
from exchange.model.pattern.tree import Path

_RENAMED = {
    ("directory", "created"): "ctime",
    ("directory", "modified"): "mtime",
    ("directory", "accessed"): "atime",
    ("file", "created"): "ctime",
    ("file", "modified"): "mtime",
    ("file", "accessed"): "atime",
    ("process", "created"): "created_time",
    ("process", "binary_ref"): "image_ref",
    ("user-account", "password_last_changed"): "credential_last_changed",
    ("windows-registry-key", "modified"): "modified_time",
}
"""(type, first key of STIX 2.0) → the key of STIX 2.1, where the old one means nothing else."""

_HOSTS = frozenset({"src_ref", "dst_ref", "resolves_to_refs"})
_MAILBOXES = frozenset({"from_ref", "sender_ref", "to_refs", "cc_refs", "bcc_refs"})
_BYTE = "(?:25[0-5]|2[0-4][0-9]|1[0-9]{2}|[1-9]?[0-9])"
_IPV4 = re.compile(rf"{_BYTE}(?:\.{_BYTE}){{3}}(/[0-9]{{1,2}})?")
_MAC = re.compile(r"[0-9A-Fa-f]{2}(?:([:-])[0-9A-Fa-f]{2})(?:\1[0-9A-Fa-f]{2}){4}")


class Route(msgspec.Struct, frozen=True, gc=False):
    """Where a path leads to, whatever it is called."""

    text: str
    """The canonical spelling of the path."""
    path: str
    """As searches name it: `file:hashes.SHA-256`."""
    steps: int
    """How many there are."""
    many: bool
    """Whether it leads to several values (`[*]`), any of which may fit."""
    of: str
    """The property whose values these are (`ipv4-addr:value`); empty: it depends on the value (see `_referred`)."""
    holder: str
    """What stands before `.value` or `.type` of an observable that is referred to; empty for any other path."""
    reference: str
    """The key that refers to it."""
    written: re.Pattern[str] | None
    """What a hash of the name that was written looks like."""
    form: re.Pattern[str] | None
    """What a hash of the canonical name looks like."""
    literal: Route | None
    """The same path with the name of the hash as it was written, for values that are no hash of the canonical name."""

    def value(self, text: str) -> str:
        """The canonical value of `text` here."""
        return value_of(self.of or _referred(self.reference, text), text)

    def fitting(self, spelt: str) -> Route:
        """This, or the path as it was written where the literal `spelt` is no hash of the canonical name."""
        if self.literal is None or is_hash(self.form, spelt):
            return self
        return self.literal


def is_hash(form: re.Pattern[str] | None, spelt: str) -> bool:
    """Whether the literal `spelt` looks as `form` wants it, as the parser judges that."""
    return form is None or form.match(spelt.replace("'", "")) is not None


def quoted(value: str) -> str:
    """A string as a literal (section 9.2)."""
    if "\\" in value or "'" in value:
        value = value.replace("\\", "\\\\").replace("'", "\\'")
    return f"'{value}'"


def route(path: Path) -> Route:
    """The route of `path`; that of a short one is remembered."""
    return _remembered(path) if len(path.steps) <= 8 else _route(path)


def _route(path: Path, *, hashes: bool = True) -> Route:
    steps = list(path.steps)
    steps[0] = _RENAMED.get((path.type, str(steps[0])), steps[0])
    last, of = steps[-1], None
    if isinstance(last, str) and steps[-2:-1] == ["hashes"]:
        if hashes:
            steps[-1] = last = hash_name(last)
        of = f"file:hashes.{last}"
    renamed = Path(path.type, tuple(steps))
    text = renamed.to_text()
    holder, reference = text[: -len(f".{last}")], _reference(steps)
    return Route(
        text=text,
        path=text if of is None else f"{text[: text.rindex('hashes')]}hashes.{last}",
        steps=len(steps),
        many=None in steps,
        of=("" if reference in _HOSTS | _MAILBOXES and last == "value" else text) if of is None else of,
        holder=holder if reference else "",
        reference=reference,
        written=hash_form(path),
        form=hash_form(renamed),
        literal=_route(path, hashes=False) if hashes and of is not None and steps[-1] != path.steps[-1] else None,
    )


_remembered = lru_cache(maxsize=256)(_route)


def _reference(steps: list[str | int | None]) -> str:
    """The key of the reference whose value or type the path ends in; empty: it ends otherwise."""
    if steps[-1] not in ("value", "type"):
        return ""
    names = [step for step in steps[:-1] if isinstance(step, str)]
    return names[-1] if names and names[-1].endswith(("_ref", "_refs")) else ""


def _referred(reference: str, text: str) -> str:
    """The property whose value `text` is, at the end of one of the references that we know."""
    if reference in _MAILBOXES:
        return "email-addr:value"
    if _IPV4.fullmatch(text):
        return "ipv4-addr:value"
    plain = refang(text)
    version = ip_version(plain)
    if version:
        return f"ipv{version}-addr:value"
    return "mac-addr:value" if _MAC.fullmatch(plain) else "domain-name:value"


def ip_version(text: str) -> int:
    """4 or 6 for an address or a network in CIDR notation; 0 for anything else."""
    if ":" not in text:
        match = _IPV4.fullmatch(text)
        return 4 if match is not None and (match[1] is None or int(match[1][1:]) <= 32) else 0
    try:
        return ipaddress.ip_network(text, strict=False).version
    except ValueError:
        return 0
