"""The products of a home: those that ship, and those that the home adds in a folder of its own.

In: the `Additions` of a home. Out: an `Own`, the products of its files and every fault of them, or the merged set. A file
with a fault is left out and stops no other; one that is named as a shipped product is refused unless it says
``replaces_shipped: true``. Read anew when a file changes (its name, size or time), compiled once.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Final

from pipeline.model.errors import (
    ConflictError,
    FaultsError,
    NotFoundError,
    ThapCanhError,
    UsageError,
)
from pipeline.normalise.product import Product, compile_product, load_product, load_products
from pipeline.normalise.samples import outcome
from pipeline.normalise.spec import read_spec
from pipeline.settings.places import Additions, Mark

REMEDY: Final = "mend the file; thapcanh product add checks it with its samples (docs/products.md)"


@dataclass(frozen=True, slots=True)
class Own:
    """`faults` by the name of the file's product; those products are not among `products`."""

    products: dict[str, Product]
    faults: dict[str, tuple[ThapCanhError, ...]]


def own_products(additions: Additions) -> Own:
    return (
        _own(additions.products, additions.product_files()) if additions.products else Own({}, {})
    )


def products_of(additions: Additions) -> dict[str, Product]:
    """The shipped ones and the home's, by name."""
    return load_products() | own_products(additions).products


@lru_cache(maxsize=8)
def _own(folder: Path, files: Mark) -> Own:
    products: dict[str, Product] = {}
    faults: dict[str, tuple[ThapCanhError, ...]] = {}
    for name, *stamp in files:
        found = _one(folder / name, tuple(stamp))
        if isinstance(found, Product):
            products[found.name] = found
        else:
            faults[Path(name).stem] = found
    return Own(products, faults)


@lru_cache(maxsize=512)
def _one(path: Path, _stamp: tuple[int, ...]) -> Product | tuple[ThapCanhError, ...]:
    try:
        made = load_product(path)
        _allowed(made, str(path))
    except FaultsError as error:
        return tuple(error.faults)
    except ThapCanhError as error:
        return (error,)
    except (OSError, UnicodeDecodeError) as error:
        return (
            UsageError("the file cannot be read", where=str(path), got=str(error), remedy=REMEDY),
        )
    except Exception as error:  # noqa: BLE001 - a file of a person must stop nothing but itself
        return (
            UsageError(
                "the file cannot be compiled", where=str(path), got=str(error), remedy=REMEDY
            ),
        )
    return made


def _allowed(made: Product, where: str) -> None:
    if made.name in load_products() and not made.spec.replaces_shipped:
        raise UsageError(
            "a product of this name ships with the program", where=where, got=made.name,
            remedy="give it another name, or write `replaces_shipped: true` where it is to stand in its place",
        )  # fmt: skip


def add_product(
    additions: Additions, text: str, *, name: str, where: str, replace: bool = False
) -> Product:
    """Put a product's file into the home, whole or not at all, after it was checked: the schema, and that every sample
    becomes the event beside it. ConflictError where the home has one of this name already (unless `replace`)."""
    folder = additions.products
    if folder is None:
        raise UsageError("this home has no folder for products", remedy="set normalise.products")
    path = Path(f"{name}.yml")
    made = compile_product(read_spec(path, text), "added")
    _allowed(made, where)
    wrong = [one.name for one in made.samples if outcome(made, one) != dict(one.expected)]
    if wrong:
        raise FaultsError(
            "the product's samples become other events than stand beside them",
            [UsageError("the event differs from `expected`", where=f"{where}: {one}", remedy=(
                "python -m pipeline.normalise.samples FILE shows what it becomes"
            )) for one in wrong],
        )  # fmt: skip
    target = folder / path.name
    if target.exists() and not replace:
        raise ConflictError(
            "the home has a product of this name", got=name, remedy="say so if it is to be replaced: --replace"
        )  # fmt: skip
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    draft = folder / f".{name}.yml.new"
    try:
        with draft.open("w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        draft.replace(target)
    except OSError as error:
        raise UsageError("the file cannot be written", where=str(target), got=str(error)) from None
    return load_product(target)


def remove_product(additions: Additions, name: str) -> Path:
    """Take a product of the home away; its file stays beside it as ``NAME.yml.removed``."""
    known = {file for file, *_ in additions.product_files()}
    if additions.products is None or f"{name}.yml" not in known:
        raise NotFoundError(
            "no such product of this home", got=name, remedy="thapcanh product list"
        )
    path = additions.products / f"{name}.yml"
    return path.rename(path.with_name(f"{name}.yml.removed"))
