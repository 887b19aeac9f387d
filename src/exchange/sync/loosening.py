"""What a widening would do: which objects it is about, what would be made of them, and who would have that newly."""

from __future__ import annotations

import hmac
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from typing import Any

import orjson
from msgspec.structs import replace
from sqlalchemy import Connection

from exchange.errors import ExchangeError, UsageError
from exchange.model import personal, stix
from exchange.model.marking import Label
from exchange.model.personal.finding import where
from exchange.model.stix import CONTAINERS, StixObject
from exchange.policy import Audience, Basis, Making, Names, Refused, Rules, gate_names, trace, widening
from exchange.policy.widening import Right
from exchange.store import audiences, statements, widenings
from exchange.store.audiences import NODE_SECRET
from exchange.store.statements import Held
from exchange.store.widenings import Word
from exchange.sync import widened
from exchange.sync.accept import STEP
from exchange.sync.effects import Effect
from exchange.sync.footing import Footing
from exchange.sync.subjects import Judged, creator, horizon_at, judged
from exchange.sync.view import minted

PERSONAL = "transform.personal_stays"


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """What an operator wants. `to`: one level of TLP or PFC."""

    asked: str
    """A STIX id, or the uuid of a MISP entity or event."""
    to: Label
    right: Right
    source: str = ""
    """As which source said it; empty: there is only one that fits."""
    content: bool = False
    """The members of a report or grouping too, where they are of the same creator and worth the same."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Item:
    """One object that would be widened, and what would be made of it."""

    held: Held
    label: Label
    """What the original is worth."""
    made: StixObject
    home: str
    """Our house, of which the new object is a statement."""
    token: str
    givers: frozenset[str]
    """To whom the new object does not go back (RULES R3)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Obstacle:
    """Why partners would not have it even so."""

    channel: str
    members: tuple[str, ...]
    agreement: str
    """Whose clause it is; empty: no agreement's."""
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What would be done."""

    wish: Wish
    items: tuple[Item, ...]
    left_out: tuple[tuple[str, str], ...]
    """(id, reason) of the members that are not in it."""
    effects: tuple[Effect, ...]
    """Who would have it newly."""
    obstacles: tuple[Obstacle, ...]
    """What keeps it from others."""
    eyes: int
    """How many persons must say so."""
    said: tuple[str, ...]
    """Who has said so already."""

    @property
    def shape(self) -> tuple[tuple[int, str, bytes], ...]:
        """Plans of one shape do the same."""
        return tuple((item.held.seq, item.label.to_text(), item.made.body) for item in self.items)


def said_of(tx: Connection, wish: Wish, items: Sequence[Item]) -> list[Word]:
    """What persons have said for just this, oldest first."""
    wanted = {(item.held.seq, item.label.to_text()) for item in items}
    found = widenings.asked(tx, {seq for seq, _ in wanted}, wish.right, wish.to.to_text())
    return [w for w in found if {(row.seq, row.before) for row in widenings.of_act(tx, w.act)} == wanted]


class Planner:
    """One look at the store, in one transaction."""

    def __init__(self, tx: Connection, rules: Rules, wish: Wish, now: datetime) -> None:
        self._tx, self._rules, self._wish, self._now = tx, rules, wish, now
        self.footing = Footing(tx, rules)
        self._said: dict[str, list[Judged]] = {}
        """Id → all that is said of it."""
        self._news: dict[str, str] = {}
        """Original → the id of what is, or will be, its form under this right and level."""

    def plan(self) -> Plan:
        """What the wish would do. Raises UsageError that says why it may not be."""
        item = self._chosen(self._target())
        self._not_twice(item.held)
        body = self._body(item)
        members, left_out = self._members(item, body)
        self._news |= {each.held.stix_id: self._id(each.held) for each in (item, *members)}
        made = [self._item(item, frozenset(each for each, _ in left_out))]
        for member in members:
            try:
                made.append(self._item(member, frozenset()))
            except UsageError as error:
                left_out.append((member.held.stix_id, _reason_of(error)))
        if len(made) <= len(members):  # what a member is left out of must not name it by a new id
            out = frozenset(each for each, _ in left_out)
            self._news = {ref: new for ref, new in self._news.items() if ref not in out}
            kept = {each.held.stix_id for each in made[1:]}
            made = [self._item(item, out), *(self._item(m, frozenset()) for m in members if m.held.stix_id in kept)]
        items = tuple(made)
        said = tuple(dict.fromkeys(word.who for word in said_of(self._tx, self._wish, items)))
        effects, obstacles = self._effects(items)
        return Plan(
            wish=self._wish, items=items, left_out=tuple(left_out), eyes=self._rules.eyes, effects=tuple(effects),
            obstacles=tuple(obstacles), said=said,
        )  # fmt: skip

    def _target(self) -> str:
        """The id that is meant: of several with one uuid, the report or grouping."""
        scope = self.footing.meant(self._wish.asked)
        ids = list(scope.targets) if scope.kind == "object" else []
        if self._wish.asked in ids:
            return self._wish.asked
        ids = [each for each in ids if each not in widenings.made_of(self._tx, ids)]
        frames = [each for each in ids if each.partition("--")[0] in CONTAINERS]
        ids = frames if len(frames) == 1 else ids
        if not ids:
            raise UsageError("cli.widen.unknown", what=self._wish.asked[:100])
        if len(ids) > 1:
            raise UsageError("cli.widen.several", what=self._wish.asked[:100], ids=", ".join(ids[:10]))
        return ids[0]

    def _chosen(self, stix_id: str) -> Judged:
        """The newest version of the source that is meant. Raises UsageError that says why it may not be widened."""
        group = self.footing.held([stix_id]).get(stix_id, [])
        found = self._newest(group)
        if any(widenings.is_ours(each.held.source) for each in found):
            original = next((each.stix_id for each in widenings.about(self._tx, [stix_id])), stix_id)
            raise UsageError("cli.widen.made", id=stix_id, original=original)
        found = [each for each in found if self._wish.source in ("", each.held.source)]
        if not found:
            raise UsageError("cli.widen.not_said", id=stix_id, source=self._wish.source)
        fitting = [each for each in found if not self._unfit(each)]
        if not fitting:
            raise self._error(found[0], self._unfit(found[0]))
        if len(fitting) > 1:
            sources = ", ".join(each.held.source for each in fitting)
            raise UsageError("cli.widen.sources", id=stix_id, sources=sources)
        return fitting[0]

    def _not_twice(self, held: Held) -> None:
        """Who says the same again, since no answer came, gets no second object beside the first."""
        how = (held.seq, self._wish.right, self._wish.to.to_text())
        for word in widenings.standing(self._tx, [held.stix_id]):
            if (word.seq, word.right, word.level) == how:
                raise UsageError("cli.widen.stands", id=held.stix_id, number=word.act)

    def _newest(self, group: Sequence[Held]) -> list[Judged]:
        """Of each source the newest version that says something new, and is not from the future."""
        horizon = horizon_at(self._now)
        newest = {
            each.source: each.seq
            for each in sorted(group, key=lambda held: held.version)
            if not each.touch and each.version <= horizon
        }
        found = judged(self._rules, group, self._now)
        self._said |= {each.held.stix_id: found for each in found}
        return [each for each in found if newest.get(each.held.source) == each.held.seq]

    def _unfit(self, item: Judged) -> str:
        if not widened.is_sound(item) or widened.is_doubted(item) or item.held.waiting:
            return "widening.original"
        ground = widened.ground_of(self._rules, item)
        ministry = self._rules.terms.acts_for_mcn
        code = widening.refused(ground, self._wish.to, self._wish.right, ministry=ministry)
        if code or ground.label is None:
            return code
        said, horizon = self._said[item.held.stix_id], horizon_at(self._now)
        return widened.overruled(self._rules, item, said, ground.label, horizon) and "widening.overruled"

    def _error(self, item: Judged, code: str) -> UsageError:
        whose, owner = creator(item.held), self._rules.owner(creator(item.held))
        peer = self._rules.terms.peers.get(owner or item.held.peer)
        names = {"creator": whose or "–", "peer": item.held.peer if peer is None else peer.name}
        level = "–" if item.subject.label is None else ", ".join(_levels(item.subject.label)) or "–"
        to = ", ".join(_levels(self._wish.to))
        contact = "–" if peer is None else peer.contact or "–"
        if code == "widening.not_creator":
            return UsageError("cli.widen.not_creator", id=item.held.stix_id, contact=contact, reason=code, **names)
        source = item.held.source
        return UsageError(code, id=item.held.stix_id, level=level, to=to, source=source, giver=item.held.peer, **names)

    def _body(self, item: Judged) -> dict[str, Any]:
        found: dict[str, Any] = orjson.loads(statements.bodies(self._tx, [item.held.seq])[item.held.seq])
        return found

    # --- content ---------------------------------------------------------------------------------------------------

    def _members(self, item: Judged, body: Mapping[str, Any]) -> tuple[list[Judged], list[tuple[str, str]]]:
        """What of its content is widened with it, and what is left out since it is stricter, with the reason.

        What the same source never stated, or stated no stricter, keeps its place and its id (RULES R13).
        """
        refs = [str(ref) for ref in body.get("object_refs") or ()] if item.held.type in CONTAINERS else []
        ends = stix.references(dict(body))
        level = self._wish.to.to_text()
        done = [
            word for word in widenings.standing(self._tx, ends) if (word.right, word.level) == (self._wish.right, level)
        ]
        self._news = {word.stix_id: word.made for word in done if word.source == item.held.source}
        going: list[Judged] = []
        left_out: list[tuple[str, str]] = []
        groups = self.footing.held(refs)
        for ref in dict.fromkeys(refs):
            near = [each for each in self._newest(groups.get(ref, ())) if each.held.source == item.held.source]
            if not near or ref in self._news:
                continue
            (member,) = near
            code = self._apart(item, member)
            if not code and len(going) + 2 <= STEP:
                going.append(member)
            elif member.subject.label is None or widening.wider(member.subject.label, self._wish.to):
                left_out.append((ref, code or "widening.many"))
        return going, left_out

    def _apart(self, item: Judged, member: Judged) -> str:
        """Why a member is not widened with what holds it; empty: it is."""
        if not self._wish.content:
            return "widening.not_asked"
        mine, its = item.subject.label, member.subject.label
        if creator(item.held) != creator(member.held):
            return "widening.other_creator"
        if mine is None or its is None or (mine.tlp, mine.pfc, mine.vert) != (its.tlp, its.pfc, its.vert):
            return "widening.other_level"
        return self._unfit(member)

    # --- making ----------------------------------------------------------------------------------------------------

    def _id(self, held: Held) -> str:
        """The id of the new object (RULES R15). Its versions follow the original's; a version that is widened a second
        time is another object, since the first has been withdrawn.
        """
        right, level = self._wish.right, self._wish.to.to_text()
        turn = widenings.times(self._tx, held.stix_id, held.version, right, level)
        again = f"|{turn}" if turn else ""
        return self._mint(f"{right}|{level}|{held.source}|{held.stix_id}{again}", held.stix_id)

    def _mint(self, text: str, stix_id: str) -> str:
        return f"{stix_id.partition('--')[0]}--{minted(self._secret, f'widened|{text}')}"

    @cached_property
    def _secret(self) -> bytes:
        return bytes.fromhex(audiences.note(self._tx, NODE_SECRET))

    def _item(self, item: Judged, left_out: frozenset[str]) -> Item:
        held, body = item.held, self._body(item)
        names = self._names(held)
        if names is None:
            raise self._error(item, "transform.producer_unknown")
        token = hmac.digest(self._secret, f"widened|{held.stix_id}".encode(), "sha256").hex()
        refs = stix.references(body)
        making = Making(
            mint=lambda ref: self._news.get(ref) or self._mint(f"ref|{ref}", ref),
            node=self._rules.terms.node_identity,
            token=token,
            names=names,
            stays=self._stays(held, refs),
            minted=frozenset(refs & self._news.keys()),
            choice=self._rules.terms.personal,
        )
        made = widening.make(body, self._wish.to, self._wish.right, making, left_out, victim=held.victim)
        if isinstance(made, Refused):
            if made.code == PERSONAL:
                raise UsageError(
                    "cli.widen.personal", id=held.stix_id, place=_place_of(body, making.choice, victim=held.victim)
                )
            raise self._error(item, made.code)
        raw = orjson.dumps(made)
        if not gate_names(raw, names.parts, names.words):  # the second gate, before anything is kept
            raise self._error(item, "transform.named")
        label = item.subject.label
        assert label is not None  # noqa: S101 (what is unmarked was refused)
        new = replace(
            stix.parse(raw, stix20=False), label=widening.widened(label, self._wish.to), parts=None,
            aliases=(held.stix_id,), event="",
        )  # fmt: skip
        group = self.footing.held([held.stix_id])[held.stix_id]
        return Item(
            held=held, label=label, made=new, home=self._home(held), token=token,
            givers=frozenset(each.peer for each in group),
        )  # fmt: skip

    def _home(self, held: Held) -> str:
        homes = sorted(peer.id for peer in self._rules.terms.peers.values() if peer.home)
        if not homes:
            raise UsageError("cli.widen.no_home")
        return held.peer if held.peer in homes else homes[0]

    def _names(self, held: Held) -> Names | None:
        """What must not be found in it: nothing of our own; None: nobody has told the producer's name."""
        if self._wish.right != "pfc":
            return Names()
        return self.footing.names(held)

    def _stays(self, held: Held, refs: frozenset[str]) -> frozenset[str]:
        """Which of these ids tell of our own house alone, by what the same source says of them."""
        groups = self.footing.held(refs)
        mine = {ref: [each for each in group if each.source == held.source] for ref, group in groups.items()}
        ours = {ref for ref, group in mine.items() if group and all(map(self._is_ours, group))}
        ours |= {ref for ref in refs if ref.startswith("identity--") and self._rules.is_ours(ref)}
        return frozenset(ours - self._news.keys())

    def _is_ours(self, held: Held) -> bool:
        whose, giver = creator(held), self._rules.terms.peers.get(held.peer)
        return giver is not None and giver.home and self._rules.is_ours(whose)

    # --- who would have it ------------------------------------------------------------------------------------------

    def _effects(self, items: Sequence[Item]) -> tuple[list[Effect], list[Obstacle]]:
        """Who would have what, of those who do not have the original, and why the others would not."""
        more: dict[tuple[str, str], Counter[str]] = {}
        obstacles: dict[Obstacle, None] = {}
        originals = self.footing.held(item.held.stix_id for item in items)
        for item in items:
            now = judged(self._rules, originals[item.held.stix_id], self._now)
            (then,) = judged(self._rules, [_as_held(item, self._rules)], self._now)
            for audience in self._rules.audiences:
                if any(each.decide(self._rules, audience).released for each in now):
                    continue
                if not then.decide(self._rules, audience).released:
                    obstacles |= dict.fromkeys(self._obstacles(then, audience))
                    continue
                for peer in audience.members:
                    more.setdefault((peer, audience.channel), Counter())[item.made.label.to_text()] += 1
        effects = [Effect(peer=p, channel=c, more=dict(count), fewer={}) for (p, c), count in sorted(more.items())]
        return effects, sorted(obstacles, key=lambda each: (each.channel, each.members, each.agreement, each.reason))

    def _obstacles(self, then: Judged, audience: Audience) -> list[Obstacle]:
        """Each clause that stops it, with its agreement; where none was asked, the reason of the decision."""
        step = trace(self._rules, then.subject, audience)[-1]
        stopped = [(clause.agreement, clause.reason) for clause in step.clauses if clause.reason]
        return [
            Obstacle(channel=audience.channel, members=audience.members, agreement=agreement, reason=reason)
            for agreement, reason in stopped or [(step.agreement, reason) for reason in step.reasons]
        ]


def _as_held(item: Item, rules: Rules) -> Held:
    """The new object as it would be held."""
    made = item.made
    return replace(
        item.held, seq=0, source=widenings.source_of(item.home), peer=item.home, posted="", stix_id=made.id,
        digest=made.digest, creator=made.creator, fact=None, stated=made.label, marked=True, label=made.label,
        basis=Basis.STATED, waiting=False, newest=True, withdrawn=frozenset(), copied=item.givers, parts=None,
        personal=personal.suspect(made.body, rules.terms.personal), victim=False, approved=frozenset(),
    )  # fmt: skip


def _levels(label: Label) -> list[str]:
    return [level.label for level in (label.tlp, label.pfc) if level is not None]


def _place_of(document: dict[str, Any], choice: personal.Choice, *, victim: bool) -> str:
    """Where in the document something personal stands that cannot be taken out."""
    less = personal.strip(document, found := personal.find(document, choice, victim=victim))
    if isinstance(less, personal.Refusal):
        return less.path or "*"
    left = personal.find(less, choice) or found
    return where(left[0].path) or "*" if left else "*"


def _reason_of(error: ExchangeError) -> str:
    return "personal.required" if error.code == "cli.widen.personal" else str(error.fields.get("reason", error.code))
