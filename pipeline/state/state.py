"""The unit of work: one short transaction at a time, on SQLite or PostgreSQL.

On both, writers take turns and a reader sees one instant, so that code which reads and then writes is
right without a retry. SQLite takes its write lock at BEGIN; PostgreSQL takes one advisory lock, READ
COMMITTED, so that every statement sees what the writer before has committed. Transactions stay under
50 ms and hold no I/O of their own. SQLite runs in WAL mode and is the `pysqlite3` wheel's: Debian 12's
own 3.40 can corrupt a WAL that two connections reset.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final, TypeVar

import sqlalchemy as sa
from sqlalchemy import event
from sqlalchemy.orm import Session

from pipeline.model.errors import ServiceAwayError, UsageError
from pipeline.settings.places import NOTHING
from pipeline.state import tables as _tables  # noqa: F401 - registers the tables
from pipeline.state.base import Base
from pipeline.state.tables.operation import Counter
from pipeline.state.turn import Turn

BUSY_TIMEOUT_MS = 15_000
OLDEST_SQLITE = (3, 51, 3)
SHARED_SECONDS: Final = 0.03
"""So long a transaction of many takes in one more."""
T = TypeVar("T")
_WRITERS = 0x7468_6170_6361_6E68
"""The advisory lock that PostgreSQL's writers of one database take turns by."""


class State:
    """The tables behind one URL. Open one per process."""

    def __init__(self, engine: sa.Engine) -> None:
        self.engine = engine
        self._turn = Turn(BUSY_TIMEOUT_MS / 1000)
        self._shared = threading.local()
        self.additions = NOTHING
        """What its home adds to the files that ship; who opens the home says it."""

    @classmethod
    def open(cls, url: str) -> State:
        """`url` is SQLAlchemy's: ``sqlite:////home/state.sqlite`` or ``postgresql+psycopg://…``."""
        parsed = sa.make_url(url)
        match parsed.get_backend_name():
            case "sqlite":
                return cls(_sqlite(parsed))
            case "postgresql":
                return cls(_postgresql(parsed))
            case other:
                raise UsageError(
                    "no such kind of state",
                    where="state.url",
                    got=other,
                    expected="sqlite or postgresql",
                )

    @classmethod
    def at(cls, path: Path) -> State:
        return cls.open(f"sqlite:///{path}")

    @contextmanager
    def begin(self) -> Iterator[Session]:
        """A transaction that writes: commits at the end, rolls back on any exception. Threads of this process
        wait for their turn without a connection; for other processes, within the database. Within `together`, a
        part of that transaction."""
        shared: Session | None = getattr(self._shared, "session", None)
        if shared is not None:
            with shared.begin_nested():
                yield shared
            return
        with self._turn, self._session() as session, session.begin():
            take_turn(session.connection(execution_options={"sqlite_begin": "IMMEDIATE"}))
            yield session

    def together(self, works: Sequence[Callable[[], T]]) -> list[T | Exception]:
        """The first of `works` in one transaction, as many as fit in its time, at least one; what each returned, or
        raised. Each `begin` of theirs is a savepoint, undone alone. They hold once this returns; when the state
        does not answer, that is raised and none of them was done."""
        found: list[T | Exception] = []
        with self.begin() as session:
            held = set[object]()  # or what one has read would be gone when the next asks for it
            event.listen(session, "loaded_as_persistent", lambda _, one: held.add(one))
            self._shared.session = session
            limit = time.monotonic() + SHARED_SECONDS
            try:
                for work in works:
                    try:
                        found.append(work())
                    except sa.exc.OperationalError:
                        raise
                    except Exception as error:  # noqa: BLE001 - it is handed to who asked for this one
                        found.append(error)
                    if time.monotonic() > limit:
                        break
            finally:
                self._shared.session = None
        return found

    @contextmanager
    def read(self) -> Iterator[Session]:
        """A transaction that reads one consistent state and is rolled back."""
        with self._session() as session:
            if self.engine.dialect.name == "postgresql":
                session.connection(
                    execution_options={
                        "isolation_level": "REPEATABLE READ", "postgresql_readonly": True
                    }
                )  # fmt: skip
            yield session

    @contextmanager
    def _session(self) -> Iterator[Session]:
        try:
            with Session(self.engine, expire_on_commit=False) as session:
                yield session
        except sa.exc.OperationalError as error:
            raise ServiceAwayError(
                "the state does not answer", got=str(error.orig), remedy="thapcanh doctor says more"
            ) from error

    def create_tables(self) -> None:
        """Every table as the code declares it. For tests; installations are migrated."""
        Base.metadata.create_all(self.engine)

    def close(self) -> None:
        self.engine.dispose()


