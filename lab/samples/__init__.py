"""What the partners know: several hundred objects of our own making, the same on every run.

All addresses and names are reserved for documentation. Besides ordinary campaigns there is one of each thing that a
node has to get right; `canada.odd()`, `estonia.odd()` and `luxembourg.odd()` name them, so that a test can ask for
them by what they are.
"""

from lab.samples import canada, estonia, luxembourg
from lab.samples.campaigns import CCC_ONLY_DOMAIN, SHARED_DOMAIN
from lab.samples.canada import ccc
from lab.samples.estonia import cert_ee
from lab.samples.luxembourg import CIRCL_ORG, FOREIGN_ORG, circl_events, circl_feed
from lab.samples.stix import CCC_IDENTITY, CERT_EE_IDENTITY, CIRCL_IDENTITY

__all__ = [
    "CCC_IDENTITY",
    "CCC_ONLY_DOMAIN",
    "CERT_EE_IDENTITY",
    "CIRCL_IDENTITY",
    "CIRCL_ORG",
    "FOREIGN_ORG",
    "SHARED_DOMAIN",
    "canada",
    "ccc",
    "cert_ee",
    "circl_events",
    "circl_feed",
    "estonia",
    "luxembourg",
]
