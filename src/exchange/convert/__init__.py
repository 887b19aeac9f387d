"""MISP ↔ STIX.

    to_page(raw, source, now=…)  one MISP event → the STIX objects made of it, each under the label of what it came from
    split(raw)                   a file of several events → the bytes of each
    event_of(…)                  STIX objects released to one audience → one event of a MISP feed, and what was lost
    manifest_entry, hashes       its lines in `manifest.json` and `hashes.csv`

misp-stix makes the STIX. It loses distribution and some markings, and exports deleted attributes as live ones
(reference misp.md §5), so labels, deletions and ids are settled before it runs and checked after.
"""

from exchange.convert.events import split, to_page
from exchange.convert.feed import FeedEvent, Lost, Releasable, event_of, hashes, manifest_entry

__all__ = ["FeedEvent", "Lost", "Releasable", "event_of", "hashes", "manifest_entry", "split", "to_page"]
