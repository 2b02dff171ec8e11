"""``source limits``: when a source is not well, where the settings' thresholds do not fit it."""

from __future__ import annotations

import dataclasses
from typing import Annotated

import typer

from pipeline.cli.options import Home, Json, opened
from pipeline.cli.output import show_list, show_one
from pipeline.cli.register import WhichSource, source
from pipeline.model.clock import utc_now
from pipeline.model.errors import UsageError
from pipeline.model.scope import OPERATOR


def attach(app: typer.Typer) -> None:
    del app  # the command stands in the group `source`


@source.command("limits")
def source_limits(
    which: WhichSource,
    given: Annotated[
        list[str] | None,
        typer.Option("--set", help="NAME=NUMBER; NAME= for what the settings say."),
    ] = None,
    home: Home = None,
    as_json: Json = False,
) -> None:
    """The thresholds of a source's health: its own, else the settings' (`health` in thapcanh.yml)."""
    from pipeline.sources.limits import NAMES, limits_of, own_limits, set_limits
    from pipeline.sources.register import get_source

    pairs = {}
    for text in given or ():
        name, sign, value = text.partition("=")
        if not sign:
            raise UsageError("a threshold is NAME=NUMBER", where="--set", got=text)
        pairs[name.strip()] = value
    with opened(home) as here:
        row = get_source(here.state, OPERATOR, which)
        if pairs:
            set_limits(here.state, OPERATOR, which, pairs, now=utc_now())
            row = get_source(here.state, OPERATOR, which)
        holds = dataclasses.asdict(limits_of(row.options, here.settings.health))
        own = own_limits(row.options)
    items = [{"id": name, "value": holds[name], "own": name in own} for name in NAMES]
    if as_json:
        show_one(
            {"source": which, "limits": {i["id"]: i["value"] for i in items}, "own": own},
            as_json=True,
        )
        return
    show_list(items, as_json=False, columns=("id", "value", "own"))
