"""A product's samples: each raw record with the whole event that it must become.

In: a product. Out: for each sample what it became, as flat ECS names without the receipt's own
(`IGNORED`). ``python -m pipeline.normalise.samples collectors/products/x.yml`` prints, as YAML, what
each sample becomes now: to read, to judge, and only then to paste as `expected`.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any, Final

from pipeline.model import events
from pipeline.model.clock import to_micros
from pipeline.model.records import RawRecord
from pipeline.normalise.context import Context
from pipeline.normalise.convert import address
from pipeline.normalise.document import flat_event
from pipeline.normalise.ecs import Ecs
from pipeline.normalise.normaliser import normalise
from pipeline.normalise.product import Product, load_product
from pipeline.normalise.spec import SampleSpec

IGNORED: Final = (frozenset(events.ENVELOPE) | {"event.created"}) - {
    events.TIME, events.DATASET, events.TAGS, events.ERROR, events.ORIGINAL_BYTES,
}  # fmt: skip


def outcome(product: Product, sample: SampleSpec) -> dict[str, Any]:
    """What a sample becomes, flat; empty if it is dropped."""
    received = to_micros(datetime.fromisoformat(sample.received))
    body = sample.raw.rstrip("\n").encode("utf-8", "surrogatepass")
    context = Context(
        "sample", "sample", "sample", b"samples of products", received, sample.timezone
    )
    made = normalise(product, [RawRecord(1, "sample", received, body)], context)
    for table in made.tables.values():
        row = flat_event(table.to_pylist()[0])
        return {name: row[name] for name in sorted(row) if name not in IGNORED}
    return {}


def outcomes(product: Product) -> Iterator[tuple[SampleSpec, dict[str, Any]]]:
    for sample in product.samples:
        yield sample, outcome(product, sample)


def faults(product: Product, event: dict[str, Any]) -> list[str]:
    """Where an event breaks ECS: a value that the standard does not allow."""
    ecs, found = product.types.ecs, []
    for name, value in event.items():
        known = ecs.fields.get(name)
        if known is None:
            continue
        if known.many != isinstance(value, list) and not _inside_a_list(name, ecs):
            found.append(f"{name}: {'a list' if known.many else 'one value'} is expected")
        odd_values = [
            v for v in (value if isinstance(value, list) else [value]) if not _is(v, known.kind)
        ]
        if odd_values:
            found.append(f"{name}: {odd_values[0]!r} is not of ECS's type {known.kind}")
        if known.allowed:
            odd = set(value if isinstance(value, list) else [value]) - known.allowed
            found += [f"{name}: {word!r} is not allowed by ECS" for word in sorted(odd)]
    categories = event.get("event.category", [])
    allowed = frozenset[str]().union(
        *(ecs.expected_types.get(category, ()) for category in categories)
    )
    for word in event.get("event.type", []):
        if categories and word not in allowed:
            found.append(f"event.type: {word!r} does not go with event.category {categories}")
    return found


def _is(value: Any, kind: str) -> bool:
    """Whether a value as JSON has it is of a kind of ECS."""
    if kind == "long":
        return isinstance(value, int) and not isinstance(value, bool)
    if kind == "float":
        return isinstance(value, int | float) and not isinstance(value, bool)
    if kind == "boolean":
        return isinstance(value, bool)
    if kind == "ip":
        return isinstance(value, str) and address(value) == value
    if kind == "date":
        return (
            isinstance(value, str)
            and value[-1:] == "Z"
            and datetime.fromisoformat(value).tzinfo is not None
        )
    return isinstance(value, str)


def _inside_a_list(name: str, ecs: Ecs) -> bool:
    """A part of objects of which ECS has many (`dns.answers.data`): one column of their values."""
    return any(
        name[:place] in ecs and ecs.field(name[:place]).many
        for place, char in enumerate(name)
        if char == "."
    )


def main(arguments: list[str]) -> None:
    from pipeline.model.yaml_text import write_yaml

    for argument in arguments:
        product = load_product(Path(argument))
        for sample, event in outcomes(product):
            mark = "" if event == dict(sample.expected) else "   # differs from `expected`"
            sys.stdout.write(
                f"# {product.name}: {sample.name}{mark}\n# {sample.raw.splitlines()[0][:200]}\n"
            )
            sys.stdout.write(write_yaml({"expected": event}, width=110, sort_keys=True))
            sys.stdout.writelines(f"# FAULT {fault}\n" for fault in faults(product, event))


if __name__ == "__main__":
    main(sys.argv[1:])
