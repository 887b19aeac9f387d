"""What recipients get in place of a statement that may not go to them as it is: made once, kept, and found again.

An altered object is a statement of our own (`store.derived`), listed in place of the one of which it was made and with
its fate. It is made in the transaction that lists it, once for each class of recipients, so that all of them know the
same object by the same id. What cannot be made is not listed, and why is kept.
"""

from __future__ import annotations

import hmac
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from functools import cached_property

import orjson
from msgspec.structs import replace
from sqlalchemy import Connection

from exchange.model import stix
from exchange.model.marking import Label
from exchange.policy import Audience, Basis, Making, Names, Refused, Rules, Transform, apply, gate_names
from exchange.store import audiences, derived, listings, statements
from exchange.store.audiences import NODE_SECRET
from exchange.store.clock import micros
from exchange.store.derived import Derived
from exchange.store.listings import Listed
from exchange.store.statements import Held, New
from exchange.store.work import NODE
from exchange.sync.producers import Producers
from exchange.sync.subjects import Judged, creator
from exchange.sync.view import minted

NO_EVENT = 0
UNKNOWN = "transform.producer_unknown"
MISP = "transform.misp"
OTHER_FORM = "version.other_form"
NAMED_LATER = "transform.named_later"
"""It showed a producer by a name that was told, or written down, after it was made."""
Wanted = Iterable[tuple[Held, Transform]]
_Key = tuple[int, str]
"""A statement and a form."""
_Made = dict[str, object] | Refused | None


def worth(item: Judged, transform: Transform | None) -> Label | None:
    """Under which label it is listed: without those of its parts that are removed, the label of the rest."""
    return item.subject.parts if transform is not None and transform.cut is not None else item.subject.label


