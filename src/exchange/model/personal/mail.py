"""Mailboxes in a text, as they are written plainly: `spelling` makes that of what nobody should follow by mistake."""

from __future__ import annotations

import re
from collections.abc import Iterator

from exchange.model.personal.finding import Kind, listed
from exchange.model.personal.numbers import Span

_LABEL = r"[^\W_][\w-]{0,62}"
_DOMAIN = re.compile(
    rf"(?:{_LABEL}\.){{1,12}}(?:xn--[a-z0-9-]{{1,59}}|[^\W\d_]{{2,63}})|\[(?:ipv6:)?[0-9a-f:.]{{2,45}}\]", re.I
)
"""The longest that ends in letters, whatever stands behind it."""
_LOCAL_SIGNS = frozenset("._%+-'’")
_LONGEST = 160
"""Characters in front that are read to tell who signs in to a URL (RFC 3986 section 3.2.1) from a mailbox."""
_OF_URL = re.compile(r"(?<!mailto)://[^\s/@\"'<>]*\Z", re.I)
_SIGNED_IN = re.compile(r"(?<!mailto)://([^\s/@\"'<>?#]{1,128})@", re.I)
_NO_TOP = frozenset(
    {
        "bat",
        "css",
        "dll",
        "doc",
        "docx",
        "exe",
        "gif",
        "git",
        "html",
        "jpg",
        "js",
        "json",
        "pdf",
        "php",
        "png",
        "txt",
        "xls",
    }
)
"""What stands behind `@` in names of packages and files, and is no top-level domain."""

ROLES = listed(
    """
    abuse billing bounce cert cirt contact contacts csirt cyber cybersecurity dns donotreply do-not-reply git help
    helpdesk hostmaster incident incidents info info-security infosec intel ir labs mailer-daemon malware mailto media
    ne-pas-repondre noc noreply no-reply nsoc phishing postmaster press privacy psirt report reports research root
    sales secure security service soc spam support team threatintel threat-intel threatresearch usenet webmaster
    """
)
"""Mailboxes of an office and of no person (RFC 2142 and custom)."""


def mailboxes(text: str) -> Iterator[tuple[int, int, str]]:
    """(start, stop, the mailbox in lower case); each part of `text` is read at most twice."""
    free, at = 0, text.find("@")
    while at >= 0:
        start, domain = _begin(text, at, free), _DOMAIN.match(text, at + 1)
        free = at + 1
        if domain is not None and start < at and not _OF_URL.search(text[max(0, start - _LONGEST) : start]):
            host = domain[0].lower()
            if host.rpartition(".")[2] not in _NO_TOP:
                free = domain.end()
                yield start, free, f"{text[start:at].lower()}@{host}"
        at = text.find("@", free)


def _begin(text: str, at: int, free: int) -> int:
    """Where the local part that ends at `at` begins; not before `free`."""
    if at > free and text[at - 1] == '"':
        quote = text.rfind('"', max(free, at - 66), at - 1)
        return quote if quote >= 0 else at
    start = at
    while start > free and (text[start - 1].isalnum() or text[start - 1] in _LOCAL_SIGNS):
        start -= 1
    while start < at and text[start] in _LOCAL_SIGNS:
        start += 1
    return start


def office(mailbox: str) -> bool:
    """Whether it is the mailbox of an office (RFC 2142) and so of no person."""
    return mailbox.partition("@")[0].partition("+")[0] in ROLES


def signed_in(text: str) -> Iterator[Span]:
    """Who signs in to a URL, and with what."""
    for match in _SIGNED_IN.finditer(text):
        if match[1] != "git" and not match[1].startswith("["):
            yield *match.span(1), Kind.ACCOUNT, False
