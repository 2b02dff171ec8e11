"""``deadletter replay``: a record that could not be read becomes one event, seen by detection, and never two."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from support.cli_words import EVENT, RULE
from support.terminal import Terminal

from collectors.spool import segments
from pipeline.detect.jobs import jobs
from pipeline.detect.jobs.work import do_one
from pipeline.model.clock import utc_now
from pipeline.model.scope import OPERATOR, Actor, Scope
from pipeline.serve.ingest import settle_node
from pipeline.serve.installation import Installation, open_home
from pipeline.serve.job_worker import JobDesk
from pipeline.serve.replay import replay
from pipeline.serve.replay_work import replay_work
from pipeline.sources.dead_letters import Filters
from pipeline.state.tables.intake import DeadLetterRow, Settlement
from pipeline.state.tables.register import Source
from pipeline.store.base import ALL_TIME

LINES = [json.dumps(EVENT), json.dumps(EVENT | {"Image": "C:\\Tệp\\notepad.exe"})]


@pytest.fixture
def broken(terminal: Terminal, tmp_path: Path) -> Terminal:
    """Windows events that came in as nginx's: two events that could not be read, and their letters."""
    (tmp_path / "rule.yml").write_bytes(RULE)
    (tmp_path / "log").write_text("\n".join(LINES) + "\n", "utf-8")
    assert terminal.say("agency add p1 --name 'Phường Một'").code == 0
    assert terminal.say("source add p1-win --agency p1 --product nginx").code == 0
    assert terminal.say("rules import --name test", tmp_path / "rule.yml").code == 0
    assert terminal.say("ingest --source p1-win", tmp_path / "log").code == 0
    return terminal


@pytest.fixture
def here(broken: Terminal) -> Iterator[Installation]:
    opened = open_home(broken.home)
    yield opened
    opened.close()


def mend(here: Installation) -> None:
    """The source's product was wrong."""
    with here.state.begin() as session:
        session.get_one(Source, "p1-win").product = "windows"


def letters(here: Installation) -> list[tuple[str, str]]:
    with here.state.read() as session:
        rows = session.scalars(sa.select(DeadLetterRow).order_by(DeadLetterRow.id))
        return [(row.cause, row.state) for row in rows]


def documents(here: Installation) -> list[dict[str, Any]]:
    return list(here.store.search("*", scope=Scope.everything(), when=ALL_TIME, limit=50).documents)


def ids(here: Installation) -> list[str]:
    with here.state.read() as session:
        return list(session.scalars(sa.select(DeadLetterRow.event).order_by(DeadLetterRow.id)))


def counts(done: dict[str, Any]) -> list[int]:
    names = ("records", "unchanged", "stored", "known", "refused", "failed")
    return [done[name] for name in names]


def test_a_mended_source_makes_its_letters_events_that_rules_see(
    broken: Terminal, here: Installation
) -> None:
    old = ids(here)
    assert counts(broken.say("deadletter replay --source p1-win --json").json) == [0, 2, 0, 0, 0, 0]
    mend(here)
    done = broken.say("deadletter replay --source p1-win --json").json
    assert counts(done) == [2, 0, 2, 0, 0, 0]
    assert letters(here) == [("parse_failure", "replayed")] * 2

    found = documents(here)
    assert sorted(d["event"]["original"] for d in found) == sorted(LINES)
    assert {d["thapcanh"]["replaces"] for d in found} == set(old)
    evidence = here.store.get(old, scope=Scope.everything())
    successors = {d["thapcanh"]["replaces"]: d["event"]["id"] for d in found}
    assert {d["event"]["id"]: d["thapcanh"]["superseded_by"] for d in evidence} == successors
    created = {d["event"]["id"]: d["event"]["created"] for d in evidence}
    assert {d["thapcanh"]["replaces"]: d["event"]["created"] for d in found} == created

    tickets = broken.say("ticket list --json").json["items"]
    assert [(t["title"], t["events"]) for t in tickets] == [("A test rule", 1)]
    again = broken.say("deadletter replay --source p1-win --json").json
    assert counts(again) == [0, 0, 0, 0, 0, 0]


def test_replays_that_overlap_make_one_event(here: Installation) -> None:
    """Two were spooled before either was settled: as after a crash, or by two people."""
    mend(here)
    filters = Filters(source="p1-win")
    spooled = [
        replay(here, OPERATOR, filters, wait=False, report=lambda *_: None) for _ in range(2)
    ]
    assert letters(here) == [("parse_failure", "open")] * 2
    for one in spooled:
        settle_node(here, one.node)
    with here.state.read() as session:
        settled = {
            row.node: (row.stored, row.known) for row in session.scalars(sa.select(Settlement))
        }
    assert [settled[one.node] for one in spooled] == [(2, 0), (0, 2)]
    assert (len(documents(here)), letters(here)) == (2, [("parse_failure", "replayed")] * 2)


