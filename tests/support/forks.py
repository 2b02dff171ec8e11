"""Processes that start at once: a helper has imported everything, and forks for each.

In: the name of a module of `support` whose ``main`` is to run, and its words. Out: a process of its own that can be
killed as any other, and the first line that it prints. Starting Python and importing a collector takes most of the time
of a test that kills one again and again; a fork takes none. There is one helper per test run; it ends with it.
"""

from __future__ import annotations

import contextlib
import functools
import importlib
import json
import os
import select
import signal
import socket
import subprocess
import sys
import traceback
from collections.abc import Iterator
from pathlib import Path

_ROOT = Path(__file__).resolve().parents[2]


class Forked:
    """As far as the tests need it, what `subprocess.Popen` is."""

    def __init__(self, status: int) -> None:
        self._status = os.fdopen(status, "rb", buffering=0)
        self.pid = int(self._status.readline())
        self.returncode: int | None = None

    def wait(self, timeout: float | None = None) -> int:
        if self.returncode is None:
            if not select.select([self._status], [], [], timeout)[0]:
                raise subprocess.TimeoutExpired(str(self.pid), timeout or 0)
            self.returncode = int(self._status.readline())
            self._status.close()
        return self.returncode

    def send_signal(self, number: int) -> None:
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.wait(0)
        if self.returncode is None:
            with contextlib.suppress(
                ProcessLookupError
            ):  # gone, and its status is still on its way
                os.kill(self.pid, number)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)


@contextlib.contextmanager
def forked(module: str, *words: str) -> Iterator[tuple[Forked, str]]:
    """The process, killed in the end, and its first line."""
    said, says = os.pipe()
    status, tells = os.pipe()
    request = json.dumps({"module": module, "words": words, "environ": dict(os.environ)})
    try:
        socket.send_fds(_helper(), [request.encode()], [says, tells])
    finally:
        os.close(says)
        os.close(tells)
    started = Forked(status)
    try:
        with os.fdopen(said) as output:
            yield started, output.readline()
    finally:
        started.kill()
        started.wait(10)


@functools.cache
def _helper() -> socket.socket:
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    subprocess.Popen(
        [sys.executable, __file__, str(theirs.fileno())], pass_fds=[theirs.fileno()],
        env={**os.environ, "PYTHONPATH": f"{_ROOT}:{_ROOT / 'tests'}"},
    )  # fmt: skip
    theirs.close()
    return ours


def _serve(connection: socket.socket) -> None:
    for name in ("support.collector_process", "support.tail_process", "uvicorn.lifespan.off"):
        importlib.import_module(name)
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    while True:
        request, descriptors, _, _ = socket.recv_fds(connection, 1 << 20, 2)
        if not request:
            return
        if not os.fork():
            connection.close()
            _keep(json.loads(request), *descriptors)
        for one in descriptors:
            os.close(one)


def _keep(asked: dict[str, object], says: int, tells: int) -> None:
    """A process between: it waits for the one that works, and tells how that ended."""
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    pid = os.fork()
    if not pid:
        os.close(tells)
        os.dup2(says, 1)
        os.close(says)
        _work(asked)
    os.close(says)
    os.write(tells, b"%d\n" % pid)
    code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    with contextlib.suppress(OSError):
        os.write(tells, b"%d\n" % code)
    os._exit(0)


def _work(asked: dict[str, object]) -> None:
    code = 1
    try:
        os.environ.clear()
        os.environ.update(asked["environ"])  # type: ignore[call-overload]
        module = importlib.import_module(f"support.{asked['module']}")
        module.main(*asked["words"])  # type: ignore[misc]
        code = 0
    except BaseException:  # noqa: BLE001 - as an interpreter does
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        os._exit(code)


if __name__ == "__main__":
    _serve(socket.socket(fileno=int(sys.argv[1])))
