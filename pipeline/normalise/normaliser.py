"""A batch of records of one product and one source in, Arrow tables out. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from pipeline.model.records import RawRecord
from pipeline.normalise.context import Context, Normalised
from pipeline.normalise.product import Product

__all__ = ["Context", "Normalised", "normalise", "normalise_safely"]


def normalise(product: Product, records: Sequence[RawRecord], context: Context) -> Normalised:
    """Every record becomes one row, or is counted in `dropped` (blank and header lines)."""
    raise NotImplementedError


def normalise_safely(product: Product, records: Sequence[RawRecord], context: Context) -> Normalised:
    """As `normalise`, but a record that makes it raise is bisected out and dead-lettered as `poison`."""
    raise NotImplementedError
