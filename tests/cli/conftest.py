"""A home with a believable morning in it (`support.seed`), and a terminal on it."""

from __future__ import annotations

import shutil
from datetime import UTC, datetime
from pathlib import Path

import pytest
from support.fake_store import FakeStore
from support.seed import seed
from support.terminal import Terminal

from pipeline.serve.installation import open_home

NOW = datetime(2026, 11, 24, 2, 0, tzinfo=UTC)  # 09:00 in the city


@pytest.fixture
def terminal(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> Terminal:
    """On a home that does not exist yet."""
    made = Terminal(tmp_path / "home", capsys, monkeypatch)
    made.at(NOW)
    return made


@pytest.fixture(scope="session")
def _seeded(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, FakeStore]:
    home = tmp_path_factory.mktemp("morning") / "home"
    here = open_home(home)
    store = seed(here.state, NOW)
    here.close()
    return home, store


@pytest.fixture
def morning(terminal: Terminal, _seeded: tuple[Path, FakeStore]) -> Terminal:
    """On a copy of the seeded home."""
    home, store = _seeded
    shutil.copytree(home, terminal.home)
    terminal.on(FakeStore.of(store.documents))
    return terminal
