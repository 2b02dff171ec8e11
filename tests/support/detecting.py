"""A store in memory and an evaluator of one plain question, for tests of runs without engine or lake."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

import pyarrow as pa

from pipeline.detect.correlations.correlation import Correlation
from pipeline.detect.running.findings import Hit, RuleFacts
from pipeline.model import events
from pipeline.model.clock import EPOCH
from pipeline.model.detections import Level, Match, Window
from pipeline.model.scope import Scope

SCHEMA = pa.schema(
    [
        (events.ID, pa.binary(16)),
        (events.NODE, pa.string()),
        (events.SEQUENCE, pa.int64()),
        (events.AGENCY, pa.string()),
        (events.DATASET, pa.string()),
        (events.TIME, pa.timestamp("us", "UTC")),
        (events.CREATED, pa.timestamp("us", "UTC")),
        (events.INGESTED, pa.timestamp("us", "UTC")),
        (events.ORIGINAL, pa.string()),
        ("host.name", pa.string()),
        ("process.name", pa.string()),
    ]
)


def event(
    sequence: int,
    *,
    time: int | None = None,
    host: str = "pc-1",
    process: str = "mimikatz.exe",
    node: str = "n",
    agency: str = "ward-1",
    dataset: str = "windows.sysmon",
) -> dict[str, Any]:
    """`time` in seconds since 1970."""
    return {
        events.ID: hash_of(node, sequence),
        events.NODE: node,
        events.SEQUENCE: sequence,
        events.AGENCY: agency,
        events.DATASET: dataset,
        events.TIME: (sequence if time is None else time) * 1_000_000,
        events.ORIGINAL: f"{host} ran {process}",
        "host.name": host,
        "process.name": process,
    }


FAILED_LOGON = "a0000000-0000-4000-8000-000000000000"
FAILED_LOGON_TEXT = f"""title: Failed logon
id: {FAILED_LOGON}
name: failed
status: test
level: medium
logsource: {{product: windows, service: security}}
detection:
    selection: {{EventID: 4625}}
    condition: selection
"""


def failed_logon(
    n: int,
    time: int,
    ip: str = "10.0.0.9",
    *,
    received: datetime | None = None,
    agency: str = "ward-1",
    code: str = "4625",
) -> dict[str, Any]:
    """What that rule finds, if its code is left alone. `time` in seconds since 1970; received then if not told."""
    return event(n, time=time, dataset="windows.security", agency=agency) | {
        events.CREATED: received or EPOCH + timedelta(seconds=time),
        "event.code": code,
        "winlog.channel": "Security",
        "winlog.event_data.IpAddress": ip,
    }


def hash_of(node: str, sequence: int) -> bytes:
    return node.encode().ljust(8, b"\0")[:8] + sequence.to_bytes(8, "big")


class MemoryStore:
    """Holds rows; settles whatever it is told to."""

    def __init__(self, rows: Sequence[Mapping[str, Any]] = ()) -> None:
        self.rows = [dict(row) for row in rows]
        self.settled: dict[str, int] = {}
        self.scans = 0
        for row in self.rows:
            self._settle(row)

    def _settle(self, row: Mapping[str, Any]) -> None:
        node = row[events.NODE]
        self.settled[node] = max(self.settled.get(node, 0), row[events.SEQUENCE])

    def add(self, *rows: Mapping[str, Any]) -> None:
        for row in rows:
            self.rows.append(dict(row))
            self._settle(row)

    def watermark(self) -> dict[str, int]:
        return dict(self.settled)

    def scan(
        self,
        window: Window,
        *,
        scope: Scope,
        columns: Mapping[str, frozenset[str] | None] | None = None,
    ) -> Iterator[tuple[str, pa.Table]]:
        self.scans += 1
        for node, (after, upto) in window.spans.items():
            wanted = [
                row
                for row in self.rows
                if row[events.NODE] == node
                and after < row[events.SEQUENCE] <= upto
                and scope.allows(row[events.AGENCY])
            ]
            for dataset in sorted({row[events.DATASET] for row in wanted}):
                if columns is None or dataset in columns:
                    rows = [row for row in wanted if row[events.DATASET] == dataset]
                    rows.sort(key=lambda row: row[events.SEQUENCE])
                    yield dataset, self._table(rows)

    def _table(self, rows: Sequence[Mapping[str, Any]]) -> pa.Table:
        return pa.Table.from_pylist(list(rows), SCHEMA)

    def get(self, ids: Sequence[str], *, scope: Scope, when: object = None) -> list[dict[str, Any]]:
        by_id = {row[events.ID].hex(): row for row in self.rows if scope.allows(row[events.AGENCY])}
        return [{events.ORIGINAL: by_id[i][events.ORIGINAL], "id": i} for i in ids if i in by_id]


class ColumnStore(MemoryStore):
    """Rows of any text columns beside the envelope."""

    def _table(self, rows: Sequence[Mapping[str, Any]]) -> pa.Table:
        names = dict.fromkeys(name for row in rows for name in row)
        fields = [SCHEMA.field(n) if n in SCHEMA.names else (n, pa.string()) for n in names]
        return pa.Table.from_pylist(list(rows), pa.schema(fields))


class PlainEvaluator:
    """One rule: `process.name` is one of `names`. A process called `poison.exe` raises."""

    def __init__(
        self,
        *names: str,
        revision: str = "v1",
        quiet: int = 3_600_000_000,
        level: str = "high",
        status: str = "test",
        unfit: Mapping[str, str] | None = None,
    ) -> None:
        self._processes = names or ("mimikatz.exe",)
        self.ruleset = f"set-{revision}"
        self.taxonomy = "t"
        self.facts = {"r": RuleFacts("r", revision, "Mimikatz", Level(level), status, quiet)}
        self.unfit = dict(unfit or {})
        self.columns = {"windows.sysmon": frozenset({"process.name", "host.name"})}
        self.correlations: tuple[Correlation, ...] = ()
        self.silent: frozenset[str] = frozenset()
        self.names: dict[str, dict[str, str]] = {}

    def evaluate(self, dataset: str, table: Any) -> Sequence[Hit]:
        hits = []
        for row in table.to_pylist():
            if row["process.name"] == "poison.exe":
                raise RuntimeError("boom")
            if row["process.name"] in self._processes:
                match = Match(
                    "r",
                    self.facts["r"].revision,
                    row[events.ID].hex(),
                    row[events.AGENCY],
                    row["host.name"],
                    int(row[events.TIME].timestamp() * 1_000_000),
                    row[events.NODE],
                    row[events.SEQUENCE],
                )
                fields = {"process.name": row["process.name"]}
                values = {"host": row["host.name"]} if self.correlations else None
                hits.append(Hit(match, "host.name", fields, values))
        return hits
