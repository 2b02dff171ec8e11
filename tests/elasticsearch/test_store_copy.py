"""`thapcanh store copy` as an operator says it, and killed in the middle."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from support.elasticsearch import empty_store, wipe
from support.event_tables import NOW, event_commit
from support.small_home import line, small_home
from support.states import empty_state
from support.terminal import Terminal

from collectors.spool import SpoolWriter
from pipeline.model.scope import Scope
from pipeline.serve.ingest import settle_node
from pipeline.serve.installation import open_home
from pipeline.serve.locks import role_lock
from pipeline.state.state import State
from pipeline.store.base import ALL_TIME
from pipeline.store.kind import claim
from pipeline.store.lake.store import Lake

ALL: dict[str, Any] = {"scope": Scope.everything(), "when": ALL_TIME}
KILLS = max(3, int(os.environ.get("KILLS", "3")) // 4)
EVENTS = 200


def test_a_home_moves_to_a_cluster_and_back_and_says_what_it_did(
    tmp_path: Path,
    elasticsearch_url: str,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    here = small_home(tmp_path / "home")
    with SpoolWriter(here.settings.spool, "collect-1") as writer:
        writer.append([line(n) for n in range(5)])
    settle_node(here, "collect-1")
    wipe(empty_store(elasticsearch_url, here.state))
    here.close()
    monkeypatch.setenv("THAPCANH__STORE__ELASTICSEARCH", f"{{hosts: [{elasticsearch_url}]}}")
    terminal = Terminal(tmp_path / "home", capsys, monkeypatch)
    with role_lock(tmp_path / "home" / "run", "normalise"):
        busy = terminal.say("store copy --to elasticsearch")
    assert (busy.code, "at work already" in busy.err) == (2, True)
    before = terminal.say("event search '' --since 2020-01-01 --json").json
    done = terminal.say("store copy --to elasticsearch --json").json
    assert (done["events"], [one["last"] for one in done["nodes"]]) == (5, [5])
    again = terminal.say("store copy --to elasticsearch")
    assert (again.code, "there already" in again.err) == (2, True)
    refused = terminal.say("event search '' --since 2020-01-01")
    assert "set it back to elasticsearch" in refused.err

    monkeypatch.setenv("THAPCANH__STORE__KIND", "elasticsearch")
    assert terminal.say("event search '' --since 2020-01-01 --json").json == before
    asked = terminal.say("store discard lake")
    assert (asked.code, "5 events would be deleted" in asked.err) == (3, True)
    assert terminal.say("store discard lake --yes --json").json == {"store": "lake", "deleted": 5}
    assert list((tmp_path / "home" / "lake").rglob("*.parquet")) == []
    shown = terminal.say("store copy --to lake")
    assert (shown.code, "collect-1" in shown.out, "store discard" in shown.err) == (0, True, True)
    monkeypatch.delenv("THAPCANH__STORE__KIND")
    assert terminal.say("event search '' --since 2020-01-01 --json").json == before
    with pytest.MonkeyPatch.context():
        here = open_home(tmp_path / "home")
        assert here.store.watermark() == {"collect-1": 5}
        here.close()


@pytest.mark.faults
def test_a_copy_killed_anywhere_goes_on_and_loses_and_doubles_nothing(
    tmp_path: Path, elasticsearch_url: str
) -> None:
    state = empty_state(tmp_path / "state.sqlite")
    claim(state, "lake")
    lake = Lake(tmp_path / "lake", state)
    for first in range(1, EVENTS, 50):
        lake.append(event_commit([{"user.name": f"u{n}"} for n in range(50)], first), now=NOW)
    cluster = empty_store(elasticsearch_url, state)
    expected = lake.search("", limit=EVENTS, **ALL).documents
    dice, killed, to = random.Random(5), 0, "elasticsearch"
    while killed < KILLS:
        at = dice.randrange(1, 14)
        code = _copied(tmp_path, elasticsearch_url, to, at)
        killed += code == -signal.SIGKILL
        if code == 0:
            to = _turned(tmp_path, to, state, cluster)
    assert _copied(tmp_path, elasticsearch_url, to, 0) == 0
    store: Any = cluster if to == "elasticsearch" else Lake(tmp_path / "lake", state)
    assert store.search("", limit=EVENTS, **ALL).documents == expected
    cluster.close()
    state.close()


def _copied(home: Path, url: str, to: str, at: int) -> int:
    done = subprocess.run(
        [sys.executable, "-m", "support.copy_process", str(home), url, to, str(at)],
        env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}, capture_output=True, text=True,
        check=False, timeout=120,
    )  # fmt: skip
    assert done.returncode in (0, -signal.SIGKILL), done.stderr
    return done.returncode


def _turned(home: Path, to: str, state: State, cluster: Any) -> str:
    """Copied to its end: the old store is emptied, and the way goes back."""
    from pipeline.store.copying import discard
    from pipeline.store.elasticsearch.moving import ClusterMover
    from pipeline.store.lake.moving import LakeMover

    if to == "elasticsearch":
        assert discard(LakeMover(home / "lake", state, NOW), "lake", state) == EVENTS
        return "lake"
    assert discard(ClusterMover(cluster, state), "elasticsearch", state) == EVENTS
    return "elasticsearch"
