"""The doctor's look at the machine: versions, clock, disk, ports, limits. Each check yields symptoms."""

from __future__ import annotations

import ctypes
import os
import resource
import shutil
import socket
import stat
import sys
from collections.abc import Iterator, Sequence
from datetime import datetime
from pathlib import Path
from typing import Final

import sqlalchemy as sa

from collectors.groups import role_of
from pipeline.serve import disk
from pipeline.serve.doctor.symptoms import Symptom, judged
from pipeline.serve.installation import Installation
from pipeline.serve.locks import is_held
from pipeline.settings.values import Listener
from pipeline.state.state import OLDEST_SQLITE
from pipeline.state.tables.intake import Settlement

UDP_BUFFER: Final = 4 * 1024 * 1024
RMEM_MAX: Final = Path("/proc/sys/net/core/rmem_max")
_UNSYNCHRONISED: Final = 5  # adjtimex(2): TIME_ERROR
_SOON_DAYS, _NOW_DAYS = 30, 3


def versions() -> Iterator[Symptom]:
    import pysqlite3

    ours = (3, 11) <= sys.version_info[:2] <= (3, 13)
    yield judged(
        "python", sys.version.split()[0], warn="" if ours else "use Python 3.11, 3.12 or 3.13"
    )
    old = pysqlite3.sqlite_version_info < OLDEST_SQLITE
    yield judged(
        "sqlite", pysqlite3.sqlite_version,
        fail="install the pysqlite3 wheel of the lock file" if old else "",
    )  # fmt: skip


def clock(here: Installation, now: datetime) -> Iterator[Symptom]:
    """Against the kernel's own opinion, and against what the state has seen."""
    with here.state.read() as session:
        newest = session.scalar(sa.select(sa.func.max(Settlement.at)))
    if newest is not None and newest > now:
        ahead = int((newest - now).total_seconds())
        yield Symptom(
            "clock", "fail", f"the last settlement is {ahead} s in the future",
            "set the clock; what was received meanwhile carries a wrong event.created",
        )  # fmt: skip
        return
    # 512 zero bytes: a struct timex that changes nothing, on every platform large enough
    state = ctypes.CDLL(None).adjtimex(ctypes.create_string_buffer(512))
    loose = state in (-1, _UNSYNCHRONISED)
    yield judged(
        "clock", "not synchronised" if loose else "synchronised",
        warn="run chrony or systemd-timesyncd: times of receipt are evidence" if loose else "",
    )  # fmt: skip


def storage(here: Installation) -> Iterator[Symptom]:
    settings = here.settings.retention
    for name in ("lake", "spool"):
        seen = disk.usage(getattr(here.settings, name))
        full = seen.share > settings.disk_share
        yield judged(
            f"disk of {name}", f"{seen.share:.0%} used, {_size(seen.free)} free",
            fail="free space, add a disk, or lower retention.days" if full else "",
        )  # fmt: skip
        if measured := disk.samples(here.state, name):
            yield _growth(here, name, measured, seen)
        elif name == "lake":
            yield Symptom("forecast", "ok", _EARLY)
    inodes = os.statvfs(here.settings.home)
    if inodes.f_files:
        left = inodes.f_favail / inodes.f_files
        yield judged(
            "inodes",
            f"{left:.0%} free",
            fail="remove small files from the disk" if left < 0.05 else "",
        )
    if reason := disk.pushed_back(here.settings.spool):
        yield Symptom("push back", "fail", reason, "free space; receivers refuse until then")


_EARLY: Final = "too early to say: it is measured for less than an hour"


def _growth(
    here: Installation, folder: str, measured: Sequence[tuple[int, int]], seen: disk.Usage
) -> Symptom:
    """The spool's disk is measured only where it is not the lake's."""
    share = here.settings.retention.disk_share
    name = "forecast" if folder == "lake" else f"forecast of {folder}"
    found = disk.forecast(measured, seen, share)
    if found is None:
        return Symptom(name, "ok", _EARLY)
    over = f"measured over {found.measured.total_seconds() / 3600:.0f} h"
    if found.days is None:
        return Symptom(name, "ok", f"the disk does not fill, {over}")
    remedy = "add a disk, or lower retention.days before then"
    return judged(
        name,
        f"{share:.0%} full in {found.days:.1f} days at {_size(found.per_day)} a day, {over}",
        fail=remedy if found.days < _NOW_DAYS else "",
        warn=remedy if found.days < _SOON_DAYS else "",
    )


