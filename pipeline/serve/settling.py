"""The work of the role *normalise*: every node's receipts into the store, in turn.

A store or a state that does not answer (a full disk, say) stops nothing for good: the alarm goes out,
the receipts stay in the spool, and the same work is tried again until it succeeds.
"""

from __future__ import annotations

import contextlib
import threading
import time
from typing import Final

from collectors.spool.reader import SpoolReader
from pipeline.model.clock import utc_now
from pipeline.model.errors import ServiceAwayError
from pipeline.normalise.geo import countries_for
from pipeline.normalise.guard import Guard
from pipeline.normalise.product import load_products
from pipeline.serve.installation import Installation
from pipeline.serve.pulse import Heart
from pipeline.state.alarms import close_alarm, raise_alarm
from pipeline.store.intake import settle_once

ALARM: Final = "normalise:store"
_TRY_AGAIN: Final = 1.0
_SAY_AGAIN: Final = 30.0


class Settling:
    """Readers, guard and products of one process."""

    def __init__(self, here: Installation, heart: Heart) -> None:
        self._here, self._heart = here, heart
        self._products = load_products()
        self._guard = Guard(here.settings.run, beat=heart.beat)
        self._readers: dict[str, SpoolReader] = {}
        self._troubled = True  # the alarm may be a dead process's: the first success closes it
        self._say = 0.0

    def turn(self, stop: threading.Event) -> bool:
        """At most one batch of every node; whether there was any."""
        moved = False
        try:
            for folder in sorted(self._here.settings.spool.iterdir()):
                if stop.is_set():
                    break
                if folder.is_dir():
                    moved = self._settle(folder.name) or moved
            if moved and self._troubled:
                close_alarm(self._here.state, ALARM, now=utc_now())
                self._troubled, self._say = False, 0.0
        except ServiceAwayError as error:
            self._alarm(error)
            self._heart.beat(waiting=1)
            stop.wait(_TRY_AGAIN)
        return moved

    def _settle(self, node: str) -> bool:
        if node not in self._readers:
            self._readers[node] = SpoolReader(self._here.settings.spool, node)
        settled = settle_once(
            self._readers[node], self._here.store, self._here.state, self._products,
            key=self._here.key, now=utc_now(), limit=self._here.settings.normalise.batch,
            guard=self._guard, countries=countries_for(self._here.settings.normalise.countries),
        )  # fmt: skip
        self._heart.beat(progress=settled is not None)
        return settled is not None

    def _alarm(self, error: ServiceAwayError) -> None:
        """Into the log, and into the state if that can be written."""
        if time.monotonic() < self._say:
            return
        self._troubled, self._say = True, time.monotonic() + _SAY_AGAIN
        with contextlib.suppress(ServiceAwayError):
            raise_alarm(self._here.state, ALARM, f"nothing can be stored: {error}", now=utc_now())
