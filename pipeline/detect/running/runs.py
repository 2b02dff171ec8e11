"""Detection runs: one rule set over one window of sequences, all or nothing.

In: the store's watermark and this schedule's cursor, which bound the window; an evaluator (the
compiled rule set). Out: findings, coverage and the moved cursor, in the transaction of the run (in
several, each complete in itself, when there are more matches than one short transaction bears).

    lease ─▶ Run row (running) ─▶ scan and match, no transaction open ─▶ [fence, findings, coverage,
    cursor, Run row (done)] in one transaction

Invariants: an event is evaluated by each rule once, or the gap is in the coverage; a run that fails
or dies leaves the cursor where it was, and a Run row that says why; a worker that was overtaken
commits nothing.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, Protocol

import msgspec
import sqlalchemy as sa
from sqlalchemy.orm import Session

from pipeline.detect.correlations.correlating import correlate
from pipeline.detect.correlations.correlation import Correlation
from pipeline.detect.correlations.judging import Foreseen, foresee, is_due
from pipeline.detect.correlations.packing import pack, prune
from pipeline.detect.register.hiding import keep_hidden
from pipeline.detect.running import coverage, leases
from pipeline.detect.running.findings import Applied, Hit, RuleFacts, apply_hits, lock_findings
from pipeline.detect.running.superseded import forget, superseded, take_back, without_taken_back
from pipeline.detect.running.window import Slice, Tallies, next_window, place_of, slices
from pipeline.detect.running.withdraw import withdraw
from pipeline.model.clock import utc_now
from pipeline.model.detections import Window
from pipeline.model.errors import ConflictError, ThapCanhError
from pipeline.model.ids import new_id
from pipeline.model.scope import Scope
from pipeline.state.alarms import close_alarm, raise_alarm
from pipeline.state.state import State
from pipeline.state.tables.detection import Cursor, Run
from pipeline.state.tables.rules import Ruleset
from pipeline.store.base import Store
from pipeline.store.steps import step

log = logging.getLogger(__name__)


class Evaluator(Protocol):
    """A compiled rule set as a run needs it. `ruleset` is its content hash."""

    @property
    def ruleset(self) -> str: ...
    @property
    def taxonomy(self) -> str: ...
    @property
    def facts(self) -> Mapping[str, RuleFacts]:
        """By rule id, those that run."""
        ...

    @property
    def unfit(self) -> Mapping[str, str]:
        """By revision, those that cannot fire here and why."""
        ...

    @property
    def columns(self) -> Mapping[str, frozenset[str] | None]:
        """The datasets that some rule reads, and of each the columns (None: all of them)."""
        ...

    @property
    def correlations(self) -> Sequence[Correlation]:
        """Those that run over the stored matches of the set's rules."""
        ...

    @property
    def silent(self) -> frozenset[str]:
        """Rules that only correlations read: their matches make no findings of their own."""
        ...

    @property
    def names(self) -> Mapping[str, Mapping[str, str]]:
        """By id of the rules that correlations read: what each calls a field → its column."""
        ...

    def evaluate(self, dataset: str, table: Any) -> Sequence[Hit]:
        """Every match in an Arrow table of events of one dataset."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """`window` in sequences; `matches` of one transaction; `lease` in seconds."""

    window: int = 200_000
    matches: int = 500  # 500 new findings are about 50 ms
    lease: float = 60.0


DEFAULT_LIMITS: Final = Limits()


class RunResult(msgspec.Struct, frozen=True, kw_only=True):
    """What a run did. `status`: done, failed. `left` is how many sequences still wait behind it."""

    run: str
    status: str
    window: Window
    events: int = 0
    applied: Applied = Applied()
    left: int = 0
    error: str = ""


def run_once(
    state: State,
    store: Store,
    evaluator: Evaluator,
    *,
    schedule: str = "main",
    holder: str,
    limits: Limits = DEFAULT_LIMITS,
    clock: Callable[[], datetime] = utc_now,
) -> RunResult | None:
    """Evaluate the next window. None: nothing waits, or another worker is at it.

    A run over no event judges correlations whose windows have passed meanwhile.
    """
    watermark = store.watermark()
    with state.read() as session:  # the common case writes nothing
        idle = not next_window(cursors_of(session, schedule), watermark, 1)
        if idle and not is_due(session, evaluator.correlations, clock()):
            return None
    pack(state, evaluator.correlations)
    with state.begin() as session:
        lease = leases.take(
            session, f"detect:{schedule}", holder, now=clock(), seconds=limits.lease
        )
        if lease is None:
            return None
        cursors = cursors_of(session, schedule)
        window = next_window(cursors, watermark, limits.window)
        _bury(session, schedule, clock())
        if evaluator.correlations:
            lock_findings(session)
            prune(session, evaluator.correlations, clock())
        if not window and not is_due(session, evaluator.correlations, clock()):
            leases.give_back(session, lease)
            return None
        run = _begin(session, evaluator, window, schedule=schedule, kind="scheduled", now=clock())
    left = sum(max(0, upto - cursors.get(node, 0)) for node, upto in watermark.items())
    job = _Job(state, evaluator, run, schedule, window, lease, limits, clock)
    result = job.work(store, left - window.size)
    key = f"detect:{schedule}"
    if result.status == "failed":
        raise_alarm(state, key, f"detection run {run} failed: {result.error}", now=clock())
    else:
        close_alarm(state, key, now=clock())
    return result


def backfill(
    state: State,
    store: Store,
    evaluator: Evaluator,
    window: Window,
    *,
    schedule: str = "main",
    limits: Limits = DEFAULT_LIMITS,
    clock: Callable[[], datetime] = utc_now,
    progress: Callable[[int, int], None] = lambda *_: None,
) -> list[RunResult]:
    """Evaluate a window of its own, bounded piece by piece; no cursor moves. Stops at the first failure.

    What lies beyond the watermark is left out. `progress` hears sequences done and all, between runs.
    """
    watermark = store.watermark()
    done = {node: after for node, (after, _) in window.spans.items()}
    goal = {n: min(upto, watermark.get(n, 0)) for n, (_, upto) in window.spans.items()}
    results: list[RunResult] = []
    total = sum(goal[node] - done[node] for node in goal)
    progress(0, total)
    while piece := next_window(done, goal, limits.window):
        with state.begin() as session:
            run = _begin(session, evaluator, piece, schedule=schedule, kind="backfill", now=clock())
        job = _Job(state, evaluator, run, schedule, piece, None, limits, clock)
        done |= {node: upto for node, (_, upto) in piece.spans.items()}
        left = sum(goal[n] - done[n] for n in goal)
        results.append(job.work(store, left))
        if results[-1].status == "failed":
            break
        progress(total - left, total)
    return results


def cursors_of(session: Session, schedule: str) -> dict[str, int]:
    """How far the schedule is, by node."""
    rows = session.execute(
        sa.select(Cursor.node, Cursor.position).where(Cursor.schedule == schedule)
    )
    return {row.node: row.position for row in rows}


def _begin(
    session: Session,
    evaluator: Evaluator,
    window: Window,
    *,
    schedule: str,
    kind: str,
    now: datetime,
) -> str:
    if session.get(Ruleset, evaluator.ruleset) is None:
        session.add(
            Ruleset(
                hash=evaluator.ruleset,
                members=sorted(f.revision for f in evaluator.facts.values()),
                unfit=dict(evaluator.unfit),
                taxonomy=evaluator.taxonomy,
                added=now,
            )
        )
    run = new_id()
    session.add(
        Run(
            id=run,
            schedule=schedule,
            kind=kind,
            ruleset=evaluator.ruleset,
            window={node: list(span) for node, span in window.spans.items()},
            status="running",
            started=now,
            rules=len(evaluator.facts),
        )
    )
    return run


def _bury(session: Session, schedule: str, now: datetime) -> None:
    """Who takes the lease knows that no earlier scheduled run of it lives."""
    session.execute(
        sa.update(Run)
        .where(Run.schedule == schedule, Run.kind == "scheduled", Run.status == "running")
        .values(status="failed", ended=now, error="its process went away before the end")
    )


@dataclass(frozen=True, slots=True)
class _Job:
    """One run between its beginning and its end. `lease` is None for a backfill."""

    state: State
    evaluator: Evaluator
    run: str
    schedule: str
    window: Window
    lease: leases.Held | None
    limits: Limits
    clock: Callable[[], datetime]

    def work(self, store: Store, left: int) -> RunResult:
        step("run.begun")
        try:
            hits, tallies = self._scan(store)
            correlations = self.evaluator.correlations
            gone = superseded(self.state, store, self.window, correlations, now=self.clock())
            step("run.matched")
            applied = Applied()
            pieces = slices(self.window, hits, self.limits.matches, gone)
            for place, piece in enumerate(pieces, 1):
                applied += self._commit(piece, tallies, last=place == len(pieces))
                step("run.committed")
        except ConflictError:
            log.warning("a detection run was overtaken", extra={"run": self.run})
            self._fail("overtaken by another worker")
            raise
        except Exception as error:  # a window that failed must say so and be tried again
            log.exception("a detection run failed", extra={"run": self.run})
            text = (
                str(error)
                if isinstance(error, ThapCanhError)
                else f"{type(error).__name__}: {error}"
            )
            self._fail(text)
            return RunResult(
                run=self.run, status="failed", window=self.window, left=left, error=text
            )
        return RunResult(
            run=self.run,
            status="done",
            window=self.window,
            events=tallies.events,
            applied=applied,
            left=left,
        )

    def _scan(self, store: Store) -> tuple[list[Hit], Tallies]:
        hits: list[Hit] = []
        tallies = Tallies()
        columns = self.evaluator.columns
        if not columns:
            return hits, tallies
        for dataset, table in store.scan(self.window, scope=Scope.everything(), columns=columns):
            if not table.num_rows:
                continue
            tallies.add(table)
            try:
                hits += self.evaluator.evaluate(dataset, table)
            except Exception as error:
                raise ThapCanhError(
                    "a table of events cannot be evaluated",
                    where=f"{dataset}, {place_of(table)}",
                    got=f"{type(error).__name__}: {error}",
                    remedy="the window is tried again; its events stay a gap of the coverage until then",
                ) from error
        return hits, tallies

    def _commit(self, piece: Slice, tallies: Tallies, *, last: bool) -> Applied:
        tally = tallies.within(piece.spans)
        now = self.clock()
        foreseen = self._foresee(piece, now)
        with self.state.begin() as session:
            if self.lease is not None:
                leases.hold(session, self.lease, now=now, seconds=self.limits.lease)
            applied = self._apply(session, piece, foreseen, now)
            step("run.findings")
            coverage.extend(
                session,
                schedule=self.schedule,
                ruleset=self.evaluator.ruleset,
                run=self.run,
                spans=piece.spans,
                tallies=tally,
                moves=self.lease is not None,
            )
            if self.lease is not None:
                for node, (_, upto) in piece.spans.items():
                    session.merge(Cursor(schedule=self.schedule, node=node, position=upto))
            row = session.get_one(Run, self.run)
            row.matches += applied.matches
            if last:
                row.status, row.ended, row.events = "done", now, tallies.events
                if self.lease is not None:
                    leases.give_back(session, self.lease)
            session.flush()
            step("run.before_commit")
        return applied

    def _foresee(self, piece: Slice, now: datetime) -> Foreseen | None:
        if not self.evaluator.correlations:
            return None
        with self.state.read() as session:
            return foresee(
                session, self.evaluator.correlations, _matched(piece), self.evaluator.facts,
                now=now, columns=self.evaluator.names,
            )  # fmt: skip

    def _apply(
        self, session: Session, piece: Slice, foreseen: Foreseen | None, now: datetime
    ) -> Applied:
        facts = self.evaluator.facts
        if self.lease is None:  # it may have read what a replay has replaced since
            hits = without_taken_back(session, piece.hits)
            if hits is not piece.hits:
                piece, foreseen = msgspec.structs.replace(piece, hits=tuple(hits)), None
        matched = _matched(piece)
        if len(matched) < len(piece.hits):
            lock_findings(session)
            keep_hidden(session, [hit for hit in piece.hits if hit.hidden_by], self.run)
        hits = [hit for hit in matched if hit.match.rule not in self.evaluator.silent]
        if self.evaluator.correlations:
            lock_findings(session)  # first: two writers must see each other's stored matches
            made = correlate(
                session, self.evaluator.correlations, matched, facts, run=self.run, now=now,
                gone=forget(session, piece.gone, self.evaluator.correlations),
                columns=self.evaluator.names, foreseen=foreseen,
            )  # fmt: skip
            withdraw(session, made.undone, facts, now=now)
            hits += [hit for hit in made.hits if hit.match.rule not in self.evaluator.silent]
        applied = apply_hits(session, hits, facts, run=self.run, now=now)
        if piece.gone:
            take_back(session, piece.gone, facts, now=now)
        return applied

    def _fail(self, text: str) -> None:
        with self.state.begin() as session:
            row = session.get_one(Run, self.run)
            row.status, row.ended, row.error = "failed", self.clock(), text[:2000]
            if self.lease is not None:
                leases.give_back(session, self.lease)


def _matched(piece: Slice) -> list[Hit]:
    return [hit for hit in piece.hits if not hit.hidden_by]
