"""``state``: move the tables to another database."""

from __future__ import annotations

import sys
from contextlib import ExitStack
from dataclasses import asdict
from typing import Annotated

import typer

from pipeline.cli.options import Home, Json, opened
from pipeline.cli.output import show_list, show_one
from pipeline.cli.progress import bar

state = typer.Typer(no_args_is_help=True, help="The tables that hold everything but events.")


def attach(app: typer.Typer) -> None:
    app.add_typer(state, name="state")


@state.command("copy")
def copy(
    to: Annotated[
        str,
        typer.Option(
            envvar="THAPCANH_COPY_TO",
            help="SQLAlchemy's URL of an empty database; in the variable, others cannot read its password.",
            show_envvar=True,
        ),
    ],
    home: Home = None,
    as_json: Json = False,
) -> None:
    """Copy this home's state to another database, and compare both. Doing it again goes on where it stopped."""
    from collectors.groups import with_groups
    from pipeline.serve.locks import role_lock
    from pipeline.serve.supervisor import ROLES
    from pipeline.state.moving import move
    from pipeline.state.state import State

    with opened(home) as here, ExitStack() as held:
        for role in with_groups(ROLES, here.settings.collect):
            held.enter_context(role_lock(here.settings.run, role))
        target = State.open(to)
        held.callback(target.close)
        copied = move(here.state, target, held.enter_context(bar(" rows")))
    rows = [asdict(one) for one in copied]
    if as_json:
        show_one({"tables": rows, "rows": sum(one.rows for one in copied)}, as_json=True)
        return
    show_list([row for row in rows if row["rows"]], as_json=False)
    sys.stderr.write(
        "both sides are the same. Set state.url to the new one; the old one stays as it was.\n"
    )
