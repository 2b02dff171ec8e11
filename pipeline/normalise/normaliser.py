"""A batch of records of one product and one source in, Arrow tables out. Pure.

The steps: bytes to text, lines to groups of equal shape (`lines`), groups of a dataset to columns
(`assemble`), the envelope (`envelope`), the tables. Invariants: every record becomes exactly one
row, or is counted in `dropped`, or (from `normalise_safely` alone) is dead-lettered as `poison`; and
the row is the same however records are cut into batches.
"""

from __future__ import annotations

from codecs import BOM_UTF8
from collections.abc import Iterable, Sequence
from typing import Any, Final

import numpy as np

from collectors.formats.text import composed
from pipeline.model import events
from pipeline.model.memory import collector_at_rest
from pipeline.model.records import DeadLetter, RawRecord
from pipeline.normalise import envelope
from pipeline.normalise.assemble import Assembled, Assembler, Rows
from pipeline.normalise.context import Context, Normalised
from pipeline.normalise.lines import Told, blank, tell
from pipeline.normalise.product import Product
from pipeline.normalise.related import related
from pipeline.normalise.types import Array, Table

__all__ = ["Context", "Normalised", "joined", "normalise", "normalise_safely"]

_FAILED: Final = {"event.kind": "pipeline_error"}


def normalise(product: Product, records: Sequence[RawRecord], context: Context) -> Normalised:
    """Every record becomes one row, or is counted in `dropped` (blank and header lines)."""
    if not records:
        return Normalised()
    with collector_at_rest():
        return _normalise(product, records, context)


def normalise_safely(
    product: Product, records: Sequence[RawRecord], context: Context
) -> Normalised:
    """As `normalise`, but a record that makes it raise is bisected out and dead-lettered as `poison`."""
    try:
        return normalise(product, records, context)
    except MemoryError:
        raise
    except Exception as error:  # noqa: BLE001 - whatever one record does, the others go on
        if len(records) == 1:
            record = records[0]
            letter = DeadLetter(
                record.sequence, record.source, context.agency_of(record), "poison",
                f"the normaliser failed: {type(error).__name__}: {error}"[:500], record.received, body=record.body,
            )  # fmt: skip
            return Normalised({}, (letter,), 0)
    half = len(records) // 2
    return joined(
        normalise_safely(product, records[:half], context),
        normalise_safely(product, records[half:], context),
    )


def joined(first: Normalised, second: Normalised) -> Normalised:
    """Two parts of a batch as one."""
    from pipeline.normalise.arrow import pa

    tables = dict(first.tables)
    for dataset, table in second.tables.items():
        known = tables.get(dataset)
        tables[dataset] = (
            table if known is None else pa.concat_tables([known, table], promote_options="default")
        )
    return Normalised(
        tables,
        first.dead + second.dead,
        first.dropped + second.dropped,
        first.resendable or second.resendable,
    )


def _normalise(product: Product, records: Sequence[RawRecord], context: Context) -> Normalised:
    kept: dict[int, bytes] = {}
    lines: list[Any]
    utf8 = envelope.is_utf8(context.encoding)
    if product.takes_bytes and utf8:
        lines = [record.body for record in records]
        odd = [row for row, body in enumerate(lines) if not b"!" <= body[:1] <= b"~"]
        empty = [row for row in odd if blank(lines[row])]
        try:
            whole = envelope.original(records, None)
        except Exception:  # noqa: BLE001 - some body is not UTF-8; each is looked at below
            text, kept = envelope.texts(records, context.encoding)
            for row in kept:
                lines[row] = text[row]
            whole = envelope.original(records, text)
    else:
        text, kept = envelope.texts(records, context.encoding)
        odd = [row for row, line in enumerate(text) if not "!" <= line[:1] <= "~"]
        empty = [row for row in odd if blank(records[row].body) or not text[row].strip()]
        whole = envelope.original(records, None if utf8 and not kept else text)
        lines = [*text] if utf8 else [composed(line) for line in text]
    for row in odd:  # only what begins with no visible sign of ASCII is blank, or has a mark
        if records[row].body.startswith(BOM_UTF8):  # the first line of a file
            mark = BOM_UTF8 if isinstance(lines[row], bytes) else "\ufeff"
            lines[row] = lines[row].removeprefix(mark)
    for row in empty:
        lines[row] = None
    told = tell(product, lines)
    dropped = told.dropped.union(empty)
    return _Batch(product, records, context, whole, kept).tables(told, len(dropped))


