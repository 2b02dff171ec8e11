"""A state on a real SQLite file, and detection by a plain evaluator."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import pytest
from support.detecting import MemoryStore, PlainEvaluator

from pipeline.detect.running.runs import run_once
from pipeline.model.clock import EPOCH
from pipeline.state.state import State
from pipeline.tickets.grouping import tickets_once

NOW = EPOCH + timedelta(days=1)


@pytest.fixture
def detect(state: State) -> Callable[..., MemoryStore]:
    """Detect the rows (into a store that is returned), then take findings into tickets."""
    store = MemoryStore()

    def flow(*rows: Any, now: datetime = NOW, group: bool = True, **evaluator: Any) -> MemoryStore:
        store.add(*rows)
        rules = PlainEvaluator(**evaluator)
        while run_once(state, store, rules, holder="w", clock=lambda: now):  # type: ignore[arg-type]
            pass
        while group and tickets_once(state, now=now):
            pass
        return store

    return flow
