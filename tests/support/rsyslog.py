"""A real rsyslogd as a child process, with one action of the test's and a local socket to feed it by."""

from __future__ import annotations

import contextlib
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

from support import needs

_CONFIG = """
global(workDirectory="{folder}" maxMessageSize="64k")
module(load="imptcp")
{modules}
input(type="imptcp" path="{folder}/in")
template(name="whole" type="string" string="<%PRI%>%TIMESTAMP% %HOSTNAME% %syslogtag%%msg%")
template(name="json" type="string" string="{{\\"message\\":\\"%msg:::json%\\"}}")
{action}
"""


def available() -> str:
    """The program's path; skips where it, or a module of it, is missing."""
    found = shutil.which("rsyslogd") or shutil.which("rsyslogd", path="/usr/sbin")
    if found is None or not list(Path("/usr/lib").glob("*/rsyslog/omrelp.so")):
        needs.missing("rsyslog", "apt-get install rsyslog rsyslog-relp rsyslog-elasticsearch")
    return found


@contextlib.contextmanager
def rsyslog(folder: Path, modules: str, action: str) -> Iterator[socket.socket]:
    """Gives a connection on which each line is a message."""
    program = available()
    folder.mkdir()
    config = folder / "rsyslog.conf"
    config.write_text(_CONFIG.format(folder=folder, modules=modules, action=action))
    with subprocess.Popen(
        [program, "-n", "-f", str(config), "-i", str(folder / "pid")],
        stdout=subprocess.DEVNULL, stderr=(folder / "errors").open("w"),
    ) as started:  # fmt: skip
        try:
            with socket.socket(socket.AF_UNIX) as into:
                _connect(into, folder / "in", started)
                yield into
        finally:
            started.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                started.wait(5)
            started.kill()


def _connect(into: socket.socket, path: Path, started: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + 10
    while True:
        try:
            into.connect(str(path))
        except OSError:
            errors = (path.parent / "errors").read_text()
            assert started.poll() is None, errors
            assert time.monotonic() < deadline, errors
            time.sleep(0.05)
        else:
            return