class _Batch:
    """What all datasets of one batch share."""

    def __init__(
        self,
        product: Product,
        records: Sequence[RawRecord],
        context: Context,
        original: Array,
        kept: dict[int, bytes],
    ) -> None:
        self._product, self._records, self._context = product, records, context
        self._original, self._kept = original, kept
        self._wanted, self._countries = context.columns, context.countries
        self._received = [record.received for record in records]
        self._receipts = envelope.receipts(records, context, product.name, product.revision)
        self._own: dict[int, bytes] = {}
        self._failed = frozenset[int]()

    def tables(self, told: Told, dropped: int) -> Normalised:
        """Groups by dataset; failures go with the product's own dataset."""
        self._failed = frozenset(told.failures)
        parts: dict[str, list[tuple[Any, Any]]] = {}
        for kind, group in told.groups:
            parts.setdefault(kind.dataset, []).append((kind, group))
        if told.failures:
            parts.setdefault(self._product.spec.dataset, [])
        made: dict[str, tuple[Rows, Assembled]] = {}
        for dataset, groups in sorted(parts.items()):
            failures = sorted(told.failures) if dataset == self._product.spec.dataset else []
            made[dataset] = self._columns(groups, failures, told)
        ids = None
        if self._wanted is None or events.ID in self._wanted or told.failures:
            ids = envelope.event_ids(
                self._records, self._context, self._own, self._product.revision
            )
        tables = {
            dataset: self._table(dataset, rows, part, ids) for dataset, (rows, part) in made.items()
        }
        dead = tuple(self._letters(told, ids or []))
        return Normalised(tables, dead, dropped, bool(self._own))

    def _letters(self, told: Told, ids: Sequence[bytes]) -> Iterable[DeadLetter]:
        for row, why in sorted(told.failures.items()):
            record = self._records[row]
            yield DeadLetter(
                record.sequence, record.source, self._context.agency_of(record), "parse_failure", why[:500],
                record.received, event=ids[row].hex(),
            )  # fmt: skip

    def _columns(
        self, groups: Sequence[tuple[Any, Any]], failures: Sequence[int], told: Told
    ) -> tuple[Rows, Assembled]:
        arrays = [np.array(group.rows, np.int32) for _, group in groups]
        rows = np.sort(np.concatenate([*arrays, np.array(failures, np.int32)])).astype(np.int32)
        local = np.empty(len(self._records), np.int32)
        local[rows] = np.arange(len(rows), dtype=np.int32)
        received = [self._received[row] for row in rows.tolist()]
        assembler = Assembler(
            self._product.planner,
            self._product.types,
            received,
            self._context.timezone,
            self._wanted_here(),
        )
        for (kind, group), array in zip(groups, arrays, strict=True):
            assembler.add(kind, group, local[array])
        part = assembler.finish(len(rows))
        for row, notes in told.notes.items():
            if row in self._failed or row not in set(rows.tolist()):
                continue
            part.remarks.setdefault(int(local[row]), []).extend(notes)
        for row in failures:
            part.remarks.setdefault(int(local[row]), []).append(told.failures[row])
        self._identify(part, rows)
        return rows, part

    def _wanted_here(self) -> frozenset[str] | None:
        """With the parts of the identity, which nobody asks for by name."""
        if self._wanted is None or events.ID not in self._wanted:
            return self._wanted
        return self._wanted | frozenset(self._product.spec.identity)

    def _identify(self, part: Assembled, rows: Rows) -> None:
        """Records that carry an identity of their own (computer, channel, record number)."""
        names = self._product.spec.identity
        if not names or any(name not in part.columns for name in names):
            return
        columns = [part.columns[name].to_pylist() for name in names]
        for row, values in zip(rows.tolist(), zip(*columns, strict=True), strict=True):
            if None not in values:
                self._own[row] = b"o\0" + "\0".join(map(str, values)).encode()

    def _table(
        self, dataset: str, rows: Rows, part: Assembled, ids: Sequence[bytes] | None
    ) -> Table:
        from pipeline.normalise.arrow import pa

        count = len(rows)
        every = count == len(self._records)
        index = pa.array(rows)
        columns: dict[str, Array] = {}
        if ids is not None:
            columns[events.ID] = pa.array([ids[row] for row in rows.tolist()], pa.binary(16))
        for name, array in self._receipts.items():
            columns[name] = array if every else array.take(index)
        columns[events.DATASET] = envelope.constant(dataset, count)
        columns[events.ORIGINAL] = self._original if every else self._original.take(index)
        columns[events.ORIGINAL_BYTES] = self._bytes(rows)
        time = part.columns.pop(events.TIME, None)
        columns[events.TIME] = self._time(time, columns[events.CREATED])
        failed = [row in self._failed for row in rows.tolist()] if self._failed else []
        tags = part.columns.pop(events.TAGS, None)
        columns[events.TAGS] = _tags(tags, count, part.assumed, failed)
        columns[events.ERROR] = _errors(part.remarks, count)
        if any(failed):
            for name, value in _FAILED.items():
                if self._wanted is not None and name not in self._wanted:
                    continue
                part.columns[name] = _fill(part.columns.get(name), failed, value)
        if self._product.header and (self._wanted is None or "host.name" in self._wanted):
            part.columns |= envelope.sender_as_host(part.columns, columns[events.PEER])
        for name, array in related(part.columns, self._wanted).items():
            part.columns[name] = array
        if self._countries is not None:
            part.columns |= self._countries.fill(part.columns, self._wanted)
        ordered = [name for name in events.ENVELOPE if name in columns]
        names = ordered + sorted(name for name in part.columns if name not in columns)
        arrays = [columns[name] for name in ordered] + [
            part.columns[name] for name in names[len(ordered) :]
        ]
        if part.extra is not None or self._wanted is None:
            names.append(events.EXTRA)
            kind = pa.map_(pa.string(), pa.string())
            arrays.append(pa.nulls(count, kind) if part.extra is None else part.extra)
        return pa.Table.from_arrays(arrays, names)

    @staticmethod
    def _time(time: Array | None, created: Array) -> Array:
        from pipeline.normalise.arrow import pc

        if time is None:
            return created
        return time if not time.null_count else pc.coalesce(time, created)

    def _bytes(self, rows: Rows) -> Array:
        from pipeline.normalise.arrow import pa

        if not self._kept:
            return pa.nulls(len(rows), pa.binary())
        return pa.array([self._kept.get(row) for row in rows.tolist()], pa.binary())


def _tags(own: Array | None, count: int, assumed: Sequence[int], failed: Sequence[bool]) -> Array:
    from pipeline.normalise.arrow import pa

    kind = pa.list_(pa.string())
    if not assumed and not failed:
        return pa.nulls(count, kind) if own is None else own
    words: list[list[str] | None] = [None] * count if own is None else own.to_pylist()
    for row, bad in enumerate(failed):
        if bad:
            words[row] = [*(words[row] or []), events.TAG_PARSE_FAILURE]
    for row in assumed:
        words[row] = [*(words[row] or []), events.TAG_ASSUMED_ZONE]
    return pa.array(words, kind)


def _errors(remarks: dict[int, list[str]], count: int) -> Array:
    from pipeline.normalise.arrow import pa

    if not remarks:
        return pa.nulls(count, pa.string())
    return pa.array(
        [envelope.remark(remarks[row]) if row in remarks else None for row in range(count)],
        pa.string(),
    )


def _fill(column: Array | None, failed: Sequence[bool], value: str) -> Array:
    from pipeline.normalise.arrow import pa

    known: list[Any] = [None] * len(failed) if column is None else column.to_pylist()
    return pa.array(
        [value if bad else old for bad, old in zip(failed, known, strict=True)], pa.string()
    )
