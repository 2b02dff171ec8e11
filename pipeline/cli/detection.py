"""``ingest`` and ``run``: a file through the whole way, and what was evaluated."""

from __future__ import annotations

import dataclasses
import sys
from pathlib import Path
from typing import Annotated

import typer

from pipeline.cli.options import Home, Json, opened
from pipeline.cli.output import show_list, show_one
from pipeline.model.errors import RefusedError

run = typer.Typer(no_args_is_help=True, help="Detection runs.")


def attach(app: typer.Typer) -> None:
    app.command("ingest")(ingest)
    app.add_typer(run, name="run")


def ingest(
    file: Annotated[Path, typer.Argument(help="A file (plain, gzip, xz, zstd, EVTX), or -.")],
    source: Annotated[str, typer.Option(help="The source that it belongs to.")],
    wait: Annotated[bool, typer.Option(help="Until detected; else until it is on disk.")] = True,
    home: Home = None,
    as_json: Json = False,
) -> None:
    """Take a file in as the source's records, and see them through to tickets."""
    from tqdm import tqdm

    from pipeline.serve import ingest as way

    with (
        opened(home) as here,
        tqdm(unit=" records", disable=not sys.stderr.isatty(), file=sys.stderr) as bar,
    ):

        def report(stage: str, count: int) -> None:
            bar.set_description(stage)
            bar.n = count
            bar.refresh()

        done = way.ingest(here, file, source, wait=wait, report=report)
    show_one(dataclasses.asdict(done), as_json=as_json)
    if done.refused:
        raise RefusedError(
            f"{done.refused} records were refused; their bytes are kept as dead letters"
        )


@run.command("list")
def run_list(limit: int = 20, home: Home = None, as_json: Json = False) -> None:
    """The newest runs."""
    import sqlalchemy as sa

    from pipeline.state.tables.detection import Run

    with opened(home) as here:
        with here.state.read() as session:
            rows = list(session.scalars(sa.select(Run).order_by(Run.started.desc()).limit(limit)))
        show_list(
            [
                {
                    "id": r.id, "status": r.status, "started": r.started, "events": r.events,
                    "matches": r.matches, "rules": r.rules, "error": r.error,
                }
                for r in rows
            ],
            as_json=as_json,
        )  # fmt: skip
