"""A small world of peers, agreements and audiences for the policy tests, and strategies that make others."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import UTC, date, datetime, timedelta
from random import Random
from typing import Any

from hypothesis import strategies as st

from exchange.model.lights import Pap, Pfc
from exchange.model.marking import Label, Reach, Tlp
from exchange.model.party import Agreement, Auth, Collection, Expiry, Peer, Receive, Send, Source, Target, Terms

NOW = datetime(2026, 6, 15, 12, tzinfo=UTC)
TODAY = NOW.date()
DAY = timedelta(days=1)
SPANS = {
    "now": (date(2026, 1, 1), date(2026, 12, 31)),
    "first-day": (TODAY, date(2026, 12, 31)),
    "last-day": (date(2026, 1, 1), TODAY),
    "ended": (date(2025, 1, 1), date(2025, 12, 31)),
    "ended-yesterday": (date(2026, 1, 1), TODAY - DAY),
    "begins-tomorrow": (TODAY + DAY, date(2027, 12, 31)),
}
ROOM = "11111111-1111-4111-8111-111111111111"
TYPES = ("indicator", "malware", "report")
MARKS = ("marking-definition--aaaaaaaa-0000-4000-8000-000000000001", "pap:red", "tlp:unclear")
PEERS = ("ccc", "cert-ee", "circl", "home")
ORGS = {name: f"{number}0000000-0000-4000-8000-000000000000" for number, name in enumerate(PEERS, 1)}
"""Each peer's organisation in MISP."""
SITE = "https://peer.example/api"
"""The server of every push target, as a sharing group names it."""
IEP = 'iep2-policy:id="1"'


def level(text: str) -> Tlp:
    """The level that a table calls `AMBER+STRICT`."""
    return Tlp[text.replace("+", "_")]


def agreement(
    name: str,
    parties: Iterable[str],
    *,
    span: str = "now",
    receive: Receive | None = None,
    send: Send | None = None,
) -> Agreement:
    start, end = SPANS[span]
    return Agreement(
        id=name,
        title=name,
        parties=tuple(parties),
        start=start,
        end=end,
        purpose="tests",
        receive=receive,
        send=send,
    )


def collection(
    readers: Iterable[str],
    *,
    ceiling: Tlp = Tlp.RED,
    types: frozenset[str] | None = None,
    writers: Iterable[str] = (),
    name: str = ROOM,
) -> Collection:
    return Collection(
        id=name,
        alias="room",
        title={"en": "Room", "fr": "Salle"},
        description={},
        readers=tuple(readers),
        writers=tuple(writers),
        ceiling=ceiling,
        types=types,
    )


def target(peer: str, *, scheme: str = "https") -> Target:
    return Target(peer=peer, id="in", kind="taxii", url=f"{scheme}://peer.example/api/", collection=ROOM)


def terms(
    *,
    agreements: Iterable[Agreement] = (),
    collections: Iterable[Collection] = (),
    pushed: Iterable[str] = (),
    peers: Iterable[str] = PEERS,
    without_pap: Iterable[str] = (),
    in_clear: Iterable[str] = (),
) -> Terms:
    pushed, without_pap, in_clear = set(pushed), set(without_pap), set(in_clear)
    return Terms(
        peers={
            name: Peer(
                id=name,
                name=name,
                home=name == "home",
                identities=frozenset({ORGS[name]}) if name in ORGS else frozenset(),
                targets=(target(name, scheme="http" if name in in_clear else "https"),) if name in pushed else (),
                pap=name not in without_pap,
            )
            for name in peers
        },
        collections={room.id: room for room in collections},
        agreements=tuple(agreements),
        node_identity="identity--00000000-0000-4000-8000-000000000000",
        expiry=(
            Expiry(
                types=frozenset(TYPES), kinds=frozenset({"url"}), peers=frozenset({"ccc"}), half_life=86_400.0,
                false_positive=3_600.0,
            ),
        ),
    )  # fmt: skip


def rich_terms() -> Terms:
    """Terms in which every field holds something, so that each of them can be changed."""
    source = Source(
        peer="ccc",
        id="main",
        kind="taxii",
        url="https://ccc.example/api/",
        collection=ROOM,
        since=NOW,
        max_day=10,
        orgs=frozenset({"org-a", "org-b", "org-c"}),
    )
    peer = Peer(
        id="ccc",
        name="Centre",
        contact="noc@ccc.example",
        identities=frozenset({f"identity--{n}" for n in "abcdef"}),
        sources=(source,),
        targets=(target("ccc"),),
        auth=Auth(user="u", password="env:P", token="env:T", key="env:K", client_cert="c", client_key="k"),
        ca="/ca.pem",
        quality=75,
    )
    return Terms(
        peers={"ccc": peer, "home": Peer(id="home", name="Maison", home=True)},
        collections={ROOM: collection(["ccc"], writers=["home"], types=frozenset(TYPES))},
        agreements=(
            agreement(
                "both",
                ["ccc"],
                receive=Receive(
                    ceiling=Tlp.AMBER,
                    unmarked=Tlp.GREEN,
                    informational_markings=frozenset(MARKS),
                    types=frozenset(TYPES),
                    confidence=30,
                ),
                send=Send(ceiling=Tlp.AMBER, types=frozenset(TYPES), confidence=60),
            ),
        ),
        node_identity="identity--00000000-0000-4000-8000-000000000000",
    )


