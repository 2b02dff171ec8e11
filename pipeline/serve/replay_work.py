"""A replay of dead letters that somebody asked for in the console: what `thapcanh deadletter replay` does, as a job.

In: a job of kind *replay* (``asked``: the filters, one letter or none, `force`). Out: its result, a `Replayed`. The
spool's own role settles the records; this waits for that, with signs of life, and not for detection: whether that has
passed them is asked when the page is shown. Done again after a crash it stores nothing twice (`serve.replay`).
"""

from __future__ import annotations

import dataclasses
import threading
from datetime import datetime
from typing import Any, Final

from pipeline.detect.jobs.jobs import Taken
from pipeline.detect.jobs.work import Sign, StoppedError, Work
from pipeline.serve.ingest import Ingested, settled_counts
from pipeline.serve.installation import Installation
from pipeline.serve.replay import Replayed, letters_again, replay
from pipeline.sources.dead_letters import Filters, count_letters

LOOK_SECONDS: Final = 0.3
TOLD: Final = 20


def replay_work(here: Installation, stop: threading.Event) -> Work:
    def work(taken: Taken, sign: Sign, _now: datetime) -> dict[str, Any]:
        asked = dict(taken.asked)
        letter, force = asked.pop("letter", None), bool(asked.pop("force", False))
        filters = Filters(**asked)
        total = count_letters(here.state, taken.actor, filters) if letter is None else 1
        done = replay(
            here, taken.actor, filters, letter=letter, force=force, wait=False,
            report=lambda _stage, count: sign(count, max(total, count)),
        )  # fmt: skip
        if done.records:
            done = _settled(here, done, sign, stop)
        told = dataclasses.asdict(done)
        return told | {"why": list(done.why[:TOLD])}

    return work


def _settled(here: Installation, done: Replayed, sign: Sign, stop: threading.Event) -> Replayed:
    while (upto := here.store.watermark().get(done.node, 0)) < done.records:
        sign(upto, done.records)
        if stop.wait(LOOK_SECONDS):
            raise StoppedError
    counts = settled_counts(here, Ingested(done.node, done.records, 0))
    return dataclasses.replace(
        done, stored=counts.stored, known=counts.known, refused=counts.refused, dropped=counts.dropped,
        failed=letters_again(here, done.node),
    )  # fmt: skip
