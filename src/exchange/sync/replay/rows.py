"""Each row of a listing, decided again at the points that made it what it is, and compared with what it says."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import NamedTuple

from sqlalchemy import Connection

from exchange.policy import Audience, Decision, Rules, within
from exchange.policy.expiry import AGED, ENDED
from exchange.store import sittings, statements
from exchange.store.audiences import AudienceRow
from exchange.store.clock import moment
from exchange.store.derived import Derived
from exchange.store.past import Handed, Row
from exchange.sync.altering import OTHER_FORM, worth
from exchange.sync.replay.bytes import Read, read
from exchange.sync.replay.found import Mismatch, Replayed
from exchange.sync.replay.moments import Moments, Point
from exchange.sync.replay.then import Past
from exchange.sync.rows import SAME_VERSION, until
from exchange.sync.subjects import Judged

UNREAD, OLDER, CROWDED, FORMLESS, UNDER_WAY = (
    "replay.terms_unread", "replay.older", "replay.crowded", "replay.formless", "replay.under_way",
)  # fmt: skip
_SUSPENDED = "agreement.ended"
_STRUCTURE = (
    "fold.", "version.latest_again", "version.owner_speaks", "agreement.resumed", "label.changed", SAME_VERSION,
)  # fmt: skip
"""Codes of what was listed anew at once: the decision itself had not changed."""
_FORMS = (OTHER_FORM, "transform.")
_BESIDE = ("audience.retired", "withdrawn.erased")
"""What closes rows without a sitting: their audience, or the object itself, is no more."""


Forms = Mapping[tuple[int, str], Derived]
"""(statement, form) → what was made of it."""


class Unknown(Exception):
    """It cannot be decided again. `code`: why."""

    def __init__(self, code: str) -> None:
        super().__init__(code)
        self.code = code


class Said(NamedTuple):
    """A decision made again."""

    item: Judged
    decision: Decision
    audience: Audience
    rules: Rules
    group: Collection[Judged]
    """All that is stated about its id."""

    @property
    def altered(self) -> bool:
        """Whether something about its id goes in another form: then all of it does (`sync.altering`)."""
        return any(item.decide(self.rules, self.audience).transform is not None for item in self.group)

    @property
    def stands(self) -> bool:
        """Whether a row of it may be open: one whose agreement has ended rests (RULES R19)."""
        return self.decision.lets_go

    @property
    def label(self) -> str:
        """Under which it is listed."""
        found = worth(self.item, self.decision.transform)
        return "" if found is None else found.to_text()


@dataclass(slots=True)
class Case:
    """A row with the statement that it shows, or of which that was made."""

    row: Row
    seq: int
    stix_id: str
    version: str
    place: AudienceRow
    form: str
    """Empty: it shows the statement as it is."""

    def differs(self, code: str, recorded: str = "", replayed: str = "") -> Mismatch:
        """It does, in this."""
        return Mismatch(
            code=code, object=self.stix_id, version=self.version, channel=self.place.channel,
            members=self.place.members, added=moment(self.row.added), recorded=recorded, replayed=replayed,
        )  # fmt: skip


class Rows:
    """Decides the rows of some hundred ids again."""

    def __init__(
        self, tx: Connection, moments: Moments, past: Past, forms: Forms, found: Replayed, *, busy: bool
    ) -> None:
        self._tx, self._moments, self._past, self._forms, self._found = tx, moments, past, forms, found
        self._busy = busy
        """A change of terms, or a withdrawal, is under way: what stands is not all decided yet."""
        self._read: dict[int, Read] = {}
        self._said: dict[tuple[str, Point, int | None], dict[int, Judged]] = {}

    def prepare(self, seqs: set[int], documented: set[int]) -> None:
        """Read the bytes of what is listed, each once."""
        items = {item.seq: item for item in statements.by_seq(self._tx, seqs)}
        for seq, body in statements.bodies(self._tx, items).items():
            held = items[seq]
            read_ = read(held, held.stated, body, own=seq not in self._past.seqs, documented=seq in documented)
            self._read[seq] = read_
            if read_.wrong is not None:
                code, recorded, replayed = read_.wrong
                self._found.differs(
                    Mismatch(code=code, object=held.stix_id, version=held.version, recorded=recorded, replayed=replayed)
                )

    def judge(self, case: Case) -> None:
        """Decide one row again: when it was listed, what it says, and when it was closed or now."""
        self._found.rows += 1
        try:
            for mismatch in self._judged(case):
                self._found.differs(mismatch)
        except Unknown as why:
            self._found.unreplayable[why.code] += 1

    def _judged(self, case: Case) -> Iterator[Mismatch]:
        row = case.row
        if case.stix_id in self._past.crowded:
            raise Unknown(CROWDED)
        date = sittings.of_date(self._tx, row.audience, row.added)
        if date is None:
            yield case.differs("replay.no_sitting")
            return
        begun = self._moments.numbered(date.sitting) if date.sitting else None
        last = self._last(case)
        if begun is not None:
            yield from self._listed(case, begun)
        if row.closed is None:
            yield from self._open(case, last[-1])
        elif last:
            yield from self._closed(case, begun, last)
        elif begun is not None and row.closed_code not in _BESIDE:
            yield case.differs("replay.no_closing", row.closed_code or "")
        if begun is None:
            raise Unknown(OLDER)

    def _last(self, case: Case) -> list[Point]:
        """The points at which it was closed, or now."""
        if case.row.closed is None:
            return [self._moments.present()]
        return [self._moments.of(each) for each in sittings.at(self._tx, case.row.closed)]

    # --- when it was listed ------------------------------------------------------------------------------------------

    def _listed(self, case: Case, point: Point) -> Iterator[Mismatch]:
        both = [self._decide(case, point), self._decide(case, point, unsettled=True)]
        said = next((each for each in both if each is not None and self._lets(case, each)), None)
        if said is None:
            yield case.differs("replay.not_released", "release.agreement", _reasons(both[0]))
            return
        found = self._read.get(case.row.seq)
        if found is not None and not within(found.marks, said.rules.clearance(said.audience)):
            yield case.differs("replay.gate", case.row.label, str(said.rules.clearance(said.audience)))

    def _lets(self, case: Case, said: Said) -> bool:
        """Whether it is listed so by that decision; what rests is, where it is listed anew with all about its id."""
        if not said.stands:
            return False
        return not said.decision.released or self._form(said) == case.form

    def _form(self, said: Said) -> str:
        """In which form it goes; empty: as it is."""
        transform = said.decision.transform
        if transform is None:
            return ""
        made = self._forms.get((said.item.held.seq, transform.form))
        return transform.form if made is None or made.seq is not None else ""

    def _is_refused(self, said: Said) -> bool:
        """Whether what is to be altered for them cannot be: then nothing of it stands, and least of all the whole."""
        transform = said.decision.transform
        made = None if transform is None else self._forms.get((said.item.held.seq, transform.form))
        return made is not None and bool(made.code)

    # --- as it stands, or was closed ---------------------------------------------------------------------------------

    def _open(self, case: Case, point: Point) -> Iterator[Mismatch]:
        wrong = self._standing(case, point)
        lapsed, last = case.row.not_after - 1, self._moments.last_at
        if wrong and lapsed < point.at:
            # It rests, as it stood when its agreement, or a policy on it, ended.
            then = point._replace(at=lapsed, ruled=lapsed)
            if self._moments.rules(then) is not None:
                wrong = self._standing(case, then)
        if wrong and last < point.at:
            # A version from the future whose time has come leads its chain from the next sitting on (RULES R5).
            wrong = self._standing(case, point._replace(at=last))
        if wrong and self._busy:
            raise Unknown(UNDER_WAY)
        yield from wrong

    def _standing(self, case: Case, point: Point) -> list[Mismatch]:
        """What is wrong with it as an open row."""
        said = self._decide(case, point)
        if said is None or not said.stands:
            return [case.differs("replay.overstayed", "", _reasons(said))]
        if said.decision.released and (self._form(said) != case.form or self._is_refused(said)):
            return [case.differs("replay.overstayed", "", OTHER_FORM)]
        return list(self._alike(case, said))

    def _alike(self, case: Case, said: Said) -> Iterator[Mismatch]:
        """What the row says otherwise than the decision."""
        row, decision = case.row, said.decision
        if row.agreement != decision.agreement:
            yield case.differs("replay.agreement", row.agreement, decision.agreement)
        if row.label != said.label:
            yield case.differs("replay.label", row.label, said.label)
        if row.not_after != until(decision):
            yield case.differs("replay.until", str(row.not_after), str(until(decision)))

    def _closed(self, case: Case, begun: Point | None, points: list[Point]) -> Iterator[Mismatch]:
        self._found.closings += 1
        code = case.row.closed_code or ""
        found = [self._decide(case, point) for point in points]
        found += [self._decide(case, point, unsettled=True) for point in points]
        if not any(self._fits(case, code, said) for said in found):
            yield case.differs("replay.reason", code, _reasons(found[0]))
        if begun is None:
            return
        # What it says was right at some point before it was closed.
        nearest: list[Mismatch] | None = None
        for point in self._points(case, begun, points[-1]):
            for unsettled in (False, True):
                said = self._decide(case, point, unsettled=unsettled)
                if said is None or not said.stands:
                    continue
                wrong = list(self._alike(case, said))
                if not wrong:
                    return
                nearest = wrong if nearest is None or len(wrong) < len(nearest) else nearest
        yield from nearest or ()

    def _fits(self, case: Case, code: str, said: Said | None) -> bool:
        """Whether it is closed for this reason by that decision."""
        if said is None:
            return code in _BESIDE
        if code.startswith(_STRUCTURE) or code == _SUSPENDED:
            return said.stands
        if code.startswith(_FORMS):
            return bool(case.form) or said.altered
        if code in (AGED, ENDED):
            return case.row.type in {kind for rule in said.rules.terms.expiry for kind in rule.types}
        return not said.stands and said.decision.reasons[0] == code

    def _points(self, case: Case, begun: Point, last: Point) -> Iterator[Point]:
        """From its listing to its closing, each point at which something may have been decided otherwise."""
        yield begun
        numbers = {
            each.sitting for each in self._moments.followed if begun.number < each.sitting <= last.number
        }  # fmt: skip
        seqs, others = self._past.changes(case.stix_id)
        for seq in seqs:
            if begun.upto < seq <= last.upto:
                number = sittings.first_knowing(self._tx, seq)
                numbers |= set() if number is None else {number}
        numbers |= {number for number in others if begun.number < number <= last.number}
        for number in sorted(numbers):
            point = self._moments.numbered(number)
            if point is not None:
                yield point

    # --- deciding ----------------------------------------------------------------------------------------------------

    def _decide(self, case: Case, point: Point, *, unsettled: bool = False) -> Said | None:
        """What was to be decided of it then; None: there was no such statement or no such audience."""
        ruled = self._moments.rules(point)
        if ruled is None:
            raise Unknown(UNREAD)
        audience = ruled.audiences.get(case.place.key)
        if audience is None:
            return None
        alone = case.seq if unsettled else None
        key = case.stix_id, point, alone
        items = self._said.get(key)
        if items is None:
            made = self._past.at(case.stix_id, point, ruled, alone=alone)
            items = self._said[key] = {item.held.seq: item for item in made}
        item = items.get(case.seq)
        return (
            None
            if item is None
            else Said(item, item.decide(ruled.rules, audience), audience, ruled.rules, items.values())
        )

    def took(self, case: Case, handed: Handed) -> None:
        """A partner took it: under the agreement that it was listed under then."""
        self._found.handed += 1
        if handed.agreement == case.row.agreement:
            return
        date = sittings.of_date(self._tx, case.row.audience, case.row.added)
        begun = self._moments.numbered(date.sitting) if date is not None and date.sitting else None
        if begun is None:
            self._found.unreplayable[OLDER] += 1
            return
        upto = self._moments.numbered(sittings.last_by(self._tx, handed.at)) or begun
        try:
            named = {
                said.decision.agreement
                for point in self._points(case, begun, upto)
                if (said := self._decide(case, point)) is not None
            }
        except Unknown as why:
            self._found.unreplayable[why.code] += 1
            return
        if handed.agreement not in named:
            self._found.differs(case.differs("replay.agreement", handed.agreement, ", ".join(sorted(named))))


def _reasons(said: Said | None) -> str:
    return "replay.no_audience" if said is None else ", ".join(said.decision.reasons)
