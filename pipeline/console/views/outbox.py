"""The outbox: how each mirror is, and the deeds that one would not take; for who may see operations."""

from __future__ import annotations

from starlette.responses import Response

from pipeline.access import log
from pipeline.access.permissions import scope_for
from pipeline.console.visit import Visit
from pipeline.tickets.outbox.rows import dead_rows, known_mirrors, replay, standings

SHOWN = 100


def page(visit: Visit) -> Response:
    kinds = known_mirrors(visit.state)
    scope = scope_for(visit.actor, "operation.read")
    dead = dead_rows(visit.state, limit=SHOWN + 1, agencies=scope.agencies)
    return visit.render(
        "outbox.html",
        mirrors=standings(visit.state, sorted(kinds)), kinds=kinds, dead=dead[:SHOWN],
        more=len(dead) > SHOWN,
    )  # fmt: skip


def send_again(visit: Visit) -> Response:
    """One dead deed, or all of a mirror, put back; each is looked up over there before it is sent."""
    scope = scope_for(visit.actor, "mirror.replay")
    row, mirror = visit.field("row"), visit.field("mirror")
    count = 0
    if row or mirror:
        count = replay(
            visit.state, mirror=mirror, row=visit.number(row) if row else None,
            agencies=scope.agencies, now=visit.now,
        )  # fmt: skip
        with visit.state.begin() as db:
            detail = f"{mirror or row}: {count}"
            log.record(db, visit.actor.name, "mirror replayed", detail, now=visit.now)
    return visit.go("/mirrors")
