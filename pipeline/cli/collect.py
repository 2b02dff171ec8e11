"""``collect``: how collecting stands, by node and by source."""

from __future__ import annotations

import dataclasses

import msgspec.structs
import typer

from pipeline.cli.options import AgencyFilter, Home, Json, opened
from pipeline.cli.output import show_one, show_part

collect = typer.Typer(
    no_args_is_help=True, help="Receivers: what comes in, what is dropped and why."
)


def attach(app: typer.Typer) -> None:
    app.add_typer(collect, name="collect")


@collect.callback()
def _group() -> None:
    """Receivers: what comes in, what is dropped and why."""


@collect.command("status")
def status(agency: AgencyFilter = "", home: Home = None, as_json: Json = False) -> None:
    """Each node's spool, each source's counts by reason, and times in which a collector was not there."""
    from pipeline.access.agencies import check_agency
    from pipeline.detect.reads.outages import outages
    from pipeline.model.scope import OPERATOR
    from pipeline.serve import collecting

    with opened(home) as here:
        check_agency(here.state, OPERATOR, agency)
        nodes = [dataclasses.asdict(one) for one in collecting.nodes(here.state)]
        sources = [dataclasses.asdict(one) for one in collecting.sources(here.state)]
        gaps = [msgspec.structs.asdict(one) for one in outages(here.state, OPERATOR, agency=agency)]
    sources = [one for one in sources if agency in {"", one["agency"]}]
    if as_json:
        show_one({"nodes": nodes, "sources": sources, "outages": gaps}, as_json=True)
        return
    told = [
        {"node": one["node"], "of": one["source"], "what": what, "count": count}
        for one in sources
        for what, count in one["notes"].items()
    ] + [
        {"node": node["node"], "of": f"{one['receiver']}, nobody", "what": what, "count": count}
        for node in nodes
        for one in node["unattributed"]
        for what, count in (one["dropped"] | one["notes"]).items()
    ]
    for one in sources:
        one["dropped"] = ", ".join(f"{count} {why}" for why, count in one["dropped"].items()) or "0"
    show_part("nodes", nodes, ("node", "beat", "stopped", "lag", "spool_bytes", "push_back"))
    columns = (
        "agency",
        "source",
        "received",
        "acknowledged",
        "spooled",
        "repeated",
        "dropped",
        "connections",
        "bytes",
    )
    show_part("sources", sources, (*columns, "last_received"))
    if told:
        show_part("cut, refused or pushed back", told, ("node", "of", "what", "count"))
    show_part("outages", gaps, ("source", "begun", "ended", "cause", "lost", "node"))
