"""What must be in a text for any rule to find something there: one automaton per operator's choice.

The expressions are wider than the rules that they stand for (no expression looks ahead or back), so what they do not
see is nowhere. They run in time linear in the text, a microsecond a kilobyte, in the engine that checks schemas.
They see through one thing only: backslashes, of which JSON makes two of one and a pattern two again. What is written
for something else is seen as such (`any`), and in its plain form.
"""

from __future__ import annotations

import re
from functools import cached_property, lru_cache

from exchange.model.personal import attributes
from exchange.model.personal.choice import SPECIAL, Choice
from exchange.model.spelling import SHOWS, Sight

_FIRST = r"(?:^|\\[bfnrt]|[^0-9A-Za-z_.])"
_ALONE = r"(?:^|\\[bfnrt]|[^0-9A-Za-z_.+/-])"
_LAST = r"(?:$|[^0-9A-Za-z_])"
_END = r"(?:$|[^0-9A-Za-z_/-])"
_DOT = r" ?[\[({]?(?:\\*\.|(?i:dot))[\])}]? ?"
_SPACE = "[ \u00a0]"

_FOLDED = ("[\u017f\u212a\u0130\u0131]",)
"""Letters that are `s`, `k` and `i` where case makes no difference."""
_INSIDE = (
    rf"{_FIRST}(?:10{_DOT}[0-9]{{1,3}}|192{_DOT}168|172{_DOT}(?:1[6-9]|2[0-9]|3[01])|169{_DOT}254"
    rf"|100{_DOT}(?:6[4-9]|[7-9][0-9]|1[012][0-9])){_DOT}[0-9]{{1,3}}{_DOT}[0-9]{{1,3}}{_LAST}",
    r"(?:^|\\[bfnrt]|[^0-9A-Za-z_:.])(?i:f(?:[cd][0-9a-f]|e[89ab])[0-9a-f]):[0-9A-Fa-f:.\\]",
    r"(?:[:$%]|\\)[\\/]{0,16}"
    r"(?i:users|utilisateurs|documents and settings|docume~1|winnt[\\/]{1,16}profiles)[\\/]",
    r"(?:^|\\[bfnrt]|[^0-9A-Za-z_.~%)\]-])(?i:(?:/export|/private|/mnt/c|/var)?/(?:home|users)/)",
    r"(?:^|\\[bfnrt]|[^0-9A-Za-z_\\:/.*?%)}\]-])\\\\+[A-Za-z0-9][^\\]{0,62}\\",
    r"(?i:s-1-5-21-)",
)
_PHONE = r"(?:[2-9][0-9]{2}[ .-]|\([2-9][0-9]{2}\) ?)[2-9][0-9]{2}[ .-][0-9]{4}"
_PERSONS = (
    rf"(?i:user[ _-]?name|login|identifiants?|utilisateur){_SPACE}?[:=]",
    rf"{_ALONE}(?:\+?1[ .-]?)?{_PHONE}{_END}",
    r"\+[1-9](?:[ .-]?\(?[0-9]\)?){8}",
    rf"{_ALONE}[1-79][0-9]{{2}}[ -][0-9]{{3}}[ -][0-9]{{3}}{_END}",
    r"(?i:nas|sin|assurance sociale|social insurance)(?i: (?:number|no))?"
    r"(?:\\[bfnrt]|[^0-9A-Za-z_]){0,8}[1-79][0-9]{8}",
    rf"{_ALONE}[A-Z]{{4}} ?[0-9]{{4}} ?[0-9]{{4}}{_END}",
    rf"{_ALONE}(?:4[0-9]{{3}}|5[1-5][0-9]{{2}}|2[2-7][0-9]{{2}}|6011|65[0-9]{{2}})(?:[ -]?[0-9]{{4}}){{3}}{_END}",
    rf"{_ALONE}3[47][0-9]{{2}}[ -]?[0-9]{{6}}[ -]?[0-9]{{5}}{_END}",
    rf"{_FIRST}(?:M\.|(?:MM|Mr|Mrs|Ms|Dr|Dre|Prof|Mme|Mlle|Mgr)\.?|Monsieur|Madame|Mademoiselle|Docteure?){_SPACE}"
    "[A-ZÀ-ÖØ-Þ]",
)
_RECIPIENTS = ("(?i:[^_]to_refs|cc_refs|_header|display_name)", r"(?:^|\\[bfnrt]|[^0-9A-Za-z_])[bh]'[0-9A-Za-z+/]")
"""Properties, also in a pattern, that say who got a message; and bytes that a pattern compares with."""
_SAID = "|".join(map(re.escape, sorted(attributes.WORDS)))
_OBJECTS = (
    r"\\[u/]",  # an escape of JSON that may hide anything
    '(?i:"(?:user-account|individual|authors?|values|(?:owner_)?sid)"|event_creator_email|environment_variables)',
    rf'(?i:(?:type|category)"\s*:\s*"(?:{_SAID}|[^"]*[^\x00-\x7f"][^"]*)")',
    rf'(?i:"(?:type|category):(?:{_SAID}|[^"]*[^\x00-\x7f"][^"]*)")',
    rf'(?i:misp:(?:type|category)=\\*"(?:{_SAID}|[^"]*[^\x00-\x7f"][^"]*)\\*")',
)
"""Types, values and properties by which an object itself says that something is a person's."""


class Signs:
    """What is looked for, for one choice; each is made when it is first asked for, which takes some milliseconds."""

    def __init__(self, choice: Choice) -> None:
        self._inside = (*_FOLDED, *_INSIDE, *_internal(choice))

    @cached_property
    def theirs(self) -> Sight:
        """In a text on the attacker's side."""
        return Sight(*self._inside)

    @cached_property
    def free(self) -> Sight:
        """In a free text that has no `@`."""
        return Sight(*self._inside, *_PERSONS)

    @cached_property
    def pattern(self) -> Sight:
        """In a pattern that compares nothing with a free text."""
        return Sight(*self._inside, *_RECIPIENTS)

    @cached_property
    def body(self) -> Sight:
        """In the JSON of an object, but for its `@`."""
        return Sight(*self._inside, *_PERSONS, *_RECIPIENTS, *_OBJECTS)

    @cached_property
    def any(self) -> Sight:
        """In the JSON of an object, or in a text, but for an `@`; or something that is written for something else."""
        return Sight(*self._inside, *_PERSONS, *_RECIPIENTS, *_OBJECTS, *SHOWS)


@lru_cache(maxsize=8)
def signs(choice: Choice) -> Signs:
    """The automata for `choice`."""
    return Signs(choice)


def _internal(choice: Choice) -> tuple[str, ...]:
    """Suffixes of names inside: those that are nobody's behind a dot, the operator's own by themselves too."""
    ours = {each for name in choice.internal for each in (name.lower(), name.casefold())}
    found = [f"{_DOT}(?i:{_spread(SPECIAL)})(?:$|[^A-Za-z])"]
    return (*found, f"(?i:{_spread(sorted(ours))})(?:$|[^A-Za-z])") if ours else tuple(found)


def _spread(names: list[str] | tuple[str, ...]) -> str:
    return "|".join(_DOT.join(map(re.escape, name.strip(".").split("."))) for name in names)
