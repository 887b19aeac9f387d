"""Which lists an operator chose, and those that stand where nobody chose any."""

from __future__ import annotations

from dataclasses import dataclass

DEFAULT = (
    # What is nobody's: private, special and documentation addresses and names.
    "ipv6-linklocal", "multicast", "rfc1918", "rfc3849", "rfc5735", "rfc6598", "rfc6761",
    # What everybody asks: resolvers, certificates, mail, captive portals, updates.
    "public-dns-v4", "public-dns-v6", "captive-portals", "crl-hostname", "crl-ip", "common-contact-emails",
    "smtp-receiving-ips", "smtp-sending-ips", "google-gmail-sending-ips", "mozilla-CA", "mozilla-IntermediateCA",
    "apple", "google", "googlebot", "microsoft", "microsoft-office365", "microsoft-office365-ip",
    "microsoft-win10-connection-endpoints",
    # Addresses that stand for thousands of sites at once; a cloud's own are left out, for attackers rent them too.
    "akamai", "cloudflare", "fastly", "stackpath", "wikimedia", "umbrella-blockpage-hostname",
    "umbrella-blockpage-v4", "umbrella-blockpage-v6",
    # The name of a whole zone, and the names that most people visit: exactly, for under many of them anyone may rent
    # a name of their own. The lists that take in the sub-domains (alexa, tranco) hold far too much.
    "tlds", "second-level-tlds", "moz-top500", "majestic_million", "cisco_top5k", "university_domains", "bank-website",
    # Files that everybody has.
    "empty-hashes", "common-ioc-false-positive", "ti-falsepositives",
)  # fmt: skip
"""Folder names in misp-warninglists; 107,000 entries in all, no list above 63,000."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """The lists that make a value doubtful, by their folders' names, and the peers whose word is enough."""

    lists: tuple[str, ...] = ()
    trusted: frozenset[str] = frozenset()


NOTHING = Choice()
"""No list: no value is doubtful."""
