"""``ingest`` and ``run``: a file through the whole way, and what was evaluated."""

from __future__ import annotations

import dataclasses
import sys
from pathlib import Path
from typing import Annotated

import typer

from pipeline.cli.options import After, Home, Json, Limit, opened
from pipeline.cli.output import safe, show_list, show_one, show_part
from pipeline.model.errors import RefusedError, UsageError
from pipeline.model.scope import OPERATOR

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
    record, _, why = done.first_letter.partition(": ")
    if done.refused:
        raise RefusedError(
            f"{done.refused} records were refused; their bytes are kept as dead letters",
            where=f"{file}, {record}", got=why,
        )  # fmt: skip
    if done.letters:
        sys.stderr.write(
            f"{done.letters} records could not be parsed (the first: {file}, {record}: {safe(why)}); they are events"
            " all the same, tagged _parse_failure, and dead letters; see whether the source's product is the right one\n"
        )


@run.command("list")
def run_list(
    status: Annotated[str, typer.Option(help="running, done or failed")] = "",
    limit: Limit = 20,
    after: After = None,
    home: Home = None,
    as_json: Json = False,
) -> None:
    """The newest runs."""
    from pipeline.detect.reads.runs import run_lines

    if status not in {"", "running", "done", "failed"}:
        raise UsageError(
            "no such status", where="--status", got=status, expected="running, done or failed"
        )
    with opened(home) as here:
        lines = run_lines(here.state, OPERATOR, limit=limit + 1, after=after, status=status)
    following = lines[limit - 1].id if len(lines) > limit else None
    show_list(
        [dataclasses.asdict(line) for line in lines[:limit]], as_json=as_json,
        columns=("id", "status", "started", "took", "events", "matches", "rules", "error"),
        following=following,
    )  # fmt: skip


@run.command("show")
def run_show(
    which: Annotated[str, typer.Argument(help="The run's id, or its beginning.")],
    home: Home = None,
    as_json: Json = False,
) -> None:
    """One run: what it evaluated, over which events of whom, and what it found."""
    from pipeline.detect.reads.runs import one_run

    with opened(home) as here:
        view = one_run(here.state, OPERATOR, which)
    line = dataclasses.asdict(view.run)
    covered = [
        {"agency": one.agency.id, "events": one.events, "first": one.first, "last": one.last}
        for one in view.covered
    ]
    line |= {"unfit": view.unfit, "findings": view.findings}
    if as_json:
        show_one(line | {"window": view.window, "covered": covered}, as_json=True)
        return
    show_one({k: v for k, v in line.items() if v not in ("", None)}, as_json=False)
    show_part("window", [{"node": n, "after": a, "upto": z} for n, (a, z) in view.window.items()])
    show_part("coverage that it made or extended", covered)
