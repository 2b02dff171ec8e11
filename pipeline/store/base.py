"""The contract of a store. Every store passes `tests/contract/test_store_contract.py`.

In: commits, each one contiguous range of a node's receipts with everything that became of them.
Out: events, in sequence order for detection, by query for people, always within a scope.
Invariant: an acknowledged receipt is settled exactly once, in the transaction (lake) or after the
refresh (Elasticsearch) that makes its event visible; what a search cannot see is not settled.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

from pipeline.model.detections import Window
from pipeline.model.records import DeadLetter, Settled
from pipeline.model.scope import Scope

if TYPE_CHECKING:
    import pyarrow as pa


@dataclass(frozen=True, slots=True)
class Commit:
    """The receipts `first` to `last` of `node`: their events by dataset, and the rest by count.

    `resendable` names the datasets whose ids may be in the store already (records with an identity
    of their own) and must be looked up; other ids are made of the receipt and cannot be.
    `files` are byte ranges `(source, fingerprint, start, stop)` that the commit hands over for good.
    """

    node: str
    first: int
    last: int
    tables: Mapping[str, pa.Table]
    dead: Sequence[DeadLetter] = ()
    dropped: int = 0
    refused: int = 0
    resendable: frozenset[str] = frozenset()
    files: Sequence[tuple[str, str, int, int]] = ()


@dataclass(frozen=True, slots=True)
class TimeRange:
    """`@timestamp` in the half-open range `[start, stop)`; None is open."""

    start: datetime | None = None
    stop: datetime | None = None


ALL_TIME = TimeRange()


@dataclass(frozen=True, slots=True)
class Page:
    """Documents (nested ECS, newest first), and the key of the next page (None at the end). `missing` events
    of the scope and time are lost (their file was damaged and given up): nobody knows whether they fit."""

    documents: Sequence[dict[str, Any]]
    next: str | None
    missing: int = 0


@dataclass(frozen=True, slots=True)
class Health:
    """`status`: ok, degraded or away; `notes` say what and the remedy."""

    status: str
    notes: Sequence[str] = ()
    figures: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class KeptWhole:
    """What retention leaves whole for a legal hold: `name`, all its events, those that are held."""

    name: str
    events: int
    held: int


class Store(Protocol):
    """What the pipeline needs of a store: commits in, events by sequence and by id out."""

    def append(self, commit: Commit, *, now: datetime) -> Settled:
        """Make a commit's events durable and visible, and settle its receipts. Idempotent by range:
        a commit that starts at or before the watermark is refused with ConflictError."""

    def watermark(self) -> dict[str, int]:
        """Per node the end of the contiguous settled receipts that a search can see."""

    def scan(
        self,
        window: Window,
        *,
        scope: Scope,
        columns: Mapping[str, frozenset[str] | None] | None = None,
    ) -> Iterator[tuple[str, pa.Table]]:
        """`(dataset, table)` of the window's events, in the order of their commits, rows by sequence.

        `columns` maps each wanted dataset to the columns that are read (envelope columns come anyway,
        save `event.original` unless named; None in the columns' place reads every one, which a rule
        that looks for a word anywhere needs); None for all reads everything. A name that is no column of the
        dataset is resolved from `thapcanh.extra`. Superseded events are left out. Memory is bounded.
        """

    def get(
        self, ids: Sequence[str], *, scope: Scope, when: TimeRange = ALL_TIME
    ) -> list[dict[str, Any]]:
        """Documents of the events by hex id, in the ids' order, superseded ones included and marked
        by `thapcanh.superseded_by`. `when` is a hint that saves reading: where the events are."""

    def health(self) -> Health: ...

    def close(self) -> None: ...


class SearchableStore(Store, Protocol):
    """What people need besides. Queries are Lucene's query-string syntax on ECS fields."""

    def search(
        self,
        query: str,
        *,
        scope: Scope,
        when: TimeRange,
        limit: int = 50,
        after: str | None = None,
    ) -> Page: ...

    def count(self, query: str, *, scope: Scope, when: TimeRange) -> int: ...

    def histogram(
        self, query: str, *, scope: Scope, when: TimeRange, step: timedelta
    ) -> list[tuple[datetime, int]]: ...

    def top(
        self, query: str, field: str, *, scope: Scope, when: TimeRange, limit: int = 10
    ) -> list[tuple[str, int]]: ...

    def delete_before(self, agency: str, moment: datetime, *, now: datetime) -> int:
        """Delete the agency's events received before `moment`, save held ones; how many went."""

    def kept_whole(self, *, now: datetime) -> list[KeptWhole]:
        """What holds more than is held, and stays for what is."""


@runtime_checkable
class Upkeep(Protocol):
    """What a store on our own disk needs besides; a cluster looks after itself."""

    def sweep(self, now: datetime) -> int:
        """Remove files that nobody names any more; how many went."""

    def compact(self, now: datetime, *, most: int = 1_000) -> int:
        """Merge small files, at most so many turns of a few seconds; how many files went, at least 1 while one is under way."""
