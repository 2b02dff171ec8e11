"""What must not be deleted and what was: legal holds and deletions, for who may see operations."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from starlette.responses import Response

from pipeline.access.agencies import agencies, unknown
from pipeline.access.names import person_names
from pipeline.console.visit import Visit
from pipeline.model.errors import ServiceAwayError
from pipeline.store.base import KeptWhole
from pipeline.store.disposals import disposals
from pipeline.store.holds import list_holds

SHOWN: Final = 200


def page(visit: Visit) -> Response:
    holds = list_holds(visit.state, visit.actor, released=True)
    gone = disposals(visit.state, visit.actor, limit=SHOWN + 1)
    with visit.state.read() as db:
        names = agencies(db, visit.actor)
        people = person_names(db, {one.by for one in holds} | {one.by for one in gone})
    return visit.render(
        "keeping.html",
        holds=holds, gone=gone[:SHOWN], more=len(gone) > SHOWN, names=names, unknown=unknown, people=people,
        whole=_kept_whole(visit) if any(one.released is None for one in holds) else (),
    )  # fmt: skip


def _kept_whole(visit: Visit) -> Sequence[KeptWhole] | None:
    """What the store keeps whole for a hold: events of all agencies, so for who may see all. None: the store is away."""
    if visit.actor.scope.agencies is not None:
        return ()
    try:
        return visit.store.kept_whole(now=visit.now)
    except ServiceAwayError:
        return None
