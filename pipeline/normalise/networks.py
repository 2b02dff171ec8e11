"""Whose network an address is in: `source.as.*` and `destination.as.*` from a MaxMind database of the operator's.

In: the columns of a batch, and a database such as ``GeoLite2-ASN.mmdb``, whose records are ::

    {"autonomous_system_number": 7552, "autonomous_system_organization": "Viettel Group"}

Out: the columns `as.number` and `as.organization.name` of each side, their gaps filled. What a product said itself
stays. Pure: the same database and batch give the same columns. No such database comes with the program.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Final

from pipeline.normalise.mmdb import open_mmdb
from pipeline.normalise.types import Array

if TYPE_CHECKING:
    import maxminddb

_SIDES: Final = ("source", "destination")
_REMEMBERED: Final = 200_000
Network = tuple[int | None, str | None]


class Networks:
    """One database, an address at a time; what was asked before is remembered."""

    def __init__(self, reader: maxminddb.Reader) -> None:
        self._reader = reader
        self.of = lru_cache(_REMEMBERED)(self._look_up)

    def _look_up(self, address: str) -> Network:
        import maxminddb

        try:
            found = self._reader.get(address)
        except (
            ValueError,
            maxminddb.InvalidDatabaseError,
        ):  # no address; IPv6 in one of IPv4; a bad page
            return None, None
        if not isinstance(found, dict):
            return None, None
        number = found.get("autonomous_system_number")
        name = found.get("autonomous_system_organization")
        return (
            number if isinstance(number, int) else None,
            name if isinstance(name, str) else None,
        )

    def fill(self, columns: Mapping[str, Array], wanted: frozenset[str] | None) -> dict[str, Array]:
        """The columns that gain something."""
        from pipeline.normalise.arrow import pa, pc

        made: dict[str, Array] = {}
        for side in _SIDES:
            addresses = columns.get(f"{side}.ip")
            names = (f"{side}.as.number", f"{side}.as.organization.name")
            if addresses is None or (wanted is not None and not wanted & set(names)):
                continue
            coded = pc.dictionary_encode(addresses)
            known = [self.of(each) for each in coded.dictionary.to_pylist() if each is not None]
            for name, values, kind in zip(
                names, zip(*known, strict=True), (pa.int64(), pa.string()), strict=False
            ):
                if not any(values) or (wanted is not None and name not in wanted):
                    continue
                found, own = pa.array(values, kind).take(coded.indices), columns.get(name)
                made[name] = found if own is None else pc.coalesce(own, found)
        return made


def load_networks(path: Path) -> Networks:
    """UsageError says what is wrong with the file."""
    expected = "a MaxMind database of autonomous systems (GeoLite2-ASN.mmdb)"
    return Networks(open_mmdb(path, "the table of networks", expected))
