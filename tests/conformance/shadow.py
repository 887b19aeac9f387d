"""Two nodes that live the same life, but that in one of them others say things which the observers may not see.

Whatever an observer is answered must be the same in both, byte for byte (RULES R14).
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from itertools import product
from typing import Any, Literal

from falcon.testing import Result

from exchange.model.marking import Tlp
from exchange.model.party import Terms
from exchange.serve.misp import view
from exchange.store import audiences, open_store
from exchange.sync.grouped import Kept
from tests.serve.house import WRITABLE, House, house_terms
from tests.sync.misp_reader import attribute, event_uuid, frame
from tests.world import NOW, OPEN_WRITE, collection, indicator, malware, marked, relationship, report

Kind = Literal["indicator", "twin", "observable", "report", "attribute", "frame", "link", "twinlink"]
KINDS: Sequence[Kind] = ("indicator", "twin", "observable", "report", "attribute", "frame", "link", "twinlink")
NUMBERS = range(3)
POSTER, OTHER = "circl", "cert-ee"


@dataclass(frozen=True, slots=True, kw_only=True)
class Said:
    """One object as a source states it; there are few, so that sources often speak of the same one."""

    kind: Kind
    number: int = 0
    version: int = 0
    tlp: Tlp | None = Tlp.GREEN
    words: int = 0
    """Other words for the same version are a contradiction."""
    revoked: bool = False

    @property
    def id(self) -> str:
        """A twin says the same as the indicator of its number, under an id of its own."""
        kinds = {"twin": "indicator", "observable": "domain-name", "attribute": "indicator", "frame": "report",
                 "link": "relationship", "twinlink": "relationship"}  # fmt: skip
        kind = kinds.get(self.kind, self.kind)
        if self.kind == "frame":
            return f"report--{event_uuid(0)}"
        return f"{kind}--{KINDS.index(self.kind)}{self.number:07}-0000-4000-8000-000000000000"

    def stix(self) -> dict[str, Any]:
        """The object."""
        value, modified = f"n{self.number}.example", NOW - timedelta(days=9 - self.version)
        if self.kind == "observable":
            return marked({"type": "domain-name", "spec_version": "2.1", "id": self.id, "value": value}, self.tlp)
        if self.kind in ("attribute", "frame"):
            return self._of_misp(value)
        if self.kind in ("link", "twinlink"):
            end: Kind = "indicator" if self.kind == "link" else "twin"
            made = relationship({"id": Said(kind=end, number=self.number).id}, malware("family"), tlp=self.tlp)
            made |= {"modified": modified.strftime("%Y-%m-%dT%H:%M:%S.%fZ")}
        elif self.kind == "report":
            member = {"id": Said(kind="indicator", number=self.number).id}
            made = report(member, tlp=self.tlp, modified=modified)
        else:
            made = indicator(value, tlp=self.tlp, modified=modified)
        words = {"id": self.id, "description": f"{self.version}, {self.words}"}
        return made | words | ({"revoked": True} if self.revoked else {})

    def _of_misp(self, value: str) -> dict[str, Any]:
        """An attribute of a MISP event, or the report that stands for the event, which is one for all of them."""
        made = attribute(value, version=self.version, tlp=self.tlp, comment=f"{self.words}") | {"id": self.id}
        if self.kind == "frame":
            made = frame(version=self.version, tlp=self.tlp, info=f"words {self.words}")
        return made | ({"revoked": True} if self.revoked else {})


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """Something that happens; what is `hidden` happens in one of the nodes only."""

    what: Literal["give", "post", "delete", "tick", "look"]
    who: str = ""
    said: Sequence[Said] = ()
    versions: str = ""
    seconds: float = 0
    hidden: bool = False


def shared_terms() -> Terms:
    """Collections that everybody reads, of which one folds; two peers write another one."""
    given = house_terms()
    both = collection(OPEN_WRITE, "depot-commun", ("ccc",), writers=(POSTER, OTHER))
    return replace(given, collections={**given.collections, OPEN_WRITE: both})


def inbox_terms() -> Terms:
    """A collection into which two peers hand in, and which neither of them reads."""
    inbox = collection(OPEN_WRITE, "boite", ("ccc",), writers=(POSTER, OTHER), read_back=False)
    return replace(house_terms(), collections={OPEN_WRITE: inbox})


class Pair:
    """The two nodes, and who observes them."""

    def __init__(self, given: Terms, observers: Sequence[str]) -> None:
        self.observers = observers
        self._houses = [House(open_store("sqlite://"), given) for _ in range(2)]
        self._kept = [Kept() for _ in self._houses]
        self._statuses: list[Sequence[str]] = []
        for house in self._houses:
            with house.store.writing() as tx:
                audiences.set_note(tx, "node_secret", "ab" * 32)  # of which feeds make their ids (R15)

    def live(self, steps: Sequence[Step]) -> None:
        """Take the steps, and look at the end."""
        try:
            for step in (*steps, Step(what="look")):
                getattr(self, f"_{step.what}")(step)
        finally:
            for house in self._houses:
                house.store.close()

    def _give(self, step: Step) -> None:
        for house in self._houses[step.hidden :]:
            house.give(*(each.stix() for each in step.said), source=step.who)

    def _post(self, step: Step) -> None:
        body = {"objects": [each.stix() for each in step.said]}
        answers = [house.post(WRITABLE, body, step.who) for house in self._houses[step.hidden :]]
        assert {answer.status_code for answer in answers} == {202}
        if not step.hidden:
            self._statuses.append([answer.json["id"] for answer in answers])
            _same(answers)

    def _delete(self, step: Step) -> None:
        params = {"match[version]": step.versions} if step.versions else {}
        path = f"{WRITABLE}{step.said[0].id}/"
        answers = [house.send("DELETE", path, step.who, params=params) for house in self._houses[step.hidden :]]
        if not step.hidden:
            _same(answers)

    def _tick(self, step: Step) -> None:
        for house in self._houses:
            house.tick(seconds=step.seconds)

    def _look(self, _step: Step) -> None:
        """Pages, with their tags and headers; single objects, which may not be there; statuses, of others too."""
        for who, (path, params) in product(self.observers, self._pages()):
            answer = self._ask(who, path, params)
            tag = answer.headers.get("ETag")
            if tag is not None:
                assert self._ask(who, path, params, method="HEAD", tag=tag).status_code == 304
            if path.endswith("manifest.json") and answer.status_code == 200:
                for file in (*(f"{uuid}.json" for uuid in answer.json), "hashes.csv"):
                    self._ask(who, path.replace("manifest.json", file), {})
        for who, named in product(self.observers, self._houses[0].world.terms.collections.values()):
            self._look_over_misp(who, f"/misp/{named.alias}")
        for kind, number in product(KINDS, NUMBERS):
            place = f"{WRITABLE}{Said(kind=kind, number=number).id}/"
            self._ask(self.observers[0], place, {"match[version]": "first,last"})
            self._ask(self.observers[0], f"{place}versions/", {})
        for ids, who in product(self._statuses, (POSTER, OTHER)):
            _same([house.get(f"/api/status/{id_}/", who) for house, id_ in zip(self._houses, ids, strict=True)])

    def _look_over_misp(self, who: str, base: str) -> None:
        """The index, and every event in it, as a MISP asks for them."""
        asked = json.dumps({"minimal": 1, "published": 1}).encode()
        rows = self._as_misp(who, "POST", f"{base}/events/index", body=asked)
        for row in rows.json if rows.status_code == 200 else ():
            self._as_misp(who, "GET", f"{base}/events/view/{row['uuid']}/deleted[]:0/deleted[]:1/excludeGalaxy:1")

    def _as_misp(self, who: str, method: str, path: str, **more: Any) -> Result:
        answers = []
        for house, kept in zip(self._houses, self._kept, strict=True):
            view._KEPT = kept  # what a worker remembers: each of the two is a process of its own
            headers = {"Authorization": house.secrets[who], "Accept": "application/json"}
            answers.append(house.client.simulate_request(method, path, headers=headers, **more))
        return _same(answers)

    def _pages(self) -> Iterator[tuple[str, Mapping[str, str]]]:
        yield "/api/collections/", {}
        for name in self._houses[0].world.terms.collections:
            base = f"/api/collections/{name}"
            yield f"/feeds/{name}/manifest.json", {}
            yield f"{base}/objects/", {}
            yield f"{base}/objects/", {"match[version]": "all", "limit": "2"}
            yield f"{base}/manifest/", {"match[version]": "all"}

    def _ask(self, who: str, path: str, params: Mapping[str, str], *, method: str = "GET", tag: str = "") -> Result:
        headers = {"If-None-Match": tag} if tag else {}
        return _same([house.send(method, path, who, params=params, headers=headers) for house in self._houses])


def _same(answers: Sequence[Result]) -> Result:
    """Both answers are one: status, headers, body."""
    one, other = map(_known, answers)
    assert one == other
    return answers[0]


def _known(answer: Result) -> tuple[int, Mapping[str, str], Any]:
    """The answer without the id of a status, which is drawn, and without the tag that comes of it."""
    headers, body = dict(answer.headers), answer.content
    if b'"request_timestamp"' not in body:
        return answer.status_code, headers, body
    headers.pop("etag", None)
    return answer.status_code, headers, list((json.loads(body) | {"id": ""}).items())
