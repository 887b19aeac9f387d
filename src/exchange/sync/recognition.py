"""Recognise what a source gave before by its bytes, so that it need not be read, validated and keyed again.

Only what the same source gave is looked at (RULES R14), and nothing less than every byte makes it the same.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from exchange.model.envelope import id_in
from exchange.store import Store, originals, withdrawals


def recognise(
    store: Store, raws: Sequence[bytes], source_key: str, peer: str, posted: str
) -> Mapping[int, tuple[str, int]]:
    """Which of `raws` the source `source_key` has given before, exactly so: place in `raws` → version and precision.

    What its peer has withdrawn from the channel `posted` is not recognised: it is to be listed again (RULES R22).
    """
    given: dict[str, set[bytes]] = {}
    for raw in raws:
        given.setdefault(id_in(raw), set()).add(raw)
    given.pop("", None)
    with store.reading() as tx:
        before = originals.recognised(tx, source_key, given)
        out = withdrawals.marked(tx, peer, posted, given) if before else set()
    found: dict[int, tuple[str, int]] = {}
    for place, raw in enumerate(raws):
        stix_id = id_in(raw)
        version = before.get((stix_id, raw))
        if version is not None and stix_id not in out:
            found[place] = version
    return found
