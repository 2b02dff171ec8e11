"""The events of a home carried over to the other kind of store, while no role is at work.

In: a home whose settings name the cluster. Out: the events there, the state switched over, the old store as it was,
until `discard_store`. Locks tell roles of this machine; where the state is a server's, pulses tell those of others.
"""

from __future__ import annotations

from contextlib import ExitStack
from datetime import datetime
from typing import Final

from pipeline.model.errors import ConflictError, RefusedError, UsageError
from pipeline.serve.installation import Installation
from pipeline.serve.locks import role_lock
from pipeline.serve.pulse import read_pulses
from pipeline.serve.supervisor import ROLES
from pipeline.store import copying, kind
from pipeline.store.copying import Copied, Movable

_ALIVE: Final = 15.0
"""Seconds after which a role that has not beaten is taken for stopped."""


def copy_store(
    here: Installation, to: str, progress: copying.Progress, *, now: datetime
) -> list[Copied]:
    """See `copying.copy`. ConflictError while a role is at work."""
    (old,) = set(kind.KINDS) - {to}
    if kind.noted(here.state) == to:
        raise UsageError(
            "the events of this installation are there already", where="--to", got=to, expected=old
        )
    with ExitStack() as held:
        for role in ROLES:
            held.enter_context(role_lock(here.settings.run, role))
        _nobody_elsewhere(here, now)
        source, target = (_mover(here, name, now, held) for name in (old, to))
        return copying.copy(source, target, to, here.state, progress)


def discard_store(here: Installation, name: str, *, now: datetime, yes: bool) -> int:
    """Delete the events of a store that is not in use; RefusedError, with their number, without `yes`."""
    if here.settings.store.kind == name:
        raise UsageError("the settings name this store", where="store.kind", got=name)
    with ExitStack() as held:
        store = _mover(here, name, now, held)
        if not yes and (there := store.held()) and kind.noted(here.state) != name:
            raise RefusedError(
                f"{there} events would be deleted: nothing was changed",
                remedy=f"thapcanh store discard {name} --yes",
            )
        return copying.discard(store, name, here.state)


def _mover(here: Installation, name: str, now: datetime, held: ExitStack) -> Movable:
    settings = here.settings
    if name == "lake":
        from pipeline.store.lake.moving import LakeMover

        return LakeMover(settings.lake, here.state, now)
    from pipeline.store.elasticsearch.moving import ClusterMover
    from pipeline.store.elasticsearch.store import ElasticsearchStore

    store = ElasticsearchStore(settings.store.elasticsearch, here.state)
    held.callback(store.close)
    return ClusterMover(store, here.state)


def _nobody_elsewhere(here: Installation, now: datetime) -> None:
    """SQLite has roles of this machine only."""
    if here.state.engine.dialect.name != "postgresql":
        return
    alive = [
        f"{one.role} {one.node}".strip()
        for one in read_pulses(here.state, now=now, stuck_after=_ALIVE)
        if (now - one.beat).total_seconds() < _ALIVE
    ]
    if alive:
        raise ConflictError(
            "roles were at work a moment ago, perhaps on another machine", got=", ".join(alive),
            remedy=f"stop them everywhere, wait {_ALIVE:.0f} s, and do it again",
        )  # fmt: skip
