"""The objects of one page, sorted into what is new, what was given before, and what contradicts what was given."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

import msgspec
import orjson
from msgspec.structs import replace

from exchange.model.envelope import Document, Rejected
from exchange.model.marking import Label
from exchange.model.misp import carried
from exchange.model.stix import CONTAINERS, StixObject
from exchange.policy import Basis, Rules, stamp, strictest
from exchange.store.statements import Held, New
from exchange.store.withdrawals import is_deleted


class Outcome(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """What became of one object. `code`: stored, known, touch, conflict, rejected."""

    id: str
    version: str
    code: str
    precision: int = 6
    """How many digits the fraction of the version has where the object writes it."""
    reason: str = ""
    fields: Mapping[str, object] = msgspec.field(default_factory=dict)

    @property
    def success(self) -> bool:
        """Whether the giver may count it as taken."""
        return self.code in ("stored", "known", "touch")


@dataclass(slots=True)
class _Known:
    """A version that this source gave before: stored under `seq`, or (None) earlier in the same page."""

    digest: bytes
    label: Label
    seq: int | None
    newest: bool
    touch: bool
    version: str
    """The one under which it stands: a touch takes the place of the touch before it."""
    withdrawn: bool = False
    """Its peer has taken it out of the channel that is written to now (RULES R22), or deleted it at its own place."""


@dataclass(slots=True)
class Intake:
    """The objects of one page, sorted into what is new and what is not."""

    news: dict[tuple[str, str], New] = field(default_factory=dict)
    outcomes: list[Outcome] = field(default_factory=list)
    set_aside: list[Rejected] = field(default_factory=list)
    superseded: set[int] = field(default_factory=set)
    tightened: dict[int, tuple[StixObject, Label]] = field(default_factory=dict)
    """Stored statement → an object that contradicts it, and the strictest of both labels."""
    untouched: set[int] = field(default_factory=set)
    renewed: dict[int, New] = field(default_factory=dict)
    """Stored touch → the later touch that takes its place: a chain keeps one, however often it is touched."""


def sort(
    objects: Sequence[StixObject],
    known: Mapping[str, Sequence[Held]],
    source_key: str,
    peer: str,
    rules: Rules,
    horizon: str,
    posted: str,
    document: Document | None = None,
) -> Intake:
    """Which versions are new to this source, which it gave before, and which contradict what it gave before.

    `document`: the MISP event of which the objects were made.
    """
    intake = Intake()
    stamp = _stamp(document)
    chains: dict[str, dict[str, _Known]] = {}
    for item in objects:
        chain = chains.get(item.id)
        if chain is None:
            chain = chains[item.id] = {
                held.version: _Known(
                    held.digest,
                    held.stated,
                    held.seq,
                    held.newest,
                    held.touch,
                    held.version,
                    is_deleted(held) or (bool(posted) and posted in held.withdrawn),
                )
                for held in known.get(item.id, ())
                if held.source == source_key
            }
        made = item
        if document is not None and chain:
            made = _restamped(item, chain, document.id, stamp if stamp <= horizon else "", horizon)
        if made.version in chain:
            _repeat(intake, made, chain[made.version])
        else:
            _add(intake, made, chain, rules.understood(peer, made.label), horizon)
    return intake


def _stamp(document: Document | None) -> str:
    """When the event was last changed, as a version; empty: it does not say."""
    if document is None or not document.version.isdecimal():
        return ""
    try:
        return datetime.fromtimestamp(int(document.version), UTC).strftime("%Y-%m-%dT%H:%M:%S.%f")
    except (ValueError, OverflowError, OSError):
        return ""


def _restamped(item: StixObject, chain: Mapping[str, _Known], event: str, stamp: str, horizon: str) -> StixObject:
    """`item`, made of an entity of `event`, under the version at which it came to say what it says.

    MISP changes tags, and with the event's tags what all its attributes are worth, without a new timestamp (misp.md
    section 5). The document is the whole truth at `stamp`, and the object is our own projection of it, so what differs
    from the newest version of its chain is a new version as of `stamp` (RULES R5, R6), and what does not is that one.
    """
    newest = max((version for version in chain if version <= horizon), default=None)  # an observable's is empty
    if newest is None:
        return item
    last = chain[newest]
    if item.version > newest or (item.version == newest and item.digest == last.digest and item.label == last.label):
        return item
    if item.digest == last.digest and item.label == last.label:
        return replace(item, version=last.version)
    stix = orjson.loads(item.body)
    carries = carried(stix)
    if stamp <= newest or carries is None or carries["event"] != event:
        return item
    if "modified" in stix:
        body = orjson.dumps({**stix, "modified": stamp[:-3] + "Z"})
        item = replace(item, raw=body, body=body)
    return replace(item, version=stamp, precision=3)  # an observable says no version: that of its listing is this one


def _add(intake: Intake, item: StixObject, chain: dict[str, _Known], own: Label, horizon: str) -> None:
    """A version that this source has not given before; a touch if only its date is new (RULES R9)."""
    older = max((version for version in chain if version < item.version), default=None) if chain else None
    newer = min((version for version in chain if item.version < version <= horizon), default=None) if chain else None
    ahead = item.version > horizon  # until its time has come it stands beside its chain, and counts nowhere (R5)
    beside = [chain[near] for near in (older, newer) if near is not None and not ahead]
    touch = any(k.digest == item.digest and k.label == item.label and not k.withdrawn for k in beside)
    if newer is not None and chain[newer].touch and not touch:
        _untouch(intake, item.id, chain[newer])
    intake.outcomes.append(
        Outcome(id=item.id, version=item.version, precision=item.precision, code="touch" if touch else "stored")
    )
    if touch and newer is not None:
        return  # what came later says the same
    new = New(
        object=item,
        label=own if own.stated else None,
        basis=Basis.STATED if own.stated else Basis.NONE,
        newest=newer is None and not ahead,
        touch=touch,
        # What a container holds may come after it, so it too waits for the end of the drain (RULES R13).
        waiting=ahead or not own.stated or item.type in CONTAINERS,
        marks=stamp(strictest(item.body)),
    )
    known = chain[item.version] = _Known(item.digest, item.label, None, new.newest, touch, item.version)
    if touch and older is not None and chain[older].touch:
        replaced = chain[older]
        known.seq = replaced.seq
        intake.news.pop((item.id, replaced.version), None)
        chain[older] = known  # what comes under the version before it is still a repetition
    elif new.newest:
        for version, before in chain.items():
            if before.newest and version < item.version:
                _supersede(intake, item.id, before)
    if known.seq is None:
        intake.news[item.id, item.version] = new
    else:
        intake.renewed[known.seq] = new


def _untouch(intake: Intake, stix_id: str, known: _Known) -> None:
    """Something else came to stand before a touch, so it is no mere touch any more: it is what counts now."""
    known.touch = False
    if known.seq is not None:
        intake.untouched.add(known.seq)
    else:
        intake.news[stix_id, known.version] = replace(intake.news[stix_id, known.version], touch=False)


def _supersede(intake: Intake, stix_id: str, before: _Known) -> None:
    """The version that was the newest so far no longer is, whether it is stored or came earlier in this page."""
    before.newest = False
    if before.seq is not None:
        intake.superseded.add(before.seq)
    else:
        new = intake.news[stix_id, before.version]
        intake.news[stix_id, before.version] = replace(new, newest=False)


def _repeat(intake: Intake, item: StixObject, before: _Known) -> None:
    """The same version again: known, or a contradiction, which is kept aside; it tightens, or publishes a draft."""
    strictest = before.label.again(item.label)
    if strictest != before.label:
        before.label = strictest
        if before.seq is not None:
            intake.tightened[before.seq] = (item, strictest)
        else:
            new = intake.news[item.id, before.version]
            label = None if new.label is None and not strictest.stated else strictest
            intake.news[item.id, before.version] = replace(
                new,
                object=replace(new.object, label=strictest, parts=None),
                label=label,
                basis=Basis.STATED if label else new.basis,
            )
    if before.digest == item.digest:
        intake.outcomes.append(Outcome(id=item.id, version=item.version, precision=item.precision, code="known"))
        return
    fields = {"id": item.id, "version": item.version}
    intake.set_aside.append(Rejected(raw=item.raw, code="version.conflict", fields=fields, id=item.id))
    intake.outcomes.append(
        Outcome(
            id=item.id,
            version=item.version,
            precision=item.precision,
            code="conflict",
            reason="version.conflict",
            fields=fields,
        )
    )
