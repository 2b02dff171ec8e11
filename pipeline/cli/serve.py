"""``serve`` and ``rehearse``: the system at work, and the drill that is played into it."""

from __future__ import annotations

import signal
import sys
import threading
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Annotated

import typer

from pipeline.cli.options import Home, Json, opened
from pipeline.cli.output import show_one
from pipeline.model.clock import CITY_ZONE, utc_now
from pipeline.model.errors import RefusedError, UsageError
from pipeline.model.scope import OPERATOR

if TYPE_CHECKING:
    from pipeline.rehearsal.player import Played


def attach(app: typer.Typer) -> None:
    app.command("serve")(serve)
    app.command("rehearse")(rehearse)


def serve(
    role: Annotated[str, typer.Argument(help="all, collect, normalise, detect or tickets")] = "all",
    supervised: Annotated[bool, typer.Option(hidden=True)] = False,
    home: Home = None,
) -> None:
    """Run all roles under one supervisor, or one of them, until Ctrl-C."""
    from pipeline.serve.health import health_endpoint
    from pipeline.serve.locks import role_lock
    from pipeline.serve.logs import log_to
    from pipeline.serve.roles import run_role, stop_with_parent
    from pipeline.serve.supervisor import Supervisor

    stop = _stop_on_signals()
    with opened(home, create=True) as here:
        settings = here.settings
        log_to(settings.home / "log", "supervisor" if role == "all" else role)
        if role != "all":
            if supervised:
                stop_with_parent(stop)
            run_role(here, role, stop)
            return
        with role_lock(settings.run, "supervisor"):
            supervisor = Supervisor(here)
            health = (settings.serve.health_address, settings.serve.health_port)
            with health_endpoint(*health, supervisor.troubles) as port:
                sys.stdout.write(f"http://{health[0]}:{port}/health\n")
                sys.stdout.flush()
                supervisor.run(stop)


def rehearse(
    seed: Annotated[int | None, typer.Option(help="Another seed, another day.")] = None,
    start: Annotated[str, typer.Option(help="The day's first instant, ISO 8601 with a zone.")] = "",
    seconds: Annotated[float, typer.Option(help="How long the day takes to play.")] = 75.0,
    records: Annotated[int, typer.Option(help="Lines of noise.")] = 24_000,
    beside_real: Annotated[
        bool, typer.Option(help="Even in a home that holds real agencies.")
    ] = False,
    check: Annotated[
        bool, typer.Option(help="Compare the tickets with those that the script demands.")
    ] = True,
    home: Home = None,
    as_json: Json = False,
) -> None:
    """Play a day of eight agencies, with six attacks in it, into a running server; go on where it stopped."""
    from pipeline.normalise.product import load_products
    from pipeline.rehearsal.player import play
    from pipeline.rehearsal.progress import FileProgress
    from pipeline.rehearsal.script import Script
    from pipeline.rehearsal.senders import Targets
    from pipeline.rehearsal.setup import remembered, set_stage
    from pipeline.serve.verdict import wait_for_tickets

    stop = _stop_on_signals()
    with opened(home, create=True) as here:
        script = remembered(here.state)
        if script is None or seed is not None or start:
            script = Script(seed if seed is not None else 1, _start(start), records)
        folder = here.settings.home / "rehearsal"
        folder.mkdir(exist_ok=True, mode=0o700)
        keys = set_stage(
            here.state, OPERATOR, folder, script, known_products=load_products().keys(),
            now=utc_now(), beside_real=beside_real,
        )  # fmt: skip
        ports = {one.kind: one for one in here.settings.collect.listeners}
        http = ports["http_bulk"]
        targets = Targets(
            http=f"http://{http.address}:{http.port}", keys=keys, syslog_host=http.address,
            udp_port=ports["syslog_udp"].port, tcp_port=ports["syslog_tcp"].port,
        )  # fmt: skip
        played = play(
            script, targets, FileProgress(folder / "position.json"), stop,
            _report, seconds=seconds,
        )  # fmt: skip
        sys.stderr.write("\n")
        show_one({"lines": played.lines, "of": played.total, "lost": played.lost}, as_json=as_json)
        if check and played.done:
            told = wait_for_tickets(here, script, seconds=60, stop=stop)
            if told:
                raise RefusedError(
                    "the tickets are not those that the script demands:\n  " + "\n  ".join(told)
                )
            show_one({"verdict": "the tickets are those that the script demands"}, as_json=as_json)


def _report(done: Played) -> None:
    if sys.stderr.isatty() or done.done:
        sys.stderr.write(f"\r{done.lines:,} / {done.total:,} lines")
        sys.stderr.flush()


def _stop_on_signals() -> threading.Event:
    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    return stop


def _start(text: str) -> datetime:
    if not text:
        today = utc_now().astimezone(CITY_ZONE).replace(hour=0, minute=0, second=0, microsecond=0)
        return today - timedelta(days=1)
    try:
        moment = datetime.fromisoformat(text)
    except ValueError as error:
        raise UsageError("this is no time", where="--start", got=text) from error
    if moment.tzinfo is None:
        raise UsageError(
            "the start needs a zone", where="--start", got=text, expected=f"{text}+07:00"
        )
    return moment
