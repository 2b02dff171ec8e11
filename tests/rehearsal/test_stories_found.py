"""The rules find the stories, all of them and nothing else: the day's lines through the real stages.

Held here without receivers, store or state, so that a rule or a product that goes astray is seen at
once; the same comparison over the whole way is in the end-to-end tests.
"""

from __future__ import annotations

from collections import defaultdict
from datetime import UTC, datetime, timedelta

import pytest

from pipeline.detect.correlations.correlation import Stored, taking_part
from pipeline.detect.matching.compile import compile_rules
from pipeline.detect.rulebook.rules import Rule, load_rules
from pipeline.detect.rulebook.taxonomy import Taxonomy
from pipeline.detect.running.active import ActiveSet
from pipeline.model import events, fold
from pipeline.model.clock import to_micros
from pipeline.model.detections import Level
from pipeline.model.records import RawRecord
from pipeline.normalise.context import Context
from pipeline.normalise.geo import countries_for
from pipeline.normalise.normaliser import normalise
from pipeline.normalise.product import load_products
from pipeline.rehearsal import cast
from pipeline.rehearsal.lines import Line
from pipeline.rehearsal.script import Script, expected_tickets
from pipeline.rehearsal.stories import rule_ids
from pipeline.rehearsal.verdict import Seen, differences
from pipeline.settings.places import config_dir, rules_dir

START = datetime(2026, 11, 23, 17, 0, tzinfo=UTC)


def _opens_tickets(rule: Rule) -> bool:
    return rule.level.rank >= Level.MEDIUM.rank and rule.status in {"stable", "test"}


def _correlations() -> set[str]:
    return {rule.id for rule in load_rules([rules_dir()]).correlations}


def _tickets(lines: list[Line]) -> list[Seen]:
    """What a run over all the lines would open."""
    book = load_rules([rules_dir()])
    taxonomy = Taxonomy.load(config_dir() / "taxonomy")
    revisions = {rule.id: rule.revision for rule in (*book.rules, *book.correlations)}
    matcher = compile_rules(book.rules, taxonomy)
    assert matcher.unfit == {}
    active = ActiveSet(matcher, taxonomy, revisions, book.correlations)
    opening = {rule.id for rule in (*book.rules, *book.correlations) if _opens_tickets(rule)}
    products = load_products()
    by_source: dict[str, list[Line]] = defaultdict(list)
    for line in lines:
        by_source[line.source].append(line)
    found: dict[tuple[str, str, str], list[tuple[int, str]]] = defaultdict(list)
    stored: list[Stored] = []
    texts: dict[str, str] = {}
    for source, own in by_source.items():
        known = cast.SOURCE[source]
        received = to_micros(own[-1].at)
        context = Context(
            node="n", agency=known.agency, source=source, key=bytes(32), ingested=received,
            countries=countries_for(""),
        )  # fmt: skip
        records = [RawRecord(n, source, received, line.body) for n, line in enumerate(own, 1)]
        normalised = normalise(products[known.product], records, context)
        assert [letter.message for letter in normalised.dead] == []
        assert normalised.rows == len(own)
        for dataset, table in normalised.tables.items():
            originals = table.column(events.ORIGINAL).to_pylist()
            place = {n: row for row, n in enumerate(table.column(events.SEQUENCE).to_pylist())}
            for hit in active.evaluate(dataset, table):
                match = hit.match
                texts[match.event] = originals[place[match.sequence]]
                if hit.values is not None:
                    stored.append(
                        Stored(
                            match.rule, match.event, match.agency, match.time, match.node,
                            match.sequence, hit.values,
                        )
                    )  # fmt: skip
                if match.rule in opening and match.rule not in active.silent:
                    key = (match.rule, match.agency, fold.entity(match.entity))
                    found[key].append((match.time, texts[match.event]))
    for correlation in (c for c in active.correlations if c.id in opening):
        for part in taking_part(correlation, stored):
            key = (correlation.id, part.agency, fold.entity(part.entity))
            found[key].append((part.match.time, texts[part.match.event]))
    return [seen for key, hits in found.items() for seen in _episodes(key, hits)]


def _episodes(key: tuple[str, str, str], hits: list[tuple[int, str]]) -> list[Seen]:
    quiet = timedelta(hours=1) // timedelta(microseconds=1)
    hits.sort(key=lambda hit: hit[0])
    episodes = [[hits[0]]]
    for hit in hits[1:]:
        if hit[0] - episodes[-1][-1][0] > quiet:
            episodes.append([])
        episodes[-1].append(hit)
    return [Seen(*key, tuple(sorted(text for _, text in episode))) for episode in episodes]


@pytest.mark.parametrize(
    "start",
    [START, datetime(2024, 2, 28, 22, 30, tzinfo=UTC)],
    ids=["midnight", "leap day, morning"],
)
@pytest.mark.parametrize("seed", [1, 7])
def test_single_event_rules_open_exactly_the_tickets_that_the_stories_demand(
    seed: int, start: datetime
) -> None:
    lines = list(Script(seed, start))
    expected = [ticket for ticket in expected_tickets(lines) if ticket.by == "single"]
    seen = [ticket for ticket in _tickets(lines) if ticket.rule not in _correlations()]
    assert differences(seen, expected) == []


def test_correlations_add_exactly_the_tickets_that_the_script_lists_for_them() -> None:
    lines = list(Script(7, START))
    expected = [ticket for ticket in expected_tickets(lines) if ticket.by == "correlation"]
    listed = {ticket.rule for ticket in expected}
    seen = [ticket for ticket in _tickets(lines) if ticket.rule in _correlations()]
    assert listed == _correlations() - {
        rule_ids.CORRELATION_NEW_COUNTRY
    }  # of level low, for chains
    assert differences(seen, expected) == []
