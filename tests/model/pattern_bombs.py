"""Patterns that are made to hurt, of any size: nested, repeated, absorbing, long, escaped."""

from __future__ import annotations

from collections.abc import Callable


def repeated(head: str, piece: str, tail: str, between: str = "") -> Callable[[int], str]:
    """`piece` as often as there is room for."""
    return lambda size: head + between.join([piece] * max(1, (size - len(head + tail)) // len(piece + between))) + tail


def counted(head: str, piece: str, tail: str, between: str = "") -> Callable[[int], str]:
    """`piece` with another number in it each time, as often as there is room for."""

    def made(size: int) -> str:
        left, parts = size - len(head + tail), list[str]()
        while left > 0:
            number = len(parts)
            parts.append(piece.format(number, number // 256 % 256, number % 256, chr(0x4E00 + number % 20000)))
            left -= len(parts[-1]) + len(between)
        return head + between.join(parts[:-1] or parts) + tail

    return made


def nested(opening: str, inner: str, closing: str, levels: int = 64) -> Callable[[int], str]:
    """A long chain as deep as it may stand."""
    return counted(f"[{opening * levels}", inner, f"{closing * levels}]", " OR ")


BOMBS: dict[str, Callable[[int], str]] = {
    "keys": repeated("[a:b", ".c", " = 'x']"),
    "quoted keys": repeated("[a:b", ".'c'", " = 'x']"),
    "indices": repeated("[a:b", "[0]", " = 'x']"),
    "paths": counted("[", "a:b{0} = 'x'", "]", " OR "),
    "comments": repeated("[a:b ", "/**/", " = 'x']"),
    "spaces": repeated("[a:b ", " ", " = 'x']"),
    "nothing": repeated("", " ", ""),
    "odd spaces": repeated("", "\u2003", ""),
    "no pattern": repeated("", "x", ""),
    "backslashes": repeated("[a:b = '", "\\\\", "']"),
    "backslashes in a key": repeated("[windows-registry-key:key = '", "\\\\", "']"),
    "quotes": repeated("[a:b = '", "\\'", "']"),
    "one string": repeated("[a:b = '", "x", "']"),
    "one domain": repeated("[domain-name:value = '", "a.", "']"),
    "defanged": repeated("[domain-name:value = '", "[.]", "']"),
    "brackets": repeated("[url:value = 'http://a/", "[", "']"),
    "percents": repeated("[url:value = 'http://a/", "%41", "']"),
    "dots": repeated("[url:value = 'http://a/", "../", "']"),
    "letters": repeated("[domain-name:value = '", "ü", "']"),
    "letters in a path": repeated("[url:value = 'http://a/", "é", "']"),
    "names of letters": counted("[domain-name:value IN (", "'{3}{0}.{3}.example'", ")]", ","),
    "long names of letters": counted("[domain-name:value IN (", "'" + "{3}" * 60 + "." + "{3}" * 60 + "'", ")]", ","),
    "mailboxes": counted("[email-message:from_ref.value IN (", "'@{3}{0}'", ")]", ","),
    "IPv6": counted("[ipv6-addr:value IN (", "'::{0}'", ")]", ","),
    "networks": counted("[ipv4-addr:value IN (", "'1.{1}.{2}.1/9'", ")]", ","),
    "referred networks": counted("[network-traffic:dst_ref.value IN (", "'1.{1}.{2}.1/9'", ")]", ","),
    "referred IPv6": counted("[network-traffic:dst_ref.value IN (", "'::{0}'", ")]", ","),
    "subsets": counted("[", "ipv6-addr:value ISSUBSET '::{0}/99'", "]", " OR "),
    "links": counted("[url:value IN (", "'http://a:80/{0}'", ")]", ","),
    "links to IPv6": counted("[url:value IN (", "'http://[::{0}]:80/'", ")]", ","),
    "registry keys": counted("[windows-registry-key:key IN (", "'HKLM\\\\{0}'", ")]", ","),
    "hashes": counted("[", "file:hashes.sha256 = '{0:064x}'", "]", " OR "),
    "no hashes": counted("[file:hashes.SHA_256 IN (", "'x{0}'", ")]", ","),
    "a set of one": repeated("[a:b IN (", "1", ")]", ","),
    "a set": counted("[a:b IN (", "{0}", ")]", ","),
    "a set that is not": counted("[a:b NOT IN (", "'{0}'", ")]", ","),
    "a set of any": counted("[a:b[*] NOT IN (", "{0}", ")]", ","),
    "a set on a long path": counted("[a:" + "b" * 1500 + " IN (", "{0}", ")]", ","),
    "a chain": counted("[", "a:b = {0}", "]", " OR "),
    "a chain of strings": counted("[", "a:b = '\\'{0}'", "]", " AND "),
    "a chain of expressions": counted("[", "a:b LIKE '{0}'", "]", " OR "),
    "a chain of floats": counted("[", "a:b = {0}.5", "]", " OR "),
    "a chain of times": counted("[", "a:b > t'2026-01-01T00:00:00.{0}Z'", "]", " OR "),
    "existence": counted("[", "EXISTS a:b{0}", "]", " OR "),
    "long prefixes": counted("[", "a:b = '" + "x" * 200 + "{0}'", "]", " OR "),
    "observations, or": counted("", "[a:b = {0}]", "", " OR "),
    "observations, and": counted("", "[a:b = {0}]", "", "AND"),
    "one observation": repeated("", "[a:b = 1]", "", "AND"),
    "observations in order": counted("", "[a:b = '{0}']", "", "FOLLOWEDBY"),
    "qualified observations": counted("", "[a:b = {0}] REPEATS 2 TIMES", "", " OR "),
    "qualifiers": repeated("([a:b = 1])", "WITHIN 1 SECONDS", ""),
    "spans": repeated("([a:b = 1])", "START t'2026-01-01T00:00:00.0Z'STOP t'2026-01-01T00:00:00.0Z'", ""),
    "zeros of a second": repeated("[a:b = t'2026-01-01T00:00:00.", "0", "Z']"),
    "a number": repeated("[a:b = ", "1", "]"),
    "zeros": repeated("[a:b = 0.", "0", "]"),
    "absorption": counted("[a:b = 1 OR ", "(a:b = 1 AND a:c = {0})", "]", " OR "),
    "no absorption": counted("[a:b = 1 OR ", "(a:b = 2 AND a:c = {0})", "]", " OR "),
    "absorption, level by level": nested("a:b = 1 OR (a:b = 1 AND (", "a:x = {0}", "))", 32),
    "clauses": counted("[", "(a:b = '{0}' OR a:c = '{0}')", "]", " AND "),
    "types": counted("[", "x:y{0}_ref.type = 'ipv4-addr' AND x:y{0}_ref.value = '1.1.{1}.{2}'", "]", " AND "),
    "one type": counted(
        "[network-traffic:dst_ref.type = 'ipv4-addr' AND ", "network-traffic:dst_ref.value = '1.{1}.{2}.1/9'", "]",
        " AND ",
    ),
    "parentheses": nested("(", "a:x = {0}", ")"),
    "parentheses with terms": nested("a:y = 1 OR (", "a:x = '{0}'", ")"),
    "parentheses by turns": nested("a:y = 1 OR (a:z = 1 AND (", "a:x = '{0}'", "))", 32),
    "parentheses that open": repeated("", "(", ""),
    "brackets that open": repeated("", "[", ""),
    "observations in parentheses": counted("(" * 64, "[a:b = {0}]", ")" * 64, " OR "),
}  # fmt: skip
