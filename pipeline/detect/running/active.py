"""The rules that are switched on, compiled: what a run evaluates with.

In: the rule register. Out: an `Evaluator` per schedule, kept until the register changes. Around the
matcher's bare (row, rule) pairs this puts what a finding needs: the entity (the first of the route's
entity fields that has a value), and for hits that may become samples the fields that the rule asked.

    Hit(Match(rule, revision, event, agency, "pc-kt-07", time, node, sequence), "host.name",
        {"winlog.event_data.CommandLine": "whoami /all", "winlog.event_data.Image": "…\\whoami.exe"})
"""

from __future__ import annotations

import threading
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from functools import cached_property
from pathlib import Path
from typing import Any, Final, Protocol

import msgspec

from pipeline.detect.correlations.correlation import Correlation
from pipeline.detect.correlations.reading import read_correlations
from pipeline.detect.matching.text import as_text
from pipeline.detect.matching.tree import leaves
from pipeline.detect.register.hiding import InForce, Twin, twins
from pipeline.detect.rulebook.rules import Rule
from pipeline.detect.rulebook.taxonomy import Route, Taxonomy
from pipeline.detect.running.findings import Hit, RuleFacts
from pipeline.detect.running.samples import MAX_SAMPLES
from pipeline.model import events, fold
from pipeline.model.clock import to_micros, utc_now
from pipeline.model.detections import Match
from pipeline.model.ids import content_hash

MAX_ENTITY: Final = 200
MAX_VALUE: Final = 2_000
_ENVELOPE: Final = (
    events.ID, events.AGENCY, events.TIME, events.CREATED, events.NODE, events.SEQUENCE,
)  # fmt: skip


class Matcher(Protocol):
    """A compiled set. `match` gives for each hit the row and the place of its rule in `rules`."""

    @property
    def digest(self) -> str: ...
    @property
    def rules(self) -> Sequence[Rule]: ...
    @property
    def unfit(self) -> Mapping[str, str]:
        """By rule id, those that cannot fire here and why."""
        ...

    @property
    def columns(self) -> Mapping[str, frozenset[str]]: ...
    def match(self, dataset: str, table: Any) -> tuple[Any, Any]:
        """Two arrays of the same length."""
        ...


class _Reading(msgspec.Struct, frozen=True):
    """What is read of a dataset's rows for one rule: entity fields in order, matched fields, values."""

    entity: tuple[str, ...]
    fields: tuple[str, ...]
    values: tuple[tuple[str, str], ...] = ()  # (Sigma field, column) that correlations ask


