"""``rules``: what is looked for."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from pipeline.cli.options import Home, Json, opened
from pipeline.cli.output import show_one
from pipeline.model.clock import utc_now
from pipeline.model.scope import OPERATOR

rules = typer.Typer(no_args_is_help=True, help="Sigma rules.")


def attach(app: typer.Typer) -> None:
    app.add_typer(rules, name="rules")


@rules.command("import")
def rules_import(
    paths: Annotated[list[Path], typer.Argument(help="Rule files, folders or archives.")],
    name: Annotated[str, typer.Option(help="The import's name; a further import of it updates.")],
    preview: Annotated[bool, typer.Option(help="Only tell what would change.")] = False,
    home: Home = None,
    as_json: Json = False,
) -> None:
    """Make the rules of the paths the installation's; what was switched off stays off."""
    from pipeline.detect.register import import_rules

    with opened(home, create=True) as here:
        diff = import_rules(
            here.state,
            OPERATOR,
            paths,
            origin=name,
            now=utc_now(),
            cache=here.settings.cache,
            preview=preview,
        )
        show_one(
            {
                "added": len(diff.added), "changed": len(diff.changed), "removed": len(diff.removed),
                "unchanged": diff.unchanged, "kept_off": len(diff.kept_off), "refused": len(diff.faults),
            },
            as_json=as_json,
        )  # fmt: skip
        refusal = diff.refusal()
    if refusal is not None:
        raise refusal
