"""What a receiver hands on: bytes with a receipt; and what became of each of them."""

from __future__ import annotations

import msgspec


class RawRecord(msgspec.Struct, frozen=True, gc=False, array_like=True):
    """One record as it came, with its receipt.

    `sequence` counts from 1 without a gap within its node. `received` is `event.created` in
    microseconds since 1970, UTC. `identity` is what the transport knows of the record (file
    fingerprint and offset, say), empty where it knows nothing. `peer` is the sender's address.
    `request` is the first 16 bytes of the hash of the request that brought it, empty where the
    transport has no requests. `replaces` is the hex id of the event that a replay supersedes.
    `session` tells the connections of a RELP sender apart, 0 for other transports.
    """

    sequence: int
    source: str
    received: int
    body: bytes
    identity: bytes = b""
    peer: str = ""
    request: bytes = b""
    replaces: str = ""
    session: int = 0


class DeadLetter(msgspec.Struct, frozen=True, gc=False):
    """A record, or a part of one, that could not be made right; `body` only where no event has it.

    `cause` is a short stable key (`parse_failure`, `poison`, `store_refused`, `unknown_product`);
    `event` the hex id of the event that carries the text, empty where there is none.
    """

    sequence: int
    source: str
    agency: str
    cause: str
    message: str
    received: int
    event: str = ""
    body: bytes = b""


class Settled(msgspec.Struct, frozen=True, gc=False):
    """What became of the receipts `first` to `last` of a node; the four counts add up to the range."""

    node: str
    first: int
    last: int
    stored: int
    known: int = 0
    refused: int = 0
    dropped: int = 0

    def __post_init__(self) -> None:
        if self.stored + self.known + self.refused + self.dropped != self.last - self.first + 1:
            raise ValueError(f"settlement of {self.node} {self.first}-{self.last} does not add up")
