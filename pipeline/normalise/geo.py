"""`source.geo.country_iso_code` of events that have a source address and no country of their own.

In: the columns of a batch and a table of address ranges. Out: the column, its gaps filled. Pure: the
same table and batch give the same column. A country that the product said itself stays.

    10.0.0.0/8,VN                       the table: a network and a country,
    203.0.113.0,203.0.113.255,NL        or a range and a country; the narrower wins

The operator's own is such a CSV or a MaxMind database (`GeoLite2-Country.mmdb` and others of that format),
told apart by its end. One that is replaced is taken up at the next batch; while the new one cannot be read the
old one stays.
"""

from __future__ import annotations

import csv
import logging
import socket
from bisect import bisect_right
from collections.abc import Callable, Iterable, Mapping
from functools import lru_cache
from ipaddress import IPv6Address, ip_address, ip_network
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from pipeline.model.errors import UsageError
from pipeline.normalise.mmdb import open_mmdb
from pipeline.normalise.networks import Networks, load_networks
from pipeline.normalise.types import Array
from pipeline.settings.places import config_dir

ADDRESS: Final = "source.ip"
COUNTRY: Final = "source.geo.country_iso_code"
_MAPPED: Final = b"\0" * 10 + b"\xff\xff"
_REMEMBERED: Final = 200_000

if TYPE_CHECKING:
    import maxminddb

log = logging.getLogger(__name__)
Range = tuple[bytes, bytes, str]  # first and last address, 16 bytes each, and the country


class Countries:
    """Address ranges without overlap, in order."""

    def __init__(self, ranges: Iterable[Range]) -> None:
        flat = _flat(sorted(set(ranges), key=lambda r: (r[0], _inverse(r[1]))))
        self._firsts = [first for first, _, _ in flat]
        self._ranges = flat
        self.of = lru_cache(_REMEMBERED)(self._look_up)

    def _look_up(self, address: str) -> str | None:
        try:
            packed = (
                socket.inet_pton(socket.AF_INET6, address)
                if ":" in address
                else _MAPPED + socket.inet_pton(socket.AF_INET, address)
            )
        except (OSError, ValueError):
            return None
        place = bisect_right(self._firsts, packed) - 1
        if place < 0 or packed > self._ranges[place][1]:
            return None
        return self._ranges[place][2]

    def fill(self, columns: Mapping[str, Array], wanted: frozenset[str] | None) -> dict[str, Array]:
        """The country column where it gains something, else nothing."""
        from pipeline.normalise.arrow import pa, pc

        addresses, own = columns.get(ADDRESS), columns.get(COUNTRY)
        if addresses is None or (wanted is not None and COUNTRY not in wanted):
            return {}
        if own is not None and not own.null_count:
            return {}
        coded = pc.dictionary_encode(addresses)
        known = [None if each is None else self.of(each) for each in coded.dictionary.to_pylist()]
        if not any(known):
            return {}
        found = pa.array(known, pa.string()).take(coded.indices)
        return {COUNTRY: found if own is None else pc.coalesce(own, found)}


def _inverse(packed: bytes) -> int:
    return -int.from_bytes(packed, "big")


def _flat(ranges: list[Range]) -> list[Range]:
    """Nested ranges cut into ones that do not overlap: of two the narrower wins. They come by first
    address, the wider before the narrower."""
    flat: list[Range] = []
    open_: list[Range] = []  # around the place where we are, the narrowest last
    here = b""

    def upto(limit: bytes | None) -> None:
        nonlocal here
        while open_ and (limit is None or open_[-1][1] < limit):
            _, last, country = open_.pop()
            if here <= last:
                flat.append((here, last, country))
                here = _after(last)
        if open_ and limit is not None and here < limit:
            flat.append((here, _before(limit), open_[-1][2]))

    for first, last, country in ranges:
        upto(first)
        here = first
        open_.append((first, last, country))
    upto(None)
    return flat


def _after(packed: bytes) -> bytes:
    return (min(int.from_bytes(packed, "big") + 1, 2**128 - 1)).to_bytes(16, "big")


