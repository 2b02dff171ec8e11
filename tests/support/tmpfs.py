"""A small disk of its own for a process: a real one, that can be filled to its last byte."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

from support.needs import missing


def small_disk(folder: Path, size: str) -> list[str]:
    """The beginning of a command that runs with a tmpfs of `size` on `folder`, seen by itself alone."""
    unshare = shutil.which("unshare")
    if unshare is None:
        missing("unshare", "apt-get install util-linux")
    folder.mkdir()
    mount = 'mount -t tmpfs -o size="$1" tmpfs "$2" && shift 2 && exec "$@"'
    begin = [unshare, "-m", "bash", "-c", mount, "bash", size, str(folder)]
    if subprocess.run([*begin, "true"], capture_output=True, check=False).returncode:
        missing("to mount a small tmpfs (unshare -m)", "run this test as root")
    return begin
