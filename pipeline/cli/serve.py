"""``serve``: the system at work, all of it or one role."""

from __future__ import annotations

import threading
from typing import Annotated

import typer

from pipeline.cli.options import Home, opened
from pipeline.cli.signals import stop_on_signals
from pipeline.model.errors import UsageError


def attach(app: typer.Typer) -> None:
    app.command("serve")(serve)


def serve(
    role: Annotated[
        str,
        typer.Argument(help="all, collect, collect.GROUP, normalise, detect, tickets or console"),
    ] = "all",
    rehearsal: Annotated[
        bool, typer.Option("--rehearsal", help="Play the drill too, and print a sign-in link.")
    ] = False,
    supervised: Annotated[bool, typer.Option(hidden=True)] = False,
    home: Home = None,
) -> None:
    """Run all roles under one supervisor, or one of them, until Ctrl-C."""
    from pipeline.model.clock import utc_now
    from pipeline.serve.health import health_endpoint
    from pipeline.serve.locks import role_lock
    from pipeline.serve.logs import log_to
    from pipeline.serve.metrics import metrics
    from pipeline.serve.roles import run_role, stop_with_parent
    from pipeline.serve.supervisor import Supervisor
    from pipeline.serve.welcome import welcome

    if rehearsal and role != "all":
        raise UsageError(
            "the drill needs all roles", where="--rehearsal", got=role,
            remedy="thapcanh rehearse plays it into roles that run elsewhere",
        )  # fmt: skip
    stop = stop_on_signals()
    with opened(home, create=True) as here:
        settings = here.settings
        log_to(settings.home / "log", "supervisor" if role == "all" else role)
        if role != "all":
            if supervised:
                stop_with_parent(stop)
            run_role(here, role, stop)
            return
        with role_lock(settings.run, "supervisor"):
            supervisor = Supervisor(here, errands=("rehearse",) if rehearsal else ())
            address = (settings.serve.health_address, settings.serve.health_port)
            with health_endpoint(
                *address, supervisor.troubles, lambda: metrics(here.state, now=utc_now())
            ) as port:
                telling = threading.Thread(
                    target=welcome,
                    args=(here, lambda: supervisor.pids().get("console"), stop),
                    kwargs={"health": f"http://{address[0]}:{port}/health", "way_in": rehearsal},
                )
                telling.start()
                try:
                    supervisor.run(stop)
                finally:
                    stop.set()  # whatever ended it: nobody waits for a console that will not come
                    telling.join()
