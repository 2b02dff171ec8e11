"""Folded text of a column: `pipeline.model.fold.tokens` of each, for the analyzer that parts at spaces.

In: texts. Out: for each its tokens with spaces between, tokens of more than `TOKEN` characters shortened and
marked, and those whole beside it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Final

from pipeline.store.elasticsearch.columns import TOKEN
from pipeline.store.fields import cut
from pipeline.store.spaced import spaced

MARK: Final = "…"
"""Ends a shortened token: no letter and no digit, so that no token of a query equals it."""
_SHORTENED: Final = re.compile(rf"([^ ]{{{TOKEN}}})[^ ]+")


def folded(texts: Sequence[str | None]) -> Iterator[tuple[str, list[str]]]:
    """The text to index, and its long tokens."""
    for text in texts:
        if text is None:
            yield "", []
            continue
        parted = spaced(text)
        if len(parted) <= TOKEN:
            yield parted, []
            continue
        long = [one for one in parted.split(" ") if len(one) > TOKEN]
        if long:
            yield _SHORTENED.sub(r"\1" + MARK, parted), [cut(one) for one in long]
        else:
            yield parted, []


def short(token: str) -> str:
    """A token as phrases know it."""
    return token if len(token) <= TOKEN else token[:TOKEN] + MARK
