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
from exchange.sync.subjects import Judged, creator
from exchange.sync.view import minted

NO_EVENT = 0
UNKNOWN = "transform.producer_unknown"
MISP = "transform.misp"
OTHER_FORM = "version.other_form"
Wanted = Iterable[tuple[Held, Transform]]


def worth(item: Judged, transform: Transform | None) -> Label | None:
    """Under which label it is listed: without those of its parts that are removed, the label of the rest."""
    return item.subject.parts if transform is not None and transform.cut is not None else item.subject.label


class Forms:
    """The altered objects of one transaction."""

    def __init__(self, tx: Connection, rules: Rules, now: datetime, misp: frozenset[str]) -> None:
        """`misp`: the channels of MISP targets, which carry nothing that was altered."""
        self._tx, self._rules, self._now, self._misp = tx, rules, micros(now), misp
        self._any = derived.any_made(tx)
        self._made: dict[tuple[int, str], Held | str] = {}
        """(statement, form) → what goes in its place, which may be itself; or why nothing does."""
        self._origins: dict[int, tuple[int, str]] = {}
        self._known: dict[tuple[str, str, str], Names | None] = {}
        self._bodies: dict[int, bytes] = {}
        self._items: dict[int, Held] = {}
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

    def made(self, seq: int) -> Held:
        """The statement of ours with this number, which was made or found in this transaction."""
        return self._items[seq]

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

    def of_group(self, audience: Audience, group: Sequence[Judged]) -> dict[int, Held | str]:
        """Statement → what goes in its place, or why nothing does; of what goes as it is, nothing is said.

        An audience knows an object by one id: the form of the newest version is that of all.
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
            held, form = max(going, key=lambda pair: (pair[0].version, pair[0].seq))
            altered = form.seq != held.seq
            forms |= {other.seq: OTHER_FORM for other, its in going if (its.seq != other.seq) != altered}
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
        return MISP if transform.anonymous or found.seq != held.seq else found

    def _body(self, seq: int) -> bytes:
        if seq not in self._bodies:
            self._bodies |= statements.bodies(self._tx, [seq])
        return self._bodies[seq]

    def _unnamed(self, held: Held, transform: Transform | None, seq: int) -> bool:
        """The second gate on names: whether the producer of `held` shows nowhere in the statement that is listed."""
        if transform is None or not transform.anonymous:
            return True
        names = self._names(held)
        return names is not None and gate_names(self._body(seq), names.parts, names.words)

    # --- making ------------------------------------------------------------------------------------------------------

    def _make(self, wanted: Wanted) -> None:
        """Make what was not made before."""
        todo = {
            (held.seq, transform.form): (held, transform)
            for held, transform in wanted
            if (held.seq, transform.form) not in self._made
        }
        if not todo:
            return
        if self._any:
            self._find(todo)
        rest = {key: pair for key, pair in todo.items() if key not in self._made}
        if self.dry:
            self._made |= dict.fromkeys(rest, OTHER_FORM)
            return
        given = statements.bodies(self._tx, {seq for seq, _ in rest})
        kept: list[Derived] = []
        news: dict[str, list[tuple[tuple[int, str], New]]] = {}
        for key, (held, transform) in rest.items():
            made = self._applied(held, transform, orjson.loads(given[held.seq]))
            if isinstance(made, dict):
                # Each source of statements has one of ours, so that nobody's version stands in another's way (R5).
                source = f":made/{held.source}/{transform.form}"
                news.setdefault(source, []).append((key, _new(held, made)))
                continue
            self._made[key] = held if made is None else made.code
            kept.append(Derived(held.seq, transform.form, held.stix_id, None, "" if made is None else made.code, ""))
        for source, pairs in news.items():
            stored = statements.add_all(
                self._tx, [new for _, new in pairs], [NO_EVENT] * len(pairs),
                source=source, peer=NODE, posted="", document=None, now=self._now,
            )  # fmt: skip
            for (key, new), item in zip(pairs, stored, strict=True):
                held, _ = rest[key]
                self._keep(key, held.stix_id, item)
                self._bodies[item.seq] = new.object.body
                kept.append(Derived(*key, held.stix_id, item.seq, "", self._token(held.stix_id)))
        derived.keep(self._tx, kept)
        self._any = True

    def _find(self, todo: Mapping[tuple[int, str], tuple[Held, Transform]]) -> None:
        """What was made of these before."""
        rows = {key: row for key, row in derived.of(self._tx, {seq for seq, _ in todo}).items() if key in todo}
        seqs = {row.seq for row in rows.values() if row.seq is not None}
        items = {item.seq: item for item in statements.by_seq(self._tx, seqs)}
        for key, row in rows.items():
            if row.seq is None:
                self._made[key] = row.code or todo[key][0]
            else:
                self._keep(key, row.stix_id, items[row.seq])

    def _keep(self, key: tuple[int, str], stix_id: str, item: Held) -> None:
        self._made[key] = self._items[item.seq] = item
        self._origins[item.seq] = (key[0], stix_id)

    def _applied(
        self, held: Held, transform: Transform, document: dict[str, object]
    ) -> dict[str, object] | Refused | None:
        names = self._names(held) if transform.anonymous else Names()
        if names is None:
            return Refused(UNKNOWN)
        refs = stix.references(document)
        recipients = transform.recipients
        minted_ids = self._minted(refs, recipients)
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

    def _minted(self, refs: frozenset[str], recipients: str) -> frozenset[str]:
        """Which of these the same recipients get under a new id."""
        if not self._any or not refs:
            return frozenset()
        rows = derived.by_id(self._tx, refs)
        return frozenset(row.stix_id for row in rows if row.form.startswith(f"{recipients}."))

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

    def _names(self, held: Held) -> Names | None:
        """By what the producer of `held` is known, and whoever gave it; None: it is named by an id alone, whose name
        nobody has told, so nobody can take it out.
        """
        whose = creator(held)
        key = (held.source, held.peer, whose)
        if key not in self._known:
            self._known[key] = self._found_names(held, whose)
        return self._known[key]

    def _found_names(self, held: Held, whose: str) -> Names | None:
        ids, names, contacts = [whose] if whose else [], [], []
        peers = [self._rules.terms.peers.get(each) for each in dict.fromkeys((self._rules.owner(whose), held.peer))]
        told = not whose or (peers[0] is not None and self._rules.owner(whose) != "")
        for peer in peers:
            if peer is not None and not peer.home:
                ids += peer.identities
                names.append(peer.name)
                contacts.append(peer.contact)
        stated = [item for item in statements.held(self._tx, ids).get(whose, ()) if item.source == held.source]
        for body in statements.bodies(self._tx, [item.seq for item in stated]).values():
            identity = orjson.loads(body)
            names.append(str(identity.get("name", "")))
            contacts.append(str(identity.get("contact_information", "")))
            told = True
        return Names.of(ids, names, contacts) if told else None

    def _mint(self, recipients: str, stix_id: str) -> str:
        kind, _, _ = stix_id.partition("--")
        return f"{kind}--{minted(self._secret, f'form|{recipients}|{stix_id}')}"

    def _token(self, stix_id: str) -> str:
        return hmac.digest(self._secret, f"lineage|{stix_id}".encode(), "sha256").hex()

    @cached_property
    def _secret(self) -> bytes:
        return bytes.fromhex(audiences.note(self._tx, NODE_SECRET))


def _new(held: Held, made: dict[str, object]) -> New:
    """The statement of ours. It states no fact of its own and has no values: whatever is asked for by those is the
    original's to answer.
    """
    item = replace(
        stix.parse(orjson.dumps(made), stix20=False), values=(), names=(), aliases=(), event="", attributes=0
    )
    item = replace(item, fact=item.id)
    return New(object=item, label=item.label, basis=Basis.STATED, newest=held.newest, touch=False, waiting=False)