def additions(here: Installation) -> Iterator[Symptom]:
    """The home's own products and its part of the taxonomy: every fault, with its place. Nothing where it has none."""
    from pipeline.detect.rulebook.taxonomy import taxonomy_faults
    from pipeline.normalise.additions import own_products

    own = own_products(here.state.additions)
    broken = [one for each in own.faults.values() for one in each]
    broken += taxonomy_faults(here.state.additions)
    for fault in broken:
        said = str(fault).removesuffix(f". {fault.remedy}") if fault.remedy else str(fault)
        yield Symptom("additions", "fail", f"left out: {said}", fault.remedy or "mend the file")
    if own.products and not broken:
        yield Symptom("additions", "ok", f"own products: {', '.join(sorted(own.products))}")


def secrets(here: Installation) -> Iterator[Symptom]:
    for path in (here.settings.home, here.settings.keys):
        mode = stat.S_IMODE(path.stat().st_mode)
        open_to = mode & 0o077
        yield judged(
            f"mode of {path.name}", f"{mode:o}",
            warn=f"chmod 700 {path}: it holds keys and events" if open_to else "",
        )  # fmt: skip


def ports(here: Installation) -> Iterator[Symptom]:
    """Each port is ours while its role is at work; else it must be free."""
    run, settings = here.settings.run, here.settings
    for one in settings.collect.listeners:
        kind = socket.SOCK_DGRAM if one.kind == "syslog_udp" else socket.SOCK_STREAM
        yield _port(one, kind, taken=is_held(run, role_of(one.group)))
    web = Listener(
        name="console",
        kind="http_bulk",
        address=settings.console.address,
        port=settings.console.port,
    )
    yield _port(web, socket.SOCK_STREAM, taken=is_held(run, "console"))


def _port(one: Listener, kind: socket.SocketKind, *, taken: bool) -> Symptom:
    where = f"{one.address}:{one.port}/{'udp' if kind == socket.SOCK_DGRAM else 'tcp'}"
    name = f"port {one.name}"
    if taken:
        return Symptom(name, "ok", f"{where} is ours")
    family = socket.AF_INET6 if ":" in one.address else socket.AF_INET
    with socket.socket(family, kind) as probe:
        if kind == socket.SOCK_STREAM:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((one.address, one.port))
        except OSError as error:
            return Symptom(
                name, "fail", f"{where}: {error.strerror}",
                "stop what holds it (ss -lunpt), or set another in thapcanh.yml",
            )  # fmt: skip
    return Symptom(name, "ok", f"{where} is free")


def limits(here: Installation, rmem_max: Path = RMEM_MAX) -> Iterator[Symptom]:
    collect = here.settings.collect
    if any(one.kind == "syslog_udp" for one in collect.listeners) and rmem_max.exists():
        limit = int(rmem_max.read_text())
        yield judged(
            "udp buffer", f"net.core.rmem_max = {limit}",
            warn=f"sysctl -w net.core.rmem_max={UDP_BUFFER}" if limit < UDP_BUFFER else "",
        )  # fmt: skip
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    few = most != resource.RLIM_INFINITY and most < collect.max_connections + 500
    yield judged(
        "open files", "without limit" if most == resource.RLIM_INFINITY else f"at most {most}",
        fail=f"ulimit -n {collect.max_connections + 500}, or lower collect.max_connections" if few else "",
    )  # fmt: skip


def database(here: Installation) -> Iterator[Symptom]:
    engine = here.state.engine
    if engine.dialect.name == "sqlite":
        path = Path(str(engine.url.database))
        log = path.with_name(path.name + "-wal")
        size = log.stat().st_size if log.exists() else 0
        yield judged(
            "state", f"SQLite, {_size(path.stat().st_size)}, log {_size(size)}",
            warn="a process reads for long: see run/*.lock, restart it" if size > 1 << 30 else "",
        )  # fmt: skip
        return
    with engine.connect() as connection:
        version = connection.execute(sa.text("SHOW server_version")).scalar()
        encoding = connection.execute(sa.text("SHOW server_encoding")).scalar()
    yield judged(
        "state", f"PostgreSQL {version}, {encoding}",
        fail="make the database with ENCODING 'UTF8'" if encoding != "UTF8" else "",
    )  # fmt: skip
    missing = shutil.which("pg_dump") is None
    yield judged(
        "pg_dump", "not installed" if missing else "installed",
        warn="apt-get install postgresql-client: backup needs it" if missing else "",
    )  # fmt: skip


def _size(count: float) -> str:
    for unit in ("B", "KiB", "MiB", "GiB"):
        if abs(count) < 1024:
            return f"{count:.0f} {unit}" if unit == "B" else f"{count:.1f} {unit}"
        count /= 1024
    return f"{count:.1f} TiB"
