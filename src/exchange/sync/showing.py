"""Show: everything that we hold of a fact, so that an analyst needs nothing else; no policy is decided here.

    show(store, rules, asked, now)    asked: a STIX id, a MISP uuid, a pattern, a value however spelt, a foreign id, a
                                      name or an external id

What is asked for comes to one or several facts; each is explained with all that states it, under whatever id, and with
all that is said of it. Everything is bounded: an event is counted, its members are asked for by themselves. What a
partner may have of it is `sync.explain`'s to say.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

import orjson
from sqlalchemy import Connection

from exchange.model import confidence, facts, misp, normalise, pattern, schema, stix
from exchange.model import titles as naming
from exchange.model.stix import StixObject, spelt
from exchange.policy import Rules
from exchange.store import Store, around, derived, events, listings, originals, quarantine, statements
from exchange.store import names as known
from exchange.store.around import Beside
from exchange.store.clock import moment
from exchange.store.links import Word
from exchange.store.statements import Held
from exchange.store.work import NODE
from exchange.sync import links
from exchange.sync.beside import around_of, title_of, titles
from exchange.sync.eventful import axes_of, events_of, levels_of
from exchange.sync.explain import is_stix_id, is_uuid
from exchange.sync.near import BENIGN, near_of, parsed, polarity
from exchange.sync.shown import Fact, Place, Said, Shown, Tied, Way
from exchange.sync.subjects import GUEST, Judged, creator, judged

FACTS = 5
"""Facts that are explained at once; the others are named."""
OTHERS = 50
IDS = 100
"""Ids that state one fact, of which each is told."""
NEAR = 20
_MOST = 500
_KINDS = (
    "indicator", "report", "grouping", "identity", "malware", "threat-actor", "intrusion-set", "campaign", "tool",
    "attack-pattern", "course-of-action", "vulnerability", "infrastructure", "location", "malware-analysis", "incident",
    "relationship", "sighting", "observed-data", "note", "opinion", "x-misp-attribute", "x-misp-object",
)  # fmt: skip
_ABOUT = ("indicator_types", "malware_types", "labels", "aliases", "threat_actor_types", "report_types")


def show(store: Store, rules: Rules, asked: str, now: datetime, *, raw: bool = False) -> Shown:
    """What we hold of `asked`. `raw`: with the bytes as received. Raises ContentError for a pattern that is none."""
    asked = asked.strip()
    with store.reading() as tx:
        given = _ids(tx, asked)
        ours = derived.originals(tx, given)  # what we altered is told with the original
        ids = list(dict.fromkeys(ours.get(each, each) for each in given))
        found = statements.held(tx, ids)
        groups = _by_fact(tx, found)
        wanted = _wanted(asked, groups)
        told = [_fact(tx, rules, key, wanted[key], now, raw=raw) for key in list(wanted)[:FACTS]]
        rest = [members[0] for members in list(wanted.values())[FACTS:]]
        return Shown(
            asked=asked,
            facts=told,
            others=[(item.id, item.type, title_of(orjson.loads(item.body))) for item in rest[:OTHERS]],
            others_more=max(0, len(rest) - OTHERS),
            events=events_of(tx, asked, ids),
            host="" if ids else _host(tx, asked),
        )


def suggested(store: Store, rules: Rules, asked: str, *, after: str = "", most: int = links.PAGE) -> links.Page:
    """What may be one with `asked`, and what is for certain; nothing asked: a page of everything that may be one."""
    with store.reading() as tx:
        if asked.strip():
            ids = _ids(tx, asked.strip())
            found = [*links.certain(tx, rules, ids), *links.suggest_of(tx, rules, ids, most, within=True)]
            page = links.Page(suggestions=found[:most])
        else:
            page = links.suggest(tx, rules, after=after, most=most)
        return replace(page, titles=titles(tx, {end for each in page.suggestions for end in (each.one, each.other)}))


def _ids(tx: Connection, asked: str) -> list[str]:
    """The ids of what may be meant, at most some hundred."""
    if is_uuid(asked):
        kinds, number = (*_KINDS, *sorted(schema.observable_types())), asked.lower()
        foreign = around.known_by(tx, [f"{kind}--{number}" for kind in kinds], IDS)
        return list(dict.fromkeys((*around.with_uuid(tx, kinds, number, IDS), *foreign)))
    if is_stix_id(asked):
        return list(dict.fromkeys((asked, *around.known_by(tx, [asked], IDS))))
    if asked.startswith("["):
        return [stix_id for key in _stated(asked) for stix_id in around.stating(tx, key, IDS)[0]]
    found = [item.stix_id for item in statements.find(tx, values=normalise.forms(asked))]
    found += [item.stix_id for item in known.called(tx, [naming.folded(asked)], IDS)]
    return list(dict.fromkeys(found))


def _host(tx: Connection, asked: str) -> str:
    """The host of a URL, or of a host with a port, when something is held of it."""
    host = normalise.host_of(asked)
    return host if host and statements.find(tx, values={host}) else ""


def _stated(pattern: str) -> list[str]:
    """The keys of the facts that this pattern states: that it is bad, and that it is benign."""
    frame = {
        "type": "indicator",
        "spec_version": "2.1",
        "id": "indicator--00000000-0000-4000-8000-000000000000",
        "created": "2026-01-01T00:00:00.000Z",
        "modified": "2026-01-01T00:00:00.000Z",
        "valid_from": "2026-01-01T00:00:00Z",
        "pattern": pattern,
        "pattern_type": "stix",
    }
    said = (frame, {**frame, "indicator_types": [BENIGN]})
    return list(dict.fromkeys(stix.parse(orjson.dumps(each)).fact for each in said))


def _by_fact(tx: Connection, found: Mapping[str, Sequence[Held]]) -> dict[str, list[StixObject]]:
    """Fact key → what states it, the newest word of each source; what is revoked under the fact that it stated."""
    newest = [item for group in found.values() for item in group if item.newest][:_MOST]
    bodies = statements.bodies(tx, [item.seq for item in newest])
    groups: dict[str, list[StixObject]] = {}
    for item in newest:
        stated = parsed(bodies[item.seq])
        if stated is not None:
            groups.setdefault(stated.fact, []).append(stated)
    return groups


def _wanted(asked: str, groups: Mapping[str, list[StixObject]]) -> dict[str, list[StixObject]]:
    """The facts in the order in which they are told: those of just this value first, what is called bad before what was
    seen, and what merely holds the value among others last."""
    ranks = {
        key: (len(items[0].values) > 1, polarity(items[0]) != "bad", items[0].type) for key, items in groups.items()
    }
    if is_stix_id(asked) or asked.startswith("["):
        return dict(groups)
    return {key: groups[key] for key in sorted(groups, key=lambda key: ranks[key])}


def _fact(tx: Connection, rules: Rules, key: str, members: Sequence[StixObject], now: datetime, *, raw: bool) -> Fact:
    """One fact: who states it, under whatever id, and what stands around it."""
    first = members[0]
    text, opaque = _text(first)
    twins, count = around.stating(tx, key, IDS) if key != first.id else ([], 0)
    ids = list(dict.fromkeys((*(item.id for item in members), *twins)))[:IDS]
    held = statements.held(tx, ids)
    told = {item.seq: item for group in held.values() for item in group}
    copies = {item.seq: item for item in statements.by_seq(tx, derived.made_of(tx, told))}
    stood = listings.history(tx, {*told, *copies}) if told else []
    history = [row for row in stood if row["seq"] in told]
    groups = sorted(held.values(), key=lambda group: group[0].seq)
    said = [each for group in groups for each in _said(tx, rules, group, history, now, raw=raw)]
    near = near_of(tx, first, set(ids), key)
    beside = around_of(tx, ids)
    return Fact(
        key=key,
        type=first.type,
        polarity=polarity(first),
        text=text,
        opaque=opaque,
        values=first.values,
        said=sorted(said, key=lambda each: each.since),
        statements=max(count, len(told)),
        near=near[:NEAR],
        near_more=max(0, len(near) - NEAR),
        conflicts=[row for id_ in ids for row in quarantine.entries(tx, stix_id=id_)],
        sighted=beside.sighted,
        remarks=beside.remarks,
        remarks_more=beside.remarks_more,
        relations=beside.relations,
        relations_more=beside.relations_more,
        more=beside.more,
        tied=_tied(tx, rules, ids),
        suggestions=links.suggest_of(tx, rules, ids, NEAR),
        reviews=around.reviews(tx, ids, NEAR),
        places=_places(told | copies, stood),
    )


def _text(item: StixObject) -> tuple[str, str]:
    """The canonical value or pattern, of anything else its name; and why a pattern has no canonical form, as a code."""
    said = orjson.loads(item.body)
    if item.type != "indicator":
        best = max(item.values, key=lambda each: normalise.strength(each[0]), default=None)
        return (title_of(said) if best is None or polarity(item) == "told" else " = ".join(best)), ""
    if said.get("pattern_type") != "stix":
        return str(said.get("pattern")), ""
    found = pattern.canonical(said["pattern"])
    return found.text, found.opaque


def _spelling(said: Mapping[str, Any]) -> str:
    """The pattern, or what an observable is told by, as it is written."""
    if isinstance(said.get("pattern"), str):
        return str(said["pattern"])
    hashes = said.get("hashes")
    told = [f"{name} {value}" for name, value in hashes.items()] if isinstance(hashes, dict) else []
    if said["type"] in schema.observable_types():
        told += [str(said[name]) for name in ("value", "key", "path", "number", "name") if name in said]
    return ", ".join(told)


def _said(
    tx: Connection,
    rules: Rules,
    group: Sequence[Held],
    history: Sequence[Mapping[str, Any]],
    now: datetime,
    *,
    raw: bool,
) -> list[Said]:
    """What each source says under one id."""
    chains: dict[str, list[Judged]] = {}
    for item in judged(rules, group, now):
        chains.setdefault(item.held.source, []).append(item)
    newest = {source: max(chain, key=lambda item: item.held.version) for source, chain in chains.items()}
    seqs = [item.held.seq for item in newest.values()]
    bodies, besides, foreign = statements.bodies(tx, seqs), around.beside(tx, seqs), around.named(tx, seqs)
    who = titles(tx, {creator(item.held) for item in newest.values()} - {""})
    places = events.places(tx, {item.held.event for item in newest.values()})
    found = []
    for source, item in newest.items():
        seq, mine = item.held.seq, {each.held.seq for each in chains[source]}
        rows = [row for row in history if row["seq"] in mine]
        place = places.get(item.held.event)
        more: dict[str, Any] = {
            **_way(rules, item.held, besides[seq], who.get(creator(item.held)) or creator(item.held)),
            **_age(rows),
            "since": moment(min(each.held.received for each in chains[source])),
            "last": moment(max(each.held.received for each in chains[source])),
            "versions": len(chains[source]),
            "doubt": besides[seq].doubt,
            "aliases": tuple(foreign.get(seq, ())),
            "event": place.key if place is not None and is_uuid(place.key) else "",
            "raw": originals.raw(tx, seq) if raw else None,
        }
        found.append(_one(item, bodies[seq], more))
    return found


def _way(rules: Rules, held: Held, beside: Beside, made_by: str) -> dict[str, Any]:
    """On which path it came: by whom, and how."""
    peer = rules.terms.peers.get(held.peer)
    own = next((each for each in peer.sources if each.key == held.source), None) if peer is not None else None
    way: Way = "pulled"
    if held.posted:
        way = "pushed" if beside.document is not None else "posted"
    elif own is not None and own.kind == "file":
        way = "imported"
    collection = rules.terms.collections.get(held.posted.partition(":")[2])
    name = held.peer if peer is None else peer.name
    path = (made_by, name) if made_by and made_by != name and rules.owner(creator(held)) != held.peer else (name,)
    return {
        "way": way,
        "kind": own.kind if own is not None else "",
        "channel": held.posted if collection is None else collection.alias,
        "path": path,
        "creator": made_by,
    }


def _age(rows: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """When it is too old, and whether it was taken out as that."""
    ends = [row["expires"] for row in rows if row["closed"] is None and row["expires"] is not None]
    codes = [str(row["closed_code"]) for row in rows if str(row["closed_code"] or "").startswith("expiry")]
    return {"expires": moment(min(ends)) if ends else None, "expired": codes[-1] if codes else ""}


def _one(item: Judged, body: bytes, more: Mapping[str, Any]) -> Said:
    held, document = item.held, orjson.loads(body)
    label = item.subject.label
    return Said(
        **more,
        stix_id=held.stix_id,
        type=held.type,
        source=held.source,
        peer=held.peer,
        owned=item.owned,
        theirs=item.theirs,
        opinion=item.rank < GUEST,
        version=spelt(held.version, held.precision) if held.version else "",
        revoked=held.revoked,
        foreign_revocation=item.subject.barred == "version.foreign_revocation",
        touched=held.touch,
        withdrawn=tuple(sorted(held.withdrawn)),
        levels=levels_of(label),
        axes=axes_of(label),
        group=None if label is None or label.orgs is None else len(label.orgs),
        basis=held.basis,
        confidence=confidence.stated(document),
        valid_from=str(document.get("valid_from") or ""),
        valid_until=str(document.get("valid_until") or ""),
        repairs=tuple(filter(None, held.repairs.split(","))),
        spelling=_spelling(document),
        notes=tuple(dict.fromkeys(code for _, _, code in facts.notes(document))),
        name=str(document.get("name") or ""),
        description=str(document.get("description") or ""),
        about=_about(document),
        object=body,
    )


def _about(said: Mapping[str, Any]) -> dict[str, list[str]]:
    """What people sort by: lists of words, phases of kill chains, references, and MISP's tags."""
    found = {name: [str(each) for each in said[name]] for name in _ABOUT if isinstance(said.get(name), list)}
    phases = said.get("kill_chain_phases")
    if isinstance(phases, list):
        named = [each for each in phases if isinstance(each, dict)]
        found["kill_chain_phases"] = [f"{each.get('kill_chain_name')}: {each.get('phase_name')}" for each in named]
    references = said.get("external_references")
    if isinstance(references, list):
        named = [each for each in references if isinstance(each, dict)]
        found["external_references"] = [
            " ".join(str(each[name]) for name in ("source_name", "external_id", "url") if each.get(name))
            for each in named
        ]
    extension = misp.carried(said)
    if extension is not None:
        found["labels"] = list(dict.fromkeys((*found.get("labels", ()), *misp.tags_in(extension))))
    return {name: values for name, values in found.items() if values}


