"""Converters: the values of one raw field, for all rows that have it, to typed ECS columns.

In: a `Column` (values as they came, and circumstances). Out: for each target one Arrow array as
long as the input, and a remark for each value that did not fit (its place is null: a bad field
loses that field, never the event). Whole columns go through Arrow's kernels; only values that those
refuse, and distinct values of what needs Python, are looked at one by one.
"""

from __future__ import annotations

import re
import socket
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final
from zoneinfo import ZoneInfo

from collectors.formats.parsed import values_of
from collectors.formats.text import shown
from pipeline.model.clock import CITY_ZONE
from pipeline.normalise.column import Column, Converted, Converter
from pipeline.normalise.dates import EARLIEST, LATEST, DateParser
from pipeline.normalise.ecs import arrow_type
from pipeline.normalise.raw import list_array
from pipeline.normalise.types import Array, DataType

_FINE: Final = r"(\.[0-9]{6})[0-9]+"
_V4: Final = r"^((25[0-5]|2[0-4][0-9]|1[0-9][0-9]|[1-9]?[0-9])(\.|$)){4}$"


def _remarks(name: str, what: str, before: Array, after: Array) -> list[tuple[int, str]]:
    """A remark for each value that was there before and is null after."""
    from pipeline.normalise.arrow import pc

    if after.null_count == before.null_count:
        return []
    lost = pc.indices_nonzero(pc.and_(pc.is_valid(before), pc.is_null(after))).to_pylist()
    return [(i, f"{name}: not {what}: {shown(before[i].as_py())}") for i in lost]


def by_distinct(array: Array, function: Callable[[str], Any], kind: DataType) -> Array:
    """Apply a function to each distinct text."""
    from pipeline.normalise.arrow import pa

    encoded = array.dictionary_encode()
    made = pa.array([function(text) for text in encoded.dictionary.to_pylist()], kind)
    return made.take(encoded.indices)


def by_distinct_many(
    array: Array, function: Callable[[str], Sequence[str | None]], width: int
) -> list[Array]:
    """As `by_distinct`, for a function that gives `width` texts."""
    from pipeline.normalise.arrow import pa

    encoded = array.dictionary_encode()
    rows = [function(text) for text in encoded.dictionary.to_pylist()]
    columns = list(zip(*rows, strict=True)) if rows else [()] * width
    return [pa.array(column, pa.string()).take(encoded.indices) for column in columns]


def address(text: str) -> str | None:
    """The canonical form of an IPv4 or IPv6 address, or None. Brackets, zone and prefix come off."""
    text = text.strip().strip("[]").partition("%")[0]
    try:
        if ":" in text:
            packed = socket.inet_pton(socket.AF_INET6, text)
            if packed[:12] == b"\0" * 10 + b"\xff\xff":
                return socket.inet_ntop(socket.AF_INET, packed[12:])
            return socket.inet_ntop(socket.AF_INET6, packed)
        return socket.inet_ntop(socket.AF_INET, socket.inet_pton(socket.AF_INET, text))
    except (OSError, ValueError):
        return None


def addresses(array: Array) -> Array:
    """Text to canonical addresses; null where it is none."""
    from pipeline.normalise.arrow import pa, pc

    plain = pc.match_substring_regex(array, _V4)
    plain = pc.and_(plain, pc.invert(pc.ends_with(array, ".")))
    if plain.true_count == len(array) - array.null_count:
        return array
    slow = by_distinct(pc.if_else(plain, pa.scalar(None, pa.string()), array), address, pa.string())
    return pc.if_else(plain, array, slow)


def to_long(name: str) -> Converter:
    from pipeline.normalise.arrow import pa, pc

    def number(text: str) -> int | None:
        try:
            text = text.strip()
            value = int(text, 16) if text[:2].lower() == "0x" else int(text)
        except ValueError:
            whole, _, fraction = text.partition(".")
            if not whole.lstrip("+-").isdecimal() or fraction.strip("0"):
                return None
            value = int(whole)
        return value if -(2**63) <= value < 2**63 else None

    def convert(column: Column) -> Converted:
        try:
            if all(value.__class__ is int for value in column.values[:8]):
                return Converted({name: pa.array(column.values, pa.int64())})
        except (pa.ArrowInvalid, pa.ArrowTypeError, OverflowError):
            pass
        text = column.text
        try:
            array = pc.cast(text, pa.int64())
        except pa.ArrowInvalid:
            array = by_distinct(text, lambda t: number(t) if len(t) < 64 else None, pa.int64())
        return Converted({name: array}, _remarks(name, "a whole number of 64 bits", text, array))

    return convert


