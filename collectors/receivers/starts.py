"""Which lines begin a record of several lines: a few known beginnings, or a pattern of one's own in RE2.

In: what a source says in its option ``assemble``. Out: a test of a line, or None for audit lines, or nothing to
assemble. Only the first bytes of a line are looked at, and no pattern backtracks, so that no line costs more.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Callable
from typing import Any, Final

from collectors.receivers.assembly import AUDIT, Assembler
from pipeline.model.errors import UsageError

OWN: Final = "re2:"
NONE: Final = "lines"
_LOOKED_AT: Final = 256
_MOST_PATTERN: Final = 500

_DATE: Final = (
    rb"[\[(<]?(?:\d{4}[-/.]\d\d[-/.]\d\d|\d\d?[-/.]\d\d?[-/.]\d{4}|\d\d[-/][A-Za-z]{3}[-/]\d{4}"
    rb"|(?:<\d{1,3}>)?[A-Z][a-z]{2} [ \d]\d \d\d:|\d{10})"
)
KNOWN: Final = {
    "date": re.compile(_DATE),
    "indent": re.compile(rb"[^ \t]"),
    "java": re.compile(rb"(?![ \t]|Caused by:|Suppressed:|[\w.$]+(?:Exception|Error)\b|\.\.\. )"),
    "bracket": re.compile(rb"\["),
    "json": re.compile(rb"\{"),
    "priority": re.compile(rb"<\d{1,3}>"),
}
"""By name: a date or time at the start; not indented; a Java log (traces belong before); ``[``; ``{``; ``<13>``."""
NAMES: Final = (NONE, AUDIT, *KNOWN)
_BY_PRODUCT: Final = {"auditd": AUDIT}


def wanted(said: str, product: str) -> str:
    """What a source's records are assembled by; empty where a line is a record."""
    chosen = said or _BY_PRODUCT.get(product, "")
    return "" if chosen == NONE else chosen


def check(said: str) -> None:
    """Raises UsageError for what no line could be tested with."""
    if not said or said in NAMES:
        return
    if not said.startswith(OWN):
        raise UsageError(
            "no such way to assemble lines", got=said, expected=f"{', '.join(NAMES)}, or {OWN}PATTERN"
        )  # fmt: skip
    _own(said)


def assembler(said: str, *, seconds: float, size: int, join: bytes = b"\n") -> Assembler[Any]:
    """For what `wanted` gave, when it is not empty."""
    return Assembler(_test(said), seconds=seconds, size=size, join=join)


def _test(said: str) -> Callable[[bytes], bool] | None:
    if said == AUDIT:
        return None
    match = KNOWN[said].match if said in KNOWN else _own(said)
    return lambda line: match(line[:_LOOKED_AT]) is not None


@functools.lru_cache(64)
def _own(said: str) -> Callable[[bytes], object]:
    import re2

    pattern = said.removeprefix(OWN)
    options = re2.Options()
    options.encoding = re2.Options.Encoding.LATIN1
    options.log_errors = False
    options.max_mem = 1 << 20
    if not pattern or len(pattern) > _MOST_PATTERN:
        raise UsageError(
            "a pattern has its length", got=str(len(pattern)), expected=f"1 to {_MOST_PATTERN} characters"
        )  # fmt: skip
    try:
        match: Callable[[bytes], object] = re2.compile(
            pattern.encode("latin-1", "replace"), options
        ).match
    except re2.error as error:
        raise UsageError("this pattern cannot be used", got=pattern, expected="RE2", where=str(error)) from error  # fmt: skip
    return match
