"""What Prometheus reads of the supervisor."""

from __future__ import annotations

from datetime import timedelta

import pytest
import requests

from pipeline.detect.running.scheduler import ensure_schedule
from pipeline.model.clock import EPOCH
from pipeline.model.errors import ServiceAwayError
from pipeline.serve import disk
from pipeline.serve.health import health_endpoint
from pipeline.serve.metrics import metrics
from pipeline.state.alarms import raise_alarm
from pipeline.state.state import State
from pipeline.state.tables.detection import Cursor
from pipeline.state.tables.intake import Settlement
from pipeline.state.tables.operation import Pulse

NOW = EPOCH + timedelta(days=1)
OLD = NOW - timedelta(seconds=90)


def test_alarms_lag_and_pulses_are_there_as_text_for_prometheus(state: State) -> None:
    ensure_schedule(state, interval=3, now=OLD)
    raise_alarm(state, 'odd"key', "m", now=OLD)
    with state.begin() as session:
        session.add(
            Settlement(node="n", first=1, last=12, stored=12, known=0, refused=0, dropped=0, at=OLD)
        )
        session.add(Cursor(schedule="main", node="n", position=5))
        session.add(
            Pulse(role="detect", node="", pid=1, started=OLD, beat=NOW, progress=OLD, waiting=7)
        )
    with health_endpoint("127.0.0.1", 0, list, lambda: metrics(state, now=NOW)) as port:
        answer = requests.get(f"http://127.0.0.1:{port}/metrics", timeout=5)
    said = [line for line in answer.text.splitlines() if not line.startswith("#")]
    assert (answer.status_code, answer.headers["Content-Type"].split(";")[0]) == (200, "text/plain")
    assert said == [
        "thapcanh_state_up 1",
        "thapcanh_alarms_open 1",
        'thapcanh_alarm_open{key="odd\\"key"} 1',
        'thapcanh_alarm_age_seconds{key="odd\\"key"} 90',
        'thapcanh_settled_sequence{node="n"} 12',
        'thapcanh_detection_lag_records{schedule="main",node="n"} 7',
        'thapcanh_schedule_paused{schedule="main"} 0',
        'thapcanh_role_beat_age_seconds{role="detect",node=""} 0',
        'thapcanh_role_progress_age_seconds{role="detect",node=""} 90',
        'thapcanh_role_waiting{role="detect",node=""} 7',
    ]


def test_when_the_disks_are_full_at_the_present_rate_is_told(state: State) -> None:
    for hour in range(5):  # the lake fills by 10 of 1000 bytes an hour, the spool not at all
        at = NOW - timedelta(hours=4 - hour)
        disk.sample(state, disk.Usage(1000, 400 + 10 * hour), at, share=0.9)
        disk.sample(state, disk.Usage(500, 100), at, which="spool", share=0.9)
    said = [line for line in metrics(state, now=NOW).splitlines() if "disk_" in line]
    assert [line for line in said if not line.startswith("#")] == [
        'thapcanh_disk_total_bytes{folder="lake"} 1000',
        'thapcanh_disk_total_bytes{folder="spool"} 500',
        'thapcanh_disk_used_bytes{folder="lake"} 440',
        'thapcanh_disk_used_bytes{folder="spool"} 100',
        f'thapcanh_disk_full_seconds{{folder="lake"}} {46 * 3600}',
    ]


def test_while_the_state_is_away_the_metrics_say_so(
    state: State, monkeypatch: pytest.MonkeyPatch
) -> None:
    def away() -> None:
        raise ServiceAwayError("the state is away")

    monkeypatch.setattr(state, "read", away)
    assert metrics(state, now=NOW).splitlines()[-1] == "thapcanh_state_up 0"
