"""What is wrong, and what to do: each finding names its remedy."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from pipeline.model.clock import utc_now
from pipeline.serve.installation import Installation
from pipeline.serve.pulse import read_pulses
from pipeline.state.alarms import open_alarms

UDP_BUFFER = 4 * 1024 * 1024
_RMEM_MAX = Path("/proc/sys/net/core/rmem_max")


@dataclass(frozen=True, slots=True)
class Symptom:
    """`state`: ok, note or bad. `remedy` is empty where all is well."""

    part: str
    state: Literal["ok", "note", "bad"]
    found: str
    remedy: str = ""


def examine(here: Installation) -> list[Symptom]:
    return [*_disk(here), *_roles(here), *_alarms(here), *_udp(here, _RMEM_MAX), *_store(here)]


def _disk(here: Installation) -> Iterator[Symptom]:
    usage = shutil.disk_usage(here.settings.home)
    share = usage.used / usage.total
    full = share > here.settings.retention.disk_share
    yield Symptom(
        "disk", "bad" if full else "ok", f"{share:.0%} used, {usage.free // 2**20} MiB free",
        "free space, or lower retention.days" if full else "",
    )  # fmt: skip


def _roles(here: Installation) -> Iterator[Symptom]:
    pulses = read_pulses(here.state, now=utc_now(), stuck_after=here.settings.serve.stuck_after)
    if not pulses:
        yield Symptom("roles", "note", "none has run in this home yet", "thapcanh serve")
    for pulse in pulses:
        yield Symptom(
            f"role {pulse.role}", "note" if pulse.reason else "ok", pulse.reason or "alive",
            "thapcanh serve, then the role's log" if pulse.reason else "",
        )  # fmt: skip


def _alarms(here: Installation) -> Iterator[Symptom]:
    for alarm in open_alarms(here.state):
        yield Symptom(f"alarm {alarm.key}", "bad", alarm.message, "see the role's log")


def _udp(here: Installation, path: Path) -> Iterator[Symptom]:
    if (
        not any(one.kind == "syslog_udp" for one in here.settings.collect.listeners)
        or not path.exists()
    ):
        return
    limit = int(path.read_text())
    small = limit < UDP_BUFFER
    yield Symptom(
        "udp buffer", "note" if small else "ok", f"net.core.rmem_max = {limit}",
        f"sysctl -w net.core.rmem_max={UDP_BUFFER}" if small else "",
    )  # fmt: skip


def _store(here: Installation) -> Iterator[Symptom]:
    health = here.store.health()
    yield Symptom(
        "store", "ok" if health.status == "ok" else "bad", "; ".join(health.notes) or health.status
    )
