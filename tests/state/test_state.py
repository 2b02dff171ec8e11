"""What a unit of work promises, on both databases."""

from __future__ import annotations

import threading

import pytest
import sqlalchemy as sa

from pipeline.model.clock import EPOCH
from pipeline.model.errors import ServiceAwayError, UsageError
from pipeline.state.alarms import open_alarms, raise_alarm
from pipeline.state.migrate import current, differences, newest, upgrade
from pipeline.state.state import State, next_number
from pipeline.state.tables.operation import Counter, Meta


def test_numbers_taken_at_once_have_no_gap_and_no_repeat(state: State) -> None:
    taken: list[int] = []

    def work() -> None:
        for _ in range(20):
            with state.begin() as session:
                number = next_number(session, "ticket")
                session.add(Meta(name=f"n{number}", value={}))
            taken.append(number)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for one in threads:
        one.start()
    for one in threads:
        one.join()
    assert sorted(taken) == list(range(1, 81))


def test_a_writer_that_reads_first_sees_what_the_one_before_it_wrote(state: State) -> None:
    """Read, then write, in many threads: no update is lost, without a lock in the statement."""
    with state.begin() as session:
        session.add(Counter(name="c", value=0))

    def work() -> None:
        for _ in range(20):
            with state.begin() as session:
                value = session.scalar(sa.select(Counter.value).where(Counter.name == "c"))
                session.execute(sa.update(Counter).values(value=(value or 0) + 1))

    threads = [threading.Thread(target=work) for _ in range(4)]
    for one in threads:
        one.start()
    for one in threads:
        one.join()
    with state.read() as session:
        assert session.scalar(sa.select(Counter.value)) == 80


def test_a_reader_sees_one_instant_and_blocks_no_writer(state: State) -> None:
    with state.begin() as session:
        session.add(Meta(name="a", value={"n": 1}))
    with state.read() as reading:
        first = reading.scalar(sa.select(sa.func.count()).select_from(Meta))
        with state.begin() as session:
            session.add(Meta(name="b", value={}))
        again = reading.scalar(sa.select(sa.func.count()).select_from(Meta))
    with state.read() as reading:
        after = reading.scalar(sa.select(sa.func.count()).select_from(Meta))
    assert (first, again, after) == (1, 1, 2)


def test_what_an_exception_leaves_is_nothing(state: State) -> None:
    def fail() -> None:
        with state.begin() as session:
            session.add(Meta(name="a", value={}))
            session.flush()
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    with state.read() as session:
        assert session.scalar(sa.select(sa.func.count()).select_from(Meta)) == 0


def test_a_state_that_does_not_answer_is_an_error_in_words() -> None:
    nowhere = State.open("postgresql+psycopg://nobody@127.0.0.1:1/none")
    with pytest.raises(ServiceAwayError, match="the state does not answer"), nowhere.read() as db:
        db.scalar(sa.select(1))


def test_another_kind_of_database_is_refused_by_name() -> None:
    with pytest.raises(UsageError, match="got oracle; expected sqlite or postgresql"):
        State.open("oracle://somewhere")


def test_two_processes_that_start_together_migrate_an_empty_postgresql_once(
    postgres_url: str,
) -> None:
    engine = sa.create_engine(postgres_url, isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        connection.execute(sa.text("CREATE DATABASE fresh"))
    url = sa.make_url(postgres_url).set(database="fresh").render_as_string(hide_password=False)
    states = [State.open(url) for _ in range(2)]
    faults: list[Exception] = []

    def run(state: State) -> None:
        try:
            upgrade(state)
        except Exception as error:  # noqa: BLE001 - whatever it is, the test shows it
            faults.append(error)

    threads = [threading.Thread(target=run, args=(one,)) for one in states]
    for one in threads:
        one.start()
    for one in threads:
        one.join()
    assert (faults, current(states[0]), differences(states[0])) == ([], newest(), [])
    for one in states:
        one.close()
    with engine.connect() as connection:
        connection.execute(sa.text("DROP DATABASE fresh WITH (FORCE)"))
    engine.dispose()


def test_a_writer_that_hangs_holds_the_others_no_longer_than_their_patience(
    postgres_database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pipeline.state.state.BUSY_TIMEOUT_MS", 300)
    state = State.open(postgres_database)
    hanging = State.open(postgres_database)
    with (
        hanging.begin(),
        pytest.raises(ServiceAwayError, match="lock timeout"),
        state.begin() as session,
    ):
        session.execute(sa.text("SELECT 1"))
    with state.begin() as session:
        session.add(Meta(name="after", value={}))
    state.close()
    hanging.close()


def test_a_text_with_a_nul_is_kept_readable_not_refused(postgres_database: str) -> None:
    state = State.open(postgres_database)
    raise_alarm(state, "key", "a\0b", now=EPOCH)
    assert [alarm.message for alarm in open_alarms(state)] == ["a\N{REPLACEMENT CHARACTER}b"]
    state.close()


def test_pieces_done_together_are_committed_once_and_each_is_undone_alone(
    state: State, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pipeline.state.state.SHARED_SECONDS", 600.0)

    def put(name: str, *, broken: bool = False) -> str:
        with state.begin() as session:
            session.add(Meta(name=name, value={}))
            session.flush()
            if broken:
                raise ValueError(name)
            return name

    commits: list[str] = []
    sa.event.listen(state.engine, "commit", lambda _: commits.append("one"))
    first, twice, broken, last = state.together(
        [
            lambda: put("a"), lambda: put("a"),
            lambda: put("b", broken=True), lambda: put("c"),
        ]
    )  # fmt: skip
    assert (first, last) == ("a", "c")
    assert isinstance(twice, sa.exc.IntegrityError)
    assert repr(broken) == "ValueError('b')"
    assert commits == ["one"]
    with state.read() as session:
        assert session.scalars(sa.select(Meta.name).order_by(Meta.name)).all() == ["a", "c"]
    with state.begin() as session:  # afterwards a transaction is one of its own again
        session.add(Meta(name="d", value={}))
    assert commits == ["one"] * 2


def test_a_state_that_goes_away_undoes_all_that_was_done_together(
    state: State, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pipeline.state.state.SHARED_SECONDS", 600.0)

    def put() -> None:
        with state.begin() as session:
            session.add(Meta(name="a", value={}))

    def lost() -> None:
        raise sa.exc.OperationalError("INSERT", {}, OSError("gone"))

    with pytest.raises(ServiceAwayError):
        state.together([put, lost])
    with state.read() as session:
        assert session.scalars(sa.select(Meta.name)).all() == []


def test_what_takes_too_long_together_is_left_to_the_next(
    state: State, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pipeline.state.state.SHARED_SECONDS", 0.0)
    assert state.together([lambda: 1, lambda: 2]) == [1]
