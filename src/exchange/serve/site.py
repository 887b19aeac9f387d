"""What this room is given: the store, the rules in force, and the few values of the node that a reader sees."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime

from exchange.i18n import Language
from exchange.policy import Rules
from exchange.store import Store


@dataclass(frozen=True, slots=True, kw_only=True)
class Site:
    """One node as its subscribers meet it. Nothing here is read from a settings file by this room."""

    store: Store
    rules: Callable[[], Rules]
    """The rules in force at this moment."""
    public_url: str
    """What partners type; API roots are made of it. Empty: made of the request (a test, a first try)."""
    title: str
    """The node's name; data, so it is not translated."""
    description: Mapping[str, str] = field(default_factory=dict)
    """Language → text."""
    contact: str = ""
    """Whom a partner asks."""
    language: Language = "en"
    """For a reader whose `Accept-Language` names neither French nor English."""
    proxies: tuple[str, ...] = ()
    """Addresses or networks whose X-Forwarded-* and Client-Cert we believe (RULES R29)."""
    max_content_length: int = 10 * 1024 * 1024
    requests_per_minute: int = 0
    """Of one account, in one worker; 0: no limit."""
    outbound: Callable[[], bool] = lambda: True
    """Whether anything may leave, by any road, at this moment."""
    clock: Callable[[], datetime]
