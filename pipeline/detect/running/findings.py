"""Matches into findings, within the one transaction of a detection run.

In: hits (a match, and the fields that made it where it may serve as a sample) and the facts of their rules.
Out: rows of `finding` and `finding_event`. Invariants: an event counts once per rule and entity, whichever
revision of the rule matched it and however often its window is evaluated; `count` is the number of the
finding's events; `samples` are its 20 earliest and the earliest of each rule that a correlation read
(`samples.py`), so that they too are a function of the set of matches; each change takes the next number, so
that the tickets role reads findings in the order of their change. An entity is one however its case is
written; people see the spelling of the finding's earliest match. A sample::

    {"event": "9f2c…", "time": 1764000000000000, "fields": {"process.name": "mimikatz.exe"}}

Those of a correlation name the rule that matched the event too: ``"rule": id, "rule_title": …``.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from itertools import islice
from typing import Any, Final

import msgspec
import sqlalchemy as sa
from sqlalchemy.orm import Session

from pipeline.detect.running.episodes import Change, Held, unite
from pipeline.detect.running.samples import kept, places_kept
from pipeline.model import fold
from pipeline.model.clock import from_micros, to_micros
from pipeline.model.detections import Level, Match
from pipeline.model.ids import content_hash
from pipeline.state.state import next_numbers
from pipeline.state.tables.detection import FindingEvent, FindingRow

COUNTER: Final = "finding"
DEFAULT_QUIET: Final = 3_600_000_000  # one hour in microseconds: design.md, names
_CHUNK: Final = 400  # bound parameters of one statement


class RuleFacts(msgspec.Struct, frozen=True):
    """What a finding says of its rule. `quiet` in microseconds."""

    id: str
    revision: str
    title: str
    level: Level
    status: str
    quiet: int = DEFAULT_QUIET


class Hit(msgspec.Struct, frozen=True, gc=False):
    """A match, the field that its entity was read from, the matched fields (None: no sample), and the
    values that correlations ask of it (None: none reads its rule). `hidden_by` names the exceptions
    that keep it from being a match; `by` is, of a correlation's hit, the rule that matched the event:
    id and title."""

    match: Match
    entity_field: str = ""
    fields: dict[str, str] | None = None
    values: dict[str, str] | None = None
    hidden_by: tuple[str, ...] = ()
    by: tuple[str, str] | None = None


class Applied(msgspec.Struct, frozen=True):
    """What a batch of hits did: matches that were new, findings born, extended and absorbed."""

    matches: int = 0
    born: int = 0
    extended: int = 0
    absorbed: int = 0

    def __add__(self, other: Applied) -> Applied:
        both = zip(msgspec.structs.astuple(self), msgspec.structs.astuple(other), strict=True)
        return Applied(*(a + b for a, b in both))


Group = tuple[str, str, str]  # rule, agency, entity


def apply_hits(
    session: Session,
    hits: Iterable[Hit],
    facts: Mapping[str, RuleFacts],
    *,
    run: str,
    now: datetime,
) -> Applied:
    """Bring the findings up to date with the hits. Applying any of them again changes nothing."""
    lock_findings(session)
    by_rule: dict[str, dict[tuple[str, str], Hit]] = defaultdict(dict)
    for hit in hits:
        by_rule[hit.match.rule].setdefault(_key(hit.match), hit)
    steps: list[_Step] = []
    for rule, of_rule in by_rule.items():
        for key in list(_known(session, rule, of_rule)):
            of_rule.pop(key, None)
        steps += [(c, of_rule) for c in _changes(session, facts[rule], of_rule.values())]
    if not steps:
        return Applied()
    steps, come_back = _named(session, steps)
    rows = _held_rows(session, [c for c, _ in steps])
    numbers = iter(next_numbers(session, COUNTER, sum(1 + len(c.absorbed) for c, _ in steps)))
    born, events = [], []
    for change, its_hits in steps:
        in_order = [its_hits[_key(m)] for m in change.matches]
        places = places_kept(hit.by[0] if hit.by else "" for hit in in_order)
        samples = [_sample(in_order[place]) for place in places]
        match = change.matches[0]
        if change.born:
            born.append(
                _birth(change, facts[match.rule], its_hits[_key(match)], samples)
                | {"number": (number := next(numbers)), "born": number, "run": run}
                | {"created": now, "changed": now}
            )
        else:
            first = its_hits[_key(match)]
            _amend(
                change, rows, facts[match.rule], first, samples=samples, numbers=numbers, now=now
            )
        events += [_event(m, change.id) for m in change.matches]
    for values in (v for v in born if v["id"] in come_back):
        session.merge(FindingRow(**values))
    born = [values for values in born if values["id"] not in come_back]
    if born:
        session.execute(sa.insert(FindingRow), born)
    session.flush()
    for change, _ in steps:
        if change.absorbed:
            session.execute(
                sa.update(FindingEvent)
                .where(FindingEvent.finding.in_(change.absorbed))
                .values(finding=change.id)
            )
    session.execute(sa.insert(FindingEvent), events)
    return Applied(
        matches=len(events),
        born=len(born) + len(come_back),
        extended=len(steps) - len(born) - len(come_back),
        absorbed=sum(len(c.absorbed) for c, _ in steps),
    )


_Step = tuple[Change, Mapping[tuple[str, str], Hit]]


def _named(session: Session, steps: list[_Step]) -> tuple[list[_Step], set[str]]:
    """The steps, no birth under the id of a living finding, and the ids of findings that come back."""
    taken: set[str] = set()
    for chunk in _chunks(change.id for change, _ in steps if change.born):
        taken.update(session.scalars(sa.select(FindingRow.id).where(FindingRow.id.in_(chunk))))
    if not taken:
        return steps, taken
    named: list[_Step] = []
    come_back: set[str] = set()
    for change, hits in steps:
        m = change.matches[0]
        if change.born and change.id in taken:
            free = free_id(session, m.rule, m.agency, m.entity, m.event)
            if session.get(FindingRow, free) is not None:
                come_back.add(free)
            named.append((msgspec.structs.replace(change, id=free), hits))
        else:
            named.append((change, hits))
    return named, come_back


def free_id(session: Session, rule: str, agency: str, entity: str, event: str) -> str:
    """The id of a finding born with this first match. One that lost all its events is that finding come
    back; where the id is a living one's (its first match was taken from it and came again), another."""
    entity = fold.entity(entity)
    given = content_hash("finding", rule, agency, entity, event)
    again = 0
    while True:
        row = session.get(FindingRow, given)
        if row is None or (not row.count and not row.merged_into):
            return given
        again += 1
        given = content_hash("finding", rule, agency, entity, event, str(again))


