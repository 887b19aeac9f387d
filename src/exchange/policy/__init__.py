"""WHO may have what: agreements, closure, `decide`, and the second gate on bytes. Pure: no I/O, no clock.

`decide` is the one door out (DESIGN): every listing, push and explanation goes through it.
"""

from exchange.policy.audience import Audience, audiences
from exchange.policy.clauses import Asked
from exchange.policy.closure import Basis, resolve
from exchange.policy.decide import Rules
from exchange.policy.gate import gate, gate_event, gate_names, gate_notice, stamp, stamped, strictest, within
from exchange.policy.trace import Step, trace
from exchange.policy.transform import Making, Refused, Transform, apply
from exchange.policy.unnaming import Names
from exchange.policy.verdict import Decision, Subject, Verdict, unless_expired

__all__ = [
    "Asked",
    "Audience",
    "Basis",
    "Decision",
    "Making",
    "Names",
    "Refused",
    "Rules",
    "Step",
    "Subject",
    "Transform",
    "Verdict",
    "apply",
    "audiences",
    "gate",
    "gate_event",
    "gate_names",
    "gate_notice",
    "resolve",
    "stamp",
    "stamped",
    "strictest",
    "trace",
    "unless_expired",
    "within",
]
