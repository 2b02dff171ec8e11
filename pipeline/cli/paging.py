"""Pages of a list that is in memory already: its length is bounded by the register, not by traffic."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, TypeVar

from pipeline.model.errors import UsageError

Item = TypeVar("Item", bound=Mapping[str, Any])


def page_of(
    items: Sequence[Item], limit: int, after: str | None
) -> tuple[Sequence[Item], str | None]:
    """The items after the one of that id, and the id to go on with (None at the end)."""
    start = 0
    if after is not None:
        ids = [item["id"] for item in items]
        if after not in ids:
            raise UsageError(
                "this is no key of a page", where="--after", got=after,
                remedy="begin at the first page",
            )  # fmt: skip
        start = ids.index(after) + 1
    page = items[start : start + limit]
    return page, page[-1]["id"] if start + limit < len(items) else None
