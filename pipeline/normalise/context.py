"""What one call of the normaliser is given beside the records, and what it gives back."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from pipeline.model.records import DeadLetter, RawRecord

if TYPE_CHECKING:
    import pyarrow as pa

    from pipeline.normalise.geo import Countries


@dataclass(frozen=True, slots=True)
class Context:
    """The circumstances of one batch: all its records are of one node, and read in one way.

    `agency` becomes `organization.id` and `source` is whose the records are; in a batch of several sources
    `owners` gives the agency of each, and a record's own word says its source: a batch costs as much as
    hundreds of records. `key` is the installation's (16 to 64 bytes). `ingested` is `event.ingested`,
    microseconds UTC. `timezone` is the IANA zone, empty if none was declared: then the city's (+07:00) is
    taken and the event is tagged `_assumed_zone`. `encoding` is the text's. `columns`, if given, names the
    only columns wanted besides the envelope; unless they are named, `event.id` is left out and
    `@timestamp` is the receipt's time, for hashing and reading times cost much: what `match` uses for
    speed. `countries` fills in where a source address is; None leaves that to what the product says.
    """

    node: str
    agency: str
    source: str
    key: bytes
    ingested: int
    timezone: str = ""
    encoding: str = "utf-8"
    columns: frozenset[str] | None = None
    countries: Countries | None = None
    owners: Mapping[str, str] | None = None

    def source_of(self, record: RawRecord) -> str:
        return self.source if self.owners is None else record.source

    def agency_of(self, record: RawRecord) -> str:
        return self.agency if self.owners is None else self.owners.get(record.source, "")


@dataclass(frozen=True, slots=True)
class Normalised:
    """One row an event, by dataset, in sequence order; the counts settle every record.

    rows of all tables + `dropped` + dead letters of cause `poison` = records given. Every other
    dead letter (`parse_failure`) points at a row by `event`. `resendable` says that some record
    carries an identity of its own, so that its event may be in the store already.
    """

    tables: dict[str, pa.Table] = field(default_factory=dict)
    dead: tuple[DeadLetter, ...] = ()
    dropped: int = 0
    resendable: bool = False

    @property
    def rows(self) -> int:
        return sum(table.num_rows for table in self.tables.values())
