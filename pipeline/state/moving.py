"""Move a state to another database: SQLite to PostgreSQL, or back.

In: a state that nobody writes to, and the URL of an empty database. Out: the same rows there, table by
table, counted and compared by a digest. A copy that was cut off goes on: tables that stand whole stay,
the one under way is copied anew. Until all of it is verified the target bears the table `moving`, by
which `migrate.upgrade` refuses to let anybody work on it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Any, Final

import msgspec
import sqlalchemy as sa

from pipeline.model.errors import ConflictError, DamagedError
from pipeline.state.base import Base
from pipeline.state.migrate import MOVING, newest, stamp
from pipeline.state.state import State

_ROWS: Final = 500
"""Rows a transaction: a blob of matches is at most 1 MB."""

_MARK: Final = sa.Table(MOVING, sa.MetaData(), sa.Column("revision", sa.String(32), nullable=False))

Progress = Callable[[int, int], None]
"""Called with the rows done and their number."""


@dataclass(frozen=True, slots=True)
class Copied:
    """A table, its rows, and the digest that both sides have (BLAKE2b-128 a row, added up)."""

    table: str
    rows: int
    digest: str


def move(source: State, target: State, progress: Progress) -> list[Copied]:
    """Copy every table. ConflictError where the target is in use; DamagedError where the sides differ."""
    _prepare(target)
    with source.read() as session:
        origin = session.connection()
        tables = Base.metadata.sorted_tables
        total = sum(_count(origin, table) for table in tables)
        done, copied = 0, []
        for table in tables:
            wanted = _sum(table, _rows(origin, table))
            with target.read() as there:
                have = _sum(table, _rows(there.connection(), table))
            if have != wanted:
                _empty_from(target, table)
                _copy(origin, target, table, progress, done, total)
                with target.read() as there:
                    have = _sum(table, _rows(there.connection(), table))
            if have != wanted:
                raise DamagedError(
                    "the copy of a table differs from it", where=table.name, got=f"{have[0]} rows",
                    expected=f"{wanted[0]} rows with the same values",
                    remedy="stop whatever works on either side, and do it again",
                )  # fmt: skip
            done += wanted[0]
            progress(done, total)
            copied.append(Copied(table.name, wanted[0], f"{wanted[1]:032x}"))
    _finish(target)
    return copied


def _prepare(target: State) -> None:
    names = set(sa.inspect(target.engine).get_table_names())
    where = target.engine.url.render_as_string()
    if not names:
        with target.engine.begin() as connection:
            _MARK.create(connection)
            connection.execute(sa.insert(_MARK).values(revision=newest()))
            Base.metadata.create_all(connection)
        return
    if MOVING not in names:
        raise ConflictError(
            "the database is not empty", where=where, remedy="name one that is empty"
        )
    with target.engine.connect() as connection:
        revision = connection.scalar(sa.select(_MARK.c.revision))
    if revision != newest():
        raise ConflictError(
            "another version of the program began this copy", where=where, got=f"revision {revision}",
            expected=newest(), remedy="name a database that is empty",
        )  # fmt: skip


def _finish(target: State) -> None:
    """Give keys that count themselves their next value, and hand the database over."""
    with target.engine.begin() as connection:
        for table in Base.metadata.sorted_tables:
            counted = table.autoincrement_column
            if counted is None or connection.dialect.name != "postgresql":
                continue
            last = connection.scalar(sa.select(sa.func.max(counted)))
            sequence = sa.func.pg_get_serial_sequence(f'"{table.name}"', counted.name)
            connection.execute(sa.select(sa.func.setval(sequence, last or 1, last is not None)))
        _MARK.drop(connection)
        stamp(connection)


def _count(connection: sa.Connection, table: sa.Table) -> int:
    return int(connection.execute(sa.select(sa.func.count()).select_from(table)).scalar_one())


def _rows(connection: sa.Connection, table: sa.Table) -> Iterator[Any]:
    """Every row, a few in memory at a time."""
    return iter(
        connection.execution_options(yield_per=_ROWS).execute(
            sa.select(table).order_by(*table.primary_key)
        )
    )


def _sum(table: sa.Table, rows: Iterator[Any]) -> tuple[int, int]:
    """How many rows, and their digests added up: the order, which databases disagree about, is no part."""
    count = total = 0
    for row in rows:
        count += 1
        known = hashlib.blake2b(_canonical(row), digest_size=16, key=table.name.encode()[:64])
        total = (total + int.from_bytes(known.digest())) % (1 << 128)
    return count, total


def _canonical(row: Any) -> bytes:
    """The values as both databases can give them back: PostgreSQL's text has no NUL (see `state`)."""
    return msgspec.msgpack.encode(
        [one.replace("\0", "\N{REPLACEMENT CHARACTER}") if isinstance(one, str) else one for one in row],
        order="sorted",
    )  # fmt: skip


def _empty_from(target: State, table: sa.Table) -> None:
    """Take back what a cut-off copy left in the table, and in those that refer to it."""
    tables = Base.metadata.sorted_tables
    with target.begin() as session:
        for later in reversed(tables[tables.index(table) :]):
            session.execute(sa.delete(later))


def _copy(
    origin: sa.Connection, target: State, table: sa.Table, progress: Progress, done: int, total: int
) -> None:
    rows = _rows(origin, table)
    while batch := [dict(row._mapping) for row in islice(rows, _ROWS)]:
        with target.begin() as session:
            session.execute(sa.insert(table), batch)
        done += len(batch)
        progress(done, total)
