"""Jobs: done once, by whoever lives, as who asked; and no row runs for good."""

from __future__ import annotations

import threading
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from support.detecting import FAILED_LOGON, FAILED_LOGON_TEXT, ColumnStore, failed_logon
from support.people import AUDITOR, analyst, officer

from pipeline.detect.jobs import jobs
from pipeline.detect.jobs.backtests import results_of
from pipeline.detect.jobs.work import work_once
from pipeline.detect.register.exceptions import list_exceptions
from pipeline.detect.register.rules import import_rules
from pipeline.model.clock import EPOCH
from pipeline.model.errors import ConflictError, ForbiddenError, NotFoundError
from pipeline.model.scope import OPERATOR, Actor, Scope
from pipeline.state.state import State

NOW = EPOCH + timedelta(days=40)
RULE = FAILED_LOGON
TEXT = FAILED_LOGON_TEXT
FILTER = f"""title: Máy quét
id: e0000000-0000-4000-8000-000000000000
logsource: {{product: windows, service: security}}
filter: {{rules: [{RULE}], selection: {{IpAddress: 10.0.0.8}}, condition: not selection}}
"""


def seen(n: int, ip: str, agency: str) -> dict[str, Any]:
    return failed_logon(n, 39 * 86_400 + n, ip, agency=agency)


STORE = ColumnStore([seen(1, "10.0.0.8", "ward-1"), seen(2, "10.0.0.9", "ward-2")])


@pytest.fixture(autouse=True)
def rules(state: State, tmp_path: Path) -> None:
    (tmp_path / "rules.yml").write_text(TEXT, "utf-8")
    import_rules(state, OPERATOR, [tmp_path / "rules.yml"], origin="ours", now=NOW)


def work(state: State, store: Any = STORE, *, after: timedelta = timedelta()) -> bool:
    return work_once(
        state, store, opens=lambda level, _: level == "medium", stop=threading.Event(),
        clock=lambda: NOW + after,
    )  # fmt: skip


def test_a_rule_s_backtest_is_done_and_kept_with_it(state: State) -> None:
    id_ = jobs.ask(state, analyst(), "backtest_rule", RULE, {"days": 30}, now=NOW)
    assert jobs.ask(state, analyst(), "backtest_rule", RULE, {"days": 30}, now=NOW) == id_
    assert work(state)
    job = jobs.find_job(state, AUDITOR, id_, now=NOW)
    assert (job.status, job.result["now"]["matches"], job.result["opens_tickets"]) == (
        "done", 2, True,
    )  # fmt: skip
    assert [row.found["now"]["matches"] for row in results_of(state, AUDITOR, RULE)] == [2]
    assert not work(state)


def test_a_draft_is_tried_as_who_asked_and_not_saved(state: State) -> None:
    own = Actor("person", "mai", "analyst", Scope.of("ward-1"))
    proposal = {
        "text": FILTER, "owner": "person:mai", "reason": "x", "agencies": ["ward-1"],
        "expires": (NOW + timedelta(days=1)).isoformat(),
    }  # fmt: skip
    asked = {"days": 30, "proposal": proposal}
    id_ = jobs.ask(state, own, "backtest_exception", "e0", asked, now=NOW)
    work(state)
    found = jobs.find_job(state, own, id_, now=NOW).result
    assert (found["events"], found["now"]["hidden"], found["now"]["matches"]) == (1, 1, 0)
    assert list_exceptions(state, OPERATOR, now=NOW) == []


def test_a_backfill_makes_real_findings_only_of_what_was_passed(state: State) -> None:
    id_ = jobs.ask(state, analyst(), "backfill", RULE, {"days": 30}, now=NOW)
    work(state)
    job = jobs.find_job(state, analyst(), id_, now=NOW)
    assert (job.status, job.result) == ("done", {"runs": []})  # no cursor has passed anything


def test_who_dies_is_seen_and_another_does_it(state: State) -> None:
    id_ = jobs.ask(state, analyst(), "backtest_rule", RULE, {"days": 30}, now=NOW)
    dead = jobs.take(state, now=NOW)
    assert dead is not None
    assert not work(state, after=timedelta(seconds=29))
    later = timedelta(seconds=31)
    assert jobs.find_job(state, analyst(), id_, now=NOW + later).stalled
    assert work(state, after=later)
    with pytest.raises(ConflictError):
        jobs.finish(state, dead, {}, now=NOW + later)
    assert jobs.find_job(state, analyst(), id_, now=NOW).status == "done"


def test_what_kills_its_worker_three_times_is_given_up(state: State) -> None:
    id_ = jobs.ask(state, analyst(), "backtest_rule", RULE, {"days": 30}, now=NOW)
    for n in range(3):
        assert jobs.take(state, now=NOW + n * timedelta(minutes=1)) is not None
    assert jobs.take(state, now=NOW + timedelta(minutes=3)) is None
    job = jobs.find_job(state, analyst(), id_, now=NOW)
    assert (job.status, job.error) == (
        "failed",
        {"what": "its process went away before the end, each time"},
    )


def test_a_worker_that_is_told_to_stop_hands_the_job_back(state: State) -> None:
    id_ = jobs.ask(state, analyst(), "backtest_rule", RULE, {"days": 30}, now=NOW)
    stop = threading.Event()
    stop.set()
    work_once(state, STORE, opens=lambda *_: True, stop=stop, clock=lambda: NOW)
    assert jobs.find_job(state, analyst(), id_, now=NOW).status == "waiting"
    assert work(state)


def test_a_cancelled_job_writes_nothing_more(state: State) -> None:
    id_ = jobs.ask(state, analyst(), "backtest_rule", RULE, {"days": 30}, now=NOW)
    taken = jobs.take(state, now=NOW)
    assert taken is not None
    jobs.cancel(state, analyst(), id_, now=NOW)
    with pytest.raises(ConflictError):
        jobs.tell(state, taken, 1, 2, now=NOW)
    assert jobs.find_job(state, analyst(), id_, now=NOW).status == "cancelled"


def test_a_fault_is_told_in_its_parts(state: State) -> None:
    id_ = jobs.ask(state, analyst(), "backtest_rule", "nothing", {"days": 30}, now=NOW)
    work(state)
    job = jobs.find_job(state, analyst(), id_, now=NOW)
    assert (job.status, job.error["what"], job.error["got"]) == (
        "failed", "no such rule is switched on", "nothing",
    )  # fmt: skip


def test_only_who_sees_all_sees_the_jobs_of_others(state: State) -> None:
    id_ = jobs.ask(state, analyst(), "backtest_rule", RULE, {"days": 30}, now=NOW)
    assert [job.id for job in jobs.list_jobs(state, AUDITOR, now=NOW)] == [id_]
    assert jobs.list_jobs(state, officer("binh", "ward-1"), now=NOW) == []
    with pytest.raises(NotFoundError):
        jobs.find_job(state, officer("binh", "ward-1"), id_, now=NOW)
    for reader in (AUDITOR, officer("binh", "ward-1")):
        with pytest.raises(ForbiddenError):
            jobs.ask(state, reader, "backtest_rule", RULE, {"days": 30}, now=NOW)


def test_what_is_long_over_is_forgotten(state: State) -> None:
    old = jobs.ask(state, analyst(), "backtest_rule", RULE, {"days": 30}, now=NOW)
    jobs.cancel(state, analyst(), old, now=NOW)
    later = NOW + timedelta(days=181)
    new = jobs.ask(state, analyst(), "backtest_rule", RULE, {"days": 30}, now=later)
    assert [job.id for job in jobs.list_jobs(state, AUDITOR, now=later)] == [new]
