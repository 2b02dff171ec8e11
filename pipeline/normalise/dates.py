"""Dates as devices write them, to microseconds since 1970, UTC.

In: text, a list of formats, and the zone to take where the text has none. A format is `iso`,
`epoch` (seconds, milli-, micro- or nanoseconds, told apart by size), `bsd` (``Nov  4 09:00:00``), or
strptime's letters (``%d/%b/%Y:%H:%M:%S %z``).
Out: microseconds and whether the zone was assumed; None where no format fits.
A year that the text lacks is the one that puts the date nearest to the receipt, so that a line of
31 December received on 1 January is of the old year. A two-digit year below 70 is of this century.
Invariant: the result depends on the text, the zone and the day of receipt, on nothing else.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta, timezone
from typing import Final
from zoneinfo import ZoneInfo

from pipeline.model.clock import EPOCH, to_micros
from pipeline.model.errors import UsageError

Moment = tuple[int, bool]
"""Microseconds UTC, and whether the zone was assumed."""
Parser = Callable[[str, int], Moment | None]
"""Text and microseconds of receipt to a moment."""

EARLIEST: Final = to_micros(datetime(1, 1, 2, tzinfo=UTC))
LATEST: Final = to_micros(datetime(9999, 12, 30, tzinfo=UTC))
DAY: Final = 86_400_000_000

_MONTHS: Final = {
    name: number
    for number, name in enumerate(
        ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"], 1
    )
}
_DIRECTIVES: Final = {
    "Y": r"(?P<Y>\d{4})", "y": r"(?P<y>\d\d)", "m": r"(?P<m>\d{1,2})", "d": r"(?P<d>\d{1,2})",
    "e": r" ?(?P<d>\d{1,2})", "b": r"(?P<b>[A-Za-z]{3,9})", "H": r"(?P<H>\d{1,2})", "I": r"(?P<I>\d{1,2})",
    "p": r"(?P<p>[AaPp][Mm])", "M": r"(?P<M>\d{1,2})", "S": r"(?P<S>\d{1,2})", "f": r"(?P<f>\d{1,9})",
    "z": r"(?P<z>Z|UTC|GMT|[+-]\d\d:?\d\d)", "Z": r"[A-Za-z]{1,8}", "a": r"[A-Za-z]{3,9}", "j": r"(?P<j>\d{1,3})",
    "%": "%",
}  # fmt: skip
_ISO: Final = (
    r"(?P<Y>\d{4})[-/.](?P<m>\d\d)[-/.](?P<d>\d\d)(?:[T ]|  )(?P<H>\d\d):(?P<M>\d\d)(?::(?P<S>\d\d)(?:[.,](?P<f>\d{1,9}))?)?"
    r" ?(?P<z>Z|UTC|GMT|[+-]\d\d(?::?\d\d)?)?"
)
_BSD: Final = (
    r"(?P<b>[A-Za-z]{3}) +(?P<d>\d{1,2})(?: (?P<Y>\d{4}))? (?P<H>\d\d):(?P<M>\d\d):(?P<S>\d\d)"
    r"(?:\.(?P<f>\d{1,9}))?(?: (?P<y4>\d{4}))?(?: (?P<z>UTC|GMT|ICT))?"
)


def compile_format(text: str) -> str:
    """The pattern of a strptime-like format."""
    parts: list[str] = []
    position = 0
    while position < len(text):
        letter = text[position]
        if letter == "%":
            directive = _DIRECTIVES.get(text[position + 1 : position + 2])
            if directive is None:
                raise UsageError(
                    "the date format has an unknown letter",
                    got=text[position : position + 2], expected="one of %" + " %".join(_DIRECTIVES),
                )  # fmt: skip
            parts.append(directive)
            position += 2
        else:
            parts.append(" +" if letter == " " else re.escape(letter))
            position += 1
    return "".join(parts)


def _offset(text: str) -> timezone:
    if text in {"Z", "UTC", "GMT"}:
        return UTC
    if text == "ICT":  # Indochina Time, as devices in Việt Nam write it
        return timezone(timedelta(hours=7))
    digits = text[1:].replace(":", "").ljust(4, "0")
    span = timedelta(hours=int(digits[:2]), minutes=int(digits[2:]))
    return timezone(-span if text[0] == "-" else span)


def _epoch(text: str, _received: int) -> Moment | None:
    whole, _, fraction = text.partition(".")
    if not whole.isascii() or not whole.lstrip("-").isdigit() or len(whole) > 20:
        return None
    number = int(whole)
    size = abs(number)
    if size < 100_000_000_000:  # seconds, until the year 5138
        micros = number * 1_000_000 + (
            int(fraction[:6].ljust(6, "0")) if fraction.isdecimal() else 0
        )
    elif size < 100_000_000_000_000:
        micros = number * 1_000
    elif size < 100_000_000_000_000_000:
        micros = number
    elif size < 9 * 10**18:
        micros = number // 1_000
    else:
        return None
    return (micros, False) if EARLIEST <= micros <= LATEST else None


def _year_nearest(moment: datetime, received: int) -> datetime:
    """The same day in the year that puts it nearest to the receipt."""
    at = EPOCH + timedelta(microseconds=received)
    best: datetime | None = None
    for year in (at.year - 1, at.year, at.year + 1):
        try:
            candidate = moment.replace(year=year)
        except ValueError:  # 29 February
            continue
        if best is None or abs(candidate - at) < abs(best - at):
            best = candidate
    if best is None:
        raise ValueError("29 February in no year near")
    return best


def _pattern_parser(pattern: str, zone: ZoneInfo, *, assumed: bool) -> Parser:
    match = re.compile(pattern, re.ASCII).fullmatch
    names = frozenset(re.compile(pattern).groupindex)

    def parse(text: str, received: int) -> Moment | None:
        found = match(text)
        if found is None:
            return None
        part = {name: found[name] for name in names}
        try:
            return _moment(part, received, zone, assumed)
        except (ValueError, OverflowError):
            return None

    return parse


def _moment(
    part: dict[str, str | None], received: int, zone: ZoneInfo, assumed: bool
) -> Moment | None:
    month = _MONTHS.get((part.get("b") or "")[:3].lower()) or int(part.get("m") or 1)
    year_text = part.get("Y") or part.get("y4")
    short = part.get("y")
    if year_text and int(year_text) == 0:
        return None
    year = (
        int(year_text)
        if year_text
        else 2000 + int(short) - (100 if int(short) >= 70 else 0)
        if short
        else 0
    )
    hour = int(part.get("H") or part.get("I") or 0)
    if part.get("p"):
        hour = hour % 12 + (12 if (part["p"] or "").lower() == "pm" else 0)
    fraction = (part.get("f") or "0")[:6].ljust(6, "0")
    second = int(part.get("S") or 0)
    leap, second = (1, 59) if second == 60 else (0, second)
    given = part.get("z")
    moment = datetime(
        year or 2000, month, int(part.get("d") or 1), hour, int(part.get("M") or 0), second, int(fraction),
        tzinfo=_offset(given) if given else zone,
    )  # fmt: skip
    if part.get("j"):
        moment += timedelta(days=int(part["j"] or 1) - 1)
    if not year:
        moment = _year_nearest(moment, received)
    micros = to_micros(moment.astimezone(UTC)) + leap * 1_000_000
    return (micros, assumed and not given) if EARLIEST <= micros <= LATEST else None


class DateParser:
    """Formats tried in turn, results remembered: lines of one second say the same."""

    def __init__(self, formats: Sequence[str], zone: ZoneInfo, *, assumed: bool) -> None:
        self._parsers: list[Parser] = []
        self._yearless = False
        for text in formats:
            if text == "epoch":
                self._parsers.append(_epoch)
                continue
            pattern = {"iso": _ISO, "bsd": _BSD}.get(text) or compile_format(text)
            self._yearless = (
                self._yearless
                or text == "bsd"
                or ("(?P<Y>" not in pattern and "(?P<y>" not in pattern)
            )
            self._parsers.append(_pattern_parser(pattern, zone, assumed=assumed))
        self._known: dict[tuple[str, int], Moment | None] = {}

    def __call__(self, text: str, received: int) -> Moment | None:
        key = (text, received // DAY if self._yearless else 0)
        known = self._known
        if key in known:
            return known[key]
        # by the day, not by the moment of receipt: the same for every line that shares the entry
        moment = None
        for parser in self._parsers:
            moment = parser(text, key[1] * DAY if self._yearless else received)
            if moment is not None:
                break
        if len(known) >= 50_000:
            known.clear()
        known[key] = moment
        return moment