def test_a_record_that_still_cannot_be_read_has_a_new_letter(
    broken: Terminal, here: Installation
) -> None:
    assert broken.say("deadletter replay 1 --json --force").json["failed"] == 1
    assert letters(here) == [
        ("parse_failure", "replayed"),
        ("parse_failure", "open"),
        ("parse_failure", "open"),
    ]
    mend(here)
    assert counts(broken.say("deadletter replay --source p1-win --json").json)[:3] == [2, 0, 2]
    assert sorted(d["event"]["original"] for d in documents(here)) == sorted(LINES)


def test_a_refused_record_comes_again_under_its_first_receipt(
    broken: Terminal, here: Installation
) -> None:
    def refused() -> None:
        with here.state.begin() as session:
            node = session.scalars(sa.select(DeadLetterRow.node)).first() or ""
            session.execute(sa.delete(DeadLetterRow).where(DeadLetterRow.cause == "poison"))
            session.add(
                DeadLetterRow(
                    node=node, sequence=77, source="p1-win", agency="p1", cause="poison",
                    message="the parser died", received=datetime(2026, 11, 24, tzinfo=UTC),
                    body=LINES[0].encode(),
                )
            )  # fmt: skip

    mend(here)
    refused()
    first = broken.say("deadletter replay --cause poison --json").json
    refused()  # a crash before the letter was marked
    second = broken.say("deadletter replay --cause poison --json").json
    assert (counts(first), counts(second)) == ([1, 0, 1, 0, 0, 0], [1, 0, 0, 1, 0, 0])
    assert letters(here)[-1] == ("poison", "replayed")


def test_what_cannot_be_replayed_is_named(broken: Terminal, here: Installation) -> None:
    with here.state.begin() as session:
        session.add(
            DeadLetterRow(
                node=session.scalars(sa.select(DeadLetterRow.node)).first() or "", sequence=78,
                source="gone", agency="p1", cause="unknown_source", message="no such source",
                received=datetime(2026, 11, 24, tzinfo=UTC), body=b"x",
            )
        )  # fmt: skip
    done = broken.say("deadletter replay 3")
    told = "letters that cannot be replayed: 1\n  3: the source is not in the register (got gone)"
    assert (done.code, done.err) == (3, f"thapcanh: {told}\n")
    assert broken.say("deadletter replay").code == 2
    assert broken.say("deadletter replay 99").code == 1
    mend(here)
    assert broken.say("deadletter replay 1").code == 0
    assert broken.say("deadletter replay 1").err == (
        "thapcanh: the letter is not open (got 1: replayed)\n"
    )


def test_a_replay_that_the_console_asked_for_is_done_by_a_worker_beside_the_spool(
    broken: Terminal, here: Installation
) -> None:
    mend(here)
    officer = Actor("person", "binh", "officer", Scope.of("p1"))
    job = jobs.ask(here.state, officer, "replay", "p1-win", {"source": "p1-win"}, now=utc_now())
    assert not jobs.waits(here.state, now=utc_now())  # detection's worker leaves it alone
    desk = JobDesk(here, replays=True)
    desk.look()
    found = jobs.find_job(here.state, officer, job, now=utc_now())
    limit = time.monotonic() + 60
    while found.open and time.monotonic() < limit:
        time.sleep(0.1)
        for node in segments.nodes(here.settings.spool):
            settle_node(here, node)  # the role's own work
        found = jobs.find_job(here.state, officer, job, now=utc_now())
    desk.close()
    assert (found.status, found.error, counts(found.result)) == ("done", {}, [2, 0, 2, 0, 0, 0])
    assert letters(here) == [("parse_failure", "replayed")] * 2
    assert sorted(d["event"]["original"] for d in documents(here)) == sorted(LINES)


def test_a_replay_reaches_no_letter_of_another_agency(here: Installation) -> None:
    mend(here)
    officer = Actor("person", "lan", "officer", Scope.of("p2"))
    asked = {"source": "p1-win", "force": True}
    job = jobs.ask(here.state, officer, "replay", "p1-win", asked, now=utc_now())
    stop = threading.Event()
    assert do_one(here.state, jobs.REPLAY, replay_work(here, stop), stop=stop)
    found = jobs.find_job(here.state, officer, job, now=utc_now())
    assert (found.status, counts(found.result)) == ("done", [0, 0, 0, 0, 0, 0])
    assert letters(here) == [("parse_failure", "open")] * 2
