"""Free ports, and waiting for what a server does."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable
from typing import Any


def free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


def until(what: Callable[[], Any], seconds: float = 90.0) -> Any:
    """The first true answer, or AssertionError."""
    limit = time.monotonic() + seconds
    while time.monotonic() < limit:
        if found := what():
            return found
        time.sleep(0.1)
    raise AssertionError("it did not come to that in time")
