"""A worker of detection in a process of its own, that dies where it is told to.

    python -m support.detect_process HOME HOLDER [POINT NTH]

It evaluates HOME's store window by window until none waits, then says "done"; it says "go" when it
begins. With a point it kills itself by SIGKILL at the NTH passing of that step (`*`: of any).
"""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec
from support.detecting import PlainEvaluator

from pipeline.detect.correlations.correlation import Condition, Correlation
from pipeline.detect.running.findings import Hit, RuleFacts
from pipeline.detect.running.runs import Limits, run_once
from pipeline.detect.running.scheduler import lag
from pipeline.model.detections import Level
from pipeline.model.errors import ConflictError
from pipeline.state.state import State
from pipeline.store import steps
from pipeline.store.lake.store import Lake

LEASE = 1.0
LIMITS = Limits(window=9, matches=4, lease=LEASE)


EXCEPTION = "hidden-by"


class Evaluator(PlainEvaluator):
    """An exception hides what `pc-3` did."""

    def evaluate(self, dataset: str, table: Any) -> Sequence[Hit]:
        return [
            msgspec.structs.replace(hit, hidden_by=(EXCEPTION,))
            if hit.match.entity == "pc-3"
            else hit
            for hit in super().evaluate(dataset, table)
        ]


def evaluator() -> PlainEvaluator:
    """Three of a host within a minute, five minutes with such a burst and a lull, and the events."""
    burst = Correlation(
        id="burst", kind="event_count", rules=("r",), span=60_000_000, group_by=("host",),
        fields={"r": {"host": "host"}}, condition=Condition("gte", 3), quiet=20_000_000,
    )  # fmt: skip
    bursts = Correlation(
        id="bursts", kind="event_count", rules=("burst",), span=600_000_000, group_by=("host",),
        fields={"burst": {"host": "host"}}, condition=Condition("gte", 2), children=(burst,),
    )  # fmt: skip
    lull = Correlation(
        id="lull", kind="event_count", rules=("r",), span=30_000_000, group_by=("host",),
        fields={"r": {"host": "host"}}, condition=Condition("lt", 2), generate=True,
    )  # fmt: skip
    rules = Evaluator(quiet=90_000_000)
    rules.correlations = (burst, bursts, lull)
    for c in rules.correlations:
        rules.facts[c.id] = RuleFacts(c.id, f"{c.id}1", c.id, Level.HIGH, "test", 90_000_000)
    return rules


def work(home: Path, holder: str) -> None:
    state = State.at(home / "state.sqlite")
    lake = Lake(home / "lake", state)
    while lag(state, lake):
        try:
            if run_once(state, lake, evaluator(), holder=holder, limits=LIMITS) is None:
                time.sleep(0.02)  # another worker's turn
        except ConflictError:
            continue  # overtaken: nothing of ours was written
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
    if len(sys.argv) > 3:
        _die_at(sys.argv[3], int(sys.argv[4]))
    sys.stdout.write("go\n")
    sys.stdout.flush()
    work(Path(sys.argv[1]), sys.argv[2])
    sys.stdout.write("done\n")
