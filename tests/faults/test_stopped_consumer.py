"""The normaliser stands still: only the spool fills, and when it goes on each record is stored once."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import requests
from support.cli_words import EVENT
from support.collector import running
from support.serving import until
from support.small_home import NODE, numbers_stored, small_home

from collectors.receivers.registered import RegisteredDirectory
from collectors.spool import SpoolReader
from pipeline.model.clock import utc_now
from pipeline.model.scope import OPERATOR
from pipeline.settings.values import CollectSettings, Listener
from pipeline.sources.senders import new_source_key

pytestmark = pytest.mark.faults


def test_while_the_normaliser_stands_still_senders_are_answered_and_nothing_is_lost_or_doubled(
    tmp_path: Path,
) -> None:
    here = small_home(tmp_path / "home")
    key = new_source_key(here.state, OPERATOR, "p1-win", now=utc_now())
    settings = CollectSettings(node=NODE, listeners=(Listener(name="http", kind="http_bulk"),))
    words = [sys.executable, "-m", "pipeline.cli.main", "serve", "normalise"]
    with (
        running(here.settings.spool, settings, RegisteredDirectory(here.state)) as collector,
        SpoolReader(here.settings.spool, NODE) as spool,
        subprocess.Popen([*words, "--home", str(here.settings.home)]) as normaliser,
    ):
        url = f"http://127.0.0.1:{collector.ports['http']}/ingest/p1-win"

        def sent(first: int) -> None:
            lines = (json.dumps(EVENT | {"Number": n}) for n in range(first, first + 100))
            answer = requests.post(
                url, data="\n".join(lines), headers={"Authorization": f"Bearer {key}"}, timeout=20
            )
            assert answer.json() == {"source": "p1-win", "accepted": 100}

        def settled() -> int:
            return here.store.watermark().get(NODE, 0)

        try:
            sent(0)
            until(lambda: settled() == 100)
            normaliser.send_signal(signal.SIGSTOP)
            before = spool.durable()
            for first in range(100, 1100, 100):
                sent(first)
            time.sleep(0.5)
            assert (before, spool.durable(), settled()) == (100, 1100, 100)
            normaliser.send_signal(signal.SIGCONT)
            until(lambda: settled() == 1100)
        finally:
            normaliser.send_signal(signal.SIGCONT)
            normaliser.terminate()
    assert numbers_stored(here) == list(range(1100))
    here.close()
