"""A replay replaces an event: what rules had made of the old one goes, in the run that sees the new one."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from support.detecting import ColumnStore, PlainEvaluator, event, hash_of
from support.people import analyst

from pipeline.detect.running.runs import backfill, run_once
from pipeline.model.clock import EPOCH
from pipeline.model.detections import Window
from pipeline.state.state import State
from pipeline.state.tables.detection import FindingEvent, FindingRow, HiddenMatch
from pipeline.state.tables.intake import Node
from pipeline.state.tables.rules import ExceptionRow
from pipeline.state.tables.tickets import TicketHistory
from pipeline.store import steps
from pipeline.store.base import Commit
from pipeline.store.lake.store import Lake
from pipeline.tickets.grouping import tickets_once
from pipeline.tickets.queue import get_ticket

NOW = EPOCH + timedelta(days=1)
REPLAY = "replay-1"


@pytest.fixture
def lake(state: State, tmp_path: Path) -> Lake:
    with state.begin() as session:
        session.add(Node(id=REPLAY, kind="replay", created=NOW))
    return Lake(tmp_path / "lake", state)


@pytest.fixture
def undisturbed() -> Iterator[None]:
    yield
    steps.on_step = None


def commit(lake: Lake, *rows: dict[str, Any]) -> None:
    node, last = rows[0]["thapcanh.node"], rows[-1]["thapcanh.sequence"]
    for row in rows:
        row |= {"thapcanh.source": "s", "event.created": row["@timestamp"]}
        row |= {"event.ingested": row["@timestamp"]}
    table = ColumnStore()._table(rows)
    lake.append(
        Commit(node, rows[0]["thapcanh.sequence"], last, {rows[0]["event.dataset"]: table}), now=NOW
    )


def mended(sequence: int, old: bytes, **more: Any) -> dict[str, Any]:
    return event(sequence, node=REPLAY, **more) | {"thapcanh.replaces": old.hex()}


def detect(state: State, lake: Lake) -> None:
    while run_once(state, lake, PlainEvaluator(), holder="w", clock=lambda: NOW):
        pass
    while tickets_once(state, now=NOW):
        pass


def findings(state: State) -> list[tuple[str, int, int, list[str]]]:
    """Entity, count, events lost, and the events that are held, which the samples must name too."""
    with state.read() as session:
        found = []
        for row in session.scalars(sa.select(FindingRow).order_by(FindingRow.born)):
            query = sa.select(FindingEvent.event).where(FindingEvent.finding == row.id)
            held = [e.hex() for e in session.scalars(query.order_by(FindingEvent.time))]
            assert [s["event"] for s in row.samples] == held
            found.append((row.entity, row.count, row.undone, held))
    return found


def history(state: State) -> list[tuple[str, int, int]]:
    with state.read() as session:
        rows = session.scalars(sa.select(TicketHistory).order_by(TicketHistory.id))
        return [(r.what, r.detail.get("events", 0), r.detail.get("taken_back", 0)) for r in rows]


def test_a_ticket_that_loses_its_only_event_stays_and_says_so(state: State, lake: Lake) -> None:
    commit(lake, event(1))
    detect(state, lake)
    commit(lake, mended(1, hash_of("n", 1), process="notepad.exe", dataset="windows.other"))
    detect(state, lake)
    assert findings(state) == [("pc-1", 0, 1, [])]
    assert history(state) == [("opened", 1, 0), ("amended", 0, 1)]
    view = get_ticket(state, lake, analyst(), "1")
    assert (view.ticket.events, view.ticket.findings) == (0, 0)


def test_a_finding_whose_rule_matches_both_goes_on_with_the_new_event(
    state: State, lake: Lake
) -> None:
    commit(lake, event(1), event(2, host="pc-2"))
    detect(state, lake)
    commit(lake, mended(1, hash_of("n", 1)))
    detect(state, lake)
    assert findings(state) == [
        ("pc-1", 1, 1, [hash_of(REPLAY, 1).hex()]),
        ("pc-2", 1, 0, [hash_of("n", 2).hex()]),
    ]
    assert history(state) == [("opened", 1, 0), ("opened", 1, 0), ("amended", 1, 1)]
    with state.read() as session:
        assert session.scalar(sa.select(FindingEvent.event).where(FindingEvent.entity == "pc-1"))
    detect(state, lake)
    assert len(history(state)) == 3


def test_what_stood_between_two_episodes_parts_them(state: State, lake: Lake) -> None:
    commit(lake, event(1, time=0), event(2, time=3_000), event(3, time=6_000))
    detect(state, lake)
    assert [count for _, count, _, _ in findings(state)] == [3]
    commit(lake, mended(1, hash_of("n", 2), time=3_000, process="notepad.exe"))
    detect(state, lake)
    assert findings(state) == [
        ("pc-1", 1, 1, [hash_of("n", 1).hex()]),
        ("pc-1", 1, 0, [hash_of("n", 3).hex()]),
    ]


def test_a_successor_that_is_superseded_before_it_was_seen_takes_the_first_one_along(
    state: State, lake: Lake
) -> None:
    commit(lake, event(1))
    detect(state, lake)
    commit(lake, mended(1, hash_of("n", 1)))
    commit(lake, mended(2, hash_of(REPLAY, 1)))
    detect(state, lake)
    assert findings(state) == [("pc-1", 1, 1, [hash_of(REPLAY, 2).hex()])]


@pytest.mark.usefixtures("undisturbed")
@pytest.mark.parametrize(
    "place", ["run.matched", "run.findings", "run.before_commit", "run.committed"]
)
def test_a_run_that_dies_at_any_step_takes_back_once(state: State, lake: Lake, place: str) -> None:
    commit(lake, event(1), event(2))
    detect(state, lake)
    commit(lake, mended(1, hash_of("n", 1)))

    def die(name: str) -> None:
        if name == place:
            raise KeyboardInterrupt

    steps.on_step = die
    with pytest.raises(KeyboardInterrupt):
        detect(state, lake)
    steps.on_step = None
    late = NOW + timedelta(hours=1)  # the dead worker's lease is over
    while run_once(state, lake, PlainEvaluator(), holder="x", clock=lambda: late):
        pass
    held = [hash_of(REPLAY, 1).hex(), hash_of("n", 2).hex()]
    assert [(count, lost, sorted(ids)) for _, count, lost, ids in findings(state)] == [
        (2, 1, sorted(held))
    ]


def test_what_an_exception_hid_of_it_is_hidden_no_more(state: State, lake: Lake) -> None:
    commit(lake, event(1, process="other.exe"))
    detect(state, lake)
    with state.begin() as session:
        session.add(
            ExceptionRow(id="x", title="", rules=["r"], text="", owner="", reason="", agencies=[],
                         proposed=NOW, proposed_by="", expires=NOW, approved=None, ended=None)
        )  # fmt: skip
        session.flush()
        session.add(
            HiddenMatch(exception="x", rule="r", event=hash_of("n", 1), agency="ward-1",
                        entity="pc-1", time=NOW, run="run")
        )  # fmt: skip
    commit(lake, mended(1, hash_of("n", 1)))
    detect(state, lake)
    with state.read() as session:
        assert session.scalar(sa.select(sa.func.count()).select_from(HiddenMatch)) == 0


@pytest.mark.usefixtures("undisturbed")
@pytest.mark.parametrize("place", ["run.matched", "run.committed"])
def test_a_backfill_that_read_an_event_before_its_replay_does_not_bring_it_back(
    state: State, lake: Lake, place: str
) -> None:
    commit(lake, event(1), event(2, host="pc-2"))
    while run_once(state, lake, PlainEvaluator("other.exe"), holder="w", clock=lambda: NOW):
        pass  # the rule was another then

    def replay(name: str) -> None:
        if name == place:
            steps.on_step = None
            commit(lake, mended(1, hash_of("n", 1), process="notepad.exe"))
            detect(state, lake)

    steps.on_step = replay
    (done,) = backfill(state, lake, PlainEvaluator(), Window({"n": (0, 2)}), clock=lambda: NOW)
    assert done.status == "done"
    assert [(entity, held) for entity, count, _, held in findings(state) if count] == [
        ("pc-2", [hash_of("n", 2).hex()])
    ]
