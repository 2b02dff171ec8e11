"""The stage between spool and store: the next receipts of a node, normalised, committed, settled.

In: a node's spool after its watermark. Out: one commit, in which every receipt is a stored event, a
known one, dropped, or refused with a dead letter that carries its bytes. Doing it again after a crash
does the same: the watermark says where to begin. What killed a process before is the guard's affair.
A source whose product is gone is read as `generic`: its events are there and say so, and a dead letter
of each points at its event, so that a replay mends it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from itertools import chain
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import sqlalchemy as sa

from collectors.spool.errors import SpoolDamagedError
from collectors.spool.reader import SpoolReader
from pipeline.model import events
from pipeline.model.clock import to_micros
from pipeline.model.records import DeadLetter, RawRecord, Settled
from pipeline.normalise.context import Context, Normalised
from pipeline.normalise.guard import Guard
from pipeline.normalise.layout import as_laid_out
from pipeline.normalise.product import Product
from pipeline.state.state import State
from pipeline.state.tables.register import Source
from pipeline.store.base import Commit, Store
from pipeline.store.columns import concat
from pipeline.store.seen import note_seen

if TYPE_CHECKING:
    import pyarrow as pa

    from pipeline.normalise.geo import Countries

FALLBACK: Final = "generic"
_UNGUARDED: Final = Guard()


def settle_once(
    reader: SpoolReader,
    store: Store,
    state: State,
    products: Mapping[str, Product],
    *,
    key: bytes,
    now: datetime,
    limit: int = 20_000,
    guard: Guard = _UNGUARDED,
    countries: Countries | None = None,
) -> Settled | None:
    """Settle at most `limit` receipts of the reader's node. None: nothing waits."""
    node = reader.node
    after = store.watermark().get(node, 0)
    try:
        records = reader.read(after, guard.limit(node, after, limit))
    except SpoolDamagedError as error:
        return store.append(_damaged(node, after + 1, error, now), now=now)
    if not records:
        return None
    if deaths := guard.given_up(node, after):
        return store.append(_given_up(node, records[0], deaths, _sources(state, records)), now=now)
    with guard.attempt(node, records[0].sequence, records[-1].sequence):
        made = _normalised(
            node, records, products, _sources(state, records), guard, key, now, countries
        )
        commit = made.commit(node, records)
        settled = store.append(commit, now=now)
    reader.release(settled.last)
    note_seen(state, commit.tables.values())
    return settled


def normalise_again(
    node: str,
    records: Sequence[RawRecord],
    state: State,
    products: Mapping[str, Product],
    *,
    key: bytes,
    now: datetime,
    countries: Countries | None = None,
) -> dict[str, pa.Table]:
    """The events of records that were settled once, by dataset; nothing is stored. In processes apart: one of
    the records may be what killed a process then."""
    guard = Guard(careful=True)
    made = _normalised(
        node, records, products, _sources(state, records), guard, key, now, countries
    )
    return {dataset: concat(parts) for dataset, parts in made.tables.items()}


@dataclass
class _Made:
    """What became of a batch, gathered over its sources."""

    tables: dict[str, list[pa.Table]] = field(default_factory=dict)
    dead: list[DeadLetter] = field(default_factory=list)
    dropped: int = 0
    refused: int = 0

    def add(self, done: Normalised) -> None:
        for dataset, table in done.tables.items():
            self.tables.setdefault(dataset, []).append(table)
        self.dead += done.dead
        self.dropped += done.dropped
        self.refused += sum(letter.cause == "poison" for letter in done.dead)

    def commit(self, node: str, records: Sequence[RawRecord]) -> Commit:
        joined = {dataset: concat(parts) for dataset, parts in self.tables.items()}
        own_identity = any(record.identity for record in records)
        return Commit(
            node=node, first=records[0].sequence, last=records[-1].sequence, tables=joined,
            dead=self.dead, dropped=self.dropped, refused=self.refused,
            resendable=frozenset(d for d in joined if own_identity or d.startswith("windows.")),
        )  # fmt: skip