def lock_findings(session: Session) -> None:
    """One writer of findings at a time, on PostgreSQL too, until the transaction ends."""
    next_numbers(session, COUNTER, 0)


def _known(
    session: Session, rule: str, keys: Iterable[tuple[str, str]]
) -> Iterator[tuple[str, str]]:
    """The (event, entity key) pairs among `keys` that the rule's findings hold already."""
    query = sa.select(FindingEvent.event, FindingEvent.entity_key).where(FindingEvent.rule == rule)
    for chunk in _chunks({bytes.fromhex(event) for event, _ in keys}):
        for event, entity in session.execute(query.where(FindingEvent.event.in_(chunk))):
            yield event.hex(), entity


def _changes(session: Session, rule: RuleFacts, hits: Iterable[Hit]) -> list[Change]:
    groups: dict[str, dict[str, list[Match]]] = defaultdict(lambda: defaultdict(list))
    for hit in hits:
        groups[hit.match.agency][fold.entity(hit.match.entity)].append(hit.match)
    changes: list[Change] = []
    for agency, entities in groups.items():
        held = _held(session, rule, agency, entities)
        for entity, matches in entities.items():
            changes += unite(held.get(entity, ()), matches, rule.quiet)
    return changes


def _held(
    session: Session, rule: RuleFacts, agency: str, entities: Mapping[str, Sequence[Match]]
) -> dict[str, list[Held]]:
    """The living episodes that may lie near: within the quiet time of the matches' whole span."""
    times = [m.time for matches in entities.values() for m in matches]
    quiet = timedelta(microseconds=rule.quiet)
    query = sa.select(
        FindingRow.id, FindingRow.born, FindingRow.first, FindingRow.last, FindingRow.entity_key
    ).where(
        FindingRow.rule == rule.id,
        FindingRow.agency == agency,
        FindingRow.last >= from_micros(min(times)) - quiet,
        FindingRow.first <= from_micros(max(times)) + quiet,
        FindingRow.merged_into == "",
        FindingRow.count > 0,
    )
    found: dict[str, list[Held]] = defaultdict(list)
    for chunk in _chunks(entities):
        for id_, born, first, last, entity in session.execute(
            query.where(FindingRow.entity_key.in_(chunk))
        ):
            found[entity].append(Held(id_, born, to_micros(first), to_micros(last)))
    return found


