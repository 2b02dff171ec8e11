"""``store``: what a cluster needs before events go into it."""

from __future__ import annotations

from typing import Annotated

import typer

from pipeline.cli.options import Home, Json, opened
from pipeline.cli.output import show_one
from pipeline.model.errors import RefusedError, UsageError

store = typer.Typer(no_args_is_help=True, help="The cluster that keeps the events.")


def attach(app: typer.Typer) -> None:
    app.add_typer(store, name="store")


@store.command("init")
def init(
    yes: Annotated[
        bool, typer.Option("--yes", help="Change what is there already, as shown.")
    ] = False,
    home: Home = None,
    as_json: Json = False,
) -> None:
    """Put the index template into the cluster, and widen the indices of an older one. Doing it again is safe."""
    with opened(home) as here:
        if here.settings.store.kind != "elasticsearch":
            raise UsageError(
                "the lake needs no preparation", where="store.kind", got=here.settings.store.kind,
                expected="elasticsearch",
            )  # fmt: skip
        from pipeline.store.elasticsearch.init import carry_out, plan

        wanted = plan(here.settings.store.elasticsearch)
        if wanted.difference and not as_json:
            typer.echo("\n".join(wanted.difference))
        if wanted.changes and not yes:
            raise RefusedError(
                "the cluster has another template than this program's: nothing was changed",
                remedy="thapcanh store init --yes changes it as shown",
            )
        carry_out(here.settings.store.elasticsearch, wanted)
        show_one(
            {
                "template": "made"
                if wanted.fresh
                else "changed"
                if wanted.changes
                else "as wanted",
                "indices_widened": len(wanted.indices),
                "difference": list(wanted.difference) if as_json else len(wanted.difference),
            },
            as_json=as_json,
        )
