"""The lake over a million events of 168 agencies: bytes an event after compaction, and how long a search takes.

    python -m tests.bench.bench_lake [--events 1000000] [--bytes 1000]

Needs ../shared. In: recorded Windows events with originals of so many bytes on average, each agency's with ids, times
and receipts of their own (a tenth of the texts is distinct; the rest repeats them). Out: bytes on disk an event before
and after compaction by agency and day; the median and the 95th percentile of field searches, free text and histograms
over all of it, and of one agency's. Wall clock; goals: field p95 0.5 s, free text 1 s, histogram 0.3 s.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent))

from scaled import lines

from pipeline.model import events
from pipeline.model.clock import to_micros
from pipeline.model.records import RawRecord
from pipeline.model.scope import Scope
from pipeline.normalise.context import Context
from pipeline.normalise.normaliser import normalise
from pipeline.normalise.product import load_products
from pipeline.state.state import State
from pipeline.store.base import ALL_TIME, Commit
from pipeline.store.lake.store import Lake

ROOT = Path(__file__).resolve().parents[2]
DAY = datetime(2026, 11, 23, tzinfo=UTC)
COMMIT = 20_000
AGENCIES = 168
FIELDS = (
    "event.code:4688", "process.executable:*powershell.exe", "user.name:administrator", "source.ip:10.0.0.0/8",
    "event.code:[4600 TO 4700] AND NOT user.name:system", "process.command_line:*mimikatz*", "event.code:1 OR event.code:3",
)  # fmt: skip
WORDS = ("mimikatz", "powershell", '"invoke expression"', "nosuchword", "tran*", "administrator")


def main() -> None:
    options = argparse.ArgumentParser()
    options.add_argument("--events", type=int, default=1_000_000)
    options.add_argument("--bytes", type=int, default=1_000)
    given = options.parse_args()
    shared = Path(os.environ.get("THAPCANH_SHARED", ROOT.parent / "shared"))
    if not (shared / "corpora").is_dir():
        sys.exit("needs ../shared: put the real data beside the checkout, or set THAPCANH_SHARED")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        state = State.at(folder / "state.sqlite")
        state.create_tables()
        lake = Lake(folder / "lake", state)
        corpus = shared / "corpora" / "windows-events.ndjson.gz"
        begun = time.monotonic()
        text = fill(lake, corpus, given.events, given.bytes)
        print(
            f"{given.events:,} events, originals of {text:,.0f} bytes, stored in {time.monotonic() - begun:.0f} s"
        )
        size(lake, given.events, "as committed")
        begun = time.monotonic()
        while lake.compact(DAY + timedelta(days=2), most=1):
            pass
        print(f"compacted in {time.monotonic() - begun:.0f} s")
        size(lake, given.events, "after compaction")
        ask(lake, Scope.everything(), "all agencies")
        ask(lake, Scope.of("agency-007"), "one agency")
        state.close()


def fill(lake: Lake, corpus: Path, wanted: int, size: int) -> float:
    """Bytes of an original on average."""
    import numpy as np
    import pyarrow as pa

    distinct = max(COMMIT, wanted // 10)
    product = load_products()["windows"]
    context = Context(node="n", agency="a", source="s", key=bytes(16), ingested=to_micros(DAY))
    made: list[dict[str, Any]] = []
    for start, batch in enumerate(batches(corpus, distinct, size)):
        records = [
            RawRecord(start * COMMIT + n, "s", to_micros(DAY), one)
            for n, one in enumerate(batch, 1)
        ]
        made.append(dict(normalise(product, records, context).tables))
    dice = np.random.default_rng(1)
    sequence = total = 0
    while sequence < wanted:
        tables = {}
        first = sequence + 1
        for dataset, given in made[(sequence // COMMIT) % len(made)].items():
            table, count = given, given.num_rows
            micros = to_micros(DAY) + (
                np.arange(sequence, sequence + count) * (86_000 * 1_000_000 // wanted)
            )
            agencies = [f"agency-{n:03}" for n in dice.zipf(1.3, count) % AGENCIES]
            for column, values in (
                (events.ID, pa.array([dice.bytes(16) for _ in range(count)], pa.binary(16))),
                (events.AGENCY, pa.array(agencies)),
                (events.SEQUENCE, pa.array(np.arange(sequence + 1, sequence + count + 1))),
                (events.TIME, pa.array(micros, pa.timestamp("us", "UTC"))),
                (events.CREATED, pa.array(micros, pa.timestamp("us", "UTC"))),
            ):
                table = table.set_column(table.column_names.index(column), column, values)
            tables[dataset] = table
            sequence += count
            total += sum(len(one) for one in table.column(events.ORIGINAL).to_pylist())
        lake.append(Commit("n", first, sequence, tables), now=DAY + timedelta(days=1))
    return total / sequence


def batches(corpus: Path, wanted: int, size: int) -> Iterator[list[bytes]]:
    """Lines that are at most so much longer than wanted that they come to `size` on average."""
    batch: list[bytes] = []
    count = 0
    for line in lines(corpus, 20 * wanted):
        if not size * 0.6 < len(line) < size * 1.5:
            continue
        batch.append(line)
        count += 1
        if len(batch) == COMMIT:
            yield batch
            batch = []
        if count >= wanted:
            break
    if batch:
        yield batch


def size(lake: Lake, count: int, when: str) -> None:
    figures = lake.health().figures
    print(f"{when}: {figures['bytes'] / count:,.0f} bytes an event in {figures['files']:,} files")


def ask(lake: Lake, scope: Scope, who: str) -> None:
    all_of: dict[str, Any] = {"scope": scope, "when": ALL_TIME}
    timed(f"field search, {who}", [lambda q=q: lake.search(q, **all_of) for q in FIELDS])  # type: ignore[misc]
    timed(f"free text, {who}", [lambda q=q: lake.search(q, **all_of) for q in WORDS])  # type: ignore[misc]
    step = timedelta(hours=1)
    timed(f"histogram, {who}", [lambda: lake.histogram("", step=step, **all_of)])
    timed(f"histogram of a field, {who}", [lambda: lake.histogram(FIELDS[0], step=step, **all_of)])


def timed(name: str, works: list[Callable[[], Any]], times: int = 3) -> None:
    found = []
    slowest = (0.0, 0)
    for number, work in enumerate(works):
        for _ in range(times):
            begun = time.monotonic()
            work()
            found.append(time.monotonic() - begun)
            slowest = max(slowest, (found[-1], number))
    found.sort()
    middle, late = found[len(found) // 2], found[min(len(found) - 1, int(len(found) * 0.95))]
    print(f"{name}: median {middle:.3f} s, p95 {late:.3f} s (slowest: no. {slowest[1] + 1})")


if __name__ == "__main__":
    main()
