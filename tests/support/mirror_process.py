"""Grouping and outbox in a process of its own, that dies where it is told to.

    python -m support.mirror_process HOME RT_URL BAD_URL LATER [POINT NTH]

It takes HOME's findings into tickets, comments on each ticket once, and sends until nothing waits; its clock begins
LATER hours after the tests'. With a point it kills itself by SIGKILL at the NTH passing of that step (`*`: of any).
"""

from __future__ import annotations

import os
import signal
import sys
from datetime import timedelta
from pathlib import Path

import sqlalchemy as sa
from support.findings import NOW

from pipeline.model.scope import OPERATOR
from pipeline.settings.values import MirrorSettings, MirrorSystem
from pipeline.state.state import State
from pipeline.state.tables.tickets import Outbox, Ticket
from pipeline.store import steps
from pipeline.tickets.deeds import Request
from pipeline.tickets.grouping import tickets_once
from pipeline.tickets.life import comment
from pipeline.tickets.mirrors.make import make
from pipeline.tickets.outbox.courier import Courier
from pipeline.tickets.outbox.rows import OPEN, know_mirrors


def settings_of(rt: str, bad: str) -> MirrorSettings:
    common = {
        "kind": "request_tracker",
        "place": "SOC",
        "user": "thapcanh",
        "password": "env:RT_PASSWORD",
    }
    return MirrorSettings(
        systems=(
            MirrorSystem(name="rt", url=rt, per_minute=10_000, **common),  # type: ignore[arg-type]
            MirrorSystem(name="bad", url=bad, per_minute=10_000, timeout=0.25, **common),  # type: ignore[arg-type]
        ),
        hosts=("127.0.0.1",),
    )


def work(home: Path, settings: MirrorSettings, later: float) -> None:
    state = State.at(home / "state.sqlite")
    know_mirrors(state, settings)
    couriers = [Courier(state, one, settings, make(one, settings)) for one in settings.systems]
    now = NOW + timedelta(hours=later)
    while tickets_once(state, now=now):
        pass
    with state.read() as session:
        numbers = sorted(session.scalars(sa.select(Ticket.number)))
    for number in numbers:
        request = Request(actor=OPERATOR, ticket=str(number), key=f"comment-{number}")
        comment(state, request, text=f"lời {number}", now=now)
    while True:
        if not sum(courier.turn(now) for courier in couriers):  # each has its turn
            now += timedelta(minutes=1)
        with state.read() as session:
            if not session.scalar(
                sa.select(sa.func.count()).select_from(Outbox).where(Outbox.state.in_(OPEN))
            ):
                break
    state.close()


def _die_at(point: str, nth: int) -> None:
    passed = 0

    def die(name: str) -> None:
        nonlocal passed
        passed += point in ("*", name)
        if passed == nth:
            os.kill(os.getpid(), signal.SIGKILL)

    steps.on_step = die


if __name__ == "__main__":
    if len(sys.argv) > 5:
        _die_at(sys.argv[5], int(sys.argv[6]))
    work(Path(sys.argv[1]), settings_of(sys.argv[2], sys.argv[3]), float(sys.argv[4]))
