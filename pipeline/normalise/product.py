"""Products, as their YAML files declare them, compiled to closures."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Product:
    """One compiled product. `revision` is the content hash of its mapping (`thapcanh.mapping`)."""

    name: str
    title: str
    revision: str
    datasets: tuple[str, ...]


def load_product(path: Path) -> Product:
    """Compile one product file. Raises `FaultsError` naming file, place and remedy of every fault."""
    raise NotImplementedError(path)


def load_products(folder: Path | None = None) -> dict[str, Product]:
    """All products of a folder (by default the shipped ones) by name, every fault reported at once."""
    raise NotImplementedError(folder)