def _tied(tx: Connection, rules: Rules, ids: Sequence[str]) -> list[Tied]:
    """What operators linked with it, from one to the next, and what is one with it for certain."""
    own = set(ids)
    sure = {(each.other if each.one in own else each.one): each for each in links.certain(tx, rules, ids)}
    words: dict[str, Word] = {}
    for both, word in links.accepted(tx, ids).items():
        words |= {end: word for end in both if end not in own}
    found = dict.fromkeys((*sure, *words))
    titled = titles(tx, found)
    return [
        Tied(stix_id=each, title=titled.get(each, ""), word=words.get(each), reason=sure.get(each))
        for each in found
        if each not in own
    ]


def _places(told: Mapping[int, Held], history: Iterable[Mapping[str, Any]]) -> list[Place]:
    """Where any of it stands now, what is listed before what is folded; then who had it, and has it no longer."""
    rows = list(history)
    stands = [_place(told, row) for row in rows if row["closed"] is None and row["latest"]]
    there = {(row["audience"], told[row["seq"]].stix_id) for row in rows if row["closed"] is None}
    last = {(row["audience"], told[row["seq"]].stix_id): row for row in rows if row["closed"] is not None}
    left = [_place(told, row) for name, row in last.items() if name not in there]
    return [
        *sorted(stands, key=lambda place: (place.channel, place.members, place.folded, place.since)),
        *sorted(left, key=lambda place: (place.channel, place.members, place.since)),
    ]


def _place(told: Mapping[int, Held], row: Mapping[str, Any]) -> Place:
    return Place(
        channel=str(row["channel"]),
        members=tuple(orjson.loads(row["members"])),
        stix_id=told[row["seq"]].stix_id,
        altered=told[row["seq"]].peer == NODE,
        since=moment(row["added"]),
        folded=bool(row["folded"]),
        expires=None if row["expires"] is None else moment(row["expires"]),
        until=None if row["closed"] is None else moment(row["closed"]),
        code=str(row["closed_code"] or ""),
    )
