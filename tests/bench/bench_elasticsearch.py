"""Elasticsearch beside itself: our commits against a raw bulk of the same prepared lines, and scans.

    python -m tests.bench.bench_elasticsearch [--events 25000]     # ELASTICSEARCH_URL, or a node of its own

Needs ../shared. In: recorded Windows events, as the lake's commits have them. Out: events/s of a raw `_bulk` of lines
that were prepared before (one client thread, 2,000 a request), of `append` from Arrow to settled, of scans; the ratio
is of this very run. Goal: append is 0.9 of raw at least. Server, client and whoever else share the machine.
"""

from __future__ import annotations

import argparse
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent))
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from scaled import COMMIT, lines, write_lake
from support.elasticsearch import session_node, store_at, wipe

from pipeline.model.clock import utc_now
from pipeline.model.detections import Window
from pipeline.model.scope import Scope
from pipeline.state.state import State
from pipeline.store.base import Commit
from pipeline.store.columns import concat
from pipeline.store.elasticsearch.documents import prepare
from pipeline.store.elasticsearch.store import ElasticsearchStore
from pipeline.store.lake import Lake

ROOT = Path(__file__).resolve().parents[2]
COLUMNS = frozenset(
    {"event.code", "winlog.channel", "winlog.computer_name", "process.executable", "process.command_line",
     "winlog.event_data.Image", "winlog.event_data.CommandLine", "user.name"}
)  # fmt: skip
ROUNDS = 3


def main() -> None:
    options = argparse.ArgumentParser()
    options.add_argument("--events", type=int, default=25_000)
    given = options.parse_args()
    corpus = ROOT.parent / "shared"
    corpus = (
        Path(os.environ.get("THAPCANH_SHARED", corpus)) / "corpora" / "windows-events.ndjson.gz"
    )
    if not corpus.is_file():
        sys.exit("needs ../shared: put the real data beside the checkout, or set THAPCANH_SHARED")
    with tempfile.TemporaryDirectory() as folder:
        commits = list(commits_of(Path(folder), corpus, given.events))
        for url in session_node():
            measure(Path(folder), url, commits)


def commits_of(folder: Path, corpus: Path, events: int) -> Iterator[Commit]:
    """What the normaliser would hand over, out of a lake that it was written to."""
    write_lake(folder / "source", lines(corpus, events))
    state = State.at(folder / "source" / "state.sqlite")
    lake = Lake(folder / "source" / "lake", state)
    first = 1
    for node, last in lake.watermark().items():
        while first <= last:
            stop = min(first + COMMIT - 1, last)
            window = Window({node: (first - 1, stop)})
            tables: dict[str, list[Any]] = {}
            for dataset, table in lake.scan(window, scope=Scope.everything()):
                tables.setdefault(dataset, []).append(table)
            joined = {dataset: concat(parts) for dataset, parts in tables.items()}
            stored = sum(table.num_rows for table in joined.values())
            yield Commit(
                node=node, first=first, last=stop, tables=joined, dropped=stop - first + 1 - stored
            )
            first = stop + 1
    state.close()


def measure(folder: Path, url: str, commits: list[Commit]) -> None:
    count = sum(table.num_rows for commit in commits for table in commit.tables.values())
    prepared = [
        [one.line for piece in prepare(table, dataset, frozenset()) for one in piece]
        for commit in commits
        for dataset, table in commit.tables.items()
    ]
    begun = time.process_time()
    for commit in commits:
        for dataset, table in commit.tables.items():
            for _ in prepare(table, dataset, frozenset()):
                pass
    preparing = time.process_time() - begun
    size = sum(len(line) for part in prepared for line in part)
    print(
        f"{count:,} events, {size / count:,.0f} bytes each as lines; preparing {count / preparing:,.0f}/s of CPU"
    )
    raw: list[float] = []
    ours: list[float] = []
    for number in range(ROUNDS):
        state = State.at(folder / f"state-{number}.sqlite")
        state.create_tables()
        store = store_at(url, state)
        both: list[tuple[list[float], Callable[[], None]]] = [
            (raw, lambda store=store: send_raw(store, prepared)),  # type: ignore[misc]
            (ours, lambda store=store: append_all(store, commits)),  # type: ignore[misc]
        ]
        for found, work in both if number % 2 == 0 else reversed(both):
            wipe(store)
            for index in {line[20:80].split(b'"')[1] for part in prepared for line in part[:1]}:
                store._ready.ensure(index.decode())
            begun = time.monotonic()
            work()
            found.append(count / (time.monotonic() - begun))
        print(f"round {number + 1}: raw bulk {raw[-1]:,.0f}/s, append {ours[-1]:,.0f}/s")
        if number == ROUNDS - 1:
            if number % 2:
                wipe(store)
                append_all(store, commits)
            scans(store, commits, count)
        store.close()
        state.close()
    print(f"append / raw: {statistics.median(ours) / statistics.median(raw):.2f} (goal 0.9)")


def send_raw(store: ElasticsearchStore, prepared: list[list[bytes]]) -> None:
    for part in prepared:
        for start in range(0, len(part), 2_000):
            answer = store.client.bulk(operations=part[start : start + 2_000], filter_path="errors")
            assert answer["errors"] is False
    store.client.indices.refresh(index="logs-thapcanh.*")


def append_all(store: ElasticsearchStore, commits: list[Commit]) -> None:
    for commit in commits:
        store.append(commit, now=utc_now())


def scans(store: ElasticsearchStore, commits: list[Commit], count: int) -> None:
    window = Window({commits[0].node: (0, commits[-1].last)})
    wanted: list[tuple[str, Any]] = [
        (
            f"scan of {len(COLUMNS)} columns",
            {dataset: COLUMNS for one in commits for dataset in one.tables},
        ),
        ("scan of whole events", None),
    ]
    for name, columns in wanted:
        begun = time.monotonic()
        rows = sum(
            table.num_rows
            for _, table in store.scan(window, scope=Scope.everything(), columns=columns)
        )
        assert rows == count, (rows, count)
        print(f"{name}: {rows / (time.monotonic() - begun):,.0f}/s")


if __name__ == "__main__":
    main()
