"""The tree of a search over one group of rows: a mask of the rows that hold.

In: a node and a `Rows`, which hands out columns by name in pieces (so that memory is bounded). Out: a
mask of all rows; it is right where `among` is true, elsewhere false. What is cheap decides first, free text
is looked at only where all else holds.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, Protocol

from pipeline.model import events
from pipeline.store import query_values as values
from pipeline.store import words as free_text
from pipeline.store.fields import CUT, cut
from pipeline.store.query_tree import (
    Addresses,
    And,
    EventId,
    Everything,
    Exists,
    Keyword,
    Leaf,
    Node,
    Not,
    Numbers,
    Or,
    TextRange,
    Times,
    Truth,
    Wild,
    Wildcard,
    Words,
    leaves,
)

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    Mask = npt.NDArray[np.bool_]


class Rows(Protocol):
    """Rows of one dataset. `pieces` gives a column (or a key of the leftovers) as arrays in the order of
    the rows; nothing at all if there is no such name."""

    count: int

    def pieces(self, name: str) -> Iterator[Any]: ...

    def may_hold(self, words: Words) -> bool:
        """False only if no row's free text holds the words."""


def evaluate(node: Node, rows: Rows, among: Mask) -> Mask:
    """See the module. `among` is left as it is."""
    import numpy as np

    match node:
        case Everything():
            return among.copy()
        case And(parts):
            found = among
            for part in sorted(parts, key=_cost):
                if not found.any():
                    break
                found = found & evaluate(part, rows, found)
            return found.copy()
        case Or(parts):
            found = np.zeros(rows.count, dtype=np.bool_)
            for part in sorted(parts, key=_cost):
                left = among & ~found
                if not left.any():
                    break
                found |= evaluate(part, rows, left)
            return found
        case Not(part):
            return among & ~evaluate(part, rows, among)
        case Words():
            if not rows.may_hold(node):
                return np.zeros(rows.count, dtype=np.bool_)
            return _over(rows, events.ORIGINAL, lambda a: free_text.holds(a, node), among)
        case EventId():
            return _over(rows, events.ID, lambda a: leaf_mask(node, a), among)
    return _over(rows, node.field, lambda a: leaf_mask(node, a), among)


def hopeless(node: Node, rows: Rows) -> bool:
    """Whether what is known of the rows' words says already that none holds."""
    match node:
        case And(parts):
            return any(hopeless(part, rows) for part in parts)
        case Or(parts):
            return all(hopeless(part, rows) for part in parts)
        case Words():
            return not rows.may_hold(node)
    return False


def fields(node: Node) -> frozenset[str]:
    """The names that deciding needs, `event.original` and the id among them."""
    return frozenset(field_of(leaf) for leaf in leaves(node))


def field_of(leaf: Leaf) -> str:
    match leaf:
        case Words():
            return events.ORIGINAL
        case EventId():
            return events.ID
    return leaf.field


def _cost(node: Node) -> int:
    return sum(100 if isinstance(leaf, Words) else 1 for leaf in leaves(node))


def _over(rows: Rows, name: str, decide: Callable[[Any], Mask], among: Mask) -> Mask:
    """The decision piece by piece; a piece of which few rows are asked for is thinned first."""
    import numpy as np

    found = np.zeros(rows.count, dtype=np.bool_)
    start = 0
    for piece in rows.pieces(name):
        stop = start + len(piece)
        asked = among[start:stop]
        count = int(asked.sum())
        if count * 2 > len(piece):
            found[start:stop] = decide(piece) & asked
        elif count:
            places = np.flatnonzero(asked)
            found[start + places] = decide(piece.take(places))
        start = stop
    return found


def leaf_mask(leaf: Leaf, array: Any) -> Mask:
    """Which values of an array hold: of lists any item, of dictionaries each word once."""
    import numpy as np
    import pyarrow as pa
    import pyarrow.compute as pc

    kind = array.type
    if pa.types.is_list(kind):
        found = np.zeros(len(array), dtype=np.bool_)
        hits = leaf_mask(leaf, pc.list_flatten(array))
        found[pc.list_parent_indices(array).to_numpy()[hits]] = True
        return found
    if isinstance(leaf, Exists):
        return _mask(array.is_valid())
    if pa.types.is_dictionary(kind):
        words = leaf_mask(leaf, array.dictionary)
        if not words.any():
            return np.zeros(len(array), dtype=np.bool_)
        return _mask(pa.array(words).take(array.indices))
    return _plain(leaf, array)


