"""``serve``: the system at work."""

from __future__ import annotations

import signal
import sys
import threading
from typing import Annotated

import typer

from pipeline.cli.options import Home, opened


def attach(app: typer.Typer) -> None:
    app.command("serve")(serve)


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


def _stop_on_signals() -> threading.Event:
    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    return stop
