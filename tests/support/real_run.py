"""A real daemon as a child process, the lines of its log, and what they become.

In: a command and a port that it opens. Out: `lines` as the daemon wrote them, `events`: one flat event a line.
What Debian has no program for here is `needs.missing`.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from support import needs

from pipeline.model.clock import to_micros
from pipeline.model.records import RawRecord
from pipeline.normalise.context import Context
from pipeline.normalise.document import flat_event
from pipeline.normalise.normaliser import normalise
from pipeline.normalise.product import load_product
from pipeline.settings.places import products_dir


def program(name: str, package: str) -> str:
    """Its path, also of those that only root has on the path."""
    found = shutil.which(name) or shutil.which(name, path="/usr/sbin:/usr/local/sbin:/sbin")
    if found is None:
        needs.missing(name, f"apt-get install {package}")
    return found


def free_port(kind: int = socket.SOCK_STREAM) -> int:
    with socket.socket(type=kind) as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


@contextlib.contextmanager
def folder_of(user: str) -> Iterator[tuple[Path, str | None]]:
    """A new folder, and as whom to run: as `user` where the test is root (who is refused), else as oneself."""
    with tempfile.TemporaryDirectory(prefix="thapcanh-run-") as made:
        if os.geteuid():
            yield Path(made), None
        else:
            shutil.chown(made, user)
            yield Path(made), user


@contextlib.contextmanager
def running(
    command: Sequence[str | Path], said: Path, port: int, user: str | None = None
) -> Iterator[subprocess.Popen[bytes]]:
    """The daemon, in the foreground, from when its port is open; what it says beside its log is in `said`."""
    with said.open("wb") as out:
        process = subprocess.Popen(
            [str(word) for word in command], stdin=subprocess.DEVNULL, stdout=out, stderr=out,
            user=user, group=user, extra_groups=[] if user else None,
        )  # fmt: skip
        try:
            wait(lambda: is_open(port) or process.poll() is not None)
            if process.poll() is not None:
                raise RuntimeError(said.read_text("utf-8", "replace"))
            yield process
        finally:
            process.terminate()
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()


def is_open(port: int) -> bool:
    with socket.socket() as one:
        return one.connect_ex(("127.0.0.1", port)) == 0


def wait(until: Callable[[], object], seconds: float = 15) -> None:
    """Until something is true; the assertions that follow say what is missing if it never is."""
    deadline = time.monotonic() + seconds
    while not until() and time.monotonic() < deadline:
        time.sleep(0.02)


def lines(log: Path, *texts: str) -> list[str]:
    """The log's lines, once each of the texts stands in it."""

    def read() -> str:
        return log.read_text("utf-8", "replace") if log.exists() else ""

    wait(lambda: all(text in read() for text in texts))
    found = read()
    assert [text for text in texts if text not in found] == [], found
    return [line for line in found.split("\n") if line.strip()]


def said(source: str, port: int, *parts: bytes, end: bool = False) -> bytes:
    """What a server answers to one who comes from the address `source` and says this, part by part; with
    `end`, until the server hangs up."""
    answer = b""
    with socket.create_connection(("127.0.0.1", port), 10, (source, 0)) as to:
        for part in parts:
            to.sendall(part)
            with contextlib.suppress(TimeoutError, ConnectionResetError):
                answer += to.recv(65536)
        while end and (more := to.recv(65536)):
            answer += more
    return answer


def events(product: str, raw: Sequence[str]) -> list[dict[str, Any]]:
    """Each line as its flat event, in order. None may be dropped or be a parse failure."""
    now = to_micros(datetime.now(UTC))
    records = [RawRecord(n, "source", now, line.encode()) for n, line in enumerate(raw, 1)]
    context = Context("node", "agency", "source", b"a key of the tests", now, "UTC")
    made = normalise(load_product(products_dir() / f"{product}.yml"), records, context)
    flat = [flat_event(row) for table in made.tables.values() for row in table.to_pylist()]
    assert [letter.message for letter in made.dead] == []
    assert len(flat) == len(raw)
    for event in flat:  # its own time, or near it
        happened = datetime.fromisoformat(event["@timestamp"])
        assert abs(to_micros(happened) - now) < 3_600_000_000, event
    return flat


def seen(found: Sequence[dict[str, Any]], *names: str) -> set[tuple[Any, ...]]:
    """The values of these fields in each event that has the first of them; lists as they read, with commas."""

    def plain(value: Any) -> Any:
        return ",".join(value) if isinstance(value, list) else value

    return {tuple(plain(event.get(name)) for name in names) for event in found if names[0] in event}
