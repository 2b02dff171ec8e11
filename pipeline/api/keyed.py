"""A use case of any kind, once under its key: what it writes and the answer that is remembered are one transaction.

In: a caller, the key of the request, what it asks, the work. Out: the work's answer, or the first one's.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from pipeline.api.door import Caller
from pipeline.tickets.deeds import once


def keyed(
    caller: Caller, key: str, what: tuple[str, ...], work: Callable[[], dict[str, Any]]
) -> dict[str, Any]:
    def whole() -> dict[str, Any]:
        return once(caller.state, caller.actor, key, what, lambda _: work(), now=caller.now)

    (found,) = caller.state.together([whole])
    if isinstance(found, Exception):
        raise found
    return found
