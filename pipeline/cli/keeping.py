"""What an operator does to keep the system: ``doctor``, ``backup``, ``restore``, ``retention``."""

from __future__ import annotations

import dataclasses
import os
import sys
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pipeline.cli.moments import moment
from pipeline.cli.options import Home, Json, opened
from pipeline.cli.output import safe, show_list, show_one
from pipeline.cli.progress import bar
from pipeline.model.clock import utc_now
from pipeline.model.errors import RefusedError, UsageError
from pipeline.model.scope import OPERATOR

if TYPE_CHECKING:
    from pipeline.serve.keeping.backup import Report


retention = typer.Typer(
    no_args_is_help=True, help="How long events are kept, and what was deleted."
)


def attach(app: typer.Typer) -> None:
    app.command("doctor")(doctor)
    app.command("backup")(backup)
    app.command("restore")(restore)
    app.add_typer(retention, name="retention")


def doctor(home: Home = None, as_json: Json = False) -> None:
    """Look at everything that can go wrong, and say what to do; exit code 3 if something is."""
    from pipeline.serve.doctor.doctor import examine_home
    from pipeline.serve.installation import home_folder

    found = examine_home(home_folder(home), utc_now())
    if as_json:
        rows = [{"state": one.state, **dataclasses.asdict(one)} for one in found]
        show_list(rows, as_json=True)
    for one in () if as_json else found:
        typer.echo(f"{one.state:<4}  {one.part:<16}  {safe(one.found)}")
        if one.remedy:
            typer.echo(f"      → {safe(one.remedy)}")
    if any(one.state == "fail" for one in found):
        raise typer.Exit(3)


def backup(
    target: Annotated[
        Path, typer.Argument(help="A folder, in which the file gets a name of its own; or a file.")
    ],
    home: Home = None,
    as_json: Json = False,
) -> None:
    """The whole installation into one file, while it runs. It holds the installation's key."""
    from pipeline.serve.keeping.backup import back_up, file_name

    now = utc_now()
    file = target / file_name(now) if target.is_dir() else target
    with opened(home) as here, bar("B") as progress:
        done = back_up(here, file, now=now, progress=progress)
    _show(done, as_json=as_json, what="the backup lacks")


def restore(
    file: Annotated[Path, typer.Argument(help="What `backup` wrote.")],
    home: Home = None,
    as_json: Json = False,
) -> None:
    """A home out of a backup: the home must be empty or not be there."""
    from pipeline.serve.installation import home_folder
    from pipeline.serve.keeping.backup import restore as restore_

    with bar("B") as progress:
        done = restore_(file, home_folder(home), environ=dict(os.environ), progress=progress)
    _show(done, as_json=as_json, what="the restored home lacks")


@retention.command("show")
def show(home: Home = None, as_json: Json = False) -> None:
    """Per agency what is kept how long; holds; the last deletions."""
    from pipeline.serve.keeping.retention import Floors, agencies_of
    from pipeline.store.disposals import disposals
    from pipeline.store.holds import list_holds

    now = utc_now()
    with opened(home) as here:
        settings, floors = here.settings.retention, Floors.in_force(now.date())
        held = list_holds(here.state, OPERATOR)
        kept = []
        for one in agencies_of(here.state):
            floor = 0 if one.drill else (now - floors.moment(one, settings, now)).days
            days = settings.drill_days if one.drill else max(settings.days, floor)
            kept.append(
                {
                    "agency": one.id, "level": one.level or None, "drill": one.drill,
                    "days": days, "at_least": floor,
                    "holds": sum(hold.agency == one.id for hold in held),
                }
            )  # fmt: skip
        gone = [
            {
                "at": one.at, "agency": one.agency, "before": one.before, "reason": one.reason,
                "by": one.by, "events": "cut off" if one.events is None else one.events,
            }
            for one in disposals(here.state, OPERATOR)
        ]  # fmt: skip
        whole = [dataclasses.asdict(one) for one in here.store.kept_whole(now=now)] if held else []
    holds = [
        {
            "id": one.id, "agency": one.agency, "first": one.first_time, "last": one.last_time,
            "reason": one.reason, "by": one.by, "at": one.at,
        }
        for one in held
    ]  # fmt: skip
    if as_json:
        show_one(
            {
                "policy": floors.source,
                "agencies": kept,
                "holds": holds,
                "kept_whole": whole,
                "disposals": gone,
            },
            as_json=True,
        )
        return
    for title, rows in (
        ("agencies", kept),
        ("holds", holds),
        ("indices kept whole for a hold", whole),
        ("disposals", gone),
    ):
        if rows:
            typer.echo(f"-- {title}")
            show_list(rows, as_json=False)


@retention.command("run")
def run(home: Home = None, as_json: Json = False) -> None:
    """Delete now what has reached its age, rather than at night."""
    from pipeline.serve.keeping.retention import run_now
    from pipeline.store.base import Upkeep

    with opened(home) as here:
        done = run_now(here.state, here.store, OPERATOR, here.settings.retention, now=utc_now())
        if isinstance(here.store, Upkeep):
            here.store.sweep(utc_now())
        for one in here.store.kept_whole(now=utc_now()):
            sys.stderr.write(
                f"thapcanh: {one.name} is kept whole: {one.held} of its {one.events} events are held\n"
            )
    show_list(
        [
            {"agency": order.agency, "before": order.before, "reason": order.reason, "events": gone}
            for order, gone in done
        ],
        as_json=as_json,
    )


@retention.command("hold")
def hold(
    agency: Annotated[str, typer.Argument(help="The agency's id.")],
    first: Annotated[str, typer.Option("--from", help="2026-11-01, 2026-11-01T09:00 or 30d.")],
    last: Annotated[str, typer.Option("--to", help="As --from; a day is held to its end.")],
    reason: Annotated[str, typer.Option(help="The order or the case.")],
    home: Home = None,
    as_json: Json = False,
) -> None:
    """Keep the agency's events of this time, whatever their age and however full the disk."""
    from pipeline.store.holds import place_hold

    begin, end = _moment(first, "--from"), _moment(last, "--to", end=True)
    with opened(home) as here:
        made = place_hold(
            here.state, OPERATOR, agency=agency, first=begin, last=end, reason=reason, now=utc_now()
        )
    show_one({"hold": made}, as_json=as_json)


@retention.command("release")
def release(
    hold: Annotated[str, typer.Argument(help="The hold's id.")],
    home: Home = None,
    as_json: Json = False,
) -> None:
    """Let a hold go; what it kept is then deleted at its age."""
    from pipeline.store.holds import release_hold

    with opened(home) as here:
        release_hold(here.state, OPERATOR, hold, now=utc_now())
    show_one({"hold": hold, "state": "released"}, as_json=as_json)


def _moment(text: str, option: str, *, end: bool = False) -> datetime:
    found = moment(text, option, now=utc_now())
    if found is None:
        raise UsageError("a hold has a beginning and an end", where=option)
    return found + timedelta(days=1, microseconds=-1) if end and ":" not in text else found


def _show(done: Report, *, as_json: bool, what: str) -> None:
    show_one(
        {"path": str(done.path), "files": done.files, "bytes": done.bytes, "taken": done.taken},
        as_json=as_json,
    )
    for note in done.notes:
        sys.stderr.write(f"thapcanh: {note}\n")
    if done.missing:
        raise RefusedError(f"{what}:\n  " + "\n  ".join(done.missing))
