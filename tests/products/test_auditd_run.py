"""A real auditd, where the kernel lets it listen: a program run and a file read and deleted by an account."""

from __future__ import annotations

import itertools
import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.real_run import events, lines, program, seen, wait

_CONF = """
log_file = {folder}/log/audit.log
log_group = root
log_format = ENRICHED
flush = NONE
max_log_file_action = IGNORE
space_left = 2
admin_space_left = 1
space_left_action = IGNORE
admin_space_left_action = IGNORE
disk_full_action = IGNORE
disk_error_action = IGNORE
plugin_dir = {folder}/plugins
"""
_SERIAL = re.compile(r"msg=audit\([\d.]+:(\d+)\)")


def _serial(line: str) -> str:
    found = _SERIAL.search(line)
    return found[1] if found else line


@pytest.fixture
def watched(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, Path]]:
    """A folder of which the kernel tells auditd, and auditd's log."""
    auditd, auditctl = program("auditd", "auditd"), program("auditctl", "auditd")
    state = subprocess.run([auditctl, "-s"], capture_output=True, text=True, check=False)
    if os.geteuid() or state.returncode or "\npid 0\n" not in state.stdout:
        pytest.skip("the kernel gives its audit records to nobody here, or to another already")
    folder = Path("/var/tmp") / f"thapcanh-audit-{os.getpid()}"
    (folder / "watched").mkdir(parents=True)
    (folder / "plugins").mkdir()
    (folder / "log").mkdir()  # auditd closes it to all but root
    (folder / "auditd.conf").write_text(_CONF.format(folder=folder))
    rule = ["always,exit", "-F", f"dir={folder}/watched", "-F", "perm=rwxa", "-k", "run"]
    with subprocess.Popen(
        [auditd, "-n", "-c", folder], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    ) as daemon:
        try:
            wait(
                lambda: (
                    (folder / "log/audit.log").exists()
                    and "DAEMON_START" in (folder / "log/audit.log").read_text()
                )
            )
            added = subprocess.run(
                [auditctl, "-a", *rule], capture_output=True, text=True, check=False
            )
            assert added.returncode == 0, added.stderr
            yield folder / "watched", folder / "log/audit.log"
        finally:
            subprocess.run([auditctl, "-d", *rule], capture_output=True, check=False)
            subprocess.run([auditctl, "-e", "0"], capture_output=True, check=False)
            daemon.terminate()
            daemon.wait(10)
            shutil.rmtree(folder, ignore_errors=True)


def test_what_auditd_writes_of_programs_and_files_is_read(watched: tuple[Path, Path]) -> None:
    folder, log = watched
    shutil.copy("/bin/cat", folder / "doc")
    (folder / "ho-so.txt").write_text("mat")
    subprocess.run(
        [folder / "doc", folder / "ho-so.txt"], user="nobody", capture_output=True, check=True
    )
    (folder / "ho-so.txt").unlink()
    written = lines(log, "SYSCALL=execve", "SYSCALL=unlink")
    records = ["\n".join(group) for _, group in itertools.groupby(written, _serial)]
    found = events("auditd", records)
    names = ("event.action", "user.name", "process.executable", "file.path", "event.outcome")
    assert seen(found, *names) >= {
        ("executed", "nobody", f"{folder}/doc", f"{folder}/doc", "success"),
        ("opened-file", "nobody", f"{folder}/doc", f"{folder}/ho-so.txt", "success"),
    }
    assert ("deleted-file", f"{folder}/ho-so.txt") in seen(found, "event.action", "file.path")
    assert f"{folder}/doc {folder}/ho-so.txt" in {
        event.get("process.command_line") for event in found
    }
