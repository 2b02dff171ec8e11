"""What a person sees who starts the system: the console's address, and with the drill a way in.

In: an opened home. Out: lines on standard output, once the console answers::

    http://127.0.0.1:9780
    http://127.0.0.1:9780/link/6Jk…          spent by its form, once, within 24 hours
    health: http://127.0.0.1:9781/health
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable
from datetime import datetime

from sqlalchemy import select

from pipeline.access import links
from pipeline.access.beginning import begin_installation
from pipeline.model.clock import utc_now
from pipeline.model.errors import ServiceAwayError
from pipeline.model.scope import OPERATOR
from pipeline.serve.installation import Installation
from pipeline.serve.links import console_url, sign_in_url
from pipeline.state.tables.access import Person
from pipeline.state.tables.operation import Pulse


def welcome(
    here: Installation,
    pid: Callable[[], int | None],
    stop: threading.Event,
    *,
    health: str,
    way_in: bool,
) -> None:
    """Waits until the console's process (`pid`) beats, then prints. Returns early at `stop`.

    `way_in` prints a one-time link for the first administrator, and makes one where there is none:
    for the drill, whose visitor owns the home. Without it a home that nobody can enter says how to begin.
    """
    while not _answers(here, pid()):
        if stop.wait(0.1):
            return
    lines = [console_url(here.settings.console)]
    administrator = _administrator(here)
    if way_in:
        lines.append(sign_in_url(here.settings.console, _link(here, administrator, now=utc_now())))
    elif administrator is None:
        lines.append("nobody can sign in yet: thapcanh admin init makes the first administrator")
    sys.stdout.write("\n".join([*lines, f"health: {health}"]) + "\n")
    sys.stdout.flush()


def _answers(here: Installation, pid: int | None) -> bool:
    try:
        with here.state.read() as session:
            beaten = session.scalar(select(Pulse.pid).where(Pulse.role == "console"))
    except ServiceAwayError:
        return False
    return pid is not None and beaten == pid


def _administrator(here: Installation) -> str | None:
    with here.state.read() as session:
        return session.scalar(
            select(Person.id)
            .where(Person.role == "administrator", Person.disabled.is_(None))
            .order_by(Person.created)
            .limit(1)
        )


def _link(here: Installation, administrator: str | None, *, now: datetime) -> str:
    if administrator is None:
        return begin_installation(here.state, OPERATOR, now=now)
    return links.issue(here.state, OPERATOR, administrator, now=now)
