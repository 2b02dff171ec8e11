"""The stage between spool and store: the next receipts of a node, normalised, committed, settled.

In: a node's spool after its watermark. Out: one commit, in which every receipt is a stored event, a
known one, dropped, or refused with a dead letter that carries its bytes. Doing it again after a crash
does the same: the watermark says where to begin.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING

import sqlalchemy as sa

from collectors.spool.errors import SpoolDamagedError
from collectors.spool.reader import SpoolReader
from pipeline.model.clock import to_micros
from pipeline.model.records import DeadLetter, RawRecord, Settled
from pipeline.normalise.context import Context
from pipeline.normalise.normaliser import normalise_safely
from pipeline.normalise.product import Product
from pipeline.state.state import State
from pipeline.state.tables.register import Source
from pipeline.store.base import Commit
from pipeline.store.columns import concat
from pipeline.store.lake import Lake

if TYPE_CHECKING:
    import pyarrow as pa


def settle_once(
    reader: SpoolReader,
    store: Lake,
    state: State,
    products: Mapping[str, Product],
    *,
    key: bytes,
    now: datetime,
    limit: int = 20_000,
) -> Settled | None:
    """Settle at most `limit` receipts of the reader's node. None: nothing waits."""
    after = store.watermark().get(reader.node, 0)
    try:
        records = reader.read(after, limit)
    except SpoolDamagedError as error:
        return store.append(_damaged(reader.node, after + 1, error, now), now=now)
    if not records:
        return None
    with state.read() as session:
        names = sorted({record.source for record in records})
        sources = {
            row.id: row for row in session.scalars(sa.select(Source).where(Source.id.in_(names)))
        }
    by_source: dict[str, list[RawRecord]] = {}
    for record in records:
        by_source.setdefault(record.source, []).append(record)
    tables: dict[str, list[pa.Table]] = {}
    dead: list[DeadLetter] = []
    dropped = refused = 0
    for name, batch in by_source.items():
        source = sources.get(name)
        product = products.get(source.product) if source is not None else None
        if source is None or product is None:
            dead += _refused(batch, source)
            refused += len(batch)
            continue
        context = Context(
            node=reader.node, agency=source.agency, source=name, key=key, ingested=to_micros(now),
            timezone=source.timezone, encoding=source.encoding or "utf-8",
        )  # fmt: skip
        done = normalise_safely(product, batch, context)
        for dataset, table in done.tables.items():
            tables.setdefault(dataset, []).append(table)
        dead += done.dead
        dropped += done.dropped
        refused += sum(letter.cause == "poison" for letter in done.dead)
    joined = {dataset: concat(parts) for dataset, parts in tables.items()}
    own_identity = any(record.identity for record in records)
    commit = Commit(
        node=reader.node, first=records[0].sequence, last=records[-1].sequence, tables=joined,
        dead=dead, dropped=dropped, refused=refused,
        resendable=frozenset(d for d in joined if own_identity or d.startswith("windows.")),
    )  # fmt: skip
    settled = store.append(commit, now=now)
    reader.release(settled.last)
    return settled


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


def _refused(batch: Sequence[RawRecord], source: Source | None) -> list[DeadLetter]:
    cause = "unknown_source" if source is None else "unknown_product"
    said = (
        "the source is not in the register"
        if source is None
        else f"no such product: {source.product}"
    )
    return [
        DeadLetter(
            record.sequence, record.source, source.agency if source else "", cause, said,
            record.received, body=record.body,
        )
        for record in batch
    ]  # fmt: skip
