"""What a rule, a draft of one, or an exception would have done over the stored events. Writes no finding.

In: the store, one to three rule sets (now, as it was, as it would be), and since when. Out: a `Backtest`:
matches by day and agency, the entities and values that come most, the findings to expect, and how it
differs from the revision that runs. Events are read as a run reads them, node by node from the newest
receipts backwards until they are older than asked for, so that a long archive costs nothing.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime
from itertools import pairwise
from typing import TYPE_CHECKING, Any, Final

import msgspec

from pipeline.access.permissions import require, scope_for
from pipeline.detect.correlations.correlation import Stored, taking_part
from pipeline.detect.register.hiding import InForce, Twin, twins
from pipeline.detect.register.rules import active_texts
from pipeline.detect.register.watchlists import placeholders
from pipeline.detect.rulebook.rules import Rule, RuleBook, rules_from_texts
from pipeline.detect.rulebook.taxonomy import Taxonomy
from pipeline.detect.running.active import ActiveSet
from pipeline.detect.running.findings import Hit
from pipeline.model import events, fold
from pipeline.model.clock import CITY_ZONE, from_micros
from pipeline.model.detections import Match, Window
from pipeline.model.errors import NotFoundError, UsageError
from pipeline.model.scope import Actor, Scope
from pipeline.state.state import State
from pipeline.store.base import Store

if TYPE_CHECKING:
    from pipeline.detect.register.exceptions import Proposal

PIECE: Final = 100_000
"""Sequences that are read at once."""
MAX_MATCHES: Final = 500_000
TOP: Final = 10
Progress = Callable[[int, int], None]


class Tally(msgspec.Struct, frozen=True):
    """What one rule set matched. `days`: day in the city → agency → matches; `entities` and `values`:
    the ten that come most; `findings`: the episodes. `hidden` is what an exception would hide."""

    matches: int
    findings: int
    days: dict[str, dict[str, int]]
    entities: list[tuple[str, str, int]]
    values: dict[str, list[tuple[str, int]]]
    hidden: int = 0


class Backtest(msgspec.Struct, frozen=True):
    """`against` is what the running revision matched; `only_now`, `only_then` and `both` count events.
    `cut`: there were more matches than one backtest holds, the oldest are left out."""

    subject: str
    revision: str
    title: str
    level: str
    status: str
    since: datetime
    until: datetime
    events: int
    now: Tally
    against: Tally | None = None
    only_now: int = 0
    only_then: int = 0
    both: int = 0
    cut: bool = False


def backtest_rule(
    state: State,
    store: Store,
    actor: Actor,
    rule: str,
    *,
    draft: str = "",
    schedule: str = "main",
    since: datetime,
    now: datetime,
    progress: Progress = lambda *_: None,
) -> Backtest:
    """A rule that is registered, or the `draft` of one (its text), which is compared with the registered
    one of its id if there is any."""
    require(actor, "rule.read", None)
    scope = scope_for(actor, "event.search")
    texts, lists = active_texts(state, schedule), placeholders(state)
    running = rules_from_texts(texts, placeholders=lists)
    taxonomy = Taxonomy.here(state.additions)
    sets: list[_Set] = []
    if draft:
        alone = rules_from_texts([("draft", draft)], placeholders=lists)
        if alone.faults:
            raise alone.faults[0]
        drafted = (*alone.rules, *alone.correlations)
        if len(drafted) != 1:
            raise UsageError("a draft is one rule or one correlation", got=str(len(drafted)))
        rule = drafted[0].id
        without = [pair for pair in texts if f"id: {rule}" not in pair[1]]
        book = rules_from_texts([*without, ("draft", draft)], placeholders=lists)
        sets.append(_Set.of(taxonomy, book, rule))
    if running.get(rule) is not None:
        sets.append(_Set.of(taxonomy, running, rule))
    if not sets:
        raise NotFoundError(
            "no such rule is switched on", got=rule, remedy="give its text as a draft"
        )
    replay = _Replay(store, scope, since, now)
    replay.run(sets, progress)
    return _told(sets, replay, since, now)


def backtest_exception(
    state: State,
    store: Store,
    actor: Actor,
    exception: str,
    *,
    draft: Proposal | None = None,
    schedule: str = "main",
    since: datetime,
    now: datetime,
    progress: Progress = lambda *_: None,
) -> Backtest:
    """What its rules match with the exception, against what they match without it. `hidden` counts what
    it takes out of sight. A `draft` is not saved yet."""
    from pipeline.detect.register.exceptions import as_in_force, drafted, find_exception

    require(actor, "exception.read", None)
    scope = scope_for(actor, "event.search")
    if draft is None:
        row = find_exception(state, actor, exception)
    else:
        row = drafted(state, actor, draft, now=now)
    book = rules_from_texts(active_texts(state, schedule), placeholders=placeholders(state))
    rules = [rule for rule in book.rules if rule.id in row.rules]
    if not rules:
        raise NotFoundError("none of its rules is switched on", got=exception)
    taxonomy = Taxonomy.here(state.additions)
    with_it = _Set(taxonomy, rules, twins=twins(rules, [as_in_force(row, always=True)]))
    sets = [with_it, _Set(taxonomy, rules)]
    replay = _Replay(store, scope, since, now)
    replay.run(sets, progress)
    told = _told(sets, replay, since, now)
    return msgspec.structs.replace(told, subject=row.id, title=row.title)


def compiled_alone(
    state: State, rule: str, schedule: str, exceptions: Sequence[InForce]
) -> ActiveSet:
    """A registered rule with the rules that it counts, and nothing else."""
    book = rules_from_texts(active_texts(state, schedule), placeholders=placeholders(state))
    return _Set.of(Taxonomy.here(state.additions), book, rule, exceptions).active


class _Set:
    """Rules compiled by themselves, and what they matched."""

    def __init__(
        self,
        taxonomy: Taxonomy,
        rules: Sequence[Rule],
        correlation: Rule | None = None,
        chain: Sequence[Rule] = (),
        twins: Sequence[Twin] = (),
    ) -> None:
        from pipeline.detect.matching.compile import compile_rules

        compiled = compile_rules((*rules, *(twin.rule for twin in twins)), taxonomy)
        revisions = {rule.id: rule.revision for rule in rules}
        self.subject = correlation or rules[0]
        self.active = ActiveSet(compiled, taxonomy, revisions, chain, twins)
        wanted = {rule.id for rule in rules} if correlation is None else {correlation.id}
        unfit = [why for rule, why in self.active.unfit.items() if rule == self.subject.revision]
        if unfit or not wanted & set(self.active.facts):
            raise UsageError("it cannot fire here", got="; ".join(unfit) or self.subject.id)
        self.correlation = next(
            (c for c in self.active.correlations if correlation and c.id == correlation.id), None
        )
        self._hits: dict[tuple[str, str, str], Match] = {}
        self._hidden: set[tuple[str, str]] = set()
        self._stored: list[Stored] = []
        self._values: dict[str, Counter[str]] = defaultdict(Counter)

    @classmethod
    def of(
        cls, taxonomy: Taxonomy, book: RuleBook, subject: str, exceptions: Sequence[InForce] = ()
    ) -> _Set:
        """The subject with what it needs of the book."""
        from pipeline.detect.correlations.reading import named

        rule = book.get(subject)
        if rule is None:
            raise NotFoundError("no such rule", got=subject)
        if rule.kind == "rule":
            return cls(taxonomy, [rule], twins=twins([rule], exceptions))
        every = {
            name: r for r in (*book.rules, *book.correlations) for name in (r.id, r.name) if name
        }
        needed: dict[str, Rule] = {}
        left = [rule]
        while left:
            one = left.pop()
            if one.id not in needed:
                needed[one.id] = one
                left += [every[name] for name in named(one) if name in every]
        bases = [r for r in needed.values() if r.kind == "rule"]
        chain = [r for r in needed.values() if r.kind == "correlation"]
        return cls(taxonomy, bases, rule, chain, twins(bases, exceptions))

    def take(self, dataset: str, table: Any) -> None:
        for hit in self.active.evaluate(dataset, table):
            if self.correlation is not None:
                m = hit.match
                self._stored.append(
                    Stored(m.rule, m.event, m.agency, m.time, m.node, m.sequence, hit.values or {})
                )
            elif hit.hidden_by:
                self._hidden.add((hit.match.rule, hit.match.event))
            else:
                self._count(hit)

    def _count(self, hit: Hit) -> None:
        m = hit.match
        self._hits[m.rule, m.event, fold.entity(m.entity)] = m
        for field, value in (hit.fields or {}).items():
            self._values[field][value[:200]] += 1

    @property
    def size(self) -> int:
        return len(self._hits) + len(self._stored) + len(self._hidden)

    def matches(self) -> list[Match]:
        """All of them, a correlation's parts too."""
        if self.correlation is None:
            return list(self._hits.values())
        facts = self.active.facts[self.correlation.id]
        return [
            Match(
                facts.id, facts.revision, p.match.event, p.agency, p.entity, p.match.time,
                p.match.node, p.match.sequence,
            )
            for p in taking_part(self.correlation, self._stored)
        ]  # fmt: skip

    def tally(self, matches: Sequence[Match]) -> Tally:
        days: dict[str, Counter[str]] = defaultdict(Counter)
        entities: Counter[tuple[str, str]] = Counter()
        times: dict[tuple[str, str, str], list[int]] = defaultdict(list)
        spelled: dict[tuple[str, str], tuple[int, str, str]] = {}
        for m in matches:
            days[from_micros(m.time).astimezone(CITY_ZONE).date().isoformat()][m.agency] += 1
            key = fold.entity(m.entity)
            entities[m.agency, key] += 1
            times[m.rule, m.agency, key].append(m.time)
            spelled[m.agency, key] = min(
                spelled.get((m.agency, key), (m.time, m.event, m.entity)),
                (m.time, m.event, m.entity),
            )
        return Tally(
            len(matches),
            sum(_episodes(t, self.active.facts[rule].quiet) for (rule, _, _), t in times.items()),
            {day: dict(sorted(of.items())) for day, of in sorted(days.items())},
            [(key[0], spelled[key][2], n) for key, n in entities.most_common(TOP)],
            {field: of.most_common(TOP) for field, of in sorted(self._values.items())},
            len(self._hidden),
        )


