"""Both stores in one table, and Elasticsearch beside itself: a raw bulk, and a query a rule.

    python -m tests.bench.bench_elasticsearch [--events 25000]     # ELASTICSEARCH_URL, or a node of its own

Needs ../shared. In: recorded Windows events, as the normaliser hands them over. Out: events/s of a raw `_bulk` of
lines that were prepared before (one client thread, 2,000 a request), of `append` from Arrow to settled, of scans on
both stores; seconds of a detection pass over a window of 10,000 events with all Windows rules, scan included, and of
the same rules one Lucene query each by `_msearch` over that window (every so many rules are asked, the time is scaled
up; the window's filter is in each query). Ratios are of this very run: append is 0.9 of raw at least, the pass 100
times as fast. Wall clock; server, client and whoever else share the machine.
"""

from __future__ import annotations

import argparse
import os
import statistics
import sys
import tarfile
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent))
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from parts import compiled_set
from scaled import COMMIT, lines, write_lake
from support.elasticsearch import session_node, store_at, wipe

from pipeline.detect.matching.compile import Compiled
from pipeline.model.clock import utc_now
from pipeline.model.detections import Window
from pipeline.model.scope import Scope
from pipeline.state.state import State
from pipeline.store.base import ALL_TIME, Commit, SearchableStore
from pipeline.store.columns import concat
from pipeline.store.elasticsearch.documents import prepare
from pipeline.store.elasticsearch.store import ElasticsearchStore
from pipeline.store.lake.store import Lake

ROOT = Path(__file__).resolve().parents[2]
COLUMNS = frozenset(
    {"event.code", "winlog.channel", "winlog.computer_name", "process.executable", "process.command_line",
     "winlog.event_data.Image", "winlog.event_data.CommandLine", "user.name"}
)  # fmt: skip
ROUNDS = 3
WINDOW = 10_000
EVERY = 8  # of the rules, one is asked by a query of its own
Rows = list[tuple[str, str, str, str]]


def main() -> None:
    options = argparse.ArgumentParser()
    options.add_argument("--events", type=int, default=25_000)
    given = options.parse_args()
    corpora = Path(os.environ.get("THAPCANH_SHARED", ROOT.parent / "shared")) / "corpora"
    if not corpora.is_dir():
        sys.exit("needs ../shared: put the real data beside the checkout, or set THAPCANH_SHARED")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        with tarfile.open(corpora / "sigma-rules.tar.xz") as archive:
            archive.extractall(folder / "sigma", filter="data")
        corpus = corpora / "windows-events.ndjson.gz"
        commits = list(commits_of(folder, corpus, given.events))
        for url in session_node():
            for row in measure(folder, url, commits):
                print(f"{row[0]:<44}{row[1]:>14}{row[2]:>16}  {row[3]}")


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


def measure(folder: Path, url: str, commits: list[Commit]) -> Rows:
    count = sum(table.num_rows for commit in commits for table in commit.tables.values())
    compiled = compiled_set(folder, "all")
    raw, ours, theirs = bulks(folder, url, commits, count)
    rows: Rows = [
        (f"{count:,} recorded Windows events", "lake", "elasticsearch", ""),
        ("raw bulk of lines prepared before", "", f"{raw:,.0f}/s", ""),
        ("append, from Arrow to settled", f"{theirs:,.0f}/s", f"{ours:,.0f}/s",
         f"{ours / raw:.2f} of raw (goal 0.9)"),
    ]  # fmt: skip
    lake_state, state = (
        State.at(folder / "lake.sqlite"),
        State.at(folder / f"state-{ROUNDS - 1}.sqlite"),
    )
    lake, store = Lake(folder / "lake", lake_state), store_at(url, state)
    stores: list[SearchableStore] = [lake, store]
    every = {dataset: COLUMNS for one in commits for dataset in one.tables}
    for name, columns in (
        (f"scan of {len(COLUMNS)} columns", every),
        ("scan of whole events", None),
    ):
        pair = [count / timed(lambda s=s, c=columns: scanned(s, commits, c, count)) for s in stores]  # type: ignore[misc]
        rows.append((name, f"{pair[0]:,.0f}/s", f"{pair[1]:,.0f}/s", ""))
    pair = [
        timed(lambda s=s: s.count("powershell", scope=Scope.everything(), when=ALL_TIME))
        for s in stores
    ]  # type: ignore[misc]
    rows.append(("count of a word", f"{pair[0]:.3f} s", f"{pair[1]:.3f} s", ""))
    window = Window({commits[0].node: (0, WINDOW)})
    pair = [timed(lambda s=s: one_pass(s, compiled, window)) for s in stores]  # type: ignore[misc]
    name = f"a pass of {len(compiled.rules):,} rules over {WINDOW:,} events"
    rows.append((name, f"{pair[0]:.2f} s", f"{pair[1]:.2f} s", ""))
    slow, asked = by_query(store, compiled, window)
    note = f"x {slow / pair[1]:,.0f} the pass (goal 100); {asked}"
    rows.append(("the same, a query a rule by _msearch", "", f"{slow:.1f} s", note))
    for each in (lake_state, state):
        each.close()
    store.close()
    return rows


