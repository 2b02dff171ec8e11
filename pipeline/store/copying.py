"""Carry the events of one store over to the other, while no role of the system works on either.

In: two stores of one installation, and its state. Out: the same events there, ids, receipts and superseded ones
included; settlements, holds and marks stand in the state, which stays, so that the watermark is right at the end. Each
range of a node's receipts is read, written, made durable, read back and compared by count and digest before the next
one; a copy that was cut off anywhere goes on with the first range that was not compared. The source stays as it was.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Protocol

import msgspec
import sqlalchemy as sa
from sqlalchemy.orm import Session

from pipeline.model.errors import ConflictError, DamagedError
from pipeline.normalise.document import flat_event
from pipeline.state.state import State
from pipeline.state.tables.lake import Superseded
from pipeline.state.tables.operation import Disposal, Meta
from pipeline.store import kind
from pipeline.store.settlement import watermark
from pipeline.store.steps import step

if TYPE_CHECKING:
    import pyarrow as pa

RANGE: Final = 10_000
"""Receipts that are copied at once, fewer where they are large."""
BYTES: Final = 128 << 20
_MARK: Final = "store_copy"
_ALL: Final = 1 << 128


@dataclass(frozen=True, slots=True)
class Sum:
    """How many events, and their digests added up: their order is no part of it."""

    events: int = 0
    digest: int = 0

    def __add__(self, other: Sum) -> Sum:
        return Sum(self.events + other.events, (self.digest + other.digest) % _ALL)


@dataclass(frozen=True, slots=True)
class Part:
    """All events of a range by dataset, superseded ones too, and their sum."""

    tables: list[tuple[str, pa.Table]]
    sum: Sum


@dataclass(frozen=True, slots=True)
class Copied:
    """What of a node was copied. `twice`: events that lay in the source more than once under one id and lie in the
    target once."""

    node: str
    first: int
    last: int
    events: int
    digest: str
    twice: int


class Movable(Protocol):
    """A store whose events can be taken out and put in, by ranges of receipts after `after` up to `upto`."""

    def take_out(self, node: str, after: int, upto: int, *, most: int) -> Part | None:
        """None where the range has more than so many bytes and more than one receipt."""

    def put_in(
        self, node: str, after: int, upto: int, tables: list[tuple[str, pa.Table]]
    ) -> frozenset[int]:
        """Make the events durable and visible; the sequences of those that another receipt had put in before.
        What a cut-off copy left of the range or after it is put right."""

    def sum_of(self, node: str, after: int, upto: int) -> Sum: ...

    def held(self) -> int:
        """Events in the store, superseded ones too."""

    def clear(self) -> int:
        """Delete all of them; how many there were."""


Progress = Callable[[int, int], None]
"""Called with the receipts done and their number."""


def copy(
    source: Movable, target: Movable, to: str, state: State, progress: Progress
) -> list[Copied]:
    """Copy and switch over to the target. ConflictError where it holds other events; DamagedError where the two
    differ. Nobody else may work on either meanwhile."""
    upto = watermark(state)
    found = _begin(target, to, state)
    done: dict[str, Any] = found["nodes"]
    total, past = sum(upto.values()), sum(one["last"] for one in done.values())
    progress(past, total)
    for node, last in sorted(upto.items()):
        own = done.setdefault(node, {"last": 0, "events": 0, "digest": "0", "twice": 0})
        size = RANGE
        while own["last"] < last:
            after = own["last"]
            stop = min(after + size, last)
            part = source.take_out(node, after, stop, most=BYTES)
            if part is None:
                size = max(1, (stop - after) // 2)
                continue
            wanted, twice = _put(target, node, after, stop, part)
            step("copy.put")
            have = target.sum_of(node, after, stop)
            if have != wanted:
                raise _differ(node, after, stop, have, wanted)
            own["last"] = stop
            own["events"] += wanted.events
            own["digest"] = f"{(int(own['digest'], 16) + wanted.digest) % _ALL:032x}"
            own["twice"] += twice
            with state.begin() as session:
                _note(session, found)
            step("copy.noted")
            past += stop - after
            progress(past, total)
            size = min(RANGE, size * 2)
    copied = [
        Copied(node, 1, one["last"], one["events"], f"{int(one['digest'], 16):032x}", one["twice"])
        for node, one in sorted(done.items())
    ]  # fmt: skip
    there, wanted_all = target.held(), sum(one.events for one in copied)
    if there != wanted_all:
        raise DamagedError(
            "the target does not hold what was copied", got=f"{there} events",
            expected=f"{wanted_all} events", remedy=f"thapcanh store discard {to} --yes, and copy again",
        )  # fmt: skip
    with state.begin() as session:
        session.execute(sa.delete(Meta).where(Meta.name == _MARK))
        kind.note(session, to)
    return copied


def discard(store: Movable, name: str, state: State) -> int:
    """Delete all events of a store that is not in use (any more, or not yet); how many."""
    if kind.noted(state) == name:
        raise ConflictError(
            "the events of this installation are in this store", got=name,
            remedy="thapcanh store copy carries them over to the other first",
        )  # fmt: skip
    gone = store.clear()
    with state.begin() as session:
        row = session.get(Meta, _MARK)
        if row is not None and row.value["to"] == name:
            session.delete(row)
    return gone


def sum_rows(rows: Iterable[Mapping[str, Any]]) -> Sum:
    """The sum of events as `Table.to_pylist` has them: the same whichever store they were read from."""
    count = total = 0
    for row in rows:
        said = sorted((name, _said(value)) for name, value in flat_event(row).items())
        known = hashlib.blake2b(msgspec.msgpack.encode(said), digest_size=16)
        total += int.from_bytes(known.digest())
        count += 1
    return Sum(count, total % _ALL)


def sum_tables(tables: Iterable[tuple[str, pa.Table]]) -> Sum:
    total = Sum()
    for _, table in tables:
        for batch in table.to_batches(max_chunksize=1_000):
            total += sum_rows(batch.to_pylist())
    return total


def _begin(target: Movable, to: str, state: State) -> dict[str, Any]:
    """What is done already; a new copy begins only in an empty store, and begins anew where events of the source
    were deleted or superseded since."""
    with state.read() as session:
        row = session.get(Meta, _MARK)
        changes = _changes(session)
        found = dict(row.value) if row is not None else {}
    if found and found["to"] != to:
        raise ConflictError(
            "a copy in the other direction was not finished", got=f"to {found['to']}",
            remedy=f"thapcanh store discard {found['to']} --yes",
        )  # fmt: skip
    if found.get("changes") == changes:
        return found
    if found:
        target.clear()
    elif there := target.held():
        raise ConflictError(
            "the store that is copied to holds events", got=f"{there} events", expected="none",
            remedy=f"thapcanh store discard {to} --yes deletes them; they are not in use",
        )  # fmt: skip
    found = {"to": to, "changes": changes, "nodes": {}}
    with state.begin() as session:
        _note(session, found)
    return found


def _note(session: Session, found: dict[str, Any]) -> None:
    # a copy, so that the column sees that it has changed
    session.merge(Meta(name=_MARK, value=msgspec.json.decode(msgspec.json.encode(found))))


def _changes(session: Session) -> list[int]:
    """Counts that grow when events of ranges long settled change."""
    return [
        int(session.scalar(sa.select(sa.func.count()).select_from(table)) or 0)
        for table in (Disposal, Superseded)
    ]


def _put(target: Movable, node: str, after: int, upto: int, part: Part) -> tuple[Sum, int]:
    """Put the part in; the sum that must stand there, and how many events were there under another receipt."""
    twice = target.put_in(node, after, upto, part.tables)
    if not twice:
        return part.sum, 0
    import pyarrow as pa
    import pyarrow.compute as pc

    from pipeline.model import events

    known = pa.array(sorted(twice), pa.int64())
    rest = [
        (dataset, table.filter(pc.invert(pc.is_in(table.column(events.SEQUENCE), value_set=known))))
        for dataset, table in part.tables
    ]
    left = sum_tables(rest)
    return left, part.sum.events - left.events


def _differ(node: str, after: int, upto: int, have: Sum, wanted: Sum) -> DamagedError:
    return DamagedError(
        "the copy of a range differs from it", where=f"{node} {after + 1} to {upto}",
        got=f"{have.events} events, digest {have.digest:032x}",
        expected=f"{wanted.events} events, digest {wanted.digest:032x}",
        remedy="stop whatever works on either store, and do it again",
    )  # fmt: skip


def _said(value: Any) -> Any:
    """A value as every store can give it back: a number that stands among texts comes back as text."""
    if isinstance(value, list):
        return [_said(one) for one in value]
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return value if value is None else str(value)