class ActiveSet:
    """Evaluator over a compiled set and the taxonomy that it was compiled with."""

    def __init__(
        self,
        matcher: Matcher,
        taxonomy: Taxonomy,
        revisions: Mapping[str, str],
        correlations: Sequence[Rule] = (),
        twins: Sequence[Twin] = (),
    ) -> None:
        """`revisions` maps the ids of all active rules, unfit ones too, to their revisions. `twins` were
        compiled after the rules: what they match is hidden."""
        self._matcher, self._taxonomy = matcher, taxonomy
        by_id = {twin.rule.id: twin for twin in twins}
        self._twins = {n: by_id[r.id] for n, r in enumerate(matcher.rules) if r.id in by_id}
        self._rules = [r for r in matcher.rules if r.id not in by_id]
        self.taxonomy = taxonomy.digest
        self.facts: dict[str, RuleFacts] = {
            r.id: RuleFacts(r.id, r.revision, r.title, r.level, r.status, r.quiet * 1_000_000)
            for r in (*self._rules, *correlations)
        }
        self.unfit = {
            revisions.get(i, i): why for i, why in matcher.unfit.items() if i not in by_id
        }
        self.correlations = self._correlations(correlations)
        self.silent = frozenset(
            rule for c in self.correlations if not c.generate for rule in c.rules
        ) - {rule for c in self.correlations if c.generate for rule in c.rules}
        self._asked: dict[str, dict[str, None]] = defaultdict(dict)
        for correlation in self.correlations:
            for rule_id, names in correlation.bases().items():
                self._asked[rule_id].update(dict.fromkeys(sorted(names)))
        running = sorted(self.facts[c.id].revision for c in self.correlations)
        self.ruleset = content_hash(matcher.digest, *running) if running else matcher.digest
        self._readings: dict[tuple[int, str], _Reading] = {}

    def _correlations(self, given: Sequence[Rule]) -> tuple[Correlation, ...]:
        known = {r.name: r for r in self._rules if r.name} | {r.id: r for r in self._rules}
        running, unfit = read_correlations(given, known)
        for rule in given:
            if rule.id in unfit:
                self.unfit[rule.revision] = unfit[rule.id]
                del self.facts[rule.id]
        return tuple(running)

    @cached_property
    def names(self) -> Mapping[str, Mapping[str, str]]:
        """By id of the rules that correlations read: what each calls a field → the column of it that its
        first route has."""
        return {
            rule.id: {
                field: column
                for route in reversed(self._taxonomy.routes_for(rule.logsource))
                if (known := self._taxonomy.maps.get(route.map)) is not None
                for field in self._asked[rule.id]
                if field not in events.ENVELOPE and (column := known.column(field)) is not None
            }
            for rule in self._rules
            if rule.id in self._asked
        }

    @cached_property
    def columns(self) -> Mapping[str, frozenset[str]]:
        wanted = {dataset: set(columns) for dataset, columns in self._matcher.columns.items()}
        for place, rule in enumerate(self._rules):
            for route in self._taxonomy.routes_for(rule.logsource):
                for dataset in route.datasets:
                    if dataset in wanted:
                        reading = self._reading(place, dataset)
                        wanted[dataset].update(
                            reading.entity, reading.fields, (c for _, c in reading.values)
                        )
        return {dataset: frozenset(columns) for dataset, columns in wanted.items()}

    def evaluate(self, dataset: str, table: Any) -> Sequence[Hit]:
        rows, rules = self._matcher.match(dataset, table)
        found = list(zip((int(r) for r in rows), (int(r) for r in rules), strict=True))
        pairs = [pair for pair in found if pair[1] not in self._twins]
        hiding: dict[tuple[int, str], list[InForce]] = defaultdict(list)
        for row, rule in found:
            if (twin := self._twins.get(rule)) is not None:
                hiding[row, twin.of].append(twin.exception)
        if not pairs:
            return []
        place = {row: n for n, row in enumerate(sorted({row for row, _ in pairs}))}
        readings = {rule: self._reading(rule, dataset) for _, rule in pairs}
        columns = {c for r in readings.values() for c in (*r.entity, *(c for _, c in r.values))}
        taken = _rows(table, (*_ENVELOPE, *sorted(columns)), list(place))
        matches: list[tuple[Match, str, int, int]] = []
        hidden: list[tuple[Match, str, int, int]] = []
        hidden_by: dict[tuple[int, int], tuple[str, ...]] = {}
        for row, rule in pairs:
            values = taken[place[row]]
            entity, field = _entity(values, readings[rule].entity)
            facts = self.facts[self._rules[rule].id]
            match = Match(
                facts.id,
                facts.revision,
                values[events.ID].hex(),
                values[events.AGENCY],
                entity,
                to_micros(values[events.TIME]),
                values[events.NODE],
                values[events.SEQUENCE],
            )
            received = to_micros(values.get(events.CREATED) or values[events.TIME])
            by = hidden_by[row, rule] = tuple(
                each.id
                for each in hiding.get((row, facts.id), ())
                if each.covers(match.agency, received)
            )
            (hidden if by else matches).append((match, field, row, rule))
        shown = self._samples(dataset, table, matches) | self._samples(dataset, table, hidden)
        return [
            Hit(
                match,
                field,
                shown.get((row, rule)),
                _values(taken[place[row]], readings[rule]) if match.rule in self._asked else None,
                hidden_by[row, rule],
            )
            for match, field, row, rule in (*matches, *hidden)
        ]

    def _samples(
        self, dataset: str, table: Any, matches: Iterable[tuple[Match, str, int, int]]
    ) -> dict[tuple[int, int], dict[str, str]]:
        """The matched fields of the earliest hits of each rule, agency and entity: no others can become
        samples, whatever other tables hold."""
        groups: dict[tuple[int, str, str], int] = defaultdict(int)
        chosen: list[tuple[int, int]] = []
        for match, _, row, rule in sorted(matches, key=lambda m: (m[0].time, m[0].event)):
            key = (rule, match.agency, match.entity)
            groups[key] += 1
            if groups[key] <= MAX_SAMPLES:
                chosen.append((row, rule))
        by_rule: dict[int, list[int]] = defaultdict(list)
        for row, rule in chosen:
            by_rule[rule].append(row)
        shown: dict[tuple[int, int], dict[str, str]] = {}
        for rule, rows in by_rule.items():
            columns = self._reading(rule, dataset).fields
            for row, values in zip(rows, _rows(table, columns, rows), strict=True):
                shown[row, rule] = {c: t for c in columns if (t := _shown(values.get(c)))}
        return shown

    def _reading(self, place: int, dataset: str) -> _Reading:
        found = self._readings.get((place, dataset))
        if found is None:
            rule = self._rules[place]
            routes = [r for r in self._taxonomy.routes_for(rule.logsource) if dataset in r.datasets]
            found = self._readings[place, dataset] = _reading(
                rule, routes, self._taxonomy, self._asked.get(rule.id, ())
            )
        return found