def _normalised(
    node: str,
    records: Sequence[RawRecord],
    products: Mapping[str, Product],
    sources: Mapping[str, _Way],
    guard: Guard,
    key: bytes,
    now: datetime,
    countries: Countries | None,
) -> _Made:
    """All sources that run a product and are read alike go through as one batch."""
    ways = {
        name: (
            s.product,
            s.timezone,
            s.encoding or "utf-8",
            str((s.options or {}).get("layout", "")),
        )
        for name, s in sources.items()
    }
    owners = {name: source.agency for name, source in sources.items()}
    batches: dict[tuple[str, str, str, str], dict[str, list[RawRecord]]] = {}
    shelves = {  # by agency, as the lake keeps them, the oldest first
        name: batches.setdefault(ways[name], {}).setdefault(owners[name], [])
        for name in sorted(sources, key=lambda name: owners[name])
    }
    unknown: list[RawRecord] = []
    for record in records:
        shelves.get(record.source, unknown).append(record)
    made = _Made()
    made.dead += [_refused(record, "", "unknown_source", _UNREGISTERED) for record in unknown]
    made.refused += len(unknown)
    for (name, timezone, encoding, layout), agencies in batches.items():
        batch = list(chain.from_iterable(agencies.values()))
        product = products.get(name)
        context = Context(
            node=node, agency="", source="", key=key, ingested=to_micros(now), timezone=timezone,
            encoding=encoding, countries=countries, owners=owners,
        )  # fmt: skip
        done = guard.normalise(
            as_laid_out(product, layout) if product else products[FALLBACK], batch, context
        )
        made.add(done if product is not None else _noted(done, name))
    return made


_UNREGISTERED: Final = "the source is not in the register"


class _Way(NamedTuple):
    """What the register says of how a source is read."""

    agency: str
    product: str
    timezone: str
    encoding: str
    options: dict[str, Any]


def _sources(state: State, records: Sequence[RawRecord]) -> dict[str, _Way]:
    names = sorted({record.source for record in records})
    wanted = (
        Source.id,
        Source.agency,
        Source.product,
        Source.timezone,
        Source.encoding,
        Source.options,
    )
    with state.read() as session:
        rows = session.execute(sa.select(*wanted).where(Source.id.in_(names)))
        return {name: _Way(*way) for name, *way in rows}


def _refused(record: RawRecord, agency: str, cause: str, said: str) -> DeadLetter:
    return DeadLetter(
        record.sequence, record.source, agency, cause, said, record.received, body=record.body
    )


def _given_up(node: str, record: RawRecord, deaths: int, sources: Mapping[str, _Way]) -> Commit:
    source = sources.get(record.source)
    said = f"{deaths} processes died while they stored it"
    letter = _refused(record, source.agency if source else "", "poison", said)
    return Commit(
        node=node, first=record.sequence, last=record.sequence, tables={}, dead=[letter], refused=1
    )


def _damaged(node: str, first: int, error: SpoolDamagedError, now: datetime) -> Commit:
    """The receipts that the disk no longer gives: refused, with one letter that says which and where."""
    letter = DeadLetter(first, "", "", "spool_damaged", str(error), to_micros(now))
    return Commit(
        node=node,
        first=first,
        last=error.last,
        tables={},
        dead=[letter],
        refused=error.last - first + 1,
    )


def _noted(done: Normalised, product: str) -> Normalised:
    """Every event says that its product is unknown, and has a letter that points at it."""
    said = f"no such product: {product}; read as {FALLBACK}"
    letters = [
        DeadLetter(sequence, source, agency, "unknown_product", said, received, event=event.hex())
        for table in done.tables.values()
        for event, sequence, source, agency, received in _receipts(table)
    ]
    return Normalised(
        {name: _remarked(table, said) for name, table in done.tables.items()},
        (*done.dead, *letters), done.dropped, done.resendable,
    )  # fmt: skip


def _receipts(table: pa.Table) -> Iterator[tuple[bytes, int, str, str, int]]:
    import pyarrow as pa

    created = table.column(events.CREATED).cast(pa.int64())
    names = (events.ID, events.SEQUENCE, events.SOURCE, events.AGENCY)
    columns = [table.column(name).to_pylist() for name in names]
    yield from zip(*columns, created.to_pylist(), strict=True)


def _remarked(table: pa.Table, said: str) -> pa.Table:
    import pyarrow as pa

    tags: list[Any] = [
        [*(words or []), events.TAG_UNKNOWN_PRODUCT]
        for words in table.column(events.TAGS).to_pylist()
    ]
    remarks = [
        f"{said}; {known}" if known else said for known in table.column(events.ERROR).to_pylist()
    ]
    for name, values, kind in (
        (events.TAGS, tags, pa.list_(pa.string())),
        (events.ERROR, remarks, pa.string()),
    ):
        table = table.set_column(table.schema.get_field_index(name), name, pa.array(values, kind))
    return table
