"""Every sample of every product becomes exactly the event that stands beside it, and keeps ECS's law."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipeline.normalise.product import known_columns, load_product
from pipeline.normalise.samples import faults, outcome
from pipeline.settings.places import products_dir

PRODUCTS = sorted(products_dir().glob("*.yml"))


@pytest.mark.parametrize("path", PRODUCTS, ids=lambda path: path.stem)
def test_each_sample_becomes_the_event_beside_it(path: Path) -> None:
    product = load_product(path)
    made = {sample.name: outcome(product, sample) for sample in product.samples}
    assert made == {sample.name: dict(sample.expected) for sample in product.samples}


@pytest.mark.parametrize("path", PRODUCTS, ids=lambda path: path.stem)
def test_each_sample_keeps_the_law_of_ecs(path: Path) -> None:
    product = load_product(path)
    broken = {sample.name: faults(product, dict(sample.expected)) for sample in product.samples}
    assert {name: found for name, found in broken.items() if found} == {}


@pytest.mark.parametrize("path", PRODUCTS, ids=lambda path: path.stem)
def test_names_of_samples_tell_them_apart(path: Path) -> None:
    names = [sample.name for sample in load_product(path).samples]
    assert len(set(names)) == len(names)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("source.port", "22"), ("source.port", True), ("source.ip", "10.0.0.1:22"), ("source.ip", "::FFFF:10.0.0.1"),
        ("user.name", 7), ("event.kind", "incident"), ("event.category", "web"), ("event.created", "24/11/2026"),
        ("process.interactive", "true"),
    ],
)  # fmt: skip
def test_a_value_of_another_type_or_list_breaks_the_law(field: str, value: object) -> None:
    assert faults(load_product(products_dir() / "generic.yml"), {field: value}) != []


def test_no_column_of_any_product_is_the_beginning_of_another() -> None:
    """A store that nests by dots would lose one of the two; leftovers are of a map and cannot clash."""
    names: set[str] = set(known_columns())
    for path in PRODUCTS:
        product = load_product(path)
        for sample in product.samples:
            names |= sample.expected.keys() & product.types.ecs.fields.keys()
        names |= {target for entry in product.planner.entries for target in entry.targets}
    beginnings = {name[:place] for name in names for place, char in enumerate(name) if char == "."}
    assert names & beginnings == set()
