"""The role *normalise* lets the spool of a file go when all of it is settled."""

from __future__ import annotations

import json
import threading
from pathlib import Path

from support.cli_words import EVENT
from support.small_home import NODE, numbers_stored, small_home, spool

from collectors.spool import nodes
from pipeline.serve.ingest import ingest
from pipeline.serve.pulse import Heart
from pipeline.serve.settling import Settling


def test_the_spool_of_a_file_goes_and_its_watermark_stays(tmp_path: Path) -> None:
    here = small_home(tmp_path / "home")
    (tmp_path / "log").write_text("".join(json.dumps(EVENT | {"Number": n}) + "\n" for n in (1, 2)))
    old = ingest(here, tmp_path / "log", "p1-win", wait=False, report=lambda *_: None)
    spool(here, 3)
    assert nodes(here.settings.spool) == sorted((NODE, old.node))
    settling = Settling(here, Heart(here.state, "normalise"))
    while settling.turn(threading.Event()):
        pass
    assert nodes(here.settings.spool) == [NODE]
    assert here.store.watermark() == {NODE: 1, old.node: 2}
    assert sorted(numbers_stored(here)) == [1, 2, 3]


def test_a_file_that_is_ingested_without_a_server_leaves_no_spool(tmp_path: Path) -> None:
    here = small_home(tmp_path / "home")
    (tmp_path / "log").write_text(json.dumps(EVENT | {"Number": 1}) + "\n")
    done = ingest(here, tmp_path / "log", "p1-win", wait=True, report=lambda *_: None)
    assert (done.stored, nodes(here.settings.spool)) == (1, [])
    again = ingest(here, tmp_path / "log", "p1-win", wait=True, report=lambda *_: None)
    assert (again.records, again.skipped, nodes(here.settings.spool)) == (0, 1, [])
