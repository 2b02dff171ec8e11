"""States of tests: SQLite files with empty tables, made once a process and copied.

In: where the file is to lie. Out: an open `State`, whose closing is the caller's.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

from pipeline.state.state import State


def empty_state(path: Path) -> State:
    """Every table as the code declares it, without a row."""
    path.write_bytes(_file())
    return State.at(path)


@cache
def _file() -> bytes:
    with TemporaryDirectory() as folder:
        path = Path(folder) / "state.sqlite"
        state = State.at(path)
        state.create_tables()
        state.close()  # the last connection folds the write-ahead log into the file
        return path.read_bytes()
