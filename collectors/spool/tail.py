"""Recovery: what the open tail holds after the writer's death, and where it must be cut.

In: the tail's bytes and the durable mark. Out: `Tail`. Pure; rules b and c of `layout`.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from collectors.spool import layout


@dataclass(slots=True)
class Tail:
    """The end of what is kept, the next sequence, the requests seen, the ranges that are damaged."""

    end: int
    next: int
    requests: list[layout.Request] = field(default_factory=list)
    damaged: list[tuple[int, int]] = field(default_factory=list)


def examine(data: bytes, head: layout.Head, mark: layout.Durable | None) -> Tail:
    """Walk the tail from its head; see the module's docstring."""
    known = mark is not None and mark.segment == head.first
    durable_end = mark.offset if known and mark else 0
    tail = Tail(layout.HEAD.size, head.first)
    while tail.end < len(data):
        batch = layout.unpack_batch(data, tail.end, head.salt)
        if batch is not None and batch.first >= tail.next:
            if batch.end > len(data):
                break
            whole = layout.records_are_whole(data, batch, head.salt)
            if not whole and tail.end >= durable_end:
                break
            if batch.first > tail.next:  # a hole that an earlier recovery left
                tail.damaged.append((tail.next, batch.first - 1))
            if not whole:
                tail.damaged.append((batch.first, batch.first + batch.records - 1))
            _take(tail, batch)
        elif tail.end < durable_end:
            _skip_damage(tail, data, head.salt, durable_end, mark)
        else:
            break
    if known and mark and tail.next <= mark.last:  # the file is shorter than what was acknowledged
        tail.damaged.append((tail.next, mark.last))
        tail.next = mark.last + 1
    return tail


def _take(tail: Tail, batch: layout.Batch) -> None:
    if batch.request != layout.NO_REQUEST:
        tail.requests.append(
            layout.Request(batch.request, batch.first, batch.records, batch.received)
        )
    tail.end, tail.next = batch.end, batch.first + batch.records


def _skip_damage(
    tail: Tail, data: bytes, salt: int, durable_end: int, mark: layout.Durable | None
) -> None:
    following = layout.find_batch(data, tail.end + 1, tail.next, salt, limit=durable_end)
    if following is None:
        first, tail.end = tail.next, min(durable_end, len(data))
        tail.next = max(tail.next, mark.last + 1 if mark else 0)
    else:
        batch = layout.unpack_batch(data, following, salt)
        first, tail.end = tail.next, following
        tail.next = batch.first if batch else tail.next
    if tail.next > first:
        tail.damaged.append((first, tail.next - 1))
