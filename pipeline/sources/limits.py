"""Thresholds of a source's own, where the settings' do not fit it: a nightly batch is silent all day and well.

In: an actor, names of `health` of the settings and numbers. Out: what holds for the source (`limits_of`). They stand in
the source's options; an empty value takes one away, and then the settings hold again.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final

from pipeline.access import log
from pipeline.access.permissions import require
from pipeline.model.errors import NotFoundError, UsageError
from pipeline.model.scope import Actor
from pipeline.settings.values import HealthSettings
from pipeline.state.state import State
from pipeline.state.tables.register import Source

KEY: Final = "health"
_KINDS: Final[Mapping[str, type[int | float]]] = {
    field.name: int if isinstance(field.default, int) else float
    for field in dataclasses.fields(HealthSettings)
    if field.name != "every_seconds"
}
NAMES: Final = tuple(_KINDS)
"""What a source may have of its own."""
_SHARES: Final = frozenset({"failure_share", "resend_share"})
_MOST: Final = 1_000_000_000


def own_limits(options: Mapping[str, Any]) -> dict[str, float]:
    """The source's own, as they are kept; what this program does not know is left out."""
    kept = options.get(KEY) or {}
    return {name: kept[name] for name in NAMES if isinstance(kept.get(name), int | float)}


def limits_of(options: Mapping[str, Any], usual: HealthSettings) -> HealthSettings:
    """What holds for the source: its own before the settings'."""
    own = own_limits(options)
    return dataclasses.replace(usual, **own) if own else usual  # type: ignore[arg-type]


def set_limits(
    state: State, actor: Actor, source: str, given: Mapping[str, str], *, now: datetime
) -> dict[str, float]:
    """Set or (by an empty text) take away; the source's own afterwards."""
    wanted = {name: _number(name, text) for name, text in given.items()}
    with state.begin() as session:
        row = session.get(Source, source, with_for_update=True)
        if row is None:
            raise NotFoundError("no such source", got=source, remedy="thapcanh source list")
        require(actor, "source.write", row.agency)
        before = own_limits(row.options)
        after = {k: v for k, v in (before | wanted).items() if v is not None}
        if after != before:
            row.options = {**row.options, KEY: after}
            row.revision += 1
            said = ", ".join(f"{name} {after.get(name, 'as usual')}" for name in sorted(wanted))
            log.record(session, actor.name, "source_limits", f"{source}: {said}", now=now)
    return after


def _number(name: str, text: str) -> float | None:
    if name not in _KINDS:
        raise UsageError("no such threshold", got=name, expected=", ".join(NAMES))
    if not text.strip():
        return None
    try:
        value = _KINDS[name](text.strip().replace(",", "."))
    except ValueError:
        raise UsageError("not a number", where=name, got=text[:40]) from None
    most = 1 if name in _SHARES else _MOST
    if not 0 < value <= most:
        raise UsageError(
            "the threshold is out of range", where=name, got=text[:40], expected=f"0 < … ≤ {most:,}"
        )
    return float(value) if _KINDS[name] is float else int(value)
