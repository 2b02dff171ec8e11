"""What an operator does to keep the system: ``backup``, ``restore``."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pipeline.cli.options import Home, Json, opened
from pipeline.cli.output import show_one
from pipeline.model.clock import utc_now
from pipeline.model.errors import RefusedError

if TYPE_CHECKING:
    from pipeline.serve.backup import Report


def attach(app: typer.Typer) -> None:
    app.command("backup")(backup)
    app.command("restore")(restore)


def backup(
    target: Annotated[
        Path, typer.Argument(help="A folder, in which the file gets a name of its own; or a file.")
    ],
    home: Home = None,
    as_json: Json = False,
) -> None:
    """The whole installation into one file, while it runs. It holds the installation's key."""
    from pipeline.serve.backup import back_up, file_name

    now = utc_now()
    file = target / file_name(now) if target.is_dir() else target
    with opened(home) as here, _bar() as progress:
        done = back_up(here, file, now=now, progress=progress)
    _show(done, as_json=as_json, what="the backup lacks")


def restore(
    file: Annotated[Path, typer.Argument(help="What `backup` wrote.")],
    home: Home = None,
    as_json: Json = False,
) -> None:
    """A home out of a backup: the home must be empty or not be there."""
    from pipeline.serve.backup import restore as restore_
    from pipeline.serve.installation import home_folder

    with _bar() as progress:
        done = restore_(file, home_folder(home), environ=dict(os.environ), progress=progress)
    _show(done, as_json=as_json, what="the restored home lacks")


def _show(done: Report, *, as_json: bool, what: str) -> None:
    show_one(
        {"path": str(done.path), "files": done.files, "bytes": done.bytes, "taken": done.taken},
        as_json=as_json,
    )
    if done.missing:
        raise RefusedError(f"{what}:\n  " + "\n  ".join(done.missing))


@contextmanager
def _bar() -> Iterator[Callable[[int, int], None]]:
    from tqdm import tqdm

    with tqdm(unit="B", unit_scale=True, disable=not sys.stderr.isatty(), file=sys.stderr) as shown:

        def progress(done: int, total: int) -> None:
            shown.total = total or None
            shown.update(done - shown.n)

        yield progress
