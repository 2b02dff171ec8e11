"""Documents back into events: the values that were stored, whatever was added to find them.

In: `_source` of hits. Out: rows as `Table.to_pylist` has them, or tables with the columns that a scan names.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from pipeline.model import events
from pipeline.model.clock import from_micros
from pipeline.normalise.document import flat_event, nested
from pipeline.normalise.ecs import arrow_type
from pipeline.store.columns import ALWAYS
from pipeline.store.elasticsearch.columns import INTERNAL, OTHER, SUPERSEDED, TYPED, WHOLE, mapped

if TYPE_CHECKING:
    import pyarrow as pa

_PAIR = re.compile(r"((?:[^=\\]|\\.)*)=(.*)", re.DOTALL)
_PLAIN = re.compile(r"\\(.)", re.DOTALL)


def document_of(source: Mapping[str, Any]) -> dict[str, Any]:
    """The nested ECS document of a hit, as the lake gives it, with its successor if it has one."""
    document = nested(sorted(flat_event(row_of(source)).items()))
    if SUPERSEDED in source:
        document.setdefault("thapcanh", {})["superseded_by"] = source[SUPERSEDED]
    return document


def row_of(source: Mapping[str, Any]) -> dict[str, Any]:
    row = {name: value_of(name, source) for name in names_of(source)}
    if events.EXTRA in source:
        row[events.EXTRA] = pairs_of(source)
    return row


def names_of(source: Mapping[str, Any]) -> list[str]:
    """The columns that an event has a value of."""
    own = [
        name
        for name in source
        if name not in INTERNAL and name != events.EXTRA and not name.startswith(TYPED)
    ]
    return [*own, *source.get(OTHER, ())]


def value_of(name: str, source: Mapping[str, Any]) -> Any:
    """The value of a column as Arrow would give it; None if the event has none."""
    value = source.get(name)
    if value is None:
        value = source.get(OTHER, {}).get(name)
        return from_micros(value["micros"]) if isinstance(value, dict) else value
    whole = source.get(WHOLE)
    if whole and name in whole:
        return whole[name]
    match mapped().get(name):
        case "date":
            micros = source.get(TYPED + name)
            return value if micros is None else from_micros(int(micros))
        case "id":
            return bytes.fromhex(value)
        case "sealed":
            return base64.b64decode(value)
    return value


def pairs_of(source: Mapping[str, Any]) -> list[tuple[str, str]]:
    """The leftovers."""
    found = []
    for entry in source.get(events.EXTRA) or ():
        read = _PAIR.fullmatch(entry)
        if read:
            name = read[1]
            found.append((_PLAIN.sub(r"\1", name) if "\\" in name else name, read[2]))
    return found


def table_of(sources: Sequence[Mapping[str, Any]], wanted: frozenset[str] | None) -> pa.Table:
    """A table of events of one dataset: always the envelope, then the wanted columns that occur (None:
    all of them, leftovers among them as their map)."""
    import pyarrow as pa

    occurring = dict.fromkeys(name for source in sources for name in names_of(source))
    if wanted is None:
        names = dict.fromkeys([*events.ENVELOPE[:12], *occurring])
    else:
        names = dict.fromkeys([*events.ENVELOPE[:12], *ALWAYS, *sorted(wanted)])
    names.pop(events.EXTRA, None)
    if wanted is not None:
        names.pop(events.ORIGINAL, None) if events.ORIGINAL not in wanted else None
    arrays: dict[str, Any] = {}
    missing = []
    for name in names:
        if name in occurring or (name in events.ENVELOPE[:12] and name != events.ORIGINAL):
            arrays[name] = _array(name, [value_of(name, source) for source in sources])
        else:
            missing.append(name)
    if wanted is None or events.EXTRA in wanted or missing:
        pairs = [pairs_of(source) for source in sources]
        if wanted is not None:
            arrays |= _from_pairs(pairs, missing)
        if (wanted is None or events.EXTRA in wanted) and any(pairs):
            arrays[events.EXTRA] = pa.array(pairs, pa.map_(pa.string(), pa.string()))
    return pa.table(arrays)


def _from_pairs(pairs: Sequence[list[tuple[str, str]]], names: Sequence[str]) -> dict[str, Any]:
    import pyarrow as pa

    maps = [dict(one) for one in pairs]
    have = {name for one in maps for name in one}
    return {
        name: pa.array([one.get(name) for one in maps], pa.string())
        for name in names
        if name in have
    }


def _array(name: str, values: list[Any]) -> Any:
    """As the kind of the name says, a list if any value is one; what does not fit is text."""
    import pyarrow as pa

    if name == events.ID:
        return pa.array(values, pa.binary(16))
    if name == events.ORIGINAL_BYTES:
        return pa.array(values, pa.binary())
    many = any(isinstance(value, list) for value in values)
    if many:
        values = [[one] if one is not None and not isinstance(one, list) else one for one in values]
    try:
        return pa.array(values, arrow_type(mapped().get(name, "text"), many=many))
    except (pa.ArrowTypeError, pa.ArrowInvalid):
        pass
    try:
        return pa.array(values)
    except (pa.ArrowTypeError, pa.ArrowInvalid):
        if many:
            texts: list[Any] = [None if v is None else [str(one) for one in v] for v in values]
            return pa.array(texts, pa.list_(pa.string()))
        return pa.array([None if v is None else str(v) for v in values], pa.string())
