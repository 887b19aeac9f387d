"""Hashes: the names of algorithms, the spelling of what they give, and what an equal one proves."""

from __future__ import annotations

import re

_DIGITS = {
    "MD5": 32,
    "SHA-1": 40,
    "SHA-224": 56,
    "SHA-256": 64,
    "SHA-384": 96,
    "SHA-512": 128,
    "SHA-512-224": 56,
    "SHA-512-256": 64,
    "SHA3-224": 56,
    "SHA3-256": 64,
    "SHA3-384": 96,
    "SHA3-512": 128,
    "RIPEMD-160": 40,
    "MD6": 0,
    "WHIRLPOOL": 128,
    "AUTHENTIHASH": 64,
    "CDHASH": 40,
    "IMPHASH": 32,
    "PEHASH": 40,
    "IMPFUZZY": 0,
    "SSDEEP": 0,
    "TELFHASH": 0,
    "TLSH": 0,
    "VHASH": 0,
}
"""Algorithm → hexadecimal digits of what it gives; 0: it has another form."""
_NAMES = {name.replace("-", ""): name for name in _DIGITS}
_SIGNS = str.maketrans("", "", "-_/ ")

STRENGTH = {
    **dict.fromkeys(("SHA-256", "SHA-512", "SHA-384", "SHA3-256", "SHA3-512", "SHA3-384"), 2),
    **dict.fromkeys(("SHA-512-256", "SHA-224", "SHA3-224", "SHA-512-224", "WHIRLPOOL", "RIPEMD-160"), 2),
    **dict.fromkeys(("SHA-1", "MD5"), 1),
}
"""Algorithms of which an equal hash says that two files are one, strongest first: 2, nobody can make two files with the
same; 1, somebody can (collisions of MD5 and SHA-1 are made at will). All others only say that two are alike."""
_RANK = {name: place for place, name in enumerate(STRENGTH)}

_HEX = re.compile(r"[0-9a-f]+\Z")
_SSDEEP = re.compile(r"[0-9]+:[A-Za-z0-9/+]+:[A-Za-z0-9/+]+\Z")
_TLSH = re.compile(r"(?:t1)?([0-9a-f]{70}|[0-9a-f]{134})\Z")


def hash_name(name: str) -> str:
    """`sha256`, `SHA_256` and `SHA-256` are one algorithm; one that we do not know keeps its name."""
    plain = name.strip("'\"")
    return _NAMES.get(plain.upper().translate(_SIGNS), plain)


def digest(algorithm: str, text: str) -> str | None:
    """The canonical spelling of a hash, under the `hash_name` of its algorithm; None: it cannot be one.

    Hexadecimal digits in lower case, those of TLSH without the `T1` that says which version it is; SSDEEP, whose case
    is content, and those that we do not know as they are.
    """
    digits = _DIGITS.get(algorithm)
    if digits:
        lower = text.lower()
        return lower if len(lower) == digits and _HEX.match(lower) else None
    if algorithm == "SSDEEP":
        return text if _SSDEEP.match(text) else None
    if algorithm == "TLSH":
        found = _TLSH.match(text.lower())
        return found and found[1]
    return text


def rank(algorithm: str) -> int:
    """Place among the algorithms that tell files apart, 0 the strongest; those that do not come after all of them."""
    return _RANK.get(algorithm, len(_RANK))
