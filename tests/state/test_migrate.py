"""Migrations lead to the tables that the code declares, from any start, once."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest
import sqlalchemy as sa

from pipeline.model.errors import UsageError
from pipeline.state.migrate import current, differences, newest, upgrade
from pipeline.state.state import State


def test_an_upgraded_state_has_exactly_the_declared_tables(tmp_path: Path) -> None:
    """If this fails, the tables changed: run `make migration`."""
    state = State.at(tmp_path / "state.sqlite")
    upgrade(state)
    assert differences(state) == []


def test_the_comparison_sees_a_missing_column(tmp_path: Path) -> None:
    state = State.at(tmp_path / "state.sqlite")
    upgrade(state)
    with state.begin() as session:
        session.execute(sa.text("ALTER TABLE hold DROP COLUMN reason"))
    assert [found[0] for found in differences(state)] == ["add_column"]


def test_upgrading_twice_changes_nothing(tmp_path: Path) -> None:
    state = State.at(tmp_path / "state.sqlite")
    assert current(state) == ""
    upgrade(state)
    upgrade(state)
    assert current(state) == newest()


def test_two_processes_that_start_together_migrate_once(tmp_path: Path) -> None:
    states = [State.at(tmp_path / "state.sqlite") for _ in range(2)]
    faults: list[Exception] = []

    def run(state: State) -> None:
        try:
            upgrade(state)
        except Exception as error:  # noqa: BLE001 - whatever it is, the test shows it
            faults.append(error)

    threads = [threading.Thread(target=run, args=(state,)) for state in states]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert faults == []
    assert current(states[0]) == newest()


def test_a_home_of_a_newer_version_is_refused_in_words(tmp_path: Path) -> None:
    state = State.at(tmp_path / "state.sqlite")
    upgrade(state)
    with state.begin() as session:
        session.execute(sa.text("UPDATE alembic_version SET version_num = '9001'"))
    with pytest.raises(UsageError, match="newer version of the program"):
        upgrade(state)
