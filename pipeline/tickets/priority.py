"""What to take first: a number from 0 to 100, and the factors that make it, each shown.

    severity           critical 80 · high 60 · medium 40 · low 20 · informational 0   (by hand, where it was set)
    system level       5: +10 · 4: +7 · 3: +4 · 2: +2 · 1: 0 · not recorded: +3
    asset              5: +10 · 4: +6 · 3: +3 · 2: 0 · 1: -3 · none in the register: 0   (criticality of the entity)
    precision of rule  -10 … +10: the share of its verdicts at this agency that were right, from closed tickets

Precision is the mean of a Beta distribution over the rule's verdicts with the prior Beta(2, 2): a rule without
verdicts counts as one half, two verdicts move it a little, two hundred a lot. At an agency the prior is what the rule
has shown at the others, with the same weight: where the agency has no verdicts yet, theirs count. Right are true
positives with and without impact; wrong are false positives (logic, data) and benign ones; the other reasons say nothing.
A step of severity is worth twice what any other factor can add.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final

import msgspec
import sqlalchemy as sa
from sqlalchemy.orm import Session

from pipeline.model.detections import Level
from pipeline.model.ids import content_hash
from pipeline.model.tickets import ClosingReason
from pipeline.state.state import State
from pipeline.state.tables.operation import Meta
from pipeline.state.tables.register import Agency
from pipeline.state.tables.tickets import RulePrecision, Ticket, TicketFinding
from pipeline.tickets.assets import book_of, place

PRIOR: Final = (2, 2)
HITS: Final = (ClosingReason.TRUE_POSITIVE_IMPACT, ClosingReason.TRUE_POSITIVE_NO_IMPACT)
MISSES: Final = (
    ClosingReason.FALSE_POSITIVE_LOGIC,
    ClosingReason.FALSE_POSITIVE_DATA,
    ClosingReason.BENIGN_TRUE_POSITIVE,
)
_LEVELS: Final = {0: 3, 1: 0, 2: 2, 3: 4, 4: 7, 5: 10}
_CRITICALITY: Final = {0: 0, 1: -3, 2: 0, 3: 3, 4: 6, 5: 10}
_SWING: Final = 20
_BASIS: Final = "tickets.priority"
_CHUNK: Final = 100
EVERYWHERE: Final = ""
Place = tuple[str, str]
"""A rule, and an agency or everywhere."""


class Factor(msgspec.Struct, frozen=True):
    """One part of a priority. `value` is the severity, the system level, the asset's criticality, or the
    precision in per cent."""

    key: str
    value: str
    points: int


class Priority(msgspec.Struct, frozen=True):
    """0 to 100, with what it is made of. `hits` and `misses` are the rule's verdicts at all agencies, `here` those at
    the ticket's."""

    points: int
    factors: tuple[Factor, ...]
    hits: int = 0
    misses: int = 0
    here: tuple[int, int] = (0, 0)

    @property
    def elsewhere(self) -> tuple[int, int]:
        """The rule's verdicts at the other agencies: what it is believed by before there are any here."""
        return self.hits - self.here[0], self.misses - self.here[1]


def precision(hits: int, misses: int) -> float:
    """Between 0 and 1: the expected share of right verdicts."""
    return (hits + PRIOR[0]) / (hits + misses + sum(PRIOR))


def precision_at(hits: int, misses: int, here: tuple[int, int]) -> float:
    """The expected share at an agency with the verdicts `here`, which are among the rule's `hits` and `misses`."""
    right, wrong = here
    elsewhere, weight = precision(hits - right, misses - wrong), sum(PRIOR)
    return (right + weight * elsewhere) / (right + wrong + weight)


def weigh(
    severity: str, level: int, hits: int, misses: int, criticality: int = 0,
    here: tuple[int, int] = (0, 0),
) -> Priority:  # fmt: skip
    share = precision_at(hits, misses, here)
    factors = (
        Factor("severity", severity, 20 * Level(severity).rank),
        Factor("system_level", str(level), _LEVELS.get(level, _LEVELS[0])),
        Factor("asset", str(criticality), _CRITICALITY[criticality]),
        Factor("precision", str(round(100 * share)), round(_SWING * (share - 0.5))),
    )
    points = min(100, max(0, sum(factor.points for factor in factors)))
    return Priority(points, factors, hits, misses, here)


def of_ticket(
    session: Session, ticket: Ticket, known: Mapping[Place, RulePrecision] | None = None
) -> Priority:
    """As of now. The severest finding's rule is the one that counts; `known` are verdicts that were read before."""
    agency = session.get(Agency, ticket.agency)

    def found(where: str) -> tuple[int, int]:
        place = (ticket.rule, where)
        row = session.get(RulePrecision, place) if known is None else known.get(place)
        return (row.hits, row.misses) if row else (0, 0)

    level = agency.level if agency else 0
    here = found(ticket.agency)
    return weigh(ticket.severity, level, *found(EVERYWHERE), ticket.criticality, here)


