"""When the terms change: declare the audiences that they make, and bring the listings in line with them.

Who loses something answers 503 until that is taken (RULES R19); everybody else reads on, and what comes in is decided
by the new terms from the first moment. What is lost is taken first, then the rest is given, both in bounded steps; a
crash in between goes on where it was. docs/decisions/0029 says why it is exact.
"""

from __future__ import annotations

import secrets
from collections.abc import Collection
from datetime import datetime

from sqlalchemy import Connection

from exchange.policy import Audience, Rules
from exchange.policy.verdict import end_of
from exchange.store import Store, ages, audiences, classes, listings, pushed, removals, sources
from exchange.store.audiences import EPOCH, NODE_SECRET, AudienceRow
from exchange.store.clock import micros
from exchange.sync import attacked, sittings, stages, widened
from exchange.sync.accept import STEP
from exchange.sync.listing import Lister
from exchange.sync.notices import close_above
from exchange.sync.passes import Losing
from exchange.sync.shift import Shift
from exchange.sync.stages import Clock, affected
from exchange.sync.subjects import deleting


def adopt(store: Store, rules: Rules, now: datetime) -> int:
    """Make the store follow `rules`; gives the number of listings that changed. Nothing to do costs one read.

    Raises StoreOutdated when other terms were adopted meanwhile: those then hold, and these have changed nothing more.
    """
    if follows(store, rules):
        return 0
    return follow(store, rules, now) + pursue(store, rules, lambda: now)


def follows(store: Store, rules: Rules) -> bool:
    """Whether everything held was decided under `rules`."""
    with store.reading() as tx:
        return audiences.note(tx, EPOCH) == rules.epoch and stages.read(tx) is None


def unfinished(store: Store, rules: Rules) -> bool:
    """Whether it is left to `pursue` them, by whomever they were followed."""
    with store.reading() as tx:
        return audiences.note(tx, EPOCH) == rules.epoch and stages.read(tx) is not None


def follow(store: Store, rules: Rules, now: datetime) -> int:
    """From now on the store follows `rules`; `pursue` is to be called then. The number of listings that changed."""
    with store.reading() as tx:
        if audiences.note(tx, EPOCH) == rules.epoch:
            return 0
        shift = Shift(stages.before(tx), rules, now)
        state = audiences.state(tx)
    losers = _losers(store, shift)
    with store.writing() as tx:
        if losers is not None and _changed_since(tx, state) is None:
            losers = None
        again = () if losers is None else _changed_since(tx, state) or ()
        _declare(tx, rules, now, losers, lapsed=_lapsed(shift, now))
        if not audiences.note(tx, NODE_SECRET):
            audiences.set_note(tx, NODE_SECRET, secrets.token_hex(32))
        audiences.set_note(tx, EPOCH, rules.epoch)
        stages.begin(tx, rules, sittings.follow(tx, rules, now))
        attacked.chosen(tx, rules, shift.before)
        # What was listed by the old terms while the losers were looked for, and what nobody may widen any more.
        changed = (*again, *widened.lapse(tx, rules, now))
        return Lister(tx, rules, now).relist(changed) if changed else 0


def _losers(store: Store, shift: Shift) -> set[str] | None:
    """Who may no longer have something that stands in the listings, by key; None: it may be anybody."""
    if shift.strange or shift.defaults:
        return None
    losers: set[str] = set()
    after = 0
    while True:
        with store.reading() as tx:
            found = affected(tx, shift, after, stages.upto(tx), STEP)
            losers |= Losing(tx, shift.rules, shift.now).of(found.special)
        for effect in found.effects.values():
            losers |= effect.lose
        if found.done:
            return losers
        after = found.last


def _changed_since(tx: Connection, state: tuple[str, dict[str, int]]) -> set[str] | None:
    """The ids of what was listed since; None: they are too many, or rows were changed where they stand."""
    changes, dates = state
    if audiences.state(tx)[0] != changes:
        return None
    ids: set[str] = set()
    for key, row in audiences.everyone(tx).items():
        if row.last_added != dates.get(key, 0):
            ids.update(classes.begun_since(tx, row.number, dates.get(key, 0), STEP))
        if len(ids) >= STEP:
            return None
    return ids


def _lapsed(shift: Shift, now: datetime) -> bool:
    """Whether rows may rest because the agreement that permitted them has ended."""
    return not shift.before or any(end_of(a) <= now for each in shift.before for a in each.terms.agreements)


def _declare(tx: Connection, rules: Rules, now: datetime, losers: Collection[str] | None, *, lapsed: bool) -> None:
    """`losers`: the audiences that are shut; None: all of them."""
    agreements = {agreement.id: agreement for agreement in rules.terms.agreements}

    def row(audience: Audience) -> AudienceRow:
        ends = [micros(end_of(agreements[name])) for name in audience.agreements]
        return AudienceRow(
            key=audience.key,
            channel=audience.channel,
            members=audience.members,
            agreements=tuple(sorted(audience.agreements)),
            ends=None if audience.home else max(ends, default=0),
            open=losers is not None and audience.key not in losers,
            retired=False,
            last_added=0,
        )

    unfinished = stages.read(tx) is not None
    was = audiences.everyone(tx)
    before = {key: row.members for key, row in was.items()}
    ages.lose_all(tx)
    for audience in rules.audiences:
        if audience.key in was and was[audience.key].retired and was[audience.key].open:
            _empty(tx, was[audience.key].number, micros(now))
    wanted = [row(audience) for audience in rules.audiences]
    audiences.declare(tx, wanted, micros(now), unfinished=unfinished, lapsed=lapsed)
    close_above(tx, rules, before, now)
    pushed.owe_retired(tx, deleting(rules))
    terms = rules.terms
    keys = [source.key for peer in terms.peers.values() for source in peer.sources]
    keys += [target.key for peer in terms.peers.values() for target in peer.targets]
    sources.declare(tx, keys, micros(now))


def _empty(tx: Connection, number: int, now: int) -> None:
    """Close at once what stands in an audience that comes back before its end was completed."""
    after: int | None = 0
    while after is not None:
        after = listings.close_retired(tx, number, after, stages.RETIRING, now)


def pursue(store: Store, rules: Rules, clock: Clock) -> int:
    """Take and give what the terms that the store follows change; the number of listings that changed.

    Raises StoreBusy when the writer lock is not free, StoreOutdated as `adopt` does: it goes on where it was.
    """
    with store.reading() as tx:
        stage = stages.read(tx)
        if audiences.note(tx, EPOCH) != rules.epoch or stage is None:
            return 0
        shift = Shift(stages.before(tx, but=rules.epoch), rules, clock())
        shut = {key for key, row in audiences.everyone(tx).items() if not row.open and not row.retired}
    stages.retire(store, rules, clock)
    changed = 0
    for name in stages.NAMES[stages.NAMES.index(stage.name) :]:
        if stage.name != name:
            stage = stage._replace(name=name, after=0)
        if name == stages.TAKE and not shut:
            continue
        changed += stages.walk(store, shift, stage, shut, clock)
        if name == stages.TAKE:
            with store.writing() as tx:
                stages.still(tx, rules, stage)
                # What rests on words that are worth more by now goes before anybody reads on.
                stricter = widened.lapse(tx, rules, clock())
                changed += Lister(tx, rules, clock()).relist(stricter) if stricter else 0
                audiences.reopen(tx)
                removals.keep_shut(tx)
                stages.put(tx, stage._replace(name=stages.GIVE, after=0))
    with store.writing() as tx:
        stages.still(tx, rules, stage)
        audiences.reopen(tx)
        removals.keep_shut(tx)
        stages.end(tx, rules)
    return changed
