"""The rehearsal played into a home's own receivers, and what became of it.

In: an opened home whose roles are at work (here or in other processes), and a script, or none: then the one
that this home is in the middle of, else yesterday's. Out: what was played. A second call goes on where the
first one stopped; a day that has been played is not played again.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path

from collectors.groups import role_of, roles
from collectors.receivers.registered import REFRESH_EVERY
from pipeline.model.clock import CITY_ZONE, utc_now
from pipeline.model.errors import ConflictError
from pipeline.model.scope import OPERATOR
from pipeline.normalise.additions import products_of
from pipeline.rehearsal.clean import Cleaned, clean
from pipeline.rehearsal.player import DAY_IN_SECONDS, Played, Report, play
from pipeline.rehearsal.progress import FileProgress
from pipeline.rehearsal.script import Script
from pipeline.rehearsal.senders import StoppedError, Targets, wait_for_receiver
from pipeline.rehearsal.setup import remembered, set_stage
from pipeline.serve.installation import Installation
from pipeline.serve.locks import is_held
from pipeline.settings.values import Listener

SEED = 1
PATIENCE = 60.0  # seconds for receivers that are starting


def drill_folder(here: Installation) -> Path:
    """Where the drill keeps its keys and its position."""
    return here.settings.home / "rehearsal"


def choose_script(
    here: Installation, seed: int | None, start: datetime | None, records: int | None
) -> Script:
    """What was asked for; what was not is taken from the script under way, else from the defaults."""
    before = remembered(here.state)
    if before is not None:
        return Script(
            before.seed if seed is None else seed,
            start or before.start,
            before.records if records is None else records,
        )
    default = Script(SEED, _yesterday())
    return Script(
        default.seed if seed is None else seed,
        start or default.start,
        default.records if records is None else records,
    )


def play_drill(
    here: Installation,
    script: Script,
    stop: threading.Event,
    report: Report,
    *,
    seconds: float = DAY_IN_SECONDS,
    beside_real: bool = False,
    tell: Callable[[str], None] = lambda _: None,
) -> Played:
    """`tell` hears a line when the receivers have to be waited for. ConflictError in a home with real
    agencies (unless told), or in the middle of another script; ServiceAwayError where no receiver comes up."""
    folder = drill_folder(here)
    folder.mkdir(exist_ok=True, mode=0o700)
    keys = set_stage(
        here.state, OPERATOR, folder, script, known_products=products_of(here.state.additions).keys(),
        now=utc_now(), beside_real=beside_real,
    )  # fmt: skip
    targets = _targets(here, keys)
    group = _listeners(here)["http_bulk"].group
    if not is_held(here.settings.run, role_of(group)):
        tell(
            f"nothing collects in {here.settings.home} yet; waiting up to {PATIENCE:.0f} s for it"
            " (start it: thapcanh serve)"
        )
    with contextlib.suppress(
        StoppedError
    ):  # then play returns at once, with what was played before
        wait_for_receiver(targets, stop, PATIENCE)
        if any(one.group != group for one in here.settings.collect.listeners):
            stop.wait(REFRESH_EVERY + 1)  # their processes read the register by themselves
    return play(
        script, targets, FileProgress(folder / "position.json"), stop, report, seconds=seconds
    )


def clean_drill(here: Installation) -> Cleaned:
    """Removes the drill. ConflictError while roles are at work: they would write what is being removed."""
    for role in ("supervisor", *roles(here.settings.collect), "normalise", "detect", "tickets"):
        if is_held(here.settings.run, role):
            raise ConflictError(
                "the drill cannot be removed while the system is at work",
                where=str(here.settings.run / f"{role}.lock"),
                remedy="stop it first (Ctrl-C), then thapcanh rehearse --clean",
            )
    return clean(here.state, here.store, drill_folder(here), now=utc_now())


def _targets(here: Installation, keys: dict[str, str]) -> Targets:
    ports = _listeners(here)
    http = ports["http_bulk"]
    return Targets(
        http=f"http://{http.address}:{http.port}", keys=keys, syslog_host=http.address,
        udp_port=ports["syslog_udp"].port, tcp_port=ports["syslog_tcp"].port,
    )  # fmt: skip


def _listeners(here: Installation) -> dict[str, Listener]:
    return {one.kind: one for one in here.settings.collect.listeners}


def _yesterday() -> datetime:
    today = utc_now().astimezone(CITY_ZONE).replace(hour=0, minute=0, second=0, microsecond=0)
    return today - timedelta(days=1)
