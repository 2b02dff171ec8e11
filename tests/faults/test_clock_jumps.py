"""The clock is set by a day, forth and back, while the collector works and is killed: nothing comes twice or is lost."""

from __future__ import annotations

import os
import random
import signal
import time
from collections import Counter
from pathlib import Path

import pytest
from faults.test_collector_faults import post, process
from support.collector import spooled
from support.relp import RelpClient
from support.serving import free_port

pytestmark = pytest.mark.faults
CYCLES = int(os.environ.get("KILLS", "4"))
DAY = 86_400


def test_a_request_that_comes_again_over_a_clock_that_is_set_is_stored_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    chooser, port = random.Random(3), free_port()
    client, lines, bodies = RelpClient(port), 0, []
    for cycle in range(CYCLES):
        monkeypatch.setenv("CLOCK_OFF_BY", str(chooser.choice([-DAY, 0, DAY])))
        with process(tmp_path, "0", f"relp={port}") as (started, ports):
            if cycle % 4 == 3:  # a client's window is not longer than the tails that are kept
                client.settle()
            for body in bodies[-3:]:  # of lives whose clock was another
                assert post(ports["http"], body)
            for late in (False, True):
                if late:
                    started.send_signal(signal.SIGUSR1)
                    time.sleep(0.05)
                body = b"\n".join(b"%d-%d-%d" % (cycle, late, n) for n in range(20))
                bodies.append(body)
                assert post(ports["http"], body)
                client.open()
                client.send([b"<1>%d" % n for n in range(lines, lines + 20)])
                lines += 20
                client.lose_answers(20)
                client.cut()
            assert post(ports["http"], bodies[-2])
            assert post(ports["http"], bodies[-1])
            started.send_signal(signal.SIGKILL)
    with process(tmp_path, "0", f"relp={port}") as (started, _):
        client.settle()
        started.send_signal(signal.SIGTERM)
        assert started.wait(5) == 0
    records = spooled(tmp_path)
    assert [one.sequence for one in records] == list(range(1, len(records) + 1))
    expected = [line for body in bodies for line in body.split(b"\n")]
    expected += [b"<1>%d" % n for n in range(lines)]
    assert Counter(one.body for one in records) == Counter(expected)
