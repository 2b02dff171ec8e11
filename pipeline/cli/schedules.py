"""``schedule`` and ``coverage``: when runs start and rest, and over what a rule has been evaluated."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any

import msgspec
import typer

from pipeline.cli.moments import moment
from pipeline.cli.options import Home, Json, opened
from pipeline.cli.output import show_list, show_one, show_part
from pipeline.cli.whole_ids import whole_rule
from pipeline.model.clock import from_micros, utc_now
from pipeline.model.errors import UsageError
from pipeline.model.scope import OPERATOR

schedule = typer.Typer(no_args_is_help=True, help="When detection runs, and when it rests.")
Name = Annotated[str, typer.Argument(help="The schedule.")]


def attach(app: typer.Typer) -> None:
    app.add_typer(schedule, name="schedule")
    app.command("coverage")(coverage)


@schedule.command("list")
def schedule_list(home: Home = None, as_json: Json = False) -> None:
    """Every schedule: its interval, how far behind it is, and why it rests if it does."""
    from pipeline.detect.running.scheduler import schedules

    with opened(home) as here:
        found = schedules(here.state, here.store, OPERATOR, now=utc_now())
    show_list([msgspec.to_builtins(each) for each in found], as_json=as_json)


@schedule.command("pause")
def schedule_pause(
    reason: Annotated[str, typer.Option(help="Why; the coverage shows it.")],
    name: Name = "main",
    home: Home = None,
    as_json: Json = False,
) -> None:
    """Start no run until it is resumed. Nothing is skipped."""
    from pipeline.detect.running.scheduler import pause

    with opened(home) as here:
        pause(here.state, OPERATOR, name, reason, now=utc_now())
    show_one({"schedule": name, "paused": reason}, as_json=as_json)


@schedule.command("resume")
def schedule_resume(name: Name = "main", home: Home = None, as_json: Json = False) -> None:
    """Let runs start again, where they stopped."""
    from pipeline.detect.running.scheduler import resume

    with opened(home) as here:
        resume(here.state, OPERATOR, name, now=utc_now())
    show_one({"schedule": name, "paused": ""}, as_json=as_json)


@schedule.command("maintain")
def schedule_maintain(
    until: Annotated[str, typer.Option(help="The end, such as 2026-11-24T05:00.")] = "",
    reason: Annotated[str, typer.Option(help="Why; the coverage shows it.")] = "",
    start: Annotated[str, typer.Option(help="The start [default: now].")] = "",
    name: Annotated[str, typer.Option(help="Only this schedule.")] = "",
    cancel: Annotated[str, typer.Option(help="End the declared span of this id at once.")] = "",
    home: Home = None,
    as_json: Json = False,
) -> None:
    """Declare a span in which runs wait; without --until, list the declared ones."""
    from pipeline.detect.running import maintenance

    now = utc_now()
    with opened(home) as here:
        if cancel:
            maintenance.cancel(here.state, OPERATOR, cancel, now=now)
        elif until:
            ends = moment(until, "--until", now=now)
            if ends is None:
                raise UsageError("maintenance needs its end", where="--until")
            maintenance.declare(
                here.state, OPERATOR, schedule=name, starts=moment(start, "--start", now=now) or now,
                ends=ends, reason=reason, now=now,
            )  # fmt: skip
        rests = maintenance.list_rests(here.state, OPERATOR, now=now)
    show_list([msgspec.to_builtins(r, builtin_types=(datetime,)) for r in rests], as_json=as_json)


def coverage(
    rule: Annotated[str, typer.Argument(help="The rule's id.")],
    revision: Annotated[
        str, typer.Option(help="Of this revision [default: the present one].")
    ] = "",
    agency: Annotated[str, typer.Option(help="Only what holds events of this agency.")] = "",
    since: Annotated[str, typer.Option(help="Events from then on: 24h, 2026-11-24 …")] = "",
    until: Annotated[str, typer.Option(help="Events before then.")] = "",
    home: Home = None,
    as_json: Json = False,
) -> None:
    """Over what a rule was evaluated, by which runs, and where the gaps are, with their reasons."""
    from pipeline.detect.reads.coverage import ask

    now = utc_now()
    with opened(home) as here:
        told = ask(
            here.state, here.store, OPERATOR, whole_rule(here, rule), revision=revision, agency=agency,
            start=moment(since, "--since", now=now), stop=moment(until, "--until", now=now), now=now,
        )  # fmt: skip
    found = told.answer
    missed = [msgspec.to_builtins(one, builtin_types=(datetime,)) for one in told.outages]
    if as_json:
        show_one(msgspec.to_builtins(found) | {"outages": missed}, as_json=True)
        return
    show_one({"rule": found.rule, "revision": found.revision}, as_json=False)
    show_part("evaluated", [_told(each) for each in found.evaluated])
    show_part("gaps: not evaluated, and why", [msgspec.to_builtins(gap) for gap in found.gaps])
    if found.lost:
        builtin = (datetime,)
        lost = [msgspec.to_builtins(one, builtin_types=builtin) for one in found.lost]
        show_part("lost with damaged files", lost)
    show_part("outages: records may be lost before they came", missed)


def _told(each: Any) -> dict[str, Any]:
    spans = each.agencies.values()
    return {
        "node": each.node, "first": each.first, "last": each.last,
        "events": sum(e["events"] for e in spans), "agencies": len(each.agencies),
        "from": from_micros(min(e["first"] for e in spans)) if spans else None,
        "to": from_micros(max(e["last"] for e in spans)) if spans else None,
        "runs": each.first_run if each.first_run == each.last_run else f"{each.first_run} … {each.last_run}",
    }  # fmt: skip
