"""Bring a state's tables to the shape that the code declares, by Alembic's steps in `migrations/`.

In: a state of any age, or an empty one. Out: the same state at `newest()`. A home that a newer
version of the program has touched is refused: an older program must not write into it.

``python -m pipeline.state.migrate --regenerate`` (``make migration``) writes ``0001_first.py`` anew
from the tables; only until the first release, afterwards a change is a further step.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from pipeline.model.errors import ConflictError, UsageError
from pipeline.state import tables as _tables  # noqa: F401 - registers the tables
from pipeline.state.base import Base
from pipeline.state.state import State, take_turn

if TYPE_CHECKING:
    from alembic.config import Config

METADATA = Base.metadata
FOLDER = Path(__file__).parent / "migrations"
FIRST = "0001"
MOVING = "moving"
"""A table that only a state has to which another is being copied (`moving`): nobody may work on it."""


def _config(connection: sa.Connection | None = None) -> Config:
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(FOLDER).replace("%", "%%"))
    config.attributes["connection"] = connection
    return config


def newest() -> str:
    """The revision that this program's tables have."""
    from alembic.script import ScriptDirectory

    head = ScriptDirectory.from_config(_config()).get_current_head()
    assert head is not None
    return head


def current(state: State) -> str:
    """The revision of a state, empty for one without tables. Costs one small read."""
    with state.engine.connect() as connection:
        if not sa.inspect(connection).has_table("alembic_version"):
            return ""
        found = connection.execute(sa.text("SELECT version_num FROM alembic_version")).scalar()
        return str(found or "")


def upgrade(state: State) -> None:
    """Idempotent; two processes that start together do it once."""
    have = current(state)
    if have == _newest_by_name():
        return
    if sa.inspect(state.engine).has_table(MOVING):
        raise ConflictError(
            "a state was being copied to this database, and not to its end",
            where=state.engine.url.render_as_string(),
            remedy="do thapcanh state copy again: it goes on",
        )
    refuse_newer(have, state.engine.url.render_as_string(hide_password=True))
    from alembic import command

    # Whoever comes second waits for the process that migrates, and then finds nothing to do.
    with state.engine.execution_options(sqlite_begin="IMMEDIATE").begin() as connection:
        take_turn(connection)
        command.upgrade(_config(connection), "head")


def stamp(connection: sa.Connection) -> None:
    """Say of tables that were made from the code as it is that they are at `newest()`."""
    from alembic import command

    command.stamp(_config(connection), "head")


def _newest_by_name() -> str:
    """As `newest`, without importing Alembic: files are named by their revision."""
    return max(path.name[:4] for path in (FOLDER / "versions").glob("[0-9][0-9][0-9][0-9]_*.py"))


def refuse_newer(have: str, where: str = "the state's tables") -> None:
    """UsageError when this program does not know the revision."""
    if have and not any((FOLDER / "versions").glob(f"{have}_*.py")):
        raise UsageError(
            "this home belongs to a newer version of the program",
            where=where,
            got=f"revision {have}",
            expected=f"{_newest_by_name()} or older",
            remedy="run the program that last used it, or restore a backup that is older",
        )


def differences(state: State) -> list[Any]:
    """What the code declares and the state lacks, or the reverse; empty after `upgrade`."""
    from alembic.autogenerate import compare_metadata
    from alembic.migration import MigrationContext

    with state.engine.connect() as connection:
        context = MigrationContext.configure(
            connection, opts={"compare_type": True, "compare_server_default": False}
        )
        return list(compare_metadata(context, METADATA))


def regenerate() -> Path:
    """Write the first step from the tables as they are declared now."""
    from alembic import command

    for old in (FOLDER / "versions").glob("[0-9]*.py"):
        old.unlink()
    state = State.open("sqlite://")
    try:
        with state.engine.connect() as connection:
            script = command.revision(
                _config(connection), "All tables", autogenerate=True, rev_id=FIRST
            )
    finally:
        state.close()
    assert script is not None
    assert not isinstance(script, list)
    target = FOLDER / "versions" / f"{FIRST}_first.py"
    made = Path(script.path)
    made.rename(target)
    subprocess.run([sys.executable, "-m", "ruff", "check", "-q", "--fix", str(target)], check=False)
    subprocess.run([sys.executable, "-m", "ruff", "format", "-q", str(target)], check=True)
    return target


if __name__ == "__main__":
    if sys.argv[1:] != ["--regenerate"]:
        raise SystemExit("usage: python -m pipeline.state.migrate --regenerate")
    sys.stdout.write(f"{regenerate()}\n")
