"""Folded text of a column: `pipeline.model.fold.tokens` of each, for the analyzer that parts at spaces.

In: texts. Out: for each its tokens with spaces between, tokens of more than `TOKEN` characters shortened and
marked, and those whole beside it. ASCII, nearly all of a log, and the characters of `words.COMMON`, whose
folding does not depend on their neighbours, take one table look-up each; the rest is folded for real.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Final

from pipeline.model.fold import fold, fold_letters, is_token
from pipeline.store.elasticsearch.columns import TOKEN
from pipeline.store.fields import cut
from pipeline.store.words import COMMON

MARK: Final = "…"
"""Ends a shortened token: no letter and no digit, so that no token of a query equals it."""
_ASCII: Final = str.maketrans(
    {chr(p): chr(p).lower() if is_token(chr(p)) else " " for p in range(128)}
)
_COMMON: Final = re.compile(
    "[" + re.sub(r"\\x\{(\w+)\}", lambda found: f"\\U{int(found[1], 16):08x}", COMMON) + "]*"
)

_SHORTENED: Final = re.compile(rf"([^ ]{{{TOKEN}}})[^ ]+")


class _Folded(dict[int, str]):
    """What each character becomes by itself, worked out when it is first met."""

    def __missing__(self, point: int) -> str:
        found = fold_letters(chr(point))
        self[point] = kept = "".join(one if is_token(one) else " " for one in found)
        return kept


_FOLDED: Final = _Folded()


def folded(texts: Sequence[str | None]) -> Iterator[tuple[str, list[str]]]:
    """The text to index, and its long tokens."""
    for text in texts:
        if text is None:
            yield "", []
            continue
        spaced = _spaced(text)
        if len(spaced) <= TOKEN:
            yield spaced, []
            continue
        long = [one for one in spaced.split(" ") if len(one) > TOKEN]
        if long:
            yield _SHORTENED.sub(r"\1" + MARK, spaced), [cut(one) for one in long]
        else:
            yield spaced, []


def _spaced(text: str) -> str:
    if text.isascii():
        return text.translate(_ASCII)
    return text.translate(_FOLDED) if _COMMON.fullmatch(text) else fold(text)


def short(token: str) -> str:
    """A token as phrases know it."""
    return token if len(token) <= TOKEN else token[:TOKEN] + MARK
