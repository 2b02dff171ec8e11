"""The state in a backup: copied as of one instant while it is at work, and put back.

SQLite by its online backup (a file), PostgreSQL by pg_dump under an exported snapshot. With either comes
`Named`: what the manifest of that same instant names, so that the files are those of the copied state.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import sqlalchemy as sa
from sqlalchemy.orm import Session

from pipeline.model.errors import ConflictError, DamagedError, ServiceAwayError, UsageError
from pipeline.state.state import State
from pipeline.state.tables.desk import Attachment
from pipeline.state.tables.intake import Node, Settlement
from pipeline.state.tables.lake import LakeFile

SQLITE_NAME: Final = "state.sqlite"
POSTGRES_NAME: Final = "state.pgdump"
NAMES: Final = {"sqlite": SQLITE_NAME, "postgresql": POSTGRES_NAME}
_PARTS: Final = {
    "host": "PGHOST", "port": "PGPORT", "username": "PGUSER", "password": "PGPASSWORD",
    "database": "PGDATABASE",
}  # fmt: skip
_QUERY: Final = {"sslmode": "PGSSLMODE", "sslrootcert": "PGSSLROOTCERT", "host": "PGHOST"}


@dataclass(frozen=True, slots=True)
class Named:
    """`files`: path in the lake → BLAKE2b-256. `settled`: node → its last settled sequence.
    `finished`: nodes that nobody will write to again (an ingested file's). `attachments`: SHA-256 of each."""

    files: Mapping[str, str]
    settled: Mapping[str, int]
    finished: frozenset[str]
    attachments: tuple[str, ...] = ()


def copy_state(state: State, folder: Path) -> tuple[Path, Named]:
    """A file that holds the state, in `folder`, and what its manifest names."""
    if state.engine.dialect.name == "sqlite":
        return _copy_sqlite(state.engine.url, folder / SQLITE_NAME)
    return _dump_postgresql(state.engine, folder / POSTGRES_NAME)


def put_state(copy: Path, url: str) -> None:
    """Fill the (empty) state of `url` from a copy. ConflictError when something is there."""
    parsed = sa.make_url(url)
    backend = parsed.get_backend_name()
    kind = "sqlite" if copy.name == SQLITE_NAME else "postgresql"
    if backend != kind:
        raise UsageError(
            "the backup holds another kind of state", where="state.url", got=backend, expected=kind
        )
    if kind == "postgresql":
        _restore_postgresql(copy, parsed)
        return
    target = Path(str(parsed.database))
    if target != copy:
        if target.exists():
            raise _occupied(str(target))
        target.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        shutil.move(copy, target)


def _copy_sqlite(url: sa.URL, target: Path) -> tuple[Path, Named]:
    import pysqlite3

    try:
        source = pysqlite3.connect(f"file:{url.database}?mode=ro", uri=True)
        sink = pysqlite3.connect(str(target))
        # In one step: the copy is of one instant, and writers go on in the log beside it meanwhile.
        source.backup(sink)
        sink.close()
        source.close()
    except pysqlite3.Error as error:
        raise ServiceAwayError(
            "the state cannot be copied", where=str(url.database), got=str(error),
            remedy="free space in the home folder; thapcanh doctor says more",
        ) from error  # fmt: skip
    copy = State.at(target)
    with copy.read() as session:
        named = _named(session)
    copy.close()
    return target, named


def _dump_postgresql(engine: sa.Engine, target: Path) -> tuple[Path, Named]:
    tool = _tool("pg_dump")
    with engine.connect().execution_options(isolation_level="REPEATABLE READ") as connection:
        connection.execute(sa.text("SET idle_in_transaction_session_timeout = 0"))
        snapshot = connection.execute(sa.text("SELECT pg_export_snapshot()")).scalar_one()
        with Session(connection) as session:
            named = _named(session)
        _run(
            [tool, "--format=custom", "--no-owner", "--no-privileges", f"--snapshot={snapshot}",
             f"--file={target}"],
            engine.url,
        )  # fmt: skip
        connection.rollback()
        connection.invalidate()  # the timeout is off on it
    return target, named


def _restore_postgresql(copy: Path, url: sa.URL) -> None:
    tool = _tool("pg_restore")
    engine = sa.create_engine(url)
    try:
        with engine.connect() as connection:
            if sa.inspect(connection).get_table_names():
                raise _occupied(url.render_as_string())
    except sa.exc.OperationalError as error:
        raise ServiceAwayError(
            "the state does not answer", where=url.render_as_string(), got=str(error.orig),
            remedy="name the empty database by THAPCANH__STATE__URL",
        ) from error  # fmt: skip
    finally:
        engine.dispose()
    _run(
        [tool, "--no-owner", "--no-privileges", "--exit-on-error", "--single-transaction",
         f"--dbname={url.database}", str(copy)],
        url,
    )  # fmt: skip
    copy.unlink()


def _named(session: Session) -> Named:
    files = session.execute(
        sa.select(LakeFile.path, LakeFile.digest).where(LakeFile.state == "live")
    )
    settled = session.execute(
        sa.select(Settlement.node, sa.func.max(Settlement.last)).group_by(Settlement.node)
    )
    ended = session.scalars(sa.select(Node.id).where(Node.kind == "ingest"))
    attached = session.scalars(
        sa.select(Attachment.sha256).where(Attachment.gone.is_(None)).distinct()
    )
    return Named(
        {p: d for p, d in files}, {n: last for n, last in settled}, frozenset(ended),  # noqa: C416
        tuple(sorted(attached)),
    )  # fmt: skip


def _tool(name: str) -> str:
    found = shutil.which(name)
    if found is None:
        raise UsageError(
            f"{name} is not installed here",
            remedy="apt-get install postgresql-client; it must not be older than the server",
        )
    return found


def _run(command: list[str], url: sa.URL) -> None:
    """The password goes by the environment: a command line can be read by everybody."""
    said = {name: getattr(url, part) for part, name in _PARTS.items()}
    said |= {name: url.query.get(key) for key, name in _QUERY.items() if key in url.query}
    environment = os.environ | {name: str(value) for name, value in said.items() if value}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        name, lines = Path(command[0]).name, done.stderr.strip().splitlines()
        raise DamagedError(
            f"{name} did not succeed", got=lines[-1] if lines else f"exit {done.returncode}",
            remedy="a client as new as the server, and a database of its own, are needed",
        )  # fmt: skip


def _occupied(where: str) -> ConflictError:
    return ConflictError(
        "there is a state already", where=where, expected="none",
        remedy="name an empty one by THAPCANH__STATE__URL",
    )  # fmt: skip
