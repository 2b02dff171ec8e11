"""Work in a child of this process that dies by SIGKILL at a named step: no start of Python, so many rounds are cheap."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from typing import Any

from pipeline.state.state import State
from pipeline.store import steps


def killed_at(state: State, point: str, nth: int, work: Callable[[State], Any]) -> bool:
    """Do `work` on a connection of the child's own; whether it died at the NTH passing of `point`."""
    url = state.engine.url.render_as_string(hide_password=False)
    state.engine.dispose()  # no connection of ours goes with the child
    child = os.fork()
    if not child:
        passed = 0

        def die(name: str) -> None:
            nonlocal passed
            passed += name == point
            if passed == nth:
                os.kill(os.getpid(), signal.SIGKILL)

        steps.on_step = die
        code = 1
        try:
            work(State.open(url))
            code = 0
        finally:
            os._exit(code)
    _, status = os.waitpid(child, 0)
    died = os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL
    assert died or os.waitstatus_to_exitcode(status) == 0
    return died
