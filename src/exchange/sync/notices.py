"""Whoever had an object and may no longer have it is told, by a note of ours (RULES R8).

Those who read over TAXII, and TAXII targets; MISP has tombstones and deletions of its own. A notice is listed beside
the decision: the one exception (docs/decisions/0020), for it says nothing but what they had. It stands until the object
is listed to them again, in front of its twins (R23). All versions that went make one notice, of the newest.

What goes at one instant from several audiences is said once, and listed to each of them (docs/decisions/0031): the id
of the note is an HMAC of what it says and of that instant (R15), so nothing of it tells who else was told (R14). A push
target, where closing shows nothing, has a note of its own for each object, of which every word is the next version.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from functools import cached_property
from typing import NamedTuple

import orjson
import structlog
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
        self.about: dict[tuple[int, int], Listed] = {}
        """(audience, number of a notice) → the row that went, or came again."""

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
        same = {(row.stix_id, row.version) for row in changes.begun} | changes.stay.keys()
        went: dict[str, tuple[Listed, str]] = {}
        for row, code in changes.closed:
            # What began in this very transaction nobody could fetch.
            # Another version of it stands behind a twin, where nobody finds it who follows: what they have is outdated,
            # or is not for them any more, all the same.
            outlived = code == _MOVED or not (row.folded or (row.stix_id, row.version) in same)
            there = shown if outlived else stands
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
        begun: list[tuple[Audience, Listed]] = []
        for audience in whom:
            for row in (*alone.get(audience.key, ()), *(made[audience.key].begun if audience.key in made else ())):
                if not row.folded and (not audience.pushes or (row.latest and row.rank > OPINION)):
                    begun.append((audience, row))
        said = notices.about(self._tx, dict.fromkeys(row.stix_id for _, row in begun))
        if not said:
            return []
        about = {each.stix_id for each in said}
        again = {(row.audience, row.stix_id): (audience, row) for audience, row in begun if row.stix_id in about}
        readers = {place for place, (audience, _) in again.items() if not audience.pushes}
        self._close(said, readers)
        return self._over_there(said, {place: each for place, each in again.items() if place not in readers})

    def _over_there(self, said: Sequence[Told], again: Mapping[tuple[int, str], tuple[Audience, Listed]]) -> list[_Due]:
        """The same at push targets."""
        last = notices.last_of(said)
        mine = {place: last[place] for place in again if place in last and last[place].action == "withdrawn"}
        rows = self._open(mine.values(), mine)
        # Asked before they are closed: what may be on its way counts as there only for as long as it waits.
        held = notices.sent(self._tx, [(row.audience, row.added) for row in rows.values()])
        self._end(rows.values())
        notices.over(self._tx, mine.values())
        return [_Due(*again[place], "restored") for place, row in rows.items() if (row.audience, row.added) in held]

    def _close(self, said: Iterable[Told], places: Collection[tuple[int, str]]) -> None:
        """Close what stands of these notices at `places`, (audience, object)."""
        self._end(self._open(said, places).values())

    def _open(self, said: Iterable[Told], places: Collection[tuple[int, str]]) -> dict[tuple[int, str], Listed]:
        """What stands of these notices at `places`, (audience, object): its row there."""
        ids = {stix_id for _, stix_id in places}
        about = {each.seq: each.stix_id for each in said if each.stix_id in ids}
        rows = notices.open_rows(self._tx, about, {number for number, _ in places}) if about else []
        return {place: row for row in rows if (place := (row.audience, about[row.seq])) in places}

    def _end(self, rows: Iterable[Listed]) -> None:
        listings.close(self._tx, [(row, OVER) for row in rows], micros(self._now))

    @cached_property
    def _secret(self) -> bytes:
        return bytes.fromhex(audiences.note(self._tx, NODE_SECRET))

    # --- writing -----------------------------------------------------------------------------------------------------

    def _listed(self, due: Sequence[_Due]) -> dict[str, list[Listed]]:
        """Store the notes, and give the row of each; their dates are those of the listing."""
        known = notices.any_made(self._tx)
        said = notices.about(self._tx, dict.fromkeys(each.row.stix_id for each in due)) if known else []
        if said:
            self._close(said, {(each.row.audience, each.row.stix_id) for each in due})
        held = {each.seq: each for each in statements.by_seq(self._tx, {each.row.seq for each in due})}
        there = [each for each in due if each.audience.pushes]
        readers = [each for each in due if not each.audience.pushes] if there else due
        pairs = [*self._to_readers(readers, held, said), *self._to_targets(there, held, said)]
        rows: dict[str, list[Listed]] = {}
        for each, item in pairs:
            rows.setdefault(each.audience.key, []).append(_row(each.row, item))
            self.about[each.row.audience, item.seq] = each.row
        return rows

    def _to_readers(
        self, due: Sequence[_Due], held: Mapping[int, Held], said: Sequence[Told]
    ) -> Iterator[tuple[_Due, Held]]:
        """One note for all that are to be told the same, and who gets it."""
        notes: dict[tuple[int, str, int], str] = {}
        news: dict[str, tuple[StixObject, Told] | None] = {}
        for each in due:
            row = each.row
            key = (row.seq, row.label, 0 if row.version else row.added)
            if key not in notes:
                made = self._written(each, held[row.seq])
                notes[key] = made.id
                if made.id not in news:
                    news[made.id] = (made, Told(row.stix_id, 0, 0, each.action)) if self._passes(made, each) else None
        stored = {item.stix_id: item for item in statements.by_seq(self._tx, {told.seq for told in said})}
        fresh = [pair for note_id, pair in news.items() if pair is not None and note_id not in stored]
        stored |= {item.stix_id: item for item in self._store(fresh)}
        for each in due:
            row = each.row
            note_id = notes[row.seq, row.label, 0 if row.version else row.added]
            if news[note_id] is not None:
                yield each, stored[note_id]

    def _to_targets(
        self, due: Sequence[_Due], held: Mapping[int, Held], said: Sequence[Told]
    ) -> Iterator[tuple[_Due, Held]]:
        """The next version of the note of each."""
        last = notices.last_of(said) if due else {}
        before = {place: last[place] for each in due if (place := (each.row.audience, each.row.stix_id)) in last}
        bodies = statements.bodies(self._tx, [told.seq for told in before.values()])
        statements.supersede(self._tx, [told.seq for told in before.values()])
        going: list[_Due] = []
        fresh: list[tuple[StixObject, Told]] = []
        for each in due:
            place = each.row.audience, each.row.stix_id
            made = self._written(each, held[each.row.seq], bodies[before[place].seq] if place in before else None)
            if self._passes(made, each):
                going.append(each)
                fresh.append((made, Told(each.row.stix_id, 0, each.row.audience, each.action)))
        yield from zip(going, self._store(fresh), strict=True)

    def _written(self, due: _Due, held: Held, last: bytes | None = None) -> StixObject:
        """The note; `last`: what was said before in the same."""
        made = modified = self._now
        if last is not None:
            before = orjson.loads(last)
            made = datetime.fromisoformat(before["created"])
            modified = max(modified, datetime.fromisoformat(before["modified"]) + timedelta(milliseconds=1))
        row, label = due.row, Label.from_text(due.row.label)
        version = (
            stix.spelt(row.version, held.precision)
            if row.version
            else moment(row.added).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
        )
        whose = f"{due.audience.key}|{row.stix_id}"
        if not due.audience.pushes:
            whose = f"{row.stix_id}|{version}|{','.join(recall.marks(label))}|{micros(self._now)}"
        return recall.notice(
            Recall(stix_id=row.stix_id, version=version, action=due.action),
            # It tells nothing, and nobody can make it in advance (RULES R15).
            note_id="note--" + minted(self._secret, f"recall|{whose}"),
            author=self._rules.terms.node_identity,
            created=_millis(made),
            modified=_millis(modified),
            label=label,
        )

    def _passes(self, note: StixObject, due: _Due) -> bool:
        """Whether the second gate lets it go; that it does not is an alarm."""
        if gate_notice(note.body):
            return True
        log.error("gate.stopped", source=NOTICES, audience=due.audience.key, id=due.row.stix_id)
        return False

    def _store(self, made: Sequence[tuple[StixObject, Told]]) -> list[Held]:
        news = [
            New(object=note, label=note.label, basis=Basis.STATED, newest=True, touch=False, waiting=False)
            for note, _ in made
        ]
        stored = statements.add_all(
            self._tx, news, [notices.NO_EVENT] * len(news),
            source=NOTICES, peer=notices.PEER, posted="", document=None, now=micros(self._now),
        )  # fmt: skip
        notices.keep(self._tx, [told._replace(seq=i.seq) for (_, told), i in zip(made, stored, strict=True)])
        return stored


def _millis(at: datetime) -> str:
    return at.isoformat(timespec="milliseconds").removesuffix("+00:00") + "Z"


def _row(of: Listed, item: Held) -> Listed:
    """The row of a notice about what stood in the row `of`, under the same label and agreement."""
    return Listed(
        of.audience, NOT_YET, item.seq, item.type, OWNER, of.label, True, False, of.agreement, FOREVER, None,
        item.block, item.start, item.stop, None, item.stix_id, item.version,
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
