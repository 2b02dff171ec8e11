"""A home of its own ports, and a server of it as a user starts one."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

import sqlalchemy as sa
from support.serving import free_port

from pipeline.serve.installation import open_home
from pipeline.state.tables.operation import Pulse

SAY = [sys.executable, "-m", "pipeline.cli.main"]


@dataclass
class DrillHome:
    """Settings with free ports and quick runs."""

    home: Path
    http: int = field(default_factory=free_port)
    syslog: int = field(default_factory=free_port)
    health: int = field(default_factory=free_port)
    console: int = field(default_factory=free_port)

    def __post_init__(self) -> None:
        self.home.mkdir()
        (self.home / "thapcanh.yml").write_text(
            "collect:\n  listeners:\n"
            f"    - {{name: http, kind: http_bulk, port: {self.http}}}\n"
            f"    - {{name: syslog-tcp, kind: syslog_tcp, port: {self.syslog}}}\n"
            f"    - {{name: syslog-udp, kind: syslog_udp, port: {self.syslog}}}\n"
            f"detect: {{interval: 0.5}}\nserve: {{health_port: {self.health}}}\n"
            f"console: {{port: {self.console}}}\n"
        )

    def start(self, *words: str, out: int | IO[Any] = subprocess.DEVNULL) -> subprocess.Popen[str]:
        return subprocess.Popen([*SAY, *words, "--home", str(self.home)], stdout=out, text=True)

    def say(self, *words: str, seconds: float = 200) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [*SAY, *words, "--home", str(self.home)],
            capture_output=True, text=True, check=False, timeout=seconds,
        )  # fmt: skip

    def pids(self) -> dict[str, int]:
        """The process of each role, by its last sign of life."""
        here = open_home(self.home)
        try:
            with here.state.read() as session:
                rows = session.execute(sa.select(Pulse.role, Pulse.pid)).all()
            return {row.role: row.pid for row in rows}
        finally:
            here.close()