def to_float(name: str, *, scale: float = 1.0, unit: str = "") -> Converter:
    """`unit` s, ms or us with a long target makes ECS nanoseconds (`event.duration`)."""
    from pipeline.normalise.arrow import pa, pc

    factor = {"": scale, "s": 1e9, "ms": 1e6, "us": 1e3, "ns": 1.0}[unit]

    def number(text: str) -> float | None:
        try:
            value = float(text.strip().replace(",", "."))
        except ValueError:
            return None
        return value if abs(value) < 1e300 else None

    def convert(column: Column) -> Converted:
        text = column.text
        try:
            array = pc.cast(text, pa.float64())
            if not pc.all(pc.is_finite(array)).as_py() and array.null_count < len(array):
                array = by_distinct(text, number, pa.float64())
        except pa.ArrowInvalid:
            array = by_distinct(text, lambda t: number(t) if len(t) < 64 else None, pa.float64())
        remarks = _remarks(name, "a number", text, array)
        if factor != 1.0:
            array = pc.multiply(array, factor)
        if unit:
            fits = pc.less(pc.abs(array), 9.0e18)
            array = pc.cast(
                pc.round(pc.if_else(fits, array, pa.scalar(None, pa.float64()))), pa.int64()
            )
        return Converted({name: array}, remarks)

    return convert


_TRUE: Final = frozenset(("true", "yes", "1", "on", "enabled", "y", "t"))
_FALSE: Final = frozenset(("false", "no", "0", "off", "disabled", "n", "f"))


def to_boolean(name: str) -> Converter:
    from pipeline.normalise.arrow import pa

    def truth(text: str) -> bool | None:
        word = text.strip().lower()
        return True if word in _TRUE else False if word in _FALSE else None

    def convert(column: Column) -> Converted:
        text = column.text
        array = by_distinct(text, truth, pa.bool_())
        return Converted({name: array}, _remarks(name, "a truth value", text, array))

    return convert


def to_ip(name: str, *, strict: bool = True) -> Converter:
    """`strict` remarks what is no address; otherwise it is silently null (names are welcome there)."""

    def convert(column: Column) -> Converted:
        text = column.text
        array = addresses(text)
        return Converted({name: array}, _remarks(name, "an address", text, array) if strict else [])

    return convert


def to_text(name: str, *, case: str = "") -> Converter:
    from pipeline.normalise.arrow import pc

    change = {"": None, "lower": pc.utf8_lower, "upper": pc.utf8_upper}[case]

    def convert(column: Column) -> Converted:
        return Converted({name: column.text if change is None else change(column.text)})

    return convert


def to_list(name: str, *, separator: str = "") -> Converter:
    from pipeline.normalise.arrow import pa

    def convert(column: Column) -> Converted:
        if not separator:
            hollow = column.empty
            values = [
                None if isinstance(v, str) and v in hollow else v for v in values_of(column.values)
            ]
            return Converted({name: list_array(values)})

        def split(text: str) -> list[str]:
            return [part for part in (p.strip() for p in text.split(separator)) if part]

        return Converted({name: by_distinct(column.text, split, pa.list_(pa.string()))})

    return convert


