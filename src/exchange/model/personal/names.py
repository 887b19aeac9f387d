"""Persons and their accounts in a text: names after a title, accounts after a word for them, security identifiers."""

from __future__ import annotations

import re
from collections.abc import Iterator

from exchange.model.personal.finding import Kind, listed
from exchange.model.personal.numbers import Span

_CAPITAL = r"[A-ZÀ-ÖØ-Þ](?:['’][A-ZÀ-ÖØ-Þ])?[\w’'-]{1,40}"
_BETWEEN = "(?:de|du|des|la|le|van|von|der|di|da|bin|el|al)"
_PERSON = re.compile(
    r"(?<![\w.])(?:M\.|(?:MM|Mr|Mrs|Ms|Dr|Dre|Prof|Mme|Mlle|Mgr)\.?|Monsieur|Madame|Mademoiselle|Docteure?)[ \u00a0]"
    rf"((?:[A-Z]\. ?){{0,2}}{_CAPITAL}(?:[ -](?:{_BETWEEN} ){{0,2}}{_CAPITAL}){{0,3}})"
)
_NO_PERSON = frozenset({"web", "robot", "président", "president", "minister", "ministre", "director", "directeur"})
"""What stands behind a title and is nobody: a product, an office."""
_CITED = re.compile(r"\(Citation: [^()]*\Z")
"""As ATT&CK cites: whoever is named has published."""
_BEFORE = 120
"""Characters in front that are read to find a citation."""
_ACCOUNT = re.compile(
    r"(?<!\w)(?:user[ _-]?name|login|identifiants?|nom d['’]utilisateur|compte utilisateur)"
    r"[ \u00a0]?[:=][ \u00a0]?([\"'«“`]?)[ \u00a0]?((?:[A-Za-z0-9-]{1,20}\\)?[A-Za-zÀ-ÿ][\w.-]{1,63})",
    re.I,
)
_SID = re.compile(r"(?<![\w-])S-1-5-21(?:-[0-9]{1,10}){3}-([0-9]{1,10})(?![\w-])", re.I)
_FIRST_OF_PERSONS = 1000
"""Relative identifiers below are the system's own accounts."""

NOBODY = listed(
    """
    admin administrateur administrator all anonymous apache app appdata application bin build
    builder buildozer centos circleci container compte daemon debian default defaultapppool defaultuser defaultuser0
    deploy dev developer docker ec2-user elasticsearch email etc example false ftp git gitlab-runner guest hadoop home
    identifiant id invité invite jenkins kali link localhost localservice localsystem login mail me mysql name
    networkservice nginx nobody none null nom oracle owner page password pi post postgres postgresql prompt public
    publique redis request root runner sa service shared ssh steam string support sys system sysadmin système systeme
    temp test tester tmp token tomcat tous true ubuntu unknown user user1 userid username username1 userprofile users
    utilisateur vagrant value victim victime vmuser webmaster www www-data xxx xxxx you your
    foo bar library runtime perl venv venv3 file.txt yourname yourusername
    windows local lib log logs
    """
)
"""Names that accounts have when they are nobody's, or that stand for any name."""
_STANDING_FOR = "<>[]{}%$*()…?#"
"""Signs of a placeholder: `<user>`, `%USERNAME%`, `$USER`, `*`."""


def somebody(name: str) -> bool:
    """Whether `name` may be a person's account: not the system's, and no placeholder."""
    plain = name.strip(" .\"'").rpartition("\\")[2].casefold()
    return len(plain) > 1 and plain not in NOBODY and not any(sign in name for sign in _STANDING_FOR)


def persons(text: str) -> Iterator[Span]:
    """Names behind a title: capitals and a title are all that says so."""
    for match in _PERSON.finditer(text):
        cited = _CITED.search(text, max(0, match.start() - _BEFORE), match.start())
        if cited is None and match[1].partition(" ")[0].casefold() not in _NO_PERSON:
            yield *match.span(1), Kind.NAME, False


def accounts(text: str) -> Iterator[Span]:
    """Accounts behind a word for them."""
    for match in _ACCOUNT.finditer(text):
        if somebody(match[2]):
            yield *match.span(2), Kind.ACCOUNT, False


def identifiers(text: str) -> Iterator[Span]:
    """Windows' security identifiers of people's accounts ([MS-DTYP] section 2.4.2)."""
    for match in _SID.finditer(text):
        if int(match[1]) >= _FIRST_OF_PERSONS:
            yield *match.span(), Kind.ACCOUNT, True
