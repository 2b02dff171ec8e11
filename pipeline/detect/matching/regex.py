"""Regular expressions by RE2: linear in the text, so that no rule and no event can hang a run.

In: a pattern in RE2's syntax (flags in front, `(?i)`). Out: a compiled one, or a fault that names
what RE2 lacks. Meaning: found anywhere in the text; `\\w \\d \\s` are ASCII; `$` is the very end.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any, Final

import re2

from pipeline.model.errors import UsageError

_MAX_PATTERN: Final = 20_000
_OPTIONS: Final = re2.Options()
_OPTIONS.log_errors = False


def check_regex(pattern: str) -> None:
    """Raises `UsageError` if RE2 cannot take the pattern."""
    if len(pattern) > _MAX_PATTERN:
        raise UsageError("the regular expression is too long", got=f"{len(pattern):,} characters")
    try:
        compiled(pattern)
    except re2.error as error:
        reason = error.args[0] if error.args else ""
        said = reason.decode() if isinstance(reason, bytes) else str(reason)
        raise UsageError(
            f"a regular expression that RE2 cannot take: {said}", got=pattern[:200],
            remedy="write it without look-around, back-references and repeats over 1000",
        ) from None  # fmt: skip


@lru_cache(maxsize=4096)
def compiled(pattern: str) -> Any:
    return re2.compile(pattern, _OPTIONS)
