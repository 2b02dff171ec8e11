"""The loop of the role *tickets*: works, beats, survives a bad batch, stops when told."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

import pytest
import sqlalchemy as sa
from support.detecting import MemoryStore, event

from pipeline.state.alarms import open_alarms
from pipeline.state.state import State
from pipeline.state.tables.tickets import Ticket
from pipeline.tickets import loop as loop_module
from pipeline.tickets.loop import tickets_loop


def test_the_loop_opens_tickets_outlives_an_error_and_stops(
    state: State, detect: Callable[..., MemoryStore], monkeypatch: pytest.MonkeyPatch
) -> None:
    detect(*(event(s, host=f"pc-{s}") for s in range(1, 6)), group=False)
    real, failed = loop_module.tickets_once, []

    def flaky(*args: object, **kwargs: object) -> object:
        if not failed:
            failed.append(True)
            raise RuntimeError("once")
        return real(*args, **kwargs)  # type: ignore[arg-type]

    monkeypatch.setattr(loop_module, "tickets_once", flaky)
    stop = threading.Event()
    beats: list[bool] = []

    def beat(*, progress: bool = False, waiting: int = 0, detail: object = None) -> None:
        beats.append(progress)

    thread = threading.Thread(
        target=tickets_loop, args=(state,), kwargs={"interval": 0.02, "stop": stop, "beat": beat}
    )
    thread.start()
    end = time.monotonic() + 10
    count = 0
    while count < 5 and time.monotonic() < end:
        with state.read() as session:
            count = session.scalar(sa.select(sa.func.count()).select_from(Ticket)) or 0
        time.sleep(0.02)
    stop.set()
    thread.join(5)
    assert (count, failed, beats[:2]) == (5, [True], [False, True])
    assert not thread.is_alive()
    assert open_alarms(state) == []
