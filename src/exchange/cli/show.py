"""Showing: a fact explained, so that an analyst needs nothing else."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from pathlib import Path
from typing import Annotated

import typer

from exchange.cli.layout import axes, clean, counts, cut, day, grid, heading, rest
from exchange.cli.terminal import (
    DEFAULT_FOLDER,
    LANGUAGE,
    AsJson,
    Folder,
    ago,
    guarded,
    load,
    now,
    opened,
    out,
    rules_of,
    say,
    show_json,
    show_table,
    tell,
)
from exchange.config import Settings
from exchange.i18n import knows
from exchange.model.confidence import Claim
from exchange.store import moment
from exchange.sync import showing
from exchange.sync.beside import MOST as READ
from exchange.sync.links import Suggestion
from exchange.sync.shown import Event, Fact, Place, Relation, Said

Raw = Annotated[bool, typer.Option("--raw", help=say("cli.show.raw"))]
Asked = Annotated[str, typer.Argument(help=say("cli.show.asked"))]
_WHOLE = 6
"""Statements that are told in full; the others in a line each."""
_RELATIONS = 12
_POLARITIES = {
    "bad": "show.polarity.bad",
    "benign": "show.polarity.benign",
    "seen": "show.polarity.seen",
    "told": "show.polarity.told",
}
_WAYS = {
    "pulled": "show.way.pulled",
    "imported": "show.way.imported",
    "posted": "show.way.posted",
    "pushed": "show.way.pushed",
}
_KINDS = {"taxii": "show.kind.taxii", "misp": "show.kind.misp", "misp-feed": "show.kind.feed"}
_SCALES = {
    "stix": "show.scale.stix",
    "misp": "show.scale.misp",
    "admiralty": "show.scale.admiralty",
    "dni": "show.scale.dni",
    "low-med-high": "show.scale.judgement",
    "reliability": "show.scale.reliability",
}
_NEAR = {
    "weak_hash": "show.near.weak_hash",
    "seen": "show.near.seen",
    "bad": "show.near.bad",
    "benign": "show.near.benign",
    "part": "show.near.part",
    "elsewhere": "show.near.elsewhere",
}
_LISTS = {
    "indicator_types": "show.row.types",
    "malware_types": "show.row.types",
    "threat_actor_types": "show.row.types",
    "report_types": "show.row.types",
    "kill_chain_phases": "show.row.phases",
    "labels": "show.row.tags",
    "aliases": "show.row.aliases",
    "external_references": "show.row.references",
}
Rows = list[tuple[str, str]]


@guarded
def show(asked: Asked, folder: Folder = Path(DEFAULT_FOLDER), raw: Raw = False, as_json: AsJson = False) -> int:
    """Everything that we hold of a fact: who says so, what is said of it, and where it stands."""
    settings = load(folder)
    with opened(settings) as store:
        shown = showing.show(store, rules_of(settings), asked, now(), raw=raw)
    if as_json:
        show_json(shown)
        return 0 if shown.found else 1
    for event in shown.events:
        _event(event, settings)
    for fact in shown.facts:
        _fact(fact, settings, raw=raw)
    if shown.others:
        heading(say("show.others", count=len(shown.others) + shown.others_more))
        grid((kind, f"{title or '–'}  {stix_id}") for stix_id, kind, title in shown.others)
    if not shown.found:
        tell("cli.show.nothing", asked=asked)
        if shown.host:
            tell("cli.show.host", host=shown.host)
    return 0 if shown.found else 1


def _fact(fact: Fact, settings: Settings, *, raw: bool) -> None:
    out.print(f"[bold]{clean(fact.text or fact.said[0].stix_id)}[/]", soft_wrap=True)
    sources = len({each.source for each in fact.said})
    held = say("show.fact.counts", statements=fact.statements, sources=sources, ids=len(_ids(fact)))
    out.print(clean(f"{fact.type} · {say(_POLARITIES[fact.polarity])} · {held}"))
    if fact.opaque:
        out.print(f"[yellow]{clean(say(fact.opaque))}[/]")
    heading(say("show.said"))
    for each in fact.said[:_WHOLE]:
        _said(each, raw=raw)
    _in_short(fact.said[_WHOLE:])
    _near(fact)
    _warnings(fact)
    _seen(fact)
    _beside(fact)
    _ties(fact)
    _places(fact.places, settings)
    out.print()


def _ids(fact: Fact) -> list[str]:
    return list(dict.fromkeys(each.stix_id for each in fact.said))


def _said(said: Said, *, raw: bool) -> None:
    """One source's word, in full."""
    flags = [f"[bold red]{clean(say(code))}[/]" for code in _flags(said)]
    out.print("  " + " ".join([f"[bold]{clean(said.source)}[/]", *flags]))
    rows: Rows = [
        (say("show.row.id"), said.stix_id),
        (say("show.row.way"), _way(said)),
        (say("show.row.received"), _received(said)),
        (say("show.row.version"), _version(said)),
        (say("show.row.label"), _label(said)),
        (say("show.row.confidence"), "; ".join(map(_claim, said.confidence)) or say("show.unspecified")),
        (say("show.row.validity"), _validity(said)),
        (say("show.row.spelling"), _spelling(said)),
        (say("show.row.repairs"), "; ".join(map(say, said.repairs))),
        (say("show.row.doubt"), say(said.doubt) if said.doubt else ""),
        (say("show.row.foreign_ids"), ", ".join(said.aliases)),
        (say("show.row.event"), said.event),
        (say("show.row.name"), cut(said.name)),
        (say("show.row.description"), cut(said.description)),
        *((say(_LISTS[name]), cut(", ".join(values))) for name, values in said.about.items()),
    ]
    grid((name, value) for name, value in rows if value)
    if raw and said.raw is not None:
        out.print(said.raw.decode("utf-8", "replace"), markup=False, soft_wrap=True)
    out.print()


