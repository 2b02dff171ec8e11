"""``thapcanh``: the groups of commands, and how errors end.

Exit codes: 0 done, 1 nothing such, 2 wrong use, 3 done but something was refused (named on standard
error), 4 a service is away, 141 nobody reads our output any more. A user's mistake never shows a traceback.
"""

from __future__ import annotations

import importlib
import logging
import os
import signal
import sys
from typing import Final, NoReturn

import typer
from typer.core import TyperGroup

from pipeline.cli.options import Home
from pipeline.model.errors import ThapCanhError, UsageError

_PARTS: Final = """
    admin backtest collect config deadletters detection events exceptions files findings keeping limits mirrors
    onboarding products queue register rehearse rule_sets rules schedules senders serve state store
    watchlists
"""


class _Thapcanh(TyperGroup):
    """The group of all commands."""

    def parse_args(self, ctx: typer.Context, args: list[str]) -> list[str]:  # type: ignore[override]
        option = args[0].partition("=")[0] if args else ""
        if option.startswith("-") and option not in {
            o for p in self.get_params(ctx) for o in p.opts
        }:
            raise UsageError(
                "this option does not stand before the command", got=option,
                remedy=f"write it behind: thapcanh COMMAND … {option}",
            )  # fmt: skip
        return super().parse_args(ctx, args)


app = typer.Typer(
    name="thapcanh", no_args_is_help=True, pretty_exceptions_enable=False, add_completion=False,
    help="Tháp Canh: from a city's raw logs to tickets in a queue.", cls=_Thapcanh,
)  # fmt: skip
for part in _PARTS.split():
    importlib.import_module(f"pipeline.cli.{part}").attach(app)


@app.callback()
def _everywhere(home: Home = None) -> None:
    if home is not None:
        os.environ["THAPCANH_HOME"] = str(home)


def run() -> None:
    """The entry point."""
    logging.getLogger().addHandler(
        logging.NullHandler()
    )  # a role logs to its file, a command speaks
    try:
        try:
            app(prog_name="thapcanh")
        finally:
            sys.stdout.flush()
    except ThapCanhError as error:
        sys.stderr.write(f"thapcanh: {error}\n")
        sys.exit(error.exit_code)
    except BrokenPipeError:
        _unread()
    except SystemExit as end:  # click makes a 1 of it
        if isinstance(end.__context__, BrokenPipeError):
            _unread()
        raise


def _unread() -> NoReturn:
    """The reader of our output has seen enough: end like other tools, without a word."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    sys.exit(128 + signal.SIGPIPE)


if __name__ == "__main__":
    run()
