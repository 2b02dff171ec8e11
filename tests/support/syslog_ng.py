"""A real syslog-ng, unpacked beside Debian's rsyslog (the two cannot be installed together), with one
destination of the test's and a local socket to feed it by."""

from __future__ import annotations

import contextlib
import os
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

from support import unpacked

PACKAGES = (
    "syslog-ng-core", "syslog-ng-mod-http", "syslog-ng-scl", "libivykis0", "libnet1", "libpcre3",
    "libjson-c5", "libwrap0", "libcurl4",
)  # fmt: skip
_CONFIG = """
@version: 3.38
@include "{program}/usr/share/syslog-ng/include/scl/elasticsearch/*.conf"
options {{ time-reopen(1); keep-hostname(yes); use-dns(no); stats-freq(0); log-fifo-size(100000); }};
source in {{ unix-stream("{folder}/in" max-connections(5)); }};
{rest}
"""
_OUT = """destination out {{ {destination} }};
log {{ source(in); destination(out); flags(flow-control); }};
"""


@contextlib.contextmanager
def syslog_ng(folder: Path, destination: str, *, rest: str = "") -> Iterator[socket.socket]:
    """Gives a connection on which each line is a message. `rest`: what follows the source `in`, instead of a destination."""
    program = unpacked.debian("syslog-ng", *PACKAGES)
    folder.mkdir()
    config = folder / "syslog-ng.conf"
    config.write_text(
        _CONFIG.format(
            program=program, folder=folder, rest=rest or _OUT.format(destination=destination)
        )
    )
    own = program / "usr/lib/syslog-ng"
    libraries = f"{own}:{program / unpacked.LIBRARIES}:{program}/lib/x86_64-linux-gnu"
    command = [
        program / "usr/sbin/syslog-ng", "-F", "--no-caps", "-f", config, "-p", folder / "pid", "-R", folder / "persist",
        "-c", folder / "control", f"--module-path={own}/3.38",
    ]  # fmt: skip
    with subprocess.Popen(
        [str(word) for word in command], env={**os.environ, "LD_LIBRARY_PATH": libraries},
        stdout=subprocess.DEVNULL, stderr=(folder / "errors").open("w"),
    ) as started:  # fmt: skip
        try:
            with socket.socket(socket.AF_UNIX) as into:
                _connect(into, folder, started)
                yield into
        finally:
            started.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                started.wait(5)
            started.kill()


def _connect(into: socket.socket, folder: Path, started: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + 10
    while True:
        try:
            into.connect(str(folder / "in"))
        except OSError:
            errors = (folder / "errors").read_text()
            assert started.poll() is None, errors
            assert time.monotonic() < deadline, errors
            time.sleep(0.05)
        else:
            return
