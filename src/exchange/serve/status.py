"""The status of a POST (TAXII 2.1 section 4.3): what became of each object, for its owner alone.

What the poster is told depends on what it gave, on the terms, and on what it may see, never on what others gave that
it may not see (RULES R14, R21).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from datetime import timedelta
from typing import Any

import falcon
import orjson
from sqlalchemy import Connection

from exchange import i18n
from exchange.errors import ContentError, NotFound, StoreBusy
from exchange.i18n import Language
from exchange.model import stix
from exchange.model.envelope import Rejected
from exchange.policy import Audience, Verdict
from exchange.policy.audience import collection_channel
from exchange.serve import tags
from exchange.serve.door import Visit
from exchange.serve.question import EVERY, timestamp
from exchange.serve.roots import Room
from exchange.store import accounts, moment, pages, statements
from exchange.store.audiences import AudienceRow
from exchange.store.pages import Query
from exchange.store.statements import Held
from exchange.store.withdrawals import is_notice, is_returned
from exchange.sync.ageing import Ageing
from exchange.sync.intake import Outcome
from exchange.sync.subjects import ahead, judged

REVIEW = timedelta(hours=24)
"""How long something held may stay pending before it counts as a failure (RULES R21)."""
KEPT = timedelta(days=2)
"""How long a status is told: a day at least after the last of it is settled (section 4.3)."""
_AT_ONCE = 500
_ROWS = 10_000
_QUOTED = 200
"""Characters of what is wrong in an object that its poster is told; the quarantine keeps all of it."""
_UUID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}\Z")
_MODIFIED = re.compile(rb'"(?:modified|created)"\s*:\s*"([0-9TZ:.-]{20,30})"')

Kept = dict[str, Any]
"""What is kept of a POST, as JSON: `collection`, `source`, `at`; `success`, how many succeeded at once, and
`successes`, those as JSON text, for nothing of it will ever change; `others`, a Fate for each of the rest."""
Fate = dict[str, Any]
"""What became of an object that did not succeed at once: `id`, `version`, `state` (failure, pending),
`reason`, `fields`, and `shown`, the version in TAXII form (for one without a version its date added, RULES R14)."""


def keep(
    outcomes: Sequence[Outcome],
    listed: Mapping[tuple[str, str], int],
    rejected: Sequence[Rejected],
    *,
    collection: str,
    source: str,
    at: int,
) -> Kept:
    """What the intake says. `listed`: what this POST listed for its poster; `rejected`: what could not be read."""
    unread = iter(rejected)
    successes: list[str] = []
    others: list[Fate] = []
    for outcome in outcomes:
        added = listed.get((outcome.id, outcome.version)) if outcome.success else None
        if added is not None or outcome.code == "touch":
            # Equal content under a new version is recorded and not listed again (RULES R9).
            successes.append(_success(outcome.id, _version(outcome, at if added is None else added)))
            continue
        raw = next(unread).raw if outcome.code == "rejected" else b""
        others.append(
            {
                "id": outcome.id,
                "version": outcome.version,
                # The rest is pending until its listing has been looked at.
                "state": "pending" if outcome.success else "failure",
                "reason": outcome.reason,
                "fields": {name: _short(value) for name, value in outcome.fields.items()},
                "shown": _version(outcome, at) if outcome.version else _claimed(raw) or timestamp(at),
            }
        )
    return {
        "collection": collection,
        "source": source,
        "at": at,
        "success": len(successes),
        "successes": ",".join(successes),
        "others": others,
    }


def _success(stix_id: str, version: str) -> str:
    """As JSON; ids and dates hold nothing that it would escape."""
    return f'{{"id":"{stix_id}","version":"{version}"}}'


def _short(value: Any) -> Any:
    return value[:_QUOTED] if isinstance(value, str) else value


def _version(outcome: Outcome, added: int) -> str:
    return stix.spelt(outcome.version, outcome.precision) if outcome.version else timestamp(added)


def _claimed(raw: bytes) -> str:
    """The version that an object claims which could not be read whole, so that its poster finds it again."""
    dates = [found.decode() for found in _MODIFIED.findall(raw[:100_000])]
    try:
        return max(dates, key=stix.instant, default="")
    except ContentError:
        return ""


def settle(kept: Kept, visit: Visit, audience: AudienceRow | None) -> bool:
    """Say of each object that is not settled yet whether it stands, waits, or is refused. Whether any was settled."""
    open_ = [fate for fate in kept["others"] if fate["state"] == "pending"]
    if not open_:
        return False
    collection = visit.rules.terms.collections.get(kept["collection"])
    with visit.site.store.reading() as tx:
        reader = visit.sees(tx, collection) if collection is not None else None
        standing = _standing(tx, reader, {fate["id"] for fate in open_}, visit.now) if reader is not None else {}
        missing = {fate["id"] for fate in open_ if (fate["id"], fate["version"]) not in standing}
        groups = statements.held(tx, missing) if missing else {}
        # Judged by the poster's own statements alone: what others gave must not show in the answer.
        owned = {id_: [held for held in group if held.source == kept["source"]] for id_, group in groups.items()}
        ageing = Ageing.of(tx, visit.rules, moment(visit.now))
        ageing.look([group for group in owned.values() if group], {}, alone=reader is None)
    key = "" if audience is None else audience.key
    found = next((each for each in visit.rules.audiences if each.key == key), None)
    lapsed = visit.now - kept["at"] > REVIEW // timedelta(microseconds=1)
    for fate in open_:
        added = standing.get((fate["id"], fate["version"]))
        if added is not None:
            fate.update(state="success", shown=fate["shown"] if fate["version"] else timestamp(added))
            continue
        fate.update(_judged(fate["version"], owned.get(fate["id"], ()), ageing, visit, found))
        if lapsed and fate["state"] == "pending":
            fate.update(state="failure", reason="request.review_lapsed")
    _close(kept)
    return any(fate["state"] != "pending" for fate in open_)


def _close(kept: Kept) -> None:
    """Put those that succeeded to the others of their kind."""
    done = [_success(fate["id"], fate["shown"]) for fate in kept["others"] if fate["state"] == "success"]
    kept["others"] = [fate for fate in kept["others"] if fate["state"] != "success"]
    kept["success"] += len(done)
    kept["successes"] = ",".join(filter(None, (kept["successes"], *done)))


def _standing(tx: Connection, audience: AudienceRow, ids: Iterable[str], now: int) -> Mapping[tuple[str, str], int]:
    """(id, version) → date added, of everything under these ids that the audience sees, folded or not."""
    found: dict[tuple[str, str], int] = {}
    ordered = sorted(ids)
    for start in range(0, len(ordered), _AT_ONCE):
        after, more = -1, True
        while more:
            query = Query(
                after=after,
                now=now,
                ids=frozenset(ordered[start : start + _AT_ONCE]),
                types=frozenset(),
                versions=EVERY,
                limit=_ROWS,
            )
            index = pages.index(tx, audience.number, query)
            found |= {(entry.stix_id, entry.version): entry.added for entry in index.entries}
            more = index.more
            after = index.entries[-1].added if index.entries else after
    return found


def _judged(version: str, own: Sequence[Held], ageing: Ageing, visit: Visit, audience: Audience | None) -> Fate:
    mine = [item for item in judged(visit.rules, own, moment(visit.now)) if item.held.version == version] if own else []
    if not mine or audience is None:
        return {"state": "pending", "reason": "request.waiting"}
    if mine[0].held.touch or is_notice(mine[0].held) or is_returned(mine[0].held):
        # Recorded, and not listed again (RULES R9); obeyed (R8); filed under what it was made of (R16).
        return {"state": "success", "reason": ""}
    if ahead(mine[0].held, moment(visit.now)):
        return {"state": "pending", "reason": "version.future"}
    decision = ageing.decide(mine[0], audience)
    state = {Verdict.RELEASE: "success", Verdict.HOLD: "pending", Verdict.DENY: "failure"}[decision.verdict]
    return {"state": state, "reason": "" if decision.released else decision.reasons[0]}


def shown(id_: str, kept: Kept, language: Language) -> bytes:
    """The status resource (section 4.3.1): counts that add up, no empty list, a reason for all that is no success."""
    told: dict[str, list[dict[str, str]]] = {"failure": [], "pending": []}
    for fate in kept["others"]:
        message = f"{i18n.text(fate['reason'], language, **fate['fields'])} [{fate['reason']}]"
        told[fate["state"]].append({"id": fate["id"], "version": fate["shown"], "message": message})
    body: dict[str, Any] = {
        "id": id_,
        "status": "pending" if told["pending"] else "complete",
        "request_timestamp": timestamp(kept["at"]),
        "total_count": kept["success"] + len(kept["others"]),
        "success_count": kept["success"],
        "failure_count": len(told["failure"]),
        "pending_count": len(told["pending"]),
    }
    if kept["success"]:
        body["successes"] = orjson.Fragment(f"[{kept['successes']}]")
    if told["failure"]:
        body["failures"] = told["failure"]
    if told["pending"]:
        body["pendings"] = told["pending"]
    return orjson.dumps(body)


class Status(Room):
    """`GET /api/status/{id}/` (section 4.3), for its owner; anyone else gets 404."""

    def on_get(self, req: falcon.Request, resp: falcon.Response, status_id: str) -> None:
        """The status resource, with what has been decided since; what is settled stays as it is told here."""
        with self.door.visit(req) as visit:
            kept = accounts.status_of(visit.tx, status_id, visit.account) if _UUID.match(status_id) else None
            # By the clock: the store clears away when somebody posts, and that nobody else may notice (RULES R14).
            if kept is None or visit.now - kept["at"] > KEPT // timedelta(microseconds=1):
                raise NotFound("request.no_status")
            kept = dict(kept)
            audience = visit.standing.audience(visit.tx, visit.peer, collection_channel(kept["collection"]))
        if settle(kept, visit, audience):
            # Told without being kept when the writer is busy: then the next look at it keeps it.
            with suppress(StoreBusy), self.site.store.writing() as tx:
                accounts.settle_status(tx, status_id, kept)
        tags.answer(req, resp, shown(status_id, kept, visit.language))
