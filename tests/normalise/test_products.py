"""Every sample of every product becomes exactly the event that stands beside it, and keeps ECS's law."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipeline.normalise.product import load_product
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
