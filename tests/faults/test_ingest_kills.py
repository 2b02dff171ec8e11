"""`thapcanh ingest` of a file that grows, killed again and again: each line becomes one event, and none is lost."""

from __future__ import annotations

import contextlib
import os
import random
import signal
import time
from collections import Counter
from pathlib import Path

import pytest

from collectors.spool import nodes
from pipeline.model import events
from pipeline.model.clock import utc_now
from pipeline.model.scope import OPERATOR, Scope
from pipeline.serve.ingest import ingest, settle_node
from pipeline.serve.installation import Installation, open_home
from pipeline.sources import register
from pipeline.store.base import Window

pytestmark = pytest.mark.faults
CYCLES = int(os.environ.get("KILLS", "6"))
SOURCE = "p1-any"
LINES_A_ROUND = 400


def lines(first: int, last: int) -> str:
    return "".join(f"line {n} of the log of an application\n" for n in range(first, last))


def prepared(home: Path) -> None:
    home.mkdir()
    (home / "thapcanh.yml").write_text("normalise: {batch: 1000}\n")
    with contextlib.closing(open_home(home)) as here:
        now = utc_now()
        register.add_agency(here.state, OPERATOR, agency="p1", name_vi="P1", name_en="P1", now=now)
        register.add_source(
            here.state, OPERATOR, source=SOURCE, agency="p1", product="generic", known_products=["generic"], now=now
        )  # fmt: skip


def take(home: Path, log: Path) -> None:
    """An `ingest`, and what the normaliser does meanwhile with what earlier ones left."""
    with contextlib.closing(open_home(home)) as here:
        ingest(here, log, SOURCE, wait=False, report=lambda *_: None)
        settle(here)


def settle(here: Installation) -> None:
    for node in nodes(here.settings.spool):
        while settle_node(here, node):
            pass


def killed(home: Path, log: Path, after: float) -> bool:
    """Whether a child that does the same died by SIGKILL before it was done."""
    child = os.fork()
    if not child:
        code = 1
        try:
            take(home, log)
            code = 0
        finally:
            os._exit(code)
    until, died = time.monotonic() + after, False
    while os.waitpid(child, os.WNOHANG) == (0, 0):
        if not died and time.monotonic() >= until:
            os.kill(child, signal.SIGKILL)
            died = True
        time.sleep(0.002)
    return died


def stored(here: Installation) -> Counter[str]:
    window = Window({node: (0, last) for node, last in here.store.watermark().items()})
    wanted = {"generic.log": frozenset({events.ORIGINAL})}
    return Counter(
        text
        for _, table in here.store.scan(window, scope=Scope.everything(), columns=wanted)
        for text in table.column(events.ORIGINAL).to_pylist()
    )


def test_killed_at_any_time_each_line_of_a_file_that_grows_is_stored_once(tmp_path: Path) -> None:
    home, log, chooser = tmp_path / "home", tmp_path / "app.log", random.Random(11)
    prepared(home)
    log.write_text(lines(0, 10))
    began = time.monotonic()
    take(home, log)  # imports, and how long it takes
    whole, count, kills = time.monotonic() - began, 10, 0
    for _ in range(CYCLES):
        with log.open("a") as file:
            file.write(lines(count, count + LINES_A_ROUND))
        count += LINES_A_ROUND
        kills += killed(home, log, chooser.uniform(0.0, min(whole, 0.6)))
    take(home, log)
    with contextlib.closing(open_home(home)) as here:
        found = stored(here)
    assert [one for one in found.items() if one[1] != 1] == []
    assert set(found) == set(lines(0, count).splitlines())
    assert kills > CYCLES // 4