LEVELS = st.sampled_from(Tlp)
LABELS = st.builds(
    Label,
    tlp=st.none() | LEVELS,
    unknown=st.just(frozenset()) | st.frozensets(st.sampled_from(MARKS), max_size=2),
    reach=st.just(Reach.ALL) | st.sampled_from(Reach),
    pfc=st.none() | st.sampled_from(Pfc),
    pap=st.none() | st.sampled_from(Pap),
    iep=st.just(frozenset()) | st.just(frozenset({IEP})),
    orgs=st.none() | st.frozensets(st.sampled_from(sorted(ORGS.values()))),
    servers=st.none() | st.frozensets(st.sampled_from([SITE, "https://other.example"])),
    draft=st.just(False) | st.booleans(),
    unnamed=st.just(False) | st.booleans(),
    encrypted=st.just(False) | st.booleans(),
    limited=st.just(False) | st.booleans(),
    since=st.none() | st.sampled_from([NOW - DAY, NOW + DAY]),
    until=st.none() | st.sampled_from([NOW - DAY, NOW + DAY]),
    confidence=st.none() | st.integers(0, 100),
).flatmap(lambda label: st.sampled_from([label, label, label.join(Label(pfc=Pfc.VERT))]))


class Dice:
    """Draws whole worlds from one seed: hundreds of times faster than a strategy for each of their fields."""

    def __init__(self, seed: int) -> None:
        self.random = Random(seed)  # noqa: S311 (test data, not a secret)

    def some(self, values: Sequence[str], least: int = 0) -> list[str]:
        """A few of `values`, in any order, each once."""
        return self.random.sample(values, self.random.randint(least, len(values)))

    def odds(self, chance: float) -> bool:
        return self.random.random() < chance

    def level(self) -> Tlp:
        return self.random.choice(list(Tlp))

    def types(self) -> frozenset[str] | None:
        return self.random.choice([None, None, frozenset(self.some(TYPES, 1))])

    def bar(self) -> dict[str, Any]:
        """How sure a creator has to be."""
        return {"confidence": self.random.choice([None, None, None, 30, 60]), "unrated": self.odds(0.7)}

    def receive(self) -> Receive | None:
        ignored = self.random.choice([[], [], self.some([*MARKS, IEP, "*"])])
        wanted = Receive(
            ceiling=self.level(),
            unmarked=self.random.choice([None, self.level()]),
            informational_markings=frozenset(ignored),
            types=self.types(),
            **self.bar(),
        )
        return self.random.choice([None, wanted, wanted])

    def send(self) -> Send | None:
        wanted = Send(
            ceiling=self.level(),
            types=self.types(),
            onward=self.odds(0.5),
            pfc=self.odds(0.5),
            encrypted=self.odds(0.7),
            **self.bar(),
        )
        return self.random.choice([None, wanted, wanted, wanted])

    def terms(self) -> Terms:
        """Any terms over the four peers: up to four agreements, two collections, and push targets."""
        agreements = [
            agreement(
                f"agreement-{number}",
                self.some(PEERS, 1),
                span=self.random.choice(["now", "now", "now", *SPANS]),
                receive=self.receive(),
                send=self.send(),
            )
            for number in range(self.random.randint(0, 4))
        ]
        rooms = [
            collection(
                self.some(PEERS),
                writers=self.some(PEERS)[:2],
                ceiling=self.level(),
                types=self.types(),
                name=f"room-{number}",
            )
            for number in range(self.random.randint(1, 2))
        ]
        without_pap = [peer for peer in PEERS if self.odds(0.2)]
        return terms(
            agreements=agreements,
            collections=rooms,
            pushed=self.some(PEERS),
            without_pap=without_pap,
            in_clear=self.some(PEERS),
        )

    def label(self) -> Label:
        return Label(
            tlp=self.random.choice([None, *Tlp, *Tlp]),
            unknown=frozenset(self.random.choice([[], [], self.some(MARKS)])),
            reach=self.random.choice([Reach.ALL, Reach.ALL, *Reach]),
            pfc=self.random.choice([*[None] * 5, *Pfc]),
            pap=self.random.choice([None, None, *Pap]),
            iep=frozenset({IEP}) if self.odds(0.1) else frozenset(),
            orgs=frozenset(self.some(sorted(ORGS.values()))) if self.odds(0.3) else None,
            servers=frozenset({self.random.choice([SITE, "https://other.example"])}) if self.odds(0.1) else None,
            draft=self.odds(0.1),
            unnamed=self.odds(0.1),
            encrypted=self.odds(0.3),
            limited=self.odds(0.1),
            since=self.random.choice([*[None] * 8, NOW - DAY, NOW + DAY]),
            until=self.random.choice([*[None] * 8, NOW - DAY, NOW + DAY]),
        )


DICE = st.builds(Dice, st.integers(0, 2**64))