def to_enum(name: str, values: Mapping[str, str], default: str, *, many: bool = False) -> Converter:
    """Texts (compared without case; ``4*`` means any that begins so) to words; `default` is `drop`,
    `keep`, or the word to take."""

    table = {key.lower(): value for key, value in values.items()}
    starts = [(key[:-1], value) for key, value in table.items() if key.endswith("*")]
    target = arrow_type("text", many=many)

    def word(text: str) -> str | None:
        folded = text.lower()
        known = table.get(folded)
        if known is None:
            known = next((value for start, value in starts if folded.startswith(start)), None)
        return known if known is not None else {"drop": None, "keep": text}.get(default, default)

    def convert(column: Column) -> Converted:
        def made(text: str) -> Any:
            value = word(text)
            return value.split(",") if many and value is not None else value

        return Converted({name: by_distinct(column.text, made, target)})

    return convert


def _epoch(text: Array) -> Array | None:
    """A column of whole numbers of one unit, at once; None if it is anything else."""
    from pipeline.normalise.arrow import pa, pc

    try:
        number = pc.cast(text, pa.int64())
    except pa.ArrowInvalid:
        return None
    span = pc.min_max(number).as_py()
    if span["min"] is None or span["min"] < 100_000_000:
        return None
    for least, unit in ((10**17, "ns"), (10**14, "us"), (10**11, "ms"), (10**8, "s")):
        if span["min"] >= least:
            if unit != "ns" and span["max"] >= least * 1_000:
                return None
            moments = pc.cast(
                pc.cast(number, pa.timestamp(unit, "UTC")), pa.timestamp("us", "UTC"), safe=False
            )
            return moments if span["max"] < 9 * 10**18 else None
    return None


def to_date(name: str, formats: Sequence[str], zone: str) -> Converter:
    """`zone` is `source` (the source's own, else the city's, which is noted) or an IANA name."""
    from pipeline.normalise.arrow import pa, pc

    parsers: dict[str, DateParser] = {}
    utc = pa.timestamp("us", "UTC")
    fast = formats[0] == "iso"

    def parser(source_zone: str) -> tuple[DateParser, bool]:
        declared = source_zone if zone == "source" else zone
        known = parsers.get(declared)
        if known is None:
            place = ZoneInfo(declared) if declared else CITY_ZONE
            if len(parsers) > 100:
                parsers.clear()
            known = parsers[declared] = DateParser(formats, place, assumed=not declared)
        return known, not declared

    def convert(column: Column) -> Converted:
        text = column.text
        if fast and len(text) > text.null_count:
            try:  # every text carries a zone; Arrow takes no more than microseconds
                array = pc.cast(pc.replace_substring_regex(text, _FINE, r"\1"), utc)
                micros = pc.cast(array, pa.int64())
                span = pc.min_max(micros).as_py()
                if span["min"] >= EARLIEST and span["max"] <= LATEST:
                    return Converted({name: array})
            except pa.ArrowInvalid:
                pass
        if formats[0] == "epoch":
            array = _epoch(text)
            if array is not None:
                return Converted({name: array})
        parse, _ = parser(column.zone)
        texts = text.to_pylist()
        made = [
            None if t is None or len(t) > 128 else parse(t, at)
            for t, at in zip(texts, column.received(), strict=True)
        ]
        array = pa.array([None if m is None else m[0] for m in made], utc)
        assumed = pa.array([m is not None and m[1] for m in made], pa.bool_())
        bad = _remarks(name, "a date of the expected form", text, array)
        return Converted({name: array}, bad, assumed if assumed.true_count else None)

    return convert


def to_extract(pattern: str, names: Sequence[str]) -> Converter:
    """The named groups of a pattern within the value; a value that does not fit gives nothing."""
    search = re.compile(pattern, re.ASCII).search
    hollow = (None,) * len(names)

    def parts(text: str) -> Sequence[str | None]:
        found = search(text[:4096])
        return found.groups() if found else hollow

    def convert(column: Column) -> Converted:
        arrays = by_distinct_many(column.text, parts, len(names))
        return Converted(dict(zip(names, arrays, strict=True)))

    return convert


def to_parts(
    names: Sequence[str | None], function: Callable[[str], Sequence[str | None]]
) -> Converter:
    """A text to several texts, e.g. a user to name and domain; a None among the names is left out."""

    def convert(column: Column) -> Converted:
        arrays = by_distinct_many(column.text, function, len(names))
        return Converted({name: a for name, a in zip(names, arrays, strict=True) if name})

    return convert