def _episodes(times: list[int], quiet: int) -> int:
    times.sort()
    return 1 + sum(b - a > quiet for a, b in pairwise(times))


class _Replay:
    """The stored events since a moment of receipt, the newest first."""

    def __init__(self, store: Store, scope: Scope, since: datetime, now: datetime) -> None:
        self._store, self._scope, self._since, self._now = store, scope, since, now
        self.events, self.cut = 0, False

    def run(self, sets: Sequence[_Set], progress: Progress) -> None:
        columns: dict[str, frozenset[str] | None] = {}
        for each in sets:
            for dataset, names in each.active.columns.items():
                columns[dataset] = (columns.get(dataset) or frozenset()) | names
        watermark = self._store.watermark()
        total, done = sum(watermark.values()), 0
        for node, upto in sorted(watermark.items()):
            for span in _backwards(upto):
                old = self._piece(sets, Window({node: span}), columns)
                done += span[1] - span[0]
                progress(done, total)
                if self.cut:
                    return
                if old:
                    done += span[0]
                    progress(done, total)
                    break

    def _piece(
        self, sets: Sequence[_Set], window: Window, columns: Mapping[str, frozenset[str] | None]
    ) -> bool:
        """Whether all that it holds is older than asked for."""
        import pyarrow as pa
        import pyarrow.compute

        pc: Any = pyarrow.compute
        seen = young = 0
        for dataset, table in self._store.scan(window, scope=self._scope, columns=columns):
            received = table.column(events.CREATED)
            if received.null_count:
                received = pc.coalesce(received, table.column(events.TIME))
            since, now = (pa.scalar(m, pa.timestamp("us", "UTC")) for m in (self._since, self._now))
            fresh = table.filter(
                pc.and_(pc.greater_equal(received, since), pc.less_equal(received, now))
            )
            seen, young = seen + table.num_rows, young + fresh.num_rows
            if fresh.num_rows:
                for each in sets:
                    each.take(dataset, fresh)
            self.cut = self.cut or any(each.size > MAX_MATCHES for each in sets)
        self.events += young
        return bool(seen) and not young


def _backwards(upto: int) -> Iterator[tuple[int, int]]:
    while upto > 0:
        after = max(0, upto - PIECE)
        yield after, upto
        upto = after


def _told(sets: Sequence[_Set], replay: _Replay, since: datetime, now: datetime) -> Backtest:
    first, *others = sets
    matches = first.matches()
    facts = first.active.facts[first.subject.id]
    told = Backtest(
        subject=first.subject.id, revision=facts.revision, title=facts.title,
        level=facts.level.value, status=facts.status, since=since, until=now, events=replay.events,
        now=first.tally(matches), cut=replay.cut,
    )  # fmt: skip
    if not others:
        return told
    then = others[0].matches()
    mine, its = ({(m.rule, m.event, fold.entity(m.entity)) for m in of} for of in (matches, then))
    return msgspec.structs.replace(
        told,
        against=others[0].tally(then),
        only_now=len(mine - its),
        only_then=len(its - mine),
        both=len(mine & its),
    )
