"""Sample lines as the events that they will become, for people to judge before anything is published. Pure.

In: samples, a product, how the source is read. Out: one `Seen` a line: ECS fields, what has no place in ECS
(leftovers: kept and searchable, but no rule reads them), remarks on fields that were lost, or that the line is dropped.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import msgspec

from collectors.formats.text import clean, decode
from pipeline.model import events
from pipeline.model.records import RawRecord
from pipeline.normalise.context import Context
from pipeline.normalise.document import flat_event
from pipeline.normalise.normaliser import normalise_safely
from pipeline.normalise.product import Product

READ: Final = "read"
FAILED: Final = "failed"
DROPPED: Final = "dropped"
_HIDDEN: Final = (frozenset(events.ENVELOPE) | {events.CREATED}) - {events.TIME, events.DATASET}


class Seen(msgspec.Struct, frozen=True, kw_only=True):
    """One sample. `outcome`: read, failed (kept as text, with a dead letter) or dropped (a header line, say)."""

    text: str
    outcome: str
    dataset: str = ""
    fields: tuple[tuple[str, Any], ...] = ()
    leftovers: tuple[tuple[str, Any], ...] = ()
    remarks: tuple[str, ...] = ()
    assumed_zone: bool = False


class Preview(msgspec.Struct, frozen=True):
    """All samples by one product."""

    product: str
    lines: tuple[Seen, ...]

    @property
    def read(self) -> int:
        return sum(one.outcome == READ for one in self.lines)

    @property
    def failed(self) -> int:
        return sum(one.outcome == FAILED for one in self.lines)

    @property
    def datasets(self) -> tuple[str, ...]:
        return tuple(sorted({one.dataset for one in self.lines if one.outcome == READ}))

    @property
    def columns(self) -> frozenset[str]:
        """ECS fields that some line fills."""
        return frozenset(name for one in self.lines for name, _ in one.fields)

    @property
    def leftovers(self) -> tuple[tuple[str, int], ...]:
        """Names without a place in ECS, with the number of lines that have them, the most first."""
        counts: dict[str, int] = {}
        for one in self.lines:
            for name, _ in one.leftovers:
                counts[name] = counts.get(name, 0) + 1
        return tuple(sorted(counts.items(), key=lambda pair: (-pair[1], pair[0])))


def preview(
    bodies: Sequence[bytes],
    product: Product,
    *,
    encoding: str = "",
    timezone: str = "",
    received: int,
) -> Preview:
    """`received`: the moment that the samples count as received at, in microseconds (for dates without a year)."""
    context = Context("sample", "", "sample", bytes(16), received, timezone, encoding or "utf-8")
    records = [RawRecord(number, "sample", received, body) for number, body in enumerate(bodies, 1)]
    made = normalise_safely(product, records, context)
    poison = {letter.sequence: letter.message for letter in made.dead if letter.cause == "poison"}
    rows: dict[int, Seen] = {}
    for table in made.tables.values():
        for row in table.to_pylist():
            rows[row[events.SEQUENCE]] = _seen(row, product)
    lines = []
    for record in records:
        text = clean(decode(record.body, context.encoding)[0])
        if record.sequence in poison:
            lines.append(Seen(text=text, outcome=FAILED, remarks=(poison[record.sequence],)))
        else:
            lines.append(rows.get(record.sequence) or Seen(text=text, outcome=DROPPED))
    return Preview(product.name, tuple(lines))


def _seen(row: dict[str, Any], product: Product) -> Seen:
    tags = row.get(events.TAGS) or []
    failed = events.TAG_PARSE_FAILURE in tags
    left = {str(name) for name, _ in row.get(events.EXTRA) or ()}
    flat = flat_event(row)
    ours = product.planner.prefix
    fields: list[tuple[str, Any]] = []
    leftovers: list[tuple[str, Any]] = []
    for name in sorted(flat):
        if name in _HIDDEN:
            continue
        is_left = name in left or (name.startswith(ours) and name not in product.planner.known)
        is_left = is_left and not _has_a_place(name, product)  # a copy of what is mapped besides
        (leftovers if is_left else fields).append((name, flat[name]))
    remark = str(row.get(events.ERROR) or "")
    return Seen(
        text=str(row.get(events.ORIGINAL) or ""), outcome=FAILED if failed else READ,
        dataset=str(row.get(events.DATASET) or ""), fields=tuple(fields), leftovers=tuple(leftovers),
        remarks=tuple(part for part in remark.split("; ") if part),
        assumed_zone=events.TAG_ASSUMED_ZONE in tags,
    )  # fmt: skip


def _has_a_place(name: str, product: Product) -> bool:
    """Whether the raw field that the column was copied from is mapped, too."""
    planner = product.planner
    raw = {name.removeprefix(planner.prefix)} if name.startswith(planner.prefix) else set()
    raw |= {
        before + name.removeprefix(target)
        for before, target in planner.keep.items()
        if name.startswith(target)
    }
    return any(one in kind.slots for kind in product.kinds.values() for one in raw)
