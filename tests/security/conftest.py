"""A seeded console for each test."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from support.console_client import Site, make_site

from pipeline.state.state import State

NOW = datetime(2026, 11, 24, 9, 0, tzinfo=UTC)


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    state = State.at(tmp_path / "state.sqlite")
    state.create_tables()
    yield make_site(state, NOW)
    state.close()