class Forms:
    """The altered objects of one transaction."""

    def __init__(self, tx: Connection, rules: Rules, now: datetime, misp: frozenset[str]) -> None:
        """`misp`: the channels of MISP targets, which carry nothing of a producer who is hidden."""
        self._tx, self._rules, self._now, self._misp = tx, rules, micros(now), misp
        self._any = derived.any_made(tx)
        self._made: dict[tuple[int, str], Held | str] = {}
        """(statement, form) → what goes in its place, which may be itself; or why nothing does."""
        self._origins: dict[int, tuple[int, str]] = {}
        self._versions: dict[int, str] = {}
        """Number of what was made → the version of its original, of what was made or found here."""
        self._producers = Producers(tx, rules)
        self._bodies: dict[int, bytes] = {}
        self._items: dict[int, Held] = {}
        self._stale: set[int] = set()
        """What stood of these shows somebody by a name that was not known when it was made."""
        self._expected: list[tuple[Held, Transform]] = []
        self._together: dict[tuple[str, str], set[str]] = {}
        """(source, recipients) → what of it is being made in another form."""
        self.dry = False
        """Nothing is made; what was not made before counts as something else than what stands."""

    def originals(self, stix_ids: Iterable[str]) -> dict[str, None]:
        """These ids in order, each that we minted as the one of which it was made: only that is ever decided."""
        ids = dict.fromkeys(stix_ids)
        if not self._any:
            return ids
        found = derived.originals(self._tx, ids)
        return dict.fromkeys(found.get(each, each) for each in ids) if found else ids

    def standing(self, stix_ids: Iterable[str]) -> list[Listed]:
        """What is listed in place of statements about these ids."""
        rows = derived.by_id(self._tx, stix_ids) if self._any else []
        if not rows:
            return []
        self._origins |= {row.seq: (row.of, row.stix_id) for row in rows if row.seq is not None}
        ours = {item.stix_id for item in statements.by_seq(self._tx, {r.seq for r in rows if r.seq is not None})}
        return [row for row in listings.standing(self._tx, ours) if row.seq in self._origins]

    def origin(self, row: Listed) -> tuple[int, str]:
        """The statement for which this row stands, and its id."""
        return self._origins.get(row.seq, (row.seq, row.stix_id))

    def said(self, row: Listed) -> tuple[str, str]:
        """(id, version) of that, as its source said them."""
        return self.origin(row)[1], self._versions.get(row.seq, row.version)

    def why_not(self, row: Listed) -> str:
        """Why this row gives way to another form of the same statement."""
        return NAMED_LATER if row.seq in self._stale else OTHER_FORM

    def made(self, seq: int) -> Held:
        """The statement of ours with this number, which was made or found in this transaction."""
        return self._items[seq]

    def expect(self, wanted: Wanted) -> None:
        """To be made with what is made next: what is made together knows of each other (RULES R14)."""
        self._expected += wanted

    def prepare(self, whom: Sequence[Audience], groups: Iterable[Sequence[Judged]]) -> None:
        """Make what goes to somebody in another form, of those that may have to."""
        items = [
            item
            for group in groups
            for item in group
            if self._rules.alters or item.subject.personal or item.subject.parts is not None
        ]
        transforms = ((item.held, item.decide(self._rules, audience).transform) for audience in whom for item in items)
        self._make([(held, transform) for held, transform in transforms if transform is not None])

    def of_group(self, audience: Audience, group: Sequence[Judged], ranks: Mapping[int, int]) -> dict[int, Held | str]:
        """Statement → what goes in its place, or why nothing does; of what goes as it is, nothing is said.

        An audience knows an object by one id: that under which the newest version goes, of the chain in front, for an
        opinion takes nobody's words away (RULES R5). What would go under another does not go.
        """
        decided = [(item.held, item.decide(self._rules, audience)) for item in group]
        if all(decision.transform is None for _, decision in decided):
            return {}
        forms = {
            held.seq: self._of(held, decision.transform, audience)
            for held, decision in decided
            if decision.released or decision.transform is not None
        }
        going = [(held, form) for held, _ in decided if isinstance(form := forms.get(held.seq), Held)]
        if going:
            _, form = max(going, key=lambda pair: (ranks[pair[0].seq], pair[0].version, pair[0].seq))
            forms |= {other.seq: OTHER_FORM for other, its in going if its.stix_id != form.stix_id}
        return forms

    def of_alone(
        self, audience: Audience, wanted: Sequence[tuple[Held, Transform | None]]
    ) -> tuple[dict[int, Held], list[Held]]:
        """Statement → what goes in its place, of each the only one about its id; and those that the second gate
        stopped.
        """
        self._make([(held, transform) for held, transform in wanted if transform is not None])
        going, stopped = {}, []
        for held, transform in wanted:
            form = self._of(held, transform, audience)
            if isinstance(form, str):
                continue
            if self._unnamed(held, transform, form.seq):
                going[held.seq] = form
            else:
                stopped.append(held)
        return going, stopped

    def passes(self, items: Mapping[int, Judged], row: Listed, audience: Audience) -> bool:
        """Whether the bytes that are about to be listed name nobody who must not be named (RULES R25)."""
        item = items[self.origin(row)[0]]
        return self._unnamed(item.held, item.decide(self._rules, audience).transform, row.seq)

    def _of(self, held: Held, transform: Transform | None, audience: Audience) -> Held | str:
        """What goes in place of `held`, once it has been made; or why nothing does."""
        if transform is None:
            return held
        found = self._made[held.seq, transform.form]
        if isinstance(found, str) or audience.channel not in self._misp:
            return found
        # Of a producer who is hidden nothing at all: it would stand in an event, which is somebody's.
        return MISP if transform.anonymous else found

    def _body(self, seq: int) -> bytes:
        if seq not in self._bodies:
            self._bodies |= statements.bodies(self._tx, [seq])
        return self._bodies[seq]

    def _unnamed(self, held: Held, transform: Transform | None, seq: int) -> bool:
        """The second gate on names: whether the producer of `held` shows nowhere in the statement that is listed."""
        if transform is None or not transform.anonymous:
            return True
        names = self._producers.names(held)
        return names is not None and gate_names(self._body(seq), names.parts, names.words)

    # --- making ------------------------------------------------------------------------------------------------------

    def _make(self, wanted: Wanted) -> None:
        """Make what was not made before, or shows by now who must not be shown."""
        todo = {
            (held.seq, transform.form): (held, transform)
            for held, transform in (*self._expected, *wanted)
            if (held.seq, transform.form) not in self._made
        }
        self._expected = []
        if not todo:
            return
        times = self._find(todo) if self._any else {}
        rest = {key: pair for key, pair in todo.items() if key not in self._made}
        if self.dry:
            self._made |= dict.fromkeys(rest, OTHER_FORM)
            return
        given = statements.bodies(self._tx, {seq for seq, _ in rest})
        kept: list[Derived] = []
        news: dict[str, list[tuple[tuple[int, str], New]]] = {}
        for key, made in self._all_applied(rest, given).items():
            held, transform = rest[key]
            if isinstance(made, dict):
                # Each source of statements has one of ours, so that nobody's version stands in another's way (R5).
                source = f":made/{held.source}/{transform.form}" + (f"/{times[key]}" if times.get(key) else "")
                news.setdefault(source, []).append((key, _new(held, made)))
                continue
            self._made[key] = held if made is None else made.code
            kept.append(self._row(held, transform, None, "" if made is None else made.code))
        for source, pairs in news.items():
            stored = statements.add_all(
                self._tx, [new for _, new in pairs], [_event(*rest[key]) for key, _ in pairs],
                source=source, peer=NODE, posted="", document=None, now=self._now,
            )  # fmt: skip
            for (key, new), item in zip(pairs, stored, strict=True):
                held, transform = rest[key]
                self._keep(key, held, item)
                self._bodies[item.seq] = new.object.body
                kept.append(self._row(held, transform, item.seq, ""))
        derived.keep(self._tx, kept)
        self._any = True

    def _all_applied(
        self, rest: Mapping[_Key, tuple[Held, Transform]], given: Mapping[int, bytes]
    ) -> dict[_Key, _Made]:
        """What comes of each. What refers to another of them is made again, until nothing changes."""
        documents = {key: orjson.loads(given[held.seq]) for key, (held, _) in rest.items()}
        references = {key: stix.references(document) - {document["id"]} for key, document in documents.items()}
        made: dict[_Key, _Made] = {}
        todo = set(rest)
        while todo:
            made |= {key: self._applied(*rest[key], documents[key]) for key in todo}
            new: dict[tuple[str, str], set[str]] = {}
            for key in todo:
                held, transform = rest[key]
                whose = held.source, transform.recipients
                if isinstance(made[key], dict) and held.stix_id not in self._together.setdefault(whose, set()):
                    self._together[whose].add(held.stix_id)
                    new.setdefault(whose, set()).add(held.stix_id)
            todo = {
                key
                for key, (held, transform) in rest.items()
                if (ids := new.get((held.source, transform.recipients))) and not ids.isdisjoint(references[key])
            }
        return made

    def _row(self, held: Held, transform: Transform, seq: int | None, code: str) -> Derived:
        return Derived(
            of=held.seq, form=transform.form, stix_id=held.stix_id, seq=seq, code=code,
            token="" if seq is None else self._token(held.stix_id), source=held.source, creator=creator(held),
            names=self._producers.digest(held) if transform.anonymous else "",
        )  # fmt: skip

    def _find(self, todo: Mapping[tuple[int, str], tuple[Held, Transform]]) -> dict[tuple[int, str], int]:
        """What was made of these before and may stand; how often each of the others was made before."""
        there = derived.of(self._tx, {seq for seq, _ in todo})
        rows = {key: row for key, row in there.items() if key in todo}
        hidden = [(row, todo[key][0]) for key, row in rows.items() if todo[key][1].anonymous]
        bodies = statements.bodies(self._tx, self._producers.unread(hidden))
        good, bad = self._producers.vouched(hidden, bodies)
        if not self.dry:
            derived.vouch(self._tx, [(row, digest) for row, digest in good if digest])
            # An earlier release could not tell that nobody is hidden in it.
            plain = [row for key, row in rows.items() if row.names and not todo[key][1].anonymous]
            derived.vouch(self._tx, [(row, "") for row in plain])
        for row in bad:
            del rows[row.of, row.form]
            if not row.code:
                self._stale.add(row.of if row.seq is None else row.seq)
            if not self.dry:
                derived.set_aside(self._tx, row)
        if not self.dry:
            statements.supersede(self._tx, [row.seq for row in bad if row.seq is not None])
        seqs = {row.seq for row in rows.values() if row.seq is not None}
        items = {item.seq: item for item in statements.by_seq(self._tx, seqs)}
        for key, row in rows.items():
            if row.seq is None:
                self._made[key] = row.code or todo[key][0]
            else:
                self._keep(key, todo[key][0], items[row.seq])
        times = derived.times(there.values())
        gone = {(row.of, row.form) for row in bad if row.seq is not None}
        return {key: times[key] + (key in gone) for key in todo.keys() - rows.keys()}

    def _keep(self, key: tuple[int, str], original: Held, item: Held) -> None:
        self._made[key] = self._items[item.seq] = item
        self._origins[item.seq] = (original.seq, original.stix_id)
        self._versions[item.seq] = original.version

    def _applied(self, held: Held, transform: Transform, document: dict[str, object]) -> _Made:
        names = self._producers.names(held) if transform.anonymous else Names()
        if names is None:
            return Refused(UNKNOWN)
        refs = stix.references(document)
        recipients = transform.recipients
        minted_ids = self._minted(held, refs, recipients)
        making = Making(
            mint=lambda stix_id: self._mint(recipients, stix_id),
            node=self._rules.terms.node_identity,
            token=self._token(held.stix_id),
            names=names,
            stays=self._stays(held, refs) - minted_ids if transform.anonymous else frozenset(),
            minted=minted_ids,
            choice=self._rules.terms.personal,
        )
        return apply(document, transform, making)

    def _minted(self, held: Held, refs: frozenset[str], recipients: str) -> frozenset[str]:
        """Which of these the same recipients get under a new id, by what the same source says of them (RULES R14)."""
        together = refs & self._together.get((held.source, recipients), set())
        rows = derived.by_id(self._tx, refs) if self._any and refs else []
        mine = (row for row in rows if row.source == held.source)
        return together.union(row.stix_id for row in mine if row.form.startswith(f"{recipients}."))

    def _stays(self, held: Held, refs: frozenset[str]) -> frozenset[str]:
        """Which of these tell of nobody who is hidden, by what the same source says of them (RULES R10)."""
        found = statements.held(self._tx, refs)
        plain = {
            stix_id
            for stix_id, group in found.items()
            if (mine := [item for item in group if item.source == held.source])
            and not any(self._rules.names_others(creator(item), item.peer) for item in mine)
        }
        ours = (ref for ref in refs if ref.startswith("identity--") and not self._rules.names_others(ref, held.peer))
        return frozenset((*plain, *ours))

    def _mint(self, recipients: str, stix_id: str) -> str:
        kind, _, _ = stix_id.partition("--")
        return f"{kind}--{minted(self._secret, f'form|{recipients}|{stix_id}')}"

    def _token(self, stix_id: str) -> str:
        return hmac.digest(self._secret, f"lineage|{stix_id}".encode(), "sha256").hex()

    @cached_property
    def _secret(self) -> bytes:
        return bytes.fromhex(audiences.note(self._tx, NODE_SECRET))


def _event(held: Held, transform: Transform) -> int:
    """The number of the MISP event in which it stands: that of the original, unless it would tell whose it is."""
    return NO_EVENT if transform.anonymous else held.event


def _new(held: Held, made: dict[str, object]) -> New:
    """The statement of ours. It states no fact of its own and has no values: whatever is asked for by those is the
    original's to answer.
    """
    item = replace(stix.parse(orjson.dumps(made), stix20=False), values=(), names=(), aliases=(), event="")
    item = replace(item, fact=item.id)
    return New(object=item, label=item.label, basis=Basis.STATED, newest=held.newest, touch=False, waiting=False)
