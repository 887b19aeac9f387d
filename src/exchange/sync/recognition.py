"""Recognise what a source gave before by its bytes, so that it need not be read, validated and keyed again.

Only what the same source gave is looked at (RULES R14), and nothing less than every byte makes it the same.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from exchange.model.envelope import id_in
from exchange.store import Store, originals, withdrawals


def recognise(store: Store, raws: Sequence[bytes], source_key: str, peer: str, posted: str) -> Mapping[int, str]:
    """Which of `raws` the source `source_key` has given before, exactly so: place in `raws` → version.

    What its peer has withdrawn from the channel `posted` is not recognised: it is to be listed again (RULES R22).
    """
    ids = [id_in(raw) for raw in raws]
    with store.reading() as tx:
        before = originals.given(tx, source_key, dict.fromkeys(filter(None, ids)))
        out = withdrawals.marked(tx, peer, posted, before) if before else set()
    found: dict[int, str] = {}
    for place, (stix_id, raw) in enumerate(zip(ids, raws, strict=True)):
        version = before.get(stix_id, {}).get(raw) if stix_id not in out else None
        if version is not None:
            found[place] = version
    return found
