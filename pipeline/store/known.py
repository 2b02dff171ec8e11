"""Of a commit's events, which are new: the look-up before an append, safe against other writers.

In: a commit. Out: its tables without the events that the lake has, or that stand twice in it. The
look-up knows the manifest up to a commit number; inside the transaction `outdated` tells whether
another process committed since, in which case the caller begins again.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import sqlalchemy as sa
from sqlalchemy.orm import Session

from pipeline.model import events
from pipeline.model.records import DeadLetter
from pipeline.state.state import State
from pipeline.state.tables.lake import LakeFile
from pipeline.state.tables.operation import Counter
from pipeline.store import manifest
from pipeline.store.base import Commit
from pipeline.store.files import open_parquet
from pipeline.store.ids import Halves, KnownIds, day_of, halves, repeated

if TYPE_CHECKING:
    import pyarrow as pa


@dataclass(slots=True)
class Fresh:
    """What is left of a commit. `gone` holds the hex ids of events that are known."""

    tables: dict[str, pa.Table] = field(default_factory=dict)
    ids: list[tuple[int, Halves]] = field(default_factory=list)
    known: int = 0
    gone: set[str] = field(default_factory=set)

    @property
    def rows(self) -> int:
        return sum(table.num_rows for table in self.tables.values())

    def letters(self, dead: Sequence[DeadLetter]) -> Iterator[DeadLetter]:
        """The letters of a known event were filed with it."""
        return (letter for letter in dead if not (letter.event and letter.event in self.gone))

    def replaced(self) -> Iterator[tuple[str, str]]:
        """`(old, new)` hex ids of replays."""
        import pyarrow.compute as pc

        for table in self.tables.values():
            if events.REPLACES not in table.column_names:
                continue
            chosen = table.filter(pc.is_valid(table.column(events.REPLACES)))
            for old, new in zip(
                chosen.column(events.REPLACES).to_pylist(),
                chosen.column(events.ID).to_pylist(),
                strict=True,
            ):
                if old:
                    yield old, new.hex()


class Lookup:
    """The known ids of one lake, kept between commits; loaded at the first commit that needs them."""

    def __init__(self, root: Path, state: State, days: int) -> None:
        self._root, self._state, self._days = root, state, days
        self._known = KnownIds()
        self._removals = -1

    def fresh(self, commit: Commit, now: datetime) -> Fresh:
        import pyarrow as pa
        import pyarrow.compute as pc

        if commit.resendable:
            self._refresh(now)
        found = Fresh()
        for dataset, table in commit.tables.items():
            if not table.num_rows:
                continue
            ids = halves(table)
            out = repeated(ids)
            if dataset in commit.resendable:
                out |= self._known.known(ids)
            if out.any():
                gone = table.column(events.ID).filter(pa.array(out)).to_pylist()
                found.gone.update(value.hex() for value in gone)
                found.known += len(gone)
                table = table.filter(pa.array(~out))  # noqa: PLW2901 - the same table, thinned
                ids = ids[~out]
            if not table.num_rows:
                continue
            found.tables[dataset] = table
            if dataset in commit.resendable:
                found.ids.append((day_of(pc.max(table.column(events.CREATED)).as_py()), ids))
        # A letter of an event that stands twice in this commit belongs to the one that stays.
        return found

    def outdated(self, session: Session, now: datetime) -> bool:
        return bool(
            manifest.recent_files(session, now, self._days, self._known.seen)
            or _removals(session) != self._removals
        )

    def remember(self, fresh: Fresh, numbers: Sequence[int]) -> None:
        for day, ids in fresh.ids:
            self._known.add(day, ids)
        if fresh.ids and numbers:
            self._known.seen = max(self._known.seen, *numbers)

    def _refresh(self, now: datetime) -> None:
        with self._state.read() as session:
            removals = _removals(session)
            if removals != self._removals:
                self._known, self._removals = KnownIds(), removals
            files = manifest.recent_files(session, now, self._days, self._known.seen)
        self._known.forget_before(day_of(now - timedelta(days=self._days)))
        for file in files:
            self._take(file)

    def _take(self, file: LakeFile) -> None:
        if file.state == manifest.QUARANTINED:
            from pipeline.store.files import damaged

            raise damaged(self._root / file.path, "its ids cannot be looked up")
        with open_parquet(self._root / file.path) as parquet:
            ids = halves(parquet.read(columns=[events.ID]))
        self._known.add(day_of(file.last_created), ids)
        self._known.seen = max(self._known.seen, file.number)


def _removals(session: Session) -> int:
    query = sa.select(Counter.value).where(Counter.name == manifest.REMOVALS)
    return session.execute(query).scalar() or 0
