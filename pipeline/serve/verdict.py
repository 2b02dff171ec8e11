"""Whether a played drill made the tickets that its script demands, given the time to make them."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

from pipeline.model.errors import ServiceAwayError
from pipeline.rehearsal.expected import tickets
from pipeline.rehearsal.script import Script
from pipeline.rehearsal.verdict import differences, seen_tickets
from pipeline.serve.installation import Installation


def wait_for_tickets(
    here: Installation,
    script: Script,
    *,
    seconds: float,
    stop: threading.Event,
    tell: Callable[[str], None] = lambda _: None,
) -> list[str]:
    """The differences that are left when they are gone or the time is up; one line each. `tell` hears how
    many are left whenever that changes. A store that is away is asked again: ServiceAwayError when it is still
    away in the end."""
    wanted = tickets(script)
    limit, told = time.monotonic() + seconds, 0
    while True:
        over = time.monotonic() > limit
        try:
            found = differences(seen_tickets(here.state, here.store), wanted)
        except ServiceAwayError:
            if over or stop.wait(1.0):
                raise
            continue
        if found and len(found) != told:
            tell(f"waiting for the script's tickets: {len(found)} differences left")
            told = len(found)
        if not found or over or stop.wait(1.0):
            return found