def verdicts(session: Session) -> dict[Place, tuple[int, int]]:
    """Per rule, at each agency and everywhere, (right, wrong), of all closed tickets that are no drill's: a ticket
    speaks for each of its rules."""
    right = sa.case((Ticket.reason.in_(HITS), Ticket.id))
    wrong = sa.case((Ticket.reason.in_(MISSES), Ticket.id))
    rows = session.execute(
        sa.select(
            TicketFinding.rule,
            Ticket.agency,
            sa.func.count(right.distinct()),
            sa.func.count(wrong.distinct()),
        )
        .join(Ticket, Ticket.id == TicketFinding.ticket)
        .where(
            Ticket.closed.is_not(None),
            Ticket.drill.is_(False),
            Ticket.reason.in_((*HITS, *MISSES)),
        )
        .group_by(TicketFinding.rule, Ticket.agency)
    )
    found: dict[Place, tuple[int, int]] = {}
    for rule, agency, hits, misses in rows:
        found[rule, agency] = (hits, misses)
        before = found.get((rule, EVERYWHERE), (0, 0))
        found[rule, EVERYWHERE] = (before[0] + hits, before[1] + misses)
    return found


def reckon_once(state: State, *, now: datetime) -> int:
    """Count the verdicts anew, and bring the priorities of open tickets up to them and to the agencies'
    levels and assets; how many changed. Cheap while nothing has been closed, reopened or changed in the register."""
    with state.read() as session:
        basis = _basis(session)
        known = session.get(Meta, _BASIS)
        if known is not None and known.value == basis:
            return 0
        counted = verdicts(session)
        old = {
            (row.rule, row.agency): (row.hits, row.misses)
            for row in session.scalars(sa.select(RulePrecision))
        }
        levels = {one.id: one.level for one in session.execute(sa.select(Agency.id, Agency.level))}
        moved = known is None or known.value.get("assets") != basis["assets"]
        changed = _changed(session, counted, levels, assets=moved)
    with state.begin() as session:
        for rule, agency in counted.keys() | old.keys():
            hits, misses = counted.get((rule, agency), (0, 0))
            if old.get((rule, agency)) != (hits, misses):
                row = RulePrecision(rule=rule, agency=agency, hits=hits, misses=misses, at=now)
                session.merge(row)
    for start in range(0, len(changed), _CHUNK):
        with state.begin() as session:
            for ticket in session.scalars(
                sa.select(Ticket)
                .where(Ticket.id.in_(changed[start : start + _CHUNK]), Ticket.closed.is_(None))
                .with_for_update()
            ):
                place(session, ticket)
                ticket.priority = of_ticket(session, ticket).points
    with state.begin() as session:  # last: a process that dies before this does it all again
        session.merge(Meta(name=_BASIS, value=basis))
    return len(changed)


def _changed(
    session: Session,
    counted: Mapping[Place, tuple[int, int]],
    levels: Mapping[str, int],
    *,
    assets: bool,
) -> list[str]:
    """`assets`: those of an agency have changed, so that entities are looked up anew."""
    rows = session.execute(
        sa.select(
            Ticket.id, Ticket.severity, Ticket.agency, Ticket.rule, Ticket.priority, Ticket.entity,
            Ticket.criticality, Ticket.asset,
        ).where(Ticket.closed.is_(None))
    )  # fmt: skip
    changed = []
    for row in rows:
        criticality, name = row.criticality, row.asset
        if assets:
            found = book_of(session, row.agency).find(row.entity)
            criticality, name = (found.criticality, found.name) if found else (0, "")
        verdict = counted.get((row.rule, EVERYWHERE), (0, 0))
        here = counted.get((row.rule, row.agency), (0, 0))
        level = levels.get(row.agency, 0)
        points = weigh(row.severity, level, *verdict, criticality, here).points
        if (row.priority, row.criticality, row.asset) != (points, criticality, name):
            changed.append(row.id)
    return changed


def _basis(session: Session) -> dict[str, Any]:
    """What priorities rest on: it moves whenever a ticket is closed or reopened, or an agency's level set."""
    count, last = session.execute(
        sa.select(sa.func.count(), sa.func.max(Ticket.closed)).where(Ticket.closed.is_not(None))
    ).one()
    levels = session.execute(
        sa.select(Agency.id, Agency.level, Agency.assets).order_by(Agency.id)
    ).all()
    return {
        "closed": count,
        "last": last.isoformat() if last else "",
        "levels": content_hash(*(f"{agency} {level}" for agency, level, _ in levels)),
        "assets": content_hash(*(f"{agency} {assets}" for agency, _, assets in levels)),
    }
