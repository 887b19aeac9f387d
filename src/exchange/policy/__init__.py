"""WHO may have what: agreements, closure, `decide`, and the second gate on bytes. Pure: no I/O, no clock.

`decide` is the one door out (DESIGN): every listing, push and explanation goes through it.
"""

from exchange.policy.audience import Audience, audiences
from exchange.policy.closure import Basis, resolve
from exchange.policy.decide import Decision, Rules, Subject, Verdict, unless_expired
from exchange.policy.gate import gate, gate_event, gate_notice, strictest, within

__all__ = [
    "Audience",
    "Basis",
    "Decision",
    "Rules",
    "Subject",
    "Verdict",
    "audiences",
    "gate",
    "gate_event",
    "gate_notice",
    "resolve",
    "strictest",
    "unless_expired",
    "within",
]