def _held_rows(session: Session, changes: Iterable[Change]) -> dict[str, FindingRow]:
    ids = [i for c in changes if not c.born for i in (c.id, *c.absorbed)]
    rows: dict[str, FindingRow] = {}
    for chunk in _chunks(ids):
        query = sa.select(FindingRow).where(FindingRow.id.in_(chunk))
        rows.update({row.id: row for row in session.scalars(query)})
    return rows


def _birth(change: Change, rule: RuleFacts, first: Hit, samples: list[Any]) -> dict[str, Any]:
    return {
        "id": change.id,
        "rule": rule.id,
        "revision": rule.revision,
        "agency": first.match.agency,
        "entity": first.match.entity,
        "entity_field": first.entity_field,
        "level": rule.level.value,
        "status": rule.status,
        "title": rule.title,
        "first": from_micros(change.first),
        "last": from_micros(change.last),
        "count": len(change.matches),
        "samples": samples,
        "merged_into": "",
    }


def _amend(
    change: Change,
    rows: Mapping[str, FindingRow],
    rule: RuleFacts,
    first: Hit,
    *,
    samples: list[Any],
    numbers: Iterator[int],
    now: datetime,
) -> None:
    row = rows[change.id]
    earliest = min(
        (first.match.time, first.match.event, first.match.entity, first.entity_field),
        *(_earliest(rows[i]) for i in (change.id, *change.absorbed)),
    )
    row.entity, row.entity_field = earliest[2:]
    for gone in (rows[i] for i in change.absorbed):
        row.count += gone.count
        samples = samples + gone.samples
        gone.merged_into, gone.changed, gone.number = change.id, now, next(numbers)
    row.first, row.last = from_micros(change.first), from_micros(change.last)
    row.count += len(change.matches)
    row.samples = kept(row.samples + samples)
    row.revision, row.level, row.status = rule.revision, rule.level.value, rule.status
    row.title, row.changed, row.number = rule.title, now, next(numbers)


def _earliest(row: FindingRow) -> tuple[int, str, str, str]:
    """Its earliest match, and what it calls the entity."""
    event = row.samples[0]["event"] if row.samples else ""
    return to_micros(row.first), event, row.entity, row.entity_field


def _key(match: Match) -> tuple[str, str]:
    return match.event, fold.entity(match.entity)


def _sample(hit: Hit) -> dict[str, Any]:
    sample = {"event": hit.match.event, "time": hit.match.time, "fields": hit.fields or {}}
    return sample | ({"rule": hit.by[0], "rule_title": hit.by[1]} if hit.by else {})


def _event(match: Match, finding: str) -> dict[str, Any]:
    return {
        "rule": match.rule,
        "event": bytes.fromhex(match.event),
        "entity": match.entity,
        "finding": finding,
        "time": from_micros(match.time),
        "revision": match.revision,
    }


def _chunks(items: Iterable[Any]) -> Iterator[list[Any]]:
    rest = iter(items)
    while chunk := list(islice(rest, _CHUNK)):
        yield chunk
