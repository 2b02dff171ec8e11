"""The auditor's question: was rule R, at revision V, evaluated over agency A's events between two times?

In: an actor and the question. Out: an `Answer` of `coverage.py`, cut to what the reader may see. Sequences
and node names belong to the centre: who is held to some agencies asks of one of these, and gets spans of
event time and the reasons of gaps, with no number that counts others' receipts.
"""

from __future__ import annotations

from datetime import datetime
from typing import Final

import msgspec
import sqlalchemy as sa

from pipeline.access.permissions import require, scope_for
from pipeline.detect.reads.outages import OutageLine, outages
from pipeline.detect.running.coverage import Answer, Gap, coverage_of
from pipeline.model.errors import UsageError
from pipeline.model.scope import Actor
from pipeline.state.state import State
from pipeline.state.tables.detection import Run
from pipeline.store.base import Store

MOST_OUTAGES: Final = 200


class RunTimes(msgspec.Struct, frozen=True):
    """A run that an answer names: when it was."""

    started: datetime
    ended: datetime | None


class Told(msgspec.Struct, frozen=True):
    """The answer and, by id, the runs that it names. `whole`: with nodes and sequences. `outages`: times in which
    records of the agency's sources may have been lost before they came, so that nothing could be evaluated."""

    answer: Answer
    runs: dict[str, RunTimes]
    whole: bool
    outages: tuple[OutageLine, ...] = ()


def ask(
    state: State,
    store: Store,
    actor: Actor,
    rule: str,
    *,
    revision: str = "",
    agency: str = "",
    start: datetime | None = None,
    stop: datetime | None = None,
    now: datetime,
) -> Told:
    """Raises NotFoundError for a rule, a revision or an agency that is not there or not the reader's."""
    scope = scope_for(actor, "run.read")
    whole = scope.agencies is None
    if agency:
        require(actor, "run.read", agency)
    elif not whole:
        raise UsageError("name the agency")
    found = coverage_of(
        state, store.watermark(), rule, revision=revision, agency=agency or None, start=start,
        stop=stop, now=now,
    )  # fmt: skip
    named = {run for each in found.evaluated for run in (each.first_run, each.last_run)}
    with state.read() as session:
        rows = session.scalars(sa.select(Run).where(Run.id.in_(sorted(named)[:5_000])))
        runs = {row.id: RunTimes(row.started, row.ended) for row in rows}
    if not whole:
        found = _cut(found)
    missed = outages(state, actor, agency=agency, start=start, stop=stop, limit=MOST_OUTAGES)
    return Told(found, runs, whole, tuple(missed))


def _cut(found: Answer) -> Answer:
    evaluated = tuple(
        msgspec.structs.replace(each, node="", first=0, last=0) for each in found.evaluated
    )
    reasons = dict.fromkeys(gap.reason for gap in found.gaps)
    gaps = tuple(Gap("", 0, 0, reason) for reason in reasons)
    return msgspec.structs.replace(found, evaluated=evaluated, gaps=gaps)
