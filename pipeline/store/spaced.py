"""A text as its folded tokens with spaces between, fast: ``Đăng nhập: ADMIN`` becomes ``dang nhap  admin``.

ASCII, nearly all of a log, and the characters of `words.COMMON`, whose folding does not depend on their neighbours,
take one table look-up each; the rest is folded for real. Between tokens there may be several spaces.
"""

from __future__ import annotations

import re
from typing import Final

from pipeline.model.fold import fold, fold_letters, is_token
from pipeline.store.words import COMMON

_ASCII: Final = str.maketrans(
    {chr(p): chr(p).lower() if is_token(chr(p)) else " " for p in range(128)}
)
_COMMON: Final = re.compile(
    "[" + re.sub(r"\\x\{(\w+)\}", lambda found: f"\\U{int(found[1], 16):08x}", COMMON) + "]*"
)


class _Folded(dict[int, str]):
    """What each character becomes by itself, worked out when it is first met."""

    def __missing__(self, point: int) -> str:
        found = fold_letters(chr(point))
        self[point] = kept = "".join(one if is_token(one) else " " for one in found)
        return kept


_FOLDED: Final = _Folded()


def spaced(text: str) -> str:
    """The tokens are those of `pipeline.model.fold.tokens`."""
    if text.isascii():
        return text.translate(_ASCII)
    return text.translate(_FOLDED) if _COMMON.fullmatch(text) else fold(text)
