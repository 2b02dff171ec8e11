"""`related.ip`, `.user`, `.hosts` and `.hash`: every value of its kind in an event, once, for pivots."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

import numpy as np

from pipeline.normalise.types import Array

_SIDES: Final = ("source", "destination", "client", "server", "host", "observer")
_HASHED: Final = ("process", "file", "dll", "process.parent")

SOURCES: Final[Mapping[str, tuple[str, ...]]] = {
    "related.ip": (
        *(f"{side}.ip" for side in _SIDES), "source.nat.ip", "destination.nat.ip", "dns.resolved_ip",
    ),
    "related.user": (
        "user.name", "user.target.name", "user.effective.name", "user.changes.name",
        "source.user.name", "destination.user.name", "client.user.name", "server.user.name",
    ),
    "related.hosts": (
        "host.name", "host.hostname", "observer.hostname", "observer.name",
        "source.domain", "destination.domain", "client.domain", "server.domain", "url.domain", "dns.question.name",
    ),
    "related.hash": tuple(
        f"{what}.hash.{how}" for what in _HASHED for how in ("md5", "sha1", "sha256", "sha512", "imphash")
    ),
}  # fmt: skip


def related(columns: Mapping[str, Array], wanted: frozenset[str] | None) -> dict[str, Array]:
    """The lists that have a value at all. A value that two fields share comes once."""
    from pipeline.normalise.arrow import pa

    made: dict[str, Array] = {}
    for target, names in SOURCES.items():
        if target in columns or (wanted is not None and target not in wanted):
            continue
        found = [
            columns[name] for name in names if name in columns and columns[name].type == pa.string()
        ]
        if found:
            made[target] = _lists(found)
    return made


def _lists(columns: Sequence[Array]) -> Array:
    """Row by row the valid, distinct values of several columns, as one list."""
    from pipeline.normalise.arrow import pa, pc

    count, width = len(columns[0]), len(columns)
    keep = np.zeros((count, width), bool)
    for i, column in enumerate(columns):
        own = np.asarray(column.is_valid()).copy()
        for other in columns[:i]:
            same = pc.fill_null(pc.equal(column, other), False)
            if same.true_count:
                own &= ~np.asarray(same)
        keep[:, i] = own
    whole = pa.concat_arrays(columns)
    places = (np.arange(count)[:, None] + np.arange(width)[None, :] * count)[keep]
    sizes = keep.sum(axis=1)
    offsets = np.zeros(count + 1, np.int32)
    np.cumsum(sizes, out=offsets[1:])
    values = whole.take(pa.array(places.astype(np.int32)))
    empty = sizes == 0
    if not empty.any():
        return pa.ListArray.from_arrays(pa.array(offsets), values)
    mask = np.append(empty, False)
    return pa.ListArray.from_arrays(pa.array(offsets, mask=mask), values)
