"""Recognise what a source gave before by its bytes, so that it need not be read, validated and keyed again.

Only what the same source gave is looked at (RULES R14), and nothing less than every byte makes it the same.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from exchange.model.envelope import id_in
from exchange.store import Store, originals, withdrawals

_SOME = 16
"""Of so many ids at least one was given before, or all are taken for new: to look for each costs as much as it saves,
and what is read all the same is found to be known later.
"""


def recognise(
    store: Store, raws: Sequence[bytes], source_key: str, peer: str, posted: str
) -> Mapping[int, tuple[str, int]]:
    """Which of `raws` the source `source_key` has given before, exactly so: place in `raws` → version and precision.

    What its peer has withdrawn from the channel `posted` is not recognised: it is to be listed again (RULES R22).
    """
    ids = [id_in(raw) for raw in raws]
    given: dict[str, set[bytes]] = {}
    for stix_id, raw in zip(ids, raws, strict=True):
        if stix_id:
            given.setdefault(stix_id, set()).add(raw)
    some = list(given)[:: max(1, len(given) // _SOME)]
    with store.reading() as tx:
        if not originals.any_given(tx, source_key, some):
            return {}
        before = originals.recognised(tx, source_key, given)
        out = withdrawals.marked(tx, peer, posted, given) if before else set()
    found: dict[int, tuple[str, int]] = {}
    for place, (stix_id, raw) in enumerate(zip(ids, raws, strict=True)):
        version = before.get((stix_id, raw))
        if version is not None and stix_id not in out:
            found[place] = version
    return found
