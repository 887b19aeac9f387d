"""What may leave, read out of RULES by itself: no line of the policy, of the model's labels or of the gate is used.

A label here is the set of names that were said, with what MISP adds to it; joining is putting sets together, and
levels are read off only when somebody is asked for. Where RULES leave a choice (of several referrers the least
restrictive, R11), whatever any of them would allow is allowed: the oracle says what must never leave.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import date
from typing import Any
from urllib.parse import urlsplit

from exchange.model.party import Agreement, Peer, Receive, Send, Terms
from exchange.sync.proof import acts, altered
from exchange.sync.proof.record import TLP, Act, Record, Room, Statement, Worth, levels
from exchange.sync.proof.words import AHEAD, CONTAINERS, LINKS, MARKS, OBSERVABLES, Case, Thing, called, kind_of, says

Item = Mapping[str, Any]
"""What left, as a reader has it."""
_PAP_CARRIED = ("pap:amber", "pap:red")
NEAR = 1
"""The widest reach that may leave the node for a partner is this or wider (policy.md section 8)."""


@dataclass(frozen=True, slots=True)
class _Way:
    """A statement on its way to a room."""

    statement: Statement
    newest: Statement
    """Of its chain: it governs the older ones (R8)."""
    room: Room
    item: Item | None
    record: Record
    whole: Statement | None = None
    """What it was before parts of it were removed."""


class Oracle:
    """RULES over the terms of one node, on one day."""

    def __init__(self, terms: Terms, today: date) -> None:
        self.terms, self.today = terms, today

    def rooms(self) -> list[Room]:
        """Every channel with those who read it as one."""
        found = []
        for collection in self.terms.collections.values():
            groups: dict[tuple[object, ...], list[str]] = {}
            for peer in sorted({*collection.readers, *collection.writers}):
                groups.setdefault(self._clauses(self.terms.peers[peer]), []).append(peer)
            for members in groups.values():
                channel = f"collection:{collection.id}"
                found.append(Room(channel=channel, members=tuple(members), collection=collection))
        for peer_ in self.terms.peers.values():
            for target in peer_.targets:
                channel = f"target:{peer_.id}/{target.id}"
                found.append(Room(channel=channel, members=(peer_.id,), collection=None, url=target.url))
        return found

    def class_of(self, room: Room) -> object:
        """Who knows an altered object by one id: those who stand under the same agreements (R15)."""
        return self._clauses(self.terms.peers[room.members[0]])[0]

    def _clauses(self, peer: Peer) -> tuple[object, ...]:
        names = frozenset(a.id for a in self.terms.agreements if a.send is not None and peer.id in a.parties)
        return names, peer.home, peer.pap, peer.dialect

    def forbids(self, record: Record, statement: Statement, room: Room, item: Item | None = None) -> frozenset[str]:
        """The laws by which nobody in the room may have the statement; empty: RULES do not forbid it.

        `item`: the bytes in which it left; None: in no form but those that leave its parts in it.
        """
        thing, source = statement.thing, statement.source
        if thing.version == AHEAD:
            return frozenset({"future"})
        newest = record.of(source, thing.number) or statement
        laws = self._under_any(record, _Way(statement, newest, room, item, record))
        if (
            laws
            and item is not None
            and any(
                not frozenset(self._beyond_act(record, act, statement, room, item))
                for act in record.acts.get(statement.trail, ())
            )
        ):
            return frozenset()
        gone = frozenset[str]() if item is None else altered.gone(thing, item)
        if not laws or not gone:
            return laws
        less = _without(statement, gone)
        above = less if newest is statement else _without(newest, frozenset(newest.thing.parts))
        return self._under_any(record, _Way(less, above, room, item, record, whole=statement))

    def _beyond_act(self, record: Record, act: Act, statement: Statement, room: Room, item: Item) -> Iterator[str]:
        """Why what left is not what a person widened (decision 0032), or may not go to this room all the same."""
        if record.of(statement.source, statement.thing.number) is not statement:
            yield "act"  # it was for the version that it named, as it was said then
        worths = self.worths(record, statement)
        if all(acts.is_more(each, act.worth) for each in worths):  # of several referrers the least restrictive (R11)
            yield "act"
        if any(self._is_overruled(record, act, other) for other in record.beside(statement)):
            yield "act"
        giver = self.terms.peers.get(statement.giver)
        whose = statement.thing.creator
        ours = (
            giver is not None
            and giver.home
            and bool(whose)
            and not altered.is_hidden(self.terms, statement.thing, statement.giver)
        )
        if act.right == "creator" and not ours:
            yield "act"
        if act.right == "pfc":
            if not self.terms.acts_for_mcn or not acts.is_ministerial(act) or not self._is_taken(statement):
                yield "act"
            yield from altered.shows_anybody(
                self.terms, statement.thing, statement.giver, item, lambda ids: record.told(statement.source, ids),
                ours=ours, victims=record.victims(statement),
            )  # fmt: skip
        if not altered.tokens(item) or altered.levels_left(item) != {act.level}:
            yield "marks"
        if room.members == (statement.giver,) and giver is not None and not giver.home:
            yield "returns"
        homes = [peer.id for peer in self.terms.peers.values() if peer.home]
        kept = frozenset(name for name in act.worth.names if not name.startswith(("tlp:", "pfc:")))
        worth = act.worth._replace(names=kept | {act.level})
        as_ours = replace(statement, giver=homes[0] if homes else "", posted="", worth=worth)
        thing = replace(as_ours.thing, creator=self.terms.node_identity)
        yield from self._clash(worth, _Way(replace(as_ours, thing=thing), as_ours, room, item, record))

    def _is_overruled(self, record: Record, act: Act, other: Statement) -> bool:
        """Whether its creator says by another source something newer than what was widened, or stricter (R5, R8)."""
        thing = act.statement.thing
        if not acts.is_word_of(self.terms, other.giver, thing.creator):
            return False
        worths = [] if record.waits(other) else self.worths(record, other)
        stricter = bool(worths) and all(acts.is_more(each, act.worth) for each in worths)
        return stricter or other.thing.version > thing.version

    def _is_taken(self, statement: Statement) -> bool:
        """Whether we agreed to take it, but for its level, which is what persons let go."""
        giver = self.terms.peers.get(statement.giver)
        if giver is None or giver.home:
            return giver is not None
        received = [a.receive for a in self._begun(statement.giver) if a.receive]
        return any(not set(_unfit(each, statement.thing)) for each in received)

    def may_have_some(self, record: Record, statement: Statement, room: Room) -> bool:
        """Whether the room may have the statement, or what is left of it without some of its parts."""
        if not self.forbids(record, statement, room):
            return True
        if not statement.thing.parts or statement.thing.version == AHEAD:
            return False
        return any(a.send is not None and a.send.granular == "remove" for a in self.terms.agreements)

    def _under_any(self, record: Record, way: _Way) -> frozenset[str]:
        """What forbids it whichever it is worth of what it may be."""
        worths, newest = self.worths(record, way.statement), way.newest
        if not worths:
            return frozenset({"unmarked"})
        governing = [Worth()] if newest is way.statement or record.waits(newest) else self.worths(record, newest)
        if not governing:
            return frozenset({"unmarked"})
        laws: frozenset[str] = frozenset()
        for worth in worths:
            for above in governing:
                found = self._clash(worth.with_(above), way)
                if not found:
                    return found
                laws |= found
        return laws

    def worths(self, record: Record, statement: Statement) -> list[Worth]:
        """What it may be worth (R10 to R13), none: nothing says so (R11)."""
        source, thing = statement.source, statement.thing
        own = self._understood(statement.giver, statement.worth)
        ends = [end for ref in thing.refs if (end := record.of(source, ref)) is not None]
        joined = [self._understood(statement.giver, end.worth) for end in ends]
        found = [own] if own.says else self._given_by_others(record, statement, own, joined)
        if thing.kind in CONTAINERS:
            for held in joined:
                found = [worth.with_(held) for worth in found] if held.says else found
        return found

    def _given_by_others(self, record: Record, statement: Statement, own: Worth, joined: list[Worth]) -> list[Worth]:
        base, based = own, False
        if statement.thing.kind in LINKS:
            for each in joined:
                if each.says:
                    base, based = base.with_(each), True
        others = record.referring(statement.source, statement.thing.number)
        near = [self._understood(statement.giver, other.worth) for other in others]
        marked = [each for each in near if each.says]
        if marked:  # labels flow from stated marks only (R10)
            return [base.with_(each) for each in marked]
        if based:
            return [base]
        default = self._default(statement.giver)
        if default is None:
            return []
        worth = Worth(frozenset({default})).with_(base)
        return [worth.with_(each) for each in near] or [worth]  # one without a level may still be for a few only

    def _default(self, giver: str) -> str | None:
        """The strictest of what the agreements with the giver say of unmarked content."""
        said_ = [a.receive.unmarked for a in self._begun(giver) if a.receive and a.receive.unmarked is not None]
        return None if not said_ else "tlp:" + next(name for name, level in TLP.items() if level == int(max(said_)))

    def says(self, giver: str, thing: Thing) -> bool:
        """Whether it says who may have it, besides what is informational: else it is worth what others are (R10)."""
        return says(thing) and self._understood(giver, Worth(frozenset((*thing.marks, *thing.parts)))).says

    def _understood(self, giver: str, worth: Worth) -> Worth:
        """Without the markings that the agreements with the giver call informational (R12)."""
        ignored = [mark for a in self._begun(giver) if a.receive for mark in a.receive.informational_markings]
        unknown = "marking-definition--" + MARKS["unknown"]
        if "*" in ignored or unknown in ignored:
            worth = worth._replace(names=worth.names - {"unknown"})
        return worth._replace(iep=False) if "*" in ignored else worth

    def _begun(self, peer: str) -> list[Agreement]:
        return [a for a in self.terms.agreements if peer in a.parties and a.start <= self.today]

    def _clash(self, worth: Worth, way: _Way) -> frozenset[str]:
        """Every law that a release under this label would break, for one member or another."""
        laws = set(self._of_giver(worth, way))
        for member in way.room.members:
            laws |= set(self._of_member(worth, way, self.terms.peers[member]))
        return frozenset(laws)

    def _of_giver(self, worth: Worth, way: _Way) -> Iterator[str]:
        statement = way.statement
        giver = self.terms.peers.get(statement.giver)
        if worth.draft:
            yield "draft"
        if "unknown" in worth.names or worth.iep:
            yield "unknown"
        if giver is None:
            yield "agreement"
            return
        listed = any(a.send is not None and a.send.pfc and giver.id in a.parties for a in self.terms.agreements)
        level = max(levels(worth.names, listed=listed), default=None)
        if level is None:
            yield "unmarked"
            return
        if way.whole is not None:  # all of it came in, whatever is removed before it goes on
            level = max(level, *levels(way.whole.worth.names, listed=listed))
        if not giver.home:
            yield from self._of_reception(level, way)

    def _of_reception(self, level: int, way: _Way) -> Iterator[str]:
        """What we agreed to take; persons may let go what is above its level, and nothing else of it."""
        thing = way.statement.thing
        received = [a.receive for a in self._begun(way.statement.giver) if a.receive]
        if level < TLP["red"] and all(self._let_go(way, member) for member in way.room.members):
            level = 0
        if not received:
            yield "agreement"
        elif not any(level <= int(each.ceiling) for each in received):
            yield "ceiling"
        elif not any(level <= int(each.ceiling) and not set(_unfit(each, thing)) for each in received):
            yield from (law for each in received for law in _unfit(each, thing))

    def _let_go(self, way: _Way, member: str) -> bool:
        """Whether as many persons let it go for this member as the most careful of its agreements asks for (R21)."""
        named = [a for a in self.terms.agreements if a.send is not None and member in a.parties]
        asked = max((a.send.approvals for a in named if a.send is not None), default=1)
        for_whom = ["", *(a.id for a in named), *((f"peer:{member}",) if way.room.members == (member,) else ())]
        return any(way.record.persons(way.newest, whom) >= asked for whom in for_whom)

    def _of_member(self, worth: Worth, way: _Way, member: Peer) -> Iterator[str]:
        statement, room = way.statement, way.room
        thing, collection = statement.thing, room.collection
        named = [a for a in self.terms.agreements if a.send is not None and member.id in a.parties]
        listed = member.home or any(a.send is not None and a.send.pfc for a in named)
        level = max(levels(worth.names, listed=listed), default=0)
        if collection is not None:
            if level > int(collection.ceiling):
                yield "ceiling"
            if collection.types is not None and thing.kind not in collection.types:
                yield "type"
            if collection.only_posted and statement.posted != room.channel:
                yield "type"
        alone = room.members == (member.id,)
        own = statement.giver == member.id and statement.posted == room.channel and alone
        creators = {identity.removeprefix("identity--").lower() for identity in member.identities}
        theirs = statement.giver == member.id or thing.creator.removeprefix("identity--").lower() in creators
        if alone and theirs and not own and (collection is None or not member.home):
            yield "returns"
        if not member.pap and any(name in worth.names for name in _PAP_CARRIED):
            yield "pap"
        yield from _of_dialect(worth, member)
        yield from self._of_group(worth, member)
        if not member.home:
            if worth.reach > NEAR:
                yield "reach"
            if level >= TLP["amber"] and not self._onward(statement.giver, room):
                yield "onward"
            yield from self._of_agreements(worth, way, named, own=own)

    def _of_group(self, worth: Worth, member: Peer) -> Iterator[str]:
        if worth.orgs is not None:
            ours = {self.terms.node_identity, *member.identities} if member.home else member.identities
            houses = [peer.identities for peer in self.terms.peers.values() if peer.home] if member.home else []
            known = {identity.removeprefix("identity--").lower() for identity in frozenset(ours).union(*houses)}
            if not known & worth.orgs:
                yield "group"

    def _onward(self, giver: str, room: Room) -> bool:
        """Whether AMBER and stricter may go further than us (decision 0006)."""
        if self.terms.peers[giver].home or room.members == (giver,):
            return True
        return any(a.send is not None and a.send.onward and self.today <= a.end for a in self._begun(giver))

    def _of_agreements(self, worth: Worth, way: _Way, named: list[Agreement], *, own: bool) -> Iterator[str]:
        """R2: one agreement in force must permit it, in the form in which it left."""
        refused = {a.id: set(self._refused(worth, way, a, own=own)) for a in named}
        allowed = [a for a in named if not refused[a.id]]
        if any(a.start <= self.today <= a.end for a in allowed):
            return
        if allowed:
            yield "ended"
        elif not named:
            yield "agreement"
        for laws in refused.values():
            yield from laws

    def _refused(self, worth: Worth, way: _Way, agreement: Agreement, *, own: bool) -> Iterator[str]:
        """Why the agreement does not send it, whenever it holds."""
        send, thing, giver = agreement.send, way.statement.thing, way.statement.giver
        if send is None:
            yield "agreement"
            return
        if way.whole is not None and send.granular != "remove":
            yield "ceiling"  # the marks of its parts count for the whole
        if max(levels(worth.names, listed=send.pfc), default=99) > int(send.ceiling):
            yield "ceiling"
        yield from _unfit(send, thing)
        yield from _uncalled(send, thing)
        if "pfc:vert" in worth.names and not send.pfc:
            yield "pfc"
        if send.encrypted and _in_clear(way.room.url):
            yield "encrypted"
        if worth.unnamed and send.attribution != "anonymous" and altered.is_hidden(self.terms, thing, giver):
            yield "named"
        if way.item is not None and not own:  # who reads back what they wrote has it as it was (R3)
            source, seen = way.statement.source, all(self._let_go(way, member) for member in way.room.members)
            yield from altered.breaks(
                self.terms, agreement, thing, giver, way.item, lambda ids: way.record.told(source, ids), seen=seen,
                victims=way.record.victims(way.statement),
            )  # fmt: skip


def _unfit(clause: Receive | Send, thing: Thing) -> Iterator[str]:
    """What of its type and its confidence the clause does not take."""
    if clause.types is not None and thing.kind not in clause.types:
        yield "type"
    if clause.confidence is not None and thing.kind not in OBSERVABLES:
        unsure = not clause.unrated if thing.confidence is None else thing.confidence < clause.confidence
        if unsure:
            yield "confidence"


def _uncalled(send: Send, thing: Thing) -> Iterator[str]:
    """What MISP calls it, and is not to go."""
    for word in called(thing):
        alike = {each for each in send.misp if each.split(":")[0] == word.split(":")[0]}
        if word in send.no_misp or (alike and word not in alike):
            yield "misp"


def _of_dialect(worth: Worth, member: Peer) -> Iterator[str]:
    said_ = levels((name for name in worth.names if name.startswith("tlp:")), listed=False)
    if member.dialect == "tlp1" and max(said_, default=0) == TLP["amber+strict"]:
        yield "dialect"


def _in_clear(url: str) -> bool:
    return url.startswith("http:") and urlsplit(url).hostname not in ("localhost", "127.0.0.1", "::1")


def _without(statement: Statement, marks: frozenset[str]) -> Statement:
    """The statement without those of its parts that have these marks."""
    thing = statement.thing
    left = [mark for mark in thing.parts if mark not in marks]
    names = statement.worth.names - (frozenset(thing.parts) - {*thing.marks, *left})
    return replace(statement, worth=statement.worth._replace(names=names))


def kinds_of(case: Case) -> Mapping[int, str]:
    """Number → type of everything in the case, of identities their id."""
    return {thing.number: kind_of(thing) for move in case.moves for thing in move.things}
