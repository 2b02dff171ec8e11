"""What exceptions hide, in a run: beside each rule that has one, a twin that matches what is hidden.

In: the rules of a set and the exceptions that were ever in force. Out: the twins to be compiled with
the rules, so that the matcher answers both at once; and for a match, the exceptions that hide it. An
exception is asked of an event by the moment of its *receipt* (`event.created`): so it stops by itself
at its moment, and a late run or a backfill hides the same events as a prompt one.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Final

import msgspec
import sqlalchemy as sa
from sqlalchemy.orm import Session

from pipeline.detect.matching.tree import Node, all_of, negate
from pipeline.detect.rulebook.rules import Rule
from pipeline.detect.running.findings import Hit
from pipeline.model.clock import from_micros
from pipeline.model.ids import content_hash
from pipeline.state.state import State
from pipeline.state.tables.detection import HiddenMatch, Run
from pipeline.state.tables.lake import Hold

MAX_SAMPLES: Final = 20
_CHUNK: Final = 300


class InForce(msgspec.Struct, frozen=True):
    """An exception as a run asks it. `since` and `until` bound the receipt, the second excluded, in
    microseconds; `agencies` empty: all."""

    id: str
    rules: frozenset[str]
    body: Node
    text: str
    since: int
    until: int
    agencies: frozenset[str] = frozenset()

    def covers(self, agency: str, received: int) -> bool:
        """Whether it speaks of an event of the agency that came at that moment."""
        return self.since <= received < self.until and (
            not self.agencies or agency in self.agencies
        )


class Twin(msgspec.Struct, frozen=True):
    """The rule that matches what one exception hides of another."""

    rule: Rule
    of: str
    exception: InForce


def twins(rules: Iterable[Rule], exceptions: Sequence[InForce]) -> list[Twin]:
    """One for each rule and each exception of it."""
    found: list[Twin] = []
    for rule in rules:
        for each in exceptions:
            if rule.id in each.rules and rule.body is not None:
                twin = msgspec.structs.replace(
                    rule,
                    id=f"{rule.id} {each.id}",
                    name="",
                    body=all_of([rule.body, negate(each.body)]),
                    revision=content_hash(
                        rule.revision,
                        each.text,
                        str(each.since),
                        str(each.until),
                        *sorted(each.agencies),
                    ),
                )
                found.append(Twin(twin, rule.id, each))
    return found


def keep_hidden(session: Session, hits: Sequence[Hit], run: str) -> int:
    """Record what exceptions hid, in the transaction of the run; how many were new."""
    rows: dict[tuple[str, str, bytes], Hit] = {}
    for hit in hits:
        for exception in hit.hidden_by:
            rows[exception, hit.match.rule, bytes.fromhex(hit.match.event)] = hit
    keys = sorted(rows)
    for start in range(0, len(keys), _CHUNK):
        chunk = {event for _, _, event in keys[start : start + _CHUNK]}
        known = session.execute(
            sa.select(HiddenMatch.exception, HiddenMatch.rule, HiddenMatch.event).where(
                HiddenMatch.event.in_(chunk)
            )
        )
        for exception, rule, event in known:
            rows.pop((exception, rule, bytes(event)), None)
    if rows:
        session.execute(
            sa.insert(HiddenMatch),
            [
                {
                    "exception": exception, "rule": rule, "event": event,
                    "agency": hit.match.agency, "entity": hit.match.entity,
                    "time": from_micros(hit.match.time), "fields": hit.fields or {}, "run": run,
                }
                for (exception, rule, event), hit in rows.items()
            ],
        )  # fmt: skip
    return len(rows)


def empty_samples(state: State, agency: str, before: datetime, *, most: int = 500) -> int:
    """Of what exceptions hid of the agency before then, keep no value, only that it was hidden, so that counts
    stay; what is under a legal hold stays whole. At most so many; how many were emptied."""
    held = sa.exists().where(
        Hold.agency == HiddenMatch.agency, Hold.released.is_(None),
        HiddenMatch.time.between(Hold.first_time, Hold.last_time),
    )  # fmt: skip
    long_ago = sa.select(Run.id).where(
        Run.started < before
    )  # its events' times may be in the future
    full = sa.or_(HiddenMatch.entity != "", sa.cast(HiddenMatch.fields, sa.String) != "{}")
    key = (HiddenMatch.exception, HiddenMatch.rule, HiddenMatch.event)
    with state.begin() as session:
        rows = session.execute(
            sa.select(*key)
            .where(HiddenMatch.agency == agency, full, ~held)
            .where(sa.or_(HiddenMatch.time < before, HiddenMatch.run.in_(long_ago)))
            .limit(most)
        ).all()
        for row in rows:
            chosen = (column == value for column, value in zip(key, row, strict=True))
            session.execute(sa.update(HiddenMatch).where(*chosen).values(entity="", fields={}))
    return len(rows)


def micros_or(moment: datetime | None, otherwise: int) -> int:
    """A moment in microseconds, or what stands for none."""
    from pipeline.model.clock import to_micros

    return otherwise if moment is None else to_micros(moment)
