"""The sessions that were closed in order are known to the next collector, and their file stays small."""

from __future__ import annotations

from pathlib import Path

import pytest

from collectors.receivers import closed_sessions
from collectors.receivers.closed_sessions import NAME, ClosedSessions, load


def test_numbers_are_kept_over_a_restart_and_a_torn_one_is_ignored(tmp_path: Path) -> None:
    first = ClosedSessions(tmp_path)
    assert load(tmp_path) == frozenset()
    for number in (1, 2**32 - 1, 7):
        first.add(number)
    with (tmp_path / NAME).open("ab") as file:
        file.write(b"\1\2")
    second = ClosedSessions(tmp_path)
    second.add(9)
    assert load(tmp_path) == {1, 2**32 - 1, 7, 9}


def test_only_the_newest_are_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(closed_sessions, "_KEPT", 10)
    closed = ClosedSessions(tmp_path)
    for number in range(1, 22):
        closed.add(number)
    assert load(tmp_path) == set(range(11, 22))
    assert (tmp_path / NAME).stat().st_size == 88
