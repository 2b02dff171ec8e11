"""``rehearse``: the drill, played into a running server; and taken away again."""

from __future__ import annotations

import dataclasses
import sys
from datetime import datetime
from typing import TYPE_CHECKING, Annotated

import typer

from pipeline.cli.options import Home, Json, opened
from pipeline.cli.output import show_one
from pipeline.cli.signals import stop_on_signals
from pipeline.model.errors import RefusedError, UsageError

if TYPE_CHECKING:
    from pipeline.rehearsal.player import Played


def attach(app: typer.Typer) -> None:
    app.command("rehearse")(rehearse)


def rehearse(
    seed: Annotated[int | None, typer.Option(help="Another seed, another day.")] = None,
    start: Annotated[
        str,
        typer.Option(help="The day's first instant, ISO 8601 with a zone [default: yesterday]."),
    ] = "",
    seconds: Annotated[float, typer.Option(help="How long the day takes to play.")] = 75.0,
    records: Annotated[int | None, typer.Option(help="Lines of noise [default: 24,000].")] = None,
    beside_real: Annotated[
        bool, typer.Option("--beside-real", help="Even in a home that holds real agencies.")
    ] = False,
    check: Annotated[
        bool, typer.Option(help="Compare the tickets with those that the script demands.")
    ] = True,
    clean: Annotated[
        bool, typer.Option("--clean", help="Remove the drill: its agencies, events and tickets.")
    ] = False,
    supervised: Annotated[bool, typer.Option(hidden=True)] = False,
    home: Home = None,
    as_json: Json = False,
) -> None:
    """Play a day of eight agencies, with six attacks in it, into a running server; go on where it stopped."""
    from pipeline.serve.drill import choose_script, clean_drill, play_drill
    from pipeline.serve.roles import stop_with_parent
    from pipeline.serve.verdict import wait_for_tickets

    stop = stop_on_signals()
    if supervised:
        stop_with_parent(stop)
    with opened(home, create=True) as here:
        if clean:
            show_one(dataclasses.asdict(clean_drill(here)), as_json=as_json)
            return
        script = choose_script(here, seed, _moment(start), records)
        played = play_drill(
            here, script, stop, _report, seconds=seconds, beside_real=beside_real, tell=_tell
        )
        told = (
            wait_for_tickets(here, script, seconds=60, stop=stop, tell=_tell)
            if check and played.done
            else []
        )
        if told and not stop.is_set():
            raise RefusedError(
                "the tickets are not those that the script demands:\n  " + "\n  ".join(told)
            )
        done: dict[str, object] = {"lines": played.lines, "of": played.total, "lost": played.lost}
        if check and played.done:
            done["verdict"] = "the tickets are those that the script demands"
        show_one(done, as_json=as_json)


def _report(done: Played) -> None:
    if sys.stderr.isatty():
        end = "\n" if done.done else ""
        sys.stderr.write(f"\rrehearsal: {done.lines:,} / {done.total:,} lines{end}")
        sys.stderr.flush()


def _tell(line: str) -> None:
    sys.stderr.write(f"rehearsal: {line}\n")
    sys.stderr.flush()


def _moment(text: str) -> datetime | None:
    if not text:
        return None
    try:
        moment = datetime.fromisoformat(text)
    except ValueError as error:
        raise UsageError("this is no time", where="--start", got=text) from error
    if moment.tzinfo is None:
        raise UsageError(
            "the start needs a zone", where="--start", got=text, expected=f"{text}+07:00"
        )
    return moment
