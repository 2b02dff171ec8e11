"""A new or changed rule over what is stored already: runs of their own, over a chosen span of receipts.

In: a registered rule or correlation, and since when. Out: runs of the kind *backfill* with their coverage
and findings; no cursor moves. Only what a schedule has passed is taken: the rest is still to come there.
An event that the rule has found before counts no second time.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any, Final

from pipeline.access.permissions import require
from pipeline.detect.jobs.backtest import PIECE, Progress, compiled_alone
from pipeline.detect.register.exceptions import in_force
from pipeline.detect.running.runs import RunResult, backfill, cursors_of
from pipeline.model import events
from pipeline.model.detections import Window
from pipeline.model.scope import Actor, Scope
from pipeline.state.state import State
from pipeline.store.base import Store

_NONE: Final = frozenset[str]()


def backfill_rule(
    state: State,
    store: Store,
    actor: Actor,
    rule: str,
    *,
    schedule: str = "main",
    since: datetime,
    now: datetime,
    progress: Progress = lambda *_: None,
) -> list[RunResult]:
    """Evaluate the rule over what was received since. Stops at the first run that fails."""
    require(actor, "rule.write", None)
    alone = compiled_alone(state, rule, schedule, in_force(state, now))
    with state.read() as session:
        passed = cursors_of(session, schedule)
    window = received_since(store, passed, frozenset(alone.columns), since)
    if not window:
        return []
    return backfill(state, store, alone, window, schedule=schedule, progress=progress)


def received_since(
    store: Store, upto: dict[str, int], datasets: frozenset[str], since: datetime
) -> Window:
    """The sequences, up to those given, among which are all events received since that moment."""
    import pyarrow as pa
    import pyarrow.compute

    pc: Any = pyarrow.compute
    columns = dict.fromkeys(sorted(datasets), _NONE)
    spans: dict[str, tuple[int, int]] = {}
    for node, last in sorted(upto.items()):
        here, first = last, last + 1
        while here > 0:
            after, seen, young = max(0, here - PIECE), 0, 0
            for _, table in store.scan(
                Window({node: (after, here)}), scope=Scope.everything(), columns=columns
            ):
                received = table.column(events.CREATED)
                if received.null_count:
                    received = pc.coalesce(received, table.column(events.TIME))
                fresh = table.filter(
                    pc.greater_equal(received, pa.scalar(since, pa.timestamp("us", "UTC")))
                )
                seen, young = seen + table.num_rows, young + fresh.num_rows
                if fresh.num_rows:
                    first = min(first, pc.min(fresh.column(events.SEQUENCE)).as_py())
            if seen and not young:
                break
            here = after
        if first <= last:
            spans[node] = (first - 1, last)
    return Window(spans)
