"""The site over a seeded state, and callers of its API."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from support.api_client import Api
from support.console_client import open_site

NOW = datetime(2026, 11, 24, 9, 0, tzinfo=UTC)


@pytest.fixture
def api(tmp_path: Path) -> Iterator[Api]:
    with open_site(tmp_path / "state.sqlite", NOW) as site:
        yield Api(site)
