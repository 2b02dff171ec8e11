"""Around bare (row, rule) pairs: entities, matched fields, and the columns that are read for them."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pyarrow as pa
import pytest

from pipeline.detect.matching.tree import Leaf
from pipeline.detect.rulebook.rules import LogSource, Rule
from pipeline.detect.rulebook.taxonomy import FieldMap, Route, Taxonomy
from pipeline.detect.running.active import MAX_ENTITY, ActiveSet
from pipeline.detect.running.samples import MAX_SAMPLES
from pipeline.model import events
from pipeline.model.clock import EPOCH
from pipeline.model.detections import Level

SOURCE = LogSource("windows", "process_creation", "")
TAXONOMY = Taxonomy(
    (Route(SOURCE, ("windows.sysmon",), map="windows", entity=("host.name", "user.name")),),
    {"windows": FieldMap(any="winlog.event_data.{}")},
    "tax",
)
RULE = Rule(
    id="r", title="R", level=Level.HIGH, status="test", revision="v1", logsource=SOURCE, quiet=60,
    body=Leaf("Image", "endswith", "x.exe"), fields=("User",),
)  # fmt: skip


class Everything:
    """Matches every row by the one rule."""

    digest = "set"
    rules = (RULE,)
    unfit = {"u": "no such column"}  # noqa: RUF012
    columns = {"windows.sysmon": frozenset({"event.code"})}  # noqa: RUF012

    def match(self, dataset: str, table: Any) -> tuple[list[int], list[int]]:
        return list(range(table.num_rows)), [0] * table.num_rows


def table(rows: int = 1, **columns: Any) -> pa.Table:
    fixed: dict[str, Any] = {
        events.ID: pa.array([n.to_bytes(16, "big") for n in range(rows)], pa.binary(16)),
        events.AGENCY: ["ward"] * rows,
        events.TIME: pa.array(
            [EPOCH + timedelta(seconds=rows - n) for n in range(rows)], pa.timestamp("us", "UTC")
        ),
        events.NODE: ["n"] * rows,
        events.SEQUENCE: list(range(1, rows + 1)),
    }
    return pa.table(fixed | columns)


@pytest.fixture
def active() -> ActiveSet:
    return ActiveSet(Everything(), TAXONOMY, {"r": "v1", "u": "rev-u"})


def test_the_columns_of_entities_and_matched_fields_are_read_too(active: ActiveSet) -> None:
    assert active.columns == {
        "windows.sysmon": frozenset(
            {
                "event.code",
                "host.name",
                "user.name",
                "winlog.event_data.Image",
                "winlog.event_data.User",
            }
        )
    }
    assert active.unfit == {"rev-u": "no such column"}
    assert active.facts["r"].quiet == 60_000_000


def test_a_hit_has_its_entity_and_the_fields_that_the_rule_asked(active: ActiveSet) -> None:
    (hit,) = active.evaluate(
        "windows.sysmon",
        table(**{"host.name": ["pc-1"], "winlog.event_data.Image": ["C:\\x.exe"]}),
    )
    assert (hit.match.entity, hit.entity_field, hit.match.time) == ("pc-1", "host.name", 1_000_000)
    assert hit.fields == {"winlog.event_data.Image": "C:\\x.exe"}


@pytest.mark.parametrize(
    ("host", "user", "entity", "field"),
    [
        (None, "an", "an", "user.name"),
        ("-", "an", "an", "user.name"),
        ("  ", None, "", ""),
        ("pc\0", None, "pc\N{REPLACEMENT CHARACTER}", "host.name"),
    ],
)
def test_the_entity_is_the_first_that_has_a_value(
    active: ActiveSet, host: str | None, user: str | None, entity: str, field: str
) -> None:
    (hit,) = active.evaluate(
        "windows.sysmon",
        table(
            **{
                "host.name": pa.array([host], pa.string()),
                "user.name": pa.array([user], pa.string()),
            }
        ),
    )
    assert (hit.match.entity, hit.entity_field) == (entity, field)


def test_long_entities_stay_apart_and_short(active: ActiveSet) -> None:
    one, other = active.evaluate(
        "windows.sysmon", table(2, **{"host.name": ["x" * 5000 + "a", "x" * 5000 + "b"]})
    )
    assert one.match.entity != other.match.entity
    assert len(one.match.entity) == MAX_ENTITY + 33


def test_only_hits_that_can_become_samples_carry_fields(active: ActiveSet) -> None:
    rows = 50
    hits = active.evaluate(
        "windows.sysmon",
        table(rows, **{"host.name": ["pc"] * rows, "winlog.event_data.Image": ["x.exe"] * rows}),
    )
    earliest = sorted(hits, key=lambda h: h.match.time)[:MAX_SAMPLES]
    assert [h for h in hits if h.fields] == [h for h in hits if h in earliest]