def take_turn(connection: sa.Connection) -> None:
    """Wait for the writer before us. On SQLite the BEGIN IMMEDIATE of the connection has done so."""
    if connection.dialect.name == "postgresql":
        connection.execute(sa.select(sa.func.pg_advisory_xact_lock(_WRITERS)))


def next_number(session: Session, name: str) -> int:
    """The next number of a gap-free counter, within the transaction of its use."""
    return next_numbers(session, name, 1)[0]


def next_numbers(session: Session, name: str, count: int) -> range:
    """The next `count` numbers of a gap-free counter. The counter stays locked until the transaction
    ends, so that numbers become visible in their order."""
    row = counter(session, name)
    first = row.value + 1
    row.value += count
    session.flush()
    return range(first, first + count)


def counter(session: Session, name: str) -> Counter:
    """A counter's row, locked until the transaction ends."""
    row = session.get(Counter, name, with_for_update=True)
    if row is None:
        row = Counter(name=name, value=0)
        session.add(row)
    return row


def _postgresql(url: sa.URL) -> sa.Engine:
    # A client that is gone, or a lock that is not let go, must not stop all others for good.
    from psycopg.adapt import Dumper

    own = str(url.query.get("options", ""))
    options = (
        f"{own} -c lock_timeout={BUSY_TIMEOUT_MS} -c idle_in_transaction_session_timeout=60000"
    )
    engine = sa.create_engine(
        url, pool_pre_ping=True, connect_args={"options": options, "connect_timeout": 10}
    )

    class Text(Dumper):
        """PostgreSQL's text has no NUL; what a sender or a stranger at the door wrote may have one."""

        def dump(self, obj: str) -> bytes:
            return obj.replace("\0", "\N{REPLACEMENT CHARACTER}").encode()

    @event.listens_for(engine, "connect")
    def _connect(connection: Any, _record: Any) -> None:
        connection.adapters.register_dumper(str, Text)

    return engine


def _sqlite(url: sa.URL) -> sa.Engine:
    import pysqlite3

    if pysqlite3.sqlite_version_info < OLDEST_SQLITE:
        raise UsageError(
            "this SQLite can lose a write-ahead log",
            got=pysqlite3.sqlite_version,
            expected=".".join(map(str, OLDEST_SQLITE)) + " or newer",
            remedy="install the pysqlite3 wheel of the lock file",
        )
    engine = sa.create_engine(url, module=pysqlite3.dbapi2)

    @event.listens_for(engine, "connect")
    def _connect(connection: Any, _record: Any) -> None:
        connection.isolation_level = None  # we say BEGIN ourselves
        cursor = connection.cursor()
        for pragma in (
            f"busy_timeout={BUSY_TIMEOUT_MS}",
            "synchronous=FULL",  # a settled receipt must survive a power cut: its spool may be gone
            "foreign_keys=ON",
        ):
            cursor.execute(f"PRAGMA {pragma}")
        _write_ahead(cursor, pysqlite3.OperationalError)
        cursor.close()

    @event.listens_for(engine, "begin")
    def _begin(connection: sa.Connection) -> None:
        how = connection.get_execution_options().get("sqlite_begin", "DEFERRED")
        connection.exec_driver_sql(f"BEGIN {how}")

    return engine


def _write_ahead(cursor: Any, busy: type[Exception]) -> None:
    """WAL mode. The first switch of a file needs it alone and does not wait: two who make it meet here."""
    limit = time.monotonic() + BUSY_TIMEOUT_MS / 1000
    while True:
        try:
            cursor.execute("PRAGMA journal_mode=WAL")
        except busy:
            if time.monotonic() > limit:
                raise
            time.sleep(0.02)
        else:
            return
