"""The work of the role *normalise*: every node's receipts into the store, in turn. The spool folder of a file
or a replay goes when all of it is settled, be it of an earlier day; its watermark and settlement stay.

A store or a state that does not answer (a full disk, say) stops nothing for good: the alarm goes out,
the receipts stay in the spool, and the same work is tried again until it succeeds.
"""

from __future__ import annotations

import contextlib
import threading
import time
from datetime import timedelta
from typing import Final

from collectors.spool import remove_finished, segments
from collectors.spool.reader import SpoolReader
from pipeline.model.clock import utc_now
from pipeline.model.errors import ServiceAwayError
from pipeline.model.memory import keep_memory
from pipeline.normalise.additions import own_products, products_of
from pipeline.normalise.geo import countries_for
from pipeline.normalise.guard import Guard
from pipeline.normalise.product import Product
from pipeline.serve.installation import Installation
from pipeline.serve.pulse import Heart
from pipeline.state.alarms import close_alarm, raise_alarm
from pipeline.state.tables.intake import Node
from pipeline.store.intake import settle_once

ALARM: Final = "normalise:store"
_TRY_AGAIN: Final = 1.0
_SAY_AGAIN: Final = 30.0
_ONCE: Final = frozenset(
    {"ingest", "replay"}
)  # kinds of nodes that are written in one go, and never again
_BEGUN: Final = timedelta(hours=1)  # by then its writer has begun, or never will


def let_go(here: Installation, node: str) -> bool:
    """Remove the spool folder of a node that writes once, if it has written and all of it is settled."""
    now = utc_now()
    with here.state.read() as session:
        row = session.get(Node, node)
    if row is None or row.kind not in _ONCE:
        return False
    upto, old = here.store.watermark().get(node, 0), row.created < now - _BEGUN
    return remove_finished(here.settings.spool, node, upto, abandoned=old)


class Settling:
    """Readers, guard and products of one process."""

    def __init__(self, here: Installation, heart: Heart) -> None:
        keep_memory()
        self._here, self._heart = here, heart
        self._products: dict[str, Product] = {}
        self._guard = Guard(here.settings.run, beat=heart.beat)
        self._readers: dict[str, SpoolReader] = {}
        self._troubled = True  # the alarm may be a dead process's: the first success closes it
        self._say = 0.0

    def turn(self, stop: threading.Event) -> bool:
        """At most one batch of every node; whether there was any."""
        moved = False
        self._products = self._read_products()
        try:
            for node in segments.nodes(self._here.settings.spool):
                if stop.is_set():
                    break
                moved = self._settle(node) or moved
            if moved and self._troubled:
                close_alarm(self._here.state, ALARM, now=utc_now())
                self._troubled, self._say = False, 0.0
        except ServiceAwayError as error:
            self._alarm(error)
            self._heart.beat(waiting=1)
            stop.wait(_TRY_AGAIN)
        return moved

    def _read_products(self) -> dict[str, Product]:
        """As they are now. While a file of the home has a fault, what this process read of it before goes on."""
        additions = self._here.state.additions
        faulty = own_products(additions).faults.keys() & self._products.keys()
        return products_of(additions) | {name: self._products[name] for name in faulty}

    def _settle(self, node: str) -> bool:
        if node not in self._readers:
            self._readers[node] = SpoolReader(self._here.settings.spool, node)
        given = self._here.settings.normalise
        settled = settle_once(
            self._readers[node], self._here.store, self._here.state, self._products,
            key=self._here.key, now=utc_now(), limit=given.batch,
            guard=self._guard, countries=countries_for(given.countries, given.networks),
        )  # fmt: skip
        self._heart.beat(progress=settled is not None)
        if settled is None and let_go(self._here, node):
            self._readers.pop(node).close()
        return settled is not None

    def _alarm(self, error: ServiceAwayError) -> None:
        """Into the log, and into the state if that can be written."""
        if time.monotonic() < self._say:
            return
        self._troubled, self._say = True, time.monotonic() + _SAY_AGAIN
        with contextlib.suppress(ServiceAwayError):
            raise_alarm(self._here.state, ALARM, f"nothing can be stored: {error}", now=utc_now())
