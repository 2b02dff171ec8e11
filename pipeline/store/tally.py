"""How often each value occurs in a column, an event counted once for each of its different values.

Values are compared as search compares them: text in lower case, long ones by their
first part, numbers as digits, times in ISO form.
"""

from __future__ import annotations

from collections import Counter
from typing import Any

from pipeline.model.clock import to_iso
from pipeline.store.masks import searched


def tally(array: Any, mask: Any) -> Counter[str]:
    """The values of the rows that the mask names."""
    import pyarrow as pa
    import pyarrow.compute as pc

    chosen = array.filter(pa.array(mask))
    if pa.types.is_list(chosen.type):
        pairs = pa.table(
            {"row": pc.list_parent_indices(chosen), "value": _texts(pc.list_flatten(chosen))}
        )
        texts = pairs.group_by(["row", "value"]).aggregate([]).column("value").combine_chunks()
    else:
        texts = _texts(chosen)
    counted = pc.value_counts(texts).to_pylist()
    return Counter({one["values"]: one["counts"] for one in counted if one["values"] is not None})


def _texts(array: Any) -> Any:
    import pyarrow as pa
    import pyarrow.compute as pc

    if pa.types.is_dictionary(array.type):
        array = array.dictionary_decode()
    if pa.types.is_timestamp(array.type):
        return pa.array([None if v is None else to_iso(v) for v in array.to_pylist()], pa.string())
    return pc.utf8_lower(searched(array))