def _reading(
    rule: Rule, routes: Sequence[Route], taxonomy: Taxonomy, correlated: Iterable[str]
) -> _Reading:
    asked = [leaf.field for leaf in leaves(rule.body) if leaf.field] if rule.body else []
    entity: dict[str, None] = {}
    fields: dict[str, None] = {}
    values: dict[tuple[str, str], None] = {}
    for route in routes:
        entity.update(dict.fromkeys(route.entity))
        names = taxonomy.maps.get(route.map)
        for field in dict.fromkeys((*asked, *rule.fields)):
            column = names.column(field) if names else None
            if column is not None:
                fields[column] = None
        for field in correlated:  # a name that the route does not know is taken for a column's
            known = names.column(field) if names and field not in events.ENVELOPE else None
            values[field, known or field] = None
    return _Reading(tuple(entity), tuple(fields), tuple(values))


def _rows(table: Any, columns: Iterable[str], rows: Sequence[int]) -> list[dict[str, Any]]:
    """The rows' values of the columns; what is no column, or empty in it, from `thapcanh.extra`."""
    wanted = list(dict.fromkeys(columns))
    known = [c for c in (events.ID, *wanted, events.EXTRA) if c in table.column_names]
    taken: list[dict[str, Any]] = table.select(list(dict.fromkeys(known))).take(rows).to_pylist()
    for values in taken:
        extra = dict(values.pop(events.EXTRA, None) or ())
        for column in wanted:
            if values.get(column) is None and column in extra:
                values[column] = extra[column]
    return taken


def _values(row: Mapping[str, Any], reading: _Reading) -> dict[str, str]:
    """Sigma field → folded text, of those that have a value; the first of several columns that has."""
    found: dict[str, str] = {}
    for field, column in reading.values:
        text, _ = _entity(row, (column,))
        if text:
            found.setdefault(field, fold.entity(text))
    return found


def _entity(values: Mapping[str, Any], columns: Sequence[str]) -> tuple[str, str]:
    """The first value of the entity columns, and its column; empty where the event has none.

    A value beyond 200 characters is told apart by its hash.
    """
    for column in columns:
        value = values.get(column)
        text = as_text(value[0] if isinstance(value, list) and value else value)
        if isinstance(value, list) and not value:
            continue
        text = text.strip().replace("\0", "\N{REPLACEMENT CHARACTER}") if text else ""
        if len(text) > MAX_ENTITY:
            text = f"{text[:MAX_ENTITY]}…{content_hash(text)}"
        if text and text != "-":
            return text, column
    return "", ""


def _shown(value: Any) -> str:
    texts = [
        t for v in (value if isinstance(value, list) else [value]) if (t := as_text(v)) is not None
    ]
    text = ", ".join(texts).replace("\0", "\N{REPLACEMENT CHARACTER}")
    return text if len(text) <= MAX_VALUE else f"{text[:MAX_VALUE]}… ({len(text):,} characters)"


class ActiveRules:
    """`ActiveRules(state, cache)(schedule)` is the evaluator of now; safe to call from any thread."""

    def __init__(self, state: Any, cache: Path | None = None, *, clock: Any = utc_now) -> None:
        self._state, self._cache, self._clock = state, cache, clock
        self._made: dict[str, tuple[Any, ActiveSet]] = {}
        self._lock = threading.Lock()

    def __call__(self, schedule: str = "main") -> ActiveSet:
        from pipeline.detect.register.rules import version

        with self._lock:
            now = version(self._state), self._state.additions.taxonomy_files()
            made = self._made.get(schedule)
            if made is None or made[0] != now:
                made = self._made[schedule] = (now, self._make(schedule, self._clock()))
            return made[1]

    def _make(self, schedule: str, now: datetime) -> ActiveSet:
        from pipeline.detect.matching.compile import compile_rules
        from pipeline.detect.register.exceptions import in_force
        from pipeline.detect.register.rules import active_texts, keep_effective
        from pipeline.detect.register.watchlists import placeholders
        from pipeline.detect.rulebook.rules import rules_from_texts

        taxonomy = Taxonomy.here(self._state.additions)
        book = rules_from_texts(
            active_texts(self._state, schedule),
            placeholders=placeholders(self._state),
            cache=self._cache,
        )
        keep_effective(self._state, book, now)
        hidden = twins(book.rules, in_force(self._state, now))
        matcher = compile_rules((*book.rules, *(twin.rule for twin in hidden)), taxonomy)
        revisions = {r.id: r.revision for r in book.rules}
        return ActiveSet(matcher, taxonomy, revisions, book.correlations, hidden)
