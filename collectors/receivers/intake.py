"""The door between receivers and spool: who is it, is there room, store, count.

In: records of one source from a receiver. Out: a receipt when they are on disk. One intake serves all
receivers of a collector, on its event loop.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from typing import Final

from collectors.receivers.base import Limits
from collectors.receivers.counters import Counters, Knocks, Losses
from collectors.receivers.directory import SourceDirectory, SourceIdentity
from collectors.receivers.hands import Hands
from collectors.receivers.rates import Rates
from collectors.receivers.replay import Tails
from collectors.receivers.shared_requests import SharedRequests
from collectors.receivers.shares import Shares
from collectors.receivers.split_requests import SplitRequests
from collectors.spool import Draft, Receipt, SpoolFullError, SpoolWriter

_REFRESH_AT_MOST_EVERY: Final = 1.0


class Intake:
    """`push_back` is a reason to refuse everything (the disk's floor was reached), or empty."""

    def __init__(self, spool: SpoolWriter, directory: SourceDirectory, limits: Limits) -> None:
        self.spool, self.directory, self.limits = spool, directory, limits
        self.counters, self.knocks, self.losses = Counters(), Knocks(), Losses()
        self.rates = Rates(limits.rate)
        self.tails, self.hands = Tails(), Hands()
        self.unfinished = Hands(limits.unfinished_bytes, least=2 * limits.record)
        self.bodies = Hands(limits.bodies_in_hand)
        self.shares = Shares(limits.agency_bytes, limits.agency_seconds)
        self.shared: SharedRequests | None = None
        self.split: SplitRequests | None = None
        self.push_back = ""
        self.stopping = False
        self._refreshed = 0.0

    async def by_key(self, key_id: str, secret: str) -> SourceIdentity | None:
        """From memory; an unknown key is looked up in the register, at most once a second."""
        found = self.directory.by_key(key_id, secret)
        if found is None and time.monotonic() - self._refreshed > _REFRESH_AT_MOST_EVERY:
            self._refreshed = time.monotonic()
            await asyncio.to_thread(self.directory.refresh)
            found = self.directory.by_key(key_id, secret)
        return found

    def by_address(self, listener: str, address: str) -> SourceIdentity | None:
        return self.directory.by_address(listener, address)

    def by_certificate(self, names: Sequence[str]) -> SourceIdentity | None:
        return self.directory.by_certificate(names)

    def knock(self, receiver: str, address: str, size: int = 0, known_by: str = "address") -> None:
        """Somebody unknown is refused. Of what they sent only the size is kept."""
        self.knocks.add(receiver, address, now(), size, known_by)

    async def store(
        self, receiver: str, source: str, drafts: Sequence[Draft], request: bytes = b""
    ) -> Receipt:
        """Records that were counted as received become spooled, or the error is the caller's."""
        if self.push_back:
            raise SpoolFullError("the collector takes nothing at present", got=self.push_back)
        identity, size = self.directory.by_source(source), sum(len(draft.body) for draft in drafts)
        agency, moment = identity.agency if identity else "", time.monotonic()
        if reason := self.shares.refuses(agency, size, moment):
            raise SpoolFullError(
                "the agency's share of the spool is full", got=reason,
                remedy="The normaliser or the store is behind or stopped; see `thapcanh doctor`",
            )  # fmt: skip
        receipt = await self._submit(drafts, request)
        tally = self.counters.of(receiver, source)
        if receipt.repeated:
            tally.repeated += receipt.records
        else:
            tally.spooled += receipt.records
            self.shares.add(agency, receipt.first + receipt.records - 1, size, moment)
        return receipt

    async def _submit(self, drafts: Sequence[Draft], request: bytes) -> Receipt:
        """Into the spool, unless what it brings is there already, or in that of another process of this collector."""
        if request and self.split is not None:
            if self.spool.knows(request):
                self.split.whole(request)
            elif self.split.again(
                request,
                drafts[0].source,
                drafts[0].peer,
                [one.body for one in drafts],
                time.monotonic(),
            ):
                return Receipt(0, len(drafts), repeated=True)
        shared = self.shared if request else None
        if shared is not None and (count := await shared.elsewhere(request)):
            return Receipt(0, count, repeated=True)
        try:
            return await asyncio.wrap_future(self.spool.submit(drafts, request))
        except Exception:
            if shared is not None:
                shared.give_back(request)
            raise


def now() -> int:
    """Microseconds since 1970: `event.created`."""
    return time.time_ns() // 1000
