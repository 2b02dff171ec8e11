"""What was received, stored and dropped, by receiver and source; and who knocked unknown.

In: the receivers' counting, on the collector's loop. Out: snapshots of plain values, for metrics, the
register and the heartbeat. Counters only grow; `connections` is how many are open.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final

_KNOCKS_AT_MOST: Final = 10_000


@dataclass(slots=True)
class Tally:
    """Of one receiver and source; the source is empty for what cannot be laid at a source's door.

    `received` records were taken in; of those `spooled` are on disk, `dropped` are not, by reason.
    `acknowledged` of the spooled were confirmed to a sender. `repeated` came again and were not
    stored again. `notes` count what happened to records that are stored (cut to the limit, say).
    """

    received: int = 0
    bytes: int = 0
    spooled: int = 0
    acknowledged: int = 0
    repeated: int = 0
    connections: int = 0
    last_received: int = 0
    dropped: dict[str, int] = field(default_factory=dict)
    notes: dict[str, int] = field(default_factory=dict)

    def take(self, records: int, size: int, now: int) -> None:
        self.received += records
        self.bytes += size
        self.last_received = now

    def drop(self, reason: str, records: int = 1) -> None:
        self.dropped[reason] = self.dropped.get(reason, 0) + records

    def note(self, what: str, times: int = 1) -> None:
        self.notes[what] = self.notes.get(what, 0) + times


class Counters:
    """One `Tally` per receiver and source."""

    def __init__(self) -> None:
        self._tallies: dict[tuple[str, str], Tally] = {}

    def of(self, receiver: str, source: str = "") -> Tally:
        key = (receiver, source)
        tally = self._tallies.get(key)
        if tally is None:
            tally = self._tallies[key] = Tally()
        return tally

    def snapshot(self) -> list[dict[str, Any]]:
        """One plain dict per receiver and source. Other threads may ask."""
        return [
            {
                "receiver": receiver, "source": source, "received": t.received, "bytes": t.bytes,
                "spooled": t.spooled, "acknowledged": t.acknowledged, "repeated": t.repeated,
                "connections": t.connections, "last_received": t.last_received,
                "dropped": dict(t.dropped), "notes": dict(t.notes),
            }
            for (receiver, source), t in sorted(self._tallies.items(), key=_name)
        ]  # fmt: skip


def _name(entry: tuple[tuple[str, str], Tally]) -> tuple[str, str]:
    return entry[0]


@dataclass(frozen=True, slots=True)
class Knock:
    """A sender nobody knows, by `address` or what else it showed. Times in micros; `size` is the most that it
    sent at a time, in bytes, where it is seen; `known_by` as in the register's table."""

    receiver: str
    address: str
    first: int
    last: int
    count: int
    size: int = 0
    known_by: str = "address"


@dataclass(frozen=True, slots=True)
class Loss:
    """Content of a source that a collector knows to be lost: from when to when, why, how many pieces (0: nobody
    can count)."""

    source: str
    begun: datetime
    ended: datetime
    cause: str
    lost: int = 0


class Losses:
    """What is to be told to the register. `add` from any thread; `told` when the register has it."""

    def __init__(self) -> None:
        self._waiting: dict[Loss, None] = {}

    def add(self, losses: Iterable[Loss]) -> None:
        self._waiting |= dict.fromkeys(losses)

    def waiting(self) -> list[Loss]:
        return list(self._waiting)

    def told(self, losses: Iterable[Loss]) -> None:
        for one in losses:
            self._waiting.pop(one, None)


class Knocks:
    """Unknown senders, at most ten thousand: the one silent for longest makes room."""

    def __init__(self, capacity: int = _KNOCKS_AT_MOST) -> None:
        self._capacity = capacity
        self._seen: OrderedDict[tuple[str, str], Knock] = OrderedDict()

    def add(
        self, receiver: str, address: str, now: int, size: int = 0, known_by: str = "address"
    ) -> None:
        key = (receiver, address)
        old = self._seen.pop(key, None)
        self._seen[key] = Knock(
            receiver, address, old.first if old else now, now, old.count + 1 if old else 1,
            max(size, old.size if old else 0), known_by,
        )  # fmt: skip
        if len(self._seen) > self._capacity:
            self._seen.popitem(last=False)

    def snapshot(self) -> list[Knock]:
        return list(self._seen.values())

    def take(self) -> list[Knock]:
        """Those since the last call."""
        taken, self._seen = self._seen, OrderedDict()
        return list(taken.values())