def _flags(said: Said) -> Iterable[str]:
    if said.foreign_revocation:
        yield "show.flag.foreign_revocation"
    elif said.revoked:
        yield "show.flag.revoked"
    if said.opinion:
        yield "show.flag.opinion"
    if said.withdrawn:
        yield "show.flag.withdrawn"
    if said.expired and said.expires is None:
        yield "show.flag.expired"


def _way(said: Said) -> str:
    how = say(_WAYS[said.way], kind=say(_KINDS[said.kind]) if said.kind in _KINDS else "", channel=said.channel)
    return say("show.path", how=how.strip(), path=" → ".join((*said.path, say("show.us"))))


def _received(said: Said) -> str:
    first = say("show.since", at=day(said.since), ago=ago(said.since))
    return first if said.last == said.since else say("show.last", first=first, at=day(said.last), ago=ago(said.last))


def _version(said: Said) -> str:
    version = said.version or say("show.no_version")
    if said.versions > 1:
        version = say("show.versions", version=version, count=said.versions)
    return say("show.touched", version=version) if said.touched else version


def _label(said: Said) -> str:
    levels = [*said.levels, *axes(said.axes)]
    if said.group is not None:
        levels.append(say("cli.label.group", count=said.group))
    return say("show.label", label=", ".join(levels) or say("cli.label.none"), basis=say(said.basis))


def _claim(claim: Claim) -> str:
    """As it was said, and on 0 to 100."""
    original = claim.original.partition("=")[2].strip('"') or claim.original
    named = say(_SCALES[claim.scale], original=original)
    if claim.scale == "stix":
        return named
    if claim.value is None:
        return named if claim.scale == "reliability" else say("show.no_number", claim=named)
    return say("show.number", claim=named, value=claim.value)


def _validity(said: Said) -> str:
    words = []
    if said.valid_from or said.valid_until:
        words.append(say("show.valid", begin=said.valid_from or "–", end=said.valid_until or say("show.no_end")))
    if said.expires is not None:
        words.append(say("show.expires", at=day(said.expires)))
    if said.expired:
        words.append(say(said.expired) if knows(said.expired, LANGUAGE) else said.expired)
    return "; ".join(words)


def _spelling(said: Said) -> str:
    notes = ", ".join(map(say, said.notes))
    return say("show.spelt", spelling=cut(said.spelling), notes=notes) if notes else cut(said.spelling)


def _in_short(said: Sequence[Said]) -> None:
    if said:
        heading(say("show.also_said", count=len(said)))
        grid((each.source, f"{each.stix_id}  {ago(each.since)}  {_label(each)}") for each in said)


def _near(fact: Fact) -> None:
    if fact.near:
        heading(say("show.near"))
        grid(
            (say(_NEAR[each.how]), say("show.near.one", value=f"{each.path} = {each.value}", id=each.stix_id,
                                        sources=", ".join(each.sources)))
            for each in fact.near
        )  # fmt: skip
        rest(fact.near_more)


def _warnings(fact: Fact) -> None:
    """What does not agree, and what a person decided after a look."""
    if fact.conflicts:
        heading(say("show.conflicts"))
        for row in fact.conflicts:
            words = say("cli.why.quarantined", number=row["id"], source=row["source"],
                        reason=say(row["code"], **row["fields"]))  # fmt: skip
            out.print("  [yellow]" + clean(words) + "[/]", soft_wrap=True)
    for row in fact.reviews:
        fields = {"verdict": row["verdict"], "who": row["who"], "why": row["why"], "id": row["stix_id"]}
        out.print("  " + clean(say("show.review", **fields, ago=ago(moment(int(row["at"]))))), soft_wrap=True)


def _seen(fact: Fact) -> None:
    if not fact.sighted:
        return
    heading(say("show.sighted"))
    rows = [
        (
            clean(each.source), str(each.sightings or ""), str(each.observed or ""), str(each.false_positives or ""),
            str(each.expirations or ""), each.first[:16].replace("T", " "), each.last[:16].replace("T", " "),
            clean(", ".join(each.by)),
        )
        for each in fact.sighted
    ]  # fmt: skip
    titles = (
        "show.column.source", "show.column.sightings", "show.column.observed", "show.column.false",
        "show.column.expired", "show.column.first", "show.column.last", "show.column.by",
    )  # fmt: skip
    # What nobody says needs no column.
    used = [n for n in range(len(titles)) if any(row[n] for row in rows)]
    show_table([titles[n] for n in used], [[row[n] for n in used] for row in rows])


