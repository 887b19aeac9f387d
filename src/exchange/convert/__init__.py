"""MISP ↔ STIX.

    pages(raw, source, now=…)    one MISP event → pages of the STIX objects made of it, each under the label of what it
                                 came from
    split(raw)                   a file of several events → the bytes of each
    parts(stix, label)           one released STIX object → the MISP entities that it stands for, and what was lost
    compose.Draft                these entities → the JSON of one event, piece by piece

Attributes are mapped by our own table; objects and galaxies by misp-stix, which loses distribution and some markings
and exports deleted attributes as live ones (reference misp.md §5). So labels, deletions and ids are settled before it
runs and checked after; `docs/misp-mapping.md` says where what comes out is not what misp-stix gives, and why.
"""

from exchange.convert.events import pages
from exchange.convert.opening import split, uuid_in
from exchange.convert.part import Lost, Part
from exchange.convert.parts import parts

__all__ = ["Lost", "Part", "pages", "parts", "split", "uuid_in"]
