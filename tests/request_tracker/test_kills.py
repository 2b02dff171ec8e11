"""Grouping and outbox killed anywhere and begun again: each finding in one ticket, each ticket once over there.

Over there is a real Request Tracker and a server that misbehaves. `KILLS` is how many (10 in CI, 200 by
`make faults`).
"""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import urllib.parse
from collections import Counter
from pathlib import Path
from types import ModuleType

import pytest
import sqlalchemy as sa
from support.fake_mirrors import FakeRequestTracker
from support.findings import Given, put
from support.mirror_process import settings_of, work
from support.misbehaving import AFTER, BEFORE, misbehaving
from support.states import empty_state

from pipeline.state.tables.tickets import MirrorLink, Outbox, Ticket, TicketFinding

pytestmark = pytest.mark.faults
_ROOT = Path(__file__).resolve().parents[2]
KILLS = int(os.environ.get("KILLS", "10"))
POINTS = (
    "outbox.taken", "outbox.created", "outbox.done", "outbox.answered", "outbox.recorded",
    "tickets.taken", "tickets.before_commit", "*",
)  # fmt: skip


@pytest.mark.parametrize("kill", range(KILLS))
def test_killed_anywhere_each_ticket_and_comment_is_there_once(
    rt: ModuleType, tracker: str, tmp_path: Path, kill: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RT_PASSWORD", rt.PASSWORD)
    dice = random.Random(kill)
    state = empty_state(tmp_path / "state.sqlite")
    put(state, *(Given(f"f{n}", entity=f"pc-{n % 3}", first=600 + 10 * n) for n in range(4)))
    with misbehaving(FakeRequestTracker()) as bad:
        bad.moods = [dice.choice(("", "", *AFTER, *BEFORE)) for _ in range(6)]
        point = POINTS[kill % len(POINTS)]
        nth = str(dice.randrange(1, 30 if point == "*" else 5))
        process = subprocess.run(
            [sys.executable, "-m", "support.mirror_process", str(tmp_path), tracker, bad.url, "0", point, nth],
            env={**os.environ, "PYTHONPATH": f"{_ROOT}:{_ROOT / 'tests'}"},
            check=False,
        )  # fmt: skip
        assert process.returncode in (-signal.SIGKILL, 0)
        work(tmp_path, settings_of(tracker, bad.url), later=2)
        there = [(t["subject"], len(t["comments"])) for t in bad.fake.tickets]
    with state.read() as session:
        held = Counter(session.scalars(sa.select(TicketFinding.finding)))
        tickets = list(session.scalars(sa.select(Ticket).order_by(Ticket.number)))
        links = {
            row.ticket: row.remote
            for row in session.scalars(sa.select(MirrorLink))
            if row.mirror == "rt"
        }
        states = set(session.scalars(sa.select(Outbox.state)))
        said = sa.select(Outbox.ticket).where(Outbox.mirror == "rt", Outbox.what != "opened")
        comments = Counter(session.scalars(said))
    state.close()
    assert held == {f"f{n}": 1 for n in range(4)}
    assert len(tickets) == 3
    assert states == {"sent"}
    assert sorted(there) == sorted(
        (f"[TC-{t.number}.{t.id[-10:]}] {t.title} — {t.entity}", comments[t.id]) for t in tickets
    )
    for ticket in tickets:
        query = urllib.parse.quote(f"Subject LIKE 'TC-{ticket.number}.{ticket.id[-10:]}'")
        found = rt.ask(tracker, "GET", f"/tickets?query={query}")["items"]
        assert [one["id"] for one in found] == [links[ticket.id]]
        path = f"/ticket/{links[ticket.id]}/history?fields=Type&per_page=100"
        kinds = Counter(one["Type"] for one in rt.ask(tracker, "GET", path)["items"])
        assert (kinds["Create"], kinds["Comment"]) == (1, comments[ticket.id])
