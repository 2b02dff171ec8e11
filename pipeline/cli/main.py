"""``thapcanh``: the groups of commands, and how errors end.

Exit codes: 0 done, 1 nothing such, 2 wrong use, 3 done but something was refused (named on standard
error), 4 a service is away. A user's mistake never shows a traceback.
"""

from __future__ import annotations

import logging
import os
import sys

import typer

from pipeline.cli import (
    admin,
    backtest,
    collect,
    config,
    deadletters,
    detection,
    events,
    exceptions,
    files,
    findings,
    keeping,
    mirrors,
    queue,
    register,
    rehearse,
    rule_sets,
    rules,
    schedules,
    serve,
    state,
    store,
    watchlists,
)
from pipeline.model.errors import ThapCanhError

app = typer.Typer(
    name="thapcanh", no_args_is_help=True, pretty_exceptions_enable=False, add_completion=False,
    help="Tháp Canh: from a city's raw logs to tickets in a queue.",
)  # fmt: skip
for part in (
    admin,
    backtest,
    collect,
    config,
    deadletters,
    detection,
    events,
    exceptions,
    files,
    findings,
    keeping,
    mirrors,
    queue,
    register,
    rehearse,
    rule_sets,
    rules,
    schedules,
    serve,
    state,
    store,
    watchlists,
):
    part.attach(app)


def run() -> None:
    """The entry point."""
    logging.getLogger().addHandler(
        logging.NullHandler()
    )  # a role logs to its file, a command speaks
    try:
        app(prog_name="thapcanh")
    except ThapCanhError as error:
        sys.stderr.write(f"thapcanh: {error}\n")
        sys.exit(error.exit_code)
    except BrokenPipeError:  # the reader of our output has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


if __name__ == "__main__":
    run()