def _before(packed: bytes) -> bytes:
    return (int.from_bytes(packed, "big") - 1).to_bytes(16, "big")


class Database(Countries):
    """A MaxMind database: read where it lies, an address at a time."""

    def __init__(self, reader: maxminddb.Reader) -> None:
        self._reader = reader
        self.of = lru_cache(_REMEMBERED)(self._look_up)

    def _look_up(self, address: str) -> str | None:
        import maxminddb

        try:
            found = self._reader.get(address)
        except (
            ValueError,
            maxminddb.InvalidDatabaseError,
        ):  # no address; IPv6 in one of IPv4; a bad page
            return None
        country = found.get("country") if isinstance(found, dict) else None
        code = country.get("iso_code") if isinstance(country, dict) else country
        return code.upper() if isinstance(code, str) and len(code) == 2 else None


class Places(Countries):
    """Countries, and whose networks they are in."""

    def __init__(self, countries: Countries, networks: Networks) -> None:
        self._countries, self._networks, self.of = countries, networks, countries.of

    def fill(self, columns: Mapping[str, Array], wanted: frozenset[str] | None) -> dict[str, Array]:
        return self._countries.fill(columns, wanted) | self._networks.fill(columns, wanted)


_held: dict[Path, tuple[tuple[int, int], Any]] = {}  # by file: what it was when it was read


def countries_for(setting: str, networks: str = "") -> Countries:
    """The operator's file, else the table that comes with the program; with `networks`, a database of
    autonomous systems beside it."""
    path = Path(setting) if setting else config_dir() / "geo" / "countries.csv"
    countries: Countries = _fresh(path, load_countries, "the table of countries")
    if not networks:
        return countries
    return Places(countries, _fresh(Path(networks), load_networks, "the table of networks"))


def _fresh(path: Path, load: Callable[[Path], Any], what: str) -> Any:
    """What a file says now; the old, while the new cannot be read."""
    held = _held.get(path)
    try:
        told = path.stat()
        stamp = (told.st_mtime_ns, told.st_size)
        if held is None or held[0] != stamp:
            _held[path] = (stamp, load(path))
    except (OSError, UsageError) as error:
        if held is not None:
            log.warning("%s cannot be read anew", what, extra={"why": str(error)})
            return held[1]
        if isinstance(error, UsageError):
            raise
        raise UsageError(f"{what} cannot be read: {error.strerror}", where=str(path)) from None
    return _held[path][1]


def load_countries(path: Path) -> Countries:
    """The table of a file, by its end. UsageError says what is wrong with it, and where."""
    return _database(path) if path.suffix.lower() == ".mmdb" else _table(path)


def _database(path: Path) -> Database:
    return Database(open_mmdb(path, "the table of countries", "a MaxMind database of countries"))


def _table(path: Path) -> Countries:
    """The table of a CSV file. UsageError names the line that is none."""
    ranges: list[Range] = []
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            for number, row in enumerate(csv.reader(file), 1):
                if not row or row[0].lstrip().startswith("#"):
                    continue
                try:
                    ranges.append(_range([cell.strip() for cell in row]))
                except (ValueError, IndexError):
                    raise UsageError(
                        "this is no range of addresses and its country",
                        where=f"{path.name}:{number}", got=",".join(row)[:80],
                        expected="network,country or first,last,country",
                    ) from None  # fmt: skip
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise UsageError(
            "the table of countries cannot be read", where=str(path), got=str(error)
        ) from None
    return Countries(ranges)


def _range(cells: list[str]) -> Range:
    if "/" in cells[0]:
        network = ip_network(cells[0], strict=False)
        first, last, country = network[0], network[-1], cells[1]
    else:
        first, last, country = ip_address(cells[0]), ip_address(cells[1]), cells[2]
    if len(country) != 2 or not country.isalpha() or first.version != last.version:
        raise ValueError
    ends = [
        each.packed if isinstance(each, IPv6Address) else _MAPPED + each.packed
        for each in (first, last)
    ]
    if ends[0] > ends[1]:
        raise ValueError
    return ends[0], ends[1], country.upper()
