"""What persons widened follows its original: when the ground of an act is gone, what it made goes, and stays away.

An act is for the version that it named, as strict as it was then. It never comes back by itself: whoever wants it again
widens again, and `exchange review queue` shows what a newer version has ended (docs/decisions/0032).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import cast

from sqlalchemy import Connection

from exchange.model.marking import Label
from exchange.policy import Names, Rules, gate_names, widening
from exchange.policy.widening import Ground, Right
from exchange.store import statements, widenings
from exchange.store.clock import micros
from exchange.store.reviews import REFUSAL
from exchange.store.statements import Held, New
from exchange.store.widenings import ENDED, Word
from exchange.sync.producers import Producers
from exchange.sync.subjects import Judged, creator, horizon_at, judged

NEWER = "widening.version"
ENDED_BY_PERSON = "widening.ended"


def lapse(tx: Connection, rules: Rules, now: datetime, stix_ids: Iterable[str] | None = None) -> list[str]:
    """End the acts on these originals (None: on all) whose ground is gone; the ids of what they made.

    The caller holds the writer lock, and lists or withdraws those ids.
    """
    acts = widenings.standing(tx, stix_ids)
    groups = statements.held(tx, {act.stix_id for act in acts}) if acts else {}
    over: list[str] = []
    for act in acts:
        code = ground_gone(rules, act, groups.get(act.stix_id, ()), now)
        if not code and _is_victims(act, groups[act.stix_id]):
            code = "widening.victim"
        if not code and act.right == "pfc" and _shows(tx, rules, act, groups[act.stix_id]):
            code = "widening.named"
        if code:
            over += end(tx, [act], code, now=now)
    return over


def named(tx: Connection, rules: Rules, source: str, news: Sequence[New], now: datetime) -> list[str]:
    """What was made anonymous, and shows its producer by a name that `source` tells now: the ids, whose acts end."""
    if not any(new.object.type == "identity" for new in news):
        return []
    mine = {act.stix_id for act in widenings.standing(tx) if act.source == source and act.right == "pfc"}
    return lapse(tx, rules, now, mine) if mine else []


def _is_victims(act: Word, group: Sequence[Held]) -> bool:
    """Whether its source says by now that the original is a victim's, which what was made of it does not say."""
    return any(each.seq == act.seq and each.victim for each in group)


def _shows(tx: Connection, rules: Rules, act: Word, group: Sequence[Held]) -> bool:
    """Whether what was made shows the producer by a name that is known now (RULES R17)."""
    held = next(each for each in group if each.seq == act.seq)
    names = hidden(rules, held, Producers(tx, rules))
    made = [each.seq for each in statements.held(tx, [act.made]).get(act.made, ()) if widenings.is_ours(each.source)]
    bodies = statements.bodies(tx, made).values()
    return names is None or not all(gate_names(body, names.parts, names.words) for body in bodies)


def hidden(rules: Rules, held: Held, producers: Producers) -> Names | None:
    """What must not be found in what the ministry widens: of our own house nothing; None: nobody has told it."""
    giver, whose = rules.terms.peers.get(held.peer), creator(held)
    if giver is not None and giver.home and rules.is_ours(whose):
        return Names()
    names = producers.names(held)
    return None if names is None else names | Names.of([held.stix_id], (), ())


def with_lapsed(tx: Connection, rules: Rules, now: datetime, stix_ids: dict[str, None]) -> dict[str, None]:
    """These ids, and those of what was made of them by acts that end now."""
    return stix_ids | dict.fromkeys(lapse(tx, rules, now, stix_ids))


def end(tx: Connection, acts: Sequence[Word], code: str, *, now: datetime, who: str = "", why: str = "") -> list[str]:
    """Write down that these, of one act, are over, and bar what they made; the ids of that."""
    widenings.keep(tx, [act._replace(word=ENDED, at=micros(now), who=who, why=why, code=code) for act in acts])
    made = [act for act in acts if act.made]
    widenings.bar(tx, made, micros(now))
    return [act.made for act in made]


def ground_gone(rules: Rules, act: Word, group: Sequence[Held], now: datetime) -> str:
    """Why the act does not hold any more, by all that is said about its original; empty: it does."""
    horizon, found = horizon_at(now), judged(rules, group, now)
    item = next((one for one in found if one.held.seq == act.seq), None)
    if item is None:
        return "widening.original"
    mine = (each for each in group if each.source == act.source and not each.touch)
    if any(act.version < each.version <= horizon for each in mine):
        return NEWER
    if not is_sound(item) or item.subject.doubt == REFUSAL:
        return "widening.original"
    before = Label.from_text(act.before)
    if code := overruled(rules, item, found, before, horizon):
        return code
    if widening.stricter(before, item.subject.label):
        return "widening.stricter"
    right = cast(Right, act.right)
    lacking = widening.lacking(ground_of(rules, item), right, ministry=rules.terms.acts_for_mcn)
    return "widening.right" if lacking else ""


def overruled(rules: Rules, item: Judged, found: Sequence[Judged], before: Label, horizon: str) -> str:
    """What its creator says of it by another source that ends an act on this statement; empty: nothing.

    Who holds the widened form under its own id would never learn of it (RULES R5, R8).
    """
    whose, held = creator(item.held), item.held
    others = [
        one
        for one in found
        if one.held.source != held.source and not one.held.touch and one.held.version <= horizon
        if _speaks_for(rules, one.held.peer, whose)
    ]
    if any(one.held.version > held.version for one in others):
        return NEWER
    if any(one.held.revoked for one in others):
        return "widening.original"
    newest = {one.held.source: one.subject.label for one in sorted(others, key=lambda one: one.held.version)}
    if any(label is not None and widening.stricter(before, label) for label in newest.values()):
        return "widening.stricter"
    return ""


def _speaks_for(rules: Rules, peer: str, whose: str) -> bool:
    """Whether what `peer` says is the word of this creator: it owns it, or both are of our own house."""
    known = rules.terms.peers.get(peer)
    return bool(whose) and (rules.owner(whose) == peer or (known is not None and known.home and rules.is_ours(whose)))


def is_sound(item: Judged) -> bool:
    """Whether the original is neither revoked, nor withdrawn by anybody, nor deleted, nor an object come back."""
    barred = item.subject.barred or (item.above is not None and item.above.barred)
    return not (barred or item.held.revoked or item.held.withdrawn)


def is_doubted(item: Judged) -> bool:
    """Whether it waits for a person, or one refused it; nobody widens past them (RULES R21)."""
    doubt = item.subject.doubt
    return bool(doubt) and all(code != doubt for _, code, _ in item.subject.approved)


def ground_of(rules: Rules, item: Judged) -> Ground:
    """What an act on this statement rests on."""
    held, whose = item.held, creator(item.held)
    giver = rules.terms.peers.get(held.peer)
    return Ground(
        type=held.type,
        label=item.subject.label,
        ours=giver is not None and giver.home and bool(whose) and rules.is_ours(whose),
        created=bool(whose),
        taken=item.subject.label is None or rules.takes(held.peer, held.type, item.subject.label),
    )
