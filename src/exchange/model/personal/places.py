"""Where persons are: addresses and names inside a network, folders of users, servers by their short name."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterator

from exchange.model.personal.finding import Kind, listed
from exchange.model.personal.names import somebody
from exchange.model.personal.numbers import Span

# --- addresses ---------------------------------------------------------------------------------------------------

DOT = r"(?:\.|\[\.\]|\(\.\)|\[dot\])"
_BYTE = r"(?:25[0-5]|2[0-4][0-9]|1[0-9]{2}|[1-9]?[0-9])"
_V4 = re.compile(
    rf"(?<![\w.])(?<!\w-)(?:10{DOT}{_BYTE}|192{DOT}168|172{DOT}(?:1[6-9]|2[0-9]|3[01])|169{DOT}254"
    rf"|100{DOT}(?:6[4-9]|[7-9][0-9]|1[01][0-9]|12[0-7])){DOT}{_BYTE}{DOT}({_BYTE})(/[0-9]{{1,2}}(?![0-9]))?(?![\w]|{DOT}[0-9])",
    re.I,
)
"""RFC 1918, RFC 6598 and RFC 3927."""
_VERSIONS = re.compile(
    r"(?:\b(?:v|vers?|versions?|releases?|firmware|jdk|jre|weblogic(?: server)?)[.\s:=(]{0,4}|\b(?-i:[A-Z][a-z]{2,})/"
    r"|[<>]=? ?)(?:[0-9]{1,5}(?:\.[0-9*x]{1,5}){2,4}"
    r"(?:, ?|;|/| ?[-–] ?| (?:and|et|or|ou|to|à|through|jusqu['’]à|before|avant) ){1,2}){0,8}\Z",
    re.I,
)
"""Words that stand before a version only: `server 10.1.2.3` and `HTTP/10.1.2.3` are addresses.
A list of versions goes on as long as each has three parts at least."""
_BEFORE = 64
"""Characters in front that are read to tell a version from an address."""
_V6 = re.compile(
    r"(?<![\w:.])f(?:[cd][0-9a-f]|e[89ab])[0-9a-f]:[0-9a-f:.]{1,40}(?:%[0-9a-z]{1,16})?(?:/[0-9]{1,3})?", re.I
)


def addresses(text: str) -> Iterator[Span]:
    """Addresses that mean something inside a network only. `10.0.1.2` behind a word for a version is none."""
    for match in _V4.finditer(text):
        if (match[1] == "0" or match[2]) and not match[2]:
            continue  # a network without its length, or a version
        if (match[2] and _generic(match[0])) or match[0] in _METADATA:
            continue
        if not _VERSIONS.search(text[max(0, match.start() - _BEFORE) : match.start()]):
            yield *match.span(), Kind.ADDRESS, True
    for match in _V6.finditer(text):
        kept = match[0].partition("%")[0].partition("/")[0].rstrip(".:") or match[0]
        if _v6(kept) or _v6(f"{kept}::"):
            yield *match.span(), Kind.ADDRESS, True


_METADATA = frozenset({"169.254.169.254", "169.254.170.2", "100.100.100.200"})
"""Where every machine of a cloud asks what it is."""
_GENERIC = frozenset({("10", 8), ("172", 12), ("192", 16), ("169", 16), ("100", 10)})


def _generic(network: str) -> bool:
    """Whether it is the whole of a range that everybody has."""
    address, _, length = network.partition("/")
    return (re.split(DOT, address)[0], int(length)) in _GENERIC


def _v6(text: str) -> bool:
    try:
        return not ipaddress.IPv6Address(text).is_global
    except ValueError:
        return False


# --- names -------------------------------------------------------------------------------------------------------

_SAMPLE = frozenset(
    {
        "example",
        "contoso",
        "domain",
        "yourdomain",
        "mydomain",
        "company",
        "localhost",
        "test",
        "_tcp",
        "_udp",
        "rc",
        "exe",
        "dll",
    }
)
"""Names before an internal suffix that stand for any name."""


def suffixes(special: tuple[str, ...], internal: tuple[str, ...]) -> re.Pattern[str]:
    """What finds the suffixes in a text; group 1 is one that the operator named."""

    def any_of(names: tuple[str, ...]) -> str:
        longest = sorted(names, key=lambda name: (-len(name), name))
        return "|".join(re.escape(name.strip(".")).replace(r"\.", DOT) for name in longest)

    ours = rf"({any_of(internal)})" if internal else "(?!)()"
    return re.compile(rf"(?:{ours}|{DOT}(?:{any_of(special)}))(?![\w-]|{DOT}\w|@)", re.I)


def hosts(text: str, ending: re.Pattern[str]) -> Iterator[Span]:
    """Names under an internal suffix, and those suffixes that the operator named by themselves."""
    free = 0
    for match in ending.finditer(text):
        start = _begin(text, match.start(), free)
        front = text[start : match.start()].strip("[.]()").casefold()
        free = match.end()
        if match[1]:
            whole = start == match.start() or text[match.start() - 1] in ".])"
            if whole:
                yield start, match.end(), Kind.HOST, True
        elif front and front.rpartition(".")[2] not in _SAMPLE and not _in_path(text, start):
            yield start, match.end(), Kind.HOST, True


def _in_path(text: str, start: int) -> bool:
    """Whether what begins at `start` is the name of a file (`/etc/rc.local`)."""
    return text[max(0, start - 2) : start].endswith("/") and text[max(0, start - 2) : start] != "//"


def _begin(text: str, at: int, free: int) -> int:
    """Where the labels in front of `at` begin; `[.]` and `(.)` are dots."""
    start = at
    while start > free:
        if text[start - 1].isalnum() or text[start - 1] in "-_.":
            start -= 1
        elif text[max(free, start - 3) : start] in ("[.]", "(.)"):
            start -= 3
        else:
            break
    while start < at and text[start] in "-.[]()":
        start += 1
    return start


# --- folders and servers -----------------------------------------------------------------------------------------

_FOLDER = re.compile(
    r"(?:(?:(?<![\w.])[a-z]:|%systemdrive%|%homedrive%|[a-z]\$|(?<![\w.:/\\])(?=\\))[\\/]{1,4}"
    r"(?:users|utilisateurs|documents and settings|docume~1|winnt[\\/]{1,4}profiles)[\\/]{1,4}"
    r"|(?<![\w.~%)\]-])(?:/export|/private|/mnt/c|/var)?/(?:home|users)/)"
    r"([\w.$@<>\[\]{}%*()~-]{1,64}(?: [\w.$@-]{1,30}){0,2}(?=\\)|[\w.$@<>\[\]{}%*()~-]{1,64})",
    re.I,
)
_SYMBOLS = re.compile(r"(?:[\\/]{1,4}[^\\/\r\n\"<>|*?:]{1,100}){0,24}?\.pdb(?!\w)", re.I)
"""The rest of a path to a compiler's symbols: it names the one who built the file, and is intelligence."""
_EVERYBODY = ("all users", "default user", "public", "default", "shared", "tous les utilisateurs", "admini~")
_SERVER = re.compile(r"(?<![\w\\:/.*?%)}\]-])\\\\([a-z0-9][\w-]{0,62})(?=\\[\w$.-])", re.I)
_NO_SERVER = listed(
    """
    appdata computer computername currentcontrolset device documents domain harddiskvolume hostname ip localhost
    machine microsoft pipe programdata program registry remote server servername software startup system system32 temp
    tsclient users windows wsl wsl$ share host c d vmware-host
    """
)


def folders(text: str) -> Iterator[Span]:
    """The user's name in the path of a user's folder."""
    for match in _FOLDER.finditer(text):
        name = match[1].rstrip(".")
        if (
            not somebody(name)
            or name[0] == "."
            or name.casefold().startswith(_EVERYBODY)
            or _SYMBOLS.match(text, match.end())
        ):
            continue
        yield match.start(1), match.start(1) + len(name), Kind.PATH, False


def servers(text: str) -> Iterator[Span]:
    """The server in a UNC path, by a name without a dot: it is inside somebody's network."""
    for match in _SERVER.finditer(text):
        if match[1].casefold() not in _NO_SERVER:
            yield *match.span(1), Kind.HOST, False
