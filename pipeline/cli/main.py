"""``thapcanh``: the groups of commands, and how errors end.

Exit codes: 0 done, 1 nothing such, 2 wrong use, 3 done but something was refused (named on standard
error), 4 a service is away. A user's mistake never shows a traceback.
"""

from __future__ import annotations

import os
import sys

import click
import typer

from pipeline.cli import admin, config, detection, files, queue, register, rules
from pipeline.model.errors import ThapCanhError

app = typer.Typer(
    name="thapcanh", no_args_is_help=True, pretty_exceptions_enable=False, add_completion=False,
    help="Tháp Canh: from a city's raw logs to tickets in a queue.",
)  # fmt: skip
for part in (admin, config, detection, files, queue, register, rules):
    part.attach(app)


def run() -> None:
    """The entry point."""
    try:
        code = app(standalone_mode=False)
    except ThapCanhError as error:
        sys.stderr.write(f"thapcanh: {error}\n")
        code = error.exit_code
    except click.exceptions.Abort:
        code = 130
    except click.ClickException as error:
        error.show()
        code = 2
    except BrokenPipeError:  # the reader of our output has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        code = 0
    except KeyboardInterrupt:
        code = 130
    sys.exit(code if isinstance(code, int) else 0)


if __name__ == "__main__":
    run()