def _beside(fact: Fact) -> None:
    """Opinions, notes, relationships."""
    if fact.remarks:
        heading(say("show.remarks"))
        for each in fact.remarks:
            who = ", ".join(each.authors) or each.source
            said = " – ".join(filter(None, (each.opinion, cut(each.text))))
            grid([(each.type, say("show.remark", who=who, source=each.source, date=each.version[:10], text=said))])
        rest(fact.remarks_more)
    if fact.relations:
        heading(say("show.relations"))
        few = fact.relations[:_RELATIONS]
        grid((_arrow(each), f"{each.title or '–'}  {each.other}  ({', '.join(each.sources)})") for each in few)
        rest(len(fact.relations) - len(few) + fact.relations_more)
    if fact.more:
        tell("show.more", most=READ)


def _arrow(relation: Relation) -> str:
    if relation.word == "holds":
        return say("show.held_by")
    return f"{relation.word} →" if relation.outward else f"← {relation.word}"


def _ties(fact: Fact) -> None:
    if fact.tied:
        heading(say("show.tied"))
        for each in fact.tied:
            words = f"{each.title or '–'}  {each.stix_id}"
            if each.word is not None:
                fields = {"who": each.word.who, "why": each.word.why, "ago": ago(moment(each.word.at))}
                words = say("show.tied.by", what=words, **fields)
            elif each.reason is not None:
                words = say("show.tied.certain", what=words, reason=because(each.reason))
            grid([("=", words)])
    if fact.suggestions:
        heading(say("show.suggestions"))
        own = set(_ids(fact))
        grid(("?", f"{each.other if each.one in own else each.one}  {because(each)}") for each in fact.suggestions)


def because(suggestion: Suggestion) -> str:
    """The reason of a suggestion, in words."""
    return say(suggestion.code, **suggestion.fields)


def _places(places: Sequence[Place], settings: Settings) -> None:
    heading(say("show.places"))
    stands = [place for place in places if place.until is None]
    left = [place for place in places if place.until is not None]
    if stands:
        grid((_channel(place.channel, settings), _stands(place)) for place in stands)
    else:
        out.print("  " + clean(say("show.nowhere")), soft_wrap=True)
    if left:
        heading(say("show.left"))
        grid((_channel(place.channel, settings), _stood(place)) for place in left[:_RELATIONS])
        rest(len(left) - len(left[:_RELATIONS]))


def _channel(channel: str, settings: Settings) -> str:
    kind, _, name = channel.partition(":")
    collection = settings.terms.collections.get(name)
    return collection.alias if collection is not None and kind == "collection" else f"→ {name}"


def _stands(place: Place) -> str:
    code = "show.folded" if place.folded else "show.listed"
    words = say(code, ago=ago(place.since), id=place.stix_id, members=", ".join(place.members))
    return words if place.expires is None else say("show.until", words=words, at=day(place.expires))


def _stood(place: Place) -> str:
    why = say(place.code) if knows(place.code, LANGUAGE) else place.code
    at = "" if place.until is None else ago(place.until)
    return say("show.stood", ago=at, id=place.stix_id, members=", ".join(place.members), reason=why)


def _event(event: Event, settings: Settings) -> None:
    """An event, counted."""
    out.print(f"[bold]{clean(event.title or event.key)}[/]", soft_wrap=True)
    out.print(clean(say("show.event", key=event.key, total=event.total)))
    for share in event.shares:
        heading(share.source)
        levels = {say("show.held") if name == "-" else name: count for name, count in share.levels.items()}
        rows: Rows = [
            (say("show.row.creator"), ", ".join(share.creators)),
            (say("show.row.received"), _span(share.first, share.last)),
            (say("show.row.objects"), counts(share.types)),
            (say("show.row.attributes"), str(share.attributes or "")),
            (say("show.row.label"), counts(levels)),
            (say("show.row.revoked"), str(share.revoked or "")),
        ]
        grid((name, value) for name, value in rows if value)
    if event.stands:
        heading(say("show.places"))
        grid(
            (_channel(each.channel, settings),
             say("show.event_stands", count=each.count, folded=each.folded, ago=ago(each.since)))
            for each in event.stands
        )  # fmt: skip
    heading(say("show.members"))
    grid((stix_id.partition("--")[0], f"{cut(title) or '–'}  {stix_id}") for stix_id, title in event.members)
    rest(event.total - len(event.members))
    out.print()


def _span(first: datetime, last: datetime) -> str:
    begin = say("show.since", at=day(first), ago=ago(first))
    return begin if first == last else say("show.last", first=begin, at=day(last), ago=ago(last))
