"""From a script to deliveries: the same ones each time, so that a restarted player can go on.

In: a script. Out: `Burst`s, each some hundred lines of the day in order: first the noise that goes
by syslog, then requests of one source each. A request's body is a function of the script alone; a
player that was killed before it saw the answer sends the very same bytes again, by which the receiver
knows it.

    {"create":{"_index":"winlogbeat-8.15.3"}}      a Windows request: pairs of action and document
    {"@timestamp":"2026-11-24T02:13:05.123Z",…}
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import islice

from pipeline.rehearsal import cast
from pipeline.rehearsal.lines import Line

BULK_ACTION = b'{"create":{"_index":"winlogbeat-8.15.3"}}\n'


@dataclass(frozen=True, slots=True)
class Request:
    """One POST of one source. `bulk` tells `/_bulk` from `/ingest/{source}`."""

    source: str
    body: bytes
    lines: int
    bulk: bool

    @property
    def path(self) -> str:
        return "/_bulk" if self.bulk else f"/ingest/{self.source}"


@dataclass(frozen=True, slots=True)
class Burst:
    """Lines `first` to `last` of the script (from 0, `last` excluded)."""

    first: int
    last: int
    syslog: tuple[Line, ...]
    requests: tuple[Request, ...]


def bursts(script: Iterable[Line], size: int = 200) -> Iterator[Burst]:
    """The whole day, `size` lines at a time."""
    lines = iter(script)
    first = 0
    while chunk := list(islice(lines, size)):
        yield _burst(first, chunk)
        first += len(chunk)


def by_syslog(line: Line) -> bool:
    """Noise of a source that has a syslog transport; a story's line never."""
    return line.story is None and bool(cast.SOURCE[line.source].syslog)


def _burst(first: int, chunk: list[Line]) -> Burst:
    posted: dict[str, list[Line]] = {}
    for line in chunk:
        if not by_syslog(line):
            posted.setdefault(line.source, []).append(line)
    return Burst(
        first,
        first + len(chunk),
        tuple(line for line in chunk if by_syslog(line)),
        tuple(_request(source, lines) for source, lines in posted.items()),
    )


def _request(source: str, lines: list[Line]) -> Request:
    bulk = cast.SOURCE[source].product == "windows"
    before = BULK_ACTION if bulk else b""
    body = b"".join(before + line.body + b"\n" for line in lines)
    return Request(source, body, len(lines), bulk)
