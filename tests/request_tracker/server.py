"""A real Request Tracker 5 from Debian, as a child process with a database of its own.

    python tests/request_tracker/server.py start     # in the background; prints REQUEST_TRACKER_URL=http://127.0.0.1:…
    python tests/request_tracker/server.py stop

Debian's package makes an SQLite database; each start copies it, adds the queue SOC and the account that mirrors
use, and serves it on a free port. root / password may do everything.
"""

from __future__ import annotations

import base64
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from dataclasses import dataclass
from pathlib import Path
from typing import Any

PACKAGED = Path("/var/lib/dbconfig-common/sqlite3/request-tracker5/rtdb")
PROGRAM = Path("/usr/share/request-tracker5/libexec/rt-server")
SET_UP = Path("/usr/sbin/rt-setup-database-5")
HOW = "as root: apt-get install -y --no-install-recommends request-tracker5 rt5-standalone rt5-db-sqlite"
ACCOUNT, PASSWORD, QUEUE = "thapcanh", "mirror-secret", "SOC"
START_SECONDS = 60.0
_INITIAL = f"""
@Queues = ({{ Name => '{QUEUE}', Description => 'Security operations' }});
@Users = ({{ Name => '{ACCOUNT}', RealName => 'Thap Canh', EmailAddress => 'thapcanh@city.example',
            Privileged => 1, Password => '{PASSWORD}' }});
@ACL = map {{ {{ UserId => '{ACCOUNT}', Right => $_, Queue => '{QUEUE}' }} }}
  qw(SeeQueue CreateTicket ShowTicket ShowTicketComments CommentOnTicket ModifyTicket);
1;
"""


class TrackerError(RuntimeError):
    """The server cannot be had, or did not start; the text says why."""


@dataclass
class Tracker:
    url: str
    home: Path
    process: subprocess.Popen[bytes]

    def stop(self) -> None:
        _end(self.process.pid)
        self.process.wait(20)
        shutil.rmtree(self.home, ignore_errors=True)


def lacking() -> str:
    """What this machine lacks, or nothing."""
    return ", ".join(str(path) for path in (PROGRAM, PACKAGED, SET_UP) if not path.exists())


def ask(url: str, method: str, path: str, body: Any = None, who: str = "root:password") -> Any:
    """As a person with an account (root) would, by REST 2."""
    request = urllib.request.Request(
        f"{url}/REST/2.0{path}", method=method,
        data=None if body is None else json.dumps(body).encode(),
        headers={
            "Authorization": "Basic " + base64.b64encode(who.encode()).decode(),
            "Content-Type": "application/json",
        },
    )  # fmt: skip
    with urllib.request.urlopen(request, timeout=20) as answer:
        return json.load(answer)


def start(home: Path) -> Tracker:
    """Copy the database, add queue and account, serve; returns when it answers."""
    if what := lacking():
        raise TrackerError(f"needs {what}: {HOW}")
    port = _free_port()
    shutil.copyfile(PACKAGED, home / "rtdb")
    for folder in ("mason", "sessions", "site"):
        (home / folder).mkdir(mode=0o700)
    site = {
        "DatabaseType": "SQLite", "DatabaseName": str(home / "rtdb"), "DatabaseHost": "localhost",
        "rtname": "thapcanh.test", "Organization": "thapcanh.test", "WebDomain": "127.0.0.1",
        "WebPort": str(port), "WebPath": "", "LogToSyslog": "", "LogToSTDERR": "warning",
        "MailCommand": "testfile", "Timezone": "Asia/Ho_Chi_Minh", "MasonDataDir": str(home / "mason"),
        "MasonSessionDir": str(home / "sessions"),
    }  # fmt: skip
    lines = [f"Set(${name}, '{value}');" for name, value in site.items()]
    (home / "site.pm").write_text("\n".join([*lines, "Set($WebSecureCookies, 0);", "1;\n"]))
    (home / "initial.pl").write_text(_INITIAL)
    environment = {
        **os.environ, "RT_SITE_CONFIG": str(home / "site.pm"), "RT_SITE_CONFIG_DIR": str(home / "site"),
    }  # fmt: skip
    log = (home / "log").open("wb")
    subprocess.run(
        [str(SET_UP), "--action", "insert", "--datafile", str(home / "initial.pl"), "--skip-create"],
        env=environment, stdout=log, stderr=log, check=True,
    )  # fmt: skip
    process = subprocess.Popen(
        [str(PROGRAM), "--port", str(port)], env=environment, cwd=home,
        stdout=log, stderr=log, start_new_session=True,
    )  # fmt: skip
    tracker = Tracker(f"http://127.0.0.1:{port}", home, process)
    limit = time.monotonic() + START_SECONDS
    while not _answers(tracker.url):
        if process.poll() is not None or time.monotonic() > limit:
            tail = (home / "log").read_text("utf-8", "replace")[-1500:]
            tracker.stop()
            raise TrackerError(f"it did not start: {tail}")
        time.sleep(0.2)
    return tracker


def _answers(url: str) -> bool:
    try:
        return "Version" in ask(url, "GET", "/rt")
    except OSError:
        return False


def _free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


def _end(process: int) -> None:
    try:
        os.killpg(process, signal.SIGTERM)
        for _ in range(50):
            time.sleep(0.1)
            os.killpg(process, 0)
        os.killpg(process, signal.SIGKILL)
    except ProcessLookupError:
        return


def main(words: list[str]) -> int:
    mark = Path(tempfile.gettempdir()) / f"thapcanh-request-tracker-{os.getuid()}.json"
    kept = json.loads(mark.read_text("utf-8")) if mark.exists() else None
    if words == ["stop"]:
        if kept:
            _end(kept["pid"])
            shutil.rmtree(kept["home"], ignore_errors=True)
            mark.unlink()
        return 0
    if words != ["start"]:
        sys.stderr.write("say start or stop\n")
        return 2
    if not kept or not _answers(kept["url"]):
        try:
            made = start(Path(tempfile.mkdtemp(prefix="thapcanh-request-tracker-")))
        except TrackerError as error:
            sys.stderr.write(f"{error}\n")
            return 4
        kept = {"pid": made.process.pid, "home": str(made.home), "url": made.url}
        mark.write_text(json.dumps(kept))
    sys.stdout.write(f"REQUEST_TRACKER_URL={kept['url']}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
