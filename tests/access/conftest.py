"""A state with two agencies, and the operator who adds people to it."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from pipeline.state.state import State
from pipeline.state.tables.register import Agency

NOW = datetime(2026, 11, 24, 9, 0, tzinfo=UTC)


@pytest.fixture
def now() -> datetime:
    return NOW


@pytest.fixture
def state(state: State) -> State:
    with state.begin() as db:
        for name in ("ward-1", "ward-2"):
            db.add(Agency(id=name, name_vi=name, name_en=name, valid_from=NOW))
    return state
