"""The watch over the flow: an alarm when what waits does not move, by a role that does not need it."""

from __future__ import annotations

from datetime import datetime, timedelta

from pipeline.detect.running.maintenance import declare
from pipeline.detect.running.scheduler import ensure_schedule, pause, resume
from pipeline.model.clock import EPOCH
from pipeline.model.scope import OPERATOR
from pipeline.serve.flow_watch import RUNS, WATERMARK, FlowWatch
from pipeline.state.alarms import open_alarms
from pipeline.state.state import State
from pipeline.state.tables.detection import Cursor

NOW = EPOCH + timedelta(days=1)
MAIN = f"{RUNS}:main"


class Looking:
    """Looks at given marks, at given seconds."""

    def __init__(self, state: State) -> None:
        self._state = state
        ensure_schedule(state, interval=3, now=NOW)
        self._watch = FlowWatch(state, 60)

    def __call__(self, at: int, *, spool: int, stored: int, evaluated: int) -> list[str]:
        with self._state.begin() as session:
            session.merge(Cursor(schedule="main", node="n", position=evaluated))
        self._watch.look({"n": spool}, {"n": stored}, now=_time(at), at=at)
        return sorted(alarm.key for alarm in open_alarms(self._state))


def _time(at: int) -> datetime:
    return NOW + timedelta(seconds=at)


def test_a_watermark_that_stands_still_while_records_wait_is_told_and_so_is_its_end(
    state: State,
) -> None:
    look = Looking(state)
    assert look(0, spool=9, stored=5, evaluated=5) == []
    assert look(60, spool=20, stored=5, evaluated=5) == []
    assert look(61, spool=21, stored=5, evaluated=5) == [WATERMARK]
    (alarm,) = open_alarms(state)
    assert alarm.message == "the watermark stands still while 16 records wait in the spool"
    assert look(62, spool=21, stored=6, evaluated=6) == []


def test_runs_that_stop_while_settled_records_wait_are_told(state: State) -> None:
    look = Looking(state)
    look(0, spool=9, stored=9, evaluated=5)
    assert look(70, spool=9, stored=9, evaluated=5) == [MAIN]
    assert look(75, spool=9, stored=9, evaluated=9) == []


def test_what_is_slow_but_moves_and_what_waits_for_nothing_is_no_trouble(state: State) -> None:
    look = Looking(state)
    for minute in range(9):
        assert look(minute * 50, spool=99, stored=20 + minute, evaluated=minute) == []
    assert look(900, spool=28, stored=28, evaluated=28) == []
    assert look(2000, spool=28, stored=28, evaluated=28) == []
    assert look(2010, spool=30, stored=30, evaluated=28) == []  # they came just now


def test_a_schedule_that_rests_on_purpose_raises_no_alarm_and_its_alarm_closes(
    state: State,
) -> None:
    look = Looking(state)
    look(0, spool=9, stored=9, evaluated=5)
    assert look(70, spool=9, stored=9, evaluated=5) == [MAIN]
    pause(state, OPERATOR, "main", "bảo trì", now=NOW)
    assert look(75, spool=9, stored=9, evaluated=5) == []
    resume(state, OPERATOR, "main", now=NOW)
    assert look(300, spool=9, stored=9, evaluated=5) == []  # counted from the end of the rest
    assert look(361, spool=9, stored=9, evaluated=5) == [MAIN]
    declare(state, OPERATOR, starts=_time(362), ends=_time(900), reason="đổi đĩa", now=_time(362))
    assert look(400, spool=9, stored=9, evaluated=5) == []


def test_an_alarm_from_before_a_restart_of_the_watch_is_closed_by_the_next(state: State) -> None:
    look = Looking(state)
    look(0, spool=9, stored=9, evaluated=5)
    look(70, spool=9, stored=9, evaluated=5)
    again = Looking(state)
    again(80, spool=9, stored=9, evaluated=5)
    assert again(90, spool=9, stored=9, evaluated=9) == []