def bulks(folder: Path, url: str, commits: list[Commit], count: int) -> tuple[float, float, float]:
    """Events/s of raw bulks, of our commits, and of the lake's; the median of the rounds, in turn."""
    prepared = [
        [one.line for piece in prepare(table, dataset, frozenset()) for one in piece]
        for commit in commits
        for dataset, table in commit.tables.items()
    ]
    raw: list[float] = []
    ours: list[float] = []
    for number in range(ROUNDS):
        state = State.at(folder / f"state-{number}.sqlite")
        state.create_tables()
        store = store_at(url, state)
        both: list[tuple[list[float], Callable[[], None]]] = [
            (raw, lambda store=store: send_raw(store, prepared)),  # type: ignore[misc]
            (ours, lambda store=store: append_all(store, commits)),  # type: ignore[misc]
        ]  # the last round ends with ours, for what follows
        for found, work in both if number % 2 == ROUNDS % 2 or number == ROUNDS - 1 else both[::-1]:
            wipe(store)
            for index in {line[20:80].split(b'"')[1] for part in prepared for line in part[:1]}:
                store._ready.ensure(index.decode())
            begun = time.monotonic()
            work()
            found.append(count / (time.monotonic() - begun))
        print(
            f"round {number + 1}: raw {raw[-1]:,.0f}/s, append {ours[-1]:,.0f}/s", file=sys.stderr
        )
        store.close()
        state.close()
    state = State.at(folder / "lake.sqlite")
    state.create_tables()
    begun = time.monotonic()
    append_all(Lake(folder / "lake", state), commits)
    lake = count / (time.monotonic() - begun)
    state.close()
    return statistics.median(raw), statistics.median(ours), lake


def send_raw(store: ElasticsearchStore, prepared: list[list[bytes]]) -> None:
    for part in prepared:
        for start in range(0, len(part), 2_000):
            answer = store.client.bulk(operations=part[start : start + 2_000], filter_path="errors")
            assert answer["errors"] is False
    store.client.indices.refresh(index="logs-thapcanh.*")


def append_all(store: SearchableStore, commits: list[Commit]) -> None:
    for commit in commits:
        store.append(commit, now=utc_now())


def timed(work: Callable[[], Any], times: int = 3) -> float:
    """The median, after once to warm up."""
    work()
    found = []
    for _ in range(times):
        begun = time.monotonic()
        work()
        found.append(time.monotonic() - begun)
    return statistics.median(found)


def scanned(store: SearchableStore, commits: list[Commit], columns: Any, count: int) -> None:
    window = Window({commits[0].node: (0, commits[-1].last)})
    tables = store.scan(window, scope=Scope.everything(), columns=columns)
    assert sum(table.num_rows for _, table in tables) == count


def one_pass(store: SearchableStore, compiled: Compiled, window: Window) -> int:
    """Scan and match, as a detection run does; how many matches."""
    found = store.scan(window, scope=Scope.everything(), columns=compiled.columns)
    return sum(len(compiled.match(dataset, table)[0]) for dataset, table in found)


def by_query(store: ElasticsearchStore, compiled: Compiled, window: Window) -> tuple[float, str]:
    """Seconds that all rules would take by a query each, and what was asked."""
    from sigma.backends.elasticsearch import LuceneBackend
    from sigma.exceptions import SigmaError
    from sigma.processing.pipeline import ProcessingPipeline
    from sigma.rule import SigmaRule

    from pipeline.detect.rulebook.export import export_pipeline
    from pipeline.detect.rulebook.taxonomy import Taxonomy
    from pipeline.settings.places import config_dir

    exported = export_pipeline(Taxonomy.load(config_dir() / "taxonomy"))
    backend = LuceneBackend(ProcessingPipeline.from_yaml(exported))
    queries: list[str] = []
    for rule in compiled.rules[::EVERY]:
        try:
            queries += backend.convert_rule(SigmaRule.from_yaml(rule.text))
        except (SigmaError, NotImplementedError):
            continue
    ((node, (after, upto)),) = window.spans.items()
    limits = [
        {"term": {"thapcanh.node.exact": node}},
        {"range": {"thapcanh.sequence": {"gt": after, "lte": upto}}},
    ]
    refused = 0
    begun = time.monotonic()
    for start in range(0, len(queries), 50):
        searches: list[Any] = []
        for query in queries[start : start + 50]:
            asked = {"query_string": {"query": query}}
            searches += [{"index": "logs-thapcanh.*"}, {
                "size": 100, "_source": False, "query": {"bool": {"filter": [*limits, asked]}},
            }]  # fmt: skip
        answer = store.client.options(request_timeout=300).msearch(searches=searches)
        refused += sum("error" in one for one in answer["responses"])
    spent = (time.monotonic() - begun) * len(compiled.rules) / len(queries)
    return spent, f"{len(queries)} queries asked, {refused} refused by the node"


if __name__ == "__main__":
    main()
