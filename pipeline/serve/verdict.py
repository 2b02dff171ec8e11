"""Whether a played drill made the tickets that its script demands, given the time to make them."""

from __future__ import annotations

import threading
import time

from pipeline.rehearsal.expected import tickets
from pipeline.rehearsal.script import Script
from pipeline.rehearsal.verdict import differences, seen_tickets
from pipeline.serve.installation import Installation


def wait_for_tickets(
    here: Installation, script: Script, *, seconds: float, stop: threading.Event
) -> list[str]:
    """The differences that are left when they are gone or the time is up; one line each."""
    script_tickets = tickets(script)
    limit = time.monotonic() + seconds
    while True:
        seen = seen_tickets(here.state, here.store)
        there = {(one.rule, one.agency, one.entity) for one in seen}
        # Single events must have made theirs; correlations may still be waiting for their windows.
        wanted = [
            t for t in script_tickets if t.by == "single" or (t.rule, t.agency, t.entity) in there
        ]
        found = differences(seen, wanted)
        if not found or time.monotonic() > limit or stop.wait(1.0):
            return found
