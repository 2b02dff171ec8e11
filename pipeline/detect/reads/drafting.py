"""An exception drafted from a finding: which of the events' own values could be hidden, in Sigma's names.

In: a finding that the actor may see. Out: the rule of single events that matched, and candidates: first the
fields that the rule asks for, then others of the events that the taxonomy can name. `shared` says that all
samples have this very value. What is both asked for and shared is what an analyst most likely means by "this
is harmless" (`suggested`), unless the rule asks for that one value alone: hiding it would hide the whole rule.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

import msgspec

from pipeline.detect.matching.tree import leaves
from pipeline.detect.reads.findings import FindingView, get_finding
from pipeline.detect.register.rules import show_rule
from pipeline.detect.rulebook.rules import Rule, rules_from_texts
from pipeline.detect.rulebook.taxonomy import Taxonomy
from pipeline.model import events
from pipeline.model.documents import flatten
from pipeline.model.errors import UsageError
from pipeline.model.scope import Actor
from pipeline.state.state import State
from pipeline.store.base import Store

MOST: Final = 24
LONGEST: Final = 1_000


class Candidate(msgspec.Struct, frozen=True):
    """A Sigma field and the value of the first sample that has one. `asked`: the rule asks for it."""

    field: str
    value: str
    shared: bool
    asked: bool
    suggested: bool = False


class Draft(msgspec.Struct, frozen=True):
    rule: str
    title: str
    agency: str
    candidates: tuple[Candidate, ...]


def single_event_rule(state: State, actor: Actor, rule: str) -> Rule:
    """The registered rule, parsed; UsageError for a correlation or a filter."""
    known = show_rule(state, actor, rule)
    found = rules_from_texts([(known["path"], known["text"])]).get(rule)
    if found is None or found.kind != "rule":
        raise UsageError("an exception is of a rule of single events", got=rule)
    return found


def draft_of(state: State, store: Store | None, actor: Actor, finding: str) -> Draft:
    """What the finding offers. Of a correlation, what it offers of the rule that its samples matched."""
    view = get_finding(state, store, actor, finding)
    named = (sample.get("rule") for sample in view.samples)
    rule = single_event_rule(state, actor, next((r for r in named if r), view.finding.rule))
    agency = view.finding.agency
    return Draft(
        rule.id,
        rule.title,
        agency,
        tuple(_candidates(Taxonomy.here(state.additions), rule, view))[:MOST],
    )


def _candidates(taxonomy: Taxonomy, rule: Rule, view: FindingView) -> Iterator[Candidate]:
    assert rule.body is not None
    asked: dict[str, set[str]] = {}
    for leaf in leaves(rule.body):
        if leaf.field:
            asked.setdefault(leaf.field, set()).add(
                leaf.op if leaf.op != "eq" else f"eq {leaf.arg}"
            )
    mine = [s for s in view.samples if s.get("rule", rule.id) in ("", rule.id)]
    rows = [dict(s.get("fields") or {}) | flatten(view.documents.get(s["event"], {})) for s in mine]
    seen: set[str] = set()
    for route in taxonomy.routes_for(rule.logsource):
        names = taxonomy.maps[route.map]
        others = dict.fromkeys((*rule.fields, *names.fields, *names.names))
        for field in (*asked, *others):
            column = names.column(field)
            if column is None or field in seen or column in seen or column in events.ENVELOPE:
                continue
            values = [text for row in rows if (text := _text(row.get(column)))]
            if values and len(values[0]) <= LONGEST:
                seen |= {field, column}
                shared = len(values) == len(rows) and len(set(values)) == 1
                asks = asked.get(field, set())
                narrows = len(asks) > 1 or not all(ask.startswith("eq ") for ask in asks)
                yield Candidate(
                    field, values[0], shared, bool(asks), bool(asks) and shared and narrows
                )


def _text(value: Any) -> str:
    if isinstance(value, list):
        value = value[0] if value else None
    return "" if value is None else str(value)
