"""Whoever had an object and may no longer have it is told, by a note of ours (RULES R8).

Those who read over TAXII, and TAXII targets; MISP has tombstones and deletions of its own. A notice is listed to that
one audience, beside the decision: the one exception (docs/decisions/0020), for it says nothing but what they had. It
stands until the object is listed to them again. All versions that went make one notice, of the newest; its id is an
HMAC of audience and object (R15), so a second withdrawal is the next version of the same note.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from functools import cached_property
from typing import NamedTuple

import orjson
import structlog
from msgspec.structs import replace
from sqlalchemy import Connection

from exchange.model import recall, stix
from exchange.model.marking import Label
from exchange.model.recall import Action, Recall
from exchange.model.stix import StixObject
from exchange.policy import Audience, Basis, Rules, gate_notice, strictest, within
from exchange.store import audiences, listings, notices, statements
from exchange.store.audiences import NODE_SECRET
from exchange.store.clock import FOREVER, micros, moment
from exchange.store.listings import Listed
from exchange.store.notices import Told
from exchange.store.statements import Held, New
from exchange.store.work import NOTICES
from exchange.sync.changes import NOT_YET, Changes
from exchange.sync.subjects import OPINION, OWNER, recalling
from exchange.sync.view import minted

log = structlog.get_logger()

OVER = "recall.over"
_MOVED = "fold.moved"
_SUSPENDED = "agreement.ended"
"""It only rests: renewal resumes it (RULES R19)."""
_OWN_WORD = frozenset({"withdrawn.by_peer", "withdrawn.at_source"})
THEIRS = "origin.returns"
"""They have come to give it themselves, if under another id: nobody asks them to remove what is good (RULES R3)."""


class _Due(NamedTuple):
    """What an audience is to be told, beside the row that went, or that came again."""

    audience: Audience
    row: Listed
    action: Action


class Notices:
    """The notices of one transaction. `since`: audience → its last date when the transaction began."""

    def __init__(
        self, tx: Connection, rules: Rules, now: datetime, numbers: Mapping[str, int], since: Mapping[str, int]
    ) -> None:
        self._tx, self._rules, self._now = tx, rules, now
        self._numbers, self._since = numbers, dict(since)
        self._misp = recalling(rules)
        self.about: dict[int, Listed] = {}
        """Number of a notice → the row that went, or came again."""

    def of(
        self, whom: Sequence[Audience], made: Mapping[str, Changes], alone: Mapping[str, Sequence[Listed]]
    ) -> dict[str, list[Listed]]:
        """What is to be listed to each audience because of these changes, which are about to be written.

        A notice that no longer holds is closed here.
        """
        told = [audience for audience in whom if audience.channel not in self._misp]
        due: list[_Due] = []
        if notices.any_made(self._tx):
            due += self._over(told, made, alone)
        for audience in told:
            if audience.key in made and made[audience.key].closed:
                due += self._gone(audience, made[audience.key])
        return self._listed(due) if due else {}

    def _gone(self, audience: Audience, changes: Changes) -> Iterator[_Due]:
        """What this audience could read, and can read in no version any more."""
        stands = {row.stix_id for row in changes.begun} | {stix_id for stix_id, _ in changes.stay}
        shown = {row.stix_id for row in (*changes.begun, *changes.stay.values()) if not row.folded}
        went: dict[str, tuple[Listed, str]] = {}
        for row, code in changes.closed:
            # What began in this very transaction nobody could fetch.
            # A version of it that says another fact stands behind a twin now: what they have is outdated all the same.
            there = shown if code == _MOVED else stands
            if row.stix_id in there or code in (_SUSPENDED, THEIRS) or row.added > self._since[audience.key]:
                continue
            if row.stix_id not in went or row.version > went[row.stix_id][0].version:
                went[row.stix_id] = row, code
        had = set(went)
        if audience.pushes and went:
            had = notices.had(self._tx, self._numbers[audience.key], audience.channel, went)
        for stix_id, (row, code) in went.items():
            if stix_id in had and not (code in _OWN_WORD and self._its_own(audience, row)):
                yield _Due(audience, row, "withdrawn")

    def _its_own(self, audience: Audience, row: Listed) -> bool:
        """Whether nobody but the peer that took it back itself would be told."""
        return audience.single is not None and statements.by_seq(self._tx, [row.seq])[0].peer == audience.single

    def _over(
        self, whom: Sequence[Audience], made: Mapping[str, Changes], alone: Mapping[str, Sequence[Listed]]
    ) -> list[_Due]:
        """Close the notices about what is listed again; a target that holds one is told that it no longer holds."""
        begun: dict[tuple[int, str], tuple[Audience, Listed]] = {}
        for audience in whom:
            for row in (*alone.get(audience.key, ()), *(made[audience.key].begun if audience.key in made else ())):
                if not row.folded and (not audience.pushes or (row.latest and row.rank > OPINION)):
                    begun[row.audience, row.stix_id] = audience, row
        found = notices.told(self._tx, {stix_id for _, stix_id in begun})
        mine = {key: told for key, told in found.items() if key in begun and told.action == "withdrawn"}
        rows = self._close([(begun[key][0], key[1]) for key in mine])
        notices.keep(self._tx, [told._replace(action=notices.OVER) for told in mine.values()])
        pushed = {key: (row.audience, row.added) for key, row in rows.items() if begun[key][0].pushes}
        held = notices.sent(self._tx, pushed.values())
        return [_Due(*begun[key], "restored") for key, place in pushed.items() if place in held]

    def _close(self, about: Sequence[tuple[Audience, str]]) -> dict[tuple[int, str], Listed]:
        """Close what stands of the notices to these audiences about these objects: (audience, object) → its row."""
        places = {self._note(audience, stix_id): (audience, stix_id) for audience, stix_id in about}
        rows = listings.standing(self._tx, places)
        listings.close(self._tx, [(row, OVER) for row in rows], micros(self._now))
        return {(row.audience, places[row.stix_id][1]): row for row in rows}

    def _note(self, audience: Audience, stix_id: str) -> str:
        """The id of the notice; it tells nothing, and nobody can make it in advance (RULES R15)."""
        return "note--" + minted(self._secret, f"recall|{audience.key}|{stix_id}")

    @cached_property
    def _secret(self) -> bytes:
        return bytes.fromhex(audiences.note(self._tx, NODE_SECRET))

    # --- writing -----------------------------------------------------------------------------------------------------

    def _listed(self, due: Sequence[_Due]) -> dict[str, list[Listed]]:
        """Store the notes, and give the row of each; their dates are those of the listing."""
        known = notices.told(self._tx, {each.row.stix_id for each in due})
        before = {key: told for key, told in known.items() if key[0] in {each.row.audience for each in due}}
        self._close([(d.audience, d.row.stix_id) for d in due if (d.row.audience, d.row.stix_id) in before])
        bodies = statements.bodies(self._tx, [told.seq for told in before.values()])
        held = {each.seq: each for each in statements.by_seq(self._tx, {each.row.seq for each in due})}
        news: list[New] = []
        kept: list[_Due] = []
        for each in due:
            last = before.get((each.row.audience, each.row.stix_id))
            note = self._written(each, held[each.row.seq], None if last is None else bodies[last.seq])
            if note is not None:
                news.append(
                    New(object=note, label=note.label, basis=Basis.STATED, newest=True, touch=False, waiting=False)
                )
                kept.append(each)
        stored = self._store(news, [told.seq for told in before.values()])
        told = [Told(d.row.audience, d.row.stix_id, item.seq, d.action) for d, item in zip(kept, stored, strict=True)]
        notices.keep(self._tx, told)
        rows: dict[str, list[Listed]] = {}
        for each, item in zip(kept, stored, strict=True):
            rows.setdefault(each.audience.key, []).append(_row(each.row, item))
            self.about[item.seq] = each.row
        return rows

    def _written(self, due: _Due, held: Held, last: bytes | None) -> StixObject | None:
        """The note, judged by the second gate; None: that stopped it, which is an alarm."""
        made = modified = self._now
        if last is not None:
            before = orjson.loads(last)
            made = datetime.fromisoformat(before["created"])
            modified = max(modified, datetime.fromisoformat(before["modified"]) + timedelta(milliseconds=1))
        row = due.row
        version = (
            stix.spelt(row.version, held.precision)
            if row.version
            else moment(row.added).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
        )
        note = recall.notice(
            Recall(stix_id=row.stix_id, version=version, action=due.action),
            note_id=self._note(due.audience, row.stix_id),
            author=self._rules.terms.node_identity,
            created=_millis(made),
            modified=_millis(modified),
            label=Label.from_text(row.label),
        )
        if not gate_notice(note.body):
            log.error("gate.stopped", source=NOTICES, audience=due.audience.key, id=row.stix_id)
            return None
        return note

    def _store(self, news: Sequence[New], before: Sequence[int]) -> list[Held]:
        statements.supersede(self._tx, before)
        return statements.add_all(
            self._tx, news, [notices.NO_EVENT] * len(news),
            source=NOTICES, peer=notices.PEER, posted="", document=None, now=micros(self._now),
        )  # fmt: skip


def _millis(at: datetime) -> str:
    return at.isoformat(timespec="milliseconds").removesuffix("+00:00") + "Z"


def _row(of: Listed, item: Held) -> Listed:
    """The row of a notice about what stood in the row `of`, under the same label and agreement."""
    return replace(
        of, added=NOT_YET, seq=item.seq, type=item.type, rank=OWNER, latest=True, folded=False, not_after=FOREVER,
        block=item.block, start=item.start, stop=item.stop, stix_id=item.stix_id, version=item.version, fact=None,
        expires=None,
    )  # fmt: skip


def close_above(tx: Connection, rules: Rules, before: Mapping[str, Sequence[str]], now: datetime) -> None:
    """Where an audience gets a member, notices of what none of its members could be given now are closed.

    `before`: audience → its members until now. They had those objects, the new member never did.
    """
    numbers = {key: row.number for key, row in audiences.everyone(tx).items()}
    for audience in rules.audiences:
        if set(audience.members) <= set(before.get(audience.key, audience.members)):
            continue
        clearance = rules.clearance(audience)
        rows = notices.standing(tx, numbers[audience.key])
        above = [row for row, body in rows if not within(strictest(body), clearance)]
        listings.close(tx, [(row, "recall.new_member") for row in above], micros(now))