def _plain(leaf: Leaf, array: Any) -> Mask:
    import pyarrow as pa
    import pyarrow.compute as pc

    match leaf:
        case Keyword(_, value):
            return _mask(pc.equal(pc.utf8_lower(searched(array)), value))
        case Wildcard(_, pattern):
            return _mask(_fits(pc.utf8_lower(searched(array)), pattern))
        case TextRange(_, low, high, with_low, with_high):
            lowered = pc.utf8_lower(searched(array))
            return _between(lowered, low, high, with_low, with_high)
        case Numbers(_, low, high, with_low, with_high):
            return _numbers(array, low, high, with_low, with_high)
        case Times(_, start, stop):
            if not pa.types.is_timestamp(array.type):
                return _none(array)
            micros = array.cast(pa.timestamp("us", "UTC")).cast(pa.int64())
            return _between(micros, start, stop, True, False)
        case Addresses(_, first, last):
            return _by_distinct(
                array,
                lambda text: (one := values.address(text)) is not None and first <= one <= last,
            )
        case Truth(_, value):
            if pa.types.is_boolean(array.type):
                return _mask(pc.equal(array, value))
            return _by_distinct(array, lambda text: text.lower() == str(value).lower())
        case EventId(value):
            return _mask(pc.equal(array.cast(pa.binary(16)), pa.scalar(value, pa.binary(16))))
    raise TypeError(f"no such leaf: {leaf}")


def _mask(array: Any) -> Mask:
    import numpy as np
    import pyarrow.compute as pc

    filled = pc.fill_null(array, False) if array.null_count else array
    return np.asarray(filled.to_numpy(zero_copy_only=False), dtype=np.bool_)


def _none(array: Any) -> Mask:
    import numpy as np

    return np.zeros(len(array), dtype=np.bool_)


def as_text(array: Any) -> Any:
    """The values as a keyword: a number as its digits, a truth as ``true``, others as Python says them."""
    import pyarrow as pa

    kind = array.type
    if pa.types.is_string(kind):
        return array
    if pa.types.is_integer(kind) or pa.types.is_boolean(kind):
        return array.cast(pa.string())
    return pa.array([None if v is None else str(v) for v in array.to_pylist()], pa.string())


def searched(array: Any) -> Any:
    """The texts as far as they are searched: what is longer is looked at in its first part, as on the other store."""
    import pyarrow as pa
    import pyarrow.compute as pc

    array = as_text(array)
    longest = pc.max(pc.binary_length(array)).as_py() or 0
    if longest <= CUT:
        return array
    return pa.array([None if one is None else cut(one) for one in array.to_pylist()], pa.string())


def _between(array: Any, low: Any, high: Any, with_low: bool, with_high: bool) -> Mask:
    import pyarrow.compute as pc

    found = _mask(array.is_valid())
    if low is not None:
        found &= _mask((pc.greater_equal if with_low else pc.greater)(array, low))
    if high is not None:
        found &= _mask((pc.less_equal if with_high else pc.less)(array, high))
    return found


def _numbers(array: Any, low: Any, high: Any, with_low: bool, with_high: bool) -> Mask:
    """Numbers as they are; text (a leftover) as the number it reads as, if it is one."""
    import pyarrow as pa

    if pa.types.is_integer(array.type) or pa.types.is_floating(array.type):
        return _between(array, low, high, with_low, with_high)
    if not pa.types.is_string(array.type):
        return _none(array)

    def inside(text: str) -> bool:
        value = values.number(text)
        return (
            value is not None
            and (low is None or (value >= low if with_low else value > low))
            and (high is None or (value <= high if with_high else value < high))
        )

    return _by_distinct(array, inside)


def _by_distinct(array: Any, decide: Callable[[str], bool]) -> Mask:
    """Each distinct text decided once."""
    import pyarrow as pa

    encoded = as_text(array).dictionary_encode()
    words = pa.array([decide(text) for text in encoded.dictionary.to_pylist()], pa.bool_())
    return _mask(words.take(encoded.indices))


def _fits(lowered: Any, pattern: tuple[str | Wild, ...]) -> Any:
    import pyarrow.compute as pc

    match pattern:
        case (str(text), Wild.ANY):
            return pc.starts_with(lowered, text)
        case (Wild.ANY, str(text)):
            return pc.ends_with(lowered, text)
        case (Wild.ANY, str(text), Wild.ANY):
            return pc.match_substring(lowered, text)
    spelled = "".join(
        {Wild.ANY: ".*", Wild.ONE: "."}[piece]
        if isinstance(piece, Wild)
        else "".join(f"\\x{{{ord(char):X}}}" for char in piece)
        for piece in pattern
    )
    return pc.match_substring_regex(lowered, f"(?s)^{spelled}$")
