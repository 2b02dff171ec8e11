"""Folded text of a column: `pipeline.model.fold.tokens` of each, for the analyzer that parts at spaces.

In: texts. Out: for each its tokens with spaces between, tokens of more than `TOKEN` characters shortened and
marked, and those whole beside it. ASCII, nearly all of a log, takes one table look-up a character.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Final

from pipeline.model.fold import fold, is_token
from pipeline.store.elasticsearch.columns import TOKEN, cut

MARK: Final = "…"
"""Ends a shortened token: no letter and no digit, so that no token of a query equals it."""
_ASCII: Final = "".join(chr(p).lower() if is_token(chr(p)) else " " for p in range(128))
_TABLE: Final = str.maketrans({chr(p): _ASCII[p] for p in range(128)})
_LONG: Final = re.compile(rf"[^ ]{{{TOKEN + 1},}}")


def folded(texts: Sequence[str | None]) -> Iterator[tuple[str, list[str]]]:
    """The text to index, and its long tokens."""
    for text in texts:
        if text is None:
            yield "", []
            continue
        spaced = text.translate(_TABLE) if text.isascii() else fold(text)
        if len(spaced) <= TOKEN:
            yield spaced, []
            continue
        long = _LONG.findall(spaced)
        if long:
            spaced = _LONG.sub(lambda found: short(found[0]), spaced)
        yield spaced, [cut(token) for token in long]


def short(token: str) -> str:
    """A token as phrases know it."""
    return token if len(token) <= TOKEN else token[:TOKEN] + MARK
