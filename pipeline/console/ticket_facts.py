"""A finding as the ticket page explains it: what matched, the raw lines, and when.

In: a `FindingView` and the documents of its samples. Out: `Explained`, with each sample's matched
fields (each a pivot), its raw line, and a timeline of dots on a line of 1,000 units.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from pipeline.detect.matching.text import fold
from pipeline.detect.running.samples import places_shown
from pipeline.model import events
from pipeline.model.clock import from_micros
from pipeline.model.documents import fields, first_of, flatten, term
from pipeline.tickets.queue import FindingView

SHOWN: Final = 5  # samples of a finding that are not folded away
FEW: Final = 14  # fields of an event that are shown when the finding names none itself


@dataclass(frozen=True, slots=True)
class Sample:
    """One event of a finding. `matched` holds `(field, text, query)`; `raw` is empty where it is gone;
    `rule` and `rule_title` are those of the rule that a correlation read it by."""

    event: str
    time: datetime
    matched: list[tuple[str, str, str]]
    raw: str
    there: bool
    rule: str = ""
    rule_title: str = ""


@dataclass(frozen=True, slots=True)
class Explained:
    """A finding with its samples. `shown` are the first to look at, `folded` the others; `dots` are places (0 to
    1,000) of samples between first and last."""

    finding: FindingView
    samples: list[Sample]
    shown: list[Sample]
    folded: list[Sample]
    dots: list[float]


def explain(finding: FindingView, documents: Mapping[str, dict[str, Any]]) -> Explained:
    samples = [_sample(sample, documents.get(sample["event"])) for sample in finding.samples]
    length = (finding.last - finding.first).total_seconds()
    dots = [
        500.0
        if not length
        else round(1000 * (one.time - finding.first).total_seconds() / length, 1)
        for one in samples
    ]
    places = places_shown([one.rule for one in samples], SHOWN)
    return Explained(
        finding, samples, [samples[place] for place in places],
        [one for place, one in enumerate(samples) if place not in places],
        [min(1000.0, max(0.0, dot)) for dot in dots],
    )  # fmt: skip


def _sample(sample: Mapping[str, Any], document: dict[str, Any] | None) -> Sample:
    named: Mapping[str, Any] = sample.get("fields") or {}
    pairs: list[tuple[str, Any]] = [
        (name, one)
        for name, value in named.items()
        for one in (value if isinstance(value, list) else [value])
        if one not in (None, "")
    ]
    flat = flatten(document) if document is not None else {}
    pairs = [(name, _as_written(flat.get(name), value)) for name, value in pairs]
    if not pairs and document is not None:
        shown = [pair for pair in fields(document) if pair[0] not in events.ENVELOPE]
        pairs = [(name, one) for name, values in shown[:FEW] for one in values]
    return Sample(
        event=sample["event"],
        time=from_micros(sample["time"]),
        matched=[(name, str(value), term(name, value)) for name, value in pairs],
        raw=first_of(flat, events.ORIGINAL),
        there=document is not None,
        rule=sample.get("rule", ""),
        rule_title=sample.get("rule_title", ""),
    )


def _as_written(held: Any, value: Any) -> Any:
    """A correlation's values are folded: where the event has the same value, it is shown as it came."""
    if not isinstance(value, str):
        return value
    among = held if isinstance(held, list) else [held]
    return next((one for one in among if isinstance(one, str) and fold(one) == value), value)
