"""Programs of Debian, npm, PyPI and Go that tests use beside the machine's own, each in a folder of a cache.

In: names and versions. Out: a folder, made once: Debian's packages without installing them (so that what
conflicts may stand side by side), clients of several major versions. What cannot be had is `needs.missing`.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

from support import needs

CACHE: Final = (
    Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "thapcanh" / "programs"
)
LIBRARIES: Final = "usr/lib/x86_64-linux-gnu"
_TOOLCHAIN: Final = "golang.org/toolchain@v0.0.1-go1.25.12.linux-amd64"


def made(name: str, make: Callable[[Path], None], how: str) -> Path:
    """The cache's folder of that name; if there is none, `make` fills one that then takes its place."""
    folder = CACHE / name
    if folder.is_dir():
        return folder
    CACHE.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=CACHE, prefix=f".{name}-") as begun:
        new = Path(begun) / "new"
        new.mkdir()
        try:
            make(new)
        except (OSError, subprocess.SubprocessError) as error:
            output = getattr(error, "stdout", b"") or b""
            needs.missing(name, f"{how} ({error}) {output.decode(errors='replace')[-500:]}")
        if not folder.is_dir():  # nobody was faster
            new.rename(folder)
    return folder


def debian(name: str, *packages: str) -> Path:
    """Debian packages, unpacked and not installed. Their libraries are under `LIBRARIES`."""

    def make(folder: Path) -> None:
        with tempfile.TemporaryDirectory() as downloads:
            fetch = ["apt-get", "download", "-qq", *packages]
            if subprocess.run(fetch, cwd=downloads, capture_output=True, check=False).returncode:
                _run(["apt-get", "update", "-qq"], downloads)
                _run(fetch, downloads)
            for package in Path(downloads).glob("*.deb"):
                _run(["dpkg", "-x", str(package), str(folder)], downloads)

    return made(_named(f"debian-{name}", *packages), make, "apt-get download needs Debian's mirror")


def pip(name: str, requirement: str) -> Path:
    """A folder for PYTHONPATH that holds a package and what it needs."""
    command = [sys.executable, "-m", "pip", "install", "-q", "--no-warn-conflicts", "--target"]
    return made(
        _named(f"pip-{name}", requirement, sys.version),
        lambda folder: _run([*command, str(folder), requirement], folder),
        "pip needs the package index",
    )


def npm(name: str, requirement: str) -> Path:
    """A folder whose ``node_modules`` holds a package and what it needs."""
    if shutil.which("npm") is None:
        needs.missing("npm", "apt-get install nodejs npm")
    command = [
        "npm",
        "install",
        "--silent",
        "--no-audit",
        "--no-fund",
        "--ignore-scripts",
        "--prefix",
        ".",
    ]
    return made(
        _named(f"npm-{name}", requirement),
        lambda folder: _run([*command, requirement], folder),
        "npm needs its registry",
    )


def go(name: str, source: str, *modules: str) -> Path:
    """A folder with the program that the source text makes with those modules, under the name ``program``."""
    program = shutil.which("go") or shutil.which("go", path="/usr/local/go/bin")
    if program is None:
        needs.missing("go", "apt-get install golang-go")

    def make(folder: Path) -> None:
        with tempfile.TemporaryDirectory() as work:
            at = Path(work)
            (at / "main.go").write_text(source)
            using, environment = _toolchain(program, at)
            _run([using, "mod", "init", "program"], at, environment)
            _run([using, "get", *modules], at, environment)
            _run([using, "build", "-o", str(folder / "program"), "."], at, environment)

    return made(_named(f"go-{name}", source, *modules), make, "go needs proxy.golang.org")


def _toolchain(program: str, work: Path) -> tuple[str, dict[str, str]]:
    """A Go of 1.21 or later fetches the compiler that a module asks for by itself; an older one is helped."""
    said = subprocess.run([program, "version"], capture_output=True, text=True, check=True).stdout
    minor = int(said.split()[2].removeprefix("go").split(".")[1])
    environment = {"GOFLAGS": "-modcacherw", "GOTOOLCHAIN": "auto"}
    if minor >= 21:
        return program, environment
    _run([program, "mod", "download", _TOOLCHAIN], work, environment)
    cache = subprocess.run(
        [program, "env", "GOMODCACHE"], capture_output=True, text=True, check=True
    ).stdout.strip()
    root = Path(cache) / _TOOLCHAIN
    for tool in [*root.glob("bin/*"), *root.glob("pkg/tool/*/*")]:  # a module's files cannot be run
        tool.chmod(0o755)
    return str(root / "bin/go"), environment | {"GOROOT": str(root), "GOTOOLCHAIN": "local"}


def _named(name: str, *parts: str) -> str:
    return f"{name}-{hashlib.sha256(' '.join(parts).encode()).hexdigest()[:12]}"


def _run(
    command: list[str], folder: Path | str, environment: Mapping[str, str] | None = None
) -> None:
    subprocess.run(
        command, cwd=folder, env={**os.environ, **(environment or {})}, check=True, timeout=280,
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
    )  # fmt: skip
