"""Detection over the real lake: commits in, findings, tickets and raw lines out."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import sqlalchemy as sa
from support.detecting import ColumnStore, PlainEvaluator, event
from support.people import analyst

from pipeline.detect.register.rules import import_rules
from pipeline.detect.running.active import ActiveRules
from pipeline.detect.running.coverage import coverage_of
from pipeline.detect.running.runs import Limits, cursors_of, run_once
from pipeline.model.clock import EPOCH
from pipeline.model.scope import OPERATOR
from pipeline.state.state import State
from pipeline.state.tables.detection import FindingRow, Run
from pipeline.store.base import Commit
from pipeline.store.lake.store import Lake
from pipeline.tickets.grouping import tickets_once
from pipeline.tickets.queue import get_ticket

NOW = EPOCH + timedelta(days=1)
SYSMON = {"event.code": "1", "winlog.channel": "Microsoft-Windows-Sysmon/Operational"}
RULE = """title: Mimikatz
id: a0000000-0000-4000-8000-000000000000
status: test
level: high
logsource: {category: process_creation, product: windows}
detection:
    selection: {CommandLine|contains: mimikatz}
    condition: selection
---
title: A word anywhere
id: b0000000-0000-4000-8000-000000000000
status: test
level: low
logsource: {category: process_creation, product: windows}
detection:
    keywords: [sekurlsa]
    condition: keywords
"""


def commit(
    lake: Lake, first: int, last: int, *lines: tuple[int, str, str], node: str = "n"
) -> None:
    """`lines`: sequence, agency, command line; the other receipts of the range are dropped."""
    rows = [
        event(sequence, node=node, agency=agency)
        | SYSMON
        | {
            "winlog.event_data.CommandLine": line,
            "winlog.computer_name": "pc-1",
            "thapcanh.source": "s",
            "event.original": line,
        }
        for sequence, agency, line in lines
    ]
    for row in rows:
        row["event.created"] = row["event.ingested"] = row["@timestamp"]
    tables = {"windows.sysmon": ColumnStore()._table(rows)} if rows else {}
    lake.append(Commit(node, first, last, tables, dropped=last - first + 1 - len(rows)), now=NOW)


def test_from_commits_to_a_ticket_with_its_raw_lines_and_the_coverage_of_it(
    state: State, tmp_path: Path
) -> None:
    (tmp_path / "rule.yml").write_text(RULE, "utf-8")
    import_rules(state, OPERATOR, [tmp_path / "rule.yml"], origin="ours", now=NOW)
    lake = Lake(tmp_path / "lake", state)
    commit(lake, 1, 3, (1, "ward-1", "mimikatz.exe"), (3, "ward-2", "sekurlsa::logonpasswords"))
    commit(lake, 4, 5)
    commit(lake, 6, 6, (6, "ward-1", "MIMIKATZ.exe again"))
    commit(lake, 1, 1, (1, "ward-2", "x mimikatz"), node="m")
    active = ActiveRules(state, tmp_path / "cache")
    while (
        result := run_once(
            state, lake, active("main"), holder="w", limits=Limits(window=2), clock=lambda: NOW
        )
    ) is not None:
        assert result.error == ""
    with state.read() as session:
        assert cursors_of(session, "main") == {"m": 1, "n": 6}
        found = {(f.title, f.agency): f.count for f in session.scalars(sa.select(FindingRow))}
        assert {r.status for r in session.scalars(sa.select(Run))} == {"done"}
    assert found == {
        ("Mimikatz", "ward-1"): 2,
        ("Mimikatz", "ward-2"): 1,
        ("A word anywhere", "ward-2"): 1,
    }
    while tickets_once(state, now=NOW):
        pass
    views = [get_ticket(state, lake, analyst(), str(n)) for n in (1, 2)]
    raw = {
        v.ticket.agency: sorted(d["event"]["original"] for d in v.documents.values()) for v in views
    }
    assert raw == {"ward-1": ["MIMIKATZ.exe again", "mimikatz.exe"], "ward-2": ["x mimikatz"]}
    answer = coverage_of(state, lake.watermark(), "a0000000-0000-4000-8000-000000000000")
    assert [(e.node, e.first, e.last) for e in answer.evaluated] == [("m", 1, 1), ("n", 1, 6)]
    assert answer.gaps == ()
    assert {a: e["events"] for e in answer.evaluated[1:] for a, e in e.agencies.items()} == {
        "ward-1": 2,
        "ward-2": 1,
    }


def test_a_damaged_file_of_the_lake_fails_the_run_by_name_and_keeps_the_cursor(
    state: State, tmp_path: Path
) -> None:
    lake = Lake(tmp_path / "lake", state)
    commit(lake, 1, 1, (1, "ward-1", "x"))
    (file,) = (tmp_path / "lake").rglob("*.parquet")
    file.write_bytes(file.read_bytes()[:100])
    result = run_once(state, lake, PlainEvaluator(), holder="w", clock=lambda: NOW)
    assert result is not None
    assert result.status == "failed"
    assert file.name in result.error
    with state.read() as session:
        assert cursors_of(session, "main") == {}
