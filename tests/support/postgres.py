"""A real PostgreSQL in a temporary folder, on a free port of the loopback, for tests and for trying.

``python tests/support/postgres.py start`` prints ``POSTGRES_URL=…`` and leaves it running; ``stop`` ends it
and removes its folder (``make postgres``, ``make postgres-stop``). It is Debian's (package `postgresql`);
its server refuses to run as root, so that root runs it as the user `postgres`. Without fsync: for tests only.
"""

from __future__ import annotations

import os
import pwd
import secrets
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

NAME = "thapcanh"
MISSING = "needs PostgreSQL: apt-get install postgresql"
_KEPT = Path(tempfile.gettempdir()) / f"thapcanh-postgres-{os.getuid()}"
_OPTIONS = (
    "-c listen_addresses=127.0.0.1 -c fsync=off -c synchronous_commit=off -c full_page_writes=off"
)

EMPTY = """
DO $$
DECLARE one record;
BEGIN
  PERFORM pg_terminate_backend(pid, 5000) FROM pg_stat_activity
    WHERE datname = current_database() AND pid <> pg_backend_pid();
  SET LOCAL session_replication_role = replica;  -- in any order
  FOR one IN SELECT tablename FROM pg_tables WHERE schemaname = 'public' LOOP
    EXECUTE format('DELETE FROM %I', one.tablename);
  END LOOP;
  PERFORM setval(format('%I', sequencename)::regclass, start_value, false)
    FROM pg_sequences WHERE schemaname = 'public';
END $$
"""
"""Takes every row of a database's tables away, and whoever is still connected."""


def binaries() -> Path | None:
    """Where `initdb` and `pg_ctl` are: Debian keeps them off the path, a folder a version."""
    found = shutil.which("pg_ctl")
    if found:
        return Path(found).resolve().parent
    versions = Path("/usr/lib/postgresql").glob("*/bin/pg_ctl")
    return max((p.parent for p in versions), key=lambda p: float(p.parent.name), default=None)


class Cluster:
    """A folder that holds one server. `start` gives the URL of an empty database of it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def start(self) -> str:
        password = secrets.token_urlsafe(12)
        self.folder.mkdir(mode=0o700)
        (self.folder / "password").write_text(password)
        if os.geteuid() == 0:
            for path in (self.folder, self.folder / "password"):
                shutil.chown(path, "postgres", "postgres")
        self._run("initdb", "-D", "data", "-U", NAME, "--pwfile=password", "-A", "scram-sha-256",
                  "-E", "UTF8", "--locale=C.UTF-8", "--no-sync")  # fmt: skip
        for _ in range(5):  # a port that was free may be taken in between
            port = _free_port()
            options = f"{_OPTIONS} -p {port} -k {self.folder}"
            if self._run(
                "pg_ctl", "-D", "data", "-w", "-l", "log", "-o", options, "start", check=False
            ):
                break
        else:
            raise RuntimeError((self.folder / "log").read_text())
        url = f"postgresql+psycopg://{NAME}:{password}@127.0.0.1:{port}/postgres"
        (self.folder / "url").write_text(url)
        return url

    def stop(self) -> None:
        self._run("pg_ctl", "-D", "data", "-m", "immediate", "stop", check=False)
        shutil.rmtree(self.folder, ignore_errors=True)

    def _run(self, tool: str, *words: str, check: bool = True) -> bool:
        folder = binaries()
        if folder is None:
            raise SystemExit(MISSING)
        if os.geteuid() == 0:
            user = pwd.getpwnam("postgres")
            who: dict[str, object] = {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": []}
        else:
            who = {}
        # Files, not pipes: the server inherits them, and a pipe would never end.
        with (self.folder / f"{tool}.out").open("ab") as out:
            done = subprocess.run(  # type: ignore[call-overload]
                [folder / tool, *words], cwd=self.folder, stdout=out, stderr=out, check=False, **who
            )
        if check and done.returncode:
            raise RuntimeError((self.folder / f"{tool}.out").read_text())
        return bool(done.returncode == 0)


def temporary() -> Cluster:
    """One of its own folder, for a run of the tests. Those of runs that were killed are ended first."""
    for left in Path(tempfile.gettempdir()).glob("thapcanh-pg-*-*"):
        if not Path(f"/proc/{left.name.split('-')[2]}").exists():
            Cluster(left).stop()
    return Cluster(
        Path(tempfile.gettempdir()) / f"thapcanh-pg-{os.getpid()}-{time.time_ns() % 10**9}"
    )


def _free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


def main(words: Sequence[str]) -> int:
    cluster = Cluster(_KEPT)
    match words:
        case ["start"]:
            known = _KEPT / "url"
            url = known.read_text() if known.exists() else cluster.start()
            sys.stdout.write(f"POSTGRES_URL={url}\n")
            return 0
        case ["stop"]:
            cluster.stop()
            return 0
    sys.stderr.write("usage: postgres.py start|stop\n")
    return 2


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
