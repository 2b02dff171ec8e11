"""`collect status`, the metrics and outages, of a collector that is killed and started again."""

from __future__ import annotations

import json
import signal
import socket
import subprocess
import sys
from datetime import timedelta
from pathlib import Path
from typing import Any

from support.serving import free_port, until

from collectors.receivers.counters import Loss
from pipeline.detect.reads.outages import OutageLine, outages
from pipeline.model.clock import EPOCH
from pipeline.model.scope import OPERATOR, Actor, Scope
from pipeline.serve.metrics import metrics
from pipeline.serve.outages import note_losses, note_outage
from pipeline.state.state import State
from pipeline.state.tables.operation import Pulse
from pipeline.state.tables.register import Agency, Source, SourceSeen

NOW = EPOCH + timedelta(days=1)
BEAT = NOW - timedelta(seconds=40)


def say(home: Path, *words: str) -> dict[str, Any]:
    done = subprocess.run(
        [sys.executable, "-m", "pipeline.cli.main", *words, "--home", str(home), "--json"],
        capture_output=True, check=True,
    )  # fmt: skip
    return dict(json.loads(done.stdout))


def registered(state: State) -> None:
    """Three sources of q1: by plain TCP, by RELP, and by UDP but long silent."""
    with state.begin() as session:
        session.add(Agency(id="q1", name_vi="Quận 1", name_en="District 1", valid_from=EPOCH))
        session.flush()
        for name, way, seen in (
            ("fw", "plain", BEAT), ("web", "acknowledged", BEAT), ("old", "best_effort", EPOCH - timedelta(days=9)),
        ):  # fmt: skip
            session.add(Source(id=name, agency="q1", product="nginx", name=name, created=EPOCH))
            counters = {"received": 9, "spooled": 7, "bytes": 123456789012, "connections": 1}
            counters |= {"dropped.spool_full": 2, "notes.cut": 3, f"delivery.{way}": 9}
            session.add(SourceSeen(source=name, node="n", last_received=seen, counters=counters))
        session.add(
            Pulse(
                role="collect", node="n", pid=1, started=BEAT, beat=BEAT, progress=BEAT,
                detail={
                    "last": 30, "spool_bytes": 4096, "push_back": "",
                    "unattributed": [{"receiver": "udp", "dropped": {"kernel": 5}, "notes": {"slow_head": 4}}],
                },
            )
        )  # fmt: skip


def test_a_killed_collector_leaves_an_outage_for_those_who_do_not_wait_for_answers(
    state: State,
) -> None:
    registered(state)
    assert note_outage(state, "n", now=NOW) == 1
    assert note_outage(state, "another", now=NOW) == 0
    assert outages(state, OPERATOR) == [OutageLine("n", "fw", "q1", BEAT, NOW, "killed")]


def test_what_a_collector_knows_to_be_lost_is_an_outage_once_and_its_agency_s_business(
    state: State,
) -> None:
    registered(state)
    expired = Loss("web", BEAT, NOW, "expired", 3)
    for _ in range(2):  # told again after a restart
        note_losses(state, "n", [expired, Loss("web", EPOCH, BEAT, "missed")])
    found = [
        OutageLine("n", "web", "q1", BEAT, NOW, "expired", 3),
        OutageLine("n", "web", "q1", EPOCH, BEAT, "missed"),
    ]
    assert outages(state, OPERATOR) == found
    assert outages(state, OPERATOR, stop=BEAT) == found[1:]
    assert outages(state, OPERATOR, start=NOW, agency="q1", source="web") == found[:1]
    officer = Actor("person", "binh", "officer", Scope.of("q1"))
    assert [one.node for one in outages(state, officer)] == ["", ""]
    assert outages(state, Actor("person", "lan", "officer", Scope.of("q2"))) == []
    line = 'thapcanh_source_outages_total{agency="q1",source="web",cause="expired"} 1'
    assert line in metrics(state, now=NOW)


def test_counts_of_collecting_are_in_the_metrics_by_agency_and_source(state: State) -> None:
    registered(state)
    said = [line for line in metrics(state, now=NOW).splitlines() if not line.startswith("#")]
    labels = 'agency="q1",source="fw",node="n"'
    expected = [
        'thapcanh_spool_lag_records{node="n"} 30',
        'thapcanh_spool_bytes{node="n"} 4096',
        'thapcanh_push_back{node="n"} 0',
        'thapcanh_receiver_dropped_total{node="n",receiver="udp",reason="kernel"} 5',
        'thapcanh_receiver_notes_total{node="n",receiver="udp",what="slow_head"} 4',
        f"thapcanh_source_received_total{{{labels}}} 9",
        f"thapcanh_source_acknowledged_total{{{labels}}} 0",
        f"thapcanh_source_spooled_total{{{labels}}} 7",
        f"thapcanh_source_repeated_total{{{labels}}} 0",
        f"thapcanh_source_bytes_total{{{labels}}} 123456789012",
        f'thapcanh_source_dropped_total{{{labels},reason="spool_full"}} 2',
        f'thapcanh_source_notes_total{{{labels},what="cut"}} 3',
        f"thapcanh_source_connections{{{labels}}} 1",
        f"thapcanh_source_silent_seconds{{{labels}}} 40",
    ]
    assert [line for line in said if line in expected] == expected


def test_status_shows_what_came_and_when_the_collector_was_not_there(tmp_path: Path) -> None:
    home, port = tmp_path / "home", free_port()
    home.mkdir()
    (home / "thapcanh.yml").write_text(
        f"collect:\n  listeners:\n    - {{name: tcp, kind: syslog_tcp, port: {port}}}\n"
    )
    say(home, "agency", "add", "q1", "--name", "Quận 1")
    say(
        home,
        "source",
        "add",
        "q1-fw",
        "--agency",
        "q1",
        "--product",
        "nginx",
        "--address",
        "tcp=127.0.0.1/32",
    )
    command = [sys.executable, "-m", "pipeline.cli.main", "serve", "collect", "--home", str(home)]

    def seen(received: int) -> dict[str, Any] | None:
        status = say(home, "collect", "status")
        counted = {one["source"]: one["received"] for one in status["sources"]}
        return status if counted.get("q1-fw") == received else None

    for life in (1, 2):
        with subprocess.Popen(command) as collector:
            try:
                until(lambda: _sent(port, b"<13>line\n" * 5), 30)
                status = until(lambda n=5 * life: seen(n), 30)
            finally:
                collector.send_signal(signal.SIGKILL if life == 1 else signal.SIGTERM)
    (source,), (gap,) = status["sources"], status["outages"]
    assert (source["agency"], source["spooled"], source["dropped"], source["bytes"]) == (
        "q1",
        10,
        {},
        80,
    )
    assert (gap["source"], gap["cause"], gap["begun"] < gap["ended"]) == ("q1-fw", "killed", True)
    (node,) = say(home, "collect", "status")["nodes"]
    assert (node["spooled"], node["lag"], node["stopped"], node["ports"]) == (
        10,
        10,
        True,
        {"tcp": port},
    )


def _sent(port: int, lines: bytes) -> bool:
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=5) as sender:
            sender.sendall(lines)
    except OSError:
        return False
    return True
