"""A copy between stores that is killed (SIGKILL) at its so-manyth step.

python -m support.copy_process HOME URL TO STEP        # STEP 0: never
"""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path

from support.elasticsearch import store_at

from pipeline.model.clock import utc_now
from pipeline.state.state import State
from pipeline.store import copying, steps
from pipeline.store.copying import Movable
from pipeline.store.elasticsearch.moving import ClusterMover
from pipeline.store.lake.moving import LakeMover


def main(home: Path, url: str, to: str, at: int) -> None:
    copying.RANGE = 40  # type: ignore[misc]
    state = State.at(home / "state.sqlite")
    movers: dict[str, Movable] = {
        "lake": LakeMover(home / "lake", state, utc_now()),
        "elasticsearch": ClusterMover(store_at(url, state), state),
    }
    passed = 0

    def on_step(name: str) -> None:
        nonlocal passed
        passed += 1
        if passed == at:
            os.kill(os.getpid(), signal.SIGKILL)

    steps.on_step = on_step
    (source,) = set(movers) - {to}
    copying.copy(movers[source], movers[to], to, state, lambda done, total: None)


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2], sys.argv[3], int(sys.argv[4]))
