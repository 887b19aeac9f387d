"""The words of a STIX pattern, cut exactly as the official grammar (STIXPattern.g4 of STIX 2.1) cuts them.

The longest match wins there: `AND-x` is a name, `01` two numbers, and a `t'…'` that is no timestamp is the name `t` and
a string. Only single characters are repeated possessively: before Python 3.11.5 possessive groups match wrongly.
"""

from __future__ import annotations

import re

KEYWORDS = frozenset(
    {"AND", "OR", "NOT", "FOLLOWEDBY", "LIKE", "MATCHES", "ISSUPERSET", "ISSUBSET", "EXISTS", "LAST", "IN"}
    | {"START", "STOP", "SECONDS", "WITHIN", "REPEATS", "TIMES", "true", "false"}
)
"""Reserved in this spelling only: a key of this name has to stand in quotes."""

_MARKS = ("=", "==", "!=", "<>", "<", "<=", ">", ">=", ":", ".", ",", "(", ")", "[", "]", "*")
KINDS = {text: text for text in (*_MARKS, *KEYWORDS)} | {"true": "boolean", "false": "boolean"}
"""Text → kind, for the tokens whose text says it; the others have the name of their group in `TOKEN`."""

TEXT = r"'[^'\\]*+(?:\\['\\][^'\\]*+)*'"
"""A string in quotes, where only the quote and the backslash are escaped."""

SPACE = "\t\n\v\f\r \x85\xa0\u1680\u2028\u2029\u202f\u205f\u3000" + "".join(map(chr, range(0x2000, 0x200B)))
"""What may stand between two words: the white space of Unicode, without the separators of ASCII."""
_SPACE = r"[\t-\r \x85\xa0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000]"
_DAY = r"[0-9]{4}-(?:0[1-9]|1[0-2])-(?:0[1-9]|[12][0-9]|3[01])"
_TIME = r"(?:[01][0-9]|2[0-3]):[0-5][0-9]:(?:[0-5][0-9]|60)(?:\.[0-9]++)?"
_SIX = r"[A-Za-z0-9+/]"
TOKEN = re.compile(
    rf"(?:{_SPACE}++|/\*.*?\*/|//[^\r\n]*+)*"
    rf"(?:(?P<string>{TEXT})"
    rf"|(?P<timestamp>t'{_DAY}T{_TIME}Z')"
    r"|(?P<hex>h'(?:[0-9A-Fa-f]{2})*')"
    rf"|(?P<binary>b'(?:{_SIX}{{4}})*(?:{_SIX}{{4}}|{_SIX}{{3}}=|{_SIX}{{2}}==)')"
    r"|(?P<word>[A-Za-z_][A-Za-z0-9_-]*+)"
    r"|(?P<float>[+-]?[0-9]*+\.[0-9]++)"
    r"|(?P<integer>[+-]?(?:0|[1-9][0-9]*+))"
    r"|(?P<mark>==?|!=|<[>=]?|>=?|[:.,()\[\]*])"
    r"|(?P<end>\Z)"
    r"|(?P<other>.))",
    re.DOTALL,
)
"""White space and comments, then one token; it matches anywhere, so `finditer` skips nothing."""

COMMENT = re.compile(rf"{TEXT}|(?P<comment>/\*.*?\*/|//[^\r\n]*+)", re.DOTALL)
"""A string in quotes, or a comment: what looks like one in a string is none."""

PATH = (
    r"[A-Za-z_][A-Za-z0-9_-]{0,99}+:(?:[A-Za-z_][A-Za-z0-9_]{0,99}+|'[^'\\]{1,100}+')"
    r"(?:\.(?:[A-Za-z_][A-Za-z0-9_]{0,99}+|'[^'\\]{1,100}+')|\[(?:\*|[0-9]{1,9}+)\]){0,8}"
)
"""What may be an object path (a word in it may be a keyword), short enough to be remembered."""
TEST = re.compile(
    rf"[ \t\r\n]*+({PATH})[ \t\r\n]*+(NOT(?:[ \t\r\n]++|(?=[=!<>])))?"
    rf"(?:(==?|!=|<[>=]?|>=?)[ \t\r\n]*+({TEXT}|[+-]?(?:0|[1-9][0-9]*+)(?![0-9]*\.[0-9]))"
    rf"|(LIKE|MATCHES|ISSUBSET|ISSUPERSET)[ \t\r\n]*+({TEXT}))"
    r"(?:[ \t\r\n]*+(?P<mark>(?:AND|OR)(?![A-Za-z0-9_-])|[)\]]))?"
)
"""A test of one path against one string or whole number, and the word or bracket after it (`mark`) if it is plain."""
