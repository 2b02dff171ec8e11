"""``finding``: what rules have found, with the lines that made them fire."""

from __future__ import annotations

from typing import Annotated

import msgspec
import typer

from pipeline.cli.options import After, AgencyFilter, Home, Json, Limit, Since, Until, opened
from pipeline.cli.output import matched_fields, show_list, show_one, show_title
from pipeline.model.clock import utc_now
from pipeline.model.scope import OPERATOR

finding = typer.Typer(no_args_is_help=True, help="What rules have found.")
_COLUMNS = ("id", "level", "agency", "entity", "count", "last", "ticket", "title")


def attach(app: typer.Typer) -> None:
    app.add_typer(finding, name="finding")


@finding.command("list")
def finding_list(
    agency: AgencyFilter = "",
    rule: Annotated[str, typer.Option(help="Only of this rule, by its id's beginning.")] = "",
    level: Annotated[str, typer.Option(help="informational, low, medium, high, critical")] = "",
    entity: Annotated[str, typer.Option(help="Only of this host, user or address.")] = "",
    since: Since = "",
    until: Until = "",
    merged: Annotated[bool, typer.Option(help="Those that others absorbed too.")] = False,
    limit: Limit = 50,
    after: After = None,
    home: Home = None,
    as_json: Json = False,
) -> None:
    """Findings, the last changed first."""
    from pipeline.access.agencies import check_agency
    from pipeline.cli.moments import moment
    from pipeline.detect.reads.findings import Filters, list_findings

    now = utc_now()
    with opened(home) as here:
        check_agency(here.state, OPERATOR, agency)
        filters = Filters(
            agency=agency, rule=rule, level=level, entity=entity, merged=merged,
            since=moment(since, "--since", now=now), until=moment(until, "--until", now=now),
        )  # fmt: skip
        page = list_findings(here.state, OPERATOR, filters, limit=limit, after=after)
        items = [msgspec.structs.asdict(line) for line in page.items]
        if not as_json:
            items = [item | {"id": item["id"][:8]} for item in items]
        show_list(items, as_json=as_json, columns=_COLUMNS, following=page.next)


@finding.command("show")
def finding_show(
    which: Annotated[str, typer.Argument(help="The finding's id, or its beginning.")],
    samples: Annotated[int, typer.Option(min=0, max=20, help="Events that are shown.")] = 5,
    home: Home = None,
    as_json: Json = False,
) -> None:
    """One finding: rule, entity, counts, its ticket, and its events as they came."""
    from pipeline.detect.reads.findings import get_finding
    from pipeline.detect.running.samples import places_shown

    with opened(home) as here:
        view = get_finding(here.state, here.store, OPERATOR, which)
    line = msgspec.structs.asdict(view.finding)
    if as_json:
        whole = msgspec.structs.asdict(view)
        del whole["finding"]
        show_one(line | whole, as_json=True)
        return
    shown = {name: line[name] for name in ("id", "title", "level", "status", "rule", "revision")}
    shown |= {"agency": line["agency"], line["entity_field"] or "entity": line["entity"]}
    shown |= {name: line[name] for name in ("count", "first", "last", "merged_into", "ticket")}
    shown |= {"absorbed": view.absorbed, "run": line["run"]}
    show_one({k: v for k, v in shown.items() if v not in ("", None, ())}, as_json=False)
    rules = [sample.get("rule", "") for sample in view.samples]
    for sample in (view.samples[place] for place in places_shown(rules, samples)):
        document = view.documents.get(sample["event"]) or {}
        show_title(f"event {sample['event']}")
        show_one(matched_fields(sample), as_json=False)
        original = document.get("event", {}).get("original")
        show_one({"original": original or "(no longer in the store)"}, as_json=False)
    if line["count"] > min(samples, len(view.samples)):
        typer.echo(
            f"(… {line['count']} events in all; {len(view.samples)} are kept as samples: the earliest, and those of each rule)",
            err=True,
        )
