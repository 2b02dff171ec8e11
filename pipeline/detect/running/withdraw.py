"""Findings lose events, within the transaction of a run: to a late event that undoes a correlation, or to a
replay that replaces them.

In: events that take part no more. Out: their findings without them. A finding that loses its middle
becomes several, as if the event had never taken part; one that loses all stays, with a count of none,
so that whoever was told of it sees what became of it. `undone` counts what was taken back; a finding
whose first match comes again is the same finding.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Session

from pipeline.detect.correlations.correlating import Undone
from pipeline.detect.rulebook.quiet import read_quiet
from pipeline.detect.rulebook.yaml_strict import read_yaml
from pipeline.detect.running.findings import COUNTER, DEFAULT_QUIET, RuleFacts, free_id
from pipeline.detect.running.samples import MAX_SAMPLES, kept
from pipeline.model.clock import to_micros
from pipeline.state.state import next_number
from pipeline.state.tables.detection import FindingEvent, FindingRow
from pipeline.state.tables.rules import RuleRevision


def withdraw(
    session: Session, undone: Iterable[Undone], facts: Mapping[str, RuleFacts], *, now: datetime
) -> int:
    """Take the events out of their findings; how many went. Call under `lock_findings`."""
    of_finding: dict[str, list[Undone]] = defaultdict(list)
    for one in undone:
        of_finding[one.finding].append(one)
    for finding, gone in of_finding.items():
        row = session.get_one(FindingRow, finding)
        for one in gone:
            session.execute(
                sa.delete(FindingEvent).where(
                    FindingEvent.rule == one.rule,
                    FindingEvent.event == bytes.fromhex(one.event),
                    FindingEvent.entity_key == one.entity_key,
                )
            )
        row.undone += len(gone)
        _settle(session, row, _quiet(session, row, facts), now)
    return sum(map(len, of_finding.values()))


def _quiet(session: Session, row: FindingRow, facts: Mapping[str, RuleFacts]) -> timedelta:
    """The rule's, be it of another schedule or switched off since."""
    if row.rule in facts:
        return timedelta(microseconds=facts[row.rule].quiet)
    revision = session.get(RuleRevision, row.revision)
    if revision is None:
        return timedelta(microseconds=DEFAULT_QUIET)
    (document,) = read_yaml(revision.text, row.rule)
    return timedelta(seconds=read_quiet(document.value))


def _settle(session: Session, row: FindingRow, quiet: timedelta, now: datetime) -> None:
    """Give the finding its first remaining episode, and each further one a finding of its own."""
    left = list(
        session.scalars(
            sa.select(FindingEvent)
            .where(FindingEvent.finding == row.id)
            .order_by(FindingEvent.time, FindingEvent.event)
        )
    )
    known = {sample["event"]: sample for sample in row.samples}
    row.changed, row.number = now, next_number(session, COUNTER)
    if not left:
        row.count, row.samples = 0, []
        return
    first, *more = _episodes(left, quiet)
    for episode in more:
        number = next_number(session, COUNTER)
        other = FindingRow(
            id=free_id(session, row.rule, row.agency, row.entity, episode[0].event.hex()),
            rule=row.rule,
            revision=row.revision,
            agency=row.agency,
            entity=row.entity,
            entity_field=row.entity_field,
            level=row.level,
            status=row.status,
            title=row.title,
            merged_into="",
            run=row.run,
            created=now,
            changed=now,
            number=number,
            born=number,
            undone=0,
        )
        _fill(other, episode, known)
        other = session.merge(other)
        session.flush()
        for event in episode:
            event.finding = other.id
    _fill(row, first, known)
    session.flush()


def _episodes(events: Sequence[FindingEvent], quiet: timedelta) -> list[list[FindingEvent]]:
    episodes = [[events[0]]]
    for event in events[1:]:
        if event.time - episodes[-1][-1].time > quiet:
            episodes.append([])
        episodes[-1].append(event)
    return episodes


def _fill(row: FindingRow, events: Sequence[FindingEvent], known: Mapping[str, Any]) -> None:
    row.first, row.last, row.count = events[0].time, events[-1].time, len(events)
    row.entity = events[0].entity
    held = [known[e.event.hex()] for e in events if e.event.hex() in known]
    bare = [
        {"event": e.event.hex(), "time": to_micros(e.time), "fields": {}}
        for e in events[:MAX_SAMPLES]
        if e.event.hex() not in known
    ]
    row.samples = kept([*held, *bare])
