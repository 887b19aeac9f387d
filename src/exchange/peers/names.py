"""What the DNS says of a service: SRV records (RFC 2782)."""

from __future__ import annotations

from collections.abc import Sequence

_PATIENCE = 10.0
"""Seconds for all the tries of one question."""


def resolve(name: str) -> Sequence[tuple[str, int]]:
    """The (host, port) pairs of an SRV name, by priority and weight. Raises OSError when there are none."""
    import dns.exception  # a tenth of a second, and few peers are found so
    import dns.resolver

    try:
        answer = dns.resolver.resolve(name, "SRV", lifetime=_PATIENCE)
    except dns.exception.DNSException as error:
        raise OSError(str(error)) from None
    records = sorted(answer, key=lambda record: (record.priority, -record.weight, str(record.target)))
    return [(str(record.target).rstrip("."), int(record.port)) for record in records]
