"""Values of one field as they came, and their two faces: Python's, and Arrow's text."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from itertools import chain
from typing import Any

from collectors.formats.json_lines import as_text
from collectors.formats.text import clean
from pipeline.normalise.types import Array


def gathered(parts: Sequence[Any]) -> Any:
    """Columns one behind the other: a list of values, or an array of text where a part is one."""
    from pipeline.normalise.arrow import pa

    if len(parts) == 1:
        return parts[0]
    if all(isinstance(part, tuple | list) for part in parts):
        return list(chain.from_iterable(parts))
    return pa.concat_arrays([text_array(part) for part in parts])


def text_array(values: Any) -> Array:
    """Any values as text; None stays null. The fast way is for values that are text already."""
    from pipeline.normalise.arrow import pa

    if not isinstance(values, tuple | list):
        return values
    try:
        return pa.array(values, pa.string())
    except (pa.ArrowTypeError, pa.ArrowInvalid, UnicodeEncodeError):
        pass
    kinds = set(map(type, values))
    if kinds <= {int, type(None)} or kinds <= {bool, type(None)}:
        with suppress(OverflowError, pa.ArrowInvalid):  # beyond 64 bits
            return pa.array(values).cast(pa.string())
    texts = [
        value if value.__class__ is str or value is None else as_text(value) for value in values
    ]
    try:
        return pa.array(texts, pa.string())
    except UnicodeEncodeError:
        return pa.array([None if text is None else clean(text) for text in texts], pa.string())


def list_array(values: Sequence[Any]) -> Array:
    """Any values as lists of text: a list item by item, anything else as a list of one."""
    from pipeline.normalise.arrow import pa

    items: list[str] = []
    offsets: list[int | None] = []
    for value in values:
        offsets.append(None if value is None else len(items))
        if value is None:
            continue
        for item in value if isinstance(value, list) else (value,):
            if item is not None:
                items.append(clean(as_text(item)))
    offsets.append(len(items))
    return pa.ListArray.from_arrays(pa.array(offsets, pa.int32()), pa.array(items, pa.string()))
