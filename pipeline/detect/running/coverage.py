"""Coverage: which sequences a rule set has been evaluated over, kept as intervals that grow in place.

Written in the transaction of a run (`extend`): the open interval of a schedule and node grows while
rule set and cursor go on without a break; any change or gap closes it and opens the next.
Asked by `coverage_of`: for a rule, a revision and an agency, what was evaluated, by which runs, and
where the gaps are. Intervals and gaps of a node add up to `1 … watermark`, without overlap.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from itertools import pairwise
from typing import Any, Literal

import msgspec
import sqlalchemy as sa
from sqlalchemy.orm import Session

from pipeline.detect.running.maintenance import resting
from pipeline.model.clock import to_micros
from pipeline.model.errors import NotFoundError
from pipeline.state.state import State
from pipeline.state.tables.detection import Coverage, Cursor, Run
from pipeline.state.tables.lake import LakeFile
from pipeline.state.tables.rules import RuleRevision, RuleRow, Ruleset

Tally = Mapping[str, Mapping[str, Any]]  # agency -> {"events": n, "first": micros, "last": micros}
Reason = Literal["pending", "failed", "cannot_fire", "other_revision", "not_active"]


class Evaluated(msgspec.Struct, frozen=True):
    """Sequences `first` to `last` of a node that the rule was evaluated over, and the runs that did it.

    `agencies` bounds the event times; with an agency asked for, it holds that one alone.
    """

    node: str
    first: int
    last: int
    ruleset: str
    first_run: str
    last_run: str
    agencies: dict[str, Any]


class Gap(msgspec.Struct, frozen=True):
    """Sequences `first` to `last` of a node that the rule was not evaluated over, and why."""

    node: str
    first: int
    last: int
    reason: Reason
    detail: str = ""


class Lost(msgspec.Struct, frozen=True):
    """Events that are in no store any more: their file was damaged, and given up at `at`. An interval of the
    same sequences counts as evaluated; these events were, if its run was earlier. `agencies`: rows of each."""

    dataset: str
    agencies: dict[str, int]
    first_event: datetime
    last_event: datetime
    at: datetime


class Answer(msgspec.Struct, frozen=True):
    """What `coverage_of` says, in order of node and sequence."""

    rule: str
    revision: str
    evaluated: tuple[Evaluated, ...]
    gaps: tuple[Gap, ...]
    lost: tuple[Lost, ...] = ()


def extend(
    session: Session,
    *,
    schedule: str,
    ruleset: str,
    run: str,
    spans: Mapping[str, tuple[int, int]],
    tallies: Mapping[str, Tally],
    moves: bool = True,
) -> None:
    """Add the half-open spans `(after, upto]` to the coverage. A backfill (`moves` false) stands alone."""
    for node, (after, upto) in spans.items():
        tally = tallies.get(node, {})
        row = _open_interval(session, schedule, node) if moves else None
        if row is not None and row.ruleset == ruleset and row.last == after:
            row.last, row.last_run = upto, run
            row.agencies = add_tallies(row.agencies, tally)
            continue
        if row is not None:
            row.closed = True
        session.add(
            Coverage(
                schedule=schedule,
                ruleset=ruleset,
                node=node,
                first=after + 1,
                last=upto,
                agencies=add_tallies({}, tally),
                first_run=run,
                last_run=run,
                closed=not moves,
            )
        )


def _open_interval(session: Session, schedule: str, node: str) -> Coverage | None:
    return session.scalar(
        sa.select(Coverage).where(
            Coverage.schedule == schedule, Coverage.node == node, Coverage.closed.is_(False)
        )
    )


def add_tallies(one: Tally, other: Tally) -> dict[str, Any]:
    """Counts added, spans of event time widened, per agency."""
    total = {agency: dict(entry) for agency, entry in one.items()}
    for agency, entry in other.items():
        mine = total.setdefault(
            agency, {"events": 0, "first": entry["first"], "last": entry["last"]}
        )
        mine["events"] += entry["events"]
        mine["first"] = min(mine["first"], entry["first"])
        mine["last"] = max(mine["last"], entry["last"])
    return total


def coverage_of(
    state: State,
    watermark: Mapping[str, int],
    rule: str,
    *,
    revision: str = "",
    agency: str | None = None,
    start: datetime | None = None,
    stop: datetime | None = None,
    now: datetime | None = None,
) -> Answer:
    """Was `rule` at `revision` (the present one by default) evaluated, over what, and where not?

    `agency` and the times leave only intervals that hold events of the agency within `[start, stop)`;
    gaps are shown whole, since nobody knows yet whose events lie in them. `now` lets what waits say why.
    """
    with state.read() as session:
        row = session.get(RuleRow, rule)
        wanted = revision or (row.revision if row else "")
        known = session.get(RuleRevision, wanted)
        if known is None or known.rule != rule:
            raise NotFoundError("no such rule or revision", got=f"{rule} {revision}".strip())
        marked = sa.cast(Ruleset.members, sa.Text).like(f'%"{wanted}"%')
        within = set(session.scalars(sa.select(Ruleset.hash).where(marked)))
        intervals = list(
            session.scalars(sa.select(Coverage).order_by(Coverage.node, Coverage.first))
        )
        unfit = _unfit(session, rule, {i.ruleset for i in intervals} - within)
        schedule = row.schedule if row else "main"
        cursors = {
            c.node: c.position
            for c in session.scalars(sa.select(Cursor).where(Cursor.schedule == schedule))
        }
        rests = resting(session, schedule, now) if now is not None else ""
        failed = _failed(session, schedule)
        lost = _lost(session, agency, start, stop)
    evaluated: list[Evaluated] = []
    gaps: list[Gap] = []
    for node in sorted({*watermark, *(i.node for i in intervals)}):
        of_node = [i for i in intervals if i.node == node]
        ran = [i for i in of_node if i.ruleset in within]
        evaluated += [_shown(i, agency) for i in ran if _touches(i, agency, start, stop)]
        others = [i for i in of_node if i.ruleset not in within]
        for first, last in _complement([(i.first, i.last) for i in ran], watermark.get(node, 0)):
            gaps += _explain(
                Gap(node, first, last, "not_active"),
                cursor=cursors.get(node, 0),
                others=others,
                stood=unfit,
                failed=failed,
                rests=rests,
            )
    return Answer(rule, wanted, tuple(evaluated), tuple(gaps), lost)


def waiting_of(
    state: State, watermark: Mapping[str, int], schedule: str, *, now: datetime
) -> tuple[Gap, ...]:
    """What a schedule has not evaluated of what is settled, whatever the rule, and why."""
    with state.read() as session:
        intervals = list(
            session.scalars(
                sa.select(Coverage)
                .where(Coverage.schedule == schedule)
                .order_by(Coverage.node, Coverage.first)
            )
        )
        cursors = {
            c.node: c.position
            for c in session.scalars(sa.select(Cursor).where(Cursor.schedule == schedule))
        }
        rests = resting(session, schedule, now)
        failed = _failed(session, schedule)
    gaps: list[Gap] = []
    for node, upto in sorted(watermark.items()):
        ran = [(i.first, i.last) for i in intervals if i.node == node]
        for first, last in _complement(ran, upto):
            gaps += _explain(
                Gap(node, first, last, "not_active"),
                cursor=cursors.get(node, 0), others=(), stood={}, failed=failed, rests=rests,
            )  # fmt: skip
    return tuple(gaps)


def _failed(session: Session, schedule: str) -> list[Run]:
    return list(
        session.scalars(
            sa.select(Run)
            .where(Run.schedule == schedule, Run.status == "failed")
            .order_by(Run.started.desc())
            .limit(200)
        )
    )


def _lost(
    session: Session, agency: str | None, start: datetime | None, stop: datetime | None
) -> tuple[Lost, ...]:
    chosen = sa.select(LakeFile).where(LakeFile.state == "lost").order_by(LakeFile.number)
    if start is not None:
        chosen = chosen.where(LakeFile.last_time >= start)
    if stop is not None:
        chosen = chosen.where(LakeFile.first_time < stop)
    found = []
    for row in session.scalars(chosen):
        theirs = {one: rows for one, rows in row.agencies.items() if agency in (None, one)}
        if theirs:
            found.append(Lost(row.dataset, theirs, row.first_time, row.last_time, row.changed))
    return tuple(found)


def _unfit(session: Session, rule: str, rulesets: set[str]) -> dict[str, tuple[Reason, str]]:
    """Per rule set without the revision: how the rule stood in it."""
    revisions = set(
        session.scalars(sa.select(RuleRevision.revision).where(RuleRevision.rule == rule))
    )
    stood: dict[str, tuple[Reason, str]] = {}
    for row in session.scalars(sa.select(Ruleset).where(Ruleset.hash.in_(rulesets))):
        why = next((row.unfit[r] for r in revisions if r in row.unfit), None)
        if why is not None:
            stood[row.hash] = ("cannot_fire", str(why))
        elif revisions.intersection(row.members):
            stood[row.hash] = ("other_revision", next(iter(revisions.intersection(row.members))))
    return stood


def _shown(row: Coverage, agency: str | None) -> Evaluated:
    agencies = {a: e for a, e in row.agencies.items() if agency in (None, a)}
    return Evaluated(
        row.node, row.first, row.last, row.ruleset, row.first_run, row.last_run, agencies
    )


def _touches(
    row: Coverage, agency: str | None, start: datetime | None, stop: datetime | None
) -> bool:
    if agency is None and start is None and stop is None:
        return True
    entries = [e for a, e in row.agencies.items() if agency in (None, a)]
    return any(
        (stop is None or e["first"] < to_micros(stop))
        and (start is None or e["last"] >= to_micros(start))
        for e in entries
    )


def _complement(spans: Iterable[tuple[int, int]], upto: int) -> list[tuple[int, int]]:
    """What of `1 … upto` the inclusive spans leave out."""
    left, here = [], 1
    for first, last in sorted(spans):
        if first > here:
            left.append((here, min(first - 1, upto)))
        here = max(here, last + 1)
    if here <= upto:
        left.append((here, upto))
    return [(a, b) for a, b in left if a <= b]


def _explain(
    whole: Gap,
    *,
    cursor: int,
    others: Sequence[Coverage],
    stood: Mapping[str, tuple[Reason, str]],
    failed: Sequence[Run],
    rests: str,
) -> list[Gap]:
    """One gap, cut where its reason changes."""
    gaps: list[Gap] = []
    node, first, last = whole.node, whole.first, whole.last
    edges = {first, last + 1, cursor + 1}
    for o in others:
        edges |= {o.first, o.last + 1}
    spans = [(run, run.window[node]) for run in failed if node in run.window]
    for _, (after, upto) in spans:
        edges |= {after + 1, upto + 1}
    points = sorted(e for e in edges if first <= e <= last + 1)
    for start, stop in pairwise(points):
        over = next((o for o in others if o.first <= start <= o.last), None)
        fault = next((run for run, (after, upto) in spans if after < start <= upto), None)
        reason: Reason = "not_active"
        detail = ""
        if start > cursor:
            reason = "failed" if fault is not None else "pending"
            detail = f"{fault.id}: {fault.error}" if fault is not None else rests
        elif over is not None:
            reason, detail = stood.get(over.ruleset, ("not_active", ""))
        if gaps and (gaps[-1].reason, gaps[-1].detail) == (reason, detail):
            gaps[-1] = Gap(node, gaps[-1].first, stop - 1, reason, detail)
        else:
            gaps.append(Gap(node, start, stop - 1, reason, detail))
    return gaps
