"""A state that is copied to another database is the same there, also when the copy was cut off."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
import sqlalchemy as sa
from support.seed import seed

from pipeline.model.errors import ConflictError, DamagedError
from pipeline.state.base import Base
from pipeline.state.migrate import MOVING, differences, upgrade
from pipeline.state.moving import move
from pipeline.state.state import State
from pipeline.state.tables.operation import Alarm
from pipeline.state.tables.register import Knock

NOW = datetime(2026, 11, 24, 2, 0, tzinfo=UTC)


def _alarm(name: str, message: str = "t") -> Alarm:
    return Alarm(id=name, key=name, message=message, opened=NOW, seen=NOW)


def _knock(address: str) -> Knock:
    return Knock(listener="udp", address=address, first=NOW, last=NOW)


@pytest.fixture
def source(tmp_path: Path) -> Iterator[State]:
    state = State.at(tmp_path / "source.sqlite")
    upgrade(state)
    seed(state, NOW)
    yield state
    state.close()


@pytest.fixture
def empty(postgres_url: str) -> Iterator[str]:
    """The URL of a PostgreSQL database without tables."""
    server = sa.create_engine(postgres_url, isolation_level="AUTOCOMMIT")
    with server.connect() as connection:
        connection.execute(sa.text("CREATE DATABASE moved TEMPLATE template0"))
    yield sa.make_url(postgres_url).set(database="moved").render_as_string(hide_password=False)
    with server.connect() as connection:
        connection.execute(sa.text("DROP DATABASE moved WITH (FORCE)"))
    server.dispose()


def _all(state: State) -> dict[str, list[tuple[object, ...]]]:
    with state.read() as session:
        return {
            table.name: sorted((tuple(row) for row in session.execute(sa.select(table))), key=repr)
            for table in Base.metadata.sorted_tables
        }


def test_there_and_back_every_row_is_the_same(source: State, empty: str, tmp_path: Path) -> None:
    target, back = State.open(empty), State.at(tmp_path / "back.sqlite")
    copied = move(source, target, lambda done, total: None)
    assert sum(one.rows for one in copied) == sum(map(len, _all(source).values())) > 100
    assert (_all(target), differences(target)) == (_all(source), [])
    assert move(target, back, lambda done, total: None) == copied
    assert _all(back) == _all(source)
    target.close()
    back.close()


def test_keys_that_count_themselves_go_on(source: State, empty: str) -> None:
    with source.begin() as session:
        session.add_all(_knock(f"192.0.2.{n}") for n in range(3))
        last = session.scalar(sa.select(sa.func.max(Knock.id)))
    target = State.open(empty)
    move(source, target, lambda done, total: None)
    with target.begin() as session:
        session.add(fresh := _knock("192.0.2.9"))
        session.flush()
        assert fresh.id == (last or 0) + 1
    target.close()


@pytest.mark.parametrize("stop", [0, 40, 120])
def test_a_copy_that_was_cut_off_is_refused_to_others_and_goes_on(
    source: State, empty: str, stop: int
) -> None:
    target = State.open(empty)

    def cut(done: int, total: int) -> None:
        if done >= stop:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        move(source, target, cut)
    assert sa.inspect(target.engine).has_table(MOVING)
    with pytest.raises(ConflictError, match=r"not to its end.*do thapcanh state copy again"):
        upgrade(target)
    with source.begin() as session:  # somebody worked on the source between the two
        session.add(_alarm("meanwhile"))
    move(source, target, lambda done, total: None)
    upgrade(target)
    assert _all(target) == _all(source)
    target.close()


def test_a_database_with_tables_is_not_written_to(source: State, tmp_path: Path) -> None:
    other = State.at(tmp_path / "other.sqlite")
    upgrade(other)
    before = _all(other)
    with pytest.raises(ConflictError, match="the database is not empty"):
        move(source, other, lambda done, total: None)
    assert _all(other) == before
    other.close()


def test_a_nul_that_postgresql_cannot_hold_is_no_difference(source: State, empty: str) -> None:
    with source.begin() as session:
        session.add(_alarm("nul", "a\0b"))
    target = State.open(empty)
    move(source, target, lambda done, total: None)
    with target.read() as session:
        assert session.scalar(sa.select(Alarm.message).where(Alarm.id == "nul")) == "a\ufffdb"
    target.close()


def test_a_side_that_changes_under_the_copy_is_told(
    source: State, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = State.at(tmp_path / "target.sqlite")

    def meddle(done: int, total: int) -> None:
        if done == total:
            return
        with target.begin() as session:
            session.execute(sa.delete(Alarm))

    with source.begin() as session:
        session.add_all(_alarm(f"k{n}") for n in range(600))
    with pytest.raises(DamagedError, match="the copy of a table differs"):
        move(source, target, meddle)
    target.close()
